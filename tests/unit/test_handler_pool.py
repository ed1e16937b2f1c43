"""Threads for handlers: how many there are, and in what order they run."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from socketio_fast import handler_pool
from socketio_fast.handler_pool import HandlerPool
from unit.processes import python

TIMEOUT = 10.0


class Jobs:
    """Jobs that run until they are let go."""

    def __init__(self, pool: HandlerPool) -> None:
        self.pool = pool
        self.let_go = threading.Event()
        self.running = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.threads: list[str] = []

    def submit(self, count: int) -> None:
        for _ in range(count):
            self.pool.submit(self._run)

    def _run(self) -> None:
        self.threads.append(threading.current_thread().name)
        self.running.release()
        self.let_go.wait(TIMEOUT)
        self.ended.release()

    def wait(self, semaphore: threading.Semaphore, count: int) -> None:
        for _ in range(count):
            assert semaphore.acquire(timeout=TIMEOUT)


def test_there_are_as_many_threads_as_jobs_up_to_the_limit() -> None:
    jobs = Jobs(HandlerPool(3, "pool"))
    jobs.submit(5)
    jobs.wait(jobs.running, 3)
    assert not jobs.running.acquire(timeout=0.05)
    assert sorted(jobs.threads) == ["pool-1", "pool-2", "pool-3"]
    jobs.let_go.set()
    jobs.wait(jobs.ended, 5)
    assert len(set(jobs.threads)) == 3


def test_an_idle_thread_takes_the_next_job() -> None:
    pool = HandlerPool(8, "pool")
    names = set()
    for _ in range(20):
        done = threading.Event()
        thread: list[threading.Thread] = []

        def job(
            thread: list[threading.Thread] = thread, done: threading.Event = done
        ) -> None:
            thread.append(threading.current_thread())
            done.set()

        pool.submit(job)
        assert done.wait(TIMEOUT)
        names.add(thread[0].name)
    # A thread is busy for a moment after its job has told that it is done.
    assert len(names) <= 2


def test_one_thread_keeps_the_order() -> None:
    pool = HandlerPool(1, "pool")
    seen: list[int] = []
    done = threading.Event()
    for i in range(100):
        pool.submit(lambda i=i: seen.append(i))  # type: ignore[misc]
    pool.submit(done.set)
    assert done.wait(TIMEOUT)
    assert seen == list(range(100))


def test_a_thread_that_waits_for_others_does_not_count() -> None:
    pool = HandlerPool(1, "pool")
    inner, outer = threading.Event(), threading.Event()

    def wait() -> None:
        with pool.waiting():
            pool.submit(inner.set)
            assert inner.wait(TIMEOUT)
        outer.set()

    pool.submit(wait)
    assert outer.wait(TIMEOUT)


def test_waiting_of_another_thread_changes_nothing() -> None:
    jobs = Jobs(HandlerPool(1, "pool"))
    with jobs.pool.waiting():
        jobs.submit(2)
        jobs.wait(jobs.running, 1)
        assert not jobs.running.acquire(timeout=0.05)
    jobs.let_go.set()
    jobs.wait(jobs.ended, 2)


def test_threads_that_nobody_needs_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_pool, "IDLE", 0.01)
    pool = HandlerPool(2, "pool")
    threads: list[threading.Thread] = []
    done = threading.Event()

    def job() -> None:
        threads.append(threading.current_thread())
        done.set()

    pool.submit(job)
    assert done.wait(TIMEOUT)
    threads[0].join(TIMEOUT)
    assert not threads[0].is_alive()
    done.clear()
    pool.submit(job)
    assert done.wait(TIMEOUT)


def test_a_job_that_no_thread_can_be_had_for_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = HandlerPool(2, "pool")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError, match="can't start"):
            pool.submit(_never)
    done = threading.Event()
    pool.submit(done.set)
    assert done.wait(TIMEOUT)


def _never() -> None:
    raise AssertionError


@pytest.mark.parametrize("value", [0, -1, 1.5, None])
def test_a_limit_is_a_positive_number(value: int) -> None:
    with pytest.raises(ValueError, match=r"max_workers=.*: a positive number"):
        HandlerPool(value, "pool")


def test_a_program_ends_although_a_job_runs(tmp_path: Path) -> None:
    program = """
import threading
from socketio_fast.handler_pool import HandlerPool

began = threading.Event()
pool = HandlerPool(1, "pool")
pool.submit(lambda: (began.set(), threading.Event().wait()))
assert began.wait(10)
"""
    ended = python("-c", program, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
