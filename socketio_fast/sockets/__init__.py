"""One client in one namespace as an object, and what sends to many of them."""

from socketio_fast.sockets.events import RESERVED_EVENTS, EventEmitter
from socketio_fast.sockets.handshake import Handshake
from socketio_fast.sockets.socket import Socket, SocketEmitter

__all__ = ["RESERVED_EVENTS", "EventEmitter", "Handshake", "Socket", "SocketEmitter"]
