"""What hosts have in common: they answer requests, and carry or adopt WebSockets."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, cast

from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.http.admission import Admission, consider, hooked
from socketio_fast._core.http.connections import Connections
from socketio_fast._core.http.exchange import Body
from socketio_fast._core.http.foreign import (
    ForeignExchange,
    ForeignWebSocket,
    adopt_connection,
)
from socketio_fast._core.http.request import Request
from socketio_fast._core.http.websocket import WebSocket
from socketio_fast.hosting.contracts import (
    HostedEngine,
    HostedExchange,
    HostedServer,
    HostedWebSocket,
    OtherWorker,
)

__all__ = [
    "CLOSE_TIMEOUT",
    "Answer",
    "EnvironSource",
    "Sender",
    "Watch",
    "ask",
    "bind",
    "disconnect_all",
    "elsewhere",
    "exchange",
    "open_websocket",
    "serves_client",
    "start",
    "take_over",
    "text_headers",
    "wants_websocket",
]

#: A response: its status, header pairs with names in lower case, and body.
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]

logger = logging.getLogger("socketio_fast.hosting")

#: Seconds that a host has to close a WebSocket; then it is not waited for any more.
CLOSE_TIMEOUT = 10.0

#: Seconds that a client has to send the body of a request, as by the compiled server.
BODY_TIMEOUT = 300.0

# Seconds that handlers have to end when the host stops.
HANDLERS_TIMEOUT = 10.0


class EnvironSource:
    """Builds a session's environ from a request of a host.

    Args:
        request: The request.
        host: Keys that the host adds to the environ.
    """

    __slots__ = ("_host", "_request")

    def __init__(self, request: Request, host: dict[str, Any]) -> None:
        self._request = request
        self._host = host

    def environ(self) -> dict[str, Any]:
        """The WSGI environ with the keys of the host; a new dict."""
        environ = self._request.environ()
        environ.update(self._host)
        return environ


def start(server: HostedServer) -> None:
    """Bind a server to the running event loop, when the host starts.

    What the server starts then runs in the current context. Requests mostly have an
    equal context, so that their sessions need not keep one.
    """
    server.bind(asyncio.get_running_loop())


def bind(server: HostedServer) -> HostedEngine:
    """The Engine.IO server of a server, which is bound to the running event loop.

    If the host has no event for its start, the first request binds the server. What the
    server starts then runs in an empty context, not in the request's.
    """
    if not server.is_bound(asyncio.get_running_loop()):
        contextvars.Context().run(start, server)
    return server.eio


def serves_client(server: HostedServer) -> bool:
    """Whether the server serves the JavaScript client below its path."""
    return server.eio.engine.client_files is not None


async def disconnect_all(server: HostedServer) -> None:
    """Disconnect every client and wait for handlers, when the host stops."""
    eio = bind(server)
    eio.engine.close_all(stopping=True)
    tasks = eio.handler_tasks()
    if tasks:
        await asyncio.wait(tasks, timeout=HANDLERS_TIMEOUT)
    await server.unbind()


async def ask(
    engine: Engine, request: Request, environ_source: Any, upgrade: bool
) -> Admission | None:
    """Ask the application's hooks about a request; ``None`` if there are none."""
    if not hooked(engine, request):
        return None
    return await consider(engine, request, environ_source, upgrade)


def elsewhere(eio: HostedEngine, request: Request) -> OtherWorker | None:
    """The other worker that has the session of a request; ``None``: it is this one's,
    a new one's, or unknown."""
    membership = eio.membership
    return None if membership is None else membership.owner(request)


async def open_websocket(
    eio: HostedEngine, request: Request, environ_source: EnvironSource
) -> HostedWebSocket:
    """Ask for a WebSocket that the host speaks itself."""
    owner = elsewhere(eio, request)
    if owner is not None:
        return await owner.websocket(request)
    admission = await ask(eio.engine, request, environ_source, True)
    return ForeignWebSocket(eio.engine, request, environ_source, admission)


def wants_websocket(request: Request) -> bool:
    """Whether a request asks for a WebSocket."""
    return request.has_token(b"connection", b"upgrade") and request.has_token(
        b"upgrade", b"websocket"
    )


def text_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """The headers of an answer as text, without Content-Length, which hosts add."""
    return [
        (name.decode(), value.decode("latin-1"))
        for name, value in headers
        if name != b"content-length"
    ]


async def exchange(
    eio: HostedEngine,
    request: Request,
    environ_source: EnvironSource,
    read: Callable[[Body, int], Awaitable[bool]],
    watch: Callable[[], AbstractContextManager[asyncio.Future[Any]]],
) -> Answer | None:
    """Answer a request.

    If the client goes, the host cancels this coroutine or completes the future of
    ``watch``.

    Args:
        eio: The server.
        request: The request.
        environ_source: Builds the session's environ from this request.
        read: Adds the request's body to the ``Body`` that it gets. It may stop when it
            has read more than the number of bytes that it gets. It returns False if the
            client has gone.
        watch: A context manager that gives a future, which is done when the client has
            gone.

    Returns:
        The answer; ``None`` if the client has gone.
    """
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def answer(*response: Any) -> None:
        if not answered.done():
            answered.set_result(cast(Answer, response))

    def overdue() -> None:
        hosted.lost()
        answer(408, [(b"content-type", b"text/plain")], b"Request Timeout")

    hosted: HostedExchange
    owner = elsewhere(eio, request)
    if owner is None:
        admission = await ask(eio.engine, request, environ_source, False)
        hosted = ForeignExchange(
            eio.engine, request, environ_source, answer, admission=admission
        )
    else:
        hosted = owner.exchange(request, answer)
    try:
        if hosted.begin():
            body = Body()
            reading = read(body, eio.config.max_http_buffer_size)
            if not await _read_until(answered, reading, overdue):
                return None
            if not answered.done():
                hosted.finish(body.take())
        if not answered.done():
            with watch() as gone:
                await asyncio.wait(
                    (answered, gone), return_when=asyncio.FIRST_COMPLETED
                )
        return answered.result() if answered.done() else None
    finally:
        if not answered.done():
            hosted.lost()


async def _read_until(
    answered: asyncio.Future[Answer],
    reading: Awaitable[bool],
    overdue: Callable[[], None],
) -> bool:
    """Read a body until the request is answered; False if the client has gone."""
    task = asyncio.current_task()
    assert task is not None

    def stop(_: Any) -> None:
        if unfinished:
            task.cancel()

    unfinished = True
    answered.add_done_callback(stop)
    timer = asyncio.get_running_loop().call_later(BODY_TIMEOUT, overdue)
    try:
        return await reading
    except asyncio.CancelledError:
        if not answered.done() or (sys.version_info >= (3, 11) and task.uncancel()):
            raise  # not by stop()
        return True
    finally:
        unfinished = False
        timer.cancel()
        answered.remove_done_callback(stop)


class Sender:
    """Sends the messages of a WebSocket by its host, in a task.

    Args:
        websocket: The WebSocket, which the host has accepted.
        send: Sends a message, str or bytes.
        close: Closes, with a code or without.
        closing: Called once, when the WebSocket begins to close.

    What the host receives it passes to the WebSocket itself.
    """

    def __init__(
        self,
        websocket: HostedWebSocket,
        send: Callable[[str | bytes], Awaitable[None]],
        close: Callable[[int | None], Awaitable[None]],
        closing: Callable[[], None] = lambda: None,
    ) -> None:
        self._websocket = websocket
        self._send = send
        self._close = close
        self._closing = closing
        self._closed = False
        self._awake = asyncio.Event()
        websocket.begin(self._wake)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def end(self) -> None:
        """Stop: the connection has gone, or is about to."""
        self._websocket.lost()
        self._task.cancel()

    def _wake(self) -> None:
        self._awake.set()
        if self._websocket.closing and not self._closed:
            self._closed = True
            self._closing()

    async def _run(self) -> None:
        websocket = self._websocket
        try:
            while True:
                self._awake.clear()
                while (message := websocket.take()) is not None:
                    await self._send(message)
                if websocket.closing:
                    await self._close(websocket.code)
                    return
                await self._awake.wait()
        except Exception as exc:
            # The client has gone, which the host reports too.
            logger.debug("sending to a WebSocket failed: %r", exc)


class Watch(asyncio.Protocol):
    """Wraps a protocol, and completes a future when the connection is lost."""

    def __init__(self, protocol: Any, gone: asyncio.Future[None]) -> None:
        self._protocol = protocol
        self._gone = gone

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        """Called by the event loop."""
        result: bool | None = self._protocol.eof_received()
        return result

    def pause_writing(self) -> None:
        """Called by the event loop."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        if not self._gone.done():
            self._gone.set_result(None)
        self._protocol.connection_lost(exc)


async def take_over(
    eio: HostedEngine,
    request: Request,
    environ_source: EnvironSource,
    transport: asyncio.Transport,
    rest: Callable[[], bytes],
    lost: Callable[[], None],
) -> Answer | None:
    """Take a connection over from a host as a WebSocket, and wait until it closes, or
    has gone to the worker that has its session.

    Args:
        eio: The server.
        request: The handshake request.
        environ_source: Builds the session's environ from this request.
        transport: The transport of the connection, on the running event loop.
        rest: Called when the connection has been taken over; returns what the host has
            received behind the request.
        lost: Called when the connection has closed, so that the host learns of it.

    Returns:
        ``None``; or the refusal that the host is to send on the connection, which stays
        with it.
    """
    owner = elsewhere(eio, request)
    if owner is not None:
        try:
            await owner.adopt(transport, request, rest())
        finally:
            lost()
        return None
    connections = Connections()
    secure = transport.get_extra_info("sslcontext") is not None
    admission = await ask(eio.engine, request, environ_source, True)
    if transport.is_closing():
        lost()
        return None
    refusal = adopt_connection(
        eio.engine, request, environ_source, transport, secure, connections, admission
    )
    if refusal is not None:
        return refusal
    try:
        data = rest()
        if data:
            (websocket,) = connections.open
            cast(WebSocket, websocket).data_received(data)
        await connections.wait_closed(None)
    finally:
        connections.abort_all()
        lost()
    return None
