"""Clients of Redis and Valkey, by the packages of these names."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any
from urllib.parse import unquote, urlsplit

from socketio_fast.managers.extras import require

__all__ = ["RedisClients", "parse_redis_sentinel_url"]

PACKAGES = {
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
    "redis+sentinel": "redis",
    "valkey": "valkey",
    "valkeys": "valkey",
    "valkey+sentinel": "valkey",
}

CLUSTERS = {
    "redis+cluster": "redis",
    "rediss+cluster": "redis",
    "valkey+cluster": "valkey",
    "valkeys+cluster": "valkey",
}

SENTINEL_PORT = 26379

# Seconds to connect, and to get an answer.
TIMEOUT = 5


class RedisClients:
    """Makes clients of one Redis or Valkey.

    Args:
        url: ``redis://``, ``rediss://`` (TLS), ``unix://``, ``valkey://`` or
            ``valkeys://`` as those packages take it; or ``redis+sentinel://`` and
            ``valkey+sentinel://`` with
            ``[user:password@]host:port,host:port/[database]/service``; or
            ``redis+cluster://`` and its like for one node of a cluster.
        options: Arguments for ``Redis.from_url()``, ``RedisCluster.from_url()`` or
            ``Sentinel()``.
        user: Who needs it, for errors.
        cluster: Whether it may be a cluster.

    Raises:
        ValueError: The URL has another scheme.
        RuntimeError: The package for that is not installed.
    """

    #: Whether the package itself repeats commands that have failed, as it is set up.
    retries = True

    def __init__(
        self,
        url: str,
        options: Mapping[str, Any] | None,
        user: str,
        *,
        cluster: bool = False,
    ) -> None:
        self.url = url
        self.options = dict(options or {})
        scheme = urlsplit(url).scheme
        packages = PACKAGES | CLUSTERS if cluster else PACKAGES
        package = packages.get(scheme)
        if package is None:
            raise ValueError(
                f"Unsupported Redis URL scheme {scheme!r}: one of "
                f"{', '.join(packages)} expected"
            )
        self._package_name = package
        #: The package's module for asyncio.
        self.package = require(f"{package}.asyncio", package, user)
        if scheme.endswith("+sentinel"):
            parse_redis_sentinel_url(url)  # raises if the URL is wrong
        self._sentinels: list[Any] = []
        self._forgotten: list[Any] = []

    def new(self, service: str = "mymaster") -> Any:
        """Make a client, which connects when it is first used.

        Args:
            service: The service that a Sentinel is asked for, if the URL has none.
        """
        options = {
            "socket_connect_timeout": TIMEOUT,
            "socket_timeout": TIMEOUT,
            "socket_keepalive": True,
            **self.options,
        }
        if not self.retries:
            from_retry = self.package.retry.Retry
            options.setdefault("retry", from_retry(_no_backoff(self.package), 0))
        scheme = urlsplit(self.url).scheme
        if scheme == "unix":
            del options["socket_keepalive"]
        if scheme.endswith("+sentinel"):
            nodes, named, given = parse_redis_sentinel_url(self.url)
            sentinel = self.package.sentinel.Sentinel(nodes, **{**options, **given})
            self._sentinels.append(sentinel)
            return sentinel.master_for(named or service)
        name, url = self._package_name.capitalize(), self.url
        if scheme.endswith("+cluster"):
            name, url = f"{name}Cluster", url.replace("+cluster", "", 1)
        return getattr(self.package, name).from_url(url, **options)

    @classmethod
    def of(
        cls,
        redis: Any,
        options: Mapping[str, Any] | None,
        user: str,
        *,
        cluster: bool = False,
    ) -> RedisClients:
        """Those of a URL, or those that are made of a client.

        Raises:
            ValueError: The URL has another scheme, or the client decodes responses.
            TypeError: It is neither.
            RuntimeError: The package for the URL is not installed.
        """
        if isinstance(redis, str):
            return cls(redis, options, user, cluster=cluster)
        return _Given(redis, options, user, cluster=cluster)

    def block(self, client: Any, seconds: float) -> int:
        """Milliseconds that a command of a client may wait on the server.

        Args:
            client: The client.
            seconds: How long it is to wait, at most.
        """
        pool = getattr(client, "connection_pool", None)
        limit = None if pool is None else pool.connection_kwargs.get("socket_timeout")
        if limit:
            seconds = min(seconds, limit / 2)
        return max(1, round(seconds * 1000))

    async def connection(self, client: Any) -> Any:
        """Take a connection of a client's pool."""
        try:
            return await client.connection_pool.get_connection()
        except TypeError:  # before redis 5.3 it wants the name of a command
            return await client.connection_pool.get_connection("_")

    async def release(self, client: Any, connection: Any) -> None:
        """Close a connection, and tell the pool."""
        await connection.disconnect()
        await client.connection_pool.release(connection)

    async def drop_idle(self, client: Any) -> None:
        """Close the idle connections of a client."""
        if not hasattr(client, "get_primaries"):  # a cluster's are by node
            await client.connection_pool.disconnect(inuse_connections=False)

    async def give_back(self, client: Any) -> None:
        """Close a client that :meth:`new` has made."""
        await client.aclose()

    def forget(self) -> None:
        """Leave the connections to Sentinels open: they belong to another process."""
        self._forgotten += self._sentinels
        self._sentinels = []

    async def close(self) -> None:
        """Close the connections to Sentinels."""
        sentinels, self._sentinels = self._sentinels, []
        for sentinel in sentinels:
            for client in sentinel.sentinels:
                await client.aclose()


def parse_redis_sentinel_url(
    url: str,
) -> tuple[list[tuple[str, int]], str | None, dict[str, Any]]:
    """The sentinels, the service and the options of a Sentinel URL.

    Args:
        url: ``redis+sentinel://[user:password@]host:port,host:port/[database]/service``

    Raises:
        ValueError: It is not one.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("redis+sentinel", "valkey+sentinel"):
        raise ValueError(f"Invalid Redis Sentinel URL: scheme {parts.scheme!r}")
    sentinels = []
    for node in parts.netloc.rpartition("@")[2].split(","):
        host, colon, port = node.rpartition(":")
        try:
            number = int(port) if colon else SENTINEL_PORT
        except ValueError:
            raise ValueError(
                f"Invalid Redis Sentinel URL: host:port expected, not {node!r}"
            ) from None
        sentinels.append((host if colon else node, number))
    options: dict[str, Any] = {}
    if parts.username:
        options["username"] = unquote(parts.username)
    if parts.password:
        options["password"] = unquote(parts.password)
    database, _, service = parts.path.removeprefix("/").partition("/")
    if database:
        try:
            options["db"] = int(database)
        except ValueError:
            raise ValueError(
                f"Invalid Redis Sentinel URL: database {database!r}, a number expected"
            ) from None
    return sentinels, service or None, options


def _no_backoff(package: Any) -> Any:
    return import_module(f"{package.__name__.partition('.')[0]}.backoff").NoBackoff()


class _Given(RedisClients):
    """One client that the program has made, and closes."""

    def __init__(
        self,
        client: Any,
        options: Mapping[str, Any] | None,
        user: str,
        *,
        cluster: bool = False,
    ) -> None:
        is_cluster = hasattr(client, "get_primaries")
        pool = getattr(client, "connection_pool", None)
        if (pool is None and not is_cluster) or not hasattr(client, "aclose"):
            raise TypeError(
                f"{user}({client!r:.80}): a URL, or a client of redis.asyncio or "
                "valkey.asyncio expected"
            )
        if is_cluster and not cluster:
            raise ValueError(f"{user} cannot use a cluster: give it one Redis")
        if options is not None:
            raise ValueError("redis_options= are for a URL: give them to the client")
        arguments = (
            client.get_connection_kwargs() if pool is None else pool.connection_kwargs
        )
        if arguments.get("decode_responses"):
            raise ValueError(
                "decode_responses=True: messages are bytes. Make a client without it"
            )
        modules = [kind.__module__.partition(".")[0] for kind in type(client).__mro__]
        module = "valkey" if "valkey" in modules else "redis"
        #: The package's module for asyncio.
        self.package = require(f"{module}.asyncio", module, user)
        self._client = client
        self._sentinels = []
        self._forgotten = []

    def new(self, service: str = "mymaster") -> Any:
        return self._client

    async def give_back(self, client: Any) -> None:
        """Nothing: it is the program's."""
