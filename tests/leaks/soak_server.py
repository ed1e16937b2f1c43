"""The server of a soak, by itself, so that its memory is its own.

It prints its port, then a line for each client that is slow. For each line that it
reads it gives back what memory it does not need, and prints ``trimmed``.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import uvloop

import socketio_fast as socketio
from socketio_fast.admin.passwords import scrypt_hash

MEGABYTE = 1 << 20
LARGE = 5 * MEGABYTE
# What the answer to a poll may hold.
FLOOD = MEGABYTE
PIECES = 20


@dataclass
class A:
    """A node of a tree whose alternatives are found out by trying."""

    kind: Literal["a"]
    child: A | B | None


@dataclass
class B:
    """The other."""

    kind: Literal["b"]
    child: A | B | None


class Escape(BaseException):
    """What no `except Exception` catches."""


def make_server() -> socketio.AsyncServer:
    sio = socketio.AsyncServer(
        namespaces="*",
        ping_interval=3,
        ping_timeout=2,
        high_water_mark=10_000,
        max_buffer_bytes=8 * MEGABYTE,
        max_pending_bytes=MEGABYTE,
        max_pending_events=50,
        max_pending_acks=100,
        connection_state_recovery={
            "max_disconnection_duration": 5,
            "max_bytes": 5 * MEGABYTE,
        },
        slow_handler_threshold=None,
    )

    @sio.event
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        if auth == {"escape": True}:
            await sio.enter_room(sid, "room")
            raise Escape

    @sio.event
    async def echo(sid: str, *args: Any) -> Any:
        return args[0]

    @sio.event
    async def hang(sid: str, *args: Any) -> None:
        await asyncio.sleep(10)

    @sio.event
    async def ask(sid: str) -> None:
        for _ in range(20):
            await sio.emit("question", to=sid, callback=lambda *args: None)
        with contextlib.suppress(asyncio.TimeoutError):
            await sio.call("question", to=sid, timeout=1)

    @sio.event
    async def hear(sid: str) -> None:
        await sio.enter_room(sid, "hearers")

    @sio.event
    async def flood(sid: str) -> None:
        for _ in range(PIECES):
            await sio.emit("drop", "x" * (FLOOD // PIECES), to=sid)

    @sio.event
    async def tree(sid: str, tree: A | B) -> bool:
        return True

    cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    cancelled.cancel()

    @sio.eio.on("slow")
    def slow(eio_sid: str, size: int) -> None:
        print("slow", flush=True)
        cancelled.result()  # raises CancelledError

    @sio.of("/").on("connection")
    async def connection(socket: Any) -> None:
        if socket.handshake.auth == {"raises": True}:
            socket.conn.on("close", lambda *args: cancelled.result())

    return sio


def make_threaded_server() -> socketio.Server:
    sio = socketio.Server(ping_interval=3, ping_timeout=2)
    never = threading.Event()

    @sio.event
    def echo(sid: str, *args: Any) -> Any:
        return args[0]

    @sio.event
    def hang(sid: str, *args: Any) -> None:
        never.wait()

    return sio


@contextlib.contextmanager
def large_file() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.bin"
        large.write_bytes(bytes(LARGE))
        yield {"/large.bin": str(large)}


async def serve(listening: socket.socket, admin: bool) -> None:
    sio = make_server()
    if admin:
        sio.instrument({"username": "admin", "password": scrypt_hash("secret")})
    with large_file() as files:
        async with await socketio.serve(sio, sock=listening, static_files=files):
            while True:
                await sio.emit("news", "x" * 20_000, room="hearers")
                await asyncio.sleep(0.02)


def obey() -> None:
    """Give memory back when told to, so that what is left is in use."""
    for _ in sys.stdin:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        print("trimmed", flush=True)


def rarely_collect() -> None:
    """Collect what lives long in cycles rarely, as docs/deployment.md recommends."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 10, 1000)


def main(flavour: str) -> None:
    rarely_collect()
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()  # who reads the port may connect before the server is made
    threading.Thread(target=obey, daemon=True).start()
    print(listening.getsockname()[1], flush=True)
    if flavour == "threads":
        socketio.run(make_threaded_server(), sock=listening)
    else:
        uvloop.run(serve(listening, flavour == "admin"))


if __name__ == "__main__":
    main(sys.argv[1])
