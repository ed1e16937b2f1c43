"""Emitters: programs that are no servers, and send to the clients of servers.

::

    async with socketio.adapters.AsyncEmitter(
        socketio.adapters.RedisAdapter("redis://redis.example")
    ) as emitter:
        await emitter.to("room").emit("news", 1)
        await emitter.in_("room").disconnect_sockets()
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from socketio_fast.adapters.base import Adapter
from socketio_fast.handlers.names import check_namespace
from socketio_fast.managers.pubsub import AsyncPubSubManager
from socketio_fast.managers.sync import PubSubManager, SharedLoop
from socketio_fast.sockets import blocking
from socketio_fast.sockets.broadcast import Broadcasting, BroadcastOperator
from socketio_fast.threads.methods import waits

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from socketio_fast.events import EventName, Ts

__all__ = ["AsyncEmitter", "Emitter"]


class AsyncEmitter(Broadcasting):
    """Sends to the clients of servers, from a program that is no server itself.

    It has the operators of a namespace: ``to()``, ``except_()``, ``volatile``,
    ``sockets_join()`` and so on. The servers are those that have an adapter of the same
    kind with the same options, in Node.js too.

    Each call returns when its message was published. While the engine is away,
    messages are lost, except those that the adapter keeps; ``lost_messages`` of the
    adapter counts them.

    Example::

        emitter = socketio.adapters.AsyncEmitter(
            socketio.adapters.RedisAdapter("redis://redis.example")
        )
        await emitter.of("/chat").to("room").emit("news", {"id": 5})

    Args:
        adapter: An adapter that no server has; or a manager of python-socketio's kind
            with ``write_only=True``, which has no acknowledgements.
        namespace: The namespace of the clients.

    Raises:
        TypeError: ``adapter`` is neither.
        ValueError: A server has the adapter, the manager is not ``write_only``, or the
            namespace does not begin with a slash.
    """

    def __init__(
        self, adapter: Adapter | AsyncPubSubManager, namespace: str = "/"
    ) -> None:
        if not isinstance(adapter, (Adapter, AsyncPubSubManager)):
            raise TypeError(
                f"{type(self).__name__}({adapter!r:.80}): an adapter, or a manager "
                "with write_only=True, expected"
            )
        if adapter.server is not None:
            raise ValueError(
                "a server has this adapter: an emitter needs one of its own. Or use "
                "the methods of the server"
            )
        if isinstance(adapter, Adapter):
            adapter.emits_only = True
        elif not adapter.write_only:
            raise ValueError(
                f"{type(adapter).__name__} without write_only=True: an emitter "
                "receives no messages of servers"
            )
        #: The adapter, or the manager.
        self.adapter = adapter
        #: The namespace of the clients.
        self.namespace = check_namespace(namespace)

    def of(self, namespace: str) -> AsyncEmitter:
        """The emitter for another namespace, with the same connection.

        Raises:
            ValueError: The name does not begin with a slash.
        """
        return AsyncEmitter(self.adapter, namespace)

    def _broadcast(self) -> BroadcastOperator:
        server: Any = _NoServer(self.adapter)
        return BroadcastOperator(server, (self.namespace,))

    async def emit(self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]) -> None:
        """Send an event to all clients of the namespace.

        Args:
            event: The name.
            *args: The arguments: what JSON knows, with bytes anywhere in it.

        Raises:
            ValueError: The name is reserved, such as ``connect``.
            TypeError: An argument is not JSON with bytes in it.
        """
        await self._broadcast().emit(event, *args)

    async def send(self, *args: Any) -> None:
        """Send the event ``message``; see :meth:`emit`."""
        await self.emit("message", *args)

    async def emit_with_ack(
        self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]
    ) -> list[Any]:
        """Send an event, and wait until all clients that got it have acknowledged.

        The first call takes half a second longer with adapters whose servers find each
        other by heartbeats.

        Returns:
            One value for each client.

        Raises:
            BroadcastTimeoutError: Some clients, or servers, did not answer in time.
            RuntimeError: It has a manager, which receives no answers.
            ValueError: The name is reserved, such as ``connect``.
            TypeError: An argument is not JSON with bytes in it.
        """
        return await self._broadcast().emit_with_ack(event, *args)

    def acks(
        self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]
    ) -> AsyncIterator[tuple[str, Any]]:
        """Send an event, and give ``(sid, response)`` of each client as they come."""
        return self._broadcast().acks(event, *args)

    async def close(self) -> None:
        """Publish what waits, and disconnect. The next call connects again."""
        await self.adapter.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class Emitter(blocking.Broadcasting, blocking.Blocking):
    """See :class:`AsyncEmitter`; this one is for programs that do not use asyncio.

    All methods may be called from any thread, and wait until it is done.

    Example::

        emitter = socketio.adapters.Emitter(
            socketio.adapters.RedisAdapter("redis://redis.example")
        )
        emitter.to("room").emit("news", {"id": 5})

    Args:
        adapter: The same; or a manager such as
            ``socketio.RedisManager(write_only=True)``.
        namespace: The namespace of the clients.

    Raises:
        TypeError: ``adapter`` is neither an adapter nor a manager.
        ValueError: A server has the adapter, the manager is not ``write_only``, or the
            namespace does not begin with a slash.
    """

    def __init__(
        self,
        adapter: Adapter | AsyncPubSubManager | PubSubManager,
        namespace: str = "/",
    ) -> None:
        if isinstance(adapter, PubSubManager):
            adapter = adapter.async_manager
        self._inner = AsyncEmitter(adapter, namespace)
        self._threads = SharedLoop(adapter)  # type: ignore[assignment]

    def of(self, namespace: str) -> Emitter:
        """The emitter for another namespace, with the same connection.

        Raises:
            ValueError: The name does not begin with a slash.
        """
        return Emitter(self._inner.adapter, namespace)

    emit = waits(AsyncEmitter.emit)
    send = waits(AsyncEmitter.send)
    emit_with_ack = waits(AsyncEmitter.emit_with_ack)
    close = waits(AsyncEmitter.close)

    def acks(
        self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]
    ) -> Iterator[tuple[str, Any]]:
        """Send an event, and give ``(sid, response)`` of each client as they come."""
        return self._iterate(self._inner.acks(event, *args))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _NoServer:
    """What operators need of a server."""

    _hub: Any

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self._hub = self

    #: Nobody traces what an emitter sends.
    tracer = None
