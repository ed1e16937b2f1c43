"""Fixtures of real engines. Those that are not installed skip their tests by name.

A conftest.py imports them. ``redis`` and its like are started once, for all tests of
the process; ``mortal_redis`` and its like are the test's own, which may kill it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.brokers import (
    NATS,
    MasterAndReplica,
    NATSCluster,
    Postgres,
    Redis,
    RedisCluster,
)

__all__ = [
    "MasterAndReplica",
    "mortal_nats",
    "mortal_postgres",
    "mortal_redis",
    "nats",
    "nats_cluster",
    "postgres",
    "redis",
    "redis_cluster",
    "replicated_cluster",
    "replicated_redis",
]

Directories = pytest.TempPathFactory


def _need(kind: Any, name: str) -> None:
    if kind.PROGRAM is None:
        pytest.skip(f"{name} is not installed")


def _running(broker: Any, stop: Callable[[], None]) -> Iterator[Any]:
    broker.start()
    try:
        yield broker
    finally:
        stop()


@pytest.fixture(scope="session")
def redis(tmp_path_factory: Directories) -> Iterator[Redis]:
    _need(Redis, "redis-server")
    broker = Redis(tmp_path_factory.mktemp("redis"))
    yield from _running(broker, broker.stop)


@pytest.fixture
def mortal_redis(tmp_path: Path) -> Iterator[Redis]:
    _need(Redis, "redis-server")
    broker = Redis(tmp_path)
    yield from _running(broker, broker.stop)


@pytest.fixture
def replicated_redis(tmp_path: Path) -> Iterator[MasterAndReplica]:
    """For one test, which may kill the master."""
    _need(Redis, "redis-server")
    brokers = MasterAndReplica.made(tmp_path)
    try:
        brokers.start()
        yield brokers
    finally:
        brokers.stop()


@pytest.fixture
def replicated_cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    """Each of its nodes has a replica. For one test, which may kill a node."""
    _need(Redis, "redis-server")
    cluster = RedisCluster(tmp_path, replicas=True)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: Directories) -> Iterator[RedisCluster]:
    _need(Redis, "redis-server")
    cluster = RedisCluster(tmp_path_factory.mktemp("redis-cluster"))
    yield from _running(cluster, cluster.stop)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    _need(Postgres, "postgresql")
    broker = Postgres()
    yield from _running(broker, broker.end)


@pytest.fixture
def mortal_postgres() -> Iterator[Postgres]:
    _need(Postgres, "postgresql")
    broker = Postgres()
    yield from _running(broker, broker.end)


@pytest.fixture(scope="session")
def nats(tmp_path_factory: Directories) -> Iterator[NATS]:
    _need(NATS, "nats-server")
    broker = NATS(tmp_path_factory.mktemp("nats"))
    yield from _running(broker, broker.stop)


@pytest.fixture
def nats_cluster(tmp_path: Path) -> Iterator[NATSCluster]:
    """For one test, which may kill a node."""
    _need(NATS, "nats-server")
    cluster = NATSCluster(tmp_path)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def mortal_nats(tmp_path: Path) -> Iterator[NATS]:
    _need(NATS, "nats-server")
    broker = NATS(tmp_path)
    yield from _running(broker, broker.stop)
