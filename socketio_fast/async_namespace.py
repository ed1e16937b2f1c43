"""Where python-socketio has it; see :mod:`socketio_fast.namespace`."""

from socketio_fast.namespace import AsyncNamespace

__all__ = ["AsyncNamespace"]
