"""Where python-socketio has it; see :mod:`socketio_fast.managers`."""

from socketio_fast.managers.zmq import ZmqManager

__all__ = ["ZmqManager"]
