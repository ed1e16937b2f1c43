"""Listeners of a socket: what they get, in which order, and the end of both."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import weakref
from typing import Any
from unittest.mock import Mock

import pytest
from support.sansio import errors, join
from support.socket_api import make, one

from socketio_fast.sockets.socket import Socket

# --- listeners -------------------------------------------------------------------


def test_several_listeners_of_an_event() -> None:
    """K4"""
    server, sio = make()
    client, socket = one(sio, server)
    log: list[Any] = []

    @socket.on("x")
    def first(*args: Any) -> None:
        log.append(("first", args))

    @socket.on("x")
    async def second(*args: Any) -> None:
        log.append(("second", args))

    socket.once("x", lambda *args: log.append(("once", args)))
    assert socket.listeners("x")[:2] == [first, second]
    client.text('42["x",1,{"a":2}]')
    assert log == [(n, (1, {"a": 2})) for n in ("first", "second", "once")]
    log.clear()
    socket.off("x", first)
    client.text('42["x"]')
    assert log == [("second", ())]
    socket.off("x")
    assert socket.listeners("x") == []
    client.text('42["x"]')
    assert log == [("second", ())]


def test_removing_all_listeners() -> None:
    """K4"""
    server, sio = make()
    _, socket = one(sio, server)
    for event in ("x", "y", "z"):
        socket.on(event, print)
        socket.on(event, print)
    socket.off("x", print)
    assert socket.listeners("x") == [print]
    socket.remove_all_listeners("x")
    assert socket.listeners("x") == []
    assert socket.listeners("y") == [print, print]
    socket.remove_all_listeners()
    assert socket.listeners("y") == []
    socket.off("nothing", print)


def test_a_listener_that_removes_itself_while_called() -> None:
    server, sio = make()
    client, socket = one(sio, server)
    log: list[str] = []

    def first() -> None:
        socket.off("x", first)
        log.append("first")

    socket.on("x", first)
    socket.on("x", lambda: log.append("second"))
    client.text('42["x"]')
    client.text('42["x"]')
    assert log == ["first", "second", "second"]


def test_methods_are_removed_by_what_they_are() -> None:
    class Chat:
        def on_x(self) -> None: ...

    server, sio = make()
    _, socket = one(sio, server)
    chat = Chat()
    socket.on("x", chat.on_x)
    socket.off("x", chat.on_x)
    assert socket.listeners("x") == []


def test_listeners_are_given_as_they_were_added() -> None:
    """K4: one that leaves out an argument, and one that has all attributes."""
    server, sio = make()
    client, socket = one(sio, server)
    log: list[str] = []

    def gone() -> None:
        log.append("gone")

    mock = Mock()
    socket.on("disconnect", gone)
    socket.once("disconnect", mock)
    assert socket.listeners("disconnect") == [gone, mock]
    client.leave()
    assert log == ["gone"]
    mock.assert_called_once_with("transport close")


def test_listeners_that_cannot_be_called() -> None:
    server, sio = make()
    _, socket = one(sio, server)
    with pytest.raises(TypeError, match="not callable"):
        socket.on("x", 5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="not callable"):
        socket.on_any(5)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="disconnect"):
        socket.on("disconnect")(lambda a, b: None)  # type: ignore[type-var]


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ([None], "[]"),
        ([(1, 2)], "[1,2]"),
        ([5], "[5]"),
        ([None, 0], "[0]"),
        ([None, "a", "b"], '["a"]'),
        ([None, None], "[]"),
    ],
)
def test_acknowledgements(values: list[Any], answer: str, suspends: bool) -> None:
    """K4: what the first listener returns that returns anything."""
    server, sio = make()
    client, socket = one(sio, server)
    for i, value in enumerate(values):

        async def listener(value: Any = value, i: int = i) -> Any:
            if suspends:
                await asyncio.sleep(10 - i)
            return value

        socket.on("q", listener)
    client.text('427["q"]')
    server.loop.advance(11)
    assert client.messages() == [f"437{answer}"]


def test_the_handler_comes_first() -> None:
    """K4: a function of the server and listeners of the socket get the same event."""
    server, sio = make()
    client, socket = one(sio, server)
    log: list[Any] = []

    @sio.event
    async def x(sid: str, *args: Any) -> Any:
        log.append(("handler", sid, args))
        return args[0]

    @socket.on("x")
    def listener(*args: Any) -> Any:
        log.append(("listener", args))
        return "listener"

    client.text('421["x","handler"]')
    client.text('422["x",null]')
    assert client.messages() == ['431["handler"]', '432["listener"]']
    assert log[:2] == [("handler", socket.id, ("handler",)), ("listener", ("handler",))]


def test_catch_all_handlers_and_listeners() -> None:
    server, sio = make()
    client, socket = one(sio, server)
    log: list[Any] = []
    sio.on("*", lambda *args: log.append(args))
    socket.on("x", lambda *args: log.append(args))
    client.text('42["x",1]')
    assert log == [("x", socket.id, 1), (1,)]


def test_an_event_that_nobody_listens_to() -> None:
    server, sio = make()
    client, _ = one(sio, server)
    client.text('421["x"]')
    assert client.messages() == []
    assert not client.ended()


@pytest.mark.parametrize("suspends", [False, True])
def test_errors_are_isolated(suspends: bool, caplog: pytest.LogCaptureFixture) -> None:
    """K11"""
    server, sio = make()
    client, socket = one(sio, server)
    told: list[BaseException] = []
    socket.on("error", told.append)

    @socket.on("x")
    async def bad() -> None:
        if suspends:
            await asyncio.sleep(0)
        raise KeyError("bad")

    socket.on("x", lambda: "good")
    client.text('421["x"]')
    assert client.messages() == ['431["good"]']
    assert [repr(error) for error in told] == ["KeyError('bad')"]
    assert errors(caplog) == [f"handler of 'x' failed for {socket.id} in /"]


def test_an_error_in_an_error_listener(caplog: pytest.LogCaptureFixture) -> None:
    """K11"""
    server, sio = make()
    client, socket = one(sio, server)

    @socket.on("error")
    def error(error: BaseException) -> None:
        raise error

    @sio.event
    def x(sid: str) -> None:
        raise KeyError("bad")

    client.text('42["x"]')
    assert len(errors(caplog)) == 2
    assert not client.ended()


def test_the_error_is_the_exception_that_is_handled() -> None:
    """A listener may log it by `logger.exception()`."""
    server, sio = make()
    client, socket = one(sio, server)
    handled: list[BaseException | None] = []

    @socket.use
    def refuse(event: str) -> None:
        raise PermissionError("not this")

    socket.on("error", lambda error: handled.append(sys.exc_info()[1]))
    client.text('42["x"]')
    assert [repr(error) for error in handled] == ["PermissionError('not this')"]


def test_listeners_of_one_client_in_order() -> None:
    """K12"""
    server, sio = make(async_handlers=False)
    client, socket = one(sio, server)
    log: list[Any] = []

    async def guard(event: str, *args: Any) -> None:
        await asyncio.sleep(0.1)

    socket.use(guard)
    for name in "ab":

        @socket.on("x")
        async def listener(n: int, name: str = name) -> None:
            log.append((name, n, "begins"))
            await asyncio.sleep(1)
            log.append((name, n, "ends"))

    for n in range(3):
        client.text(f'42["x",{n}]')
    server.loop.advance(10)
    assert log == [
        (name, n, what)
        for n in range(3)
        for what in ("begins", "ends")
        for name in "ab"
    ]


def test_all_events() -> None:
    """K5: K5"""
    server, sio = make()
    client, socket = one(sio, server)
    log: list[Any] = []

    @socket.on_any
    def any_(event: str, *args: Any) -> None:
        log.append(("any", event, args))

    socket.prepend_any(lambda *args: log.append(("first", *args)))
    socket.on("x", lambda *args: log.append(("x", args)))
    assert socket.listeners_any()[1] is any_
    client.text('42["x",1]')
    client.text('42["y"]')
    assert log == [
        ("first", "x", 1),
        ("any", "x", (1,)),
        ("x", (1,)),
        ("first", "y"),
        ("any", "y", ()),
    ]
    socket.off_any(any_)
    assert len(socket.listeners_any()) == 1
    socket.off_any()
    assert socket.listeners_any() == []


@pytest.mark.parametrize("suspends", [False, True])
def test_guards_of_a_socket(suspends: bool) -> None:
    """N10"""
    server, sio = make()
    client, socket = one(sio, server)
    log: list[Any] = []

    @socket.use
    async def guard(event: str, *args: Any) -> None:
        log.append(("guard", event, args))
        if suspends:
            await asyncio.sleep(0)
        if event == "bad":
            raise PermissionError("not this")

    socket.use(lambda *args: log.append("second"))
    sio.on("*", lambda *args: log.append("handler"))
    socket.on("good", lambda *args: log.append(("good", args)))
    socket.on("bad", lambda *args: log.append("never"))
    socket.on("error", lambda error: log.append(repr(error)))
    client.text('42["good",1]')
    assert log == [("guard", "good", (1,)), "second", "handler", ("good", (1,))]
    log.clear()
    client.text('421["bad"]')
    assert log == [("guard", "bad", ()), "PermissionError('not this')"]
    assert client.messages() == []
    assert sio.eio.counters["refused_events"] == 1


def test_a_refused_event_that_nobody_hears_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """N10"""
    server, sio = make()
    client, socket = one(sio, server)

    @socket.use
    def guard(event: str) -> None:
        raise PermissionError("not this")

    client.text('42["x"]')
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "not this" in record.getMessage()


# --- the end ---------------------------------------------------------------------


@pytest.mark.parametrize("suspends", [False, True])
def test_disconnecting_is_told_in_the_rooms(suspends: bool) -> None:
    """K7"""
    server, sio = make()
    log: list[Any] = []

    @sio.of("/").on("connection")
    def connection(socket: Socket) -> None:
        socket.join(["a", "b"])
        socket.data["x"] = 1

        @socket.on("disconnecting")
        async def disconnecting(reason: str) -> None:
            if suspends:
                await asyncio.sleep(0)
            log.append(("disconnecting", reason, socket.rooms == {socket.id, "a", "b"}))

        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            log.append(("disconnect", reason, socket.rooms, socket.data))

    sio.on("disconnect", lambda sid, reason: log.append("handler"))
    client, _ = server.joined()
    client.text("41")
    first, second = log[0], log[1]
    if suspends:
        first, second = second, first
    assert first == ("disconnecting", "client disconnect", True)
    assert second == "handler"
    assert log[2:] == [("disconnect", "client disconnect", set(), {"x": 1})]


def test_disconnect_listeners_without_a_reason() -> None:
    """K7"""
    server, sio = make()
    client, socket = one(sio, server)
    log: list[str] = []
    socket.on("disconnect")(lambda: log.append("gone"))
    client.wire.lose()
    assert log == ["gone"]


@pytest.mark.parametrize("close", [False, True])
def test_disconnect(close: bool) -> None:
    """K9"""
    server, sio = make()
    sio.of("/other")
    reasons: list[str] = []
    sio.of("/other").on(
        "connection", lambda s: s.on("disconnect")(reasons.append) and None
    )
    client, socket = one(sio, server)
    join(client, "/other")
    socket.disconnect(close)
    assert client.messages()[0] == "41"
    assert client.ended() is close
    assert reasons == (["server disconnect"] if close else [])
    assert not socket.connected
    socket.disconnect()


def test_disconnect_may_be_waited_for() -> None:
    """K9"""
    server, sio = make()
    _, socket = one(sio, server)
    log: list[str] = []

    @socket.on("disconnecting")
    async def disconnecting(reason: str) -> None:
        await asyncio.sleep(1)
        log.append("ended")

    async def go() -> None:
        await socket.disconnect()
        log.append("waited")

    with server.loop.running():
        server.loop.create_task(go())
    server.loop.advance(2)
    assert log == ["ended", "waited"]


@pytest.mark.parametrize("suspends", [False, True])
def test_a_client_that_has_gone_leaves_no_cycle(suspends: bool) -> None:
    server, sio = make()
    refs: list[weakref.ref[Socket]] = []

    @sio.of("/").on("connection")
    async def connection(socket: Socket) -> None:
        refs.append(weakref.ref(socket))
        socket.on("x", lambda: socket.emit("y"))
        socket.on_any(lambda *args: socket.id)
        socket.on_any_outgoing(lambda *args: socket.id)
        socket.use(lambda *args: socket.id)
        socket.on("disconnect", lambda reason: socket.id)
        assert socket.handshake
        if suspends:
            await asyncio.sleep(1)
            socket.on("late", lambda: socket.id)
            socket.on_any(lambda *args: socket.id)

    client, _ = server.joined()
    client.text('42["x"]')
    gc.collect()
    gc.disable()
    try:
        client.leave()
        server.loop.advance(2)
        assert refs[0]() is None
    finally:
        gc.enable()
