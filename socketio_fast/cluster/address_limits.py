"""Limits by address that hold for all workers of a machine together.

A worker tells the others how many connections of an address it has, and how many tokens
of the address's rates it has let clients take. They count that as their own.
Connections are told at the end of the pass of the event loop in which they have
changed, tokens a moment later. Where the application sets no limit by address, nothing
is told.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.engine.shared_limits import SharedLimits
from socketio_fast._core.engine.writer import Opened
from socketio_fast.cluster.frames import Kind
from socketio_fast.cluster.mesh import Mesh
from socketio_fast.options.limits import Limits
from socketio_fast.serving.proxies import TrustedProxies

__all__ = ["AddressLimits"]

# Seconds after which the others are told of tokens that were taken.
INTERVAL = 0.1

# Seconds from one sign of life to the next, at most; and between two looks for TCP
# connections that were closed.
BEAT = 1.0

# Seconds of silence after which a worker counts no more, at least.
LEAST_SILENCE = 3.0

# Addresses of which a worker that is new is told in a pass.
CHUNK = 1000

# How a payload begins: whether it says everything, or what has changed.
CHANGES, EVERYTHING = b"\0", b"\1"

# An address: the size of its name; then the name, its sessions, its TCP connections and
# the tokens taken of new connections, events and bytes.
NAME = struct.Struct("<B")
NUMBERS = struct.Struct("<IIfff")

Entry = tuple[str, int, int, float, float, float]
Counts = tuple[int, int]

NONE: Counts = (0, 0)


def is_by_address(limits: Limits | None) -> bool:
    """Whether something is counted by address."""
    return limits is not None and any(
        limit is not None
        for limit in (
            limits.address_events,
            limits.address_bytes,
            limits.connections,
            limits.connections_per_address,
            limits.tcp_connections_per_address,
        )
    )


def pack(begins: bytes, entries: Iterable[Entry]) -> bytes:
    """The payload of a frame."""
    pieces = [begins]
    for name, *numbers in entries:
        text = name.encode()
        pieces += (NAME.pack(len(text)), text, NUMBERS.pack(*numbers))
    return b"".join(pieces)


def unpack(payload: bytes) -> Iterator[Entry]:
    """What ``pack()`` was given.

    Raises:
        struct.error: It is no such payload.
        ValueError: Likewise.
    """
    at = 1
    while at < len(payload):
        (size,) = NAME.unpack_from(payload, at)
        at += NAME.size
        name = payload[at : at + size].decode()
        at += size
        yield (name, *NUMBERS.unpack_from(payload, at))
        at += NUMBERS.size


class _Other:
    """Another worker.

    Attributes:
        counts: Its connections of each address, as it has told.
        heard: When it has told something last, by the clock of the event loop.
        counted: Whether its connections count here: it has not been silent for long.
        untold: The addresses of which it is still to be told.
        behind: Whether it has missed something, because it did not read.
    """

    def __init__(self, heard: float) -> None:
        self.counts: dict[str, Counts] = {}
        self.heard = heard
        self.counted = True
        self.untold: deque[str] = deque()
        self.behind = False


class AddressLimits:
    """What this worker and the others have of each address.

    Args:
        mesh: The workers.
        engine: The engine of this one.
    """

    def __init__(self, mesh: Mesh, engine: Engine) -> None:
        self._mesh = mesh
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._limits: SharedLimits | None = None
        self._others: dict[str, _Other] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._beat_timer: asyncio.TimerHandle | None = None
        mesh.receive(Kind.LIMITS, self._on_frame)
        mesh.on_joined.append(self._on_joined)
        mesh.on_left.append(self._on_left)
        self.follow()

    def follow(self) -> None:
        """Share the limits that the server has now."""
        self._stop()
        limits = self._engine.limits
        if limits is None or not is_by_address(limits.config):
            return
        self._limits = SharedLimits(limits.config)
        self._limits.begin(self._engine, self._noted)
        for other in self._others.values():
            if other.counted:
                self._count(other, 1)
        for tag in self._mesh:
            self._on_joined(tag)
        self._beat()

    def hold(self, transport: Any, address: Any) -> None:
        """Count a TCP connection that another worker has admitted."""
        if self._limits is None:
            return
        proxies = cast("TrustedProxies | None", self._engine.config.trusted_proxies)
        if proxies is None or not proxies.trusts(address):
            self._limits.hold(Opened(transport), address)

    def close(self) -> None:
        """Count what is here alone, and tell nobody any more."""
        self._stop()
        self._others.clear()

    def _stop(self) -> None:
        for timer in (self._timer, self._beat_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._beat_timer = None
        if self._limits is not None:
            for other in self._others.values():
                if other.counted:
                    self._count(other, -1)
            self._limits.close()
            self._limits = None

    def _count(self, other: _Other, sign: int) -> None:
        """Count the connections of another worker, or no more."""
        if self._limits is not None:
            for address, (sessions, transports) in other.counts.items():
                self._limits.add(address, sign * sessions, sign * transports)

    # What this worker tells.

    def _noted(self, at_once: bool) -> None:
        if at_once:
            self._loop.call_soon(self._tell)
        elif self._timer is None:
            self._timer = self._loop.call_later(INTERVAL, self._tell_later)

    def _tell_later(self) -> None:
        self._timer = None
        self._tell()

    def _tell(self) -> None:
        if self._limits is None:
            return
        changes = self._limits.changes()
        if changes and self._others:
            payload = pack(CHANGES, changes)
            for tag in self._mesh:
                self._send(tag, payload)

    def _send(self, tag: str, payload: bytes) -> None:
        if not self._mesh.send(tag, Kind.LIMITS, payload) and tag in self._others:
            self._others[tag].behind = True

    def _introduce(self, tag: str, begins: bytes = CHANGES) -> None:
        """Tell a worker of the addresses that it does not know of yet."""
        other = self._others.get(tag)
        if other is None or self._limits is None:
            return
        some = [other.untold.popleft() for _ in range(min(CHUNK, len(other.untold)))]
        self._send(tag, pack(begins, self._limits.counts(some)))
        if other.untold:
            self._loop.call_soon(self._introduce, tag)

    def _beat(self) -> None:
        """Tell that this worker lives, and find out which others do."""
        assert self._limits is not None
        self._limits.find_closed()
        now = self._loop.time()
        # After so long their clients have given them up.
        patience = max(
            LEAST_SILENCE, self._engine.ping_interval + self._engine.ping_timeout
        )
        for tag, other in list(self._others.items()):
            if other.counted and now - other.heard > patience:
                self._count(other, -1)
                other.counted = False
            link = self._mesh.link(tag)
            if other.behind and link is not None and not link.full:
                self._on_joined(tag)
            else:
                self._send(tag, CHANGES)
        self._beat_timer = self._loop.call_later(BEAT, self._beat)

    # What others tell.

    def _on_joined(self, tag: str) -> None:
        other = self._others.setdefault(tag, _Other(self._loop.time()))
        if self._limits is not None:
            other.behind = False
            other.untold = deque(self._limits.visitors)
            self._introduce(tag, EVERYTHING)

    def _on_left(self, tag: str) -> None:
        other = self._others.pop(tag, None)
        if other is not None and other.counted:
            self._count(other, -1)

    def _on_frame(self, tag: str, payload: bytes, take: Callable[[], int]) -> None:
        other = self._others.setdefault(tag, _Other(0))
        other.heard = self._loop.time()
        if not other.counted:
            other.counted = True
            self._count(other, 1)
        if payload.startswith(EVERYTHING):
            self._count(other, -1)
            other.counts.clear()
        limits = self._limits
        for address, sessions, transports, *taken in unpack(payload):
            before = other.counts.pop(address, NONE)
            if sessions or transports:
                other.counts[address] = sessions, transports
            if limits is not None:
                limits.add(address, sessions - before[0], transports - before[1])
                limits.take(address, *taken)
