"""One client in one namespace as an object, with Node's names for what it does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from socketio_fast import exceptions
from socketio_fast._core.engine import listeners
from socketio_fast._core.socketio.acks import Reply
from socketio_fast._core.socketio.peer_lifecycle import Peer
from socketio_fast.coroutines import DONE, Begun, returns_coroutine
from socketio_fast.engineio.connection import Connection
from socketio_fast.engineio.flow import wait_below
from socketio_fast.handlers.middlewares import added
from socketio_fast.handlers.validation import validated
from socketio_fast.sockets.acknowledgements import wait_for_answer
from socketio_fast.sockets.catch_all import CatchAll, called
from socketio_fast.sockets.events import (
    Listener,
    SocketEvents,
    check_event,
)
from socketio_fast.sockets.handshake import Handshake, make_handshake
from socketio_fast.sockets.scope import several

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.events import AnyEvent, EventName, Ts
    from socketio_fast.sockets.broadcast import BroadcastOperator
    from socketio_fast.sockets.namespace import SocketNamespace

__all__ = ["Socket", "SocketEmitter"]

F = TypeVar("F", bound=Listener)


class Socket(SocketEvents, CatchAll):
    """One client in one namespace.

    The server makes sockets: listeners of ``connection`` get them, and ``nsp.sockets``
    has them. Listeners may be functions or coroutine functions. When an event arrives,
    all its listeners start at once, in the order in which they were added.

    What a listener returns is the acknowledgement, if the client asked for one:
    ``None`` for no arguments, a tuple for several. With several listeners it is the
    first value that is not ``None``, sent when all have ended. What a listener raises
    is logged and passed to listeners of ``error``.

    After the ``disconnect`` listeners have been called, all listeners are removed.
    """

    _own_events: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "disconnect": ("reason",),
        "disconnecting": ("reason",),
        "error": ("error",),
    }

    def __init__(self, nsp: SocketNamespace, peer: Peer) -> None:
        #: The namespace, a :class:`SocketNamespace`.
        self.nsp = nsp
        self._peer = peer
        self._issued = time.time()

    def _adapted(self, event: Any, listener: Listener) -> Listener:
        adapted = super()._adapted(event, listener)
        server = self.nsp.server
        if event in self._own_events or not server.validate_handlers:
            return adapted
        return validated(adapted, 0, server.logger)

    def __repr__(self) -> str:
        return f"<Socket {self.id} in {self.nsp.name}>"

    # What it is.

    @property
    def id(self) -> str:
        """The ``sid``, which is the name of its own room too."""
        return self._peer.sid

    @property
    def connected(self) -> bool:
        """Whether it is connected to the namespace."""
        return self._peer.connected

    @property
    def recovered(self) -> bool:
        """Whether the client was recovered after it had lost its connection."""
        return self._peer.recovered

    @property
    def conn(self) -> Connection:
        """The Engine.IO connection, which has events of its own."""
        return Connection(self._peer.session)

    @property
    def environ(self) -> dict[str, Any]:
        """The request that it connected with, as a WSGI environment."""
        return self._peer.session.environ

    #: The same, by Node's name.
    request = environ

    @cached_property
    def handshake(self) -> Handshake:
        """The request that it connected with, and the ``auth`` of the client."""
        return make_handshake(self.environ, self._issued, self._peer.auth)

    @property
    def rooms(self) -> set[Any]:
        """The rooms that it is in, with its own room; a new set."""
        if self.id not in self._peer.namespace.peers:
            return set()
        return {self.id, *(self._peer.rooms or ())}

    @property
    def data(self) -> dict[str, Any]:
        """The application's data of this client: the dict of ``get_session()``."""
        return self._sessions.setdefault(self.nsp.name, {})

    @data.setter
    def data(self, data: dict[str, Any]) -> None:
        self._sessions[self.nsp.name] = data

    @property
    def _sessions(self) -> dict[str, dict[str, Any]]:
        """The application's data of the connection, by namespace."""
        session = self._peer.session
        if session.data is None:
            session.data = {}
        return session.data

    # Listening.

    def _set_any_outgoing(self, functions: list[Any]) -> None:
        super()._set_any_outgoing(functions)
        self._peer.watch(bool(listeners.any_out(self)))

    def use(self, middleware: F) -> F:
        """Call a function with each event of the client before handlers and listeners.

        It gets ``(event, *arguments)``. If it raises, handlers and listeners do not get
        the event, and listeners of ``error`` get what it raised. Several functions are
        called in the order in which they were added.

        Args:
            middleware: A function; with asyncio, a coroutine function too.
        """
        listeners.set_event_middlewares(
            self, added(listeners.event_middlewares(self), called(middleware))
        )
        return middleware

    # Rooms.

    @returns_coroutine
    def join(self, rooms: Any) -> Begun:
        """Enter a room, or each of a list, tuple or set of rooms.

        It is done when this returns; with asyncio, the result may be awaited.

        Raises:
            ValueError: The client is not connected, or the room is another's ``sid``.
        """
        return self.nsp._change_rooms("enter", self.id, several(rooms))

    @returns_coroutine
    def leave(self, rooms: Any) -> Begun:
        """Leave a room, or several; nothing happens if it is not in it."""
        return self.nsp._change_rooms("leave", self.id, several(rooms))

    @returns_coroutine
    def disconnect(self, close: bool = False) -> Begun:
        """Disconnect the client from this namespace.

        Whoever awaits the result waits for listeners and the ``disconnect`` handler; in
        threads, this waits for them.

        Args:
            close: Whether the whole connection is closed, with all its namespaces.
        """
        peers = self._peer.client.peers if close else [self._peer]
        session = self._peer.session
        endings = [self._disconnect(peer) for peer in peers]
        if close:
            session.disconnect()
        pending = [ending for ending in endings if ending is not None]
        return Begun(asyncio.gather(*pending)) if pending else DONE

    def _disconnect(self, peer: Peer) -> asyncio.Future[Any] | None:
        ending = peer.disconnect() if peer.reachable else None
        return None if ending is None else asyncio.shield(ending)

    # Sending.

    @returns_coroutine
    def emit(
        self,
        event: EventName[Unpack[Ts]],
        *args: Unpack[Ts],
        callback: Listener | None = None,
    ) -> Begun:
        """Send an event to this client.

        It is done when this returns; with asyncio, the result may be awaited. (With
        ``slow_consumer="block"`` that waits while the client is slow.)

        Args:
            event: The name.
            *args: The arguments: what JSON knows, with bytes anywhere in it.
            callback: Called with the arguments of the acknowledgement.

        Raises:
            ValueError: The name is one of :data:`RESERVED_EVENTS`.
            TypeError: An argument is not JSON with bytes in it.
        """
        return self._emit(event, args, callback)

    def _emit(
        self,
        event: AnyEvent,
        args: tuple[Any, ...],
        answer: Listener | None,
        compress: bool = True,
        volatile: bool = False,
    ) -> Begun:
        name = check_event(event)
        rooms = self._peer.namespace.rooms
        if rooms is None:
            return DONE  # the namespace ended with its last client
        sent = [name, *args]
        tracer = self._peer.namespace.hub.tracer
        if tracer is not None:
            sent = tracer.sending(self._peer.namespace.name, sent, self.id)
        blocked = rooms.emit(sent, self.id, None, answer, compress, volatile)
        return DONE if blocked is None else Begun(blocked)

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait for the client, of all its namespaces."""
        return self._peer.session.buffered_bytes

    async def flushed(self, below: int = 0) -> None:
        """Wait until what was sent to the client before has left.

        That is, until at most ``below`` bytes wait for the client, of all its
        namespaces. Packets that are queued while a connect handler runs do not count.

        Raises:
            DisconnectedError: The client has gone.
        """
        if not self._peer.reachable or not await wait_below(self._peer.session, below):
            raise exceptions.DisconnectedError(f"{self.id} is not connected")

    @returns_coroutine
    def send(self, *args: Any) -> Begun:
        """Send the event ``message``; see :meth:`emit`."""
        return self.emit("message", *args)

    async def emit_with_ack(
        self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]
    ) -> Any:
        """Send an event to this client, and wait for its acknowledgement.

        It waits without limit; for a limit see :meth:`timeout`.

        Returns:
            ``None`` for an acknowledgement without arguments, the argument for one, a
            tuple for several.

        Raises:
            CallDisconnectedError: The client has gone.
            RuntimeError: The client's own connect handler, or a middleware, would wait:
                see :meth:`socketio_fast.AsyncServer.call`.
            ValueError: The name is one of :data:`RESERVED_EVENTS`.
            TypeError: An argument is not JSON with bytes in it.
        """
        return await self._ask(event, args, None)

    async def _ask(
        self,
        event: AnyEvent,
        args: tuple[Any, ...],
        timeout: float | None,
        compress: bool = True,
    ) -> Any:
        name = check_event(event)
        if not self._peer.reachable:
            raise exceptions.CallDisconnectedError(f"{self.id} is not connected")
        self._peer.check_ask()
        reply = Reply(asyncio.get_running_loop().create_future())
        try:
            self._emit(name, args, reply, compress)
            return await wait_for_answer(reply, self.id, name, timeout)
        finally:
            self._peer.cancel_ack(reply)
            del reply  # see wait_for_answer()

    def timeout(self, seconds: float | None) -> SocketEmitter:
        """The same with a limit of seconds for :meth:`emit_with_ack`."""
        return SocketEmitter(self, timeout=seconds)

    def compress(self, compress: bool) -> SocketEmitter:
        """The same, with or without compression of what is sent."""
        return SocketEmitter(self, compress=compress)

    @property
    def volatile(self) -> SocketEmitter:
        """The same, but what cannot leave at once is dropped."""
        return SocketEmitter(self, volatile=True)

    def to(self, *rooms: Any) -> BroadcastOperator:
        """The other clients in any of these rooms, to send to."""
        return self.broadcast.to(*rooms)

    in_ = to

    def except_(self, *rooms: Any) -> BroadcastOperator:
        """The other clients that are in none of these rooms, to send to."""
        return self.broadcast.except_(*rooms)

    @property
    def local(self) -> BroadcastOperator:
        """The other clients of this process, to send to."""
        return self.broadcast.local

    @property
    def broadcast(self) -> BroadcastOperator:
        """All other clients of the namespace, to send to."""
        return self.nsp.except_(self.id)


class SocketEmitter:
    """Sends to one client, with the flags that :meth:`Socket.timeout` and others set.

    It has those methods too, so that calls can be chained.
    """

    def __init__(
        self,
        socket: Socket,
        timeout: float | None = None,
        compress: bool = True,
        volatile: bool = False,
    ) -> None:
        self._socket = socket
        self._timeout = timeout
        self._compress = compress
        self._volatile = volatile

    @returns_coroutine
    def emit(
        self,
        event: EventName[Unpack[Ts]],
        *args: Unpack[Ts],
        callback: Listener | None = None,
    ) -> Begun:
        """Send an event; see :meth:`Socket.emit`."""
        return self._socket._emit(event, args, callback, self._compress, self._volatile)

    @returns_coroutine
    def send(self, *args: Any) -> Begun:
        """Send the event ``message``; see :meth:`Socket.emit`."""
        return self.emit("message", *args)

    async def emit_with_ack(
        self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]
    ) -> Any:
        """Send an event and wait for its acknowledgement; see there.

        Raises:
            TimeoutError: None came in the seconds of :meth:`timeout`.
        """
        return await self._socket._ask(event, args, self._timeout, self._compress)

    def timeout(self, seconds: float | None) -> SocketEmitter:
        """The same with a limit of seconds for :meth:`emit_with_ack`."""
        return SocketEmitter(self._socket, seconds, self._compress, self._volatile)

    def compress(self, compress: bool) -> SocketEmitter:
        """The same, with or without compression of what is sent."""
        return SocketEmitter(self._socket, self._timeout, compress, self._volatile)

    @property
    def volatile(self) -> SocketEmitter:
        """The same, but what cannot leave at once is dropped."""
        return SocketEmitter(self._socket, self._timeout, self._compress, True)
