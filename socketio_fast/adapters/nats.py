"""NATS, with a subject for each namespace and for each room.

The subjects of a namespace, here ``/``: ``socket.io./.all`` is that of all servers,
``socket.io./.room.name`` that of the servers with clients in a room. Responses to a
server go to ``socket.io.server.uid``. Messages are those of
:mod:`socketio_fast.adapters.messages`, as JSON, or as MessagePack if there are bytes in
them. Names of namespaces and rooms are percent-encoded, and those that are long are
replaced by a hash.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from socketio_fast.adapters.encodings import MessageEncoding
from socketio_fast.adapters.messages import Message
from socketio_fast.adapters.nats_connection import NatsConnection
from socketio_fast.adapters.room_channels import Place, RoomChannelsAdapter
from socketio_fast.managers.lifetime import released
from socketio_fast.options.logs import AnyLogger

__all__ = ["NatsAdapter", "token_of"]

# Messages after which it is waited until NATS has them.
BATCH = 100

# Seconds between two questions whether NATS is there.
PING_INTERVAL = 5.0

# Names that are longer than that, percent-encoded, are replaced by a hash.
LONGEST_NAME = 200


class NatsAdapter(RoomChannelsAdapter):
    """Clients of several servers that are connected to NATS.

    Node.js has no official adapter for NATS: all servers are of this package.

    Example::

        sio = socketio.AsyncServer(
            client_manager=socketio.adapters.NatsAdapter("nats://nats.example")
        )

    Args:
        nats: The URL of a NATS server (``nats://``, ``tls://``, ``ws://``, ``wss://``,
            with ``user:password@`` or ``token@``), a list of those of a cluster, or a
            connected client of nats-py, which the program closes.
        subject_prefix: The beginning of the names of subjects.
        subscription_mode: Which events have subjects of their own: ``"dynamic"``, those
            for one room; ``"dynamic-private"``, those for one client too;
            ``"static"``, none. It is the same for all servers.
        heartbeat_interval: Seconds without a message to all servers after which this
            one publishes a heartbeat.
        heartbeat_timeout: Seconds without a message of another server after which it
            is taken for gone.
        request_timeout: Seconds that other servers have to answer.
        nats_options: Arguments of ``nats.connect()``, such as ``tls``, ``user``,
            ``password``, ``token``, ``user_credentials`` and ``nkeys_seed``.
        logger: The logger to use; by default the server's.

    Raises:
        ValueError: The URL has another scheme, the subscription mode is another one, an
            option is not allowed, or a number of seconds is not above 0.
        TypeError: ``nats`` is something else.
        RuntimeError: nats-py, or msgpack, is not installed.
    """

    name = "nats"

    _batch = BATCH
    _may_be_stale = False  # it is asked all the time, see PING_INTERVAL

    def __init__(
        self,
        nats: Any = "nats://localhost:4222",
        *,
        subject_prefix: str = "socket.io",
        subscription_mode: str = "dynamic",
        heartbeat_interval: float = 5.0,
        heartbeat_timeout: float = 10.0,
        request_timeout: float = 5.0,
        nats_options: Mapping[str, Any] | None = None,
        logger: AnyLogger | None = None,
    ) -> None:
        if not all(subject_prefix.split(".")) or set(subject_prefix) & set(" \t\r\n*>"):
            raise ValueError(
                f"subject_prefix={subject_prefix!r}: names with dots between them "
                "expected, without blanks, '*' and '>'"
            )
        self.subject_prefix = subject_prefix
        self._encoding = MessageEncoding(type(self).__name__)
        self._nats = NatsConnection(
            nats, nats_options, type(self).__name__, _Logging(self)
        )
        super().__init__(
            subscription_mode,
            heartbeat_interval=heartbeat_interval,
            heartbeat_timeout=heartbeat_timeout,
            request_timeout=request_timeout,
            logger=logger,
        )

    def _reset(self) -> None:
        super()._reset()
        self._nats.reset()

    async def _disconnect(self) -> None:
        await super()._disconnect()
        await self._nats.close()

    # Subjects.

    def _subject(self, namespace: str, room: Any = None) -> str:
        """The subject of a namespace, or in it of a room."""
        beginning = f"{self.subject_prefix}.{token_of(namespace)}"
        return (
            f"{beginning}.all" if room is None else f"{beginning}.room.{token_of(room)}"
        )

    def _subject_of_server(self, uid: str) -> str:
        return f"{self.subject_prefix}.server.{token_of(uid)}"

    # Publishing.

    def prepare(
        self, message: Message, uid: str | None, text: bytes | None
    ) -> tuple[Any, ...]:
        """The subject of a message, and its payload."""
        if uid is not None:
            subject = self._subject_of_server(uid)
        else:
            subject = self._subject(message["nsp"], self.room_of(message))
        payload = self._encoding.encode(message, text)
        self._check_size(payload)
        return subject, payload

    def _check_size(self, payload: bytes) -> None:
        limit = self._nats.max_payload
        if limit is not None and len(payload) > limit:
            raise ValueError(
                f"a message of {len(payload)} bytes is too large for NATS, whose "
                f"max_payload is {limit} bytes: send less at once, or set max_payload "
                "in the configuration of the NATS server"
            )

    async def publish_all(self, prepared: list[tuple[Any, ...]]) -> None:
        """Publish messages, and wait until NATS has them."""
        client = await self._nats.open()
        for _, payload in prepared:
            self._check_size(payload)
        for subject, payload in prepared:
            await client.publish(subject, payload)
        await self._nats.confirm()

    # Receiving.

    @released
    async def _listen(self) -> AsyncIterator[bytes]:
        client = await self._nats.open()
        try:
            sink = self._sink()
            await self._nats.subscribe(self._subject_of_server(self.uid), sink)
            for namespace in list(self._memberships):
                await self.subscribe(namespace)
            await self._begin_log(client)
            await self._nats.confirm()
            self._on_subscribed()
            await self._nats.watch(PING_INTERVAL, self._check_log())
            yield b""  # never: what comes is received by the sink
        finally:
            await self._nats.close(client)

    async def _begin_log(self, client: Any) -> None:
        """Begin to read the log, if there is one."""

    def _check_log(self) -> Callable[[], None] | None:
        """What raises ConnectionError when nothing comes of the log any more."""
        return None

    def _sink(self) -> _Sink:
        return _Sink(self)

    async def subscribe(self, namespace: str) -> None:
        """Subscribe to the subjects of a namespace."""
        subjects = [
            self._subject(*place) for place in self.rooms_with_channels(namespace)
        ]
        sink = self._sink()
        for subject in (*subjects, self._subject(namespace)):
            await self._nats.subscribe(subject, sink)
        await self._nats.confirm()

    async def unsubscribe(self, namespace: str) -> None:
        """Unsubscribe from the subjects of a namespace."""
        await self._nats.unsubscribe(self._subject(namespace))

    async def follow_rooms(self, created: list[Place], deleted: list[Place]) -> None:
        """Subscribe to the subjects of rooms, and unsubscribe from those of others."""
        for place in deleted:
            await self._nats.unsubscribe(self._subject(*place))
        sink = self._sink()
        for place in created:
            await self._nats.subscribe(self._subject(*place), sink)
        await self._nats.confirm()

    def _receive(self, message: bytes) -> None:
        try:
            decoded = self._encoding.decode(message)
        except Exception as exc:
            self.refuse(exc, message)
        else:
            self.received(decoded)


class _Sink:
    """What nats-py takes for the future of an answer, but tells of all messages.

    Its own callbacks run in a task for each subscription, so that events to different
    rooms would change places.
    """

    def __init__(self, adapter: NatsAdapter) -> None:
        self._adapter = weakref.ref(adapter)

    def cancelled(self) -> bool:
        return False

    def set_result(self, message: Any) -> None:
        adapter = self._adapter()
        if adapter is not None:
            adapter._receive(message.data)


class _Logging:
    """Logs what NATS complains of, such as a permission that is missing."""

    def __init__(self, adapter: NatsAdapter) -> None:
        self._adapter = weakref.ref(adapter)

    def __call__(self, text: str) -> None:
        adapter = self._adapter()
        if adapter is not None:
            adapter._get_logger().warning("NATS: %s", text)


@lru_cache(4096)
def token_of(name: Any) -> str:
    """A name as a part of a subject; no other one has the same."""
    if isinstance(name, str):
        token = quote(name, "/", errors="surrogatepass").replace(".", "%2E") or "%"
    else:
        # 1 and 1.0 and True are the same room.
        whole = not isinstance(name, float) or name.is_integer()
        token = f"${int(name) if whole else name!r}"
        token = token.replace(".", "%2E")
    if len(token) <= LONGEST_NAME:
        return token
    return "=" + hashlib.blake2b(token.encode(), digest_size=24).hexdigest()
