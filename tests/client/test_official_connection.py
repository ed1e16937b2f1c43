"""What connection.ts of the official client's suite checks, one test for each
behaviour; see official_suites.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from support.interop import within
from support.official_suite import A_WHILE, DATE, UTF8, New, calls, fails, start
from support.ports import free_port
from support.tcp_proxy import TcpProxy
from support.waiting import until
from support.wire_server import wire_server

import socketio_fast


async def test_connects(new: New, url: str) -> None:
    """C1: and sends what was emitted."""
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


async def test_two_clients_have_two_connections(
    new: New, url: str, network: TcpProxy
) -> None:
    """C2: also to one URL: a client is a connection, as with ``forceNew: true``."""
    clients = [new(), new()]
    for client in clients:
        await start(client, url)
    assert clients[0].sid != clients[1].sid
    assert network.open == 2


async def test_namespaces_share_a_connection(new: New, url: str) -> None:
    """C2: and each has an id of its own."""
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


async def test_dates_are_text(new: New, url: str) -> None:
    """In events and acknowledgements, and in what the client sends."""
    socket = await start(new(), url)
    text = DATE.isoformat()
    assert await within(socket.emit_with_ack("getAckDate", {"test": True})) == text
    alone, within_object = calls(socket, "takeDate"), calls(socket, "takeDateObj")
    await socket.emit("getDate")
    assert await alone.next() == (text,)
    assert await within_object.next() == ({"date": text},)
    assert await within(socket.emit_with_ack("echo", DATE)) == text


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
    """C3: and tells it."""
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


async def test_tries_twice_and_fails_with_two_attempts(new: New) -> None:
    """C5: ``reconnect_attempt`` tells the number of the attempt.

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
    """C3: with jitter that is relative."""
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


async def test_connects_while_a_reconnection_is_stopped(new: New) -> None:
    """The attempts begin anew."""
    client = new()
    attempts = calls(client.manager, "reconnect_attempt")
    first = asyncio.ensure_future(fails(client))
    await attempts.next()
    await within(client.disconnect(), "disconnect")
    second = asyncio.ensure_future(fails(client))
    await within(first, "the end of the first connect()")
    while await attempts.next() != (2,):
        pass
    await within(client.disconnect(), "disconnect")
    await within(second, "the end of the second connect()")


async def test_another_namespace_does_not_change_the_number_of_attempts(
    new: New,
) -> None:
    client = new(reconnection_attempts=2)
    attempts = calls(client.manager, "reconnect_attempt")
    failed = calls(client.manager, "reconnect_failed")
    connecting = asyncio.ensure_future(fails(client, namespaces=["/room1"]))
    assert await attempts.next() == (1,)
    joining = asyncio.ensure_future(client.socket("/room2").connect())
    await failed.next()
    await within(connecting, "the end of connect()")
    assert await attempts.next() == (2,)
    assert attempts.empty
    with contextlib.suppress(socketio_fast.exceptions.ConnectionError):
        await within(joining, "the end of connect() of the namespace")


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
    """C32: ``connect()``, ``active``."""
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
