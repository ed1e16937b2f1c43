"""Servers whose clients are connected over fake transports: no socket, no kernel.

Everything else is the real thing, from the parsed handshake to the bytes that the
transport would write.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import engineio.async_socket
import socketio

import socketio_fast
from socketio_fast._core.http.endpoint import Endpoint
from socketio_fast._core.http.http1 import Http1Connection

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
    b"Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n"
)
PASSES = 100_000
CONNECT_FRAME = b"\x81\x82\0\0\0\x0040"  # masked with zeros


class Tally:
    """What reached the fake transports."""

    def __init__(self) -> None:
        self.count = 0
        self.last: Any = None

    def add(self, data: Any) -> None:
        self.count += 1
        self.last = data

    async def reach(self, count: int) -> None:
        """Wait until that many messages came; but no longer than PASSES of the loop."""
        for _ in range(PASSES):
            if self.count >= count:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{self.count} of {count} messages came")


class Wire:
    """An asyncio transport that goes nowhere."""

    def __init__(self, protocol: Any, tally: Tally) -> None:
        self.protocol = protocol
        self.write = tally.add
        self.closed = False
        protocol.connection_made(self)

    def feed(self, data: bytes) -> None:
        while data:
            if hasattr(self.protocol, "get_buffer"):
                buffer = self.protocol.get_buffer(len(data))
                count = min(len(buffer), len(data))
                buffer[:count] = data[:count]
                self.protocol.buffer_updated(count)
                data = data[count:]
            else:
                self.protocol.data_received(data)
                data = b""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close


class Fast:
    """socketio_fast, with clients over WebSocket."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.sio = socketio_fast.AsyncServer(ping_interval=3600)
        self.sio.bind(loop)
        self.sio.on("unused", self._unused)
        self.loop = loop
        self.tally = Tally()
        engine = self.sio.eio.engine
        self.endpoint = Endpoint(engine, loop, self.sio.default_path)
        self.wires: list[Wire] = []

    async def _unused(self, sid: str) -> None:
        """The root namespace is there once it has a handler."""

    async def connect(self, count: int) -> list[str]:
        """Connect clients: their sids."""
        sids = []
        for _ in range(count):
            wire = Wire(Http1Connection(self.endpoint), self.tally)
            wire.feed(UPGRADE)
            await asyncio.sleep(0)
            self.tally.count = 0
            wire.feed(CONNECT_FRAME)
            await self.tally.reach(1)
            text = self.tally.last
            sids.append(json.loads(text[text.index(b"40{") + 2 :])["sid"])
            self.wires.append(wire)
        self.tally.count = 0
        return sids

    async def close(self) -> None:
        """Nobody is left."""
        for wire in self.wires:
            wire.close()
        await asyncio.sleep(0.01)


class PeerWebSocket:
    """What python-engineio sees of an ASGI server's WebSocket."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        await asyncio.shield(self.end)

    async def send(self, data: Any) -> None:
        self.tally.add(data)

    async def close(self) -> None:
        if not self.end.done():
            self.end.set_result(None)


class Peer:
    """python-socketio, with clients over WebSocket."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # No pings, so that nothing else runs; a logger that is off.
        self.sio = socketio.AsyncServer(async_mode="asgi", ping_interval=3600)
        self.sio.logger.setLevel(logging.CRITICAL)
        self.loop = loop
        self.tally = Tally()
        self.tasks: list[asyncio.Task[None]] = []
        self.websockets: list[PeerWebSocket] = []
        self.sio.on("unused", self._unused)

    async def _unused(self, sid: str) -> None:
        """The root namespace is there once it has a handler."""

    async def connect(self, count: int) -> list[str]:
        """Connect clients: their sids."""
        sids = []
        for _ in range(count):
            eio = self.sio.eio
            eio_sid = eio.generate_id()
            client = engineio.async_socket.AsyncSocket(eio, eio_sid)
            eio.sockets[eio_sid] = client
            websocket = PeerWebSocket(self.tally)
            self.websockets.append(websocket)
            self.tasks.append(
                self.loop.create_task(client._websocket_handler(websocket))
            )
            await self.sio._handle_eio_connect(eio_sid, {})
            self.tally.count = 0
            await self.sio._handle_eio_message(eio_sid, "0")
            await self.tally.reach(1)
            sids.append(json.loads(self.tally.last[2:])["sid"])
        self.tally.count = 0
        return sids

    async def close(self) -> None:
        """Nobody is left."""
        for websocket in self.websockets:
            await websocket.close()
        await asyncio.gather(*self.tasks)
        pending = asyncio.all_tasks() - {asyncio.current_task()}
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


SERVERS = {"socketio_fast": Fast, "python-socketio": Peer}
