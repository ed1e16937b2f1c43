"""Iterating over the events that a client receives."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

from socketio_fast.event_arguments import value_of
from socketio_fast.sockets.events import EventEmitter

__all__ = ["EventIterator"]


class EventIterator(EventEmitter):
    """A client in a namespace, whose events can be iterated over. Its own event
    ``disconnect`` says that it has left the namespace."""

    @property
    def active(self) -> bool:
        """Whether it is connected, or will be when there is a connection."""
        raise NotImplementedError

    async def events(self, event: Any, size: int = 10_000) -> AsyncGenerator[Any, None]:
        """Iterate over the arguments of an event: ``async for price in
        socket.events("price")``.

        Each item is ``None`` for no argument, the argument for one, a tuple for
        several. The iteration ends when the namespace is left for good.

        Args:
            event: The name.
            size: How many events wait at most; of more, the oldest are dropped.
        """
        waiting: deque[Any] = deque(maxlen=size)
        came = asyncio.Event()

        def received(*args: Any) -> None:
            waiting.append(value_of(args))
            came.set()

        def left(reason: Any) -> None:
            came.set()

        self.on(event, received)
        self.on("disconnect", left)
        try:
            while True:
                while waiting:
                    yield waiting.popleft()
                if not self.active:
                    return
                came.clear()
                await came.wait()
        finally:
            self.off(event, received)
            self.off("disconnect", left)
