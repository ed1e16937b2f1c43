"""Where python-socketio has it; see :mod:`socketio_fast.managers`."""

from socketio_fast.managers.sync import Manager

__all__ = ["Manager"]
