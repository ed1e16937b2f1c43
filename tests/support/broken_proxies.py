"""A reverse proxy before servers on 127.0.0.1, with the faults that proxies have."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from itertools import cycle

from support.scripted_servers import Listener, Request, read_head

Rewrite = Callable[[Request], None]


class ReverseProxy(Listener):
    """Passes requests on: one for each connection with a server.

    Args:
        *ports: Those of the servers, which get requests in turn.
        rewrite: Changes a request before it is passed on.
        strip: Headers that are not passed on, in lower case.
        held_back: Bytes of a response that wait until there are more of them, or the
            server has closed the connection; 0 for none.
        idle: Seconds without a byte after which a connection is closed.
        added: Header lines that responses get, each with its line break.
        cached: Whether a response to a GET is given to all who ask the same.
        websockets: The port that gets handshakes of WebSockets instead.
    """

    def __init__(
        self,
        *ports: int,
        rewrite: Rewrite | None = None,
        strip: tuple[str, ...] = (),
        held_back: int = 0,
        idle: float | None = None,
        added: bytes = b"",
        cached: bool = False,
        websockets: int | None = None,
    ) -> None:
        super().__init__()
        self._ports = cycle(ports)
        self._rewrite = rewrite
        self._strip = strip
        self._held_back = held_back
        self._idle = idle
        self._added = added
        self._cached = cached
        self._websockets = websockets
        self._cache: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        request = await read_head(reader)
        if request is None:
            return
        if self._rewrite is not None:
            self._rewrite(request)
        size = int(request.headers.get("content-length", 0))
        request.body = await reader.readexactly(size)
        kept = self._cache.get(request.target) if self._cached else None
        if kept is not None:
            writer.write(kept)
            await writer.drain()
            return
        await self._pass_on(request, reader, writer)

    async def _pass_on(
        self,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        headers = {k: v for k, v in request.headers.items() if k not in self._strip}
        lines = [f"{request.method} {request.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        port = self._websockets if "upgrade" in headers else None
        up_reader, up_writer = await asyncio.open_connection(
            "127.0.0.1", port or next(self._ports)
        )
        try:
            up_writer.write("\r\n".join([*lines, "", ""]).encode() + request.body)
            down = asyncio.ensure_future(self._down(request, up_reader, writer))
            up = asyncio.ensure_future(self._carry(reader, up_writer))
            # Whatever ends first ends both.
            await asyncio.wait({down, up}, return_when=asyncio.FIRST_COMPLETED)
            for task in (down, up):
                task.cancel()
            await asyncio.gather(down, up, return_exceptions=True)
        finally:
            up_writer.close()

    async def _down(
        self,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        head = head[:-2] + self._added + b"\r\n"
        if self._cached and request.method == "GET" and b"Content-Length" in head:
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r")[0])
            head += await reader.readexactly(length)
            self._cache.setdefault(request.target, head)
        if self._held_back and head.startswith(b"HTTP/1.1 101"):
            writer.write(head)
            head = b""
        await self._carry(reader, writer, self._held_back, head)

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        held_back: int = 0,
        waiting: bytes = b"",
    ) -> None:
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            while True:
                if len(waiting) > held_back:
                    writer.write(waiting)
                    await writer.drain()
                    waiting = b""
                data = await asyncio.wait_for(reader.read(65_536), self._idle)
                if not data:
                    break
                waiting += data
        with contextlib.suppress(OSError):
            writer.write(waiting)
            await writer.drain()
