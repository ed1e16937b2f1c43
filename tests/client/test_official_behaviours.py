"""What the official client's own suites check, one test for each behaviour.

:data:`OFFICIAL` has each title of packages/socket.io-client/test and
packages/engine.io-client/test: the test here, or why there is none. On the wire the
official client decides, in the API python-socketio; where the two differ, the docstring
of the test says what was chosen.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.interop import within
from support.official_suite import A_WHILE, New, application, calls, start
from support.tcp_proxy import TcpProxy
from support.wire_server import wire_server

import socketio_fast
from client import test_official_connection, test_official_socket

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


NAMED = {**vars(test_official_connection), **vars(test_official_socket), **globals()}


@pytest.mark.parametrize("title", OFFICIAL)
def test_each_title_names_a_test(title: str) -> None:
    assert callable(NAMED[OFFICIAL[title]])
