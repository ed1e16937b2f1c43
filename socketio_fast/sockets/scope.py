"""Selects clients of a namespace by their rooms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from socketio_fast._core.socketio.rooms import one_or_several

if TYPE_CHECKING:
    from socketio_fast._core.socketio.peer_lifecycle import Peer

__all__ = ["Scope", "rooms_of", "several"]


def several(rooms: Any) -> Iterable[Any]:
    """The rooms that one argument names: one room, or a collection of rooms."""
    rooms = one_or_several(rooms)
    return rooms if isinstance(rooms, (list, tuple, set, frozenset)) else (rooms,)


def rooms_of(rooms: Iterable[Any]) -> tuple[Any, ...]:
    """The rooms that several arguments name, each one room or a collection of rooms."""
    found: list[Any] = []
    for room in map(one_or_several, rooms):
        if isinstance(room, (list, tuple, set, frozenset)):
            found.extend(room)
        else:
            found.append(room)
    return tuple(found)


@dataclass(frozen=True)
class Scope:
    """A selection of the clients of a namespace."""

    #: Clients in any of these rooms are meant; without rooms, all clients.
    rooms: tuple[Any, ...] = ()
    #: Clients in any of these rooms are left out.
    excepted: tuple[Any, ...] = ()
    #: Whether clients of other processes are left out.
    local: bool = False

    def with_rooms(self, rooms: Iterable[Any]) -> Scope:
        """The same scope with clients in these rooms added."""
        return replace(self, rooms=(*self.rooms, *rooms_of(rooms)))

    def without(self, rooms: Iterable[Any]) -> Scope:
        """The same scope without clients in these rooms."""
        return replace(self, excepted=(*self.excepted, *rooms_of(rooms)))

    def locally(self) -> Scope:
        """The same scope without clients of other processes."""
        return replace(self, local=True)

    @property
    def to(self) -> list[Any] | None:
        """The rooms, as ``to`` of ``emit()``; ``None`` for all clients."""
        return list(self.rooms) if self.rooms else None

    def skipped(self, ns: Any) -> list[str] | None:
        """The sids to leave out, as ``skip_sid`` of ``emit()``; ``None`` for none."""
        if not self.excepted:
            return None
        skipped = [sid for room in self.excepted for sid in ns.rooms.members(room)]
        if ns.recovery is not None:
            # Clients that are away would get the event when they are recovered.
            away = ns.recovery.away_in
            skipped += [sid for room in self.excepted for sid in away(room)]
        return skipped

    def peers(self, ns: Any) -> list[Peer]:
        """The clients of a namespace that are in this scope now."""
        skipped = set(self.skipped(ns) or ())
        return [
            ns.peers[sid]
            for sid in ns.rooms.members(self.to)
            if sid not in skipped and ns.peers[sid].connected
        ]

    @property
    def message(self) -> list[Any]:
        """The scope as messages between processes have it."""
        return [list(self.rooms), list(self.excepted)]

    @staticmethod
    def of(message: Any) -> Scope:
        """The scope that a message names, of clients of this process.

        Raises:
            ValueError: ``message`` is not what :attr:`message` returns.
        """
        rooms, excepted = message
        return Scope(tuple(rooms), tuple(excepted), True)
