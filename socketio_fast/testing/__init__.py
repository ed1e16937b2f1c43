"""For tests of servers: clients in the server's process, and a clock that tests move.

The clients send and receive real packets, and open no sockets::

    async with testing.client(sio, auth={"token": "…"}) as client:
        await client.emit("chat", "hello")
        assert await client.expect("chat") == "hello"

docs/testing.md has more. Nothing here needs pytest; fixtures for pytest are in the
module ``pytest_socketio_fast``, which pytest loads by itself.
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
from socketio_fast.hosting.checks import server_of
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
    """Connect a test client for the duration of an ``async with`` block.

    For a :class:`~socketio_fast.Server` it is a ``with`` block. Each call opens a
    connection of its own.

    Args:
        server: The server, which need not listen on a port, or an object that stands
            for it.
        namespace: The namespace to connect to.
        auth: The ``auth`` argument of the connect handler.
        headers: Headers of the handshake request, such as ``Origin`` or ``Cookie``.
        query: Parameters of the handshake request's query string.
        address: The IP address that the server takes for the client's.
        timeout: Seconds of real time for the handshake, and as many for the answer to
            the CONNECT packet.

    Returns:
        A context manager whose value is a :class:`Client`; for a
        :class:`~socketio_fast.Server`, a :class:`SyncClient`.

    Raises:
        ConnectionRefusedError: On entering: the server refused the handshake or the
            CONNECT packet. ``args`` are the message and, if there is any, the data.
        TimeoutError: On entering: the server did not answer in time.
        TypeError: ``server`` is neither an ``AsyncServer`` nor a ``Server``.
    """
    found = server_of(server)
    if isinstance(found, Server):
        return SyncConnecting(found, namespace, auth, headers, query, address, timeout)
    if not isinstance(found, AsyncServer):
        raise TypeError(f"{server!r}: an AsyncServer or a Server expected")
    connection = Connection(found, headers=headers, query=query, address=address)
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
