"""The official JavaScript client: events and acknowledgements, both ways."""

from __future__ import annotations

import asyncio
import math
from enum import IntEnum

import pytest
from support.interop import (
    ARGUMENTS,
    BINARY_ARGUMENTS,
    LENGTHS,
    SETTLED,
    Calls,
    record,
    returning,
    within,
)
from support.js_client import Binary, JSClient
from support.waiting import until

from interop.conftest import SERVES
from socketio_fast import exceptions

pytestmark = pytest.mark.parametrize("serve", SERVES, indirect=True)


# ------------------------------------------------------------------ events


async def test_the_transport_is_the_one_asked_for(js, serve, sio, transport):
    client = await js(await serve(sio))
    await client.connect()
    assert await client.transport() == SETTLED[transport]
    await until(lambda: sio.transport(client.sid) == SETTLED[transport])
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
