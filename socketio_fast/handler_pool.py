"""Threads for handlers: as many as are busy, up to a limit."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from socketio_fast.amounts import whole

__all__ = ["HandlerPool"]

Job = Callable[[], None]

# Seconds after which a thread that nobody needs ends.
IDLE = 30.0


class HandlerPool:
    """Runs functions in daemon threads, and starts them in the order they came.

    A thread is started when all are busy and there are fewer than the limit. Unlike
    those of ``concurrent.futures``, they do not keep a program from ending.

    Args:
        max_workers: Threads, at most.
        name: The threads' names begin with it.

    Raises:
        ValueError: ``max_workers`` is not a positive number.
    """

    def __init__(self, max_workers: int, name: str) -> None:
        threads = whole(max_workers)
        if threads is None or threads < 1:
            raise ValueError(f"max_workers={max_workers!r}: a positive number expected")
        self.max_workers = threads
        self._name = name
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._threads = 0
        self._unfinished = 0  # jobs that wait or run
        self._waiting = 0  # threads that wait for other threads
        self._number = 0

    def submit(self, job: Job) -> None:
        """Run a function, which must raise nothing, in one of the threads.

        Raises:
            RuntimeError: The system has no thread for it.
        """
        with self._lock:
            self._unfinished += 1
            try:
                self._grow()
            except BaseException:
                self._unfinished -= 1
                raise
            self._jobs.put(job)

    def close(self) -> None:
        """End every thread once the jobs that are there have run; do not wait.

        What is submitted later may never run.
        """
        self._jobs.put(None)

    @property
    def inside(self) -> bool:
        """Whether the current thread is one of the pool's."""
        return getattr(self._local, "inside", False)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """In this block, the current thread waits for what other threads do.

        If it is one of the pool's, the limit does not count it meanwhile: threads that
        wait for handlers leave some to run them.
        """
        if not self.inside:
            yield
            return
        with self._lock:
            self._waiting += 1
            self._grow()
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1

    def _limit(self) -> int:
        return self.max_workers + self._waiting

    def _grow(self) -> None:
        if self._threads >= min(self._unfinished, self._limit()):
            return
        self._number += 1
        thread = threading.Thread(
            target=self._work, name=f"{self._name}-{self._number}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            if not self._threads:
                raise
        else:
            self._threads += 1

    def _work(self) -> None:
        self._local.inside = True
        while True:
            try:
                job = self._jobs.get(timeout=IDLE)
            except queue.Empty:
                with self._lock:
                    if self._threads > self._unfinished:
                        self._threads -= 1
                        return
                continue
            if job is None:
                self._jobs.put(None)  # for the next thread
                return
            job()
            del job  # which holds what a handler was given
            with self._lock:
                self._unfinished -= 1
                if self._threads > self._limit():
                    self._threads -= 1
                    return
