"""Servers in one process whose adapters share a bus in memory."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from support.waiting import until, within

from socketio_fast import AsyncServer
from socketio_fast.adapters import ClusterAdapter

Servers = Callable[..., Awaitable[list[AsyncServer]]]


class Bus:
    """Delivers what an adapter publishes to all of them."""

    def __init__(self) -> None:
        self.queues: dict[Any, asyncio.Queue[Any]] = {}
        self.published: list[dict[str, Any]] = []
        self.away: BaseException | None = None

    def publish(self, message: dict[str, Any]) -> None:
        if self.away is not None:
            raise self.away
        self.published.append(copy.deepcopy(message))
        self.deliver(message)

    def deliver(self, message: Any) -> None:
        for queue in self.queues.values():
            queue.put_nowait(copy.deepcopy(message))

    def of_type(self, *kinds: int) -> list[dict[str, Any]]:
        """What was published of these types."""
        return [message for message in self.published if message["type"] in kinds]


class BusAdapter(ClusterAdapter):
    """The two methods of an adapter, and nothing more."""

    name = "the bus"

    def __init__(self, bus: Bus, **options: Any) -> None:
        super().__init__(**options)
        self.bus = bus

    async def publish(self, message: dict[str, Any]) -> None:
        self.bus.publish(message)

    async def _listen(self) -> AsyncIterator[dict[str, Any]]:
        queue = self.bus.queues[self] = asyncio.Queue()
        self._on_subscribed()
        try:
            while True:
                message = await queue.get()
                if isinstance(message, BaseException):
                    raise message
                yield message
        finally:
            del self.bus.queues[self]


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
async def servers(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Servers]:
    """A factory: ``one, other = await servers(2)``, which know of each other."""
    monkeypatch.setattr("socketio_fast.adapters.cluster.DISCOVERY_TIME", 0)
    running: list[AsyncServer] = []

    async def start(
        count: int, namespaces: tuple[str, ...] = ("/",), **options: Any
    ) -> list[AsyncServer]:
        made = [
            AsyncServer(client_manager=BusAdapter(bus, **options)) for _ in range(count)
        ]
        for sio in made:
            for namespace in namespaces:
                sio.of(namespace)
            sio.bind(asyncio.get_running_loop())
            running.append(sio)
        for sio in running:
            await within(known(sio, len(running)))
        return made

    yield start
    for sio in running:
        await sio.unbind()


async def known(sio: AsyncServer, count: int, namespace: str = "/") -> None:
    """Wait until a server knows of so many, itself included."""
    adapter = sio.manager
    assert isinstance(adapter, ClusterAdapter)
    await adapter.server_count(namespace)
    await until(lambda: len(adapter._memberships[namespace].servers) == count - 1)
