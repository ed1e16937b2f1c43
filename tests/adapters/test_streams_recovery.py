"""Clients that go from one server to another, by RedisStreamsAdapter."""

from __future__ import annotations

import asyncio
import base64
from contextlib import AsyncExitStack
from typing import Any

import msgpack
import pytest
from support.brokers import Redis
from support.waiting import until, within

from adapters.test_redis_streams import (
    Servers,
    adapter_of,
    client,
    mortal_redis,
    servers,
)
from socketio_fast import AsyncServer, testing

__all__ = ["client", "mortal_redis", "servers"]


class Traveller:
    """A client that remembers its pid and its last offset, as the official one does."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.auth: dict[str, Any] = {}
        self.got: list[tuple[Any, ...]] = []
        self.client: testing.Client

    async def connect(self, sio: AsyncServer, namespace: str = "/") -> bool:
        """Connect, anew or again; returns whether it was recovered."""
        opened = testing.client(sio, namespace, auth=dict(self.auth))
        self.client = await self._stack.enter_async_context(opened)
        pid = self.client.handshake["pid"]
        recovered = pid == self.auth.get("pid")
        self.auth["pid"] = pid
        return recovered

    def read(self) -> list[tuple[Any, ...]]:
        """The events that came since, without their offsets."""
        new = []
        for event in self.client.received:
            assert isinstance(event.args[-1], str), event
            self.auth["offset"] = event.args[-1]
            new.append((event.name, *event.args[:-1]))
        self.client.received.clear()
        self.got += new
        return new

    async def until(self, *event: Any) -> list[tuple[Any, ...]]:
        """Read until this event has come."""
        new: list[tuple[Any, ...]] = []

        def came() -> bool:
            new.extend(self.read())
            return event in new

        await until(came)
        return new

    async def lose(self) -> None:
        await self.client.connection.lose()


@pytest.fixture
async def travellers() -> Any:
    async with AsyncExitStack() as stack:
        yield lambda: Traveller(stack)


OPTIONS = {"server": {"connection_state_recovery": True}}


async def test_a_client_that_goes_to_another_server(
    redis: Redis, servers: Servers, travellers: Any
) -> None:
    one, other = await servers(redis.url, 2, **OPTIONS)
    back = travellers()
    assert not await back.connect(one)
    sid = back.client.sid
    await one.save_session(sid, {"user": "u"})
    await one.enter_room(sid, "r")
    await other.emit("first", 1)
    await adapter_of(other).flushed()
    await one.emit("own", 2, to=sid)
    assert await back.until("own", 2) == [("first", 1), ("own", 2)]
    await back.lose()
    await one.emit("missed", b"\0", to="r")
    await one.emit("not for it", to="q")
    await one.emit("skipped", skip_sid=sid)
    await one.except_("r").emit("excepted")
    await adapter_of(one).flushed()
    await other.emit("missed", "text")
    await adapter_of(other).flushed()
    await one.volatile.emit("volatile")
    await adapter_of(one).flushed()
    assert await back.connect(other)
    assert back.client.sid == sid
    assert back.read() == [("missed", b"\0"), ("missed", "text")]
    assert set(other.rooms(sid)) == {sid, "r"}
    assert await other.get_session(sid) == {"user": "u"}
    await one.emit("later", to="r")
    await one.emit("last", to=sid)
    assert await back.until("last") == [("later",), ("last",)]
    assert one.rooms(sid) == []
    # And back again.
    await back.lose()
    await other.emit("missed", 3)
    await adapter_of(other).flushed()
    assert await back.connect(one)
    assert back.read() == [("missed", 3)]


async def test_each_event_once_and_in_order(
    redis: Redis, servers: Servers, travellers: Any
) -> None:
    """While it goes from one to the other, both send."""
    pair = await servers(redis.url, 2, **OPTIONS)
    back = travellers()
    await back.connect(pair[0])
    done = False

    async def send(sio: AsyncServer, name: str) -> None:
        for number in range(400):
            await sio.emit(name, number)
            if number % 10 == 0:
                await asyncio.sleep(0)
        await adapter_of(sio).flushed()

    async def travel() -> None:
        i = 0
        while not done:
            i += 1
            await asyncio.sleep(0.01)
            back.read()
            await back.lose()
            assert await back.connect(pair[i % 2])

    travelling = asyncio.ensure_future(travel())
    await within(asyncio.gather(send(pair[0], "a"), send(pair[1], "b")))
    done = True
    await within(travelling)
    await pair[0].emit("end")
    await back.until("end")
    for name in "ab":
        came = [number for event, number in back.got[:-1] if event == name]
        assert came == list(range(400))


async def test_a_client_that_has_got_no_event_yet(
    redis: Redis, servers: Servers, travellers: Any
) -> None:
    one, other = await servers(redis.url, 2, **OPTIONS)
    await one.emit("before")
    await adapter_of(one).flushed()
    await until(
        lambda: adapter_of(other).position("/") == adapter_of(one).position("/")
    )
    back = travellers()
    await back.connect(one)
    await back.lose()
    await one.emit("after")
    await adapter_of(one).flushed()
    assert await back.connect(other)
    assert back.read() == [("after",)]


async def test_a_client_whose_old_connection_is_not_found_dead(
    redis: Redis, servers: Servers, travellers: Any
) -> None:
    (one,) = await servers(redis.url, **OPTIONS)
    back = travellers()
    await back.connect(one)
    old, sid = back.client, back.client.sid
    await one.emit("e")
    await back.until("e")
    assert await back.connect(one)
    assert back.client.sid == sid
    assert not old.connected
    assert [peer.id for peer in await one.fetch_sockets()] == [sid]


async def test_who_is_not_recovered(
    redis: Redis, client: Any, servers: Servers, travellers: Any
) -> None:
    one, other = await servers(redis.url, 2, ("/", "/admin"), **OPTIONS)

    async def lost(namespace: str = "/") -> Traveller:
        back: Traveller = travellers()
        await back.connect(one, namespace)
        await one.emit("e", namespace=namespace)
        await back.until("e")
        await back.lose()
        await adapter_of(one).flushed()
        return back

    for auth in (
        {"pid": "unknown"},
        {"pid": "x" * 1000},
        {"offset": "nonsense"},
        {"offset": "1-1"},
        {"offset": "9" * 400 + "-0"},
        {"offset": 5, "pid": "unknown"},
    ):
        back = await lost()
        back.auth |= auth
        assert not await back.connect(other), auth
    back = await lost()
    assert not await back.connect(other, "/admin")
    back = await lost()
    assert await back.connect(other)
    await back.lose()
    # Once only.
    await adapter_of(other).flushed()
    again = travellers()
    again.auth = dict(back.auth)
    assert await again.connect(one)
    late = travellers()
    late.auth = dict(back.auth)
    # One of them has it; the other connection ends, as it was the same client.
    await late.connect(other)
    for value in (b"nonsense", base64.b64encode(b"\xc1"), base64.b64encode(b"\x90")):
        back = await lost()
        await client.set(f"sio:session:{back.auth['pid']}", value)
        assert not await back.connect(other)


async def test_the_session_as_nodes_adapter_has_it(
    redis: Redis, client: Any, servers: Servers, travellers: Any
) -> None:
    (one,) = await servers(redis.url, **OPTIONS)
    back = travellers()
    await back.connect(one)
    sid, pid = back.client.sid, back.auth["pid"]
    await one.save_session(sid, {"a": b"\0"})
    await one.enter_room(sid, "r")
    await back.lose()
    await adapter_of(one).flushed()
    key = f"sio:session:{pid}"
    assert 115_000 < await client.pttl(key) <= 120_000
    kept = msgpack.unpackb(base64.b64decode(await client.get(key)))
    assert kept.pop("offset") == adapter_of(one).position("/")
    assert kept == {
        "sid": sid,
        "pid": pid,
        "rooms": [sid, "r"],
        "data": {"a": b"\0"},
        "nsp": "/",
    }
    # What Node's servers leave out.
    await client.set(
        key,
        base64.b64encode(
            msgpack.packb({"sid": "S", "pid": pid, "rooms": ["S", "x"], "data": {}})
        ),
    )
    await one.emit("e", to="x")
    await one.emit("f")
    await adapter_of(one).flushed()
    (first, _), *_ = await client.xrange("socket.io")
    back.auth["offset"] = first.decode()
    assert await back.connect(one)
    assert back.client.sid == "S"
    assert back.read() == [("f",)]


async def test_a_client_that_comes_back_while_redis_is_away(
    mortal_redis: Redis, servers: Servers, travellers: Any
) -> None:
    (one,) = await servers(mortal_redis.url, **OPTIONS)
    back = travellers()
    await back.connect(one)
    await one.emit("e")
    await back.until("e")
    mortal_redis.kill()
    await until(lambda: not adapter_of(one).healthy)
    await one.emit("f")
    assert (await back.client.expect("f")) is not None  # at once, with the last offset
    await back.lose()
    assert not await back.connect(one)
