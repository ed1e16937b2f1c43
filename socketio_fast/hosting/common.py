"""What hosts have in common: exchanges, WebSockets, and how they end."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, cast

from socketio_fast._core.engine.session import Engine
from socketio_fast._core.http.exchange import Body
from socketio_fast._core.http.foreign import (
    HostedExchange,
    HostedWebSocket,
    adopt_connection,
)
from socketio_fast._core.http.handshake import Admission, Request, consider, hooked
from socketio_fast._core.http.websocket import Connections, WebSocket
from socketio_fast.hosting.contracts import HostedEngine, HostedServer

__all__ = [
    "CLOSE_TIMEOUT",
    "Answer",
    "EnvironSource",
    "Sender",
    "ask",
    "bind",
    "disconnect_all",
    "exchange",
    "serves_client",
    "start",
    "take_over",
    "text_headers",
    "wants_websocket",
]

#: A response: its status, header pairs with names in lower case, and body.
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]

logger = logging.getLogger("socketio_fast.hosting")

#: Seconds for a host to close a WebSocket, before it is left to itself.
CLOSE_TIMEOUT = 10.0

#: Seconds for the body of a request to come, as by the compiled server.
BODY_TIMEOUT = 300.0

# Seconds that the end of a host waits for handlers.
HANDLERS_TIMEOUT = 10.0


class EnvironSource:
    """A request of a host, as the environment of a session is made of it.

    Args:
        request: The request.
        host: What the host adds to the environment.
    """

    __slots__ = ("_host", "_request")

    def __init__(self, request: Request, host: dict[str, Any]) -> None:
        self._request = request
        self._host = host

    def environ(self) -> dict[str, Any]:
        """The WSGI environment, with what the host adds; a new dict."""
        environ = self._request.environ()
        environ.update(self._host)
        return environ


def start(server: HostedServer) -> None:
    """Run on the running loop, as the host starts.

    The current context is that of what the server starts. Requests mostly have the
    same, and need not keep it.
    """
    server.bind(asyncio.get_running_loop())


def bind(server: HostedServer) -> HostedEngine:
    """The Engine.IO server, which runs on the running loop from now on.

    Where it did not before, a request asks: what the server starts is not in that
    request's context, but in an empty one.
    """
    if not server.is_bound(asyncio.get_running_loop()):
        contextvars.Context().run(start, server)
    return server.eio


def serves_client(server: HostedServer) -> bool:
    """Whether there are files of the JavaScript client below the server's path."""
    return server.eio.engine.client_files is not None


async def disconnect_all(server: HostedServer) -> None:
    """Disconnect every client, as the host stops, and wait for handlers."""
    eio = bind(server)
    eio.engine.close_all(stopping=True)
    tasks = eio.handler_tasks()
    if tasks:
        await asyncio.wait(tasks, timeout=HANDLERS_TIMEOUT)
    await server.unbind()


async def ask(
    engine: Engine, request: Request, environ_source: Any, upgrade: bool
) -> Admission | None:
    """What the application's hooks say of a request; ``None``: there are none."""
    if not hooked(engine, request):
        return None
    return await consider(engine, request, environ_source, upgrade)


def wants_websocket(request: Request) -> bool:
    """Whether a request asks for a WebSocket."""
    return request.has_token(b"connection", b"upgrade") and request.has_token(
        b"upgrade", b"websocket"
    )


def text_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """The headers of an answer for a host that counts the body itself."""
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
    """Answer a request. Cancel it when its client has gone, or tell by `watch`.

    Args:
        eio: The server.
        request: The request.
        environ_source: What the session's environ is made of, from this request.
        read: Adds its body to what it is given, of which no more than a little above
            this many bytes is needed. False: the client has gone.
        watch: While it is entered, the future is done once the client has gone.

    Returns:
        None: the client has gone.
    """
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def answer(*response: Any) -> None:
        if not answered.done():
            answered.set_result(cast(Answer, response))

    def overdue() -> None:
        hosted.lost()
        answer(408, [(b"content-type", b"text/plain")], b"Request Timeout")

    admission = await ask(eio.engine, request, environ_source, False)
    hosted = HostedExchange(
        eio.engine, request, environ_source, answer, admission=admission
    )
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
    """Read a body, while nothing is answered without it; True in that case too."""
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
    """Sends what a WebSocket says, while its host gives that what comes.

    Args:
        websocket: The WebSocket, which the host has accepted.
        send: Sends a message, str or bytes.
        close: Closes, with a code or without.
        closing: Called once, when the WebSocket begins to close.
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
        """The connection has gone, or is about to."""
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
            # Nobody is there any more; the host says so as well.
            logger.debug("sending to a WebSocket failed: %r", exc)


async def take_over(
    eio: HostedEngine,
    request: Request,
    environ_source: EnvironSource,
    transport: asyncio.Transport,
    rest: Callable[[], bytes],
    lost: Callable[[], None],
) -> Answer | None:
    """Make a WebSocket of our own of a host's connection, and wait until it closes.

    Args:
        eio: The server.
        request: The handshake request.
        environ_source: What the session's environ is made of, from this request.
        transport: That of the connection, of the running loop.
        rest: Called when the connection has been taken over: what the host had received
            behind the request.
        lost: Called when it has closed, of which the host is not told otherwise.

    Returns:
        None; or the refusal that the host is to answer with, and the connection is its
        own.
    """
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
