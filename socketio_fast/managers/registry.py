"""Calls managers that override the registration of clients.

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
    from socketio_fast._core.socketio.peer_lifecycle import Peer

__all__ = ["REGISTRATION", "Registry"]

#: The methods that register and unregister clients.
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
    """What the core calls if a manager overrides any of :data:`REGISTRATION`.

    Args:
        manager: An ``AsyncManager``.
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    async def register(self, peer: Peer) -> str | None:
        """Register a client that connects; its ``sid``, or ``None`` to refuse it."""
        try:
            sid: str | None = await self._manager.pre_connect(
                peer.session.id, peer.namespace.name
            )
        except RuntimeError:
            if peer.sid is None and not peer.reachable:
                return None  # it went before pre_connect() could name it
            raise
        return sid

    async def complete(self, peer: Peer) -> None:
        """Complete the connection of a client."""
        await self._manager.connect(peer.sid, peer.namespace.name)

    def begin_to_leave(self, peer: Peer) -> None:
        """Called before the disconnect handler of a client runs."""
        self._manager.pre_disconnect(peer.sid, namespace=peer.namespace.name)

    async def unregister(self, peer: Peer) -> None:
        """Unregister a client that has gone or was refused."""
        await self._manager.disconnect(peer.sid, peer.namespace.name, ignore_queue=True)
