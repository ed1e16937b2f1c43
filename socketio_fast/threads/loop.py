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

__all__ = ["LoopThread", "exiting"]

T = TypeVar("T")


class LoopThread:
    """A daemon thread that runs an event loop (uvloop where there is one).

    It starts when it is first used, and again when it is used after :meth:`stop` or in
    a forked process. It stops when this object is garbage. Whatever other threads give
    it, by :meth:`run` or :meth:`post`, begins in the order in which they gave it; while
    10,000 posts wait, those threads wait too.

    Example::

        thread = LoopThread()
        thread.run(asyncio.sleep(1))

    Args:
        name: The name of the thread.
        on_start: Called with the loop, on its thread, before anything else. If it
            raises, so does the call that started the thread.
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
        """The event loop, running."""
        return self._started().loop

    @property
    def running(self) -> bool:
        """Whether it has been started, and not stopped since."""
        return self._running is not None

    def run(
        self,
        coro: Coroutine[Any, Any, T],
        timeout: float | None = None,
        context: contextvars.Context | None = None,
        acts_for: asyncio.Task[Any] | None = None,
    ) -> T:
        """Run a coroutine on the loop, and wait for what it returns.

        Args:
            coro: The coroutine.
            timeout: Seconds to wait, ``None`` without limit. Then, or if this thread
                is interrupted, the coroutine is cancelled.
            context: The coroutine's context variables, which no other coroutine may
                use at the same time; ``None`` for those of the loop's thread.
            acts_for: The task of the handler that calls this, in its thread; ``None``
                if none does.

        Raises:
            RuntimeError: This is the loop's own thread, which would wait for itself.
            TimeoutError: It has not ended in time.
            concurrent.futures.CancelledError: It was cancelled, or the loop stopped.
        """
        try:
            running = self._started()
            if threading.get_ident() == running.thread.ident:
                raise RuntimeError(
                    "run() on the event loop's own thread would wait for itself; "
                    "await the coroutine instead"
                )
            future: concurrent.futures.Future[T] = concurrent.futures.Future()
            running.post(running.begin, (coro, future, context, acts_for))
        except BaseException:
            coro.close()
            raise
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            if not future.cancel():
                return future.result()  # it has just ended, or raised TimeoutError
            raise TimeoutError(f"not done in {timeout} s") from None
        finally:
            future.cancel()

    def post(self, callback: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop's thread, soon; do not wait for it.

        If it raises, the loop's exception handler is called.
        """
        self._started().post(callback, args)

    def poster(self) -> Callable[..., None]:
        """A :meth:`post` for the loop that runs now.

        When that loop has stopped it raises RuntimeError, and starts no other.
        """
        running = self._started()

        def post(callback: Callable[..., object], *args: Any) -> None:
            running.post(callback, args)

        return post

    def stop(self, timeout: float | None = None) -> None:
        """Stop the loop after the posts that wait; cancel its tasks, and wait for them.

        Nothing happens if it does not run.

        Args:
            timeout: Seconds to wait, ``None`` without limit.
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
            with contextlib.suppress(RuntimeError):  # it has stopped
                running.post(running.stop, ())

    def _started(self) -> _Running:
        running = self._running
        if running is not None:
            return running
        with self._lock:
            if self._running is None:
                if _exiting:
                    raise RuntimeError("the interpreter shuts down: no event loop")
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
            # It is the parent's. Its destructor must not run: both processes share the
            # loop's descriptors.
            _abandoned.append(self._running)
            self._running = None


class _Running:
    """A loop, its thread, and the posts that wait."""

    def __init__(
        self,
        name: str,
        on_start: Callable[[asyncio.AbstractEventLoop], object] | None,
    ) -> None:
        self.loop = _new_event_loop()
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
            self._caught_up.clear()  # before _drain() sets it, which follows this post
        self._posts.append((callback, args))
        # _main() runs posts once more after it has set _closed: none is missed.
        if self._closed:
            raise RuntimeError("the event loop has stopped")
        if not self._woken:
            # One wake-up serves all posts until the loop runs them.
            self._woken = True
            self.loop.call_soon_threadsafe(self._drain)
        if behind and threading.get_ident() != self.thread.ident:
            self._caught_up.wait()

    def _drain(self) -> None:
        self._woken = False  # first of all: a later post must wake the loop again
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
        """Start a coroutine that settles the future, whose cancel() ends it."""
        if future.cancelled():
            coro.close()
            return
        # It runs at once up to its first wait: later posts see what it has done.
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
        """Stop the loop, in its thread."""
        self._stopped = True
        self.loop.stop()

    def _run_forever(self) -> None:
        while not self._stopped:
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as exc:
                # These would end this thread alone, and with it the whole server.
                self._report(f"{exc!r} does not end the thread of an event loop", exc)


# While so many posts wait, threads that post more wait too.
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
        # The waiting thread raises it, of whatever class; the loop goes on.
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


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


# Seconds for a loop to stop at exit. Python then freezes daemon threads wherever they
# are, even inside libuv.
EXIT_TIMEOUT = 2

_threads: weakref.WeakSet[LoopThread] = weakref.WeakSet()
_abandoned: list[_Running] = []
_exiting = False


def exiting() -> bool:
    """Whether the process is ending: loops stop, and none starts again."""
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
