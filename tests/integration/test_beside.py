"""An ASGI application on the port of the compiled server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

import socketio_fast
from integration.raw import Connection, polling, request, within

PATH = "/socket.io/"
Serve = Callable[..., Awaitable[socketio_fast.RunningServer]]


class Other:
    """A Starlette application that notes what happens to it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.release = asyncio.Event()
        self.app = Starlette(
            routes=[
                Route("/hello", self.hello),
                Route("/echo", self.echo, methods=["POST"]),
                Route("/stream", self.stream),
                WebSocketRoute("/ws", self.websocket),
            ],
            lifespan=self.lifespan,
        )

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.log.append("startup")
        yield
        self.log.append("shutdown")

    async def hello(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    async def echo(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    async def stream(self, request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"first"
            await self.release.wait()
            yield b"second"

        return StreamingResponse(pieces())

    async def websocket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text() + "!")
        await websocket.close()


@pytest.fixture
def other() -> Other:
    return Other()


@pytest.fixture
async def server(serve: Serve, other: Other) -> socketio_fast.RunningServer:
    sio = socketio_fast.AsyncServer()
    return await serve(socketio_fast.ASGIApp(sio, other.app))


@pytest.fixture
async def connection(
    server: socketio_fast.RunningServer,
) -> AsyncIterator[Connection]:
    async with await Connection.open(server) as connection:
        yield connection


async def test_both_share_a_connection(connection: Connection) -> None:
    for _ in range(2):
        assert (await connection.get("/hello")).text == "hello"
        sid = await connection.open_session(path=PATH)
        (await connection.post(polling(sid, path=PATH), "40")).ok("ok")
        assert (await connection.get(polling(sid, path=PATH))).text.startswith("40{")


async def test_a_large_body_is_not_limited_by_engine_io(connection: Connection) -> None:
    body = b"x" * 3_000_000
    await connection.open_session(path=PATH)
    assert (await connection.post("/echo", body)).body == body
    await connection.open_session(path=PATH)


async def test_a_request_line_that_comes_in_pieces(connection: Connection) -> None:
    for piece in (b"\r\n", b"G", b"ET /he", b"llo HT"):
        await connection.send(piece)
        await connection.silent()
    await connection.send(b"TP/1.1\r\nHost: x\r\n\r\n")
    assert (await connection.response()).text == "hello"
    for piece in (b"GET ", polling(path=PATH)[:9].encode()):
        await connection.send(piece)
        await connection.silent()
    await connection.send(
        polling(path=PATH)[9:].encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    (await connection.response()).ok()


async def test_a_request_behind_a_poll_waits_for_it(connection: Connection) -> None:
    sid = await connection.open_session(path=PATH)
    (await connection.post(polling(sid, path=PATH), "40")).ok("ok")
    await connection.get(polling(sid, path=PATH))
    await connection.park(polling(sid, path=PATH))
    await connection.send(request("GET", "/hello"))
    await connection.silent()
    async with aiohttp.ClientSession() as http:
        host, port = connection.writer.get_extra_info("peername")
        url = f"http://{host}:{port}{polling(sid, path=PATH)}"
        async with http.post(url, data="1") as response:
            assert response.status == 200
    (await connection.response()).ok()
    assert (await connection.response()).text == "hello"


async def test_what_is_no_http_is_refused(connection: Connection) -> None:
    await connection.send(b"NONSENSE\r\n\r\n")
    (await connection.response()).refused(400)


async def test_streaming(connection: Connection, other: Other) -> None:
    await connection.send(request("GET", "/stream"))
    while await connection.line():
        pass
    assert await connection.exactly(10) == b"5\r\nfirst\r\n"
    other.release.set()
    assert await connection._chunks() == b"second"
    await connection.open_session(path=PATH)


async def test_its_websockets_are_served(server: socketio_fast.RunningServer) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{server.url}/ws") as ws,
    ):
        await ws.send_str("hi")
        assert (await within(ws.receive())).data == "hi!"


async def test_lifespan_runs_around_the_server(serve: Serve, other: Other) -> None:
    sio = socketio_fast.AsyncServer()
    app = socketio_fast.ASGIApp(
        sio,
        other.app,
        on_startup=lambda: other.log.append("on_startup"),
        on_shutdown=lambda: other.log.append("on_shutdown"),
    )
    server = await serve(app)
    assert other.log == ["on_startup", "startup"]
    await server.close()
    assert other.log == ["on_startup", "startup", "shutdown", "on_shutdown"]


async def test_a_startup_that_fails_is_told(serve: Serve) -> None:
    def fail() -> None:
        raise LookupError("no database")

    app = socketio_fast.ASGIApp(socketio_fast.AsyncServer(), on_startup=fail)
    with pytest.raises(RuntimeError, match="startup failed"):
        await serve(app)


async def test_a_stop_waits_for_a_response(serve: Serve, other: Other) -> None:
    server = await serve(socketio_fast.ASGIApp(socketio_fast.AsyncServer(), other.app))
    async with await Connection.open(server) as connection:
        await connection.send(request("GET", "/stream"))
        while await connection.line():
            pass
        await connection.exactly(10)
        closing = asyncio.create_task(server.close())
        await connection.silent()
        assert not closing.done()
        other.release.set()
        assert await connection._chunks() == b"second"
        await within(closing)
    assert other.log == ["startup", "shutdown"]


async def test_without_another_application_other_paths_are_not_found(
    serve: Serve, tmp_path: Any
) -> None:
    (tmp_path / "index.html").write_text("<p>page</p>")
    files = {"/": str(tmp_path / "index.html")}
    app = socketio_fast.ASGIApp(socketio_fast.AsyncServer(), static_files=files)
    server = await serve(app)
    async with await Connection.open(server) as connection:
        page = await connection.get("/")
        assert (page.status, page.text) == (200, "<p>page</p>")
        assert page.header("content-type") == "text/html"
        assert (await connection.get("/nowhere")).status == 404
        await connection.open_session(path=PATH)


async def test_path_and_static_files_are_the_applications(serve: Serve) -> None:
    app = socketio_fast.ASGIApp(socketio_fast.AsyncServer())
    for options in ({"path": "/x/"}, {"static_files": {"/": "x"}}):
        with pytest.raises(ValueError, match="those of the ASGIApp"):
            await serve(app, **options)
