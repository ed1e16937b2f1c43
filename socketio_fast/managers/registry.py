"""How managers that override the registration of clients are called.

As python-socketio calls them: ``pre_connect`` before the connect handler, ``connect``
when that has accepted (before it with ``always_connect``), ``pre_disconnect`` before
the disconnect handler, ``disconnect`` after it and when a client is refused. The base
class's methods call ``basic_enter_room`` and ``basic_leave_room`` for the room of all
clients, ``None``, and a client's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from socketio_fast._core.socketio.contracts import ClientRegistry

if TYPE_CHECKING:
    from socketio_fast._core.socketio.peer import Peer

__all__ = ["REGISTRATION", "Registry"]

#: The methods that a client's connection and disconnection consist of.
REGISTRATION = (
    "basic_disconnect",
    "basic_enter_room",
    "basic_leave_room",
    "connect",
    "disconnect",
    "pre_connect",
    "pre_disconnect",
)


class Registry(ClientRegistry):
    """What the core asks, if a manager overrides any of :data:`REGISTRATION`.

    Args:
        manager: An ``AsyncManager``.
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    async def register(self, peer: Peer) -> str | None:
        """A client wants to connect: its ``sid``, ``None`` if it is refused."""
        sid: str | None = await self._manager.pre_connect(
            peer.session.id, peer.namespace.name
        )
        return sid

    async def complete(self, peer: Peer) -> None:
        """A client is to be connected."""
        await self._manager.connect(peer.sid, peer.namespace.name)

    def begin_to_leave(self, peer: Peer) -> None:
        """The disconnect handler of a client is about to run."""
        self._manager.pre_disconnect(peer.sid, namespace=peer.namespace.name)

    async def unregister(self, peer: Peer) -> None:
        """A client has gone, or was refused."""
        await self._manager.disconnect(peer.sid, peer.namespace.name, ignore_queue=True)
