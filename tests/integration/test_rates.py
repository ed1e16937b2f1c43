"""Limits of what clients and addresses may ask for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from support.hosts import HOSTS
from support.http_clients import Http, http
from support.waiting import until

import socketio_fast
from socketio_fast.options.limits import Limits, Rate

ONE_IN_A_MINUTE = Rate(1 / 60, burst=1)


class Server:
    """A server with limits, what its handlers got, and clients of it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.arrived = asyncio.Event()
        self.sio = socketio_fast.AsyncServer()
        self.client: Http

    def note(self, value: Any) -> None:
        self.events.append(value)
        self.arrived.set()

    async def joined(self) -> Any:
        socket, _ = await self.client.session_socket()
        await socket.send("40")
        assert (await socket.receive()).startswith('40{"sid"')
        return socket

    @property
    def counters(self) -> dict[str, int]:
        return dict(self.sio.eio.counters)


@pytest.fixture(params=HOSTS)
async def serve(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    stack: list[Any] = []

    async def start(**options: Any) -> Server:
        server = Server()
        server.sio = socketio_fast.AsyncServer(**options)

        @server.sio.on("message")
        def message(sid: str, value: Any) -> Any:
            server.note(value)
            return value

        context = HOSTS[request.param](server.sio)
        stack.append(context)
        url = await context.__aenter__()
        context = http(url, "/socket.io/")
        stack.append(context)
        server.client = await context.__aenter__()
        return server

    try:
        yield start
    finally:
        for context in reversed(stack):
            await context.__aexit__(None, None, None)


def error(message: str, prefix: str) -> dict[str, Any]:
    """The error of `42["error",{…}]` or `431[{"error":{…}}]`."""
    assert message.startswith(prefix), message
    value = json.loads(message[message.index("[") :])[-1]
    found: dict[str, Any] = value.get("error", value)
    return found


async def test_events_beyond_the_rate(serve: Any) -> None:
    """U7: an event beyond its rate is refused by an error event, told once a second."""
    server = await serve(limits=Limits(events=Rate(1 / 60, burst=3)))
    socket = await server.joined()  # which is one of the three
    for value in range(10):
        await socket.send(f'42["message",{value}]')
    refused = error(await socket.receive(), "42[")
    assert refused["event"] == "message"
    assert refused["message"] == "Rate limit exceeded"
    assert 50 < refused["retry_after"] <= 60
    await socket.send("41")
    assert server.events == [0, 1]
    assert server.counters["refused_events"] >= 1


async def test_acknowledgements_of_events_beyond_the_rate(serve: Any) -> None:
    """U7: where an acknowledgement is asked for, it is that which tells."""
    server = await serve(limits=Limits(events=Rate(1 / 60, burst=2)))
    socket = await server.joined()
    await socket.send('420["message","a"]')
    assert await socket.receive() == '430["a"]'
    await socket.send('421["message","b"]')
    assert error(await socket.receive(), "431[")["message"] == "Rate limit exceeded"
    assert server.events == ["a"]


async def test_bytes_beyond_the_rate(serve: Any) -> None:
    """U7: bytes of attachments count, and those of a packet are judged together."""
    server = await serve(limits=Limits(bytes=Rate(1, burst=1000)))
    socket = await server.joined()
    await socket.send('451-0["message",{"_placeholder":true,"num":0}]')
    await socket.send(b"x" * 900)
    assert (await socket.receive()).startswith("461-0[")
    assert await socket.receive() == b"x" * 900
    await socket.send('451-1["message",{"_placeholder":true,"num":0}]')
    await socket.send(b"y" * 200)
    assert 100 < error(await socket.receive(), "431[")["retry_after"] < 400
    assert server.events == [b"x" * 900]


async def test_a_message_larger_than_the_burst(serve: Any) -> None:
    """U7: it is taken where the bucket is full, which is in debt then."""
    server = await serve(limits=Limits(bytes=Rate(1_000_000, burst=100)))
    socket = await server.joined()
    await asyncio.sleep(0.01)  # what joining took comes back in a millisecond
    await socket.send('420["message","' + "z" * 1000 + '"]')
    assert (await socket.receive()).startswith("430[")
    assert len(server.events) == 1


async def test_the_rate_of_an_address(serve: Any) -> None:
    """U7: all connections of an address together."""
    server = await serve(limits=Limits(address_events=Rate(1 / 60, burst=3)))
    first, second = await server.joined(), await server.joined()
    await first.send('420["message",1]')
    assert await first.receive() == "430[1]"
    await second.send('420["message",2]')
    assert error(await second.receive(), "430[")["message"] == "Rate limit exceeded"


async def test_a_connection_that_closes_at_its_rate(serve: Any) -> None:
    """U7: `excess="close"` ends the connection, by the code 1008."""
    limits = Limits(events=Rate(1 / 60, burst=2), excess="close")
    server = await serve(limits=limits)
    socket = await server.joined()
    for value in range(3):
        await socket.send(f'42["message",{value}]')
    await socket.closed()
    assert socket.ws.close_code == 1008
    assert server.events == [0]


async def test_joining_beyond_the_rate(serve: Any) -> None:
    """U7: a CONNECT beyond the rate is refused by CONNECT_ERROR."""
    server = await serve(limits=Limits(events=ONE_IN_A_MINUTE), namespaces="*")
    socket = await server.joined()
    await socket.send("40/other,")
    refused = await socket.receive()
    assert refused.startswith('44/other,{"message":"Rate limit exceeded"')
    assert json.loads(refused[9:])["data"]["retry_after"] > 50


async def test_new_connections_of_an_address(serve: Any) -> None:
    """U7, U8: 429 with Retry-After, by polling and by WebSocket."""
    server = await serve(limits=Limits(connections=Rate(1 / 60, burst=2)))
    await server.client.open_session()
    await server.joined()
    url = server.client.query("polling", None)
    async with server.client.session.get(url) as response:
        assert response.status == 429
        assert 50 < int(response.headers["Retry-After"]) <= 60
        assert await response.json() == {
            "code": 4,
            "message": "Too many new connections of this address",
        }
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await server.client.websocket("?EIO=4&transport=websocket")
    assert caught.value.status in (429, 403)  # wsproto and others know only 403
    assert server.counters["refused_connection_rate"] == 2


async def test_connections_of_an_address(serve: Any) -> None:
    """U8: a connection that goes makes room for another."""
    server = await serve(limits=Limits(connections_per_address=2))
    first, _ = await server.joined(), await server.joined()
    assert await server.client.status("GET", "?EIO=4&transport=polling") == 429
    assert server.counters["refused_connections_per_address"] == 1
    await first.send("1")
    await first.closed()
    (visitor,) = server.sio.eio.engine.limits.visitors.values()
    await until(lambda: visitor.connections == 1)  # the host tells of the close
    assert await server.client.status("GET", "?EIO=4&transport=polling") == 200
    assert visitor.connections == 2


async def test_exempt_addresses(serve: Any) -> None:
    """U8: an exempt network has no limits by address."""
    limits = Limits(connections_per_address=1, exempt=["127.0.0.0/8", "::1"])
    server = await serve(limits=limits)
    await server.joined()
    await server.joined()


async def test_pending_handshakes(serve: Any) -> None:
    """U8: a connection is pending until it has joined a namespace."""
    server = await serve(limits=Limits(pending_handshakes=1))
    socket, _ = await server.client.session_socket()
    assert await server.client.status("GET", "?EIO=4&transport=polling") == 503
    await socket.send("40")
    await socket.receive()
    assert await server.client.status("GET", "?EIO=4&transport=polling") == 200
    assert server.sio.eio.engine.limits.handshakes == 1


async def test_namespaces_of_a_connection(serve: Any) -> None:
    """U8: further ones are refused by CONNECT_ERROR."""
    limits = Limits(namespaces_per_connection=1)
    server = await serve(limits=limits, namespaces="*")
    socket = await server.joined()
    await socket.send("40/other,")
    assert await socket.receive() == '44/other,{"message":"Too many namespaces"}'
    await socket.send("41")
    await socket.send("40/other,")
    assert (await socket.receive()).startswith('40/other,{"sid"')


async def test_rooms_of_a_client(serve: Any) -> None:
    """U8: one room too many is an error of the application's call."""
    server = await serve(limits=Limits(rooms_per_socket=2))
    await server.joined()
    (sid,) = server.sio._hub.namespaces["/"].peers
    await server.sio.enter_room(sid, "a")
    await server.sio.enter_room(sid, "b")
    await server.sio.enter_room(sid, "b")
    with pytest.raises(ValueError, match="rooms_per_socket=2"):
        await server.sio.enter_room(sid, "c")
    await server.sio.leave_room(sid, "a")
    await server.sio.enter_room(sid, "c")
    assert set(server.sio.rooms(sid)) == {sid, "b", "c"}


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"events": 0}, "events=0"),
        ({"bytes": (10, 0.5)}, "bytes=.10, 0.5."),
        ({"connections_per_address": 0}, "connections_per_address=0"),
        ({"rooms_per_socket": True}, "rooms_per_socket=True"),
        ({"excess": "shout"}, "excess='shout'"),
        ({"exempt": ["somewhere"]}, "somewhere"),
    ],
)
def test_limits_that_are_none(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Limits(**options)


def test_limits_are_an_object() -> None:
    with pytest.raises(ValueError, match="limits=5"):
        socketio_fast.AsyncServer(limits=5)


async def test_limits_that_are_unset_while_clients_are_connected() -> None:
    """Clients that were counted come and go."""
    server = Server()
    server.sio = socketio_fast.AsyncServer(limits=Limits(connections_per_address=3))
    async with HOSTS["compiled"](server.sio) as url, http(url, "/socket.io/") as client:
        server.client = client
        first = await server.joined()
        pending, _ = await client.session_socket()
        server.sio.eio.limits = None
        await first.send("1")
        await first.closed()
        await pending.send("40")
        assert (await pending.receive()).startswith('40{"sid"')
        server.sio.eio.limits = Limits(pending_handshakes=1)
        await server.joined()
        assert server.sio.eio.engine.limits.handshakes == 0
