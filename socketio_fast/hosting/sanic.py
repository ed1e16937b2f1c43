"""Applications of sanic, on its own server.

sanic parses requests and writes responses. The connection of a WebSocket is taken over.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from functools import partial
from typing import Any

import sanic
from sanic.constants import HTTP_METHODS
from sanic.response import HTTPResponse
from sanic.server import HttpProtocol

from socketio_fast._core.http.exchange import Body
from socketio_fast._core.http.request import Request, make_request
from socketio_fast.hosting.common import (
    Answer,
    EnvironSource,
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


def attach(
    server: HostedServer,
    app: sanic.Sanic[Any, Any] | sanic.Blueprint,
    path: str,
) -> None:
    """Serve a path of an application or blueprint, while that runs."""

    async def answer(request: sanic.Request, file: str = "") -> HTTPResponse:
        response: HTTPResponse = await server.handle_request(request)
        return response

    async def before_start(app: Any) -> None:
        start(server)

    async def before_stop(app: Any) -> None:
        await disconnect_all(server)

    locations = [path]
    if serves_client(server):
        locations.append(path + "<file:str>")
    for location in locations:
        app.add_route(
            answer,
            location,
            methods=HTTP_METHODS,
            name="engineio" + re.sub(r"\W+", "_", location),
            stream=True,
        )
    app.before_server_start(before_start)
    app.before_server_stop(before_stop)


async def handle(server: HostedServer, sanic_request: sanic.Request) -> HTTPResponse:
    """Answer an HTTP request to Engine.IO, or take a WebSocket over."""
    eio = bind(server)
    request = request_of(sanic_request)
    environ_source = EnvironSource(
        request, {"SERVER_SOFTWARE": "sanic", "sanic.request": sanic_request}
    )
    answer: Answer | None
    if wants_websocket(request):
        answer = await _upgrade(eio, request, environ_source, sanic_request)
        if answer is None:
            return Upgraded()
    else:
        # sanic cancels this handler when the client goes.
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answer = await exchange(
            eio,
            request,
            environ_source,
            partial(_read, sanic_request),
            lambda: contextlib.nullcontext(gone),
        )
        assert answer is not None
    status, headers, body = answer
    response = HTTPResponse(body, status)
    for name, value in text_headers(headers):
        response.headers.add(name, value)
    return response


def request_of(sanic_request: sanic.Request) -> Request:
    """Makes a request of the framework's request."""
    connection = sanic_request.conn_info
    peer = server = None
    if connection is not None:
        peer = _address(connection.peername)
        server = _address(connection.sockname)
    secure = sanic_request.scheme in ("https", "wss")
    return make_request(
        sanic_request.method,
        sanic_request.raw_url,
        [
            (_bytes(name), _bytes(value))
            for name, value in sanic_request.headers.items()
        ],
        client_address=peer,
        server=server,
        scheme="https" if secure else "http",
        http_version=sanic_request.version,
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _address(name: Any) -> tuple[str, int] | None:
    return name[:2] if isinstance(name, tuple) else None


async def _read(sanic_request: sanic.Request, body: Body, limit: int) -> bool:
    if sanic_request.body:
        body.add(sanic_request.body)  # the route was made without stream=True
        return True
    stream: Any = sanic_request.stream
    async for piece in stream:
        body.add(piece)
        if body.size > limit:
            break
    return True


async def _upgrade(
    eio: HostedEngine,
    request: Request,
    environ_source: EnvironSource,
    sanic_request: sanic.Request,
) -> Answer | None:
    transport: Any = sanic_request.transport
    protocol: Any = transport.get_protocol()
    if not isinstance(protocol, HttpProtocol):
        message = b"sanic on another server: wrap it in ASGIApp(server, app)"
        return 400, [(b"content-type", b"text/plain; charset=UTF-8")], message

    def rest() -> bytes:
        transport.resume_reading()
        return bytes(protocol.recv_buffer)

    def lost() -> None:
        protocol.connections.discard(protocol)
        if protocol.conn_info is not None:
            protocol.conn_info.lost = True

    return await take_over(eio, request, environ_source, transport, rest, lost)


class Upgraded(HTTPResponse):
    """The response after a WebSocket has closed, of which nothing is written."""

    def __init__(self) -> None:
        super().__init__(status=101)

    async def send(self, *args: Any, **kwargs: Any) -> None:
        """Called by sanic."""
