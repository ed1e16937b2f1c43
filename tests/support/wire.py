"""Servers for tests of the client's protocol: Node's, and a WebSocket by hand."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import shutil
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.ports import free_port
from support.scripted_servers import (
    Listener,
    Request,
    _carry,
    read_head,
    response,
)
from support.waiting import within

INTEROP = Path(__file__).parents[1] / "interop"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


@asynccontextmanager
async def node(*, script: str = "wire.mjs", **options: Any) -> AsyncIterator[str]:
    """The URL of socket.io on Node.js; with ``eio=3`` of its revision 2."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("socket.io needs Node.js, which is not installed")
    name = "socket.io-2" if options.get("eio") == 3 else "socket.io"
    if not (INTEROP / "node_modules" / name).is_dir():
        pytest.skip(f"no {name}: run `npm ci --prefix tests/interop`")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        program,
        str(INTEROP / script),
        str(port),
        json.dumps(options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = await within(process.stdout.readline(), "the server of Node.js listens")
        assert b"listening" in line
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def server_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = None,
) -> bytes:
    """A frame as a server sends it: not masked, unless a test breaks that rule."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    flag = 0x80 if mask is not None else 0
    n = len(payload)
    if n < 126:
        head = bytes([first, flag | n])
    elif n < 65_536:
        head = bytes([first, flag | 126]) + struct.pack(">H", n)
    else:
        head = bytes([first, flag | 127]) + struct.pack(">Q", n)
    if mask is None:
        return head + payload
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def open_packet(**more: Any) -> str:
    """The open packet of revision 4."""
    values = {
        "sid": "abc",
        "upgrades": [],
        "pingInterval": 25_000,
        "pingTimeout": 20_000,
        "maxPayload": 1_000_000,
        **more,
    }
    return "0" + json.dumps(values)


class Relay(Listener):
    """Carries connections to a server, and cuts them."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._server_port = int(url.rpartition(":")[2])
        self._writers: set[asyncio.StreamWriter] = set()
        self._asked: set[asyncio.StreamWriter] = set()
        self._let_in = asyncio.Event()
        self._let_in.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def asks(self) -> bool:
        """Whether a request has been carried to the server, and no response yet."""
        return bool(self._asked)

    def cut(self, *, hold: bool = False) -> None:
        """Reset all connections.

        Args:
            hold: Whether those that come have to wait for `let_in`.
        """
        if hold:
            self._let_in.clear()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def let_in(self) -> None:
        """Carry connections again."""
        self._let_in.set()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self._let_in.wait()
        await self._relay(reader, writer, b"")

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes
    ) -> None:
        up_reader, up_writer = await asyncio.open_connection(
            "127.0.0.1", self._server_port
        )
        both = {writer, up_writer}
        self._writers |= both
        up_writer.write(first)
        asks = partial(self._asked.add, up_writer)
        answers = partial(self._asked.discard, up_writer)
        try:
            await asyncio.gather(
                _carry(reader, up_writer, asks), _carry(up_reader, writer, answers)
            )
        finally:
            up_writer.close()
            self._writers -= both
            answers()


class Gate(Relay):
    """Holds up WebSockets alone, in the middle of their handshakes.

    ``await gate.came.wait()`` is until there is one; then ``gate.open()`` lets it in,
    and ``gate.open(closed=True)`` ends it. Those that follow are treated as this one.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.came = asyncio.Event()
        self._opened = asyncio.Event()
        self._closed = False

    def open(self, *, closed: bool = False) -> None:
        self._closed = closed
        self._opened.set()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"transport=websocket" in head:
            self.came.set()
            await self._opened.wait()
            if self._closed:
                return
        await self._relay(reader, writer, head)


class Peer:
    """One WebSocket connection, from the server's side."""

    def __init__(
        self,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.request = request
        self.reader = reader
        self.writer = writer

    async def write(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))
        await self.writer.drain()

    async def send(self, *texts: str) -> None:
        await self.write(*(server_frame(TEXT, text.encode()) for text in texts))

    async def open(self, **more: Any) -> None:
        """Open the session, and let the client join ``/``."""
        await self.send(open_packet(**more))
        assert (await self.receive())[2][:2] == b"40"
        await self.send('40{"sid":"s1"}')

    async def receive(self) -> tuple[int, int, bytes]:
        """The next frame of the client: reserved bits, opcode, payload."""
        head = await self.reader.readexactly(2)
        assert head[1] & 0x80, "a frame of the client that is not masked"
        size = head[1] & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
        mask = await self.reader.readexactly(4)
        data = await self.reader.readexactly(size)
        plain = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
        return head[0] >> 4 & 7, head[0] & 15, plain

    async def closed(self) -> int | None:
        """The code of the client's close frame; ``None`` if it sent none."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                _, opcode, data = await self.receive()
                if opcode == CLOSE:
                    return int.from_bytes(data[:2], "big") if data else 1005
        return None


Script = Callable[[Peer], Awaitable[Any]]


class WebSocketServer(Listener):
    """Accepts WebSockets, and does what its function does to each of them."""

    def __init__(self, script: Script, extensions: str | None = None) -> None:
        super().__init__()
        self._script = script
        self._extensions = extensions
        self.results: asyncio.Queue[Any] = asyncio.Queue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        request = await read_head(reader)
        if request is None or "sec-websocket-key" not in request.headers:
            writer.write(response(400))
            return
        key = request.headers["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept}",
        ]
        if self._extensions is not None:
            lines.append(f"Sec-WebSocket-Extensions: {self._extensions}")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        try:
            result = await self._script(Peer(request, reader, writer))
        except Exception as exc:
            result = exc
        await self.results.put(result)

    async def result(self) -> Any:
        """What the function has returned for the next connection."""
        result = await within(self.results.get(), "the script of the server")
        if isinstance(result, Exception):
            raise result
        return result
