"""The Engine.IO layer alone, with python-engineio's names."""

from socketio_fast.engineio.async_server import AsyncServer

__all__ = ["AsyncServer"]
