"""The base of client managers: look-ups and changes of clients of this process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from socketio_fast._core.socketio.hub import Hub, Namespace
from socketio_fast._core.socketio.peer_lifecycle import Peer
from socketio_fast.managers.messages import JSON
from socketio_fast.managers.registry import REGISTRATION, Registry
from socketio_fast.managers.views import RoomsByNamespace
from socketio_fast.options.logs import Logger
from socketio_fast.overrides import is_overridden, refuse_overrides

__all__ = ["BaseManager"]

# Methods that python-socketio calls. Here the compiled core knows clients and rooms.
NEVER_CALLED = {
    **dict.fromkeys(
        (
            "eio_sid_from_sid",
            "get_namespaces",
            "is_connected",
            "is_pre_connected",
            "sid_from_eio_sid",
        ),
        "the compiled core knows who is connected; give the method another name",
    ),
    "get_participants": "the compiled core sends to those who are in a room; override "
    "emit() to choose who gets an event, or give the method another name",
    "_generate_ack_id": "the compiled core numbers acknowledgements; override emit(), "
    "which gets the callback",
}


class BaseManager:
    """Clients and rooms of this process, by the methods of python-socketio's managers.

    Arguments are a ``sid``, a namespace by its full name, and a room: any hashable
    value, ``None`` for the room of all clients.
    """

    def __init__(self) -> None:
        self.logger: Logger | None = None
        self.server: Any = None
        #: What encodes messages: a module or an object with ``dumps`` and ``loads``.
        self.json: Any = JSON
        #: Callbacks for acknowledgements by clients of other processes. The core has
        #: those for clients of this process.
        self.callbacks: dict[Any, Any] = {}
        #: Always empty, as python-socketio's.
        self.eio_to_sid: dict[str, str] = {}
        # Set if the program overrides a method by which clients are registered.
        self._registry: Registry | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_overrides(cls, NEVER_CALLED)

    def set_server(self, server: Any) -> None:
        """Called once, by the server that is made with this manager."""
        self.server = server
        if any(is_overridden(self, name) for name in REGISTRATION):
            self._registry = Registry(self)
            server._hub.registry = self._registry

    def initialize(self) -> None:
        """Called once on the server's event loop, before its first client."""

    # Look-ups.

    @property
    def rooms(self) -> RoomsByNamespace:
        """``rooms[namespace][room]`` is a mapping from ``sid`` to Engine.IO id."""
        return RoomsByNamespace(self._hub)

    def get_namespaces(self) -> list[str]:
        """The names of the namespaces that have clients."""
        return list(self.rooms)

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """``(sid, Engine.IO id)`` of the clients in a room, or in any of a list.

        Those of this process: nobody knows all of several processes.
        """
        ns = self._namespace(namespace)
        if ns is not None:
            yield from ns.rooms.participants(room)

    def get_rooms(self, sid: str, namespace: str) -> list[Any]:
        """The rooms that a client is in; the first is its own, named by its ``sid``."""
        ns = self._namespace(namespace)
        return [] if ns is None else ns.rooms.of(sid)

    def is_connected(self, sid: str | None, namespace: str) -> bool:
        """Whether a client is connected: accepted, and not about to go."""
        peer = self._peer(sid, namespace)
        return peer is not None and peer.connected

    def is_pre_connected(self, sid: str, namespace: str) -> bool:
        """Whether a client's ``connect`` handler still runs."""
        peer = self._peer(sid, namespace)
        return peer is not None and peer.reachable and not peer.connected

    def is_sid_room(self, namespace: str, room: Any) -> bool:
        """Whether a room is a client's own."""
        return isinstance(room, str) and self._peer(room, namespace) is not None

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """The Engine.IO id of a client, ``None`` if it is not there."""
        peer = self._peer(sid, namespace)
        return None if peer is None else peer.session.id

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """The ``sid`` of an Engine.IO connection in a namespace, or ``None``."""
        hub = self._hub
        if hub is None or hub.engine is None:
            return None
        session = hub.engine.sessions.get(eio_sid)
        peer = None if session is None else hub.peer_of(session, namespace)
        return None if peer is None else peer.sid

    @property
    def pending_connect(self) -> dict[str, list[str]]:
        """The clients whose ``connect`` handler runs, by namespace."""
        return self._pending(True)

    @property
    def pending_disconnect(self) -> dict[str, list[str]]:
        """The clients whose ``disconnect`` handler runs, by namespace."""
        return self._pending(False)

    def _pending(self, reachable: bool) -> dict[str, list[str]]:
        pending: dict[str, list[str]] = {}
        for name, ns in ({} if self._hub is None else self._hub.namespaces).items():
            for sid, peer in ns.peers.items():
                if peer.reachable is reachable and not peer.connected:
                    pending.setdefault(name, []).append(sid)
        return pending

    # Changes, of clients of this process.

    def basic_enter_room(
        self, sid: str, namespace: str, room: Any, eio_sid: str | None = None
    ) -> None:
        """Put a client into a room.

        Where the manager overrides the registration of clients, a client that connects
        is registered by this: in the room ``None`` with its ``eio_sid``.

        Raises:
            ValueError: The client is not connected, or the room is another's ``sid``.
        """
        if eio_sid is not None and (room is None or room == sid):
            joining = self._joining(eio_sid, namespace)
            if joining is not None:
                joining.name(sid)
        ns = self._namespace(namespace)
        if ns is None:
            raise ValueError(
                "sid is not connected to requested namespace: "
                f"{self._absence_of(sid, namespace)}"
            )
        ns.rooms.enter(sid, room)

    def _absence_of(self, sid: str, namespace: str) -> str:
        if self._hub is None:
            return "the server has not been made"
        return self._hub.absence_of(sid, namespace)

    def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
        """Take a client out of a room; nothing happens if it is not in it."""
        ns = self._namespace(namespace)
        if ns is not None:
            ns.rooms.leave(sid, room)

    def basic_close_room(self, room: Any, namespace: str) -> None:
        """Take every client out of a room.

        Raises:
            ValueError: The room is a client's ``sid``.
        """
        ns = self._namespace(namespace)
        if ns is None:
            return
        if self._registry is not None and not self.is_sid_room(namespace, room):
            for peer in list(ns.rooms.rooms.get(room, ())):
                self.basic_leave_room(peer.sid, namespace, room)
            if room in ns.rooms.rooms:
                return  # an overriding basic_leave_room() keeps some there
        ns.rooms.close(room)

    def basic_disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Disconnect a client; nothing happens if it is not there.

        Called for a client that has gone, it takes it out of all rooms.
        """
        peer = self._peer(sid, namespace)
        if peer is None:
            return
        if not peer.leaving:
            peer.disconnect()
            return
        for room in [None, *peer.namespace.rooms.of(sid)]:
            self.basic_leave_room(sid, namespace, room)

    def _disconnect_client(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Disconnect a client, or unregister one that has gone."""
        peer = self._peer(sid, namespace)
        if peer is not None and peer.leaving:
            self.basic_disconnect(sid, namespace, **kwargs)
        elif peer is not None:
            peer.disconnect()

    def pre_connect(self, eio_sid: str, namespace: str) -> Any:
        """Register a client that connects, before its connect handler runs.

        Args:
            eio_sid: Its Engine.IO id.
            namespace: The namespace that it asks for.

        Returns:
            Its ``sid``, ``None`` if it is in the namespace already.

        Raises:
            RuntimeError: It does not ask for that: the server alone connects clients.
        """
        peer = self._joining(eio_sid, namespace)
        if peer is None:
            if self.sid_from_eio_sid(eio_sid, namespace) is not None:
                return None
            raise RuntimeError("clients are connected by the server alone")
        sid = peer.name()
        # The rooms that a recovered client was in come last.
        for room in [None, sid, *(peer.rooms or ())]:
            self.basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        return sid

    def connect(self, sid: str, namespace: str) -> Any:
        """Connect a client that is registered; its connect handler has accepted it.

        Returns:
            Its ``sid``.

        Raises:
            RuntimeError: It is not there: the server alone connects clients.
        """
        peer = self._peer(sid, namespace)
        if peer is None:
            raise RuntimeError("clients are connected by the server alone")
        peer.accept()
        return sid

    def pre_disconnect(self, sid: str, namespace: str) -> Any:
        """Called before the disconnect handler of a client runs.

        Returns:
            Its Engine.IO id.

        Raises:
            RuntimeError: It is not about to: see the server's ``disconnect()``.
        """
        peer = self._peer(sid, namespace)
        if peer is None or peer.connected:
            raise RuntimeError("clients are disconnected by the server's disconnect()")
        return peer.session.id

    def _joining(self, eio_sid: str, namespace: str) -> Peer | None:
        """The client that connects and has no ``sid`` yet."""
        hub = self._hub
        if hub is None or hub.engine is None:
            return None
        session = hub.engine.sessions.get(eio_sid)
        peer = None if session is None else hub.peer_of(session, namespace)
        return None if peer is None or peer.sid is not None else peer

    @property
    def _hub(self) -> Hub | None:
        return None if self.server is None else self.server._hub

    def _namespace(self, name: str) -> Namespace | None:
        hub = self._hub
        return None if hub is None else hub.namespaces.get(name)

    def _peer(self, sid: Any, namespace: str) -> Peer | None:
        ns = self._namespace(namespace)
        return None if ns is None else ns.peers.get(sid)

    def _get_logger(self) -> Logger:
        if self.logger is not None:
            return self.logger
        if self.server is not None:
            return self.server.logger  # type: ignore[no-any-return]
        return logging.getLogger("socketio_fast.managers")
