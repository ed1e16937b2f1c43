"""ASGIApp under uvicorn, alone and mounted: what the suites' cases do not show."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from support.hosts import run_uvicorn
from support.python_client import async_client
from support.raw import within

import socketio_fast

COMPILED = "socketio_fast.uvicorn:WebSocketProtocol"
TRANSPORTS = [
    pytest.param("polling", "auto", id="polling"),
    pytest.param("websocket", "auto", id="websocket"),
    pytest.param("websocket", COMPILED, id="compiled websocket"),
]


class Application:
    """An echo server that notes its environs and ends."""

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


async def echoes(url: str, transport: str, path: str = "socket.io") -> None:
    """A client connects, gets its message back, and leaves."""
    data = {"a": [1, b"\x00\xff"]}
    async with async_client() as client:
        await client.connect(url, transports=[transport], socketio_path=path)
        assert await client.call("echo", data) == data
        await client.disconnect()


@pytest.mark.parametrize(("transport", "ws"), TRANSPORTS)
async def test_a_client_comes_and_goes(transport: str, ws: str) -> None:
    application = Application()
    async with run_uvicorn(socketio_fast.ASGIApp(application.sio), ws=ws) as url:
        await echoes(url, transport)
        # By WebSocket that client may close without having sent its packet.
        reasons = {"client disconnect"}
        if transport != "polling":
            reasons.add("transport close")
        assert await within(application.ended.get()) in reasons


@pytest.mark.parametrize(("transport", "ws"), TRANSPORTS)
async def test_an_object_stands_for_the_server(transport: str, ws: str) -> None:
    class Wrapper:
        sio = Application().sio

        def __getattr__(self, name: str) -> Any:
            return getattr(self.sio, name)

    wrapper: Any = Wrapper()
    async with run_uvicorn(socketio_fast.ASGIApp(wrapper), ws=ws) as url:
        await echoes(url, transport)


@pytest.mark.parametrize(("transport", "ws"), TRANSPORTS)
async def test_the_environ_has_the_scope(transport: str, ws: str) -> None:
    application = Application()
    async with run_uvicorn(socketio_fast.ASGIApp(application.sio), ws=ws) as url:
        await echoes(url + "/?token=1", transport)
    (environ,) = application.environs
    assert environ["asgi.scope"]["path"] == environ["PATH_INFO"] == "/socket.io/"
    assert callable(environ["asgi.receive"])
    assert callable(environ["asgi.send"])
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert "token=1" in environ["QUERY_STRING"]


@pytest.mark.parametrize(("transport", "ws"), TRANSPORTS)
async def test_mounted_behind_middleware(transport: str, ws: str) -> None:
    seen = []

    class Watch:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(
            self, scope: MutableMapping[str, Any], receive: Any, send: Any
        ) -> None:
            seen.append(scope["type"])
            await self.app(scope, receive, send)

    application = Application()
    app = Starlette(
        routes=[Mount("/live", socketio_fast.ASGIApp(application.sio))],
        middleware=[Middleware(Watch)],
    )
    async with run_uvicorn(app, ws=ws) as url:
        await echoes(url, transport, "live/socket.io")
    assert {"lifespan", "websocket" if transport == "websocket" else "http"} == set(
        seen
    )


async def test_mounted_at_its_own_path() -> None:
    application = Application()
    app = FastAPI()
    app.mount("/socket.io", socketio_fast.ASGIApp(application.sio))
    async with run_uvicorn(app) as url:
        await echoes(url, "polling")
        await echoes(url, "websocket")


async def test_around_another_application() -> None:
    application = Application()
    other = FastAPI()

    @other.get("/hello")
    async def hello() -> str:
        return "hello"

    app = socketio_fast.ASGIApp(application.sio, other)
    async with run_uvicorn(app) as url, aiohttp.ClientSession() as http:
        await echoes(url, "websocket")
        async with http.get(f"{url}/hello") as response:
            assert await response.json() == "hello"
        async with http.post(f"{url}/nowhere") as response:
            assert response.status == 404


async def test_every_path_without_one() -> None:
    application = Application()
    app = socketio_fast.ASGIApp(application.sio, socketio_path=None)
    async with run_uvicorn(app) as url:
        await echoes(url, "websocket", "any/where")


async def test_static_files_and_not_found(tmp_path: Any) -> None:
    (tmp_path / "a.js").write_text("let a")
    app = socketio_fast.ASGIApp(
        Application().sio, static_files={"/static": str(tmp_path)}
    )
    async with run_uvicorn(app) as url, aiohttp.ClientSession() as http:
        async with http.get(f"{url}/static/a.js") as response:
            assert response.content_type == "application/javascript"
            assert await response.text() == "let a"
        async with http.get(f"{url}/static/b.js") as response:
            assert (response.status, await response.text()) == (404, "Not Found")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{url}/static/a.js")


@pytest.mark.parametrize("ws", ["auto", COMPILED])
async def test_a_refused_websocket_gets_the_status(ws: str) -> None:
    app = socketio_fast.ASGIApp(Application().sio)
    async with run_uvicorn(app, ws=ws) as url, aiohttp.ClientSession() as http:
        address = f"{url}/socket.io/?EIO=3&transport=websocket"
        with pytest.raises(aiohttp.WSServerHandshakeError) as failure:
            await http.ws_connect(address)
        assert failure.value.status == 400


async def test_too_large_a_body_is_refused() -> None:
    application = Application(max_http_buffer_size=1000)
    app = socketio_fast.ASGIApp(application.sio)

    async def pieces() -> Any:
        for _ in range(20):
            yield b"x" * 100

    async with run_uvicorn(app) as url, aiohttp.ClientSession() as http:
        address = f"{url}/socket.io/?EIO=4&transport=polling"
        for body in (b"x" * 2000, pieces()):
            async with http.get(address) as response:
                sid = (await response.text())[9:29]
            post = http.post(
                f"{address}&sid={sid}",
                data=body,
                headers={"content-type": "text/plain"},
            )
            async with post as response:
                assert response.status == 413
            async with http.get(f"{address}&sid={sid}") as response:
                assert response.status == 400


async def test_a_poll_whose_client_goes_ends_the_session() -> None:
    application = Application()
    app = socketio_fast.ASGIApp(application.sio)
    async with run_uvicorn(app) as url, aiohttp.ClientSession() as http:
        address = f"{url}/socket.io/?EIO=4&transport=polling"
        async with http.get(address) as response:
            address += "&sid=" + (await response.text())[9:29]
        async with http.post(address, data="40") as response:
            assert response.status == 200
        async with http.get(address) as response:
            assert (await response.text()).startswith("40")
        with pytest.raises(asyncio.TimeoutError):
            await http.get(address, timeout=aiohttp.ClientTimeout(0.1))
        assert await within(application.ended.get()) == "transport error"


async def test_cancelling_handlers_does_not_hang_a_compiled_websocket() -> None:
    """A client that is still there when uvicorn stops is closed."""
    application = Application()
    app = socketio_fast.ASGIApp(application.sio)
    async with aiohttp.ClientSession() as http:
        async with run_uvicorn(app, ws=COMPILED) as url:
            address = f"{url}/socket.io/?EIO=4&transport=websocket"
            ws = await http.ws_connect(address)
            assert (await within(ws.receive())).data.startswith("0{")
            await ws.send_str("40")
            assert (await within(ws.receive())).data.startswith("40{")
        assert (await within(ws.receive())).type is aiohttp.WSMsgType.CLOSE
        assert await within(application.ended.get()) == "server disconnect"


# --- lifespan -------------------------------------------------------------------


async def lifespan(
    app: Any, *, shutdown: bool = True
) -> list[MutableMapping[str, Any]]:
    """What an application says in a lifespan."""
    sent: list[MutableMapping[str, Any]] = []
    events = iter(["lifespan.startup", *(["lifespan.shutdown"] * shutdown)])

    async def receive() -> MutableMapping[str, Any]:
        return {"type": next(events)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await within(app({"type": "lifespan", "state": {}}, receive, send))
    return sent


COMPLETE = [
    {"type": "lifespan.startup.complete"},
    {"type": "lifespan.shutdown.complete"},
]


async def test_lifespan_alone() -> None:
    log: list[str] = []

    async def on_startup() -> None:
        log.append("on_startup")

    app = socketio_fast.ASGIApp(
        Application().sio,
        on_startup=on_startup,
        on_shutdown=lambda: log.append("on_shutdown"),
    )
    assert await lifespan(app) == COMPLETE
    assert log == ["on_startup", "on_shutdown"]


async def test_lifespan_of_both() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def other(app: Any) -> Any:
        log.append("startup")
        yield
        log.append("shutdown")

    app = socketio_fast.ASGIApp(
        Application().sio,
        Starlette(lifespan=other),
        on_startup=lambda: log.append("on_startup"),
        on_shutdown=lambda: log.append("on_shutdown"),
    )
    assert await lifespan(app) == COMPLETE
    assert log == ["on_startup", "startup", "shutdown", "on_shutdown"]


async def test_an_application_without_lifespan() -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("what is a lifespan?")

    log: list[str] = []
    app = socketio_fast.ASGIApp(
        Application().sio, other, on_shutdown=lambda: log.append("on_shutdown")
    )
    assert await lifespan(app) == COMPLETE
    assert log == ["on_shutdown"]


@pytest.mark.parametrize("hook", ["on_startup", "on_shutdown"])
async def test_a_hook_that_fails_is_told(hook: str) -> None:
    def fail() -> None:
        raise LookupError("no database")

    app = socketio_fast.ASGIApp(Application().sio, **{hook: fail})
    phase = hook[3:]
    last = (await lifespan(app, shutdown=hook == "on_shutdown"))[-1]
    assert last == {"type": f"lifespan.{phase}.failed", "message": "no database"}


async def test_a_startup_of_the_other_that_fails_is_told() -> None:
    @asynccontextmanager
    async def other(app: Any) -> Any:
        raise LookupError("no database")
        yield

    app = socketio_fast.ASGIApp(Application().sio, Starlette(lifespan=other))
    (message,) = await lifespan(app, shutdown=False)
    assert message["type"] == "lifespan.startup.failed"
