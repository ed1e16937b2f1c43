"""Where python-socketio has it; see :mod:`socketio_fast.managers`."""

from socketio_fast.managers.sync import PubSubManager

__all__ = ["PubSubManager"]
