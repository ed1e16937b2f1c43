"""What would wait for an acknowledgement of a client that is not connected yet."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
from support.sansio import Server, WebSocket

import socketio_fast
from socketio_fast import testing

RULE = "cannot acknowledge anything before its connect handler"

Ask = Callable[[Any, Any], Awaitable[Any]]


async def acks(sio: Any, socket: Any) -> list[Any]:
    return [answer async for _, answer in sio.to(socket.id).timeout(5).acks("ask")]


async def class_based(sio: Any, socket: Any) -> Any:
    namespace = socketio_fast.AsyncNamespace("/")
    namespace._set_server(sio)
    return await namespace.call("ask", to=socket.id)


async def fetched(sio: Any, socket: Any) -> Any:
    remote = socketio_fast.RemoteSocket(sio, "/", DESCRIPTION | {"id": socket.id})
    return await remote.emit_with_ack("ask")


DESCRIPTION = {
    "handshake": dict.fromkeys(
        ("headers", "time", "address", "xdomain", "secure", "issued", "url", "query")
    )
    | {"auth": {}},
    "rooms": [],
    "data": {},
}

# How a client is asked, and what the program gets.
ASKS: list[tuple[Ask, Any]] = [
    (lambda sio, socket: sio.call("ask", to=socket.id), "yes"),
    (class_based, "yes"),
    (lambda sio, socket: socket.emit_with_ack("ask"), "yes"),
    (lambda sio, socket: socket.timeout(5).emit_with_ack("ask"), "yes"),
    (fetched, "yes"),
    (lambda sio, socket: sio.to(socket.id).timeout(5).emit_with_ack("ask"), ["yes"]),
    (lambda sio, socket: sio.of("/").timeout(5).emit_with_ack("ask"), ["yes"]),
    (acks, ["yes"]),
]
NAMES = ["call", "namespace", "socket", "timeout", "remote", "room", "all", "acks"]
each_ask = pytest.mark.parametrize(("ask", "answer"), ASKS, ids=NAMES)
late = pytest.mark.parametrize("suspends", [False, True], ids=["at once", "later"])


class App:
    """A server whose connect handler asks the client that connects."""

    def __init__(self, ask: Ask, suspends: bool = False, **options: Any) -> None:
        self.sio = socketio_fast.AsyncServer(**options)
        self.server = Server(self.sio)
        self.ask = ask
        self.suspends = suspends
        self.sockets: list[Any] = []
        self.outcomes: list[Any] = []
        self.handler: Callable[[], Awaitable[None]] = self.try_it

        @self.sio.of("/").use
        async def keep(socket: Any) -> None:
            self.sockets.append(socket)

        @self.sio.event
        async def connect(sid: str, environ: Any) -> None:
            if self.suspends:
                await asyncio.sleep(0)
            await self.handler()

    async def try_it(self) -> None:
        try:
            self.outcomes.append(await self.ask(self.sio, self.sockets[-1]))
        except Exception as exc:
            self.outcomes.append(exc)

    def connect(self, client: WebSocket) -> None:
        """Connect, and acknowledge what asks for that."""
        client.text("40")
        for message in client.messages():
            asked = re.fullmatch(r'42(\d+)\["ask"\]', str(message))
            if asked:
                client.text(f'43{asked[1]}["yes"]')


@each_ask
@late
def test_its_own_connect_handler_is_told_at_once(
    ask: Ask, answer: Any, suspends: bool
) -> None:
    app = App(ask, suspends)
    client = app.server.websocket()
    client.text("40")
    (error,) = app.outcomes
    assert type(error) is RuntimeError
    assert RULE in str(error)
    assert "always_connect=True" in str(error)
    # Nothing was asked, and the handler went on.
    (connected,) = client.messages()
    assert str(connected).startswith("40{")


@each_ask
@late
def test_with_always_connect_it_is_answered(
    ask: Ask, answer: Any, suspends: bool
) -> None:
    app = App(ask, suspends, always_connect=True)
    app.connect(app.server.websocket())
    assert app.outcomes == [answer]


@each_ask
@late
def test_a_background_task_is_answered_once_the_handler_has_ended(
    ask: Ask, answer: Any, suspends: bool
) -> None:
    app = App(ask, suspends)

    async def handler() -> None:
        app.sio.start_background_task(app.try_it)
        await asyncio.sleep(0)  # it has asked by now
        await asyncio.sleep(0)
        assert app.outcomes == []

    app.handler = handler
    app.connect(app.server.websocket())
    assert app.outcomes == [answer]


@late
def test_another_client_asks_one_that_connects(suspends: bool) -> None:
    app = App(ASKS[0][0], suspends)
    gate = app.server.loop.create_future()

    async def handler() -> None:
        await gate

    app.handler = handler
    connecting = app.server.websocket()
    connecting.text("40")
    first = app.sockets[0]
    app.handler = app.try_it
    app.ask = lambda sio, socket: sio.call("ask", to=first.id)
    app.server.websocket().text("40")
    assert app.outcomes == []
    gate.set_result(None)
    app.server.loop.turn()
    connected, asked = connecting.messages()
    assert str(connected).startswith("40{")
    assert asked == '420["ask"]'
    connecting.text('430["yes"]')
    assert app.outcomes == ["yes"]


def test_a_middleware_is_told_at_once() -> None:
    app = App(ASKS[2][0])

    @app.sio.of("/").use
    async def asking(socket: Any) -> None:
        await app.try_it()
        del app.outcomes[1:]

    app.server.websocket().text("40")
    assert RULE in str(app.outcomes[0])


def test_listeners_of_connection_are_answered() -> None:
    app = App(ASKS[2][0])

    async def nothing() -> None:
        pass

    app.handler = nothing

    @app.sio.of("/").on("connection")
    async def connection(socket: Any) -> None:
        await app.try_it()

    app.connect(app.server.websocket())
    assert app.outcomes == ["yes"]


def test_callbacks_are_called_later() -> None:
    app = App(lambda sio, socket: sio.emit("ask", to=socket.id, callback=got.append))
    got: list[Any] = []
    app.connect(app.server.websocket())
    assert app.outcomes == [None]
    assert got == ["yes"]


def test_events_of_other_handlers_are_acknowledged() -> None:
    """Of a client that is connected in one namespace, and connects to another."""
    app = App(ASKS[0][0])
    app.handler = lambda: asyncio.sleep(0)

    @app.sio.on("connect", namespace="/other")
    async def other(sid: str, environ: Any) -> None:
        await app.try_it()

    client = app.server.websocket()
    app.connect(client)
    client.text("40/other,")
    assert client.messages() == ['420["ask"]']
    client.text('430["yes"]')
    assert app.outcomes == ["yes"]


# Threads.


class Encoded(Mapping[str, int]):
    """Data that tells when it is encoded."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def __iter__(self) -> Iterator[str]:
        self.event.set()
        return iter(())

    def __len__(self) -> int:
        return 0

    def __getitem__(self, key: str) -> int:
        raise KeyError(key)


SyncAsk = Callable[[Any, str, Any], Any]

SYNC_ASKS: list[SyncAsk] = [
    lambda sio, sid, data: sio.call("ask", data, to=sid, timeout=5),
    lambda sio, sid, data: sio.to(sid).timeout(5).emit_with_ack("ask", data),
    lambda sio, sid, data: list(sio.to(sid).timeout(5).acks("ask", data)),
    lambda sio, sid, data: sio.of("/").timeout(5).emit_with_ack("ask", data),
]
each_sync_ask = pytest.mark.parametrize(
    "ask", SYNC_ASKS, ids=["call", "room", "acks", "all"]
)


@each_sync_ask
def test_a_thread_of_the_connect_handler_is_told_at_once(
    ask: SyncAsk,
) -> None:
    sio = socketio_fast.Server()
    errors: list[BaseException] = []

    @sio.event
    def connect(sid: str, environ: Any) -> None:
        with pytest.raises(RuntimeError, match=RULE) as raised:
            ask(sio, sid, None)
        errors.append(raised.value)

    with testing.client(sio) as client:
        assert len(errors) == 1
        client.on("ask", lambda: "yes")
        assert sio.call("ask", to=client.sid) == "yes"


def test_a_middleware_in_a_thread_is_told_at_once() -> None:
    sio = socketio_fast.Server()
    errors: list[BaseException] = []

    @sio.of("/").use
    def asking(socket: Any) -> None:
        for emitter in (socket, socket.timeout(5)):
            with pytest.raises(RuntimeError, match=RULE) as raised:
                emitter.emit_with_ack("ask")
            errors.append(raised.value)

    with testing.client(sio):
        assert len(errors) == 2


@each_sync_ask
def test_another_thread_is_answered_once_the_handler_has_ended(
    ask: SyncAsk,
) -> None:
    sio = socketio_fast.Server()
    answers: list[Any] = []
    data = Encoded()
    threads: list[threading.Thread] = []

    def background(sid: str) -> None:
        try:
            answers.append(ask(sio, sid, data))
        except Exception as exc:
            answers.append(exc)

    @sio.event
    def connect(sid: str, environ: Any) -> None:
        threads.append(sio.start_background_task(background, sid))
        assert data.event.wait(10)
        assert answers == []

    with testing.client(sio) as client:
        # Before the test could have the client answer.
        assert client.expect("ask") == {}
    threads[0].join()
    (answer,) = answers  # the client has gone
    assert isinstance(answer, TimeoutError)


def test_event_handlers_in_threads_are_answered() -> None:
    sio = socketio_fast.Server()

    @sio.event
    def question(sid: str) -> Any:
        return sio.call("ask", to=sid)

    with testing.client(sio) as client:
        client.on("ask", lambda: "yes")
        assert client.call("question") == "yes"
