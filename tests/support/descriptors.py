"""A process that can open hardly anything."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator


@contextlib.contextmanager
def few_descriptors(free: int) -> Iterator[None]:
    """Let this process open so many files more, and no others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/dev/fd"))
    filler = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while filler[-1] < highest:
            filler.append(os.dup(filler[0]))
        filler += [os.dup(filler[0]) for _ in range(free)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (filler[-1] + 1, hard))
        for _ in range(free):
            os.close(filler.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in filler:
            os.close(descriptor)
