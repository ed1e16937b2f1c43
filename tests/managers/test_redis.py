"""Redis: its URLs, and a server that is killed and comes back."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.brokers import Redis, Sentinel
from support.waiting import until, within

from managers.conftest import Connect
from managers.test_forks import FORKS
from socketio_fast import ASGIApp, AsyncRedisManager, AsyncServer, RedisManager
from socketio_fast.managers.redis import parse_redis_sentinel_url

Node = Callable[[Any], Awaitable[tuple[AsyncServer, str]]]

# Not the checkout, whose package may not be built.
HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("url", "sentinels", "service", "options"),
    [
        ("redis+sentinel://h:1", [("h", 1)], None, {}),
        ("valkey+sentinel://h", [("h", 26379)], None, {}),
        ("redis+sentinel://h:1,g:2/3/s", [("h", 1), ("g", 2)], "s", {"db": 3}),
        ("redis+sentinel://h:1//s", [("h", 1)], "s", {}),
        (
            "redis+sentinel://u:p%40ss@h:1/0/s",
            [("h", 1)],
            "s",
            {"username": "u", "password": "p@ss", "db": 0},
        ),
        ("redis+sentinel://:p@h:1/", [("h", 1)], None, {"password": "p"}),
    ],
)
def test_sentinel_urls(
    url: str, sentinels: Any, service: str | None, options: dict[str, Any]
) -> None:
    """A13: sentinel urls."""
    assert parse_redis_sentinel_url(url) == (sentinels, service, options)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://h", "Unsupported Redis URL scheme 'http': one of redis, rediss"),
        ("redis+sentinel://h:x/0/s", "host:port expected, not 'h:x'"),
        ("redis+sentinel://h:1/x/s", "database 'x', a number expected"),
    ],
)
@pytest.mark.parametrize("kind", [AsyncRedisManager, RedisManager])
def test_urls_that_are_refused(kind: Any, url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        kind(url)


def test_only_sentinel_urls_are_sentinel_urls() -> None:
    with pytest.raises(ValueError, match="Invalid Redis Sentinel URL: scheme 'redis'"):
        parse_redis_sentinel_url("redis://h")


def test_a_package_that_is_missing() -> None:
    program = (
        "import sys; sys.modules['valkey'] = None\n"
        "import socketio_fast; socketio_fast.AsyncRedisManager('valkey://')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.endswith(
        "RuntimeError: AsyncRedisManager needs the package valkey: "
        'pip install "socketio-fast[valkey]"\n'
    )


@pytest.fixture
def sentinel(redis: Redis, tmp_path: Path) -> Iterator[Sentinel]:
    broker = Sentinel(tmp_path, redis)
    broker.start()
    yield broker
    broker.stop()


@pytest.mark.parametrize("how", ["tcp", "unix", "valkey", "sentinel"])
async def test_ways_to_connect(
    request: pytest.FixtureRequest, redis: Redis, node: Node, connect: Connect, how: str
) -> None:
    """A11: ways to connect."""
    if how == "valkey":
        pytest.importorskip("valkey")
    url = {
        "tcp": lambda: redis.url,
        "unix": lambda: f"unix://{redis.path}",
        "valkey": lambda: redis.url.replace("redis", "valkey"),
        "sentinel": lambda: request.getfixturevalue("sentinel").url,
    }[how]()
    _, address = await node(AsyncRedisManager(url, channel=how))
    client = await connect(address)
    manager = AsyncRedisManager(redis.url, channel=how, write_only=True)
    await manager.emit("e", how)
    await client.nothing_before("e", how)
    await manager.close()


async def test_options_are_those_of_the_package(redis: Redis, node: Node) -> None:
    options = {"decode_responses": True, "client_name": "mine"}
    manager = AsyncRedisManager(redis.url, redis_options=options)
    await node(manager)
    names = [client["name"] for client in await manager.redis.client_list()]
    assert "mine" in names
    assert manager.redis_options == options


async def test_a_channel_is_of_those_who_share_it(
    redis: Redis, node: Node, connect: Connect
) -> None:
    _, url = await node(AsyncRedisManager(redis.url, channel="mine"))
    client = await connect(url)
    for channel in ("socketio", "mine"):
        manager = AsyncRedisManager(redis.url, channel=channel, write_only=True)
        await manager.emit("e", channel)
        await manager.close()
    await client.nothing_before("e", "mine")


async def test_many_messages_at_once_keep_their_order(
    redis: Redis, node: Node, connect: Connect
) -> None:
    _, url = await node(AsyncRedisManager(redis.url))
    client = await connect(url)
    manager = AsyncRedisManager(redis.url, write_only=True)
    emissions = [manager.emit("e", number) for number in range(500)]
    emissions.insert(150, manager.emit("e", object()))
    results = await asyncio.gather(*emissions, return_exceptions=True)
    assert [i for i, result in enumerate(results) if result is not None] == [150]
    assert isinstance(results[150], TypeError)
    for number in range(500):
        assert await client.next() == ("e", number)
    await manager.close()


async def test_what_is_published_goes_by_one_connection(redis: Redis) -> None:
    from redis.asyncio import Redis as Client

    async with Client.from_url(redis.url) as client:

        async def connections() -> int:
            return int((await client.info())["total_connections_received"])

        manager = AsyncRedisManager(redis.url, write_only=True)
        await manager.emit("e", 0)
        before = await connections()
        for number in range(20):
            await manager.emit("e", number)
        assert await connections() == before
        await manager.close()
        await manager.emit("e", "again")
        assert await connections() == before + 1
        await manager.close()


async def test_a_message_that_redis_refuses(
    mortal_redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    from redis.asyncio import Redis as Client

    async with Client.from_url(mortal_redis.url) as client:
        rules = ["on", ">secret", "+@all", "resetchannels", "&mine"]
        await client.execute_command("ACL", "SETUSER", "chat", *rules)
        url = mortal_redis.url.replace("://", "://chat:secret@")
        manager = AsyncRedisManager(url, channel="other", write_only=True)
        await manager.emit("e", 1)
        assert manager.lost_messages == 1
        assert "NoPermissionError" in caplog.text
        assert not manager.healthy
        await client.execute_command("ACL", "SETUSER", "chat", "&other")
        manager._publishing.try_now()
        await manager.emit("e", 2)
        assert manager.lost_messages == 1
        await until(lambda: manager.healthy)
        await manager.close()


@pytest.mark.parametrize("how", ["options", "query"])
async def test_a_redis_that_does_not_answer(
    mortal_redis: Redis, node: Node, connect: Connect, how: str
) -> None:
    """It is waited for as long as the package would; what it answers later is not
    taken for another answer."""
    _, address = await node(AsyncRedisManager(mortal_redis.url))
    client = await connect(address)
    url, options = mortal_redis.url, {"socket_timeout": 0.2}
    if how == "query":
        url, options = f"{url}?socket_timeout=0.2", {}
    manager = AsyncRedisManager(url, write_only=True, redis_options=options)
    await manager.emit("e", 1)
    mortal_redis.pause()
    began = asyncio.get_running_loop().time()
    await manager.emit("e", 2)
    assert asyncio.get_running_loop().time() - began < 3
    assert manager.lost_messages == 1  # as far as one can know
    mortal_redis.resume()
    manager._publishing.try_now()
    await manager.emit("e", 3)
    assert manager.lost_messages == 1
    assert [await client.next() for _ in range(3)] == [("e", 1), ("e", 2), ("e", 3)]
    await manager.close()


async def test_a_subclass_that_publishes_itself(redis: Redis) -> None:
    published: list[Any] = []

    class Watching(AsyncRedisManager):
        async def _publish(self, data: dict[str, Any]) -> None:
            published.append(data["data"])
            await super()._publish(data)

    manager = Watching(redis.url, write_only=True)
    await asyncio.gather(*(manager.emit("e", number) for number in range(5)))
    assert published == [[number] for number in range(5)]
    await manager.close()


async def test_a_broker_that_is_killed_and_comes_back(
    mortal_redis: Redis,
    node: Node,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A19: a broker that is killed and comes back."""
    first = AsyncRedisManager(mortal_redis.url)
    second = AsyncRedisManager(mortal_redis.url)
    (one, url1), (two, url2) = await node(first), await node(second)
    a, b = await connect(url1), await connect(url2)
    await one.emit("e", 1)
    assert [await a.next(), await b.next()] == [("e", 1)] * 2

    caplog.clear()
    mortal_redis.kill()
    await until(lambda: first._receiving.lasts and second._receiving.lasts)
    for number in range(3):
        # Local clients get it, and nobody waits for the broker.
        await within(one.emit("e", number))
        assert await a.next() == ("e", number)
    assert first.lost_messages == 3
    await asyncio.to_thread(mortal_redis.start)
    await within(first._subscribed.wait())
    await within(second._subscribed.wait())
    await one.emit("e", "back")
    assert [await a.next(), await b.next()] == [("e", "back")] * 2
    await two.emit("e", "again")
    assert [await a.next(), await b.next()] == [("e", "again")] * 2
    await until(lambda: not first._publishing.lasts)
    assert first.lost_messages == 3
    assert second.lost_messages == 0
    logged = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert sum("cannot receive from aioredis" in line for line in logged) == 2
    assert sum("can receive from aioredis again" in line for line in logged) == 2
    assert sum("cannot publish to aioredis" in line for line in logged) == 1
    assert "can publish to aioredis again, 3 messages are lost" in logged
    assert len(logged) == 6


async def test_a_broker_that_restarts_between_two_messages(mortal_redis: Redis) -> None:
    manager = AsyncRedisManager(mortal_redis.url, write_only=True)
    await manager.emit("e", 1)
    await asyncio.to_thread(mortal_redis.kill)
    await asyncio.to_thread(mortal_redis.start)
    manager._published_at -= 60  # as if the first was sent long before
    await manager.emit("e", 2)
    assert manager.lost_messages == 0
    await manager.close()


async def test_a_broker_that_is_there_later_than_the_server(
    mortal_redis: Redis, node: Node, connect: Connect
) -> None:
    mortal_redis.stop()
    manager = AsyncRedisManager(mortal_redis.url)
    starting = asyncio.ensure_future(node(manager))
    await until(lambda: manager._receiving.lasts)
    await asyncio.to_thread(mortal_redis.start)
    _, url = await within(starting)
    client = await connect(url)
    other = AsyncRedisManager(mortal_redis.url, write_only=True)
    await other.emit("e", 1)
    await client.nothing_before("e", 1)
    await other.close()


def test_a_forked_process_connects_for_itself(redis: Redis) -> None:
    program = f"""
import os, socketio_fast
manager = socketio_fast.RedisManager({redis.url!r}, write_only=True)
manager.emit("e", 1)
pid = os.fork()
manager.emit("e", 2)
if pid:
    assert os.waitpid(pid, 0)[1] == 0
assert manager.lost_messages == 0
"""
    done = subprocess.run(
        [sys.executable, *FORKS, "-c", program],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


PRELOADED = """
import asyncio, os, signal, sys
import socketio_fast

sio = socketio_fast.AsyncServer(
    client_manager=socketio_fast.AsyncRedisManager(sys.argv[1])
)
before = sio.manager.host_id

@sio.on("say")
async def say(sid, text):
    await sio.emit("said", text)

async def serve():
    assert sio.manager.host_id != before
    async with await socketio_fast.serve(sio, port=0) as server:
        os.write(1, server.url.encode() + b"\\n")  # at once: there are two who write
        await asyncio.Event().wait()

children = []
for _ in range(2):
    pid = os.fork()
    if not pid:
        signal.alarm(50)
        asyncio.run(serve())
    children.append(pid)
sys.stdin.read()
for pid in children:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""


async def test_servers_that_are_forked_hear_each_other(
    redis: Redis, connect: Connect
) -> None:
    """As with gunicorn --preload."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PRELOADED, redis.url),
        cwd=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    try:
        urls = [(await within(program.stdout.readline())).decode() for _ in range(2)]
        one, other = [await connect(url.strip()) for url in urls]
        heard: set[str] = set()

        def hears() -> bool:
            while not other.events.empty():
                heard.add(other.events.get_nowait()[1])
            return "hello" in heard

        while not hears():  # until both have subscribed, of which nobody tells
            await within(one.sio.call("say", "hello"))
    finally:
        program.stdin.close()
        await within(program.wait())


def test_a_script_whose_broker_is_away_says_so(tmp_path: Path) -> None:
    program = """
import socketio_fast
manager = socketio_fast.RedisManager("redis://127.0.0.1:1", write_only=True)
for number in range(3):
    manager.emit("e", number)
print(manager.lost_messages)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == "3\n"
    assert done.stderr.count("cannot publish to aioredis (ConnectionError:") == 1
    assert done.stderr.count("\n") == 1


async def test_an_asgi_host_begins_and_ends_it(redis: Redis) -> None:
    manager = AsyncRedisManager(redis.url)
    sio = AsyncServer(client_manager=manager)
    app = ASGIApp(sio)
    for _ in range(2):
        events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        told: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        lifespan = asyncio.ensure_future(
            app({"type": "lifespan"}, events.get, told.put)  # type: ignore[arg-type]
        )
        await events.put({"type": "lifespan.startup"})
        assert (await within(told.get()))["type"] == "lifespan.startup.complete"
        await within(manager._subscribed.wait())
        await events.put({"type": "lifespan.shutdown"})
        assert (await within(told.get()))["type"] == "lifespan.shutdown.complete"
        await within(lifespan)
        assert not manager._subscribed.is_set()
        assert manager.redis is None
