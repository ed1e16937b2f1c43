"""Adapters whose engine has a channel for each room.

An event for one room is published to the channel of that room, and only servers that
have a client in it get it. Everything else is published to the channel of all servers:
an event for several rooms, so that nobody gets it twice, and what servers are to
answer, so that all of them do.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Collection, Iterable
from typing import Any

from socketio_fast.adapters.cluster import ClusterAdapter
from socketio_fast.adapters.messages import Message, MessageType
from socketio_fast.sockets.scope import Scope

__all__ = ["Place", "RoomChannelsAdapter"]

MODES = ("dynamic", "static", "dynamic-private")

# The length of the ids of clients of Node's servers, which take a room with a name as
# long as that for a client's own.
SID_LENGTH = 20

# Seconds in which servers whose clients have just been put into a room subscribe to it.
SUBSCRIBING = 2.0

# Rooms that clients were put into, from which on it is looked which of them are old.
MANY_JOINED = 100

# A namespace and a room in it.
Place = tuple[str, Any]


class RoomChannelsAdapter(ClusterAdapter):
    """A :class:`ClusterAdapter` that subscribes to the channels of rooms.

    A subclass has :meth:`follow_rooms`; it asks :meth:`room_of` where a message goes,
    and :meth:`rooms_with_channels` what to subscribe to when it has connected again.

    Args:
        subscription_mode: ``"dynamic"``: events for one room have channels of their
            own; ``"dynamic-private"``: those for one client too; ``"static"``: none.
            It is the same for all servers.
        **options: See :class:`ClusterAdapter`.

    Raises:
        ValueError: The subscription mode is another one.
    """

    def __init__(self, subscription_mode: str = "dynamic", **options: Any) -> None:
        if subscription_mode not in MODES:
            raise ValueError(
                f"subscription_mode={subscription_mode!r}: one of "
                f"{', '.join(MODES)} expected"
            )
        self.subscription_mode = subscription_mode
        self.watches_rooms = self.watches_clients = subscription_mode != "static"
        # Until when rooms that clients of other servers were put into have no channel
        # of their own, since those servers may not have subscribed yet.
        self._joined: dict[Place, float] = {}
        super().__init__(**options)

    def _reset(self) -> None:
        super()._reset()
        # Rooms that were created or deleted since the last look at them, and who looks.
        self._changed: dict[Place, None] = {}
        self._following: asyncio.Task[None] | None = None

    async def _disconnect(self) -> None:
        if self._following is not None:
            self._following.cancel()
        await super()._disconnect()

    # For subclasses.

    async def follow_rooms(self, created: list[Place], deleted: list[Place]) -> None:
        """Subscribe to the channels of rooms, and unsubscribe from those of others.

        Args:
            created: Namespaces and rooms that have clients of this server now.
            deleted: Those that have none.

        Raises:
            Exception: The engine is away. When it is there again, the subclass
                subscribes to all rooms.
        """
        raise NotImplementedError(f"{type(self).__name__} has no follow_rooms()")

    def room_of(self, message: Message) -> Any:
        """The room whose channel a message is for; ``None``: it is for all servers."""
        namespace, kind = message["nsp"], message["type"]
        if kind == MessageType.SOCKETS_JOIN:
            self._note_joined(namespace, message["data"]["rooms"])
        if kind != MessageType.BROADCAST or "requestId" in message["data"]:
            return None
        rooms = message["data"]["opts"]["rooms"]
        if len(rooms) != 1 or not self._has_channel(room := rooms[0]):
            return None
        until = self._joined.get((namespace, room))
        if until is not None and until > asyncio.get_running_loop().time():
            return None
        return room

    def rooms_with_channels(self, namespace: str) -> list[Place]:
        """The rooms of a namespace whose channels are to be subscribed to."""
        ns = self._namespace(namespace)
        if ns is None:
            return []
        rooms = {*ns.rooms.rooms, *ns.peers}
        recovery: Any = ns.recovery
        if recovery is not None:
            awaited = recovery.away_rooms() - rooms
            self._look_later(recovery, namespace, awaited)
            rooms |= awaited
        return [(namespace, room) for room in rooms if self._has_channel(room)]

    # Rooms that come and go.

    def _reaches_all(self, message: Message) -> bool:
        return self.room_of(message) is None

    def _note_joined(self, namespace: str, rooms: Iterable[Any]) -> None:
        now = asyncio.get_running_loop().time()
        if len(self._joined) > MANY_JOINED:
            self._joined = {
                room: until for room, until in self._joined.items() if until > now
            }
        for room in rooms:
            self._joined[namespace, room] = now + SUBSCRIBING

    def _has_channel(self, room: Any) -> bool:
        """Whether events for a room, which may be a client's own, have a channel."""
        return self.subscription_mode == "dynamic-private" or (
            self.subscription_mode == "dynamic" and not _is_sid(room)
        )

    def _is_there(self, namespace: str, room: Any) -> bool:
        ns = self._namespace(namespace)
        return ns is not None and (room in ns.rooms.rooms or room in ns.peers)

    def _is_awaited(self, namespace: str, room: Any) -> bool:
        """Whether a client in a room may come back, and get what it has missed."""
        ns = self._namespace(namespace)
        recovery: Any = None if ns is None else ns.recovery
        if recovery is None or not recovery.away_in(room):
            return False
        self._look_later(recovery, namespace, [room])
        return True

    def _look_later(
        self, recovery: Any, namespace: str, rooms: Collection[Any]
    ) -> None:
        """Look at rooms again when clients that are away can come back no longer."""
        if rooms:
            loop, again = asyncio.get_running_loop(), recovery.duration + 1
            loop.call_later(again, _look_again, weakref.ref(self), namespace, rooms)

    def room_created(self, namespace: str, room: Any) -> None:
        """Subscribe to the channel of a room."""
        # While nothing is received there is no need: subscribe() will do it.
        if self._has_channel(room) and self._subscribed.is_set():
            self._changed[namespace, room] = None
            if self._following is None:
                self._following = asyncio.ensure_future(self._follow())

    def room_deleted(self, namespace: str, room: Any) -> None:
        """Unsubscribe from the channel of a room."""
        self.room_created(namespace, room)

    def client_added(self, namespace: str, sid: str) -> None:
        """Subscribe to the channel of a client."""
        self.room_created(namespace, sid)

    def client_removed(self, namespace: str, sid: str) -> None:
        """Unsubscribe from the channel of a client."""
        self.room_created(namespace, sid)

    async def _follow(self) -> None:
        """Subscribe to the channels of rooms that there are, and to no others."""
        try:
            while self._changed:
                changed, self._changed = self._changed, {}
                created: list[Place] = []
                deleted: list[Place] = []
                for place in changed:
                    if self._is_there(*place):
                        created.append(place)
                    elif not self._is_awaited(*place):
                        deleted.append(place)
                await self.follow_rooms(created, deleted)
        except Exception as exc:
            # Reading fails as well, and begins again.
            self._get_logger().debug("not subscribed to channels of rooms: %r", exc)
        finally:
            self._following = None

    async def _followed(self) -> None:
        """Wait until the channels of rooms that there are now are subscribed to."""
        if self._following is not None:
            await asyncio.wait([self._following], timeout=self.request_timeout)

    async def flushed(self) -> None:
        """Wait until what is to be published is, and the channels of rooms and clients
        that there are now are subscribed to; or the engine is away."""
        await super().flushed()
        await self._followed()

    async def enter_room(
        self,
        sid: str,
        namespace: str | None,
        room: Any,
        eio_sid: str | None = None,
    ) -> None:
        """Put a client of any server into a room.

        If it is a client of this server, events of other servers for that room come
        from the return of this on.

        Raises:
            ValueError: The client is one of this process, and the room is another's
                ``sid``.
            TypeError: The room is not a ``str``, an ``int`` or a ``float``.
        """
        await super().enter_room(sid, namespace, room, eio_sid=eio_sid)
        await self._followed()

    async def _change(
        self, change: str, namespace: str, scope: Scope, options: dict[str, Any]
    ) -> None:
        await super()._change(change, namespace, scope, options)
        if change == "join":
            await self._followed()

    def _change_here(
        self, change: str, namespace: str, scope: Scope, options: dict[str, Any]
    ) -> None:
        super()._change_here(change, namespace, scope, options)
        if change == "join":
            self._note_joined(namespace, options["rooms"])


def _look_again(
    found: Callable[[], RoomChannelsAdapter | None],
    namespace: str,
    rooms: Collection[Any],
) -> None:
    adapter = found()
    if adapter is not None:
        for room in rooms:
            adapter.room_deleted(namespace, room)


def _is_sid(room: Any) -> bool:
    """Whether Node's servers take a room for a client's own."""
    return isinstance(room, str) and len(room) == SID_LENGTH
