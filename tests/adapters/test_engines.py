"""The engines themselves: that they start, and what starts is what was asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import redis as redis_py
from support.brokers import NATS, Postgres, RedisCluster
from support.engines import MasterAndReplica
from support.waiting import until


def test_a_cluster_of_redis(redis_cluster: RedisCluster) -> None:
    client = redis_py.RedisCluster.from_url(redis_cluster.url)
    assert len(client.get_primaries()) == 3
    for key in ("a", "b", "c"):
        assert client.set(key, key)
        assert client.get(key) == key.encode()
    client.close()


async def test_a_replica_becomes_the_master(replicated_redis: MasterAndReplica) -> None:
    master, replica, sentinel = replicated_redis
    client = redis_py.Sentinel([("127.0.0.1", sentinel.port)])
    await until(lambda: len(client.discover_slaves("service")) == 1)
    assert client.discover_master("service") == ("127.0.0.1", master.port)
    master.kill()

    def found() -> Any:
        try:
            return client.discover_master("service")
        except redis_py.sentinel.MasterNotFoundError:
            return None

    await until(lambda: found() == ("127.0.0.1", replica.port))


async def test_postgres(postgres: Postgres) -> None:
    import asyncpg

    connection = await asyncpg.connect(postgres.url)
    assert await connection.fetchval("SELECT 6 * 7") == 42
    await connection.close()


async def test_nats(nats: NATS) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", nats.port)
    assert b'"jetstream":true' in await reader.readline()
    writer.close()
