"""How often the tests of endurance do what they do, and what a process holds.

A few times in the suite; ``ENDURANCE=1`` is for all of it (``.ci/run endurance``).
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from support.garbage import caches

__all__ = ["FULL", "Held", "held", "settled", "times"]

FULL = bool(os.environ.get("ENDURANCE"))


def times(full: int, few: int) -> int:
    """This many times in all, or a few."""
    return full if FULL else few


@dataclass(frozen=True)
class Held:
    """What a process holds that runs an event loop."""

    files: int
    threads: int
    tasks: int
    #: Those that the garbage collector tracks.
    objects: int
    #: Bytes.
    memory: int

    def check(self, before: Held, cycles: int) -> None:
        """Fail if cycles have left something since; their memory is looked at apart,
        since a process takes more for a while when it has begun."""
        assert self.files == before.files
        assert self.threads == before.threads
        assert self.tasks == before.tasks
        # Some things are made once, but not by the first run.
        assert self.objects - before.objects < cycles / 2 + 20


async def settled() -> Held:
    """What this process holds when nothing has ended for a while, without garbage."""
    before, now = None, held()
    while before is None or before.files != now.files or before.tasks != now.tasks:
        before = now
        await asyncio.sleep(0.1)
        now = held()
    return now


def held() -> Held:
    """What this process holds now, without garbage and what caches of functions hold,
    such as those of URLs, which are filled by as many as there were attempts."""
    for cache in caches():
        cache.cache_clear()
    for _ in range(3):  # what is freed first may be the last to refer to more
        gc.collect()
    # Memory that threads have freed stays theirs in glibc until another takes it.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    loop = asyncio._get_running_loop()
    return Held(
        files=len(os.listdir("/proc/self/fd")),
        threads=threading.active_count(),
        objects=len(gc.get_objects()),
        tasks=0 if loop is None else len(asyncio.all_tasks(loop)),
        memory=pages * os.sysconf("SC_PAGE_SIZE"),
    )
