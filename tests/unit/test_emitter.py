"""emit() returns a coroutine that is an object of its own."""

from __future__ import annotations

import asyncio
import inspect
import threading
from unittest import mock

import pytest

import socketio_fast
from socketio_fast import testing


@pytest.fixture
def sio() -> socketio_fast.AsyncServer:
    return socketio_fast.AsyncServer()


def test_it_is_a_coroutine_to_asyncio(sio) -> None:
    emission = sio.emit("e")
    assert asyncio.iscoroutine(emission)
    assert inspect.isawaitable(emission)
    emission.close()


async def test_mocks_take_it_for_a_coroutine_function() -> None:
    for kind in (mock.AsyncMock, mock.MagicMock):
        sio = kind(spec=socketio_fast.AsyncServer)
        await sio.emit("e", 1, to="x")
        sio.emit.assert_awaited_once_with("e", 1, to="x")
        await sio.call("e")
        assert sio.rooms is not None


async def test_it_can_be_a_task(sio) -> None:
    assert await asyncio.create_task(sio.emit("e", 1)) is None
    assert await asyncio.wait_for(sio.emit("e", 1), 5) is None
    assert await asyncio.gather(sio.emit("e"), sio.emit("e")) == [None, None]
    assert await sio.start_background_task(sio.emit, "e") is None


async def test_it_runs_on_the_loop_that_another_thread_gives_it_to(sio) -> None:
    loop = asyncio.get_running_loop()
    result: list[None] = []

    def emit() -> None:
        future = asyncio.run_coroutine_threadsafe(sio.emit("e", 1), loop)
        result.append(future.result(5))

    thread = threading.Thread(target=emit)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert result == [None]


async def test_nothing_happens_before_it_is_awaited(sio) -> None:
    sio.on("x", lambda sid: None)  # which opens the namespace
    emission = sio.emit("e", object())
    with pytest.raises(TypeError, match="not JSON serializable"):
        await emission


@pytest.mark.parametrize("kind", ["AsyncServer", "Server"])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("e", object()), TypeError, "not JSON serializable"),
        (("connect", 1), ValueError, "reserved event name"),
        (("e", 1, None, None, None, "chat"), ValueError, "a slash; write '/chat'"),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_the_namespace_is_there(
    kind: str, arguments: tuple[object, ...], error: type[Exception], message: str
) -> None:
    server = getattr(socketio_fast, kind)()

    async def emit() -> None:
        result = server.emit(*arguments)
        if kind == "AsyncServer":
            await result

    with pytest.raises(error, match=message):
        await emit()


@pytest.mark.parametrize("data", ["text", b"bytes"])
async def test_a_reserved_name_with_one_argument(sio, data: str | bytes) -> None:
    sio.on("x", lambda sid: None)  # which opens the namespace
    for name in ("connect", "disconnect", "connect_error"):
        with pytest.raises(ValueError, match=f"'{name}' is a reserved event name"):
            await sio.emit(name, data)
    await sio.emit("connected", data)


@pytest.mark.parametrize("data", ["text", "\xe9", b"bytes"])
@pytest.mark.parametrize("to", [None, "a room", "their own"])
async def test_one_argument_reaches_clients_and_who_listens(
    sio, data: str | bytes, to: str | None
) -> None:
    seen: list[tuple[object, ...]] = []
    async with testing.client(sio) as client:
        await sio.enter_room(client.sid, "a room")
        room = client.sid if to == "their own" else to
        for listening in (False, True):
            if listening:
                socket = sio.of("/").sockets[client.sid]
                socket.on_any_outgoing(lambda *args: seen.append(args))
            await sio.emit("e", data, to=room)
            assert await client.expect("e") == data
        await sio.emit("e", data, to=room, skip_sid=client.sid)
        await sio.emit("last")
        await client.expect("last")
    assert seen == [("e", data), ("last",)]


async def test_the_main_namespace_may_end_and_begin_again(sio) -> None:
    hub = sio._hub
    for _ in range(2):
        async with testing.client(sio) as client:
            await sio.emit("e", "text")
            assert await client.expect("e") == "text"
        hub.release("/")
        assert "/" not in hub.namespaces
        await sio.emit("e", "text")
        with pytest.raises(ValueError, match="reserved event name"):
            await sio.emit("connect", "text")
        sio.on("x", lambda sid: None)


async def test_what_can_be_sent_to_a_namespace_that_is_not_there_is_sent_to_nobody(
    sio,
) -> None:
    await sio.emit("e", (1, b"bytes"), namespace="/nowhere")


async def test_it_can_be_awaited_once(sio) -> None:
    emission = sio.emit("e")
    await emission
    with pytest.raises(RuntimeError, match="already awaited"):
        await emission


def test_what_is_thrown_into_it_comes_out(sio) -> None:
    with pytest.raises(asyncio.CancelledError):
        sio.emit("e").throw(asyncio.CancelledError())
    with pytest.raises(ValueError, match="x"):
        sio.emit("e").throw(ValueError, ValueError("x"))


def test_one_that_is_forgotten_is_warned_of(sio) -> None:
    with pytest.warns(RuntimeWarning, match="'AsyncServer.emit' was never awaited"):
        sio.emit("e")
