"""The conformance suite of adapters, run by the client managers that there are."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.brokers import Redis

from socketio_fast import AsyncRedisManager, AsyncServer
from socketio_fast.testing.adapters import AdapterTests

NewServer = Callable[..., AsyncServer]


class TestRedisManager(AdapterTests):
    @pytest.fixture(scope="class")
    @classmethod
    def new_server(cls, redis: Redis) -> NewServer:
        def new_server(**options: Any) -> AsyncServer:
            manager = AsyncRedisManager(redis.url, channel="conformance")
            return AsyncServer(client_manager=manager, **options)

        return new_server

    @pytest.fixture(scope="class")
    @classmethod
    def publish_raw(cls, redis: Redis) -> Any:
        from redis.asyncio import Redis as Client

        async def publish(data: bytes) -> None:
            async with Client.from_url(redis.url) as client:
                await client.publish("conformance", data)

        return publish


class TestWorkers(AdapterTests):
    """Without a broker: the processes that ``run(workers=)`` starts."""

    # What others send before they have heard of a room comes later.
    orders_rooms = False

    @pytest.fixture(scope="class")
    @classmethod
    def new_server(cls) -> Iterator[NewServer]:
        # The path is short: that of a Unix socket has a limit.
        with tempfile.TemporaryDirectory(prefix="sf") as directory:
            yield lambda **options: AsyncServer(cluster=f"unix:{directory}", **options)
