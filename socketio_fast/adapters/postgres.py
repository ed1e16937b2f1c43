"""PostgreSQL's LISTEN and NOTIFY: the format of ``@socket.io/postgres-adapter`` 0.5.

A message is the JSON that a notification on the channel ``socket.io#/`` (with the
namespace) carries. One that is too long for that, or has bytes in it, is a row of a
table, as MessagePack, and the notification has its id.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, NamedTuple

from socketio_fast._core.engine.failures import ends_task
from socketio_fast.adapters.cluster import ClusterAdapter
from socketio_fast.adapters.encodings import (
    MessagePack,
    broadcast_json,
    json_of,
    value_of_json,
)
from socketio_fast.adapters.messages import Message
from socketio_fast.coroutines import within
from socketio_fast.managers.extras import require
from socketio_fast.managers.lifetime import released, run_for
from socketio_fast.options.logs import AnyLogger

__all__ = ["PostgresAdapter"]

# Messages that are published in one transaction, at most.
BATCH = 100
# Bytes from which on PostgreSQL refuses a notification, and the name of a channel.
MAX_PAYLOAD = 8000
MAX_CHANNEL = 64
# Seconds to connect, for a statement, and for a notification to arrive.
TIMEOUT = 5.0
# Seconds without a message after which PostgreSQL is asked whether it is still there.
PING_INTERVAL = 15.0

NOTIFY = "SELECT pg_notify(c, p) FROM unnest($1::text[], $2::text[]) AS t(c, p)"

ATTACH = """
WITH attached AS (INSERT INTO {table} (payload) VALUES ($2) RETURNING id)
SELECT pg_notify($1, json_build_object(
    'uid', $3::text, 'type', $4::int, 'attachmentId', id::text
)::text) FROM attached
"""

CREATE = """
CREATE TABLE IF NOT EXISTS {table} (
    id bigserial UNIQUE, created_at timestamptz DEFAULT now(), payload bytea
)
"""

CLEAN_UP = "DELETE FROM {table} WHERE created_at < now() - $1 * interval '1 second'"


class Notification(NamedTuple):
    """What publishes a message."""

    channel: str
    #: The JSON of the message; ``None``: it goes by the table.
    text: str | None
    uid: str
    kind: int
    #: Its MessagePack, for the table.
    attachment: bytes | None


class PostgresAdapter(ClusterAdapter):
    """Clients of several servers that share a database of PostgreSQL.

    Servers in Node.js with ``@socket.io/postgres-adapter`` may be among them, with the
    same options. The table for attachments is made if it is not there.

    Example::

        sio = socketio.AsyncServer(
            client_manager=socketio.adapters.PostgresAdapter("postgresql://db.example")
        )

    Args:
        postgres: The URL of the database as ``asyncpg.connect()`` takes it, or a pool
            of asyncpg, which the program closes. The adapter keeps one connection of
            it, and uses others for moments. A connection through pgbouncer in
            transaction mode receives no notifications.
        channel_prefix: The beginning of the names of channels.
        table_name: The table for what notifications cannot carry, with its schema if it
            is to be another than the default.
        payload_threshold: Bytes of a message above which it goes by the table.
        cleanup_interval: Seconds between two removals of old rows, and their age.
        heartbeat_interval: Seconds without a message of this server after which it
            publishes a heartbeat.
        heartbeat_timeout: Seconds without a message of another server after which it
            is taken for gone.
        request_timeout: Seconds that other servers have to answer.
        logger: The logger to use; by default the server's.

    Raises:
        ValueError: An option has a value that is not allowed.
        TypeError: ``postgres`` is neither a URL nor a pool.
        RuntimeError: asyncpg or msgpack is not installed.
    """

    name = "postgres"

    _batch = BATCH

    def __init__(
        self,
        postgres: Any = "postgresql://localhost",
        *,
        channel_prefix: str = "socket.io",
        table_name: str = "socket_io_attachments",
        payload_threshold: int = MAX_PAYLOAD,
        cleanup_interval: float = 30.0,
        heartbeat_interval: float = 5.0,
        heartbeat_timeout: float = 10.0,
        request_timeout: float = 5.0,
        logger: AnyLogger | None = None,
    ) -> None:
        self._asyncpg = require("asyncpg", "postgres", type(self).__name__)
        self._msgpack = MessagePack(type(self).__name__)
        if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", table_name, re.ASCII):
            raise ValueError(
                f"table_name={table_name!r}: a name of letters, digits and _, or two "
                "of them with a dot between, expected"
            )
        if not 0 < payload_threshold <= MAX_PAYLOAD:
            raise ValueError(
                f"payload_threshold={payload_threshold!r}: 1 to {MAX_PAYLOAD} bytes "
                "expected, as PostgreSQL limits notifications"
            )
        if not cleanup_interval > 0:
            raise ValueError(
                f"cleanup_interval={cleanup_interval!r}: more than 0 seconds expected"
            )
        self._given: Any = None
        if isinstance(postgres, self._asyncpg.Pool):
            if postgres.get_max_size() < 2:
                raise ValueError(
                    "a pool of one connection: the adapter keeps one to listen, and "
                    "needs another to publish. Make it with max_size=2 or more"
                )
            self._given = postgres
        elif not isinstance(postgres, str):
            raise TypeError(
                f"{type(self).__name__}({postgres!r:.80}): a URL or a pool of asyncpg "
                "expected"
            )
        self._url = postgres
        self.channel_prefix = channel_prefix
        self.table_name = table_name
        self.payload_threshold = payload_threshold
        self.cleanup_interval = cleanup_interval
        super().__init__(
            heartbeat_interval=heartbeat_interval,
            heartbeat_timeout=heartbeat_timeout,
            request_timeout=request_timeout,
            logger=logger,
        )

    def _reset(self) -> None:
        super()._reset()
        self._pool: Any = None
        self._listening: Any = None
        # Only one statement at a time is allowed on it.
        self._lock = asyncio.Lock()
        self._on_notification: Callable[..., None] | None = None
        self._cleaning: asyncio.Task[None] | None = None

    def initialize(self) -> None:
        """Begin to exchange messages with other servers."""
        super().initialize()
        assert self._loop is not None
        self._cleaning = run_for(self, _clean_up, self._loop)

    async def _connect(self) -> Any:
        """The pool for statements."""
        if self._pool is None:
            self._pool = self._given or await self._asyncpg.create_pool(
                self._url,
                min_size=0,
                max_size=2,
                timeout=TIMEOUT,
                command_timeout=TIMEOUT,
            )
        return self._pool

    async def _disconnect(self) -> None:
        if self._cleaning is not None:
            self._cleaning.cancel()
        if self._pool is not None and self._given is None:
            with contextlib.suppress(Exception):
                await within(self._pool.close(), TIMEOUT)
            self._pool.terminate()

    def _channel(self, namespace: str) -> str:
        channel = f"{self.channel_prefix}#{namespace}"
        if len(channel.encode()) >= MAX_CHANNEL:
            raise ValueError(
                f"namespace {namespace!r:.80}: with {self.channel_prefix!r} it has "
                f"more than the {MAX_CHANNEL - 1} bytes that a channel may have"
            )
        return channel

    # Publishing.

    def prepare(
        self, message: Message, uid: str | None, text: bytes | None
    ) -> Notification:
        """The notification that publishes a message."""
        channel = self._channel(message["nsp"])
        found = self._json(message, text)
        head = (message["uid"], message["type"])
        most = min(self.payload_threshold, MAX_PAYLOAD - 1)
        if found is not None and len(found) <= most:
            return Notification(channel, found.decode(), *head, None)
        return Notification(channel, None, *head, self._msgpack.encode(message))

    def _json(self, message: Message, text: bytes | None) -> bytes | None:
        """The JSON of a message; ``None`` if there are bytes in it."""
        if text is None:
            return json_of(message)
        data = broadcast_json(message["data"], text)
        nsp = json_of(message["nsp"])
        assert nsp is not None
        head = (message["uid"].encode(), nsp, message["type"])
        return b'{"uid":"%b","nsp":%b,"type":%d,"data":%b}' % (*head, data)

    async def publish_all(self, prepared: list[Notification]) -> None:
        """Publish notifications in one transaction."""
        pool = await self._connect()
        async with pool.acquire(timeout=TIMEOUT) as connection:
            async with connection.transaction():
                if await self._notify(connection, prepared):
                    return
            # In one transaction, PostgreSQL delivers equal ones once.
            for one in prepared:
                await self._notify(connection, [one])

    async def _notify(self, connection: Any, messages: list[Notification]) -> bool:
        """Publish notifications; returns whether there are no equal ones among them."""
        texts = [message.text for message in messages if message.text is not None]
        if len(set(texts)) != len(texts):
            return False
        waiting: list[Notification] = []
        for message in messages:
            if message.text is not None:
                waiting.append(message)
                continue
            await self._notify_texts(connection, waiting)
            waiting.clear()
            await connection.execute(
                ATTACH.format(table=self.table_name),
                message.channel,
                message.attachment,
                message.uid,
                message.kind,
            )
        await self._notify_texts(connection, waiting)
        return True

    async def _notify_texts(
        self, connection: Any, messages: list[Notification]
    ) -> None:
        if messages:
            channels = [message.channel for message in messages]
            texts = [message.text for message in messages]
            await connection.execute(NOTIFY, channels, texts)

    # Receiving.

    @released
    async def _listen(self) -> AsyncIterator[Any]:
        pool = await self._connect()
        given = self._given is not None
        if not given:
            connection = await self._asyncpg.connect(
                self._url, timeout=TIMEOUT, command_timeout=TIMEOUT
            )
        else:
            connection = await pool.acquire(timeout=TIMEOUT)
        came: asyncio.Queue[Any] = asyncio.Queue()
        on_notification = partial(_put, came)
        connection.add_termination_listener(on_notification)
        try:
            await self._try_notification(connection, pool)
            await self._make_table(pool)
            self._listening, self._on_notification = connection, on_notification
            self._on_subscribed()
            while True:
                try:
                    notification = await within(came.get(), PING_INTERVAL)
                except asyncio.TimeoutError:
                    async with self._lock:
                        await connection.execute("SELECT 1")
                    continue
                if notification is None:
                    raise ConnectionError("the connection was closed")
                channel, payload = notification
                if '"attachmentId"' in payload:
                    payload = await self._fetch_message(pool, payload)
                yield channel, payload
        finally:
            connection.remove_termination_listener(on_notification)
            if not given:
                connection.terminate()
            with contextlib.suppress(ReferenceError):  # the adapter is gone
                self._listening = None
                for namespace in list(self._memberships) if given else ():
                    channel = self._channel(namespace)
                    await connection.remove_listener(channel, on_notification)
            if given:
                await pool.release(connection)

    async def _try_notification(self, connection: Any, pool: Any) -> None:
        """Check that notifications arrive.

        Raises:
            ConnectionError: They do not.
        """
        channel = f"{self.channel_prefix}#{self.uid}"
        arrived = asyncio.get_running_loop().create_future()

        def on_notification(*args: object) -> None:
            if not arrived.done():
                arrived.set_result(None)

        await connection.add_listener(channel, on_notification)
        async with pool.acquire(timeout=TIMEOUT) as other:
            await other.execute("SELECT pg_notify($1, '')", channel)
        try:
            await within(arrived, TIMEOUT)
        except asyncio.TimeoutError:
            raise ConnectionError(
                f"a notification has not arrived in {TIMEOUT:g} s. If there is a "
                "pgbouncer between, it has pool_mode=transaction or statement: LISTEN "
                "needs a connection to PostgreSQL of its own. Give the adapter the URL "
                "of PostgreSQL itself, or of a pgbouncer with pool_mode=session"
            ) from None
        await connection.remove_listener(channel, on_notification)

    async def _make_table(self, pool: Any) -> None:
        try:
            async with pool.acquire(timeout=TIMEOUT) as connection:
                await connection.execute(CREATE.format(table=self.table_name))
        except self._asyncpg.PostgresError as exc:
            # It may be there, and this user may not be allowed to make one.
            self._get_logger().debug("no table was made: %s", exc)

    async def subscribe(self, namespace: str) -> None:
        """Listen to the channel of a namespace."""
        async with self._lock:
            if self._listening is not None:
                await self._listening.add_listener(
                    self._channel(namespace), self._on_notification
                )

    async def unsubscribe(self, namespace: str) -> None:
        """Listen to the channel of a namespace no longer."""
        async with self._lock:
            if self._listening is not None:
                await self._listening.remove_listener(
                    self._channel(namespace), self._on_notification
                )

    async def _fetch_message(self, pool: Any, payload: str) -> Any:
        """The message of a notification that has the id of its row."""
        try:
            told = value_of_json(payload)
            if told["uid"] == self.uid:
                return None
            id = int(told["attachmentId"])
        except (KeyError, TypeError, ValueError):
            return payload  # it is a message, or none
        # Here, so that later messages come later.
        async with pool.acquire(timeout=TIMEOUT) as connection:
            query = f"SELECT payload FROM {self.table_name} WHERE id = $1"
            found = await connection.fetchval(query, id)
        if found is None:
            error = LookupError("its row is gone: this server was too slow")
            self.refuse(error, payload)
            return None
        return found

    def _receive(self, message: tuple[str, str | bytes | None]) -> None:
        channel, payload = message
        if payload is None:
            return
        try:
            if isinstance(payload, bytes):
                decoded = self._msgpack.decode(payload)
            elif payload.startswith(f'{{"uid":"{self.uid}"'):
                return
            else:
                decoded = value_of_json(payload)
            if isinstance(decoded, dict):
                # Node's emitter does not name the namespace.
                decoded.setdefault("nsp", channel[len(self.channel_prefix) + 1 :])
            self.received(decoded)
        except Exception as exc:
            self.refuse(exc, payload)

    async def _clean_up_once(self) -> None:
        try:
            pool = await self._connect()
            async with pool.acquire(timeout=TIMEOUT) as connection:
                query = CLEAN_UP.format(table=self.table_name)
                await connection.execute(query, self.cleanup_interval)
        except BaseException as exc:
            if ends_task(exc):
                raise
            self._get_logger().debug("old attachments were not removed: %r", exc)


async def _clean_up(found: Callable[[], PostgresAdapter | None]) -> None:
    """Remove old attachments until the adapter is gone."""
    while (adapter := found()) is not None:
        interval = adapter.cleanup_interval
        del adapter
        await asyncio.sleep(interval)
        if (adapter := found()) is None:
            return
        await adapter._clean_up_once()
        del adapter


def _put(queue: asyncio.Queue[Any], *args: Any) -> None:
    """A notification has come, or the connection has ended."""
    queue.put_nowait(args[2:] if len(args) == 4 else None)
