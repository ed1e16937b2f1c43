"""Emitters: to servers of this package, and to Node's with the official adapters."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from support.brokers import NATS, Redis
from support.node_cluster import NodeClient, NodeProcess, NodeServer
from support.waiting import until, within

import socketio_fast
from adapters.in_memory import Bus, BusAdapter, Servers, bus, known, servers  # noqa: F401
from socketio_fast import AsyncServer, exceptions, serve, testing
from socketio_fast.adapters import (
    AsyncEmitter,
    Emitter,
    NatsAdapter,
    PostgresAdapter,
    RedisAdapter,
    RedisStreamsAdapter,
    ShardedRedisAdapter,
)

KINDS: dict[str, Any] = {
    "redis": RedisAdapter,
    "sharded": ShardedRedisAdapter,
    "streams": RedisStreamsAdapter,
    "postgres": PostgresAdapter,
}


class Place:
    """A server with a client that is in a room."""

    def __init__(self, client: NodeClient, heard: Callable[[str], Any]) -> None:
        self.client = client
        self.heard = heard


async def ours(stack: AsyncExitStack, adapter: Any) -> tuple[AsyncServer, Place]:
    """A server of this package."""
    sio = AsyncServer(client_manager=adapter)
    heard: asyncio.Queue[list[Any]] = asyncio.Queue()

    @sio.event
    async def join(sid: str, room: str) -> None:
        await sio.enter_room(sid, room)

    @sio.of("/").on("reload")
    def reload(*args: Any) -> str:
        heard.put_nowait(list(args))
        return "python"

    running = await serve(sio, "127.0.0.1", 0)
    stack.push_async_callback(running.close)
    client = NodeClient(f"http://127.0.0.1:{running.port}")
    await stack.enter_async_context(client)

    async def hear(event: str) -> list[Any]:
        return await within(heard.get())

    return sio, Place(client, hear)


async def node_server(
    stack: AsyncExitStack, node: NodeProcess, adapter: dict[str, Any]
) -> tuple[NodeServer, Place]:
    server = await node.server(adapter)
    stack.push_async_callback(server.close)
    await server.listen("reload", answer="node")
    client = await stack.enter_async_context(NodeClient(server.url))
    return server, Place(client, server.heard)


async def expect(places: list[Place], *event: Any) -> None:
    """The next event of each client, whatever its name."""
    for place in places:
        received = place.client.received
        await until(lambda received=received: received)
        came = received.pop(0)
        assert (came.name, *came.args) == event


def let_answer(place: Place, answer: Any) -> None:
    """Have a client acknowledge the event ``question``."""

    async def acknowledge(*args: Any) -> Any:
        return answer

    place.client.on("question", acknowledge)


async def send_everything(emitter: AsyncEmitter, one: Place, other: Place) -> None:
    """What every emitter can do."""
    both = [one, other]
    await emitter.emit("all", 1, {"a": b"2"}, "ü")
    await expect(both, "all", 1, {"a": b"2"}, "ü")
    await emitter.to("room").except_(one.client.sid).emit("some")
    await emitter.of("/chat").emit("not to them")
    await expect([other], "some")
    await emitter.except_("room").emit("nobody")
    await emitter.in_("room").sockets_join(["more", "and more"])
    await emitter.to("more").volatile.emit("joined", 0)
    await expect(both, "joined", 0)
    await emitter.in_(other.client.sid).sockets_leave("more")
    await emitter.to("more").compress(False).emit("left")
    await emitter.to(["more", "and more"], "room").emit("once")
    await expect([one], "left")
    await expect(both, "once")
    await emitter.server_side_emit("reload", 1, [None])
    for place in both:
        assert await place.heard("reload") == [1, [None]]


async def ask_everything(emitter: AsyncEmitter, one: Place, other: Place) -> None:
    """What those can do that receive answers."""
    let_answer(one, "one")
    let_answer(other, ["other"])
    asked = emitter.timeout(10).emit_with_ack("question", 1)
    assert sorted(await within(asked), key=str) == [["other"], "one"]
    acks = emitter.to("room").except_(one.client.sid).timeout(10).acks("question")
    assert [answer async for _, answer in acks] == [["other"]]
    found = await within(emitter.in_("room").fetch_sockets())
    assert {client.id for client in found} == {one.client.sid, other.client.sid}
    for place in (one, other):
        place.client.received.clear()  # the questions
    answers = await within(emitter.server_side_emit_with_ack("reload", 2))
    assert sorted(answers) == ["node", "python"]
    for place in (one, other):
        assert await place.heard("reload") == [2]


async def send_all_officially(
    emitter: NodeServer, sio: AsyncServer, one: Place, other: Place
) -> None:
    """What the emitters of npm can do.

    That for PostgreSQL sends by several connections, so that what it is asked for may
    change places.
    """
    both = [one, other]

    async def are_in_room(count: int) -> None:
        while len(await sio.in_("official").fetch_sockets()) != count:
            pass

    await emitter.emit("all", 1, {"a": b"2"}, "ü")
    await expect(both, "all", 1, {"a": b"2"}, "ü")
    excepted = emitter.to("room").chain(["except", one.client.sid])
    await excepted.emit("some")
    await emitter.of("/chat").emit("not to them")
    await expect([other], "some")
    await emitter.to("room").call("socketsJoin", ["official"])
    await within(are_in_room(2))
    await emitter.to("official").chain(["volatile"]).emit("joined")
    await expect(both, "joined")
    await emitter.chain(["in", other.client.sid]).call("socketsLeave", "official")
    await within(are_in_room(1))
    await emitter.to("official").emit("left")
    await expect([one], "left")
    await emitter.call("serverSideEmit", "reload", 3)
    for place in both:
        assert await place.heard("reload") == [3]
    await emitter.chain(["in", one.client.sid]).call("disconnectSockets", True)
    await until(lambda: not one.client.connected)


@pytest.mark.parametrize("kind", KINDS)
async def test_servers_here_and_on_node(
    kind: str, request: pytest.FixtureRequest
) -> None:
    name = "postgres" if kind == "postgres" else "redis"
    url = request.getfixturevalue(name).url
    adapter = {"kind": kind, "url": url}
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(NodeProcess())
        server, one = await node_server(stack, node, adapter)
        sio, other = await ours(stack, KINDS[kind](url))

        async def settled() -> None:
            while await server.server_count() != 2 or await sio.server_count() != 2:
                pass

        await within(settled())
        for place in (one, other):
            await place.client.join("room")
        async with AsyncEmitter(KINDS[kind](url)) as emitter:
            await send_everything(emitter, one, other)
            await ask_everything(emitter, one, other)
            # Nobody takes it for a server.
            assert await server.server_count() == await sio.server_count() == 2
            assert len(await server.call("fetchSockets")) == 2
            asked = sio.server_side_emit_with_ack("reload", 4)
            assert await within(asked) == ["node"]
            assert await one.heard("reload") == [4]
            assert emitter.adapter.lost_messages == 0
        if kind == "postgres":
            # Node's adapter 0.5 does not serve Node's emitter 0.1, which does not name
            # the namespace: a server of this package takes its place.
            third, one = await ours(stack, PostgresAdapter(url))
            await within(known(third, 3))
            await one.client.join("room")
        if kind in ("redis", "postgres"):
            official = await node.emitter(adapter)
            await send_all_officially(official, sio, one, other)
        async with AsyncEmitter(KINDS[kind](url)) as emitter:
            await emitter.in_(other.client.sid).disconnect_sockets()
            await until(lambda: not other.client.connected)


@pytest.fixture
async def nats_servers(nats: NATS) -> AsyncIterator[tuple[Place, Place]]:
    async with AsyncExitStack() as stack:
        places = []
        for _ in range(2):
            sio, place = await ours(stack, NatsAdapter(nats.url))
            places.append(place)
        await within(known(sio, 2))
        for place in places:
            await place.client.join("room")
        yield places[0], places[1]


async def test_nats(nats: NATS, nats_servers: tuple[Place, Place]) -> None:
    one, other = nats_servers
    async with AsyncEmitter(NatsAdapter(nats.url)) as emitter:
        await send_everything(emitter, one, other)
        let_answer(one, 1)
        let_answer(other, 2)
        asked = emitter.timeout(10).emit_with_ack("question", 1)
        assert sorted(await within(asked)) == [1, 2]
        assert len(await within(emitter.fetch_sockets())) == 2
        answers = await within(emitter.server_side_emit_with_ack("reload", 2))
        assert answers == ["python"] * 2
        await emitter.in_("room").disconnect_sockets(close=True)
        for place in nats_servers:
            await until(lambda place=place: not place.client.connected)


async def test_a_manager_that_only_writes(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        managers = [socketio_fast.AsyncRedisManager(redis.url) for _ in range(2)]
        places = [(await ours(stack, manager))[1] for manager in managers]
        for place in places:
            await place.client.join("room")
        manager = socketio_fast.AsyncRedisManager(redis.url, write_only=True)
        emitter = await stack.enter_async_context(AsyncEmitter(manager))
        await send_everything(emitter, *places)
        with pytest.raises(RuntimeError, match="receives no answers"):
            await emitter.emit_with_ack("question")


async def test_entries_as_the_streams_emitter_of_node_makes_them(redis: Redis) -> None:
    """As packages/socket.io-redis-streams-emitter does, which npm does not have."""
    import base64
    import json

    import msgpack
    from redis.asyncio import Redis as Client

    async with AsyncExitStack() as stack:
        sio, place = await ours(stack, RedisStreamsAdapter(redis.url))
        client = await stack.enter_async_context(Client.from_url(redis.url))

        async def publish(kind: int, data: Any, packed: bool = False) -> None:
            text = json.dumps(data) if not packed else None
            encoded = text or base64.b64encode(msgpack.packb(data)).decode()
            entry = {"uid": "emitter", "nsp": "/", "type": str(kind), "data": encoded}
            await client.xadd("socket.io", entry, maxlen=10_000, approximate=True)

        opts = {"rooms": [], "except": [], "flags": {}}
        for argument in (1, b"\0"):
            packet = {"type": 2, "data": ["e", argument], "nsp": "/"}
            packed = isinstance(argument, bytes)
            await publish(3, {"packet": packet, "opts": opts}, packed)
            await expect([place], "e", argument)
        await publish(4, {"opts": opts, "rooms": ["a"]})
        await publish(9, {"packet": ["reload", 1]})
        assert await place.heard("reload") == [1]
        assert "a" in sio.rooms(place.client.sid)
        await publish(6, {"opts": opts, "close": False})
        await until(lambda: not place.client.connected)


# --- What goes wherever ---------------------------------------------------------------


async def test_what_it_publishes(bus: Bus, servers: Servers) -> None:  # noqa: F811
    (sio,) = await servers(1)
    emitter = AsyncEmitter(BusAdapter(bus))
    bus.published.clear()
    await emitter.to("room").emit("e", 1)
    await emitter.sockets_join("a")
    await emitter.disconnect_sockets()
    assert [message["uid"] for message in bus.published] == ["emitter"] * 3
    assert bus.published[0] == {
        "uid": "emitter",
        "nsp": "/",
        "type": 3,
        "data": {
            "packet": {"type": 2, "data": ["e", 1], "nsp": "/"},
            "opts": {"rooms": ["room"], "except": [], "flags": {}},
        },
    }
    # Nothing is received before something is asked.
    assert len(bus.queues) == 1
    assert await emitter.emit_with_ack("question") == []
    assert await sio.server_count() == 1
    assert sio.manager._memberships["/"].servers == {}
    assert emitter.adapter.healthy
    await emitter.close()
    assert len(bus.queues) == 1
    # It is used again.
    async with testing.client(sio) as client:
        await emitter.send("hello")
        assert await client.expect("message") == "hello"
        assert await emitter.local.emit("nobody") is None
        assert await emitter.local.fetch_sockets() == []
        await until(lambda: client.received == [])
    await emitter.close()


async def test_a_server_that_does_not_answer(
    bus: Bus,  # noqa: F811
    servers: Servers,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (sio,) = await servers(1)
    monkeypatch.setattr("socketio_fast.adapters.cluster.DISCOVERY_TIME", 0.1)
    emitter = AsyncEmitter(BusAdapter(bus, request_timeout=0.2))
    sio.of("/").on("hang", lambda: asyncio.Event().wait())
    with pytest.raises(exceptions.TimeoutError, match="1 of 1 other servers"):
        await emitter.server_side_emit_with_ack("hang")
    async with testing.client(sio) as client:
        client.on("question", lambda: asyncio.Event().wait())
        with pytest.raises(exceptions.BroadcastTimeoutError):
            await emitter.timeout(0.1).emit_with_ack("question")
    await emitter.close()


async def test_an_engine_that_is_away(
    bus: Bus,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    emitter = AsyncEmitter(BusAdapter(bus, request_timeout=0.2))
    bus.away = ConnectionError("no route")
    await emitter.emit("e")
    assert "cannot publish to the bus (ConnectionError: no route)" in caplog.text
    assert emitter.adapter.lost_messages == 1
    assert not emitter.adapter.healthy
    with pytest.raises(exceptions.TimeoutError):
        await emitter.server_side_emit_with_ack("e")
    await emitter.close()


async def test_what_is_refused(bus: Bus, servers: Servers) -> None:  # noqa: F811
    (sio,) = await servers(1)
    with pytest.raises(TypeError, match=r"AsyncEmitter\('redis://x'\): an adapter, or"):
        AsyncEmitter("redis://x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a server has this adapter: an emitter needs"):
        AsyncEmitter(sio.manager)
    manager = socketio_fast.AsyncRedisManager("redis://")
    with pytest.raises(ValueError, match="AsyncRedisManager without write_only=True"):
        AsyncEmitter(manager)
    emitter = AsyncEmitter(BusAdapter(bus))
    with pytest.raises(ValueError, match="an emitter has this adapter: a server needs"):
        AsyncServer(client_manager=emitter.adapter)
    with pytest.raises(ValueError, match="begins with a slash"):
        emitter.of("chat")
    with pytest.raises(ValueError, match="reserved"):
        await emitter.emit("connect")
    with pytest.raises(TypeError, match="a room is a str, an int or a float"):
        await emitter.to(object()).emit("e")
    with pytest.raises(TypeError):
        await AsyncEmitter(RedisAdapter()).emit("e", object())


def test_threads(redis: Redis, tmp_path: Path) -> None:
    """A server for threads, in a process of its own; and no close() at the end."""
    adapter = RedisAdapter(redis.url)
    sio = socketio_fast.Server(client_manager=adapter)
    heard: list[Any] = []
    sio.of("/").on("reload", lambda *args: heard.append(args) or "answer")
    with testing.client(sio) as client, Emitter(RedisAdapter(redis.url)) as emitter:
        asyncio.run(until(lambda: adapter.healthy))  # it receives what is published
        client.on("question", lambda number: number + 1)
        emitter.to(client.sid).emit("e", 1)
        assert client.expect("e") == 1
        assert emitter.timeout(5).emit_with_ack("question", 1) == [2]
        assert emitter.emit_with_ack("question", 2) == [3]
        assert list(emitter.acks("question", 3)) == [(client.sid, 4)]
        assert [found.id for found in emitter.fetch_sockets()] == [client.sid]
        assert emitter.server_side_emit_with_ack("reload", 1) == ["answer"]
        assert heard == [(1,)]
        emitter.of("/").volatile.send("hello")
        assert client.expect("message") == "hello"
        program = (
            "import socketio_fast as s\n"
            f"adapter = s.adapters.RedisAdapter({redis.url!r})\n"
            "s.adapters.Emitter(adapter).emit('from', 'afar')\n"
            f"manager = s.RedisManager({redis.url!r}, write_only=True)\n"
            "s.adapters.Emitter(manager).emit('to nobody')\n"
        )
        subprocess.run(
            [sys.executable, "-c", program], check=True, timeout=60, cwd=tmp_path
        )
        assert client.expect("from") == "afar"
    sio.shutdown()
