"""A server as one of the workers of a cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from socketio_fast._core.http.request import Request
from socketio_fast._core.socketio.hub import Hub
from socketio_fast.cluster.address_limits import AddressLimits
from socketio_fast.cluster.datagrams import Datagrams
from socketio_fast.cluster.figures import Status
from socketio_fast.cluster.handover import Destination, Handover
from socketio_fast.cluster.mesh import Mesh
from socketio_fast.cluster.relayed import RelayedRequests
from socketio_fast.cluster.returning import Returning
from socketio_fast.cluster.scrapes import Scrapes
from socketio_fast.hosting.contracts import HostedEngine

__all__ = ["Membership"]


class Membership:
    """What a server has of the other workers while it runs on an event loop.

    Args:
        eio: The server.
        directory: Where the workers find each other.
        number: The number of this one; ``None``: it has none.
    """

    def __init__(self, eio: HostedEngine, directory: Path, number: int | None) -> None:
        self._engine = eio.engine
        #: The links to the other workers.
        self.mesh = Mesh(directory, number, asyncio.get_running_loop(), eio.logger)
        #: What addresses use of their limits in all workers.
        self.limits = AddressLimits(self.mesh, eio.engine)
        #: Gives connections to them, and takes theirs.
        self.handover = Handover(self.mesh, eio, self.limits)
        #: Passes on the datagrams of other workers' connections.
        self.datagrams = Datagrams(self.mesh, eio.engine.counters)
        self._relayed = RelayedRequests(self.mesh, eio)
        self._status = Status(self.mesh, eio.engine)
        #: Asks the workers for their metrics.
        self.scrapes = Scrapes(self.mesh, eio.logger)
        self._engine.tag_ids(self.mesh.tag)

    def owner(self, request: Request) -> Destination | None:
        """The other worker that has the session of a request; ``None``: no other one
        has."""
        return cast("Destination | None", self.handover.owner_of_request(request))

    def recover(self, hub: Hub) -> None:
        """Let clients of Socket.IO that come back be recovered by the worker that they
        were cut off from."""

        def awaits(namespace: str, pid: str) -> bool:
            found = hub.namespaces.get(namespace)
            recovery = None if found is None else found.recovery
            return recovery is not None and recovery.has_client(pid)

        self._relayed.awaits = awaits
        hub.take_back = Returning(self.handover.owner, self.handover.spawn).take_back

    def close(self) -> None:
        """Leave the cluster."""
        self.mesh.close()
        self._relayed.close()
        self.handover.close()
        self.limits.close()
        self._status.close()
        self.scrapes.close()
        self._engine.tag_ids(None)
