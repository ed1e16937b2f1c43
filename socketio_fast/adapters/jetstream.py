"""NATS with a log: events are kept by JetStream, for clients and servers that are away.

Events, and changes of rooms and clients, are messages of a stream with the subjects
``socket.io.log.namespace``, which each server reads in order. The states of clients
that have gone are messages of another stream, ``socket.io.session.hash``. Everything
else goes by the subjects of :mod:`socketio_fast.adapters.nats`.

The offset of an event is its number in the stream, after what tells apart streams that
were made at different times.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import re
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from socketio_fast.adapters import nats_connection
from socketio_fast.adapters.encodings import MessagePack, encode_session
from socketio_fast.adapters.messages import (
    Message,
    MessageType,
    event_for,
    rooms_of,
)
from socketio_fast.adapters.nats import NatsAdapter, token_of
from socketio_fast.adapters.sessions import RestoredSession
from socketio_fast.coroutines import within
from socketio_fast.managers.broker import NotPublished

__all__ = ["JetStreamAdapter"]

# Messages that are kept while NATS is away, at most.
KEPT = 10_000

# Events that a client may have missed, of the namespace.
MAX_MISSED = 100_000

# Seconds between two signs of life of the log, and after which it is taken for dead.
LOG_HEARTBEAT = 5.0
LOG_TIMEOUT = 16.0

# Messages that are in the log.
LOGGED = (
    MessageType.BROADCAST,
    MessageType.SOCKETS_JOIN,
    MessageType.SOCKETS_LEAVE,
    MessageType.DISCONNECT_SOCKETS,
)

_OFFSET = re.compile(r"([0-9a-f]{8})-([0-9]{1,19})")


class Publication(NamedTuple):
    """A message that is to be published."""

    subject: str
    payload: bytes
    #: What JetStream knows it by, if it is for a stream.
    id: str | None
    #: Whether it is kept while NATS is away.
    keeps: bool = False


class JetStreamAdapter(NatsAdapter):
    """Clients of several servers that share a log of NATS JetStream.

    With ``connection_state_recovery`` clients are recovered by any server. Servers that
    were away get what they missed, and while NATS is away, events are kept.

    Example::

        sio = socketio.AsyncServer(
            client_manager=socketio.adapters.JetStreamAdapter("nats://nats.example"),
            connection_state_recovery=True,
        )

    Args:
        nats: See :class:`NatsAdapter`. JetStream is enabled there.
        stream_name: The name of the stream. That for the states of clients has
            ``-sessions`` after it. They are made if they are not there.
        max_age: Seconds that events and states of clients are kept: not less than
            ``max_disconnection_duration`` of the servers.
        max_len: Messages of the log that are kept.
        stream_options: More fields of ``nats.js.api.StreamConfig`` for streams that
            are made, such as ``num_replicas``, ``storage`` and ``placement``.
        **options: Those of :class:`NatsAdapter`, but ``subscription_mode``: every
            server gets all events.

    Raises:
        ValueError: As by :class:`NatsAdapter`; or the name or a number is not allowed.
        TypeError: ``nats`` is something else.
        RuntimeError: nats-py, or msgpack, is not installed.
    """

    name = "jetstream"

    recovers = True

    _kept = KEPT

    def __init__(
        self,
        nats: Any = "nats://localhost:4222",
        *,
        stream_name: str = "socketio",
        max_age: float = 300.0,
        max_len: int = 100_000,
        stream_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", stream_name):
            raise ValueError(
                f"stream_name={stream_name!r}: letters, digits, '_' and '-' expected"
            )
        if not max_age > 0:
            raise ValueError(f"max_age={max_age!r}: more than 0 seconds expected")
        if not isinstance(max_len, int) or max_len < 1:
            raise ValueError(f"max_len={max_len!r}: a whole number above 0 expected")
        if "subscription_mode" in options:
            raise ValueError("a JetStreamAdapter has no subscription_mode")
        self.stream_name = stream_name
        self.max_age = max_age
        self.max_len = max_len
        self.stream_options = dict(stream_options or {})
        self._msgpack = MessagePack(type(self).__name__)
        self._publications = itertools.count(1)
        super().__init__(nats, subscription_mode="static", **options)

    def _reset(self) -> None:
        super()._reset()
        self._jetstream: Any = None
        # Of the stream that was read last; kept while NATS is away.
        self._epoch: str | None = None
        self._position = 0
        self._reading: _LogSink | None = None

    def _js(self, client: Any) -> Any:
        """The JetStream of a client."""
        if self._jetstream is None or self._jetstream._nc is not client:
            self._jetstream = client.jetstream(timeout=nats_connection.PATIENCE)
        return self._jetstream

    # Subjects.

    @property
    def _sessions_stream(self) -> str:
        return f"{self.stream_name}-sessions"

    def _subject_of_log(self, namespace: str) -> str:
        return f"{self.subject_prefix}.log.{token_of(namespace)}"

    def _subject_of_session(self, namespace: str, pid: str) -> str:
        # A pid comes from a client.
        text = f"{namespace}\n{pid}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, digest_size=24).hexdigest()
        return f"{self.subject_prefix}.session.{digest}"

    # Publishing.

    def prepare(
        self, message: Message, uid: str | None, text: bytes | None
    ) -> Publication:
        """The subject of a message, its payload, and whether it is for the log."""
        kind, data = message["type"], message.get("data")
        if uid is not None or kind not in LOGGED or "requestId" in (data or ()):
            subject, payload = super().prepare(message, uid, text)
            return Publication(subject, payload, None)
        payload = self._encoding.encode(message, text)
        self._check_size(payload)
        subject = self._subject_of_log(message["nsp"])
        volatile = kind == MessageType.BROADCAST and message["data"]["opts"][
            "flags"
        ].get("volatile")
        return self._for_stream(subject, payload, not volatile)

    def _for_stream(self, subject: str, payload: bytes, keeps: bool) -> Publication:
        id = f"{self.uid}-{next(self._publications)}"
        return Publication(subject, payload, id, keeps)

    def _keeps(self, message: Publication) -> bool:
        return message.keeps

    def _size_of(self, message: Publication) -> int:
        return len(message.payload)

    async def publish_all(self, prepared: list[Any]) -> None:
        """Publish messages, and wait until NATS and the streams have them."""
        client = await self._nats.open()
        js = self._js(client)
        for message in prepared:
            self._check_size(message.payload)
        stored: dict[asyncio.Future[Any], Publication] = {}
        for message in prepared:
            if message.id is None:
                await client.publish(message.subject, message.payload)
                continue
            # One that is published again is stored once.
            headers = {"Nats-Msg-Id": message.id}
            ack = await js.publish_async(
                message.subject, message.payload, headers=headers
            )
            stored[ack] = message
        await self._nats.confirm()
        if stored:
            await _confirm_stored(stored)

    # Receiving.

    async def _begin_log(self, client: Any) -> None:
        if self.emits_only:
            return
        js, from_api = self._js(client), _api()
        info = await self._make_stream(
            js, self.stream_name, "log", max_msgs=self.max_len
        )
        await self._make_stream(
            js, self._sessions_stream, "session", max_msgs_per_subject=1
        )
        first, last = info.state.first_seq, info.state.last_seq
        epoch = _epoch_of(info)
        if self._epoch != epoch or self._position > last:
            self._epoch, self._position = epoch, last
        elif self._position + 1 < first:
            self._get_logger().warning(
                "messages of the stream %s were dropped before this server has read "
                "them: it was away for too long for max_age=%g or max_len=%d",
                self.stream_name,
                self.max_age,
                self.max_len,
            )
        inbox = client.new_inbox()
        self._reading = _LogSink(self, self._nats.broken)
        await self._nats.subscribe(inbox, self._reading)
        await js.add_consumer(
            self.stream_name,
            from_api.ConsumerConfig(
                deliver_subject=inbox,
                deliver_policy=from_api.DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self._position + 1,
                ack_policy=from_api.AckPolicy.NONE,
                max_deliver=1,
                idle_heartbeat=LOG_HEARTBEAT,
                inactive_threshold=30.0,
                num_replicas=1,
                mem_storage=True,
            ),
        )

    async def _make_stream(self, js: Any, name: str, part: str, **options: Any) -> Any:
        """Make a stream, unless it is there; returns what is known of it."""
        from nats.js.errors import BadRequestError, NotFoundError

        try:
            return await js.stream_info(name)
        except NotFoundError:
            pass
        try:
            return await js.add_stream(
                name=name,
                subjects=[f"{self.subject_prefix}.{part}.*"],
                **{"max_age": self.max_age, **options, **self.stream_options},
            )
        except BadRequestError as exc:
            try:  # another server may have made it
                return await js.stream_info(name)
            except NotFoundError:
                raise exc from None

    def _check_log(self) -> Callable[[], None] | None:
        return None if self._reading is None else self._reading.check

    def _receive_logged(self, number: int, payload: bytes) -> None:
        self._position = number
        try:
            decoded = self._encoding.decode(payload)
        except Exception as exc:
            self.refuse(exc, payload)
        else:
            self.received(decoded, self._offset(number))

    # Connection state recovery.

    def _offset(self, number: int) -> str:
        return f"{self._epoch}-{number}"

    def position(self, namespace: str) -> str | None:
        """The offset of the last message that was read."""
        return None if self._epoch is None else self._offset(self._position)

    def offset_order(self, offset: str) -> int:
        """The number of an offset."""
        return int(offset.partition("-")[2])

    def persist_session(self, namespace: str, session: dict[str, Any]) -> None:
        """Keep the state of a client that has gone."""
        packed = encode_session(self._msgpack, session, self._get_logger())
        subject = self._subject_of_session(namespace, session["pid"])
        self._use(asyncio.get_running_loop())
        published = self._enqueue(self._for_stream(subject, packed, True))
        if published is not None:
            published.add_done_callback(self._published)

    async def restore_session(
        self, namespace: str, pid: str, offset: str | None
    ) -> RestoredSession | None:
        """Fetch the state of a client that comes back, and what it missed."""
        client = await self._nats.open()
        js = self._js(client)
        session = await self._take_session(js, namespace, pid)
        if session is None:
            return None
        start = session.get("offset")
        info = await js.stream_info(self.stream_name)
        known = _OFFSET.fullmatch((start if offset is None else offset) or "")
        if known is None or known[1] != _epoch_of(info) or known[1] != self._epoch:
            return None
        number = int(known[2])
        # What follows it must be there.
        if not info.state.first_seq - 1 <= number <= info.state.last_seq:
            return None
        messages = await self._read(client, js, namespace, number + 1)
        if messages is None:
            return None
        rooms = rooms_of(session["rooms"])
        missed = []
        for number, payload in messages:
            event = self._missed(rooms, payload)
            if event is not None:
                missed.append((self._offset(number), event))
        data = session.get("data")
        return RestoredSession(
            str(session["sid"]),
            rooms,
            data if isinstance(data, dict) else {},
            missed,
            self._offset(number),
            start,
        )

    async def _take_session(self, js: Any, namespace: str, pid: str) -> Any:
        """Fetch the state of a client, which no other server has after that."""
        from nats.js.errors import APIError, NotFoundError

        subject = self._subject_of_session(namespace, pid)
        try:
            found = await js.get_last_msg(self._sessions_stream, subject)
            # Only one server can do so.
            await js.delete_msg(self._sessions_stream, found.seq)
        except NotFoundError:
            return None
        except APIError as exc:
            self._get_logger().debug("the state of a client is gone: %s", exc)
            return None
        return self._msgpack.decode(found.data)

    def _missed(self, rooms: list[Any], payload: bytes) -> list[Any] | None:
        """The event of a message, if it is one and is for a client in these rooms."""
        try:
            message = self._encoding.decode(payload)
            if message["type"] != MessageType.BROADCAST:
                return None
            return event_for(rooms, message["data"])
        except Exception as exc:
            self.refuse(exc, payload)
            return None

    async def _read(
        self, client: Any, js: Any, namespace: str, start: int
    ) -> list[tuple[int, bytes]] | None:
        """The messages of a namespace from a number on; ``None``: too many."""
        from_api, inbox = _api(), client.new_inbox()
        sink = _RangeSink()
        subscription = await client.subscribe(inbox, future=sink)
        try:
            info = await js.add_consumer(
                self.stream_name,
                from_api.ConsumerConfig(
                    deliver_subject=inbox,
                    deliver_policy=from_api.DeliverPolicy.BY_START_SEQUENCE,
                    opt_start_seq=start,
                    filter_subject=self._subject_of_log(namespace),
                    ack_policy=from_api.AckPolicy.NONE,
                    max_deliver=1,
                    inactive_threshold=30.0,
                    num_replicas=1,
                    mem_storage=True,
                ),
            )
            waiting, sent = info.num_pending or 0, info.delivered.consumer_seq
            if waiting > MAX_MISSED:
                return None
            if waiting or sent:
                await within(sink.complete.wait(), nats_connection.PATIENCE)
            return sink.messages
        finally:
            # Without that the server forgets the consumer.
            await subscription.unsubscribe()


def _api() -> Any:
    from nats.js import api

    return api


def _epoch_of(info: Any) -> str:
    """What tells apart streams of one name that were made at different times."""
    return hashlib.blake2b(str(info.created).encode(), digest_size=4).hexdigest()


async def _confirm_stored(stored: dict[asyncio.Future[Any], Publication]) -> None:
    """Wait until streams have messages.

    Raises:
        NotPublished: Some were not stored.
    """
    await asyncio.wait(stored, timeout=nats_connection.PATIENCE)
    failed, error = [], None
    for future, message in stored.items():
        if not future.done():
            future.cancel()
            failure: BaseException = TimeoutError("the stream has not answered")
        elif future.exception() is not None:
            failure = future.exception()  # type: ignore[assignment]
        else:
            continue
        error = error or failure
        failed.append(message)
    if error is not None:
        raise NotPublished(failed, error)


class _LogSink:
    """Is called by nats-py with what comes of the log."""

    def __init__(self, adapter: JetStreamAdapter, broken: asyncio.Event) -> None:
        self._adapter = weakref.ref(adapter)
        self._broken = broken
        self._count = 0
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()

    def cancelled(self) -> bool:
        return False

    def set_result(self, message: Any) -> None:
        adapter = self._adapter()
        if adapter is None or self._broken.is_set():
            return
        self._heard = self._loop.time()
        if message.headers and "Status" in message.headers:
            return  # a sign of life
        try:
            sequence = message.metadata.sequence
        except Exception as exc:
            adapter.refuse(exc, message.data)
            return
        self._count += 1
        if sequence.consumer != self._count:
            # One was lost on its way: begin again after the last one.
            self._broken.set()
            return
        adapter._receive_logged(sequence.stream, message.data)

    def check(self) -> None:
        """Raise ConnectionError if nothing has come for too long."""
        if self._loop.time() > self._heard + LOG_TIMEOUT:
            raise ConnectionError("nothing comes of the log any more")


class _RangeSink:
    """Collects messages of a stream up to the last one."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, bytes]] = []
        self.complete = asyncio.Event()

    def cancelled(self) -> bool:
        return False

    def set_result(self, message: Any) -> None:
        metadata = message.metadata
        self.messages.append((metadata.sequence.stream, message.data))
        if not metadata.num_pending:
            self.complete.set()
