"""An event loop on a thread: order, errors, stopping, forking, exit."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import python

from socketio_fast.threads import loop as loop_thread
from socketio_fast.threads.loop import LoopThread

TIMEOUT = 10.0


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    thread = LoopThread("a loop")
    yield thread
    thread.stop(TIMEOUT)


async def returning(value: object) -> object:
    await asyncio.sleep(0)
    return value


async def raising(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


def test_nothing_starts_before_it_is_used() -> None:
    before = threading.active_count()
    thread = LoopThread()
    assert threading.active_count() == before
    thread.stop()


def test_run_returns_what_the_coroutine_returns(thread: LoopThread) -> None:
    assert thread.run(returning(1)) == 1


def test_run_raises_what_the_coroutine_raises(thread: LoopThread) -> None:
    with pytest.raises(LookupError, match="here"):
        thread.run(raising(LookupError("here")))


@pytest.mark.parametrize("error", [LookupError(), asyncio.CancelledError()])
def test_errors_before_it_waits(thread: LoopThread, error: BaseException) -> None:
    async def at_once() -> None:
        raise error

    with pytest.raises((LookupError, concurrent.futures.CancelledError)):
        thread.run(at_once())
    assert thread.run(returning(2)) == 2


def test_a_coroutine_begins_before_what_is_posted_after_it(thread: LoopThread) -> None:
    log: list[str] = []
    held, gate = threading.Event(), threading.Event()

    async def note() -> None:
        log.append("run")

    def hold() -> None:
        held.set()
        gate.wait(TIMEOUT)

    thread.post(hold)
    assert held.wait(TIMEOUT)
    waiting = threading.Thread(target=lambda: thread.run(note()))
    waiting.start()
    while not thread._started()._posts:
        time.sleep(0.001)
    thread.post(log.append, "posted")
    gate.set()
    waiting.join(TIMEOUT)
    assert log == ["run", "posted"]


@pytest.mark.parametrize("kind", [TimeoutError, concurrent.futures.TimeoutError])
def test_its_own_timeout_error_is_raised_as_it_is(
    thread: LoopThread, kind: type[Exception]
) -> None:
    error = kind("its own")
    with pytest.raises(kind) as caught:
        thread.run(raising(error), TIMEOUT)
    assert caught.value is error


def test_a_coroutine_that_takes_too_long_is_cancelled(thread: LoopThread) -> None:
    cancelled = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError, match=r"has not ended in 0\.01 s"):
        thread.run(forever(), 0.01)
    assert cancelled.wait(TIMEOUT)


def test_run_on_its_own_thread_says_what_is_wrong(thread: LoopThread) -> None:
    async def inner() -> None:
        thread.run(returning(1))

    with pytest.raises(RuntimeError, match="would wait for itself"):
        thread.run(inner())


def test_it_runs_in_a_thread_of_a_program_that_runs_asyncio(
    thread: LoopThread,
) -> None:
    async def main() -> object:
        return await asyncio.to_thread(thread.run, returning(2))

    assert asyncio.run(main()) == 2


def test_the_loop_runs_on_a_daemon_thread_of_that_name(thread: LoopThread) -> None:
    async def where() -> threading.Thread:
        assert asyncio.get_running_loop() is thread.loop
        return threading.current_thread()

    found = thread.run(where())
    assert found.name == "a loop"
    assert found.daemon


def test_posts_and_runs_of_a_thread_keep_their_order(thread: LoopThread) -> None:
    seen: list[tuple[int, int]] = []

    def work(number: int) -> None:
        for i in range(500):
            thread.post(seen.append, (number, i))
        # What was posted before has been called when this returns.
        assert thread.run(count(number)) == 500

    async def count(number: int) -> int:
        return sum(1 for n, _ in seen if n == number)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(work, number) for number in range(8)]:
            future.result(TIMEOUT)
    for number in range(8):
        assert [i for n, i in seen if n == number] == list(range(500))


def test_many_posts_wake_the_loop_once(thread: LoopThread) -> None:
    wakes = []
    entered, leave = threading.Event(), threading.Event()
    done = threading.Event()

    def block() -> None:
        entered.set()
        leave.wait(TIMEOUT)

    thread.post(block)
    assert entered.wait(TIMEOUT)
    running = thread._running
    assert running is not None
    drain = running._drain
    running._drain = lambda: (wakes.append(1), drain())  # type: ignore[method-assign,assignment]
    for _ in range(100):
        thread.post(lambda: None)
    thread.post(done.set)
    leave.set()
    assert done.wait(TIMEOUT)
    assert len(wakes) == 1


def test_what_a_posted_function_raises_is_reported_and_does_not_stop_it(
    thread: LoopThread,
) -> None:
    reports = []
    thread.loop.set_exception_handler(lambda loop, context: reports.append(context))
    error = LookupError("posted")
    thread.post(lambda: (_ for _ in ()).throw(error))
    assert thread.run(returning(3)) == 3
    assert [report["exception"] for report in reports] == [error]


def test_on_start_is_called_first_and_on_the_thread() -> None:
    seen: list[object] = []

    def on_start(loop: asyncio.AbstractEventLoop) -> None:
        assert asyncio.get_running_loop() is loop
        seen.append(threading.current_thread().name)

    thread = LoopThread("first", on_start)
    thread.post(seen.append, "then")
    thread.stop(TIMEOUT)
    assert seen == ["first", "then"]


def test_what_on_start_raises_is_raised_where_it_was_used() -> None:
    def on_start(loop: asyncio.AbstractEventLoop) -> None:
        raise LookupError("no start")

    thread = LoopThread(on_start=on_start)
    for _ in range(2):
        with pytest.raises(LookupError, match="no start"):
            thread.post(print)


def test_stop_calls_what_was_posted_and_cancels_the_rest() -> None:
    thread = LoopThread()
    seen: list[str] = []
    started = threading.Event()

    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    def wait() -> None:
        with pytest.raises(concurrent.futures.CancelledError):
            thread.run(forever())
        seen.append("cancelled")

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert started.wait(TIMEOUT)
    loop = thread.loop
    thread.post(seen.append, "posted")
    thread.stop(TIMEOUT)
    waiting.join(TIMEOUT)
    assert loop.is_closed()
    assert seen == ["posted", "cancelled"]


def test_it_starts_again_after_stop(thread: LoopThread) -> None:
    first = thread.loop
    thread.stop(TIMEOUT)
    assert thread.run(returning(4)) == 4
    assert thread.loop is not first


def test_stop_on_its_own_thread_does_not_wait(thread: LoopThread) -> None:
    loop = thread.loop
    stopped = threading.Event()
    loop.call_soon_threadsafe(lambda: (thread.stop(), stopped.set()))
    assert stopped.wait(TIMEOUT)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_has_a_loop_of_its_own(tmp_path: Path) -> None:
    program = """
import asyncio, os
from socketio_fast.threads import loop as loop_thread
from socketio_fast.threads.loop import LoopThread

async def pid():
    await asyncio.sleep(0.01)
    return os.getpid()

thread = LoopThread()
assert thread.run(pid()) == os.getpid()
child = os.fork()
assert thread.run(pid(), 10) == os.getpid()
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert thread.run(pid(), 10) == os.getpid()
"""
    ended = python("-W", "ignore::DeprecationWarning", "-c", program, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_program_ends_with_it(tmp_path: Path) -> None:
    program = """
import asyncio, threading
from socketio_fast.threads.loop import LoopThread

began = threading.Event()

async def forever():
    began.set()
    try:
        await asyncio.Event().wait()
    finally:
        print("cancelled", flush=True)

thread = LoopThread()
task = None
def start():
    global task
    task = thread.loop.create_task(forever())
thread.post(start)
assert began.wait(10)
"""
    began = time.monotonic()
    ended = python("-c", program, cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "cancelled\n", "")
    assert time.monotonic() - began < TIMEOUT


def test_who_posts_faster_than_it_can_follow_waits(
    thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_thread, "MAX_POSTS", 10)
    entered, leave = threading.Event(), threading.Event()
    seen: list[int] = []

    def block() -> None:
        entered.set()
        leave.wait(TIMEOUT)

    def post() -> None:
        for i in range(1000):
            thread.post(seen.append, i)

    thread.post(block)
    assert entered.wait(TIMEOUT)
    posting = [threading.Thread(target=post) for _ in range(3)]
    for poster in posting:
        poster.start()
    time.sleep(0.05)
    running = thread._running
    assert running is not None
    assert len(running._posts) <= 13  # one too many of each
    leave.set()
    for poster in posting:
        poster.join(TIMEOUT)
        assert not poster.is_alive()
    thread.run(asyncio.sleep(0))
    assert sorted(seen) == sorted([*range(1000)] * 3)


def test_its_own_thread_may_post_any_number(
    thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_thread, "MAX_POSTS", 10)
    seen: list[int] = []

    async def post() -> None:
        for i in range(100):
            thread.post(seen.append, i)

    thread.run(post())
    thread.run(asyncio.sleep(0))
    assert seen == list(range(100))


def test_it_stops_when_nobody_has_it() -> None:
    thread = LoopThread()
    thread.post(print)
    assert thread._running is not None
    running = thread._running.thread
    del thread
    running.join(TIMEOUT)
    assert not running.is_alive()
