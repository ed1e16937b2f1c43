"""A node of a Redis Cluster is killed, and its replica takes its place."""

from __future__ import annotations

import asyncio
import string
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from support.brokers import Redis, RedisCluster
from support.waiting import until, within

from socketio_fast import AsyncServer, testing
from socketio_fast.adapters import RedisStreamsAdapter, ShardedRedisAdapter
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

        async def client_of(adapter: Any) -> tuple[AsyncServer, Client]:
            sio = AsyncServer(client_manager=adapter)
            stack.push_async_callback(sio.unbind)
            client = await stack.enter_async_context(testing.client(sio))
            await within(adapter._memberships["/"].ready.wait())
            return sio, client

        found = []
        for make in (
            lambda: RedisStreamsAdapter(url, stream_name=name),
            lambda: ShardedRedisAdapter(url),
        ):
            sender, _ = await client_of(make())
            _, client = await client_of(make())
            found.append(Pair(sender, client))
        yield found


@pytest.mark.timeout(120)
async def test_a_node_that_is_killed(master: Redis, pairs: list[Pair]) -> None:
    """A13: of a stream nothing is lost or comes twice; the others go on later."""
    streams, channels = pairs

    async def send_until_heard() -> None:
        begun = [pair.sent for pair in pairs]
        while any(
            max(pair.heard, default=-1) < first
            for pair, first in zip(pairs, begun, strict=True)
        ):
            for pair in pairs:
                await pair.send()
            await asyncio.sleep(0.02)

    await within(send_until_heard())
    master.kill()
    await within(send_until_heard(), seconds=40)
    await until(lambda: len(streams.heard) >= streams.sent)
    assert streams.heard == list(range(streams.sent))
    assert channels.heard == sorted(set(channels.heard))
    for pair in pairs:
        adapter: Any = pair.sender.manager
        await until(lambda adapter=adapter: adapter.healthy)
