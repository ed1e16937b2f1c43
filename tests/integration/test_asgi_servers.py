"""ASGIApp as people run it: ASGI servers in processes of their own, and frameworks."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import django.conf
import django.core.asgi
import django.http
import django.urls
import pytest
import trustme
from fastapi import FastAPI
from litestar import Litestar, asgi, get
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from support.hosts import compiled, run_uvicorn
from support.ports import free_port
from support.raw import within
from support.servers import (
    STOP_TIMEOUT,
    Server,
    connected,
    listens,
    process,
    waiting_poll,
)

import socketio_fast

APP = """
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

import socketio_fast

sio = socketio_fast.AsyncServer()

@sio.event
async def echo(sid, data):
    return data

@asynccontextmanager
async def lifespan(app):
    note("startup")
    yield
    note("shutdown")

def note(line):
    with open("notes", "a") as file:
        print(line, file=file)

other = FastAPI(lifespan=lifespan)

@other.get("/page")
async def page():
    return PlainTextResponse("page")

app = socketio_fast.ASGIApp(sio, other)

if __name__ == "__main__":
    import sys
    socketio_fast.run(app, port=int(sys.argv[1]))
"""

#: The commands of servers; a port follows.
SERVERS = {
    "hypercorn": ["-m", "hypercorn", "app:app", "--bind", "127.0.0.1:{port}"],
    "granian": ["-m", "granian", "app:app", "--interface", "asgi", "--port", "{port}"],
    "uvicorn": ["-m", "uvicorn", "app:app", "--port", "{port}"],
    "uvicorn, compiled WebSockets": [
        *("-m", "uvicorn", "app:app", "--port", "{port}"),
        *("--ws", "socketio_fast.uvicorn:WebSocketProtocol"),
    ],
    "run()": ["app.py", "{port}"],
    "socketio-fast": ["-m", "socketio_fast", "run", "app:app", "--port", "{port}"],
}

# From Python 3.12 on, hypercorn does not end while a client is connected.
HYPERCORN_HANGS = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="hypercorn waits for its clients"
)
ENDING_SERVERS = [
    pytest.param(name, marks=[HYPERCORN_HANGS] if name == "hypercorn" else [])
    for name in SERVERS
]

#: Those that do not end while a poll waits, nor tell the application that they stop
#: before it is answered; and the options by which they do, as with python-socketio.
WAIT_FOR_POLLS = {
    "granian": ["--workers-kill-timeout", "1"],
    "uvicorn": ["--timeout-graceful-shutdown", "1"],
    "uvicorn, compiled WebSockets": ["--timeout-graceful-shutdown", "1"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@asynccontextmanager
async def start(name: str, cwd: Path, *options: str) -> AsyncIterator[Server]:
    port = free_port()
    arguments = [piece.format(port=port) for piece in SERVERS[name]]
    with process([*arguments, *options], cwd) as running:
        await listens(running, cwd, lambda: asyncio.open_connection("127.0.0.1", port))
        yield Server(running, port)


async def echoes(url: str, path: str = "socket.io", **options: Any) -> None:
    """By polling, by WebSocket, and by the upgrade from one to the other."""
    for transports in (["polling"], ["websocket"], ["polling", "websocket"]):
        data = {"a": [1, b"\x00\xff"]}
        async with connected(url, transports, path, **options) as client:
            assert client.transport() == transports[-1]
            assert await client.call("echo", data, timeout=5) == data
            await client.disconnect()


async def page(url: str, session: aiohttp.ClientSession | None = None) -> str:
    async with contextlib.AsyncExitStack() as stack:
        if session is None:
            session = await stack.enter_async_context(aiohttp.ClientSession())
        async with session.get(f"{url}/page") as response:
            return await response.text()


def notes(cwd: Path) -> list[str]:
    return (cwd / "notes").read_text().split()


@pytest.mark.parametrize("name", ENDING_SERVERS)
async def test_a_server(name: str, folder: Path) -> None:
    async with start(name, folder) as server:
        assert await page(server.url) == "page"
        await echoes(server.url)
        assert await page(server.url) == "page"
        assert notes(folder) == ["startup"]
        async with connected(server.url, ["websocket"]) as client:
            _, seconds = await server.stop()
            assert seconds < STOP_TIMEOUT
            await within(client.eio.wait())
        assert notes(folder) == ["startup", "shutdown"]
        # hypercorn has a traceback of its own, of a connection that it cancels.
        assert "socketio_fast/" not in (folder / "log").read_text()


@pytest.mark.parametrize("name", ENDING_SERVERS)
async def test_a_server_that_stops_with_a_poll(name: str, folder: Path) -> None:
    async with start(name, folder, *WAIT_FOR_POLLS.get(name, [])) as server:
        async with waiting_poll(server.url):
            _, seconds = await server.stop()
        assert seconds < STOP_TIMEOUT


@pytest.mark.parametrize("name", WAIT_FOR_POLLS)
async def test_a_server_that_waits_for_a_poll(name: str, folder: Path) -> None:
    async with start(name, folder) as server:
        async with waiting_poll(server.url):
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                await asyncio.to_thread(server.process.wait, 2)
        # The client has gone.
        await asyncio.to_thread(server.process.wait, STOP_TIMEOUT)
        assert notes(folder) == ["startup", "shutdown"]


async def test_run_over_tls(folder: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        folder / "pem"
    )
    context = ssl.create_default_context()
    authority.configure_trust(context)
    port = free_port()
    arguments = ["-m", "socketio_fast", "run", "app:app", "--ssl-certfile", "pem"]
    with process([*arguments, "--port", str(port)], folder) as running:
        await listens(
            running, folder, lambda: asyncio.open_connection("127.0.0.1", port)
        )
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector) as session:
            url = f"https://127.0.0.1:{port}"
            assert await page(url, session) == "page"
            await echoes(url, session=session)
            async with connected(url, ["websocket"], session=session) as client:
                _, seconds = await Server(running, port).stop()
                assert seconds < STOP_TIMEOUT
                await within(client.eio.wait())
    assert notes(folder) == ["startup", "shutdown"]


async def test_run_on_a_unix_socket(folder: Path) -> None:
    arguments = ["-m", "socketio_fast", "run", "app:app", "--uds", "socket"]
    path = str(folder / "socket")
    with process(arguments, folder) as running:
        await listens(running, folder, lambda: asyncio.open_unix_connection(path))
        connector = aiohttp.UnixConnector(path)
        async with aiohttp.ClientSession(connector=connector) as session:
            assert await page("http://localhost", session) == "page"
            await echoes("http://localhost", session=session)
        status, seconds = await Server(running, 0).stop()
        assert (status, seconds < STOP_TIMEOUT) == (0, True)
    assert not (folder / "socket").exists()


# --- frameworks -------------------------------------------------------------------


def new_server() -> socketio_fast.AsyncServer:
    sio = socketio_fast.AsyncServer()

    @sio.event
    async def echo(sid: str, data: Any) -> Any:
        return data

    return sio


def fastapi_app(log: list[str]) -> FastAPI:
    app = FastAPI(lifespan=lifespan(log))

    @app.get("/page", response_class=PlainTextResponse)
    async def page() -> str:
        return "page"

    return app


def starlette_app(log: list[str], *routes: Mount) -> Starlette:
    async def page(request: Any) -> PlainTextResponse:
        return PlainTextResponse("page")

    return Starlette(routes=[Route("/page", page), *routes], lifespan=lifespan(log))


def litestar_app(log: list[str], *handlers: Any) -> Litestar:
    @get("/page", media_type="text/plain")
    async def page() -> str:
        return "page"

    return Litestar([page, *handlers], lifespan=[lifespan(log)])


def lifespan(log: list[str]) -> Callable[[Any], Any]:
    @asynccontextmanager
    async def noting(app: Any) -> AsyncIterator[None]:
        log.append("startup")
        yield
        log.append("shutdown")

    return noting


def django_app(log: list[str]) -> Any:
    if not django.conf.settings.configured:
        django.conf.settings.configure(
            ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="secret"
        )
    return django.core.asgi.get_asgi_application()


def django_page(request: django.http.HttpRequest) -> django.http.HttpResponse:
    return django.http.HttpResponse("page")


urlpatterns = [django.urls.path("page", django_page)]


def around(make: Callable[[list[str]], Any]) -> Callable[[list[str]], Any]:
    def wrap(log: list[str]) -> Any:
        return socketio_fast.ASGIApp(new_server(), make(log))

    return wrap


def mounted_in_fastapi(log: list[str]) -> Any:
    app = fastapi_app(log)
    app.mount("/live", socketio_fast.ASGIApp(new_server()))
    return app


def mounted_in_starlette(log: list[str]) -> Any:
    return starlette_app(log, Mount("/live", socketio_fast.ASGIApp(new_server())))


def mounted_in_litestar(log: list[str]) -> Any:
    app: Any = socketio_fast.ASGIApp(new_server())
    mount = asgi("/live", is_mount=True, copy_scope=True)
    return litestar_app(log, mount(app.__call__))


Host = Callable[[Any], AbstractAsyncContextManager[str]]


@pytest.mark.parametrize("host", [run_uvicorn, compiled])
@pytest.mark.parametrize("make", [fastapi_app, starlette_app, litestar_app, django_app])
async def test_around_a_framework(make: Callable[[list[str]], Any], host: Host) -> None:
    log: list[str] = []
    async with host(around(make)(log)) as url:
        await echoes(url)
        assert await page(url) == "page"
    # Django has no lifespan.
    assert log == ([] if make is django_app else ["startup", "shutdown"])


@pytest.mark.parametrize(
    "make", [mounted_in_fastapi, mounted_in_starlette, mounted_in_litestar]
)
async def test_mounted_in_a_framework(make: Callable[[list[str]], Any]) -> None:
    log: list[str] = []
    async with run_uvicorn(make(log)) as url:
        await echoes(url, "live/socket.io")
        assert await page(url) == "page"
    assert log == ["startup", "shutdown"]
