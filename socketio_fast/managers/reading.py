"""Reading of one source of messages, until its manager is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from socketio_fast._core.engine.failures import ends_task
from socketio_fast.managers.lifetime import is_cancelled

if TYPE_CHECKING:
    from socketio_fast.managers.broker import BrokerManager

__all__ = ["read_for"]


async def read_for(
    source: tuple[Any, ...], found: Callable[[], BrokerManager | None]
) -> None:
    """Read messages of other processes until the manager is gone.

    Args:
        source: The name of the manager's method that reads, and its arguments.
        found: Returns the manager, or ``None`` when it is gone.
    """
    name, *arguments = source
    while (manager := found()) is not None:
        listening = getattr(manager, name)(*arguments)
        del manager
        try:
            async for message in listening:
                if (manager := found()) is None:
                    return
                manager._on_subscribed(source)
                manager._receive(message)
                del manager
            raise EOFError("the subscription has ended")
        except BaseException as exc:
            if ends_task(exc) or (manager := found()) is None:
                raise
            if is_cancelled():
                raise asyncio.CancelledError from exc
            delay = manager._source_failed(source, exc)
            del manager
        await asyncio.sleep(delay)
