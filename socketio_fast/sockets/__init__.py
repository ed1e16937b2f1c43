"""One client in one namespace as an object, and what sends to many of them."""

from typing import TYPE_CHECKING

from socketio_fast.lazy import lazy_names

if TYPE_CHECKING:
    from socketio_fast.sockets.events import RESERVED_EVENTS, EventEmitter
    from socketio_fast.sockets.handshake import Handshake
    from socketio_fast.sockets.presence import Presence
    from socketio_fast.sockets.roster import Change, Member
    from socketio_fast.sockets.socket import Socket, SocketEmitter

__all__ = [
    "RESERVED_EVENTS",
    "Change",
    "EventEmitter",
    "Handshake",
    "Member",
    "Presence",
    "Socket",
    "SocketEmitter",
]

#: The module of each name, which is imported when the name is first used.
_HOMES = {
    "RESERVED_EVENTS": "socketio_fast.sockets.events",
    "Change": "socketio_fast.sockets.roster",
    "EventEmitter": "socketio_fast.sockets.events",
    "Handshake": "socketio_fast.sockets.handshake",
    "Member": "socketio_fast.sockets.roster",
    "Presence": "socketio_fast.sockets.presence",
    "Socket": "socketio_fast.sockets.socket",
    "SocketEmitter": "socketio_fast.sockets.socket",
}

if not TYPE_CHECKING:  # to a type checker, any name would be there
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
