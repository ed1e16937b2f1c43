"""Redis by SPUBLISH, in the format of ``createShardedAdapter`` of npm's
``@socket.io/redis-adapter`` (8.3).

The channels of a namespace, here ``/``: ``socket.io#/#`` is that of all servers,
``socket.io#/#uid#`` that of one, for responses to it, and ``socket.io#/#room#`` that of
the servers with clients in a room, if the subscription mode is a dynamic one. Messages
are those of :mod:`socketio_fast.adapters.messages`, as JSON, or as MessagePack if there
are bytes in them.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from socketio_fast.adapters.cluster import ClusterAdapter
from socketio_fast.adapters.encodings import MessagePack, json_of, value_of_json
from socketio_fast.adapters.messages import Message, MessageType
from socketio_fast.adapters.redis_nodes import (
    Channel,
    Received,
    RedisNodes,
    Subscriptions,
    name_of_room,
    number_of_subscribers,
)
from socketio_fast.managers.lifetime import released
from socketio_fast.managers.redis_clients import RedisClients
from socketio_fast.options.logs import AnyLogger
from socketio_fast.sockets.scope import Scope

__all__ = ["ShardedRedisAdapter"]

# Messages that are published in one round trip, at most.
BATCH = 100

MODES = ("dynamic", "static", "dynamic-private")

# The length of the ids of clients of Node's servers, which take a room with a name as
# long as that for a client's own.
SID_LENGTH = 20

# Seconds in which servers whose clients have just been put into a room subscribe to it.
SUBSCRIBING = 2.0


class ShardedRedisAdapter(ClusterAdapter):
    """Clients of several servers that publish to sharded channels of Redis 7.

    In a cluster of Redis, each message is sent to the node that has the channel, and
    not to all nodes. Servers in Node.js with ``createShardedAdapter()`` of
    ``@socket.io/redis-adapter`` may be among them, with the same options.

    Example::

        sio = socketio.AsyncServer(
            client_manager=socketio.adapters.ShardedRedisAdapter("redis+cluster://node")
        )

    Args:
        redis: The URL of the Redis, see :class:`socketio_fast.AsyncRedisManager`, with
            ``redis+cluster://`` and ``rediss+cluster://`` for a node of a cluster; or a
            client of ``redis.asyncio``, ``RedisCluster`` included, which the program
            closes.
        channel_prefix: The beginning of the names of channels.
        subscription_mode: Which events have channels of their own: ``"dynamic"``, those
            for one room; ``"dynamic-private"``, those for one client too;
            ``"static"``, none. It is the same for all servers.
        request_timeout: Seconds that other servers have to answer.
        redis_options: Arguments for ``Redis.from_url()``, ``RedisCluster.from_url()``
            or ``Sentinel()``.
        logger: The logger to use; by default the server's.

    Raises:
        ValueError: The URL has another scheme, the subscription mode is another one, or
            a number of seconds is not above 0.
        TypeError: ``redis`` is something else.
        RuntimeError: The package for that, or msgpack, is not installed; or it is
            one without sharded channels.
    """

    name = "sharded redis"

    heartbeats = False

    _batch = BATCH

    def __init__(
        self,
        redis: Any = "redis://localhost:6379/0",
        *,
        channel_prefix: str = "socket.io",
        subscription_mode: str = "dynamic",
        request_timeout: float = 5.0,
        redis_options: Mapping[str, Any] | None = None,
        logger: AnyLogger | None = None,
    ) -> None:
        if subscription_mode not in MODES:
            raise ValueError(
                f"subscription_mode={subscription_mode!r}: one of "
                f"{', '.join(MODES)} expected"
            )
        self._clients = RedisClients.of(
            redis, redis_options, type(self).__name__, cluster=True
        )
        package = self._clients.package
        if not hasattr(package.client.PubSub, "ssubscribe"):
            raise RuntimeError(
                f"{package.__name__} of this version has no sharded channels: "
                'pip install "redis>=8", which talks to Valkey too'
            )
        self._msgpack = MessagePack(type(self).__name__)
        self.channel_prefix = channel_prefix
        self.subscription_mode = subscription_mode
        self.watches_rooms = self.watches_clients = subscription_mode != "static"
        # Until when rooms that clients of other servers were put into have no channel
        # of their own, since those servers may not have subscribed yet.
        self._joined: dict[tuple[str, Any], float] = {}
        super().__init__(request_timeout=request_timeout, logger=logger)

    def _reset(self) -> None:
        super()._reset()
        self._clients.forget()
        self._nodes = RedisNodes(self._clients)
        self._subscriptions = Subscriptions(self._nodes)
        # Rooms that were created or deleted since the last look at them, and who looks.
        self._changed: dict[tuple[str, Any], None] = {}
        self._following: asyncio.Task[None] | None = None

    async def _disconnect(self) -> None:
        if self._following is not None:
            self._following.cancel()
        await self._nodes.close()
        await self._clients.close()

    # Publishing.

    def _channel(self, namespace: str, part: str | None = None) -> str:
        """The channel of a namespace, or in it of a server or of a room."""
        channel = f"{self.channel_prefix}#{namespace}#"
        return channel if part is None else f"{channel}{part}#"

    def prepare(
        self, message: Message, uid: str | None, text: bytes | None
    ) -> tuple[str, str, bytes]:
        """The command that publishes a message."""
        channel = self._channel(message["nsp"], uid or self._room_of(message))
        if text is not None:
            # The JSON that clients get is in it: it need not be made again.
            data = dict(message["data"], packet=None)
            whole = json_of({**message, "data": data})
            nsp = json_of(message["nsp"])
            if whole is not None and nsp is not None:
                packet = b'"packet":{"type":2,"data":%b,"nsp":%b}' % (text, nsp)
                encoded = whole.replace(b'"packet":null', packet, 1)
                return "SPUBLISH", channel, encoded
        return "SPUBLISH", channel, json_of(message) or self._msgpack.encode(message)

    def _room_of(self, message: Message) -> str | None:
        """The room whose channel has a message; ``None``: the channel of all has it."""
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
        return name_of_room(room)

    def _note_joined(self, namespace: str, rooms: list[Any]) -> None:
        now = asyncio.get_running_loop().time()
        if len(self._joined) > BATCH:
            self._joined = {
                room: until for room, until in self._joined.items() if until > now
            }
        for room in rooms:
            self._joined[namespace, room] = now + SUBSCRIBING

    async def publish_all(self, prepared: list[tuple[Any, ...]]) -> None:
        """Send commands in one round trip to each node."""
        await self._nodes.publish(prepared)

    # Receiving.

    @released
    async def _listen(self) -> AsyncIterator[Received]:
        # All at once: it is not there before all are allowed.
        first = [c for ns in self._memberships for c in self._channels_of(ns)]
        received = self._subscriptions.receive(first, lambda: self._on_subscribed())
        try:
            async for message in received:
                yield message
        finally:
            await received.aclose()
            await self._nodes.failed()

    def _channels_of(self, namespace: str) -> list[Channel]:
        """The channels of rooms, of this server, and last that of all servers, by which
        others count this one."""
        rooms = map(name_of_room, self._rooms_with_channels(namespace))
        names = [self._channel(namespace, name) for name in (*rooms, self.uid)]
        names.append(self._channel(namespace))
        return [Channel("ssubscribe", name) for name in names]

    async def subscribe(self, namespace: str) -> None:
        """Subscribe to the channels of a namespace."""
        await self._subscriptions.add(self._channels_of(namespace))

    async def unsubscribe(self, namespace: str) -> None:
        """Unsubscribe from the channels of a namespace."""
        await self._subscriptions.remove(self._channels_of(namespace))

    def _receive(self, message: Any) -> None:
        data = message.data
        if data.startswith(b'{"uid":"%b"' % self.uid.encode()):
            return
        try:
            if data[:1] == b"{":
                decoded = value_of_json(data)
            else:
                decoded = self._msgpack.decode(data)
            if not isinstance(decoded, dict):
                raise TypeError("a message is an object")
        except Exception as exc:
            self.refuse(exc, data)
            return
        self.received(decoded)

    async def other_servers(self, namespace: str) -> int:
        """The number of other servers that have a namespace: those subscribed."""
        channel = Channel("ssubscribe", self._channel(namespace))
        return max(0, await number_of_subscribers(self._nodes, channel) - 1)

    # Channels of rooms.

    def _has_channel(self, room: Any) -> bool:
        """Whether events for a room, which may be a client's own, have a channel."""
        return self.subscription_mode == "dynamic-private" or (
            self.subscription_mode == "dynamic" and not _is_sid(room)
        )

    def _rooms_with_channels(self, namespace: str) -> list[Any]:
        ns = self._namespace(namespace)
        rooms = [] if ns is None else [*ns.rooms.rooms, *ns.peers]
        return [room for room in rooms if self._has_channel(room)]

    def _is_there(self, namespace: str, room: Any) -> bool:
        ns = self._namespace(namespace)
        return ns is not None and (room in ns.rooms.rooms or room in ns.peers)

    def _is_awaited(self, namespace: str, room: Any) -> bool:
        """Whether a client in a room may come back, and get what it has missed."""
        ns = self._namespace(namespace)
        recovery: Any = None if ns is None else ns.recovery
        if recovery is None or not recovery.away_in(room):
            return False
        loop = asyncio.get_running_loop()
        again = recovery.duration + 1
        loop.call_later(again, _look_again, weakref.ref(self), namespace, room)
        return True

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
                new: list[Channel] = []
                old: list[Channel] = []
                for namespace, room in changed:
                    name = self._channel(namespace, name_of_room(room))
                    there = self._is_there(namespace, room)
                    if there or not self._is_awaited(namespace, room):
                        (new if there else old).append(Channel("ssubscribe", name))
                await self._subscriptions.remove(old)
                await self._subscriptions.add(new)
        except Exception as exc:
            # Reading fails as well, and begins again.
            self._get_logger().debug("not subscribed to channels of rooms: %r", exc)
        finally:
            self._following = None

    async def _followed(self) -> None:
        """Wait until the channels of rooms that there are now are subscribed to."""
        if self._following is not None:
            await asyncio.wait([self._following], timeout=self.request_timeout)

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
        await self._followed()


def _look_again(
    found: Callable[[], ShardedRedisAdapter | None], namespace: str, room: Any
) -> None:
    adapter = found()
    if adapter is not None:
        adapter.room_deleted(namespace, room)


def _is_sid(room: Any) -> bool:
    """Whether Node's servers take a room for a client's own."""
    return isinstance(room, str) and len(room) == SID_LENGTH
