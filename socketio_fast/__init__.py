"""A fast, strict and complete Socket.IO server for Python.

``import socketio_fast as socketio`` in a program written for python-socketio.
"""

import sys
from typing import TYPE_CHECKING, Any

from socketio_fast import _core as _core  # which refuses if it is not compiled
from socketio_fast import exceptions
from socketio_fast._version import __version__
from socketio_fast.lazy import lazy_names

if TYPE_CHECKING:
    from socketio_fast import engineio as engineio
    from socketio_fast import packet as packet
    from socketio_fast.async_server import AsyncServer
    from socketio_fast.events import Event
    from socketio_fast.hosting import get_tornado_handler
    from socketio_fast.hosting.asgi import ASGIApp
    from socketio_fast.managers.aio_pika import AsyncAioPikaManager
    from socketio_fast.managers.async_manager import AsyncManager
    from socketio_fast.managers.kafka import KafkaManager
    from socketio_fast.managers.kombu import KombuManager
    from socketio_fast.managers.redis import AsyncRedisManager, RedisManager
    from socketio_fast.managers.sync import Manager, PubSubManager
    from socketio_fast.managers.zmq import ZmqManager
    from socketio_fast.middleware import Middleware, WSGIApp
    from socketio_fast.namespace import AsyncNamespace, Namespace
    from socketio_fast.options.limits import Limits, Rate
    from socketio_fast.server import Server
    from socketio_fast.serving.run import run
    from socketio_fast.serving.serve import RunningServer, serve
    from socketio_fast.sockets.broadcast import BroadcastOperator, RemoteSocket
    from socketio_fast.sockets.namespace import ParentNamespace, SocketNamespace
    from socketio_fast.sockets.socket import Socket

__all__ = [
    "ASGIApp",
    "AsyncAioPikaManager",
    "AsyncManager",
    "AsyncNamespace",
    "AsyncRedisManager",
    "AsyncServer",
    "BroadcastOperator",
    "Event",
    "KafkaManager",
    "KombuManager",
    "Limits",
    "Manager",
    "Middleware",
    "Namespace",
    "ParentNamespace",
    "PubSubManager",
    "Rate",
    "RedisManager",
    "RemoteSocket",
    "RunningServer",
    "Server",
    "Socket",
    "SocketNamespace",
    "WSGIApp",
    "ZmqManager",
    "__version__",
    "engineio",
    "exceptions",
    "get_tornado_handler",
    "run",
    "serve",
]

#: The module of each name, which is imported when the name is first used.
_HOMES = {
    "ASGIApp": "socketio_fast.hosting.asgi",
    "AsyncAioPikaManager": "socketio_fast.managers.aio_pika",
    "AsyncManager": "socketio_fast.managers.async_manager",
    "AsyncNamespace": "socketio_fast.namespace",
    "AsyncRedisManager": "socketio_fast.managers.redis",
    "AsyncServer": "socketio_fast.async_server",
    "BroadcastOperator": "socketio_fast.sockets.broadcast",
    "Event": "socketio_fast.events",
    "KafkaManager": "socketio_fast.managers.kafka",
    "KombuManager": "socketio_fast.managers.kombu",
    "Limits": "socketio_fast.options.limits",
    "Manager": "socketio_fast.managers.sync",
    "Middleware": "socketio_fast.middleware",
    "Namespace": "socketio_fast.namespace",
    "ParentNamespace": "socketio_fast.sockets.namespace",
    "PubSubManager": "socketio_fast.managers.sync",
    "Rate": "socketio_fast.options.limits",
    "RedisManager": "socketio_fast.managers.redis",
    "RemoteSocket": "socketio_fast.sockets.broadcast",
    "RunningServer": "socketio_fast.serving.serve",
    "Server": "socketio_fast.server",
    "Socket": "socketio_fast.sockets.socket",
    "SocketNamespace": "socketio_fast.sockets.namespace",
    "WSGIApp": "socketio_fast.middleware",
    "ZmqManager": "socketio_fast.managers.zmq",
    "get_tornado_handler": "socketio_fast.hosting",
    "run": "socketio_fast.serving.run",
    "serve": "socketio_fast.serving.serve",
}

_CLIENTS = {
    "AsyncClient",
    "AsyncClientNamespace",
    "AsyncSimpleClient",
    "Client",
    "ClientNamespace",
    "SimpleClient",
}

if not TYPE_CHECKING:  # to a type checker, any name would be there
    _find, __dir__ = lazy_names(__name__, _HOMES)

    def __getattr__(name: str) -> Any:
        if name not in _CLIENTS:
            return _find(name)
        message = (
            f"socketio_fast has no {name} yet, clients come in a later version: "
            "python-socketio's work with its servers"
        )
        # `from socketio_fast import Client` would replace an AttributeError by its own.
        if sys._getframe(1).f_code.co_name == "_handle_fromlist":
            raise ImportError(message, name=__name__)
        raise AttributeError(message)
