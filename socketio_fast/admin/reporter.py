"""Reports events and figures of a server to the Admin UIs."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import time
import weakref
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from socketio_fast._core.engine.failures import contain
from socketio_fast._core.engine.observer import Observer
from socketio_fast._core.engine.session import Session
from socketio_fast._core.socketio.hub import Namespace
from socketio_fast._core.socketio.peer_lifecycle import Peer

if TYPE_CHECKING:
    from socketio_fast.admin.async_admin import InstrumentedAsyncServer

__all__ = ["Reporter", "peers_of", "timestamp"]

HOSTNAME = socket.gethostname()
# Seconds after which UIs of other processes are sent the clients of this one again.
# python-socketio does so with each ping, whose interval has the same default.
ANNOUNCE_INTERVAL = 25


def _contained(method: Callable[..., None]) -> Callable[..., None]:
    """A method that the core calls amid other work: what it raises is logged."""

    @functools.wraps(method)
    def tell(self: Reporter, *args: Any) -> None:
        try:
            method(self, *args)
        except BaseException as exc:  # of rooms and data, which are the program's
            loop, logger = self._engine.loop, self._admin.sio.logger
            contain(loop, logger, exc, "the Admin UI was not told of what happened")

    return tell


class Reporter(Observer):
    """Sends the UIs events and figures; in production mode only figures."""

    def __init__(self, admin: InstrumentedAsyncServer) -> None:
        development = admin.mode == "development"
        super().__init__(development)
        self._development = development
        self._admin = admin
        self._emit = admin._emit
        self._hub = admin.sio._hub
        self._engine = admin.sio.eio.engine
        self._started = self._announced = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        #: Counts since the last figures, by second, type and reason.
        self._counts: dict[tuple[int, str, str | None], int] = {}
        self._traffic: dict[str, int] = {}
        self._polling = {
            session.id
            for session in self._engine.sessions.values()
            if session.transport_name == "polling"
        }
        #: When clients connected, in seconds since the epoch.
        self._since: dict[str, float] = {}
        if self._engine.sessions:
            self._schedule()

    def since(self, sid: str) -> float:
        """When a client connected; 0 if that was before this reporter was made."""
        return self._since.get(sid, 0)

    def begin(self) -> None:
        """Send figures from now on, on the event loop of the server."""
        if self._timer is None or self._loop is not self._engine.loop:
            self._schedule()

    def announce(self) -> None:
        """Send the clients of this process to the UIs of other processes.

        A UI gets `all_sockets` only from the process that it is connected to.
        """
        self._announced = time.monotonic()
        for found in self._all_sockets():
            since = self._since.get(found["id"], time.time())
            self._emit("socket_connected", found, timestamp(since))

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_admin(self, namespace: Namespace) -> bool:
        return namespace.name == self._admin.admin_namespace

    @property
    def _live(self) -> bool:
        """Whether events are to be sent now."""
        return self._development and self._admin._watched

    # Called by the core.

    @_contained
    def session_opened(self, session: Session) -> None:
        self._count("rawConnection")
        if session.transport_name == "polling":
            self._polling.add(session.id)
        self.begin()

    @_contained
    def session_upgraded(self, session: Session) -> None:
        self._polling.discard(session.id)
        if self._live:
            for peer in peers_of(session):
                update = {"id": peer.sid, "nsp": peer.namespace.name}
                self._emit(
                    "socket_updated", {**update, "transport": session.transport_name}
                )

    @_contained
    def session_closed(self, session: Session, reason: str) -> None:
        self._count("rawDisconnection", reason)
        self._polling.discard(session.id)

    @_contained
    def peer_connected(self, peer: Peer) -> None:
        namespace = peer.namespace
        now = self._since[peer.sid] = time.time()
        if self._live:
            self.room_joined(peer, peer.sid)
            connected = self._admin.serialize_socket(peer.sid, namespace.name)
            self._emit("socket_connected", connected, timestamp(now))
        if self._is_admin(namespace):
            features = {"supportedFeatures": self._admin._features}
            self._admin._answer(peer.sid, "config", features)
            if self._development:
                self._admin._answer(peer.sid, "all_sockets", self._all_sockets())
                self._admin._tell_others()

    @_contained
    def peer_disconnected(self, peer: Peer, reason: str) -> None:
        self._since.pop(peer.sid, None)
        if self._live:
            name = peer.namespace.name
            self._emit("socket_disconnected", name, peer.sid, reason, timestamp())
            self.room_left(peer, peer.sid)

    @_contained
    def event_received(self, peer: Peer, event: list[Any]) -> None:
        if self._live and not self._is_admin(peer.namespace):
            name = peer.namespace.name
            self._emit("event_received", name, peer.sid, event, timestamp())

    @_contained
    def event_sent(
        self, namespace: Namespace, event: list[Any], to: Any, skip: Any
    ) -> None:
        if not self._live or self._is_admin(namespace):
            return
        now = timestamp()
        skipped = {skip} if isinstance(skip, str) else set(skip or ())
        for sid in namespace.rooms.members(to):
            if sid not in skipped and namespace.peers[sid].reachable:
                self._emit("event_sent", namespace.name, sid, event, now)

    @_contained
    def room_joined(self, peer: Peer, room: Any) -> None:
        if self._live:
            name = peer.namespace.name
            self._emit("room_joined", name, str(room), peer.sid, timestamp())

    @_contained
    def room_left(self, peer: Peer, room: Any) -> None:
        if self._live:
            name = peer.namespace.name
            self._emit("room_left", name, str(room), peer.sid, timestamp())

    def _all_sockets(self) -> list[dict[str, Any]]:
        return [
            self._admin.serialize_socket(peer.sid, namespace.name)
            for namespace in self._hub.namespaces.values()
            for peer in namespace.peers.values()
            if peer.connected
        ]

    # Figures.

    def _count(self, kind: str, reason: str | None = None, count: int = 1) -> None:
        key = (int(time.time()), kind, reason)
        self._counts[key] = self._counts.get(key, 0) + count

    def _schedule(self) -> None:
        self._loop = self._engine.loop
        assert self._loop is not None  # there is a session
        self._timer = self._loop.call_later(
            self._admin.server_stats_interval, _send_stats, weakref.ref(self)
        )

    def _send_stats(self) -> None:
        self._timer = None
        stats = self._stats()
        if self._admin._watched:
            self._emit("server_stats", stats)
        if (
            self._admin._clustered
            and self._development
            and time.monotonic() - self._announced >= ANNOUNCE_INTERVAL
        ):
            self.announce()
        if self._engine.sessions or self._admin._clustered:
            self._schedule()

    def _stats(self) -> dict[str, Any]:
        traffic = {
            "packetsIn": self.packets_in,
            "bytesIn": self.bytes_in,
            "packetsOut": self.packets_out,
            "bytesOut": self.bytes_out,
        }
        for kind, total in traffic.items():
            if total > self._traffic.get(kind, 0):
                self._count(kind, count=total - self._traffic.get(kind, 0))
        self._traffic = traffic
        counts, self._counts = self._counts, {}
        sockets = {"/": 0} | {
            name: len(namespace.peers)
            for name, namespace in self._hub.namespaces.items()
        }
        return {
            "serverId": self._admin.server_id,
            "hostname": HOSTNAME,
            "pid": os.getpid(),
            "uptime": time.monotonic() - self._started,
            "clientsCount": len(self._engine.sessions),
            "pollingClientsCount": len(self._polling),
            "aggregatedEvents": [
                {"timestamp": second * 1000, "type": kind, "count": count}
                | ({} if reason is None else {"subType": reason})
                for (second, kind, reason), count in counts.items()
            ],
            "namespaces": [
                {"name": name, "socketsCount": count}
                for name, count in sorted(sockets.items())
            ],
        }


def peers_of(session: Session) -> list[Peer]:
    """The peers of a session, one in each namespace that the client has joined."""
    handler = session.handler
    return [] if handler is None else handler.peers  # type: ignore[attr-defined]


def _send_stats(found: Callable[[], Reporter | None]) -> None:
    # The timer has a weak reference: it would keep a dropped server alive.
    reporter = found()
    if reporter is not None:
        reporter._send_stats()


def timestamp(seconds: float | None = None) -> str:
    """A time in ISO 8601 as JavaScript writes it.

    Args:
        seconds: Seconds since 1970; ``None`` for now.
    """
    moment = (
        datetime.now(timezone.utc)
        if seconds is None
        else datetime.fromtimestamp(seconds, timezone.utc)
    )
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
