"""Whole programs as people write them, started as they start them.

Each is run once with each package: only the import is another.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.ports import free_port
from support.waiting import within

import socketio_fast
from compat.harness import Client

IMPORTS = {
    "python-socketio": "import socketio",
    "socketio_fast": "import socketio_fast as socketio",
}

HANDLERS = """
@sio.event
{async_}def connect(sid, environ, auth):
    {await_}sio.emit("reply", ("Connected", auth), to=sid)


@sio.event
{async_}def disconnect(sid, reason):
    print("gone:", reason, flush=True)


@sio.on("to me")
{async_}def to_me(sid, message):
    {await_}sio.emit("reply", message["data"], room=sid)


@sio.on("to all")
{async_}def to_all(sid, message):
    {await_}sio.emit("reply", message["data"])


@sio.event
{async_}def join(sid, message):
    {await_}sio.enter_room(sid, message["room"])
    return "joined"


@sio.on("to room")
{async_}def to_room(sid, message):
    {await_}sio.emit("reply", message["data"], room=message["room"])


@sio.event
{async_}def close_room(sid, message):
    {await_}sio.close_room(message["room"])
    return sio.rooms(sid) == [sid]


@sio.on("remember")
{async_}def remember(sid, name):
    {async_}with sio.session(sid) as session:
        session["name"] = name
    return ({await_}sio.get_session(sid))["name"]


{async_}def background():
    {await_}sio.sleep(0.01)
    {await_}sio.emit("reply", "from the background")


@sio.on("start")
{async_}def start(sid):
    sio.start_background_task(background)


@sio.event
{async_}def hang(sid):
    {await_}sio.emit("reply", "hanging", to=sid)
    {await_}sio.sleep(60)


@sio.event
{async_}def leave(sid):
    {await_}sio.disconnect(sid)
"""

ASYNC = HANDLERS.format(async_="async ", await_="await ")
SYNC = HANDLERS.format(async_="", await_="")

PROGRAMS = {
    "asgi": """
import sys
import uvicorn
{import_}

sio = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(sio, static_files={{"/": "index.html"}})
{handlers}
if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))
""",
    "fastapi": """
import sys
import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse
{import_}

api = FastAPI()
sio = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(sio, api)


@api.get("/")
async def index():
    return FileResponse("index.html")

{handlers}
if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))
""",
    "flask": """
import sys
from flask import Flask, send_file
{import_}

sio = socketio.Server(async_mode=None)
app = Flask(__name__)
app.wsgi_app = socketio.WSGIApp(sio, app.wsgi_app)


@app.route("/")
def index():
    return send_file("index.html")

{handlers}
if __name__ == "__main__":
    assert sio.async_mode == "threading"
    app.run(host="127.0.0.1", port=int(sys.argv[1]), threaded=True)
""",
    "aiohttp": """
import sys
from aiohttp import web
{import_}

sio = socketio.AsyncServer(async_mode="aiohttp")
app = web.Application()
sio.attach(app)


async def index(request):
    with open("index.html") as file:
        return web.Response(text=file.read(), content_type="text/html")

app.router.add_get("/", index)
{handlers}
if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
""",
    "tornado": """
import contextlib
import sys
import tornado.ioloop
import tornado.web
{import_}

sio = socketio.AsyncServer(async_mode="tornado")


class Index(tornado.web.RequestHandler):
    def get(self):
        with open("index.html") as file:
            self.write(file.read())

{handlers}
if __name__ == "__main__":
    app = tornado.web.Application(
        [(r"/", Index), (r"/socket.io/", socketio.get_tornado_handler(sio))]
    )
    app.listen(int(sys.argv[1]), "127.0.0.1")
    with contextlib.suppress(KeyboardInterrupt):
        tornado.ioloop.IOLoop.current().start()
""",
    "sanic": """
import sys
from sanic import Sanic
from sanic.response import html
{import_}

sio = socketio.AsyncServer(async_mode="sanic")
app = Sanic("program")
sio.attach(app)


@app.route("/")
async def index(request):
    with open("index.html") as file:
        return html(file.read())

{handlers}
if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[1]), single_process=True)
""",
}


@asynccontextmanager
async def program(name: str, package: str, cwd: Path) -> AsyncIterator[str]:
    """The program, running; its URL."""
    handlers = SYNC if name == "flask" else ASYNC
    text = PROGRAMS[name].format(import_=IMPORTS[package], handlers=handlers)
    (cwd / "program.py").write_text(text)
    (cwd / "index.html").write_text("<p>the page")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "program.py",
        str(port),
        cwd=cwd,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(socketio_fast.__file__).parents[1]),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = asyncio.ensure_future(process.communicate())
    try:
        await listens(port, output)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            # python-socketio would hold it up for what it still answers.
            ours = package == "socketio_fast"
            if ours:
                await idles(process.pid)
            process.send_signal(signal.SIGINT if ours else signal.SIGKILL)
        ended, _ = await asyncio.wait([output], timeout=20)
        if not ended:
            # An event loop would wait for it without end when it is closed.
            process.kill()
        text = (await output)[0].decode()
    assert ended, f"it has not ended:\n{text}"
    assert "Traceback" not in text, text


async def listens(port: int, output: asyncio.Future[tuple[bytes, bytes]]) -> None:
    """Wait until the program does; it tells nobody but by that."""
    for _ in range(400):
        if output.done():
            raise AssertionError(output.result()[0].decode())
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            await writer.wait_closed()
            return
    raise AssertionError("the program does not listen")


async def idles(pid: int) -> None:
    """Wait until the program waits itself: Tornado takes an interrupt that comes while
    it reads a request, and the client's next poll may be on its way, for a failure of
    that request."""
    before = None
    for _ in range(100):
        if (now := cpu_time(pid)) == before:
            return
        before = now
        await asyncio.sleep(0.05)


def cpu_time(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/schedstat").read_text().split()[0]
    except OSError:
        return ""  # not on Linux, or it has ended


@pytest.mark.parametrize("package", IMPORTS)
@pytest.mark.parametrize("name", PROGRAMS)
async def test_program(name: str, package: str, tmp_path: Path) -> None:
    async with program(name, package, tmp_path) as url:
        for transports in (["polling"], ["websocket"], ["polling", "websocket"]):
            client = Client(url)
            try:
                await scenario(client, transports)
            finally:
                await client.close()


async def scenario(client: Client, transports: list[str]) -> None:
    attempt = client.sio.connect(client.url, transports=transports, auth={"token": 1})
    await within(attempt, "connect")
    assert client.sio.transport() == transports[-1]
    # In the order that each package sends them.
    heard = [await client.heard(), await client.heard()]
    assert ("/", "connect") in heard
    assert ("/", "reply", "Connected", {"token": 1}) in heard
    await client.emit("to me", {"data": "é"})
    await client.receives("reply", "é")
    await client.emit("to all", {"data": b"\x00\xff"})
    await client.receives("reply", b"\x00\xff")
    assert await client.call("join", {"room": "r"}) == "joined"
    await client.emit("to room", {"room": "r", "data": [1, {"a": None}]})
    await client.receives("reply", [1, {"a": None}])
    assert await client.call("close_room", {"room": "r"}) is True
    assert await client.call("remember", "Ada") == "Ada"
    await client.emit("start")
    await client.receives("reply", "from the background")
    page = await within(client.page("/"), "the page")
    assert page == "<p>the page"
    await client.emit("leave")
    await client.receives("disconnect", "server disconnect")


# Those that do not wait for the handler: some hosts do so for seconds.
@pytest.mark.parametrize(
    ("name", "transport"),
    [
        ("asgi", "websocket"),
        ("flask", "polling"),
        ("flask", "websocket"),
        ("tornado", "polling"),
    ],
)
async def test_interrupted(name: str, transport: str, tmp_path: Path) -> None:
    """It ends, in the middle of a handler, with a client there, and says nothing."""
    async with program(name, "socketio_fast", tmp_path) as url:
        client = Client(url)
        await client.connect(transports=[transport])
        await client.receives("reply", "Connected", None)
        await client.emit("hang")
        await client.receives("reply", "hanging")
    await client.close()
