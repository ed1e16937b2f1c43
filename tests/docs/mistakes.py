"""The likeliest mistakes, made: what docs/errors.md says comes of each.

Each function makes one, and returns the text of its error or of its line in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import sys
import time
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from unittest import mock

import aiohttp
import trustme
from support.scripted_servers import HttpServer, response

import socketio_fast as socketio
from socketio_fast.handlers.slow import SlowHandlers
from socketio_fast.serving.program import load

__all__ = ["MISTAKES"]

#: What the other tests switch off.
WARNS = SlowHandlers.__call__

Mistake = Callable[[], Awaitable[str]]

#: By the heading in docs/errors.md.
MISTAKES: dict[str, Mistake] = {}


def mistake(heading: str) -> Callable[[Mistake], Mistake]:
    def add(function: Mistake) -> Mistake:
        MISTAKES[heading] = function
        return function

    return add


@contextlib.asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Any]:
    """A server of these options, and what it logs."""
    sio = socketio.AsyncServer(**options)

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        pass

    async with await socketio.serve(sio, port=0) as server:
        server.sio = sio
        yield server


@contextlib.asynccontextmanager
async def connected(server: Any = None) -> AsyncIterator[socketio.AsyncClient]:
    """A client, of a server of its own if there is none."""
    async with contextlib.AsyncExitStack() as stack:
        if server is None:
            server = await stack.enter_async_context(serving())
        client = socketio.AsyncClient(reconnection=False)
        await client.connect(server.url)
        try:
            yield client
        finally:
            await client.disconnect()


class Logged(logging.Handler):
    """What a logger of the package says."""

    def __init__(self, name: str = "socketio_fast") -> None:
        super().__init__(logging.WARNING)
        self.came = asyncio.Event()
        self.lines: list[str] = []
        self._logger = logging.getLogger(name)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.came.set()

    def __enter__(self) -> Logged:
        self._logger.addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        self._logger.removeHandler(self)

    async def line(self, part: str = "") -> str:
        """The first with this in it."""
        while not (found := [each for each in self.lines if part in each]):
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), 10)
        return found[0]


async def raised(awaitable: Awaitable[Any]) -> str:
    try:
        await awaitable
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"
    raise AssertionError("it is no mistake")


def raised_by(function: Callable[..., Any], *args: Any, **options: Any) -> str:
    try:
        function(*args, **options)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"
    raise AssertionError("it is no mistake")


async def get(url: str, **options: Any) -> None:
    async with aiohttp.ClientSession() as http, http.get(url, **options):
        pass


def polling(server: Any, eio: int = 4) -> str:
    return f"{server.url}/socket.io/?EIO={eio}&transport=polling"


# In the log of the server.


@mistake("An origin that is not allowed")
async def origin() -> str:
    with Logged() as log:
        async with serving() as server:
            await get(polling(server), headers={"Origin": "http://localhost:3000"})
            return await log.line()


@mistake("A client of Socket.IO 2")
async def revision_3() -> str:
    with Logged() as log:
        async with serving() as server:
            await get(polling(server, eio=3))
            return await log.line()


@mistake("A namespace that the server does not have")
async def namespace() -> str:
    with Logged() as log:
        async with serving() as server:
            client = socketio.AsyncClient(reconnection=False)
            with contextlib.suppress(socketio.exceptions.ConnectionError):
                await client.connect(server.url, namespaces=["/chat"])
            await client.disconnect()
            return await log.line()


@mistake("A message that is too large")
async def too_large() -> str:
    async with connected() as client:
        return raised_by(client.emit, "upload", "x" * 2_000_000)


@mistake("A handler that blocks the event loop")
async def slow() -> str:
    with mock.patch.object(SlowHandlers, "__call__", WARNS), Logged() as log:
        async with serving(slow_handler_threshold=0.01) as server:

            @server.sio.event
            async def report(sid: str) -> None:
                time.sleep(0.05)  # noqa: ASYNC251  the mistake

            async with connected(server) as client:
                await client.emit("report")
                return await log.line("report")


@mistake("An origin with a slash at its end")
async def slash() -> str:
    with Logged() as log:
        async with serving(cors_allowed_origins=["https://app.example.com/"]):
            return await log.line()


# When a server is made and started.


@mistake("An option that does not exist")
async def unknown_option() -> str:
    return raised_by(socketio.AsyncServer, cors_allowed_origin="*")


@mistake("A value that an option does not take")
async def wrong_value() -> str:
    return raised_by(socketio.AsyncServer, ping_interval="25")


@mistake("A handler without an argument for the client")
async def no_sid() -> str:
    sio = socketio.AsyncServer()

    async def message() -> None:
        pass

    return raised_by(sio.event, message)


@mistake("sio.on without the name of an event")
async def no_name() -> str:
    sio = socketio.AsyncServer()

    async def message(sid: str) -> None:
        pass

    return raised_by(sio.on, message)


@mistake("A namespace without a slash")
async def no_slash() -> str:
    return raised_by(socketio.AsyncServer().on, "message", namespace="chat")


@mistake("A file instead of a module")
async def file() -> str:
    return raised_by(load, "app.py:sio")


@mistake("A name that the module does not have")
async def no_such_name() -> str:
    module = types.ModuleType("app")
    module.sio = socketio.AsyncServer()  # type: ignore[attr-defined]
    sys.modules["app"] = module
    try:
        return raised_by(load, "app:server")
    finally:
        del sys.modules["app"]


@mistake("The web application instead of the ASGIApp")
async def other_app() -> str:
    from fastapi import FastAPI

    app: Any = FastAPI()
    return await raised(socketio.serve(app))


@mistake("A port that is taken")
async def taken() -> str:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return await raised(
            socketio.serve(socketio.AsyncServer(), port=sock.getsockname()[1])
        )


@mistake("run() inside an event loop")
async def running_loop() -> str:
    return raised_by(socketio.run, socketio.AsyncServer())


@mistake("reload with an object")
async def reload() -> str:
    return raised_by(socketio.run, socketio.AsyncServer(), reload=True)


@mistake("Data that is no JSON")
async def no_json() -> str:
    async with serving() as server, connected(server):
        return await raised(server.sio.emit("said", {"by": object}))


# In clients.


async def failed(url: str, **options: Any) -> str:
    client = socketio.AsyncClient(reconnection=False)
    return await raised(client.connect(url, **options))


@mistake("Nobody listens")
async def refused() -> str:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    return await failed(f"http://127.0.0.1:{port}")


@mistake("Another path than the server's")
async def path() -> str:
    async with serving() as server:
        return await failed(server.url, socketio_path="ws")


@mistake("A web page instead of the server")
async def page() -> str:
    page = "<!doctype html><title>My app</title>"
    server = HttpServer(response(200, page, {"Content-Type": "text/html"}))
    await server.start()
    try:
        return await failed(server.url(""))
    finally:
        await server.close()


@mistake("A certificate that nobody vouches for")
async def certificate() -> str:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with await socketio.serve(
        socketio.AsyncServer(), port=0, ssl=context
    ) as server:
        return await failed(server.url)


@mistake("https where the server speaks http")
async def scheme() -> str:
    async with serving() as server:
        return await failed(server.url.replace("http:", "https:"))


@mistake("Several processes without sticky sessions")
async def unknown_session() -> str:
    opened = '0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'

    def reply(request: Any) -> bytes:
        if "sid=" in request.target:
            body = '{"code":1,"message":"Session ID unknown"}'
            return response(400, body, {"Content-Type": "application/json"})
        return response(200, opened)

    server = HttpServer(reply)
    await server.start()
    try:
        return await failed(server.url(""))
    finally:
        await server.close()


@mistake("The connect handler refuses")
async def not_let_in() -> str:
    async with serving() as server:

        @server.sio.event
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            raise socketio.exceptions.ConnectionRefusedError("who are you?")

        return await failed(server.url)


@mistake("Nobody acknowledges")
async def no_ack() -> str:
    async with connected() as client:
        return await raised(client.call("nothing", timeout=0.01))


@mistake("An event in a namespace that is not joined")
async def not_joined() -> str:
    async with connected() as client:
        return raised_by(client.emit, "hello", namespace="/chat")


@mistake("A package that is missing")
async def missing() -> str:
    with mock.patch.dict(sys.modules, {"msgpack": None}):
        # Another test may have imported what needs it.
        sys.modules.pop("socketio_fast.msgpack_packet", None)
        return raised_by(socketio.AsyncServer, serializer="msgpack")
