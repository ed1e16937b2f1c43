"""Servers for threads beside handlers that do not end, or raise what ends programs."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import socketio_fast
from socketio_fast import engineio, testing
from socketio_fast._core.http.foreign import ForeignWebSocket
from socketio_fast._core.http.request import make_request
from socketio_fast.threads.loop import LoopThread

TIMEOUT = 10.0


class Held:
    """Handlers that run until the test ends."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.running = threading.Semaphore(0)
        self.began: list[Any] = []
        self.left = threading.Event()

    def handler(self, *args: Any) -> None:
        self.began.append(args[-1])
        self.running.release()
        self.let_go.wait(TIMEOUT)

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self.running.acquire(timeout=TIMEOUT)


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.let_go.set()


@pytest.fixture
def make() -> Iterator[Callable[..., socketio_fast.Server]]:
    servers: list[socketio_fast.Server] = []

    def make(**options: Any) -> socketio_fast.Server:
        sio = socketio_fast.Server(**options)
        sio.on("hello", lambda sid: "hello")
        servers.append(sio)
        return sio

    yield make
    for sio in servers:
        sio.shutdown()


class Hold(socketio_fast.Namespace):
    """A class-based namespace."""

    held: Held

    def on_hold(self, *args: Any) -> None:
        self.held.handler(*args)


def listening(sio: socketio_fast.Server, held: Held, how: str) -> None:
    """Handle `hold` in one of the ways there are."""
    if how == "function":
        sio.on("hold", held.handler)
    elif how == "any event":
        sio.on("*", held.handler)
    elif how == "any namespace":
        sio.on("hold", held.handler, namespace="*")
    elif how == "class":
        namespace = Hold("/")
        namespace.held = held
        sio.register_namespace(namespace)
    elif how == "class of any namespace":
        namespace = Hold("*")
        namespace.held = held
        sio.register_namespace(namespace)
    elif how == "trigger":

        def trigger(event: str, namespace: str, sid: str, *args: Any) -> str | None:
            if event == "hold":
                held.handler(*args)
            elif event == "disconnect":
                held.left.set()
            return event

        sio._trigger_event = trigger
    else:
        name = "on" if how == "listener" else how

        @sio.of("/").on("connection")
        def connection(socket: Any) -> None:
            if name == "on":
                socket.on("hold", held.handler)
            else:
                getattr(socket, name)(
                    lambda event, *args: event == "hold" and held.handler(*args)
                )


@pytest.mark.parametrize(
    "how",
    [
        "function",
        "any event",
        "any namespace",
        "class",
        "class of any namespace",
        "trigger",
        "listener",
        "use",
        "on_any",
    ],
)
def test_handlers_of_one_client_that_do_not_end_hold_up_nobody_else(
    make: Callable[..., socketio_fast.Server], held: Held, how: str
) -> None:
    sio = make(max_workers=8)
    listening(sio, held, how)
    with testing.client(sio) as one, testing.client(sio) as other:
        for n in range(400):
            one.emit("hold", n)
        held.wait(2)
        assert other.call("hello") == "hello"
        assert len(held.began) == 2
        sio.on("disconnect", lambda sid, reason: held.left.set())
        one.disconnect()
        assert held.left.wait(TIMEOUT)
        assert other.call("hello") == "hello"
        assert len(held.began) == 2
        held.let_go.set()


def test_messages_of_engine_io_have_the_share_too(held: Held) -> None:
    eio = engineio.Server(max_workers=8)
    eio.on("message", held.handler)
    try:
        sessions = [Recorded(eio) for _ in range(2)]
        for n in range(10):
            sessions[0].say(str(n))
        held.wait(2)
        sessions[1].say("other")
        held.wait(1)
        assert held.began[-1] == "other"
        assert len(held.began) == 3
    finally:
        held.let_go.set()
        eio.shutdown()


class Recorded:
    """A client of Engine.IO."""

    def __init__(self, eio: engineio.Server) -> None:
        self._eio = eio
        eio._threads.call(self._connect)

    def _connect(self) -> None:
        target = b"/engine.io/?EIO=4&transport=websocket"
        request = make_request("GET", target, [(b"Host", b"x")])
        self._websocket = ForeignWebSocket(self._eio.engine, request, request)
        self._websocket.begin(lambda: None)

    def say(self, text: str) -> None:
        self._eio._threads.call(self._websocket.receive, "4" + text)


def test_a_client_can_be_given_more_threads(
    make: Callable[..., socketio_fast.Server], held: Held
) -> None:
    sio = make(max_workers=8, max_workers_per_client=7)
    sio.on("hold", held.handler)
    with testing.client(sio) as client:
        for n in range(10):
            client.emit("hold", n)
        held.wait(7)
        assert not held.running.acquire(timeout=0.05)
        held.let_go.set()


def test_waiting_events_of_a_client_count_as_pending(
    make: Callable[..., socketio_fast.Server], held: Held
) -> None:
    sio = make(max_workers=8, max_pending_events=20)
    sio.on("hold", held.handler)
    with testing.client(sio) as client, testing.client(sio) as other:
        for n in range(30):
            client.emit("hold", n)
        held.wait(2)
        assert other.call("hello") == "hello"
        assert sio.eio.engine.counters["paused_clients"] == 1
        held.let_go.set()
        held.wait(28)
    assert sorted(held.began) == list(range(30))


@pytest.mark.parametrize("value", [0, -1, 1.5])
@pytest.mark.parametrize("kind", [socketio_fast.Server, engineio.Server])
def test_the_share_is_a_positive_number(kind: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=r"max_workers_per_client=.*: a positive"):
        kind(max_workers_per_client=value)


# --- what ends programs ---------------------------------------------------------

RAISED = {
    "SystemExit": lambda: sys.exit(3),
    "KeyboardInterrupt": lambda: _raise(KeyboardInterrupt()),
    "CancelledError": lambda: _raise(asyncio.CancelledError()),
    "GeneratorExit": lambda: _raise(GeneratorExit()),
    "Failed": lambda: pytest.fail("x"),
}


def _raise(error: BaseException) -> None:
    raise error


@pytest.fixture(params=RAISED)
def ends(request: pytest.FixtureRequest) -> Callable[[], object]:
    return RAISED[request.param]  # type: ignore[return-value]


def test_a_connect_handler_that_raises_it_refuses(
    make: Callable[..., socketio_fast.Server], ends: Callable[[], object]
) -> None:
    sio = make()

    @sio.event
    def connect(sid: str, environ: Any, auth: Any) -> None:
        if auth:
            sio.enter_room(sid, "room")
            ends()

    with testing.client(sio) as other:
        with pytest.raises(socketio_fast.exceptions.ConnectionRefusedError):
            testing.client(sio, auth={"end": True}).__enter__()
        assert sio._hub.namespaces["/"].rooms.members("room") == []
        assert other.call("hello") == "hello"


def test_an_event_handler_that_raises_it_keeps_the_client(
    make: Callable[..., socketio_fast.Server],
    ends: Callable[[], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    sio = make()
    sio.on("end", lambda sid: ends())
    with testing.client(sio) as client:
        client.emit("end")
        assert client.call("hello") == "hello"
        assert client.connected


def test_an_acknowledgement_and_a_disconnect_handler_that_raise_it(
    make: Callable[..., socketio_fast.Server], ends: Callable[[], object]
) -> None:
    sio = make()
    called = threading.Semaphore(0)

    def end(*args: Any) -> None:
        called.release()
        ends()

    sio.on("disconnect", end)
    with testing.client(sio) as client, testing.client(sio) as other:
        client.on("ask", lambda: "answer")
        sio.emit("ask", to=client.sid, callback=end)
        assert called.acquire(timeout=TIMEOUT)
        assert client.call("hello") == "hello"
        client.disconnect()
        assert called.acquire(timeout=TIMEOUT)
        assert other.call("hello") == "hello"


def test_the_thread_of_an_event_loop_goes_on(
    ends: Callable[[], object], caplog: pytest.LogCaptureFixture
) -> None:
    thread = LoopThread()
    done = threading.Event()
    thread.post(ends)
    thread.post(done.set)
    assert done.wait(TIMEOUT)
    thread.post(thread.loop.call_soon, ends)
    assert thread.run(asyncio.sleep(0.01, "later")) == "later"

    async def end() -> None:
        ends()

    async def end_later() -> None:
        await asyncio.sleep(0)
        ends()

    for coroutine in (end(), end_later()):
        with pytest.raises(BaseException):  # noqa: B017
            thread.run(coroutine)
    assert thread.run(asyncio.sleep(0, "still")) == "still"
    thread.post(thread.loop.call_soon, ends)
    thread.stop(TIMEOUT)
    assert not thread.running
