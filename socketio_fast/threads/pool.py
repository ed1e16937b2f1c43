"""Threads for handlers: up to a limit, of which one client gets a share."""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from socketio_fast.options.amounts import whole
from socketio_fast.options.logs import Logger

__all__ = ["HandlerPool", "OwnedJob", "Owner"]

# Seconds without a job after which a thread ends.
IDLE = 30.0

# While jobs wait: seconds between two searches for jobs of clients that have left.
SWEEP_INTERVAL = 1.0


class Owner(Protocol):
    """A client: its jobs together get a share of the threads."""

    @property
    def id(self) -> str: ...

    @property
    def closed(self) -> bool: ...


class OwnedJob(Protocol):
    """A job of a client."""

    def __call__(self) -> None: ...

    def cancel(self) -> object:
        """Its client has left before it began: it never will."""


Job = Callable[[], None]


class _Share:
    """The jobs of one client."""

    __slots__ = ("active", "owner", "queued", "waiting")

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.active = 0  # jobs that run, or that the next free thread may begin
        self.queued: deque[OwnedJob] | None = None  # jobs beyond the share
        self.waiting = 0  # jobs in waiting(): they count in neither


class HandlerPool:
    """Runs functions in daemon threads, and starts them in the order they came.

    It starts a thread when all are busy and there are fewer than the limit. Unlike the
    threads of ``concurrent.futures``, these do not keep a program from ending.

    One client gets no more than its share of the threads. Its jobs beyond that wait
    until one of its own has ended; those of other clients do not wait for them. While
    all threads are busy, the pool drops jobs of clients that have left.

    Args:
        max_workers: Threads, at most.
        name: The threads' names begin with it.
        max_per_client: Threads that the jobs of one client get, at most; ``None`` for
            a quarter of ``max_workers``, rounded up.
        logger: Gets one WARNING when jobs wait.

    Raises:
        ValueError: ``max_workers`` or ``max_per_client`` is not a positive number.
    """

    def __init__(
        self,
        max_workers: int,
        name: str,
        max_per_client: int | None = None,
        logger: Logger | None = None,
    ) -> None:
        self.max_workers = _positive("max_workers", max_workers)
        if max_per_client is None:
            max_per_client = (self.max_workers + 3) // 4
        self.max_per_client = _positive("max_workers_per_client", max_per_client)
        self._name = name
        self._logger = logger
        self._jobs: queue.SimpleQueue[tuple[Job | None, _Share | None]] = (
            queue.SimpleQueue()
        )
        self._shares: dict[Owner, _Share] = {}
        self._local = threading.local()
        self._lock = threading.Lock()
        self._threads = 0
        self._unfinished = 0  # jobs that run, or that the next free thread may begin
        self._waiting = 0  # threads that wait for other threads
        self._number = 0
        self._warned: set[str] = set()
        self._swept = 0.0

    def submit(self, job: Job) -> None:
        """Run a function, which must raise nothing, in one of the threads.

        Raises:
            RuntimeError: The system has no thread for it.
        """
        with self._lock:
            self._queue_job(job, None)
        if self._unfinished > self.max_workers:
            self._check_exhaustion()

    def submit_of(self, owner: Owner, job: OwnedJob) -> None:
        """Run a function for a client, within its share of the threads.

        Raises:
            RuntimeError: The system has no thread for it.
        """
        with self._lock:
            share = self._shares.get(owner)
            if share is None:
                share = self._shares[owner] = _Share(owner)
            full = share.active >= self.max_per_client
            if full:
                if share.queued is None:
                    share.queued = deque()
                share.queued.append(job)
            else:
                try:
                    self._queue_job(job, share)
                except BaseException:
                    self._forget(share)
                    raise
                share.active += 1
        if full:
            self._warn(
                "client %s has max_workers_per_client=%d handlers under way: its "
                "further events wait. Handlers that wait long need a larger limit, or "
                "AsyncServer",
                owner.id,
                self.max_per_client,
            )
        if self._unfinished > self.max_workers:
            self._check_exhaustion()

    def close(self) -> None:
        """Have every thread end after the jobs that are there; do not wait for it.

        A job that is submitted later may never run.
        """
        self._jobs.put((None, None))

    @property
    def inside(self) -> bool:
        """Whether the current thread is one of the pool's."""
        return getattr(self._local, "inside", False)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """In this block, the current thread waits for other threads.

        A thread of the pool counts neither against the limit nor against the share of
        its client meanwhile, so that there are threads for the handlers it waits for.
        """
        if not self.inside:
            yield
            return
        share: _Share | None = self._local.share
        with self._lock:
            self._waiting += 1
            if share is not None:
                share.waiting += 1
                self._job_ended(share)
            self._grow()
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                if share is not None:
                    share.waiting -= 1
                    share.active += 1

    def _limit(self) -> int:
        return self.max_workers + self._waiting

    def _queue_job(self, job: Job, share: _Share | None) -> None:
        """Let the next free thread begin a job."""
        self._unfinished += 1
        try:
            self._grow()
        except BaseException:
            self._unfinished -= 1
            raise
        self._jobs.put((job, share))

    def _job_ended(self, share: _Share) -> None:
        """A job of a client has ended, or waits: the client's next may begin."""
        share.active -= 1
        if share.queued and share.active < self.max_per_client:
            share.active += 1
            self._unfinished += 1
            self._grow()
            self._jobs.put((share.queued.popleft(), share))
        else:
            self._forget(share)

    def _forget(self, share: _Share) -> None:
        if not (share.active or share.queued or share.waiting):
            self._shares.pop(share.owner, None)

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
                job, share = self._jobs.get(timeout=IDLE)
            except queue.Empty:
                with self._lock:
                    if self._threads > self._unfinished:
                        self._threads -= 1
                        return
                continue
            if job is None:
                self._jobs.put((None, None))  # for the next thread
                return
            self._local.share = share
            try:
                job()
            except BaseException:  # the thread must go on
                traceback.print_exc()
            del job  # while the thread waits, it would keep the handler's arguments
            self._local.share = None
            with self._lock:
                self._unfinished -= 1
                if share is not None:
                    self._job_ended(share)
                    share = None  # likewise, the client and its server
                if self._threads > self._limit():
                    self._threads -= 1
                    return

    # All threads are busy.

    def _check_exhaustion(self) -> None:
        if self._unfinished <= self._limit():
            return
        self._warn(
            "all max_workers=%d threads for handlers are busy: other handlers wait "
            "until one has ended. Handlers that wait long need a larger limit, or "
            "AsyncServer",
            self.max_workers,
        )
        now = time.monotonic()
        if now < self._swept + SWEEP_INTERVAL:
            return
        self._swept = now
        with self._lock:
            left = self._take_jobs_of_absent()
        for job in left:
            job.cancel()

    def _take_jobs_of_absent(self) -> list[OwnedJob]:
        """Take out the jobs, not yet begun, of clients that have left."""
        left: list[OwnedJob] = []
        for _ in range(self._jobs.qsize()):
            try:
                job, share = self._jobs.get_nowait()
            except queue.Empty:  # a thread was faster
                break
            if share is None or not share.owner.closed:
                self._jobs.put((job, share))
                continue
            self._unfinished -= 1
            share.active -= 1
            left.append(job)  # type: ignore[arg-type]
        for share in list(self._shares.values()):
            if share.queued and share.owner.closed:
                left += share.queued
                share.queued.clear()
                self._forget(share)
        return left

    def _warn(self, message: str, *args: object) -> None:
        """Log a message the first time."""
        if message not in self._warned:
            self._warned.add(message)
            if self._logger is not None:
                self._logger.warning(message, *args)


def _positive(name: str, value: int) -> int:
    number = whole(value)
    if number is None or number < 1:
        raise ValueError(f"{name}={value!r}: a positive number expected")
    return number
