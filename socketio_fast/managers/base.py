"""What every client manager can tell of the clients of this process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from socketio_fast._core.peer import Hub, Namespace, Peer
from socketio_fast.logs import Logger
from socketio_fast.managers.messages import JSON
from socketio_fast.managers.views import RoomsByNamespace

__all__ = ["BaseManager"]

# What python-socketio's servers call while a client comes and goes. Here the compiled
# core does that, so that to override one of these would change nothing.
NOT_CALLED = ("basic_disconnect", "connect", "pre_connect", "pre_disconnect")


class BaseManager:
    """Clients and rooms of this process, as python-socketio's managers tell of them.

    Arguments are a ``sid``, a namespace by its full name, and a room: any hashable
    value, ``None`` for the room of all clients.
    """

    def __init__(self) -> None:
        self.logger: Logger | None = None
        self.server: Any = None
        #: A module, or what else has ``dumps`` and ``loads``.
        self.json: Any = JSON
        #: What waits for an acknowledgement that another process will report. Those of
        #: this process's clients are kept with the client.
        self.callbacks: dict[Any, Any] = {}
        #: Always empty, as python-socketio's.
        self.eio_to_sid: dict[str, str] = {}

    def set_server(self, server: Any) -> None:
        """Called once by the server that is made with this manager.

        Raises:
            TypeError: A subclass overrides what would never be called.
        """
        for name in NOT_CALLED:
            module = getattr(type(self), name).__module__
            if not module.startswith("socketio_fast."):
                raise TypeError(
                    f"{type(self).__name__} overrides {name}(), which is never called: "
                    "use the handlers of 'connect' and 'disconnect'"
                )
        self.server = server

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

        Raises:
            ValueError: The client is not connected, or the room is another's ``sid``.
        """
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
        if ns is not None:
            ns.rooms.close(room)

    def basic_disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Disconnect a client; nothing happens if it is not there."""
        peer = self._peer(sid, namespace)
        if peer is not None:
            peer.disconnect()

    def pre_connect(self, eio_sid: str, namespace: str) -> Any:
        """Only the server connects clients.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("clients are connected by the server alone")

    def connect(self, sid: str, namespace: str) -> Any:
        """Only the server connects clients.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("clients are connected by the server alone")

    def pre_disconnect(self, sid: str, namespace: str) -> Any:
        """Only the server begins to disconnect clients; see its ``disconnect()``.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("clients are disconnected by the server's disconnect()")

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
