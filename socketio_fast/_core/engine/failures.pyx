"""What becomes of an exception that user code raises.

Handlers, listeners and hooks are called in the middle of passes that serve all clients.
So an exception of any class is logged where they are called, and the pass goes on. That
includes those that are no `Exception`: `.result()` of a cancelled future raises
CancelledError, and pytest's fail() raises `Failed`.

SystemExit and KeyboardInterrupt are logged as well, and keep their meaning: they leave
the event loop, as from any of its callbacks. A callback of its own raises them later,
when this pass has ended.
"""
import asyncio
import traceback

cdef object _CancelledError = asyncio.CancelledError
cdef tuple _EXITS = (SystemExit, KeyboardInterrupt)


cpdef int log_failure(
    object logger, object error, str message, tuple args=(), dict fields=None
) except -1:
    """Log an exception with its traceback. Raises nothing.

    `fields` say whom it is about, for those who write logs as JSON.

    `{}` in the message becomes "failed". A CancelledError is a warning without a
    traceback instead, and `{}` becomes "was cancelled": a program that ends its event
    loop cancels the handlers that run on it.
    """
    try:
        if isinstance(error, _CancelledError) and "{}" in message:
            logger.warning(message.replace("{}", "was cancelled"), *args, extra=fields)
        else:
            logger.error(
                message.replace("{}", "failed"), *args, exc_info=error, extra=fields
            )
    except BaseException as exc:
        # The logger is the application's: it may raise.
        traceback.print_exception(type(exc), exc, exc.__traceback__)
    return 0


cpdef int defer_exit(object loop, object error) except -1:
    """Let SystemExit and KeyboardInterrupt leave the event loop in its next pass; does
    nothing for other exceptions."""
    if isinstance(error, _EXITS) and loop is not None and not loop.is_closed():
        loop.call_soon(_raise, error)
    return 0


cpdef int contain(
    object loop, object logger, object error, str message, tuple args=()
) except -1:
    """Log an exception, and let it leave the event loop if it must: both of above."""
    log_failure(logger, error, message, args)
    return defer_exit(loop, error)


def ends_task(error):
    """Whether an exception ends the current coroutine, a bool: then raise it again.

    A CancelledError does if the current task was cancelled, and not if a future was
    that the coroutine has awaited. Python 3.10 cannot tell which: there each one does.
    """
    if isinstance(error, GeneratorExit):
        return True
    if not isinstance(error, _CancelledError):
        return False
    task = asyncio.current_task()
    return task is None or not hasattr(task, "cancelling") or task.cancelling() > 0


def _raise(error):
    raise error
