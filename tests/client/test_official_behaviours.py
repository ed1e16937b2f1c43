"""What the official client's own suites check, one test for each behaviour.

:data:`OFFICIAL` has each title of packages/socket.io-client/test and
packages/engine.io-client/test: the test here, or why there is none. On the wire the
official client decides, in the API python-socketio; where the two differ, the docstring
of the test says what was chosen.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from support.interop import WAIT, Calls, within
from support.ports import free_port
from support.tcp_proxy import TcpProxy
from support.waiting import until
from support.wire_server import wire_server

import socketio_fast

UTF8 = ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"]

#: How long the original waits for what should not happen.
A_WHILE = 0.1

New = Callable[..., Any]


@pytest.fixture
async def new() -> AsyncIterator[New]:
    """``client = new(**options)``: an AsyncClient that ends with the test."""
    try:
        make: Any = socketio_fast.AsyncClient  # type: ignore[attr-defined]
    except AttributeError as error:
        pytest.skip(f"no client yet: {error}")
    clients = []

    def start(**options: Any) -> Any:
        options.setdefault("handle_sigint", False)
        options.setdefault("reconnection_delay", 0.01)
        clients.append(make(**options))
        return clients[-1]

    yield start
    for client in clients:
        await within(client.shutdown(), "shutdown")


@pytest.fixture
async def network(serve: Any) -> AsyncIterator[TcpProxy]:
    """Between the client and the application of the official suite's server."""
    async with TcpProxy((await serve(application())).port) as proxy:
        yield proxy


@pytest.fixture
def url(network: TcpProxy) -> str:
    return network.url


def application(**options: Any) -> socketio_fast.AsyncServer:
    """What the official suite's server does."""
    sio = socketio_fast.AsyncServer(
        namespaces=["/", "/foo", "/asd", "/valid", "/abc"], **options
    )
    notes: list[Any] = []

    @sio.event
    async def hi(sid: str) -> None:
        await sio.emit("hi", to=sid)

    @sio.event
    def echo(sid: str, value: Any) -> Any:
        return value

    @sio.event
    async def ack(sid: str) -> None:
        async def got(a: Any, b: Any) -> None:
            if a == 5 and b["test"]:
                await sio.emit("got it", to=sid)

        await sio.emit("ack", to=sid, callback=got)

    @sio.on("false")
    async def false(sid: str) -> None:
        await sio.emit("false", False, to=sid)

    @sio.event
    async def getUtf8(sid: str) -> None:
        for text in UTF8:
            await sio.emit("takeUtf8", text, to=sid)

    @sio.event
    async def doge(sid: str) -> None:
        await sio.emit("doge", b"asdfasdf", to=sid)

    @sio.event
    async def buffa(sid: str, data: Any) -> None:
        await sio.emit("buffack", type(data) is bytes, to=sid)

    @sio.event
    async def jsonbuff(sid: str, data: Any) -> None:
        await sio.emit("jsonbuff-ack", data, to=sid)

    @sio.event
    def abuff1(sid: str, data: Any) -> None:
        notes.append(data)

    @sio.event
    async def abuff2(sid: str, data: Any) -> None:
        await sio.emit("abuff2-ack", [*notes, data], to=sid)

    for namespace in ("/", "/foo"):
        sio.on("getId", lambda sid: sid, namespace=namespace)

    @sio.on("connect", namespace="/abc")
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        await sio.emit(
            "handshake",
            {"query": environ["QUERY_STRING"], "auth": auth},
            to=sid,
            namespace="/abc",
        )

    @sio.on("connect", namespace="/no")
    def refuse(sid: str, environ: Any) -> None:
        raise socketio_fast.exceptions.ConnectionRefusedError(
            "Auth failed (custom namespace)"
        )

    return sio


async def start(client: Any, url: str, *namespaces: str, **options: Any) -> Any:
    """Connect by WebSocket; the first namespace's socket."""
    options.setdefault("transports", ["websocket"])
    await within(
        client.connect(url, namespaces=list(namespaces) or ["/"], **options), "connect"
    )
    return client.socket(namespaces[0] if namespaces else "/")


def calls(emitter: Any, event: str) -> Calls:
    """The calls of a listener that is added for this event."""
    made = Calls(event)

    def listener(*args: Any) -> None:
        made.add(*args)

    emitter.on(event, listener)
    return made


# connection.ts


async def test_connects(new: New, url: str) -> None:
    client = new()
    socket = await start(client, url)
    hi = calls(socket, "hi")
    await socket.emit("hi")
    assert await hi.next() == ()


async def test_does_not_connect_by_itself(new: New) -> None:
    """As with ``autoConnect: false``: in Python, connect() connects."""
    client = new()
    assert client.eio.state == "disconnected"
    assert client.transport() is None
    assert not client.socket("/").connected


async def test_namespaces_share_a_connection(new: New, url: str) -> None:
    client = new()
    foo = await start(client, url, "/foo", "/asd")
    asd = client.socket("/asd")
    assert foo.connected
    assert asd.connected
    assert foo.id != asd.id


async def test_acks_what_the_server_asks(new: New, url: str) -> None:
    client = new()
    socket = await start(client, url)
    got = calls(socket, "got it")
    socket.on("ack", lambda: (5, {"test": True}))
    await socket.emit("ack")
    await got.next()


async def test_false_arrives(new: New, url: str) -> None:
    socket = await start(new(), url)
    came = calls(socket, "false")
    await socket.emit("false")
    assert await came.next() == (False,)


async def test_utf8_arrives(new: New, url: str) -> None:
    socket = await start(new(), url)
    came = calls(socket, "takeUtf8")
    await socket.emit("getUtf8")
    assert [args[0] for args in await came.several(len(UTF8))] == UTF8


async def test_a_namespace_is_joined_after_the_connection_was_established(
    new: New, url: str
) -> None:
    client = new()
    await start(client, url)
    foo = client.socket("/foo")
    connects = calls(foo, "connect")
    await foo.connect()
    await connects.next()
    assert foo.connected


async def test_a_namespace_is_joined_after_the_connection_was_closed(
    new: New, url: str
) -> None:
    client = new()
    socket = await start(client, url)
    await within(socket.disconnect(), "disconnect")
    foo = client.socket("/foo")
    connects = calls(foo, "connect")
    await within(foo.connect(), "connect")
    await connects.next()


async def test_reconnects_by_default(new: New, url: str, network: TcpProxy) -> None:
    client = new()
    socket = await start(client, url)
    reconnects = calls(client.manager, "reconnect")
    connects = calls(socket, "connect")
    await network.cut()
    assert await reconnects.next() == (1,)
    await connects.next()


async def test_connects_again_by_hand(new: New, url: str) -> None:
    client = new()
    socket = await start(client, url)
    connects = calls(socket, "connect")
    for _ in range(2):
        await within(socket.disconnect(), "disconnect")
        assert not socket.connected
        await within(socket.connect(), "connect")
        await connects.next()


async def test_reconnects_after_it_was_connected_again_by_hand(
    new: New, url: str, network: TcpProxy
) -> None:
    client = new()
    socket = await start(client, url)
    await within(socket.disconnect(), "disconnect")
    connects = calls(socket, "connect")
    await within(socket.connect(), "connect")
    await connects.next()
    reconnects = calls(client.manager, "reconnect")
    await network.cut()
    await reconnects.next()


async def fails(client: Any, **options: Any) -> None:
    """Connect, with the reconnection of ``retry=True``, where nobody listens."""
    with contextlib.suppress(socketio_fast.exceptions.ConnectionError):
        await client.connect(
            f"http://127.0.0.1:{free_port()}",
            transports=["websocket"],
            retry=True,
            **options,
        )


async def test_tries_twice_and_fails_with_two_attempts(new: New) -> None:
    """``reconnect_attempt`` tells the number of the attempt.

    In the official client the first connection is retried always; here, as in
    python-socketio, with ``retry=True``.
    """
    client = new(reconnection_attempts=2)
    attempts = calls(client.manager, "reconnect_attempt")
    errors = calls(client.manager, "reconnect_error")
    failed = calls(client.manager, "reconnect_failed")
    await within(fails(client), "the last attempt")
    await failed.next()
    assert await attempts.several(2) == [(1,), (2,)]
    assert len(await errors.several(2)) == 2
    assert attempts.empty


async def test_tries_again_after_a_failed_reconnection(new: New) -> None:
    client = new(reconnection_attempts=2)
    failed = calls(client.manager, "reconnect_failed")
    await within(fails(client), "the last attempt")
    await failed.next()
    attempts = calls(client.manager, "reconnect_attempt")
    await within(fails(client), "the last attempt")
    await failed.next()
    assert await attempts.several(2) == [(1,), (2,)]
    assert attempts.empty


async def test_the_delay_increases_every_time(new: New) -> None:
    client = new(
        reconnection_attempts=3, reconnection_delay=0.1, randomization_factor=0.2
    )
    loop = asyncio.get_running_loop()
    began = loop.time()
    delays: list[float] = []

    def failed(error: Any) -> None:
        nonlocal began
        began = loop.time()

    client.manager.on("error", failed)
    client.manager.on(
        "reconnect_attempt", lambda attempt: delays.append(loop.time() - began)
    )
    await within(fails(client), "the last attempt")
    await until(lambda: len(delays) == 3)
    assert delays == sorted(delays)
    assert delays[0] >= 0.08


async def test_does_not_try_again_where_reconnection_is_off(new: New) -> None:
    client = new(reconnection=False)
    attempts = calls(client.manager, "reconnect_attempt")
    errors = calls(client.manager, "error")
    with pytest.raises(socketio_fast.exceptions.ConnectionError):
        await client.connect(f"http://127.0.0.1:{free_port()}")
    await errors.next()
    await asyncio.sleep(A_WHILE)
    assert attempts.empty


async def test_does_not_reconnect_when_it_was_closed(new: New, url: str) -> None:
    client = new()
    await start(client, url)
    attempts = calls(client.manager, "reconnect_attempt")
    await within(client.disconnect(), "disconnect")
    await asyncio.sleep(A_WHILE)
    assert attempts.empty


async def test_stops_reconnecting_when_it_is_closed(new: New) -> None:
    client = new()
    attempts = calls(client.manager, "reconnect_attempt")
    connecting = asyncio.ensure_future(fails(client))
    await attempts.next()
    await within(client.disconnect(), "disconnect")
    await within(connecting, "the end of connect()")
    while not attempts.empty:
        await attempts.next()
    await asyncio.sleep(A_WHILE)
    assert attempts.empty


async def test_a_namespace_that_was_left_while_reconnecting_is_not_joined(
    new: New, url: str, network: TcpProxy
) -> None:
    client = new()
    root = await start(client, url, "/", "/asd")
    asd = client.socket("/asd")
    root_connects, asd_connects = calls(root, "connect"), calls(asd, "connect")

    @client.manager.once("reconnect_attempt")
    async def leave(attempt: int) -> None:
        await root.disconnect()

    await network.cut()
    await asd_connects.next()
    await asyncio.sleep(A_WHILE)
    assert root_connects.empty
    assert not root.connected


async def test_connects_at_once_where_the_server_is_there(new: New, url: str) -> None:
    client = new()
    attempts = calls(client.manager, "reconnect_attempt")
    await start(client, url, "/valid")
    await asyncio.sleep(A_WHILE)
    assert attempts.empty


async def test_joins_one_namespace_while_it_leaves_another(new: New, url: str) -> None:
    client = new()
    foo = await start(client, url, "/foo")
    asd = client.socket("/asd")
    connects = calls(asd, "connect")
    await within(asyncio.gather(asd.connect(), foo.disconnect()), "both")
    await connects.next()


async def test_leaving_one_namespace_keeps_the_connection(new: New, url: str) -> None:
    client = new()
    foo = await start(client, url, "/foo", "/asd")
    asd = client.socket("/asd")
    ends, closes = calls(asd, "disconnect"), calls(client.manager, "close")
    await within(foo.disconnect(), "disconnect")
    await asyncio.sleep(A_WHILE)
    assert ends.empty
    assert closes.empty
    await within(asd.disconnect(), "disconnect")
    await closes.next()


async def test_reconnection_is_switched_off_while_it_runs(new: New) -> None:
    """``manager.reconnection(false)`` is the attribute ``reconnection`` in Python."""
    client = new()
    errors = calls(client.manager, "reconnect_error")
    connecting = asyncio.ensure_future(fails(client))
    await errors.next()
    client.reconnection = False
    attempts = calls(client.manager, "reconnect_attempt")
    await within(connecting, "the end of connect()")
    await asyncio.sleep(A_WHILE)
    assert attempts.empty


async def test_bytes_arrive(new: New, url: str) -> None:
    socket = await start(new(), url)
    came = calls(socket, "doge")
    await socket.emit("doge")
    assert await came.next() == (b"asdfasdf",)


async def test_bytes_are_sent(new: New, url: str) -> None:
    socket = await start(new(), url)
    came = calls(socket, "buffack")
    await socket.emit("buffa", b"\x6a\xc7\x5f")
    assert await came.next() == (True,)


async def test_bytes_are_sent_among_json(new: New, url: str) -> None:
    socket = await start(new(), url)
    came = calls(socket, "jsonbuff-ack")
    data = {"hello": "lol", "message": b"howdy", "goodbye": "gotcha"}
    await socket.emit("jsonbuff", data)
    assert await came.next() == (data,)


async def test_events_with_bytes_are_sent_in_order(new: New, url: str) -> None:
    socket = await start(new(), url)
    came = calls(socket, "abuff2-ack")
    await socket.emit("abuff1", b"abuff1")
    await socket.emit("abuff2", "please arrive second")
    assert await came.next() == ([b"abuff1", "please arrive second"],)


async def test_a_socket_is_opened_again(new: New, url: str) -> None:
    client = new()
    socket = await start(client, url)
    await within(socket.disconnect(), "disconnect")
    assert client.socket("/") is socket
    connects = calls(socket, "connect")
    await within(socket.connect(), "connect")
    assert socket.active
    await connects.next()


async def test_an_active_socket_is_not_opened_again(new: New) -> None:
    async with wire_server() as wire:
        client = new()
        socket = await start(client, wire.url)
        assert client.socket("/") is socket
        await within(client.disconnect(), "disconnect")
        assert [await wire.packet(), await wire.packet()] == ["0", "1"]


async def test_each_socket_is_opened_and_closed_once(new: New) -> None:
    async with wire_server() as wire:
        client = new()
        root = await start(client, wire.url, "/", "/foo")
        await root.disconnect()
        await client.socket("/foo").disconnect()
        packets = [await wire.packet() for _ in range(4)]
        assert packets == ["0", "0/foo,", "1", "1/foo,"]


async def test_a_packet_that_cannot_be_read_ends_the_connection(new: New) -> None:
    async with wire_server() as wire:
        client = new()
        socket = await start(client, wire.url)
        reconnects = calls(client.manager, "reconnect")
        ends = calls(socket, "disconnect")
        await wire.send("4bad")
        await ends.next()
        await reconnects.next()
        assert wire.connections == 2


# socket.ts


@pytest.mark.parametrize("namespace", ["/", "/foo"])
async def test_the_id_is_that_of_the_server(new: New, url: str, namespace: str) -> None:
    client = new()
    socket = await start(client, url, namespace)
    assert socket.id == await within(socket.emit_with_ack("getId"), "an ack")
    assert socket.id != client.eio.sid
    assert client.get_sid(namespace) == socket.id


async def test_there_is_no_id_after_a_disconnection(new: New, url: str) -> None:
    client = new()
    socket = await start(client, url)
    ids: list[Any] = []
    socket.on("disconnect", lambda reason: ids.append(socket.id))
    await within(socket.disconnect(), "disconnect")
    assert ids == [None]


async def test_disconnect_while_it_connects_is_no_error(new: New, url: str) -> None:
    client = new()
    errors = calls(client.manager, "error")
    connecting = asyncio.ensure_future(start(client, url))
    await asyncio.sleep(0)
    await within(client.disconnect(), "disconnect")
    with contextlib.suppress(socketio_fast.exceptions.ConnectionError):
        await within(connecting, "the end of connect()")
    await asyncio.sleep(A_WHILE)
    assert errors.empty
    assert not client.connected


async def test_connect_error_when_the_connection_cannot_be_established(
    new: New,
) -> None:
    client = new(reconnection=False)
    errors = calls(client.socket("/"), "connect_error")
    with pytest.raises(socketio_fast.exceptions.ConnectionError):
        await client.connect(f"http://127.0.0.1:{free_port()}", namespaces=["/"])
    assert len(await errors.next()) == 1


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_connect_error_when_the_server_does_not_answer(
    new: New, transport: str
) -> None:
    async def silent(reader: Any, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = new(reconnection=False, connect_timeout=0.05)
    errors = calls(client.socket("/"), "connect_error")
    with pytest.raises(socketio_fast.exceptions.ConnectionError):
        await within(
            client.connect(
                f"http://127.0.0.1:{port}", namespaces=["/"], transports=[transport]
            ),
            "the time limit",
            seconds=3,
        )
    await errors.next()
    server.close()


async def test_no_connect_error_when_an_established_connection_ends(
    new: New, url: str, network: TcpProxy
) -> None:
    client = new()
    socket = await start(client, url)
    errors, connects = calls(socket, "connect_error"), calls(socket, "connect")
    await network.cut()
    await connects.next()
    assert errors.empty


async def test_the_id_changes_with_a_reconnection(
    new: New, url: str, network: TcpProxy
) -> None:
    client = new()
    socket = await start(client, url)
    before = socket.id
    ids: list[Any] = []
    client.manager.on("reconnect_attempt", lambda attempt: ids.append(socket.id))
    connects = calls(socket, "connect")
    await network.cut()
    await connects.next()
    assert ids == [None]
    assert socket.id not in (None, before)


@pytest.mark.parametrize(
    ("given", "options", "sent"),
    [
        ("/?b=c&d=e", {}, ["b=c", "d=e"]),
        ("", {"query": {"e": "f"}}, ["e=f"]),
        ("/?b=c", {"query": {"e": "f"}}, ["b=c", "e=f"]),
        ("", {"query": {"&a": "&=?a"}}, ["%26a=%26%3D%3Fa"]),
    ],
    ids=["in the URL", "an object", "both", "encoded"],
)
async def test_the_query_reaches_the_server(
    new: New, url: str, given: str, options: dict[str, Any], sent: list[str]
) -> None:
    client = new(**options)
    handshake = calls(client.socket("/abc"), "handshake")
    await start(client, url + given, "/abc")
    query = (await handshake.next())[0]["query"].split("&")
    assert set(sent) <= set(query)


@pytest.mark.parametrize(
    "auth", [{"a": "b"}, lambda: {"a": "b"}], ids=["an object", "a function"]
)
async def test_auth_reaches_the_server_and_not_in_the_query(
    new: New, url: str, auth: Any
) -> None:
    client = new()
    handshake = calls(client.socket("/abc"), "handshake")
    await start(client, url, "/abc", auth=auth)
    ((came,),) = [await handshake.next()]
    assert came["auth"] == {"a": "b"}
    assert "a=b" not in came["query"]


async def test_a_refused_namespace_tells_why(new: New, url: str) -> None:
    client = new()
    errors = calls(client.socket("/no"), "connect_error")
    with pytest.raises(socketio_fast.exceptions.ConnectionError, match="/no"):
        await start(client, url, "/no")
    assert await errors.next() == ({"message": "Auth failed (custom namespace)"},)


async def test_a_refused_namespace_is_not_tried_again(
    new: New, url: str, network: TcpProxy
) -> None:
    client = new()
    root = await start(client, url)
    refused = client.socket("/no")
    errors, connects = calls(refused, "connect_error"), calls(root, "connect")
    with contextlib.suppress(socketio_fast.exceptions.ConnectionError):
        await within(refused.connect(), "the refusal")
    await errors.next()
    await network.cut()
    await connects.next()
    await asyncio.sleep(A_WHILE)
    assert errors.empty


@pytest.mark.parametrize("event", ["connect", "connect_error", "disconnect"])
async def test_a_reserved_event_is_not_sent(new: New, url: str, event: str) -> None:
    socket = await start(new(), url)
    with pytest.raises(ValueError, match=event):
        await socket.emit(event, "goodbye")


async def test_events_are_sent_in_order(new: New, url: str) -> None:
    """What is emitted before connect() is sent first."""
    client = new()
    socket = client.socket("/")
    order: list[str] = []
    done = asyncio.Event()

    def second(value: str) -> None:
        order.append(value)
        done.set()

    socket.on("connect", lambda: socket.emit("echo", "second", callback=second))
    socket.emit("echo", "first", callback=order.append)
    await start(client, url)
    await within(done.wait(), "the second ack")
    assert order == ["first", "second"]


async def test_an_ack_is_waited_for(new: New, url: str) -> None:
    socket = await start(new(), url)
    assert await within(socket.emit_with_ack("echo", 123), "an ack") == 123


async def test_a_volatile_event_is_dropped_while_it_is_not_connected(
    new: New,
) -> None:
    async with wire_server() as wire:
        client = new()
        socket = client.socket("/")
        socket.volatile.emit("dropped")
        socket.emit("kept")
        await start(client, wire.url)
        assert [await wire.packet(), await wire.packet()] == ["0", '2["kept"]']
        socket.emit("last")
        assert await wire.packet() == '2["last"]'


async def test_a_volatile_event_is_sent_when_it_can_be(new: New, url: str) -> None:
    socket = await start(new(), url)
    answered = asyncio.Event()
    socket.volatile.emit("getId", callback=lambda sid: answered.set())
    await within(answered.wait(), "an ack")


async def test_on_any_is_called_prepended_and_removed(new: New, url: str) -> None:
    client = new()
    socket = client.socket("/abc")
    order: list[str] = []
    came = Calls("any")

    def removed(event: str, *args: Any) -> None:
        order.append("removed")

    def first(event: str, *args: Any) -> None:
        order.append("first")

    def second(event: str, *args: Any) -> None:
        order.append("second")

    def last(event: str, *args: Any) -> None:
        order.append("last")
        came.add(event, *args)

    socket.on_any(removed)
    socket.off_any(removed)
    assert socket.listeners_any() == []
    socket.on_any(last)
    socket.prepend_any(second)
    socket.prepend_any(first)
    await start(client, url, "/abc")
    event, handshake = await came.next()
    assert event == "handshake"
    assert isinstance(handshake, dict)
    assert order == ["first", "second", "last"]


async def test_on_any_outgoing_is_called_prepended_and_removed(
    new: New, url: str
) -> None:
    socket = await start(new(), url, "/abc")
    order: list[Any] = []

    def removed(event: str, *args: Any) -> None:
        order.append("removed")

    socket.on_any_outgoing(removed)
    socket.off_any_outgoing(removed)
    assert socket.listeners_any_outgoing() == []
    socket.on_any_outgoing(lambda *args: order.append(args))
    socket.prepend_any_outgoing(lambda *args: order.append("first"))
    await socket.emit("my-event", "123")
    await socket.emit("my-event", b"\x01\x02\x03")
    assert order == [
        "first",
        ("my-event", "123"),
        "first",
        ("my-event", b"\x01\x02\x03"),
    ]


async def test_a_timeout_while_it_is_not_connected_drops_the_event(new: New) -> None:
    async with wire_server() as wire:
        client = new()
        socket = client.socket("/")
        with pytest.raises(socketio_fast.exceptions.TimeoutError):
            await within(socket.timeout(0.05).emit_with_ack("event"), "the time limit")
        await start(client, wire.url)
        await socket.emit("next")
        assert [await wire.packet(), await wire.packet()] == ["0", '2["next"]']


async def test_an_event_that_is_not_acknowledged_times_out(new: New, url: str) -> None:
    socket = await start(new(), url)
    with pytest.raises(socketio_fast.exceptions.TimeoutError):
        await within(socket.timeout(0.05).emit_with_ack("unknown"), "the time limit")


async def test_an_event_that_is_acknowledged_in_time_does_not_time_out(
    new: New, url: str
) -> None:
    socket = await start(new(), url)
    assert await within(socket.timeout(WAIT).emit_with_ack("echo", 42), "an ack") == 42


async def test_ack_timeout_is_the_default_limit(new: New, url: str) -> None:
    socket = await start(new(ack_timeout=0.05), url)
    with pytest.raises(socketio_fast.exceptions.TimeoutError):
        await within(socket.emit_with_ack("unknown"), "the time limit")


@pytest.mark.parametrize("limit", [None, 10], ids=["without a limit", "with a limit"])
async def test_a_disconnection_ends_what_waits_for_an_ack(
    new: New, url: str, limit: float | None
) -> None:
    socket = await start(new(), url)
    asking = asyncio.ensure_future(socket.timeout(limit).emit_with_ack("unknown"))
    await asyncio.sleep(0)
    await within(socket.disconnect(), "disconnect")
    with pytest.raises(socketio_fast.exceptions.SocketIOError):
        await within(asking, "the error", seconds=1)


async def test_a_callback_is_not_called_upon_disconnection(new: New, url: str) -> None:
    socket = await start(new(), url)
    made = Calls("callback")
    await socket.emit("unknown", "a", callback=lambda *args: made.add(*args))
    await within(socket.disconnect(), "disconnect")
    await asyncio.sleep(A_WHILE)
    assert made.empty


async def test_an_ack_with_a_buffered_event_survives_until_it_is_connected(
    new: New, url: str
) -> None:
    client = new()
    asking = asyncio.ensure_future(client.socket("/").emit_with_ack("echo", "early"))
    await asyncio.sleep(0)
    await start(client, url)
    assert await within(asking, "an ack") == "early"


# retry.ts


def echo(packet: str) -> list[str]:
    """Acknowledges each event with its first argument."""
    if not packet.startswith("2") or "[" not in packet:
        return []
    number, _, rest = packet[1:].partition("[")
    return [f"3{number}[{rest.partition(',')[2]}"] if number else []


async def test_retries_keep_the_order_of_packets(new: New) -> None:
    """One event at a time is on its way.

    The official client makes duplicates recognisable by nothing; the last argument may
    be an id here, so only what precedes it is compared.
    """
    async with wire_server(echo) as wire:
        client = new(retries=1, ack_timeout=2)
        socket = await start(client, wire.url)
        for number in (1, 2, 3):
            socket.emit("echo", number)
        packets = [await wire.packet() for _ in range(4)]
        assert packets[0] == "0"
        for number, packet in enumerate(packets[1:]):
            assert packet.startswith(f'2{number}["echo",{number + 1}')


async def test_an_event_is_sent_again_until_its_retries_are_over(new: New) -> None:
    async with wire_server() as wire:
        client = new(retries=3, ack_timeout=0.05)
        socket = await start(client, wire.url)
        with pytest.raises(socketio_fast.exceptions.SocketIOError):
            await within(socket.emit_with_ack("ack"), "the last of its retries")
        packets = [await wire.packet() for _ in range(5)]
        assert packets[0] == "0"
        for number, packet in enumerate(packets[1:]):
            assert packet.startswith(f'2{number}["ack"')
        assert len(wire.packets) == 5


async def test_nothing_is_retried_while_it_is_not_connected(new: New) -> None:
    async with wire_server(echo) as wire:
        client = new(retries=3, ack_timeout=0.02)
        socket = client.socket("/")
        socket.emit("echo", 1)
        await asyncio.sleep(A_WHILE)
        await start(client, wire.url)
        assert await wire.packet() == "0"
        assert (await wire.packet()).startswith('20["echo",1')


async def test_a_retried_event_of_the_connect_listener_is_sent_once(new: New) -> None:
    async with wire_server(echo) as wire:
        client = new(retries=3)
        socket = client.socket("/")
        socket.on("connect", lambda: socket.emit("echo", None))
        await start(client, wire.url)
        assert await wire.packet() == "0"
        assert (await wire.packet()).startswith('20["echo",null')
        await asyncio.sleep(A_WHILE)
        assert len(wire.packets) == 2


# connection-state-recovery.ts


async def test_a_recovered_connection_has_the_same_id(new: New, serve: Any) -> None:
    """Listeners get the offset as the last argument, as in the official client."""
    server = await serve(application(connection_state_recovery=True))
    async with TcpProxy(server.port) as network:
        socket = await start(new(), network.url)
        assert not socket.recovered
        hi, connects = calls(socket, "hi"), calls(socket, "connect")
        await socket.emit("hi")  # by which it knows an offset
        await hi.next()
        before = socket.id
        await network.cut()
        await connects.next()
        assert socket.id == before
        assert socket.recovered


#: The titles of the official suites, without those of browsers: the test here.
OFFICIAL: dict[str, str] = {
    "should connect to localhost": "test_connects",
    "should not connect when autoConnect option set to false": (
        "test_does_not_connect_by_itself"
    ),
    "should start a single connection with different namespaces": (
        "test_namespaces_share_a_connection"
    ),
    "should work with acks": "test_acks_what_the_server_asks",
    "should work with false": "test_false_arrives",
    "should receive utf8 multibyte characters": "test_utf8_arrives",
    "should reconnect by default": "test_reconnects_by_default",
    "should reconnect manually": "test_connects_again_by_hand",
    "should attempt reconnects after a failed reconnect": (
        "test_tries_again_after_a_failed_reconnection"
    ),
    "reconnect delay should increase every time": (
        "test_the_delay_increases_every_time"
    ),
    "should not reconnect when force closed": (
        "test_does_not_reconnect_when_it_was_closed"
    ),
    "should stop reconnecting when force closed": (
        "test_stops_reconnecting_when_it_is_closed"
    ),
    "should stop reconnecting on a socket and keep to reconnect on another": (
        "test_a_namespace_that_was_left_while_reconnecting_is_not_joined"
    ),
    "should fire reconnect_* events on manager": (
        "test_tries_twice_and_fails_with_two_attempts"
    ),
    "should not close the connection when disconnecting a single socket": (
        "test_leaving_one_namespace_keeps_the_connection"
    ),
    "should stop trying to reconnect": (
        "test_reconnection_is_switched_off_while_it_runs"
    ),
    "should close the engine upon decoding exception": (
        "test_a_packet_that_cannot_be_read_ends_the_connection"
    ),
    "clears socket.id upon disconnection": (
        "test_there_is_no_id_after_a_disconnection"
    ),
    "should not try to reconnect after a middleware failure": (
        "test_a_refused_namespace_is_not_tried_again"
    ),
    "should emit events in order": "test_events_are_sent_in_order",
    "should preserve the order of the packets": (
        "test_retries_keep_the_order_of_packets"
    ),
}


@pytest.mark.parametrize("title", OFFICIAL)
def test_each_title_names_a_test(title: str) -> None:
    assert callable(globals()[OFFICIAL[title]])
