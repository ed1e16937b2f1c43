"""How a client joins its namespaces, and waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any

from socketio_fast import exceptions
from socketio_fast._core.client.peer import ClientPeer
from socketio_fast.clients.link import Link
from socketio_fast.clients.own_tasks import CONNECTING, Task
from socketio_fast.clients.reconnection import evaluated

if TYPE_CHECKING:
    from socketio_fast.async_client import AsyncClient

__all__ = ["ask_to_join", "check_newest", "join_all", "until_joined"]


def ask_to_join(client: AsyncClient, peer: ClientPeer, auth: Any) -> None:
    """Ask the server for a namespace."""
    if client.eio.config.eio == 4:
        peer.join(auth or None)
        return
    # Servers of revision 3 take parameters of a namespace, as of the connection.
    query = dict(client.connection_query)
    if isinstance(auth, Mapping):
        query.update({str(name): str(value) for name, value in auth.items()})
    peer.join(query=query)


async def join_all(
    client: AsyncClient,
    link: Link,
    peers: list[ClientPeer],
    auths: Mapping[str, Any],
) -> None:
    """Ask for namespaces whose ``auth`` a function returns."""
    evaluated_auths: dict[int, Any] = {}
    for peer in peers:
        auth = auths[peer.namespace.name]
        try:
            if id(auth) not in evaluated_auths:
                evaluated_auths[id(auth)] = await evaluated(auth)
        except Exception as exc:
            client.logger.error("auth= has failed", exc_info=True)
            link.abort(exc)
            return
        if link.open and peer.active and not peer.connected:
            ask_to_join(client, peer, evaluated_auths[id(auth)])


def check_newest(client: AsyncClient, number: int) -> None:
    """Raise ConnectionError if a handler has disconnected, and has connected again,
    while ``connect()`` was waiting: the new connection is not this one's."""
    if number != client._attempts:
        raise exceptions.ConnectionError(
            "the client was disconnected, and connected again, while it connected"
        )


async def until_joined(
    client: AsyncClient, seconds: float | None, number: int, before: Set[Task]
) -> None:
    """Wait until all namespaces are joined, and the handlers of that have ended.

    Args:
        client: The client.
        seconds: The most seconds to wait for both; ``None`` for no limit.
        number: That of the attempt to connect.
        before: The handlers that were there before it.

    Raises:
        ConnectionError: One was refused, or has not been joined in time.
    """
    wanted = set(client.connection_namespaces)
    now = asyncio.get_running_loop().time
    # python-socketio takes None for no limit.
    until = None if seconds is None else now() + seconds

    def left() -> float | None:
        return None if until is None else max(0.0, until - now())

    while client.eio.state == "connected" and (
        wanted - client._have_joined - {*client.failed_namespaces}
    ):
        client._joined.clear()
        await client._joined.wait(left())
        if left() == 0:
            break
    await client._own_tasks.ended(CONNECTING, left(), before)
    check_newest(client, number)
    missing = wanted - client._have_joined
    if not missing:
        return
    failed = list(client.failed_namespaces)
    lost = client._lost
    await client.disconnect()
    if failed:
        raise exceptions.ConnectionError(
            "One or more namespaces failed to connect: " + ", ".join(failed)
        )
    names = ", ".join(sorted(missing))
    if lost is not None:
        raise exceptions.ConnectionError(
            f"the connection was lost before {names} was joined: {lost}"
        )
    raise exceptions.ConnectionError(
        f"the server has not answered for {names} in wait_timeout={seconds:g} s"
    )
