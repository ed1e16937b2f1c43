"""Where python-socketio has it; see :mod:`socketio_fast.managers`."""

from socketio_fast.managers.aio_pika import AsyncAioPikaManager

__all__ = ["AsyncAioPikaManager"]
