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
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

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
from socketio_fast.adapters.sessions import RestoredSession
from socketio_fast.managers.broker import NotPublished
from socketio_fast.managers.lifetime import released
from socketio_fast.managers.redis_clients import RedisClients
from socketio_fast.options.logs import AnyLogger

__all__ = ["RedisStreamsAdapter"]

# Messages that are published in one round trip, at most.
BATCH = 100

# Messages that are kept while Redis is away, at most.
KEPT = 10_000

# Entries that are read at once for a client that comes back, and how often, at most.
RANGE = 1000
MAX_RANGES = 100

# Seconds without a message after which the broker is asked whether it is still there.
PING_INTERVAL = 15

# Messages that are sent by PUBLISH, besides broadcasts to be acknowledged.
EPHEMERAL = (MessageType.SERVER_SIDE_EMIT, MessageType.FETCH_SOCKETS)


_OFFSET = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


class Command(NamedTuple):
    """A command that publishes a message."""

    arguments: tuple[Any, ...]
    #: Whether it is kept while Redis is away.
    keeps: bool


class RedisStreamsAdapter(ClusterAdapter):
    """Clients of several servers that share streams of Redis or Valkey.

    Servers in Node.js with ``@socket.io/redis-streams-adapter`` 0.3 may be among them,
    with the same options.

    Example::

        sio = socketio.AsyncServer(
            client_manager=socketio.adapters.RedisStreamsAdapter("redis://")
        )

    Args:
        redis: The URL of the Redis, see :class:`socketio_fast.AsyncRedisManager`; or a
            client of ``redis.asyncio`` or ``valkey.asyncio``, which the program closes.
        stream_name: The name of the stream.
        stream_count: The number of streams; a namespace has one of them. With more than
            one the names are ``socket.io-0``, ``socket.io-1``, …
        channel_prefix: The beginning of the names of channels.
        use_sharded_pubsub: Whether messages go by SPUBLISH (Redis 7).
        max_len: The entries of a stream that are kept, about.
        read_count: Entries that are read at once, at most.
        block_time: Seconds that reading waits for an entry.
        session_key_prefix: The beginning of the keys of sessions of clients that may be
            recovered.
        only_plaintext: Whether JSON is published without a look for bytes.
        request_timeout: Seconds that other servers have to answer.
        redis_options: Arguments for ``Redis.from_url()``, or for ``Sentinel()``.
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
        self._clients = RedisClients.of(redis, redis_options, type(self).__name__)
        # A command that is repeated may be done twice; _try_to_publish() knows more.
        self._clients.retries = False
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
        self._redis: Any = None
        self._pubsub: Any = None
        # Channels that were asked for, and what waits until Redis has confirmed them.
        self._channels: dict[str, asyncio.Future[None]] = {}
        # The last entry that was read of each stream; kept while Redis is away.
        self._offsets: dict[str, str] = {}

    def _connect(self) -> Any:
        if self._redis is None:
            self._redis = self._clients.new()
        return self._redis

    async def _disconnect(self) -> None:
        if self._redis is not None:
            await self._clients.give_back(self._redis)
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
        return f"{self.stream_name}-{abs(_hash(namespace)) % self.stream_count}"

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
        fields: list[Any] = ["uid", message["uid"], "nsp", message["nsp"]]
        fields += ["type", str(kind)]
        if data is not None:
            fields += ["data", self._encoded(data, text)]
        if "undelivered" in message:
            fields += ["undelivered", "1"]
        stream = self._stream_of(message["nsp"])
        command = ("XADD", stream, "MAXLEN", "~", self.max_len, "*", *fields)
        volatile = kind == MessageType.BROADCAST and "volatile" in data["opts"]["flags"]
        return Command(command, not volatile)

    def _publish_command(self, message: Message, uid: str | None) -> Command:
        command = "SPUBLISH" if self.use_sharded_pubsub else "PUBLISH"
        payload = self._msgpack.encode(message)
        # Who asks does not wait longer than its request lasts.
        return Command((command, self._channel(message["nsp"], uid), payload), False)

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
        """Send commands in one round trip."""
        client = self._connect()
        try:
            async with client.pipeline(transaction=False) as pipeline:
                for command in prepared:
                    pipeline.execute_command(*command.arguments)
                results = await pipeline.execute(raise_on_error=False)
        except Exception:
            # The other idle connections are likely to be broken too.
            await self._clients.drop_idle(client)
            raise
        failed = [
            (command, result)
            for command, result in zip(prepared, results, strict=True)
            if isinstance(result, Exception)
        ]
        if failed:
            raise NotPublished([command for command, _ in failed], failed[0][1])

    def _keeps(self, message: Command) -> bool:
        return message.keeps

    # Receiving.

    def _sources(self) -> list[tuple[Any, ...]]:
        streams = [] if self.emits_only else [("_read_streams",)]
        return [*streams, ("_read_channels",)]

    @released
    async def _read_streams(self) -> AsyncIterator[tuple[dict[bytes, bytes], str]]:
        client = self._clients.new()
        block = self._clients.block(client, self.block_time)
        try:
            for stream in self._streams:
                await self._find_offset(client, stream)
            self._on_subscribed(("_read_streams",))
            while True:
                found = await client.xread(
                    {name: self._offsets[name] for name in self._streams},
                    count=self.read_count,
                    block=block,
                )
                for name, entries in _pairs(found):
                    for offset, fields in entries:
                        self._offsets[_text(name)] = text = _text(offset)
                        yield fields, text
        finally:
            await self._clients.give_back(client)

    async def _find_offset(self, client: Any, stream: str) -> None:
        """Find where to read on: where reading has ended, at first at the end."""
        last = await _end_of(client, stream, newest=True)
        known = self._offsets.get(stream)
        if known is None or _number(last) < _number(known):
            # Another Redis than before, whose clock or log is behind.
            self._offsets[stream] = last
            return
        first = await _end_of(client, stream, newest=False)
        if _number(known) < _number(first) and known != "0-0":
            self._get_logger().warning(
                "entries of the stream %s were dropped before this server has read "
                "them: it was away for too long for max_len=%d",
                stream,
                self.max_len,
            )

    @released
    async def _read_channels(self) -> AsyncIterator[bytes]:
        client = self._clients.new()
        pubsub = client.pubsub()
        sharded = self.use_sharded_pubsub
        get = (
            pubsub.get_sharded_message
            if hasattr(pubsub, "get_sharded_message") and (sharded)
            else pubsub.get_message
        )
        asked = False
        try:
            self._channels = {}
            self._pubsub = pubsub
            await self._ask_for(self._channel("/", self.uid))
            while True:
                message = await get(timeout=PING_INTERVAL)
                if message is None:
                    if asked:
                        raise TimeoutError(f"no answer in {PING_INTERVAL} s")
                    asked = True
                    await pubsub.ping()
                    continue
                asked = False
                kind = message["type"]
                if kind in ("message", "smessage"):
                    yield message["data"]
                elif kind in ("subscribe", "ssubscribe"):
                    confirmed = self._channels.get(_text(message["channel"]))
                    if confirmed is not None and not confirmed.done():
                        confirmed.set_result(None)
                    self._on_subscribed(("_read_channels",))
        finally:
            if self._pubsub is pubsub:
                self._pubsub = None
            await pubsub.aclose()
            await self._clients.give_back(client)

    async def _ask_for(self, channel: str) -> asyncio.Future[None]:
        confirmed = self._channels.get(channel)
        if confirmed is None:
            confirmed = asyncio.get_running_loop().create_future()
            self._channels[channel] = confirmed
            if self.use_sharded_pubsub:
                await self._pubsub.ssubscribe(channel)
            else:
                await self._pubsub.subscribe(channel)
        return confirmed

    def _channels_of(self, namespace: str) -> list[str]:
        own = self._channel(namespace, self.uid)
        # Who subscribes to the channel of the namespace is counted as a server.
        return [own] if self.emits_only else [self._channel(namespace), own]

    async def subscribe(self, namespace: str) -> None:
        """Subscribe to the channels of a namespace."""
        for channel in self._channels_of(namespace):
            await (await self._ask_for(channel))

    async def unsubscribe(self, namespace: str) -> None:
        """Unsubscribe from the channels of a namespace."""
        for channel in self._channels_of(namespace):
            # The first one keeps the subscription of the connection.
            if self._channels.pop(channel, None) is not None:
                if self.use_sharded_pubsub:
                    await self._pubsub.sunsubscribe(channel)
                else:
                    await self._pubsub.unsubscribe(channel)

    def _receive(self, message: Any) -> None:
        try:
            if isinstance(message, tuple):
                fields, offset = message
                decoded = self._decoded(fields)
                if decoded is not None:
                    self.received(decoded, offset)
            else:
                self.received(self._msgpack.decode(message))
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
        message: Message = {"uid": uid, "nsp": namespace, "type": int(fields[b"type"])}
        if uid == self.uid:
            message["undelivered"] = True
        data = self._data(fields)
        if data is not None:
            message["data"] = data
        return message

    def _data(self, fields: dict[bytes, bytes]) -> Any:
        """The data of an entry; ``None``: it has none."""
        data = fields.get(b"data")
        if not data:
            return None
        if data.startswith(b"{"):
            return value_of_json(data)
        try:
            packed = base64.b64decode(data, validate=True)
        except binascii.Error as exc:
            raise ValueError(f"data of an entry is not base64: {exc}") from exc
        return self._msgpack.decode(packed)

    # Connection state recovery.

    def position(self, namespace: str) -> str | None:
        """The id of the last entry that was read of the namespace's stream."""
        return self._offsets.get(self._stream_of(namespace))

    def offset_order(self, offset: str) -> tuple[int, int]:
        """An id of an entry as what can be compared."""
        return _number(offset)

    def persist_session(self, namespace: str, session: dict[str, Any]) -> None:
        """Keep the state of a client that has gone, as Node's adapter does."""
        ns = self._namespace(namespace)
        if ns is None:
            return
        # Node's servers ignore the namespace, and where the stream was.
        kept = {**session, "nsp": namespace}
        packed = encode_session(self._msgpack, kept, self._get_logger())
        key = self.session_key_prefix + session["pid"]
        recovery: Any = ns.recovery
        expiry = round(recovery.duration * 1000)
        command = ("SET", key, base64.b64encode(packed), "PX", expiry)
        self._use(asyncio.get_running_loop())
        published = self._enqueue(Command(command, True))
        if published is not None:
            published.add_done_callback(self._published)

    async def restore_session(
        self, namespace: str, pid: str, offset: str | None
    ) -> RestoredSession | None:
        """Fetch the state of a client that comes back, and what it missed."""
        client, stream = self._connect(), self._stream_of(namespace)
        key = self.session_key_prefix + pid
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.get(key)
            pipeline.delete(key)
            packed, _ = await pipeline.execute()
        if not packed:
            return None
        session = self._msgpack.decode(base64.b64decode(packed))
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
            time, number = _number(last)
            entries = await client.xrange(stream, f"{time}-{number + 1}", count=RANGE)
            for id, fields in entries:
                last = _text(id)
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
        command = "SHARDNUMSUB" if self.use_sharded_pubsub else "NUMSUB"
        channel = self._channel(namespace)
        found = await self._connect().execute_command(f"PUBSUB {command}", channel)
        return max(0, int(_count(found)) - (not self.emits_only))


def _hash(text: str) -> int:
    """The hash of a namespace, as Node's adapter computes it: 32 bits, with a sign."""
    value = 0
    data = text.encode("utf-16-le", "surrogatepass")
    for i in range(0, len(data), 2):
        value = (value * 31 + int.from_bytes(data[i : i + 2], "little")) & 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


async def _end_of(client: Any, stream: str, *, newest: bool) -> str:
    """The id of the last or the first entry of a stream; ``0-0``: it has none."""
    read = client.xrevrange if newest else client.xrange
    found = await read(stream, count=1)
    return _text(found[0][0]) if found else "0-0"


def _number(offset: str) -> tuple[int, int]:
    """An id of an entry as what can be compared."""
    time, _, count = offset.partition("-")
    return int(time), int(count)


def _pairs(found: Any) -> Any:
    """What XREAD has returned: names of streams with their entries."""
    if isinstance(found, dict):  # RESP3
        return [
            (name, entries[0] if len(entries) == 1 else entries)
            for name, entries in found.items()
        ]
    return found or ()


def _count(found: Any) -> Any:
    """What PUBSUB NUMSUB has returned."""
    if isinstance(found, dict):
        return next(iter(found.values()), 0)
    if found and isinstance(found[0], (tuple, list)):
        return found[0][1]
    return found[1] if found else 0


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value
