"""Servers of this package beside servers on Node.js with the official adapters.

Each test runs in both directions: one server sends, and the client of the other gets
it. Their methods have the same names.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from support.node_cluster import NodeClient, NodeError, NodeProcess, NodeServer
from support.waiting import WAIT, until, within

import socketio_fast
from socketio_fast import AsyncServer, exceptions, testing
from socketio_fast.adapters import (
    PostgresAdapter,
    RedisAdapter,
    RedisStreamsAdapter,
    ShardedRedisAdapter,
)
from socketio_fast.testing.adapter_checks import ARGUMENTS, expect, let_be_silent
from socketio_fast.testing.clusters import PollingClient, WebSocket

pytestmark = pytest.mark.asyncio(loop_scope="module")


# How soon a server is found to be gone.
QUICK: dict[str, Any] = {"heartbeat_interval": 1, "heartbeat_timeout": 2}
THEIRS_QUICK = {"heartbeatInterval": 1000, "heartbeatTimeout": 2000}


@dataclass
class Kind:
    """An adapter here, and the same one on Node.js."""

    make: Any
    ours: dict[str, Any]
    kind: str
    theirs: dict[str, Any]


KINDS = {
    "redis": Kind(RedisAdapter, {"key": "r"}, "redis", {"key": "r"}),
    "redis, own responses": Kind(
        RedisAdapter,
        {"key": "s", "publish_on_specific_response_channel": True},
        "redis",
        {"key": "s", "publishOnSpecificResponseChannel": True},
    ),
    "sharded": Kind(
        ShardedRedisAdapter,
        {"channel_prefix": "d"},
        "sharded",
        {"channelPrefix": "d"},
    ),
    "sharded, static": Kind(
        ShardedRedisAdapter,
        {"channel_prefix": "t", "subscription_mode": "static"},
        "sharded",
        {"channelPrefix": "t", "subscriptionMode": "static"},
    ),
    "sharded, private": Kind(
        ShardedRedisAdapter,
        {"channel_prefix": "p", "subscription_mode": "dynamic-private"},
        "sharded",
        {"channelPrefix": "p", "subscriptionMode": "dynamic-private"},
    ),
    "streams": Kind(
        RedisStreamsAdapter,
        {"stream_name": "x", "channel_prefix": "x"},
        "streams",
        {"streamName": "x", "channelPrefix": "x"},
    ),
    # With the names by default: the emitter's of() forgets others.
    "postgres": Kind(PostgresAdapter, QUICK, "postgres", THEIRS_QUICK),
}


class OurServer:
    """Adds what tests need to a server of this package."""

    def __init__(self, sio: AsyncServer, port: int) -> None:
        self.sio = sio
        self.port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sio, name)

    async def emit(self, event: str, *args: Any) -> None:
        await self.sio.emit(event, args)


class OurClient:
    """Adds what tests need to a client of that."""

    def __init__(self, server: OurServer, client: testing.Client) -> None:
        self._server = server
        self.client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    async def join(self, *rooms: str) -> None:
        for room in rooms:
            await self._server.sio.enter_room(
                self.client.sid, room, namespace=self.client.namespace
            )

    async def save(self, **data: Any) -> None:
        await self._server.sio.save_session(self.client.sid, data)

    async def rooms(self) -> set[str]:
        return set(self._server.sio.rooms(self.client.sid))


@dataclass
class Servers:
    ours: OurServer
    theirs: NodeServer
    kind: str
    options: dict[str, Any]
    url: str


@dataclass
class Pair:
    """The server that sends, its client, and those of the other server."""

    sender: Any
    own: Any
    other: Any
    receiver: Any
    servers: Servers
    stack: AsyncExitStack

    async def nothing_else(self) -> None:
        """The clients have no event that the test has not waited for."""
        for server in (self.sender, self.other):
            await server.emit("end")
        for client in (self.own, self.receiver):
            for _ in range(2):
                await client.expect("end", timeout=WAIT)
            assert client.received == []

    async def client(self, server: Any, namespace: str) -> Any:
        """Another client of a server."""
        if isinstance(server, OurServer):
            connecting = testing.client(server.sio, namespace)
            client = await self.stack.enter_async_context(connecting)
            return OurClient(server, client)
        return await self.stack.enter_async_context(NodeClient(server.url, namespace))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[NodeProcess]:
    async with NodeProcess() as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(KINDS))
async def servers(
    request: pytest.FixtureRequest, node: NodeProcess
) -> AsyncIterator[Servers]:
    kind = KINDS[request.param]
    engine = "postgres" if kind.kind == "postgres" else "redis"
    url = request.getfixturevalue(engine).url
    deflate = {"threshold": 0}
    sio = AsyncServer(
        client_manager=kind.make(url, **kind.ours), per_message_deflate=deflate
    )
    sio.of("/chat")
    adapter = {"kind": kind.kind, "url": url, "options": kind.theirs}
    async with AsyncExitStack() as stack:
        running = await socketio_fast.serve(sio, "127.0.0.1", 0)
        stack.push_async_callback(running.close)
        theirs = await node.server(adapter, perMessageDeflate=deflate)
        stack.push_async_callback(theirs.close)
        ours = OurServer(sio, running.port)
        await within(_counted(ours, theirs, 2))
        yield Servers(ours, theirs, request.param, kind.theirs, url)


async def _counted(ours: OurServer, theirs: NodeServer, count: int) -> None:
    """Wait until all count as many servers."""
    for server in (ours, theirs, theirs.of("/chat")):
        for _ in range(1000):
            if (counted := await server.server_count()) == count:
                break
            await asyncio.sleep(0.01)
        assert counted == count


@pytest_asyncio.fixture(loop_scope="module", params=["to node", "from node"])
async def pair(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Pair]:
    both = [servers.ours, servers.theirs]
    if request.param == "from node":
        both.reverse()
    async with AsyncExitStack() as stack:
        made = Pair(both[0], None, both[1], None, servers, stack)
        made.own = await made.client(both[0], "/")
        made.receiver = await made.client(both[1], "/")
        yield made


def let_answer(client: Any, answer: Any) -> None:
    async def answered(*args: Any) -> Any:
        return answer

    client.on("question", answered)


async def test_events_for_all(pair: Pair) -> None:
    """A5, A6, A7, A8: also with bytes in them."""
    for args in ARGUMENTS:
        await pair.sender.emit("news", *args)
        await expect([pair.own, pair.receiver], "news", *args)
    await pair.nothing_else()


async def test_events_for_rooms(pair: Pair) -> None:
    await pair.receiver.join("a", "b", "é 😀", "a*")
    for rooms in (["a"], ["b", "a"], ["none", "b"], ["é 😀"], ["a*"]):
        await pair.sender.to(*rooms).emit("news", rooms, b"1")
        await expect([pair.receiver], "news", rooms, b"1")
    await pair.sender.to("none").emit("news")
    await pair.sender.to(pair.receiver.sid).emit("own", 1)
    await expect([pair.receiver], "own", 1)
    await pair.nothing_else()


async def test_events_that_leave_out_rooms(pair: Pair) -> None:
    await pair.own.join("muted")
    await pair.receiver.join("a")
    await pair.sender.except_("muted").emit("one")
    await expect([pair.receiver], "one")
    await pair.sender.except_("a").emit("two")
    await expect([pair.own], "two")
    await pair.sender.to("a").except_(pair.receiver.sid).emit("three")
    await pair.nothing_else()


async def test_local_events(pair: Pair) -> None:
    await pair.sender.local.emit("news")
    await expect([pair.own], "news")
    await pair.sender.local.sockets_join("here")
    await _in_rooms(pair.own, "here")
    await pair.other.to("here").emit("in the room")
    await expect([pair.own], "in the room")
    found = await within(pair.sender.local.fetch_sockets())
    assert [client.id for client in found] == [pair.own.sid]
    await pair.nothing_else()


async def test_volatile_events(pair: Pair) -> None:
    """They are dropped for a client that does not read."""
    polling = PollingClient(pair.other.port)
    slow = await pair.stack.enter_async_context(polling)
    await pair.sender.volatile.emit("lost")
    await pair.sender.emit("kept")
    await expect([pair.receiver], "lost")
    await expect([pair.receiver], "kept")
    assert await slow.receive() == '42["kept"]'


async def test_events_that_are_not_compressed(pair: Pair) -> None:
    client = await pair.stack.enter_async_context(WebSocket(pair.other.port))
    await pair.sender.emit("news", "x" * 1000)
    assert (await client.next())[0]
    await pair.sender.compress(False).emit("news", "x" * 1000)
    compressed, payload = await client.next()
    # Node's engine.io 6.6 compresses them all the same.
    if pair.other is pair.servers.ours:
        assert (compressed, payload[:8]) == (False, b'42["news')


async def test_acknowledgements(pair: Pair) -> None:
    """A17: of all clients, of a room and of one client."""
    let_answer(pair.own, "mine")
    let_answer(pair.receiver, {"a": b"\x00\xff"})
    everybody = pair.sender.timeout(WAIT)
    answers = await within(everybody.emit_with_ack("question", b"1", {"é": 1}))
    assert sorted(answers, key=str) == ["mine", {"a": b"\x00\xff"}]
    await expect([pair.own, pair.receiver], "question", b"1", {"é": 1})
    await pair.receiver.join("a")
    room = pair.sender.to("a").timeout(WAIT)
    assert await within(room.emit_with_ack("question")) == [{"a": b"\x00\xff"}]
    one = pair.sender.to(pair.receiver.sid).timeout(WAIT)
    assert await within(one.emit_with_ack("question")) == [{"a": b"\x00\xff"}]
    nobody = pair.sender.to("none").timeout(0.3)
    assert await within(nobody.emit_with_ack("question")) == []


async def test_acknowledgements_that_do_not_come(pair: Pair) -> None:
    let_answer(pair.own, "mine")
    let_be_silent(pair.receiver)
    asked = pair.sender.timeout(0.5).emit_with_ack("question")
    with pytest.raises((exceptions.BroadcastTimeoutError, NodeError)) as caught:
        await within(asked)
    assert caught.value.responses == ["mine"]


async def test_clients_of_the_other_server(pair: Pair) -> None:
    await pair.receiver.join("a")
    await pair.receiver.save(name="Ann", é=[1, None])
    found = {one.id: one for one in await within(pair.sender.fetch_sockets())}
    assert set(found) == {pair.own.sid, pair.receiver.sid}
    told = found[pair.receiver.sid]
    assert told.rooms == {pair.receiver.sid, "a"}
    assert told.data == {"name": "Ann", "é": [1, None]}
    assert told.handshake.query["EIO"] == "4"
    assert "host" in told.handshake.headers
    (chosen,) = await within(pair.sender.in_("a").fetch_sockets())
    assert chosen.id == pair.receiver.sid
    assert await within(pair.sender.in_("a").except_("a").fetch_sockets()) == []


async def _in_rooms(client: Any, *rooms: str) -> None:
    """Wait until a client is in these rooms, and in no other."""
    for _ in range(1000):
        if (found := await client.rooms()) == {client.sid, *rooms}:
            break
        await asyncio.sleep(0.01)
    assert found == {client.sid, *rooms}


async def test_clients_of_both_join_and_leave(pair: Pair) -> None:
    await pair.sender.sockets_join("a", "b")
    for client in (pair.own, pair.receiver):
        await _in_rooms(client, "a", "b")
    await pair.other.to("a").emit("one")
    await expect([pair.own, pair.receiver], "one")
    await pair.sender.in_(pair.receiver.sid).sockets_leave("a")
    await _in_rooms(pair.receiver, "b")
    await pair.sender.to("a").emit("two")
    await expect([pair.own], "two")
    await pair.nothing_else()


async def test_clients_of_both_are_disconnected(pair: Pair) -> None:
    await pair.sender.except_(pair.own.sid).disconnect_sockets()
    await until(lambda: not pair.receiver.connected)
    assert pair.own.connected
    again = await pair.client(pair.other, "/")
    await pair.sender.disconnect_sockets(close=True)
    await until(lambda: not (again.connected or pair.own.connected))


async def test_namespaces(pair: Pair) -> None:
    theirs = await pair.client(pair.other, "/chat")
    await theirs.join("a")
    await pair.sender.of("/chat").to("a").emit("news", 1)
    await expect([theirs], "news", 1)
    found = await within(pair.sender.of("/chat").fetch_sockets())
    assert [client.id for client in found] == [theirs.sid]
    await pair.nothing_else()


@asynccontextmanager
async def listener(server: Any, event: str, **answer: Any) -> AsyncIterator[Any]:
    """What waits for the next event of another server; it may be answered."""
    if isinstance(server, NodeServer):
        await server.listen(event, **answer)
        try:
            yield lambda: server.heard(event)
        finally:
            await server.unlisten(event)
        return
    came: asyncio.Queue[list[Any]] = asyncio.Queue()

    def on_event(*args: Any) -> Any:
        came.put_nowait(list(args))
        return answer.get("answer")

    server.of("/").on(event, on_event)
    try:
        yield lambda: within(came.get())
    finally:
        server.of("/").off(event, on_event)


def as_node_writes(pair: Pair, value: Any) -> Any:
    """What is left of a Buffer by the JSON of the classic adapter on Node.js."""
    if isinstance(value, bytes):
        return {"type": "Buffer", "data": list(value)}
    return [as_node_writes(pair, item) for item in value]


async def test_events_between_servers(pair: Pair) -> None:
    async with listener(pair.other, "reload") as heard:
        await pair.sender.server_side_emit("reload", "é", [1, {"a": None}])
        assert await heard() == ["é", [1, {"a": None}]]
        await pair.sender.server_side_emit("reload", b"\x00\xff")
        lossy = "redis" in pair.servers.kind and pair.sender is pair.servers.theirs
        expected: Any = [b"\x00\xff"]
        assert await heard() == (as_node_writes(pair, expected) if lossy else expected)


async def test_answers_of_servers(pair: Pair) -> None:
    async with listener(pair.other, "sum", answer={"n": 3}) as heard:
        asked = pair.sender.server_side_emit_with_ack("sum", 1, 2)
        assert await within(asked) == [{"n": 3}]
        assert await heard() == [1, 2]


async def test_servers_are_counted(pair: Pair, node: NodeProcess) -> None:
    """A18: also one that comes, and one that goes."""
    assert await pair.sender.server_count() == 2
    kind = KINDS[pair.servers.kind].kind
    where = {"kind": kind, "url": pair.servers.url, "options": pair.servers.options}
    third = await node.server(where)
    await within(_counted(pair.servers.ours, pair.servers.theirs, 3))
    await third.close()
    await within(_counted(pair.servers.ours, pair.servers.theirs, 2))


# Of one adapter, in one direction.


async def test_rooms_of_all_servers(servers: Servers) -> None:
    """Node's classic adapter can ask for them."""
    if not servers.kind.startswith("redis"):
        pytest.skip("this adapter cannot")
    async with testing.client(servers.ours.sio) as client:
        await servers.ours.sio.enter_room(client.sid, "here")
        assert {client.sid, "here"} <= await servers.theirs.all_rooms()


async def test_one_client_on_node(servers: Servers) -> None:
    """By the methods that take a ``sid``."""
    sio = servers.ours.sio
    async with NodeClient(servers.theirs.url) as client:
        let_answer(client, "here")
        assert await within(sio.call("question", to=client.sid, timeout=WAIT)) == "here"
        await sio.enter_room(client.sid, "a")
        await _in_rooms(client, "a")
        await sio.leave_room(client.sid, "a")
        await _in_rooms(client)
        answers: asyncio.Queue[Any] = asyncio.Queue()
        await sio.emit("question", to=client.sid, callback=answers.put_nowait)
        assert await within(answers.get()) == "here"
        await sio.disconnect(client.sid)
        await until(lambda: not client.connected)


async def test_node_is_killed(servers: Servers) -> None:
    """It is counted no longer, and no answer of it is waited for."""
    async with NodeProcess() as process:
        kind = KINDS[servers.kind].kind
        where = {"kind": kind, "url": servers.url, "options": servers.options}
        third = await process.server(where)
        await within(_counted(servers.ours, servers.theirs, 3))
        async with NodeClient(third.url) as client:
            found = await within(servers.ours.sio.fetch_sockets())
            assert client.sid in [one.id for one in found]
            await process.kill()
            await within(_counted(servers.ours, servers.theirs, 2))
            assert await within(servers.ours.sio.fetch_sockets(), seconds=3) == []


@pytest.mark.parametrize("nsp", ["/", "/chat"])
async def test_an_emitter_on_node(
    servers: Servers, node: NodeProcess, nsp: str
) -> None:
    own = KINDS[servers.kind].kind
    if own not in ("redis", "postgres"):
        pytest.skip("there is no emitter for this adapter")
    kind = {"kind": own, "url": servers.url, "options": servers.options}
    emitter = await node.emitter(kind)
    sender = emitter.of(nsp)
    sio = servers.ours.sio
    async with (
        testing.client(sio, nsp) as client,
        testing.client(sio, nsp) as other,
    ):
        await sender.emit("news", 1, b"\x00\xff")
        await expect([client, other], "news", 1, b"\x00\xff")
        await sender.to(client.sid).sockets_join("a", "b")
        await until(lambda: "b" in sio.rooms(client.sid, namespace=nsp))
        await sender.to("a").volatile.emit("news", 2)
        await expect([client], "news", 2)
        await sender.except_("a").emit("news", 3)
        await expect([other], "news", 3)
        await sender.to("a", "b").compress(False).emit("news", 4)
        await expect([client], "news", 4)
        await sender.to("a").sockets_leave("b")
        await until(lambda: "b" not in sio.rooms(client.sid, namespace=nsp))
        heard: asyncio.Queue[Any] = asyncio.Queue()
        listening = sio.of(nsp).on("reload", lambda *args: heard.put_nowait(args))
        await sender.server_side_emit("reload", "now")
        assert await within(heard.get()) == ("now",)
        sio.of(nsp).off("reload", listening)
        await sender.to("a").disconnect_sockets(True)
        await until(lambda: not client.connected)
        assert other.received == []
    await emitter.close()
