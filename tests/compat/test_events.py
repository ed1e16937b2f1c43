"""Events of clients, and the handlers that get them."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest
from support.waiting import within

from compat.harness import Host, Record, Run

ARGUMENTS: dict[str, list[Any]] = {
    "none": [],
    "one": ["a"],
    "several": ["a", 1, None, [2], {"b": 3}, True],
    "null": [None],
    "empty string": [""],
    "unicode": ["é ß Ж 中文 ☃ 😀"],
    "escapes": ['" \\ / \b \f \n \r \t \x00 \x1e \u2028'],
    "like a packet": ["42[]", '451-["x",{"_placeholder":true,"num":0}]'],
    "numbers": [0, -1, 2**53 - 1, 1.5, -0.25],
    "empty list": [[]],
    "empty object": [{}],
    "nested": [{"a": [{"b": {"c": [1, [2, [3]]]}}]}],
    "large": ["x" * 100_000, "é" * 50_000],
    "bytes": [b"\x00\x01\xff"],
    "empty bytes": [b""],
    "bytes in an object": [{"name": "x", "data": b"abc"}],
    "bytes in a list": [[b"a", "b", b"c"]],
    "bytes deep": [{"a": [{"b": [b"deep"]}]}],
    "bytes among others": ["before", b"1", None, b"2", {"after": b"3"}],
    "large bytes": [b"\x80" * 100_000],
}


@pytest.fixture(params=list(ARGUMENTS))
def arguments(request: pytest.FixtureRequest) -> list[Any]:
    return ARGUMENTS[request.param]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_arguments_of_an_event(
    run: Run, arguments: list[Any], transport: str
) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def data(sid: str, *args: Any) -> None:
            record(sid, *args)

    server = await run(app)
    client = await server.client(transports=[transport])
    await client.emit("data", *arguments)
    await server.recorded(client.sid(), *arguments)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_arguments_of_an_emit(
    run: Run, arguments: list[Any], transport: str
) -> None:
    """M1: arguments of an emit."""
    server = await run()
    client = await server.client(transports=[transport])
    await server.sio.emit("data", tuple(arguments), to=client.sid())
    await client.receives("data", *arguments)


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (None, []),
        ("text", ["text"]),
        (5, [5]),
        (0, [0]),
        ("", [""]),
        (False, [False]),
        ([1, 2], [[1, 2]]),
        ([], [[]]),
        ({"a": 1}, [{"a": 1}]),
        ((1, 2), [1, 2]),
        ((), []),
        ((None,), [None]),
        (([1],), [[1]]),
        ((1, (2, 3)), [1, [2, 3]]),
        (b"bytes", [b"bytes"]),
        ((b"a", b"b"), [b"a", b"b"]),
    ],
    ids=repr,
)
async def test_data_of_an_emit(run: Run, data: Any, arguments: list[Any]) -> None:
    server = await run()
    client = await server.client()
    await server.sio.emit("data", data, to=client.sid())
    await client.receives("data", *arguments)


@pytest.mark.parametrize("kind", ["coroutine", "plain", "lambda", "bound", "partial"])
async def test_kinds_of_handlers(run: Run, kind: str) -> None:
    def app(sio: Any, record: Record) -> None:
        async def coroutine(sid: str, value: int) -> int:
            await asyncio.sleep(0)
            return value + 1

        def plain(sid: str, value: int) -> int:
            return value + 1

        class Handlers:
            async def bound(self, sid: str, value: int) -> int:
                return value + 1

        def partial(add: int, sid: str, value: int) -> int:
            return value + add

        handlers: dict[str, Any] = {
            "coroutine": coroutine,
            "plain": plain,
            "lambda": lambda sid, value: value + 1,
            "bound": Handlers().bound,
            "partial": functools.partial(partial, 1),
        }
        sio.on("add", handlers[kind])

    server = await run(app)
    client = await server.client()
    assert await client.call("add", 1) == 2


@pytest.mark.parametrize(
    "form",
    [
        "event",
        "event()",
        "event namespace",
        "on",
        "on handler",
        "on keywords",
        "on decorator namespace",
    ],
)
async def test_forms_of_registration(run: Run, form: str) -> None:
    def app(sio: Any, record: Record) -> None:
        async def hello(sid: str) -> str:
            return form

        if form == "event":
            assert sio.event(hello) is hello
        elif form == "event()":
            assert sio.event()(hello) is hello
        elif form == "event namespace":
            assert sio.event(namespace="/")(hello) is hello
        elif form == "on":
            assert sio.on("hello")(hello) is hello
        elif form == "on handler":
            sio.on("hello", hello)
        elif form == "on keywords":
            sio.on("hello", namespace="/", handler=hello)
        else:
            assert sio.on("hello", namespace="/")(hello) is hello

    server = await run(app)
    client = await server.client()
    assert await client.call("hello") == form


@pytest.mark.parametrize(
    "name", ["message", "with space", "é☃", "", "a.b:c", "ünï", "0"]
)
async def test_names_of_events(run: Run, name: str) -> None:
    """P8: names of events."""

    def app(sio: Any, record: Record) -> None:
        sio.on(name, lambda sid, value: record(value))

    server = await run(app)
    client = await server.client()
    await client.emit(name, 1)
    await server.recorded(1)


async def test_the_last_handler_counts(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("hello", lambda sid: "first")
        sio.on("hello", lambda sid: "second")

    server = await run(app)
    client = await server.client()
    assert await client.call("hello") == "second"


async def test_handlers_may_be_registered_later(run: Run) -> None:
    server = await run()
    client = await server.client()
    server.sio.on("hello", lambda sid: "late")
    assert await client.call("hello") == "late"


async def test_handlers_are_listed(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        def hello(sid: str) -> None: ...

        sio.on("hello", hello)
        sio.on("hello", hello, namespace="/a")
        record(sio.handlers["/"]["hello"] is hello, sorted(sio.handlers))

    server = await run(app)
    await server.recorded(True, ["/", "/a"])


async def test_same_event_in_two_namespaces(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("where", lambda sid: "/", namespace="/")
        sio.on("where", lambda sid: "/a", namespace="/a")

    server = await run(app)
    client = await server.client(namespaces=["/", "/a"])
    assert await client.call("where") == "/"
    assert await client.call("where", namespace="/a") == "/a"


async def test_event_without_a_handler(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("known", lambda sid: record("known"))

    server = await run(app)
    client = await server.client()
    await client.emit("unknown", 1)
    await client.emit("known")
    await server.recorded("known")


async def test_catch_all_events(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("known", lambda sid, *args: record("known", *args))
        sio.on("*", lambda event, sid, *args: record("*", event, sid, *args))

    server = await run(app)
    client = await server.client()
    await client.emit("known", 1)
    await client.emit("other", 2, 3)
    await server.recorded("known", 1)
    await server.recorded("*", "other", client.sid(), 2, 3)


async def test_catch_all_events_answer(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("*", lambda event, sid, *args: [event, *args])

    server = await run(app)
    client = await server.client()
    assert await client.call("other", 1) == ["other", 1]


async def test_catch_all_namespaces(run: Run) -> None:
    """N8: catch all namespaces."""

    def app(sio: Any, record: Record) -> None:
        @sio.on("hello", namespace="*")
        async def hello(namespace: str, sid: str, *args: Any) -> None:
            record(namespace, sid, *args)

    server = await run(app, namespaces=["/", "/a"])
    client = await server.client(namespaces=["/", "/a"])
    await client.emit("hello", 1)
    await client.emit("hello", 2, namespace="/a")
    await server.recorded("/", client.sid(), 1)
    await server.recorded("/a", client.sid("/a"), 2)


async def test_catch_all_of_both(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.on("*", namespace="*")
        async def anything(event: str, namespace: str, sid: str, *args: Any) -> str:
            record(event, namespace, sid, *args)
            return "answer"

    server = await run(app, namespaces="*")
    client = await server.client(namespaces=["/a"])
    assert await client.call("x", 1, namespace="/a") == "answer"
    await server.recorded("x", "/a", client.sid("/a"), 1)


async def test_precedence_of_handlers(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("one", lambda *args: "ns event", namespace="/a")
        sio.on("*", lambda *args: "ns *", namespace="/a")
        sio.on("one", lambda *args: "* event", namespace="*")
        sio.on("two", lambda *args: "* event", namespace="*")
        sio.on("*", lambda *args: "* *", namespace="*")

    server = await run(app, namespaces="*")
    client = await server.client(namespaces=["/a", "/b"])
    assert await client.call("one", namespace="/a") == "ns event"
    assert await client.call("two", namespace="/a") == "ns *"
    assert await client.call("three", namespace="/a") == "ns *"
    assert await client.call("one", namespace="/b") == "* event"
    assert await client.call("two", namespace="/b") == "* event"
    assert await client.call("three", namespace="/b") == "* *"


async def test_catch_all_events_are_not_connections(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("*", lambda *args: record(*args))
        sio.on("*", lambda *args: record(*args), namespace="*")
        sio.on("end", lambda sid: record("end"), namespace="/other")

    server = await run(app, namespaces="*")
    client = await server.client()
    await client.disconnect()
    other = await server.client(namespaces=["/other"])
    await other.emit("end", namespace="/other")
    await server.recorded("end")


async def test_catch_all_namespace_connects(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.on("connect", namespace="*")
        async def connect(namespace: str, sid: str, environ: Any, auth: Any) -> None:
            record("connect", namespace, sid, auth)

        @sio.on("disconnect", namespace="*")
        async def disconnect(namespace: str, sid: str, reason: str) -> None:
            record("disconnect", namespace, sid, reason)

    server = await run(app, namespaces="*")
    ws = await server.wire('40/x,{"a":1}')
    sid = ws.sid
    await server.recorded("connect", "/x", sid, {"a": 1})
    await ws.text("41/x,")
    await server.recorded("disconnect", "/x", sid, "client disconnect")


@pytest.mark.parametrize("kind", ["coroutine", "plain"])
async def test_error_of_a_handler_stays_there(run: Run, kind: str) -> None:
    """K11: error of a handler stays there."""

    def app(sio: Any, record: Record) -> None:
        async def coroutine(sid: str) -> None:
            raise ValueError("of the handler")

        def plain(sid: str) -> None:
            raise ValueError("of the handler")

        sio.on("fails", coroutine if kind == "coroutine" else plain)
        sio.on("works", lambda sid: "works")

    server = await run(app)
    client = await server.client()
    await client.emit("fails")
    assert await client.call("works") == "works"


async def test_wrong_number_of_arguments(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def two(sid: str, first: Any, second: Any) -> None:
            record(first, second)

    server = await run(app)
    client = await server.client()
    await client.emit("two", 1)
    await client.emit("two", 1, 2, 3)
    await client.emit("two", 1, 2)
    await server.recorded(1, 2)


async def test_handlers_run_side_by_side(run: Run) -> None:
    """K12: handlers run side by side."""
    gate = asyncio.Event()

    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def slow(sid: str) -> None:
            await gate.wait()
            record("slow")

        @sio.event
        async def fast(sid: str) -> None:
            record("fast")

    server = await run(app)
    client = await server.client()
    await client.emit("slow")
    await client.emit("fast")
    await server.recorded("fast")
    gate.set()
    await server.recorded("slow")


async def test_handlers_one_after_the_other(run: Run) -> None:
    gate = asyncio.Event()

    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def slow(sid: str) -> None:
            record("starts")
            await gate.wait()
            record("ends")

        @sio.event
        async def fast(sid: str) -> None:
            record("fast")

    server = await run(app, async_handlers=False)
    client, other = await server.client(), await server.client()
    await client.emit("slow")
    await server.recorded("starts")
    await client.emit("fast")
    # Others do not wait.
    await other.emit("fast")
    await server.recorded("fast")
    server.nothing_recorded()
    gate.set()
    await server.recorded("ends")
    await server.recorded("fast")


async def test_messages_keep_their_order(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def number(sid: str, n: int) -> None:
            record(n)

    server = await run(app)
    client = await server.client()
    for n in range(50):
        await client.emit("number", n)
    for n in range(50):
        await server.recorded(n)


async def test_emits_keep_their_order(run: Run) -> None:
    """M22: emits keep their order."""
    server = await run()
    client = await server.client()
    for n in range(50):
        await server.sio.emit("number", n)
    for n in range(50):
        await client.receives("number", n)


async def test_send_is_the_event_message(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def message(sid: str, data: Any) -> None:
            await sio.send(data + "!", to=sid)

    server = await run(app)
    client = await server.client()
    await client.sio.send("hello")
    await client.receives("message", "hello!")


async def test_handler_emits_to_others(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def say(sid: str, text: str) -> None:
            await sio.emit("said", text, skip_sid=sid)

    server = await run(app)
    speaker, listener = await server.client(), await server.client()
    await speaker.emit("say", "hi")
    await listener.receives("said", "hi")
    await server.sio.emit("end")
    await speaker.receives("end")


async def test_trigger_event(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("hello", lambda sid, value: record(sid, value))

    server = await run(app)
    await within(server.sio._trigger_event("hello", "/", "some sid", 1), "the handler")
    await server.recorded("some sid", 1)


@pytest.mark.parametrize(
    "event",
    [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ],
)
async def test_reserved_names_from_a_client(run: Run, host: Host, event: str) -> None:
    """K10: reserved names from a client."""

    def app(sio: Any, record: Record) -> None:
        sio.on(event, lambda sid, *args: record(event, *args))

    server = await run(app)
    ws = await server.wire()
    if event == "connect":
        await server.next_record()
    await ws.text(f'42["{event}",{{"forged":"yes"}}]')
    if host.outcome("reserved-events") == "handled":
        await server.recorded(event, {"forged": "yes"})
    else:
        await ws.ends()
        if event == "disconnect":
            await server.recorded("disconnect", "transport error")
        server.nothing_recorded()
