"""ASGIApp: paths, other applications, static files, lifespan."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.raw import upgrade_request
from support.waiting import within

from compat.harness import HOSTS, Host, Record, Run, compiled

BASE = "/socket.io/?EIO=4&transport=polling"


#: For what only a server of ASGI applications does.
under_uvicorn = pytest.mark.parametrize(
    "host", [h for h in HOSTS if h.serve is not compiled], ids=lambda host: host.name
)


async def other(scope: Any, receive: Any, send: Any) -> None:
    """An application that says what it was asked."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "other " + scope["path"]})
        await send({"type": "websocket.close"})
    elif scope["type"] == "http":
        text = f"other {scope['method']} {scope['path']}"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})
    else:
        raise NotImplementedError(scope["type"])


async def test_alone(run: Run) -> None:
    server = await run(wrap=lambda package, sio: package.ASGIApp(sio))
    await server.client()
    answer = await server.get("/other")
    assert answer.status == 404
    assert answer.text == "Not Found"
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
async def test_other_application(run: Run, method: str) -> None:
    server = await run(wrap=lambda package, sio: package.ASGIApp(sio, other))
    answer = await server.http(method, "/some/path")
    assert answer.text == f"other {method} /some/path"
    await server.client()


async def test_websocket_of_the_other_application(run: Run) -> None:
    server = await run(wrap=lambda package, sio: package.ASGIApp(sio, other))
    ws = await server.raw.websocket("/ws")
    assert await ws.message() == "other /ws"


@pytest.mark.parametrize("path", ["ws", "/ws/", "a/b"])
async def test_path(run: Run, path: str) -> None:
    server = await run(
        wrap=lambda package, sio: package.ASGIApp(sio, other, socketio_path=path)
    )
    at = "/" + path.strip("/") + "/"
    assert (await server.get(f"{at}?EIO=4&transport=polling")).text.startswith("0{")
    assert (await server.get(BASE)).text == "other GET /socket.io/"


async def test_no_path_is_every_path(run: Run) -> None:
    server = await run(
        wrap=lambda package, sio: package.ASGIApp(sio, other, socketio_path=None)
    )
    answer = await server.get("/any/thing?EIO=4&transport=polling")
    assert answer.text.startswith("0{")


@under_uvicorn
async def test_mounted_in_starlette(run: Run) -> None:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    def wrap(package: Any, sio: Any) -> Any:
        async def home(request: Any) -> Any:
            return PlainTextResponse("home")

        return Starlette(
            routes=[Route("/", home), Mount("/", app=package.ASGIApp(sio))]
        )

    server = await run(wrap=wrap)
    assert (await server.get("/")).text == "home"
    await server.client()
    await server.client(transports=["polling"])


@under_uvicorn
async def test_mounted_below_a_prefix(run: Run) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    def wrap(package: Any, sio: Any) -> Any:
        app = package.ASGIApp(sio, socketio_path="ws/socket.io")
        return Starlette(routes=[Mount("/ws", app=app)])

    server = await run(wrap=wrap)
    client = server.new_client()
    await client.sio.connect(
        server.url, socketio_path="ws/socket.io", transports=["websocket"], wait=False
    )
    await client.receives("connect")


async def test_around_fastapi(run: Run) -> None:
    from fastapi import FastAPI

    def wrap(package: Any, sio: Any) -> Any:
        api = FastAPI()

        @api.get("/hello")
        async def hello() -> Any:
            await sio.emit("asked")
            return {"hello": "world"}

        return package.ASGIApp(sio, api)

    server = await run(wrap=wrap)
    client = await server.client()
    assert (await server.get("/hello")).text == '{"hello":"world"}'
    await client.receives("asked")


@under_uvicorn
async def test_environ_has_the_scope(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            record(environ["asgi.scope"]["path"], environ["SERVER_SOFTWARE"])

    server = await run(app, wrap=lambda package, sio: package.ASGIApp(sio))
    await server.client()
    await server.recorded("/socket.io/", "asgi")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "index.html").write_text("<p>index")
    static = tmp_path / "static"
    (static / "sub").mkdir(parents=True)
    (static / "index.html").write_text("<p>static index")
    (static / "style.css").write_text("p {}")
    (static / "app.js").write_text("1")
    (static / "image.png").write_bytes(b"png")
    (static / "data.unknown").write_bytes(b"data")
    (static / "sub" / "page.html").write_text("<p>page")
    (tmp_path / "secret.txt").write_text("secret")
    return {
        "/": str(tmp_path / "index.html"),
        "/static": str(static),
        "/one.txt": {
            "content_type": "text/x-own",
            "filename": str(tmp_path / "index.html"),
        },
        "/gone": str(tmp_path / "gone.html"),
    }


@pytest.mark.parametrize(
    ("path", "status", "kind", "text"),
    [
        ("/", 200, "text/html", "<p>index"),
        ("/static/style.css", 200, "text/css", "p {}"),
        ("/static/app.js", 200, "application/javascript", "1"),
        ("/static/image.png", 200, "image/png", "png"),
        ("/static/data.unknown", 200, "application/octet-stream", "data"),
        ("/static/sub/page.html", 200, "text/html", "<p>page"),
        ("/static/", 200, "text/html", "<p>static index"),
        ("/one.txt", 200, "text/x-own", "<p>index"),
        ("/static/none", 404, "text/plain", "Not Found"),
        ("/gone", 404, "text/plain", "Not Found"),
        ("/unknown", 404, "text/plain", "Not Found"),
        ("/static/..%2fsecret.txt", 404, "text/plain", "Not Found"),
    ],
)
async def test_static_files(
    run: Run, files: Any, path: str, status: int, kind: str, text: str
) -> None:
    server = await run(
        wrap=lambda package, sio: package.ASGIApp(sio, static_files=files)
    )
    answer = await server.get(path)
    assert answer.status == status
    assert answer.text == text
    assert answer.headers["Content-Type"].split(";")[0] == kind


async def test_static_files_before_the_other_application(run: Run, files: Any) -> None:
    server = await run(
        wrap=lambda package, sio: package.ASGIApp(sio, other, static_files=files)
    )
    assert (await server.get("/")).text == "<p>index"
    assert (await server.get("/static/none")).text == "other GET /static/none"


async def lifespan(app: Any) -> list[str]:
    """What an application answers to a start and a stop."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    told: asyncio.Queue[Any] = asyncio.Queue()

    async def send(message: Any) -> None:
        told.put_nowait(message["type"])

    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.ensure_future(app(scope, events.get, send))
    answers = []
    for kind in ("startup", "shutdown"):
        events.put_nowait({"type": f"lifespan.{kind}"})
        answer = asyncio.ensure_future(told.get())
        await within(
            asyncio.wait({task, answer}, return_when=asyncio.FIRST_COMPLETED), kind
        )
        if not answer.done():
            answer.cancel()
            break
        answers.append(answer.result())
        if answers[-1].endswith("failed"):
            break
    await within(task, "the end of lifespan")
    return answers


COMPLETE = ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_lifespan(host: Host) -> None:
    sio = host.socketio.AsyncServer(async_mode="asgi")
    assert await lifespan(host.socketio.ASGIApp(sio)) == COMPLETE


@pytest.mark.parametrize("kind", ["coroutine", "plain"])
async def test_lifespan_hooks(host: Host, kind: str) -> None:
    calls = []

    async def coroutine_start() -> None:
        calls.append("start")

    async def coroutine_stop() -> None:
        calls.append("stop")

    sio = host.socketio.AsyncServer(async_mode="asgi")
    app = host.socketio.ASGIApp(
        sio,
        on_startup=coroutine_start
        if kind == "coroutine"
        else lambda: calls.append("start"),
        on_shutdown=coroutine_stop
        if kind == "coroutine"
        else lambda: calls.append("stop"),
    )
    assert await lifespan(app) == COMPLETE
    assert calls == ["start", "stop"]


@pytest.mark.parametrize("which", ["startup", "shutdown"])
async def test_lifespan_hooks_that_fail(host: Host, which: str) -> None:
    def fails() -> None:
        raise ValueError("of the hook")

    sio = host.socketio.AsyncServer(async_mode="asgi")
    app = host.socketio.ASGIApp(sio, **{f"on_{which}": fails})
    assert (await lifespan(app))[-1] == f"lifespan.{which}.failed"


class WithLifespan:
    def __init__(self) -> None:
        self.calls: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        for kind in ("startup", "shutdown"):
            await receive()
            self.calls.append(kind)
            await send({"type": f"lifespan.{kind}.complete"})


async def test_lifespan_of_the_other_application(host: Host) -> None:
    app = WithLifespan()
    sio = host.socketio.AsyncServer(async_mode="asgi")
    assert await lifespan(host.socketio.ASGIApp(sio, app)) == COMPLETE
    assert app.calls == ["startup", "shutdown"]


async def test_lifespan_of_both(host: Host) -> None:
    app = WithLifespan()
    sio = host.socketio.AsyncServer(async_mode="asgi")
    both = host.socketio.ASGIApp(sio, app, on_startup=lambda: app.calls.append("hook"))
    assert await lifespan(both) == COMPLETE
    assert app.calls == host.outcome("lifespan-of-both")


async def test_other_application_without_lifespan(host: Host) -> None:
    sio = host.socketio.AsyncServer(async_mode="asgi")
    app = host.socketio.ASGIApp(sio, other)
    if host.outcome("other-without-lifespan") == "raised":
        with pytest.raises(NotImplementedError):
            await lifespan(app)
    else:
        assert await lifespan(app) == COMPLETE


@under_uvicorn
async def test_handle_request(run: Run) -> None:
    def wrap(package: Any, sio: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                raise NotImplementedError
            await sio.handle_request(scope, receive, send)

        return app

    server = await run(wrap=wrap)
    await server.client()
    assert (await server.get("/any?EIO=4&transport=polling")).text.startswith("0{")


async def test_refused_websocket(run: Run) -> None:
    server = await run(wrap=lambda package, sio: package.ASGIApp(sio, other))
    connection = await server.raw.connect()
    await connection.send(upgrade_request("/socket.io/?EIO=3&transport=websocket"))
    assert (await connection.response()).status in (400, 403)
