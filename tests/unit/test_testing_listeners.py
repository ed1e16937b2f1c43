"""Listeners of the test client: those of the real client's sockets."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import socketio_fast
from socketio_fast import testing
from socketio_fast.clients.socket import ClientSocket


async def test_several_listeners_and_those_that_listen_once() -> None:
    sio = socketio_fast.AsyncServer(namespaces="*")
    item = socketio_fast.Event[int]("item")
    got: list[Any] = []
    async with testing.client(sio) as client:

        @client.on(item)
        async def first(number: int) -> None:
            got.append(("first", number))

        @client.once(item)
        def second(number: int) -> int:
            got.append(("once", number))
            return number * 2

        @client.on("item")
        def third(number: int) -> int:
            got.append(("third", number))
            return number

        assert client.listeners("item") == [first, second, third]
        # The first value, in the order of the listeners, acknowledges.
        assert await sio.call("item", 1, to=client.sid) == 2
        assert await sio.call("item", 2, to=client.sid) == 2
        client.off("item", third)
        assert await sio.call("item", 3, to=client.sid) is None
        client.remove_all_listeners()
        await sio.emit("item", 4)
        await testing.settle()
    assert got == [
        *(("first", 1), ("once", 1), ("third", 1)),
        *(("first", 2), ("third", 2)),
        ("first", 3),
    ]


async def test_catch_all_listeners() -> None:
    sio = socketio_fast.AsyncServer(namespaces="*")
    sio.on("echo", lambda sid, *args: args)
    got: list[Any] = []
    async with testing.client(sio) as client:

        async def came(*args: Any) -> str:
            got.append(("in", args))
            return "ignored"

        def sent(*args: Any) -> None:
            got.append(("out", args))

        client.on_any(came)
        client.on_any_outgoing(sent)
        client.on("question", lambda *args: got.append("question"))
        assert await sio.call("question", (1, 2), to=client.sid) is None
        await client.emit("echo", b"1")
        assert await client.call("echo", 2) == 2
        client.off_any(came)
        client.off_any_outgoing()
        await sio.emit("question")
        await client.emit("echo")
        await testing.settle()
    assert got == [
        *(("in", ("question", 1, 2)), "question"),
        *(("out", ("echo", b"1")), ("out", ("echo", 2))),
        "question",
    ]


@pytest.mark.parametrize("by", ["client", "server", "network"])
async def test_disconnect_ends_the_iteration_and_is_told(by: str) -> None:
    sio = socketio_fast.AsyncServer(namespaces="*")
    reasons: list[str] = []
    async with testing.client(sio) as client:
        client.on("disconnect", reasons.append)
        events = client.events("price", size=2)
        coming = anext(events)
        for number in range(3):
            await sio.emit("price", number)
        await sio.emit("price", (3, 4))
        first = await coming
        if by == "client":
            await client.disconnect()
        elif by == "server":
            await sio.disconnect(client.sid)
        else:
            await client.connection.lose()
        assert [first, *[args async for args in events]][-1] == (3, 4)
        await testing.settle()
        assert reasons == [client.reason]


@pytest.mark.parametrize("way", ["on", "once", "on_any", "on_any_outgoing"])
@pytest.mark.parametrize("error", [ZeroDivisionError, pytest.fail.Exception])
async def test_what_a_listener_raises_is_raised_in_the_test(
    way: str, error: type[BaseException]
) -> None:
    sio = socketio_fast.AsyncServer(namespaces="*")
    sio.on("echo", lambda sid, *args: args)

    def listener(*args: Any) -> None:
        raise error("of the test")

    async with testing.client(sio) as client:
        if way in ("on", "once"):
            getattr(client, way)("bad", listener)
        else:
            getattr(client, way)(listener)
        with pytest.raises(error, match="of the test"):  # noqa: PT012
            await sio.emit("bad")
            await client.call("echo", 1)
            await client.call("echo", 1)


def test_for_threads_they_run_in_threads() -> None:
    sio = socketio_fast.Server(namespaces="*")
    sio.on("echo", lambda sid, *args: args)
    loop_threads: list[bool] = []
    try:
        with testing.client(sio) as client:
            asked = threading.Event()

            @client.once("question")
            def question(number: int) -> int:
                asked.set()
                # A method that waits for the event loop.
                return int(client.call("echo", number)) + 1

            @client.on("coroutine")
            async def coroutine() -> str:
                loop_threads.append(threading.current_thread() is not main)
                return "as before"

            main = threading.current_thread()
            client.on_any(lambda event, *args: loop_threads.append(False))
            assert sio.call("question", 1, to=client.sid) == 2
            assert asked.is_set()
            assert sio.call("coroutine", to=client.sid) == "as before"
            assert True in loop_threads
            assert client.listeners("coroutine") == [coroutine]
            client.off("coroutine")
            events = client.events("price")
            got = threading.Event()

            def emit() -> None:
                while not got.wait(0.01):  # until the iteration has begun
                    sio.emit("price", 5)

            emitting = threading.Thread(target=emit)
            emitting.start()
            assert next(events) == 5
            got.set()
            emitting.join(20)
            events.close()
    finally:
        sio.shutdown()


@pytest.mark.parametrize("kind", [testing.Client, testing.SyncClient])
def test_it_has_the_listening_methods_of_the_real_client(kind: type) -> None:
    of_real = [
        *("on", "once", "off", "listeners", "remove_all_listeners", "events"),
        *(name for name in dir(ClientSocket) if "any" in name and name[0] != "_"),
    ]
    assert "on_any_outgoing" in of_real
    assert [name for name in of_real if not hasattr(kind, name)] == []
