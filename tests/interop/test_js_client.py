"""The official JavaScript client: namespaces, connect, refusals, rooms, the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.interop import (
    TRANSPORTS,
    Calls,
    record,
    record_connects,
    record_disconnects,
    returning,
    within,
)
from support.js_client import JSClient, Refused
from support.js_tests import fence

import socketio_fast
from interop.conftest import SERVES
from socketio_fast import exceptions

pytestmark = pytest.mark.parametrize("serve", SERVES, indirect=True)


# -------------------------------------------------------------- namespaces


async def test_namespaces_share_a_connection_and_do_not_cross(js, serve, sio):
    namespaces = ["/", "/a", "/a/b", "/é-1.x"]
    received = {nsp: record(sio, "event", nsp) for nsp in namespaces}
    for nsp in namespaces:
        sio.on("question", returning(nsp), namespace=nsp)
    client = await js(await serve(sio))
    sockets = {nsp: await client.connect(nsp) for nsp in namespaces}

    assert client.engines == 1
    sids = {socket.sid for socket in sockets.values()}
    assert len(sids | {client.engine}) == len(namespaces) + 1

    for nsp, socket in sockets.items():
        await socket.emit("event", nsp, b"up")
        assert await received[nsp].next() == (socket.sid, nsp, b"up")
        assert await socket.emit_with_ack("question") == [nsp]
        await sio.emit("event", (nsp, b"down"), namespace=nsp)
        assert await socket.expect("event") == [nsp, b"down"]
    for nsp, socket in sockets.items():
        assert received[nsp].empty
        assert socket.log == ["connect", "event"]


async def test_the_default_namespace_need_not_be_joined(js, serve, sio):
    connected = record_connects(sio)
    sio.on("question", returning("yes"), namespace="/only")
    client = await js(await serve(sio))
    socket = await client.connect("/only")
    assert await socket.emit_with_ack("question") == ["yes"]
    assert connected.empty


async def test_the_server_calls_in_a_namespace(js, serve, sio):
    record(sio, "event", "/a")
    client = await js(await serve(sio))
    await client.connect()
    socket = await client.connect("/a")
    call = asyncio.ensure_future(sio.call("q", to=socket.sid, namespace="/a"))
    await socket.expect_and_answer("q", b"answer")
    assert await within(call, "answer") == b"answer"


async def test_an_unknown_namespace_is_refused(js, serve, sio):
    sio.on("question", returning("still here"))
    client = await js(await serve(sio))
    await client.connect()
    with pytest.raises(Refused) as refusal:
        await client.connect("/unknown")
    assert refusal.value.message == "Invalid namespace"
    assert refusal.value.data is None
    assert await client.emit_with_ack("question") == ["still here"]


async def test_a_namespace_is_left_alone(js, serve, sio):
    left = {nsp: record_disconnects(sio, nsp) for nsp in ("/", "/a", "/b")}
    for nsp in left:
        sio.on("question", returning(nsp), namespace=nsp)
    client = await js(await serve(sio))
    sockets = {nsp: await client.connect(nsp) for nsp in left}

    await sockets["/a"].disconnect()
    assert await sockets["/a"].disconnected() == "io client disconnect"
    assert await left["/a"].next() == (sockets["/a"].sid, sio.reason.CLIENT_DISCONNECT)

    await sio.disconnect(sockets["/b"].sid, namespace="/b")
    assert await sockets["/b"].disconnected() == "io server disconnect"
    assert await left["/b"].next() == (sockets["/b"].sid, sio.reason.SERVER_DISCONNECT)

    assert await client.emit_with_ack("question") == ["/"]
    assert left["/"].empty
    assert client.engines == 1


async def test_a_namespace_is_joined_again_with_a_new_sid(js, serve, sio):
    left = record_disconnects(sio, "/a")
    client = await js(await serve(sio))
    await client.connect()
    socket = await client.connect("/a")
    first = socket.sid
    await socket.disconnect()
    assert await left.next() == (first, sio.reason.CLIENT_DISCONNECT)
    await socket.connect()
    assert socket.sid != first
    assert sio.rooms(socket.sid, namespace="/a") == [socket.sid]
    assert client.engines == 1


# ------------------------------------------------------ connect and refusal


REFUSALS: dict[str, tuple[Any, str, Any]] = {
    "return False": (None, "Connection rejected by server", None),
    "no argument": ((), "Connection rejected by server", None),
    "message": (("no",), "no", None),
    "message and data": (("no", {"a": 1}), "no", {"a": 1}),
    "more data": (("né ☃", 1, [2]), "né ☃", [1, [2]]),
}


def refuse(sio: Any, nsp: str, arguments: Any) -> None:
    @sio.on("connect", namespace=nsp)
    async def connect(sid, environ):
        await sio.enter_room(sid, "room", namespace=nsp)
        await sio.emit("not for the refused", to=sid, namespace=nsp)
        if arguments is None:
            return False
        raise exceptions.ConnectionRefusedError(*arguments)


async def test_the_connect_handler_refuses(js, serve, sio):
    for case, (arguments, _, _) in REFUSALS.items():
        refuse(sio, f"/{case}", arguments)
    client = await js(await serve(sio))
    await client.connect()
    for case, (_, message, data) in REFUSALS.items():
        nsp = f"/{case}"
        disconnected = record_disconnects(sio, nsp)
        with pytest.raises(Refused) as refusal:
            await client.connect(nsp)
        assert (case, refusal.value.message) == (case, message)
        assert (case, refusal.value.data) == (case, data)
        # The room is empty again: who was refused is in none.
        await sio.emit("not for the refused", room="room", namespace=nsp)
        await fence(sio, client)
        assert client[nsp].log == ["connect_error"]
        assert disconnected.empty


async def test_the_connect_handler_of_the_default_namespace_refuses(js, serve, sio):
    refuse(sio, "/", ("no", {"a": 1}))
    client = await js(await serve(sio), reconnection=False)
    with pytest.raises(Refused) as refusal:
        await client.connect()
    assert (refusal.value.message, refusal.value.data) == ("no", {"a": 1})
    assert client["/"].log == ["connect_error"]


async def test_a_refusal_in_one_namespace_leaves_the_others(js, serve, sio):
    sio.on("connect", lambda sid, environ: False, namespace="/private")
    sio.on("question", returning("still here"))
    client = await js(await serve(sio))
    await client.connect()
    with pytest.raises(Refused, match="Connection rejected by server"):
        await client.connect("/private")
    assert await client.emit_with_ack("question") == ["still here"]


async def test_a_refused_client_may_try_again(js, serve, sio):
    @sio.event
    def connect(sid, environ, auth):
        return auth == {"password": "right"}

    client = await js(await serve(sio), reconnection=False)
    with pytest.raises(Refused):
        await client.connect(auth={"password": "wrong"})
    await client.connect(auth={"password": "right"})
    assert sio.rooms(client.sid) == [client.sid]


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        pytest.param({"token": "é☃", "n": [1, None]}, {"token": "é☃", "n": [1, None]}),
        pytest.param(None, None, id="none"),
        pytest.param({}, None, id="empty"),
    ],
)
async def test_auth_reaches_the_connect_handler(js, serve, sio, auth, expected):
    connected = record_connects(sio)
    other = record_connects(sio, "/other")
    client = await js(await serve(sio))
    await client.connect(auth=auth)
    assert (await connected.next())[2] == expected
    await client.connect("/other", auth={"for": "the other"})
    assert (await other.next())[2] == {"for": "the other"}


async def test_environ_tells_who_connects(js, serve, sio, transport):
    connected = record_connects(sio)
    client = await js(
        await serve(sio),
        query={"token": "a b&é"},
        extraHeaders={"User-Agent": "interop/1.0", "X-Interop-Test": "yes"},
    )
    await client.connect()
    sid, environ, _ = await connected.next()
    assert sid == client.sid
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["PATH_INFO"] == "/socket.io/"
    query = environ["QUERY_STRING"].split("&")
    assert "EIO=4" in query
    assert f"transport={TRANSPORTS[transport][0]}" in query
    assert "token=a%20b%26%C3%A9" in query
    assert environ["HTTP_USER_AGENT"] == "interop/1.0"
    assert environ["HTTP_X_INTEROP_TEST"] == "yes"
    assert sio.get_environ(sid)["HTTP_USER_AGENT"] == "interop/1.0"


async def test_a_session_is_kept_for_each_client(js, serve, sio):
    @sio.event
    async def connect(sid, environ, auth):
        await sio.save_session(sid, {"name": auth["name"]})

    @sio.event
    async def whoami(sid):
        async with sio.session(sid) as session:
            session["asked"] = session.get("asked", 0) + 1
        return await sio.get_session(sid)

    server = await serve(sio)
    one, two = await js(server), await js(server)
    await one.connect(auth={"name": "one"})
    await two.connect(auth={"name": "two"})
    assert await one.emit_with_ack("whoami") == [{"name": "one", "asked": 1}]
    assert await two.emit_with_ack("whoami") == [{"name": "two", "asked": 1}]
    assert await one.emit_with_ack("whoami") == [{"name": "one", "asked": 2}]


# --------------------------------------------------------------- disconnect


async def test_the_server_disconnects(js, serve, sio):
    disconnected = record_disconnects(sio)
    client = await js(await serve(sio))
    await client.connect()
    await sio.disconnect(client.sid)
    assert await client.disconnected() == "io server disconnect"
    assert await disconnected.next() == (client.sid, sio.reason.SERVER_DISCONNECT)


async def test_what_is_emitted_before_a_disconnect_arrives(js, serve, sio):
    @sio.event
    async def leave(sid):
        for n in range(50):
            await sio.emit("last words", (n, b"\xff"), to=sid)
        await sio.disconnect(sid)

    client = await js(await serve(sio))
    await client.connect()
    await client.emit("leave")
    assert await client.disconnected() == "io server disconnect"
    for n in range(50):
        assert await client.expect("last words") == [n, b"\xff"]


async def test_the_client_disconnects(js, serve, sio):
    disconnected = record_disconnects(sio)
    received = record(sio, "last words")
    client = await js(await serve(sio))
    await client.connect()
    sid = client.sid
    await client.emit("last words", b"bye")
    await client.disconnect()
    assert await client.disconnected() == "io client disconnect"
    assert await received.next() == (sid, b"bye")
    assert await disconnected.next() == (sid, sio.reason.CLIENT_DISCONNECT)


async def test_the_disconnect_handler_still_has_rooms_and_session(js, serve, sio):
    last = Calls("disconnect")

    @sio.event
    async def connect(sid, environ):
        await sio.enter_room(sid, "room")
        await sio.save_session(sid, {"name": "me"})

    @sio.event
    async def disconnect(sid):
        last.add(sorted(sio.rooms(sid)), await sio.get_session(sid))

    client = await js(await serve(sio))
    await client.connect()
    sid = client.sid
    await client.disconnect()
    assert await last.next() == (sorted([sid, "room"]), {"name": "me"})


async def test_a_client_that_vanishes_is_noticed(js, serve, transport):
    # Between two polls there is nothing to notice before the heartbeat. The end of a
    # WebSocket is noticed without one, whose timeout a client that lives could miss.
    heartbeat = {"ping_interval": 0.3, "ping_timeout": 2}
    sio = socketio_fast.AsyncServer(**(heartbeat if transport == "polling" else {}))
    disconnected = record_disconnects(sio)
    client = await js(await serve(sio), own_process=True)
    await client.connect()
    await client.kill()
    sid, reason = await disconnected.next()
    assert sid == client.sid
    if transport == "polling":
        assert reason in (
            sio.reason.PING_TIMEOUT,
            sio.reason.TRANSPORT_CLOSE,
            sio.reason.TRANSPORT_ERROR,
        )
    else:
        assert reason == sio.reason.TRANSPORT_CLOSE


async def test_heartbeats_keep_a_silent_client(js, serve):
    sio = socketio_fast.AsyncServer(ping_interval=0.1, ping_timeout=2)
    sio.on("question", returning("still here"))
    disconnected = record_disconnects(sio)
    client = await js(await serve(sio))
    await client.connect()
    for _ in range(5):
        await client.next("ping")
    assert await client.emit_with_ack("question") == ["still here"]
    assert disconnected.empty


# -------------------------------------------------------------------- rooms


async def test_rooms(js, serve, sio):
    server = await serve(sio)
    one, two, three = clients = [await js(server) for _ in range(3)]
    for client in clients:
        await client.connect()
    await sio.enter_room(one.sid, "a")
    await sio.enter_room(two.sid, "a")
    await sio.enter_room(two.sid, "b")
    assert sorted(sio.rooms(two.sid)) == sorted([two.sid, "a", "b"])

    await sio.emit("to a", b"1", room="a")
    assert await one.expect("to a") == [b"1"]
    assert await two.expect("to a") == [b"1"]
    await fence(sio, *clients)

    await sio.emit("to a or b", {"n": 2}, to=["a", "b", three.sid])
    for client in clients:
        assert await client.expect("to a or b") == [{"n": 2}]
    await fence(sio, *clients)

    await sio.leave_room(two.sid, "a")
    await sio.emit("left", to="a")
    assert await one.expect("left") == []
    await fence(sio, *clients)

    await sio.close_room("b")
    await sio.emit("closed", to="b")
    await fence(sio, *clients)
    assert sio.rooms(two.sid) == [two.sid]


async def test_broadcast_skips_whom_it_is_told_to(js, serve, sio):
    @sio.event
    async def say(sid, text):
        await sio.emit("said", text, skip_sid=sid)

    server = await serve(sio)
    one, two, three = clients = [await js(server) for _ in range(3)]
    for client in clients:
        await client.connect()
        await sio.enter_room(client.sid, "room")

    await one.emit("say", "hello")
    assert await two.expect("said") == ["hello"]
    assert await three.expect("said") == ["hello"]
    await fence(sio, *clients)

    await sio.emit("some", b"x", room="room", skip_sid=[one.sid, three.sid])
    assert await two.expect("some") == [b"x"]
    await fence(sio, *clients)


async def test_those_who_left_are_not_in_their_rooms(js, serve, sio):
    disconnected = record_disconnects(sio)
    server = await serve(sio)
    stays, leaves = await js(server), await js(server)
    for client in (stays, leaves):
        await client.connect()
        await sio.enter_room(client.sid, "room")
    await leaves.disconnect()
    await disconnected.next()
    await sio.emit("event", b"x", room="room")
    assert await stays.expect("event") == [b"x"]
    await fence(sio, stays)


@pytest.mark.parametrize("case", ["text", "binary"])
@pytest.mark.parametrize("order", [1, -1], ids=["polling first", "websocket first"])
async def test_a_broadcast_reaches_every_transport(serve, sio, case, order):
    """B2: a broadcast reaches every transport."""
    message = {"n": 1, "☃": b"\x00\xff" if case == "binary" else "text"}
    server = await serve(sio)
    by = [["polling"], ["polling", "websocket"], ["websocket"]][::order]
    async with (
        JSClient(server.url, transports=by[0]) as one,
        JSClient(server.url, transports=by[1]) as two,
        JSClient(server.url, transports=by[2]) as three,
    ):
        for client in (one, two, three):
            await client.connect()
        for _ in range(20):
            await sio.emit("event", (message, "last"))
        for client in (one, two, three):
            for _ in range(20):
                assert await client.expect("event") == [message, "last"]
