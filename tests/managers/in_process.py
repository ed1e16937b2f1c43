"""Managers of several processes, with brokers in this one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from managers.app import Client
from socketio_fast import AsyncServer, PubSubManager
from socketio_fast.async_pubsub_manager import AsyncPubSubManager

Node = Callable[[Any], Awaitable[tuple[AsyncServer, str]]]


Connect = Callable[[str], Awaitable[Client]]


class Broker:
    """Delivers to all managers of this process."""

    def __init__(self) -> None:
        self.queues: list[asyncio.Queue[Any]] = []
        self.published: list[dict[str, Any]] = []
        self.attempts = 0
        self.away: BaseException | None = None

    def publish(self, data: dict[str, Any]) -> None:
        self.attempts += 1
        if self.away is not None:
            raise self.away
        text = json.dumps(data)
        self.published.append(json.loads(text))
        for queue in self.queues:
            queue.put_nowait(text)

    def deliver(self, message: Any) -> None:
        """A message that nobody here has published."""
        for queue in self.queues:
            queue.put_nowait(message)


class Manager(AsyncPubSubManager):
    """The contract of python-socketio's subclasses, and nothing more."""

    def __init__(self, broker: Broker, **options: Any) -> None:
        super().__init__(**options)
        self.broker = broker
        self.listened = 0

    async def _publish(self, data: dict[str, Any]) -> None:
        self.broker.publish(data)

    async def _listen(self) -> AsyncIterator[Any]:
        self.listened += 1
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self.broker.queues.append(queue)
        self._on_subscribed()
        try:
            while True:
                message = await queue.get()
                if isinstance(message, BaseException):
                    raise message
                yield message
        finally:
            self.broker.queues.remove(queue)


@pytest.fixture
def broker() -> Broker:
    return Broker()


class Threaded(PubSubManager):
    """The contract of python-socketio's sync subclasses: a generator, in a thread."""

    def __init__(self, broker: Broker, **options: Any) -> None:
        super().__init__(**options)
        self.broker = broker
        self.threads: set[str] = set()
        self.incoming: SimpleQueue[Any] = SimpleQueue()

    def _publish(self, data: dict[str, Any]) -> None:
        self.threads.add(threading.current_thread().name)
        self.broker.publish(data)

    def _listen(self) -> Iterator[Any]:
        self._on_subscribed()
        while True:
            message = self.incoming.get()
            if isinstance(message, BaseException):
                raise message
            if message is None:
                return
            yield message
