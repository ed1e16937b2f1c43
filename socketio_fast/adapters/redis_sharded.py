"""Redis by SPUBLISH, in the format of ``createShardedAdapter`` of npm's
``@socket.io/redis-adapter`` (8.3).

The channels of a namespace, here ``/``: ``socket.io#/#`` is that of all servers,
``socket.io#/#uid#`` that of one, for responses to it, and ``socket.io#/#room#`` that of
the servers with clients in a room, if the subscription mode is a dynamic one. Messages
are those of :mod:`socketio_fast.adapters.messages`, as JSON, or as MessagePack if there
are bytes in them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from socketio_fast.adapters.encodings import MessageEncoding
from socketio_fast.adapters.messages import Message, name_of_room
from socketio_fast.adapters.redis_nodes import (
    Channel,
    Command,
    Received,
    RedisNodes,
    Subscriptions,
    number_of_subscribers,
)
from socketio_fast.adapters.room_channels import Place, RoomChannelsAdapter
from socketio_fast.managers.lifetime import released
from socketio_fast.managers.redis_clients import RedisClients
from socketio_fast.managers.redis_publishing import packed
from socketio_fast.options.logs import AnyLogger

__all__ = ["ShardedRedisAdapter"]

# Messages that are published in one round trip, at most.
BATCH = 100


class ShardedRedisAdapter(RoomChannelsAdapter):
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
        self._clients = RedisClients.of(
            redis, redis_options, type(self).__name__, cluster=True
        )
        self._clients.retries = False  # what is repeated may be published twice
        package = self._clients.package
        if not hasattr(package.client.PubSub, "ssubscribe"):
            raise RuntimeError(
                f"{package.__name__} of this version has no sharded channels: "
                'pip install "redis>=8", which talks to Valkey too'
            )
        self._encoding = MessageEncoding(type(self).__name__)
        self.channel_prefix = channel_prefix
        super().__init__(
            subscription_mode, request_timeout=request_timeout, logger=logger
        )

    def _reset(self) -> None:
        super()._reset()
        self._clients.forget()
        self._nodes = RedisNodes(self._clients)
        self._subscriptions = Subscriptions(self._nodes)

    async def _disconnect(self) -> None:
        await super()._disconnect()
        await self._nodes.close()
        await self._clients.close()

    # Publishing.

    def _channel(self, namespace: str, part: str | None = None) -> str:
        """The channel of a namespace, or in it of a server or of a room."""
        channel = f"{self.channel_prefix}#{namespace}#"
        return channel if part is None else f"{channel}{part}#"

    def prepare(self, message: Message, uid: str | None, text: bytes | None) -> Command:
        """The command that publishes a message."""
        if uid is None and (room := self.room_of(message)) is not None:
            part: str | None = name_of_room(room)
        else:
            part = uid
        channel = self._channel(message["nsp"], part)
        data = self._encoding.encode(message, text)
        return Command(packed("SPUBLISH", channel, data), key=channel)

    async def publish_all(self, prepared: list[Command]) -> None:
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
        rooms = self._channels_of_rooms(self.rooms_with_channels(namespace))
        names = [self._channel(namespace, self.uid)]
        if not self.emits_only:
            names.append(self._channel(namespace))
        return [*rooms, *(Channel("ssubscribe", name) for name in names)]

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
            decoded = self._encoding.decode(data)
        except Exception as exc:
            self.refuse(exc, data)
            return
        self.received(decoded)

    async def other_servers(self, namespace: str) -> int:
        """The number of other servers that have a namespace: those subscribed."""
        channel = Channel("ssubscribe", self._channel(namespace))
        count = await number_of_subscribers(self._nodes, channel)
        return max(0, count - (not self.emits_only))

    async def follow_rooms(self, created: list[Place], deleted: list[Place]) -> None:
        """Subscribe to the channels of rooms, and unsubscribe from those of others."""
        await self._subscriptions.remove(self._channels_of_rooms(deleted))
        await self._subscriptions.add(self._channels_of_rooms(created))

    def _channels_of_rooms(self, places: list[Place]) -> list[Channel]:
        return [
            Channel("ssubscribe", self._channel(namespace, name_of_room(room)))
            for namespace, room in places
        ]
