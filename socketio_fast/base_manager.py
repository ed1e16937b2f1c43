"""Where python-socketio has it; see :mod:`socketio_fast.managers`."""

from socketio_fast.managers.base import BaseManager

__all__ = ["BaseManager"]
