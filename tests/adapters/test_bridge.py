"""A fleet that moves from python-socketio's format to an adapter, without a stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from managers.app import Client, register
from managers.conftest import connect, their_node, their_servers
from support.brokers import Redis
from support.waiting import until, within

from adapters.in_memory import Bus, BusAdapter, bus, known
from socketio_fast import AsyncRedisManager, AsyncServer
from socketio_fast.adapters import ClusterAdapter

__all__ = ["bus", "connect", "their_node", "their_servers"]


@dataclass
class Fleet:
    """Servers of python-socketio and of this package, and a client of each."""

    servers: dict[str, AsyncServer]
    clients: dict[str, Client]

    async def get(self, event: tuple[Any, ...], *names: str) -> None:
        """Clients of these servers get an event, once, and the others do not."""
        for name in names:
            assert await self.clients[name].next() == event, name
        await self.quiet()

    async def quiet(self) -> None:
        """What was sent has come everywhere: nothing else is on its way."""
        for name, client in self.clients.items():
            await client.do("emit", event="end", to=client.sid)
            await client.nothing_before("end")
            assert client.events.empty(), name


@pytest.fixture
async def fleet(
    redis: Redis, bus: Bus, serve: Any, connect: Any, their_node: Any
) -> AsyncIterator[Fleet]:
    managers: dict[str, Any] = {"old": AsyncRedisManager(redis.url)}
    for name in ("bridge", "other bridge"):
        managers[name] = BusAdapter(bus)
        managers[name].bridge(AsyncRedisManager(redis.url))
    managers["new"] = BusAdapter(bus)
    servers = {name: AsyncServer(client_manager=m) for name, m in managers.items()}
    urls = {"theirs": await their_node("AsyncRedisManager", redis.url)}
    for name, sio in servers.items():
        register(sio)
        sio.of("/")
        urls[name] = (await serve(sio)).url
    for manager in (managers["old"], managers["bridge"]._bridge.manager):
        await within(manager._subscribed.wait())
    for name in ("bridge", "other bridge", "new"):
        await within(known(servers[name], 3))
    fleet = Fleet(servers, {name: await connect(url) for name, url in urls.items()})
    theirs, old = fleet.clients["theirs"], fleet.clients["old"]
    # Theirs receives when it has sent something that came back.
    while old.events.empty():
        await theirs.do("emit", event="ready", to=old.sid)
        await asyncio.sleep(0.05)
    await fleet.servers["old"].emit("begin")
    for name, client in fleet.clients.items():
        while name != "new" and await client.next() != ("begin",):
            pass
    yield fleet
    for sio in servers.values():
        await sio.manager.close()


EVERYBODY = ("theirs", "old", "bridge", "other bridge", "new")


async def test_events_come_once(fleet: Fleet) -> None:
    await fleet.servers["bridge"].emit("e", ("text", b"bytes"))
    await fleet.get(("e", "text", b"bytes"), *EVERYBODY)
    await fleet.servers["bridge"].emit("nothing")
    await fleet.get(("nothing",), *EVERYBODY)
    await fleet.clients["theirs"].do("emit", event="e", data=1)
    await fleet.get(("e", 1), "theirs", "old", "bridge", "other bridge")
    await fleet.servers["old"].emit("e", 2)
    await fleet.get(("e", 2), "theirs", "old", "bridge", "other bridge")
    await fleet.servers["new"].emit("e", 3)
    await fleet.get(("e", 3), "bridge", "other bridge", "new")


async def test_rooms_and_clients_that_are_left_out(fleet: Fleet) -> None:
    sio = fleet.servers["bridge"]
    for name in ("theirs", "old", "new"):
        await sio.enter_room(fleet.clients[name].sid, "room")
    await sio.to("room").emit("e", 1)
    await fleet.get(("e", 1), "theirs", "old", "new")
    sid = fleet.clients["old"].sid
    await sio.emit("e", 2, to="room", skip_sid=sid)
    await fleet.get(("e", 2), "theirs", "new")
    await sio.except_(sid).volatile.emit("e", 3)
    await fleet.get(("e", 3), "theirs", "bridge", "other bridge", "new")
    await sio.leave_room(fleet.clients["new"].sid, "room")
    await sio.to("room").emit("e", 4)
    await fleet.get(("e", 4), "theirs", "old")
    await sio.close_room("room")
    await sio.to("room").emit("e", 5)
    await fleet.quiet()
    await sio.sockets_join("all")
    await sio.to("all").emit("e", 6)
    await fleet.get(("e", 6), "old", "bridge", "other bridge", "new")


async def test_one_client_of_another_server(fleet: Fleet) -> None:
    sio = fleet.servers["bridge"]
    for client in fleet.clients.values():
        assert await sio.call("double", 21, to=client.sid) == 42
    for name in ("theirs", "old", "new", "other bridge"):
        await sio.disconnect(fleet.clients[name].sid)
        await within(fleet.clients[name].ended.wait())


async def test_what_servers_ask_each_other(fleet: Fleet) -> None:
    sio = fleet.servers["bridge"]
    assert await sio.server_count() == 4
    found = {socket.id for socket in await sio.fetch_sockets()}
    assert found == {
        client.sid for name, client in fleet.clients.items() if name != "theirs"
    }
    answers = await sio.timeout(5).emit_with_ack("double", 4)
    assert answers == [8] * 4
    for number, server in enumerate(fleet.servers.values()):
        server.of("/").on("number", lambda number=number: number)
    asked = await sio.of("/").server_side_emit_with_ack("number")
    assert sorted(asked) == [0, 2, 3]
    heard: list[str] = []
    for name, server in fleet.servers.items():
        server.of("/").on("hear", lambda name=name: heard.append(name))
    await sio.of("/").server_side_emit("hear")
    await until(lambda: sorted(heard) == ["new", "old", "other bridge"])


def test_what_cannot_be_bridged(bus: Bus) -> None:
    adapter: ClusterAdapter = BusAdapter(bus)
    with pytest.raises(ValueError, match="write_only"):
        adapter.bridge(AsyncRedisManager(write_only=True))
    adapter.bridge(AsyncRedisManager())
    with pytest.raises(RuntimeError, match="once"):
        adapter.bridge(AsyncRedisManager())
    adapter = BusAdapter(bus)
    AsyncServer(client_manager=adapter)
    with pytest.raises(RuntimeError, match="before a server is made"):
        adapter.bridge(AsyncRedisManager())
