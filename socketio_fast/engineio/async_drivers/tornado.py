"""Where python-engineio has its handler for Tornado."""

from socketio_fast.hosting import get_tornado_handler

__all__ = ["get_tornado_handler"]
