"""Bounded waits: what should have happened and has not is a failure that names it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds after which something that should have happened is missing.
WAIT = 20.0


async def within(
    awaitable: Awaitable[T], what: str = "what was awaited", *, seconds: float = WAIT
) -> T:
    """The awaitable's result, or a failure that names what did not happen."""
    task = asyncio.ensure_future(awaitable)
    # Not wait_for(): what is awaited may raise a TimeoutError of its own.
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        await asyncio.wait({task}, timeout=seconds)
        raise AssertionError(f"{what}: not within {seconds:g} s")
    return task.result()


async def until(condition: Callable[[], bool], *, seconds: float = WAIT) -> None:
    """Wait for what tells nobody that it has happened."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds:g} s"
        await asyncio.sleep(0.01)


class Changes:
    """Wakes who waits for a condition, each time that a change is noted."""

    def __init__(self) -> None:
        self._noted = asyncio.Event()

    def note(self) -> None:
        self._noted.set()

    async def until(
        self, condition: Callable[[], bool], *, seconds: float = WAIT
    ) -> None:
        async def wait() -> None:
            while not condition():
                self._noted.clear()
                await self._noted.wait()

        await within(wait(), "the condition", seconds=seconds)
