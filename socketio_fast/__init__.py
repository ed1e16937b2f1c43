"""A fast, strict and complete Socket.IO server for Python.

``import socketio_fast as socketio`` in a program written for python-socketio.
"""

from socketio_fast import engineio, exceptions
from socketio_fast._version import __version__
from socketio_fast.async_server import AsyncServer
from socketio_fast.hosting.asgi import ASGIApp
from socketio_fast.managers.async_manager import AsyncManager
from socketio_fast.namespace import AsyncNamespace, Namespace
from socketio_fast.run import RunningServer, run, serve

__all__ = [
    "ASGIApp",
    "AsyncManager",
    "AsyncNamespace",
    "AsyncServer",
    "Namespace",
    "RunningServer",
    "__version__",
    "engineio",
    "exceptions",
    "run",
    "serve",
]
