"""What the garbage collector looks through while tests run."""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterator
from typing import Any

__all__ = ["caches", "freeze"]

# Of the functions that were there when it was frozen, which names them no more.
_frozen: list[functools._lru_cache_wrapper[Any]] = []


def freeze() -> None:
    """Let it look through none of the objects that there are."""
    gc.collect()
    _frozen.extend(_found())
    gc.freeze()


def caches() -> Iterator[functools._lru_cache_wrapper[Any]]:
    """The caches of functions."""
    yield from _frozen
    yield from _found()


def _found() -> list[functools._lru_cache_wrapper[Any]]:
    # isinstance() asks an object for its class, and some import what they stand for.
    kind = functools._lru_cache_wrapper
    return [thing for thing in gc.get_objects() if type(thing) is kind]
