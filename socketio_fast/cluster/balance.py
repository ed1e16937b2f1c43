"""How many clients each worker has, and who gets the next.

The kernel gives new connections to workers by a hash of their addresses, without regard
to how many each has. With few clients that live long some workers then have twice as
many as others. So a client that comes to a worker which has clearly more than another
is given to that one, as connections with requests for its sessions are.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

from socketio_fast._core.engine.engine import Engine
from socketio_fast.cluster.frames import Kind
from socketio_fast.cluster.mesh import Mesh

__all__ = ["Balance"]

# Seconds after which the others are told of a change.
INTERVAL = 0.5

# A worker has clearly more clients than another if it has more than so many more, and
# more than an eighth of its own.
LEAST_EXCESS = 4

COUNT = struct.Struct("<I")

# The count of a worker that takes no new clients.
NONE = 0xFFFFFFFF


class Balance:
    """The numbers of clients of all workers.

    Args:
        mesh: The workers.
        engine: The sessions of this one.
    """

    def __init__(self, mesh: Mesh, engine: Engine) -> None:
        self._mesh = mesh
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        # The clients of each other worker, as it has said; and those given to it since.
        self._counts: dict[str, int] = {}
        self._told = -1
        self._timer: asyncio.TimerHandle | None = None
        mesh.receive(Kind.COUNT, self._on_count)
        mesh.on_joined.append(self._on_joined)
        mesh.on_left.append(self._on_left)
        self._tell()

    def lighter(self) -> str | None:
        """The worker that a new client is given to; ``None``: it stays here."""
        if not self._counts:
            return None
        tag = min(self._counts, key=self._counts.__getitem__)
        own = len(self._engine.sessions)
        excess = own - self._counts[tag]
        if excess <= LEAST_EXCESS or excess * 8 <= own:
            return None
        self._counts[tag] += 1
        return tag

    def hear(self, tag: str, count: int) -> None:
        """Note how many clients another worker has."""
        self._counts[tag] = count

    def leave(self) -> None:
        """Tell the others that this worker takes no new clients any more."""
        self.close()
        self._told = NONE
        self._mesh.send_all(Kind.COUNT, COUNT.pack(NONE))

    def close(self) -> None:
        """Tell nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self) -> None:
        count = len(self._engine.sessions)
        if count != self._told:
            self._told = count
            self._mesh.send_all(Kind.COUNT, COUNT.pack(count))
        self._timer = self._loop.call_later(INTERVAL, self._tell)

    def _on_joined(self, tag: str) -> None:
        self._mesh.send(tag, Kind.COUNT, COUNT.pack(max(self._told, 0)))

    def _on_left(self, tag: str) -> None:
        self._counts.pop(tag, None)

    def _on_count(self, tag: str, payload: bytes, take: Callable[[], int]) -> None:
        self.hear(tag, *COUNT.unpack(payload))
