"""A server as one of the workers of a cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from socketio_fast._core.http.request import Request
from socketio_fast.hosting.contracts import HostedEngine
from socketio_fast.workers.handover import Destination, Handover
from socketio_fast.workers.mesh import Mesh
from socketio_fast.workers.relayed import RelayedRequests

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
        #: Gives connections to them, and takes theirs.
        self.handover = Handover(self.mesh, eio)
        self._relayed = RelayedRequests(self.mesh, eio)
        self._engine.tag_ids(self.mesh.tag)

    def owner(self, request: Request) -> Destination | None:
        """The other worker that has the session of a request; ``None``: no other one
        has."""
        return cast("Destination | None", self.handover.owner_of_request(request))

    def close(self) -> None:
        """Leave the cluster."""
        self.mesh.close()
        self._relayed.close()
        self.handover.close()
        self._engine.tag_ids(None)
