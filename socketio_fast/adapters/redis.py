"""Redis by PUBLISH, in the format of npm's ``@socket.io/redis-adapter`` (8.3).

The channels of a namespace, here ``/``, and what is published to them:

- ``socket.io#/#`` and, for one room, ``socket.io#/#room#``: events, as MessagePack of
  ``[uid, packet, opts]``. Servers subscribe to the pattern ``socket.io#/#*``, and do
  not decode what is for a room without clients of theirs.
- ``socket.io-request#/#``: an object with ``type`` (:class:`RequestType`), ``uid``,
  ``requestId`` and what that needs. It is JSON, or MessagePack if there are bytes in it
  or if it is an event to be acknowledged.
- ``socket.io-response#/#``, or that of one server, ``socket.io-response#/#uid#``: an
  object with ``requestId`` and the answer, in the same encodings.

Servers do not tell each other that they are there: who subscribes to the channel of
requests is counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from enum import IntEnum
from typing import Any, Protocol

from socketio_fast.adapters.cluster import ClusterAdapter
from socketio_fast.adapters.encodings import MessagePack, json_of, value_of_json
from socketio_fast.adapters.messages import (
    EMITTER,
    Message,
    MessageType,
    name_of_room,
    rooms_of,
)
from socketio_fast.adapters.redis_nodes import (
    Channel,
    Command,
    Received,
    RedisNodes,
    Subscriptions,
    number_of_subscribers,
)
from socketio_fast.managers.lifetime import released
from socketio_fast.managers.redis_clients import RedisClients
from socketio_fast.managers.redis_publishing import packed
from socketio_fast.options.logs import AnyLogger

__all__ = ["Parser", "RedisAdapter", "RequestType"]

# Messages that are published in one round trip, at most.
BATCH = 100


class RequestType(IntEnum):
    """What a request to other servers asks for, and what a response answers."""

    SOCKETS = 0
    ALL_ROOMS = 1
    REMOTE_JOIN = 2
    REMOTE_LEAVE = 3
    REMOTE_DISCONNECT = 4
    REMOTE_FETCH = 5
    SERVER_SIDE_EMIT = 6
    BROADCAST = 7
    BROADCAST_CLIENT_COUNT = 8
    BROADCAST_ACK = 9


_REQUESTS = {
    MessageType.SOCKETS_JOIN: RequestType.REMOTE_JOIN,
    MessageType.SOCKETS_LEAVE: RequestType.REMOTE_LEAVE,
    MessageType.DISCONNECT_SOCKETS: RequestType.REMOTE_DISCONNECT,
    MessageType.FETCH_SOCKETS: RequestType.REMOTE_FETCH,
    MessageType.SERVER_SIDE_EMIT: RequestType.SERVER_SIDE_EMIT,
    MessageType.BROADCAST: RequestType.BROADCAST,
}
_ASKED_FOR = {request: kind for kind, request in _REQUESTS.items()}

_RESPONSES = {
    MessageType.SERVER_SIDE_EMIT_RESPONSE: RequestType.SERVER_SIDE_EMIT,
    MessageType.BROADCAST_CLIENT_COUNT: RequestType.BROADCAST_CLIENT_COUNT,
    MessageType.BROADCAST_ACK: RequestType.BROADCAST_ACK,
}
_ANSWERED = {response: kind for kind, response in _RESPONSES.items()}


class Parser(Protocol):
    """What encodes messages, as the option ``parser`` of Node's adapter does."""

    def encode(self, value: Any) -> bytes:
        """The bytes of a value. They must not begin with ``{``."""

    def decode(self, data: bytes) -> Any:
        """The value of such bytes; whatever it raises refuses the message."""


class RedisAdapter(ClusterAdapter):
    """Clients of several servers that publish to channels of Redis or Valkey.

    Servers in Node.js with ``@socket.io/redis-adapter`` may be among them, with the
    same options, and so may ``@socket.io/redis-emitter``.

    Example::

        sio = socketio.AsyncServer(
            client_manager=socketio.adapters.RedisAdapter("redis://redis.example")
        )

    Args:
        redis: The URL of the Redis, see :class:`socketio_fast.AsyncRedisManager`; or a
            client of ``redis.asyncio`` or ``valkey.asyncio``, ``RedisCluster``
            included, which the program closes.
        key: The beginning of the names of channels.
        requests_timeout: Seconds that other servers have to answer.
        publish_on_specific_response_channel: Whether an answer goes to the channel of
            the server that asked, so that the others do not get it. Servers of version
            8.2 of Node's adapter and later listen there.
        parser: What encodes messages; by default MessagePack.
        redis_options: Arguments for ``Redis.from_url()``, ``RedisCluster.from_url()``
            or ``Sentinel()``.
        logger: The logger to use; by default the server's.

    Raises:
        ValueError: The URL has another scheme, or a number of seconds is not above 0.
        TypeError: ``redis`` is something else.
        RuntimeError: The package for that, or msgpack, is not installed.
    """

    name = "redis"

    heartbeats = False

    _batch = BATCH

    def __init__(
        self,
        redis: Any = "redis://localhost:6379/0",
        *,
        key: str = "socket.io",
        requests_timeout: float = 5.0,
        publish_on_specific_response_channel: bool = False,
        parser: Parser | None = None,
        redis_options: Mapping[str, Any] | None = None,
        logger: AnyLogger | None = None,
    ) -> None:
        if not requests_timeout > 0:
            raise ValueError(
                f"requests_timeout={requests_timeout!r}: more than 0 seconds expected"
            )
        self._clients = RedisClients.of(
            redis, redis_options, type(self).__name__, cluster=True
        )
        self._clients.retries = False  # what is repeated may be published twice
        self._parser: Any = parser or MessagePack(type(self).__name__)
        self._own_parser = parser is None
        self.key = key
        self.publish_on_specific_response_channel = publish_on_specific_response_channel
        super().__init__(request_timeout=requests_timeout, logger=logger)

    def _reset(self) -> None:
        super()._reset()
        self._clients.forget()
        self._nodes = RedisNodes(self._clients)
        self._subscriptions = Subscriptions(self._nodes)
        # What is received, by the channel or the pattern that was subscribed to.
        self._sources_by_name: dict[str, _Source] = {}

    async def _disconnect(self) -> None:
        await self._nodes.close()
        await self._clients.close()

    # Publishing.

    def prepare(self, message: Message, uid: str | None, text: bytes | None) -> Command:
        """The command that publishes a message."""
        channel, data = self._prepare(message, uid)
        return Command(packed("PUBLISH", channel, data))

    def _prepare(self, message: Message, uid: str | None) -> tuple[str, bytes]:
        """The channel to which a message is published, and what is."""
        kind, nsp, data = message["type"], message["nsp"], message["data"]
        if kind == MessageType.BROADCAST and "requestId" not in data:
            opts = data["opts"]
            channel = f"{self.key}#{nsp}#"
            if len(opts["rooms"]) == 1:
                channel += f"{name_of_room(opts['rooms'][0])}#"
            event = [message["uid"], data["packet"], opts]
            return channel, self._parser.encode(event)
        if kind in _REQUESTS:
            request = {"uid": message["uid"], "type": int(_REQUESTS[kind]), **data}
            if kind == MessageType.SERVER_SIDE_EMIT:
                request["data"] = request.pop("packet")
            channel = f"{self.key}-request#{nsp}#"
            if kind == MessageType.BROADCAST:
                return channel, self._parser.encode(request)
            return channel, self._encoded(request)
        response = dict(data)
        if kind in _RESPONSES:
            response["type"] = int(_RESPONSES[kind])
        if kind == MessageType.SERVER_SIDE_EMIT_RESPONSE:
            response["data"] = response.pop("packet")
        channel = f"{self.key}-response#{nsp}#"
        if self.publish_on_specific_response_channel and uid is not None:
            channel += f"{uid}#"
        return channel, self._encoded(response)

    def _encoded(self, value: dict[str, Any]) -> bytes:
        """JSON, or what the parser makes if there are bytes in it."""
        text = json_of(value)
        if text is not None:
            return text
        encoded: bytes = self._parser.encode(value)
        return encoded

    async def publish_all(self, prepared: list[Command]) -> None:
        """Send commands in one round trip."""
        await self._nodes.publish(prepared)

    # Receiving.

    @released
    async def _listen(self) -> AsyncIterator[Received]:
        # All at once: it is not there before all are allowed.
        first = [c for ns in self._memberships for c in self._prepared(ns)]
        received = self._subscriptions.receive(first, lambda: self._on_subscribed())
        try:
            async for message in received:
                yield message
        finally:
            await received.aclose()
            await self._nodes.failed()

    def _channels_of(self, namespace: str) -> dict[Channel, _Source]:
        requests = f"{self.key}-request#{namespace}#"
        responses = f"{self.key}-response#{namespace}#"
        events = f"{self.key}#{namespace}#"
        pattern = f"{_escaped(events)}*"
        channels = {
            Channel("psubscribe", pattern): _Source("events", namespace, len(events)),
            Channel("subscribe", requests): _Source("request", namespace),
            Channel("subscribe", responses): _Source("response", namespace),
            Channel("subscribe", f"{responses}{self.uid}#"): _Source(
                "response", namespace
            ),
        }
        if not self.emits_only:
            return channels
        # Who subscribes to the channel of requests is counted as a server.
        return {
            channel: source
            for channel, source in channels.items()
            if source.what == "response"
        }

    def _prepared(self, namespace: str) -> list[Channel]:
        """The channels of a namespace; what comes by them is served from now on."""
        channels = self._channels_of(namespace)
        for channel, source in channels.items():
            self._sources_by_name[channel.name] = source
        # Last that by which others count this server.
        return sorted(channels, key=lambda channel: channels[channel].what == "request")

    async def subscribe(self, namespace: str) -> None:
        """Subscribe to the channels of a namespace."""
        await self._subscriptions.add(self._prepared(namespace))

    async def unsubscribe(self, namespace: str) -> None:
        """Unsubscribe from the channels of a namespace."""
        channels = self._channels_of(namespace)
        for channel in channels:
            self._sources_by_name.pop(channel.name, None)
        await self._subscriptions.remove(list(channels))

    def _receive(self, message: Any) -> None:
        source = self._sources_by_name.get(message.subscribed)
        if source is None:
            return
        try:
            if source.what == "events":
                room = message.channel[source.prefix : -1]
                decoded = self._event(source.namespace, room, message.data)
            elif source.what == "request":
                decoded = self._request_of(source.namespace, message.data)
            else:
                decoded = self._response_of(source.namespace, message.data)
        except Exception as exc:
            self.refuse(exc, message.data)
            return
        if decoded is not None:
            self.received(decoded)

    def _event(self, namespace: str, room: str, data: bytes) -> Message | None:
        """An event for clients; ``None``: none of this server."""
        if room and not self._has_room(namespace, room):
            return None
        uid, packet, opts = self._parser.decode(data)
        if uid == self.uid:
            return None
        if not isinstance(packet, dict):
            raise TypeError("a packet is an object")
        if packet.get("nsp", "/") != namespace:
            return None  # that of a namespace whose name begins with this one's
        return {
            "uid": uid,
            "nsp": namespace,
            "type": MessageType.BROADCAST,
            "data": {"packet": packet, "opts": opts},
        }

    def _has_room(self, namespace: str, room: str) -> bool:
        """Whether a client of this server may be in a room, by its name."""
        ns = self._namespace(namespace)
        if ns is None:
            return False
        if ns.recovery is not None:
            return True  # clients that are away may be in it
        rooms = ns.rooms.rooms
        if room in ns.peers or room in rooms:
            return True
        try:
            return float(room) in rooms
        except ValueError:
            return False

    def _value(self, data: bytes) -> dict[str, Any]:
        value = value_of_json(data) if data[:1] == b"{" else self._parser.decode(data)
        if not isinstance(value, dict):
            raise TypeError("a request or a response is an object")
        return value

    def _request_of(self, namespace: str, data: bytes) -> Message | None:
        """What another server asks for; ``None`` if that is done."""
        request = self._value(data)
        uid, kind = request.get("uid") or EMITTER, request["type"]
        if uid == self.uid:
            return None
        if kind in (RequestType.SOCKETS, RequestType.ALL_ROOMS):
            self._list(namespace, uid, request)
            return None
        if kind not in _ASKED_FOR:
            raise ValueError(f"a request of the type {kind!r:.40}")
        message: Message = {"uid": uid, "nsp": namespace, "type": _ASKED_FOR[kind]}
        if kind == RequestType.SERVER_SIDE_EMIT:
            request["packet"] = request["data"]
        elif "sid" in request and "opts" not in request:
            # Versions of the adapter before 7 ask for one client.
            if not self.is_sid_room(namespace, request["sid"]):
                return None
            request["opts"] = {"rooms": [request["sid"]]}
            request["rooms"] = [request["room"]] if "room" in request else []
            self._answer(namespace, uid, {"requestId": request["requestId"]})
        message["data"] = request
        return message

    def _list(self, namespace: str, uid: str, request: dict[str, Any]) -> None:
        """Answer which clients, or which rooms, this server has."""
        id, ns = request["requestId"], self._namespace(namespace)
        if request["type"] == RequestType.ALL_ROOMS:
            rooms = [] if ns is None else [*ns.peers, *ns.rooms.rooms]
            self._answer(namespace, uid, {"requestId": id, "rooms": rooms})
            return
        chosen = rooms_of(request.get("rooms") or [])
        sids = [] if ns is None else list(ns.rooms.members(chosen or None))
        self._answer(namespace, uid, {"requestId": id, "sockets": sids})

    def _answer(self, namespace: str, uid: str, response: dict[str, Any]) -> None:
        self._send(namespace, MessageType.FETCH_SOCKETS_RESPONSE, response, uid)

    def _response_of(self, namespace: str, data: bytes) -> Message | None:
        """The answer of another server; ``None`` if this one did not ask."""
        response = self._value(data)
        if response.get("requestId") not in self._requests:
            return None
        kind = response.get("type")
        if kind == RequestType.SERVER_SIDE_EMIT:
            response["packet"] = response.get("data")
        answered = MessageType.FETCH_SOCKETS_RESPONSE
        if kind in _ANSWERED:
            answered = _ANSWERED[kind]
        elif not isinstance(response.get("sockets"), list):
            raise TypeError("a response without a list of sockets")
        # Servers do not say who they are.
        return {"uid": "", "nsp": namespace, "type": answered, "data": response}

    async def other_servers(self, namespace: str) -> int:
        """The number of other servers that have a namespace: those subscribed."""
        channel = Channel("subscribe", f"{self.key}-request#{namespace}#")
        count = await number_of_subscribers(self._nodes, channel)
        return max(0, count - (not self.emits_only))


class _Source:
    """What comes by a channel or a pattern."""

    __slots__ = ("namespace", "prefix", "what")

    def __init__(self, what: str, namespace: str, prefix: int = 0) -> None:
        self.what = what
        self.namespace = namespace
        # The length of the name of the channel before a room.
        self.prefix = prefix


def _escaped(text: str) -> str:
    """A pattern that matches only this text."""
    return "".join(f"\\{char}" if char in "*?[]\\^" else char for char in text)
