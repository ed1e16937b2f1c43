"""python-socketio's AsyncClient and Client against the server, by every transport."""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
from contextlib import AsyncExitStack
from typing import Any

import pytest
import socketio as python_socketio
from support.interop import (
    ARGUMENTS,
    BINARY_ARGUMENTS,
    LENGTHS,
    SETTLED,
    TRANSPORTS,
    WAIT,
    record,
    record_connects,
    record_disconnects,
    returning,
    within,
)
from support.python_client import PythonClient
from support.waiting import until
from support.wsgi_hosts import werkzeug

import socketio_fast
from socketio_fast import exceptions

#: The server's default for max_http_buffer_size, in bytes.
LIMIT = 1_000_000

#: For tests in which the order of what one client receives matters.
in_order = pytest.mark.parametrize("kind", ["AsyncClient", "Client in order"])


@pytest.fixture(params=["AsyncClient", "Client"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def sio() -> socketio_fast.AsyncServer:
    return socketio_fast.AsyncServer(cors_allowed_origins="*")


@pytest.fixture
async def python(serve: Any, kind: str, transport: str) -> Any:
    """A factory: ``client = python(server)``, of the kind and by the transport.

    It asks for ``serve`` so that clients end before servers do.
    """
    async with AsyncExitStack() as stack:

        def start(server: Any, *namespaces: str, **options: Any) -> PythonClient:
            client = PythonClient(
                kind, server.url, transport, list(namespaces) or ["/"], options
            )
            stack.push_async_exit(client)
            return client

        yield start


# ------------------------------------------------------------------- events


async def test_the_transport_is_the_one_asked_for(python, serve, sio, transport):
    connected = record_connects(sio)
    client = python(await serve(sio))
    await client.connect()
    assert client.client.transport() == SETTLED[transport]
    await until(lambda: sio.transport(client.sid) == SETTLED[transport])
    assert (await connected.next())[0] == client.sid


@in_order
async def test_arguments_arrive_both_ways_and_in_answers(python, serve, sio):
    received = record(sio, "arguments")

    @sio.event
    async def echo(sid, *arguments):
        await sio.emit("echoed", arguments, to=sid)
        return arguments

    client = python(await serve(sio))
    await client.connect()
    for case, arguments in {**ARGUMENTS, **BINARY_ARGUMENTS}.items():
        # By repr, because 1 == True == 1.0.
        expected = (case, repr(arguments))
        await client.emit("arguments", *arguments)
        sid, *got = await received.next()
        assert (case, repr(got)) == expected
        assert sid == client.sid

        answer = await client.call("echo", *arguments)
        got = [] if answer is None else answer if type(answer) is tuple else [answer]
        if arguments != [None]:  # which is no answer to this client
            assert (case, repr(list(got))) == expected
        assert (case, repr(await client.expect("echoed"))) == expected


@in_order
async def test_messages_of_every_length_arrive_both_ways(python, serve, sio):
    @sio.event
    async def echo(sid, text):
        await sio.emit("echoed", text, to=sid)

    client = python(await serve(sio))
    await client.connect()
    for length in LENGTHS:
        await client.emit("echo", "x" * length)
    got = [(await client.expect("echoed"))[0] for _ in LENGTHS]
    assert [len(text) for text in got] == LENGTHS
    assert {*"".join(got)} == {"x"}


@in_order
@pytest.mark.parametrize("count", [15, 16, 17, 100, 1000])
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize("agent", [None, "chat/1.0"])
async def test_a_burst_arrives_whole(python, serve, sio, count, binary, agent):
    """By default these clients drop an answer to a poll of more than 16 packets."""

    @sio.event
    async def go(sid):
        for number in range(count):
            await sio.emit("number", (number, b"x" if binary else "x"), to=sid)

    client = python(await serve(sio))
    await client.connect(headers={} if agent is None else {"User-Agent": agent})
    await client.emit("go")
    got = [await client.expect("number") for _ in range(count)]
    assert got == [[number, b"x" if binary else "x"] for number in range(count)]


@in_order
async def test_an_event_of_many_attachments_arrives(python, serve, sio):
    @sio.event
    async def go(sid):
        await sio.emit("first", to=sid)
        await sio.emit("many", [bytes([n]) for n in range(100)], to=sid)
        await sio.emit("last", to=sid)

    client = python(await serve(sio))
    await client.connect()
    await client.emit("go")
    assert await client.expect("first") == []
    assert await client.expect("many") == [[bytes([n]) for n in range(100)]]
    assert await client.expect("last") == []


@in_order
async def test_a_burst_before_the_end_arrives_whole(python, serve, sio):
    @sio.event
    async def go(sid):
        for number in range(40):
            await sio.emit("number", number, to=sid)
        await sio.disconnect(sid)

    client = python(await serve(sio), reconnection=False)
    await client.connect()
    await client.emit("go")
    assert [await client.expect("number") for _ in range(40)] == [
        [number] for number in range(40)
    ]
    await client.disconnects["/"].next()


async def test_send_is_the_message_event(python, serve, sio):
    received = record(sio, "message")
    client = python(await serve(sio))
    await client.connect()
    await client.do("send", "to the server")
    assert await received.next() == (client.sid, "to the server")
    await sio.send("to the client", to=client.sid)
    assert await client.expect("message") == ["to the client"]


@in_order
async def test_events_of_the_connect_handler_arrive_after_connect(python, serve, sio):
    @sio.event
    async def connect(sid, environ):
        await sio.emit("first", b"\x01", to=sid)
        await sio.emit("second", {"n": 2}, to=sid)

    client = python(await serve(sio))
    await client.connect()
    assert await client.expect("first") == [b"\x01"]
    assert await client.expect("second") == [{"n": 2}]
    assert client.log == ["connect", "first", "second"]


async def test_a_thousand_messages_reach_the_server_in_order(python, serve, sio):
    received = record(sio, "n")
    client = python(await serve(sio))
    await client.connect()
    for n in range(1000):
        await client.emit("n", n)
    assert [n for _, n in await received.several(1000)] == list(range(1000))


@in_order
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
async def test_a_thousand_messages_reach_the_client_in_order(
    python, serve, sio, binary
):
    client = python(await serve(sio))
    await client.connect()
    sent = [[n, [b"%d" % n, b"|"]] if binary else [n] for n in range(1000)]
    for arguments in sent:
        await sio.emit("n", tuple(arguments), to=client.sid)
    assert [await client.expect("n") for _ in sent] == sent


# --------------------------------------------------------------------- acks


@in_order
async def test_the_server_calls(python, serve, sio):
    client = python(await serve(sio))
    await client.connect()
    for answer in (None, "one", [], [1, 2], (1, None, "three"), ({"a": [b"1"]}, b"2")):
        client.answers["question"] = answer
        got = await within(
            sio.call("question", ("a", b"b"), to=client.sid), f"answer {answer!r}"
        )
        assert repr(got) == repr(answer)
        assert await client.expect("question") == ["a", b"b"]


@in_order
async def test_a_callback_gets_the_answer(python, serve, sio):
    answered = asyncio.get_running_loop().create_future()
    client = python(await serve(sio))
    await client.connect()
    client.answers["question"] = (1, b"2", {"three": b"3"})
    await sio.emit(
        "question",
        to=client.sid,
        callback=lambda *args: answered.set_result(args),
    )
    assert await within(answered, "callback") == (1, b"2", {"three": b"3"})


# --------------------------------------------------------------- namespaces


async def test_namespaces_share_a_connection_and_do_not_cross(python, serve, sio):
    namespaces = ["/", "/a", "/é-1.x"]
    received = {nsp: record(sio, "event", nsp) for nsp in namespaces}
    for nsp in namespaces:
        sio.on("question", returning(nsp), namespace=nsp)
    client = python(await serve(sio), *namespaces)
    await client.connect()
    sids = {nsp: client.client.get_sid(nsp) for nsp in namespaces}
    assert len({*sids.values()}) == len(namespaces)
    for nsp in namespaces:
        await client.emit("event", nsp, "up", nsp=nsp)
        assert await received[nsp].next() == (sids[nsp], nsp, "up")
        assert await client.call("question", nsp=nsp) == nsp
        await sio.emit("event", (nsp, "down"), namespace=nsp)
        assert await client.expect("event", nsp) == [nsp, "down"]
    for nsp in namespaces:
        assert received[nsp].empty
        assert client.events[nsp].empty


async def test_an_unknown_namespace_is_refused(python, serve, sio):
    client = python(await serve(sio), "/unknown", reconnection=False)
    with pytest.raises(python_socketio.exceptions.ConnectionError):
        await client.connect()
    assert await client.errors["/unknown"].next() == ({"message": "Invalid namespace"},)


async def test_the_server_disconnects_one_namespace(python, serve, sio):
    left = {nsp: record_disconnects(sio, nsp) for nsp in ("/", "/a")}
    sio.on("question", returning("still here"))
    client = python(await serve(sio), "/", "/a")
    await client.connect()
    sid = client.client.get_sid("/a")
    await sio.disconnect(sid, namespace="/a")
    reason = python_socketio.Client.reason.SERVER_DISCONNECT
    assert await client.disconnects["/a"].next() == (reason,)
    assert await left["/a"].next() == (sid, sio.reason.SERVER_DISCONNECT)
    assert await client.call("question") == "still here"
    assert left["/"].empty


# ------------------------------------------------------- connect and refusal


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(None, {"message": "Connection rejected by server"}, id="False"),
        pytest.param(
            ("no ☃", {"a": 1}), {"message": "no ☃", "data": {"a": 1}}, id="error"
        ),
    ],
)
async def test_the_connect_handler_refuses(python, serve, sio, arguments, expected):
    disconnected = record_disconnects(sio)

    @sio.event
    async def connect(sid, environ):
        await sio.emit("not for the refused", to=sid)
        if arguments is None:
            return False
        raise exceptions.ConnectionRefusedError(*arguments)

    client = python(await serve(sio), reconnection=False)
    with pytest.raises(python_socketio.exceptions.ConnectionError):
        await client.connect()
    assert await client.errors["/"].next() == (expected,)
    assert client.log == ["connect_error"]
    assert disconnected.empty


@pytest.mark.parametrize("auth", [{"token": "é☃", "n": [1, None]}, None])
async def test_auth_and_environ_reach_the_connect_handler(
    python, serve, sio, transport, auth
):
    connected = record_connects(sio)
    client = python(await serve(sio))
    await client.connect(
        auth=auth, headers={"User-Agent": "interop/1.0", "X-Interop-Test": "yes"}
    )
    sid, environ, got = await connected.next()
    assert (sid, got) == (client.sid, auth)
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["REQUEST_METHOD"] == "GET"
    query = environ["QUERY_STRING"].split("&")
    assert "EIO=4" in query
    assert f"transport={TRANSPORTS[transport][0]}" in query
    assert environ["HTTP_USER_AGENT"] == "interop/1.0"
    assert environ["HTTP_X_INTEROP_TEST"] == "yes"


# ---------------------------------------------------------------- disconnect


async def test_the_server_disconnects(python, serve, sio):
    disconnected = record_disconnects(sio)
    client = python(await serve(sio), reconnection=False)
    await client.connect()
    sid = client.sid
    await sio.disconnect(sid)
    reason = python_socketio.Client.reason.SERVER_DISCONNECT
    assert await client.disconnects["/"].next() == (reason,)
    assert await disconnected.next() == (sid, sio.reason.SERVER_DISCONNECT)


async def test_the_client_disconnects(python, serve, sio, transport):
    disconnected = record_disconnects(sio)
    client = python(await serve(sio))
    await client.connect()
    sid = client.sid
    await client.do("disconnect")
    gone, reason = await disconnected.next()
    assert gone == sid
    if SETTLED[transport] == "polling":
        assert reason == sio.reason.CLIENT_DISCONNECT
    else:
        # These clients queue their DISCONNECT packet and close the WebSocket at once,
        # often before the packet is written.
        assert reason in (sio.reason.CLIENT_DISCONNECT, sio.reason.TRANSPORT_CLOSE)
    assert disconnected.empty


@pytest.mark.parametrize("transport", ["polling"], indirect=True)
async def test_the_client_disconnects_while_it_posts(kind, transport):
    """The stock clients then leave their goodbye unsent: see support.python_client."""
    sio = socketio_fast.Server()
    app = socketio_fast.WSGIApp(sio)
    posts = itertools.count()
    noted, leaves = threading.Event(), threading.Event()
    gone: queue.Queue[tuple[str, str]] = queue.Queue()
    sio.on("note", lambda sid: noted.set())
    sio.on("disconnect", lambda *call: gone.put(call))

    def late(environ, start_response):
        """The second POST, which is that of the event, is answered when it leaves."""
        body = app(environ, start_response)
        if environ["REQUEST_METHOD"] == "POST" and next(posts) == 1:
            assert leaves.wait(WAIT)
        return body

    with werkzeug(late) as url:
        async with PythonClient(kind, url, transport, ["/"], {}) as client:
            await client.connect()
            sid = client.sid
            await client.emit("note")
            assert await asyncio.to_thread(noted.wait, WAIT)
            client.client.on("disconnect", lambda reason: leaves.set())
            await client.do("disconnect")
        assert gone.get(timeout=WAIT) == (sid, sio.reason.CLIENT_DISCONNECT)
        sio.shutdown()


async def test_heartbeats_keep_a_silent_client(python, serve):
    sio = socketio_fast.AsyncServer(ping_interval=0.1, ping_timeout=1)
    sio.on("question", returning("still here"))
    disconnected = record_disconnects(sio)
    client = python(await serve(sio))
    await client.connect()
    # Nothing tells of pings: this is longer than a client that answers none lives.
    await asyncio.sleep(1.5)
    assert await client.call("question") == "still here"
    assert disconnected.empty
    assert client.disconnects["/"].empty


# --------------------------------------------------------------------- rooms


@in_order
async def test_rooms_and_broadcasts(python, serve, sio):
    @sio.event
    async def say(sid, text):
        await sio.emit("said", text, skip_sid=sid)

    async def fence():
        # Each client's next event is this one: what should not have come, did not.
        await sio.emit("fence")
        for client in clients:
            assert await client.expect("fence") == []

    server = await serve(sio)
    one, two, three = clients = [python(server) for _ in range(3)]
    for client in clients:
        await client.connect()
    await sio.enter_room(one.sid, "a")
    await sio.enter_room(two.sid, "a")
    await sio.enter_room(two.sid, "b")

    await sio.emit("to a", b"1", room="a")
    assert await one.expect("to a") == [b"1"]
    assert await two.expect("to a") == [b"1"]
    await fence()

    await sio.emit("to all", {"n": [b"2"]}, to=["a", "b", three.sid])
    for client in clients:
        assert await client.expect("to all") == [{"n": [b"2"]}]
    await fence()

    await one.emit("say", "hello")
    assert await two.expect("said") == ["hello"]
    assert await three.expect("said") == ["hello"]
    await fence()

    await sio.leave_room(two.sid, "a")
    await sio.emit("left", room="a")
    assert await one.expect("left") == []
    await fence()


# -------------------------------------------------------------- reconnection


async def test_the_client_reconnects_after_a_restart(python, serve, sio):
    server = await serve(sio)
    client = python(server)
    await client.connect()
    await client.connects["/"].next()
    first = client.sid
    await server.close()
    await client.disconnects["/"].next()

    restarted = socketio_fast.AsyncServer(cors_allowed_origins="*")

    @restarted.event
    async def connect(sid, environ):
        await restarted.enter_room(sid, "room")

    restarted.on("question", returning("yes"))
    await serve(restarted, port=server.port)
    await client.connects["/"].next()
    assert client.sid != first
    assert await client.call("question") == "yes"
    await restarted.emit("event", "again", room="room")
    assert await client.expect("event") == ["again"]


# ---------------------------------------------------------------------- size


def largest(event: str, binary: bool, transport: str) -> Any:
    """The argument of the largest event that a server must still accept."""
    if not binary:
        return "x" * (LIMIT - len(f'42["{event}",""]'))
    if SETTLED[transport] == "websocket":
        return bytes(range(250)) * (LIMIT // 250)
    # One POST with both packets, the second as "b" and base64: four bytes for three.
    head = f'451-["{event}",{{"_placeholder":true,"num":0}}]\x1eb'
    return b"\xa5" * ((LIMIT - len(head)) // 4 * 3)


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
async def test_a_megabyte_reaches_the_server(python, serve, sio, transport, binary):
    received = record(sio, "big")
    client = python(await serve(sio))
    await client.connect()
    sent = largest("big", binary, transport)
    await client.emit("big", sent)
    _, got = await received.next()
    # Not a bare comparison: pytest would show a difference of a megabyte.
    same = got == sent
    assert same


@in_order
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
async def test_more_than_a_megabyte_reaches_the_client(python, serve, sio, binary):
    sent = bytes(range(256)) * 8_000 if binary else "€uro" * 350_000
    client = python(await serve(sio))
    await client.connect()
    await sio.emit("big", (sent, "after"), to=client.sid)
    got, after = await client.expect("big")
    same = got == sent
    assert same
    assert after == "after"


# aiohttp warns of every body beyond a megabyte that is not a stream.
@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
async def test_too_large_a_message_ends_its_connection_only(
    python, serve, sio, transport, binary
):
    disconnected = record_disconnects(sio)
    received = record(sio, "big")
    sio.on("question", returning("still here"))
    server = await serve(sio)
    other, client = python(server), python(server, reconnection=False)
    await other.connect()
    await client.connect()
    sid = client.sid
    await client.emit("big", largest("big", binary, transport) * 2)

    await client.disconnects["/"].next()
    gone, reason = await disconnected.next()
    assert gone == sid
    assert reason != sio.reason.CLIENT_DISCONNECT
    assert received.empty
    assert await other.call("question") == "still here"
    newcomer = python(server)
    await newcomer.connect()
    assert await newcomer.call("question") == "still here"
