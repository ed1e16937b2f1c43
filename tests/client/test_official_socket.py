"""What socket.ts of the official client's suite checks, one test for each behaviour;
see official_suites.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import pytest
from support.interop import WAIT, Calls, within
from support.official_suite import A_WHILE, New, application, calls, start
from support.ports import free_port
from support.tcp_proxy import TcpProxy
from support.wire_server import wire_server

import socketio_fast


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
    """C6: handlers and connect() are both told."""
    client = new(reconnection=False)
    errors = calls(client.socket("/"), "connect_error")
    of_handlers: list[Any] = []
    client.on("connect_error", of_handlers.append)
    url = f"http://127.0.0.1:{free_port()}"
    for transport in ("polling", "websocket"):
        with pytest.raises(socketio_fast.exceptions.ConnectionError) as failed:
            await client.connect(url, namespaces=["/"], transports=[transport])
        text = str(failed.value)
        assert "connection refused" in text
        assert await errors.next() == (text,)
        # python-socketio's text for WebSocket.
        expected = text if transport == "polling" else "Connection error"
        assert of_handlers.pop() == expected


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_connect_error_when_the_server_does_not_answer(
    new: New, transport: str
) -> None:
    """C4: ``connect_timeout`` is for the whole attempt."""

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
    """C13: that of the URL, and ``query=``."""
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
    """C12: a value or a function."""
    client = new()
    handshake = calls(client.socket("/abc"), "handshake")
    await start(client, url, "/abc", auth=auth)
    ((came,),) = [await handshake.next()]
    assert came["auth"] == {"a": "b"}
    assert "a=b" not in came["query"]


async def test_a_refused_namespace_tells_why(new: New, url: str) -> None:
    """C6: what the server has said."""
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


async def test_disconnects_once_and_connects_again(new: New, url: str) -> None:
    client = new()
    socket = client.socket("/")
    ends, connects = calls(socket, "disconnect"), calls(socket, "connect")
    again: list[None] = []

    @socket.on("connect")
    async def once() -> None:
        if not again:
            again.append(None)
            await socket.disconnect()
            await socket.connect()

    with contextlib.suppress(socketio_fast.exceptions.ConnectionError):
        await start(client, url)  # it has been left before this returns
    await connects.several(2)
    assert await ends.next() == ("client disconnect",)
    await asyncio.sleep(A_WHILE)
    assert ends.empty
    assert connects.empty
    assert await within(socket.emit_with_ack("echo", 1), "an ack") == 1


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
    """C9: ``emit_with_ack()``."""
    socket = await start(new(), url)
    assert await within(socket.emit_with_ack("echo", 123), "an ack") == 123


async def test_a_volatile_event_is_dropped_while_it_is_not_connected(
    new: New,
) -> None:
    """C7, C32: all others are kept."""
    async with wire_server() as wire:
        client = new()
        socket = client.socket("/")
        socket.volatile.emit("dropped")
        socket.emit("kept")
        await start(client, wire.url)
        assert [await wire.packet(), await wire.packet()] == ["0", '2["kept"]']
        socket.emit("last")
        assert await wire.packet() == '2["last"]'


async def test_a_volatile_event_is_dropped_while_another_one_leaves(
    new: New, serve: Any
) -> None:
    """The pipe is not ready: a POST is under way. By WebSocket, what is emitted in a
    pass of the event loop leaves together at its end, and volatile events with it."""
    server = await serve(application())
    async with TcpProxy(server.port) as network:
        socket = await start(new(), network.url, transports=["polling"])
        answers = Calls("ack")
        network.hold()
        await socket.emit("echo", "first", callback=answers.add)
        await asyncio.sleep(A_WHILE)  # the POST leaves at the end of the pass
        socket.volatile.emit("echo", "volatile", callback=answers.add)
        await socket.emit("echo", "last", callback=answers.add)
        network.let_go()
        assert await answers.several(2) == [("first",), ("last",)]
        assert answers.empty


async def test_a_volatile_event_is_sent_when_it_can_be(new: New, url: str) -> None:
    socket = await start(new(), url)
    answered = asyncio.Event()
    socket.volatile.emit("getId", callback=lambda sid: answered.set())
    await within(answered.wait(), "an ack")


async def test_on_any_is_called_prepended_and_removed(new: New, url: str) -> None:
    """C11: of events that come."""
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
    """C11: of events that are sent."""
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
    """C9: ``timeout()`` of one event."""
    socket = await start(new(), url)
    with pytest.raises(socketio_fast.exceptions.TimeoutError):
        await within(socket.timeout(0.05).emit_with_ack("unknown"), "the time limit")


async def test_an_event_that_is_acknowledged_in_time_does_not_time_out(
    new: New, url: str
) -> None:
    socket = await start(new(), url)
    assert await within(socket.timeout(WAIT).emit_with_ack("echo", 42), "an ack") == 42


async def test_an_acknowledgement_after_its_limit_is_not_waited_for(
    new: New, url: str
) -> None:
    socket = await start(new(), url)
    with pytest.raises(socketio_fast.exceptions.TimeoutError):
        await within(socket.timeout(0).emit_with_ack("echo", 42), "the time limit")
    # Its acknowledgement comes before this one.
    assert await within(socket.emit_with_ack("echo", 43), "an ack") == 43


async def test_ack_timeout_is_the_default_limit(new: New, url: str) -> None:
    socket = await start(new(ack_timeout=0.05), url)
    with pytest.raises(socketio_fast.exceptions.TimeoutError):
        await within(socket.emit_with_ack("unknown"), "the time limit")


@pytest.mark.parametrize("limit", [None, 10], ids=["without a limit", "with a limit"])
async def test_a_disconnection_ends_what_waits_for_an_ack(
    new: New, url: str, limit: float | None
) -> None:
    """C10: at once, whatever the limit."""
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


async def test_what_is_emitted_after_a_disconnection_is_sent_when_it_connects_again(
    new: New, url: str
) -> None:
    """As the official client keeps it, and its acknowledgement."""
    socket = await start(new(), url)
    await within(socket.disconnect(), "disconnect")
    answers = Calls("ack")
    await socket.emit("echo", "a", callback=answers.add)
    await within(socket.connect(), "connect")
    assert await answers.next() == ("a",)


async def test_what_is_emitted_after_a_sleep_is_sent_by_the_next_connection(
    new: New,
) -> None:
    """C25: the event loop has stood still for longer than the heartbeat allows."""
    client = new()
    server = socketio_fast.AsyncServer(ping_interval=1, ping_timeout=1)
    server.on("echo", lambda sid, value: value)
    async with await socketio_fast.serve(server, port=0, host="127.0.0.1") as running:
        socket = await start(client, running.url)
        reconnects = calls(client.manager, "reconnect")
        closes = calls(client.manager, "close")
        answers = Calls("ack")
        time.sleep(2.1)  # noqa: ASYNC251  (nothing else runs meanwhile)
        socket.emit("echo", "123", callback=answers.add)
        await reconnects.next()
        assert await answers.next() == ("123",)
        assert (await closes.next())[0] == "ping timeout"
        await client.disconnect()
