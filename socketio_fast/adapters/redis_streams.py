"""Redis streams, in the format of npm's ``@socket.io/redis-streams-adapter`` (0.3).

Messages are entries of a stream, so what was published while a server was not connected
reaches it later. An entry has ``uid``, ``nsp``, ``type`` and ``data``: JSON, or the
base64 of MessagePack if there are bytes in it. What no late reader needs goes by
PUBLISH instead, as MessagePack: requests to ``socket.io#/#`` (with the namespace),
responses to ``socket.io#/#uid#``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson

from socketio_fast._core.protocol.sio import RESERVED_EVENTS
from socketio_fast.adapters.cluster import ClusterAdapter
from socketio_fast.adapters.encodings import (
    MessagePack,
    broadcast_json,
    encode_session,
    json_of,
    value_of_json,
)
from socketio_fast.adapters.messages import (
    Message,
    MessageType,
    event_for,
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
from socketio_fast.adapters.redis_wire import (
    end_of,
    hash_code,
    number_of,
    pairs,
    text_of,
)
from socketio_fast.adapters.sessions import RestoredSession
from socketio_fast.managers.lifetime import released
from socketio_fast.managers.redis_clients import RedisClients
from socketio_fast.managers.redis_publishing import packed
from socketio_fast.options.logs import AnyLogger

__all__ = ["RedisStreamsAdapter"]

# Messages that are published in one round trip, at most.
BATCH = 100

# Beginnings of commands that are kept, one for each namespace and type.
MAX_HEADS = 1000

# Messages that are kept while Redis is away, at most.
KEPT = 10_000

# Entries that are read at once for a client that comes back, and how often, at most.
RANGE = 1000
MAX_RANGES = 100

# An entry that is a broadcast, and how its data begin.
BROADCAST = b"3"
HEAD = b'{"packet":{"type":2,"data":'

UNUSUAL = (AttributeError, LookupError, TypeError, ValueError)

# Messages that are sent by PUBLISH, besides broadcasts to be acknowledged.
EPHEMERAL = (MessageType.SERVER_SIDE_EMIT, MessageType.FETCH_SOCKETS)


_OFFSET = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


class RedisStreamsAdapter(ClusterAdapter):
    """Clients of several servers that share streams of Redis or Valkey.

    Servers in Node.js with ``@socket.io/redis-streams-adapter`` 0.3 may be among them,
    with the same options.

    Example::

        sio = socketio.AsyncServer(
            client_manager=socketio.adapters.RedisStreamsAdapter("redis://")
        )

    Args:
        redis: The URL of the Redis, see :class:`socketio_fast.AsyncRedisManager`, with
            ``redis+cluster://`` and ``rediss+cluster://`` for a node of a cluster; or a
            client of ``redis.asyncio`` or ``valkey.asyncio``, ``RedisCluster``
            included, which the program closes.
        stream_name: The name of the stream.
        stream_count: The number of streams; a namespace has one of them. With more than
            one the names are ``socket.io-0``, ``socket.io-1``, …: in a cluster, other
            nodes have them.
        channel_prefix: The beginning of the names of channels.
        use_sharded_pubsub: Whether messages go by SPUBLISH (Redis 7).
        max_len: The entries of a stream that are kept, about.
        read_count: Entries that are read at once, at most.
        block_time: Seconds that reading waits for an entry.
        session_key_prefix: The beginning of the keys of sessions of clients that may be
            recovered.
        only_plaintext: Whether JSON is published without a look for bytes.
        request_timeout: Seconds that other servers have to answer.
        redis_options: Arguments for ``Redis.from_url()``, ``RedisCluster.from_url()``
            or ``Sentinel()``.
        logger: The logger to use; by default the server's.

    Raises:
        ValueError: The URL has another scheme, or an option a value that is not
            allowed.
        RuntimeError: The package for that, or msgpack, is not installed.
    """

    name = "redis streams"

    heartbeats = False
    recovers = True

    _batch = BATCH
    _kept = KEPT

    def __init__(
        self,
        redis: Any = "redis://localhost:6379/0",
        *,
        stream_name: str = "socket.io",
        stream_count: int = 1,
        channel_prefix: str = "socket.io",
        use_sharded_pubsub: bool = False,
        max_len: int = 10_000,
        read_count: int = 100,
        block_time: float = 5.0,
        session_key_prefix: str = "sio:session:",
        only_plaintext: bool = False,
        request_timeout: float = 5.0,
        redis_options: Mapping[str, Any] | None = None,
        logger: AnyLogger | None = None,
    ) -> None:
        for option, number in (
            ("stream_count", stream_count),
            ("max_len", max_len),
            ("read_count", read_count),
        ):
            if not isinstance(number, int) or number < 1:
                raise ValueError(
                    f"{option}={number!r}: a whole number above 0 expected"
                )
        if not block_time > 0:
            raise ValueError(f"block_time={block_time!r}: more than 0 seconds expected")
        self._clients = RedisClients.of(
            redis, redis_options, type(self).__name__, cluster=True
        )
        self._clients.retries = False  # what is repeated may be published twice
        self._msgpack = MessagePack(type(self).__name__)
        self.stream_name = stream_name
        self.stream_count = stream_count
        self.channel_prefix = channel_prefix
        self.use_sharded_pubsub = use_sharded_pubsub
        self.max_len = max_len
        self.read_count = read_count
        self.block_time = block_time
        self.session_key_prefix = session_key_prefix
        self.only_plaintext = only_plaintext
        super().__init__(request_timeout=request_timeout, logger=logger)

    def _reset(self) -> None:
        super()._reset()
        self._clients.forget()
        self._nodes = RedisNodes(self._clients)
        self._subscriptions = Subscriptions(self._nodes)
        # The beginnings of commands that publish.
        self._heads: dict[tuple[Any, ...], bytes] = {}
        # The last entry that was read of each stream; kept while Redis is away.
        self._offsets: dict[str, str] = {}

    async def _disconnect(self) -> None:
        await self._nodes.close()
        await self._clients.close()

    # Names.

    @property
    def _streams(self) -> list[str]:
        count = self.stream_count
        if count == 1:
            return [self.stream_name]
        # Node's servers publish the messages of some namespaces to streams with a
        # negative number, which they do not read themselves.
        return [f"{self.stream_name}-{i}" for i in range(1 - count, count)]

    def _stream_of(self, namespace: str) -> str:
        """The stream that has the messages of a namespace."""
        if self.stream_count == 1:
            return self.stream_name
        return f"{self.stream_name}-{abs(hash_code(namespace)) % self.stream_count}"

    def _channel(self, namespace: str, uid: str | None = None) -> str:
        """The channel of a namespace, or in it of a server."""
        channel = f"{self.channel_prefix}#{namespace}#"
        return channel if uid is None else f"{channel}{uid}#"

    # Publishing.

    def prepare(self, message: Message, uid: str | None, text: bytes | None) -> Command:
        """The command that publishes a message."""
        kind: int = message["type"]
        data: Any = message.get("data")
        asks = kind == MessageType.BROADCAST and "requestId" in message["data"]
        if uid is not None or asks or kind in EPHEMERAL:
            return self._publish_command(message, uid)
        volatile = kind == MessageType.BROADCAST and "volatile" in data["opts"]["flags"]
        undelivered = "undelivered" in message
        key = message["nsp"], kind, undelivered, message["uid"]
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) > MAX_HEADS:
                self._heads.clear()
            head = self._heads[key] = self._head(message, undelivered)
        encoded = self._encoded(data, text)
        command = b"%b$%d\r\n%b\r\n" % (head, len(encoded), encoded)
        return Command(command, not volatile, self._stream_of(message["nsp"]))

    def _head(self, message: Message, undelivered: bool) -> bytes:
        """The beginning of a command XADD, up to the data."""
        fields = ["uid", message["uid"], "nsp", message["nsp"]]
        fields += ["type", str(message["type"])]
        if undelivered:
            fields += ["undelivered", "1"]
        stream = self._stream_of(message["nsp"])
        head = ("XADD", stream, "MAXLEN", "~", str(self.max_len), "*", *fields, "data")
        return packed(*head, more=1)

    def _publish_command(self, message: Message, uid: str | None) -> Command:
        sharded = self.use_sharded_pubsub
        channel = self._channel(message["nsp"], uid)
        payload = self._msgpack.encode(message)
        command = packed("SPUBLISH" if sharded else "PUBLISH", channel, payload)
        # Who asks does not wait longer than its request lasts.
        return Command(command, False, channel if sharded else None)

    def _encoded(self, data: dict[str, Any], text: bytes | None) -> bytes:
        """JSON, or MessagePack in base64 if there are bytes in it."""
        if text is not None:
            return broadcast_json(data, text)
        found = json_of(data)
        if found is not None:
            return found
        if self.only_plaintext:
            raise TypeError("there are bytes in the event, and only_plaintext=True")
        return base64.b64encode(self._msgpack.encode(data))

    async def publish_all(self, prepared: list[Command]) -> None:
        """Send commands in one round trip to each node."""
        await self._nodes.publish(prepared)

    def _keeps(self, message: Command) -> bool:
        return message.keeps

    def _size_of(self, message: Command) -> int:
        return len(message.packed)

    # Receiving.

    def _sources(self) -> list[tuple[Any, ...]]:
        streams: list[tuple[Any, ...]] = []
        if not self.emits_only:
            streams = [("_read_streams", *self._streams)]
            if self._nodes.is_cluster:  # whose nodes have some each
                streams = [("_read_streams", stream) for stream in self._streams]
        return [*streams, ("_read_channels",)]

    @released
    async def _read_streams(
        self, *streams: str
    ) -> AsyncIterator[tuple[dict[bytes, bytes], str]]:
        # They are there when the adapter is gone.
        clients, nodes = self._clients, self._nodes
        connection: Any = None
        try:
            node = await nodes.of(streams[0])
            for stream in streams:
                await self._find_offset(node, stream)
            block = clients.block(node, self.block_time)
            connection = await clients.connection(node)
            head = packed(
                *("XREAD", "BLOCK", str(block), "COUNT", str(self.read_count)),
                *("STREAMS", *streams),
                more=len(streams),
            )
            self._on_subscribed(("_read_streams", *streams))
            while True:
                offsets = b"".join(
                    b"$%d\r\n%b\r\n" % (len(offset), offset.encode())
                    for offset in [self._offsets[name] for name in streams]
                )
                await connection.send_packed_command(head + offsets)
                found = await connection.read_response(disable_decoding=True)
                for name, entries in pairs(found):
                    stream = name.decode()
                    for id, fields in entries:
                        self._offsets[stream] = offset = id.decode()
                        yield dict(zip(fields[::2], fields[1::2], strict=True)), offset
        finally:
            if connection is not None:
                await clients.release(node, connection)
            await nodes.failed()

    async def _find_offset(self, client: Any, stream: str) -> None:
        """Find where to read on: where reading has ended, at first at the end."""
        last = await end_of(client, stream, newest=True)
        known = self._offsets.get(stream)
        if known is None or number_of(last) < number_of(known):
            # Another Redis than before, whose clock or log is behind.
            self._offsets[stream] = last
            return
        first = await end_of(client, stream, newest=False)
        if number_of(known) < number_of(first) and known != "0-0":
            self._get_logger().warning(
                "entries of the stream %s were dropped before this server has read "
                "them: it was away for too long for max_len=%d",
                stream,
                self.max_len,
            )

    @released
    async def _read_channels(self) -> AsyncIterator[Received]:
        nodes = self._nodes  # which are there when the adapter is gone
        first = self._channels_of("/")[-1:]
        received = self._subscriptions.receive(
            first, lambda: self._on_subscribed(("_read_channels",))
        )
        try:
            async for message in received:
                yield message
        finally:
            await received.aclose()
            await nodes.failed()

    def _channels_of(self, namespace: str) -> list[Channel]:
        how = "ssubscribe" if self.use_sharded_pubsub else "subscribe"
        names = [self._channel(namespace), self._channel(namespace, self.uid)]
        # Who subscribes to the channel of the namespace is counted as a server.
        return [Channel(how, name) for name in names[self.emits_only :]]

    async def subscribe(self, namespace: str) -> None:
        """Subscribe to the channels of a namespace."""
        await self._subscriptions.add(self._channels_of(namespace))

    async def unsubscribe(self, namespace: str) -> None:
        """Unsubscribe from the channels of a namespace."""
        # That of "/" keeps the subscription of the connection.
        await self._subscriptions.remove(self._channels_of(namespace))

    def _receive(self, message: Any) -> None:
        try:
            if not isinstance(message, Received):
                fields, offset = message
                decoded = self._decoded(fields)
                if decoded is not None:
                    self.received(decoded, offset)
            else:
                self.received(self._msgpack.decode(message.data))
        except Exception as exc:
            self.refuse(exc, message)

    def _decoded(self, fields: dict[bytes, bytes]) -> Message | None:
        """The message of an entry; ``None`` if it is not for this server."""
        nsp = fields.get(b"nsp")
        if nsp is None:
            return None
        namespace, uid = nsp.decode(), fields[b"uid"].decode()
        if namespace not in self._memberships or (
            uid == self.uid and b"undelivered" not in fields
        ):
            return None
        if fields[b"type"] == BROADCAST:
            with contextlib.suppress(
                AttributeError, LookupError, TypeError, ValueError
            ):
                if self._deliver(fields):
                    return None
        message: Message = {"uid": uid, "nsp": namespace, "type": int(fields[b"type"])}
        if uid == self.uid:
            message["undelivered"] = True
        data = self._data(fields)
        if data is not None:
            message["data"] = data
        return message

    def _deliver(self, fields: dict[bytes, bytes]) -> bool:
        """Send the event of an entry to clients as the text that it is there.

        Returns:
            Whether that was done, or nobody is to get it. If not, or if anything is
            unusual, the entry has to be decoded.
        """
        data, relay = fields[b"data"], self._relay
        namespace = fields[b"nsp"].decode()
        ns = self._namespace(namespace)
        if ns is None or relay is None or self._sessions is not None:
            return False
        if not ns.peers:
            return True
        at = data.rfind(b',"opts":')
        if at < 0 or not data.startswith(HEAD) or not relay.takes_text:
            return False
        options = orjson.loads(data[at + 8 : -1])
        rooms, flags = options["rooms"], options.get("flags") or {}
        if options.get("except") or not isinstance(rooms, list):
            return False
        if rooms:
            known, peers = ns.rooms.rooms, ns.peers
            rooms = [room for room in rooms if room in known or room in peers]
            if not rooms:
                return True
        text = data[len(HEAD) : at - 1]
        if not text.endswith(b"]"):
            text = text[: text.rfind(b',"nsp":"')]
        event = orjson.loads(text)
        name = event[0]
        if not isinstance(name, str) or name in RESERVED_EVENTS:
            return False
        to = rooms[0] if len(rooms) == 1 and isinstance(rooms[0], str) else rooms
        compress = flags.get("compress") is not False
        volatile = bool(flags.get("volatile"))
        relay.receive(namespace, text, event, to or None, compress, volatile)
        return True

    def _data(self, fields: dict[bytes, bytes]) -> Any:
        """The data of an entry; ``None``: it has none."""
        data = fields.get(b"data")
        if not data:
            return None
        if data.startswith(b"{"):
            return value_of_json(data)
        try:
            value = base64.b64decode(data, validate=True)
        except binascii.Error as exc:
            raise ValueError(f"data of an entry is not base64: {exc}") from exc
        return self._msgpack.decode(value)

    # Connection state recovery.

    def position(self, namespace: str) -> str | None:
        """The id of the last entry that was read of the namespace's stream."""
        return self._offsets.get(self._stream_of(namespace))

    def offset_order(self, offset: str) -> tuple[int, int]:
        """An id of an entry as what can be compared."""
        return number_of(offset)

    def persist_session(self, namespace: str, session: dict[str, Any]) -> None:
        """Keep the state of a client that has gone, as Node's adapter does."""
        ns = self._namespace(namespace)
        if ns is None:
            return
        # Node's servers ignore the namespace, and where the stream was.
        kept = {**session, "nsp": namespace}
        value = encode_session(self._msgpack, kept, self._get_logger())
        key = self.session_key_prefix + session["pid"]
        recovery: Any = ns.recovery
        expiry = str(round(recovery.duration * 1000))
        command = packed("SET", key, base64.b64encode(value), "PX", expiry)
        self._use(asyncio.get_running_loop())
        published = self._enqueue(Command(command, True, key))
        if published is not None:
            published.add_done_callback(self._published)

    async def restore_session(
        self, namespace: str, pid: str, offset: str | None
    ) -> RestoredSession | None:
        """Fetch the state of a client that comes back, and what it missed."""
        client, stream = self._nodes.client, self._stream_of(namespace)
        key = self.session_key_prefix + pid
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.get(key)
            pipeline.delete(key)
            value, _ = await pipeline.execute()
        if not value:
            return None
        session = self._msgpack.decode(base64.b64decode(value))
        if session.get("nsp", namespace) != namespace:
            return None
        start = session.get("offset")
        offset = start if offset is None else offset
        if not isinstance(offset, str) or not _OFFSET.fullmatch(offset):
            return None
        if not await self._is_complete_after(client, stream, offset):
            return None
        rooms = rooms_of(session["rooms"])
        missed, last = [], offset
        for _ in range(MAX_RANGES):
            time, number = number_of(last)
            entries = await client.xrange(stream, f"{time}-{number + 1}", count=RANGE)
            for id, fields in entries:
                last = text_of(id)
                if fields.get(b"nsp") == namespace.encode():
                    event = self._missed(fields, rooms)
                    if event is not None:
                        missed.append((last, event))
            if len(entries) < RANGE:
                break
        else:
            return None
        data = session.get("data")
        return RestoredSession(
            str(session["sid"]),
            rooms,
            data if isinstance(data, dict) else {},
            missed,
            last,
            start,
        )

    async def _is_complete_after(self, client: Any, stream: str, offset: str) -> bool:
        """Whether no entry after this one was dropped."""
        if offset == "0-0":
            return bool(await client.xlen(stream) < self.max_len)
        return bool(await client.xrange(stream, offset, offset))

    def _missed(self, fields: dict[bytes, bytes], rooms: list[Any]) -> list[Any] | None:
        """The event of an entry, if it is one and is for a client in these rooms."""
        try:
            if int(fields[b"type"]) != MessageType.BROADCAST:
                return None
            return event_for(rooms, self._data(fields))
        except Exception as exc:
            self.refuse(exc, fields)
            return None

    async def other_servers(self, namespace: str) -> int:
        """The number of other servers that have a namespace: those subscribed."""
        channel = self._channels_of(namespace)[0]
        if self.emits_only:
            channel = Channel(channel.how, self._channel(namespace))
        count = await number_of_subscribers(self._nodes, channel)
        return max(0, count - (not self.emits_only))
