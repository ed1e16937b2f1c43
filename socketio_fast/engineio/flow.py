"""Waits until clients have read what they were sent."""

from __future__ import annotations

from socketio_fast._core.engine.session import Session
from socketio_fast.options.amounts import whole

__all__ = ["wait_below"]


async def wait_below(session: Session, limit: int) -> bool:
    """Wait until at most ``limit`` bytes wait for a client; False if it has gone."""
    bytes_left = whole(limit)
    if bytes_left is None:
        raise ValueError(f"below={limit!r}: bytes expected")
    waiting = session.below(bytes_left)
    return True if waiting is None else await waiting
