"""Where python-socketio has it; see :mod:`socketio_fast.hosting.asgi`."""

from socketio_fast.hosting.asgi import ASGIApp

__all__ = ["ASGIApp"]
