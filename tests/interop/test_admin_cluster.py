"""The Admin UI with several processes, which tell each other through a manager."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from support.admin_client import LOGIN, Connect, log_in
from support.brokers import Redis
from support.engines import redis
from support.interop import record_disconnects, within

import socketio_fast
from socketio_fast.adapters import RedisAdapter
from socketio_fast.async_pubsub_manager import AsyncPubSubManager

__all__ = ["redis"]


class Bus:
    """What all managers listen to."""

    def __init__(self) -> None:
        self.queues: set[asyncio.Queue[Any]] = set()

    def manager(self) -> AsyncPubSubManager:
        return Manager(self)


class Manager(AsyncPubSubManager):
    def __init__(self, bus: Bus) -> None:
        super().__init__()
        self._bus = bus

    async def _publish(self, data: Any) -> None:
        for queue in self._bus.queues:
            queue.put_nowait(data)

    async def _listen(self) -> AsyncIterator[Any]:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._bus.queues.add(queue)
        self._on_subscribed()
        try:
            while True:
                yield await queue.get()
        finally:
            self._bus.queues.discard(queue)


Start = Callable[..., Awaitable[tuple[socketio_fast.AsyncServer, Any]]]


@pytest.fixture
def brokered(serve: Any) -> Start:
    """``sio, server = await brokered("name")``: one of a cluster, instrumented."""
    bus = Bus()

    async def start(
        name: str | None, **options: Any
    ) -> tuple[socketio_fast.AsyncServer, Any]:
        sio = socketio_fast.AsyncServer(client_manager=bus.manager())
        options.setdefault("server_stats_interval", 0.05)
        sio.instrument(auth=LOGIN, server_id=name, **options)
        server = await serve(sio)
        await within(sio.manager._subscribed.wait(), "subscribed")
        return sio, server

    return start


@pytest.fixture
def adapted(serve: Any, redis: Redis) -> Start:
    """Likewise, with an adapter."""

    async def start(
        name: str | None, **options: Any
    ) -> tuple[socketio_fast.AsyncServer, Any]:
        adapter = RedisAdapter(redis.url, key="admin")
        sio = socketio_fast.AsyncServer(client_manager=adapter)
        options.setdefault("server_stats_interval", 0.05)
        sio.instrument(auth=LOGIN, server_id=name, **options)
        server = await serve(sio)
        # It waits until others are heard.
        await within(adapter.server_count("/admin"), "subscribed")
        return sio, server

    return start


@pytest.fixture
def workers(serve: Any) -> Iterator[Start]:
    """Likewise, a worker of this machine."""
    with tempfile.TemporaryDirectory(prefix="sf") as directory:

        async def start(
            name: str | None, **options: Any
        ) -> tuple[socketio_fast.AsyncServer, Any]:
            sio = socketio_fast.AsyncServer(cluster=f"unix:{directory}")
            options.setdefault("server_stats_interval", 0.05)
            sio.instrument(auth=LOGIN, server_id=name, **options)
            return sio, await serve(sio)

        yield start


@pytest.fixture(params=["brokered", "adapted", "workers"])
def start(request: pytest.FixtureRequest) -> Start:
    """Any of them."""
    started: Start = request.getfixturevalue(request.param)
    return started


async def test_figures_of_all(start: Start, connect: Connect) -> None:
    _, one = await start("one", mode="production")
    sio, other = await start(None, mode="production")
    admin = await log_in(connect, one)
    client = await connect(other)
    clients: dict[str, int] = {}
    # The first figures may be those of before.
    while clients != {"one": 1, sio.manager.host_id: 1}:
        (stats,) = await admin.next("server_stats")
        clients[stats["serverId"]] = stats["clientsCount"]
    await client.client.disconnect()
    while clients[sio.manager.host_id]:  # they go on without clients
        (stats,) = await admin.next("server_stats")
        clients[stats["serverId"]] = stats["clientsCount"]


async def test_events_of_all(start: Start, connect: Connect) -> None:
    _, one = await start("one")
    sio, two = await start("two")
    admin = await log_in(connect, one)
    await admin.next("all_sockets")

    @sio.on("ask")
    async def ask(sid: str, data: dict[str, Any]) -> None:
        data.clear()

    client = await connect(two)
    seen = await admin.calls("socket_connected").several(2)
    assert [found["id"] for found, _ in seen] == [admin.sid, client.sid]
    await client.emit("ask", {"file": b"x"})
    received = await admin.next("event_received")
    assert received[:3] == ("/", client.sid, ["ask", {"file": b"x"}])
    await sio.enter_room(client.sid, "x")
    joined = await admin.calls("room_joined").several(3)
    assert joined[-1][:3] == ("/", "x", client.sid)
    await sio.emit("told", to=client.sid)
    assert (await admin.next("event_sent"))[:3] == ("/", client.sid, ["told"])
    sid = client.sid
    await sio.disconnect(sid)
    gone = await admin.next("socket_disconnected")
    assert gone[:3] == ("/", sid, "server disconnect")


async def test_what_is_done_to_a_client_of_another_process(
    start: Start, connect: Connect
) -> None:
    _, one = await start("one")
    sio, two = await start("two")
    disconnects = record_disconnects(sio)
    admin, client = await log_in(connect, one), await connect(two)
    await admin.calls("room_joined").several(2)
    await admin.emit("join", "/", "x", client.sid)
    assert (await admin.next("room_joined"))[:3] == ("/", "x", client.sid)
    assert set(sio.rooms(client.sid)) == {client.sid, "x"}
    await admin.emit("emit", "/", "x", "hello", 1)
    assert await client.next("hello") == (1,)
    await admin.emit("leave", "/", "x", client.sid)
    assert (await admin.next("room_left"))[:3] == ("/", "x", client.sid)
    await admin.emit("_disconnect", "/", True, client.sid)
    assert await disconnects.next() == (client.sid, "server disconnect")


async def test_who_was_there_before_is_shown_later(
    brokered: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, one = await brokered("one")
    _, two = await brokered("two")
    client = await connect(two)
    admin = await log_in(connect, one)
    (found,) = await admin.next("all_sockets")
    assert [socket["id"] for socket in found] == [admin.sid]
    await admin.next("socket_connected")
    monkeypatch.setattr("socketio_fast.admin.reporter.ANNOUNCE_INTERVAL", 0)
    found, _ = await admin.next("socket_connected")
    while found["id"] != client.sid:
        found, _ = await admin.next("socket_connected")


async def test_what_cannot_be_published_is_logged(
    brokered: Start,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sio, server = await brokered("one", server_stats_interval=60)
    admin = await log_in(connect, server)
    client = await connect(server)
    await admin.calls("room_joined").several(2)
    publish = Manager._publish

    async def refuse(manager: Manager, data: Any) -> None:
        if data.get("event") == "room_joined":
            raise TypeError("too much")
        await publish(manager, data)

    monkeypatch.setattr(Manager, "_publish", refuse)
    await sio.enter_room(client.sid, "x")
    await sio.leave_room(client.sid, "x")
    assert (await admin.next("room_left"))[:3] == ("/", "x", client.sid)
    assert "not told of 'room_joined'" in caplog.text


async def test_a_worker_without_clients_is_shown(
    start: Start, connect: Connect
) -> None:
    """Node reports from the beginning, too."""
    _, one = await start("one", mode="production")
    await start("two", mode="production")
    admin = await log_in(connect, one)
    found: dict[str, int] = {}
    while len(found) < 2:
        (stats,) = await admin.next("server_stats")
        found[stats["serverId"]] = stats["clientsCount"]
    assert found == {"one": 1, "two": 0}


async def test_who_is_there_at_other_workers_is_shown_at_once(
    workers: Start, connect: Connect
) -> None:
    _, one = await workers("one")
    _, two = await workers("two")
    clients = [await connect(two) for _ in range(2)]
    admin = await log_in(connect, one)
    seen = await admin.calls("socket_connected").several(3)
    assert {found["id"] for found, _ in seen} == {
        admin.sid,
        *(client.sid for client in clients),
    }


async def test_a_page_comes_back_to_another_worker(
    workers: Start, connect: Connect
) -> None:
    _, one = await workers("one", mode="production")
    _, two = await workers("two", mode="production")
    admin = await log_in(connect, one)
    (session_id,) = await admin.next("session")
    again = await connect(two, "/admin", auth={"sessionId": session_id})
    await again.next("config")


async def test_no_figures_are_published_when_the_manager_closes(serve: Any) -> None:
    closed = []

    class Closing(Manager):
        async def close(self) -> None:
            closed.append(sio._instrumented._reporter._timer)
            await super().close()

    sio = socketio_fast.AsyncServer(client_manager=Closing(Bus()))
    sio.instrument(auth=LOGIN, server_stats_interval=60)
    server = await serve(sio)
    assert sio._instrumented._reporter._timer is not None
    await server.close()
    assert closed == [None]


@pytest.mark.parametrize("start", ["adapted", "workers"], indirect=True)
async def test_what_is_done_to_the_clients_of_all(
    start: Start, connect: Connect
) -> None:
    started = [await start("one"), await start("two")]
    disconnects = [record_disconnects(sio) for sio, _ in started]
    admin = await log_in(connect, started[0][1])
    clients = [await connect(server) for _, server in started]
    await admin.emit("join", "/", "x")
    for (sio, _), client in zip(started, clients, strict=True):
        while "x" not in sio.rooms(client.sid):
            await admin.next("room_joined")
    await admin.emit("leave", "/", "x", "x")
    for (sio, _), client in zip(started, clients, strict=True):
        while "x" in sio.rooms(client.sid):
            await admin.next("room_left")
    await admin.emit("_disconnect", "/", True)
    for disconnected, client in zip(disconnects, clients, strict=True):
        assert await disconnected.next() == (client.sid, "server disconnect")
