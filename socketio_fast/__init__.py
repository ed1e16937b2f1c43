"""A fast, strict and complete Socket.IO server and client for Python.

``import socketio_fast as socketio`` in a program written for python-socketio.
"""

from typing import TYPE_CHECKING

from socketio_fast import _core as _core  # which refuses if it is not compiled
from socketio_fast import exceptions
from socketio_fast._version import __version__
from socketio_fast.lazy import lazy_names

if TYPE_CHECKING:
    from socketio_fast import adapters as adapters
    from socketio_fast import engineio as engineio
    from socketio_fast import packet as packet
    from socketio_fast.async_client import AsyncClient
    from socketio_fast.async_server import AsyncServer
    from socketio_fast.async_simple_client import AsyncSimpleClient
    from socketio_fast.client import Client
    from socketio_fast.events import Event
    from socketio_fast.handlers.dependencies import Depends
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
    from socketio_fast.namespace import (
        AsyncClientNamespace,
        AsyncNamespace,
        ClientNamespace,
        Namespace,
    )
    from socketio_fast.options.limits import Limits, Rate
    from socketio_fast.server import Server
    from socketio_fast.serving.run import run
    from socketio_fast.serving.serve import RunningServer, serve
    from socketio_fast.simple_client import SimpleClient
    from socketio_fast.sockets.broadcast import BroadcastOperator, RemoteSocket
    from socketio_fast.sockets.namespace import ParentNamespace, SocketNamespace
    from socketio_fast.sockets.socket import Socket

__all__ = [
    "ASGIApp",
    "AsyncAioPikaManager",
    "AsyncClient",
    "AsyncClientNamespace",
    "AsyncManager",
    "AsyncNamespace",
    "AsyncRedisManager",
    "AsyncServer",
    "AsyncSimpleClient",
    "BroadcastOperator",
    "Client",
    "ClientNamespace",
    "Depends",
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
    "SimpleClient",
    "Socket",
    "SocketNamespace",
    "WSGIApp",
    "ZmqManager",
    "__version__",
    "adapters",
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
    "AsyncClient": "socketio_fast.async_client",
    "AsyncClientNamespace": "socketio_fast.namespace",
    "AsyncManager": "socketio_fast.managers.async_manager",
    "AsyncNamespace": "socketio_fast.namespace",
    "AsyncRedisManager": "socketio_fast.managers.redis",
    "AsyncServer": "socketio_fast.async_server",
    "AsyncSimpleClient": "socketio_fast.async_simple_client",
    "BroadcastOperator": "socketio_fast.sockets.broadcast",
    "Client": "socketio_fast.client",
    "ClientNamespace": "socketio_fast.namespace",
    "Depends": "socketio_fast.handlers.dependencies",
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
    "SimpleClient": "socketio_fast.simple_client",
    "Socket": "socketio_fast.sockets.socket",
    "SocketNamespace": "socketio_fast.sockets.namespace",
    "WSGIApp": "socketio_fast.middleware",
    "ZmqManager": "socketio_fast.managers.zmq",
    "get_tornado_handler": "socketio_fast.hosting",
    "run": "socketio_fast.serving.run",
    "serve": "socketio_fast.serving.serve",
}

if not TYPE_CHECKING:  # to a type checker, any name would be there
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
