"""An ASGI application on the port of the compiled server."""

from __future__ import annotations

import asyncio
import re
import socket
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
from support.python_client import AsyncSimpleClient
from support.raw import (
    TEXT,
    Connection,
    chunk,
    chunked,
    frame,
    polling,
    request,
    turns,
    within,
)
from support.raw import WebSocket as WebSocketConnection

import socketio_fast
from socketio_fast._core.http.http1 import Http1Connection

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
                Route("/large", self.large),
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

    async def large(self, request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(90):
                yield b"x" * 100_000

        return StreamingResponse(pieces())

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


async def test_a_frame_behind_the_handshake_of_its_websocket(
    server: socketio_fast.RunningServer,
) -> None:
    ws = await WebSocketConnection.upgrade(server, "/ws", frame(TEXT, "hi"))
    async with ws:
        assert await ws.message() == "hi!"


async def test_an_upgrade_to_another_protocol_is_ignored(
    connection: Connection,
) -> None:
    headers = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c")]
    for _ in range(2):
        assert (await connection.get("/hello", *headers)).text == "hello"
    await connection.open_session(path=PATH)


async def test_expect_100_continue(connection: Connection) -> None:
    head = [("Expect", "100-continue"), ("Content-Length", "3")]
    for _ in range(2):
        await connection.send(request("POST", "/echo", headers=head))
        assert (await connection.response()).status == 100
        await connection.send(b"abc")
        assert (await connection.response()).text == "abc"
    sid = await connection.open_session(path=PATH)
    head[1] = ("Content-Length", "2")
    await connection.send(request("POST", polling(sid, path=PATH), headers=head))
    assert (await connection.response()).status == 100
    await connection.send(b"40")
    (await connection.response()).ok("ok")


async def test_a_body_that_looks_like_a_request(connection: Connection) -> None:
    """Also where it comes apart from its head, in chunks or not."""
    body = request("GET", polling(path=PATH))
    head = request("POST", "/echo", headers=[("Content-Length", str(len(body)))])
    for pieces in (
        [head, body],
        [head, body[:30], body[30:]],
        [
            request("POST", "/echo", headers=[("Transfer-Encoding", "chunked")]),
            chunk(body),
            b"0\r\n\r\n",
        ],
    ):
        for piece in pieces:
            await connection.send(piece)
            await turns()
        assert (await connection.response()).body == body
    await connection.open_session(path=PATH)


async def test_head_and_options(connection: Connection) -> None:
    for _ in range(2):
        await connection.send(request("HEAD", "/hello"))
        head = await connection.response("HEAD")
        assert (head.status, head.header("content-length")) == (200, "5")
        await connection.send(request("OPTIONS", "/hello"))
        assert (await connection.response()).status == 405
        await connection.open_session(path=PATH)


@pytest.mark.parametrize("target", ["/hello", polling(path=PATH)])
async def test_the_connection_closes_when_asked(
    server: socketio_fast.RunningServer, target: str
) -> None:
    for last in (
        request("GET", target, headers=[("Connection", "close")]),
        b"GET %b HTTP/1.0\r\n\r\n" % target.encode(),
    ):
        async with await Connection.open(server) as connection:
            assert (await connection.get("/hello")).text == "hello"
            await connection.send(last)
            response = await connection.response()
            assert (response.status, response.header("connection")) == (200, "close")
            await connection.eof()


async def test_a_client_that_closes_its_side(
    server: socketio_fast.RunningServer,
) -> None:
    async with await Connection.open(server) as connection:
        await connection.send(request("GET", "/hel"))
        assert (await connection.response()).status == 404
        await connection.send(b"GET /he")
        connection.writer.write_eof()
        await connection.eof()


async def test_a_hundred_requests_at_once(connection: Connection) -> None:
    target = polling(path=PATH)
    burst = request("GET", "/hello") * 33 + request("GET", target)
    await connection.send((burst * 3)[:-1])
    await turns()
    await connection.send(burst[-1:])
    for number in range(102):
        response = (await connection.response()).ok()
        assert response.text.startswith("0{" if number % 34 == 33 else "hello")
    await connection.open_session(path=PATH)


async def test_a_request_behind_a_post_in_one_segment(connection: Connection) -> None:
    sid = await connection.open_session(path=PATH)
    post = request("POST", polling(sid, path=PATH), "40")
    await connection.send(post + request("GET", "/hello"))
    (await connection.response()).ok("ok")
    assert (await connection.response()).text == "hello"
    # Behind one that is not plain it has been read already: told, not lost.
    await connection.send(
        chunked(polling(sid, path=PATH), [b'42["x"]']) + request("GET", "/hello")
    )
    (await connection.response()).ok("ok")
    refused = await connection.response()
    assert (refused.status, refused.header("connection")) == (503, "close")
    await connection.eof()


async def test_responses_keep_their_order_where_a_client_reads_late(
    serve: Serve, other: Other
) -> None:
    """What one side has not written yet leaves before what the other writes."""
    sio = socketio_fast.AsyncServer()

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await sio.emit("large", "x" * 9_000_000, to=sid)

    server = await serve(socketio_fast.ASGIApp(sio, other.app))
    connection = await Connection.open(server, receive_buffer=4096, limit=4096)
    async with connection:
        sid = await connection.open_session(path=PATH)
        (await connection.post(polling(sid, path=PATH), "40")).ok("ok")
        await connection.send(request("GET", polling(sid, path=PATH)))
        await turns()
        # Its response waits for the client, and so does this one.
        post = request("POST", polling(sid, path=PATH), '42["x"]')
        await connection.send(post + request("GET", "/hello"))
        await turns()
        assert (await connection.response()).text.endswith('xxx"]')
        (await connection.response()).ok("ok")
        assert (await connection.response()).text == "hello"
        await connection.send(request("GET", "/large"))
        await turns(50)
        await connection.send(request("GET", polling(path=PATH)))
        assert (await connection.response()).text == "x" * 9_000_000
        assert (await connection.response()).text.startswith("0{")


def test_what_the_transport_holds_leaves_first() -> None:
    """A connection comes back while another protocol's response has not left.

    On asyncio's own loop, where the transport writes later than we do.
    """
    asyncio.run(_write_behind_a_transport())


async def _write_behind_a_transport() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    server = await socketio_fast.serve(socketio_fast.AsyncServer(), port=0)
    async with server:
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, ours)
        size = 0
        while not transport.get_write_buffer_size():
            transport.write(b"x" * 100_000)
            size += 100_000
        # There is room again, which the transport is told in the next pass.
        theirs.setblocking(False)
        received = theirs.recv(size)
        protocol = Http1Connection(server._endpoint)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(request("GET", polling(path=PATH)))
        while not received.endswith(b"}"):
            received += await within(loop.sock_recv(theirs, size))
        assert received.index(b"HTTP/1.1 200") == size
        transport.abort()
        theirs.close()


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


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_the_environ_has_the_scope(
    serve: Serve, other: Other, transport: str
) -> None:
    sio = socketio_fast.AsyncServer()
    environs: list[dict[str, Any]] = []
    sio.on("connect", lambda sid, environ: environs.append(environ))
    server = await serve(socketio_fast.ASGIApp(sio, other.app))
    async with AsyncSimpleClient(handle_sigint=False) as client:
        await client.connect(f"{server.url}?a=%20", transports=[transport])
    (environ,) = environs
    scope = environ["asgi.scope"]
    kind, scheme = ("http", "http") if transport == "polling" else ("websocket", "ws")
    assert (scope["type"], scope["scheme"], scope["path"]) == (kind, scheme, PATH)
    assert b"a=%20" in scope["query_string"]
    assert (
        dict(scope["headers"])[b"host"] == server.url.removeprefix("http://").encode()
    )
    assert scope["client"] == (environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"]))


# --- the access log -----------------------------------------------------------------


async def test_both_are_logged_in_the_same_format(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("socketio_fast.access", "uvicorn.access"):
        caplog.set_level("INFO", name)
    sio = socketio_fast.AsyncServer()
    server = await serve(socketio_fast.ASGIApp(sio, Other().app), access_log=True)
    async with aiohttp.ClientSession() as http:
        for path in ("/hello?who=ann", polling(path=PATH)):
            async with http.get(server.url + path) as response:
                assert response.status == 200
    found = {
        record.name: record.getMessage()
        for record in caplog.records
        if record.name.endswith(".access")
    }
    other, own = found["uvicorn.access"], found["socketio_fast.access"]
    line = r'127\.0\.0\.1 - - \[[^\]]+\] "GET {} HTTP/1\.1" 200 {}'
    assert re.fullmatch(line.format(r"/hello\?who=ann", "-"), other)
    assert re.fullmatch(line.format("/socket.io/", r"\d+"), own)
