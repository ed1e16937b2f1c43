"""Where python-socketio has it; see :mod:`socketio_fast.hosting`."""

from socketio_fast.hosting import get_tornado_handler

__all__ = ["get_tornado_handler"]
