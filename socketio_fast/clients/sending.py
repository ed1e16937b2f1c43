"""How a client sends events: now, when it is connected, or until they are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from socketio_fast import exceptions
from socketio_fast._core.client.peer import ClientPeer
from socketio_fast._core.socketio.acks import Reply
from socketio_fast._core.socketio.hub import Hub
from socketio_fast.clients.retries import RetryQueue
from socketio_fast.coroutines import DONE, Begun
from socketio_fast.options.client import ClientConfig
from socketio_fast.sockets.acknowledgements import wait_for_answer

if TYPE_CHECKING:
    from socketio_fast.async_client import AsyncClient

__all__ = ["Sending", "traced", "with_trace"]


def traced(peer: ClientPeer, event: list[Any]) -> list[Any]:
    """An event as it is sent, after a tracer was told of it, if there is one."""
    tracer = peer.namespace.hub.tracer
    if tracer is None:
        return event
    return tracer.sending(peer.namespace.name, event, None)


def with_trace(hub: Hub, headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers of a handshake, with those that a tracer adds."""
    found = dict(headers or {})
    if hub.tracer is not None:
        hub.tracer.handshake(found)
    return found


class Sending:
    """Sends for clients and for their namespaces as objects."""

    #: The options.
    config: ClientConfig

    # Of the namespaces where events were sent with `retries=`.
    _queues: dict[str, RetryQueue]

    def _send_event(
        self,
        peer: ClientPeer | None,
        event: list[Any],
        callback: Any,
        namespace: str | None = None,
        volatile: bool = False,
        **flags: Any,
    ) -> Begun:
        peer = self._sendable(peer, namespace, flags.pop("early", False))
        event = traced(peer, event)
        if self.config.retries and not volatile:
            return self._queue(peer).emit(event, callback, flags)
        wait = peer.emit(event, callback, volatile, flags.get("compress", True))
        return DONE if wait is None else Begun(wait)

    def _queue(self, peer: ClientPeer) -> RetryQueue:
        """The queue of ``retries=`` for a namespace."""
        queue = self._queues.get(peer.namespace.name)
        if queue is None:
            queue = RetryQueue(cast("AsyncClient", self), peer)
            self._queues[peer.namespace.name] = queue
        return queue

    def _sendable(
        self, peer: ClientPeer | None, namespace: str | None, early: bool
    ) -> ClientPeer:
        """The place in a namespace, if what is emitted there is sent now or later.

        Args:
            peer: The place; ``None``: there is none.
            namespace: Its name, ``"/"`` by default, for the error.
            early: Whether what is emitted before ``connect()`` is kept, as the official
                client does.

        Raises:
            BadNamespaceError: It is not.
        """
        if self.config.offline_buffer:
            sendable = peer is not None and (peer.connected or peer.active or early)
        else:
            sendable = peer is not None and peer.reachable
        if peer is None or not sendable:
            name = (namespace or "/") if peer is None else peer.namespace.name
            raise exceptions.BadNamespaceError(f"{name} is not a connected namespace.")
        return peer

    async def _ask_until_answered(
        self,
        peer: ClientPeer | None,
        event: list[Any],
        limit: float | None = None,
        namespace: str | None = None,
        **flags: Any,
    ) -> Any:
        """Send an event with ``retries=``, and return its acknowledgement."""
        peer = self._sendable(peer, namespace, flags.pop("early", False))
        return await self._queue(peer).ask(traced(peer, event), limit, flags)

    async def _ask(
        self,
        peer: ClientPeer | None,
        event: list[Any],
        timeout: float | None,
        namespace: str | None = None,
        **flags: Any,
    ) -> Any:
        return await self._answer_of(
            lambda reply: self._send_event(peer, event, reply, namespace, **flags),
            peer,
            event[0],
            timeout,
        )

    async def _answer_of(
        self,
        send: Callable[[Reply], Awaitable[Any]],
        peer: ClientPeer | None,
        event: str,
        timeout: float | None,
    ) -> Any:
        """Send an event with a callback, and return its acknowledgement."""
        reply = Reply(asyncio.get_running_loop().create_future())
        try:
            await send(reply)
            return await wait_for_answer(reply, "the server", event, timeout)
        finally:
            if peer is not None:
                peer.cancel_ack(reply)
            del reply  # see wait_for_answer()
