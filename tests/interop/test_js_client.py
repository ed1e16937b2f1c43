"""The official JavaScript client against the server, by every transport."""

from __future__ import annotations

import asyncio
import math
from enum import IntEnum
from typing import Any

import pytest
from support.interop import (
    ARGUMENTS,
    BINARY_ARGUMENTS,
    LENGTHS,
    SETTLED,
    TRANSPORTS,
    WAIT,
    Calls,
    record,
    record_connects,
    record_disconnects,
    returning,
    slow_websockets,
    within,
)
from support.js_client import Binary, JSClient, Refused

import socketio_fast
from socketio_fast import exceptions

#: The server's default for max_http_buffer_size, in bytes.
LIMIT = 1_000_000

#: Options of a client that comes back at once.
AT_ONCE = {
    "reconnectionDelay": 20,
    "reconnectionDelayMax": 100,
    "randomizationFactor": 0,
}

# ------------------------------------------------------------------ events


async def test_the_transport_is_the_one_asked_for(js, serve, sio, transport):
    client = await js(await serve(sio))
    await client.connect()
    assert await client.transport() == SETTLED[transport]
    assert sio.transport(client.sid) == SETTLED[transport]
    assert client.engines == 1


async def test_arguments_reach_the_server(js, serve, sio):
    received = record(sio, "arguments")
    client = await js(await serve(sio))
    await client.connect()
    for case, arguments in {**ARGUMENTS, **BINARY_ARGUMENTS}.items():
        await client.emit("arguments", *arguments)
        sid, *got = await received.next()
        # By repr, because 1 == True == 1.0.
        assert (case, repr(got)) == (case, repr(arguments))
        assert sid == client.sid


async def test_arguments_reach_the_client(js, serve, sio):
    client = await js(await serve(sio))
    await client.connect()
    for case, arguments in {**ARGUMENTS, **BINARY_ARGUMENTS}.items():
        await sio.emit("arguments", tuple(arguments), to=client.sid)
        got = await client.expect("arguments")
        assert (case, repr(got)) == (case, repr(arguments))


async def test_messages_of_every_length_reach_the_server(js, serve, sio):
    received = record(sio, "length")
    client = await js(await serve(sio))
    await client.connect()
    for length in LENGTHS:
        await client.emit("length", "x" * length)
    got = [text for _, text in await received.several(len(LENGTHS))]
    assert [len(text) for text in got] == LENGTHS
    assert {*"".join(got)} == {"x"}


async def test_messages_of_every_length_reach_the_client(js, serve, sio):
    client = await js(await serve(sio))
    await client.connect()
    for length in LENGTHS:
        await sio.emit("length", "x" * length, to=client.sid)
    got = [(await client.expect("length"))[0] for _ in LENGTHS]
    assert [len(text) for text in got] == LENGTHS
    assert {*"".join(got)} == {"x"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(None, [], id="None is no argument"),
        pytest.param((), [], id="empty tuple is no argument"),
        pytest.param((1, 2), [1, 2], id="tuple is several arguments"),
        pytest.param([1, 2], [[1, 2]], id="list is one argument"),
        pytest.param((None,), [None], id="None in a tuple is null"),
        pytest.param(bytearray(b"ab"), [b"ab"], id="bytearray"),
        pytest.param({"a": (1, (2,))}, [{"a": [1, [2]]}], id="inner tuples"),
        pytest.param({1: "one"}, [{"1": "one"}], id="integer keys"),
        pytest.param(2**64, [18446744073709552000], id="more than 64 bits"),
        pytest.param(-(2**63) - 1, [-9223372036854776000], id="less than 64 bits"),
        pytest.param(math.nan, [None], id="NaN is null"),
        pytest.param(IntEnum("Colour", "RED")(1), [1], id="IntEnum"),
        pytest.param(type("Name", (str,), {})("é"), ["é"], id="str subclass"),
    ],
)
async def test_python_values_reach_the_client(serve, sio, data, expected):
    server = await serve(sio)
    async with JSClient(server.url, transports=["websocket"]) as client:
        await client.connect()
        await sio.emit("value", data, to=client.sid)
        assert await client.expect("value") == expected


@pytest.mark.parametrize("kind", ["Buffer", "Uint8Array", "ArrayBuffer"])
async def test_every_javascript_binary_type_arrives_as_bytes(js, serve, sio, kind):
    received = record(sio, "binary")
    client = await js(await serve(sio))
    await client.connect()
    await client.emit("binary", Binary(b"\x00\xff", kind), {"in": Binary(b"", kind)})
    assert await received.next() == (client.sid, b"\x00\xff", {"in": b""})


async def test_forced_base64_is_read_and_answered_by_every_transport(js, serve, sio):
    """Attachments are text packets by WebSocket too."""
    sio.on("echo", lambda sid, *args: args)
    client = await js(await serve(sio), forceBase64=True)
    await client.connect()
    data = [b"\x00\xff", {"in": bytes(range(100))}, b""]
    assert await client.emit_with_ack("echo", *data) == data
    await sio.emit("plain", "text", to=client.sid)
    await sio.emit("binary", tuple(data), to=client.sid)
    assert await client.expect("plain") == ["text"]
    assert await client.expect("binary") == data


@pytest.mark.parametrize("suspends", [False, True])
async def test_a_client_that_asks_twice_for_a_namespace_is_answered_once(
    js, serve, sio, suspends
):
    """`manager.socket("/a").connect()` on an open manager sends two CONNECT packets."""
    connected = []

    @sio.on("connect", namespace="/a")
    async def connect(sid, environ):
        connected.append(sid)
        if suspends:
            await asyncio.sleep(0.05)

    sio.on("question", lambda sid: "answer", namespace="/a")
    client = await js(await serve(sio))
    await client.connect()
    a = await client.socket("/a")
    await a.connect(times=2)
    assert await a.emit_with_ack("question") == ["answer"]
    assert connected == [a.sid]
    assert a.log.count("connect") == 1


async def test_send_is_the_message_event(js, serve, sio):
    received = record(sio, "message")
    client = await js(await serve(sio))
    await client.connect()
    await client.emit("message", "to the server")
    assert await received.next() == (client.sid, "to the server")
    await sio.send("to the client", to=client.sid)
    assert await client.expect("message") == ["to the client"]


async def test_a_catch_all_handler_gets_the_event_name(js, serve, sio):
    received = record(sio, "*")
    client = await js(await serve(sio))
    await client.connect()
    await client.emit("anything", 1)
    assert await received.next() == ("anything", client.sid, 1)


async def test_events_of_the_connect_handler_arrive_after_connect(js, serve, sio):
    @sio.event
    async def connect(sid, environ):
        await sio.emit("first", b"\x01", to=sid)
        await sio.emit("second", {"n": 2}, to=sid)

    client = await js(await serve(sio))
    await client.connect()
    assert await client.expect("first") == [b"\x01"]
    assert await client.expect("second") == [{"n": 2}]
    # The client holds early events back, but reports them before "connect".
    assert client["/"].log == ["connect", "first", "second"]


async def test_a_thousand_messages_reach_the_server_in_order(js, serve, sio):
    received = record(sio, "n")
    client = await js(await serve(sio))
    await client.connect()
    await client["/"].emit_many("n", 1000)
    assert [n for _, n in await received.several(1000)] == list(range(1000))


async def test_a_thousand_messages_reach_the_client_in_order(js, serve, sio):
    client = await js(await serve(sio))
    await client.connect()
    for n in range(1000):
        await sio.emit("n", n, to=client.sid)
    got = [(await client.expect("n"))[0] for _ in range(1000)]
    assert got == list(range(1000))


async def test_a_thousand_binary_messages_are_echoed_in_order(js, serve, sio):
    @sio.event
    async def echo(sid, n):
        await sio.emit("echoed", {"n": n, "as": [b"%d" % n, b"|"]}, to=sid)

    client = await js(await serve(sio))
    await client.connect()
    await client["/"].emit_many("echo", 1000)
    got = [(await client.expect("echoed"))[0] for _ in range(1000)]
    assert got == [{"n": n, "as": [b"%d" % n, b"|"]} for n in range(1000)]


# -------------------------------------------------------------------- acks


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_the_client_asks(js, serve, sio, kind):
    answers = {
        "nothing": (None, []),
        "empty tuple": ((), []),
        "tuple": ((1, "two", None), [1, "two", None]),
        "list": ([1, 2], [[1, 2]]),
        "empty list": ([], [[]]),
        "object": ({"é": None}, [{"é": None}]),
        "false": (False, [False]),
        "zero": (0, [0]),
        "empty string": ("", [""]),
        "bytes": (b"\x00\x01", [b"\x00\x01"]),
        "nested bytes": (({"a": [b"1"]}, b"2"), [{"a": [b"1"]}, b"2"]),
    }

    if kind == "def":

        @sio.event
        def question(sid, case):
            return answers[case][0]

    else:

        @sio.event
        async def question(sid, case):
            await sio.sleep(0)
            return answers[case][0]

    client = await js(await serve(sio))
    await client.connect()
    for case, (_, expected) in answers.items():
        got = await client.emit_with_ack("question", case)
        assert (case, repr(got)) == (case, repr(expected))


async def test_the_client_asks_with_any_arguments(js, serve, sio):
    @sio.event
    def echo(sid, *arguments):
        return arguments

    client = await js(await serve(sio))
    await client.connect()
    for case, arguments in {**ARGUMENTS, **BINARY_ARGUMENTS}.items():
        got = await client.emit_with_ack("echo", *arguments)
        assert (case, repr(got)) == (case, repr(arguments))


async def test_a_slow_answer_does_not_hold_up_the_next(js, serve, sio):
    asked, released = asyncio.Event(), asyncio.Event()

    @sio.event
    async def slow(sid):
        asked.set()
        await released.wait()
        return "slow"

    sio.on("fast", returning("fast"))
    client = await js(await serve(sio))
    await client.connect()
    slow_answer = asyncio.ensure_future(client.emit_with_ack("slow"))
    await within(asked.wait(), "slow")
    assert await client.emit_with_ack("fast") == ["fast"]
    assert not slow_answer.done()
    released.set()
    assert await slow_answer == ["slow"]


async def test_the_server_calls(js, serve, sio):
    answers = {
        "nothing": ([], None),
        "null": ([None], None),
        "one": (["one"], "one"),
        "empty list": ([[]], []),
        "several": ([1, None, "three"], (1, None, "three")),
        "binary": ([b"\x00\xff"], b"\x00\xff"),
        "nested binary": ([{"a": [b"1"]}, b"2"], ({"a": [b"1"]}, b"2")),
    }
    client = await js(await serve(sio))
    await client.connect()
    for case, (answer, expected) in answers.items():
        call = asyncio.ensure_future(sio.call("ask", (case, b"b"), to=client.sid))
        assert await client.expect_and_answer("ask", *answer) == [case, b"b"]
        assert (case, repr(await within(call, case))) == (case, repr(expected))


async def test_answers_reach_the_call_that_asked(js, serve, sio):
    client = await js(await serve(sio))
    await client.connect()
    calls = [
        asyncio.ensure_future(sio.call("question", n, to=client.sid)) for n in range(20)
    ]
    questions = [await client["/"].next_event() for _ in calls]
    for question in reversed(questions):
        await client["/"].answer(question, question.args[0] * 10)
    answers = await within(asyncio.gather(*calls), "answers")
    assert answers == [n * 10 for n in range(20)]


async def test_a_call_that_is_not_answered_times_out(js, serve, sio):
    client = await js(await serve(sio))
    await client.connect()
    with pytest.raises(exceptions.TimeoutError):
        await sio.call("question", to=client.sid, timeout=0.1)
    # A late answer is to nobody, and harms nobody.
    await client.expect_and_answer("question", "too late")
    call = asyncio.ensure_future(sio.call("again", to=client.sid))
    await client.expect_and_answer("again", "in time")
    assert await within(call, "answer") == "in time"


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_a_callback_gets_the_answer(js, serve, sio, kind):
    answered = Calls("callback")

    if kind == "def":

        def callback(*args):
            answered.add(*args)

    else:

        async def callback(*args):
            await sio.sleep(0)
            answered.add(*args)

    client = await js(await serve(sio))
    await client.connect()
    for answer in ([], ["one"], [1, b"2", {"three": b"3"}]):
        await sio.emit("question", to=client.sid, callback=callback)
        assert await client.expect_and_answer("question", *answer) == []
        assert list(await answered.next()) == answer


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
    sio = socketio_fast.AsyncServer(ping_interval=0.3, ping_timeout=0.3)
    disconnected = record_disconnects(sio)
    client = await js(await serve(sio))
    await client.connect()
    await client.kill()
    sid, reason = await disconnected.next()
    assert sid == client.sid
    if transport == "polling":
        # Between two polls there is nothing to notice before the heartbeat.
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


async def fence(sio: Any, *clients: JSClient) -> None:
    """Each client's next event is this one: what should not have come, did not."""
    await sio.emit("fence")
    for client in clients:
        assert await client.expect("fence") == []


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


# ------------------------------------------------------------------ upgrade


@pytest.mark.parametrize("pause", [0, 0.001, 0.004])
@pytest.mark.parametrize("slow", [0.01, 0.03])
async def test_nothing_is_lost_in_the_upgrade(serve, sio, pause, slow):
    up: list[list[Any]] = []
    down_sent = asyncio.get_running_loop().create_future()

    @sio.on("up")
    def _(sid, n, attachment=None):
        up.append([n] if attachment is None else [n, attachment])

    async def stream(sid):
        sent, before, left = 0, 0, 50
        while left:
            if sio.transport(sid) == "polling":
                before += 1
            else:
                left -= 1
            await sio.emit("down", numbered(sent), to=sid)
            sent += 1
            await asyncio.sleep(pause)
        down_sent.set_result((sent, before))

    @sio.event
    def connect(sid, environ):
        sio.start_background_task(stream, sid)

    @sio.event
    def arrived(sid):
        return len(up)

    def numbered(n):
        return (n,) if n % 5 else (n, bytes([n & 0xFF]))

    server = await serve(sio)
    async with (
        slow_websockets(server.port, slow) as url,
        JSClient(url, transports=TRANSPORTS["upgrade"]) as client,
    ):
        await client.socket()
        streaming = asyncio.ensure_future(client.stream_across_upgrade("up", after=50))
        await client["/"].connect()
        await client.settled()
        sent, before = await within(streaming, "stream to the server")
        assert 0 < before < sent
        assert await client.emit_with_ack("arrived") == [sent]
        assert up == [list(numbered(n)) for n in range(sent)]

        sent, before = await within(down_sent, "stream to the client")
        assert 0 < before < sent
        down = [await client.expect("down") for _ in range(sent)]
        assert down == [list(numbered(n)) for n in range(sent)]
        assert client.engines == 1
        await fence(sio, client)


async def test_an_answer_is_waited_for_across_the_upgrade(serve, sio):
    asked = Calls("slow")
    released = asyncio.Event()

    @sio.event
    async def slow(sid):
        asked.add(sio.transport(sid))
        await released.wait()
        return sio.transport(sid)

    sio.on("question", returning("yes"))
    server = await serve(sio)
    async with (
        slow_websockets(server.port, 0.02) as url,
        JSClient(url, transports=TRANSPORTS["upgrade"]) as client,
    ):
        socket = await client.socket()
        # Kept by the client until it is connected, then sent by polling.
        answer = asyncio.ensure_future(socket.emit_with_ack("slow"))
        await socket.connect()
        assert await asked.next() == ("polling",)
        await client.settled()
        # By WebSocket, so that the server has switched too.
        assert await client.emit_with_ack("question") == ["yes"]
        released.set()
        assert await answer == ["websocket"]


async def test_a_server_may_forbid_upgrades(serve):
    sio = socketio_fast.AsyncServer(allow_upgrades=False)
    sio.on("question", returning("yes"))
    server = await serve(sio)
    async with JSClient(server.url, transports=TRANSPORTS["upgrade"]) as client:
        await (await client.socket()).connect()
        for _ in range(5):
            assert await client.emit_with_ack("question") == ["yes"]
        assert await client.transport() == "polling"
        assert not client.upgraded.is_set()


# ------------------------------------------------------------- reconnection


async def test_the_client_reconnects_after_a_restart(js, serve, sio, transport):
    server = await serve(sio)
    client = await js(server, **AT_ONCE)
    await client.connect()
    first = client.sid
    await server.close()
    # Not "io server disconnect", after which the client would not come back.
    reason = await client.disconnected()
    if SETTLED[transport] == "polling":  # an error if it was between two polls
        assert reason in ("transport close", "transport error")
    else:
        assert reason == "transport close"

    restarted = socketio_fast.AsyncServer(cors_allowed_origins="*")

    @restarted.event
    async def connect(sid, environ):
        await restarted.save_session(sid, {"new": True})
        await restarted.enter_room(sid, "room")

    restarted.on("question", returning("yes"))
    await serve(restarted, port=server.port)
    assert await client["/"].reconnected() != first
    await client.settled()
    assert await restarted.get_session(client.sid) == {"new": True}
    assert await client.emit_with_ack("question") == ["yes"]
    await restarted.emit("event", b"again", room="room")
    assert await client.expect("event") == [b"again"]


async def test_what_was_emitted_while_offline_arrives(js, serve, sio):
    server = await serve(sio)
    client = await js(server, **AT_ONCE)
    await client.connect()
    await server.close()
    await client.disconnected()
    for n in range(20):
        await client.emit("offline", n, b"%d" % n)

    restarted = socketio_fast.AsyncServer(cors_allowed_origins="*")
    received = record(restarted, "offline")
    await serve(restarted, port=server.port)
    await client["/"].reconnected()
    got = await received.several(20)
    assert got == [(client.sid, n, b"%d" % n) for n in range(20)]


# --------------------------------------------------------------------- size


async def largest(client: JSClient, event: str, kind: str) -> Any:
    """The argument of the largest event that a server must still accept."""
    if kind == "text":
        text = "€" * ((LIMIT - len(f'42["{event}",""]')) // 3)
        return text + "x" * (LIMIT - len(f'42["{event}","{text}"]'.encode()))
    if await client.transport() == "websocket":
        return bytes(range(250)) * (LIMIT // 250)
    # One POST with both packets, the second as "b" and base64: four bytes for three.
    head = f'451-["{event}",{{"_placeholder":true,"num":0}}]\x1eb'
    return b"\xa5" * ((LIMIT - len(head)) // 4 * 3)


@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_a_megabyte_reaches_the_server(js, serve, sio, kind):
    received = record(sio, "big")
    client = await js(await serve(sio))
    await client.connect()
    sent = await largest(client, "big", kind)
    await client.emit("big", sent)
    _, got = await received.next()
    # Not a bare comparison: pytest would show a difference of a megabyte.
    same = got == sent
    assert same
    assert client["/"].log == ["connect"]


@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_more_than_a_megabyte_reaches_the_client(js, serve, sio, kind):
    sent = "€uro" * 700_000 if kind == "text" else bytes(range(256)) * 10_000
    client = await js(await serve(sio))
    await client.connect()
    await sio.emit("big", (sent, "after"), to=client.sid)
    got, after = await client.expect("big")
    same = got == sent
    assert same
    assert after == "after"


@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_a_megabyte_in_answers(js, serve, sio, kind):
    @sio.event
    def echo(sid, value):
        return value

    client = await js(await serve(sio))
    await client.connect()
    sent = await largest(client, "echo", kind)
    sent = sent[: len(sent) - 10]  # the number of the acknowledgement
    (got,) = await client.emit_with_ack("echo", sent)
    same = got == sent
    assert same
    call = asyncio.ensure_future(sio.call("echo", sent, to=client.sid))
    answer = sent[: len(sent) - 10]
    (got,) = await client.expect_and_answer("echo", answer)
    same = (got, await within(call, "answer")) == (sent, answer)
    assert same


@pytest.mark.parametrize("kind", ["text", "multibyte", "binary", "far too large"])
async def test_too_large_a_message_ends_its_connection_only(
    js, serve, sio, transport, kind
):
    disconnected = record_disconnects(sio)
    received = record(sio, "big")
    sio.on("question", returning("still here"))
    server = await serve(sio)
    other, client = await js(server), await js(server, reconnection=False)
    await other.connect()
    await client.connect()
    await client.emit("big", await too_large(client, kind))

    end = await client["/"].next("disconnect")
    if kind == "far too large":
        # The answer may cross with megabytes that nobody is obliged to read.
        assert end["reason"] in ("transport close", "transport error")
    elif SETTLED[transport] == "polling":
        # The 413 is on one connection, the end of the parked poll on another.
        assert (end["reason"], end["status"]) in [
            ("transport error", 413),
            ("transport close", None),
        ]
    else:
        assert (end["reason"], end["code"]) == ("transport close", 1009)
    sid, reason = await disconnected.next()
    assert sid == client.sid
    assert reason != sio.reason.CLIENT_DISCONNECT
    assert received.empty

    assert await other.emit_with_ack("question") == ["still here"]
    newcomer = await js(server)
    await newcomer.connect()
    assert await newcomer.emit_with_ack("question") == ["still here"]


async def too_large(client: JSClient, kind: str) -> Any:
    if kind == "multibyte":  # too many bytes, though not too many characters
        return "€" * 400_000
    if kind == "far too large":
        return "x" * (8 * LIMIT)
    return await largest(client, "big", kind) + (
        "x" if kind == "text" else b"\xa5" * 100
    )


async def test_the_limit_is_an_option(js, serve):
    sio = socketio_fast.AsyncServer(max_http_buffer_size=3 * LIMIT)
    received = record(sio, "big")
    client = await js(await serve(sio))
    await client.connect()
    sent = b"\xa5" * (2 * LIMIT)
    await client.emit("big", sent)
    _, got = await received.next()
    same = got == sent
    assert same


# ------------------------------------------------------------------ options


async def test_a_transport_that_is_not_allowed_is_refused(js, serve, transport):
    other = {"polling": "websocket", "websocket": "polling", "upgrade": "websocket"}
    sio = socketio_fast.AsyncServer(transports=[other[transport]])
    client = await js(await serve(sio), reconnection=False)
    with pytest.raises(Refused) as refusal:
        await client.connect()
    expected = "websocket error" if transport == "websocket" else "xhr poll error"
    assert refusal.value.message == expected


async def test_a_handler_that_raises_does_not_end_the_connection(
    js, serve, sio, caplog
):
    @sio.event
    async def bad(sid):
        raise RuntimeError("the handler's own")

    sio.on("question", returning("still here"))
    client = await js(await serve(sio))
    await client.connect()
    await client.emit("bad")
    assert await client.emit_with_ack("question") == ["still here"]
    assert "the handler's own" in caplog.text


async def test_connections_do_not_wait_for_each_other(js, serve, sio):
    @sio.event
    def echo(sid, value):
        return value

    server = await serve(sio)
    clients = [await js(server) for _ in range(4)]
    await asyncio.gather(*(client.connect() for client in clients))
    assert len({client.sid for client in clients}) == 4

    async def talk(client, name):
        for n in range(50):
            assert await client.emit_with_ack("echo", [name, n]) == [[name, n]]

    talks = (talk(client, name) for name, client in enumerate(clients))
    await asyncio.wait_for(asyncio.gather(*talks), WAIT)
