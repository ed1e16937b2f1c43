"""A node of a cluster of engines is killed, and others take its place."""

from __future__ import annotations

import asyncio
import string
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from support.brokers import NATSCluster, Redis, RedisCluster
from support.waiting import until, within

from socketio_fast import AsyncServer, testing
from socketio_fast.adapters import (
    JetStreamAdapter,
    NatsAdapter,
    RedisStreamsAdapter,
    ShardedRedisAdapter,
)
from socketio_fast.testing import Client


class Pair:
    """A server that sends numbers, and a client of another one that hears them."""

    def __init__(self, sender: AsyncServer, client: Client) -> None:
        self.sender = sender
        self.client = client
        self.sent = 0

    @property
    def heard(self) -> list[int]:
        return [event.args[0] for event in self.client.received]

    async def send(self) -> None:
        number, self.sent = self.sent, self.sent + 1
        await self.sender.emit("number", number)


@pytest.fixture
def master(replicated_cluster: RedisCluster) -> Redis:
    """The node that has the sharded channel of all servers."""
    return replicated_cluster.owner("socket.io#/#")


@pytest.fixture
async def pairs(
    replicated_cluster: RedisCluster, master: Redis
) -> AsyncIterator[list[Pair]]:
    """One with streams, which that node has too, and one with sharded channels."""
    url = replicated_cluster.url.replace("redis:", "redis+cluster:")
    name = next(
        name
        for name in string.ascii_letters
        if replicated_cluster.owner(name) is master
    )
    async with AsyncExitStack() as stack:
        found = []
        for make in (
            lambda: RedisStreamsAdapter(url, stream_name=name),
            lambda: ShardedRedisAdapter(url),
        ):
            sender, _ = await stack.enter_async_context(member(make()))
            _, client = await stack.enter_async_context(member(make()))
            found.append(Pair(sender, client))
        yield found


@asynccontextmanager
async def member(adapter: Any) -> AsyncIterator[tuple[AsyncServer, Client]]:
    """A server with this adapter, and a client of it."""
    sio = AsyncServer(client_manager=adapter)
    try:
        async with testing.client(sio) as client:
            await within(adapter._memberships["/"].ready.wait(), seconds=40)
            yield sio, client
    finally:
        await sio.unbind()


async def send_until_heard(pairs: list[Pair]) -> None:
    """Send numbers until one that was sent from now on is heard by each."""
    begun = [pair.sent for pair in pairs]
    while any(
        max(pair.heard, default=-1) < first
        for pair, first in zip(pairs, begun, strict=True)
    ):
        for pair in pairs:
            await pair.send()
        await asyncio.sleep(0.02)


@pytest.mark.timeout(120)
async def test_a_node_of_redis_that_is_killed(master: Redis, pairs: list[Pair]) -> None:
    """A13: of a stream nothing is lost or comes twice; the others go on later."""
    streams, channels = pairs
    await within(send_until_heard(pairs))
    master.kill()
    await within(send_until_heard(pairs), seconds=40)
    await until(lambda: len(streams.heard) >= streams.sent)
    assert streams.heard == list(range(streams.sent))
    assert channels.heard == sorted(set(channels.heard))


@pytest.mark.timeout(120)
async def test_a_node_of_nats_that_is_killed(nats_cluster: NATSCluster) -> None:
    """Its servers go to another node. Of a stream with replicas nothing is lost."""
    urls = nats_cluster.urls
    replicas = {"num_replicas": 3}

    def log(urls: list[str]) -> JetStreamAdapter:
        return JetStreamAdapter(urls, subject_prefix="log", stream_options=replicas)

    async with (
        # Those that send are connected to the first node, the others to the last.
        member(NatsAdapter(urls, nats_options={"dont_randomize": True})) as (one, _),
        member(NatsAdapter(urls[::-1], nats_options={"dont_randomize": True})) as there,
        member(log(urls)) as (two, _),
        member(log(urls[::-1])) as other,
    ):
        pairs = [Pair(one, there[1]), Pair(two, other[1])]
        await within(send_until_heard(pairs))
        nats_cluster.nodes[0].kill()
        await within(send_until_heard(pairs), seconds=40)
        plain, logged = pairs
        await until(lambda: len(logged.heard) >= logged.sent)
        assert logged.heard == list(range(logged.sent))
        assert plain.heard == sorted(set(plain.heard))
        assert await within(_counted(one)) == 2


async def _counted(sio: AsyncServer) -> int:
    """The number of servers, when there are two."""
    for _ in range(400):
        if (count := await sio.server_count()) == 2:
            break
        await asyncio.sleep(0.05)
    return count
