"""What clients meet on their way: scripted HTTP servers, HTTP and SOCKS5 proxies.

All listen on 127.0.0.1, on a free port.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any


class Listener:
    """An asyncio server whose connections end with it."""

    def __init__(self) -> None:
        self.port = 0
        #: How many connections it has accepted.
        self.accepted = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, ssl=context
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self.serve(reader, writer)
        except asyncio.CancelledError:
            pass  # it ends with the test; StreamReaderProtocol would log it
        finally:
            writer.close()
            self._tasks.discard(task)

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


async def read_head(reader: asyncio.StreamReader) -> Request | None:
    """The head of a request; ``None`` at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    return Request(method, target, {k.lower(): v for k, v in headers.items()}, b"")


def response(
    status: int = 200, body: str | bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    """An HTTP response with its length."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Reason", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


Reply = Callable[[Request], "bytes | Awaitable[bytes] | None"]


class HttpServer(Listener):
    """Answers requests as its function says; ``None`` closes the connection."""

    def __init__(self, reply: Reply | bytes) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self._reply = (lambda request: reply) if isinstance(reply, bytes) else reply

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while (request := await read_head(reader)) is not None:
            size = int(request.headers.get("content-length", 0))
            request.body = await reader.readexactly(size)
            self.requests.append(request)
            answer: Any = self._reply(request)
            if answer is not None and not isinstance(answer, bytes):
                answer = await answer
            if answer is None:
                return
            writer.write(answer)
            await writer.drain()

    def url(self, path: str = "/socket.io/", scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"


class Bytes(Listener):
    """Sends the same bytes to whoever sends any, and closes."""

    def __init__(self, sent: bytes) -> None:
        super().__init__()
        self._sent = sent

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read(65_536)
        writer.write(self._sent)
        await writer.drain()
        writer.write_eof()
        await reader.read()


class Proxy(Listener):
    """A proxy that resolves every name to 127.0.0.1, and notes what was asked for."""

    def __init__(self, user: str | None = None, password: str = "") -> None:
        super().__init__()
        self.credentials = None if user is None else (user, password)
        self.asked: list[str] = []

    async def _tunnel(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        port: int,
        ready: bytes = b"",
        first: bytes = b"",
    ) -> None:
        """Connect, say that it is ready, and carry bytes both ways."""
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ready)
        up_writer.write(first)
        try:
            await asyncio.gather(_carry(reader, up_writer), _carry(up_reader, writer))
        finally:
            up_writer.close()


async def _carry(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    carries: Callable[[], object] = lambda: None,
) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            carries()
            writer.write(data)
            await writer.drain()
    writer.close()


class HttpProxy(Proxy):
    """CONNECT for tunnels, absolute URLs for plain HTTP."""

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        request = await read_head(reader)
        if request is None:
            return
        self.asked.append(f"{request.method} {request.target}")
        if not self._knows(request.headers.get("proxy-authorization")):
            refusal = {"Proxy-Authenticate": "Basic", "Connection": "close"}
            writer.write(response(407, "who are you?", refusal))
            await writer.drain()
            return
        if request.method == "CONNECT":
            port = int(request.target.rpartition(":")[2])
            await self._tunnel(reader, writer, port, b"HTTP/1.1 200 OK\r\n\r\n")
            return
        address, _, path = request.target.removeprefix("http://").partition("/")
        lines = [f"{request.method} /{path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        first = "\r\n".join([*lines, "", ""]).encode()
        await self._tunnel(reader, writer, int(address.rpartition(":")[2]), b"", first)

    def _knows(self, header: str | None) -> bool:
        if self.credentials is None:
            return True
        expected = base64.b64encode(":".join(self.credentials).encode()).decode()
        return header == f"Basic {expected}"


class Socks5Proxy(Proxy):
    """RFC 1928, CONNECT alone; RFC 1929 for a name and a password."""

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        method = 0 if self.credentials is None else 2
        if method not in methods:
            writer.write(b"\x05\xff")
            return
        writer.write(bytes([5, method]))
        if method == 2 and not await self._authenticated(reader, writer):
            return
        kind = (await reader.readexactly(4))[3]
        if kind == 3:
            host = (await self._text(reader)).decode()
        else:
            host = str(await reader.readexactly(4 if kind == 1 else 16))
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append(f"{host}:{port}")
        done = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
        await self._tunnel(reader, writer, port, done)

    async def _authenticated(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        await reader.readexactly(1)
        user, password = await self._text(reader), await self._text(reader)
        known = (user.decode(), password.decode()) == self.credentials
        writer.write(b"\x01\x00" if known else b"\x01\x01")
        return known

    @staticmethod
    async def _text(reader: asyncio.StreamReader) -> bytes:
        return await reader.readexactly((await reader.readexactly(1))[0])
