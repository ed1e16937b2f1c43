"""Where python-socketio has it; see :mod:`socketio_fast.managers`."""

from socketio_fast.managers.kafka import KafkaManager

__all__ = ["KafkaManager"]
