"""The tables of rooms of python-socketio's managers, as read-only mappings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from socketio_fast._core.socketio.hub import Hub, Namespace

__all__ = ["Members", "NamespaceRooms", "RoomsByNamespace"]

K = TypeVar("K")
V = TypeVar("V")


class _View(Mapping[K, V]):
    """A mapping whose copies, also by :mod:`copy` or :mod:`pickle`, are dicts."""

    def copy(self) -> dict[K, V]:
        """The items as a dict."""
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def __repr__(self) -> str:
        return repr(dict(self))


class RoomsByNamespace(_View[str, "NamespaceRooms"]):
    """Namespaces that have clients: ``rooms[namespace][room][sid]`` is an Engine.IO id.

    It shows the current state, and copies nothing.
    """

    def __init__(self, hub: Hub | None) -> None:
        self._hub = hub

    def __getitem__(self, name: str) -> NamespaceRooms:
        namespace = None if self._hub is None else self._hub.namespaces.get(name)
        if namespace is None or not namespace.peers:
            raise KeyError(name)
        return NamespaceRooms(namespace)

    def __iter__(self) -> Iterator[str]:
        namespaces = {} if self._hub is None else self._hub.namespaces
        return iter([name for name, ns in namespaces.items() if ns.peers])

    def __len__(self) -> int:
        return sum(1 for _ in self)


class NamespaceRooms(_View[Any, "Members"]):
    """The rooms of one namespace.

    ``None`` is the room of all clients; each has one of its own, named by its ``sid``.
    """

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def __getitem__(self, room: Any) -> Members:
        ns = self._namespace
        if room is not None and room not in ns.peers and room not in ns.rooms.rooms:
            raise KeyError(room)
        return Members(ns, room)

    def __iter__(self) -> Iterator[Any]:
        ns = self._namespace
        everybody = [None] if ns.peers else []
        return iter([*everybody, *ns.peers, *ns.rooms.rooms])

    def __len__(self) -> int:
        ns = self._namespace
        return bool(ns.peers) + len(ns.peers) + len(ns.rooms.rooms)


class Members(_View[str, str]):
    """The clients in one room: from ``sid`` to Engine.IO id."""

    def __init__(self, namespace: Namespace, room: Any) -> None:
        self._namespace = namespace
        self._room = room

    def __getitem__(self, sid: str) -> str:
        room = self._room
        # A client that disconnects is in its rooms until it has left them.
        find = self._namespace.peers.get if room is None else self._namespace.rooms.find
        peer = find(sid)
        if peer is None or not (
            room is None or room == sid or room in (peer.rooms or ())
        ):
            raise KeyError(sid)
        return peer.session.id

    def __iter__(self) -> Iterator[str]:
        return iter(self._namespace.rooms.members(self._room))

    def __len__(self) -> int:
        ns, room = self._namespace, self._room
        if room is None:
            return len(ns.peers)
        return 1 if room in ns.peers else len(ns.rooms.rooms.get(room, ()))
