"""Clients connect, or are refused."""

from __future__ import annotations

import asyncio
import builtins
import json
from collections.abc import Callable
from typing import Any

import pytest
from support.waiting import within

from compat.harness import Host, Record, Run

TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]


@pytest.fixture(params=TRANSPORTS, ids="+".join)
def transports(request: pytest.FixtureRequest) -> list[str]:
    return request.param


async def test_without_handlers(run: Run, transports: list[str]) -> None:
    server = await run()
    client = await server.client(transports=transports)
    assert len(client.sid()) == 20


async def test_two_clients_have_two_ids(run: Run) -> None:
    server = await run()
    first, second = await server.client(), await server.client()
    assert first.sid() != second.sid()


async def test_the_engine_has_another_id(run: Run) -> None:
    server = await run()
    client = await server.client()
    assert client.sid() != client.sio.eio.sid


async def test_handler_gets_sid_environ_auth(run: Run, transports: list[str]) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            record(sid, type(environ), environ["PATH_INFO"], auth)

    server = await run(app)
    client = await server.client(transports=transports, auth={"token": "s"})
    await server.recorded(client.sid(), dict, "/socket.io/", {"token": "s"})


@pytest.mark.parametrize(
    "auth",
    [
        {"token": "x"},
        {"nested": {"list": [1, None, "é☃"]}},
        {"number": 1.5},
        ["a", "list"],
        "text",
        True,
    ],
    ids=repr,
)
async def test_auth(run: Run, host: Host, auth: Any) -> None:
    """N6: auth."""

    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            record(auth)

    server = await run(app)
    ws = await server.wire(None)
    await ws.text("40" + json.dumps(auth))
    if isinstance(auth, dict) or host.outcome("auth-object") == "anything":
        await server.recorded(auth)
    else:
        await ws.ends()
        server.nothing_recorded()


@pytest.mark.parametrize("packet", ["40", "40{}"])
async def test_no_auth_is_none(run: Run, packet: str) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            record(auth)

    server = await run(app)
    await server.wire(packet)
    await server.recorded(None)


@pytest.mark.parametrize("kind", ["coroutine", "plain"])
async def test_handler_without_auth(run: Run, kind: str) -> None:
    def app(sio: Any, record: Record) -> None:
        async def coroutine(sid: str, environ: Any) -> None:
            record(len(sid))

        def plain(sid: str, environ: Any) -> None:
            record(len(sid))

        sio.on("connect", coroutine if kind == "coroutine" else plain)

    server = await run(app)
    await server.client()
    await server.recorded(20)


async def test_handler_without_auth_of_a_client_with_auth(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            record("called")

    server = await run(app, namespaces=["/", "/fence"])
    ws = await server.wire(None)
    await ws.text('40{"a":1}')
    if host.outcome("two-argument-connect-with-auth") == "accepted":
        assert (await ws.message()).startswith('40{"sid":"')
        await server.recorded("called")
    else:
        # The handler fails, and the client hears nothing.
        await ws.text("40/fence,")
        assert (await ws.message()).startswith("40/fence,")
        server.nothing_recorded()


@pytest.mark.parametrize("kind", ["varargs", "default", "keyword", "lambda", "bound"])
async def test_handler_signatures(run: Run, kind: str) -> None:
    def app(sio: Any, record: Record) -> None:
        def varargs(*args: Any) -> None:
            record(args[2])

        def default(sid: str, environ: Any, auth: Any = "default") -> None:
            record(auth)

        def keyword(sid: str, environ: Any, auth: Any, *, more: int = 1) -> None:
            record(auth)

        class Handlers:
            async def bound(self, sid: str, environ: Any, auth: Any) -> None:
                record(auth)

        handlers: dict[str, Callable[..., Any]] = {
            "varargs": varargs,
            "default": default,
            "keyword": keyword,
            "lambda": lambda sid, environ, auth: record(auth),
            "bound": Handlers().bound,
        }
        sio.on("connect", handlers[kind])

    server = await run(app)
    await server.client(auth={"a": 1})
    await server.recorded({"a": 1})


@pytest.mark.parametrize("value", [None, True, 0, "", {}, [], "text"], ids=repr)
async def test_only_false_refuses(run: Run, value: Any) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> Any:
            return value

    server = await run(app)
    await server.client()


@pytest.mark.parametrize("kind", ["coroutine", "plain"])
async def test_false_refuses(run: Run, kind: str) -> None:
    def app(sio: Any, record: Record) -> None:
        async def coroutine(sid: str, environ: Any, auth: Any) -> bool:
            return False

        def plain(sid: str, environ: Any, auth: Any) -> bool:
            return False

        sio.on("connect", coroutine if kind == "coroutine" else plain)

    server = await run(app)
    assert await server.refused() == {"message": "Connection rejected by server"}


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((), {"message": "Connection rejected by server"}),
        (("no",), {"message": "no"}),
        ((404,), {"message": "404"}),
        (("no", "why"), {"message": "no", "data": "why"}),
        (("no", {"code": 7}), {"message": "no", "data": {"code": 7}}),
        (("no", None), {"message": "no", "data": None}),
        (("no", "a", "b"), {"message": "no", "data": ["a", "b"]}),
        (("no", 1, [2], {"c": 3}), {"message": "no", "data": [1, [2], {"c": 3}]}),
    ],
    ids=lambda value: repr(value) if isinstance(value, tuple) else "",
)
async def test_refusal_with(
    run: Run, host: Host, args: tuple[Any, ...], told: Any
) -> None:
    """N12: refusal with."""

    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            raise host.socketio.exceptions.ConnectionRefusedError(*args)

    server = await run(app)
    assert await server.refused() == told


async def test_refusal_by_a_plain_function(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        def connect(sid: str, environ: Any) -> None:
            raise host.socketio.exceptions.ConnectionRefusedError("no")

    server = await run(app)
    assert await server.refused() == {"message": "no"}


async def test_refusal_by_polling(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> bool:
            return False

    server = await run(app)
    told = await server.refused(transports=["polling"])
    assert told == {"message": "Connection rejected by server"}


async def test_refusal_by_the_builtin_error(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            raise builtins.ConnectionRefusedError("text that is not told")

    server = await run(app)
    assert await server.refused() == {"message": "Connection refused by server"}


async def test_another_error_in_the_handler(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            raise ValueError("of the handler")

        @sio.event
        async def disconnect(sid: str, reason: str) -> None:
            record("disconnect")

    server = await run(app, namespaces=["/", "/fence"])
    ws = await server.wire(None)
    await ws.text("40")
    await ws.text("40/fence,")
    if (answer := host.outcome("error-in-connect")) is not None:
        assert await ws.message() == answer
    assert (await ws.message()).startswith("40/fence,")
    server.nothing_recorded()


async def test_type_error_in_the_handler(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any, auth: Any = "left out") -> None:
            record(auth)
            raise TypeError("of the handler")

    server = await run(app)
    ws = await server.wire(None)
    await ws.text("40")
    await server.recorded(None)
    if host.outcome("type-error-in-connect") == "called twice":
        await server.recorded("left out")
    else:
        await ws.message()
        server.nothing_recorded()


async def test_refused_client_is_forgotten(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> bool:
            await sio.enter_room(sid, "room")
            record(sid)
            return False

        @sio.event
        async def disconnect(sid: str) -> None:
            record("disconnect")

        @sio.on("ask", namespace="/ask")
        async def ask(sid: str, who: str) -> list[str]:
            return list(sio.rooms(who))

    server = await run(app)
    await server.refused()
    (sid,) = await server.next_record()
    client = await server.client(namespaces=["/ask"])
    assert await client.call("ask", sid, namespace="/ask") == []
    server.nothing_recorded()


async def test_refused_client_may_try_again(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any, auth: Any) -> bool:
            return auth is not None

    server = await run(app)
    ws = await server.wire(None)
    await ws.text("40")
    assert await ws.message() == '44{"message":"Connection rejected by server"}'
    await ws.text('40{"now":1}')
    assert (await ws.message()).startswith('40{"sid":"')


async def test_refused_in_one_namespace_only(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.on("connect", namespace="/closed")
        async def connect(sid: str, environ: Any) -> bool:
            return False

        @sio.event
        async def hello(sid: str) -> str:
            return "hello"

    server = await run(app)
    client = server.new_client()
    await client.sio.connect(
        server.url, transports=["websocket"], namespaces=["/", "/closed"], wait=False
    )
    heard = {(await client.heard())[:2], (await client.heard())[:2]}
    assert heard == {("/", "connect"), ("/closed", "connect_error")}
    assert await client.call("hello") == "hello"


async def test_unknown_namespace(run: Run, host: Host) -> None:
    server = await run()
    assert await server.refused(namespace="/no") == host.outcome("unknown-namespace")


async def test_namespace_with_a_handler_is_known(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("anything", lambda sid: None, namespace="/known")

    server = await run(app)
    await server.client(namespaces=["/known"])


async def test_main_namespace_needs_no_handler(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("anything", lambda sid: None, namespace="/known")

    server = await run(app)
    await server.client(namespaces=["/", "/known"])


async def test_namespaces_option(run: Run, host: Host) -> None:
    server = await run(namespaces=["/a", "/b"])
    await server.client(namespaces=["/a", "/b"])
    assert await server.refused(namespace="/c") == host.outcome("unknown-namespace")


async def test_namespaces_option_without_the_main_one(run: Run, host: Host) -> None:
    server = await run(namespaces=["/a"])
    assert await server.refused(namespace="/") == host.outcome("unknown-namespace")


async def test_namespaces_option_for_all(run: Run) -> None:
    server = await run(namespaces="*")
    await server.client(namespaces=["/", "/any", "/any/thing"])


async def test_catch_all_handlers_alone_admit_nobody(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("*", lambda *args: None, namespace="*")

    server = await run(app)
    assert await server.refused(namespace="/x") == host.outcome("unknown-namespace")


async def test_several_namespaces_have_ids_of_their_own(run: Run) -> None:
    server = await run(namespaces=["/", "/a"])
    client = await server.client(namespaces=["/", "/a"])
    assert client.sid("/") != client.sid("/a")


async def test_connect_handler_of_a_namespace(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.on("connect", namespace="/a")
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            record("/a", sid)

        @sio.event
        async def connect(sid: str, environ: Any, auth: Any) -> None:  # noqa: F811
            record("/", sid)

    server = await run(app)
    client = await server.client(namespaces=["/a"])
    await server.recorded("/a", client.sid("/a"))
    server.nothing_recorded()


async def test_emit_in_the_handler_follows_the_connection(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            await sio.emit("welcome", "you", to=sid)

    server = await run(app)
    ws = await server.wire(None)
    await ws.text("40")
    packets = [(await ws.message())[:2], (await ws.message())[:2]]
    assert packets == host.outcome("emit-in-connect")


async def test_enter_room_in_the_handler(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            await sio.enter_room(sid, "everybody")

    server = await run(app)
    client = await server.client()
    await server.sio.emit("news", 1, room="everybody")
    await client.receives("news", 1)


async def test_session_in_the_handler(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            await sio.save_session(sid, {"user": auth["user"]})

        @sio.event
        async def who(sid: str) -> Any:
            return (await sio.get_session(sid))["user"]

    server = await run(app)
    client = await server.client(auth={"user": "Ada"})
    assert await client.call("who") == "Ada"


async def test_slow_handler_of_one_holds_up_no_other(run: Run) -> None:
    gate = asyncio.Event()

    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            if auth:
                record("waits")
                await gate.wait()

    server = await run(app)
    slow = server.new_client()
    attempt = asyncio.ensure_future(slow.connect(auth={"slow": 1}))
    await server.recorded("waits")
    await server.client()
    assert not attempt.done()
    gate.set()
    await within(attempt, "the slow one")


async def test_always_connect(run: Run) -> None:
    """S14: always connect."""
    gate = asyncio.Event()

    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            await gate.wait()
            record("connected")

    server = await run(app, always_connect=True)
    await server.client()
    server.nothing_recorded()
    gate.set()
    await server.recorded("connected")


async def test_always_connect_and_refuse(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            raise host.socketio.exceptions.ConnectionRefusedError("no", {"code": 1})

    server = await run(app, always_connect=True)
    ws = await server.wire(None)
    await ws.text("40")
    assert (await ws.message()).startswith('40{"sid":"')
    assert await ws.message() == host.outcome("always-connect-refusal")


async def test_always_connect_emits_in_the_handler(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            await sio.emit("welcome", to=sid)

    server = await run(app, always_connect=True)
    ws = await server.wire()
    assert await ws.message() == '42["welcome"]'


async def test_second_connect(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        def question(sid: str) -> str:
            return "answer"

    server = await run(app)
    ws = await server.wire()
    # With its answer the client has shown that it knows that it is connected.
    await ws.text('421["question"]')
    assert await ws.message() == '431["answer"]'
    await ws.text("40")
    if (answer := host.outcome("second-connect")) is not None:
        assert await ws.message() == answer
    else:
        await ws.ends()


async def test_second_connect_at_once(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        def question(sid: str) -> str:
            return "answer"

    server = await run(app)
    ws = await server.wire()
    await ws.text("40")
    if (answer := host.outcome("second-connect-at-once")) is not None:
        assert await ws.message() == answer
    await ws.text('421["question"]')
    assert await ws.message() == '431["answer"]'


async def test_namespaces_join_later(run: Run) -> None:
    server = await run(namespaces=["/", "/a"])
    ws = await server.wire()
    await ws.text("40/a,")
    assert (await ws.message()).startswith('40/a,{"sid":"')


async def test_namespace_with_a_query(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.on("connect", namespace="/a")
        async def connect(sid: str, environ: Any) -> None:
            record("/a")

    server = await run(app)
    ws = await server.wire(None)
    await ws.text("40/a?token=1,")
    if host.outcome("namespace-query") == "ignored":
        assert (await ws.message()).startswith('40/a,{"sid":"')
        await server.recorded("/a")
    else:
        answer = '44/a?token=1,{"message":"Invalid namespace"}'
        assert await ws.message() == answer
        server.nothing_recorded()


async def test_a_client_that_went_while_its_handler_ran(run: Run) -> None:
    gate = asyncio.Event()

    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            record("connect")
            await gate.wait()
            record("ended")

        @sio.event
        async def again(sid: str) -> str:
            return "fine"

    server = await run(app)
    ws = await server.wire(None)
    await ws.text("40")
    await server.recorded("connect")
    await ws.close()
    gate.set()
    await server.recorded("ended")
