"""Tasks of handlers of a client's own events: ``connect``, ``disconnect``, others."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from typing import Any

from socketio_fast._core.engine.runner import acting

__all__ = ["CONNECTING", "DISCONNECTING", "OwnTasks", "Task"]

#: What happens while a client connects, and when it has disconnected.
CONNECTING = frozenset({"connect", "connect_error"})
DISCONNECTING = frozenset({"disconnect", "__disconnect_final"})

Task = asyncio.Task[Any]


class OwnTasks:
    """Handlers and listeners of own events that are suspended.

    ``connect()``, ``disconnect()`` and ``wait()`` return when these have ended, as
    those of python-socketio do.
    """

    def __init__(self) -> None:
        self._events: dict[Task, str] = {}

    def add(self, event: str, task: Task) -> None:
        """A handler of this event has suspended."""
        self._events[task] = event
        task.add_done_callback(self._forget)

    def _forget(self, task: Task) -> None:
        self._events.pop(task, None)

    def of(self, events: Set[str]) -> set[Task]:
        """Those of these events that have not ended."""
        return {
            task
            for task, event in self._events.items()
            if event in events and not task.done()
        }

    async def ended(
        self,
        events: Set[str],
        seconds: float | None = None,
        but: Set[Task] | None = None,
    ) -> None:
        """Wait until those of these events have ended.

        Args:
            events: The events.
            seconds: The most seconds to wait; ``None`` without limit.
            but: Those that were there before, and are not waited for. ``None``: all
                are waited for, and one that waits here itself is by nobody.
        """
        current = asyncio.current_task()
        caller = {acting.get(current, current)} if current else set()
        if but is None:
            for task in caller:  # another may wait here, too
                self._forget(task)
        others = caller.union(but or ())
        loop = asyncio.get_running_loop()
        end = None if seconds is None else loop.time() + seconds
        while tasks := self.of(events) - others:
            left = None if end is None else max(0.0, end - loop.time())
            _, late = await asyncio.wait(tasks, timeout=left)
            if late and left is not None:
                return
