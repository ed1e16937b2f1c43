"""The conformance suite, run by each adapter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.brokers import NATS, Postgres, Redis, RedisCluster

from socketio_fast import AsyncServer
from socketio_fast.adapters import (
    JetStreamAdapter,
    NatsAdapter,
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


def nats_publisher(nats: NATS, *subjects: str) -> Any:
    """What publishes bytes to subjects."""
    import nats as nats_py

    async def publish(data: bytes) -> None:
        client = await nats_py.connect(nats.url)
        for subject in subjects:
            await client.publish(subject, data)
        await client.close()

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
    orders_rooms = False  # their channels are those of different nodes

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


class TestRedisStreamsOfACluster(AdapterTests):
    recovers = True

    @pytest.fixture(scope="class")
    @classmethod
    def new_server(cls, redis_cluster: RedisCluster) -> NewServer:
        url = redis_cluster.url.replace("redis:", "redis+cluster:")
        return servers_with(
            RedisStreamsAdapter,
            url,
            request_timeout=2,
            stream_name="conformance",
            stream_count=2,
            use_sharded_pubsub=True,
        )


class TestNats(AdapterTests):
    @pytest.fixture(scope="class")
    @classmethod
    def new_server(cls, nats: NATS) -> NewServer:
        return servers_with(NatsAdapter, nats.url)

    @pytest.fixture(scope="class")
    @classmethod
    def publish_raw(cls, nats: NATS) -> Any:
        return nats_publisher(nats, "socket.io./.all")


class TestJetStream(AdapterTests):
    recovers = True

    @pytest.fixture(scope="class")
    @classmethod
    def new_server(cls, nats: NATS) -> NewServer:
        return servers_with(
            JetStreamAdapter,
            nats.url,
            stream_name="conformance",
            subject_prefix="conformance",
        )

    @pytest.fixture(scope="class")
    @classmethod
    def publish_raw(cls, nats: NATS) -> Any:
        return nats_publisher(nats, "conformance.log./", "conformance./.all")


class TestNatsWithSubjectsOfClients(AdapterTests):
    @pytest.fixture(scope="class")
    @classmethod
    def new_server(cls, nats: NATS) -> NewServer:
        return servers_with(
            NatsAdapter,
            nats.url,
            subscription_mode="dynamic-private",
            subject_prefix="private",
        )


class TestPostgres(AdapterTests):
    @pytest.fixture(scope="class")
    @classmethod
    def new_server(cls, postgres: Postgres) -> NewServer:
        return servers_with(PostgresAdapter, postgres.url, request_timeout=2)
