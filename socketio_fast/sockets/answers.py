"""Acknowledgements that a program waits for: of one client, and of many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

from socketio_fast import exceptions
from socketio_fast._core.socketio.acks import Reply
from socketio_fast.arguments import value_of

__all__ = ["Answers", "wait_for_answer"]


async def wait_for_answer(
    reply: Reply, sid: str, event: str, timeout: float | None
) -> Any:
    """Wait for the acknowledgement of one client.

    Args:
        reply: What the core tells of the acknowledgement.
        sid: The client's ``sid``, for the error.
        event: The name of the event that it is to acknowledge, for the error.
        timeout: Seconds to wait, ``None`` without limit.

    Returns:
        ``None`` for an acknowledgement without arguments, the argument for one, a
        tuple for several.

    Raises:
        TimeoutError: No acknowledgement came in time, or the core has given it up.
        CallDisconnectedError: The client has gone; a ``TimeoutError`` as well.
    """
    try:
        return value_of(await asyncio.wait_for(reply.future, timeout))
    except (asyncio.TimeoutError, TimeoutError) as exc:  # two classes in Python 3.10
        if reply.future.done() and not reply.future.cancelled():
            # The core has given it up. The traceback is dropped because its frames
            # refer to the future, which refers to this exception: the cycle would be
            # left to the garbage collector.
            raise exc.with_traceback(None) from None
        raise exceptions.TimeoutError(
            f"{sid} did not acknowledge {event!r} in {timeout} s"
        ) from None
    finally:
        del reply


class Answers:
    """Acknowledgements of many clients, as they come.

    The managers tell it whom they have asked; clients, or other processes for theirs,
    tell it what came.

    Args:
        timeout: Seconds from now that they have.
    """

    def __init__(self, timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + timeout
        self.missing: set[str] = set()
        #: What is known to be wrong, beyond clients that are missing.
        self.incomplete = ""
        self._asked: list[Any] = []
        self._waiting: set[str] = set()  # clients
        self._hosts = 0  # other processes that have not said whom they have asked
        self._came: deque[tuple[str, Any]] = deque()
        self._all_asked = False
        self._wake: asyncio.Future[None] | None = None  # of who waits
        self._wake_at_each = False  # answer, or when there are all
        self._closing: list[Any] = []

    # From managers.

    def asked(self, clients: Iterable[tuple[Any, int]]) -> None:
        """Clients of this process, and the numbers of their acknowledgements."""
        for peer, id in clients:
            self._asked.append((peer, id))
            self._waiting.add(peer.sid)

    def others(self, count: int) -> None:
        """So many other processes will say whom they have asked."""
        self._hosts += count

    def of_host(self, sids: Iterable[str]) -> None:
        """One of them says so."""
        self._hosts -= 1
        self._waiting.update(sids)
        self._check()

    def host_failed(self, why: str, sids: Iterable[str], counted: bool) -> None:
        """One of them will not answer any more."""
        if not counted:
            self._hosts -= 1
        self.incomplete = f"; {why}"
        for sid in sids:
            self.gone(sid)
        self._check()

    def on_close(self, function: Any) -> None:
        """Call this when nobody waits any more."""
        self._closing.append(function)

    def answered(self, sid: str, arguments: list[Any]) -> None:
        """A client has acknowledged."""
        if sid in self._waiting:
            self._waiting.discard(sid)
            self._came.append((sid, value_of(arguments)))
            if self._wake_at_each or not self._waiting:
                self._check()

    def gone(self, sid: str) -> None:
        """A client has gone without that."""
        if sid in self._waiting:
            self._waiting.discard(sid)
            self.missing.add(sid)
            self._check()

    # From who waits.

    def all_asked(self) -> None:
        """There will be no others."""
        self._all_asked = True

    def _complete(self) -> bool:
        return self._all_asked and not self._waiting and not self._hosts

    def _check(self) -> None:
        if self._wake is None or self._wake.done():
            return
        if (self._wake_at_each and self._came) or self._complete():
            self._wake.set_result(None)

    async def _wait(self) -> None:
        """Wait until there is more, or all; or no more time."""
        self._wake = self._loop.create_future()
        left = max(0, self._deadline - self._loop.time())
        try:
            await asyncio.wait_for(self._wake, left)
        except asyncio.TimeoutError:
            if self._hosts:
                self.incomplete = f"; {self._hosts} other processes have not answered"
                self._hosts = 0
            self.missing |= self._waiting
            self._waiting.clear()

    async def next(self) -> tuple[str, Any] | None:
        """The next answer; None if there is none any more, or in time."""
        self._wake_at_each = True
        if not self._came and not self._complete():
            await self._wait()
        return self._came.popleft() if self._came else None

    async def all(self) -> Iterable[tuple[str, Any]]:
        """All answers, in the order they came."""
        if not self._complete():
            await self._wait()
        return self._came

    def check(self, event: str, responses: list[Any]) -> None:
        """Raise BroadcastTimeoutError if not all have answered."""
        if self.missing or self.incomplete:
            raise exceptions.BroadcastTimeoutError(
                event, len(self.missing), responses, self.incomplete
            )

    def close(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()
        for peer, id in self._asked:
            peer.forget_ack(id)
        for function in self._closing:
            function()
