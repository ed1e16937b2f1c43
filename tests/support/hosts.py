"""Every way to serve an application, by one name each, for tests that all must pass."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ssl import SSLContext
from typing import Any

import tornado.httpserver
import tornado.web
import uvicorn
from aiohttp import web
from sanic import Sanic

import socketio_fast
from socketio_fast.engineio import ASGIApp as EngineASGIApp

#: An async context manager, of an ``AsyncServer``, that gives its URL.
Host = Callable[[Any], AbstractAsyncContextManager[str]]


def asgi_app(server: Any) -> Any:
    """The ASGI application of a server; what is one already is left alone."""
    if isinstance(server, socketio_fast.AsyncServer):
        return socketio_fast.ASGIApp(server)
    if isinstance(server, socketio_fast.engineio.AsyncServer):
        return EngineASGIApp(server)
    return server


@asynccontextmanager
async def compiled(server: Any) -> AsyncIterator[str]:
    async with await socketio_fast.serve(server, port=0) as running:
        yield running.url


def compiled_beside(server: Any) -> AbstractAsyncContextManager[str]:
    return compiled(asgi_app(server))


@asynccontextmanager
async def run_uvicorn(app: Any, **options: Any) -> AsyncIterator[str]:
    """uvicorn in this process and loop; its own serve() would take the signals."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, log_config=None, lifespan="on", **options)
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listening])
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            for accepting in server.servers:
                accepting.close()
            for connection in list(server.server_state.connections):
                connection.shutdown()
            await server.lifespan.shutdown()


def uvicorn_asgi(server: Any) -> AbstractAsyncContextManager[str]:
    return run_uvicorn(asgi_app(server))


def uvicorn_wsproto(server: Any) -> AbstractAsyncContextManager[str]:
    return run_uvicorn(asgi_app(server), ws="wsproto", http="h11")


def uvicorn_compiled(server: Any) -> AbstractAsyncContextManager[str]:
    return run_uvicorn(asgi_app(server), ws="socketio_fast.uvicorn:WebSocketProtocol")


@asynccontextmanager
async def run_aiohttp(
    app: web.Application, ssl: SSLContext | None = None, **options: Any
) -> AsyncIterator[str]:
    """An application of aiohttp on its own server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        runner = web.AppRunner(app, access_log=None, **options)
        await runner.setup()
        await web.SockSite(runner, listening, ssl_context=ssl).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            await runner.cleanup()


def on_aiohttp(server: Any) -> AbstractAsyncContextManager[str]:
    app = web.Application()
    server.attach(app)
    return run_aiohttp(app)


@asynccontextmanager
async def run_tornado(
    app: tornado.web.Application, **options: Any
) -> AsyncIterator[str]:
    """An application of tornado on its own server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        server = tornado.httpserver.HTTPServer(app, **options)
        server.add_sockets([listening])
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.stop()
            await server.close_all_connections()


@asynccontextmanager
async def on_tornado(server: Any) -> AsyncIterator[str]:
    handler = socketio_fast.get_tornado_handler(server)
    app = tornado.web.Application(
        [(server.default_path, handler)], log_function=lambda handler: None
    )
    async with run_tornado(app) as url:
        yield url
        await server.shutdown()


def sanic_app() -> Sanic[Any, Any]:
    """A new application, which is not noted among the process' applications."""
    app: Sanic[Any, Any] = Sanic(f"app{next(_numbers)}", configure_logging=False)
    app.config.ACCESS_LOG = False
    # It rewrites its classes for an application, once in a process.
    app.config.TOUCHUP = False
    app.config.GRACEFUL_SHUTDOWN_TIMEOUT = 5.0
    return app


_numbers = itertools.count()


@asynccontextmanager
async def run_sanic(app: Sanic[Any, Any], **options: Any) -> AsyncIterator[str]:
    """An application of sanic on its own server, in this process and loop."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = await app.create_server(
            sock=listening, return_asyncio_server=True, **options
        )
        assert server is not None
        await server.startup()
        await server.before_start()
        await server.after_start()
        await server.start_serving()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            await server.before_stop()
            server.close()
            # As it waits itself where it runs the loop.
            for _ in range(500):
                for connection in list(server.connections):
                    connection.close_if_idle()
                if not server.connections:
                    break
                await asyncio.sleep(0.01)
            await server.after_stop()


def on_sanic(server: Any) -> AbstractAsyncContextManager[str]:
    app = sanic_app()
    server.attach(app)
    return run_sanic(app)


HOSTS: dict[str, Host] = {
    "compiled": compiled,
    "compiled, beside another application": compiled_beside,
    "uvicorn": uvicorn_asgi,
    "uvicorn, wsproto": uvicorn_wsproto,
    "uvicorn, compiled WebSockets": uvicorn_compiled,
    "aiohttp": on_aiohttp,
    "tornado": on_tornado,
    "sanic": on_sanic,
}
