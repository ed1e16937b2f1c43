"""Tests of servers: clients in the same process, and time that passes at will.

No sockets, no waiting, and the real packets::

    async with testing.client(sio, auth={"token": "…"}) as client:
        await client.emit("chat", "hello")
        assert await client.expect("chat") == "hello"

docs/testing.md has more. Nothing here needs pytest; its fixtures are in the module
``pytest_socketio_fast``, which pytest finds by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
)
from typing import Any, overload

from socketio_fast.async_server import AsyncServer
from socketio_fast.server import Server
from socketio_fast.testing.client import (
    TIMEOUT,
    Client,
    Connection,
    Event,
    Headers,
    Query,
)
from socketio_fast.testing.clock import Clock, settle
from socketio_fast.testing.threads import (
    SyncClient,
    SyncClock,
    SyncConnecting,
    open_client,
)

__all__ = [
    "Client",
    "Clock",
    "Connection",
    "Event",
    "SyncClient",
    "SyncClock",
    "client",
    "settle",
]


@overload
def client(
    server: AsyncServer,
    namespace: str = "/",
    auth: dict[str, Any] | None = None,
    *,
    headers: Headers | None = None,
    query: Query | None = None,
    address: str = "127.0.0.1",
    timeout: float = TIMEOUT,
) -> AbstractAsyncContextManager[Client]: ...


@overload
def client(
    server: Server,
    namespace: str = "/",
    auth: dict[str, Any] | None = None,
    *,
    headers: Headers | None = None,
    query: Query | None = None,
    address: str = "127.0.0.1",
    timeout: float = TIMEOUT,
) -> AbstractContextManager[SyncClient]: ...


def client(
    server: AsyncServer | Server,
    namespace: str = "/",
    auth: dict[str, Any] | None = None,
    *,
    headers: Headers | None = None,
    query: Query | None = None,
    address: str = "127.0.0.1",
    timeout: float = TIMEOUT,
) -> AbstractAsyncContextManager[Client] | AbstractContextManager[SyncClient]:
    """A client that is connected in the block, ``async with``, or ``with`` for threads.

    Args:
        server: The server; it need not run. Each call makes a connection.
        namespace: The namespace to join.
        auth: What the connect handler gets as ``auth``.
        headers: Headers of the handshake request, such as ``Origin`` or ``Cookie``.
        query: Parameters of its query string.
        address: The client's address.
        timeout: Seconds of real time for the server to accept the client.

    Returns:
        A context manager that gives a :class:`Client`, a :class:`SyncClient` for a
        :class:`~socketio_fast.Server`.

    Raises:
        ConnectionRefusedError: When it is entered: the server refuses the client, in
            the handshake or in the namespace. Its ``args`` are message and data.
        TimeoutError: When it is entered: there is no answer.
        TypeError: ``server`` is something else.
    """
    if isinstance(server, Server):
        return SyncConnecting(server, namespace, auth, headers, query, address, timeout)
    if not isinstance(server, AsyncServer):
        raise TypeError(f"{server!r}: an AsyncServer or a Server expected")
    connection = Connection(server, headers=headers, query=query, address=address)
    return _connected(connection, namespace, auth, timeout)


@asynccontextmanager
async def _connected(
    connection: Connection, namespace: str, auth: dict[str, Any] | None, timeout: float
) -> AsyncIterator[Client]:
    opened = await open_client(connection, namespace, auth, timeout)
    try:
        yield opened
    finally:
        await connection.close()
