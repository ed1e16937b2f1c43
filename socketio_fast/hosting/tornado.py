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
from socketio_fast._core.http.foreign import ForeignWebSocket
from socketio_fast._core.http.request import Request, make_request
from socketio_fast.hosting.common import (
    CLOSE_TIMEOUT,
    Answer,
    EnvironSource,
    Sender,
    ask,
    bind,
    exchange,
    text_headers,
    wants_websocket,
)
from socketio_fast.hosting.contracts import HostedServer

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
    """The request of a handler, as ours."""
    request = handler.request
    # Of a connection; a request of a test may have none.
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
    handler.finish(body or None)  # also an empty one is refused with status 304


class EngineHandler(WebSocketHandler):
    """Requests and WebSockets of Engine.IO; see :func:`get_tornado_handler`."""

    server: HostedServer

    def initialize(self) -> None:
        """Called by tornado."""
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._websocket: ForeignWebSocket | None = None
        self._sender: Sender | None = None
        self._overdue: asyncio.TimerHandle | None = None

    async def get(self, *args: Any, **kwargs: Any) -> None:
        """A request, or the handshake of a WebSocket."""
        request = request_of(self)
        if not wants_websocket(request):
            await self.server.handle_request(self)
            return
        engine = bind(self.server).engine
        environ_source = _environ_source(request, self)
        admission = await ask(engine, request, environ_source, True)
        websocket = ForeignWebSocket(engine, request, environ_source, admission)
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
        """The handshake is done; called by tornado."""
        assert self._websocket is not None
        self._sender = Sender(self._websocket, self._send, self._close, self._closing)

    def on_message(self, message: str | bytes) -> asyncio.Future[None] | None:
        """A message of the client; called by tornado, which waits for the future."""
        assert self._websocket is not None
        self._websocket.receive(message)
        return self._websocket.room

    def on_close(self) -> None:
        """The WebSocket has closed; called by tornado."""
        if self._overdue is not None:
            self._overdue.cancel()
        if self._sender is not None:
            self._sender.end()

    def on_connection_close(self) -> None:
        """The client has gone; called by tornado."""
        if not self.gone.done():
            self.gone.set_result(None)
        super().on_connection_close()

    async def _send(self, message: str | bytes) -> None:
        await self.write_message(message, isinstance(message, bytes))

    async def _close(self, code: int | None) -> None:
        self.close(code)

    def _closing(self) -> None:
        # tornado gives the client five seconds more, then lets go of it. A client that
        # does not read would never be told to close.
        loop = asyncio.get_running_loop()
        self._overdue = loop.call_later(CLOSE_TIMEOUT, self.close)

    # How tornado is told what Engine.IO decides.

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """The subprotocol of the WebSocket; called by tornado."""
        assert self._websocket is not None
        return self._websocket.subprotocol

    @property
    def max_message_size(self) -> int:
        """In bytes; asked by tornado."""
        return bind(self.server).config.max_http_buffer_size

    def check_origin(self, origin: str) -> bool:
        """Whether an origin may connect: ``cors_allowed_origins`` has decided."""
        return True

    check_trusted_origin = check_origin

    def check_xsrf_cookie(self) -> None:
        """Nothing: a client of Socket.IO has no form's token, and sends an origin."""

    def compute_etag(self) -> None:
        """None: every answer is another."""
