"""Clients of either package by one interface, and what has happened to them.

A test takes the fixture ``client_kind`` and gets both packages' AsyncClient in turn::

    async with client_kind.new(reconnection=False) as client:
        await client.connect(target.url, "websocket")
        assert await client.call("echo", 1) == 1
        assert await client.expect("echo") == [1]
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import socketio as python_socketio

import socketio_fast
from support.interop import SETTLED, TRANSPORTS, WAIT, Calls, within
from support.waiting import until

__all__ = ["CLIENTS", "OURS", "PYTHON", "ClientKind", "RecordingClient", "answer_of"]

#: What a client waits before it reconnects, in tests.
RECONNECTION: dict[str, Any] = {
    "reconnection_delay": 0.02,
    "reconnection_delay_max": 0.1,
    "randomization_factor": 0,
}


def answer_of(args: Sequence[Any]) -> Any:
    """What ``call()`` gives for an acknowledgement with these arguments."""
    return None if not args else args[0] if len(args) == 1 else tuple(args)


class RecordingClient:
    """A client whose events, connects, errors and disconnects are kept, in order."""

    def __init__(self, sio: Any, namespaces: Sequence[str]) -> None:
        self.sio = sio
        self.namespaces = list(namespaces)
        #: What to answer to which event.
        self.answers: dict[str, Any] = {}
        self.events = {nsp: Calls(f"an event in {nsp}") for nsp in namespaces}
        self.connects = {nsp: Calls(f"connect of {nsp}") for nsp in namespaces}
        self.errors = {nsp: Calls(f"connect_error of {nsp}") for nsp in namespaces}
        self.disconnects = {nsp: Calls(f"disconnect of {nsp}") for nsp in namespaces}
        for namespace in namespaces:
            self._watch(namespace)

    def _watch(self, namespace: str) -> None:
        def event(name: str, *args: Any) -> Any:
            self.events[namespace].add(name, *args)
            return self.answers.get(name)

        def connect() -> None:
            self.connects[namespace].add()

        def connect_error(*data: Any) -> None:
            self.errors[namespace].add(*data)

        def disconnect(reason: Any) -> None:
            self.disconnects[namespace].add(reason)

        self.sio.on("*", event, namespace=namespace)
        self.sio.on("connect", connect, namespace=namespace)
        self.sio.on("connect_error", connect_error, namespace=namespace)
        self.sio.on("disconnect", disconnect, namespace=namespace)

    async def connect(self, url: Any, transport: str, **options: Any) -> None:
        """Connect, and wait for the connect event of each namespace."""
        await self.start(url, transport, **options)
        for namespace in self.namespaces:
            await self.connects[namespace].next()

    async def start(self, url: Any, transport: str, **options: Any) -> None:
        """Call the client's connect()."""
        options.setdefault("namespaces", self.namespaces)
        options.setdefault("wait_timeout", WAIT / 2)
        await within(
            self.sio.connect(url, transports=TRANSPORTS[transport], **options),
            "connect",
        )

    async def settled(self, transport: str) -> None:
        """Wait until the upgrade is over, if there is one."""
        await until(lambda: self.sio.transport() == SETTLED[transport], seconds=WAIT)

    async def emit(self, event: str, *args: Any, namespace: str = "/") -> None:
        await within(self.sio.emit(event, args, namespace=namespace), "emit")

    async def call(
        self, event: str, *args: Any, namespace: str = "/", timeout: float = WAIT / 2
    ) -> Any:
        return await within(
            self.sio.call(event, args, namespace=namespace, timeout=timeout), "call"
        )

    async def expect(self, name: str, namespace: str = "/") -> list[Any]:
        """The arguments of the next event, which must be this one."""
        got, *args = await self.events[namespace].next()
        assert got == name, f"{got}{tuple(args)!r:.200} instead of {name}"
        return args

    async def disconnected(self, namespace: str = "/") -> Any:
        """The reason of the next disconnect."""
        return (await self.disconnects[namespace].next())[0]

    async def reconnected(self, namespace: str = "/") -> None:
        await self.connects[namespace].next()


@dataclass(frozen=True)
class ClientKind:
    """A package's AsyncClient.

    Args:
        name: What tests call it.
        find: Gives the class, or raises AttributeError.
        lacks: What it does not have.
    """

    name: str
    find: Callable[[], Any]
    lacks: frozenset[str] = frozenset()

    @property
    def ours(self) -> bool:
        return self is OURS

    @property
    def exceptions(self) -> Any:
        """The package's module of exceptions."""
        return (socketio_fast if self.ours else python_socketio).exceptions

    def needs(self, *features: str) -> None:
        """Skip the test where the client has not got them."""
        missing = self.lacks.intersection(features)
        if missing:
            pytest.skip(f"{self.name}'s client has no {', '.join(sorted(missing))}")

    @contextlib.asynccontextmanager
    async def new(
        self, *namespaces: str, **options: Any
    ) -> AsyncIterator[RecordingClient]:
        """A client that ends with the block; it listens in these namespaces."""
        async with contextlib.AsyncExitStack() as stack:
            if not self.ours and "http_session" not in options:
                # It leaves a session of its own open where connecting fails.
                http = await stack.enter_async_context(aiohttp.ClientSession())
                options["http_session"] = http
            sio = self.find()(handle_sigint=False, **{**RECONNECTION, **options})
            stack.push_async_callback(self._end, sio)
            yield RecordingClient(sio, namespaces or ("/",))

    async def _end(self, sio: Any) -> None:
        if self.ours:
            await within(sio.shutdown(), "shutdown")
            return
        # Without a word: its goodbye by polling waits for a poll to be answered.
        connected, sio.connected = sio.connected, False
        await within(sio.shutdown(), "shutdown")
        if connected or sio.eio.state == "connected":
            await within(sio.eio.disconnect(abort=True), "the client's end")


OURS = ClientKind("socketio_fast", lambda: socketio_fast.AsyncClient)
PYTHON = ClientKind(
    "python-socketio",
    lambda: python_socketio.AsyncClient,
    frozenset(
        {
            # It waits for max(interval, timeout) + 5 s.
            "heartbeat of long-polling",
            # It gives up a poll of more than 16 packets.
            "many packets in a poll",
            "max payload",
            "offline buffer",
            # It waits for a poll that the server holds, or for a heartbeat.
            "prompt end of long-polling",
            "reconnection after a close packet",
            "recovery",
        }
    ),
)

CLIENTS = [OURS, PYTHON]
