"""Callbacks for acknowledgements by clients of several servers."""

from __future__ import annotations

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from socketio_fast._core.socketio.acks import Reply
from socketio_fast.exceptions import TimeoutError

__all__ = ["Callbacks", "FirstAnswer"]

Callback = Callable[..., Any]

# Seconds that clients of other servers have to acknowledge an event with a callback,
# which has no limit of its own.
LIFETIME = 3600
# Callbacks for acknowledgements by clients of other servers, at most.
MAX_CALLBACKS = 100_000


class Callbacks:
    """The callbacks that wait. The oldest of too many are given up.

    Args:
        spawn: Runs a coroutine, and is told what has failed if it raises.
    """

    def __init__(self, spawn: Callable[[Any, str], None]) -> None:
        self.spawn = spawn
        self._waiting: OrderedDict[int, FirstAnswer] = OrderedDict()
        self._last = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, function: Callback) -> FirstAnswer:
        """Wait for the first answer, and call a function with its arguments."""
        now = asyncio.get_running_loop().time()
        while self._waiting:
            oldest = next(iter(self._waiting.values()))
            if len(self._waiting) < MAX_CALLBACKS and oldest.until > now:
                break
            oldest.give_up()
        self._last += 1
        waiting = FirstAnswer(self, function, self._last, now + LIFETIME)
        self._waiting[waiting.number] = waiting
        if isinstance(function, Reply):
            function.number = waiting.number
        return waiting

    def forget(self, reply: Reply) -> None:
        """Wait no longer for what a reply was to get."""
        waiting = self._waiting.get(reply.number or 0)
        if waiting is not None:
            waiting.close()

    def take(self, number: int) -> bool:
        """Remove a callback; returns whether it was there."""
        return self._waiting.pop(number, None) is not None


class FirstAnswer:
    """The callback of an event to clients of several servers: the first answer counts.

    It has the methods of ``Answers`` that adapters call.

    Args:
        callbacks: Keep it.
        function: The callback.
        number: The number by which they keep it.
        until: When it is given up, by the clock of the event loop.
    """

    counts_servers = False

    def __init__(
        self, callbacks: Callbacks, function: Callback, number: int, until: float
    ) -> None:
        self._callbacks = callbacks
        self._function = function
        self.number = number
        self.until = until
        self._on_close: list[Callable[[], Any]] = []

    def here(self, *args: Any) -> None:
        """A client of this process has answered."""
        self.answered_unnamed(list(args))

    def answered(self, sid: str, arguments: list[Any]) -> None:
        """A client has answered."""
        self.answered_unnamed(arguments)

    def answered_unnamed(self, arguments: list[Any]) -> None:
        """A client that is not named has answered."""
        if not self.close():
            return
        result = self._function(*arguments)
        if inspect.isawaitable(result):
            self._callbacks.spawn(_finish(result), "callback of an acknowledgement")

    def others(self, count: int) -> None:
        """So many servers are asked."""

    def of_host(self, sids: Iterable[str]) -> None:
        """Another server has asked these clients."""

    def of_host_unnamed(self, count: int) -> None:
        """Another server has asked so many clients."""

    def host_failed(self, why: str, sids: Iterable[str], counted: bool) -> None:
        """Another server has gone."""

    def gone(self, sid: str) -> None:
        """A client has gone."""

    def on_close(self, function: Callable[[], Any]) -> None:
        """Call a function when no answer is waited for any more."""
        self._on_close.append(function)

    def close(self) -> bool:
        """Wait no longer; returns whether it has waited."""
        if not self._callbacks.take(self.number):
            return False
        for function in self._on_close:
            function()
        return True

    def give_up(self) -> None:
        """Wait no longer, because it has lasted too long, or too many are waited
        for."""
        self.close()
        if isinstance(self._function, Reply):
            self._function.give_up(
                TimeoutError(
                    "another server has not acknowledged, and this one waits for more "
                    f"than {MAX_CALLBACKS} acknowledgements"
                )
            )


async def _finish(awaitable: Awaitable[Any]) -> None:
    await awaitable
