"""Another ASGI application on the port of a compiled server, by uvicorn's protocols.

A connection that asks for a path of the other application is handed over to uvicorn's
HTTP protocol, with all that was received of the request, and comes back with the next
request to Engine.IO. So pages, their files and long-polling share a browser's
connections, and neither side parses for the other.
"""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, cast

import httptools

try:
    import uvicorn
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    from uvicorn.server import ServerState
except ImportError as exc:
    raise ImportError(
        "an application beside a Socket.IO server is served by uvicorn's protocols: "
        'pip install "socketio-fast[uvicorn]"'
    ) from exc

from socketio_fast._core.engine.writer import unread_bytes
from socketio_fast._core.http.endpoint import OtherServer
from socketio_fast._core.http.http1 import Http1Connection
from socketio_fast.hosting.asgi import Application
from socketio_fast.hosting.common import EnvironSource
from socketio_fast.hosting.uvicorn import WebSocketProtocol
from socketio_fast.options.logs import choose_logger
from socketio_fast.serving.access_log import CommonLines
from socketio_fast.serving.proxy_protocol import NamedTransport

if TYPE_CHECKING:
    from socketio_fast._core.http.endpoint import Endpoint
    from socketio_fast._core.http.request import Request

__all__ = ["OtherApplication"]


_COMMON_LINES = CommonLines()

# Threads for requests to a WSGI application, at most.
WSGI_WORKERS = 64


def in_threads(app: Any) -> Application:
    """An ASGI application of a WSGI application, which runs in threads.

    Raises:
        ImportError: a2wsgi is not installed.
    """
    try:
        from a2wsgi import WSGIMiddleware
    except ImportError as exc:
        raise ImportError(
            "a WSGI application beside a Socket.IO server is served by a2wsgi: "
            'pip install "socketio-fast[wsgi]"'
        ) from exc
    adapted: Any = WSGIMiddleware(app, workers=WSGI_WORKERS)
    return cast(Application, adapted)


class State(ServerState):
    """The state that uvicorn's protocols share; it makes the Date header when read."""

    def __init__(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._until = 0.0
        super().__init__()

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """The header lines of every response."""
        now = time.time()
        if now >= self._until:
            self._until = int(now) + 1.0
            self._headers = [(b"date", formatdate(now, usegmt=True).encode())]
        return self._headers

    @default_headers.setter
    def default_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        pass


class Parser(httptools.HttpRequestParser):
    """A parser that keeps the bytes behind a request for an upgrade."""

    rest: bytes = b""

    def feed_data(self, data: Any) -> None:
        """Parse."""
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self.rest = data[exc.args[0] :]
            raise


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which gives a connection back for Engine.IO."""

    endpoint: Endpoint
    _inside = False
    # While the client does not read: the timer that closes the connection, and the
    # bytes that were unread when it was started.
    _stalled: asyncio.TimerHandle | None = None
    _unread = 0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.parser = Parser(self)
        # As in uvicorn's own protocol.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called with the connection that is handed over."""
        super().connection_made(cast(asyncio.Transport, transport))
        # The transport then calls pause_writing() as soon as it buffers a byte.
        self.transport.set_write_buffer_limits(high=1)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._stop_expecting()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Called by the event loop when the client reads too slowly."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """Called by the event loop when the client has read what was buffered."""
        self._stop_expecting()
        super().resume_writing()

    def _expect_reading(self) -> None:
        # As compiled connections do, see http1.pyx.
        self._stop_expecting()
        self._unread = unread_bytes(_bare(self.transport))
        self._stalled = self.loop.call_later(self.endpoint.patience, self._look)

    def _stop_expecting(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _look(self) -> None:
        if unread_bytes(_bare(self.transport)) < self._unread:
            self._expect_reading()
            return
        self.endpoint.engine.counters["stalled_responses"] += 1
        self.transport.abort()

    def handle_websocket_upgrade(self) -> None:
        """Called by uvicorn when a request is the handshake of a WebSocket."""
        self._stop_expecting()
        self.transport.set_write_buffer_limits()
        super().handle_websocket_upgrade()
        rest = cast(Parser, self.parser).rest
        if rest:
            cast(asyncio.Protocol, self.transport.get_protocol()).data_received(rest)

    def on_message_begin(self) -> None:
        """Called by httptools when a request begins."""
        self._inside = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Called by httptools when a request is complete."""
        self._inside = False
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop with bytes of the client."""
        data = bytes(data)  # asyncio's loop of Windows gives a bytearray
        idle = not self._inside and (self.cycle is None or self.cycle.response_complete)
        if not (idle and self.endpoint.takes(data)):
            super().data_received(data)
            return
        self._stop_expecting()
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        # Both refer to this protocol. uvicorn drops them when a connection is lost.
        self.parser = self.cycle = None  # type: ignore[assignment]
        protocol = Http1Connection(self.endpoint)
        if isinstance(self.transport, NamedTransport):
            protocol.set_proxied_addresses(*self.transport.proxied_addresses)
        transport = _bare(self.transport)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(data)


def _bare(transport: Any) -> Any:
    """The event loop's own transport of a connection."""
    return transport.transport if isinstance(transport, NamedTransport) else transport


class OtherApplication(OtherServer):
    """Serves an application on connections that are handed over to it.

    Args:
        app: The ASGI application.
        access_log: Whether uvicorn logs its requests.
    """

    def __init__(self, app: Application, access_log: bool = False) -> None:
        super().__init__(takes_connections=True)
        self._config = uvicorn.Config(
            app,
            http=Protocol,
            ws=WebSocketProtocol,
            log_config=None,
            access_log=access_log,
            server_header=False,
        )
        self._config.load()
        if access_log:
            # uvicorn looks for a handler when it makes a connection.
            choose_logger(True, "uvicorn.access").addFilter(_COMMON_LINES)
        self._state = State()
        self._lifespan = self._config.lifespan_class(self._config)

    async def start(self) -> None:
        """Run the application's startup.

        Raises:
            RuntimeError: It failed; uvicorn has logged how.
        """
        await self._lifespan.startup()
        if self._lifespan.should_exit:
            raise RuntimeError("the application's startup failed")

    def take_over(
        self,
        transport: asyncio.Transport,
        data: bytes,
        proxied_addresses: tuple[Any, Any] | None,
        endpoint: Endpoint,
    ) -> None:
        """Serve a connection from these bytes on; it goes back to the endpoint with a
        request to Engine.IO."""
        protocol = Protocol(self._config, self._state, self._lifespan.state)
        protocol.endpoint = endpoint
        transport.set_protocol(protocol)
        protocol.connection_made(
            transport
            if proxied_addresses is None
            else cast(asyncio.Transport, NamedTransport(transport, proxied_addresses))
        )
        protocol.data_received(data)

    def environ_source(self, request: Request, websocket: bool) -> EnvironSource:
        """Makes a request of the compiled server from an ASGI scope."""
        scheme = request.scheme
        if websocket:
            scheme = "wss" if scheme == "https" else "ws"
        path = request.target.partition(b"?")[0]
        scope = {
            "type": "websocket" if websocket else "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": request.http_version,
            "method": request.method,
            "scheme": scheme,
            "server": request.server,
            "client": request.client_address,
            "root_path": "",
            "path": request.path,
            "raw_path": path,
            "query_string": request.query.encode("latin-1"),
            "headers": request.headers,
            "state": self._lifespan.state.copy(),
        }
        return EnvironSource(request, {"asgi.scope": scope})

    async def stop(self, timeout: float) -> None:
        """Let requests end, ``timeout`` seconds at most; then run its shutdown."""
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(set(self._state.tasks), timeout=timeout)
        for task in set(self._state.tasks):
            task.cancel()
        for connection in list(self._state.connections):
            connection.transport.abort()
        await self._lifespan.shutdown()
