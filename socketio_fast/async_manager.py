"""Where python-socketio has it; see :mod:`socketio_fast.managers`."""

from socketio_fast.managers.async_manager import AsyncManager

__all__ = ["AsyncManager"]
