"""Waiting in a thread so that Ctrl-C ends it on every system.

On Windows, Python runs no signal handler while the main thread waits for a lock. There
it waits in steps, and handlers run between them.
"""

from __future__ import annotations

import concurrent.futures
import os
import threading
import time
from contextlib import suppress
from typing import TypeVar

__all__ = ["result_of", "wait_for"]

T = TypeVar("T")

#: Seconds that a wait lasts at a time; ``None``: signals interrupt it anyway.
STEP: float | None = 0.25 if os.name == "nt" else None


def wait_for(event: threading.Event, timeout: float | None = None) -> bool:
    """``event.wait(timeout)``."""
    if STEP is None:
        return event.wait(timeout)
    deadline = None if timeout is None else time.monotonic() + timeout
    while not event.wait(_step(deadline)):
        if deadline is not None and time.monotonic() >= deadline:
            return event.is_set()
    return True


def result_of(future: concurrent.futures.Future[T], timeout: float | None = None) -> T:
    """``future.result(timeout)``."""
    if STEP is None:
        return future.result(timeout)
    deadline = None if timeout is None else time.monotonic() + timeout
    while not future.done():
        # concurrent.futures.wait() would not return for a future that is cancelled.
        with suppress(
            concurrent.futures.TimeoutError, concurrent.futures.CancelledError
        ):
            future.exception(_step(deadline))
        if deadline is not None and time.monotonic() >= deadline:
            break
    return future.result(0)


def _step(deadline: float | None) -> float:
    assert STEP is not None
    if deadline is None:
        return STEP
    return min(STEP, max(0.0, deadline - time.monotonic()))
