"""Who is online, on several servers."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.brokers import Redis
from support.tcp_proxy import TcpProxy
from support.waiting import until, within

import socketio_fast
from managers.conftest import Connect
from managers.in_process import Broker, Manager, broker
from socketio_fast.sockets.presence import EVENT, Presence
from socketio_fast.sockets.roster import Change, Member

__all__ = ["broker"]

Node = Callable[..., Awaitable[tuple[socketio_fast.AsyncServer, str]]]


class Heard:
    """The changes that a server hears of."""

    def __init__(self, presence: Presence) -> None:
        self.presence = presence
        self.changes: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        for kind in ("joined", "left", "updated"):
            presence.on(kind, self._hears(kind))

    def _hears(self, kind: str) -> Callable[..., None]:
        def hear(user: str, meta: Any, room: str | None) -> None:
            self.changes.put_nowait((kind, user, meta, room))

        return hear

    async def next(self) -> tuple[Any, ...]:
        return await within(self.changes.get())


def quick(sio: socketio_fast.AsyncServer) -> Heard:
    """The presence of a server that tells of itself often."""
    presence = sio.of("/").presence
    presence.heartbeat_interval = 0.05
    presence.heartbeat_timeout = 1.0
    return Heard(presence)


@pytest.fixture
async def two(node: Node, broker: Broker) -> tuple[Heard, Heard]:
    """Two servers that know each other."""
    found = []
    for _ in range(2):
        sio, _ = await node(Manager(broker))
        found.append(quick(sio))
        await found[-1].presence.members()
    return found[0], found[1]


async def test_a_user_is_there_once_for_all_servers(two: tuple[Heard, Heard]) -> None:
    a, b = two
    await a.presence.join("ann", {"status": "here"}, room="lobby")
    for heard in two:
        assert await heard.next() == ("joined", "ann", {"status": "here"}, "lobby")
    await b.presence.join("ann", {"status": "here"}, room="lobby")
    await b.presence.join("bob", room="lobby")
    for heard in two:
        assert await heard.next() == ("joined", "bob", None, "lobby")
        assert await heard.presence.members("lobby") == {
            "ann": Member("ann", {"status": "here"}, 2),
            "bob": Member("bob", None, 1),
        }
        assert await heard.presence.members() == {}
    await a.presence.join("ann", {"status": "away"}, room="lobby")
    for heard in two:
        assert await heard.next() == ("updated", "ann", {"status": "away"}, "lobby")
    await a.presence.leave("ann", room="lobby")
    for heard in two:
        assert await heard.next() == ("updated", "ann", {"status": "here"}, "lobby")
    await a.presence.leave("ann", room="lobby")  # nothing: it is on the other server
    await b.presence.leave("ann", room="lobby")
    for heard in two:
        assert await heard.next() == ("left", "ann", {"status": "here"}, "lobby")


async def has_joined(presence: Presence, user: str, count: int) -> None:
    """Wait until a user has joined so often."""
    await until(lambda: presence._roster.members(None)[user].count == count)


async def test_users_leave_with_their_clients(
    node: Node, connect: Connect, broker: Broker
) -> None:
    sio, url = await node(Manager(broker))
    other, _ = await node(Manager(broker))
    heard = quick(other)
    await heard.presence.members()

    @sio.on("connect")
    async def connected(sid: str, environ: Any) -> None:
        await sio.of("/").presence.join("ann", sid=sid)

    tabs = [await connect(url) for _ in range(2)]
    assert await heard.next() == ("joined", "ann", None, None)
    await has_joined(heard.presence, "ann", 2)
    await tabs[0].close()
    await has_joined(heard.presence, "ann", 1)
    await tabs[1].close()
    assert await heard.next() == ("left", "ann", None, None)
    assert await heard.presence.members() == {}


async def test_a_client_that_is_refused_leaves_nobody(
    node: Node, connect: Connect
) -> None:
    sio, url = await node()
    heard = quick(sio)

    @sio.on("connect")
    async def connected(sid: str, environ: Any) -> bool:
        await sio.of("/").presence.join("ann", sid=sid)
        return False

    with pytest.raises(Exception, match="failed to connect"):
        await connect(url)
    assert await heard.next() == ("joined", "ann", None, None)
    assert await heard.next() == ("left", "ann", None, None)


async def test_a_user_who_comes_back_has_not_left(node: Node, connect: Connect) -> None:
    sio, url = await node()
    heard = quick(sio)
    heard.presence.linger = 30
    names = iter(["ann", "bob", "ann"])
    gone = asyncio.Event()

    @sio.on("connect")
    async def connected(sid: str, environ: Any) -> None:
        await sio.of("/").presence.join(next(names), sid=sid)

    sio.on("disconnect", lambda sid, reason: gone.set())
    client = await connect(url)
    assert await heard.next() == ("joined", "ann", None, None)
    await client.close()
    await within(gone.wait())
    heard.presence.linger = 0
    client = await connect(url)
    assert await heard.next() == ("joined", "bob", None, None)
    await connect(url)
    assert (await heard.presence.members())["ann"].count == 2
    await client.close()
    assert await heard.next() == ("left", "bob", None, None)


async def test_a_client_that_is_recovered_lingers_anew(node: Node, serve: Any) -> None:
    """Its first disconnection does not end the time after its second one."""
    sio = socketio_fast.AsyncServer(connection_state_recovery=True)
    heard = quick(sio)
    heard.presence.linger = 30
    server = await serve(sio)

    @sio.on("connect")
    async def connected(sid: str, environ: Any) -> None:
        await heard.presence.join("ann", sid=sid)

    client = socketio_fast.AsyncClient(reconnection_delay=0.5)
    arrived = asyncio.Event()
    client.on("an offset", arrived.set)
    async with TcpProxy(server.port) as proxy:
        await client.connect(proxy.url, transports=["websocket"])
        assert await heard.next() == ("joined", "ann", None, None)
        (sid,) = sio.of("/").sockets
        await sio.emit("an offset")  # without one nobody is recovered
        await within(arrived.wait())
        await proxy.cut()
        await until(lambda: sid in heard.presence._lingering)
        first = heard.presence._lingering[sid]
        await until(lambda: sid not in heard.presence._lingering)
        assert first.cancelled()
        await until(lambda: list(sio.of("/").sockets) == [sid])
        heard.presence.linger = 0
        await client.disconnect()
        assert await heard.next() == ("left", "ann", None, None)


async def test_what_was_lost_is_asked_for(
    two: tuple[Heard, Heard], broker: Broker
) -> None:
    a, b = two
    queues, broker.queues = broker.queues, []
    await a.presence.join("ann")
    broker.queues = queues
    assert await b.next() == ("joined", "ann", None, None)
    await a.presence.leave("ann")
    assert await b.next() == ("left", "ann", None, None)


async def test_many_users(two: tuple[Heard, Heard], node: Node, broker: Broker) -> None:
    """More than one message has; who comes later hears of all."""
    a, _ = two
    for number in range(2_500):
        await a.presence.join(f"user {number}", number)
    sio, _ = await node(Manager(broker))
    members = await sio.of("/").presence.members()
    assert len(members) == 2_500
    assert members["user 7"] == Member("user 7", 7, 1)


async def test_the_way_to_all_others_is_cut(
    two: tuple[Heard, Heard], broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody leaves who may still be there."""
    a, b = two
    await a.presence.join("ann")
    assert await b.next() == ("joined", "ann", None, None)
    monkeypatch.setattr(Manager, "healthy", False)
    queues, broker.queues = broker.queues, []
    b.presence.heartbeat_timeout = 0.1
    ticks = [b.presence._ticked]
    while len(ticks) < 10:
        await asyncio.sleep(0.02)
        if b.presence._ticked != ticks[-1]:
            ticks.append(b.presence._ticked)
    assert list(await b.presence.members()) == ["ann"]
    monkeypatch.setattr(Manager, "healthy", True)
    assert await b.next() == ("left", "ann", None, None)
    broker.queues = queues
    assert await b.next() == ("joined", "ann", None, None)


PROGRAM = """
import asyncio, sys
import socketio_fast as socketio

async def main():
    sio = socketio.AsyncServer(client_manager=socketio.AsyncRedisManager(sys.argv[1]))
    await socketio.serve(sio, host="127.0.0.1", port=0)
    presence = sio.of("/").presence
    presence.heartbeat_interval = 0.1
    await presence.join("eve")
    await presence.join("ann")
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_server_that_is_killed(
    node: Node, redis: Redis, tmp_path: Path
) -> None:
    sio, _ = await node(socketio_fast.AsyncRedisManager(redis.url))
    heard = quick(sio)
    await heard.presence.join("ann")
    assert await heard.next() == ("joined", "ann", None, None)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, redis.url), cwd=tmp_path
    )
    try:
        assert await heard.next() == ("joined", "eve", None, None)
        await has_joined(heard.presence, "ann", 2)
    finally:
        process.kill()
        await process.wait()
    assert await heard.next() == ("left", "eve", None, None)
    assert await heard.presence.members() == {"ann": Member("ann", None, 1)}


async def test_workers(node: Node, cluster: str) -> None:
    servers = [await node(cluster=cluster) for _ in range(2)]
    a, b = (quick(sio) for sio, _ in servers)
    await until(lambda: all(sio.manager._distributed for sio, _ in servers))
    await a.presence.join("ann")
    assert list(await b.presence.members()) == ["ann"]
    await a.presence.leave("ann")
    assert await b.next() == ("joined", "ann", None, None)
    assert await b.next() == ("left", "ann", None, None)


async def test_watching(two: tuple[Heard, Heard]) -> None:
    a, b = two
    await a.presence.join("ann", 1, room="lobby")
    await b.next()
    changes = b.presence.watch("lobby", current=True)
    assert await anext(changes) == Change("joined", "ann", 1, "lobby")
    await a.presence.join("ann", 1)  # in no room
    await a.presence.join("bob", 2, room="lobby")
    await a.presence.leave("ann", room="lobby")
    assert await within(anext(changes)) == Change("joined", "bob", 2, "lobby")
    assert await within(anext(changes)) == Change("left", "ann", 1, "lobby")
    await changes.aclose()
    assert not b.presence._watching


@pytest.mark.parametrize(
    "message",
    [
        None,
        {},
        {"from": "x"},
        {"from": 1, "number": 1},
        {"from": "x", "number": 1, "rows": [["room"]], "last": True},
        {"from": "x", "number": 1, "rows": [[1, 2, 3, 4, 5]], "last": True},
        {"from": "x", "number": 1, "rows": [[None, "\x1b[2J", "", "now", 5]]},
        {"from": "x", "number": 0, "changes": 5},
    ],
)
async def test_what_is_no_message(
    two: tuple[Heard, Heard], message: Any, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = two
    await a.presence._nsp.server_side_emit(EVENT, message)
    await a.presence.join("ann")
    assert await b.next() == ("joined", "ann", None, None)
    assert "a message about presence in / is ignored" in caplog.text
    assert "\x1b" not in caplog.text


async def test_what_may_not_be_said(node: Node) -> None:
    sio, _ = await node()
    presence = sio.of("/").presence
    with pytest.raises(ValueError, match="no client of / in this process"):
        await presence.join("ann", sid="nobody")
    with pytest.raises(TypeError, match=r"user=1: a string expected"):
        await presence.join(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"room=1: a string expected"):
        await presence.leave("ann", room=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"meta of 'ann': .*object"):
        await presence.join("ann", object())
    assert await presence.members() == {}


def test_threads() -> None:
    sio = socketio_fast.Server()
    presence = sio.of("/").presence
    assert presence == sio.of("/").presence
    seen: list[Any] = []
    came = threading.Event()

    @presence.on("joined")
    def joined(user: str, meta: Any) -> None:
        seen.append((user, meta, threading.current_thread() is threading.main_thread()))
        came.set()

    try:
        presence.join("ann", {"a": 1})
        assert presence.members() == {"ann": Member("ann", {"a": 1}, 1)}
        changes = presence.watch(current=True)
        assert next(changes) == Change("joined", "ann", {"a": 1}, None)
        presence.leave("ann")
        assert next(changes) == Change("left", "ann", {"a": 1}, None)
        changes.close()
        assert came.wait(20)
        assert seen == [("ann", {"a": 1}, False)]
    finally:
        sio.shutdown()
