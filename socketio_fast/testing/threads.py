"""The same for servers with threads: a test that waits instead of awaiting."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from socketio_fast.server import Server
from socketio_fast.testing.client import (
    TIMEOUT,
    Client,
    Connection,
    Event,
    Headers,
    Query,
)
from socketio_fast.testing.clock import Clock

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.events import AnyEvent, EventName, Ts
    from socketio_fast.events import Event as TypedEvent

__all__ = ["SyncClient", "SyncClock"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class SyncClient:
    """A :class:`Client` of a :class:`~socketio_fast.Server`, on its event loop.

    Handlers run in threads, so that what they do may not have been done when a method
    returns; :meth:`expect` and :meth:`call` wait for it.
    """

    def __init__(self, server: Server, client: Client) -> None:
        self._server = server
        self._client = client

    @property
    def sid(self) -> str:
        """Its id in the namespace."""
        return self._client.sid

    @property
    def namespace(self) -> str:
        """The namespace."""
        return self._client.namespace

    @property
    def connected(self) -> bool:
        """Whether it is connected."""
        return self._client.connected

    @property
    def reason(self) -> str | None:
        """Why it is not connected any more; see :attr:`Client.reason`."""
        return self._client.reason

    @property
    def received(self) -> list[Event]:
        """The events that came, and that :meth:`expect` has not taken."""
        return self._client.received

    @property
    def answers_pings(self) -> bool:
        """Whether pings are answered; see :attr:`Connection.answers_pings`."""
        return self._client.connection.answers_pings

    @answers_pings.setter
    def answers_pings(self, answers: bool) -> None:
        self._client.connection.answers_pings = answers

    def emit(self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]) -> None:
        """See :meth:`Client.emit`."""
        self._server._threads.wait(self._client.emit(event, *args))

    def call(
        self, event: EventName[Unpack[Ts]], *args: Unpack[Ts], timeout: float = TIMEOUT
    ) -> Any:
        """See :meth:`Client.call`."""
        return self._server._threads.wait(
            self._client.call(event, *args, timeout=timeout)
        )

    def expect(self, event: AnyEvent, *, timeout: float = TIMEOUT) -> Any:
        """See :meth:`Client.expect`."""
        return self._server._threads.wait(self._client.expect(event, timeout=timeout))

    @overload
    def on(
        self, event: TypedEvent[Unpack[Ts]], function: None = None
    ) -> Callable[[Callable[[Unpack[Ts]], T]], Callable[[Unpack[Ts]], T]]: ...

    @overload
    def on(
        self, event: TypedEvent[Unpack[Ts]], function: Callable[[Unpack[Ts]], T]
    ) -> Callable[[Unpack[Ts]], T]: ...

    @overload
    def on(self, event: str, function: F) -> F: ...

    @overload
    def on(self, event: str, function: None = None) -> Callable[[F], F]: ...

    def on(self, event: AnyEvent, function: Any = None) -> Any:
        """See :meth:`Client.on`; the function runs on the event loop, and may not
        block."""
        return self._client.on(event, function)

    def join(
        self,
        namespace: str,
        auth: dict[str, Any] | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> SyncClient:
        """See :meth:`Client.join`."""
        joined = self._client.join(namespace, auth, timeout=timeout)
        return SyncClient(self._server, self._server._threads.wait(joined))

    def disconnect(self) -> None:
        """See :meth:`Client.disconnect`."""
        self._server._threads.wait(self._client.disconnect())

    def lose(self) -> None:
        """The network fails; see :meth:`Connection.lose`."""
        self._server._threads.wait(self._client.connection.lose())


class SyncConnecting:
    """A :class:`SyncClient` for a ``with`` block."""

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
    """Open a connection, and join a namespace; close it if that is refused."""
    await connection._open(timeout)
    try:
        return await connection.join(namespace, auth, timeout=timeout)
    except BaseException:
        await connection.close()
        raise


class SyncClock:
    """A :class:`Clock` for the event loop of a :class:`~socketio_fast.Server`.

    ``time.sleep()`` in handlers is not its business.

    Example::

        with testing.SyncClock(sio) as clock, testing.client(sio) as client:
            client.answers_pings = False
            clock.advance(25 + 20)

    Args:
        server: The server.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._clock = Clock()

    def __enter__(self) -> SyncClock:
        self._server._threads.run(self._clock.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        self._server._threads.run(self._clock.__aexit__())

    @property
    def now(self) -> float:
        """See :attr:`Clock.now`."""
        return self._clock.now

    def advance(self, seconds: float) -> None:
        """See :meth:`Clock.advance`."""
        self._server._threads.run(self._clock.advance(seconds))
