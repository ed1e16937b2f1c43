"""Python's garbage collector does not look at clients that are connected."""

from __future__ import annotations

import asyncio
import gc
import os
import weakref
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop
from support.hosts import compiled
from support.raw import WebSocket, join, turns, websocket
from support.waiting import until

import socketio_fast
from socketio_fast import engineio
from socketio_fast._core.http.epoll import AVAILABLE

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="needs epoll")

# What a client consists of.
PARTS = {
    "CallbackHandler",
    "ConnectionHandler",
    "Deadline",
    "Peer",
    "Session",
    "SocketTransport",
    "WebSocket",
    "Writer",
}


def tracked() -> list[str]:
    """The parts of clients that the collector looks at, by their types."""
    return sorted(
        type(found).__name__
        for found in gc.get_objects()
        if type(found).__module__.startswith("socketio_fast._core.")
        and type(found).__name__ in PARTS
    )


class Place:
    """Where a server is."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port


def session_of(sio: Any) -> Any:
    (session,) = sio.eio.engine.sessions.values()
    return session


async def all_gone(sio: Any) -> None:
    """Wait until no client is left, and collect what they have left."""
    await until(lambda: not sio.eio.engine.sessions)
    await turns()
    gc.collect()


class Cycle:
    """Refers to what refers to it."""

    def __init__(self, other: Any) -> None:
        self.other = other


async def test_a_client_costs_it_nothing() -> None:
    sio = socketio_fast.AsyncServer()
    async with compiled(sio) as url:
        gc.collect()
        before = tracked()
        async with await join(Place(url)) as client:
            assert tracked() == before
            (peer,) = session_of(sio).handler.peers
            await sio.enter_room(peer.sid, "room")
            assert not gc.is_tracked(peer.rooms)
            del peer
            await sio.emit("x", 1, to="room")
            assert await client.message() == '42["x",1]'
            await client.text("40/")  # again, which nobody needs
            await client.text('42["x"]')
            assert tracked() == before
            await sio.emit("y")
            assert "y" in str(await client.message())
            assert tracked() == before
            session = weakref.ref(session_of(sio))
        await until(lambda: session() is None)
        assert tracked() == before


async def test_a_client_of_engineio() -> None:
    eio = engineio.AsyncServer()
    async with compiled(eio) as url:
        gc.collect()
        before = tracked()
        target = websocket(path="/engine.io/")
        async with await WebSocket.upgrade(Place(url), target) as client:
            await client.open_packet()
            assert tracked() == before


async def test_one_that_upgrades() -> None:
    sio = socketio_fast.AsyncServer()
    async with compiled(sio) as url:
        client = socketio_fast.AsyncClient(reconnection=False)
        await client.connect(url, transports=["polling"])
        polling = session_of(sio)
        assert gc.is_tracked(polling)  # nothing holds it between two polls
        await client.disconnect()
        await until(lambda: not sio.eio.engine.sessions)
        await client.connect(url)
        session = session_of(sio)
        await until(lambda: session.upgraded)
        (peer,) = session.handler.peers
        assert not gc.is_tracked(session)
        assert not gc.is_tracked(session.handler)
        assert not gc.is_tracked(peer)
        await client.disconnect()
        await until(lambda: not sio.eio.engine.sessions)
        assert gc.is_tracked(session)
        assert gc.is_tracked(peer)


async def test_cycles_of_the_program_with_a_client_that_has_gone() -> None:
    sio = socketio_fast.AsyncServer()
    async with compiled(sio) as url:
        async with await join(Place(url)):
            session = session_of(sio)
            session.session["cycle"] = Cycle(session)
            found = weakref.ref(session)
            del session
            gc.collect()
            assert found() is not None
        await all_gone(sio)
        assert found() is None


class Room:
    """One that knows a client."""


async def test_a_room_that_knows_a_client_that_has_gone() -> None:
    sio = socketio_fast.AsyncServer()
    async with compiled(sio) as url:
        async with await join(Place(url)):
            (peer,) = session_of(sio).handler.peers
            room: Any = Room()
            room.peer = peer
            await sio.enter_room(peer.sid, room)
            found = weakref.ref(room)
            del peer, room
            gc.collect()
            assert found() is not None
        await all_gone(sio)
        assert found() is None


async def test_a_namespace_that_a_client_has_left() -> None:
    sio = socketio_fast.AsyncServer(namespaces="*")
    async with compiled(sio) as url, await join(Place(url)) as client:
        await client.text("40/other,")
        assert "other" in str(await client.message())
        main, other = session_of(sio).handler.peers
        assert not gc.is_tracked(main)
        assert not gc.is_tracked(other)
        await client.text("41/other,")
        await until(lambda: len(session_of(sio).handler.peers) == 1)
        assert gc.is_tracked(other)
        assert not gc.is_tracked(main)


async def begin() -> tuple[weakref.ref[Any], Any]:
    """A server with a client that is not closed: a reference to its session, and the
    client."""
    sio = socketio_fast.AsyncServer()
    running = await socketio_fast.serve(sio, port=0)
    client = await join(Place(running.url))
    session = session_of(sio)
    (peer,) = session.handler.peers
    room: Any = Room()
    room.peer, room.sio = peer, sio
    await sio.enter_room(peer.sid, room)
    gc.collect()
    assert not gc.is_tracked(session)
    return weakref.ref(session), client


@pytest.mark.parametrize(
    ("new_loop", "closed"),
    [
        pytest.param(asyncio.new_event_loop, True, id="asyncio, closed"),
        pytest.param(asyncio.new_event_loop, False, id="asyncio, dropped"),
        # One of uvloop's with open handles is never collected.
        pytest.param(uvloop.new_event_loop, True, id="uvloop, closed"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_clients_of_a_loop_that_has_ended(
    new_loop: Callable[[], Any], closed: bool
) -> None:
    gc.collect()
    loop = new_loop()
    before = len(os.listdir("/proc/self/fd"))
    found, client = loop.run_until_complete(begin())
    loop.set_exception_handler(lambda loop, context: None)
    assert found() is not None
    if closed:
        loop.close()
    del loop, client
    gc.collect()
    assert found() is None
    assert len(os.listdir("/proc/self/fd")) <= before
