"""The servers for threads, under werkzeug: what is not the same as with asyncio."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import flask
import pytest
from support.waiting import within

from compat.harness import THREADED, Host, Record, Run

EVENTS: list[tuple[Any, ...]] = [
    (),
    ("text", 1, None, [True], {"a": 1.5}),
    ("é☃😀",),
    ({"file": b"\x00\xff"}, b"more"),
    ("x" * 100_000,),
]


@pytest.fixture(params=THREADED, ids=lambda host: host.name)
def host(request: pytest.FixtureRequest) -> Host:
    return request.param


def echo(sio: Any, record: Record) -> None:
    @sio.event
    def connect(sid: str, environ: Any, auth: Any) -> Any:
        record("connect", sid, auth)
        return not (auth or {}).get("refuse")

    @sio.event
    def disconnect(sid: str, reason: str) -> None:
        record("disconnect", sid, reason)

    @sio.event
    def echo(sid: str, *args: Any) -> tuple[Any, ...]:
        sio.emit("echo", args, to=sid)
        return args


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize(
    "args", EVENTS, ids=["none", "several", "unicode", "bytes", "large"]
)
async def test_echo(run: Run, transport: str, args: tuple[Any, ...]) -> None:
    server = await run(echo)
    client = await server.client(transports=[transport])
    got = await client.call("echo", *args)
    assert got == (None if not args else args[0] if len(args) == 1 else args)
    await client.receives("echo", *args)


async def test_upgrade(run: Run) -> None:
    server = await run(echo)
    client = await server.client(transports=["polling", "websocket"])
    assert client.sio.transport() == "websocket"
    assert await client.call("echo", 1) == 1
    assert await server.do("transport", client.sid()) == "websocket"


async def test_connect(run: Run) -> None:
    server = await run(echo)
    client = await server.client(auth={"token": "x"})
    await server.recorded("connect", client.sid(), {"token": "x"})


async def test_refusal(run: Run) -> None:
    server = await run(echo)
    told = await server.refused(auth={"refuse": True})
    assert told == {"message": "Connection rejected by server"}


async def test_refusal_by_an_error(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        def connect(sid: str, environ: Any) -> None:
            raise host.socketio.exceptions.ConnectionRefusedError("no", 1)

    server = await run(app)
    assert await server.refused() == {"message": "no", "data": 1}


async def test_environ(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        def connect(sid: str, environ: Any) -> None:
            record(environ["PATH_INFO"], environ["HTTP_X_OWN"], "wsgi.input" in environ)

    server = await run(app)
    client = await server.client(headers={"X-Own": "value"})
    await server.recorded("/socket.io/", "value", True)
    environ = server.sio.get_environ(client.sid())
    assert environ["HTTP_X_OWN"] == "value"


async def test_emit(run: Run) -> None:
    server = await run(echo)
    clients = [await server.client() for _ in range(3)]
    sids = [client.sid() for client in clients]
    await server.do("enter_room", sids[0], "room")
    await server.do("enter_room", sids[1], "room")
    await server.do("emit", "all", 1)
    await server.do("emit", "room", 2, room="room", skip_sid=sids[0])
    await server.do("emit", "one", 3, to=sids[2])
    await server.do("send", "end")
    await clients[0].receives("all", 1)
    await clients[0].receives("message", "end")
    await clients[1].receives("all", 1)
    await clients[1].receives("room", 2)
    await clients[1].receives("message", "end")
    await clients[2].receives("all", 1)
    await clients[2].receives("one", 3)


async def test_emit_of_what_is_not_json(run: Run) -> None:
    server = await run(echo)
    await server.client()
    with pytest.raises(TypeError):
        await server.do("emit", "news", object())


async def test_rooms(run: Run) -> None:
    server = await run(echo)
    client = await server.client()
    sid = client.sid()
    await server.do("enter_room", sid, "a")
    assert set(await server.do("rooms", sid)) == {sid, "a"}
    await server.do("leave_room", sid, "a")
    await server.do("enter_room", sid, "b")
    await server.do("close_room", "b")
    assert list(await server.do("rooms", sid)) == [sid]
    with pytest.raises(ValueError, match="not connected"):
        await server.do("enter_room", "nobody", "a", namespace="/unknown")


async def test_sessions(run: Run) -> None:
    server = await run(echo)
    client = await server.client()
    sid = client.sid()
    assert await server.do("get_session", sid) == {}
    await server.do("save_session", sid, {"a": 1})
    with server.sio.session(sid) as session:
        session["b"] = 2
    assert await server.do("get_session", sid) == {"a": 1, "b": 2}
    with pytest.raises(KeyError):
        await server.do("get_session", "nobody")


async def test_call(run: Run) -> None:
    server = await run(echo)
    client = await server.client()
    client.answers["ask"] = ("a", 2)
    assert await server.do("call", "ask", 1, to=client.sid()) == ("a", 2)


async def test_call_from_a_handler(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        def start(sid: str) -> None:
            record(sio.call("ask", to=sid))

    server = await run(app)
    client = await server.client()
    client.answers["ask"] = "yes"
    await client.emit("start")
    await server.recorded("yes")


async def test_call_times_out(run: Run, host: Host) -> None:
    server = await run(echo)
    ws = await server.wire()
    with pytest.raises(host.socketio.exceptions.TimeoutError):
        await server.do("call", "ask", to=ws.sid, timeout=0.01)


async def test_callback(run: Run) -> None:
    server = await run(echo)
    client = await server.client()
    client.answers["ask"] = "yes"
    got = threading.Event()
    answers: list[Any] = []

    def callback(*args: Any) -> None:
        answers.append(args)
        got.set()

    await server.do("emit", "ask", to=client.sid(), callback=callback)
    await client.receives("ask")
    assert await asyncio.to_thread(got.wait, 5)
    assert answers == [("yes",)]


async def test_disconnect_by_the_server(run: Run) -> None:
    server = await run(echo)
    client = await server.client()
    sid = client.sid()
    await server.next_record()
    await server.do("disconnect", sid)
    await server.recorded("disconnect", sid, "server disconnect")
    await client.receives("disconnect", "server disconnect")


async def test_disconnect_by_the_client(run: Run) -> None:
    server = await run(echo)
    ws = await server.wire()
    await server.next_record()
    await ws.text("41")
    await server.recorded("disconnect", ws.sid, "client disconnect")


async def test_disconnect_by_the_transport(run: Run) -> None:
    server = await run(echo)
    ws = await server.wire()
    await server.next_record()
    await ws.close()
    await server.recorded("disconnect", ws.sid, "transport close")


async def test_disconnect_in_a_handler(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        def leave(sid: str) -> None:
            sio.disconnect(sid)
            record("done")

        sio.on("disconnect", lambda sid, reason: record(reason))

    server = await run(app)
    client = await server.client()
    await client.emit("leave")
    await server.recorded("server disconnect")
    await server.recorded("done")
    await client.receives("disconnect", "server disconnect")


async def test_older_signatures(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("connect", lambda sid, environ: record("connect"))
        sio.on("disconnect", lambda sid: record("disconnect"))

    server = await run(app)
    ws = await server.wire()
    await server.recorded("connect")
    await ws.close()
    await server.recorded("disconnect")


async def test_class_based_namespace(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        class Chat(host.socketio.Namespace):
            def on_connect(self, sid: str, environ: Any, auth: Any) -> None:
                record("connect", auth)

            def on_work(self, sid: str, text: str) -> str:
                self.enter_room(sid, "room")
                self.emit("news", text, room="room")
                self.save_session(sid, {"a": 1})
                with self.session(sid) as session:
                    record("session", dict(session))
                record("rooms", set(self.rooms(sid)) == {sid, "room"})
                record("answer", self.call("ask", to=sid))
                return "worked"

        sio.register_namespace(Chat("/chat"))

    server = await run(app)
    client = await server.client(namespaces=["/chat"], auth={"a": 1})
    client.answers["ask"] = "yes"
    assert await client.call("work", "hi", namespace="/chat") == "worked"
    await server.recorded("connect", {"a": 1})
    await server.recorded("session", {"a": 1})
    await server.recorded("rooms", True)
    await server.recorded("answer", "yes")
    await client.receives("news", "hi", namespace="/chat")


async def test_async_namespace_is_refused(run: Run, host: Host) -> None:
    server = await run()
    with pytest.raises(ValueError, match="Not a valid namespace class"):
        server.sio.register_namespace(host.socketio.AsyncNamespace("/chat"))


async def test_catch_all_handlers(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("*", lambda event, sid, *args: ["*", event, *args])
        sio.on("x", lambda namespace, sid, *args: [namespace, *args], namespace="*")

    server = await run(app, namespaces=["/", "/a"])
    client = await server.client(namespaces=["/", "/a"])
    assert await client.call("y", 1) == ["*", "y", 1]
    assert await client.call("x", 2, namespace="/a") == ["/a", 2]


async def test_handlers_side_by_side(run: Run) -> None:
    gate = threading.Event()

    def app(sio: Any, record: Record) -> None:
        @sio.event
        def slow(sid: str) -> None:
            gate.wait(5)
            record("slow")

        sio.on("fast", lambda sid: record("fast"))

    server = await run(app)
    client = await server.client()
    await client.emit("slow")
    await client.emit("fast")
    await server.recorded("fast")
    gate.set()
    await server.recorded("slow")


async def test_handlers_one_after_the_other(run: Run) -> None:
    gate = threading.Event()

    def app(sio: Any, record: Record) -> None:
        @sio.event
        def slow(sid: str) -> None:
            record("starts")
            gate.wait(5)
            record("ends")

        sio.on("fast", lambda sid: record("fast"))

    server = await run(app, async_handlers=False)
    client = await server.client()
    await client.emit("slow")
    await client.emit("fast")
    await server.recorded("starts")
    gate.set()
    await server.recorded("ends")
    await server.recorded("fast")


async def test_errors_stay_in_handlers(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        def fails(sid: str) -> None:
            raise ValueError("of the handler")

        sio.on("works", lambda sid: "works")

    # In order, because python-socketio's threads end with what a handler raises.
    server = await run(app, async_handlers=False)
    client = await server.client()
    await client.emit("fails")
    assert await client.call("works") == "works"


async def test_background_task(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        def task(a: int, b: int) -> None:
            sio.sleep(0)
            sio.emit("tick", a + b)

        @sio.event
        def start(sid: str) -> None:
            record(hasattr(sio.start_background_task(task, 1, b=2), "join"))

    server = await run(app)
    client = await server.client()
    await client.emit("start")
    await server.recorded(True)
    await client.receives("tick", 3)


async def test_attributes(run: Run) -> None:
    server = await run()
    assert server.sio.is_asyncio_based() is False
    assert server.sio.async_mode == "threading"
    client = await server.client()
    assert client.sid() in dict(server.sio.manager.get_participants("/", None))
    assert list(server.sio.eio.sockets) == [client.sio.eio.sid]


async def test_another_application(run: Run) -> None:
    def other(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"other {environ['PATH_INFO']}".encode()]

    server = await run(echo, wrap=lambda package, sio: package.WSGIApp(sio, other))
    assert (await server.get("/some/path")).text == "other /some/path"
    client = await server.client()
    assert await client.call("echo", 1) == 1


async def test_around_flask(run: Run) -> None:
    def wrap(package: Any, sio: Any) -> Any:
        app = flask.Flask("compat")

        @app.get("/hello")
        def hello() -> str:
            sio.emit("asked")
            return "hello"

        app.wsgi_app = package.WSGIApp(sio, app.wsgi_app)
        return app

    server = await run(echo, wrap=wrap)
    client = await server.client()
    assert (await server.get("/hello")).text == "hello"
    await client.receives("asked")


async def test_alone(run: Run) -> None:
    server = await run(echo)
    answer = await server.get("/other")
    assert (answer.status, answer.text) == (404, "Not Found")


async def test_static_files(run: Run, tmp_path: Any) -> None:
    (tmp_path / "index.html").write_text("<p>index")
    files = {"/": str(tmp_path / "index.html"), "/static": str(tmp_path)}
    server = await run(
        wrap=lambda package, sio: package.WSGIApp(sio, static_files=files)
    )
    for path in ("/", "/static/index.html", "/static/"):
        answer = await server.get(path)
        assert answer.text == "<p>index"
        assert answer.headers["Content-Type"].startswith("text/html")
    assert (await server.get("/static/none")).status == 404


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/socket.io/?EIO=4&transport=polling", 200),
        ("/socket.io/?EIO=3&transport=polling", 400),
        ("/socket.io/?EIO=4&transport=polling&sid=unknown", 400),
        ("/socket.io/?EIO=4&transport=pigeon", 400),
    ],
)
async def test_statuses(run: Run, target: str, status: int) -> None:
    server = await run(echo)
    assert (await server.get(target)).status == status


async def test_origins(run: Run) -> None:
    server = await run(echo)
    target = "/socket.io/?EIO=4&transport=polling"
    for origin, status in ((server.url, 200), ("http://example.org", 400)):
        assert (await server.get(target, headers={"Origin": origin})).status == status


async def test_ping_timeout(run: Run) -> None:
    server = await run(echo, ping_interval=0.2, ping_timeout=0.3)
    ws = await server.wire()
    await server.next_record()
    assert await ws.message() == "2"
    await ws.text('42["unknown"]')
    await server.recorded("disconnect", ws.sid, "ping timeout")


async def test_asyncio_mode_is_refused(run: Run) -> None:
    with pytest.raises(ValueError):
        await run(async_mode="asgi")


async def test_emit_from_many_threads(run: Run) -> None:
    """M23: emit from many threads."""
    server = await run(echo)
    client = await server.client()

    def task(number: int) -> None:
        for n in range(20):
            server.sio.emit("tick", (number, n))

    threads = [threading.Thread(target=task, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    got: dict[int, list[int]] = {number: [] for number in range(5)}
    for _ in range(100):
        _, _, number, n = await within(client.heard(), "a tick")
        got[number].append(n)
    assert all(numbers == list(range(20)) for numbers in got.values())
    for thread in threads:
        thread.join()
