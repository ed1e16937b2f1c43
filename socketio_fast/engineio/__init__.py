"""The Engine.IO layer alone, with python-engineio's names."""

from socketio_fast.engineio import exceptions as exceptions
from socketio_fast.engineio import hooks as hooks
from socketio_fast.engineio import json as json
from socketio_fast.engineio import packet as packet
from socketio_fast.engineio import payload as payload
from socketio_fast.engineio.async_server import AsyncServer
from socketio_fast.engineio.middleware import Middleware, WSGIApp
from socketio_fast.engineio.server import Server
from socketio_fast.hosting import get_tornado_handler
from socketio_fast.hosting.asgi import EngineASGIApp as ASGIApp

__all__ = [
    "ASGIApp",
    "AsyncServer",
    "Middleware",
    "Server",
    "WSGIApp",
    "get_tornado_handler",
]
