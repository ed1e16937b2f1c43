"""Which event loop this package runs on, where it makes one itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any

__all__ = ["new_event_loop", "runner"]

#: The faster implementations, both on libuv. uvloop does not exist for Windows, and
#: winloop only for Windows.
NAMES = ("uvloop", "winloop")


def _installed() -> Any:
    for name in NAMES:
        try:
            return import_module(name)
        except ImportError:
            continue
    return asyncio


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make a loop: uvloop's or winloop's if it is installed, else asyncio's own."""
    loop: asyncio.AbstractEventLoop = _installed().new_event_loop()
    return loop


def runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """What runs a coroutine to its end on such a loop."""
    run: Callable[[Coroutine[Any, Any, None]], None] = _installed().run
    return run
