"""One connection to NATS, by nats-py: the adapter's own, or the program's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from socketio_fast.coroutines import within
from socketio_fast.managers.extras import require
from socketio_fast.managers.lifetime import cancelled
from socketio_fast.options.logs import escaped

__all__ = ["NatsConnection"]

# Seconds that a server has to accept a connection, and to answer a PING.
PATIENCE = 5.0

# Seconds after which a PING that nobody waits for any more is forgotten.
FORGOTTEN = 3600

# Seconds between two attempts to connect to the same server in one call of open().
PAUSE = 0.05

# Arguments of nats.connect() that the connection needs for itself.
OWN_OPTIONS = (
    "allow_reconnect",
    "closed_cb",
    "disconnected_cb",
    "error_cb",
    "max_reconnect_attempts",
    "reconnect_time_wait",
    "reconnected_cb",
    "servers",
)


class NatsConnection:
    """A connection that is opened when it is needed, and opened again after it broke.

    Args:
        servers: A URL, a list of them, or a client of nats-py that is connected.
        options: Arguments of ``nats.connect()``.
        user: Who needs it, for errors.
        log: Called with what NATS complains of.

    Raises:
        RuntimeError: nats-py is not installed.
        TypeError: ``servers`` is something else.
        ValueError: An option is one that the connection sets itself.
    """

    def __init__(
        self,
        servers: Any,
        options: Mapping[str, Any] | None,
        user: str,
        log: Callable[[str], None],
    ) -> None:
        require("nats", "nats", user)
        from nats.aio.client import Client

        self._new_client = Client
        self._given = servers if isinstance(servers, Client) else None
        self._options = dict(options or {})
        self._log = log
        if self._given is None:
            self._servers = _urls(servers)
        elif self._options:
            raise ValueError("nats_options are for a URL, not for a client")
        for option in OWN_OPTIONS:
            if option in self._options:
                raise ValueError(
                    f"nats_options[{option!r}]: the adapter sets it. "
                    "Pass a client of nats-py to have a connection of your own"
                )
        self.reset()

    def reset(self) -> None:
        """Forget the connection; it is not closed."""
        self._client: Any = None
        self._opening: asyncio.Future[Any] | None = None
        self._pings: set[asyncio.Future[Any]] = set()
        #: Subscriptions by their subjects.
        self.subscriptions: dict[str, Any] = {}
        #: Set when the connection has broken.
        self.broken = asyncio.Event()

    @property
    def max_payload(self) -> int | None:
        """The bytes of a message, at most; ``None``: the server has not told it yet."""
        client = self._client
        return None if client is None else client.max_payload

    def is_open(self) -> bool:
        """Whether there is a connection."""
        client = self._client
        return client is not None and not self.broken.is_set() and client.is_connected

    async def open(self) -> Any:
        """The client, which is connected.

        Raises:
            Exception: No server can be reached.
        """
        if self.is_open():
            return self._client
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    def _opened(self, opening: asyncio.Future[Any]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # whoever has waited knows

    async def _open(self) -> Any:
        await self._drop()
        if self._given is None:
            client = await self._connect()
        else:
            client = self._given
            if not client.is_connected:
                raise ConnectionError("the client of NATS is not connected")
            self._reconnects = client.stats["reconnects"]
        self.broken = asyncio.Event()
        self._client = client
        return client

    async def _connect(self) -> Any:
        from nats.errors import Error

        client = self._new_client()
        errors: list[Exception] = []

        async def failed(error: Exception) -> None:
            if client.is_connected and type(error) is Error:
                self._log(escaped(error))  # what the server has sent
            errors[:] = [error]

        async def closed() -> None:
            if self._client is client:
                self.broken.set()

        try:
            await client.connect(
                self._servers,
                # Who opens the connection again has to subscribe again.
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=PAUSE,  # type: ignore[arg-type]
                error_cb=failed,
                closed_cb=closed,
                **{"connect_timeout": PATIENCE, "no_echo": True, **self._options},
            )
        except BaseException as exc:
            await _close(client)
            if errors and isinstance(exc, Exception):
                raise ConnectionError(f"{_said(errors[0])}") from exc
            raise
        return client

    async def confirm(self) -> None:
        """Wait until the server has seen all that was sent to it.

        Raises:
            ConnectionError: The connection has broken.
            TimeoutError: The server does not answer.
        """
        if not self.is_open():
            raise ConnectionError("the connection to NATS has broken")
        # flush() itself must not be cancelled: nats-py would stop to read when the
        # answer comes.
        ping = asyncio.ensure_future(self._client.flush(FORGOTTEN))
        self._pings.add(ping)
        ping.add_done_callback(self._answered)
        broken = asyncio.ensure_future(self.broken.wait())
        try:
            await asyncio.wait(
                (ping, broken), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            broken.cancel()
        if not ping.done():
            if not self.broken.is_set():
                raise TimeoutError(f"NATS has not answered in {PATIENCE} s")
            raise ConnectionError("the connection to NATS has broken")
        ping.result()
        if not self.is_open():
            raise ConnectionError("the connection to NATS has broken")

    def _answered(self, ping: asyncio.Future[Any]) -> None:
        self._pings.discard(ping)
        if not ping.cancelled():
            ping.exception()

    async def subscribe(self, subject: str, sink: Any) -> None:
        """Subscribe to a subject, unless that was done.

        Args:
            subject: The subject.
            sink: Gets the messages, in the order in which those of all subjects come:
                nats-py calls its ``set_result(message)``.
        """
        if subject not in self.subscriptions:
            client = await self.open()
            # Two calls may be here at the same time.
            self.subscriptions[subject] = None
            self.subscriptions[subject] = await client.subscribe(subject, future=sink)

    async def unsubscribe(self, subject: str) -> None:
        """Unsubscribe from a subject."""
        subscription = self.subscriptions.pop(subject, None)
        if subscription is not None:
            await subscription.unsubscribe()

    async def watch(
        self, interval: float, check: Callable[[], None] | None = None
    ) -> None:
        """Ask the server from time to time whether it is there; never return.

        Args:
            interval: Seconds between two questions.
            check: Is called with each; what it raises is raised.

        Raises:
            ConnectionError: It is not, or has been away.
            TimeoutError: It does not answer.
        """
        broken = self.broken
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await within(broken.wait(), interval)
            given = self._given
            if broken.is_set() or (
                given is not None and given.stats["reconnects"] != self._reconnects
            ):
                raise ConnectionError("the connection to NATS has broken")
            await self.confirm()
            if check is not None:
                check()

    async def close(self, client: Any = None) -> None:
        """Close the connection; of a client that was given, only the subscriptions.

        Args:
            client: Do so only if this is the client, and no other one has followed it.
        """
        if client is not None:
            if client is self._client:
                await self._drop()
            return
        if self._opening is not None:
            await cancelled([self._opening])
        await self._drop()

    async def _drop(self) -> None:
        client, self._client = self._client, None
        subscriptions, self.subscriptions = self.subscriptions, {}
        self.broken.set()
        if client is None:
            return
        if self._given is None:
            await _close(client)
            for ping in self._pings:
                ping.cancel()
            return
        for subscription in subscriptions.values():
            with contextlib.suppress(Exception):  # it has no connection
                if subscription is not None:
                    await subscription.unsubscribe()


async def _close(client: Any) -> None:
    """Close a client, whose server may be away or stand still."""
    closing = asyncio.ensure_future(client.close())
    await asyncio.wait([closing], timeout=1)
    await cancelled([closing])
    if not closing.cancelled():
        closing.exception()  # which nobody wants to know


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _urls(servers: Any) -> list[str]:
    """The URLs of an argument.

    Raises:
        TypeError: It is neither a URL, nor a list of them.
        ValueError: One has another scheme.
    """
    urls = [servers] if isinstance(servers, str) else servers
    if not isinstance(urls, (list, tuple)) or not urls:
        raise TypeError(
            "a URL, a list of URLs or a client of nats.aio.client expected, "
            f"not {servers!r:.80}"
        )
    for url in urls:
        if not isinstance(url, str):
            raise TypeError(f"a URL is a str, not {url!r:.80}")
        scheme, found, _ = url.partition("://")
        if found and scheme not in ("nats", "tls", "ws", "wss"):
            raise ValueError(
                f"Unsupported NATS URL scheme {scheme!r}: one of nats, tls, ws, wss "
                "expected"
            )
    return list(urls)
