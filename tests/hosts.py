"""Every way to serve an application, by one name each, for tests that all must pass."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import uvicorn

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


HOSTS: dict[str, Host] = {
    "compiled": compiled,
    "compiled, beside another application": compiled_beside,
    "uvicorn": uvicorn_asgi,
    "uvicorn, wsproto": uvicorn_wsproto,
    "uvicorn, compiled WebSockets": uvicorn_compiled,
}
