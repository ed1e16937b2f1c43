"""What the conformance suite of adapters checks with: messages, clients, waits."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from socketio_fast import exceptions
from socketio_fast.async_server import AsyncServer
from socketio_fast.coroutines import within
from socketio_fast.testing.client import Client
from socketio_fast.testing.clusters import TIMEOUT, Cluster

__all__ = [
    "ARGUMENTS",
    "NONSENSE",
    "ROOMS",
    "Colour",
    "Price",
    "enter_rooms",
    "expect",
    "finish",
    "let_answer",
    "let_be_silent",
    "listening",
    "nothing_else",
    "on_the_loop",
    "until",
]

#: Arguments of events that have to arrive as they are.
ARGUMENTS: list[tuple[Any, ...]] = [
    (),
    (None,),
    ("",),
    ("ü€😀\x00\x1e",),
    (0, -1, 2**53, 1.5, True, None),
    ([], {}, [[]], {"": {"a": [None]}}),
    ({"_placeholder": "mine", "é": 1},),
    (b"",),
    (bytes(range(256)), [b"1", {"b": b"2"}], "text"),
]

#: Names of rooms that have a meaning in patterns, in subjects or in channels.
ROOMS = [
    "a*",
    "a?",
    "[a]",
    "a#b",
    "a.b",
    "a>",
    "a b",
    "/a",
    "é😀",
    "x" * 300,
    "20" * 10,
]

#: What no adapter publishes: not JSON, not MessagePack, or not a message.
NONSENSE: list[bytes] = [
    b"",
    b"\x00",
    b"\xc1\xc1\xc1",
    b"\xff" * 64,
    b"\r\n\x1b[31mred\x1b[0m",
    b"{",
    b'{"a":',
    b"{}",
    b"[]",
    b"null",
    b"5",
    b'"text"',
    b"[[[[[]]]]]",
    b'{"type":3}',
    b'{"uid":"x","nsp":"/","type":3}',
    b'{"uid":"x","nsp":"/","type":3,"data":5}',
    b'{"uid":"x","nsp":"/","type":3,"data":{"opts":null,"packet":null}}',
    b'{"uid":5,"nsp":[],"type":"3","data":{"opts":{},"packet":{}}}',
    b'{"uid":"x","nsp":"/","type":99,"data":{}}',
    b'{"uid":"x","nsp":"/unknown","type":2}',
    b'{"method":"emit"}',
    b"[" * 100_000,
    b"\x91" * 100_000,
    b"\x80\x04\x95\x00pickle.",
    b"x" * 1_000_000,
]


class Colour(enum.Enum):
    """A value that JSON does not have."""

    RED = "red"


@dataclasses.dataclass
class Price:
    """An object whose fields are such values."""

    euros: Decimal
    picture: bytes


def on_the_loop(cls: type) -> type:
    """Have the tests of a class, which are coroutines, run on the cluster's loop."""

    def wrapped(test: Callable[..., Any]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(self: Any, cluster: Cluster, **fixtures: Any) -> None:
            cluster.run(test(self, cluster, **fixtures))
            assert not cluster.errors, f"left to the event loop: {cluster.errors}"

        return run

    for name, value in list(vars(cls).items()):
        if name.startswith("test_") and inspect.iscoroutinefunction(value):
            setattr(cls, name, wrapped(value))
    return cls


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what tells nobody that it has happened."""
    deadline = asyncio.get_running_loop().time() + TIMEOUT
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not in {TIMEOUT} s"
        await asyncio.sleep(0.01)


async def finish(awaitable: Awaitable[Any], seconds: float = TIMEOUT) -> Any:
    """Wait for an awaitable, which may raise a ``TimeoutError`` itself."""
    try:
        return await within(awaitable, seconds)
    except (asyncio.TimeoutError, TimeoutError) as exc:
        if isinstance(exc, exceptions.TimeoutError):
            raise
        raise AssertionError(f"no end in {seconds} s") from None


async def expect(clients: list[Client], event: str, *args: Any) -> None:
    """Wait until each client has this event."""
    value = None if not args else args[0] if len(args) == 1 else args
    for client in clients:
        assert await client.expect(event, timeout=TIMEOUT) == value


async def nothing_else(cluster: Cluster, clients: list[Client]) -> None:
    """The clients, of ``/``, have no event that the test has not waited for."""
    for server in cluster.servers:
        await server.emit("end")
    for client in clients:
        for _ in cluster.servers:
            await client.expect("end", timeout=TIMEOUT)
        assert client.received == []


async def enter_rooms(server: AsyncServer, client: Client, *rooms: str) -> None:
    """Put a client of this server into rooms."""
    for room in rooms:
        await server.enter_room(client.sid, room, namespace=client.namespace)


def let_answer(client: Client, answer: Any) -> None:
    """Have a client acknowledge the event ``question``."""
    client.on("question", lambda *args: answer)


def let_be_silent(client: Client) -> asyncio.Event:
    """Have a client not acknowledge; returns what says that it was asked."""
    asked = asyncio.Event()
    gone = asyncio.Event()

    async def never(*args: Any) -> None:
        asked.set()
        await gone.wait()

    client.on("question", never)
    client.on("disconnect", lambda reason: gone.set())
    return asked


@asynccontextmanager
async def listening(
    servers: list[AsyncServer], event: str, namespace: str = "/", answer: Any = None
) -> AsyncIterator[list[asyncio.Queue[tuple[Any, ...]]]]:
    """Listeners of servers to an event of other servers, and what they are told."""
    heard: list[asyncio.Queue[tuple[Any, ...]]] = []
    registered = []
    for i, server in enumerate(servers):
        queue: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        heard.append(queue)

        async def listener(
            *args: Any, queue: asyncio.Queue[tuple[Any, ...]] = queue, number: int = i
        ) -> Any:
            queue.put_nowait(args)
            return answer(number) if callable(answer) else answer

        server.of(namespace).on(event, listener)
        registered.append((server, listener))
    try:
        yield heard
    finally:
        for server, listener in registered:
            server.of(namespace).off(event, listener)
