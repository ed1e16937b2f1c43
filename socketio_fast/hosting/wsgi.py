"""WSGI applications (PEP 3333), for servers that have threads.

A request for long-polling holds a thread of the host until it is answered. A WebSocket
holds none: its connection is taken from a host that shows its socket.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import http
import os
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from socketio_fast._core.engine.failures import contain
from socketio_fast._core.http.connections import Connections
from socketio_fast._core.http.exchange import Body
from socketio_fast._core.http.foreign import ForeignExchange, adopt_connection
from socketio_fast._core.http.request import Request, make_request
from socketio_fast.hosting.checks import check_server
from socketio_fast.hosting.common import ask, elsewhere
from socketio_fast.hosting.contracts import HostedEngine, HostedExchange
from socketio_fast.options.logs import Logger, escaped
from socketio_fast.serving.static import OpenFile, served_files
from socketio_fast.threads.facade import Threads, who_has_patched_threads

__all__ = ["EngineMiddleware", "EngineWSGIApp", "Gateway", "Middleware", "WSGIApp"]

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
Response = tuple[int, list[tuple[bytes, bytes]], bytes | OpenFile]

# Keys of the environ with the socket of the connection, by host.
SOCKETS = ("werkzeug.socket", "gunicorn.socket")

# Seconds that shutdown() waits for handlers and connections.
SHUTDOWN_TIMEOUT = 10.0


class EnvironSource:
    """Builds a session's environ from a WSGI request."""

    __slots__ = ("_environ", "_request")

    def __init__(self, environ: Environ, request: Request) -> None:
        self._environ = environ
        self._request = request

    def environ(self) -> Environ:
        """The host's environ, with the client's address that trusted proxies name."""
        proxied = self._request.proxied_environ()
        return {**self._environ, **proxied} if proxied else self._environ


class Gateway:
    """Passes requests of a WSGI server to an Engine.IO server.

    Args:
        threads: Where the server's event loop runs.
        eio: The asynchronous server.
    """

    def __init__(self, threads: Threads, eio: HostedEngine) -> None:
        self._threads = threads
        self._eio = eio
        self._engine = eio.engine
        self._connections = Connections()
        self._warned = False
        #: Awaited before the event loop stops.
        self.unbind: Callable[[], Awaitable[None]] = eio.unbind

    def handle_request(
        self, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """The WSGI application of the Engine.IO path."""
        greenlets = _greenlets(environ, start_response)
        if greenlets is not None:
            return _respond(start_response, self._refuse(greenlets))
        request = request_of(environ)
        upgrades = request.has_token(b"connection", b"upgrade") and request.has_token(
            b"upgrade", b"websocket"
        )
        try:
            if upgrades:
                response = self._upgrade(environ, request)
            else:
                response = self._exchange(environ, request)
        except concurrent.futures.CancelledError:
            response = _message(503, "The server stops")
        if request.method == "HEAD":
            response = *response[:2], b""
        return _respond(start_response, response)

    def _refuse(self, greenlets: str) -> Response:
        if not self._warned:
            self._warned = True
            self._engine.logger.error(
                "this WSGI server runs on %s: a client that polls would stop all of "
                "its greenlets. Use one that has threads (gunicorn --threads 100, "
                "werkzeug), run(), or AsyncServer",
                greenlets,
            )
        return _message(500, "The server cannot be hosted so; its log says why")

    def _exchange(self, environ: Environ, request: Request) -> Response:
        if not self._warned and not environ.get("wsgi.multithread", True):
            self._warned = True
            self._engine.logger.warning(
                "this WSGI server has one thread, which a client that polls holds: "
                "give it threads"
            )
        try:
            body = self._body(environ)
        except ValueError as exc:
            return _message(400, str(exc))
        # The session of a client that connects keeps the context of this request.
        return self._threads.run(
            _exchange(self._eio, request, environ, body), contextvars.copy_context()
        )

    def _body(self, environ: Environ) -> bytes:
        """The body of a request; only the start of one that is too large."""
        limit = self._engine.config.max_http_buffer_size
        length = str(environ.get("CONTENT_LENGTH") or "")
        if not length:
            if not environ.get("wsgi.input_terminated"):
                return b""
            return _read(environ["wsgi.input"], limit + 1)
        if not length.isdecimal():
            raise ValueError(f"Content-Length {length!r:.20} is not a number")
        if int(length) > limit:
            return b""  # the core refuses it by its length
        body = _read(environ.get("wsgi.input"), int(length))
        if len(body) < int(length):
            raise ValueError("the request ended before its body did")
        return body

    def _upgrade(self, environ: Environ, request: Request) -> Response:
        found = _socket(environ)
        if found is None:
            return _message(
                400,
                "This server cannot open WebSockets: it gives no access to the "
                "connection. Use long-polling, or another server",
            )
        refusal = self._threads.run(
            _adopt(self._eio, request, environ, found.dup(), self._connections),
            contextvars.copy_context(),
        )
        if refusal is not None:
            # dup() shares the mode: the socket has become non-blocking too.
            found.settimeout(found.gettimeout())
            return refusal
        _leave_closed(found)
        # The host fails to send this, because its socket is closed.
        return 101, [], b""

    def shutdown(self) -> None:
        """Disconnect every client, wait for handlers and connections, stop the loop.

        From a handler it does not wait for handlers.
        """
        if self._threads.running:
            self._threads.run(self._close(not self._threads.pool.inside))
            self._threads.stop()

    async def _close(self, wait: bool) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SHUTDOWN_TIMEOUT
        self._engine.close_all()
        tasks = self._eio.handler_tasks()
        if wait and tasks:
            await asyncio.wait(tasks, timeout=SHUTDOWN_TIMEOUT)
        await self._connections.wait_closed(max(0, deadline - loop.time()))
        self._engine.drop_all()
        self._connections.abort_all()
        await self.unbind()


async def _exchange(
    eio: HostedEngine, request: Request, environ: Environ, body: bytes
) -> Response:
    answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def answer(*response: Any) -> None:
        if not answered.done():
            answered.set_result(response)

    exchange: HostedExchange
    source = EnvironSource(environ, request)
    owner = elsewhere(eio, request)
    if owner is None:
        admission = await ask(eio.engine, request, source, False)
        exchange = ForeignExchange(
            eio.engine, request, source, answer, _socket(environ) is None, admission
        )
    else:
        exchange = owner.exchange(request, answer)
    try:
        if exchange.begin():
            exchange.finish(body)
        return await answered
    finally:
        if answered.cancelled():
            exchange.lost()


async def _adopt(
    eio: HostedEngine,
    request: Request,
    environ: Environ,
    sock: socket.socket,
    connections: Connections,
) -> Response | None:
    """Take a connection over; returns the response if it is refused."""
    owner = elsewhere(eio, request)
    if owner is not None:
        owner.give(sock, request)
        return None
    engine = eio.engine
    source = EnvironSource(environ, request)
    admission = await ask(engine, request, source, True)
    context = contextvars.copy_context()

    def adopt(transport: asyncio.BaseTransport) -> Response | None:
        try:
            return adopt_connection(
                engine,
                request,
                source,
                transport,
                False,
                connections,
                admission,
            )
        except BaseException as exc:
            message = "%s failed"
            contain(engine.loop, engine.logger, exc, message, (escaped(request.path),))
            return _message(500, "Internal Server Error")

    sock.setblocking(False)
    transport, adoption = await asyncio.get_running_loop().connect_accepted_socket(
        lambda: _Adoption(lambda transport: context.run(adopt, transport)), sock
    )
    if adoption.refusal is not None:
        transport.abort()
    return adoption.refusal


class _Adoption(asyncio.Protocol):
    """The protocol of a connection until it is adopted, before anything is read."""

    refusal: Response | None = None

    def __init__(self, adopt: Callable[[asyncio.BaseTransport], Any]) -> None:
        self._adopt = adopt

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.refusal = self._adopt(transport)


def _greenlets(environ: Environ, start_response: StartResponse) -> str | None:
    """The package whose greenlets run the host; ``None`` if the host has threads."""
    if "eventlet.input" in environ:
        return "eventlet"
    for part in (environ.get("wsgi.input"), getattr(start_response, "__self__", None)):
        package = type(part).__module__.partition(".")[0]
        if package in ("eventlet", "gevent"):
            return package
    return who_has_patched_threads()


def _socket(environ: Environ) -> socket.socket | None:
    """The socket of the host's connection; ``None`` if the host does not show it."""
    for name in SOCKETS:
        found = environ.get(name)
        if isinstance(found, socket.socket) and not isinstance(found, ssl.SSLSocket):
            # dup2() below needs a file descriptor.
            return None if sys.platform == "win32" else found
    return None


def _leave_closed(sock: socket.socket) -> None:
    """Replace a socket by one whose peer has closed: reads end, writes fail."""
    here, there = socket.socketpair()
    there.close()
    with here:
        os.dup2(here.fileno(), sock.fileno(), inheritable=False)


def _read(stream: Any, size: int) -> bytes:
    """Read a number of bytes; fewer if the stream ends or there is none."""
    body = Body()
    while body.size < size and stream is not None:
        piece = stream.read(size - body.size)
        if not piece:
            break
        body.add(piece)
    return body.take()


def request_of(environ: Environ) -> Request:
    """Makes a request of a WSGI environ."""
    target = quote(_path(environ, "SCRIPT_NAME", "PATH_INFO"))
    if environ.get("QUERY_STRING"):
        target += "?" + environ["QUERY_STRING"]
    headers = []
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            name = key[5:]
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            name = key
        else:
            continue
        # A folded header is one line.
        line = str(value).replace("\r", " ").replace("\n", " ")
        headers.append(
            (name.replace("_", "-").lower().encode(), line.encode("latin-1", "replace"))
        )
    return make_request(
        _method(environ),
        target.encode("latin-1", "replace"),
        headers,
        client_address=_peer(environ),
        scheme=environ.get("wsgi.url_scheme", "http"),
        http_version=environ.get("SERVER_PROTOCOL", "HTTP/1.1").rpartition("/")[2],
    )


def _method(environ: Environ) -> str:
    """The method; GET if it is missing, as in environs of test clients."""
    return environ.get("REQUEST_METHOD") or "GET"


def _peer(environ: Environ) -> tuple[str, int] | None:
    """The address that has connected; ``None`` for a Unix socket."""
    port = str(environ.get("REMOTE_PORT", ""))
    address = environ.get("REMOTE_ADDR")
    return (address, int(port) if port.isdecimal() else 0) if address else None


def _path(environ: Environ, *names: str) -> bytes:
    """Parts of the path, joined, as bytes; WSGI decodes them as latin-1."""
    return "".join(environ.get(name) or "" for name in names).encode("latin-1")


class _Server(Protocol):
    @property
    def logger(self) -> Logger: ...

    def handle_request(
        self, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]: ...


class EngineWSGIApp:
    """A WSGI application of an Engine.IO server, beside another application.

    Args:
        engineio_app: A :class:`socketio_fast.engineio.Server`.
        wsgi_app: Gets everything else; without it that is answered by 404.
        static_files: Files by path, see
            :class:`socketio_fast.serving.static.StaticFiles`.
            They are looked for before ``wsgi_app`` is asked.
        engineio_path: Where clients connect.
    """

    def __init__(
        self,
        engineio_app: _Server,
        wsgi_app: Application | None = None,
        static_files: Mapping[str, str | Path | Mapping[str, Any]] | None = None,
        engineio_path: str = "engine.io",
    ) -> None:
        check_server(type(self).__name__, engineio_app, wsgi_app, asyncio_based=False)
        #: The server; python-engineio's name of it is ``engineio_app``.
        self.server = self.engineio_app = engineio_app
        self.wsgi_app = wsgi_app
        self.static_files = dict(static_files or {})
        #: Where clients connect, with slashes around it; also ``engineio_path``.
        self.path = self.engineio_path = f"/{engineio_path.strip('/')}/"
        self._files = served_files(self.static_files, engineio_app.logger)

    def __call__(
        self, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve one request."""
        path = environ.get("PATH_INFO") or ""
        if f"{path}/".startswith(self.path):
            return self.server.handle_request(environ, start_response)
        found = self._file(environ)
        if found is not None:
            return _respond(start_response, found)
        if self.wsgi_app is not None:
            return self.wsgi_app(environ, start_response)
        return self.not_found(start_response)

    def not_found(self, start_response: StartResponse) -> Iterable[bytes]:
        """The response where nothing else answers; a subclass may override it."""
        return _respond(start_response, _message(404, "Not Found"))

    def _file(self, environ: Environ) -> Response | None:
        method = _method(environ)
        if self._files is None or method not in ("GET", "HEAD"):
            return None
        path = _path(environ, "PATH_INFO").decode("utf-8", "replace")
        found = self._files.answer(method, path)
        if found is None:
            return None
        status, content_type, body, _ = found
        length = b"%d" % len(body)
        headers = [(b"Content-Type", content_type), (b"Content-Length", length)]
        if method == "HEAD":
            if isinstance(body, OpenFile):
                body.close()
            body = b""
        return status, headers, body


class EngineMiddleware(EngineWSGIApp):
    """``WSGIApp`` by its earlier name in python-engineio, without static files."""

    def __init__(
        self,
        engineio_app: _Server,
        wsgi_app: Application | None = None,
        engineio_path: str = "engine.io",
    ) -> None:
        super().__init__(engineio_app, wsgi_app, engineio_path=engineio_path)


class WSGIApp(EngineWSGIApp):
    """A WSGI application of a Socket.IO server, beside another application.

    Example::

        app = socketio.WSGIApp(sio, flask_app.wsgi_app)
        # gunicorn --threads 100 module:app, or socketio.run(app)

    Args:
        socketio_app: A :class:`socketio_fast.Server`.
        wsgi_app: Gets everything else; without it that is answered by 404.
        static_files: Files by path, see
            :class:`socketio_fast.serving.static.StaticFiles`.
            They are looked for before ``wsgi_app`` is asked.
        socketio_path: Where clients connect.
    """

    def __init__(
        self,
        socketio_app: _Server,
        wsgi_app: Application | None = None,
        static_files: Mapping[str, str | Path | Mapping[str, Any]] | None = None,
        socketio_path: str = "socket.io",
    ) -> None:
        super().__init__(
            socketio_app,
            wsgi_app,
            static_files=static_files,
            engineio_path=socketio_path,
        )


class Middleware(WSGIApp):
    """``WSGIApp`` by its earlier name in python-socketio, without static files."""

    def __init__(
        self,
        socketio_app: _Server,
        wsgi_app: Application | None = None,
        socketio_path: str = "socket.io",
    ) -> None:
        super().__init__(socketio_app, wsgi_app, socketio_path=socketio_path)


def _message(status: int, message: str) -> Response:
    body = message.encode()
    return status, [(b"Content-Type", b"text/plain; charset=UTF-8")], body


def _respond(start_response: StartResponse, response: Response) -> Iterable[bytes]:
    status, headers, body = response
    lines = [
        (name.decode().title(), value.decode("latin-1")) for name, value in headers
    ]
    if status not in (101, 304) and "Content-Length" not in dict(lines):
        lines.append(("Content-Length", str(len(body))))
    start_response(f"{status} {http.HTTPStatus(status).phrase}", lines)
    return [body] if isinstance(body, bytes) else body
