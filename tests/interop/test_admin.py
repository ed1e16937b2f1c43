"""What the Admin UI may do, and who may: python-socketio's AsyncClient plays the UI."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import socketio as python_socketio
from support.admin_client import LOGIN, Connect, Program, log_in, refusal
from support.interop import Calls, record, record_disconnects, within
from support.python_client import async_client
from support.wsgi_hosts import werkzeug

import socketio_fast
from socketio_fast import AsyncServer, exceptions
from socketio_fast.admin.async_admin import InstrumentedAsyncServer
from socketio_fast.admin.sync_admin import InstrumentedServer

# ------------------------------------------------------------------- login


WRONG = [
    None,
    {},
    {"username": "admin"},
    {"username": "admin", "password": "Secret"},
    {**LOGIN, "more": 1},
    {"sessionId": "0" * 32},
    {"sessionId": None},
    {"sessionId": ["x"]},
]


def any_of(credentials: Any) -> bool:
    return bool(credentials == LOGIN)


async def any_of_later(credentials: Any) -> bool:
    await asyncio.sleep(0)
    return bool(credentials == LOGIN)


@pytest.mark.parametrize(
    "auth", [LOGIN, [{"username": "x", "password": "y"}, LOGIN], any_of, any_of_later]
)
async def test_login(serve: Any, connect: Connect, auth: Any) -> None:
    """U1: login."""
    sio = AsyncServer()
    sio.instrument(auth=auth)
    server = await serve(sio)
    for wrong in WRONG:
        assert await refusal(server, wrong) == {"message": "invalid credentials"}
    admin = await log_in(connect, server)
    await admin.next("config")


async def test_a_page_comes_back_by_its_session(serve: Any, connect: Connect) -> None:
    """U2: a page comes back by its session."""
    sio = AsyncServer()
    instrumented = sio.instrument(auth=LOGIN)
    server = await serve(sio)
    admin = await log_in(connect, server)
    (session_id,) = await admin.next("session")
    again = await connect(server, "/admin", auth={"sessionId": session_id})
    await again.next("config")
    assert again.calls("session").empty
    instrumented.uninstrument()
    sio.instrument(auth=LOGIN)
    assert await refusal(server, {"sessionId": session_id})


async def test_a_session_ends(
    serve: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socketio_fast.admin.async_admin.SESSION_DURATION", 0)
    sio = AsyncServer()
    sio.instrument(auth=LOGIN)
    server = await serve(sio)
    (session_id,) = await (await log_in(connect, server)).next("session")
    assert await refusal(server, {"sessionId": session_id})


async def test_without_authentication(serve: Any, connect: Connect) -> None:
    sio = AsyncServer()
    sio.instrument(auth=False)
    admin = await connect(await serve(sio), "/admin")
    await admin.next("config")
    assert admin.calls("session").empty


async def test_what_cannot_be_shown_is_left_out(
    serve: Any, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    def sets(value: dict[str, Any]) -> Any:
        return set(value) if "a" in value else value

    class Sets:
        dumps = staticmethod(json.dumps)
        loads = staticmethod(lambda text: json.loads(text, object_hook=sets))

    sio = AsyncServer(json=Sets)
    sio.on("keys", lambda sid, keys: sorted(keys))
    sio.instrument(auth=False)
    server = await serve(sio)
    admin = await connect(server, "/admin")
    client = await connect(server)
    assert await client.client.call("keys", {"b": 1, "a": 2}) == ["a", "b"]
    await client.client.emit("keys", [1])
    assert (await admin.next("event_received"))[2] == ["keys", [1]]
    assert caplog.text.count("the Admin UI was not told of 'event_received'") == 1


@pytest.mark.parametrize("always_connect", [False, True])
async def test_who_is_not_logged_in_hears_and_does_nothing(
    serve: Any, connect: Connect, always_connect: bool
) -> None:
    """Even while it is asked whether it may."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(credentials: Any) -> bool:
        asked.set()
        await answer.wait()
        return False

    sio = AsyncServer(always_connect=always_connect)
    sio.instrument(auth=slow)
    server = await serve(sio)
    intruder = Program("/admin")
    attempt = asyncio.create_task(intruder.connect(server.url, auth=LOGIN))
    await within(asked.wait(), "asked")
    await connect(server)
    answer.set()
    with pytest.raises(python_socketio.exceptions.ConnectionError):
        await attempt
    assert intruder.events == {}
    await intruder.close()


@pytest.mark.parametrize("auth", [{}, [], [{}], True, "secret", ["secret"], 5])
def test_auth_that_would_let_in_anybody_or_nobody(auth: Any) -> None:
    with pytest.raises(ValueError, match="auth"):
        AsyncServer().instrument(auth=auth)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "auth must be specified"),
        ({"auth": LOGIN, "mode": "debug"}, "mode='debug'"),
        ({"auth": LOGIN, "server_stats_interval": 0}, "server_stats_interval=0"),
    ],
)
def test_options_that_are_not_allowed(options: Any, error: str) -> None:
    sio = AsyncServer()
    with pytest.raises(ValueError, match=error):
        sio.instrument(**options)
    assert sio.handlers == {}


# ------------------------------------------------------------------- actions


async def test_emit(serve: Any, connect: Connect) -> None:
    sio = AsyncServer()
    sio.instrument(auth=LOGIN)
    server = await serve(sio)
    admin = await log_in(connect, server)
    one, two = await connect(server), await connect(server)
    await admin.emit("emit", "/", None, "all", 1, {"a": b"b"})
    await admin.emit("emit", "/", two.sid, "one")
    await admin.emit("emit", "/nowhere", None, "lost")
    assert await one.next("all") == await two.next("all") == (1, {"a": b"b"})
    assert await two.next("one") == ()
    assert one.calls("one").empty


async def test_join_and_leave(serve: Any, connect: Connect) -> None:
    sio = AsyncServer()
    sio.instrument(auth=LOGIN)
    server = await serve(sio)
    admin = await log_in(connect, server)
    one, two = await connect(server), await connect(server)
    await admin.calls("room_joined").several(3)
    await admin.emit("join", "/", "x")
    joined = await admin.calls("room_joined").several(2)
    assert {args[:3] for args in joined} == {
        ("/", "x", one.sid),
        ("/", "x", two.sid),
    }
    await admin.emit("leave", "/", "x", one.sid)
    assert (await admin.next("room_left"))[:3] == ("/", "x", one.sid)
    assert sio.rooms(one.sid) == [one.sid]
    await admin.emit("join", "/", "y", "x")
    assert (await admin.next("room_joined"))[:3] == ("/", "y", two.sid)
    assert set(sio.rooms(two.sid)) == {two.sid, "x", "y"}


async def test_disconnect(serve: Any, connect: Connect) -> None:
    sio = AsyncServer()
    disconnects = record_disconnects(sio)
    sio.instrument(auth=LOGIN)
    server = await serve(sio)
    admin = await log_in(connect, server)
    one, two = await connect(server), await connect(server)
    await admin.emit("_disconnect", "/", False, one.sid)
    assert await disconnects.next() == (one.sid, "server disconnect")
    assert await one.disconnected.next()
    assert two.client.connected
    await admin.emit("_disconnect", "/", False)
    assert await disconnects.next() == (two.sid, "server disconnect")


async def test_disconnect_from_everything(serve: Any, connect: Connect) -> None:
    sio = AsyncServer(namespaces=["/", "/chat"])
    disconnects, others = record_disconnects(sio), record_disconnects(sio, "/chat")
    sio.instrument(auth=LOGIN)
    server = await serve(sio)
    admin = await log_in(connect, server)
    async with async_client() as client:
        await client.connect(server.url, namespaces=["/", "/chat"])
        sid = client.get_sid("/")
        await admin.emit("_disconnect", "/", True, sid)
        assert await disconnects.next() == (sid, "server disconnect")
        await others.next()
        await within(client.wait(), "the end of the connection")
        assert len(sio.eio.sockets) == 1


@pytest.mark.parametrize(
    ("options", "features"),
    [
        ({"read_only": True}, ["AGGREGATED_EVENTS", "ALL_EVENTS"]),
        ({"mode": "production"}, ["AGGREGATED_EVENTS"]),
        ({"mode": "production", "read_only": True}, ["AGGREGATED_EVENTS"]),
    ],
)
async def test_nothing_can_be_done(
    serve: Any, connect: Connect, options: Any, features: list[str]
) -> None:
    sio = AsyncServer()
    disconnects = record_disconnects(sio)
    sio.instrument(auth=LOGIN, **options)
    server = await serve(sio)
    client, admin = await connect(server), await log_in(connect, server)
    assert await admin.next("config") == ({"supportedFeatures": features},)
    await admin.emit("emit", "/", None, "all")
    await admin.emit("join", "/", "x")
    await admin.emit("leave", "/", client.sid)
    await admin.emit("_disconnect", "/", True)
    heard = record(sio, "done", "/admin")
    await admin.emit("done")
    await heard.next()
    assert sio.rooms(client.sid) == [client.sid]
    await sio.emit("after")
    await client.next("after")
    assert client.calls("all").empty
    assert disconnects.empty


async def test_what_a_ui_sends_wrongly_is_logged(
    serve: Any, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    sio = AsyncServer()
    sio.instrument(auth=LOGIN)
    server = await serve(sio)
    admin = await log_in(connect, server)
    one, two = await connect(server), await connect(server)
    await admin.emit("join", "/", two.sid, one.sid)
    await admin.emit("join")
    await admin.emit("emit", "/", None, "still there")
    await two.next("still there")
    logged = [record.getMessage() for record in caplog.records]
    assert logged == [f"handler of 'join' failed for {admin.sid} in /admin"] * 2
    assert sio.rooms(one.sid) == [one.sid]


# ------------------------------------------------------------------- instrumentation


async def test_another_namespace(serve: Any, connect: Connect) -> None:
    sio = AsyncServer()
    instrumented = InstrumentedAsyncServer(
        sio, LOGIN, "/watch", True, "one", "production", 0.05
    )
    assert instrumented.sio is sio
    assert instrumented.read_only
    admin = await connect(await serve(sio), "/watch", auth=LOGIN)
    (stats,) = await admin.next("server_stats")
    assert stats["serverId"] == "one"
    assert [ns["name"] for ns in stats["namespaces"]] == ["/", "/watch"]


async def test_uninstrument(serve: Any, connect: Connect) -> None:
    sio = AsyncServer()
    instrumented = sio.instrument(auth=LOGIN)
    server = await serve(sio)
    admin = await log_in(connect, server)
    instrumented.uninstrument()
    instrumented.uninstrument()
    await admin.disconnected.next()
    assert sio._hub.observer is sio.eio.engine.observer is None
    assert sio.handlers == {}
    assert await refusal(server, LOGIN) == {"message": "Invalid namespace"}
    instrumented.instrument()
    again = await log_in(connect, server)
    await again.next("config")


def test_it_can_be_instrumented_once() -> None:
    sio = AsyncServer()
    sio.instrument(auth=LOGIN)
    with pytest.raises(RuntimeError, match="already"):
        sio.instrument(auth=LOGIN)


async def test_what_is_told_can_be_read_by_javascript(
    serve: Any, connect: Connect
) -> None:
    """A room may be any hashable value, also one that JSON does not know."""
    sio = AsyncServer()
    instrumented = sio.instrument(auth=LOGIN)
    server = await serve(sio)
    admin, client = await log_in(connect, server), await connect(server)
    await admin.calls("room_joined").several(2)
    await sio.enter_room(client.sid, frozenset("a"))
    assert (await admin.next("room_joined"))[1] == "frozenset({'a'})"
    serialized = instrumented.serialize_socket(client.sid, "/")
    assert json.loads(json.dumps(serialized)) == serialized
    with pytest.raises(KeyError, match="not connected"):
        instrumented.serialize_socket("nobody", "/")


# ------------------------------------------------------------------- the sync Server


@pytest.fixture
def sync_sio() -> Iterator[socketio_fast.Server]:
    sio = socketio_fast.Server(namespaces=["/", "/chat"])
    yield sio
    sio.shutdown()


@pytest.fixture
def sync_server(sync_sio: socketio_fast.Server) -> Iterator[Any]:
    with werkzeug(socketio_fast.WSGIApp(sync_sio)) as url:
        yield SimpleNamespace(url=url)
        sync_sio.shutdown()  # polls wait in the threads of the host


def in_a_handler(credentials: Any) -> bool:
    assert threading.current_thread().name.startswith("socketio_fast-handler")
    return bool(credentials == LOGIN)


@pytest.mark.parametrize("auth", [LOGIN, in_a_handler])
async def test_login_to_a_sync_server(
    sync_sio: socketio_fast.Server, sync_server: Any, connect: Connect, auth: Any
) -> None:
    sync_sio.instrument(auth=auth)
    wrong = await refusal(sync_server, {"username": "admin"})
    assert wrong == {"message": "invalid credentials"}
    admin = await log_in(connect, sync_server)
    (session_id,) = await admin.next("session")
    await connect(sync_server, "/admin", auth={"sessionId": session_id})


async def test_what_a_sync_server_tells(
    sync_sio: socketio_fast.Server, sync_server: Any, connect: Connect
) -> None:
    sio = sync_sio
    early = await connect(sync_server, transport="polling")
    sio.on("ask", lambda sid, x: sio.emit("told", x, to=sid))
    instrumented = sio.instrument(auth=LOGIN, server_stats_interval=0.05)
    assert isinstance(instrumented, InstrumentedServer)
    admin = await log_in(connect, sync_server)
    (found,) = await admin.next("all_sockets")
    assert {socket["id"] for socket in found} == {early.sid, admin.sid}
    client = await connect(sync_server)
    await client.emit("ask", "x")
    received = await admin.next("event_received")
    assert received[:3] == ("/", client.sid, ["ask", "x"])
    assert (await admin.next("event_sent"))[:3] == ("/", client.sid, ["told", "x"])
    sio.enter_room(client.sid, "x")
    joined = await admin.calls("room_joined").several(3)
    assert joined[-1][:3] == ("/", "x", client.sid)
    stats: dict[str, Any] = {}
    while stats.get("clientsCount") != 3:
        (stats,) = await admin.next("server_stats")
    assert stats["pollingClientsCount"] == 1
    serialized = instrumented.serialize_socket(client.sid, "/")
    assert set(serialized["rooms"]) == {client.sid, "x"}


async def test_what_can_be_done_with_a_sync_server(
    sync_sio: socketio_fast.Server, sync_server: Any, connect: Connect
) -> None:
    ended = Calls("disconnect")
    loop = asyncio.get_running_loop()

    @sync_sio.on("disconnect")
    def disconnect(sid: str, reason: str) -> None:
        loop.call_soon_threadsafe(ended.add, sid, reason)

    sync_sio.instrument(auth=LOGIN)
    admin, client = await log_in(connect, sync_server), await connect(sync_server)
    await admin.emit("emit", "/", client.sid, "hello", 1)
    assert await client.next("hello") == (1,)
    await admin.emit("join", "/", "x", client.sid)
    await admin.calls("room_joined").several(3)
    assert set(sync_sio.rooms(client.sid)) == {client.sid, "x"}
    await admin.emit("leave", "/", "x", client.sid)
    await admin.next("room_left")
    assert sync_sio.rooms(client.sid) == [client.sid]
    await admin.emit("_disconnect", "/", True, client.sid)
    assert await ended.next() == (client.sid, "server disconnect")


async def test_what_a_program_can_do_with_a_sync_server(
    sync_sio: socketio_fast.Server, sync_server: Any, connect: Connect
) -> None:
    instrumented = InstrumentedServer(
        sync_sio, LOGIN, "development", True, "one", "/watch", 0.05
    )
    assert instrumented.sio is sync_sio
    assert instrumented.server_id == "one"
    with pytest.raises(exceptions.ConnectionRefusedError):
        instrumented.admin_connect("sid", {}, None)
    admin = await connect(sync_server, "/watch", auth=LOGIN)
    client = await connect(sync_server)
    instrumented.admin_emit(admin.sid, "/", None, "hello")
    await client.next("hello")
    instrumented.admin_enter_room(admin.sid, "/", "x", client.sid)
    assert set(sync_sio.rooms(client.sid)) == {client.sid, "x"}
    instrumented.admin_leave_room(admin.sid, "/", "x")
    assert sync_sio.rooms(client.sid) == [client.sid]
    instrumented.admin_disconnect(admin.sid, "/", False, client.sid)
    await client.disconnected.next()
    await admin.next("server_stats")
    instrumented.shutdown()
    instrumented.uninstrument()
    await admin.disconnected.next()
    assert sync_sio._hub.observer is None
    instrumented.instrument()
    await connect(sync_server, "/watch", auth=LOGIN)


def test_a_sync_server_is_instrumented_before_it_runs() -> None:
    sio = socketio_fast.Server()
    instrumented = sio.instrument(auth=LOGIN)
    instrumented.shutdown()
    assert not sio._threads.running
    with pytest.raises(RuntimeError, match="already"):
        sio.instrument(auth=LOGIN)
    instrumented.uninstrument()
    with pytest.raises(TypeError, match="coroutine function"):
        sio.instrument(auth=any_of_later)
    with pytest.raises(ValueError, match="auth must be specified"):
        sio.instrument()
    assert sio._hub.observer is None
