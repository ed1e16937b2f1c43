"""A server that is cut off from the engine, which is there for the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from support.brokers import Redis
from support.tcp_proxy import TcpProxy
from support.waiting import until, within

from socketio_fast import AsyncServer, testing
from socketio_fast.adapters import (
    JetStreamAdapter,
    PostgresAdapter,
    RedisAdapter,
    RedisStreamsAdapter,
)
from socketio_fast.testing import Client

#: Of the adapters that lose nothing.
LOGS = (JetStreamAdapter, RedisStreamsAdapter)

#: What engines have to answer in.
SOON = {"redis_options": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}}

KINDS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "classic": (RedisAdapter, "redis", SOON),
    "streams": (RedisStreamsAdapter, "redis", {"stream_name": "cut", **SOON}),
    "jetstream": (
        JetStreamAdapter,
        "nats",
        {"stream_name": "cut", "subject_prefix": "cut"},
    ),
    "postgres": (PostgresAdapter, "postgres", {"channel_prefix": "cut"}),
}


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adapters soon take an engine that is silent for away."""
    for name, seconds in {
        "adapters.nats.PING_INTERVAL": 0.2,
        "adapters.nats_connection.PATIENCE": 0.5,
        "adapters.postgres.PING_INTERVAL": 0.2,
        "adapters.postgres.TIMEOUT": 0.5,
        "adapters.redis_nodes.PING_INTERVAL": 0.2,
        "managers.redis_clients.TIMEOUT": 0.5,
    }.items():
        monkeypatch.setattr(f"socketio_fast.{name}", seconds)


class Servers:
    """Two servers, the first one behind a proxy, which send numbers to each other."""

    def __init__(self, proxy: TcpProxy) -> None:
        self.proxy = proxy
        self.servers: list[AsyncServer] = []
        self.clients: list[Client] = []
        self.sent = [0, 0]

    @property
    def adapter(self) -> Any:
        """That of the first server."""
        return self.servers[0].manager

    async def send(self, *args: Any) -> None:
        """Each sends its next number."""
        for server, sio in enumerate(self.servers):
            number, self.sent[server] = self.sent[server], self.sent[server] + 1
            await sio.emit("number", (server, number, *args))

    def heard(self, receiver: int) -> list[int]:
        """The numbers of the other server that the client of one has."""
        return [
            event.args[1]
            for event in self.clients[receiver].received
            if event.args[0] != receiver
        ]

    async def hear_each_other(self) -> None:
        """Send until each has heard what was sent from now on."""
        begun = list(self.sent)
        while any(
            max(self.heard(receiver), default=-1) < begun[1 - receiver]
            for receiver in (0, 1)
        ):
            await self.send()
            await asyncio.sleep(0.02)


async def started(stack: AsyncExitStack, kind: Any, broker: Any, **own: Any) -> Servers:
    proxy = TcpProxy(broker.port, room=65_536)
    servers = Servers(await stack.enter_async_context(proxy))
    for port in (proxy.port, broker.port):
        url = broker.url.replace(str(broker.port), str(port))
        adapter = kind(url, **own)
        sio = AsyncServer(client_manager=adapter)
        stack.push_async_callback(sio.unbind)
        client = await stack.enter_async_context(testing.client(sio))
        servers.servers.append(sio)
        servers.clients.append(client)
        await within(adapter._memberships["/"].ready.wait())
    return servers


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.mark.parametrize("name", list(KINDS))
async def test_silence(
    request: pytest.FixtureRequest, stack: AsyncExitStack, name: str
) -> None:
    """What was sent meanwhile arrives in order, once at most; of a log, once."""
    kind, engine, own = KINDS[name]
    servers = await started(stack, kind, request.getfixturevalue(engine), **own)
    await within(servers.hear_each_other())
    servers.proxy.hold()
    while servers.adapter.healthy:
        await servers.send()
        await asyncio.sleep(0.05)
    servers.proxy.let_go()
    await within(servers.hear_each_other())
    for receiver in (0, 1):
        heard = servers.heard(receiver)
        if kind in LOGS:
            sent = servers.sent[1 - receiver]
            await until(lambda r=receiver, n=sent: len(servers.heard(r)) >= n)
            # Streams of Redis may have twice what had no answer.
            heard = list(dict.fromkeys(servers.heard(receiver)))
            assert heard == list(range(sent))
        assert heard == sorted(set(heard))


async def test_a_subscriber_that_is_too_slow(
    stack: AsyncExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis closes its connection, and it subscribes again."""
    # The silence alone is not to end it.
    monkeypatch.setattr("socketio_fast.adapters.redis_nodes.PING_INTERVAL", 60)
    if Redis.PROGRAM is None:
        pytest.skip("redis-server is not installed")
    broker = Redis(tmp_path, client_output_buffer_limit="pubsub 256kb 0 0")
    broker.start()
    stack.callback(broker.stop)
    servers = await started(stack, RedisAdapter, broker)
    await within(servers.hear_each_other())
    changes: list[bool] = []
    servers.adapter.on_health_change(changes.append)
    servers.proxy.hold()
    text = "x" * 1_000_000
    await until_closed(servers, broker, text)
    servers.proxy.let_go()
    await until(lambda: changes[-2:] == [False, True])
    await within(servers.hear_each_other())
    heard = servers.heard(0)
    assert heard == sorted(set(heard))
    assert len(heard) < servers.sent[1]


async def until_closed(servers: Servers, broker: Redis, text: str) -> None:
    """The second server sends large events until Redis has closed a connection."""
    from redis.asyncio import Redis as Asking

    async with Asking.from_url(broker.url) as asking:
        for number in range(servers.sent[1], servers.sent[1] + 100):
            await servers.servers[1].emit("number", (1, number, text))
            servers.sent[1] = number + 1
            found = await asking.client_list(_type="pubsub")
            if len(found) == 1:
                return
    raise AssertionError("no connection was closed")
