"""Servers that have an adapter beside those that have a manager of python-socketio.

A server with a bridge publishes to both, and receives from both. What it publishes by
the manager says so: other servers with a bridge have it by their adapter already, and
ignore it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from socketio_fast.sockets.scope import Scope

if TYPE_CHECKING:
    from socketio_fast.adapters.base import Adapter, BroadcastEvent
    from socketio_fast.managers.pubsub import AsyncPubSubManager

__all__ = ["Bridge"]


class Bridge:
    """The other servers of an adapter and those of a manager, with the methods of an
    adapter that are about other servers.

    Args:
        adapter: The adapter.
        manager: The manager, which no server has as its ``client_manager``.
    """

    def __init__(self, adapter: Adapter, manager: AsyncPubSubManager) -> None:
        self._adapter = adapter
        #: The manager.
        self.manager = manager
        manager.bridged = True

    def broadcast(
        self, namespace: str, event: BroadcastEvent, scope: Scope
    ) -> asyncio.Future[None] | None:
        """Send an event to clients of other servers."""
        published = self.manager._enqueue_broadcast(
            event.data,
            namespace,
            scope,
            volatile=event.volatile,
            compress=event.compress,
        )
        if published is not None:
            published.add_done_callback(self._published)
        return self._adapter.broadcast(namespace, event, scope)

    def _published(self, future: asyncio.Future[None]) -> None:
        """Nobody waits for this: log why it failed."""
        if not future.cancelled() and future.exception() is not None:
            logger = self.manager._get_logger()
            logger.error("not published: %r", future.exception())

    async def broadcast_with_ack(
        self,
        namespace: str,
        event: BroadcastEvent,
        scope: Scope,
        answers: Any,
        timeout: float | None,
    ) -> None:
        """Send an event to clients of other servers, which are to acknowledge it."""
        if answers.counts_servers:
            await self.manager._ask_others(
                event.data[0],
                event.data[1:],
                namespace,
                scope,
                answers,
                timeout=timeout,
                compress=event.compress,
            )
        else:  # a callback, which servers of python-socketio know too
            published = self.manager._enqueue_broadcast(
                event.data,
                namespace,
                scope,
                callback=lambda *args: answers.answered_unnamed(list(args)),
            )
            if published is not None:
                await published
        await self._adapter.broadcast_with_ack(
            namespace, event, scope, answers, timeout
        )

    async def fetch_sockets(self, namespace: str, scope: Scope) -> list[dict[str, Any]]:
        """Look up clients of other servers."""
        found = await asyncio.gather(
            self._adapter.fetch_sockets(namespace, scope),
            self.manager._fetch_others(namespace, scope),
        )
        return [*found[0], *found[1]]

    async def add_sockets(
        self, namespace: str, scope: Scope, rooms: Sequence[Any]
    ) -> None:
        """Put clients of other servers into rooms."""
        await self._change("join", "enter_room", namespace, scope, rooms=list(rooms))
        await self._adapter.add_sockets(namespace, scope, rooms)

    async def del_sockets(
        self, namespace: str, scope: Scope, rooms: Sequence[Any]
    ) -> None:
        """Take clients of other servers out of rooms."""
        if scope == Scope(tuple(rooms)) and len(rooms) == 1:
            send = self.manager._send
            await send("close_room", room=rooms[0], namespace=namespace)
        await self._change("leave", "leave_room", namespace, scope, rooms=list(rooms))
        await self._adapter.del_sockets(namespace, scope, rooms)

    async def disconnect_sockets(
        self, namespace: str, scope: Scope, close: bool
    ) -> None:
        """Disconnect clients of other servers; with ``close`` whole connections."""
        await self._change("disconnect", "disconnect", namespace, scope, close=close)
        await self._adapter.disconnect_sockets(namespace, scope, close)

    async def _change(
        self, change: str, method: str, namespace: str, scope: Scope, **options: Any
    ) -> None:
        """Tell servers of this package, and those of python-socketio what they know:
        one client, and one room at a time."""
        await self.manager._change_others(change, namespace, scope, options)
        if len(scope.rooms) != 1 or scope.excepted:
            return
        client = {"sid": scope.rooms[0], "namespace": namespace}
        for room in options.get("rooms", [None]):
            where = {} if room is None else {"room": room}
            await self.manager._send(method, **client, **where)

    async def server_side_emit(
        self, namespace: str, event: str, args: list[Any]
    ) -> None:
        """Send an event to the other servers themselves."""
        await self.manager._server_side_emit(namespace, event, args)
        await self._adapter.server_side_emit(namespace, event, args)

    async def server_side_emit_with_ack(
        self, namespace: str, event: str, args: list[Any]
    ) -> list[Any]:
        """Send an event to the other servers, and wait for an answer of each."""
        found = await asyncio.gather(
            self._adapter.server_side_emit_with_ack(namespace, event, args),
            self.manager._server_side_ask(namespace, event, args),
        )
        return [*found[0], *found[1]]

    async def server_count(self, namespace: str) -> int:
        """The number of servers, this one included."""
        others = await self.manager._server_count() - 1
        return await self._adapter.server_count(namespace) + others
