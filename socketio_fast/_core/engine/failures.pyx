"""What user code raises: logged, and kept from what is under way.

Handlers, listeners and hooks are called in the middle of passes that serve all clients.
So whatever they raise, of any class, is logged where they are called, and the pass goes
on. `.result()` of a cancelled future raises CancelledError, a test `Failed`: neither is
an `Exception`.

SystemExit and KeyboardInterrupt are logged as well, and keep their meaning: they leave
the event loop, as from any callback of it. A callback of their own raises them, so that
what was under way is done by then.
"""
import asyncio
import traceback

cdef object _CancelledError = asyncio.CancelledError
cdef tuple _EXITS = (SystemExit, KeyboardInterrupt)


cpdef int log_failure(
    object logger, object error, str message, tuple args=()
) except -1:
    """Log what was raised, with its traceback. Nothing is raised here.

    `{}` in the message becomes "failed". Of a CancelledError it becomes "was
    cancelled", in a warning without a traceback: whoever ends an event loop cancels
    the handlers that run on it.
    """
    try:
        if isinstance(error, _CancelledError) and "{}" in message:
            logger.warning(message.replace("{}", "was cancelled"), *args)
        else:
            logger.error(message.replace("{}", "failed"), *args, exc_info=error)
    except BaseException as exc:
        # The logger is the application's, and may be anything.
        traceback.print_exception(type(exc), exc, exc.__traceback__)
    return 0


cpdef int defer_exit(object loop, object error) except -1:
    """Let SystemExit or KeyboardInterrupt leave the event loop, soon; others do not."""
    if isinstance(error, _EXITS) and loop is not None and not loop.is_closed():
        loop.call_soon(_raise, error)
    return 0


cpdef int contain(
    object loop, object logger, object error, str message, tuple args=()
) except -1:
    """Log what was raised, and let it leave the event loop if it is to."""
    log_failure(logger, error, message, args)
    return defer_exit(loop, error)


def ends_task(error):
    """Whether this ends the current coroutine, and was not raised by what it calls.

    Python 3.10 does not say so of CancelledError; there each one is taken for that.
    """
    if isinstance(error, GeneratorExit):
        return True
    if not isinstance(error, _CancelledError):
        return False
    task = asyncio.current_task()
    return task is None or not hasattr(task, "cancelling") or task.cancelling() > 0


def _raise(error):
    raise error
