"""Applications of aiohttp, on its own server.

aiohttp parses requests and writes responses. The connection of a WebSocket is taken
over, and given back when it has closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from aiohttp import web

from socketio_fast._core.http.exchange import Body
from socketio_fast._core.http.request import Request, make_request
from socketio_fast.hosting.common import (
    Answer,
    EnvironSource,
    Watch,
    bind,
    disconnect_all,
    exchange,
    serves_client,
    start,
    take_over,
    text_headers,
    wants_websocket,
)
from socketio_fast.hosting.contracts import HostedEngine, HostedServer

__all__ = ["attach", "handle"]


def attach(server: HostedServer, app: web.Application, path: str) -> None:
    """Serve a path of an application, or sub-application, while that runs."""

    async def on_startup(app: web.Application) -> None:
        start(server)

    async def on_shutdown(app: web.Application) -> None:
        await disconnect_all(server)

    locations = [path, path[:-1]]
    if serves_client(server):
        locations.append(path + "{file}")
    for location in locations:
        app.router.add_route("*", location, server.handle_request)
    app.on_startup.append(on_startup)
    app.on_shutdown.append(on_shutdown)


async def handle(server: HostedServer, web_request: web.Request) -> web.StreamResponse:
    """Answer an HTTP request to Engine.IO, or take a WebSocket over."""
    eio = bind(server)
    request = request_of(web_request)
    environ_source = EnvironSource(
        request, {"SERVER_SOFTWARE": "aiohttp", "aiohttp.request": web_request}
    )
    answer: Answer | None
    if wants_websocket(request):
        answer = await _upgrade(eio, request, environ_source, web_request)
        if answer is None:
            return Upgraded()
    else:
        answer = await exchange(
            eio,
            request,
            environ_source,
            partial(_read, web_request),
            partial(_watch, web_request),
        )
        if answer is None:
            return web.Response(status=400)  # the client has gone
    status, headers, body = answer
    return web.Response(status=status, headers=text_headers(headers), body=body)


def request_of(web_request: web.Request) -> Request:
    """Makes a request of the framework's request."""
    transport = web_request.transport
    peer = server = None
    if transport is not None:
        peer = _address(transport.get_extra_info("peername"))
        server = _address(transport.get_extra_info("sockname"))
    remote = web_request.remote
    if remote and (peer is None or peer[0] != remote):
        peer = (remote, 0)  # the address that middleware has set from a proxy's header
    major, minor = web_request.version
    return make_request(
        web_request.method,
        web_request.raw_path.encode("utf-8", "surrogateescape"),
        web_request.raw_headers,
        client_address=peer,
        server=server,
        scheme=web_request.scheme,
        http_version=f"{major}.{minor}",
    )


def _address(name: Any) -> tuple[str, int] | None:
    return name[:2] if isinstance(name, tuple) else None


async def _read(web_request: web.Request, body: Body, limit: int) -> bool:
    try:
        while body.size <= limit and (piece := await web_request.content.readany()):
            body.add(piece)
    except ConnectionError:
        return False
    return True


@contextmanager
def _watch(web_request: web.Request) -> Iterator[asyncio.Future[None]]:
    """A future that is done when the connection is lost; aiohttp has no event for it.

    Meanwhile, a protocol before aiohttp's is told by the event loop.
    """
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    transport, protocol = web_request.transport, web_request.protocol
    if transport is None:
        gone.set_result(None)
        yield gone
        return
    transport.set_protocol(Watch(protocol, gone))
    try:
        yield gone
    finally:
        if not gone.done():
            transport.set_protocol(protocol)


async def _upgrade(
    eio: HostedEngine,
    request: Request,
    environ_source: EnvironSource,
    web_request: web.Request,
) -> Answer | None:
    transport, protocol = web_request.transport, web_request.protocol
    if transport is None:
        return 400, [], b""  # the client has gone

    def rest() -> bytes:
        # As aiohttp's own WebSockets do: aiohttp passes on the bytes that it has, and
        # stops parsing.
        reader = Reader()
        protocol.set_parser(reader)  # type: ignore[arg-type]
        protocol.keep_alive(False)
        return bytes(reader.data)

    def lost() -> None:
        protocol.connection_lost(None)

    return await take_over(eio, request, environ_source, transport, rest, lost)


class Reader:
    """Collects the bytes that aiohttp has received behind a handshake."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Called by aiohttp."""
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Called by aiohttp."""


class Upgraded(web.StreamResponse):
    """The response after a WebSocket has closed, of which nothing is written."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    @property
    def prepared(self) -> bool:
        """``True``: the WebSocket has sent the head of the response."""
        return True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Called by aiohttp."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Called by aiohttp."""
