"""Which clients of a namespace are meant: those in some rooms, but not in others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from socketio_fast._core.socketio.rooms import one_or_several

if TYPE_CHECKING:
    from socketio_fast._core.socketio.peer import Peer

__all__ = ["Scope", "rooms_of", "several"]


def several(rooms: Any) -> Iterable[Any]:
    """A room, or several, as rooms; see ``one_or_several()``."""
    rooms = one_or_several(rooms)
    return rooms if isinstance(rooms, (list, tuple, set, frozenset)) else (rooms,)


def rooms_of(rooms: Iterable[Any]) -> tuple[Any, ...]:
    """Rooms, of which some may be lists of rooms."""
    found: list[Any] = []
    for room in map(one_or_several, rooms):
        if isinstance(room, (list, tuple, set, frozenset)):
            found.extend(room)
        else:
            found.append(room)
    return tuple(found)


@dataclass(frozen=True)
class Scope:
    """Some of the clients of a namespace: in any of ``rooms``, all if there are none,
    but in none of ``excepted``."""

    rooms: tuple[Any, ...] = ()
    excepted: tuple[Any, ...] = ()
    local: bool = False

    def with_rooms(self, rooms: Iterable[Any]) -> Scope:
        """Those in these rooms too."""
        return replace(self, rooms=(*self.rooms, *rooms_of(rooms)))

    def without(self, rooms: Iterable[Any]) -> Scope:
        """Without those in these rooms."""
        return replace(self, excepted=(*self.excepted, *rooms_of(rooms)))

    def locally(self) -> Scope:
        """Those of this process."""
        return replace(self, local=True)

    @property
    def to(self) -> list[Any] | None:
        """The rooms, as ``emit()`` takes them."""
        return list(self.rooms) if self.rooms else None

    def skipped(self, ns: Any) -> list[str] | None:
        """The clients that are excepted, as ``emit()`` takes them."""
        if not self.excepted:
            return None
        skipped = [sid for room in self.excepted for sid in ns.rooms.members(room)]
        if ns.recovery is not None:
            # What they would miss is not for those who are away either.
            away = ns.recovery.away_in
            skipped += [sid for room in self.excepted for sid in away(room)]
        return skipped

    def peers(self, ns: Any) -> list[Peer]:
        """The clients of a namespace, as they are now."""
        skipped = set(self.skipped(ns) or ())
        return [
            ns.peers[sid]
            for sid in ns.rooms.members(self.to)
            if sid not in skipped and ns.peers[sid].connected
        ]

    @property
    def message(self) -> list[Any]:
        """As it stands in messages."""
        return [list(self.rooms), list(self.excepted)]

    @staticmethod
    def of(message: Any) -> Scope:
        """Of a message.

        Raises:
            ValueError: It is not what :attr:`message` gives.
        """
        rooms, excepted = message
        return Scope(tuple(rooms), tuple(excepted), True)
