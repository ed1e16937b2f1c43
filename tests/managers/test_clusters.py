"""Clusters of servers of this package and of python-socketio, with real brokers.

What one server is asked to do is done to clients of another; what a program without a
server sends reaches the clients of all.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import socketio as python_socketio
from support.waiting import within

import socketio_fast
from managers.app import Client
from managers.conftest import Connect

Kind = tuple[str, str, str]

# Whose manager, its name, and the fixture of its broker.
REDIS = [
    ("ours", "AsyncRedisManager", "redis"),
    ("ours", "RedisManager", "redis"),
    ("theirs", "AsyncRedisManager", "redis"),
]
RABBITMQ = [
    ("ours", "AsyncAioPikaManager", "rabbitmq"),
    ("ours", "KombuManager", "rabbitmq"),
    ("theirs", "AsyncAioPikaManager", "rabbitmq"),
]
ZEROMQ = [("ours", "ZmqManager", "zeromq")]
# python-socketio's manager is for its Server alone: see test_kafka.py.
KAFKA = [("ours", "KafkaManager", "kafka")]
WORKERS = [("ours", "no manager", "cluster")]
PAIRS = [
    pytest.param((a, b), id=f"{a[0]} {a[1]} - {b[0]} {b[1]}")
    for kinds in (REDIS, RABBITMQ, ZEROMQ, KAFKA, WORKERS)
    for a in kinds
    for b in kinds
    if "ours" in (a[0], b[0])
]


@dataclass
class Pair:
    """A client at each of two servers; the first makes its own do things."""

    here: Client
    there: Client


@pytest.fixture
async def start(
    request: pytest.FixtureRequest, node: Any, their_node: Any
) -> Callable[[Kind], Awaitable[str]]:
    async def start(kind: Kind) -> str:
        package, name, broker = kind
        if broker == "cluster":
            _, address = await node(cluster=request.getfixturevalue("cluster"))
            return address
        url = request.getfixturevalue(broker).url
        if package == "theirs":
            address: str = await their_node(name, url)
        else:
            _, address = await node(getattr(socketio_fast, name)(url))
        return address

    return start


@pytest.fixture(params=PAIRS)
async def pair(
    request: pytest.FixtureRequest,
    start: Callable[[Kind], Awaitable[str]],
    connect: Connect,
) -> Pair:
    # Brokers are started before the loop runs: their fixtures are not asynchronous.
    pair = Pair(*[await connect(await start(kind)) for kind in request.param])
    # Both receive what the other sends, from now on.
    for one, other in ((pair.here, pair.there), (pair.there, pair.here)):
        await heard(one, other)
    return pair


async def heard(one: Client, other: Client) -> None:
    """Wait until what the server of one publishes is received by that of another."""

    async def ask() -> None:
        while other.events.empty():
            await one.do("emit", event="ready", to=other.sid)
            await asyncio.sleep(0.05)

    await within(ask())
    await one.do("emit", event="begin", to=other.sid)
    while await other.next() != ("begin",):
        pass


async def test_events(pair: Pair) -> None:
    here, there = pair.here, pair.there
    for data, args in [
        ("text", ["text"]),
        (None, []),
        ({"a": [1, None, "é"]}, [{"a": [1, None, "é"]}]),
        ([b"\x00\x01", {"b": b"2"}], [[b"\x00\x01", {"b": b"2"}]]),
    ]:
        await here.do("emit", event="e", data=data)
        assert await here.next() == ("e", *args)
        assert await there.next() == ("e", *args)
    await here.do("emit", event="e", data=1, skip_sid=there.sid)
    await here.do("emit", event="e", data=2, to=there.sid)
    await here.do("send", data="m", skip_sid=[here.sid])
    assert await here.next() == ("e", 1)
    assert await there.next() == ("e", 2)
    assert await there.next() == ("message", "m")


async def test_rooms(pair: Pair) -> None:
    here, there = pair.here, pair.there
    await here.do("enter_room", sid=there.sid, room="x")
    await here.do("enter_room", sid=there.sid, room="y")
    await here.do("emit", event="e", room=["x", "y"])
    assert await there.next() == ("e",)
    assert await there.call("rooms") == sorted([there.sid, "x", "y"])
    await here.do("leave_room", sid=there.sid, room="y")
    await here.do("close_room", room="x")
    await here.do("emit", event="e", room="x")
    await here.do("emit", event="end", to=there.sid)
    await there.nothing_before("end")
    assert await there.call("rooms") == [there.sid]


async def test_acknowledgements(pair: Pair) -> None:
    here, there = pair.here, pair.there
    assert await here.do("call", event="double", data=21, to=there.sid) == 42
    await here.call("ask", "double", 4, there.sid)
    assert await here.call("answer") == [8]


async def test_disconnecting(pair: Pair) -> None:
    await pair.here.do("disconnect", sid=pair.there.sid)
    await within(pair.there.ended.wait())
    assert not pair.here.ended.is_set()


# --- programs without a server --------------------------------------------------

SCRIPT = """
import json, sys
package, manager, url, calls = sys.argv[1:]
module = __import__(package)
manager = getattr(module, manager)(url, write_only=True)
for name, options in json.loads(calls):
    if options.pop("bytes", False):
        options["data"] = options["data"].encode()
    getattr(manager, name)(**options)
"""

WRITERS = [
    ("socketio_fast", "RedisManager", "redis"),
    ("socketio", "RedisManager", "redis"),
    ("socketio_fast", "KombuManager", "rabbitmq"),
    ("socketio", "KombuManager", "rabbitmq"),
]


@pytest.fixture
async def both(
    request: pytest.FixtureRequest,
    start: Callable[[Kind], Awaitable[str]],
    connect: Connect,
) -> list[Client]:
    """Clients of a server of ours and of one of theirs."""
    kinds = REDIS if request.param == "redis" else RABBITMQ
    clients = [await connect(await start(kind)) for kind in (kinds[0], kinds[2])]
    await heard(clients[1], clients[0])
    await heard(clients[0], clients[1])
    return clients


@pytest.mark.parametrize(
    ("package", "manager", "both"), WRITERS, indirect=["both"], ids=lambda x: str(x)
)
async def test_a_script_that_only_sends(
    request: pytest.FixtureRequest, package: str, manager: str, both: list[Client]
) -> None:
    """A16: a script that only sends."""
    ours, theirs = both
    calls = [
        ["enter_room", {"sid": ours.sid, "namespace": "/", "room": "x"}],
        ["enter_room", {"sid": theirs.sid, "namespace": "/", "room": "x"}],
        ["emit", {"event": "e", "data": "1", "room": "x"}],
        ["emit", {"event": "e", "data": "2", "bytes": True, "to": "x"}],
        ["leave_room", {"sid": ours.sid, "namespace": "/", "room": "x"}],
        ["emit", {"event": "e", "data": "3", "room": "x"}],
        ["close_room", {"room": "x"}],
        ["emit", {"event": "e", "data": "4", "room": "x"}],
        ["emit", {"event": "end", "data": None, "skip_sid": ["nobody"]}],
    ]
    broker = request.getfixturevalue("redis" if "Redis" in manager else "rabbitmq")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", SCRIPT, package, manager, broker.url, json.dumps(calls)),
        # Not the checkout, whose package may not be built.
        cwd=Path(__file__).parent,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, errors = await within(process.communicate())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, errors) == (0, b"")
    for client, events in (
        (ours, ["1", b"2"]),
        (theirs, ["1", b"2", "3"]),
    ):
        assert [await client.next() for _ in events] == [("e", e) for e in events]
        await client.nothing_before("end")


@pytest.mark.parametrize("both", ["redis", "rabbitmq"], indirect=True)
@pytest.mark.parametrize("module", [socketio_fast, python_socketio])
async def test_a_coroutine_that_only_sends(
    request: pytest.FixtureRequest, module: Any, both: list[Client]
) -> None:
    kind = request.node.callspec.params["both"]
    name = "AsyncRedisManager" if kind == "redis" else "AsyncAioPikaManager"
    url = request.getfixturevalue(kind).url
    manager = getattr(module, name)(url, write_only=True)
    await manager.emit("e", ("1", b"2"))
    for client in both:
        assert await client.next() == ("e", "1", b"2")
    if module is socketio_fast:
        await manager.disconnect(both[1].sid, "/")
        await within(both[1].ended.wait())
        await manager.close()
    elif kind == "redis":
        await manager.redis.aclose()
    else:
        await manager.publisher_connection.close()


@pytest.mark.parametrize("both", ["redis"], indirect=True)
async def test_a_thread_that_only_sends(redis: Any, both: list[Client]) -> None:
    manager = socketio_fast.RedisManager(redis.url, write_only=True)
    await asyncio.gather(*(asyncio.to_thread(manager.emit, "e", n) for n in range(20)))
    for client in both:
        events = [await client.next() for _ in range(20)]
        assert sorted(events) == [("e", n) for n in range(20)]
    await asyncio.to_thread(manager.close)
