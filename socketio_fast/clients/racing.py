"""Several ways to one end, of which the first that succeeds is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

__all__ = ["first_of"]

T = TypeVar("T")


async def first_of(
    attempts: Sequence[Callable[[], Coroutine[Any, Any, T]]],
    delay: float,
    drop: Callable[[T], None],
    failed: Callable[[int, Exception], None] = lambda index, error: None,
) -> tuple[int, T]:
    """Make attempts, each a little after the one before, or when that has failed.

    Args:
        attempts: At least one.
        delay: Seconds between them.
        drop: Called with what another attempt has brought too late.
        failed: Called with the index of each attempt that has failed, and its error.

    Returns:
        The index of the first that has succeeded, and what it returned. The others are
        cancelled then, and have ended.

    Raises:
        Exception: All have failed; that of the last.
    """
    waiting = list(enumerate(attempts))
    running: dict[asyncio.Task[T], int] = {}
    error: Exception | None = None
    try:
        while waiting or running:
            if waiting:
                index, attempt = waiting.pop(0)
                running[asyncio.create_task(attempt())] = index
            done, _ = await asyncio.wait(
                running,
                timeout=delay if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in sorted(done, key=running.__getitem__):
                exception = task.exception()
                if exception is None:
                    return running.pop(task), task.result()
                if not isinstance(exception, Exception):
                    raise exception
                error = exception
                failed(running.pop(task), error)
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for task in running:
            if not task.cancelled() and task.exception() is None:
                drop(task.result())
    assert error is not None
    raise error
