"""Context variables of a client's handlers: where they come from, where they end."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from support.python_client import async_client
from support.sansio import Server, WebSocket, join

import socketio_fast
from socketio_fast import testing
from socketio_fast._core.engine.contexts import compare
from socketio_fast._core.engine.runner import Runner

variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")
other: contextvars.ContextVar[Any] = contextvars.ContextVar("other")


def context(**values: Any) -> contextvars.Context:
    made = contextvars.Context()
    for name, value in values.items():
        made.run({"variable": variable, "other": other}[name].set, value)
    return made


class Never:
    """What nothing is equal to, and what says so loudly."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("values were compared")

    __hash__ = object.__hash__


# --- which contexts are the same ------------------------------------------------


def test_contexts_without_variables_are_the_same() -> None:
    assert compare(contextvars.Context(), contextvars.Context())


def test_a_copy_is_the_same_until_something_is_set() -> None:
    first = context(variable=1)
    second = first.copy()
    assert compare(first, second)
    second.run(other.set, 1)
    assert not compare(first, second)
    assert not compare(second, first)


def test_what_was_set_and_reset_is_the_same() -> None:
    first = context(variable=1)
    second = first.copy()

    def set_and_reset() -> None:
        other.reset(other.set(1))
        variable.reset(variable.set(2))

    second.run(set_and_reset)
    assert compare(first, second)


def test_equal_values_that_are_two_objects_differ() -> None:
    assert not compare(context(variable=[]), context(variable=[]))


def test_values_are_not_asked_whether_they_are_equal() -> None:
    value = Never()
    assert compare(context(variable=value), context(variable=value))
    assert not compare(context(variable=value), context(variable=Never()))


def test_other_variables_differ() -> None:
    assert not compare(context(variable=1), context(other=1))


# --- one handler, in a context of its own ----------------------------------------


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    loop = pytest.importorskip(request.param).new_event_loop()
    yield loop
    loop.close()


def test_a_handler_runs_in_the_context_it_is_given(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def at_once() -> Any:
        return variable.get()

    async def suspended() -> list[Any]:
        seen = [variable.get()]
        for _ in range(3):
            await asyncio.sleep(0)
            variable.set(variable.get() + 1)
            seen.append(variable.get())
        seen.append(await asyncio.create_task(at_once()))
        return seen

    async def main() -> None:
        runner = Runner(loop)
        given = context(variable=1)
        assert runner.run(variable.get, context=given) == 1
        assert runner.run(at_once, context=given) == 1
        assert await runner.run(suspended, context=given) == [1, 2, 3, 4, 4]
        assert given[variable] == 4
        assert runner.run(variable.get, None) is None
        assert variable.get(None) is None

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="get_context is of 3.12")
def test_the_task_of_a_handler_tells_its_context(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def handler() -> tuple[Any, Any]:
        task: Any = asyncio.current_task()
        before = task.get_context()
        await asyncio.sleep(0)
        return before.get(variable), task.get_context().get(variable)

    async def main() -> None:
        runner = Runner(loop)
        assert await runner.run(handler, context=context(variable=1)) == (1, 1)
        assert await runner.run(handler) == (None, None)

    loop.run_until_complete(main())


def test_two_handlers_that_are_suspended_in_one_context(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def count() -> None:
        for _ in range(3):
            variable.set(variable.get() + 1)
            await asyncio.sleep(0)

    async def main() -> None:
        runner = Runner(loop)
        given = context(variable=0)
        await asyncio.gather(
            runner.run(count, context=given), runner.run(count, context=given)
        )
        assert given[variable] == 6

    loop.run_until_complete(main())


def test_one_that_is_cancelled_or_fails_leaves_its_context(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def wait() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            other.set(variable.get())

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError

    async def main() -> None:
        runner = Runner(loop)
        given = context(variable=1)
        ended: list[Any] = []
        task = runner.run(wait, context=given)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert given[other] == 1

        def on_end(value: Any, error: Any) -> None:
            ended.append((variable.get(None), type(error)))

        await runner.run(fail, context=given, on_end=on_end)
        assert ended == [(None, ValueError)]
        with pytest.raises(ZeroDivisionError):
            runner.run(lambda: 1 // 0, context=given)
        assert variable.get(None) is None
        given.run(variable.set, 2)  # it is not current

    loop.run_until_complete(main())


def test_a_list_of_the_runners_context_is_not_the_next_handlers(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        variable.set([])
        runner = Runner(loop)

        def replace() -> None:
            variable.set([])  # equal, for now
            variable.get().append("mine")

        runner.run(replace)
        assert runner.run(variable.get) == []

    loop.run_until_complete(main())


# --- a client's handlers ---------------------------------------------------------


class Seen:
    """A server whose handlers note the variable."""

    def __init__(self, **options: Any) -> None:
        self.sio = socketio_fast.AsyncServer(**options)
        self.seen: list[Any] = []

    def note(self, where: str) -> None:
        self.seen.append((where, variable.get(None)))

    def take(self) -> list[Any]:
        seen, self.seen = self.seen, []
        return seen


def connected(server: Server, value: Any = None, namespace: str = "/") -> WebSocket:
    """A client whose handshake comes where the variable has a value."""
    own = context() if value is None else context(variable=value)
    client: WebSocket = own.run(server.websocket)
    join(client, namespace)
    return client


@pytest.mark.parametrize("suspends", [False, True])
def test_the_context_of_the_handshake_is_everywhere(suspends: bool) -> None:
    app = Seen(namespaces=["/", "/other"])
    sio = app.sio

    async def pause() -> None:
        if suspends:
            await asyncio.sleep(0)

    @sio.on("connect")
    async def on_connect(sid: str, environ: Any) -> None:
        app.note("connect")
        await pause()
        app.note("connect")

    @sio.on("connect", namespace="/other")
    def connect_other(sid: str, environ: Any) -> None:
        app.note("connect to another")

    @sio.on("event")
    async def on_event(sid: str) -> None:
        app.note("event")
        await pause()
        app.note("event")
        await sio.emit("ask", to=sid, callback=lambda: app.note("callback"))

    @sio.on("disconnect")
    async def on_disconnect(sid: str, reason: str) -> None:
        app.note("disconnect")
        await pause()
        app.note("disconnect")

    server = Server(sio)
    for value in (None, "first", "second"):
        client = connected(server, value)
        assert app.take() == [("connect", value)] * 2
        join(client, "/other")
        assert app.take() == [("connect to another", value)]
        client.text('42["event"]')
        client.text("430[]")
        assert app.take() == [("event", value)] * 2 + [("callback", value)]
        client.leave()
        client.wire.lose()
        server.loop.turn()
        assert app.take() == [("disconnect", value)] * 2


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize("always_connect", [False, True])
def test_what_connect_sets_stays_set_for_that_client(
    suspends: bool, always_connect: bool
) -> None:
    app = Seen(always_connect=always_connect)

    @app.sio.on("connect")
    async def on_connect(sid: str, environ: Any) -> None:
        if suspends:
            await asyncio.sleep(0)
        variable.set(sid)

    @app.sio.on("event")
    async def on_event(sid: str) -> None:
        app.note(sid)
        variable.set("of an event")

    @app.sio.on("disconnect")
    def on_disconnect(sid: str, reason: str) -> None:
        app.note(sid)

    server = Server(app.sio)
    clients = [server.joined(), server.joined()]
    for client, _ in clients * 2:
        client.text('42["event"]')
    for client, _ in clients:
        client.leave()
        client.wire.lose()
    server.loop.turn()
    sids = [sid for _, sid in clients]
    assert app.take() == [(sid, sid) for sid in sids * 3]


def test_what_an_event_sets_ends_with_it() -> None:
    app = Seen()

    @app.sio.on("event")
    async def on_event(sid: str, value: str) -> None:
        app.note("before")
        variable.set(value)
        await asyncio.sleep(0)
        app.note("after")

    server = Server(app.sio)
    for value in (None, "handshake"):
        client = connected(server, value)
        for sent in ("a", "b"):
            client.text(f'42["event","{sent}"]')
            assert app.take() == [("before", value), ("after", sent)]


def test_namespaces_of_one_client_do_not_share_what_connect_sets() -> None:
    app = Seen(namespaces=["/", "/other"])

    @app.sio.on("connect")
    def on_connect(sid: str, environ: Any) -> None:
        variable.set("/")

    @app.sio.on("connect", namespace="/other")
    def connect_other(sid: str, environ: Any) -> None:
        app.note("connect")

    server = Server(app.sio)
    client = connected(server)
    join(client, "/other")
    assert app.take() == [("connect", None)]


def test_a_client_that_sets_nothing_has_no_context() -> None:
    app = Seen()

    @app.sio.on("connect")
    def on_connect(sid: str, environ: Any) -> None:
        variable.reset(variable.set("for now"))

    server = Server(app.sio)
    client, _ = server.joined()
    (session,) = server.engine.sessions.values()
    assert session.context is None
    assert client is not None
    assert variable not in session.run(contextvars.copy_context)


def test_middlewares_and_connection_listeners_share_the_context_of_connect() -> None:
    app = Seen()
    nsp = app.sio.of("/")

    @nsp.use
    async def middleware(socket: Any) -> None:
        app.note("middleware")
        variable.set("middleware")
        await asyncio.sleep(0)

    @app.sio.on("connect")
    def on_connect(sid: str, environ: Any) -> None:
        app.note("connect")
        variable.set("connect")

    @nsp.on("connection")
    async def connection(socket: Any) -> None:
        app.note("connection")
        variable.set("connection")
        socket.on("event", lambda: app.note("listener"))
        socket.on_any(lambda *args: app.note("any"))
        socket.on_any_outgoing(lambda *args: app.note("outgoing"))
        socket.use(lambda *args: app.note("guard"))
        socket.on("disconnecting", lambda reason: app.note("disconnecting"))
        socket.on("disconnect", lambda reason: app.note("disconnect"))
        socket.conn.on("close", lambda reason: app.note("close"))
        await asyncio.sleep(0)

    server = Server(app.sio)
    for value in (None, "handshake"):
        client = connected(server, value)
        assert app.take() == [
            ("middleware", value),
            ("connect", "middleware"),
            ("connection", "connect"),
        ]
        client.text('42["event"]')
        assert app.take() == [
            (name, "connection") for name in ("any", "guard", "listener")
        ]
        client.leave()
        client.wire.lose()
        assert app.take() == [
            ("disconnecting", "connection"),
            ("disconnect", "connection"),
            ("close", value),
        ]


def test_what_is_sent_by_one_client_is_told_in_the_context_of_each() -> None:
    app = Seen()

    @app.sio.of("/").on("connection")
    def connection(socket: Any) -> None:
        socket.on_any_outgoing(lambda *args: app.note(socket.id))

    @app.sio.on("event")
    async def on_event(sid: str) -> None:
        variable.set("of an event")
        await app.sio.emit("news")

    server = Server(app.sio)
    sids = {}
    clients = []
    for value in ("first", "second"):
        clients.append(context(variable=value).run(server.websocket))
        sids[join(clients[-1])] = value
    clients[0].text('42["event"]')
    assert dict(app.take()) == sids


def test_engine_io_alone() -> None:
    eio = socketio_fast.engineio.AsyncServer()
    seen: list[Any] = []

    @eio.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        seen.append(variable.get(None))
        await asyncio.sleep(0)
        other.set(sid)

    @eio.on("message")
    def message(sid: str, data: str) -> None:
        seen.append((variable.get(None), other.get() == sid))
        variable.set("of a message")

    @eio.on("disconnect")
    def disconnect(sid: str, reason: str) -> None:
        seen.append((variable.get(None), other.get() == sid))

    server = Server(eio)
    for value in (None, "handshake"):
        client = context(**({} if value is None else {"variable": value})).run(
            server.websocket
        )
        client.text("4a")
        client.text("4b")
        client.leave()
        client.wire.lose()
        assert seen == [value] + [(value, True)] * 3
        seen.clear()


def test_the_slow_hook_is_in_the_context_of_the_client_that_is_slow() -> None:
    app = Seen(high_water_mark=1000)
    app.sio.eio.on("slow", lambda sid, size: app.note("slow"))

    @app.sio.on("event")
    async def on_event(sid: str) -> None:
        variable.set("of an event")
        await app.sio.emit("news", "x" * 10_000)

    server = Server(app.sio)
    slow, quick = connected(server, "slow"), connected(server, "quick")
    slow.wire.holds = 5_000
    quick.text('42["event"]')
    assert app.take() == [("slow", "slow")]


async def test_hooks_of_the_request_share_it_with_the_clients_handlers() -> None:
    app = Seen(allow_request=lambda environ: variable.set("allowed") and True)

    @app.sio.on("connect")
    def on_connect(sid: str, environ: Any) -> None:
        app.note("connect")

    async with await socketio_fast.serve(app.sio, port=0) as running:
        for transport in ("polling", "websocket"):
            async with async_client() as client:
                await client.connect(running.url, transports=[transport])
                await client.disconnect()
            assert app.take() == [("connect", "allowed")]
    assert variable.get(None) is None


async def test_a_client_of_a_test_has_the_context_of_the_test() -> None:
    app = Seen()

    @app.sio.on("connect")
    def on_connect(sid: str, environ: Any) -> None:
        app.note("connect")

    variable.set("test")
    async with testing.client(app.sio):
        assert app.take() == [("connect", "test")]


def test_nothing_is_left_of_clients_with_contexts() -> None:
    class Value:
        pass

    app = Seen()
    values: weakref.WeakSet[Value] = weakref.WeakSet()

    @app.sio.of("/").on("connection")
    def connection(socket: Any) -> None:
        value: Any = Value()
        value.socket = socket
        values.add(value)
        variable.set(value)

    server = Server(app.sio)
    gc.collect()
    gc.disable()  # there are no cycles that it would have to find
    try:
        for _ in range(3):
            client, _ = server.joined()
            assert values
            client.text('42["event"]')
            client.leave()
            client.wire.lose()
            del client
        assert not values
    finally:
        gc.enable()
