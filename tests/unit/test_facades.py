"""Classes for threads are facades of those for asyncio: what they show, and do."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import socketio_fast as socketio
from socketio_fast import admin, engineio, testing
from socketio_fast.managers.async_manager import AsyncManager
from socketio_fast.managers.pubsub import AsyncPubSubManager
from socketio_fast.managers.sync import Manager, PubSubManager
from socketio_fast.sockets import adapter, blocking, broadcast, namespace
from socketio_fast.sockets import socket as sockets
from socketio_fast.threads import methods

#: Classes for threads, and what their objects stand for.
PAIRS = {
    socketio.Server: socketio.AsyncServer,
    engineio.Server: engineio.AsyncServer,
    Manager: AsyncManager,
    PubSubManager: AsyncPubSubManager,
    admin.InstrumentedServer: admin.InstrumentedAsyncServer,
    testing.SyncClient: testing.Client,
    testing.SyncClock: testing.Clock,
    blocking.Adapter: adapter.Adapter,
    blocking.BroadcastOperator: broadcast.BroadcastOperator,
    blocking.ParentNamespace: namespace.ParentNamespace,
    blocking.RemoteSocket: broadcast.RemoteSocket,
    blocking.Socket: sockets.Socket,
    blocking.SocketEmitter: sockets.SocketEmitter,
    blocking.SocketNamespace: namespace.SocketNamespace,
}

#: Methods that take other arguments in threads, and why.
DIFFERENT = {
    "Server.handle_request": "WSGI's",
    "Server.start_background_task": "a function, not a coroutine function",
    "Server.create_event": "the arguments of threading's",
    "PubSubManager.disconnect": "the namespace has a default, as in python-socketio",
}


def methods_of(kind: type) -> Iterator[tuple[str, Any]]:
    for name in dir(kind):
        if not name.startswith("_") and inspect.isfunction(getattr(kind, name)):
            yield name, getattr(kind, name)


BOTH = [
    pytest.param(kind, name, method, id=f"{kind.__module__}.{kind.__name__}.{name}")
    for kind, of in PAIRS.items()
    for name, method in methods_of(kind)
    if hasattr(of, name)
]


@pytest.mark.parametrize(("kind", "name", "method"), BOTH)
def test_a_method_takes_what_the_one_for_asyncio_takes(
    kind: type, name: str, method: Any
) -> None:
    if f"{kind.__name__}.{name}" in DIFFERENT:
        return
    there = inspect.signature(getattr(PAIRS[kind], name))
    here = inspect.signature(method)
    assert [(p.name, p.kind, p.default) for p in here.parameters.values()] == [
        (p.name, p.kind, p.default) for p in there.parameters.values()
    ]


@pytest.mark.parametrize(("kind", "name", "method"), BOTH)
def test_a_method_shows_what_it_returns_and_does(
    kind: type, name: str, method: Any
) -> None:
    returned = str(inspect.signature(method).return_annotation)
    assert not returned.startswith(("Begun", "Awaitable", "Coroutine", "Async"))
    assert inspect.signature(method).return_annotation is not inspect.Signature.empty
    assert not inspect.iscoroutinefunction(inspect.unwrap(method))
    doc = inspect.getdoc(method)
    assert doc
    if hasattr(method, "__signature__"):  # its docstring is that of asyncio's
        for word in ("await ", "async with", "async for", "async def"):
            assert word not in doc


def test_every_pair_has_methods_that_were_compared() -> None:
    compared = {case.values[0] for case in BOTH}
    assert compared == set(PAIRS)
    assert len(BOTH) > 150


@pytest.mark.parametrize("kind", PAIRS)
def test_properties_have_docstrings(kind: type) -> None:
    for name, member in inspect.getmembers(kind, lambda m: isinstance(m, property)):
        if not name.startswith("_"):
            assert inspect.getdoc(member), name


class Behind:
    """What a facade stands for here."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    @property
    def size(self) -> int:
        """How many there are."""
        return 5

    async def wait(self, size: int = 1, *, text: str = "") -> str:
        """Wait for it.

        Args:
            size: How many.
            text: What.
        """
        self.calls.append(("wait", threading.get_ident()))
        return text * size

    def change(self, size: int) -> int:
        """Change it."""
        self.calls.append(("change", threading.get_ident()))
        return size


class Facade(methods.Facade):
    wait = methods.waits(Behind.wait, "It is\nslow.")
    run = methods.runs(Behind.wait)
    change = methods.changes(Behind.change)
    call = methods.calls(Behind.change)
    size = methods.reads(Behind, lambda behind: behind.size)

    def __init__(self, server: socketio.Server) -> None:
        self._inner = Behind()
        self._threads = server._threads

    @methods.like(Behind.wait)
    def twice(self, *args: Any, **kwargs: Any) -> int:
        return 2 * len(self.wait(*args, **kwargs))


@pytest.fixture
def server() -> Iterator[socketio.Server]:
    server = socketio.Server()
    yield server
    server.shutdown()


@pytest.fixture
def facade(server: socketio.Server) -> Facade:
    return Facade(server)


def test_a_method_runs_on_the_event_loop_and_returns_the_result(facade: Facade) -> None:
    assert facade.wait(2, text="ab") == "abab"
    assert facade.run(size=3, text="a") == "aaa"
    loop_thread = facade._threads.run(ident())
    assert facade._inner.calls == [("wait", loop_thread)] * 2


async def ident() -> int:
    return threading.get_ident()


def test_a_change_is_made_on_the_event_loop_once_there_is_one(facade: Facade) -> None:
    here = threading.get_ident()
    assert facade.change(1) == 1
    assert not facade._threads.running
    loop_thread = facade._threads.run(ident())
    assert facade.change(size=2) == 2
    assert facade.call(3) == 3
    assert facade._inner.calls == [
        ("change", here),
        ("change", loop_thread),
        ("change", here),
    ]


def test_arguments_are_checked_as_those_of_the_method(facade: Facade) -> None:
    with pytest.raises(TypeError, match=r"wait\(\) got an unexpected keyword.*'other'"):
        facade.wait(other=1)
    with pytest.raises(TypeError, match=r"change\(\) missing 1 required"):
        facade.change()


def test_a_property_reads_and_cannot_be_set(facade: Facade) -> None:
    assert facade.size == 5
    with pytest.raises(AttributeError):
        facade.size = 6
    assert inspect.getdoc(Facade.size) == "How many there are."


def test_a_paragraph_of_its_own_follows_the_first() -> None:
    assert inspect.getdoc(Facade.wait) == (
        "Wait for it.\n\nIt is\nslow.\n\nArgs:\n    size: How many.\n    text: What."
    )
    assert inspect.getdoc(Facade.run) == inspect.getdoc(Behind.wait)


def test_a_method_with_a_body_of_its_own(facade: Facade) -> None:
    assert facade.twice(2, text="abc") == 12
    signature = inspect.signature(Facade.twice)
    assert str(signature).replace("'", "") == (
        "(self, size: int = 1, *, text: str = ) -> int"
    )
    assert Facade.twice.__doc__ == inspect.getdoc(Behind.wait)


def test_a_subclass_overrides_what_a_facade_has() -> None:
    class Mine(socketio.Server):
        def disconnect(self, *args: Any, **kwargs: Any) -> None:
            left.append(args[0])
            super().disconnect(*args, **kwargs)

        def emit(self, event: Any, *args: Any, **kwargs: Any) -> None:
            sent.append(event)
            super().emit(event, *args, **kwargs)

    left: list[str] = []
    sent: list[str] = []
    sio = Mine()
    with testing.client(sio) as client:
        sio.send("hello", to=client.sid)
        assert client.expect("message") == "hello"
        sio.disconnect(client.sid)
    assert left == [client.sid]
    assert sent == ["message"]
    sio.shutdown()


def test_servers_for_threads_show_as_themselves(server: socketio.Server) -> None:
    assert "socketio_fast.server.Server" in repr(server)
    assert server == server
    assert server != socketio.Server()


def test_facades_of_one_object_are_equal(server: socketio.Server) -> None:
    assert server.of("/chat") == server.of("/chat")
    assert len({server.of("/chat"), server.of("/chat"), server.of("/")}) == 2
    assert "/chat" in repr(server.of("/chat"))


def test_listeners_by_keyword(server: socketio.Server) -> None:
    def middleware(socket: blocking.Socket) -> None: ...

    assert server.of("/").use(middleware=middleware) is middleware
    with pytest.raises(TypeError, match="missing a required argument"):
        server.of("/").use()
    with pytest.raises(TypeError, match="coroutine function"):

        @server.of("/").use
        async def no(socket: blocking.Socket) -> None: ...


@pytest.mark.parametrize("kind", [socketio.AsyncServer, socketio.Server])
def test_rooms_tell_the_next_change_once(kind: Any) -> None:
    adapter = kind().of("/").adapter
    assert adapter.once("join-room", print) is print
    assert adapter.listeners("join-room") == [print]
    with pytest.raises(ValueError, match="rooms have no event 'created'"):
        adapter.once("created", print)


def test_changes_of_rooms_are_logged_in_threads_too() -> None:
    lines: list[str] = []

    class Logger:
        def info(self, text: str) -> None:
            lines.append(text)

        warning = error = info

    sio = socketio.Server(logger=Logger())
    with testing.client(sio) as client:
        sio.enter_room(client.sid, "a")
        sio.leave_room(client.sid, "a")
        sio.close_room("b", namespace="/chat")
    assert [line for line in lines if "room" in line] == [
        f"{client.sid} is entering room a [/]",
        f"{client.sid} is leaving room a [/]",
        "room b is closing [/chat]",
    ]
    sio.shutdown()
