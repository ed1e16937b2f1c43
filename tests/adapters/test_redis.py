"""RedisAdapter and ShardedRedisAdapter on Redis that fails, and what they are given.

What they do when nothing fails is in test_conformance.py and test_node.py.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trustme
from support.brokers import Redis, RedisCluster
from support.engines import MasterAndReplica
from support.ports import free_port
from support.waiting import until, within

from socketio_fast import AsyncServer, exceptions, testing
from socketio_fast.adapters import ClusterAdapter, RedisAdapter, ShardedRedisAdapter
from socketio_fast.adapters.redis_nodes import Channel
from socketio_fast.testing import Client

Members = Callable[..., Awaitable[tuple[AsyncServer, Client]]]

KINDS = {
    "classic": lambda url, **own: RedisAdapter(url, requests_timeout=1, **own),
    "sharded": lambda url, **own: ShardedRedisAdapter(url, request_timeout=1, **own),
}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


@pytest.fixture
async def member() -> AsyncIterator[Members]:
    """A factory: ``sio, client = await member(adapter)``."""
    async with AsyncExitStack() as stack:

        async def start(adapter: Any) -> tuple[AsyncServer, Client]:
            sio = AsyncServer(client_manager=adapter)
            stack.push_async_callback(sio.unbind)
            client = await stack.enter_async_context(testing.client(sio))
            await within(adapter._memberships["/"].ready.wait())
            return sio, client

        yield start


async def crosses(sender: AsyncServer, *clients: Client) -> list[str]:
    """Wait until events of a server reach these clients.

    Returns:
        The names of the events that the last one has received until then.
    """

    def missing() -> list[Client]:
        return [
            client
            for client in clients
            if not any(event.name == "crosses" for event in client.received)
        ]

    for _ in range(400):
        await sender.emit("crosses")
        await asyncio.sleep(0.05)
        if not missing():
            break
    assert not missing()
    names = [event.name for event in clients[-1].received]
    for client in clients:
        client.received.clear()
    return names


async def test_redis_is_killed_and_comes_back(
    kind: Any, mortal_redis: Redis, member: Members, caplog: pytest.LogCaptureFixture
) -> None:
    (one, a), (_, b) = [await member(kind(mortal_redis.url)) for _ in range(2)]
    adapter: Any = one.manager
    await crosses(one, a, b)
    changes: list[bool] = []
    adapter.on_health_change(changes.append)
    caplog.clear()
    mortal_redis.kill()
    await until(lambda: not adapter.healthy)
    for number in range(3):
        await within(one.emit("news", number), seconds=3)
        assert await a.expect("news") == number
    for call in (
        one.fetch_sockets(),
        one.server_count(),
        one.server_side_emit_with_ack("ask"),
        one.timeout(0.5).emit_with_ack("ask"),
    ):
        with pytest.raises(exceptions.TimeoutError):
            await within(call)
    await asyncio.to_thread(mortal_redis.start)
    await until(lambda: adapter.healthy)
    await crosses(one, a, b)
    assert len(await within(one.fetch_sockets())) == 2
    assert changes == [False, True]
    logged = [record.getMessage() for record in caplog.records]
    assert sum(text.startswith("cannot receive from") for text in logged) == 2
    assert sum(text.startswith("can receive from") for text in logged) == 2


async def test_redis_that_stops_answering(
    kind: Any, mortal_redis: Redis, member: Members
) -> None:
    """Clients of the server itself are served, calls end in time, and what was sent
    meanwhile arrives once at most."""
    options = {"socket_timeout": 1, "socket_connect_timeout": 1}
    (one, a), (_, b) = [
        await member(kind(mortal_redis.url, redis_options=options)) for _ in range(2)
    ]
    await crosses(one, a, b)
    mortal_redis.pause()
    emitted = asyncio.ensure_future(one.emit("news", 1))
    assert await a.expect("news", timeout=1) == 1
    with pytest.raises(exceptions.TimeoutError):
        await within(one.fetch_sockets())
    mortal_redis.resume()
    await within(emitted)
    assert (await crosses(one, a, b)).count("news") <= 1


async def test_a_failover(
    kind: Any, replicated_redis: MasterAndReplica, member: Members
) -> None:
    """A13: events go by the replica that becomes the master."""
    master, _, sentinel = replicated_redis
    (one, a), (other, b) = [await member(kind(sentinel.url)) for _ in range(2)]
    await crosses(one, a, b)
    master.kill()
    await crosses(one, a, b)
    await crosses(other, a, b)
    assert await within(_counted(one)) == 2


async def _counted(sio: AsyncServer) -> int:
    for _ in range(100):
        try:
            if (count := await sio.server_count()) == 2:
                return count
        except exceptions.TimeoutError:
            pass
        await asyncio.sleep(0.05)
    return await sio.server_count()


async def test_many_subscribers_that_redis_drops(
    kind: Any, mortal_redis: Redis, member: Members
) -> None:
    """As it does with one that is too slow: it subscribes again."""
    from redis.asyncio import Redis as Client

    (one, a), (_, b) = [await member(kind(mortal_redis.url)) for _ in range(2)]
    await crosses(one, a, b)
    async with Client.from_url(mortal_redis.url) as client:
        await client.execute_command("CLIENT KILL TYPE pubsub")
    await crosses(one, a, b)


# --- messages that make no sense -------------------------------------------------


def _nonsense() -> dict[str, list[bytes]]:
    pack = msgpack.packb
    packet = {"type": 2, "data": ["news", 0], "nsp": "/"}
    opts: dict[str, Any] = {"rooms": [], "except": [], "flags": {}}
    events: list[Any] = [
        [],
        ["x"],
        ["x", packet],
        ["x", packet, None],
        ["x", None, opts],
        ["x", {"nsp": "/"}, opts],
        ["x", {**packet, "data": "news"}, opts],
        ["x", {**packet, "data": []}, opts],
        ["x", {**packet, "data": [5]}, opts],
        ["x", {**packet, "type": 3}, opts],
        ["x", packet, {"rooms": 5}],
        ["x", packet, {"rooms": [{}]}],
        ["x", packet, {"rooms": [], "except": "x"}],
        [5, packet, opts],
        ["x", packet, opts, "more"],
    ]
    requests: list[Any] = [
        {},
        {"type": None},
        {"type": 99},
        {"type": []},
        *({"type": number} for number in range(10)),
        *({"type": number, "uid": 5, "opts": opts} for number in range(10)),
        *({"type": number, "opts": {"rooms": 5}} for number in range(2, 8)),
        {"type": 2, "opts": {"rooms": ["none"]}, "rooms": "x"},
        {"type": 2, "sid": [], "room": 1, "requestId": 1},
        {"type": 5, "opts": opts, "requestId": []},
        {"type": 6, "data": "reload"},
        {"type": 6, "data": []},
        {"type": 7, "opts": opts, "packet": 5, "requestId": "x"},
    ]
    responses: list[Any] = [
        {},
        {"requestId": []},
        {"requestId": "x", "sockets": 5},
        {"requestId": "x", "type": 8},
    ]
    as_json = [json.dumps(value).encode() for value in (*requests, *responses)]
    return {
        "socket.io#/#": [*map(pack, events), pack({"a": 1}), b"\xd4\x00\x00"],
        "socket.io#/#room#": [pack(["x", packet]), b"\xc1"],
        "socket.io#/#\xff#": [b"\xc1"],
        "socket.io#/": [b"\xc1"],
        "socket.io-request#/#": [*as_json, *map(pack, requests)],
        "socket.io-response#/#": [*as_json, *map(pack, responses)],
    }


async def test_messages_that_make_no_sense(
    redis: Redis, member: Members, caplog: pytest.LogCaptureFixture
) -> None:
    """On each channel; those that serve some purpose are served."""
    from redis.asyncio import Redis as Publisher

    sio, client = await member(RedisAdapter(redis.url))
    await sio.enter_room(client.sid, "room")
    async with Publisher.from_url(redis.url) as publisher:
        for channel, messages in _nonsense().items():
            for message in messages:
                await publisher.publish(channel, message)
            event = ["x", {"type": 2, "data": ["end", channel], "nsp": "/"}, {}]
            await publisher.publish("socket.io#/#", msgpack.packb(event))
            assert await within(client.expect("end")) == channel
    assert set(sio.rooms(client.sid)) == {client.sid, "room"}
    assert client.connected
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]
    assert caplog.text.count("is refused") == 1


async def test_an_answer_of_nonsense(redis: Redis, member: Members) -> None:
    """It is not taken for an answer."""
    from redis.asyncio import Redis as Publisher

    sio, _ = await member(RedisAdapter(redis.url, requests_timeout=0.5))
    async with Publisher.from_url(redis.url) as publisher:
        pubsub = publisher.pubsub()
        await pubsub.subscribe("socket.io-request#/#")
        asked = asyncio.ensure_future(sio.fetch_sockets())
        while (message := await pubsub.get_message(timeout=5)) is not None:
            if message["type"] == "message":
                break
        request = json.loads(message["data"])
        for answer in (5, [5], [{"rooms": 1}], None):
            response = {"requestId": request["requestId"], "sockets": answer}
            await publisher.publish("socket.io-response#/#", json.dumps(response))
        with pytest.raises(exceptions.TimeoutError):
            await within(asked)
        await pubsub.aclose()


# --- what Node's older versions ask for ------------------------------------------


async def test_requests_of_older_versions(redis: Redis, member: Members) -> None:
    from redis.asyncio import Redis as Publisher

    sio, client = await member(RedisAdapter(redis.url))
    await sio.enter_room(client.sid, "room")
    async with Publisher.from_url(redis.url) as publisher:
        pubsub = publisher.pubsub()
        await pubsub.subscribe("socket.io-response#/#")
        await pubsub.get_message(timeout=5)

        async def ask(**request: Any) -> Any:
            text = json.dumps({"requestId": "r", **request})
            await publisher.publish("socket.io-request#/#", text)
            message = await pubsub.get_message(timeout=5)
            assert message is not None
            return json.loads(message["data"])

        assert await ask(type=0, rooms=["room"]) == {
            "requestId": "r",
            "sockets": [client.sid],
        }
        assert await ask(type=1) == {"requestId": "r", "rooms": [client.sid, "room"]}
        assert await ask(type=2, sid=client.sid, room="new") == {"requestId": "r"}
        await until(lambda: "new" in sio.rooms(client.sid))
        assert await ask(type=3, sid=client.sid, room="new") == {"requestId": "r"}
        await until(lambda: "new" not in sio.rooms(client.sid))
        assert await ask(type=4, sid=client.sid, close=False) == {"requestId": "r"}
        await until(lambda: not client.connected)
        await pubsub.aclose()


# --- what they are given ---------------------------------------------------------


async def test_a_client_of_the_program(
    kind: Any, redis: Redis, member: Members
) -> None:
    """It is used, and not closed."""
    from redis.asyncio import Redis as Client

    async with Client.from_url(redis.url, client_name="mine") as given:
        (one, a), (_, b) = [await member(kind(given)) for _ in range(2)]
        await crosses(one, a, b)
        assert len(await within(one.fetch_sockets())) == 2
        await one.unbind()
        assert await given.ping()


async def test_a_client_of_a_cluster(
    kind: Any, redis_cluster: RedisCluster, member: Members
) -> None:
    from redis.asyncio import RedisCluster as Client

    async with Client.from_url(redis_cluster.url) as given:
        (one, a), (_, b) = [await member(kind(given)) for _ in range(2)]
        await crosses(one, a, b)
        assert await within(_counted(one)) == 2
        await one.unbind()
        assert await given.set("key", 1)


async def test_a_cluster_moves_a_channel(
    redis_cluster: RedisCluster, member: Members
) -> None:
    """To another node: servers publish and subscribe there."""
    from redis.asyncio import Redis as Client
    from redis.crc import key_slot

    def adapter() -> ShardedRedisAdapter:
        url = redis_cluster.url.replace("redis:", "redis+cluster:")
        return ShardedRedisAdapter(url, channel_prefix="moved", request_timeout=1)

    (one, a), (other, b) = [await member(adapter()) for _ in range(2)]
    await crosses(one, a, b)
    slot = key_slot(b"moved#/#")
    source = redis_cluster.owner("moved#/#")
    target, third = (node for node in redis_cluster.nodes if node is not source)

    async def command(node: Redis, *words: Any) -> Any:
        async with Client.from_url(f"redis://127.0.0.1:{node.port}") as client:
            return await client.execute_command("CLUSTER", *words)

    old, new = [await command(node, "MYID") for node in (source, target)]
    await command(target, "SETSLOT", slot, "IMPORTING", old)
    await command(source, "SETSLOT", slot, "MIGRATING", new)
    for node in (target, source, third):
        await command(node, "SETSLOT", slot, "NODE", new)
    await crosses(one, a, b)
    await crosses(other, a, b)
    assert await within(_counted(one)) == 2


async def test_a_user_with_a_password(
    kind: Any, mortal_redis: Redis, member: Members
) -> None:
    from redis.asyncio import Redis as Client

    async with Client.from_url(mortal_redis.url) as client:
        rules = [
            *("on", ">secret", "+@pubsub", "+ping", "+client", "+hello"),
            # PSUBSCRIBE needs the pattern itself.
            *("resetchannels", "&socket.io#/#*", "&socket.io-*"),
        ]
        await client.execute_command("ACL", "SETUSER", "chat", *rules)
    url = mortal_redis.url.replace("://", "://chat:secret@")
    (one, a), (_, b) = [await member(kind(url)) for _ in range(2)]
    await crosses(one, a, b)
    assert len(await within(one.fetch_sockets())) == 2


async def test_a_user_who_may_not_subscribe(
    kind: Any, mortal_redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried later and later, and said once."""
    from redis.asyncio import Redis as Client

    async with Client.from_url(mortal_redis.url) as client:
        rules = ["on", ">secret", "+@all", "resetchannels", "&socket.io-*"]
        await client.execute_command("ACL", "SETUSER", "chat", *rules)
    sio = AsyncServer(
        client_manager=kind(mortal_redis.url.replace("://", "://chat:secret@"))
    )
    sio.bind(asyncio.get_running_loop())
    manager: Any = sio.manager
    delays: list[float] = []
    failed = manager._source_failed
    manager._source_failed = lambda *args: delays.append(failed(*args)) or 0.01
    await until(lambda: len(delays) > 3)
    assert delays[-1] > 2 * delays[0]
    assert caplog.text.count("cannot receive from") == 1
    assert "NoPermissionError" in caplog.text
    with pytest.raises(exceptions.TimeoutError, match="is away"):
        await within(sio.fetch_sockets())
    await sio.unbind()


async def test_valkey(redis: Redis, member: Members) -> None:
    pytest.importorskip("valkey")
    url = redis.url.replace("redis", "valkey")
    (one, a), (_, b) = [await member(RedisAdapter(url)) for _ in range(2)]
    await crosses(one, a, b)
    with pytest.raises(RuntimeError, match=r"no sharded channels: pip install"):
        ShardedRedisAdapter(url)


def test_what_is_refused(kind: Any) -> None:
    from redis.asyncio import Redis as Client

    for given, error, reason in [
        ("http://h", ValueError, "Unsupported Redis URL scheme 'http'"),
        (5, TypeError, "a URL, or a client of redis.asyncio"),
        (Client(decode_responses=True), ValueError, "messages are bytes"),
    ]:
        with pytest.raises(error, match=reason):
            kind(given)
    with pytest.raises(ValueError, match="one of dynamic, static, dynamic-private"):
        ShardedRedisAdapter(subscription_mode="all")
    with pytest.raises(ValueError, match="requests_timeout=0: more than 0"):
        RedisAdapter(requests_timeout=0)


async def test_another_parser(redis: Redis, member: Members) -> None:
    class Parser:
        def encode(self, value: Any) -> bytes:
            return b"#" + json.dumps(value).encode()

        def decode(self, data: bytes) -> Any:
            return json.loads(data[1:])

    own = {"parser": Parser(), "key": "parsed"}
    (one, a), (_, b) = [await member(RedisAdapter(redis.url, **own)) for _ in range(2)]
    await crosses(one, a, b)
    b.on("ask", lambda: "here")
    a.on("ask", lambda: "here")
    assert await within(one.timeout(5).emit_with_ack("ask")) == ["here"] * 2


async def test_undefined(redis: Redis, member: Members) -> None:
    """Node's package for MessagePack has a type of its own for it."""
    from redis.asyncio import Redis as Publisher

    _, client = await member(RedisAdapter(redis.url))
    data = ["news", msgpack.ExtType(0, b"\0"), {"a": msgpack.ExtType(0, b"\0")}]
    event = ["x", {"type": 2, "data": data, "nsp": "/"}, {"rooms": []}]
    async with Publisher.from_url(redis.url) as publisher:
        await publisher.publish("socket.io#/#", msgpack.packb(event))
    assert await client.expect("news") == (None, {"a": None})


async def test_integers_that_messagepack_has_not(redis: Redis, member: Members) -> None:
    sio, client = await member(RedisAdapter(redis.url))
    with pytest.raises(TypeError, match="more than 64 bits"):
        await sio.emit("news", 2**70)
    await sio.emit("news", 2**63)
    assert await client.expect("news") == 2**63


async def test_a_channel_of_a_room_is_gone_with_its_last_client(
    redis: Redis, member: Members
) -> None:
    from redis.asyncio import Redis as Asking

    sio, client = await member(ShardedRedisAdapter(redis.url, channel_prefix="rooms"))
    async with Asking.from_url(redis.url) as asking:

        async def channels() -> set[bytes]:
            return set(await asking.execute_command("PUBSUB SHARDCHANNELS", "rooms*"))

        own = await channels()
        for _ in range(20):
            await sio.enter_room(client.sid, "a")
            await sio.leave_room(client.sid, "a")
        await sio.enter_room(client.sid, "b")
        assert await channels() - own == {b"rooms#/#b#"}
        await client.connection.close()
        for _ in range(100):
            if await channels() == own:
                break
            await asyncio.sleep(0.02)
        assert await channels() == own


async def test_a_package_that_conceals_that_a_task_is_cancelled() -> None:
    """As redis-py does while it closes a connection. The server stops all the same, and
    so does an event loop, which cancels each task once."""

    class Deaf(ClusterAdapter):
        async def _listen(self) -> AsyncIterator[Any]:
            self._on_subscribed()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise OSError("the connection is lost") from None
            yield {}

    for cancel in (False, True):
        sio = AsyncServer(client_manager=Deaf())
        sio.bind(asyncio.get_running_loop())
        adapter: Any = sio.manager
        await within(adapter._subscribed.wait())
        if cancel:
            adapter.thread.cancel()
            await within(asyncio.wait([adapter.thread]))
            assert adapter.thread.cancelled()
        await within(sio.unbind())


async def test_a_package_that_conceals_it_while_a_message_is_published() -> None:
    """What is kept for a broker that is away does not keep the event loop running."""

    class Deaf(ClusterAdapter):
        _kept = 10

        async def _listen(self) -> AsyncIterator[Any]:
            self._on_subscribed()
            await asyncio.Event().wait()
            yield {}

        async def publish(self, *message: Any) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise OSError("the connection is lost") from None

    begun = asyncio.Event()
    sio = AsyncServer(client_manager=Deaf())
    sio.bind(asyncio.get_running_loop())
    adapter: Any = sio.manager
    emitting = asyncio.ensure_future(sio.emit("news", 1))
    await within(begun.wait())
    sending = adapter._sending
    sending.cancel()
    await within(asyncio.wait([sending]))
    assert sending.cancelled()
    emitting.cancel()
    await within(asyncio.wait([emitting]))
    adapter.thread.cancel()


async def test_a_client_that_comes_back_has_missed_no_room(
    kind: Any, redis: Redis
) -> None:
    """The server that it comes back to has received the events of others."""
    options = {"connection_state_recovery": {"max_disconnection_duration": 0.5}}
    one, other = servers = [
        AsyncServer(client_manager=kind(redis.url), **options) for _ in range(2)
    ]
    for sio in servers:
        sio.bind(asyncio.get_running_loop())
        await within(sio.manager._memberships["/"].ready.wait())
    async with testing.Connection(one) as connection:
        client = await connection.join()
        await one.enter_room(client.sid, "room")
        await other.emit("news", 1, to="room")
        _, offset = await client.expect("news")
        await connection.lose()
        await other.emit("news", 2, to="room")
        await other.emit("news", 3)
        async with testing.client(one) as bystander:
            await crosses(other, bystander)
        auth = {"pid": client.handshake["pid"], "offset": offset}
    async with testing.Connection(one) as connection:
        again = await connection.join(auth=auth)
        assert again.sid == client.sid
        missed = [event.args[0] for event in again.received if event.name == "news"]
        assert sorted(missed) == [2, 3]
        await connection.lose()
    if isinstance(one.manager, ShardedRedisAdapter):
        # It is subscribed to for as long as the client may come back.
        room = Channel("ssubscribe", "socket.io#/#room#")
        subscriptions = one.manager._subscriptions
        assert room in subscriptions._channels
        await until(lambda: room not in subscriptions._channels)
    for sio in servers:
        await sio.unbind()


async def test_tls(kind: Any, tmp_path: Path, member: Members) -> None:
    if Redis.PROGRAM is None:
        pytest.skip("redis-server is not installed")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    port = free_port()
    broker = Redis(
        tmp_path,
        tls_port=port,
        tls_cert_file=tmp_path / "own.pem",
        tls_key_file=tmp_path / "own.pem",
        tls_ca_cert_file=tmp_path / "authority.pem",
        tls_auth_clients="no",
    )
    broker.start()
    try:
        url = f"rediss://127.0.0.1:{port}/0"
        options = {"ssl_ca_certs": str(tmp_path / "authority.pem")}
        (one, a), (_, b) = [
            await member(kind(url, redis_options=options)) for _ in range(2)
        ]
        await crosses(one, a, b)
        assert len(await within(one.fetch_sockets())) == 2
        await one.unbind()
    finally:
        broker.stop()
