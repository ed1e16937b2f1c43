"""What a sync server drives the asynchronous one with: a loop, and handler threads."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from socketio_fast.options.logs import Logger
from socketio_fast.threads.loop import LoopThread, exiting
from socketio_fast.threads.pool import HandlerPool, Owner

__all__ = ["MAX_WORKERS", "Threads"]

T = TypeVar("T")
Handler = Callable[..., Any]
#: Whose call of a handler it is, by its arguments: the client, or None for nobody's.
Finder = Callable[..., "Owner | None"]

#: Threads for the handlers of a server, at most, unless it is told otherwise. They may
#: wait for databases and for each other, so that there are more than processors.
MAX_WORKERS = 128


class Threads:
    """An event loop on a thread, and a pool of threads that run handlers.

    Args:
        bind: Called with the event loop, on its thread, when it starts: for the first
            time, after :meth:`stop`, and in a forked process.
        max_workers: Threads for handlers, at most.
        logger: Where failures are logged that nobody can be told.
        max_workers_per_client: Threads for the handlers of one client, at most; see
            :class:`~socketio_fast.threads.pool.HandlerPool`.

    Raises:
        ValueError: ``max_workers`` or ``max_workers_per_client`` is not a positive
            number.
        RuntimeError: gevent or eventlet has replaced the threads of this process.
    """

    def __init__(
        self,
        bind: Callable[[asyncio.AbstractEventLoop], object],
        max_workers: int,
        logger: Logger,
        max_workers_per_client: int | None = None,
    ) -> None:
        refuse_patched_threads()
        self._bind = bind
        self._logger = logger
        self._max_workers = max_workers
        self._max_per_client = max_workers_per_client
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
        # The last was closed with its loop. A forked process has no threads but the one
        # that forked it.
        self.pool = self._new_pool()
        self._bind(loop)

    @property
    def running(self) -> bool:
        """Whether the event loop has been used, and not stopped since."""
        return self.loop_thread.running

    def run(
        self, coro: Coroutine[Any, Any, T], context: contextvars.Context | None = None
    ) -> T:
        """Run a coroutine on the loop, in this context or the loop's, and wait for what
        it returns or raises."""
        return self.loop_thread.run(coro, context=context)

    def ask(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function on the loop's thread, and wait for what it returns."""
        return self.loop_thread.run(_call(function, *args))

    def wait(
        self, coro: Coroutine[Any, Any, T], context: contextvars.Context | None = None
    ) -> T:
        """As :meth:`run`, for what ends only when handlers have run."""
        task = getattr(_current, "task", None)
        with self.pool.waiting():
            return self.loop_thread.run(coro, context=context, acts_for=task)

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop's thread, soon; do not wait for it."""
        self.loop_thread.post(function, *args)

    def adapt(self, handler: Handler, client: Finder | None = None) -> Handler:
        """A coroutine function that runs a handler in the pool, and shows as it does.

        Args:
            handler: The handler.
            client: Whose share of the threads it takes; ``None`` for nobody's.

        Raises:
            TypeError: The handler is a coroutine function.
        """
        check_handler(handler)

        @functools.wraps(handler)
        async def run(*args: Any) -> Any:
            if exiting():
                return None  # threads end with the process, and so do handlers
            owner = None if client is None else client(*args)
            job = _Job(self, handler, args)
            try:
                if owner is None:
                    self.pool.submit(job)
                else:
                    self.pool.submit_of(owner, job)
                return await job.future
            finally:
                # What a connect handler sets is to reach the client's other handlers.
                _adopt(job.context)

        return run

    def stop(self, timeout: float | None = None) -> None:
        """Stop the loop; it starts again when it is needed. See ``LoopThread``."""
        pool = self.pool
        self.loop_thread.stop(timeout)
        pool.close()

    def __del__(self) -> None:
        if "pool" in vars(self):  # __init__() did not raise
            self.pool.close()


def _adopt(context: contextvars.Context) -> None:
    """Set the variables that were set in a copy of the current context."""
    for variable, value in context.items():
        if variable.get(_UNSET) is not value:
            variable.set(value)


_UNSET = object()

# Of a thread that runs a handler: the handler's task, in the event loop.
_current = threading.local()


class _Job:
    """A call of a handler in a thread, and the future of what it returns."""

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
                    f"handler {handler!r} returned a coroutine: use AsyncServer"
                )
        except Exception as exc:
            error = exc
        except BaseException as exc:
            # As in any thread, SystemExit does not end the process; nor is the event
            # loop to take it, or CancelledError, for its own.
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
        """It is not begun, because its client has left."""
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
        # A future takes all but this one.
        wrapped = RuntimeError("a handler raised StopIteration")
        wrapped.__cause__ = error
        future.set_exception(wrapped)
    else:
        future.set_exception(error)


def check_handler(handler: Handler) -> None:
    """Raise TypeError for what cannot run in a thread."""
    if inspect.iscoroutinefunction(handler):
        raise TypeError(
            f"handler {handler!r} is a coroutine function: use AsyncServer, or def"
        )


def refuse_patched_threads() -> None:
    """Raise RuntimeError if threads are gevent's or eventlet's."""
    package = who_has_patched_threads()
    if package is not None:
        raise RuntimeError(
            f"{package} has patched the threads of this process, which an event "
            "loop cannot run in: leave out its monkey-patching and use threads "
            "(async_mode='threading'), or AsyncServer"
        )


def who_has_patched_threads() -> str | None:
    """``"gevent"`` or ``"eventlet"`` if threads are that package's."""
    if _patched("gevent.monkey", "is_module_patched", "threading"):
        return "gevent"
    if _patched("eventlet.patcher", "is_monkey_patched", "thread"):
        return "eventlet"
    return None


def _patched(module: str, function: str, name: str) -> bool:
    found = sys.modules.get(module)
    return found is not None and bool(getattr(found, function)(name))
