"""The garbage collector of a process that serves."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

__all__ = ["startup_frozen"]


@contextlib.contextmanager
def startup_frozen() -> Iterator[None]:
    """Have the garbage collector leave out what exists now: modules, handlers.

    CPython looks at every object of a container type in a full collection, while no
    client is served. What was made at the start stays until the end.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
