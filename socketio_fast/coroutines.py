"""Objects that pass for coroutines without being made by ``async def``.

A coroutine of Python costs a frame. :class:`Begun`, and what ``emit()`` returns, do
without: they have a coroutine's methods and attributes, and name its type as their
``__class__``, so that ``inspect``, asyncio, anyio and frameworks take them for one.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import CoroutineType, FrameType
from typing import Any, TypeVar

__all__ = [
    "DONE",
    "Begun",
    "Flag",
    "frame_of",
    "on_loop",
    "returns_coroutine",
    "within",
]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def returns_coroutine(function: F) -> F:
    """Decorate a function that returns a coroutine: it is a coroutine function then.

    To ``asyncio.iscoroutinefunction()``; from Python 3.12 on to that of ``inspect``
    too, which before that looks at nothing but the function's code.
    """
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return function


def on_loop(
    loop: asyncio.AbstractEventLoop, awaitable: Awaitable[T]
) -> asyncio.Future[T]:
    """Run a coroutine on an event loop of another thread, and wake that.

    Programs of python-socketio do ``asyncio.run(sio.emit(…))`` in threads.

    Returns:
        A future of the loop that runs in this thread.
    """

    async def run() -> T:
        return await awaitable

    return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), loop))


async def within(awaitable: Awaitable[T], seconds: float | None) -> T:
    """Wait for something, but only so long.

    ``asyncio.wait_for()`` of Python before 3.12 loses a ``Task.cancel()`` that comes
    when the awaitable has just ended: a Task that was told to stop goes on.

    Args:
        awaitable: What to wait for. It is cancelled when the time is over, and when
            the waiting Task is.
        seconds: How long; ``None`` without limit.

    Raises:
        asyncio.TimeoutError: The time is over.
    """
    future = asyncio.ensure_future(awaitable)
    try:
        await asyncio.wait({future}, timeout=seconds)
    except asyncio.CancelledError:
        if future.cancel():
            await asyncio.wait({future})
        if not future.cancelled():
            future.exception()  # nobody else retrieves it
        raise
    if future.cancel():
        await asyncio.wait({future})
        if future.cancelled():
            raise asyncio.TimeoutError
    return future.result()


class Flag:
    """What one may wait for until it is set, like an ``asyncio.Event``.

    One that nobody waits for has a tenth of the size of an Event, which has a deque.
    """

    __slots__ = ("_set", "_waiting")

    def __init__(self) -> None:
        self._set = False
        self._waiting: list[asyncio.Future[None]] | None = None

    def set(self) -> None:
        """Set it: nobody waits any more."""
        self._set = True
        waiting, self._waiting = self._waiting, None
        for future in waiting or ():
            if not future.done():
                future.set_result(None)

    def clear(self) -> None:
        """From now on one waits."""
        self._set = False

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until it is set, but only so long.

        Args:
            seconds: How long; ``None`` without limit.
        """
        if self._set:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(future)
        try:
            if seconds is None:
                await future
            else:
                await asyncio.wait({future}, timeout=seconds)
        finally:
            if self._waiting is not None and future in self._waiting:
                self._waiting.remove(future)


def _steps() -> Generator[None, None, None]:
    yield


_unstarted = _steps()
_suspended = _steps()
next(_suspended)


def frame_of(started: bool) -> FrameType:
    """A frame for ``cr_frame``: one that has not begun, or one that waits.

    ``inspect.getcoroutinestate()`` reads the state from it.
    """
    frame: FrameType = getattr(_suspended if started else _unstarted, "gi_frame")  # noqa: B009
    return frame


class Begun(Coroutine[Any, Any, None]):
    """A coroutine whose work has begun already; awaiting it waits for the end.

    It need not be awaited, and may be more than once.

    Args:
        future: Done when the work has ended; ``None`` if it has ended already.
    """

    __slots__ = ("_future", "_waiting")

    cr_code = _steps.__code__
    cr_origin = None
    cr_running = False

    def __init__(self, future: asyncio.Future[Any] | None = None) -> None:
        self._future = future
        self._waiting: Generator[Any, None, Any] | None = None

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return CoroutineType

    @property
    def cr_await(self) -> Any:
        """The object that it waits for, or ``None``."""
        return self._waiting

    @property
    def cr_suspended(self) -> bool:
        """Whether it is suspended, after a task has started it."""
        return self._waiting is not None

    @property
    def cr_frame(self) -> FrameType | None:
        """The frame of a coroutine in the same state; ``None`` if it is complete."""
        return None if self._future is None else frame_of(self.cr_suspended)

    def __await__(self) -> Generator[Any, None, None]:
        if self._future is not None:
            yield from self._future

    def send(self, value: None) -> Any:
        """Resume it, like ``send()`` of coroutines."""
        if self._waiting is None:
            self._waiting = self.__await__()
        return self._waiting.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an exception where it waits, like ``throw()`` of coroutines."""
        if self._waiting is None:
            self._waiting = self.__await__()
        return self._waiting.throw(*error)

    def close(self) -> None:
        """Stop waiting; the work that has begun goes on."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.close()


#: An awaitable that is complete; awaiting it returns None.
DONE = Begun()
