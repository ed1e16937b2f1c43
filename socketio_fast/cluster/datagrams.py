"""UDP datagrams that the kernel has given to another worker than their connection's.

All workers listen on one UDP port. The kernel chooses a socket by a hash of the
addresses and of how many sockets there are. So a connection of QUIC comes to another
worker when one has started or ended, or when the client's address has changed. That
worker knows none of its connection IDs, and asks the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from socketio_fast.cluster.elsewhere import address_of
from socketio_fast.cluster.frames import Kind, frame, split_head, with_head
from socketio_fast.cluster.mesh import Mesh

__all__ = ["Datagrams"]

# Bytes that may wait for a worker which gets one more datagram. Beyond that it is
# dropped, as UDP does: whoever sends garbage does not displace messages.
MAX_QUEUED = 256 * 1024

# Connections of other workers that are remembered, at most.
MAX_KNOWN = 10_000

# Names of counters, see docs/scaling.md.
PASSED = "datagrams_passed_to_workers"
DROPPED = "datagrams_dropped_between_workers"

#: Called with the address of the port, the client's, a datagram, and whether it may
#: open a connection. Returns whether the connection is one of this worker's.
Receiver = Callable[[Any, Any, bytes, bool], bool]


class Datagrams:
    """Passes datagrams to the worker that has their connection, and takes its own.

    Args:
        mesh: The workers.
        counters: Those of the engine.
    """

    def __init__(self, mesh: Mesh, counters: Any) -> None:
        self._mesh = mesh
        self._counters = counters
        # The workers of connections, by connection ID.
        self._known: dict[bytes, str] = {}
        #: Who takes the datagrams that other workers pass on.
        self.receiver: Receiver | None = None
        mesh.receive(Kind.DATAGRAM, self._take)
        mesh.receive(Kind.DATAGRAM_TAKEN, self._taken)
        mesh.on_left.append(self._forget)

    def pass_on(self, cid: bytes, port: Any, client: Any, data: bytes) -> None:
        """Send a datagram to the worker that has its connection.

        Args:
            cid: The connection ID that it is for, which is none of this worker's.
            port: The address that it has come to.
            client: The address that it has come from.
            data: The datagram.
        """
        tag = self._known.get(cid)
        payload = self._payload(cid, port, client, data, False)
        for other in self._mesh.others if tag is None else [tag]:
            self._send(other, payload)

    def pass_new(self, cid: bytes, port: Any, client: Any, data: bytes) -> bool:
        """Let another worker accept a connection, always the same for a connection ID;
        returns False if there is no other worker."""
        others = sorted(self._mesh.others)
        if not others:
            return False
        tag = others[sum(cid) % len(others)]
        self._send(tag, self._payload(cid, port, client, data, True))
        return True

    def _payload(
        self, cid: bytes, port: Any, client: Any, data: bytes, is_new: bool
    ) -> bytes:
        head = {"cid": cid.hex(), "port": port, "client": client, "new": is_new}
        return with_head(head, data)

    def _send(self, tag: str, payload: bytes) -> None:
        link = self._mesh.link(tag)
        if link is None or link.queued > MAX_QUEUED:
            self._counters[DROPPED] += 1
            return
        self._counters[PASSED] += 1
        link.send(frame(Kind.DATAGRAM, payload))

    def _take(self, tag: str, payload: bytes, descriptor: Callable[[], int]) -> None:
        head, data = split_head(payload)
        if self.receiver is None:
            return
        addresses = address_of(head["port"]), address_of(head["client"])
        if self.receiver(*addresses, data, head["new"]) and not head["new"]:
            self._mesh.send(tag, Kind.DATAGRAM_TAKEN, bytes.fromhex(head["cid"]))

    def _taken(self, tag: str, payload: bytes, descriptor: Callable[[], int]) -> None:
        """Another worker has the connection of a datagram that it was sent."""
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[payload] = tag

    def _forget(self, tag: str) -> None:
        self._known = {cid: t for cid, t in self._known.items() if t != tag}
