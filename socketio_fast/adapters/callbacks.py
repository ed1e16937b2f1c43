"""Callbacks for acknowledgements by clients of other servers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from socketio_fast._core.socketio.acks import Reply
from socketio_fast.exceptions import TimeoutError

if TYPE_CHECKING:
    from socketio_fast.adapters.base import Adapter

__all__ = ["CALLBACK_LIFETIME", "MAX_CALLBACKS", "WaitingCallback"]

Callback = Callable[..., Any]

# Seconds that clients of other servers have to acknowledge an event with a callback,
# which has no limit of its own.
CALLBACK_LIFETIME = 3600
# Callbacks for acknowledgements by clients of other servers, at most.
MAX_CALLBACKS = 100_000


class WaitingCallback:
    """The callback of an event to clients of several servers: the first answer counts.

    It has the methods of ``Answers`` that adapters call.

    Args:
        adapter: The adapter that keeps it.
        function: The callback.
        number: The number by which the adapter keeps it.
        until: When it is given up, by the clock of the event loop.
    """

    counts_servers = False

    def __init__(
        self, adapter: Adapter, function: Callback, number: int, until: float
    ) -> None:
        self._adapter = adapter
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
            self._adapter._spawn(_finish(result), "callback of an acknowledgement")

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
        if self._adapter._callbacks.pop(self.number, None) is None:
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
