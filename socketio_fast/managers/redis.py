"""Redis or Valkey, alone or behind Sentinel: PUBLISH and SUBSCRIBE of one channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from socketio_fast.managers.broker import NotPublished
from socketio_fast.managers.lifetime import released
from socketio_fast.managers.pubsub import AsyncPubSubManager
from socketio_fast.managers.redis_clients import (
    RedisClients,
    parse_redis_sentinel_url,
)
from socketio_fast.managers.redis_publishing import (
    KeptConnections,
    failure_of,
    packed,
)
from socketio_fast.managers.sync import PubSubManager
from socketio_fast.options.logs import AnyLogger
from socketio_fast.overrides import is_overridden, refuse_overrides

__all__ = ["AsyncRedisManager", "RedisManager", "parse_redis_sentinel_url"]

# Messages that are published in one round trip, at most.
BATCH = 100

# Methods of python-socketio's manager, which only a subclass that overrides both
# _publish() and _listen() may override.
HELPERS = dict.fromkeys(
    (
        "_get_redis_module",
        "_get_redis_module_and_error",
        "_redis_connect",
        "_redis_listen_with_retries",
    ),
    "override _publish() and _listen(), or pass redis_options=",
)

IN_THREADS = dict.fromkeys(
    ("_publish", "_listen"),
    "it drives an AsyncRedisManager. Subclass PubSubManager for a broker of your own, "
    "or AsyncRedisManager for AsyncServer",
)

# Seconds without a message after which the broker is asked whether it is still there.
PING_INTERVAL = 15


class AsyncRedisManager(AsyncPubSubManager):
    """Clients of several processes that share a channel of Redis or Valkey.

    Example::

        sio = socketio.AsyncServer(
            client_manager=socketio.AsyncRedisManager("redis://redis.example")
        )

    Args:
        url: ``redis://``, ``rediss://`` (TLS), ``unix://``, ``valkey://`` or
            ``valkeys://`` as those packages take it; or ``redis+sentinel://`` and
            ``valkey+sentinel://`` with
            ``[user:password@]host:port,host:port/[database]/service``.
        channel: Its name, the same in all processes.
        write_only: Whether this process only sends, with a server or without one.
        logger: The logger to use; by default the server's.
        json: What has ``dumps`` and ``loads``; by default JSON as clients get it.
        redis_options: Arguments for ``Redis.from_url()``, or for ``Sentinel()``.

    Raises:
        ValueError: The URL has another scheme.
        RuntimeError: The package for that is not installed.
    """

    name = "aioredis"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_overrides(cls, HELPERS, unless=("_publish", "_listen"))

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        channel: str = "socketio",
        write_only: bool = False,
        logger: AnyLogger | None = None,
        json: Any = None,
        redis_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.redis_url = url
        self.redis_options = dict(redis_options or {})
        self._clients = RedisClients(url, self.redis_options, type(self).__name__)
        self._clients.retries = False  # what is repeated may be published twice
        self._package = self._clients.package
        super().__init__(channel, write_only, logger, json)
        if not is_overridden(self, "_publish"):
            self._batch = BATCH

    def _reset(self) -> None:
        super()._reset()
        self._clients.forget()
        #: The client of the package; ``None`` before it is used.
        self.redis: Any = None
        # The connection that publishes.
        self._connections = KeptConnections(self._clients)
        #: For a subclass with a ``_listen()`` of its own, see :meth:`_redis_connect`.
        self.pubsub: Any = None
        #: Likewise; it sets it to ``False`` to connect anew.
        self.connected = False

    def _connect(self) -> Any:
        if self.redis is None:
            self._clients.options = self.redis_options
            self.redis = self._clients.new(self.channel)
        return self.redis

    # For subclasses whose _publish() and _listen() were written for python-socketio.

    def _redis_connect(self) -> None:
        """Make :attr:`redis` and :attr:`pubsub` anew."""
        self.redis = None
        self.pubsub = self._connect().pubsub(ignore_subscribe_messages=True)
        self.connected = True

    def _get_redis_module(self) -> Any:
        return self._package

    def _get_redis_module_and_error(self) -> tuple[Any, type[Exception]]:
        base = f"{self._package.__name__.partition('.')[0].capitalize()}Error"
        error: type[Exception] = getattr(self._package, base)
        return self._package, error

    async def _publish(self, data: dict[str, Any]) -> None:
        try:
            await self._publish_at_once([data])
        except NotPublished as exc:
            raise exc.error from None

    async def _publish_all(self, messages: list[dict[str, Any]]) -> None:
        if self._batch == 1:
            await super()._publish_all(messages)
        else:
            await self._publish_at_once(messages)

    async def _publish_at_once(self, messages: list[dict[str, Any]]) -> None:
        commands = [
            packed("PUBLISH", self.channel, self._encode(message))
            for message in messages
        ]
        client = self._connect()
        try:
            refused = await self._connections.send(client, commands)
        except Exception:
            # The other idle connections are likely to be broken too.
            await self._clients.drop_idle(client)
            raise
        failure = failure_of([(messages, refused)])
        if failure is not None:
            raise failure

    @released
    async def _listen(self) -> AsyncIterator[str | bytes]:
        pubsub = self._connect().pubsub()
        asked = False
        try:
            await pubsub.subscribe(self.channel)
            while True:
                message = await pubsub.get_message(timeout=PING_INTERVAL)
                if message is None:
                    if asked:
                        raise TimeoutError(f"no answer in {PING_INTERVAL} s")
                    asked = True
                    await pubsub.ping()
                    continue
                asked = False
                if message["type"] == "message":
                    yield message["data"]
                elif message["type"] == "subscribe":
                    self._on_subscribed()
        finally:
            await pubsub.aclose()

    async def _disconnect(self) -> None:
        await self._connections.release()
        if self.redis is not None:
            await self.redis.aclose()
        await self._clients.close()


class RedisManager(PubSubManager):
    """:class:`AsyncRedisManager` for programs that are not asyncio's.

    Example, of a program that only sends::

        manager = socketio.RedisManager("redis://", write_only=True)
        manager.emit("news", {"a": 1}, room="subscribers")

    Args:
        url: See :class:`AsyncRedisManager`, as for all others.
        channel: The same.
        write_only: The same.
        logger: The same.
        json: The same.
        redis_options: The same.

    Raises:
        ValueError: The URL has another scheme.
        RuntimeError: The package for that is not installed.
    """

    name = "redis"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_overrides(cls, HELPERS | IN_THREADS)

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        channel: str = "socketio",
        write_only: bool = False,
        logger: AnyLogger | None = None,
        json: Any = None,
        redis_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.redis_url = url
        self.redis_options = dict(redis_options or {})
        super().__init__(channel, write_only, logger, json)

    def _new_async_manager(
        self, channel: str, write_only: bool, logger: AnyLogger | None, json: Any
    ) -> AsyncPubSubManager:
        return AsyncRedisManager(
            self.redis_url, channel, write_only, logger, json, self.redis_options
        )
