"""RedisStreamsAdapter, on a real Redis. Node's servers are in test_node.py."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from support.brokers import Redis, Sentinel
from support.waiting import until, within

from socketio_fast import AsyncServer, testing
from socketio_fast.adapters import RedisStreamsAdapter
from socketio_fast.adapters.redis_wire import hash_code

Servers = Callable[..., Awaitable[list[AsyncServer]]]


@pytest.fixture
def mortal_redis(tmp_path: Path) -> Iterator[Redis]:
    """One that the test may stop, and that keeps what it was told."""
    if Redis.PROGRAM is None:
        pytest.skip("redis-server is not installed")

    class Durable(Redis):
        def command(self) -> list[str]:
            return [
                *super().command(),
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
            ]

    broker = Durable(tmp_path)
    broker.start()
    yield broker
    broker.stop(signal.SIGKILL)


@pytest.fixture
async def client(redis: Redis) -> AsyncIterator[Any]:
    """A client of Redis."""
    from redis.asyncio import Redis as Client

    async with Client.from_url(redis.url) as found:
        await found.flushall()
        yield found


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    """A factory: ``one, other = await servers(url, 2)``."""
    running: list[AsyncServer] = []

    async def start(
        url: Any, count: int = 1, namespaces: tuple[str, ...] = ("/",), **options: Any
    ) -> list[AsyncServer]:
        of_server = options.pop("server", {})
        made = [
            AsyncServer(client_manager=RedisStreamsAdapter(url, **options), **of_server)
            for _ in range(count)
        ]
        for sio in made:
            running.append(sio)
            for namespace in namespaces:
                sio.of(namespace)
            sio.bind(asyncio.get_running_loop())
        for sio in made:
            for namespace in namespaces:
                await within(_ready(sio, namespace))
        return made

    yield start
    for sio in running:
        await sio.unbind()


async def _ready(sio: AsyncServer, namespace: str) -> None:
    await adapter_of(sio)._memberships[namespace].ready.wait()


def adapter_of(sio: AsyncServer) -> RedisStreamsAdapter:
    assert isinstance(sio.manager, RedisStreamsAdapter)
    return sio.manager


async def test_the_entries_of_the_stream(
    redis: Redis, client: Any, servers: Servers
) -> None:
    """A7: As Node's adapter writes them."""
    (sio,) = await servers(redis.url)
    uid = adapter_of(sio).uid.encode()
    await sio.emit("e", ({"a": "ü"}, 1.5), to="r")
    await sio.emit("e", {"a": b"\0"})
    await sio.in_("r").sockets_join("s")
    await until(lambda: adapter_of(sio)._sending is None)
    (_, text), (_, binary), (_, change) = await client.xrange("socket.io")
    head = {b"uid": uid, b"nsp": b"/", b"type": b"3"}
    data = text.pop(b"data").decode()
    assert text == head
    assert data == (
        '{"packet":{"type":2,"data":["e",{"a":"ü"},1.5],"nsp":"/"},'
        '"opts":{"rooms":["r"],"except":[],"flags":{}}}'
    )
    data = binary.pop(b"data")
    assert binary == head
    assert msgpack.unpackb(base64.b64decode(data)) == {
        "packet": {"type": 2, "data": ["e", {"a": b"\0"}], "nsp": "/"},
        "opts": {"rooms": [], "except": [], "flags": {}},
    }
    assert change[b"type"] == b"4"
    assert change[b"data"] == (
        b'{"opts":{"rooms":["r"],"except":[],"flags":{}},"rooms":["s"]}'
    )


@pytest.mark.parametrize(
    "options", [{}, {"stream_count": 3}, {"use_sharded_pubsub": True}]
)
async def test_two_servers(redis: Redis, servers: Servers, options: Any) -> None:
    namespaces = ("/", "/a", "/b", "/c")
    one, other = await servers(redis.url, 2, namespaces, **options)

    @other.of("/a").on("hello")
    def hello(text: str) -> Any:
        return {"to": text}

    for namespace in namespaces:
        async with testing.client(other, namespace) as client:
            client.on("q", lambda n: n + 1)
            await one.emit("e", 1, namespace=namespace)
            await one.emit("e", b"\0", namespace=namespace)
            assert await client.expect("e") == 1
            assert await client.expect("e") == b"\0"
            nsp = one.of(namespace)
            assert await one.manager.server_count(namespace) == 2  # type: ignore[attr-defined]
            (found,) = await nsp.fetch_sockets()
            assert found.id == client.sid
            assert await nsp.timeout(10).emit_with_ack("q", 1) == [2]
            assert await one.call("q", 2, to=client.sid, namespace=namespace) == 3
    assert await one.of("/a").server_side_emit_with_ack("hello", "you") == [
        {"to": "you"}
    ]


@pytest.mark.parametrize(
    ("namespace", "number"),
    # What util.js of Node's adapter computes.
    [
        ("/", 47),
        ("/chat", 46457863),
        ("/ünï", 1645998),
        ("/a-long-namespace", 961320037),
    ],
)
def test_the_stream_of_a_namespace(namespace: str, number: int) -> None:
    assert hash_code(namespace) == number


async def test_poisoned_entries(
    redis: Redis, client: Any, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    (sio,) = await servers(redis.url)
    entry = {"uid": "u", "nsp": "/", "type": "3"}
    good = '{"packet":{"type":2,"data":["next"]},"opts":{"rooms":[],"except":[]}}'
    async with testing.client(sio) as listener:
        for fields in (
            {"x": "y"},
            {"nsp": "/"},
            {**entry, "uid": b"\xff"},
            {**entry, "type": "x"},
            {**entry, "data": "{"},
            {**entry, "data": "{}"},
            {**entry, "data": "!"},
            {**entry, "data": base64.b64encode(b"\xdf\xff\xff\xff\xff")},
            {**entry, "data": "[" * 100_000},
            {**entry, "data": '{"packet":' + "[" * 100_000},
            entry,
        ):
            await client.xadd("socket.io", fields)
        for payload in (b"", b"\xc1", b"\xdf\xff\xff\xff\xff", b"\x93\x01\x02\x03"):
            await client.publish("socket.io#/#", payload)
        await client.xadd("socket.io", {**entry, "data": good})
        await listener.expect("next")
    (warning,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert "a message by redis streams is refused (" in warning.getMessage()
    assert warning.getMessage().isprintable()


async def test_a_client_of_redis(redis: Redis, servers: Servers) -> None:
    from redis.asyncio import Redis as Client

    async with Client.from_url(redis.url) as given:
        one, other = await servers(given, 2)
        async with testing.client(other) as client:
            await one.emit("e", 1)
            assert await client.expect("e") == 1
            assert await one.server_count() == 2
        await one.unbind()
        assert await given.ping()


@pytest.mark.parametrize("kind", ["unix", "valkey", "redis+sentinel"])
async def test_other_urls(
    redis: Redis, servers: Servers, tmp_path: Path, kind: str
) -> None:
    sentinel = Sentinel(tmp_path, redis)
    url = {
        "unix": f"unix://{redis.path}",
        "valkey": redis.url.replace("redis", "valkey", 1),
        "redis+sentinel": sentinel.url,
    }[kind]
    if kind == "redis+sentinel":
        sentinel.start()
    try:
        one, other = await servers(url, 2)
        async with testing.client(other) as client:
            await one.emit("e", 1)
            assert await client.expect("e") == 1
            assert await one.server_count() == 2
        await one.unbind()
        await other.unbind()
    finally:
        sentinel.stop()


async def test_what_is_refused() -> None:
    from redis.asyncio import Redis as Client

    with pytest.raises(ValueError, match="Unsupported Redis URL scheme 'http'"):
        RedisStreamsAdapter("http://x")
    with pytest.raises(TypeError, match="a URL, or a client of redis"):
        RedisStreamsAdapter(5)
    with pytest.raises(ValueError, match="decode_responses=True"):
        RedisStreamsAdapter(Client(decode_responses=True))
    with pytest.raises(ValueError, match="stream_count=0: a whole number above 0"):
        RedisStreamsAdapter(stream_count=0)
    with pytest.raises(ValueError, match="block_time=0: more than 0 seconds"):
        RedisStreamsAdapter(block_time=0)


# --- Redis goes and comes -------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_nothing_is_lost_while_redis_is_away(
    mortal_redis: Redis, servers: Servers, number: signal.Signals
) -> None:
    one, other = await servers(mortal_redis.url, 2)
    async with testing.client(one) as here, testing.client(other) as there:
        await one.emit("e", 0)
        assert await there.expect("e") == 0
        assert await here.expect("e") == 0
        await one.enter_room(here.sid, "here")
        # Redis may answer the other server first: what it has not acknowledged comes
        # twice.
        await adapter_of(one).flushed()
        mortal_redis.stop(number)
        await until(lambda: not (adapter_of(one).healthy or adapter_of(other).healthy))
        for i in range(1, 300):
            await one.emit("e", i)
            assert await here.expect("e") == i
        await other.emit("from other", to="here")
        await one.volatile.emit("volatile")
        mortal_redis.start()
        for i in range(1, 300):
            assert await there.expect("e", timeout=20) == i
        await here.expect("from other", timeout=20)
        await until(lambda: adapter_of(one).healthy and adapter_of(other).healthy)
        assert adapter_of(one).lost_messages == 1  # the volatile one
        await within(_ready(other, "/"))
        assert await one.server_count() == 2
        await one.emit("last")
        await there.expect("last")
        assert [event.name for event in there.received] == []


async def test_a_redis_that_stands_still(mortal_redis: Redis, servers: Servers) -> None:
    one, other = await servers(
        mortal_redis.url, 2, redis_options={"socket_timeout": 0.5}
    )
    process = mortal_redis._process
    assert process is not None
    async with testing.client(other) as there:
        process.send_signal(signal.SIGSTOP)
        for i in range(50):
            await one.emit("e", i)
        await until(lambda: not adapter_of(one).healthy)
        process.send_signal(signal.SIGCONT)
        came: list[int] = []
        while 49 not in came:
            came.append(await there.expect("e", timeout=20))
        # What Redis had in its socket when it stood still may come twice.
        assert sorted(set(came)) == list(range(50))


async def test_what_waits_for_redis_is_bounded(
    mortal_redis: Redis, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisStreamsAdapter, "_kept", 100)
    one, other = await servers(mortal_redis.url, 2)
    async with testing.client(other) as there:
        mortal_redis.kill()
        await one.emit("e", 0)
        await until(lambda: adapter_of(one)._publishing.lasts)
        for i in range(1, 150):
            await one.emit("e", i)
        mortal_redis.start()
        for i in range(100):
            assert await there.expect("e", timeout=20) == i
        await until(lambda: adapter_of(one)._sending is None)
        assert adapter_of(one).lost_messages == 50
        assert adapter_of(one)._outbox_bytes == 0
        monkeypatch.setattr(RedisStreamsAdapter, "_kept_bytes", 30_000)
        mortal_redis.kill()
        await until(lambda: not adapter_of(one).healthy)
        await one.emit("e", 0)
        await until(lambda: adapter_of(one)._publishing.lasts)
        for _ in range(1, 10):
            await one.emit("e", "x" * 10_000)
        assert adapter_of(one)._outbox_bytes < 30_000
        assert adapter_of(one).lost_messages > 55


async def test_a_redis_without_memory(
    redis: Redis, client: Any, servers: Servers
) -> None:
    one, other = await servers(redis.url, 2)
    async with testing.client(other) as there:
        await client.config_set("maxmemory", "1")
        try:
            await one.emit("e", 1)
            await until(lambda: not adapter_of(one).healthy)
        finally:
            await client.config_set("maxmemory", "0")
        assert await there.expect("e", timeout=20) == 1
        assert adapter_of(one).lost_messages == 0


async def test_a_server_that_was_away_for_too_long(
    mortal_redis: Redis, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = await servers(mortal_redis.url, 2)
    adapter_of(other)._offsets["socket.io"] = "1-1"
    await one.emit("e", 1)
    await until(lambda: adapter_of(one)._sending is None)
    mortal_redis.kill()
    await until(lambda: not adapter_of(other).healthy)
    adapter_of(other)._offsets["socket.io"] = "1-1"
    mortal_redis.start()
    await until(lambda: adapter_of(other).healthy)
    assert "entries of the stream socket.io were dropped" in caplog.text


async def test_what_node_writes_reaches_clients_as_it_is(
    redis: Redis, client: Any, servers: Servers
) -> None:
    """Also where what is inside looks like what is around it."""
    (sio,) = await servers(redis.url)
    tricky = {"opts": {"rooms": ["x"]}, "nsp": "/x", "s": ',"opts":{"rooms":[]}}'}
    events: list[list[Any]] = [
        ["e", 1.5, None, "ü\u2028", tricky],
        ["e"],
        ["e", [], {"packet": {"type": 2}}, ',"nsp":"/"'],
        ["e", tricky],
    ]
    async with testing.client(sio) as listener:
        await sio.enter_room(listener.sid, "r")
        for nsp in ("", ',"nsp":"/"'):
            for opts in (
                '{"rooms":[],"except":[],"flags":{}}',
                '{"rooms":["q","r"],"except":[]}',
                '{"rooms":["r"],"except":["q"],"flags":{"compress":false}}',
            ):
                for event in events:
                    text = json.dumps(event, separators=(",", ":"))
                    packet = f'{{"type":2,"data":{text}{nsp}}}'
                    for data in (
                        f'{{"packet":{packet},"opts":{opts}}}',
                        f'{{"opts":{opts},"packet":{packet}}}',
                    ):
                        fields = {"uid": "u", "nsp": "/", "type": "3", "data": data}
                        await client.xadd("socket.io", fields)
                        value = event[1:]
                        assert await listener.expect("e") == (
                            None
                            if not value
                            else value[0]
                            if len(value) == 1
                            else (*value,)
                        )
        nobody = (
            '{"packet":{"type":2,"data":["no"]},"opts":{"rooms":["q"],"except":[]}}'
        )
        await client.xadd("socket.io", {**fields, "data": nobody})
        await client.xadd("socket.io", {**fields, "data": data})
        await listener.expect("e")
        assert listener.received == []
