"""Handlers that hold up the event loop are named in the log."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from typing import Any
from unittest import mock

import pytest
from support.sansio import Server

import socketio_fast
import socketio_fast.testing
from socketio_fast.handlers import slow as slow_handlers
from socketio_fast.handlers.slow import SlowHandlers, name_of_handler
from socketio_fast.options.config import EngineConfig

#: Twice what is told of, with room for a clock that is 16 ms behind.
THRESHOLD, BLOCKED = 0.04, 0.08


@pytest.fixture(autouse=True)
def no_handler_is_slow() -> None:
    """Here they are."""


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Any:
    """The names of handlers that were warned of since the last time."""

    def take() -> list[str]:
        names = []
        for record in caplog.records:
            if "blocked the event loop" in record.msg:
                assert record.levelno == logging.WARNING
                assert isinstance(record.args, tuple)
                name, seconds = record.args
                assert isinstance(seconds, float)
                assert BLOCKED - 0.02 < seconds < 5
                names.append(str(name).removeprefix(f"{__name__}."))
        caplog.clear()
        return names

    return take


def made(**options: Any) -> socketio_fast.AsyncServer:
    return socketio_fast.AsyncServer(slow_handler_threshold=THRESHOLD, **options)


def block() -> None:
    time.sleep(BLOCKED)


def test_a_function_that_blocks_is_named(warned: Any) -> None:
    sio = made()

    @sio.event
    def blocking(sid: str) -> None:
        block()

    @sio.event
    def quick(sid: str) -> None:
        pass

    client, _ = Server(sio).joined()
    client.text('42["quick"]')
    assert warned() == []
    client.text('42["blocking"]')
    assert [name.rpartition(".")[2] for name in warned()] == ["blocking"]


def test_it_is_named_once_in_a_while(
    warned: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = SlowHandlers(logging.getLogger("socketio_fast.server"))
    now = 1000.0
    monkeypatch.setattr(slow_handlers.time, "monotonic", lambda: now)
    for _ in range(3):
        told(block, (), None, BLOCKED)
        told(made, (), None, BLOCKED)
    assert warned() == ["block", "made"]
    now += 59
    told(block, (), None, BLOCKED)
    assert warned() == []
    now += 1
    told(block, (), None, BLOCKED)
    assert warned() == ["block"]


def test_before_and_behind_an_await(warned: Any) -> None:
    sio = made()

    @sio.event
    async def before(sid: str) -> None:
        block()
        await asyncio.sleep(0)

    @sio.event
    async def behind(sid: str) -> None:
        await asyncio.sleep(0)
        block()

    @sio.event
    async def waits(sid: str) -> None:
        for _ in range(10):
            await asyncio.sleep(BLOCKED)

    @sio.event
    async def fails(sid: str) -> None:
        await asyncio.sleep(0)
        block()
        raise ValueError

    server = Server(sio)
    client, _ = server.joined()
    for event in ("before", "behind", "waits", "fails"):
        client.text(f'42["{event}"]')
        server.loop.advance(1)
        names = [name.rpartition(".")[2] for name in warned()]
        assert names == ([] if event == "waits" else [event])


def test_every_handler_of_a_client_is_watched(warned: Any) -> None:
    sio = made()
    nsp = sio.of("/")

    @nsp.use
    def middleware(socket: Any) -> None:
        block()

    @sio.event
    def connect(sid: str, environ: Any) -> None:
        block()

    @nsp.on("connection")
    def connection(socket: Any) -> None:
        socket.on("listened", block)

    @sio.event
    def disconnect(sid: str) -> None:
        block()

    server = Server(sio)
    client, _ = server.joined()
    client.text('42["listened"]')
    client.leave()
    client.wire.lose()
    names = [name.rpartition(".")[2] for name in warned()]
    assert names == ["middleware", "connect", "block", "disconnect"]


def test_methods_of_a_class(warned: Any) -> None:
    class Chat(socketio_fast.AsyncNamespace):
        def on_function(self, sid: str) -> None:
            block()

        async def on_coroutine(self, sid: str) -> None:
            block()

        async def on_later(self, sid: str) -> None:
            await asyncio.sleep(0)
            block()

    sio = made()
    sio.register_namespace(Chat("/"))
    client, _ = Server(sio).joined()
    for event in ("function", "coroutine", "later"):
        client.text(f'42["{event}"]')
        assert [name.rpartition(".<locals>.")[2] for name in warned()] == [
            f"Chat.on_{event}"
        ]


def test_engine_io(warned: Any) -> None:
    eio = socketio_fast.engineio.AsyncServer(slow_handler_threshold=THRESHOLD)

    @eio.on("message")
    def message(sid: str, data: str) -> None:
        block()

    Server(eio).websocket().text("4a")
    assert [name.rpartition(".")[2] for name in warned()] == ["message"]


@pytest.mark.parametrize("threshold", [None, 0, 10])
def test_nothing_is_said_below_the_threshold(warned: Any, threshold: Any) -> None:
    sio = socketio_fast.AsyncServer(slow_handler_threshold=threshold)
    sio.on("blocking", lambda sid: block())
    client, _ = Server(sio).joined()
    client.text('42["blocking"]')
    assert warned() == []


def test_handlers_in_threads_may_block(warned: Any) -> None:
    # Time enough to begin a thread on a busy machine.
    sio = socketio_fast.Server(slow_handler_threshold=0.5)

    @sio.event
    def blocking(sid: str) -> str:
        time.sleep(0.75)
        return "done"

    try:
        with socketio_fast.testing.client(sio) as client:
            assert client.call("blocking") == "done"
    finally:
        sio.shutdown()
    assert warned() == []


class Callable_:
    def __call__(self) -> None: ...


def outer() -> Any:
    def inner() -> None: ...

    return inner


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (block, "block"),
        (outer(), "outer.<locals>.inner"),
        (functools.partial(functools.partial(made, a=1), b=2), "made"),
        (Callable_(), "Callable_"),
        (Callable_().__call__, "Callable_.__call__"),
    ],
)
def test_names(handler: Any, name: str) -> None:
    assert name_of_handler(handler) == f"{__name__}.{name}"


@pytest.mark.parametrize("handler", ["".join, print, [].append, mock.MagicMock(), 1])
def test_whatever_was_called_has_a_name(handler: Any) -> None:
    assert name_of_handler(handler, ("event",), handler)


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), "0.1", True])
def test_what_is_no_threshold(value: Any) -> None:
    with pytest.raises(ValueError, match=r"slow_handler_threshold=.*seconds expected"):
        EngineConfig(slow_handler_threshold=value)


def test_the_option_can_be_read() -> None:
    assert made().eio.slow_handler_threshold == THRESHOLD
    assert socketio_fast.AsyncServer().eio.slow_handler_threshold == 0.1
    assert EngineConfig(slow_handler_threshold=0).slow_handler_threshold is None
