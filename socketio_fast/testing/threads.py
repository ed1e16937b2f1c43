"""The test client and the clock for :class:`~socketio_fast.Server`, with threads."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from socketio_fast.server import Server
from socketio_fast.sockets.blocking import CatchAllListening
from socketio_fast.sockets.events import SocketEvents
from socketio_fast.testing.client import (
    Client,
    Connection,
    Headers,
    Query,
)
from socketio_fast.testing.clock import Clock
from socketio_fast.threads.facade import Finder
from socketio_fast.threads.methods import Facade, like, reads, runs, waits

__all__ = ["SyncClient", "SyncClock"]


class SyncClient(SocketEvents, CatchAllListening):
    """A :class:`Client` of a :class:`~socketio_fast.Server`, for tests with threads.

    Handlers run in threads, and may still run when :meth:`emit` returns. Use
    :meth:`expect` and :meth:`call` to wait for what they send. Listeners run in the
    server's threads, too, and on its event loop if they are coroutine functions.
    """

    def __init__(self, server: Server, client: Client) -> None:
        self._server = server
        self._threads = server._threads
        self._inner: Client = client

    def _in_threads(
        self, function: Callable[..., Any], client: Finder | None = None
    ) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function):
            return function
        return super()._in_threads(function, client)

    sid = reads(
        Client, lambda client: client.sid, doc="The client's id in the namespace."
    )
    namespace = reads(Client, lambda client: client.namespace, doc="The namespace.")
    connected = reads(
        Client, lambda client: client.connected, doc="Whether the client is connected."
    )
    reason = reads(
        Client,
        lambda client: client.reason,
        doc="Why the client was disconnected; see :attr:`Client.reason`.",
    )
    received = reads(
        Client,
        lambda client: client.received,
        doc="The received events that :meth:`expect` has not returned.",
    )

    @property
    def answers_pings(self) -> bool:
        """Whether the client answers pings; see :attr:`Connection.answers_pings`."""
        return self._inner.connection.answers_pings

    @answers_pings.setter
    def answers_pings(self, answers: bool) -> None:
        self._inner.connection.answers_pings = answers

    emit = waits(Client.emit)
    call = waits(Client.call)
    expect = waits(Client.expect)
    disconnect = waits(Client.disconnect)

    def events(self, event: Any, size: int = 10_000) -> Iterator[Any]:
        """Iterate over the arguments of an event; see :meth:`Client.events`."""
        return self._iterate(self._inner.events(event, size))

    @like(Client.join)
    def join(self, *args: Any, **kwargs: Any) -> SyncClient:
        joined = self._wait(self._inner.join(*args, **kwargs))
        return SyncClient(self._server, joined)

    def lose(self) -> None:
        """Simulate a failure of the network; see :meth:`Connection.lose`."""
        self._wait(self._inner.connection.lose())


class SyncConnecting:
    """The context manager that connects a :class:`SyncClient`."""

    def __init__(
        self,
        server: Server,
        namespace: str,
        auth: dict[str, Any] | None,
        headers: Headers | None,
        query: Query | None,
        address: str,
        timeout: float,
    ) -> None:
        self._server = server
        self._options = (namespace, auth, timeout)
        self._connection = Connection(
            server._server, headers=headers, query=query, address=address
        )

    def __enter__(self) -> SyncClient:
        opened = self._server._threads.wait(self._open(), contextvars.copy_context())
        return SyncClient(self._server, opened)

    def __exit__(self, *exc: object) -> None:
        self._server._threads.wait(self._connection.close())

    async def _open(self) -> Client:
        namespace, auth, timeout = self._options
        return await open_client(self._connection, namespace, auth, timeout)


async def open_client(
    connection: Connection, namespace: str, auth: dict[str, Any] | None, timeout: float
) -> Client:
    """Open a connection and join a namespace; if that fails, close the connection."""
    await connection._open(timeout)
    try:
        return await connection.join(namespace, auth, timeout=timeout)
    except BaseException:
        await connection.close()
        raise


class SyncClock(Facade):
    """A :class:`Clock` for the event loop of a :class:`~socketio_fast.Server`.

    ``time.sleep()`` in handlers is not affected: it still waits in real time.

    Example::

        with testing.SyncClock(sio) as clock, testing.client(sio) as client:
            client.answers_pings = False
            clock.advance(25 + 20)

    Args:
        server: The server.
    """

    def __init__(self, server: Server) -> None:
        self._threads = server._threads
        self._inner: Clock = Clock()

    def __enter__(self) -> SyncClock:
        self._run(self._inner.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        self._run(self._inner.__aexit__())

    now = reads(Clock, lambda clock: clock.now)
    advance = runs(Clock.advance)
