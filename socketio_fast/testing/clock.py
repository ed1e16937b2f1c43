"""Time that passes when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import sys
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from socketio_fast._core.engine.engine import Engine

__all__ = ["Clock", "settle"]

# Passes of the event loop in which whatever does not wait for time, threads or sockets
# comes to an end: a packet takes one, a task that a future wakes another.
PASSES = 12

# Seconds by which sums of floats may differ from what they stand for.
ROUNDING = 1e-6


async def settle() -> None:
    """Let the event loop do what is to be done now.

    After it, what handlers send without waiting for time, threads or sockets has come.
    """
    for _ in range(PASSES):
        await asyncio.sleep(0)


class Timers:
    """The time and the timers of an event loop, which can be stopped.

    There is one for each loop (:meth:`of`). While time is stopped, it takes the place
    of the loop's ``time``, ``call_at`` and ``call_later``. Engines keep it for good:
    its time goes on where it was when it is let go again, the loop's own goes back.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._real_time = loop.time
        self._real_call_at = loop.call_at
        self._real_call_later = loop.call_later
        self._ahead = 0.0
        self._now: float | None = None  # where time has stopped
        self._heap: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Timers:
        """That of a loop."""
        found = loop.__dict__.get("_socketio_fast_timers")
        if not isinstance(found, Timers):
            found = loop.__dict__["_socketio_fast_timers"] = cls(loop)
        return found

    def adopt(self, engine: Engine) -> None:
        """An engine of this loop tells time by it from now on."""
        engine.set_clock(self.time, self.call_at)

    # What stands in for the loop's.

    def time(self) -> float:
        """The time, in seconds."""
        if self._now is None:
            return self._real_time() + self._ahead
        # asyncio's loop asks itself, for timers that were set before time stopped.
        if sys._getframe(1).f_code.co_name == "_run_once":
            return self._real_time()
        return self._now

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call a function at that time."""
        if self._now is None:
            delay = when - self.time()
            return self._after(delay, callback, *args, context=context)
        handle = asyncio.TimerHandle(when, callback, args, self, context)  # type: ignore[arg-type]
        heapq.heappush(self._heap, (when, next(self._numbers), handle))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call a function after so many seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def _after(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call a function after so many seconds of real time."""
        # Of these two, each kind of loop makes one of the other, which may be ours.
        if isinstance(self._loop, asyncio.BaseEventLoop):
            when = self._real_time() + delay
            return self._real_call_at(when, callback, *args, context=context)
        delay = max(delay, 0.0)
        return self._real_call_later(delay, callback, *args, context=context)

    # What a TimerHandle asks of its loop.

    def get_debug(self) -> bool:
        return self._loop.get_debug()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self._loop.call_exception_handler(context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass  # it is skipped when it is due

    # Stopping.

    def stop(self) -> None:
        """Time stands still; RuntimeError if it does already."""
        if self._now is not None:
            raise RuntimeError("time stands still already: one Clock for an event loop")
        now = self.time()
        for name in ("time", "call_at", "call_later"):
            setattr(self._loop, name, getattr(self, name))
        self._now = now

    def start(self) -> None:
        """Time passes again, and what is not due yet goes on to be waited for."""
        assert self._now is not None
        self._ahead = self._now - self._real_time()
        self._now = None
        for name in ("time", "call_at", "call_later"):
            delattr(self._loop, name)
        heap, self._heap = self._heap, []
        for when, _, handle in heap:
            if not handle.cancelled():
                self._after(when - self.time(), _fire, handle)

    async def advance(self, seconds: float) -> None:
        """Let time pass; what is due happens one after the other, at its time."""
        await settle()
        if self._now is None:
            raise RuntimeError("this Clock has not been entered")
        until = self._now + seconds
        while self._heap and self._heap[0][0] <= until + ROUNDING:
            when, _, handle = heapq.heappop(self._heap)
            if not handle.cancelled():
                self._now = max(self._now, when)
                self._loop.call_soon(_fire, handle)
                await settle()
        self._now = max(self._now, until)

    async def wait(self, future: asyncio.Future[Any], timeout: float) -> bool:
        """Wait for a future, so many seconds of real time; whether it is done."""
        if not future.done():
            expired = self._loop.create_future()
            handle = self._after(timeout, _expire, expired)
            try:
                await asyncio.wait(
                    (future, expired), return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                handle.cancel()
        return future.done()


def _fire(handle: asyncio.TimerHandle) -> None:
    if not handle.cancelled():
        handle._run()


def _expire(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Clock:
    """Stops the time of the running event loop, and lets it pass at will.

    In the block, every timer that is set on the loop waits for :meth:`advance`:
    heartbeats and timeouts of servers that have had a
    :func:`~socketio_fast.testing.client`, ``call(timeout=…)``, ``asyncio.sleep()``,
    ``asyncio.wait_for()``. Sockets and threads go on, and so do timers that were set
    before. At the end of the block, timers that are left wait for the rest of their
    time as usual.

    Example::

        async with testing.Clock() as clock, testing.client(sio) as client:
            client.connection.answers_pings = False
            await clock.advance(25 + 20)
            assert not client.connected
    """

    def __init__(self) -> None:
        self._timers: Timers | None = None

    async def __aenter__(self) -> Clock:
        timers = Timers.of(asyncio.get_running_loop())
        timers.stop()
        self._timers = timers
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._timers is not None:
            self._timers.start()
            self._timers = None

    @property
    def now(self) -> float:
        """The time: ``loop.time()``, in seconds.

        Raises:
            RuntimeError: The clock has not been entered.
        """
        return self._entered().time()

    async def advance(self, seconds: float) -> None:
        """Let time pass, without waiting.

        What is due in between happens at its time, in order. The server gathers what is
        due within 20 ms of each other.

        Args:
            seconds: How much.

        Raises:
            ValueError: ``seconds`` is negative.
            RuntimeError: The clock has not been entered.
        """
        if seconds < 0:
            raise ValueError(f"advance({seconds!r}): 0 s or more expected")
        await self._entered().advance(seconds)

    def _entered(self) -> Timers:
        if self._timers is None:
            raise RuntimeError("this Clock has not been entered")
        return self._timers
