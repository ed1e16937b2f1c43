"""Threads for handlers: how many there are, and in what order they run."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.processes import python

from socketio_fast.threads import pool as handler_pool
from socketio_fast.threads.pool import HandlerPool

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


def test_every_thread_ends_when_the_pool_is_closed() -> None:
    before = set(threading.enumerate())
    jobs = Jobs(HandlerPool(3, "pool"))
    jobs.submit(5)
    jobs.wait(jobs.running, 3)
    threads = set(threading.enumerate()) - before
    assert len(threads) == 3
    jobs.pool.close()
    jobs.let_go.set()
    jobs.wait(jobs.ended, 5)  # what waited is run
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive()


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


class Client:
    """Whose jobs have a share."""

    def __init__(self, id: str = "x") -> None:
        self.id = id
        self.closed = False


class Job:
    """A job of a client, which runs until it is let go."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.let_go = threading.Event()
        self.cancelled = False

    def __call__(self) -> None:
        self.began.set()
        self.let_go.wait(TIMEOUT)

    def cancel(self) -> None:
        self.cancelled = True


def submitted(pool: HandlerPool, client: Client, count: int) -> list[Job]:
    jobs = [Job() for _ in range(count)]
    for job in jobs:
        pool.submit_of(client, job)
    return jobs


def let_go(*jobs: Job) -> None:
    for job in jobs:
        job.let_go.set()


def test_one_client_gets_a_quarter_of_the_threads() -> None:
    pool = HandlerPool(8, "pool")
    first = submitted(pool, Client(), 400)
    second = submitted(pool, Client(), 1)
    done = threading.Event()
    pool.submit(done.set)
    assert second[0].began.wait(TIMEOUT)
    assert done.wait(TIMEOUT)
    assert first[1].began.wait(TIMEOUT)
    assert not first[2].began.wait(0.05)
    let_go(first[0])
    assert first[2].began.wait(TIMEOUT)
    assert not first[3].began.wait(0.05)
    let_go(*first, *second)
    assert first[-1].began.wait(TIMEOUT)


@pytest.mark.parametrize(
    ("workers", "share"), [(1, 1), (2, 1), (4, 1), (5, 2), (128, 32), (130, 33)]
)
def test_the_share_of_a_client(workers: int, share: int) -> None:
    assert HandlerPool(workers, "pool").max_per_client == share
    assert HandlerPool(workers, "pool", 7).max_per_client == 7


def test_a_client_within_its_share_starts_in_the_order_of_all() -> None:
    pool = HandlerPool(1, "pool", 100)
    hold = Job()
    pool.submit(hold)
    seen: list[int] = []

    class Noting(Job):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        def __call__(self) -> None:
            seen.append(self.number)
            self.began.set()

    clients = Client("a"), Client("b")
    jobs = [Noting(i) for i in range(20)]
    for job in jobs:
        pool.submit_of(clients[job.number % 2], job)
    let_go(hold)
    assert jobs[-1].began.wait(TIMEOUT)
    assert seen == list(range(20))


def test_a_client_whose_job_waits_for_others_gets_another_thread() -> None:
    pool = HandlerPool(4, "pool")
    client = Client()
    inner, outer = Job(), threading.Event()

    class Waiting(Job):
        def __call__(self) -> None:
            with pool.waiting():
                pool.submit_of(client, inner)
                assert inner.began.wait(TIMEOUT)
                let_go(inner)
            outer.set()

    pool.submit_of(client, Waiting())
    assert outer.wait(TIMEOUT)
    # Its share is as it was.
    jobs = submitted(pool, client, 2)
    assert jobs[0].began.wait(TIMEOUT)
    assert not jobs[1].began.wait(0.05)
    let_go(*jobs)
    assert jobs[1].began.wait(TIMEOUT)


def test_jobs_of_a_client_that_has_left_are_begun_while_threads_are_free() -> None:
    pool = HandlerPool(8, "pool")
    client = Client()
    jobs = submitted(pool, client, 5)
    client.closed = True
    assert jobs[1].began.wait(TIMEOUT)
    let_go(*jobs)
    assert jobs[-1].began.wait(TIMEOUT)
    assert not any(job.cancelled for job in jobs)


def test_jobs_of_a_client_that_has_left_are_not_begun_if_all_threads_are_busy() -> None:
    pool = HandlerPool(2, "pool")
    left, staying = Client("left"), Client("staying")
    hold = submitted(pool, staying, 1) + submitted(pool, Client("other"), 1)
    for job in hold:
        assert job.began.wait(TIMEOUT)
    jobs = submitted(pool, left, 3)
    left.closed = True
    pool._swept = 0
    waiting = submitted(pool, staying, 1)
    more = submitted(pool, Client("more"), 1)
    assert [job.cancelled for job in jobs] == [True] * 3
    let_go(*hold, *waiting, *more)
    assert waiting[0].began.wait(TIMEOUT)
    assert more[0].began.wait(TIMEOUT)
    assert not any(job.began.is_set() for job in jobs)


def test_clients_without_jobs_are_forgotten() -> None:
    pool = HandlerPool(2, "pool")
    for _ in range(10):
        (job,) = submitted(pool, Client(), 1)
        let_go(job)
    done = threading.Event()
    for _ in range(2):
        done.clear()
        pool.submit(done.set)
        assert done.wait(TIMEOUT)
    assert wait_until(lambda: not pool._shares)


def wait_until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + TIMEOUT
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


def test_that_all_threads_are_busy_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool = HandlerPool(4, "pool", logger=logging.getLogger("x"))
    jobs = [job for i in range(4) for job in submitted(pool, Client(str(i)), 1)]
    for job in jobs:
        assert job.began.wait(TIMEOUT)
    assert caplog.messages == []
    jobs += [job for i in range(4) for job in submitted(pool, Client(str(i)), 1)]
    (message,) = [m for m in caplog.messages if m.startswith("all ")]
    assert message == (
        "all max_workers=4 threads for handlers are busy: other handlers wait until "
        "one has ended. If handlers wait long, raise the limit or use AsyncServer"
    )
    let_go(*jobs)


def test_that_a_client_has_its_share_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool = HandlerPool(4, "pool", logger=logging.getLogger("x"))
    jobs = submitted(pool, Client("c"), 4)
    assert caplog.messages == [
        "client c has max_workers_per_client=1 running handlers: its further events "
        "wait until one has ended. If handlers wait long, raise the limit or use "
        "AsyncServer"
    ]
    let_go(*jobs)


@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError])
def test_a_job_that_raises_costs_no_thread(
    error: type[BaseException], capfd: pytest.CaptureFixture[str]
) -> None:
    pool = HandlerPool(1, "pool")

    def job() -> None:
        raise error

    pool.submit(job)
    done = threading.Event()
    pool.submit(done.set)
    assert done.wait(TIMEOUT)
    assert error.__name__ in capfd.readouterr().err


def _never() -> None:
    raise AssertionError


@pytest.mark.parametrize("value", [0, -1, 1.5, None])
def test_a_limit_is_a_positive_number(value: int) -> None:
    with pytest.raises(ValueError, match=r"max_workers=.*: a positive integer"):
        HandlerPool(value, "pool")


def test_a_program_ends_although_a_job_runs(tmp_path: Path) -> None:
    program = """
import threading
from socketio_fast.threads.pool import HandlerPool

began = threading.Event()
pool = HandlerPool(1, "pool")
pool.submit(lambda: (began.set(), threading.Event().wait()))
assert began.wait(10)
"""
    ended = python("-c", program, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
