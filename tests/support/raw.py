"""Strict clients on a bare socket: they send exactly the bytes they are given.

What an ordinary client forgives is a failure here: a response without a length, a
frame with a mask, a reserved bit, a length in more bytes than it needs. Nothing
waits longer than TIMEOUT.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import hashlib
import json
import re
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from support import waiting

TIMEOUT = 5.0

SEPARATOR = "\x1e"
WS_KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3
WS_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MASK = b"\x37\xfa\x21\x3d"  # RFC 6455 §5.7
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\x20-\x7e]*)\Z")
HEADER_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*\Z")
HEADER_VALUE = re.compile(rb"[\x20-\x7e\x80-\xff\t]*\Z")
CHUNK_LINE = re.compile(rb"[0-9A-Fa-f]+\Z")

MESSAGES = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    4: "Forbidden",
    5: "Unsupported protocol version",
}


within = functools.partial(waiting.within, seconds=TIMEOUT)


async def turns(count: int = 5) -> None:
    """Let the loop pass a few times: what was written is read by the server."""
    for _ in range(count):
        await asyncio.sleep(0)


# --- HTTP -----------------------------------------------------------------------


@dataclass
class Response:
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2, f"{name} is repeated: {values}"
        return values[0] if values else None

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")

    def ok(self, text: str | None = None) -> Response:
        assert self.status == 200, f"{self.status} {self.body!r}"
        if text is not None:
            assert self.text == text
        return self

    def refused(self, status: int = 400) -> Response:
        """An error; a 400, if it says anything, says the reference's JSON; a 413 says
        nothing."""
        assert self.status == status, f"{self.status} {self.body!r}"
        assert not self.body or status != 413
        if self.body and status == 400:
            assert (self.header("content-type") or "").startswith("application/json")
            value = json.loads(self.body)
            assert value.keys() == {"code", "message"}
            assert value["code"] in MESSAGES
        return self

    def error(self, code: int) -> Response:
        """The reference's error, to the byte."""
        assert self.status == (403 if code == 4 else 400), (
            f"{self.status} {self.body!r}"
        )
        assert self.header("content-type") == "application/json"
        assert self.text == f'{{"code":{code},"message":"{MESSAGES[code]}"}}'
        return self


def request(
    method: str,
    target: str,
    body: bytes | str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    *,
    host: str = "test.local",
) -> bytes:
    """One request with a Host, and a Content-Length where there is a body."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if content is not None:
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (content or b"")


def chunked(
    target: str, chunks: Iterable[bytes], headers: Iterable[tuple[str, str]] = ()
) -> bytes:
    """A POST whose body comes in chunks, the last one included."""
    head = request("POST", target, headers=[("Transfer-Encoding", "chunked"), *headers])
    return head + b"".join(chunk(piece) for piece in chunks) + b"0\r\n\r\n"


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def polling(
    sid: str | None = None, *, path: str = "/engine.io/", more: str = ""
) -> str:
    query = "EIO=4&transport=polling" + (f"&sid={sid}" if sid else "")
    return f"{path}?{query}{more}"


def websocket(sid: str | None = None, *, path: str = "/engine.io/") -> str:
    return f"{path}?EIO=4&transport=websocket" + (f"&sid={sid}" if sid else "")


class Connection:
    """A TCP connection, and what HTTP/1.1 says must come over it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(
        cls, server: Any, *, receive_buffer: int | None = None, limit: int = 1 << 22
    ) -> Connection:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await within(loop.sock_connect(sock, (server.host, server.port)))
            reader, writer = await asyncio.open_connection(sock=sock, limit=limit)
        except BaseException:
            sock.close()
            raise
        return cls(reader, writer)

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self.writer.wait_closed(), TIMEOUT)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await within(self.writer.drain())

    async def exactly(self, count: int) -> bytes:
        return await within(self.reader.readexactly(count))

    async def line(self) -> bytes:
        line = await within(self.reader.readuntil(b"\r\n"))
        assert b"\n" not in line[:-2], f"a bare line feed in {line!r}"
        return line[:-2]

    async def response(self, method: str = "GET") -> Response:
        match = STATUS_LINE.match(await self.line())
        assert match, "not a status line of HTTP/1.1"
        status, reason = int(match[1]), match[2].decode()
        headers: list[tuple[str, str]] = []
        while line := await self.line():
            match = HEADER_LINE.match(line)
            assert match, f"not a header: {line!r}"
            assert HEADER_VALUE.match(match[2]), f"not a header value: {line!r}"
            headers.append((match[1].decode().lower(), match[2].decode("latin-1")))
        response = Response(status, reason, headers, b"")
        length = response.header("content-length")
        coding = response.header("transfer-encoding")
        if status < 200 or status == 204:
            assert length is None, f"{status} has a Content-Length"
            assert coding is None, f"{status} has a Transfer-Encoding"
            return response
        assert length is None or coding is None, "a body has one length"
        if method == "HEAD" or status == 304:
            return response
        if length is not None:
            assert re.fullmatch("[0-9]+", length), f"not a length: {length!r}"
            response.body = await self.exactly(int(length))
        elif coding is not None:
            assert coding == "chunked"
            response.body = await self._chunks()
        else:
            connection = (response.header("connection") or "").lower()
            assert connection == "close", "a body without a length or an end"
            response.body = await within(self.reader.read())
        return response

    async def _chunks(self) -> bytes:
        body = b""
        while True:
            size = await self.line()
            assert CHUNK_LINE.match(size), f"not a chunk size: {size!r}"
            if int(size, 16) == 0:
                assert await self.line() == b"", "a trailer"
                return body
            body += await self.exactly(int(size, 16))
            assert await self.exactly(2) == b"\r\n"

    async def get(self, target: str, *headers: tuple[str, str]) -> Response:
        await self.send(request("GET", target, headers=headers))
        return await self.response()

    async def post(
        self, target: str, body: bytes | str, *headers: tuple[str, str]
    ) -> Response:
        await self.send(request("POST", target, body, headers))
        return await self.response()

    async def open_session(self, *, path: str = "/engine.io/") -> str:
        """The sid of a new session by polling."""
        response = (await self.get(polling(path=path))).ok()
        assert response.text.startswith("0")
        sid = json.loads(response.text[1:])["sid"]
        assert isinstance(sid, str)
        return sid

    async def park(self, target: str) -> None:
        """Send a GET and see that it is not answered at once."""
        await self.send(request("GET", target))
        await self.silent()

    async def silent(self, seconds: float = 0.02) -> None:
        """Nothing comes, and the connection stays."""
        with contextlib.suppress(asyncio.TimeoutError):
            data = await asyncio.wait_for(self.reader.read(1), seconds)
            raise AssertionError(f"{data!r} came where nothing should")

    async def eof(self, *, reset: bool = False) -> None:
        """The other side closes, having sent nothing more; so does this one.

        With `reset` it may do so by RST: what we had sent may lie unread there.
        """
        try:
            rest = await within(self.reader.read())
        except ConnectionError:
            assert reset, "the connection was reset instead of closed"
            rest = b""
        assert rest == b"", f"{rest[:200]!r} came before the end"
        await self.close()


# --- WebSocket ------------------------------------------------------------------


def upgrade_request(
    target: str,
    headers: Iterable[tuple[str, str]] = (),
    *,
    host: str = "test.local",
    **replaced: str | None,
) -> bytes:
    """The handshake; a keyword (`upgrade`, `connection`, `key`, `version`) replaces
    the header of that name, None leaves it out."""
    lines = {
        "upgrade": ("Upgrade", "websocket"),
        "connection": ("Connection", "Upgrade"),
        "key": ("Sec-WebSocket-Key", WS_KEY),
        "version": ("Sec-WebSocket-Version", "13"),
    }
    assert replaced.keys() <= lines.keys()
    chosen = [
        (header, replaced.get(name, value)) for name, (header, value) in lines.items()
    ]
    present = [(header, value) for header, value in chosen if value is not None]
    return request("GET", target, headers=[*present, *headers], host=host)


def frame(
    opcode: int,
    payload: bytes | str = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    width: int | None = None,
) -> bytes:
    """One frame of a client; `width` forces a length of 7, 16 or 64 bits."""
    data = payload.encode() if isinstance(payload, str) else payload
    return header(
        opcode, len(data), fin=fin, rsv=rsv, masked=mask is not None, width=width
    ) + (mask + masked(data, mask) if mask is not None else data)


def header(
    opcode: int,
    length: int,
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    width: int | None = None,
) -> bytes:
    """A frame's header alone, without the mask's key."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if masked else 0
    if width is None:
        width = 7 if length < 126 else 16 if length < 65536 else 64
    if width == 7:
        return bytes([first, bit | length])
    if width == 16:
        return struct.pack("!BBH", first, bit | 126, length)
    return struct.pack("!BBQ", first, bit | 127, length)


def masked(data: bytes, mask: bytes) -> bytes:
    repeated = (mask * (len(data) // 4 + 1))[: len(data)]
    value = int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")
    return value.to_bytes(len(data), "big")


def close_frame(code: int | None = None, reason: bytes = b"") -> bytes:
    return frame(CLOSE, (struct.pack("!H", code) if code is not None else b"") + reason)


def text(data: bytes | str, **options: Any) -> bytes:
    return frame(TEXT, data, **options)


@dataclass
class Frame:
    fin: bool
    opcode: int
    payload: bytes


class WebSocket(Connection):
    """The client's side of RFC 6455, forgiving nothing."""

    @classmethod
    async def upgrade(
        cls,
        server: Any,
        target: str,
        after: bytes = b"",
        *,
        protocol: str | None = None,
        **options: Any,
    ) -> WebSocket:
        """Connect and shake hands; `after` goes in the same segment."""
        plain = await Connection.open(server)
        ws = cls(plain.reader, plain.writer)
        try:
            await ws.send(upgrade_request(target, **options) + after)
            await ws.accepted(protocol)
        except BaseException:
            await ws.close()
            raise
        return ws

    async def accepted(self, protocol: str | None = None) -> Response:
        response = await self.response()
        assert response.status == 101, f"{response.status} {response.body!r}"
        assert (response.header("upgrade") or "").lower() == "websocket"
        connection = (response.header("connection") or "").lower()
        assert "upgrade" in [token.strip() for token in connection.split(",")]
        digest = hashlib.sha1((WS_KEY + WS_GUID).encode()).digest()
        assert response.header("sec-websocket-accept") == base64.b64encode(
            digest
        ).decode("ascii")
        assert response.header("sec-websocket-extensions") is None
        assert response.header("sec-websocket-protocol") == protocol
        return response

    async def frame(self) -> Frame:
        first, second = await self.exactly(2)
        opcode = first & 0x0F
        assert first & 0x70 == 0, "a reserved bit is set"
        assert second & 0x80 == 0, "a server masks nothing"
        assert opcode in (CONT, TEXT, BINARY, CLOSE, PING, PONG)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", await self.exactly(2))
            assert length > 125, "a length in more bytes than it needs"
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.exactly(8))
            assert 65535 < length < 1 << 63, "a length in more bytes than it needs"
        if opcode >= CLOSE:
            assert first & 0x80, "a control frame is not fragmented"
            assert length < 126, "a control frame is short"
        return Frame(bool(first & 0x80), opcode, await self.exactly(length))

    async def message(self) -> str | bytes:
        """The next message; it must be the next thing that comes."""
        got = await self.frame()
        assert got.opcode in (TEXT, BINARY), got
        opcode, payload = got.opcode, got.payload
        while not got.fin:
            got = await self.frame()
            assert got.opcode == CONT, got
            payload += got.payload
        return payload.decode("utf-8") if opcode == TEXT else payload

    async def open_packet(self) -> dict[str, Any]:
        packet = await self.message()
        assert isinstance(packet, str)
        assert packet.startswith("0")
        value: dict[str, Any] = json.loads(packet[1:])
        return value

    async def text(self, data: str) -> None:
        await self.send(frame(TEXT, data))

    async def binary(self, data: bytes) -> None:
        await self.send(frame(BINARY, data))

    async def echoes(self, data: str | bytes) -> None:
        """A message to an echo server comes back, and nothing before it."""
        if isinstance(data, str):
            await self.text("4" + data)
            assert await self.message() == "4" + data
        else:
            await self.binary(data)
            assert await self.message() == data

    async def close_payload(self) -> bytes:
        """A close frame comes next; it is answered, and then the socket ends."""
        got = await self.frame()
        assert got.opcode == CLOSE, got
        if got.payload:
            assert len(got.payload) >= 2
            got.payload[2:].decode("utf-8")
        with contextlib.suppress(ConnectionError):
            await self.send(frame(CLOSE, got.payload[:2]))
        await self.eof(reset=True)
        return got.payload

    async def fails_with(self, code: int) -> None:
        payload = await self.close_payload()
        assert payload[:2] == struct.pack("!H", code), payload

    async def ends(self) -> None:
        """The server ends it, with a close frame or without, sending nothing else."""
        try:
            first = await within(self.reader.readexactly(1))
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.close()
            return
        assert first[0] == 0x80 | CLOSE, first
        length = (await self.exactly(1))[0]
        assert length < 126
        await self.exactly(length)
        with contextlib.suppress(ConnectionError):
            await self.send(close_frame())
        await self.eof(reset=True)


async def refused_upgrade(server: Any, target: str, **options: Any) -> None:
    """The server does not take this WebSocket: by status, or by closing it."""
    plain = await Connection.open(server)
    ws = WebSocket(plain.reader, plain.writer)
    try:
        await ws.send(upgrade_request(target, **options))
        response = await ws.response()
        if response.status == 101:
            await ws.ends()
        else:
            assert response.status == 400
            if response.header("connection") == "close":
                await ws.eof()
            else:
                (await ws.get(polling("unknown"))).refused()
    finally:
        await ws.close()


@contextlib.asynccontextmanager
async def connections(server: Any) -> AsyncIterator[Client]:
    """A client of `server` whose connections end with the block."""
    client = Client(server)
    try:
        yield client
    finally:
        await client.close()


async def join(server: Any) -> WebSocket:
    """A client of Socket.IO in the namespace "/"."""
    ws = await WebSocket.upgrade(server, websocket(path="/socket.io/"))
    await ws.open_packet()
    await ws.text("40")
    assert str(await ws.message()).startswith("40")
    return ws


class Client:
    """Opens connections to one server and closes them all."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.opened: list[Connection] = []

    async def connect(self, **options: Any) -> Connection:
        connection = await Connection.open(self.server, **options)
        self.opened.append(connection)
        return connection

    async def websocket(
        self, target: str | None = None, after: bytes = b"", **options: Any
    ) -> WebSocket:
        """A WebSocket after its handshake; without a target, a session's own."""
        ws = await WebSocket.upgrade(
            self.server, target or websocket(), after, **options
        )
        self.opened.append(ws)
        return ws

    async def session(self, *, path: str = "/engine.io/") -> WebSocket:
        """A WebSocket session after its open packet."""
        ws = await self.websocket(websocket(path=path))
        await ws.open_packet()
        return ws

    async def close(self) -> None:
        for connection in self.opened:
            await connection.close()
