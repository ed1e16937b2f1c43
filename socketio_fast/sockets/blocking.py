"""The socket API for threads: the same objects, with methods that wait.

Each class here is a facade of one of asyncio's, with the same methods: they run on the
event loop of the server and return the result. Listeners run in the server's threads,
as handlers do.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from socketio_fast.engineio.connection import Connection
from socketio_fast.sockets import adapter as adapters
from socketio_fast.sockets import broadcast as operators
from socketio_fast.sockets import events as socket_events
from socketio_fast.sockets import namespace as socket_namespace
from socketio_fast.sockets import presence as presences
from socketio_fast.sockets import socket as sockets
from socketio_fast.sockets.catch_all import CatchAll
from socketio_fast.sockets.roster import Change
from socketio_fast.threads.facade import Finder, Threads, check_handler
from socketio_fast.threads.methods import (
    Facade,
    calls,
    changes,
    like,
    reads,
    shown,
    waits,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.events import EventName, Ts
    from socketio_fast.server import Server
    from socketio_fast.threads.methods import Read

__all__ = [
    "Adapter",
    "BroadcastOperator",
    "Broadcasting",
    "ParentNamespace",
    "Presence",
    "RemoteSocket",
    "Socket",
    "SocketEmitter",
    "SocketNamespace",
]

C = TypeVar("C")
F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_END: Any = object()


@overload
def _begins(
    method: Callable[Concatenate[Any, P], operators.BroadcastOperator],
) -> Callable[Concatenate[Any, P], BroadcastOperator]: ...


@overload
def _begins(
    method: Callable[Concatenate[Any, P], sockets.SocketEmitter],
) -> Callable[Concatenate[Any, P], SocketEmitter]: ...


def _begins(method: Callable[..., Any]) -> Callable[..., Any]:
    """Make the method that returns the facade of what this one returns."""
    name = method.__name__

    def begin(self: Facade, /, *args: Any, **kwargs: Any) -> Any:
        made = getattr(self._inner, name)(*args, **kwargs)
        if isinstance(made, sockets.SocketEmitter):
            return SocketEmitter(made, self._threads)
        return BroadcastOperator(made, self._threads)

    return shown(begin, method)


def _leads(
    of: type[C], get: Callable[[C], operators.BroadcastOperator]
) -> Read[BroadcastOperator]:
    """Make the property that returns the facade of an operator."""
    return reads(of, get, lambda self, made: BroadcastOperator(made, self._threads))


def listens(
    method: Callable[Concatenate[Any, P], R], of_client: bool = True
) -> Callable[Concatenate[Any, P], R]:
    """Make the method that adds a listener, which then runs in threads.

    Args:
        method: The method for asyncio; it takes the listener and returns it.
        of_client: Whether a call counts against ``max_workers_per_client``.
    """
    name = method.__name__
    signature = inspect.signature(method)

    def listen(self: Listening, /, *args: Any, **kwargs: Any) -> Any:
        function = signature.bind(self, *args, **kwargs).args[1]
        client = self._client_of(None) if of_client else None
        self._change(getattr(self._inner, name), self._in_threads(function, client))
        return function

    return shown(listen, method)


class Blocking(Facade):
    """A facade that is equal to the other facades of its object."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blocking) and other._inner is self._inner

    def __hash__(self) -> int:
        return hash(self._inner)

    def __repr__(self) -> str:
        return repr(self._inner)

    def _iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        """Iterate over what an asynchronous generator of the event loop yields."""

        async def step() -> T:
            return await anext(items, _END)

        try:
            while (item := self._wait(step())) is not _END:
                yield item
        finally:
            self._wait(items.aclose())


class Broadcasting(Facade):
    """Sends to all clients of a namespace, or by operators to some of them."""

    to = _begins(operators.Broadcasting.to)
    in_ = to
    except_ = _begins(operators.Broadcasting.except_)
    compress = _begins(operators.Broadcasting.compress)
    timeout = _begins(operators.Broadcasting.timeout)
    local = _leads(operators.Broadcasting, lambda clients: clients.local)
    volatile = _leads(operators.Broadcasting, lambda clients: clients.volatile)
    sockets_join = waits(operators.Broadcasting.sockets_join)
    sockets_leave = waits(operators.Broadcasting.sockets_leave)
    disconnect_sockets = waits(operators.Broadcasting.disconnect_sockets)
    server_side_emit = waits(operators.Broadcasting.server_side_emit)
    server_side_emit_with_ack = waits(operators.Broadcasting.server_side_emit_with_ack)

    @like(operators.Broadcasting.fetch_sockets)
    def fetch_sockets(self) -> list[RemoteSocket]:
        found = self._wait(self._inner.fetch_sockets())
        return [RemoteSocket(client, self._threads) for client in found]


class BroadcastOperator(Broadcasting, Blocking):
    """See :class:`socketio_fast.sockets.broadcast.BroadcastOperator`."""

    def __init__(self, inner: operators.BroadcastOperator, threads: Threads) -> None:
        self._inner = inner
        self._threads = threads

    emit = waits(operators.BroadcastOperator.emit)
    send = waits(operators.BroadcastOperator.send)
    emit_with_ack = waits(operators.BroadcastOperator.emit_with_ack)

    def acks(
        self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]
    ) -> Iterator[tuple[str, Any]]:
        """Send an event, and give ``(sid, response)`` of each client as they come.

        Example::

            for sid, answer in sio.to("room").timeout(5).acks("question"): ...

        Raises:
            BroadcastTimeoutError: After what came: some did not acknowledge in time, or
                have gone.
        """
        return self._iterate(self._inner.acks(event, *args))


class RemoteSocket(Blocking):
    """See :class:`socketio_fast.sockets.broadcast.RemoteSocket`."""

    def __init__(self, inner: operators.RemoteSocket, threads: Threads) -> None:
        self._inner = inner
        self._threads = threads
        #: The ``sid``.
        self.id = inner.id
        #: The request that it connected with.
        self.handshake = inner.handshake
        #: The rooms that it is in, its own too.
        self.rooms = inner.rooms
        #: The application's data of the client.
        self.data = inner.data

    emit = waits(operators.RemoteSocket.emit)
    emit_with_ack = waits(operators.RemoteSocket.emit_with_ack)
    join = waits(operators.RemoteSocket.join)
    leave = waits(operators.RemoteSocket.leave)
    disconnect = waits(operators.RemoteSocket.disconnect)


class Listening(Blocking):
    """An object whose listeners run in threads."""

    off = changes(socket_events.EventEmitter.off)
    listeners = calls(socket_events.EventEmitter.listeners)
    remove_all_listeners = changes(socket_events.EventEmitter.remove_all_listeners)

    def _register(self, event: Any, listener: Any, once: bool = False) -> Any:
        add = self._inner.once if once else self._inner.on

        def register(function: F) -> F:
            adapted = self._in_threads(function, self._client_of(event))
            self._change(add, event, adapted)
            return function

        return register if listener is None else register(listener)

    def _client_of(self, event: Any) -> Finder | None:
        """What finds the client that a call of a listener is for; None for none."""
        return None

    def _in_threads(
        self, function: Callable[..., Any], client: Finder | None = None
    ) -> Callable[..., Any]:
        """The coroutine function that runs a function in a thread."""
        if not callable(function):
            raise TypeError(f"{function!r} is not callable")
        check_handler(function)
        adapted = self._threads.adapt(self._given(function), client)
        adapted._listener = function  # type: ignore[attr-defined]
        return adapted

    def _given(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which gets facades of the listener's arguments."""
        return function


class CatchAllListening(Listening):
    """A socket, of a server or of a client, with catch-all listeners."""

    on_any = listens(CatchAll.on_any)
    prepend_any = listens(CatchAll.prepend_any)
    off_any = changes(CatchAll.off_any)
    listeners_any = calls(CatchAll.listeners_any)
    on_any_outgoing = listens(CatchAll.on_any_outgoing, of_client=False)
    prepend_any_outgoing = listens(CatchAll.prepend_any_outgoing, of_client=False)
    off_any_outgoing = changes(CatchAll.off_any_outgoing)
    listeners_any_outgoing = calls(CatchAll.listeners_any_outgoing)


class _Emitting(Blocking):
    """Sends to one client."""

    emit_with_ack = waits(sockets.SocketEmitter.emit_with_ack)
    send = waits(sockets.SocketEmitter.send)

    timeout = _begins(sockets.SocketEmitter.timeout)
    compress = _begins(sockets.SocketEmitter.compress)

    @like(sockets.Socket.emit, "The ``callback`` is called in a thread of handlers.")
    def emit(
        self, event: Any, *args: Any, callback: Callable[..., Any] | None = None
    ) -> None:
        adapted = None if callback is None else self._threads.adapt(callback)

        async def call() -> None:
            await self._inner.emit(event, *args, callback=adapted)

        self._run(call())

    @property
    def volatile(self) -> SocketEmitter:
        """For what is dropped if it cannot leave at once."""
        return SocketEmitter(self._inner.volatile, self._threads)


class SocketEmitter(_Emitting):
    """See :class:`socketio_fast.sockets.SocketEmitter`."""

    def __init__(self, inner: sockets.SocketEmitter, threads: Threads) -> None:
        self._inner = inner
        self._threads = threads


class Socket(_Emitting, socket_events.SocketEvents, CatchAllListening):
    """See :class:`socketio_fast.sockets.Socket`.

    Events that come while listeners of ``connection`` run wait until those have ended.
    """

    def __init__(self, inner: sockets.Socket, server: Server) -> None:
        self._inner: sockets.Socket = inner
        self._server = server
        self._threads = server._threads

    def _client_of(self, event: Any) -> Finder | None:
        if event in self._inner._own_events:
            return None
        session = self._inner._peer.session
        return lambda *args: session

    @property
    def nsp(self) -> SocketNamespace:
        """The namespace."""
        return SocketNamespace(self._inner.nsp, self._server)

    id = reads(sockets.Socket, lambda socket: socket.id)
    connected = reads(sockets.Socket, lambda socket: socket.connected)
    recovered = reads(sockets.Socket, lambda socket: socket.recovered)
    environ = reads(sockets.Socket, lambda socket: socket.environ)
    #: The same, by Node's name.
    request = environ
    handshake = reads(sockets.Socket, lambda socket: socket.handshake)
    rooms = reads(sockets.Socket, lambda socket: socket.rooms)
    buffered_bytes = reads(sockets.Socket, lambda socket: socket.buffered_bytes)

    @property
    def conn(self) -> Connection:
        """The Engine.IO connection; its listeners run on the event loop."""
        return self._inner.conn

    @property
    def data(self) -> dict[str, Any]:
        """The application's data of this client: the dict of ``get_session()``."""
        return self._inner.data

    @data.setter
    def data(self, data: dict[str, Any]) -> None:
        self._inner.data = data

    use = listens(sockets.Socket.use)

    emit_with_ack = waits(sockets.Socket.emit_with_ack)
    join = waits(sockets.Socket.join)
    leave = waits(sockets.Socket.leave)
    disconnect = waits(sockets.Socket.disconnect)
    flushed = waits(sockets.Socket.flushed)

    to = _begins(sockets.Socket.to)
    in_ = to
    except_ = _begins(sockets.Socket.except_)
    local = _leads(sockets.Socket, lambda socket: socket.local)
    broadcast = _leads(sockets.Socket, lambda socket: socket.broadcast)


class Adapter(socket_events.Events, Listening):
    """See :class:`socketio_fast.sockets.namespace.Adapter`."""

    def __init__(self, inner: adapters.Adapter, threads: Threads) -> None:
        self._inner: adapters.Adapter = inner
        self._threads = threads

    rooms = reads(adapters.Adapter, lambda adapter: adapter.rooms)
    sids = reads(adapters.Adapter, lambda adapter: adapter.sids)


class Presence(socket_events.Events, Listening):
    """See :class:`socketio_fast.sockets.presence.Presence`."""

    def __init__(self, inner: presences.Presence, threads: Threads) -> None:
        self._inner: presences.Presence = inner
        self._threads = threads

    join = waits(presences.Presence.join)
    leave = waits(presences.Presence.leave)
    members = waits(presences.Presence.members)

    def watch(
        self, room: str | None = None, *, current: bool = False, size: int = 10_000
    ) -> Iterator[Change]:
        """Iterate over what changes: ``for change in presence.watch("room")``.

        See :meth:`socketio_fast.sockets.presence.Presence.watch`.
        """
        return self._iterate(self._inner.watch(room, current=current, size=size))


class _Namespace(Broadcasting, socket_events.Events, Listening):
    def __init__(self, inner: Any, server: Server) -> None:
        self._inner = inner
        self._server = server
        self._threads = server._threads
        #: The name.
        self.name: str = inner.name

    @property
    def server(self) -> Server:
        """The server."""
        return self._server

    use = listens(socket_namespace.SocketNamespace.use)
    emit = waits(socket_namespace.SocketNamespace.emit)
    send = waits(socket_namespace.SocketNamespace.send)

    def _client_of(self, event: Any) -> Finder | None:
        # Middlewares and these get the socket, those of other servers' events do not.
        if event in (None, "connect", "connection"):
            return lambda socket: socket._peer.session
        return None

    def _given(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def given(*args: Any) -> Any:
            return function(*[self._server._blocking(arg) for arg in args])

        return given


class SocketNamespace(_Namespace):
    """See :class:`socketio_fast.sockets.namespace.SocketNamespace`."""

    params = reads(
        socket_namespace.SocketNamespace,
        lambda nsp: nsp.params,
        doc="What stands in the name in place of ``{…}`` or of groups with names.",
    )
    delete = changes(socket_namespace.SocketNamespace.delete)

    @property
    def sockets(self) -> Mapping[str, Socket]:
        """The sockets of its clients, by sid: those that are connected now."""

        async def look() -> dict[str, Socket]:
            found: Mapping[str, sockets.Socket] = self._inner.sockets
            return {sid: Socket(found[sid], self._server) for sid in list(found)}

        return self._run(look())

    @property
    def adapter(self) -> Adapter:
        """Its rooms."""
        return Adapter(self._inner.adapter, self._threads)

    @property
    def presence(self) -> Presence:
        """Its users who are online, on all servers that share the manager."""
        return Presence(self._inner.presence, self._threads)


class ParentNamespace(_Namespace):
    """See :class:`socketio_fast.sockets.namespace.ParentNamespace`."""

    @property
    def children(self) -> set[SocketNamespace]:
        """Those that there are now."""
        return {SocketNamespace(child, self._server) for child in self._inner.children}
