"""Connection state recovery by a log that all servers share.

A client that comes back names its ``pid`` and the offset of the last event that it has.
Any server may have kept its state, and looks in the log for what it missed. What this
server reads of the log meanwhile is remembered, so that the client gets each event
once: what was read before it is there again by the recovery, what comes later as others
do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from socketio_fast._core.engine.failures import ends_task, log_failure
from socketio_fast.coroutines import within
from socketio_fast.sockets.scope import Scope

if TYPE_CHECKING:
    from socketio_fast.adapters.base import Adapter

__all__ = ["RestoredSession", "SharedSessions", "is_for"]

# Seconds that a state is kept here, once it was fetched, for a client that joins.
KEPT = 30.0
# Seconds to wait until what this server has sent is in the log, at most.
FLUSHING = 0.1
# Seconds to wait for a state that another server may be about to store.
STORING = (0.02, 0.08)
# Characters of a pid, at most: that of Node's servers has 20.
MAX_PID = 200


@dataclass
class RestoredSession:
    """The state of a client that was away, and what it missed."""

    #: Its id.
    sid: str
    #: The rooms that it was in, its own too.
    rooms: list[Any]
    #: The application's data of the client.
    data: dict[str, Any]
    #: The offset and ``[name, *arguments]`` of each event that it missed.
    missed: list[tuple[str, list[Any]]]
    #: The offset of the last event in the log, when it was looked through.
    last: str
    #: Where the log was when it connected first; ``None``: not known.
    start: str | None = None


@dataclass
class _Returning:
    """A client whose state is fetched."""

    found: RestoredSession | None = None
    #: What was read of the log since.
    later: list[tuple[str, list[Any], Scope]] = field(default_factory=list)


class SharedSessions:
    """What the core asks of states of clients, where an adapter keeps them.

    Args:
        adapter: The adapter.
    """

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._returning: dict[tuple[str, str], _Returning] = {}

    def position(self, namespace: str) -> str | None:
        """The offset of the last entry that was read for a namespace."""
        return self._adapter.position(namespace)

    def persist_session(self, namespace: str, session: dict[str, Any]) -> None:
        """Keep the state of a client that has gone."""
        self._adapter.persist_session(namespace, session)

    async def fetch_session(self, namespace: str, auth: dict[str, Any]) -> None:
        """Fetch the state of a client that asks for a namespace."""
        adapter, pid, offset = self._adapter, auth["pid"], auth.get("offset")
        key = namespace, pid
        if len(pid) > MAX_PID or key in self._returning:
            return
        returning = self._returning[key] = _Returning()
        try:
            # Its old connection may be here, and not found dead yet.
            ns = adapter._namespace(namespace)
            recovery: Any = None if ns is None else ns.recovery
            if recovery is not None and recovery.has_client(pid):
                recovery.cut(pid)
                await adapter.flushed()
            returning.found = await within(
                self._restore(
                    namespace, pid, offset if isinstance(offset, str) else None
                ),
                adapter.restore_timeout,
            )
        except BaseException as exc:
            if ends_task(exc):
                raise
            log_failure(
                adapter._get_logger(), exc, "a client that came back was not recovered"
            )
        finally:
            if returning.found is None:
                del self._returning[key]
        if returning.found is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(KEPT, self._drop, key, returning)

    async def _restore(
        self, namespace: str, pid: str, offset: str | None
    ) -> RestoredSession | None:
        adapter = self._adapter
        with contextlib.suppress(asyncio.TimeoutError):
            # What this server has just sent is in the log then, and not sent again.
            await within(adapter.flushed(), FLUSHING)
        found = await adapter.restore_session(namespace, pid, offset)
        for delay in STORING:
            if found is not None:
                break
            await asyncio.sleep(delay)
            found = await adapter.restore_session(namespace, pid, offset)
        return found

    def _drop(self, key: tuple[str, str], returning: _Returning) -> None:
        if self._returning.get(key) is returning:
            del self._returning[key]

    def seen(self, namespace: str, offset: str, event: list[Any], scope: Scope) -> None:
        """An event of the log is delivered to clients of this server."""
        for (name, _), returning in self._returning.items():
            if name == namespace:
                returning.later.append((offset, event, scope))

    def take_session(self, namespace: str, pid: str) -> dict[str, Any] | None:
        """The state of a client that joins now, as it was fetched."""
        returning = self._returning.pop((namespace, pid), None)
        if returning is None or returning.found is None:
            return None
        found, order = returning.found, self._adapter.offset_order
        position = self._adapter.position(namespace)
        here = order(position) if position is not None else order(found.last)
        last = order(found.last)
        missed = [(o, event) for o, event in found.missed if order(o) <= here]
        missed += [
            (offset, event)
            for offset, event, scope in returning.later
            if order(offset) > last and is_for(found.rooms, scope.rooms, scope.excepted)
        ]
        return {
            "sid": found.sid,
            "rooms": found.rooms,
            "data": found.data,
            "offset": found.start,
            "missed": [[*event, offset] for offset, event in missed],
        }


def is_for(rooms: list[Any], to: Iterable[Any], excepted: Iterable[Any]) -> bool:
    """Whether an event is for a client.

    Args:
        rooms: The rooms of the client.
        to: The rooms that the event was sent to; none: all clients.
        excepted: The rooms that were left out.
    """
    wanted = list(to)
    return (not wanted or any(room in wanted for room in rooms)) and not any(
        room in rooms for room in excepted
    )
