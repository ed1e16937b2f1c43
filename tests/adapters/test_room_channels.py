"""Adapters with a channel for each room, when their connection is slow or breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from support.tcp_proxy import TcpProxy
from support.waiting import until, within

from adapters.in_memory import known
from socketio_fast import AsyncServer, testing
from socketio_fast.adapters import NatsAdapter, ShardedRedisAdapter

KINDS = {"redis": ShardedRedisAdapter, "nats": NatsAdapter}

Start = Callable[..., Awaitable[tuple[AsyncServer, AsyncServer, TcpProxy]]]


@pytest.fixture(params=list(KINDS))
async def start(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """A factory of two servers; the first one's connection goes through a proxy."""
    monkeypatch.setattr("socketio_fast.adapters.cluster.DISCOVERY_TIME", 0)
    broker = request.getfixturevalue(request.param)
    async with AsyncExitStack() as stack:

        async def start(
            mode: str, **options: Any
        ) -> tuple[AsyncServer, AsyncServer, TcpProxy]:
            proxy = await stack.enter_async_context(TcpProxy(broker.port))
            urls = [
                broker.url.replace(str(broker.port), str(port))
                for port in (proxy.port, broker.port)
            ]
            servers = [
                AsyncServer(
                    client_manager=KINDS[request.param](url, subscription_mode=mode),
                    **options,
                )
                for url in urls
            ]
            for sio in servers:
                sio.bind(asyncio.get_running_loop())
                stack.push_async_callback(sio.unbind)
            for sio in servers:
                if request.param == "nats":
                    await within(known(sio, 2))
                else:
                    adapter: Any = sio.manager
                    await within(adapter._memberships["/"].ready.wait())
            return servers[0], servers[1], proxy

        yield start


async def test_events_for_a_client_that_has_just_connected(start: Start) -> None:
    """They arrive when flushed() has returned: the engine knows of the client."""
    sio, other, proxy = await start("dynamic-private")
    adapter: Any = sio.manager
    proxy.hold()
    async with testing.client(sio) as client:
        flushed = asyncio.ensure_future(adapter.flushed())
        # An event that the engine gets now is not for anybody.
        await other.emit("early", to=client.sid)
        done, _ = await asyncio.wait([flushed], timeout=0.2)
        assert not done
        proxy.let_go()
        await within(flushed)
        await other.emit("late", to=client.sid)
        await client.expect("late")
        assert client.received == []


async def lose(sio: AsyncServer, proxy: TcpProxy, other: AsyncServer) -> dict[str, Any]:
    """A client in a room is cut off, and then its server from the engine for a moment.

    Returns:
        What the client comes back with.
    """
    adapter: Any = sio.manager
    changes: list[bool] = []
    adapter.on_health_change(changes.append)
    async with testing.Connection(sio) as connection:
        client = await connection.join()
        await sio.enter_room(client.sid, "room")
        await other.emit("news", 1, to="room")
        _, offset = await client.expect("news")
        await connection.lose()
        auth = {"pid": client.handshake["pid"], "offset": offset}
    await adapter.flushed()
    await proxy.cut()
    await until(lambda: changes == [False, True])
    await within(adapter._memberships["/"].ready.wait())
    return auth


async def test_rooms_of_clients_that_are_away_when_a_connection_breaks(
    start: Start,
) -> None:
    """They are subscribed to again."""
    sio, other, proxy = await start("dynamic", connection_state_recovery=True)
    auth = await lose(sio, proxy, other)
    await other.emit("news", 2, to="room")
    async with testing.client(sio) as bystander:
        await other.emit("end")
        await bystander.expect("end")
    async with testing.Connection(sio) as connection:
        again = await connection.join(auth=auth)
        missed = [event.args[0] for event in again.received if event.name == "news"]
        assert missed == [2]


async def test_rooms_of_clients_that_do_not_come_back(start: Start) -> None:
    """They are subscribed to as long as these may come back, and not longer."""
    recovery = {"max_disconnection_duration": 1}
    sio, other, proxy = await start("dynamic", connection_state_recovery=recovery)
    await lose(sio, proxy, other)
    await until(lambda: not room_is_subscribed_to(sio))


def room_is_subscribed_to(sio: AsyncServer) -> bool:
    adapter: Any = sio.manager
    if isinstance(adapter, NatsAdapter):
        return adapter._subject("/", "room") in adapter._nats.subscriptions
    name = adapter._channel("/", "room")
    return any(channel.name == name for channel in adapter._subscriptions._channels)
