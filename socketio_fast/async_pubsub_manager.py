"""Where python-socketio has it; see :mod:`socketio_fast.managers`."""

from socketio_fast.managers.pubsub import AsyncPubSubManager

__all__ = ["AsyncPubSubManager"]
