"""``serializer=`` and ``json=`` of clients."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
import socketio as python_socketio
from support.interop import ARGUMENTS, BINARY_ARGUMENTS
from support.waiting import until, within
from support.wire import Peer, WebSocketServer, node, open_packet

import socketio_fast as socketio
from client.conftest import Listen

TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]


def echoing(**options: Any) -> socketio.AsyncServer:
    sio = socketio.AsyncServer(**options)

    @sio.event
    async def echo(sid: str, *args: Any) -> Any:
        await sio.emit("echo", args, to=sid)
        return args

    return sio


@pytest.fixture(params=["ours", "node"])
async def msgpack_url(request: pytest.FixtureRequest, serve: Any) -> AsyncIterator[str]:
    if request.param == "ours":
        yield (await serve(echoing(serializer="msgpack"))).url
    else:
        async with node(parser="msgpack") as started:
            yield started


@pytest.mark.parametrize("retries", [None, 2])
@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_messagepack_carries_any_arguments(
    msgpack_url: str, transports: list[str], retries: int | None
) -> None:
    got: list[Any] = []
    options: dict[str, Any] = {"serializer": "msgpack", "retries": retries}
    async with socketio.AsyncClient(reconnection=False, **options) as client:
        client.on("echo", lambda *args: got.append(list(args)))
        await client.connect(msgpack_url, transports=transports, wait_timeout=5)
        for name, args in {**ARGUMENTS, **BINARY_ARGUMENTS}.items():
            if name in ("lone surrogates", "floats"):
                continue  # MessagePack has no surrogates, and Node's turns 1e300 into 0
            del got[:]
            answer = await within(client.call("echo", tuple(args)))
            expected = None if not args else args[0] if len(args) == 1 else tuple(args)
            assert answer == expected, name
            await until(lambda: len(got) == 1)
            assert got[0] == args, name


class Shouting(python_socketio.packet.Packet):  # type: ignore[misc]
    """A packet class of python-socketio: its text is "!" and JSON."""

    def encode(self) -> str:
        values = [self.packet_type, self.namespace, self.data, self.id]
        return "!" + json.dumps(values)

    def decode(self, encoded: str) -> int:
        kind, self.namespace, self.data, self.id = json.loads(encoded[1:])
        self.packet_type = kind
        return 0


@pytest.mark.parametrize("retries", [None, 2])
@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_a_packet_class_encodes_all_packets(
    serve: Any, transports: list[str], retries: int | None
) -> None:
    server = await serve(echoing(serializer=Shouting))
    options: dict[str, Any] = {"serializer": Shouting, "retries": retries}
    async with socketio.AsyncClient(reconnection=False, **options) as client:
        await client.connect(server.url, transports=transports, wait_timeout=5)
        assert await within(client.call("echo", ("a", [1]))) == ("a", [1])


async def test_json_of_the_program_is_used_both_ways(listen: Listen) -> None:
    class Json:
        dumped: ClassVar[list[Any]] = []
        loaded: ClassVar[list[Any]] = []

        @classmethod
        def dumps(cls, value: Any, **options: Any) -> str:
            cls.dumped.append(value)
            return json.dumps(value, **options)

        @classmethod
        def loads(cls, text: Any) -> Any:
            cls.loaded.append(text)
            return json.loads(text)

    async def script(peer: Peer) -> Any:
        await peer.send(open_packet())
        connect = (await peer.receive())[2]
        await peer.send('40{"sid":"s1"}')
        event = (await peer.receive())[2]
        await peer.send('430["answer"]')
        await peer.closed()
        return connect, event

    server = await listen(WebSocketServer(script))
    async with socketio.AsyncClient(json=Json, reconnection=False) as client:
        await within(
            client.connect(server.url, transports=["websocket"], auth={"token": 1})
        )
        assert await within(client.call("a", {"b": 1})) == "answer"
    connect, event = await server.result()
    assert json.loads(connect[2:]) == {"token": 1}
    assert json.loads(event[3:]) == ["a", {"b": 1}]
    assert ["a", {"b": 1}] in Json.dumped
    assert any("answer" in str(text) for text in Json.loaded)


async def test_auth_whose_class_says_that_it_is_a_list(listen: Listen) -> None:
    class Auth(tuple[str, ...]):
        __class__ = property(lambda self: list)  # type: ignore[assignment]

    async def script(peer: Peer) -> Any:
        await peer.send(open_packet())
        connect = (await peer.receive())[2]
        await peer.send('40{"sid":"s1"}')
        await peer.closed()
        return connect

    server = await listen(WebSocketServer(script))
    async with socketio.AsyncClient(reconnection=False) as client:
        auth = Auth(["a", "b"])
        await within(client.connect(server.url, transports=["websocket"], auth=auth))
    assert await server.result() == b'40["a","b"]'
