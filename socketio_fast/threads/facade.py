"""Runs an asynchronous server for programs that use threads.

The server's event loop runs on a thread of its own; a pool of threads runs the
handlers.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from socketio_fast.options.logs import Logger
from socketio_fast.threads.loop import LoopThread, exiting
from socketio_fast.threads.pool import HandlerPool, Owner

__all__ = ["MAX_WORKERS", "Threads", "quick"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
Handler = Callable[..., Any]
#: Is called with the arguments of a handler; returns the client that the handler is
#: called for, or None.
Finder = Callable[..., "Owner | None"]

#: The default of ``max_workers``. It is larger than the number of processors because
#: most handlers wait, for databases or for each other.
MAX_WORKERS = 128

#: Seconds to wait for the end of an event loop that has nothing left to do.
STOP_TIMEOUT = 1.0


class Threads:
    """An event loop on a thread, and a pool of threads that run handlers.

    Args:
        bind: Called with the event loop, on the loop's thread, each time the loop
            starts: at first use, at first use after :meth:`stop`, and in a forked
            process.
        max_workers: The maximum number of threads for handlers.
        logger: Logs exceptions of handlers that end after the event loop has stopped.
        max_workers_per_client: The maximum number of threads for the handlers of one
            client. ``None``, the default, is a quarter of ``max_workers``; see
            :class:`~socketio_fast.threads.pool.HandlerPool`.
        is_over: Whether the event loop has nothing left to do. It is asked when a call
            of :meth:`run` or :meth:`wait` has ended and no other waits; the event loop
            is stopped then. ``None``, the default, if only :meth:`stop` stops it.

    Raises:
        ValueError: ``max_workers`` or ``max_workers_per_client`` is not a positive
            integer.
        RuntimeError: gevent or eventlet has patched the threads of this process.
    """

    def __init__(
        self,
        bind: Callable[[asyncio.AbstractEventLoop], object],
        max_workers: int,
        logger: Logger,
        max_workers_per_client: int | None = None,
        is_over: Callable[[], bool] | None = None,
    ) -> None:
        refuse_patched_threads()
        self._bind = bind
        self._logger = logger
        self._max_workers = max_workers
        self._max_per_client = max_workers_per_client
        self._is_over = is_over
        self._users = 0  # threads inside run() or wait()
        self._lock = threading.RLock()  # a handler of a signal may call wait()
        self.pool = self._new_pool()
        self.loop_thread = LoopThread("socketio_fast-loop", self._start)

    def _new_pool(self) -> HandlerPool:
        return HandlerPool(
            self._max_workers,
            "socketio_fast-handler",
            self._max_per_client,
            self._logger,
        )

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        # stop() has closed the previous pool. After fork(), the threads of the previous
        # pool do not exist: only the thread that called fork() does.
        self.pool = self._new_pool()
        self._bind(loop)

    @property
    def running(self) -> bool:
        """Whether the event loop runs: it was started, and has not been stopped."""
        return self.loop_thread.running

    def run(
        self, coro: Coroutine[Any, Any, T], context: contextvars.Context | None = None
    ) -> T:
        """Run a coroutine on the event loop, and wait until it has ended.

        Args:
            coro: The coroutine.
            context: The context that the coroutine runs in; ``None``, the default, is
                that of the loop's thread.

        Returns:
            What the coroutine returns. An exception of the coroutine is raised here.
        """
        with self._used():
            return self.loop_thread.run(coro, context=context)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function on the loop's thread, and return its result."""
        return self.run(_call(function, *args))

    def wait(
        self, coro: Coroutine[Any, Any, T], context: contextvars.Context | None = None
    ) -> T:
        """Like :meth:`run`, for a coroutine that waits until handlers have run.

        If a handler calls this, its thread does not count towards ``max_workers`` while
        it waits: otherwise there might be no thread for the handlers it waits for.
        """
        task = getattr(_current, "task", None)
        with self._used(), self.pool.waiting():
            return self.loop_thread.run(coro, context=context, acts_for=task)

    @contextmanager
    def _used(self) -> Iterator[None]:
        """A block that uses the event loop, which is stopped if it is over then."""
        if self._is_over is None:
            yield
            return
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users and self.running and self._is_over():
                    # It may still wait for the look-up of a name, which cannot be
                    # cancelled; then it ends later.
                    self.stop(STOP_TIMEOUT)

    def _forget(self) -> None:
        """Forget the threads that use the event loop: this is a forked process."""
        self._lock = threading.RLock()
        self._users = 0

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Schedule a call of a function on the loop's thread; do not wait for it."""
        self.loop_thread.post(function, *args)

    def adapt(self, handler: Handler, client: Finder | None = None) -> Handler:
        """Return a coroutine function that runs a handler in the pool.

        The coroutine function has the handler's name and signature. A handler that is
        :func:`quick` is returned itself.

        Args:
            handler: The handler.
            client: Returns the client whose share of the threads a call uses; ``None``,
                the default, if calls are not made for a client.

        Raises:
            TypeError: The handler is a coroutine function.
        """
        check_handler(handler)
        if getattr(handler, "_is_quick", False):
            return handler

        @functools.wraps(handler)
        async def run(*args: Any) -> Any:
            if exiting():
                return None  # the threads end with the process, and start no job
            owner = None if client is None else client(*args)
            job = _Job(self, handler, args)
            try:
                if owner is None:
                    self.pool.submit(job)
                else:
                    self.pool.submit_of(owner, job)
                return await job.future
            finally:
                # The client's later handlers run in this context, so that they read the
                # context variables that its connect handler has set.
                _set_variables(job.context)

        return run

    def stop(self, timeout: float | None = None) -> None:
        """Stop the event loop; its next use starts it again.

        Args:
            timeout: See :meth:`socketio_fast.threads.loop.LoopThread.stop`.
        """
        pool = self.pool
        self.loop_thread.stop(timeout)
        pool.close()

    def __del__(self) -> None:
        if "pool" in vars(self):  # __init__() did not raise
            self.pool.close()


def quick(handler: F) -> F:
    """Mark a handler that never waits: it runs on the event loop, not in a thread."""
    handler._is_quick = True  # type: ignore[attr-defined]
    return handler


def _set_variables(context: contextvars.Context) -> None:
    """Set the variables that differ in a copy of the current context."""
    for variable, value in context.items():
        if variable.get(_UNSET) is not value:
            variable.set(value)


_UNSET = object()

# In a thread of the pool, `task` is the task of the event loop that waits for the
# handler which this thread runs.
_current = threading.local()


class _Job:
    """A call of a handler in a thread, which sets `future` to the handler's result."""

    def __init__(
        self, threads: Threads, handler: Handler, args: tuple[Any, ...]
    ) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._task = asyncio.current_task()
        self._handler = handler
        self._args = args
        self.context = contextvars.copy_context()
        self._post = threads.loop_thread.poster()
        self._logger = threads._logger

    def __call__(self) -> None:
        result, error = None, None
        handler = self._handler
        _current.task = self._task
        try:
            result = self.context.run(handler, *self._args)
            if inspect.iscoroutine(result):
                result.close()
                raise TypeError(
                    f"handler {handler!r} returned a coroutine, which Server cannot "
                    "run, nor Client: use AsyncServer or AsyncClient"
                )
        except Exception as exc:
            error = exc
        except BaseException as exc:
            # SystemExit does not end the process in a thread. Unwrapped in the future,
            # it would stop the event loop, and CancelledError would cancel the task.
            error = RuntimeError(f"a handler raised {exc!r}")
            error.__cause__ = exc
        finally:
            _current.task = self._task = None
        try:
            self._post(_settle, self.future, result, error)
        except RuntimeError:  # the loop has stopped
            if error is not None and not exiting():
                self._logger.error("handler %r failed", handler, exc_info=error)

    def cancel(self) -> object:
        """Cancel the call before it begins, because its client has left."""
        return self.future.cancel()


async def _call(function: Callable[..., T], *args: Any) -> T:
    return function(*args)


def _settle(
    future: asyncio.Future[Any], result: Any, error: BaseException | None
) -> None:
    if future.done():
        return  # cancelled
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):
        # set_exception() refuses StopIteration.
        wrapped = RuntimeError("a handler raised StopIteration")
        wrapped.__cause__ = error
        future.set_exception(wrapped)
    else:
        future.set_exception(error)


def check_handler(handler: Handler) -> None:
    """Raise TypeError for a coroutine function, which cannot run in a thread."""
    if inspect.iscoroutinefunction(handler):
        raise TypeError(
            f"handler {handler!r} is a coroutine function, which Server cannot run, "
            "nor Client: use AsyncServer or AsyncClient, or define the handler without "
            "async"
        )


def refuse_patched_threads() -> None:
    """Raise RuntimeError if gevent or eventlet has patched the threads."""
    package = who_has_patched_threads()
    if package is not None:
        raise RuntimeError(
            f"{package} has patched the threads of this process, and an asyncio event "
            f"loop cannot run in patched threads: remove the monkey-patching of "
            f"{package} and use async_mode='threading', or use AsyncServer or "
            "AsyncClient"
        )


def who_has_patched_threads() -> str | None:
    """``"gevent"`` or ``"eventlet"`` if that package has patched the threads."""
    if _patched("gevent.monkey", "is_module_patched", "threading"):
        return "gevent"
    if _patched("eventlet.patcher", "is_monkey_patched", "thread"):
        return "eventlet"
    return None


def _patched(module: str, function: str, name: str) -> bool:
    found = sys.modules.get(module)
    return found is not None and bool(getattr(found, function)(name))
