"""connect(), disconnect() and wait() return when the handlers of what happened have
ended, as those of python-socketio do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.threaded_servers import Running, make_server, running, wait_until
from support.waiting import WAIT, within

import socketio_fast as socketio
from client.conftest import New
from socketio_fast import engineio, exceptions

WEBSOCKET = ["websocket"]
#: An address where nobody listens.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(make_server) as server:
        yield server


def by_handler(sio: Any, event: str, function: Callable[..., Any]) -> None:
    sio.on(event, function)


def by_listener(sio: Any, event: str, function: Callable[..., Any]) -> None:
    sio.socket().on(event, function)


def by_namespace(sio: Any, event: str, function: Callable[..., Any]) -> None:
    base = {
        socketio.AsyncClient: socketio.AsyncClientNamespace,
        socketio.Client: socketio.ClientNamespace,
    }[type(sio)]
    handler: Any = base("/")
    setattr(handler, f"on_{event}", function)
    sio.register_namespace(handler)


ways = pytest.mark.parametrize("way", [by_handler, by_listener, by_namespace])


class Slow:
    """A handler that notes that it has begun, and that it has ended."""

    def __init__(self, sio: Any, seconds: float = 0.05) -> None:
        self.notes: list[str] = []
        self._sio = sio
        self._seconds = seconds

    async def on_loop(self, *args: Any) -> None:
        self.notes.append("began")
        await asyncio.sleep(self._seconds)
        self.notes.append("ended")

    def in_thread(self, *args: Any) -> None:
        self.notes.append("began")
        self._sio.sleep(self._seconds)
        self.notes.append("ended")


@ways
async def test_connect_disconnect_and_wait(server: Running, new: New, way: Any) -> None:
    sio = new()
    connect, disconnect, kicked = Slow(sio), Slow(sio), Slow(sio)
    way(sio, "connect", connect.on_loop)
    await within(sio.connect(server.url, transports=WEBSOCKET))
    assert connect.notes == ["began", "ended"]
    by_listener(sio, "disconnect", disconnect.on_loop)
    await within(sio.disconnect())
    assert disconnect.notes == ["began", "ended"]
    by_listener(sio, "disconnect", kicked.on_loop)
    await within(sio.connect(server.url, transports=WEBSOCKET))
    await sio.emit("kick")
    await within(sio.wait())
    assert kicked.notes == ["began", "ended"]


@ways
async def test_disconnect_handlers(server: Running, new: New, way: Any) -> None:
    sio = new()
    slow = Slow(sio)
    way(sio, "disconnect", slow.on_loop)
    await within(sio.connect(server.url, transports=WEBSOCKET))
    await within(sio.disconnect())
    assert slow.notes == ["began", "ended"]


@ways
def test_in_threads(server: Running, way: Any) -> None:
    with socketio.Client(handle_sigint=False) as sio:
        connect, disconnect = Slow(sio), Slow(sio)
        way(sio, "connect", connect.in_thread)
        sio.connect(server.url, transports=WEBSOCKET)
        assert connect.notes == ["began", "ended"]
        by_listener(sio, "disconnect", disconnect.in_thread)
        sio.emit("kick")
        sio.wait()
        assert disconnect.notes == ["began", "ended"]


@ways
@pytest.mark.parametrize("url", ["refused", "unreachable"])
async def test_connect_raises_when_connect_error_handlers_have_ended(
    server: Running, new: New, way: Any, url: str
) -> None:
    sio = new()
    slow = Slow(sio)
    if url == "refused":
        sio.socket("/refused").on("connect_error", slow.on_loop)
        connecting = sio.connect(server.url, namespaces=["/refused"])
    else:
        way(sio, "connect_error", slow.on_loop)
        connecting = sio.connect(NOWHERE, transports=WEBSOCKET)
    with pytest.raises(exceptions.ConnectionError):
        await within(connecting)
    assert slow.notes == ["began", "ended"]


async def test_connect_waits_for_them_and_for_namespaces_no_longer_than_it_says(
    server: Running, new: New
) -> None:
    sio = new()
    go_on = asyncio.Event()
    sio.on("connect", go_on.wait)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await within(sio.connect(server.url, transports=WEBSOCKET, wait_timeout=0.2))
    assert 0.15 < loop.time() - began < 2
    assert sio.connected
    # Handlers of connect that go on for ever do not hold up its end, either.
    await within(sio.disconnect())
    await within(sio.wait())
    go_on.set()


def test_a_connect_handler_that_goes_on_does_not_hold_up_the_end(
    server: Running,
) -> None:
    go_on = threading.Event()
    ended = threading.Event()
    sio = socketio.Client(handle_sigint=False)
    sio.on("connect", lambda: go_on.wait(WAIT))
    sio.connect(server.url, transports=WEBSOCKET, wait_timeout=0.05)

    def end() -> None:
        sio.disconnect()
        sio.wait()
        ended.set()

    thread = threading.Thread(target=end)
    thread.start()
    try:
        wait_until(ended.is_set)
    finally:
        go_on.set()
        thread.join(WAIT)


@ways
@pytest.mark.parametrize("event", ["connect", "disconnect"])
@pytest.mark.parametrize("task", [False, True], ids=["itself", "by a task"])
async def test_a_handler_may_disconnect(
    server: Running, new: New, way: Any, event: str, task: bool
) -> None:
    """Also by ``wait_for()``, which runs it in another Task."""
    sio = new()
    notes = []

    async def handler(*args: Any) -> None:
        disconnect = sio.disconnect()
        await (asyncio.create_task(disconnect) if task else disconnect)
        notes.append(event)

    way(sio, event, handler)
    await within(sio.connect(server.url, transports=WEBSOCKET, wait_timeout=WAIT))
    assert sio.connected == (event == "disconnect")
    await within(sio.disconnect())
    await within(sio.wait())
    assert notes == [event]
    assert not sio.connected


async def test_a_handler_may_connect_elsewhere_when_connecting_has_failed(
    server: Running, new: New
) -> None:
    sio = new(reconnection=False)

    async def connect_error(data: Any) -> None:
        await sio.connect(server.url, transports=WEBSOCKET)

    sio.on("connect_error", connect_error)
    with pytest.raises(exceptions.ConnectionError):
        await within(sio.connect(NOWHERE, transports=WEBSOCKET))
    assert sio.connected
    assert await within(sio.call("ask", 1)) == 1


async def test_connect_that_tries_again_waits_for_namespaces_and_handlers(
    server: Running, new: New
) -> None:
    urls = [NOWHERE, server.url]
    sio = new(randomization_factor=0)
    slow = Slow(sio)
    sio.on("connect", slow.on_loop)
    await within(sio.connect(lambda: urls.pop(0), transports=WEBSOCKET, retry=True))
    assert sio.get_sid() is not None
    assert slow.notes == ["began", "ended"]


async def test_handlers_of_engine_io_do_not_wait_for_themselves(serve: Any) -> None:
    server = await serve(engineio.AsyncServer(), path="engine.io")
    eio = engineio.AsyncClient(handle_sigint=False)
    notes: list[str] = []

    @eio.on("connect")
    async def connect() -> None:
        await asyncio.sleep(0)
        await eio.disconnect()
        notes.append("connect")

    @eio.on("disconnect")
    async def disconnect(reason: str) -> None:
        await asyncio.sleep(0)
        await eio.wait()
        notes.append("disconnect")

    await within(eio.connect(server.url, transports=WEBSOCKET))
    await within(eio.wait())
    assert sorted(notes) == ["connect", "disconnect"]
