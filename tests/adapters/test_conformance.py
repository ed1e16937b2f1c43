"""The conformance suite, run by each adapter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.brokers import Postgres, Redis, RedisCluster

from socketio_fast import AsyncServer
from socketio_fast.adapters import (
    PostgresAdapter,
    RedisAdapter,
    RedisStreamsAdapter,
    ShardedRedisAdapter,
)
from socketio_fast.testing.adapters import AdapterTests

NewServer = Callable[..., AsyncServer]


def servers_with(kind: Any, url: str, **own: Any) -> NewServer:
    def new_server(**options: Any) -> AsyncServer:
        return AsyncServer(client_manager=kind(url, **own), **options)

    return new_server


def publisher(redis: Redis, command: str, *channels: str) -> Any:
    """What publishes bytes to channels."""
    from redis.asyncio import Redis as Client

    async def publish(data: bytes) -> None:
        async with Client.from_url(redis.url) as client:
            for channel in channels:
                await client.execute_command(command, channel, data)

    return publish


class TestRedis(AdapterTests):
    @pytest.fixture(scope="class")
    @classmethod
    def new_server(cls, redis: Redis) -> NewServer:
        return servers_with(RedisAdapter, redis.url, requests_timeout=2)

    @pytest.fixture(scope="class")
    @classmethod
    def publish_raw(cls, redis: Redis) -> Any:
        names = [f"socket.io{part}#/#" for part in ("", "-request", "-response")]
        return publisher(redis, "PUBLISH", *names)


class TestRedisOfACluster(AdapterTests):
    @pytest.fixture(scope="class")
    @classmethod
    def new_server(cls, redis_cluster: RedisCluster) -> NewServer:
        url = redis_cluster.url.replace("redis:", "redis+cluster:")
        return servers_with(
            RedisAdapter,
            url,
            requests_timeout=2,
            publish_on_specific_response_channel=True,
        )


class TestShardedRedis(AdapterTests):
    @pytest.fixture(scope="class")
    @classmethod
    def new_server(cls, redis: Redis) -> NewServer:
        return servers_with(ShardedRedisAdapter, redis.url, request_timeout=2)

    @pytest.fixture(scope="class")
    @classmethod
    def publish_raw(cls, redis: Redis) -> Any:
        return publisher(redis, "SPUBLISH", "socket.io#/#")


class TestShardedRedisWithStaticChannels(AdapterTests):
    @pytest.fixture(scope="class")
    @classmethod
    def new_server(cls, redis: Redis) -> NewServer:
        return servers_with(
            ShardedRedisAdapter,
            redis.url,
            request_timeout=2,
            subscription_mode="static",
            channel_prefix="static",
        )


class TestShardedRedisOfACluster(AdapterTests):
    @pytest.fixture(scope="class")
    @classmethod
    def new_server(cls, redis_cluster: RedisCluster) -> NewServer:
        url = redis_cluster.url.replace("redis:", "redis+cluster:")
        return servers_with(
            ShardedRedisAdapter,
            url,
            request_timeout=2,
            subscription_mode="dynamic-private",
        )


class TestRedisStreams(AdapterTests):
    recovers = True

    @pytest.fixture(scope="class")
    @classmethod
    def new_server(cls, redis: Redis) -> NewServer:
        return servers_with(
            RedisStreamsAdapter,
            redis.url,
            request_timeout=2,
            stream_name="conformance",
        )


class TestPostgres(AdapterTests):
    @pytest.fixture(scope="class")
    @classmethod
    def new_server(cls, postgres: Postgres) -> NewServer:
        return servers_with(PostgresAdapter, postgres.url, request_timeout=2)
