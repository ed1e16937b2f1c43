"""Handlers of tornado, which speaks WebSocket itself.

It has no end of an application to hook into: a program that stops closes its clients by
``await sio.shutdown()``.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

try:
    from tornado.web import RequestHandler
    from tornado.websocket import WebSocketHandler
except ImportError as exc:
    raise ImportError(
        'tornado is not installed: pip install "socketio-fast[tornado]"'
    ) from exc

from socketio_fast._core.http.exchange import Body
from socketio_fast._core.http.request import Request, make_request
from socketio_fast.hosting.common import (
    CLOSE_TIMEOUT,
    Answer,
    EnvironSource,
    Sender,
    bind,
    exchange,
    open_websocket,
    text_headers,
    wants_websocket,
)
from socketio_fast.hosting.contracts import HostedServer, HostedWebSocket

__all__ = ["get_tornado_handler", "handle"]


def get_tornado_handler(
    server: HostedServer,
) -> type[EngineHandler]:
    """A handler for the path where clients of a server connect."""

    class Handler(EngineHandler):
        """Requests and WebSockets of Engine.IO."""

    Handler.server = server
    return Handler


async def handle(server: HostedServer, handler: RequestHandler) -> None:
    """Answer a handler's request to Engine.IO.

    Not a WebSocket, which a handler of :func:`get_tornado_handler` opens by itself.
    """
    eio = bind(server)
    request = request_of(handler)
    gone: asyncio.Future[None] = getattr(handler, "gone", None) or (
        asyncio.get_running_loop().create_future()
    )

    async def read(body: Body, limit: int) -> bool:
        body.add(handler.request.body)
        return True

    answer = await exchange(
        eio,
        request,
        _environ_source(request, handler),
        read,
        lambda: contextlib.nullcontext(gone),
    )
    if answer is not None:
        _respond(handler, answer)


def request_of(handler: RequestHandler) -> Request:
    """Makes a request of the request of a handler."""
    request = handler.request
    # Requests of tests may have no connection.
    context = getattr(request.connection, "context", None)
    address = getattr(context, "address", None)
    peer = (request.remote_ip, 0)
    if isinstance(address, tuple) and address[0] == peer[0]:
        peer = address[:2]
    return make_request(
        request.method,
        request.uri.encode("latin-1"),
        [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in request.headers.get_all()
        ],
        client_address=peer,
        scheme=request.protocol,
        http_version=request.version.removeprefix("HTTP/"),
    )


def _environ_source(request: Request, handler: RequestHandler) -> EnvironSource:
    return EnvironSource(
        request, {"SERVER_SOFTWARE": "tornado", "tornado.handler": handler}
    )


def _respond(handler: RequestHandler, answer: Answer) -> None:
    status, headers, body = answer
    handler.clear()
    handler.clear_header("Content-Type")
    handler.set_status(status)
    for name, value in text_headers(headers):
        handler.add_header(name, value)
    handler.finish(body or None)  # tornado refuses a body with status 304, even b""


class EngineHandler(WebSocketHandler):
    """Requests and WebSockets of Engine.IO; see :func:`get_tornado_handler`."""

    server: HostedServer

    def initialize(self) -> None:
        """Called by tornado."""
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._websocket: HostedWebSocket | None = None
        self._sender: Sender | None = None
        self._overdue: asyncio.TimerHandle | None = None

    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Answer a request, or the handshake of a WebSocket."""
        request = request_of(self)
        if not wants_websocket(request):
            await self.server.handle_request(self)
            return
        websocket = await open_websocket(
            bind(self.server), request, _environ_source(request, self)
        )
        if websocket.status != 101:
            body = websocket.body or b""
            _respond(self, (websocket.status, websocket.headers, body))
            return
        for name, value in text_headers(websocket.headers):
            self.add_header(name, value)
        self._websocket = websocket
        await super().get(*args, **kwargs)

    async def _answer(self, *args: Any, **kwargs: Any) -> None:
        await self.server.handle_request(self)

    head = post = options = put = patch = delete = _answer

    def open(self, *args: Any, **kwargs: Any) -> None:
        """Called by tornado when the handshake is done."""
        assert self._websocket is not None
        self._sender = Sender(self._websocket, self._send, self._close, self._closing)

    def on_message(self, message: str | bytes) -> asyncio.Future[None] | None:
        """Called by tornado with a message; tornado awaits what this returns."""
        assert self._websocket is not None
        self._websocket.receive(message)
        return self._websocket.room

    def on_close(self) -> None:
        """Called by tornado when the WebSocket has closed."""
        if self._overdue is not None:
            self._overdue.cancel()
        if self._sender is not None:
            self._sender.end()

    def on_connection_close(self) -> None:
        """Called by tornado when the client has gone."""
        if not self.gone.done():
            self.gone.set_result(None)
        super().on_connection_close()

    async def _send(self, message: str | bytes) -> None:
        await self.write_message(message, isinstance(message, bytes))

    async def _close(self, code: int | None) -> None:
        self.close(code)

    def _closing(self) -> None:
        # tornado waits five seconds for the client to close, then drops the connection.
        # It would never send the close frame to a client that does not read.
        loop = asyncio.get_running_loop()
        self._overdue = loop.call_later(CLOSE_TIMEOUT, self.close)

    # What tornado asks, answered by the rules of Engine.IO.

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Called by tornado to select the subprotocol of the WebSocket."""
        assert self._websocket is not None
        return self._websocket.subprotocol

    @property
    def max_message_size(self) -> int:
        """The size of a message in bytes, at most; read by tornado."""
        return bind(self.server).config.max_http_buffer_size

    def check_origin(self, origin: str) -> bool:
        """``True``: ``cors_allowed_origins`` has been applied already."""
        return True

    check_trusted_origin = check_origin

    def check_xsrf_cookie(self) -> None:
        """Do nothing: the origin of clients is checked, they have no form token."""

    def compute_etag(self) -> None:
        """``None``: responses are not cached."""
