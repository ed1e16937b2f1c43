"""Where python-socketio has it; see :mod:`socketio_fast.managers`."""

from socketio_fast.managers.redis import AsyncRedisManager

__all__ = ["AsyncRedisManager"]
