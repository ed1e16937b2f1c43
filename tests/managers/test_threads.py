"""Servers for threads, with managers of several processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from support.brokers import Redis
from support.waiting import within

import socketio_fast
from managers.conftest import Connect
from managers.in_process import Broker, Manager, Threaded
from socketio_fast import AsyncRedisManager, RedisManager, Server

Start = Callable[[Any], Awaitable[tuple[Server, str]]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """A factory: ``sio, url = await start(manager)``."""
    started: list[tuple[Server, Any]] = []

    async def make(manager: Any) -> tuple[Server, str]:
        sio = Server(client_manager=manager)
        sio.on("threads", lambda sid: threading.current_thread().name)
        serving = socketio_fast.serve(sio._server, host="127.0.0.1", port=0)
        server = await asyncio.to_thread(sio._threads.run, serving)
        started.append((sio, server))
        inner = sio.manager.async_manager
        if hasattr(inner, "_subscribed"):
            await asyncio.to_thread(sio._threads.run, inner._subscribed.wait())
        return sio, server.url

    yield make
    for sio, server in started:
        await asyncio.to_thread(sio._threads.run, server.close())
        await asyncio.to_thread(sio.shutdown)


async def hears(client: Any, sio: Server) -> None:
    """Wait until a client of python-socketio's server gets what `sio` emits: that server
    subscribes when its first client has come, and tells nobody."""
    number, heard = 0, -1
    while heard < 0:
        number += 1
        await asyncio.to_thread(sio.emit, "ready", number, to=client.sid)
        with suppress(asyncio.TimeoutError):
            _, heard = await asyncio.wait_for(client.next(), 0.5)
    while heard < number:
        _, heard = await client.next()


async def test_a_cluster_of_both_kinds(
    redis: Redis, start: Start, node: Any, their_node: Any, connect: Connect
) -> None:
    sio, url1 = await start(RedisManager(redis.url))
    other, url2 = await node(AsyncRedisManager(redis.url))
    url3 = await their_node("AsyncRedisManager", redis.url)
    a, b, c = [await connect(url) for url in (url1, url2, url3)]
    await hears(c, sio)
    assert (await a.call("threads")).startswith("socketio_fast-handler")

    def work() -> None:
        for client in (a, b, c):
            sio.enter_room(client.sid, "x")
        sio.emit("e", b"1", room="x")
        assert sio.call("double", 21, to=b.sid) == 42
        assert sio.call("double", 4, to=a.sid) == 8
        sio.leave_room(b.sid, "x")
        sio.emit("e", 2, room="x")
        sio.close_room("x")
        sio.emit("e", 3, room="x")
        sio.emit("end", namespace="/")

    await asyncio.to_thread(work)
    for client in (a, b, c):
        assert await client.next() == ("e", b"1")
    for client in (a, c):
        assert await client.next() == ("e", 2)
    for client in (a, b, c):
        await client.nothing_before("end")
    await other.emit("back", to=a.sid)
    assert await a.next() == ("back",)
    assert await other.call("double", 5, to=a.sid) == 10

    answers: asyncio.Queue[Any] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def answered(number: int) -> None:
        name = threading.current_thread().name
        loop.call_soon_threadsafe(answers.put_nowait, (number, name))

    for client in (a, b):
        await asyncio.to_thread(sio.emit, "double", 1, to=client.sid, callback=answered)
        number, name = await within(answers.get())
        assert number == 2
        assert name.startswith("socketio_fast-handler")
    assert sio.manager.callbacks == {}
    await asyncio.to_thread(sio.disconnect, c.sid)
    await within(c.ended.wait())
    assert sio.manager.is_connected(a.sid, "/")
    assert dict(sio.manager.get_participants("/", None)) == {
        a.sid: sio.manager.eio_sid_from_sid(a.sid, "/")
    }


async def test_a_subclass_with_blocking_methods(start: Start, connect: Connect) -> None:
    broker = Broker()
    manager = Threaded(broker)
    sio, url = await start(manager)
    assert sio.manager is manager
    assert manager.server is sio
    client = await connect(url)
    await asyncio.to_thread(sio.emit, "e", 1)
    assert await client.next() == ("e", 1)
    assert broker.published[0]["event"] == "e"
    manager.incoming.put(broker.published[0] | {"host_id": "h", "data": [2]})
    assert await client.next() == ("e", 2)
    manager.incoming.put(None)


async def test_a_subclass_is_called_as_python_socketio_calls_it(
    start: Start, connect: Connect
) -> None:
    calls: list[Any] = []

    class Watching(socketio_fast.Manager):
        def emit(self, *args: Any, **options: Any) -> None:
            calls.append((args, options))
            super().emit(*args, **options)

        def enter_room(self, *args: Any, **options: Any) -> None:
            calls.append((args, options))
            super().enter_room(*args, **options)

    sio, url = await start(Watching())
    client = await connect(url)

    def work() -> None:
        sio.emit("e", 1, to=client.sid)
        sio.enter_room(client.sid, "x")

    await asyncio.to_thread(work)
    assert await client.next() == ("e", 1)
    options = {"skip_sid": None, "callback": None, "ignore_queue": False}
    assert calls == [
        (("e", 1, "/"), {"room": client.sid, **options}),
        ((client.sid, "/", "x"), {}),
    ]


def test_a_manager_of_the_other_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="client_manager is for AsyncServer, Manager: "):
        Server(client_manager=Manager(Broker()))


@pytest.fixture
def sio(redis: Redis) -> Iterator[Server]:
    sio = Server(client_manager=RedisManager(redis.url))
    yield sio
    sio.shutdown()


def test_the_manager_begins_again_after_shutdown(sio: Server) -> None:
    for _ in range(2):
        sio.emit("e")
        assert sio.manager_initialized
        sio.shutdown()
        assert not sio.manager_initialized
    assert sio.manager.async_manager.lost_messages == 0  # type: ignore[attr-defined]
