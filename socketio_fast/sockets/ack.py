"""The wait for the acknowledgement of one client."""

from __future__ import annotations

import asyncio
from typing import Any

from socketio_fast import exceptions
from socketio_fast._core.socketio.peer import Reply

__all__ = ["answer_to"]


async def answer_to(reply: Reply, sid: str, event: str, timeout: float | None) -> Any:
    """Wait for an acknowledgement.

    Args:
        reply: What the event was sent with, as its callback.
        sid: The client, for the message of an error.
        event: The event's name, likewise.
        timeout: Seconds to wait; ``None`` without limit.

    Returns:
        ``None`` for an acknowledgement without arguments, the argument for one, a tuple
        for several.

    Raises:
        TimeoutError: No acknowledgement came in time.
        CallDisconnectedError: The client has gone.
    """
    try:
        answer = await asyncio.wait_for(reply.future, timeout)
    except (asyncio.TimeoutError, TimeoutError) as exc:  # two in 3.10
        if reply.future.done() and not reply.future.cancelled():
            # It is given up, or has gone. Frames that know the future, which knows
            # the exception, would be left to the garbage collector.
            raise exc.with_traceback(None) from None
        raise exceptions.TimeoutError(
            f"{sid} did not acknowledge {event!r} in {timeout} s"
        ) from None
    finally:
        del reply
    if len(answer) > 1:
        return tuple(answer)
    return answer[0] if answer else None
