"""Inside aiohttp, tornado and sanic: what the suites' cases do not show."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import sanic
import tornado.web
import trustme
from aiohttp import web
from support.hosts import run_aiohttp, run_sanic, run_tornado, run_uvicorn, sanic_app
from support.ports import free_port
from support.python_client import async_client
from support.raw import (
    TEXT,
    Connection,
    WebSocket,
    frame,
    polling,
    request,
    websocket,
    within,
)
from support.servers import Server, connected, listens, process, waiting_poll
from support.waiting import until

import socketio_fast

PATH = "/live/socket.io/"
TRANSPORTS = ["polling", "websocket"]

Run = Callable[..., AbstractAsyncContextManager[str]]


class Application:
    """An echo server that notes its environs and ends, and a page beside it."""

    def __init__(self, **options: Any) -> None:
        self.sio = sio = socketio_fast.AsyncServer(**options)
        self.environs: list[dict[str, Any]] = []
        self.ended: asyncio.Queue[str] = asyncio.Queue()

        @sio.event
        def connect(sid: str, environ: dict[str, Any]) -> None:
            self.environs.append(environ)

        @sio.event
        async def echo(sid: str, data: Any) -> Any:
            return data

        @sio.event
        def disconnect(sid: str, reason: str) -> None:
            self.ended.put_nowait(reason)


def on_aiohttp(sio: socketio_fast.AsyncServer, **options: Any) -> Any:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="page")

    app = web.Application()
    app.router.add_get("/page", page)
    sio.attach(app, PATH)
    return run_aiohttp(app, **options)


def on_tornado(sio: socketio_fast.AsyncServer, **options: Any) -> Any:
    class Page(tornado.web.RequestHandler):
        def get(self) -> None:
            self.write("page")

    handler = socketio_fast.get_tornado_handler(sio)
    app = tornado.web.Application(
        [("/page", Page), (PATH, handler)],
        log_function=lambda handler: None,
        xsrf_cookies=True,
        cookie_secret="secret",
    )
    return run_tornado(app, **options)


def on_sanic(sio: socketio_fast.AsyncServer, **options: Any) -> Any:
    app = sanic_app()

    @app.get("/page")
    async def page(request: sanic.Request) -> sanic.HTTPResponse:
        return sanic.text("page")

    sio.attach(app, PATH)
    return run_sanic(app, **options)


RUNS: dict[str, Run] = {"aiohttp": on_aiohttp, "tornado": on_tornado, "sanic": on_sanic}


@pytest.fixture(params=RUNS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(name: str) -> Run:
    return RUNS[name]


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
async def url(run: Run, application: Application) -> AsyncIterator[str]:
    async with run(application.sio) as url:
        yield url
        await application.sio.shutdown()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def at(url: str) -> Any:
    """Where a bare client connects."""
    parts = urlsplit(url)
    return SimpleNamespace(host=parts.hostname, port=parts.port)


async def echoes(url: str, transports: list[str], path: str = PATH) -> None:
    """A client connects, gets its message back, and leaves."""
    data = {"a": [1, b"\x00\xff"]}
    async with async_client() as client:
        await client.connect(url, transports=transports, socketio_path=path)
        assert await client.call("echo", data) == data
        await client.disconnect()


@pytest.mark.parametrize(
    "transports", [["polling"], ["websocket"], ["polling", "websocket"]]
)
async def test_a_client_comes_and_goes(
    url: str, application: Application, transports: list[str]
) -> None:
    await echoes(url, transports)
    # By WebSocket that client may close without having sent its packet.
    reasons = {"client disconnect"}
    if transports != ["polling"]:
        reasons.add("transport close")
    assert await within(application.ended.get()) in reasons


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_environ(
    url: str, application: Application, transport: str, name: str
) -> None:
    await echoes(f"{url}/?token=1", [transport])
    (environ,) = application.environs
    own = environ[f"{name}.{'handler' if name == 'tornado' else 'request'}"]
    assert (own.request if name == "tornado" else own).headers["Host"] in url
    assert environ["SERVER_SOFTWARE"] == name
    assert environ["PATH_INFO"] == PATH
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["HTTP_HOST"] in url
    assert "token=1" in environ["QUERY_STRING"]


async def test_a_page_and_both_transports_on_one_connection(url: str) -> None:
    """T11, S4: a page and both transports on one connection."""
    async with await Connection.open(at(url)) as connection:
        for _ in range(2):
            assert (await connection.get("/page")).text == "page"
            sid = await connection.open_session(path=PATH)
            (await connection.post(polling(sid, path=PATH), "40")).ok("ok")
            assert (await connection.get(polling(sid, path=PATH))).text[:3] == "40{"
        await connection.send(
            b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket"
            b"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
            b"dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % websocket(path=PATH).encode()
        )
        ws = WebSocket(connection.reader, connection.writer)
        await ws.accepted()
        await ws.open_packet()


async def test_frames_behind_the_handshake_in_one_segment(url: str) -> None:
    both = frame(TEXT, "40") + frame(TEXT, '420["echo",1]')
    ws = await WebSocket.upgrade(at(url), websocket(path=PATH), both)
    async with ws:
        await ws.open_packet()
        assert str(await ws.message()).startswith("40{")
        assert await ws.message() == "430[1]"


async def test_a_large_message_by_websocket(url: str, name: str) -> None:
    ws = await WebSocket.upgrade(at(url), websocket(path=PATH))
    async with ws:
        await ws.open_packet()
        await ws.text("40")
        await ws.message()
        data = "x" * 900_000
        await ws.text(f'420["echo","{data}"]')
        assert await ws.message() == f'430["{data}"]'
        if name != "tornado":  # which resets the connection behind that close frame
            await ws.text(f'420["echo","{data * 2}"]')
            await ws.fails_with(1009)


async def test_a_refused_websocket_gets_the_status(
    url: str, http: aiohttp.ClientSession
) -> None:
    for query in ("EIO=3&transport=websocket", "EIO=4&transport=websocket&sid=x"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as failure:
            await http.ws_connect(f"{url}{PATH}?{query}")
        assert failure.value.status == 400


async def test_a_handshake_without_a_key_is_refused(url: str, name: str) -> None:
    async with await Connection.open(at(url)) as connection:
        headers = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
        await connection.send(request("GET", websocket(path=PATH), headers=headers))
        # tornado's own answer, as the version of WebSocket is not there either
        status = 426 if name == "tornado" else 400
        assert (await connection.response()).status == status


async def test_the_subprotocol_and_cookie_of_a_websocket(
    run: Run, http: aiohttp.ClientSession
) -> None:
    application = Application(cookie="sid")
    async with run(application.sio) as url:
        address = f"{url}{PATH}?EIO=4&transport=websocket"
        async with http.ws_connect(address, protocols=["a", "b"]) as ws:
            packet = json.loads((await within(ws.receive())).data[1:])
            assert ws.protocol == "a"
            cookie = ws._response.headers["Set-Cookie"]
            assert cookie.startswith(f"sid={packet['sid']};")
        await application.sio.shutdown()


async def test_methods_and_origins(url: str, http: aiohttp.ClientSession) -> None:
    address = f"{url}{PATH}?EIO=4&transport=polling"
    for method in ("PUT", "DELETE", "PATCH"):
        async with http.request(method, address) as response:
            assert response.status == 400
            assert (await response.json())["code"] == 2
    same = {"Origin": url}
    async with http.options(address, headers=same) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == url
    async with http.get(address, headers={"Origin": "http://other"}) as response:
        assert response.status == 400


async def test_too_large_a_body_is_refused(
    run: Run, http: aiohttp.ClientSession
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    async with run(Application(max_http_buffer_size=1000).sio) as url:
        address = f"{url}{PATH}?EIO=4&transport=polling"
        for body in (b"x" * 2000, pieces()):
            async with http.get(address) as response:
                sid = (await response.text())[9:29]
            post = http.post(
                f"{address}&sid={sid}",
                data=body,
                headers={"Content-Type": "text/plain"},
            )
            async with post as response:
                assert response.status == 413
            async with http.get(f"{address}&sid={sid}") as response:
                assert response.status == 400


async def test_a_poll_whose_client_goes_ends_the_session(
    url: str, application: Application
) -> None:
    async with await Connection.open(at(url)) as connection:
        sid = await connection.open_session(path=PATH)
        (await connection.post(polling(sid, path=PATH), "40")).ok("ok")
        await connection.get(polling(sid, path=PATH))
        await connection.park(polling(sid, path=PATH))
    assert await within(application.ended.get()) == "transport error"


async def test_a_websocket_that_breaks_off_ends_the_session(
    url: str, application: Application
) -> None:
    ws = await WebSocket.upgrade(at(url), websocket(path=PATH))
    await ws.open_packet()
    await ws.text("40")
    await ws.message()
    await ws.close()
    assert await within(application.ended.get()) == "transport close"


async def test_a_request_behind_a_poll_waits_for_it(url: str, name: str) -> None:
    async with await Connection.open(at(url)) as connection:
        sid = await connection.open_session(path=PATH)
        (await connection.post(polling(sid, path=PATH), "40")).ok("ok")
        await connection.get(polling(sid, path=PATH))
        await connection.park(polling(sid, path=PATH))
        await connection.send(request("GET", "/page"))
        await connection.silent()
        async with await Connection.open(at(url)) as other:
            (await other.post(polling(sid, path=PATH), '420["echo",1]')).ok("ok")
        assert (await connection.response()).text == "430[1]"
        assert (await connection.response()).text == "page"


async def test_clients_are_closed_when_the_host_stops(
    run: Run, application: Application, name: str
) -> None:
    async with run(application.sio) as url:
        ws = await WebSocket.upgrade(at(url), websocket(path=PATH))
        await ws.open_packet()
        await ws.text("40")
        await ws.message()
        poller = await Connection.open(at(url))
        sid = await poller.open_session(path=PATH)
        (await poller.post(polling(sid, path=PATH), "40")).ok("ok")
        await poller.get(polling(sid, path=PATH))
        await poller.park(polling(sid, path=PATH))
        client = asyncio.create_task(ws.close_payload())
        poll = asyncio.create_task(poller.response())
        if name == "tornado":
            await application.sio.shutdown()
            await poll
    assert await within(client) == b""
    # A host that stops wants clients that poll to come again.
    assert (await poll).status == (200 if name == "tornado" else 503)
    for _ in range(2):
        assert await within(application.ended.get()) == "server disconnect"
    await poller.close()


async def test_a_host_that_starts_again(run: Run, application: Application) -> None:
    for _ in range(2):
        async with run(application.sio) as url:
            await echoes(url, ["polling"])
            await echoes(url, ["websocket"])


async def test_over_tls(run: Run, application: Application, name: str) -> None:
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    option = "ssl_options" if name == "tornado" else "ssl"
    async with run(application.sio, **{option: server_context}) as url:
        url = url.replace("http", "https")
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector) as http:
            for transport in TRANSPORTS:
                async with async_client(http_session=http) as client:
                    await client.connect(
                        url, transports=[transport], socketio_path=PATH
                    )
                    data = b"x" * 300_000
                    assert await client.call("echo", data) == data
                    await client.disconnect()
    assert [e["wsgi.url_scheme"] for e in application.environs] == ["https"] * 2


# --- aiohttp ----------------------------------------------------------------------


async def test_aiohttp_sub_application(application: Application) -> None:
    sub, app = web.Application(), web.Application()
    application.sio.attach(sub)
    app.add_subapp("/sub", sub)
    async with run_aiohttp(app) as url:
        ws = await WebSocket.upgrade(at(url), websocket(path="/sub/socket.io/"))
        await ws.open_packet()
        await echoes(url, ["polling", "websocket"], "sub/socket.io")
        client = asyncio.create_task(ws.close_payload())
    assert await within(client) == b""


async def test_aiohttp_route_of_a_program(application: Application) -> None:
    """Without attach() it is closed after aiohttp's timeout, as its own WebSockets."""
    seen: asyncio.Queue[tuple[str, int, bool]] = asyncio.Queue()

    @web.middleware
    async def watch(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        seen.put_nowait((request.method, response.status, response.prepared))
        return response

    app = web.Application(middlewares=[watch])
    app.router.add_route("*", PATH, application.sio.handle_request)
    async with run_aiohttp(app, shutdown_timeout=0.1) as url:
        await echoes(url, ["websocket"])
        await within(application.ended.get())
        assert await within(seen.get()) == ("GET", 101, True)
        ws = await WebSocket.upgrade(at(url), websocket(path=PATH))
        await ws.open_packet()
        await ws.text("40")
        await ws.message()
    await ws.eof(reset=True)
    assert await within(application.ended.get()) == "transport close"


async def test_aiohttp_forgets_a_websocket_that_has_closed(
    application: Application,
) -> None:
    app = web.Application()
    application.sio.attach(app)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    server = runner.server
    assert server is not None
    ws = await WebSocket.upgrade(
        SimpleNamespace(host=host, port=port), websocket(path="/socket.io/")
    )
    await ws.open_packet()
    await ws.text("40")
    await ws.message()
    assert len(server.connections) == 1
    await ws.close()
    assert await within(application.ended.get()) == "transport close"
    await until(lambda: not server.connections)
    await runner.cleanup()


async def test_aiohttp_knows_who_is_behind_a_proxy(application: Application) -> None:
    @web.middleware
    async def forwarded(request: web.Request, handler: Any) -> web.StreamResponse:
        clone = request.clone(remote="192.0.2.7", scheme="https")
        response: web.StreamResponse = await handler(clone)
        return response

    app = web.Application(middlewares=[forwarded])
    application.sio.attach(app)
    async with run_aiohttp(app) as url:
        await echoes(url, ["polling"], "socket.io")
        await echoes(url, ["websocket"], "socket.io")
    for environ in application.environs:
        assert environ["REMOTE_ADDR"] == "192.0.2.7"
        assert environ["wsgi.url_scheme"] == "https"


# --- sanic ------------------------------------------------------------------------


async def test_sanic_blueprint_and_route_of_a_program(
    application: Application,
) -> None:
    app = sanic_app()
    blueprint = sanic.Blueprint("live", url_prefix="/blue")
    application.sio.attach(blueprint)
    app.blueprint(blueprint)

    @app.route("/own/", methods=["GET", "POST"])
    async def own(request: sanic.Request) -> sanic.HTTPResponse:
        response: sanic.HTTPResponse = await application.sio.handle_request(request)
        return response

    async with run_sanic(app) as url:
        for path in ("blue/socket.io", "own"):
            await echoes(url, ["polling"], path)
            await echoes(url, ["websocket"], path)


async def test_sanic_on_another_server_has_polling(application: Application) -> None:
    app = sanic_app()
    application.sio.attach(app)
    async with run_uvicorn(app) as url, aiohttp.ClientSession() as http:
        await echoes(url, ["polling"], "socket.io")
        address = f"{url}/socket.io/?EIO=4&transport=websocket"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(address)


# --- tornado ----------------------------------------------------------------------


async def test_tornado_handler_of_a_program(application: Application) -> None:
    prepared = []

    class Handler(socketio_fast.get_tornado_handler(application.sio)):  # type: ignore[misc]
        def prepare(self) -> None:
            prepared.append(self.request.method)

    app = tornado.web.Application([(PATH, Handler)], log_function=lambda handler: None)
    async with run_tornado(app) as url:
        await echoes(url, ["websocket"])
    assert prepared == ["GET"]


async def test_tornado_lets_go_of_a_client_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socketio_fast.hosting.tornado.CLOSE_TIMEOUT", 0)
    closed = asyncio.Event()
    # More than all buffers of the system.
    sio = socketio_fast.AsyncServer(max_buffer_bytes=30_000_000)
    sio.on("e", lambda sid: None)

    class Handler(socketio_fast.get_tornado_handler(sio)):  # type: ignore[misc]
        def on_close(self) -> None:
            super().on_close()
            closed.set()

    app = tornado.web.Application([(PATH, Handler)], log_function=lambda handler: None)
    async with run_tornado(app) as url:
        ws = await WebSocket.upgrade(at(url), websocket(path=PATH))
        await ws.open_packet()
        await ws.text("40")
        await ws.message()
        ws.reader._limit = 1  # type: ignore[attr-defined]
        while sio.eio.sockets:
            await sio.emit("e", "x" * 1_000_000)
            await asyncio.sleep(0)
        await within(closed.wait(), seconds=10)  # tornado takes five seconds
        await ws.close()


# --- anything else ----------------------------------------------------------------


async def test_anything_else_is_refused() -> None:
    sio = socketio_fast.AsyncServer()
    with pytest.raises(TypeError, match="a request of aiohttp"):
        await sio.handle_request(object())
    with pytest.raises(TypeError, match="ASGI application is wrapped"):
        sio.attach(object())


# --- as people run them -----------------------------------------------------------

APP = """
import asyncio
import logging
import signal
import sys

import socketio_fast

sio = socketio_fast.AsyncServer()

@sio.event
async def echo(sid, data):
    return data

@sio.event
async def disconnect(sid, reason):
    print(reason, flush=True)

port = int(sys.argv[1])
"""

PROGRAMS = {
    "aiohttp": APP
    + """
from aiohttp import web

app = web.Application()
sio.attach(app)
web.run_app(app, host="127.0.0.1", port=port, print=None)
""",
    "tornado": APP
    + """
import tornado.web

async def main():
    handler = socketio_fast.get_tornado_handler(sio)
    app = tornado.web.Application([("/socket.io/", handler)])
    server = app.listen(port, "127.0.0.1")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.stop()
    await sio.shutdown()
    await server.close_all_connections()

asyncio.run(main())
""",
    "sanic": APP
    + """
import sanic

app = sanic.Sanic("app", configure_logging=False)
sio.attach(app)
if __name__ == "__main__":
    app.run("127.0.0.1", port, single_process=True, motd=False)
""",
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_program_that_is_told_to_stop(
    name: str, transport: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(PROGRAMS[name])
    port = free_port()
    with process(["app.py", str(port)], tmp_path) as running:
        await listens(
            running, tmp_path, lambda: asyncio.open_connection("127.0.0.1", port)
        )
        server = Server(running, port)
        if transport == "polling":
            async with waiting_poll(server.url):
                status, seconds = await server.stop()
        else:
            async with connected(server.url, [transport]) as client:
                assert await client.call("echo", 1, timeout=5) == 1
                status, seconds = await server.stop()
                await within(client.eio.wait())
        log = (tmp_path / "log").read_text()
        if sys.version_info >= (3, 14):  # which warns of calls of sanic and uvloop
            theirs = r"^/\S*/(sanic|uvloop)/\S*: DeprecationWarning: .*\n(  .*\n)?"
            log = re.sub(theirs, "", log, flags=re.M)
        assert (status, seconds < 5) == (0, True), log
        assert log == "server disconnect\n"
