"""Servers that nobody has any more, and that nobody has shut down."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import json
import queue
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import socketio_fast
from socketio_fast import engineio
from socketio_fast.async_pubsub_manager import AsyncPubSubManager
from socketio_fast.managers import cluster
from socketio_fast.managers.lifetime import released
from socketio_fast.pubsub_manager import PubSubManager

# Far less than the 25 seconds to the next ping.
TIMEOUT = 5.0


class Silent(AsyncPubSubManager):
    """A broker that says nothing, and is waited for."""

    async def _publish(self, data: Any) -> None:
        pass

    @released
    async def _listen(self) -> AsyncIterator[Any]:
        self._on_subscribed()
        await asyncio.sleep(3600)
        yield {}


class SilentInThreads(PubSubManager):
    """The same for threads."""

    def _publish(self, data: Any) -> None:
        pass

    @released
    def _listen(self) -> Iterator[Any]:
        stop = self._stop_listening
        self._on_subscribed()
        never: queue.SimpleQueue[Any] = queue.SimpleQueue()
        while not stop.is_set():
            with contextlib.suppress(queue.Empty):
                yield never.get(timeout=0.05)


def open_session(app: Any, path: str) -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": "EIO=4&transport=polling",
        "wsgi.input": io.BytesIO(),
    }
    answer = b"".join(app(environ, lambda status, headers: None))
    assert json.loads(answer[1:])["sid"]


def plain() -> Any:
    return socketio_fast.Server()


def engine() -> Any:
    return engineio.Server()


def instrumented() -> Any:
    sio = socketio_fast.Server()
    sio.instrument(auth=False)
    return sio


def clustered() -> Any:
    sio = socketio_fast.Server(client_manager=SilentInThreads())
    sio.instrument(auth=False)
    manager = sio.manager.async_manager
    sio._threads.run(manager.cluster.discover())
    return sio


def with_handlers() -> Any:
    sio = socketio_fast.Server()
    sio.on("x", lambda sid: sio.emit("y"))
    return sio


MADE: list[Callable[[], Any]] = [plain, engine, instrumented, clustered, with_handlers]


@pytest.mark.parametrize("make", MADE)
def test_threads_of_a_dropped_server_end_before_its_timers(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "DISCOVERY_TIME", 0)
    before = set(threading.enumerate())
    server = make()
    is_engine = isinstance(server, engineio.Server)
    app = (engineio if is_engine else socketio_fast).WSGIApp(server)
    open_session(app, server.default_path)
    threads = set(threading.enumerate()) - before
    assert threads
    del server, app
    deadline = time.monotonic() + TIMEOUT
    while any(t.is_alive() for t in threads) and time.monotonic() < deadline:
        gc.collect()
        for thread in threads:
            thread.join(0.01)
    assert not [thread.name for thread in threads if thread.is_alive()]


def async_plain() -> Any:
    return socketio_fast.AsyncServer()


def async_engine() -> Any:
    return engineio.AsyncServer()


def async_clustered() -> Any:
    sio = socketio_fast.AsyncServer(client_manager=Silent())
    sio.instrument(auth=False)
    return sio


@pytest.mark.parametrize("make", [async_plain, async_engine, async_clustered])
async def test_a_server_that_is_dropped_within_its_loop_goes(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "DISCOVERY_TIME", 0)
    before = asyncio.all_tasks()
    server = make()
    app = (engineio if make is async_engine else socketio_fast).ASGIApp(server)
    answered: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        answered.append(message)

    await app(
        {
            "type": "http",
            "method": "GET",
            "path": server.default_path,
            "query_string": b"EIO=4&transport=polling",
            "headers": [],
            "http_version": "1.1",
            "scheme": "http",
        },
        receive,
        send,
    )
    assert answered[0]["status"] == 200
    if make is async_clustered:
        await server.manager.cluster.discover()
    engine = getattr(server, "eio", server).engine
    there = [weakref.ref(server), weakref.ref(engine)]
    del server, app, engine
    for _ in range(20):
        await asyncio.sleep(0)
        gc.collect()
        if not any(found() for found in there) and asyncio.all_tasks() == before:
            break
    assert [found() for found in there] == [None, None]
    assert asyncio.all_tasks() == before
