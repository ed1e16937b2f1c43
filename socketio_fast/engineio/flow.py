"""Waiting for clients to read what they are sent."""

from __future__ import annotations

from socketio_fast._core.session import Session

__all__ = ["wait_below"]


async def wait_below(session: Session, limit: int) -> bool:
    """Wait until so many bytes wait for a client, or less; False if it has gone."""
    waiting = session.below(limit)
    return True if waiting is None else await waiting
