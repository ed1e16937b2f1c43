"""Messages between the servers of a cluster, as Node's ``socket.io-adapter`` has them.

They are dicts with ``uid`` (which server sent it, ``"emitter"`` for programs that only
send), ``nsp``, ``type`` (:class:`MessageType`) and ``data``:

- ``INITIAL_HEARTBEAT``, ``HEARTBEAT``, ``ADAPTER_CLOSE``: no data
- ``BROADCAST``: ``packet`` (``{type, data, nsp}``), ``opts``; with ``requestId``
  clients are to acknowledge it
- ``SOCKETS_JOIN``, ``SOCKETS_LEAVE``: ``opts``, ``rooms``
- ``DISCONNECT_SOCKETS``: ``opts``, ``close``
- ``FETCH_SOCKETS``: ``opts``, ``requestId``; its response has ``sockets``
- ``SERVER_SIDE_EMIT``: ``packet`` (``[event, *arguments]``), and ``requestId`` if it is
  to be answered; its response has the answer as ``packet``
- ``BROADCAST_CLIENT_COUNT``: ``requestId``, ``clientCount``
- ``BROADCAST_ACK``: ``requestId``, ``packet`` (the first argument of the
  acknowledgement)

``opts`` is ``{rooms, except, flags}``. Servers of this package add what Node's ignore:
a broadcast with a ``requestId`` has ``named``, and then the responses have the ``sids``
of the clients, a ``sid``, all arguments as ``args``, and ``gone`` for a client that
went without an answer.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from socketio_fast.adapters.base import BroadcastEvent
from socketio_fast.adapters.sessions import is_for
from socketio_fast.sockets.scope import Scope

__all__ = [
    "EMITTER",
    "EVENT",
    "Message",
    "MessageType",
    "client_of",
    "event_for",
    "event_of",
    "name_of_room",
    "options_of",
    "rooms_of",
    "scope_of",
    "told_of",
]

Message = dict[str, Any]

#: The ``uid`` of programs that only send.
EMITTER = "emitter"

#: Types of Socket.IO packets.
EVENT, BINARY_EVENT = 2, 5


class MessageType(IntEnum):
    """What a message is about: ``type``."""

    INITIAL_HEARTBEAT = 1
    HEARTBEAT = 2
    BROADCAST = 3
    SOCKETS_JOIN = 4
    SOCKETS_LEAVE = 5
    DISCONNECT_SOCKETS = 6
    FETCH_SOCKETS = 7
    FETCH_SOCKETS_RESPONSE = 8
    SERVER_SIDE_EMIT = 9
    SERVER_SIDE_EMIT_RESPONSE = 10
    BROADCAST_CLIENT_COUNT = 11
    BROADCAST_ACK = 12
    ADAPTER_CLOSE = 13


def options_of(scope: Scope, event: BroadcastEvent | None = None) -> dict[str, Any]:
    """Which clients are meant, and how an event is sent to them: ``opts``."""
    flags: dict[str, Any] = {}
    if event is not None and event.volatile:
        flags["volatile"] = True
    if event is not None and not event.compress:
        flags["compress"] = False
    return {"rooms": list(scope.rooms), "except": list(scope.excepted), "flags": flags}


def rooms_of(rooms: Any) -> list[Any]:
    """Rooms that a message names.

    Raises:
        TypeError: They are not a list of values that may be rooms.
    """
    if not isinstance(rooms, list):
        raise TypeError("rooms are a list")
    for room in rooms:
        if not isinstance(room, (str, int, float)):
            raise TypeError("a room is a string or a number")
    return rooms


def name_of_room(room: Any) -> str:
    """A room as JavaScript writes it into a string."""
    if isinstance(room, bool):
        return "true" if room else "false"
    if isinstance(room, float) and room.is_integer():
        return str(int(room))
    return str(room)


def scope_of(options: Any) -> Scope:
    """The clients of this process that ``opts`` means."""
    if not isinstance(options, dict):
        raise TypeError("opts are an object")
    rooms, excepted = options.get("rooms") or [], options.get("except") or []
    return Scope(tuple(rooms_of(rooms)), tuple(rooms_of(excepted)), True)


def event_of(packet: Any) -> list[Any]:
    """``[name, *arguments]`` of a packet."""
    if not isinstance(packet, dict):
        raise TypeError("a packet is an object")
    if packet.get("type", EVENT) not in (EVENT, BINARY_EVENT):
        raise ValueError(f"a packet of the type {packet['type']!r:.40}")
    data = packet["data"]
    if not isinstance(data, list) or not data:
        raise TypeError("the data of a packet are [name, *arguments]")
    return data


def event_for(rooms: list[Any], data: Any) -> list[Any] | None:
    """The event of a broadcast in the log that a client missed.

    Args:
        rooms: The rooms of the client.
        data: The data of the broadcast.

    Returns:
        ``[name, *arguments]``; ``None``: the event is not for the client, or was
        dropped for those who were away.
    """
    options = data["opts"]
    scope = scope_of(options)
    if (options.get("flags") or {}).get("volatile"):
        return None
    if not is_for(rooms, scope.rooms, scope.excepted):
        return None
    return event_of(data["packet"])


# The fields of a handshake, and what is told of a client whose server tells less.
_HANDSHAKE: dict[str, Any] = {
    "headers": {},
    "time": "",
    "address": "",
    "xdomain": False,
    "secure": False,
    "issued": 0,
    "url": "",
    "query": {},
    "auth": {},
}


def told_of(client: dict[str, Any]) -> dict[str, Any]:
    """A client of this process as other servers are told of it."""
    handshake = client["handshake"]
    # Node has milliseconds.
    return {
        **client,
        "handshake": {**handshake, "issued": int(handshake["issued"] * 1e3)},
    }


def client_of(told: Any) -> dict[str, Any]:
    """A client of another server, from what that tells of it."""
    given = told.get("handshake") or {}
    handshake = {name: given.get(name, default) for name, default in _HANDSHAKE.items()}
    handshake["issued"] = handshake["issued"] / 1000
    return {
        "id": told["id"],
        "handshake": handshake,
        "rooms": told.get("rooms") or [],
        "data": told.get("data") or {},
    }
