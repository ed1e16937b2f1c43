"""Brokers and clusters. Brokers that are not installed skip their tests."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.brokers import RabbitMQ, ZeroMQ
from support.engines import mortal_redis, redis  # noqa: F401
from support.kafka import Kafka
from support.waiting import within

import socketio_fast
from managers.app import Client, register
from socketio_fast.async_pubsub_manager import AsyncPubSubManager

TESTS = Path(__file__).parents[1]

Connect = Callable[[str], Awaitable[Client]]


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    if RabbitMQ.PROGRAM is None or RabbitMQ.EPMD is None:
        pytest.skip("rabbitmq-server is not installed")
    broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    broker.start()
    yield broker
    broker.end()


@pytest.fixture
def mortal_rabbitmq(tmp_path: Path) -> Iterator[RabbitMQ]:
    """One that the test may kill."""
    if RabbitMQ.PROGRAM is None or RabbitMQ.EPMD is None:
        pytest.skip("rabbitmq-server is not installed")
    broker = RabbitMQ(tmp_path)
    broker.start()
    yield broker
    broker.end()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    if Kafka.JAVA is None or Kafka.JARS is None:
        pytest.skip("no Java, or SOCKETIO_FAST_KAFKA_JARS does not name Kafka's jars")
    broker = Kafka(tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def zeromq() -> Iterator[ZeroMQ]:
    broker = ZeroMQ()
    yield broker
    broker.stop()


@pytest.fixture
def cluster() -> Iterator[str]:
    """The option of servers that are to be workers of one cluster. The path is short:
    that of a Unix socket has a limit."""
    with tempfile.TemporaryDirectory(prefix="sf") as name:
        yield f"unix:{name}"


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """A factory: ``client = await connect(url)``."""
    clients: list[Client] = []

    async def start(url: str) -> Client:
        clients.append(Client())
        return await clients[-1].connect(url)

    yield start
    for client in clients:
        await client.close()


@pytest.fixture
def node(serve: Any) -> Callable[[Any], Awaitable[Any]]:
    """A factory: ``sio, url = await node(manager)``, which receives messages."""

    async def start(
        manager: Any = None, **options: Any
    ) -> tuple[socketio_fast.AsyncServer, str]:
        sio = socketio_fast.AsyncServer(client_manager=manager, **options)
        register(sio)
        server = await serve(sio)
        if isinstance(sio.manager, AsyncPubSubManager) and not sio.manager.write_only:
            await within(sio.manager._subscribed.wait())
        return sio, server.url

    return start


@pytest.fixture(scope="module")
def their_servers() -> Iterator[Callable[[str, str], str]]:
    """The port of python-socketio's server with this manager, started once."""
    running: dict[tuple[str, str], tuple[subprocess.Popen[str], str]] = {}

    def port(*arguments: str) -> str:
        if arguments not in running:
            process = subprocess.Popen(
                [sys.executable, "-m", "managers.python_socketio_server", *arguments],
                env={**os.environ, "PYTHONPATH": str(TESTS)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            running[arguments] = process, process.stdout.readline().strip()
        return running[arguments][1]

    yield port
    for process, _ in running.values():
        process.kill()
        process.communicate()


@pytest.fixture
def their_node(
    their_servers: Callable[[str, str], str],
) -> Callable[[str, str], Awaitable[str]]:
    """A factory: ``url = await their_node("AsyncRedisManager", broker.url)``."""

    async def start(manager: str, url: str) -> str:
        port = await within(asyncio.to_thread(their_servers, manager, url))
        return f"http://127.0.0.1:{int(port)}"

    return start
