"""Acknowledgements, both ways."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from support.waiting import within

from compat.harness import Host, Record, Run

RETURNED: list[tuple[Any, str]] = [
    (None, "[]"),
    ("text", '["text"]'),
    (0, "[0]"),
    (False, "[false]"),
    ("", '[""]'),
    ([1, 2], "[[1,2]]"),
    ([], "[[]]"),
    ({"a": 1}, '[{"a":1}]'),
    ((1, 2), "[1,2]"),
    ((), "[]"),
    ((None,), "[null]"),
    (("a", None, [1]), '["a",null,[1]]'),
]


@pytest.mark.parametrize(("value", "data"), RETURNED, ids=repr)
async def test_what_a_handler_returns(run: Run, value: Any, data: str) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def ask(sid: str) -> Any:
            return value

    server = await run(app)
    ws = await server.wire()
    await ws.text('427["ask"]')
    assert await ws.message() == "437" + data


async def test_a_handler_returns_bytes(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def ask(sid: str) -> Any:
            return {"file": b"abc"}, b"def"

    server = await run(app)
    client = await server.client()
    assert await client.call("ask") == ({"file": b"abc"}, b"def")


async def test_acknowledgement_of_a_binary_event(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def ask(sid: str, data: bytes) -> int:
            return len(data)

    server = await run(app)
    client = await server.client()
    assert await client.call("ask", b"12345") == 5


async def test_no_acknowledgement_that_nobody_asked_for(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def ask(sid: str) -> str:
            return "answer"

    server = await run(app)
    ws = await server.wire()
    await ws.text('42["ask"]')
    await ws.text('428["ask"]')
    assert await ws.message() == '438["answer"]'


@pytest.mark.parametrize("number", [0, 1, 999, 2**31, 2**53 - 1])
async def test_numbers_of_acknowledgements(run: Run, number: int) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("ask", lambda sid: "yes")

    server = await run(app)
    ws = await server.wire()
    await ws.text(f'42{number}["ask"]')
    assert await ws.message() == f'43{number}["yes"]'


async def test_acknowledgements_in_a_namespace(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("ask", lambda sid: "yes", namespace="/a")

    server = await run(app)
    ws = await server.wire(None)
    await ws.text("40/a,")
    await ws.message()
    await ws.text('42/a,3["ask"]')
    assert await ws.message() == '43/a,3["yes"]'


async def test_no_acknowledgement_without_a_handler(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("known", lambda sid: "yes")

    server = await run(app)
    ws = await server.wire()
    await ws.text('421["unknown"]')
    await ws.text('422["known"]')
    assert await ws.message() == '432["yes"]'


async def test_no_acknowledgement_of_a_handler_that_fails(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def fails(sid: str) -> None:
            raise ValueError("of the handler")

        sio.on("works", lambda sid: "yes")

    server = await run(app)
    ws = await server.wire()
    await ws.text('421["fails"]')
    await ws.text('422["works"]')
    assert await ws.message() == '432["yes"]'


async def test_acknowledgements_in_the_order_of_their_handlers(run: Run) -> None:
    gate = asyncio.Event()

    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def slow(sid: str) -> str:
            await gate.wait()
            return "slow"

        @sio.event
        async def fast(sid: str) -> str:
            return "fast"

    server = await run(app)
    ws = await server.wire()
    await ws.text('421["slow"]')
    await ws.text('422["fast"]')
    assert await ws.message() == '432["fast"]'
    gate.set()
    assert await ws.message() == '431["slow"]'


ANSWERS: list[tuple[Any, list[Any]]] = [
    (None, []),
    ("text", ["text"]),
    (0, [0]),
    ([1, 2], [[1, 2]]),
    ({"a": 1}, [{"a": 1}]),
    ((1, 2), [1, 2]),
    (b"bytes", [b"bytes"]),
    ((b"a", {"b": b"c"}), [b"a", {"b": b"c"}]),
]


@pytest.mark.parametrize(("answer", "args"), ANSWERS, ids=repr)
async def test_callback_gets(run: Run, answer: Any, args: list[Any]) -> None:
    """M3: callback gets."""
    server = await run()
    client = await server.client()
    client.answers["ask"] = answer
    got: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
    await server.sio.emit(
        "ask", 1, to=client.sid(), callback=lambda *args: got.put_nowait(args)
    )
    await client.receives("ask", 1)
    assert list(await within(got.get(), "the callback")) == args


async def test_callback_may_be_a_coroutine(run: Run) -> None:
    server = await run()
    client = await server.client()
    client.answers["ask"] = "yes"
    got: asyncio.Queue[Any] = asyncio.Queue()

    async def callback(answer: Any) -> None:
        await asyncio.sleep(0)
        got.put_nowait(answer)

    await server.sio.emit("ask", to=client.sid(), callback=callback)
    assert await within(got.get(), "the callback") == "yes"


async def test_callback_that_fails(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("hello", lambda sid: "hello")

    server = await run(app)
    client = await server.client()

    def callback(*args: Any) -> None:
        raise ValueError("of the callback")

    await server.sio.emit("ask", to=client.sid(), callback=callback)
    await client.receives("ask")
    assert await client.call("hello") == "hello"


async def test_callback_by_send(run: Run) -> None:
    server = await run()
    client = await server.client()
    client.answers["message"] = "yes"
    got: asyncio.Queue[Any] = asyncio.Queue()
    await server.sio.send("x", to=client.sid(), callback=got.put_nowait)
    assert await within(got.get(), "the callback") == "yes"


async def test_callback_in_a_namespace(run: Run) -> None:
    server = await run(namespaces=["/a"])
    client = await server.client(namespaces=["/a"])
    client.answers["ask"] = "yes"
    got: asyncio.Queue[Any] = asyncio.Queue()
    await server.sio.emit(
        "ask", room=client.sid("/a"), namespace="/a", callback=got.put_nowait
    )
    assert await within(got.get(), "the callback") == "yes"


async def test_callback_of_several(run: Run) -> None:
    server = await run()
    clients = [await server.client() for _ in range(3)]
    for n, client in enumerate(clients):
        client.answers["ask"] = n
    got: asyncio.Queue[int] = asyncio.Queue()
    await server.sio.emit("ask", callback=got.put_nowait)
    answers = {await within(got.get(), "a callback") for _ in clients}
    assert answers == {0, 1, 2}


@pytest.mark.parametrize("number", ["1", "12345"])
async def test_acknowledgement_that_nobody_waits_for(run: Run, number: str) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("hello", lambda sid: "hello")

    server = await run(app)
    ws = await server.wire()
    await ws.text(f"43{number}[1]")
    await ws.text('421["hello"]')
    assert await ws.message() == '431["hello"]'


async def test_acknowledgement_twice(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("hello", lambda sid: record("hello"))

    server = await run(app)
    ws = await server.wire()
    calls: list[Any] = []
    await server.sio.emit("ask", callback=calls.append)
    packet = await ws.message()
    number = packet.removeprefix("42").removesuffix('["ask"]')
    await ws.text(f'43{number}["a"]')
    await ws.text(f'43{number}["b"]')
    await ws.text('42["hello"]')
    await server.recorded("hello")
    assert calls == ["a"]


async def test_numbers_of_the_server_begin_at(run: Run, host: Host) -> None:
    server = await run()
    ws = await server.wire()
    await server.sio.emit("ask", callback=print)
    number = host.outcome("first-acknowledgement")
    assert await ws.message() == f'42{number}["ask"]'


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (None, None),
        ("text", "text"),
        ([1, 2], [1, 2]),
        ((1, 2), (1, 2)),
        ((), None),
        ({"a": b"b"}, {"a": b"b"}),
    ],
    ids=repr,
)
async def test_call(run: Run, answer: Any, result: Any) -> None:
    server = await run()
    client = await server.client()
    client.answers["ask"] = answer
    assert await within(server.sio.call("ask", 1, to=client.sid()), "call") == result
    await client.receives("ask", 1)


async def test_call_by_sid(run: Run) -> None:
    """M4: call by sid."""
    server = await run()
    client = await server.client()
    client.answers["ask"] = "yes"
    assert await within(server.sio.call("ask", sid=client.sid()), "call") == "yes"


async def test_call_in_a_namespace(run: Run) -> None:
    server = await run(namespaces=["/a"])
    client = await server.client(namespaces=["/a"])
    client.answers["ask"] = "yes"
    called = server.sio.call("ask", to=client.sid("/a"), namespace="/a")
    assert await within(called, "call") == "yes"


async def test_call_with_several_arguments(run: Run) -> None:
    server = await run()
    client = await server.client()
    await within(server.sio.call("ask", (1, "two"), to=client.sid()), "call")
    await client.receives("ask", 1, "two")


async def test_call_from_a_handler(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def start(sid: str) -> None:
            record(await sio.call("ask", to=sid))

    server = await run(app)
    client = await server.client()
    client.answers["ask"] = "yes"
    await client.emit("start")
    await server.recorded("yes")


async def test_call_times_out(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("connect", lambda sid, environ: record(sid))

    server = await run(app)
    ws = await server.wire()
    (sid,) = await server.next_record()
    with pytest.raises(host.socketio.exceptions.TimeoutError):
        await server.sio.call("ask", to=sid, timeout=0.01)
    assert (await ws.message()).endswith('["ask"]')


async def test_call_of_somebody_who_is_not_there(run: Run, host: Host) -> None:
    server = await run()
    with pytest.raises(host.socketio.exceptions.TimeoutError):
        await server.sio.call("ask", to="nobody", timeout=0.01)


async def test_call_of_somebody_who_goes(run: Run, host: Host) -> None:
    server = await run()
    ws = await server.wire()
    called = asyncio.ensure_future(server.sio.call("ask", to=ws.sid, timeout=0.2))
    await ws.message()
    await ws.text("41")
    with pytest.raises(host.socketio.exceptions.TimeoutError) as caught:
        await called
    assert caught.type.__name__ == host.outcome("call-of-a-client-that-goes")


async def test_call_of_nobody(run: Run) -> None:
    server = await run()
    with pytest.raises(ValueError, match="Cannot use call"):
        await server.sio.call("ask")


async def test_call_without_async_handlers(run: Run) -> None:
    server = await run(async_handlers=False)
    client = await server.client()
    with pytest.raises(RuntimeError):
        await server.sio.call("ask", to=client.sid())


@dataclass
class Person:
    name: str


async def test_handler_that_is_annotated_with_a_model(run: Run, host: Host) -> None:
    """3.3 row 9: what a client gets that sends something else."""

    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def hello(sid: str, person: Person) -> Any:
            return person

    server = await run(app)
    client = await server.client()
    answer = await client.call("hello", {"name": 1})
    assert answer == host.outcome("annotated-handlers")
