"""The rooms of a namespace as an object, with events when they change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from socketio_fast._core.socketio.contracts import RoomListener
from socketio_fast.sockets.events import EventEmitter, Listener

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.events import EventName, Ts
    from socketio_fast.sockets.namespace import SocketNamespace

__all__ = ["Adapter"]

F = TypeVar("F", bound=Listener)


class Adapter(EventEmitter):
    """The rooms of a namespace and their clients, with events when they change.

    Its events are ``create-room(room)``, ``delete-room(room)``, ``join-room(room,
    sid)`` and ``leave-room(room, sid)``. Each client's own room, which has the ``sid``
    as its name, is one of the rooms.
    """

    _own_events: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "create-room": ("room",),
        "delete-room": ("room",),
        "join-room": ("room", "sid"),
        "leave-room": ("room", "sid"),
    }

    def __init__(self, nsp: SocketNamespace) -> None:
        self._nsp = nsp

    def _register(self, event: Any, *args: Any, **kwargs: Any) -> Any:
        if event not in self._own_events:
            known = ", ".join(self._own_events)
            raise ValueError(f"rooms have no event {event!r}: one of {known} expected")
        if self._nsp._core.rooms is not None:
            self._nsp._core.rooms.listener = _AdapterEvents(self)
        return super()._register(event, *args, **kwargs)

    @property
    def rooms(self) -> dict[Any, set[str]]:
        """The sids in each room, those of clients' own too; a new dict."""
        core = self._nsp._core
        found: dict[Any, set[str]] = {sid: {sid} for sid in core.peers}
        if core.rooms is not None:  # else the namespace has ended
            for room, members in core.rooms.rooms.items():
                found[room] = {peer.sid for peer in members}
        return found

    @property
    def sids(self) -> dict[str, set[Any]]:
        """The rooms of each client, its own too; a new dict."""
        return {
            sid: {sid, *(peer.rooms or ())}
            for sid, peer in self._nsp._core.peers.items()
        }


class _AdapterEvents(RoomListener):
    """Fires the events of an adapter."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    def _fire(self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]) -> None:
        self._adapter._nsp._fire_own(self._adapter, event, *args)

    def room_created(self, room: Any) -> None:
        self._fire("create-room", room)

    def room_deleted(self, room: Any) -> None:
        self._fire("delete-room", room)

    def room_joined(self, room: Any, sid: str) -> None:
        self._fire("join-room", room, sid)

    def room_left(self, room: Any, sid: str) -> None:
        self._fire("leave-room", room, sid)
