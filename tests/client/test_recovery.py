"""Connection state recovery of clients, with our server and with Node's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.waiting import until, within
from support.wire import Peer, Relay, WebSocketServer, node, open_packet

import socketio_fast as socketio
from client.conftest import Listen

FAST: dict[str, Any] = {
    "reconnection_delay": 0.2,
    "reconnection_delay_max": 0.2,
    "randomization_factor": 0,
}


def ours() -> socketio.AsyncServer:
    sio = socketio.AsyncServer(connection_state_recovery=True)

    @sio.on("say")
    async def say(sid: str, event: str, *args: Any) -> None:
        await sio.emit(event, args, to=sid)

    @sio.on("say all")
    async def say_all(sid: str, event: str, *args: Any) -> None:
        await sio.emit(event, args)

    @sio.on("ask")
    async def ask(sid: str, *args: Any) -> None:
        def answered(*answer: Any) -> None:
            sio.start_background_task(sio.emit, "answered", answer, to=sid)

        await sio.emit("question", args, to=sid, callback=answered)

    return sio


@pytest.fixture(params=["ours", "node"])
async def url(request: pytest.FixtureRequest, serve: Any) -> AsyncIterator[str]:
    if request.param == "ours":
        yield (await serve(ours())).url
    else:
        async with node(connectionStateRecovery={}) as started:
            yield started


@pytest.mark.parametrize(
    "transports", [["websocket"], ["polling"], ["polling", "websocket"]]
)
async def test_what_was_missed_comes_once_and_before_connect(
    url: str, listen: Listen, transports: list[str]
) -> None:
    """C27: with our server and Node's."""
    relay = await listen(Relay(url))
    happened: list[Any] = []
    async with socketio.AsyncClient(**FAST) as client, socketio.AsyncClient() as other:
        socket = client.socket()
        client.on("connect", lambda: happened.append("connect"))
        client.on("disconnect", lambda: happened.append("disconnect"))
        client.on("n", lambda n: happened.append(n))
        client.on("b", lambda data, n: happened.append((data, n)))
        await client.connect(relay.url, transports=transports, wait_timeout=5)
        said: list[int] = []
        other.on("b", lambda data, n: said.append(n))
        await other.connect(url, transports=["websocket"])
        sid = client.get_sid()
        assert not socket.recovered
        await other.emit("say all", ("n", 0))
        await until(lambda: happened == ["connect", 0])
        for turn in (1, 2):
            del happened[:]
            if transports == ["polling"]:
                # By a poll that ends the server knows that the client is gone.
                await until(lambda: relay.asks)
            relay.cut(hold=True)
            await until(lambda: happened == ["disconnect"])
            await other.emit("say all", ("n", turn))
            await other.emit("say all", ("b", b"bytes", turn))
            await until(lambda turn=turn: turn in said)
            relay.let_in()
            await until(lambda: socket.connected)
            assert socket.recovered
            assert client.get_sid() == sid
            await other.emit("say all", ("n", -turn))
            await until(lambda turn=turn: -turn in happened)
            missed = [turn, (b"bytes", turn)]
            assert happened == ["disconnect", *missed, "connect", -turn]


async def test_a_server_that_was_restarted_recovers_nothing(serve: Any) -> None:
    server = await serve(ours())
    async with socketio.AsyncClient(**FAST) as client:
        socket = client.socket()
        got: asyncio.Queue[Any] = asyncio.Queue()
        client.on("n", got.put_nowait)
        await client.connect(server.url, transports=["websocket"])
        await client.emit("say", ("n", 1))
        assert await within(got.get()) == 1
        sid = client.get_sid()
        await server.close()
        await until(lambda: not socket.connected)
        await serve(ours(), port=server.port)
        await until(lambda: socket.connected)
        assert not socket.recovered
        assert client.get_sid() != sid


async def test_catch_all_handlers_get_the_offset_and_others_what_they_take(
    url: str,
) -> None:
    got: dict[str, Any] = {}
    async with socketio.AsyncClient() as client:
        socket = client.socket()
        client.on("one", lambda text: got.update(one=text))
        client.on("any", lambda *args: got.update(any=args))
        client.on("two", lambda text, offset=None: got.update(two=(text, offset)))
        client.on("*", lambda event, *args: got.update({event: args}))
        socket.on("heard", lambda text: got.update(heard=text))
        await client.connect(url, transports=["websocket"])
        for event in ("one", "any", "two", "other", "heard"):
            await client.emit("say", (event, event))
        await until(lambda: "heard" in got)
    assert got["one"] == "one"
    assert got["heard"] == "heard"
    for name in ("any", "two", "other"):
        assert got[name][0] == name
        assert isinstance(got[name][1], str)


async def test_methods_of_a_namespace_get_what_they_take(url: str) -> None:
    class Chat(socketio.AsyncClientNamespace):
        def __init__(self) -> None:
            super().__init__()
            self.got: asyncio.Queue[Any] = asyncio.Queue()

        async def on_one(self, text: str) -> None:
            self.got.put_nowait((text,))

        def on_any(self, *args: Any) -> None:
            self.got.put_nowait(args)

    chat = Chat()
    async with socketio.AsyncClient() as client:
        client.register_namespace(chat)
        await client.connect(url, transports=["websocket"])
        await client.emit("say", ("one", "a"))
        assert await within(chat.got.get()) == ("a",)
        await client.emit("say", ("any", "b"))
        text, offset = await within(chat.got.get())
        assert (text, isinstance(offset, str)) == ("b", True)


async def test_events_that_ask_for_an_acknowledgement_have_no_offset(
    url: str, listen: Listen
) -> None:
    relay = await listen(Relay(url))
    got: asyncio.Queue[Any] = asyncio.Queue()
    async with socketio.AsyncClient(**FAST) as client:
        socket = client.socket()
        client.on("question", lambda *args: args)
        client.on("answered", lambda *args: got.put_nowait(args[:2]))
        await client.connect(relay.url, transports=["websocket"])
        await client.emit("ask", ("a", "text"))
        assert await within(got.get()) == ("a", "text")
        relay.cut()
        await until(lambda: not socket.connected)
        await until(lambda: socket.connected)
        assert socket.recovered


async def test_pid_and_offset_are_sent_beside_auth(listen: Listen) -> None:
    async def script(peer: Peer) -> Any:
        await peer.send(open_packet())
        _, _, connect = await peer.receive()
        await peer.send('40{"sid":"s1","pid":"p1"}', '42["a","x","o1"]')
        assert (await peer.receive())[2] == b'42["seen"]'
        return connect

    server = await listen(WebSocketServer(script))
    auths: list[Any] = [{"token": 1}, {"token": 2}, "no dict"]
    async with socketio.AsyncClient(**FAST) as client:
        client.on("a", lambda text: client.emit("seen"))
        await client.connect(
            server.url, transports=["websocket"], auth=lambda: auths.pop(0)
        )
        assert await server.result() == b'40{"token":1}'
        assert await server.result() == b'40{"pid":"p1","offset":"o1","token":2}'
        assert await server.result() == b'40"no dict"'


async def test_a_handler_that_leaves_gets_nothing_of_what_was_missed_behind_it(
    listen: Listen,
) -> None:
    async def script(peer: Peer) -> Any:
        await peer.send(open_packet())
        await peer.receive()
        await peer.send('42["a",1]', '42["a",2]', '40{"sid":"s1"}')
        return await peer.closed()

    server = await listen(WebSocketServer(script))
    client = socketio.AsyncClient(reconnection=False)
    socket = client.socket()
    got: list[Any] = []

    def a(n: int) -> None:
        got.append(n)
        client._peer("/").leave()

    client.on("a", a)
    client.on("connect", lambda: got.append("connect"))
    await within(client.connect(server.url, transports=["websocket"]))
    await within(client.disconnect())
    assert got == [1]
    assert not socket.active
    assert await server.result() == 1000
