"""Tasks and threads that end with the object that they work for.

A program may drop a server, and with it the manager, without shutting it down. The
event loop refers to the tasks that wait: if these referred to the manager, it would
never be collected, and they would never end.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import weakref
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

__all__ = ["cancelled", "is_cancelled", "new_task", "released", "run_for"]

T = TypeVar("T")
L = TypeVar("L", bound=Callable[[Any], Any])


def run_for(
    owner: T,
    run: Callable[[Callable[[], T | None]], Coroutine[Any, Any, None]],
    loop: asyncio.AbstractEventLoop,
) -> asyncio.Task[None]:
    """Run a task for an object, and cancel it when the object is gone.

    Args:
        owner: The object.
        run: The coroutine function; it gets a function that returns the object, or
            ``None`` when that is gone, and holds it only while it does not wait.
        loop: The event loop.
    """

    def gone(found: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(task.cancel)

    task = new_task(run(weakref.ref(owner, gone)), loop)
    return task


def new_task(
    coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
) -> asyncio.Task[None]:
    """Begin a task in which :func:`is_cancelled` can tell, on Python 3.10 too."""
    if hasattr(asyncio.Task, "cancelling"):
        return loop.create_task(coroutine)
    return _Task(coroutine, loop=loop)


def is_cancelled() -> bool:
    """Whether this task was cancelled, which packages of brokers may have concealed."""
    task = asyncio.current_task()
    return task is not None and hasattr(task, "cancelling") and task.cancelling() > 0


async def cancelled(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks, and wait until they have ended.

    Packages of brokers conceal now and then that a task was cancelled, so those that go
    on are cancelled again each second.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=1)


class _Task(asyncio.Task):  # type: ignore[type-arg]
    """One that tells whether it was cancelled, as those of Python 3.11 do. Packages of
    brokers may conceal that."""

    _cancels = 0

    def cancel(self, msg: Any | None = None) -> bool:
        self._cancels += 1
        return super().cancel(msg)

    def cancelling(self) -> int:
        return self._cancels


def released(listen: L) -> L:
    """A ``_listen()`` whose ``self`` is a weak proxy of its manager."""

    @functools.wraps(listen)
    def listen_for(manager: Any, *args: Any) -> Any:
        return listen(weakref.proxy(manager), *args)

    return listen_for  # type: ignore[return-value]
