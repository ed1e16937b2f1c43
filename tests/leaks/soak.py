"""Hostile peers beside clients that behave: what they take, and from whom.

    python -m tests.leaks.soak [--seconds 120] [--peers 200] [--kind NAME]

A server in a process of its own serves 100 clients that echo 10 messages a second each,
first alone, then beside as many hostile peers of a kind. Each kind has a server of its
own. What is printed: the server's memory before, at most and at the end, and the
latency of the echoes. The exit code is 1 if a bound is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

import socketio_fast as socketio

CLIENTS = 100
RATE = 10.0  # messages of a client in a second
MEGABYTE = 1 << 20
# Bytes that each hostile peer may take, and the server besides; what a client may have
# waiting for it is a part of it.
PEER_BYTES = MEGABYTE
SERVER_BYTES = 60 * MEGABYTE
# How much slower an echo may be at its 99th percentile, and what is quick enough.
SLOWER = 4.0
QUICK = 0.1  # seconds


# --- the server -------------------------------------------------------------------


class Escape(BaseException):
    """What no `except Exception` catches."""


def make_server() -> socketio.AsyncServer:
    sio = socketio.AsyncServer(
        namespaces="*",
        ping_interval=3,
        ping_timeout=2,
        high_water_mark=10_000,
        max_buffer_bytes=MEGABYTE,
        max_pending_bytes=MEGABYTE,
        max_pending_events=100,
        max_pending_acks=100,
        connection_state_recovery={"max_disconnection_duration": 5},
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

    @sio.event
    async def hear(sid: str) -> None:
        await sio.enter_room(sid, "hearers")

    cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    cancelled.cancel()

    @sio.eio.on("slow")
    def slow(eio_sid: str, size: int) -> None:
        print("slow", flush=True)
        cancelled.result()  # raises CancelledError

    nsp = sio.of("/")

    @nsp.on("connection")
    async def connection(socket: Any) -> None:
        socket.conn.on("close", lambda *args: cancelled.result())

    return sio


async def serve() -> None:
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.bin"
        large.write_bytes(bytes(5 * MEGABYTE))
        sio = make_server()
        async with await socketio.serve(
            sio, port=0, static_files={"/large.bin": str(large)}
        ) as server:
            print(server.port, flush=True)
            while True:
                await sio.emit("news", "x" * 20_000, room="hearers")
                await asyncio.sleep(0.02)


# --- clients ----------------------------------------------------------------------


def frame(data: bytes, opcode: int = 1) -> bytes:
    """A masked frame (RFC 6455, section 5.2), with a mask of zeros."""
    size = len(data)
    if size < 126:
        head = bytes([0x80 | opcode, 0x80 | size])
    elif size < 1 << 16:
        head = bytes([0x80 | opcode, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x80 | opcode, 0x80 | 127]) + size.to_bytes(8, "big")
    return head + bytes(4) + data


class Peer:
    """A connection by which a kind of peer sends what it likes."""

    def __init__(self, port: int, buffer: int = 0) -> None:
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.setblocking(False)
        self.port = port
        self.loop = asyncio.get_running_loop()
        self.rest = b""

    async def __aenter__(self) -> Peer:
        await self.loop.sock_connect(self.socket, ("127.0.0.1", self.port))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.socket.close()

    async def send(self, data: bytes) -> None:
        await self.loop.sock_sendall(self.socket, data)

    async def text(self, text: str) -> None:
        await self.send(frame(text.encode()))

    async def _more(self) -> None:
        data = await self.loop.sock_recv(self.socket, 1 << 16)
        if not data:
            raise ConnectionResetError
        self.rest += data

    async def head(self) -> None:
        """The head of a response."""
        while b"\r\n\r\n" not in self.rest:
            await self._more()
        self.rest = self.rest.partition(b"\r\n\r\n")[2]

    async def message(self) -> bytes:
        """The payload of the next frame; those of this server are short."""
        while True:
            if len(self.rest) >= 2:
                size, start = self.rest[1], 2
                if size == 126 and len(self.rest) >= 4:
                    size, start = int.from_bytes(self.rest[2:4], "big"), 4
                if size != 126 and len(self.rest) >= start + size:
                    found = self.rest[start : start + size]
                    self.rest = self.rest[start + size :]
                    return found
            await self._more()

    async def until_closed(self) -> None:
        """Read, and answer nothing."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self._more()
                self.rest = b""

    async def upgrade(self) -> None:
        await self.send(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
            b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await self.head()
        await self.message()

    async def join(self, packet: str = "40") -> bytes:
        await self.upgrade()
        await self.text(packet)
        return await self.message()


async def behave(port: int, latencies: list[float], stop: asyncio.Event) -> int:
    """Echo at a rate, until it is enough; how many echoes came."""
    async with Peer(port) as peer:
        await peer.join()
        waiting: dict[int, float] = {}
        count = 0

        async def send() -> None:
            number = 0
            due = time.perf_counter() + random.random() / RATE
            while not stop.is_set():
                await asyncio.sleep(due - time.perf_counter())
                waiting[number] = due  # late sending is the latency's as well
                await peer.text(f'42{number}["echo","0123456789abcdef"]')
                number += 1
                due += 1 / RATE

        sending = asyncio.ensure_future(send())
        while not (stop.is_set() and not waiting):
            message = await asyncio.wait_for(peer.message(), 10)
            if message == b"2":
                await peer.text("3")
            elif message.startswith(b"43"):
                number = int(message[2 : message.index(b"[")])
                latencies.append(time.perf_counter() - waiting.pop(number))
                count += 1
        await sending
        return count


# --- hostile peers ----------------------------------------------------------------


async def files(port: int) -> None:
    """Ask for a large file, and do not read it."""
    async with Peer(port, 4096) as peer:
        await peer.send(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(20)


async def pipelined(port: int) -> None:
    """8,333 requests in one piece, and nothing is read."""
    async with Peer(port, 4096) as peer:
        await peer.send(b"GET /large.bin HTTP/1.1\r\nHost:x\r\n\r\n" * 8333)
        await asyncio.sleep(20)


async def broadcasts(port: int) -> None:
    """Ask for a flood of events, and do not read it."""
    async with Peer(port, 4096) as peer:
        await peer.join()
        await peer.text('42["hear"]')
        await asyncio.sleep(60)


async def pings(port: int) -> None:
    """Do not answer pings."""
    async with Peer(port) as peer:
        await peer.join()
        await peer.until_closed()


async def attachments(port: int) -> None:
    """Send 9 of 10 attachments, and answer pings from then on."""
    async with Peer(port) as peer:
        await peer.join()
        places = ",".join(f'{{"_placeholder":true,"num":{i}}}' for i in range(10))
        await peer.text(f'4510-["echo",{places}]')
        for _ in range(9):
            await peer.send(frame(bytes(65536), 2))
        while True:
            if await peer.message() == b"2":
                await peer.text("3")


async def handlers(port: int) -> None:
    """Emit more events than may be under way, whose handlers take 10 seconds."""
    async with Peer(port) as peer:
        await peer.join()
        for _ in range(400):
            await peer.text('42["hang","' + "x" * 1000 + '"]')
        await peer.until_closed()


async def namespaces(port: int) -> None:
    """Join one namespace after the other, and go."""
    async with Peer(port) as peer:
        await peer.join()
        for _ in range(100):
            await peer.text(f"40/{random.random()},")
            await peer.message()


async def acks(port: int) -> None:
    """Acknowledge nothing."""
    async with Peer(port) as peer:
        await peer.join()
        for _ in range(100):
            await peer.text('42["ask"]')
            for _ in range(20):
                if await peer.message() == b"2":
                    await peer.text("3")
            await asyncio.sleep(0.1)


async def escapes(port: int) -> None:
    """Have the connect handler raise what is no Exception."""
    async with Peer(port) as peer:
        await peer.upgrade()
        for _ in range(20):
            await peer.text('40{"escape":true}')
            assert (await peer.message()).startswith(b"44")
            await asyncio.sleep(0.05)


KINDS: dict[str, Callable[[int], Awaitable[None]]] = {
    function.__name__: function
    for function in (
        *(files, pipelined, broadcasts, pings, attachments),
        *(handlers, namespaces, acks, escapes),
    )
}


# --- a run ------------------------------------------------------------------------


@dataclass
class Result:
    """What one kind did to the server, and to the others."""

    kind: str
    before: int
    most: int
    end: int
    base: float  # the 99th percentile of the echoes without hostile peers, in seconds
    p99: float
    echoes: int
    peers: int

    @property
    def bounded(self) -> bool:
        """Whether the peers have taken no more memory than they may."""
        return self.most - self.before <= SERVER_BYTES + self.peers * PEER_BYTES

    @property
    def faults(self) -> list[str]:
        found = []
        if not self.bounded:
            found.append("memory")
        if self.p99 > max(QUICK, SLOWER * self.base):
            found.append("latency")
        return found

    def __str__(self) -> str:
        sizes = [f"{size / MEGABYTE:7.1f}" for size in (self.before, self.most)]
        return (
            f"{self.kind:12} {' '.join(sizes)} {self.end / MEGABYTE:7.1f} "
            f"{1000 * self.base:9.1f} {1000 * self.p99:9.1f} {self.echoes:9d}  "
            f"{', '.join(self.faults) or 'ok'}"
        )


HEAD = "kind         MiB before    most     end  p99 alone  p99 (ms)    echoes"


def memory(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def percentile(values: list[float]) -> float:
    return sorted(values)[int(0.99 * len(values))] if values else float("inf")


async def again(kind: Callable[[int], Awaitable[None]], port: int) -> None:
    """One hostile peer after the other, each until the server has had enough."""
    while True:
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await kind(port)
        await asyncio.sleep(0.05)


def told(lines: asyncio.StreamReader) -> asyncio.Task[int]:
    """How many slow clients the server tells of."""

    async def count() -> int:
        number = 0
        with contextlib.suppress(asyncio.CancelledError):
            while await lines.readline():
                number += 1
        return number

    return asyncio.ensure_future(count())


async def echoes(port: int, seconds: float, clients: int) -> tuple[list[float], int]:
    latencies: list[float] = []
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    counts = await asyncio.gather(
        *(behave(port, latencies, stop) for _ in range(clients))
    )
    return latencies, sum(counts)


async def run(name: str, seconds: float, peers: int, clients: int = CLIENTS) -> Result:
    server = await asyncio.create_subprocess_exec(
        # Not from the checkout, whose package may not be built.
        *(sys.executable, __file__, "--serve"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert server.stdout is not None
    try:
        port = json.loads(await asyncio.wait_for(server.stdout.readline(), 30))
        os.sched_setaffinity(server.pid, {min(os.sched_getaffinity(0))})
        slow = told(server.stdout)
        alone, _ = await echoes(port, min(seconds, 10), clients)
        before = most = memory(server.pid)
        hostile = [
            asyncio.ensure_future(again(KINDS[name], port)) for _ in range(peers)
        ]

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, memory(server.pid))
                await asyncio.sleep(0.1)

        watching = asyncio.ensure_future(watch())
        beside, count = await echoes(port, seconds, clients)
        for task in hostile:
            if task.done():
                task.result()  # it has ended by itself: what it expects is not so
            task.cancel()
        await asyncio.wait(hostile)
        await echoes(port, min(seconds, 6), 1)  # for the server to let go of them
        watching.cancel()
        end = memory(server.pid)
        slow.cancel()
        if name == "broadcasts" and seconds > 5:
            assert await slow, "no client was slow: nothing was tried"
        p99s = percentile(alone), percentile(beside)
        return Result(name, before, most, end, *p99s, count, peers)
    finally:
        server.kill()
        await server.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--peers", type=int, default=200)
    parser.add_argument("--kind", choices=[*KINDS], action="append")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve())
    print(HEAD)
    broken = 0
    for kind in options.kind or KINDS:
        result = asyncio.run(run(kind, options.seconds, options.peers))
        broken += bool(result.faults)
        print(result, flush=True)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
