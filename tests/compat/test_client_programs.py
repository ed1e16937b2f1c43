"""Programs of python-socketio's client, which do the same with both packages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.waiting import until

from compat.client_harness import Note, compared, package_name

WEBSOCKET = ["websocket"]


async def test_connect_events_of_namespaces_and_an_echo() -> None:
    async def run(sio: Any, url: str, note: Note) -> None:
        connected = []
        for namespace in ("/", "/chat"):
            sio.on("connect", lambda ns=namespace: connected.append(ns), namespace)
        await sio.connect(url, transports=WEBSOCKET, wait_timeout=5)
        note(sorted(connected), sorted(sio.namespaces), sio.connected)
        note(await sio.call("echo", ("a", 1, None), namespace="/chat"))
        note(sio.transport(), type(sio.get_sid("/chat")))

    assert (await compared(run))[0] == (["/", "/chat"], ["/", "/chat"], True)


async def test_catch_all_handlers_and_named_ones() -> None:
    async def run(sio: Any, url: str, note: Note) -> None:
        seen: list[Any] = []

        @sio.on("*", namespace="*")
        def anything(event: str, namespace: str, *args: Any) -> None:
            seen.append(("* *", event, namespace, args))

        @sio.on("*")
        def any_event(event: str, *args: Any) -> None:
            seen.append(("*", event, args))

        @sio.event
        def item(number: int) -> None:
            seen.append(("item", number))

        await sio.connect(url, transports=WEBSOCKET, namespaces=["/", "/chat"])
        await sio.call("burst", 2)
        await sio.call("echo", "x")
        await sio.call("echo", "y", namespace="/chat")
        await until(lambda: len(seen) == 4)
        note(seen)

    (noted,) = await compared(run)
    assert len(noted[0]) == 4


async def test_a_handlers_value_is_the_ack() -> None:
    async def run(sio: Any, url: str, note: Note) -> None:
        answers: list[Any] = []
        values: list[Any] = [None, "one", ("two", 2), [1, 2], b"\x00"]
        sio.on("answered", lambda answer: answers.append(answer))
        sio.on("question", lambda *args: values[len(answers)])
        await sio.connect(url, transports=WEBSOCKET)
        for count in range(len(values)):
            await sio.emit("ask", "why")
            await until(lambda count=count: len(answers) > count)
        note(answers)

    (noted,) = await compared(run)
    assert noted == ([[], ["one"], ["two", 2], [[1, 2]], [b"\x00"]],)


async def test_callbacks_get_the_arguments_of_the_ack() -> None:
    async def run(sio: Any, url: str, note: Note) -> None:
        got: list[Any] = []

        async def asynchronous(*args: Any) -> None:
            got.append(args)

        await sio.connect(url, transports=WEBSOCKET)
        await sio.emit("ack", 2, callback=lambda *args: got.append(args))
        await sio.emit("ack", 0, callback=asynchronous)
        await until(lambda: len(got) == 2)
        note(got)

    await compared(run)


async def test_a_call_that_times_out() -> None:
    async def run(sio: Any, url: str, note: Note) -> None:
        await sio.connect(url, transports=WEBSOCKET)
        try:
            await sio.call("silent", timeout=0.05)
        except Exception as error:
            note(type(error).__name__)

    assert await compared(run) == [("TimeoutError",)]


async def test_emit_to_a_namespace_that_is_not_connected() -> None:
    """With ``offline_buffer=False``, which is python-socketio's way."""

    async def run(sio: Any, url: str, note: Note) -> None:
        if hasattr(sio, "config"):
            sio = type(sio)(handle_sigint=False, offline_buffer=False)
        await sio.connect(url, transports=WEBSOCKET)
        try:
            await sio.emit("echo", "x", namespace="/other")
        except Exception as error:
            note(type(error).__name__, error.args)
        await sio.disconnect()

    (noted,) = await compared(run)
    assert noted[0] == "BadNamespaceError"


@pytest.mark.parametrize("by", ["the client", "the server"])
async def test_the_reason_of_a_disconnection(by: str) -> None:
    async def run(sio: Any, url: str, note: Note) -> None:
        ended = asyncio.Event()

        @sio.event
        def disconnect(reason: str) -> None:
            note(reason, sio.connected)
            ended.set()

        await sio.connect(url, transports=WEBSOCKET)
        if by == "the client":
            await sio.disconnect()
        else:
            await sio.emit("kick")
        await ended.wait()
        await sio.wait()
        note(sio.connected, sio.namespaces)

    noted = await compared(run)
    assert noted[0][0] == f"{by.split()[1]} disconnect"


async def test_a_legacy_disconnect_handler_takes_no_reason() -> None:
    async def run(sio: Any, url: str, note: Note) -> None:
        sio.on("disconnect", lambda: note("ended"))
        await sio.connect(url, transports=WEBSOCKET)
        await sio.disconnect()

    assert await compared(run) == [("ended",)]


async def test_a_refused_namespace() -> None:
    async def run(sio: Any, url: str, note: Note) -> None:
        sio.on("connect_error", lambda data: note(data), namespace="/refuse")
        try:
            await sio.connect(url, transports=WEBSOCKET)
        finally:
            note(sio.connected, sio.failed_namespaces)

    noted = await compared(run)
    assert noted[0] == ({"message": "refused", "data": {"reason": "never"}},)
    assert noted[-1][:2] == ("raised", "ConnectionError")


async def test_a_second_connect_is_refused() -> None:
    async def run(sio: Any, url: str, note: Note) -> None:
        await sio.connect(url, transports=WEBSOCKET)
        await sio.connect(url, transports=WEBSOCKET)

    assert await compared(run) == [
        ("raised", "ConnectionError", ("Already connected",))
    ]


async def test_connect_and_disconnect_wait_for_their_handlers() -> None:
    async def run(sio: Any, url: str, note: Note) -> None:
        @sio.event
        async def connect() -> None:
            await asyncio.sleep(0.05)
            note("connect", await sio.call("echo", 1))

        @sio.event
        async def disconnect(reason: str) -> None:
            await asyncio.sleep(0.05)
            note(reason)

        await sio.connect(url, transports=WEBSOCKET, wait_timeout=5)
        note("connected")
        await sio.disconnect()
        note("disconnected")

    assert await compared(run) == [
        ("connect", 1),
        ("connected",),
        ("client disconnect",),
        ("disconnected",),
    ]


async def test_a_connect_handler_that_goes_on_beyond_wait_timeout() -> None:
    async def run(sio: Any, url: str, note: Note) -> None:
        go_on = asyncio.Event()
        sio.on("connect", go_on.wait)
        await sio.connect(url, transports=WEBSOCKET, wait_timeout=0.2)
        note(sio.connected)
        await sio.disconnect()
        go_on.set()

    assert await compared(run) == [(True,)]


async def test_connect_raises_when_connect_error_handlers_have_ended() -> None:
    async def run(sio: Any, url: str, note: Note) -> None:
        async def refused(data: Any) -> None:
            await asyncio.sleep(0.05)
            note(data)

        sio.on("connect_error", refused, namespace="/refuse")
        await sio.connect(url, transports=WEBSOCKET, wait_timeout=5)

    assert [noted[0] for noted in await compared(run)] == [
        {"message": "refused", "data": {"reason": "never"}},
        "raised",
    ]


@pytest.mark.parametrize("others", [False, True], ids=["alone", "of two namespaces"])
async def test_a_connect_handler_that_disconnects(others: bool) -> None:
    """``connect()`` raises where a namespace has not been joined."""

    async def run(sio: Any, url: str, note: Note) -> None:
        sio.on("connect", sio.disconnect)
        namespaces = ["/", "/chat"] if others else ["/"]
        try:
            await sio.connect(
                url, transports=WEBSOCKET, namespaces=namespaces, wait_timeout=0.5
            )
            note("returned")
        except Exception as error:
            note(type(error).__name__)

    assert await compared(run) == [("ConnectionError" if others else "returned",)]


async def test_what_connect_error_handlers_get_when_there_is_no_server() -> None:
    """Programs compare the text. Listeners of a socket are told what went wrong."""

    async def run(sio: Any, url: str, note: Note) -> None:
        came = asyncio.Event()

        @sio.on("connect_error")
        async def connect_error(data: Any) -> None:
            note(data)
            came.set()

        try:
            await sio.connect("http://127.0.0.1:9", transports=WEBSOCKET)
        except Exception as error:
            note(package_name(error))
        await came.wait()

    (noted, _) = await compared(run)
    assert noted == ("Connection error",)
