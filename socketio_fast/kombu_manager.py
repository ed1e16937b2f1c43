"""Where python-socketio has it; see :mod:`socketio_fast.managers`."""

from socketio_fast.managers.kombu import KombuManager

__all__ = ["KombuManager"]
