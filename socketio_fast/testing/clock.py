"""A clock that stands still until a test advances it."""

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

# Passes of the event loop that settle() makes. A packet takes one pass, and each task
# that a future wakes takes one more; 12 are enough for handlers that do not wait for
# time, threads or sockets.
PASSES = 12

# Seconds by which sums of floats may differ from the exact sum.
ROUNDING = 1e-6


async def settle() -> None:
    """Let the event loop run everything that is ready.

    Afterwards clients have received what handlers send without waiting for time,
    threads or sockets.
    """
    for _ in range(PASSES):
        await asyncio.sleep(0)


class Timers:
    """The time and the timers of an event loop, which a test can stop.

    Each loop has one such object (:meth:`of`). While time is stopped, this object's
    ``time``, ``call_at`` and ``call_later`` replace those of the loop. When time starts
    again, the loop gets its own back, so that its time jumps back to real time. Engines
    use this object for good, and for them time goes on from where it was.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._real_time = loop.time
        self._real_call_at = loop.call_at
        self._real_call_later = loop.call_later
        self._ahead = 0.0
        self._now: float | None = None  # the time while it is stopped
        self._heap: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Timers:
        """The object of a loop, which is made at the first call."""
        found = loop.__dict__.get("_socketio_fast_timers")
        if not isinstance(found, Timers):
            found = loop.__dict__["_socketio_fast_timers"] = cls(loop)
        return found

    def adopt(self, engine: Engine) -> None:
        """Make this the clock of an engine that runs on this loop."""
        engine.set_clock(self.time, self.call_at)

    # These replace the loop's methods while time is stopped.

    def time(self) -> float:
        """The time, in seconds."""
        if self._now is None:
            return self._real_time() + self._ahead
        # asyncio's loop calls its own time() for the timers that were set before time
        # stopped, and these go by real time.
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
        """Schedule a call at a time, in seconds of :meth:`time`."""
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
        """Schedule a call after a delay, in seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def _after(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule a call after a delay, in seconds of real time."""
        # asyncio's call_later() calls self.call_at(), uvloop's call_at() calls
        # self.call_later(): either may be this object's. Call the one that does not.
        if isinstance(self._loop, asyncio.BaseEventLoop):
            when = self._real_time() + delay
            return self._real_call_at(when, callback, *args, context=context)
        delay = max(delay, 0.0)
        return self._real_call_later(delay, callback, *args, context=context)

    # A TimerHandle calls these methods of its loop.

    def get_debug(self) -> bool:
        return self._loop.get_debug()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self._loop.call_exception_handler(context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass  # advance() and start() skip cancelled handles

    # Stopping.

    def stop(self) -> None:
        """Stop time.

        Raises:
            RuntimeError: Time is stopped already.
        """
        if self._now is not None:
            raise RuntimeError(
                "another Clock has stopped the time of this event loop: use one Clock "
                "at a time"
            )
        now = self.time()
        for name in ("time", "call_at", "call_later"):
            setattr(self._loop, name, getattr(self, name))
        self._now = now

    def start(self) -> None:
        """Let time pass again; timers that are not due wait for the rest of it."""
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
        """Move time on by a number of seconds, and run the timers that become due.

        The timers run in the order of their times, each at its own time.
        """
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
        """Wait for a future, at most ``timeout`` seconds of real time.

        Returns:
            Whether the future is done.
        """
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
    """Stops the time of the running event loop; :meth:`advance` moves it on.

    Within the ``async with`` block, every timer that is set on the loop waits for
    :meth:`advance`: ``asyncio.sleep()``, ``asyncio.wait_for()``, ``call(timeout=…)``,
    and the heartbeats and timeouts of servers that have had a
    :func:`~socketio_fast.testing.client`. Sockets, threads, and timers that were set
    before the block go by real time. After the block, the remaining timers wait for the
    rest of their time as usual.

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
        """The value of ``loop.time()``, in seconds.

        Raises:
            RuntimeError: The clock has not been entered.
        """
        return self._entered().time()

    async def advance(self, seconds: float) -> None:
        """Move time on, without waiting for it.

        Timers that become due run in the order of their times. The server runs timers
        together that are due within 20 ms of each other.

        Args:
            seconds: Seconds to move on.

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
