"""A server and its clients in one process, a great many times; prints what is left.

    python cycles.py COUNT

As JSON: what there was after the first half of COUNT cycles of connect and disconnect,
what there was after the second, and what the garbage collector found behind a few
cycles of each kind.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import json
import os
import struct
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

import socketio_fast
from socketio_fast._core.engine.deadlines import Timeline

TIMEOUT = 10.0
AT_ONCE = 20
KEY = "dGhlIHNhbXBsZSBub25jZQ=="

# On a busy machine any handler may be slow, which the log would tell.
sio = socketio_fast.AsyncServer(namespaces=["/", "/other"], slow_handler_threshold=None)


@sio.event
async def connect(sid: str, environ: dict[str, Any], auth: Any) -> bool:
    if auth is not None:
        return False
    await sio.enter_room(sid, "everybody")
    await sio.enter_room(sid, "room of " + sid)
    await sio.save_session(sid, {"name": sid})
    return True


@sio.event
async def disconnect(sid: str, reason: str) -> None:
    await asyncio.sleep(0)


@sio.event
async def echo(sid: str, *args: Any) -> tuple[Any, ...]:
    await asyncio.sleep(0)
    return args


class Client(asyncio.Protocol):
    """What came, until something wanted is in it."""

    def __init__(self) -> None:
        self.data = b""
        self.wanted = b""
        self.lost = False
        self.waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.transport = None
        self._wake()

    def _wake(self) -> None:
        if self.waiter is not None and (self.lost or self.wanted in self.data):
            if not self.waiter.done():
                self.waiter.set_result(None)
            self.waiter = None

    async def until(self, wanted: bytes) -> bytes:
        """What came before it; both are taken."""
        if wanted not in self.data:
            assert not self.lost, f"lost before {wanted!r}: {self.data!r}"
            self.wanted = wanted
            self.waiter = asyncio.get_running_loop().create_future()
            await asyncio.wait_for(self.waiter, TIMEOUT)
        assert wanted in self.data, f"lost before {wanted!r}: {self.data!r}"
        before, _, self.data = self.data.partition(wanted)
        return before

    async def end(self) -> None:
        if not self.lost:
            self.wanted = b"never"
            self.waiter = asyncio.get_running_loop().create_future()
            await asyncio.wait_for(self.waiter, TIMEOUT)


def text(data: str) -> bytes:
    payload = data.encode()
    assert len(payload) < 126
    # A mask of zeros leaves the payload as it is.
    return struct.pack("!BB4x", 0x81, 0x80 | len(payload)) + payload


CLOSE = struct.pack("!BB4xH", 0x88, 0x82, 1000)


def get(query: str) -> bytes:
    return (
        f"GET /socket.io/?EIO=4&transport={query} HTTP/1.1\r\nHost: a\r\n\r\n"
    ).encode()


def upgrade(query: str) -> bytes:
    return (
        get(query)[:-2]
        + (
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        ).encode()
    )


def post(sid: str, body: str) -> bytes:
    return (
        f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\n"
        f"Host: a\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def dial(port: int) -> Client:
    _, client = await asyncio.get_running_loop().create_connection(
        Client, "127.0.0.1", port
    )
    return client


async def by_websocket(port: int, number: int) -> None:
    client = await dial(port)
    client.transport.write(upgrade("websocket") + text("40") + text('421["echo",1]'))
    await client.until(b"431[1]")
    if number % 4 == 1:
        client.transport.write(text("41") + CLOSE)
    elif number % 4 == 2:
        client.transport.write(text("1"))
        await client.until(b"\x88")
        client.transport.write(CLOSE)
    elif number % 4 == 3:
        client.transport.write(text("40/other,") + text('42["unknown"]') + CLOSE)
    else:
        client.transport.abort()
    if client.transport is not None and number % 4:
        await client.until(b"\x88") if number % 4 != 2 else None
        client.transport.close()
    await client.end()


async def refused(port: int, number: int) -> None:
    client = await dial(port)
    client.transport.write(upgrade("websocket") + text('40{"no":1}'))
    await client.until(b"44{")
    client.transport.abort()
    await client.end()


async def broken(port: int, number: int) -> None:
    client = await dial(port)
    client.transport.write(
        upgrade("websocket") + text("40") + text('451-["echo",1]') + text("4nonsense")
    )
    await client.until(b"\x88")
    client.transport.close()
    await client.end()


async def open_by_polling(port: int) -> tuple[Client, str]:
    client = await dial(port)
    client.transport.write(get("polling"))
    await client.until(b'"sid":"')
    sid = (await client.until(b'"')).decode()
    await client.until(b"}")
    client.transport.write(post(sid, "40"))
    await client.until(b"\r\n\r\nok")
    client.transport.write(get(f"polling&sid={sid}"))
    await client.until(b"\r\n\r\n40{")
    await client.until(b"}")
    return client, sid


async def by_polling(port: int, number: int) -> None:
    client, sid = await open_by_polling(port)
    client.transport.write(post(sid, '421["echo",1]'))
    await client.until(b"\r\n\r\nok")
    client.transport.write(get(f"polling&sid={sid}"))
    await client.until(b"431[1]")
    if number % 2:
        client.transport.write(post(sid, "1"))
        await client.until(b"\r\n\r\nok")
        client.transport.close()
    else:  # goes while its poll waits
        client.transport.write(get(f"polling&sid={sid}") + post(sid, "3"))
        client.transport.write_eof()
    await client.end()


async def upgraded(port: int, number: int) -> None:
    polls, sid = await open_by_polling(port)
    client = await dial(port)
    client.transport.write(upgrade(f"websocket&sid={sid}") + text("2probe"))
    await client.until(b"3probe")
    client.transport.write(text("5") + text('421["echo",1]'))
    await client.until(b"431[1]")
    if number % 2:
        client.transport.write(CLOSE)
        await client.until(b"\x88")
        client.transport.close()
    else:
        client.transport.abort()
    polls.transport.close()
    await client.end()
    await polls.end()


async def probe_given_up(port: int, number: int) -> None:
    polls, sid = await open_by_polling(port)
    client = await dial(port)
    client.transport.write(upgrade(f"websocket&sid={sid}") + text("2probe"))
    await client.until(b"3probe")
    client.transport.abort()
    await client.end()
    polls.transport.write(post(sid, "1"))
    await polls.until(b"\r\n\r\nok")
    polls.transport.close()
    await polls.end()


KINDS: list[Callable[[int, int], Awaitable[None]]] = [
    *[by_websocket] * 12,
    *[by_polling] * 3,
    *[upgraded] * 2,
    refused,
    broken,
    probe_given_up,
]


async def run_cycles(port: int, count: int) -> None:
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await KINDS[number % len(KINDS)](port, number // len(KINDS))

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


def held(server: Any) -> dict[str, Any]:
    """What the server holds."""
    engine = sio.eio.engine
    namespaces = sio._hub.namespaces.values()
    return {
        "sessions": len(engine.sessions),
        "peers": sum(len(ns.peers) for ns in namespaces),
        "rooms": sum(len(ns.rooms.rooms) for ns in namespaces),
        "tasks": len(sio.eio.handler_tasks()),
        "connections": len(server._endpoint.connections.open),
        "deadlines": sum(
            len(found) for found in gc.get_objects() if type(found) is Timeline
        ),
    }


def memory() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def settled(server: Any) -> dict[str, Any]:
    """When the server has seen the last of its clients go; at the latest soon."""
    for _ in range(1000):
        state = held(server)
        if not any(state.values()):
            break
        await asyncio.sleep(0.001)
    gc.collect()
    # Our own end of the loop: its transports are closed in the next passes.
    await asyncio.sleep(0.05)
    gc.collect()
    state["files"] = len(os.listdir("/proc/self/fd"))
    state["memory"] = memory()
    return state


async def garbage(server: Any, port: int) -> dict[str, int]:
    """What only the collector would free, behind a few cycles of every kind."""
    await settled(server)
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    await run_cycles(port, 4 * len(KINDS))
    await asyncio.sleep(0.05)
    gc.collect()
    kinds = collections.Counter(
        f"{type(found).__module__}.{type(found).__qualname__}" for found in gc.garbage
    )
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()
    return dict(kinds)


async def main(count: int) -> None:
    server = await socketio_fast.serve(sio, port=0)
    port = server.port
    await run_cycles(port, 40 * len(KINDS))
    found = await garbage(server, port)
    await run_cycles(port, count // 2)
    before = await settled(server)
    await run_cycles(port, count - count // 2)
    after = await settled(server)
    await server.close()
    print(json.dumps({"before": before, "after": after, "garbage": found}))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
