"""The Engine.IO layer alone, with python-engineio's names."""

from typing import TYPE_CHECKING

from socketio_fast.engineio import exceptions as exceptions
from socketio_fast.lazy import lazy_names

if TYPE_CHECKING:
    from socketio_fast.engineio import hooks as hooks
    from socketio_fast.engineio import json as json
    from socketio_fast.engineio import packet as packet
    from socketio_fast.engineio import payload as payload
    from socketio_fast.engineio.async_client import AsyncClient
    from socketio_fast.engineio.async_server import AsyncServer
    from socketio_fast.engineio.client import Client
    from socketio_fast.engineio.middleware import Middleware, WSGIApp
    from socketio_fast.engineio.server import Server
    from socketio_fast.hosting import get_tornado_handler
    from socketio_fast.hosting.asgi import EngineASGIApp as ASGIApp

__all__ = [
    "ASGIApp",
    "AsyncClient",
    "AsyncServer",
    "Client",
    "Middleware",
    "Server",
    "WSGIApp",
    "get_tornado_handler",
]

#: The module of each name, which is imported when the name is first used.
_HOMES = {
    "ASGIApp": "socketio_fast.engineio.async_drivers.asgi",
    "AsyncClient": "socketio_fast.engineio.async_client",
    "AsyncServer": "socketio_fast.engineio.async_server",
    "Client": "socketio_fast.engineio.client",
    "Middleware": "socketio_fast.engineio.middleware",
    "Server": "socketio_fast.engineio.server",
    "WSGIApp": "socketio_fast.engineio.middleware",
    "get_tornado_handler": "socketio_fast.hosting",
}

if not TYPE_CHECKING:  # to a type checker, any name would be there
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
