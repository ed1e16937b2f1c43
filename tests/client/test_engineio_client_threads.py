"""The Engine.IO client for threads, with real servers."""

from __future__ import annotations

import inspect
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import engineio as python_engineio
import pytest
from support.ports import free_port
from support.threaded_servers import Running, running
from support.waiting import WAIT

from socketio_fast import engineio, exceptions


def make_server() -> engineio.AsyncServer:
    eio = engineio.AsyncServer()

    @eio.on("message")
    async def message(sid: str, data: Any) -> None:
        if data == "close":
            await eio.disconnect(sid)
        else:
            await eio.send(sid, data)

    return eio


@pytest.fixture
def server() -> Iterator[Running]:
    with running(make_server) as server:
        yield server


@pytest.fixture
def eio() -> Iterator[engineio.Client]:
    client = engineio.Client(handle_sigint=False)
    yield client
    client.disconnect()


def gathered(eio: engineio.Client) -> Any:
    came: queue.Queue[Any] = queue.Queue()
    eio.on("message", came.put)
    return lambda: came.get(timeout=WAIT)


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], None])
def test_sends_and_receives(
    server: Running, eio: engineio.Client, transports: list[str] | None
) -> None:
    came = gathered(eio)
    assert eio.state == "disconnected"
    assert eio.sid is None
    eio.connect(server.url, transports=transports)
    assert eio.state == "connected"
    assert eio.sid
    assert eio.transport() == eio.current_transport == (transports or ["websocket"])[0]
    assert eio.ping_interval == 25
    assert eio.ping_timeout == 20
    for data in ("text", b"bytes", ["a", "list"], {"a": "dict"}):
        eio.send(data)
        assert came() == data
    eio.disconnect()
    assert eio.state == "disconnected"
    assert eio.sid is None
    eio.send("nobody hears")


def test_messages_of_one_thread_keep_their_order(
    server: Running, eio: engineio.Client
) -> None:
    got: list[Any] = []
    all_came = threading.Event()

    @server.app.on("message")
    def message(sid: str, data: Any) -> None:
        got.append(data)
        if data == "1999":
            all_came.set()

    eio.connect(server.url)
    for number in range(2_000):
        eio.send(str(number))
    assert all_came.wait(WAIT)
    assert got == [str(number) for number in range(2_000)]


def test_handlers_run_in_threads_and_may_use_the_client(
    server: Running, eio: engineio.Client
) -> None:
    happened: queue.Queue[Any] = queue.Queue()

    @eio.on("connect")
    def connect() -> None:
        time.sleep(0.05)
        happened.put("connect")

    @eio.on("message")
    def message(data: Any) -> None:
        happened.put((data, threading.current_thread().name[:21]))
        eio.disconnect()

    @eio.on("disconnect")
    def disconnect(reason: str) -> None:
        eio.disconnect()
        time.sleep(0.05)
        happened.put(reason)

    eio.connect(server.url)
    assert happened.get_nowait() == "connect"
    eio.send("hello")
    eio.wait()
    assert happened.get(timeout=WAIT) == ("hello", "socketio_fast-handler")
    assert happened.get(timeout=WAIT) == "client disconnect"


def test_wait_returns_when_the_server_has_disconnected(
    server: Running, eio: engineio.Client
) -> None:
    reasons: list[str] = []

    @eio.on("disconnect")
    def disconnect(reason: str) -> None:
        time.sleep(0.05)
        reasons.append(reason)

    eio.connect(server.url)
    eio.send("close")
    eio.wait()
    assert reasons == [eio.reason.TRANSPORT_ERROR]  # the WebSocket was closed
    eio.connect(server.url)
    eio.disconnect(abort=True)


def test_what_goes_wrong(server: Running, eio: engineio.Client) -> None:
    with pytest.raises(exceptions.ConnectionError):
        eio.connect(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ValueError, match="transports"):
        eio.connect(server.url, transports=["pigeon"])
    with pytest.raises(ValueError, match="event"):
        eio.on("anything")
    eio.connect(server.url)
    with pytest.raises(ValueError, match="not in a disconnected state"):
        eio.connect(server.url)

    async def handler() -> None: ...

    with pytest.raises(TypeError, match="AsyncClient"):
        eio.on("message", handler)
    with pytest.raises(TypeError, match="AsyncClient"):
        eio.start_background_task(handler)


def test_send_waits_while_the_server_reads_slowly(server: Running) -> None:
    eio = engineio.Client(
        handle_sigint=False, high_water_mark=100_000, max_buffer_bytes=2_000_000
    )
    sizes: queue.Queue[int] = queue.Queue()
    eio.on("message", lambda data: sizes.put(len(data)))
    eio.connect(server.url, transports=["websocket"])
    for _ in range(200):
        eio.send("x" * 50_000)
    assert [sizes.get(timeout=WAIT) for _ in range(200)] == [50_000] * 200
    eio.disconnect()


def test_a_message_that_the_server_does_not_take_is_an_error_of_send(
    eio: engineio.Client,
) -> None:
    def small() -> engineio.AsyncServer:
        return engineio.AsyncServer(max_http_buffer_size=100)

    with running(small) as server:
        eio.connect(server.url)
        with pytest.raises(ValueError, match="maxPayload=100"):
            eio.send("x" * 100)
        eio.send("x" * 99)
        assert eio.state == "connected"


def test_utilities(eio: engineio.Client) -> None:
    done = eio.create_event()
    eio.start_background_task(done.set).join(WAIT)
    assert done.is_set()
    waiting = eio.create_queue()
    with pytest.raises(eio.get_queue_empty_exception()):
        waiting.get_nowait()
    eio.sleep(0)


@pytest.mark.parametrize("name", ["Client", "AsyncClient"])
def test_names_and_signatures_are_python_engineios(name: str) -> None:
    theirs, ours = getattr(python_engineio, name), getattr(engineio, name)
    for method in dir(theirs):
        if method.startswith("_"):
            continue
        there, here = getattr(theirs, method), getattr(ours, method)
        if not inspect.isfunction(there):
            continue
        assert inspect.iscoroutinefunction(there) == inspect.iscoroutinefunction(here)
        assert [
            (p.name, p.default) for p in inspect.signature(there).parameters.values()
        ] == [
            (p.name, p.default) for p in inspect.signature(here).parameters.values()
        ], method
    assert [
        (p.name, p.default) for p in inspect.signature(theirs).parameters.values()
    ] == [
        (p.name, p.default)
        for p in inspect.signature(ours).parameters.values()
        if p.kind is p.POSITIONAL_OR_KEYWORD
    ]
