"""Context variables that a host's middleware sets, in all handlers of the client."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import hypercorn.asyncio
import hypercorn.config
import pytest
import tornado.web
from aiohttp import web
from fastapi import FastAPI
from support.hosts import HOSTS as EVERY_HOST
from support.hosts import (
    compiled,
    compiled_beside,
    run_aiohttp,
    run_sanic,
    run_tornado,
    run_uvicorn,
    sanic_app,
)
from support.python_client import AsyncClient
from support.raw import TIMEOUT, within
from support.waiting import Changes
from support.wsgi_hosts import on_waitress, werkzeug

import socketio_fast

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
HEADER = "X-Request-Id"
Host = Callable[[Any], AbstractAsyncContextManager[str]]


def connect_once(http: aiohttp.ClientSession) -> AsyncClient:
    """A client; one that connected again would open a session that nobody closes."""
    return AsyncClient(handle_sigint=False, http_session=http, reconnection=False)


class Application:
    """Handlers that tell the variable, and one that sets it."""

    def __init__(self, sio: Any) -> None:
        self.sio = sio
        self.seen: list[tuple[str, str | None]] = []
        self._loop = asyncio.get_running_loop()
        self._changes = Changes()

    def note(self, where: str) -> None:
        self.seen.append((where, variable.get(None)))
        self._loop.call_soon_threadsafe(self._changes.note)

    def add_handlers(self) -> None:
        sio, note = self.sio, self.note

        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            note("connect")
            await asyncio.sleep(0)

        @sio.event
        async def meet(sid: str) -> str | None:
            before = variable.get(None)
            variable.set("of an event")
            await asyncio.sleep(0)
            return before

        @sio.event
        async def ask(sid: str) -> None:
            await sio.emit("question", to=sid, callback=lambda: note("callback"))

        @sio.event
        async def disconnect(sid: str, reason: str) -> None:
            note("disconnect")

    def add_handlers_in_threads(self) -> None:
        sio, note = self.sio, self.note

        @sio.event
        def connect(sid: str, environ: Any) -> None:
            note("connect")

        @sio.event
        def meet(sid: str) -> str | None:
            before = variable.get(None)
            variable.set("of an event")
            return before

        @sio.event
        def ask(sid: str) -> None:
            sio.emit("question", to=sid, callback=lambda: note("callback"))

        @sio.event
        def disconnect(sid: str, reason: str) -> None:
            note("disconnect")

    async def disconnect(self, sid: str) -> None:
        if isinstance(self.sio, socketio_fast.Server):
            await asyncio.to_thread(self.sio.disconnect, sid)
        else:
            await self.sio.disconnect(sid)

    async def until(self, where: str) -> None:
        await self._changes.until(
            lambda: where in [name for name, _ in self.seen], seconds=TIMEOUT
        )


def take(found: str | None) -> None:
    """Only some requests of a client have the header."""
    if found is not None:
        variable.set(found)


class Middleware:
    """What tracing, logging and correlation ids do in ASGI."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        found = dict(scope.get("headers", ())).get(HEADER.lower().encode())
        take(None if found is None else found.decode())
        await self._app(scope, receive, send)


def mounted(sio: Any) -> Any:
    app = FastAPI()
    app.add_middleware(Middleware)
    app.mount("/", socketio_fast.ASGIApp(sio))
    return app


def on_uvicorn(sio: Any) -> AbstractAsyncContextManager[str]:
    return run_uvicorn(mounted(sio))


def on_uvicorn_wsproto(sio: Any) -> AbstractAsyncContextManager[str]:
    return run_uvicorn(mounted(sio), ws="wsproto", http="h11")


def on_uvicorn_compiled(sio: Any) -> AbstractAsyncContextManager[str]:
    return run_uvicorn(mounted(sio), ws="socketio_fast.uvicorn:WebSocketProtocol")


@asynccontextmanager
async def on_hypercorn(sio: Any) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = hypercorn.config.Config()
        config.bind = [f"fd://{listening.fileno()}"]
        config.errorlog = None
        end = asyncio.Event()
        serving = asyncio.ensure_future(
            hypercorn.asyncio.serve(mounted(sio), config, shutdown_trigger=end.wait)
        )
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            end.set()
            await within(serving, 15)
            listening.detach()  # hypercorn has closed it


def on_aiohttp(sio: Any) -> AbstractAsyncContextManager[str]:
    @web.middleware
    async def middleware(request: web.Request, handler: Any) -> Any:
        take(request.headers.get(HEADER))
        return await handler(request)

    app = web.Application(middlewares=[middleware])
    sio.attach(app)
    return run_aiohttp(app)


@asynccontextmanager
async def on_tornado(sio: Any) -> AsyncIterator[str]:
    class Handler(socketio_fast.get_tornado_handler(sio)):  # type: ignore[misc]
        async def prepare(self) -> None:
            take(self.request.headers.get(HEADER))

    app = tornado.web.Application(
        [(sio.default_path, Handler)], log_function=lambda handler: None
    )
    async with run_tornado(app) as url:
        yield url
        await sio.shutdown()


def on_sanic(sio: Any) -> AbstractAsyncContextManager[str]:
    app = sanic_app()

    @app.on_request
    async def middleware(request: Any) -> None:
        take(request.headers.get(HEADER))

    sio.attach(app)
    return run_sanic(app)


HOSTS: dict[str, Host] = {
    "uvicorn": on_uvicorn,
    "uvicorn, wsproto": on_uvicorn_wsproto,
    "uvicorn, compiled WebSockets": on_uvicorn_compiled,
    "hypercorn": on_hypercorn,
    "aiohttp": on_aiohttp,
    "tornado": on_tornado,
    "sanic": on_sanic,
}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """The clients' own is left open if the server ends a connection."""
    async with aiohttp.ClientSession() as session:
        yield session


TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]]


async def meets(
    http: aiohttp.ClientSession,
    application: Application,
    url: str,
    transports: list[str],
    names: list[str | None],
) -> None:
    """Each client meets the variable of its own handshake."""
    clients = []
    for name in names:
        headers = {} if name is None else {HEADER: name}
        client = connect_once(http)
        client.on("question", lambda: None)
        await client.connect(url, transports=transports, headers=headers)
        assert application.seen == [("connect", name)]
        application.seen.clear()
        clients.append((client, name))
    for client, name in clients * 2:
        assert await client.call("meet") == name
    for client, name in clients:
        await client.emit("ask")
        await application.until("callback")
        # A client that goes while a POST of it is under way does not say so.
        await application.disconnect(client.get_sid())
        await application.until("disconnect")
        assert application.seen == [("callback", name), ("disconnect", name)]
        application.seen.clear()


@pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)
@pytest.mark.parametrize("host", HOSTS)
async def test_what_a_middleware_sets_is_in_every_handler_of_the_client(
    http: aiohttp.ClientSession, host: str, transports: list[str]
) -> None:
    application = Application(socketio_fast.AsyncServer())
    application.add_handlers()
    async with HOSTS[host](application.sio) as url:
        await meets(http, application, url, transports, ["first", "second"])
    assert variable.get(None) is None


@pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)
@pytest.mark.parametrize("host", [compiled, compiled_beside])
async def test_on_its_own_server_it_is_the_context_of_serve(
    http: aiohttp.ClientSession, host: Host, transports: list[str]
) -> None:
    application = Application(socketio_fast.AsyncServer())
    application.add_handlers()
    token = variable.set("program")
    async with host(application.sio) as url:
        variable.set("later")
        await meets(http, application, url, transports, ["program", "program"])
        # They share it: nobody carries one.
        sessions = application.sio.eio.engine.sessions
        assert [s.context for s in sessions.values()] == [None] * len(sessions)
    variable.reset(token)


@pytest.fixture
def threads() -> Iterator[socketio_fast.Server]:
    sio = socketio_fast.Server(cors_allowed_origins="*")
    yield sio
    sio.shutdown()


@pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)
async def test_a_wsgi_server(
    http: aiohttp.ClientSession,
    threads: socketio_fast.Server,
    transports: list[str],
) -> None:
    await _in_threads(http, threads, werkzeug, transports)


async def test_a_wsgi_server_without_sockets(
    http: aiohttp.ClientSession, threads: socketio_fast.Server
) -> None:
    await _in_threads(http, threads, on_waitress, ["polling"])


async def _in_threads(
    http: aiohttp.ClientSession,
    sio: socketio_fast.Server,
    host: Any,
    transports: list[str],
) -> None:
    application = Application(sio)
    application.add_handlers_in_threads()
    app = socketio_fast.WSGIApp(sio)

    def middleware(environ: Any, start_response: Any) -> Any:
        take(environ.get("HTTP_X_REQUEST_ID"))
        return app(environ, start_response)

    with host(middleware) as url:
        await meets(http, application, url, transports, ["first", "second"])


async def test_what_connect_sets_in_a_thread_reaches_the_clients_other_handlers(
    http: aiohttp.ClientSession, threads: socketio_fast.Server
) -> None:
    numbers = itertools.count()
    gone: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    @threads.event
    def connect(sid: str, environ: Any) -> None:
        variable.set(f"client {next(numbers)}")

    @threads.event
    def meet(sid: str) -> str:
        before = variable.get()
        variable.set("of an event")
        return before

    @threads.event
    def disconnect(sid: str, reason: str) -> None:
        loop.call_soon_threadsafe(gone.put_nowait, variable.get())

    with werkzeug(socketio_fast.WSGIApp(threads)) as url:
        clients = []
        for _ in range(2):
            client = connect_once(http)
            await client.connect(url)
            clients.append(client)
        for number, client in [*enumerate(clients), *enumerate(clients)]:
            assert await client.call("meet") == f"client {number}"
        for number, client in enumerate(clients):
            await asyncio.to_thread(threads.disconnect, client.get_sid())
            assert await within(gone.get()) == f"client {number}"


@pytest.mark.parametrize("transports", [["polling"], ["websocket"]], ids="+".join)
@pytest.mark.parametrize(
    # sanic sets a variable of its own, and tornado tells of no start.
    "host",
    sorted(EVERY_HOST.keys() - {"sanic", "tornado"}),
)
async def test_nobody_carries_a_context_where_nothing_was_set(
    http: aiohttp.ClientSession, host: str, transports: list[str]
) -> None:
    sio = socketio_fast.AsyncServer()

    @sio.event
    def connect(sid: str, environ: Any) -> None:
        pass

    async with EVERY_HOST[host](sio) as url:
        client = connect_once(http)
        await client.connect(url, transports=transports)
        (session,) = sio.eio.engine.sessions.values()
        assert session.context is None, list(session.context.items())
        await sio.disconnect(client.get_sid())
