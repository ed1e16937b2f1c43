"""The path for ``uvicorn --ws``; see :mod:`socketio_fast.hosting.uvicorn`."""

from socketio_fast.hosting.uvicorn import WebSocketProtocol

__all__ = ["WebSocketProtocol"]
