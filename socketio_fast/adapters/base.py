"""The base of adapters: what a server tells the other servers of its cluster.

An adapter is the client manager of its server. It has served the clients of its own
process when it calls a method that subclasses implement, such as
:meth:`Adapter.broadcast`: that one is for the other servers alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from socketio_fast._core.engine.failures import contain
from socketio_fast._core.socketio.acks import Reply
from socketio_fast._core.socketio.adapter_relay import AdapterRelay
from socketio_fast._core.socketio.rooms import one_or_several
from socketio_fast.adapters.bridge import Bridge
from socketio_fast.adapters.callbacks import Callbacks
from socketio_fast.adapters.sessions import RestoredSession, SharedSessions
from socketio_fast.event_arguments import arguments_of
from socketio_fast.managers.broker import BrokerManager
from socketio_fast.options.logs import AnyLogger
from socketio_fast.overrides import is_overridden
from socketio_fast.sockets.scope import Scope, several

if TYPE_CHECKING:
    from socketio_fast.managers.pubsub import AsyncPubSubManager

__all__ = ["Adapter", "BroadcastEvent"]

Callback = Callable[..., Any]


@dataclass
class BroadcastEvent:
    """An event that is sent to many clients."""

    #: The name and the arguments: ``[name, *arguments]``.
    data: list[Any]
    #: The JSON of ``data``, if clients get that; ``None``: it has bytes, or the server
    #: has another encoding.
    text: bytes | None = None
    #: Whether it is dropped for clients that it would have to wait for.
    volatile: bool = False
    #: Whether it may be compressed on its way to clients.
    compress: bool = True
    #: Whether clients of this server have it already; else they get it when this server
    #: reads it.
    delivered: bool = True


class Adapter(BrokerManager):
    """Clients of several servers. The interface that adapters implement.

    It is the ``client_manager`` of an :class:`socketio_fast.AsyncServer` or a
    :class:`socketio_fast.Server`. Most adapters are best written as subclasses of
    :class:`socketio_fast.adapters.ClusterAdapter`, which has two methods to implement.

    Args:
        logger: The logger to use; by default the server's.
    """

    name = "adapter"

    #: Whether a server for threads may have it too: its methods run on the event loop.
    serves_threads = True

    #: Whether it keeps the states of clients for all servers, and a log of events: it
    #: has :meth:`persist_session`, :meth:`restore_session` and what belongs to them.
    recovers = False

    #: Seconds that :meth:`restore_session` may take.
    restore_timeout = 5.0

    #: Whether :meth:`room_created` and :meth:`room_deleted` are called.
    watches_rooms = False

    #: Whether :meth:`client_added` and :meth:`client_removed` are called.
    watches_clients = False

    #: Whether it is the adapter of an emitter, not of a server.
    emits_only = False

    def __init__(self, logger: AnyLogger | None = None) -> None:
        super().__init__(logger)
        self._relay: AdapterRelay | None = None
        self._bridge: Bridge | None = None
        self._callbacks = Callbacks(self._spawn)
        self._health_listeners: list[Callable[[bool], Any]] = []
        self._was_healthy = True
        self._sessions: SharedSessions | None = None

    # What subclasses implement.

    def broadcast(
        self, namespace: str, event: BroadcastEvent, scope: Scope
    ) -> asyncio.Future[None] | None:
        """Send an event to clients of other servers.

        It is called in the order of the calls of ``emit()``, and must not fail because
        the engine is away.

        Args:
            namespace: The namespace.
            event: The event.
            scope: Which clients: ``rooms`` and ``excepted``.

        Returns:
            What the sender is to wait for, because too much waits to be published; or
            ``None``.
        """
        raise NotImplementedError

    async def broadcast_with_ack(
        self,
        namespace: str,
        event: BroadcastEvent,
        scope: Scope,
        answers: Any,
        timeout: float | None,
    ) -> None:
        """Send an event to clients of other servers, which are to acknowledge it.

        Args:
            namespace: The namespace.
            event: The event.
            scope: Which clients.
            answers: Is told of servers and answers: an
                :class:`socketio_fast.sockets.acknowledgements.Answers`.
            timeout: Seconds that clients have to answer; ``None`` without limit.
        """
        raise NotImplementedError

    async def fetch_sockets(self, namespace: str, scope: Scope) -> list[dict[str, Any]]:
        """Look up clients of other servers.

        Returns:
            For each a dict with ``id``, ``handshake``, ``rooms`` and ``data``.

        Raises:
            TimeoutError: Another server did not answer.
        """
        raise NotImplementedError

    async def add_sockets(
        self, namespace: str, scope: Scope, rooms: Sequence[Any]
    ) -> None:
        """Put clients of other servers into rooms."""
        raise NotImplementedError

    async def del_sockets(
        self, namespace: str, scope: Scope, rooms: Sequence[Any]
    ) -> None:
        """Take clients of other servers out of rooms."""
        raise NotImplementedError

    async def disconnect_sockets(
        self, namespace: str, scope: Scope, close: bool
    ) -> None:
        """Disconnect clients of other servers; with ``close`` whole connections."""
        raise NotImplementedError

    async def server_side_emit(
        self, namespace: str, event: str, args: list[Any]
    ) -> None:
        """Send an event to the other servers themselves."""
        raise NotImplementedError

    async def server_side_emit_with_ack(
        self, namespace: str, event: str, args: list[Any]
    ) -> list[Any]:
        """Send an event to the other servers, and wait for an answer of each.

        Raises:
            BroadcastTimeoutError: Some have not answered in time, or have gone.
        """
        raise NotImplementedError

    async def server_count(self, namespace: str) -> int:
        """The number of servers that have a namespace, this one included.

        Raises:
            TimeoutError: The engine is away.
        """
        raise NotImplementedError

    def namespace_began(self, namespace: str) -> None:
        """This server has a namespace from now on."""

    def namespace_ended(self, namespace: str) -> None:
        """This server has that namespace no longer."""

    def room_created(self, namespace: str, room: Any) -> None:
        """A room has its first client of this server; see :attr:`watches_rooms`."""

    def room_deleted(self, namespace: str, room: Any) -> None:
        """A room has lost its last client of this server."""

    def client_added(self, namespace: str, sid: str) -> None:
        """A client of this server has connected; see :attr:`watches_clients`."""

    def client_removed(self, namespace: str, sid: str) -> None:
        """A client of this server has gone."""

    # Connection state recovery, of adapters with a log.

    def position(self, namespace: str) -> str | None:
        """The offset of the last entry of the log that was read for a namespace."""
        raise NotImplementedError

    def offset_order(self, offset: str) -> Any:
        """What offsets are compared by: a later one has more."""
        raise NotImplementedError

    def persist_session(self, namespace: str, session: dict[str, Any]) -> None:
        """Keep the state of a client that has gone.

        Args:
            namespace: The namespace.
            session: ``sid``, ``pid``, ``rooms``, ``data`` and ``offset``, where the log
                was when the client connected first.
        """
        raise NotImplementedError

    async def restore_session(
        self, namespace: str, pid: str, offset: str | None
    ) -> RestoredSession | None:
        """Fetch the state of a client that comes back, and forget it.

        Args:
            namespace: The namespace.
            pid: The secret that proves who it is.
            offset: Of the last event that it has got; ``None``: it has got none.

        Returns:
            The state, or ``None`` if it cannot be recovered.
        """
        raise NotImplementedError

    def bridge(self, manager: AsyncPubSubManager) -> None:
        """Reach the servers of a manager too, such as those of python-socketio.

        Servers of a fleet are replaced by servers with a bridge, one after the other,
        and then those by servers with the adapter alone.

        Args:
            manager: For example an :class:`socketio_fast.AsyncRedisManager`.

        Raises:
            RuntimeError: The adapter has a server already, or another bridge.
            ValueError: The manager only writes.
        """
        if self.server is not None or self._bridge is not None:
            raise RuntimeError("bridge() is called once, before a server is made")
        if manager.write_only:
            raise ValueError("a write_only manager does not receive: it is no bridge")
        self._bridge = Bridge(self, manager)

    @property
    def _outside(self) -> Adapter | Bridge:
        """What tells other servers."""
        return self if self._bridge is None else self._bridge

    # Its health.

    @property
    def healthy(self) -> bool:
        """Whether the engine is there: messages can be published, and are received.

        Clients of this process are served in any case.
        """
        if self.emits_only and not self._readers:
            return not self._publishing.lasts  # nobody has been asked yet
        return super().healthy

    def on_health_change(self, function: Callable[[bool], Any]) -> None:
        """Call a function with :attr:`healthy` each time that it changes.

        Args:
            function: A function, not a coroutine function.
        """
        self._health_listeners.append(function)

    def _check_health(self) -> None:
        healthy = self.healthy
        if healthy is self._was_healthy:
            return
        self._was_healthy = healthy
        if self.server is not None:
            name = "adapter_recovered" if healthy else "adapter_failed"
            self.server.eio.engine.counters[name] += 1
        for function in list(self._health_listeners):
            try:
                function(healthy)
            except BaseException as exc:
                contain(
                    asyncio.get_running_loop(),
                    self._get_logger(),
                    exc,
                    "a listener of an adapter's health {}",
                )

    def _on_subscribed(self, source: object = None) -> None:
        super()._on_subscribed(source)
        if not self._was_healthy:
            self._check_health()

    def _source_failed(self, source: object, error: BaseException) -> float:
        delay = super()._source_failed(source, error)
        self._check_health()
        return delay

    async def _try_to_publish(self, messages: list[Any]) -> None:
        lasted = self._publishing.lasts
        await super()._try_to_publish(messages)
        if self._publishing.lasts is not lasted:
            self._check_health()

    # The server.

    def set_server(self, server: Any) -> None:
        """Called once by the server that is made with this adapter.

        Raises:
            ValueError: It is the adapter of an emitter.
        """
        if self.emits_only:
            raise ValueError("an emitter has this adapter: a server needs its own")
        super().set_server(server)
        self._relay = AdapterRelay(
            server._hub,
            self,
            sends=not is_overridden(self, "emit"),
            rooms=self.watches_rooms,
            clients=self.watches_clients,
            shares_own=self._recovering,
        )
        server._hub.relay = self._relay
        if self._bridge is not None:
            self._bridge.manager.set_server(server)
        if self._recovering:
            self._sessions = SharedSessions(self)
            server._hub.session_store = self._sessions

    async def close(self) -> None:
        """Publish all waiting messages, then disconnect from the engine."""
        if self._bridge is not None:
            await self._bridge.manager.close()
        await super().close()

    @property
    def _recovering(self) -> bool:
        """Whether clients are recovered by any server of the cluster."""
        return self.recovers and self.server is not None and self.server._recovers

    def initialize(self) -> None:
        """Begin to exchange messages with other servers."""
        super().initialize()
        if self._bridge is not None:
            self._bridge.manager.initialize()
        if self._recovering:
            # No other worker is to be asked for the state of a client.
            self.server._hub.take_back = None

    # Called by the core.

    def emitted(
        self,
        namespace: str,
        data: list[Any],
        text: bytes | None,
        to: Any,
        excepted: Any,
        volatile: bool,
        compress: bool,
    ) -> tuple[bool, Awaitable[Any] | None]:
        """The program emits an event; called by the core.

        Returns:
            Whether clients of this server get it by this call, and what is to be waited
            for.
        """
        scope = Scope(_rooms(to), _rooms(excepted))
        # Clients have to get events in the order of the log, and with their offsets.
        later = self._recovering and self.healthy and not volatile
        event = BroadcastEvent(data, text, volatile, compress, not later)
        return later, self._outside.broadcast(namespace, event, scope)

    # Called by servers and by broadcasts, see socketio_fast.sockets.broadcast.

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str | None = None,
        room: Any = None,
        skip_sid: str | Sequence[str] | None = None,
        callback: Callback | None = None,
        to: Any = None,
        **kwargs: Any,
    ) -> None:
        """Send an event to clients of all servers.

        Args:
            event: The name.
            data: See :meth:`socketio_fast.AsyncServer.emit`.
            namespace: The namespace, ``"/"`` by default.
            room: A room, a ``sid`` or a list of them; ``None`` for all clients.
            skip_sid: A ``sid`` or a list of them that get nothing.
            callback: Called with the arguments of the acknowledgement: the first, if
                several clients get the event.
            to: The same as ``room``.
            **kwargs: ``ignore_queue=True`` is for clients of this process alone.

        Raises:
            TypeError: ``data`` is not JSON with bytes in it.
            ValueError: There is a ``callback``, but no room.
            RuntimeError: The adapter has no server.
        """
        namespace = namespace or "/"
        room = one_or_several(room if to is None else to)
        skip = one_or_several(skip_sid)
        if self._relay is None:
            raise RuntimeError(
                f"a {type(self).__name__} needs a server: pass it as client_manager=. "
                "A program without clients of its own uses an emitter"
            )
        if kwargs.get("ignore_queue") or (
            callback is not None and self.is_sid_room(namespace, room)
        ):
            await super().emit(event, data, namespace, room, skip, callback)
            return
        message = [event, *arguments_of(data)]
        if callback is None:
            waits = self._relay.emit(namespace, message, room, skip, skip)
            if waits is not None:
                await waits
            return
        if room is None:
            raise ValueError("Cannot use callback without a room set.")
        waiting = self._callbacks.add(callback)
        blocked = self._emit_here(message, namespace, room, skip, waiting.here)
        await self._outside.broadcast_with_ack(
            namespace,
            BroadcastEvent(message),
            Scope(_rooms(room), _rooms(skip)),
            waiting,
            None,
        )
        if blocked is not None:
            await blocked

    async def can_disconnect(self, sid: str, namespace: str) -> bool:
        """Whether the server itself can disconnect it; if not, others are asked."""
        if await super().can_disconnect(sid, namespace):
            return True
        await self._outside.disconnect_sockets(namespace or "/", Scope((sid,)), False)
        return False

    async def disconnect(self, sid: str, namespace: str | None, **kwargs: Any) -> None:
        """Disconnect a client of any server.

        Args:
            sid: The client.
            namespace: The namespace; ``None`` is ``"/"``.
            **kwargs: ``ignore_queue=True`` is for clients of this process alone.
        """
        namespace = namespace or "/"
        here = self._peer(sid, namespace) is not None
        self._disconnect_client(sid, namespace)
        if not here and not kwargs.get("ignore_queue"):
            await self._outside.disconnect_sockets(namespace, Scope((sid,)), False)

    async def enter_room(
        self,
        sid: str,
        namespace: str | None,
        room: Any,
        eio_sid: str | None = None,
    ) -> None:
        """Put a client of any server into a room.

        Raises:
            ValueError: The client is one of this process, and the room is another's
                ``sid``.
            TypeError: The room is not a ``str``, an ``int`` or a ``float``.
        """
        namespace = namespace or "/"
        if self.is_sid_room(namespace, sid):
            self.basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        else:
            self._check((room,))
            await self._outside.add_sockets(namespace, Scope((sid,)), [room])

    async def leave_room(self, sid: str, namespace: str | None, room: Any) -> None:
        """Take a client of any server out of a room."""
        namespace = namespace or "/"
        if self.is_sid_room(namespace, sid):
            self.basic_leave_room(sid, namespace, room)
        else:
            self._check((room,))
            await self._outside.del_sockets(namespace, Scope((sid,)), [room])

    async def close_room(self, room: Any, namespace: str | None = None) -> None:
        """Take every client of every server out of a room.

        Raises:
            ValueError: The room is the ``sid`` of a client of this process.
            TypeError: The room is not a ``str``, an ``int`` or a ``float``.
        """
        namespace = namespace or "/"
        self._check((room,))
        self.basic_close_room(room, namespace)
        await self._outside.del_sockets(namespace, Scope((room,)), [room])

    async def _broadcast(
        self,
        event: str,
        args: list[Any],
        namespace: str,
        scope: Scope,
        *,
        volatile: bool = False,
        compress: bool = True,
    ) -> None:
        self._check((*scope.rooms, *scope.excepted))
        if self.server is None:
            if not scope.local:
                sent = BroadcastEvent([event, *args], None, volatile, compress)
                waits = self.broadcast(namespace, sent, scope)
                if waits is not None:
                    await waits
            return
        if scope.local or self._relay is None or not self.server._emits_itself:
            await super()._broadcast(
                event, args, namespace, scope, volatile=volatile, compress=compress
            )
            return
        blocked = self._relay.emit(
            namespace,
            [event, *args],
            scope.to,
            list(scope.excepted) or None,
            self._skipped(namespace, scope),
            compress=compress,
            volatile=volatile,
        )
        if blocked is not None:
            await blocked

    async def _ask(
        self,
        event: str,
        args: list[Any],
        namespace: str,
        scope: Scope,
        answers: Any,
        *,
        timeout: float | None,
        compress: bool,
    ) -> None:
        await super()._ask(
            event, args, namespace, scope, answers, timeout=timeout, compress=compress
        )
        if not scope.local:
            self._check((*scope.rooms, *scope.excepted))
            sent = BroadcastEvent([event, *args], compress=compress)
            await self._outside.broadcast_with_ack(
                namespace, sent, scope, answers, timeout
            )

    async def _fetch(self, namespace: str, scope: Scope) -> list[dict[str, Any]]:
        here = self._fetch_here(namespace, scope)
        if scope.local:
            return here
        self._check((*scope.rooms, *scope.excepted))
        return [*here, *await self._outside.fetch_sockets(namespace, scope)]

    async def _change(
        self, change: str, namespace: str, scope: Scope, options: dict[str, Any]
    ) -> None:
        if not scope.local:
            rooms = list(options.get("rooms", ()))
            self._check((*scope.rooms, *scope.excepted, *rooms))
            if change == "join":
                await self._outside.add_sockets(namespace, scope, rooms)
            elif change == "leave":
                await self._outside.del_sockets(namespace, scope, rooms)
            else:
                close = bool(options.get("close"))
                await self._outside.disconnect_sockets(namespace, scope, close)
        self._change_here(change, namespace, scope, options)

    async def _server_side_emit(
        self, namespace: str, event: str, args: list[Any]
    ) -> None:
        await self._outside.server_side_emit(namespace, event, args)

    async def _server_side_ask(
        self, namespace: str, event: str, args: list[Any]
    ) -> list[Any]:
        return await self._outside.server_side_emit_with_ack(namespace, event, args)

    async def _server_count(self) -> int:
        return await self._outside.server_count("/")

    def _check(self, rooms: Iterable[Any]) -> None:
        """Raise TypeError for a room that cannot be named to other servers."""
        for room in rooms:
            if self._relay is not None:
                self._relay.check(room)
            elif not isinstance(room, (str, int, float)):
                raise TypeError(f"a room is a str, an int or a float, not {room!r:.80}")

    def _forget_callback(self, reply: Reply) -> None:
        """An acknowledgement is not waited for any more."""
        self._callbacks.forget(reply)


def _rooms(rooms: Any) -> tuple[Any, ...]:
    """The rooms that an argument of ``emit()`` names."""
    return () if rooms is None else tuple(several(rooms))
