"""ASGI applications (asgi.readthedocs.io, HTTP and WebSocket 2.4, lifespan 2.0)."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from socketio_fast._core.http.exchange import Body
from socketio_fast._core.http.request import Request, make_request
from socketio_fast.hosting.checks import check_server
from socketio_fast.hosting.common import (
    CLOSE_TIMEOUT,
    EnvironSource,
    Sender,
    bind,
    exchange,
    open_websocket,
    start,
)
from socketio_fast.hosting.contracts import (
    HostedEngine,
    HostedServer,
    HostedWebSocket,
)
from socketio_fast.serving.static import PIECE, OpenFile, served_files

if TYPE_CHECKING:
    from socketio_fast.async_server import AsyncServer

__all__ = ["ASGIApp", "EngineASGIApp", "handle"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Hook = Callable[[], Any]

logger = logging.getLogger("socketio_fast.asgi")

#: The extension of a WebSocket's scope by which a host hands its connection over: an
#: async function that takes the Engine.IO server, the handshake request and the source
#: of its environ, and returns when the connection has closed.
HANDOVER = "socketio_fast.handover"


def request_of(scope: Scope) -> Request:
    """Makes a request of an HTTP or WebSocket scope."""
    raw_path = scope.get("raw_path")
    target: bytes = (
        quote(scope["path"]).encode() if raw_path is None else raw_path.split(b"?")[0]
    )
    if scope.get("query_string"):
        target += b"?" + scope["query_string"]
    client, server = scope.get("client"), scope.get("server")
    return make_request(
        scope.get("method", "GET"),
        target,
        scope["headers"],
        client_address=None if client is None else tuple(client),
        server=None if server is None else tuple(server),
        scheme="https" if scope.get("scheme") in ("https", "wss") else "http",
        http_version=scope.get("http_version", "1.1"),
    )


async def handle(
    server: HostedServer, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer an HTTP request to Engine.IO, or carry a WebSocket."""
    eio = bind(server)
    request = request_of(scope)
    environ_source = EnvironSource(
        request,
        {
            "SERVER_SOFTWARE": "asgi",
            "asgi.scope": scope,
            "asgi.receive": receive,
            "asgi.send": send,
        },
    )
    if scope["type"] == "http":
        await _answer(eio, request, environ_source, receive, send)
        return
    await receive()  # websocket.connect
    handover = (scope.get("extensions") or {}).get(HANDOVER)
    if handover is not None:
        await handover(eio, request, environ_source)
        return
    websocket = await open_websocket(eio, request, environ_source)
    if websocket.status == 101:
        await _serve(websocket, receive, send)
    else:
        await _refuse(websocket, scope, send)


async def _answer(
    eio: HostedEngine,
    request: Request,
    environ_source: EnvironSource,
    receive: Receive,
    send: Send,
) -> None:
    @contextmanager
    def watch() -> Iterator[asyncio.Future[Any]]:
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            yield gone
        finally:
            gone.cancel()

    answer = await exchange(
        eio, request, environ_source, partial(_read, receive), watch
    )
    if answer is None:
        # The client has gone. Hosts drop this, but middleware may wait for a response.
        with suppress(OSError):
            await _respond(send, 400, b"text/plain", b"")
        return
    status, headers, payload = answer
    start = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": payload})


async def _read(receive: Receive, body: Body, limit: int) -> bool:
    """Read a request's body, until it is longer than the limit; False if the client
    has gone."""
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return False
        body.add(event.get("body", b""))
        if not event.get("more_body") or body.size > limit:
            return True


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(websocket: HostedWebSocket, scope: Scope, send: Send) -> None:
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await send(
            {
                "type": "websocket.http.response.start",
                "status": websocket.status,
                "headers": websocket.headers,
            }
        )
        body = {"type": "websocket.http.response.body", "body": websocket.body or b""}
        await send(body)
    else:
        await send({"type": "websocket.close"})


async def _serve(websocket: HostedWebSocket, receive: Receive, send: Send) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    overdue: list[asyncio.TimerHandle] = []

    async def send_message(message: str | bytes) -> None:
        kind = "text" if isinstance(message, str) else "bytes"
        await send({"type": "websocket.send", kind: message})

    async def close(code: int | None) -> None:
        await send({"type": "websocket.close", "code": code or 1000})

    def closing() -> None:
        overdue.append(loop.call_later(CLOSE_TIMEOUT, task.cancel))

    await send(
        {
            "type": "websocket.accept",
            "headers": websocket.headers,
            "subprotocol": websocket.subprotocol,
        }
    )
    sender = Sender(websocket, send_message, close, closing)
    try:
        while True:
            if websocket.room is not None:
                await websocket.room
            event = await receive()
            if event["type"] == "websocket.disconnect":
                return
            text = event.get("text")
            websocket.receive(event["bytes"] if text is None else text)
    except asyncio.CancelledError:
        if not overdue or loop.time() < overdue[0].when():
            raise  # the error is not about a connection that closes
    finally:
        sender.end()
        for timer in overdue:
            timer.cancel()


class EngineASGIApp:
    """An ASGI application of an Engine.IO server, beside another application.

    Args:
        engineio_server: A :class:`socketio_fast.engineio.AsyncServer`.
        other_asgi_app: Gets everything else; without it that is answered by 404.
        static_files: Files by path, see
            :class:`socketio_fast.serving.static.StaticFiles`.
        engineio_path: Where clients connect. It is looked for in the whole path and
            behind the prefix that the application is mounted at. ``None``: every
            request is Engine.IO's, and the two arguments before are ignored.
        on_startup: Called when the host starts, before ``other_asgi_app`` is told; may
            be a coroutine function.
        on_shutdown: Called when the host stops, after ``other_asgi_app`` was.

    Raises:
        TypeError: ``engineio_server`` is something else.
    """

    def __init__(
        self,
        engineio_server: HostedServer,
        other_asgi_app: Application | None = None,
        static_files: Mapping[str, str | Path | Mapping[str, Any]] | None = None,
        engineio_path: str | None = "engine.io",
        on_startup: Hook | None = None,
        on_shutdown: Hook | None = None,
    ) -> None:
        check_server(
            type(self).__name__, engineio_server, other_asgi_app, asyncio_based=True
        )
        self.engineio_server = engineio_server
        self.other_asgi_app = other_asgi_app
        self.static_files = dict(static_files or {})
        self.engineio_path = (
            None if engineio_path is None else f"/{engineio_path.strip('/')}/"
        )
        self.on_startup = on_startup
        self.on_shutdown = on_shutdown
        self._files = served_files(self.static_files, engineio_server.logger)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, WebSocket or lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] in ("http", "websocket") and self._owns(scope):
            await self.engineio_server.handle_request(scope, receive, send)
        elif scope["type"] == "http" and await self._serve_file(scope, send):
            pass
        elif self.other_asgi_app is not None:
            await self.other_asgi_app(scope, receive, send)
        elif scope["type"] == "http":
            await _respond(send, 404, b"text/plain", b"Not Found")
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})

    def _owns(self, scope: Scope) -> bool:
        location = self.engineio_path
        if location is None:
            return True
        path, root = scope["path"] + "/", scope.get("root_path") or ""
        return bool(
            path.startswith(location)
            or (path.startswith(root) and path[len(root) :].startswith(location))
        )

    async def _serve_file(self, scope: Scope, send: Send) -> bool:
        if self._files is None or scope["method"] not in ("GET", "HEAD"):
            return False
        found = await self._files.handle(request_of(scope))
        if found is None:
            return False
        status, content_type, body, _ = found
        if isinstance(body, OpenFile):
            await _send_file(send, status, content_type, body, scope["method"])
        else:
            await _respond(send, status, content_type, body)
        return True

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        event = await receive()
        try:
            start(self.engineio_server)
            await _call(self.on_startup)
        except Exception as exc:
            logger.exception("on_startup failed")
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        if self.other_asgi_app is None or not await self._other_lifespan(
            self.other_asgi_app, scope, event, receive, send
        ):
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self._shut_down({"type": "lifespan.shutdown.complete"}, send)

    async def _other_lifespan(
        self,
        app: Application,
        scope: Scope,
        startup: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
    ) -> bool:
        """Run the other application's lifespan; False if it has none."""
        told: list[str] = []
        events = [startup]

        async def receive_for_other() -> MutableMapping[str, Any]:
            return events.pop() if events else await receive()

        async def send_for_other(message: MutableMapping[str, Any]) -> None:
            told.append(message["type"])
            if message["type"] == "lifespan.shutdown.complete":
                await self._shut_down(message, send)
            else:
                await send(message)

        try:
            await app(scope, receive_for_other, send_for_other)
        except Exception:
            if not told:
                logger.info("the other application has no lifespan", exc_info=True)
                return False
            if told[-1] == "lifespan.startup.complete":
                logger.exception("lifespan of the other application failed")
                message = {"type": "lifespan.shutdown.failed", "message": ""}
                await self._shut_down(message, send)
            return True
        return bool(told)

    async def _shut_down(self, message: MutableMapping[str, Any], send: Send) -> None:
        try:
            await _call(self.on_shutdown)
        except Exception as exc:
            logger.exception("on_shutdown failed")
            message = {"type": "lifespan.shutdown.failed", "message": str(exc)}
        finally:
            await self.engineio_server.unbind()
        await send(message)


class ASGIApp(EngineASGIApp):
    """An ASGI application of a Socket.IO server, beside another application.

    Example::

        app = socketio.ASGIApp(sio, FastAPI(), static_files={"/": "index.html"})
        # uvicorn module:app, or socketio.run(app)

    Args:
        socketio_server: A :class:`socketio_fast.AsyncServer`.
        other_asgi_app: Gets everything else; without it that is answered by 404.
        static_files: Files by path, see
            :class:`socketio_fast.serving.static.StaticFiles`.
        socketio_path: Where clients connect. It is looked for in the whole path and
            behind the prefix that the application is mounted at. ``None``: every
            request is Socket.IO's, and the two arguments before are ignored.
        on_startup: Called when the host starts, before ``other_asgi_app`` is told; may
            be a coroutine function.
        on_shutdown: Called when the host stops, after ``other_asgi_app`` was.

    Raises:
        TypeError: ``socketio_server`` is something else.
    """

    def __init__(
        self,
        socketio_server: AsyncServer,
        other_asgi_app: Application | None = None,
        static_files: Mapping[str, str | Path | Mapping[str, Any]] | None = None,
        socketio_path: str | None = "socket.io",
        on_startup: Hook | None = None,
        on_shutdown: Hook | None = None,
    ) -> None:
        super().__init__(
            socketio_server,
            other_asgi_app,
            static_files=static_files,
            engineio_path=socketio_path,
            on_startup=on_startup,
            on_shutdown=on_shutdown,
        )


async def _call(hook: Hook | None) -> None:
    if hook is not None:
        result = hook()
        if inspect.isawaitable(result):
            await result


async def _respond(send: Send, status: int, content_type: bytes, body: bytes) -> None:
    await _start(send, status, content_type, len(body))
    await send({"type": "http.response.body", "body": body})


async def _start(send: Send, status: int, content_type: bytes, size: int) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _send_file(
    send: Send, status: int, content_type: bytes, file: OpenFile, method: str
) -> None:
    """Send a large file as fast as the host takes it."""
    with closing(file):
        left = len(file)
        await _start(send, status, content_type, left)
        while left and method != "HEAD":
            piece = await file.read(min(left, PIECE))
            left -= len(piece)
            body = {"type": "http.response.body", "body": piece}
            await send({**body, "more_body": left > 0})
        if left:
            await send({"type": "http.response.body", "body": b""})
