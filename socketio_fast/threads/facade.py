"""An event loop on a thread, and the threads that run handlers: what a server for
threads drives the asynchronous one with."""

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
#: Finds, by the arguments of a handler, the client that the call is for, or None.
Finder = Callable[..., "Owner | None"]

#: The default of ``max_workers``. Handlers wait for databases and for each other, so
#: there may be more of them than there are processors.
MAX_WORKERS = 128


class Threads:
    """An event loop on a thread, and a pool of threads that run handlers.

    Args:
        bind: Called with the event loop, on its thread, each time that it starts: the
            first time, after :meth:`stop`, and in a forked process.
        max_workers: Threads for handlers, at most.
        logger: Logs what handlers raise when the event loop has stopped.
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
        # The pool before was closed with its loop. Of a forked process's threads only
        # the one that called fork() is left.
        self.pool = self._new_pool()
        self._bind(loop)

    @property
    def running(self) -> bool:
        """Whether the event loop has been started, and not stopped since."""
        return self.loop_thread.running

    def run(
        self, coro: Coroutine[Any, Any, T], context: contextvars.Context | None = None
    ) -> T:
        """Run a coroutine on the loop, and wait for it.

        Args:
            coro: The coroutine.
            context: Its context variables; ``None`` for those of the loop's thread.

        Returns:
            What the coroutine returns; what it raises is raised.
        """
        return self.loop_thread.run(coro, context=context)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function on the loop's thread, and wait for what it returns."""
        return self.loop_thread.run(_call(function, *args))

    def wait(
        self, coro: Coroutine[Any, Any, T], context: contextvars.Context | None = None
    ) -> T:
        """As :meth:`run`, for a coroutine that ends only when handlers have run.

        A handler that waits here is not counted by ``max_workers`` meanwhile.
        """
        task = getattr(_current, "task", None)
        with self.pool.waiting():
            return self.loop_thread.run(coro, context=context, acts_for=task)

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop's thread, soon; do not wait for it."""
        self.loop_thread.post(function, *args)

    def adapt(self, handler: Handler, client: Finder | None = None) -> Handler:
        """A coroutine function that runs a handler in the pool.

        It has the handler's name and signature.

        Args:
            handler: The handler.
            client: Finds the client whose share of the threads a call takes; ``None``
                if it takes no client's.

        Raises:
            TypeError: The handler is a coroutine function.
        """
        check_handler(handler)

        @functools.wraps(handler)
        async def run(*args: Any) -> Any:
            if exiting():
                return None  # the threads end with the process: none can run it
            owner = None if client is None else client(*args)
            job = _Job(self, handler, args)
            try:
                if owner is None:
                    self.pool.submit(job)
                else:
                    self.pool.submit_of(owner, job)
                return await job.future
            finally:
                # The client's other handlers see what a connect handler has set.
                _set_variables(job.context)

        return run

    def stop(self, timeout: float | None = None) -> None:
        """Stop the loop; it starts again when it is needed. See ``LoopThread``."""
        pool = self.pool
        self.loop_thread.stop(timeout)
        pool.close()

    def __del__(self) -> None:
        if "pool" in vars(self):  # __init__() did not raise
            self.pool.close()


def _set_variables(context: contextvars.Context) -> None:
    """Set here what has been set in this copy of the current context."""
    for variable, value in context.items():
        if variable.get(_UNSET) is not value:
            variable.set(value)


_UNSET = object()

# `task` is the task, on the event loop, of the handler that this thread runs.
_current = threading.local()


class _Job:
    """A call of a handler in a thread; its future gets what the handler returns."""

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
            # In a thread, SystemExit does not end the process. As it is, the event loop
            # would take it, or CancelledError, for its own.
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
        """Its client has left before it began: it never will."""
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
        # A future refuses this exception.
        wrapped = RuntimeError("a handler raised StopIteration")
        wrapped.__cause__ = error
        future.set_exception(wrapped)
    else:
        future.set_exception(error)


def check_handler(handler: Handler) -> None:
    """Raise TypeError for a coroutine function, which cannot run in a thread."""
    if inspect.iscoroutinefunction(handler):
        raise TypeError(
            f"handler {handler!r} is a coroutine function: use AsyncServer, or def"
        )


def refuse_patched_threads() -> None:
    """Raise RuntimeError if gevent or eventlet has replaced this process's threads."""
    package = who_has_patched_threads()
    if package is not None:
        raise RuntimeError(
            f"{package} has patched the threads of this process, which an event "
            "loop cannot run in: leave out its monkey-patching and use threads "
            "(async_mode='threading'), or AsyncServer"
        )


def who_has_patched_threads() -> str | None:
    """``"gevent"`` or ``"eventlet"`` if that package has replaced the threads."""
    if _patched("gevent.monkey", "is_module_patched", "threading"):
        return "gevent"
    if _patched("eventlet.patcher", "is_monkey_patched", "thread"):
        return "eventlet"
    return None


def _patched(module: str, function: str, name: str) -> bool:
    found = sys.modules.get(module)
    return found is not None and bool(getattr(found, function)(name))
