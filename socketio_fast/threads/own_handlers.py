"""Waits until handlers of a client's connection have ended."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Container
from typing import Any

from socketio_fast._core.engine.runner import acting

__all__ = ["OwnHandlers"]


class OwnHandlers:
    """The handlers of connect, disconnect and others of the connection that run now.

    ``connect()``, ``disconnect()`` and ``wait()`` return when these have ended, as
    those of python-socketio do.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any] | None] = set()
        self._waiting: set[asyncio.Future[None]] = set()

    def watch(
        self, handler: Callable[..., Any], names: Container[Any] | None = None
    ) -> Any:
        """A handler, a coroutine function, that is watched while it runs.

        Args:
            handler: The handler.
            names: Watch it only if its first argument is one of these.
        """

        @functools.wraps(handler)
        async def watched(*args: Any) -> Any:
            if names is not None and args[0] not in names:
                return await handler(*args)
            task = asyncio.current_task()
            self._running.add(task)
            try:
                return await handler(*args)
            finally:
                self._ended(task)

        return watched

    def _ended(self, task: asyncio.Task[Any] | None) -> None:
        self._running.discard(task)
        if not self._running:
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_result(None)

    async def ended(self, timeout: float | None = None) -> None:
        """Wait until they have ended, or for so many seconds. One that waits here
        itself, in its thread, is not waited for."""
        current = asyncio.current_task()
        if current is not None:
            self._ended(acting.get(current))
        if not self._running:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await asyncio.wait({waiting}, timeout=timeout)
        finally:
            self._waiting.discard(waiting)
