"""An event loop on a thread of its own, for programs that do not use asyncio."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import contextvars
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from socketio_fast._core.engine.runner import Runner, acting
from socketio_fast.event_loops import new_event_loop
from socketio_fast.threads.waiting import result_of

__all__ = ["LoopThread", "exiting"]

T = TypeVar("T")


class LoopThread:
    """A daemon thread that runs an event loop, see ``event_loops``.

    The first use starts the thread; so does the first use after :meth:`stop` and in a
    forked process. The thread stops when this object is garbage-collected. Calls of
    :meth:`run` and :meth:`post` begin in the order in which they were made. While
    10,000 of them wait for the loop, other threads that call these methods block.

    Example::

        thread = LoopThread()
        thread.run(asyncio.sleep(1))

    Args:
        name: The name of the thread.
        on_start: Called first, with the loop, on its thread. What it raises is raised
            by the call that started the thread.
    """

    def __init__(
        self,
        name: str = "socketio_fast",
        on_start: Callable[[asyncio.AbstractEventLoop], object] | None = None,
    ) -> None:
        self._name = name
        self._on_start = on_start
        self._lock = threading.Lock()
        self._running: _Running | None = None
        _threads.add(self)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running event loop; reading this starts it if it does not run."""
        return self._started().loop

    @property
    def running(self) -> bool:
        """Whether the event loop runs: it was started, and has not been stopped."""
        return self._running is not None

    def run(
        self,
        coro: Coroutine[Any, Any, T],
        timeout: float | None = None,
        context: contextvars.Context | None = None,
        acts_for: asyncio.Task[Any] | None = None,
    ) -> T:
        """Run a coroutine on the event loop, and return its result.

        Args:
            coro: The coroutine.
            timeout: Seconds to wait; ``None``, the default, waits without limit. The
                coroutine is cancelled when this time is over, and when an exception
                such as KeyboardInterrupt ends the wait.
            context: The context that the coroutine runs in, which no other coroutine
                may use at the same time; ``None``, the default, is that of the loop's
                thread.
            acts_for: The task of the handler that makes this call from its thread;
                ``None``, the default, if no handler does.

        Raises:
            RuntimeError: This is the loop's own thread, which would wait for itself.
            TimeoutError: The coroutine has not ended in time.
            concurrent.futures.CancelledError: The coroutine was cancelled, or the loop
                has stopped.
        """
        try:
            running = self._started()
            self.refuse_own_thread()
            future: concurrent.futures.Future[T] = concurrent.futures.Future()
            running.post(running.begin, (coro, future, context, acts_for))
        except BaseException:
            coro.close()
            raise
        try:
            return result_of(future, timeout)
        except concurrent.futures.TimeoutError:
            if not future.cancel():
                # The coroutine has just ended, or has itself raised TimeoutError.
                return future.result()
            raise TimeoutError(f"the coroutine has not ended in {timeout} s") from None
        finally:
            future.cancel()

    def refuse_own_thread(self) -> None:
        """Raise RuntimeError on the loop's own thread, which would wait for itself."""
        running = self._running
        if running is not None and threading.get_ident() == running.thread.ident:
            raise RuntimeError(
                "run() on the event loop's own thread would wait for itself; "
                "await the coroutine instead"
            )

    def post(self, callback: Callable[..., object], *args: Any) -> None:
        """Schedule a call of a function on the loop's thread; do not wait for it.

        If the function raises, the loop's exception handler is called.
        """
        self._started().post(callback, args)

    def poster(self) -> Callable[..., None]:
        """Return a version of :meth:`post` for the loop that runs now.

        Once that loop has stopped, the function raises RuntimeError; it starts no other
        loop.
        """
        running = self._started()

        def post(callback: Callable[..., object], *args: Any) -> None:
            running.post(callback, args)

        return post

    def stop(self, timeout: float | None = None) -> None:
        """Stop the loop after the posts made so far, and end its tasks by cancelling.

        Nothing happens if the loop does not run.

        Args:
            timeout: Seconds to wait for the end of the thread; ``None``, the default,
                waits without limit.
        """
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.post(running.stop, ())
            if threading.get_ident() != running.thread.ident:
                running.thread.join(timeout)

    def __del__(self) -> None:
        running = self._running
        if running is not None:
            with contextlib.suppress(RuntimeError):  # the loop has stopped already
                running.post(running.stop, ())

    def _started(self) -> _Running:
        running = self._running
        if running is not None:
            return running
        with self._lock:
            if self._running is None:
                if _exiting:
                    raise RuntimeError(
                        "the interpreter is shutting down: no event loop can be started"
                    )
                self._running = _Running(self._name, self._on_start)
            running = self._running
        try:
            running.ready.result()
        except BaseException:
            self.stop()
            raise
        return running

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        if self._running is not None:
            # This loop belongs to the parent process. Its destructor must not run here,
            # because both processes share the loop's file descriptors.
            _abandoned.append(self._running)
            self._running = None


class _Running:
    """An event loop, its thread, and the queue of posts."""

    def __init__(
        self,
        name: str,
        on_start: Callable[[asyncio.AbstractEventLoop], object] | None,
    ) -> None:
        self.loop = new_event_loop()
        self.ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._posts: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._woken = False
        self._closed = False
        self._stopped = False
        self._caught_up = threading.Event()
        self.thread = threading.Thread(target=self._main, name=name, daemon=True)
        self.post(self._get_ready, (on_start,))
        try:
            self.thread.start()
        except BaseException:
            self.loop.close()
            raise

    def _get_ready(
        self, on_start: Callable[[asyncio.AbstractEventLoop], object] | None
    ) -> None:
        self._runner = Runner(self.loop)
        try:
            if on_start is not None:
                on_start(self.loop)
        except BaseException as exc:
            self.ready.set_exception(exc)
        else:
            self.ready.set_result(None)

    def post(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        behind = len(self._posts) >= MAX_POSTS
        if behind:
            # Clear before appending: the _drain() that takes this post sets it again.
            self._caught_up.clear()
        self._posts.append((callback, args))
        # A post appended before _closed was set is not lost: after setting it, _main()
        # calls _drain() once more.
        if self._closed:
            raise RuntimeError("the event loop has stopped")
        if not self._woken:
            # One wake-up serves all posts until the loop runs them.
            self._woken = True
            self.loop.call_soon_threadsafe(self._drain)
        if behind and threading.get_ident() != self.thread.ident:
            self._caught_up.wait()

    def _drain(self) -> None:
        self._woken = False  # first, because a later post must wake the loop again
        for _ in range(len(self._posts)):
            callback, args = self._posts.popleft()
            try:
                callback(*args)
            except BaseException as exc:
                self._report(f"{callback!r} failed", exc)
        self._caught_up.set()

    def _report(self, message: str, error: BaseException) -> None:
        context = {"message": message, "exception": error}
        self.loop.call_exception_handler(context)

    def begin(
        self,
        coro: Coroutine[Any, Any, T],
        future: concurrent.futures.Future[T],
        context: contextvars.Context | None,
        acts_for: asyncio.Task[Any] | None,
    ) -> None:
        """Start a coroutine; its result goes to the future.

        Cancelling the future cancels the coroutine.
        """
        if future.cancelled():
            coro.close()
            return
        # The runner runs the coroutine up to its first wait before the next post runs,
        # so that coroutines begin in the order of the posts.
        task = None
        with contextlib.suppress(asyncio.CancelledError):
            task = self._runner.run(_settle, coro, future, acts_for, context=context)
        if task is None:
            return

        def cancel(future: concurrent.futures.Future[T]) -> None:
            if future.cancelled():
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self.loop.call_soon_threadsafe(task.cancel)

        future.add_done_callback(cancel)

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self._run_forever()
            self._closed = True
            self._drain()
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(_ended(tasks))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()

    def stop(self) -> None:
        """Stop the loop; called on its thread."""
        self._stopped = True
        self.loop.stop()

    def _run_forever(self) -> None:
        while not self._stopped:
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as exc:
                # In this thread they would not end the process, only the server.
                self._report(
                    f"{exc!r} was ignored: it cannot end the process from the thread "
                    "of an event loop",
                    exc,
                )


# While this many posts wait, other threads that post block.
MAX_POSTS = 10_000


async def _settle(
    coro: Coroutine[Any, Any, T],
    future: concurrent.futures.Future[T],
    acts_for: asyncio.Task[Any] | None,
) -> None:
    task = asyncio.current_task() if acts_for is not None else None
    if task is not None and acts_for is not None:
        acting[task] = acts_for
    try:
        result = await coro
    except asyncio.CancelledError:
        future.cancel()
        raise
    except BaseException as exc:
        # Even SystemExit is raised in the thread that waits, and does not end the loop.
        if future.set_running_or_notify_cancel():
            future.set_exception(exc)
    else:
        if future.set_running_or_notify_cancel():
            future.set_result(result)
    finally:
        if task is not None:
            del acting[task]


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


# Seconds that the end of the process waits for a loop to stop. After that, Python stops
# daemon threads at any place, even inside libuv.
EXIT_TIMEOUT = 2

_threads: weakref.WeakSet[LoopThread] = weakref.WeakSet()
_abandoned: list[_Running] = []
_exiting = False


def exiting() -> bool:
    """Whether the process is ending: running loops are stopped, none can be started."""
    return _exiting


def _at_exit() -> None:
    global _exiting
    _exiting = True
    for thread in list(_threads):
        thread.stop(EXIT_TIMEOUT)


def _after_fork_in_child() -> None:
    for thread in list(_threads):
        thread._after_fork()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
