"""A client's attempts to connect again, and what it hears of its connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from socketio_fast import exceptions
from socketio_fast._core.client.peer import ClientPeer, PeerOwner
from socketio_fast.clients.backoff import Backoff
from socketio_fast.clients.failures import data_of_handlers
from socketio_fast.clients.link import Link, LinkEvents
from socketio_fast.clients.own_tasks import OwnTasks
from socketio_fast.handlers.signatures import fit
from socketio_fast.namespace import BaseClientNamespace

if TYPE_CHECKING:
    from socketio_fast.async_client import AsyncClient

__all__ = [
    "FromLink",
    "FromPeers",
    "attempt_failed",
    "evaluated",
    "forget",
    "reconnect",
]


async def reconnect(client: AsyncClient) -> None:
    """Connect again, until that succeeds or there have been enough attempts."""
    runner = client._core.runner
    backoff = Backoff(
        client.reconnection_delay,
        client.reconnection_delay_max,
        client.randomization_factor,
    )
    wanted_delay = 0.0
    while True:
        delay = max(backoff.next(), wanted_delay)
        client.logger.info("Connection failed, new attempt in %.02f seconds", delay)
        await asyncio.sleep(delay)
        if client._given_up:
            return
        if not client.reconnection:
            client._give_up()  # it was switched off meanwhile
            return
        client.manager.tell(runner, "reconnect_attempt", backoff.attempts)
        try:
            await client._attempt()
        except (exceptions.ConnectionError, ValueError) as exc:
            if client._given_up:
                return  # disconnect() was called
            wanted_delay = getattr(exc, "retry_after", None) or 0.0
            error = (
                exc
                if isinstance(exc, exceptions.ConnectionError)
                else exceptions.ConnectionError(str(exc))
            )
            attempt_failed(client, error)
            client.manager.tell(runner, "reconnect_error", error)
        else:
            if client.eio.state == "connected":
                client.connected = True
                # If the connection is lost from here on, there is another attempt.
                client._reconnecting = None
                client.logger.info("Reconnection successful")
                client.manager.tell(runner, "reconnect", backoff.attempts)
                return
        if 0 < client.reconnection_attempts <= backoff.attempts:
            client.logger.info("Maximum reconnection attempts reached, giving up")
            client.manager.tell(runner, "reconnect_failed")
            client._give_up()
            return


def attempt_failed(client: AsyncClient, error: exceptions.ConnectionError) -> None:
    """Tell who listens of an attempt to connect that has failed."""
    client.manager.tell(client._core.runner, "error", error)
    told = error.args[1] if len(error.args) > 1 else error.args[0]
    data = data_of_handlers(error, (client.eio.transports or ["polling"])[0])
    for name in client.connection_namespaces:
        client._peer(name).trigger("connect_error", data, of_listeners=[told])


def forget(client: AsyncClient) -> None:
    """Forget the connection: it is another process's."""
    client.connected = False
    client.namespaces.clear()
    client.sid = client._reconnecting = client._ended = None
    client._own_tasks = OwnTasks()
    client.eio._forget()
    client._core.connection.abandon(client.eio._idle)


class FromLink(LinkEvents):
    """Passes on what the connection tells."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def opened(self, link: Link) -> None:
        self._client._on_open(link)

    def pinged(self, link: Link) -> None:
        self._tell("ping")

    def upgraded(self, link: Link) -> None:
        self._tell("upgrade", link.session.transport_name)

    def upgrade_failed(self, link: Link, error: BaseException) -> None:
        self._tell("upgrade_error", error)

    def closed(self, link: Link, reason: str, description: str | None) -> None:
        self._client._on_closed(link, reason, description)

    def _tell(self, event: str, *args: Any) -> None:
        self._client.manager.tell(self._client._core.runner, event, *args)


class FromPeers(PeerOwner):
    """Passes on what the namespaces tell."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def joined(self, peer: ClientPeer) -> None:
        self._client._on_joined(peer)

    def refused(self, peer: ClientPeer, error: Any) -> None:
        self._client._on_refused(peer, error)

    def leaves(self, peer: ClientPeer, reason: str) -> None:
        session = peer.session
        self._client._description = session.description or (
            session.reason if session.reason != reason else None
        )

    def left(self, peer: ClientPeer, reason: str) -> None:
        self._client._on_left(peer, reason)

    def begun(self, peer: ClientPeer, event: str, task: Any) -> None:
        self._client._own_tasks.add(event, task)

    def takes(self, function: Any, event: Any, count: int) -> bool:
        owner = getattr(function, "__self__", None)
        if isinstance(owner, BaseClientNamespace) and (
            function.__name__ == "trigger_event"
        ):
            function = getattr(owner, f"on_{event or ''}", None)
            count -= 1  # the event
        return function is None or len(fit(function, (None,) * count)) == count


async def evaluated(value: Any) -> Any:
    """A value, or what a function or coroutine function returns."""
    if callable(value):
        value = value()
        if isinstance(value, Awaitable):
            value = await value
    return value
