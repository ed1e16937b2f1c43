"""Who is there, on which servers: a table that each server has a copy of.

A server writes its own rows alone, so copies cannot contradict each other. A user is
there while any server has a row of it: :class:`Roster` says when that begins and ends.
It knows no sockets and no clock; :mod:`socketio_fast.sockets.presence` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

__all__ = ["Change", "Key", "Member", "Roster", "Row"]


@dataclass(frozen=True, slots=True)
class Member:
    """A user who is there.

    Attributes:
        user: The name that ``join()`` was given.
        meta: What the latest ``join()`` was given with it.
        count: How often the user has joined and not left: tabs, devices, servers.
    """

    user: str
    meta: Any
    count: int


@dataclass(frozen=True, slots=True)
class Change:
    """What has changed.

    Attributes:
        kind: ``"joined"``: the user was not there before; ``"left"``: is not there any
            more; ``"updated"``: has another ``meta`` now.
        user: The user.
        meta: What the user's latest ``join()`` was given; of one that has left, the
            last that was known.
        room: The room; ``None`` for the namespace itself.
    """

    kind: Literal["joined", "left", "updated"]
    user: str
    meta: Any
    room: str | None


class Row(NamedTuple):
    """A ``join()``.

    Attributes:
        room: Where.
        user: Who.
        ref: By what: the ``sid`` of a client, ``""`` for none.
        at: When, in seconds since the epoch by the clock of that server.
        meta: What was given with it.
    """

    room: str | None
    user: str
    ref: str
    at: float
    meta: Any


Key = tuple[str | None, str, str]


class Roster:
    """The rows of all servers."""

    def __init__(self) -> None:
        self._servers: dict[str, dict[Key, Row]] = {}
        # The rows of a user, by server and ref.
        self._rooms: dict[str | None, dict[str, dict[tuple[str, str], Row]]] = {}

    def rows_of(self, server: str) -> list[Row]:
        """The rows of a server."""
        return list(self._servers.get(server, {}).values())

    def has(self, server: str, key: Key) -> bool:
        """Whether a server has this row."""
        return key in self._servers.get(server, {})

    def members(self, room: str | None) -> dict[str, Member]:
        """Who is in a room, by name."""
        return {
            user: Member(user, _latest(rows), len(rows))
            for user, rows in self._rooms.get(room, {}).items()
        }

    def put(self, server: str, row: Row) -> Change | None:
        """Add a row of a server, or replace it; returns what that changes."""
        self._servers.setdefault(server, {})[row.room, row.user, row.ref] = row
        users = self._rooms.setdefault(row.room, {})
        rows = users.get(row.user)
        if rows is None:
            users[row.user] = {(server, row.ref): row}
            return Change("joined", row.user, row.meta, row.room)
        before = _latest(rows)
        rows[server, row.ref] = row
        return _updated(row, before, rows)

    def take(self, server: str, key: Key) -> Change | None:
        """Remove a row of a server, if it is there; returns what that changes."""
        own = self._servers.get(server, {})
        row = own.pop(key, None)
        if row is None:
            return None
        if not own:
            del self._servers[server]
        users = self._rooms[row.room]
        rows = users[row.user]
        before = _latest(rows)
        del rows[server, row.ref]
        if rows:
            return _updated(row, before, rows)
        del users[row.user]
        if not users:
            del self._rooms[row.room]
        return Change("left", row.user, before, row.room)

    def replace(self, server: str, rows: Iterable[Row]) -> list[Change]:
        """These are all rows of a server; returns what that changes."""
        new = {(row.room, row.user, row.ref): row for row in rows}
        gone = [key for key in self._servers.get(server, {}) if key not in new]
        changes = [self.put(server, row) for row in new.values()]
        changes += [self.take(server, key) for key in gone]
        return [change for change in changes if change is not None]


def _latest(rows: dict[tuple[str, str], Row]) -> Any:
    """What the latest of these was given. Every server has to choose the same."""
    return max(rows.items(), key=lambda item: (item[1].at, item[0]))[1].meta


def _updated(row: Row, before: Any, rows: dict[tuple[str, str], Row]) -> Change | None:
    meta = _latest(rows)
    return None if meta == before else Change("updated", row.user, meta, row.room)
