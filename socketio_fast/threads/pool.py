"""A pool of threads for handlers, with a limit in all and a limit per client."""

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

# A thread ends after this many seconds without a job.
IDLE = 30.0

# While jobs wait, seconds between two searches for jobs of clients that have left.
SWEEP_INTERVAL = 1.0


class Owner(Protocol):
    """A client, whose jobs together get a share of the threads."""

    @property
    def id(self) -> str: ...

    @property
    def closed(self) -> bool: ...


class OwnedJob(Protocol):
    """A job of a client."""

    def __call__(self) -> None: ...

    def cancel(self) -> object:
        """Called instead of the job when its client has left before it began."""


Job = Callable[[], None]


class _Share:
    """The jobs of one client."""

    __slots__ = ("active", "owner", "queued", "waiting")

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.active = 0  # jobs that run, or that the next free thread may begin
        self.queued: deque[OwnedJob] | None = None  # jobs beyond the share
        self.waiting = 0  # jobs inside waiting(), which are not counted as active


class HandlerPool:
    """Runs functions (jobs) in daemon threads, and begins them in the order submitted.

    The pool starts a thread for a job when all its threads are busy and there are fewer
    than the limit. Unlike the threads of ``concurrent.futures``, daemon threads do not
    keep a program from ending.

    One client gets no more than its share of the threads. A job beyond the share waits
    until another job of the same client has ended; jobs of other clients do not wait
    for it. While all threads are busy, the pool drops the jobs of clients that have
    left.

    Args:
        max_workers: The maximum number of threads.
        name: The prefix of the threads' names.
        max_per_client: The maximum number of threads for the jobs of one client;
            ``None``, the default, is a quarter of ``max_workers``, rounded up.
        logger: Gets a WARNING the first time that jobs wait for threads, and another
            the first time that jobs wait for their client's share.

    Raises:
        ValueError: ``max_workers`` or ``max_per_client`` is not a positive integer.
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
        self._waiting = 0  # threads inside waiting()
        self._number = 0
        self._warned: set[str] = set()
        self._swept = 0.0

    def submit(self, job: Job) -> None:
        """Run a job, which must not raise, in one of the threads.

        Raises:
            RuntimeError: The pool has no thread, and the system cannot start one.
        """
        with self._lock:
            self._queue_job(job, None)
        if self._unfinished > self.max_workers:
            self._check_exhaustion()

    def submit_of(self, owner: Owner, job: OwnedJob) -> None:
        """Run a job of a client within the client's share of the threads.

        Raises:
            RuntimeError: The pool has no thread, and the system cannot start one.
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
                "client %s has max_workers_per_client=%d running handlers: its further "
                "events wait until one has ended. If handlers wait long, raise the "
                "limit or use AsyncServer",
                owner.id,
                self.max_per_client,
            )
        if self._unfinished > self.max_workers:
            self._check_exhaustion()

    def close(self) -> None:
        """Let every thread end after the jobs submitted so far; do not wait for that.

        A job that is submitted later may never run.
        """
        self._jobs.put((None, None))

    @property
    def inside(self) -> bool:
        """Whether the current thread is one of the pool's."""
        return getattr(self._local, "inside", False)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A block in which the current thread waits for handlers.

        A thread of the pool in such a block counts neither towards the limit nor
        towards its client's share, so that the handlers it waits for can get a thread.
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
        """Let the client's next job begin, after one has ended or entered waiting()."""
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
            # Without this, an idle thread would keep the handler's arguments alive.
            del job
            self._local.share = None
            with self._lock:
                self._unfinished -= 1
                if share is not None:
                    self._job_ended(share)
                    share = None  # it would keep the client and its server alive
                if self._threads > self._limit():
                    self._threads -= 1
                    return

    def _check_exhaustion(self) -> None:
        if self._unfinished <= self._limit():
            return
        self._warn(
            "all max_workers=%d threads for handlers are busy: other handlers wait "
            "until one has ended. If handlers wait long, raise the limit or use "
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
        """Remove and return the jobs, not yet begun, of clients that have left."""
        left: list[OwnedJob] = []
        for _ in range(self._jobs.qsize()):
            try:
                job, share = self._jobs.get_nowait()
            except queue.Empty:  # a thread has taken the last one meanwhile
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
        """Log a warning; each message is logged once, with its first arguments."""
        if message not in self._warned:
            self._warned.add(message)
            if self._logger is not None:
                self._logger.warning(message, *args)


def _positive(name: str, value: int) -> int:
    number = whole(value)
    if number is None or number < 1:
        raise ValueError(f"{name}={value!r}: a positive integer expected")
    return number
