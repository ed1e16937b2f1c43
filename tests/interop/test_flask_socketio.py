"""Flask-SocketIO on this package, as docs/sync.md says that it can be done."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from support.brokers import Redis
from support.interop import WAIT
from support.js_client import Refused
from support.processes import TIMEOUT, environment, python
from support.wsgi_hosts import gunicorn

TESTS = Path(__file__).parents[1]
PROGRAM = "support.flask_socketio_program:app"


async def get(url: str, session: Any = requests) -> Any:
    return await asyncio.to_thread(session.get, url, timeout=WAIT)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with gunicorn(PROGRAM, TESTS) as url:
        yield url


async def test_a_program_of_flask_socketio(js: Any, url: str) -> None:
    with requests.Session() as session:
        await get(f"{url}/login/ada", session)
        cookie = "; ".join(f"{c.name}={c.value}" for c in session.cookies)
    client = await js(SimpleNamespace(url=url), extraHeaders={"Cookie": cookie})
    await client.connect(auth={"a": 1})
    assert await client.expect("welcome") == [["ada", {"a": 1}]]
    data = [1, {"b": b"\x00"}]
    assert await client.emit_with_ack("count", data) == [data, 1, True]
    assert await client.emit_with_ack("count", 2) == [2, 2, True]
    assert await client.expect("counted") == [data]
    assert await client.expect("counted") == [2]
    await client.emit("json", {"x": 1})
    assert await client.expect("json") == [{"x": 1}]
    asked = asyncio.ensure_future(client.emit_with_ack("ask"))
    assert await client.expect_and_answer("question", 21) == [20]
    assert await asked == [21]
    assert await client.emit_with_ack("fail") == ["failed"]
    chat = await client.connect("/chat")
    assert await chat.emit_with_ack("say", "hello") == ["said"]
    assert await chat.expect("said") == ["hello"]
    await client.emit("leave")
    assert await client.disconnected() == "io server disconnect"
    await chat.disconnect()
    gone = (await get(f"{url}/gone/2")).json()
    assert gone == [[2, "server disconnect"], ["chat", "client disconnect"]]


async def test_a_client_that_flask_socketio_refuses(js: Any, url: str) -> None:
    client = await js(SimpleNamespace(url=url))
    with pytest.raises(Refused, match="not you"):
        await client.connect(auth={"refuse": True})


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    if Redis.PROGRAM is None:
        pytest.skip("redis-server is not installed")
    broker = Redis(tmp_path_factory.mktemp("redis"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def pair(redis: Redis) -> Iterator[list[str]]:
    """Two processes that share a queue."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MESSAGE_QUEUE", redis.url)
        with gunicorn(PROGRAM, TESTS) as one, gunicorn(PROGRAM, TESTS) as other:
            yield [one, other]


PUBLISHER = """
import sys
from flask_socketio import SocketIO
SocketIO(message_queue=sys.argv[1]).emit("counted", "from outside", to="room")
"""


async def test_a_message_queue_joins_processes(
    js: Any, redis: Redis, pair: list[str], tmp_path: Path
) -> None:
    clients = []
    for place in pair:
        client = await js(SimpleNamespace(url=place))
        await client.connect()
        await client.expect("welcome")
        await client.emit_with_ack("count", place)
        clients.append(client)
    # The first is told of itself and of the second, by way of Redis.
    assert await clients[0].expect("counted") == [pair[0]]
    assert await clients[0].expect("counted") == [pair[1]]
    (tmp_path / "publisher.py").write_text(PUBLISHER)
    await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "socketio_fast.alias", "publisher.py", redis.url],
        cwd=tmp_path,
        env=environment(),
        check=True,
        timeout=TIMEOUT,
    )
    for client in clients:
        while (event := await client["/"].next_event()).args != ["from outside"]:
            assert event.name in ("counted", "others")
        assert event.name == "counted"


TEST_CLIENT = r"""
import threading

import flask
import pytest
import socketio as package
from flask import request, session
from flask_socketio import SocketIO, call, emit, join_room
from flask_socketio.test_client import SocketIOTestClient

app = flask.Flask(__name__)
app.secret_key = "secret"
sio = SocketIO(app)
assert isinstance(sio.server, package.Server)


@app.route("/login")
def login():
    session["user"] = "ada"
    return ""


@sio.event
def connect(auth):
    if auth == {"refuse": True}:
        raise package.exceptions.ConnectionRefusedError("no")
    if auth == {"fail": True}:
        raise LookupError("connect")
    emit("welcome", [session.get("user"), request.args.get("x")])


@sio.event
def later(data):
    # What a handler has others do is there when it ends itself.
    thread = threading.Thread(target=lambda: sio.emit("done", data))
    thread.start()
    thread.join()


@sio.event
def fail():
    raise LookupError("fail")


@sio.event
def binary(data):
    return data, b"\x00"


def test_the_package() -> None:
    assert package.__name__ == "socketio_fast"


def test_a_request_with_a_session() -> None:
    http = app.test_client()
    http.get("/login")
    client = sio.test_client(app, flask_test_client=http, query_string="?x=1")
    assert client.get_received() == [
        {"name": "welcome", "args": [["ada", "1"]], "namespace": "/"}
    ]
    assert sio.server.environ[client.eio_sid]["saved_session"] == {"user": "ada"}


def test_events_from_elsewhere() -> None:
    clients = [sio.test_client(app) for _ in range(2)]
    for client in clients:
        client.get_received()
    sio.emit("news", 1)
    clients[0].emit("later", 2)
    for client in clients:
        assert [e["args"] for e in client.get_received()] == [[1], [2]]


def test_what_handlers_raise() -> None:
    client = sio.test_client(app)
    with pytest.raises(LookupError, match="fail"):
        client.emit("fail")
    with pytest.raises(LookupError, match="fail"):
        client.emit("fail", callback=True)
    assert client.is_connected()


def test_refusals() -> None:
    assert not sio.test_client(app, auth={"refuse": True}).is_connected()
    assert not sio.test_client(app, namespace="/none").is_connected()
    with pytest.raises(LookupError, match="connect"):
        sio.test_client(app, auth={"fail": True})


def test_binary() -> None:
    client = sio.test_client(app)
    assert client.emit("binary", {"x": b"\x01"}, callback=True) == [
        {"x": b"\x01"}, b"\x00"
    ]


def test_another_namespace_by_another_request() -> None:
    client = sio.test_client(app)
    chat = []

    @sio.on("connect", namespace="/chat")
    def connect_chat():
        chat.append(request.args.get("x"))

    client.connect("/chat", query_string="x=2")
    assert chat == ["2"]
    assert client.is_connected("/chat")
    client.disconnect()
    assert not client.is_connected()
    assert client.is_connected("/chat")


def test_a_message_queue_is_refused() -> None:
    other = SocketIO(flask.Flask("other"), message_queue="redis://")
    with pytest.raises(RuntimeError, match="message queue"):
        SocketIOTestClient(app, other)


def test_unknown_options_are_errors_still() -> None:
    with pytest.raises(TypeError, match="ping_intervall"):
        SocketIO(flask.Flask("other"), ping_intervall=1)
"""


def test_test_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # To import the plugins that are installed takes longer than its tests.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)  # those of plugins
    (tmp_path / "test_clients.py").write_text(TEST_CLIENT)
    done = python(
        *("-W", "ignore", "-m", "socketio_fast.alias", "-m", "pytest", "-q"),
        *("-p", "no:cacheprovider", "-W", "ignore", "test_clients.py"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
