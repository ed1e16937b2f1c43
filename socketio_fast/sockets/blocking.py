"""The socket API for threads: the same objects, with methods that wait.

Each class here stands for one of asyncio's and has its methods: they run on the event
loop of the server, and return what comes of them. Functions that listen run in the
server's threads, as handlers do.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from socketio_fast.engineio.connection import Connection
from socketio_fast.sockets import namespace as socket_namespace
from socketio_fast.sockets import operators
from socketio_fast.sockets import socket as sockets
from socketio_fast.threads.facade import Finder, Threads, check_handler

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.events import AnyEvent, EventName, Ts
    from socketio_fast.server import Server

__all__ = [
    "Adapter",
    "BroadcastOperator",
    "Broadcasting",
    "ParentNamespace",
    "RemoteSocket",
    "Socket",
    "SocketEmitter",
    "SocketNamespace",
]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_END: Any = object()


class _Blocking:
    """What stands for an object of the event loop."""

    _inner: Any
    _threads: Threads

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Blocking) and other._inner is self._inner

    def __hash__(self) -> int:
        return hash(self._inner)

    def __repr__(self) -> str:
        return repr(self._inner)


def _waits(
    method: Callable[Concatenate[Any, P], Awaitable[R]],
) -> Callable[Concatenate[Any, P], R]:
    """The method that waits for what this one returns."""

    # Without its attributes: one may mark it as a coroutine function.
    @functools.wraps(method, updated=())
    def wait(self: _Blocking, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        async def call() -> Any:
            return await getattr(self._inner, method.__name__)(*args, **kwargs)

        return self._threads.wait(call())

    return wait


def _begins(
    method: Callable[Concatenate[Any, P], operators.BroadcastOperator],
) -> Callable[Concatenate[Any, P], BroadcastOperator]:
    """The method that gives the operator for threads."""

    @functools.wraps(method)
    def begin(self: _Blocking, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        made = getattr(self._inner, method.__name__)(*args, **kwargs)
        return BroadcastOperator(made, self._threads)

    return begin


class Broadcasting(_Blocking):
    """What begins with all clients of a namespace: operators and what they do."""

    to = _begins(operators.Broadcasting.to)
    in_ = to
    except_ = _begins(operators.Broadcasting.except_)
    compress = _begins(operators.Broadcasting.compress)
    timeout = _begins(operators.Broadcasting.timeout)
    sockets_join = _waits(operators.Broadcasting.sockets_join)
    sockets_leave = _waits(operators.Broadcasting.sockets_leave)
    disconnect_sockets = _waits(operators.Broadcasting.disconnect_sockets)
    server_side_emit = _waits(operators.Broadcasting.server_side_emit)
    server_side_emit_with_ack = _waits(operators.Broadcasting.server_side_emit_with_ack)

    @property
    def local(self) -> BroadcastOperator:
        """For what goes to clients of this process."""
        return BroadcastOperator(self._inner.local, self._threads)

    @property
    def volatile(self) -> BroadcastOperator:
        """For what is dropped for clients that it would have to wait for."""
        return BroadcastOperator(self._inner.volatile, self._threads)

    def fetch_sockets(self) -> list[RemoteSocket]:
        """All clients, of all processes."""
        found = self._threads.wait(self._inner.fetch_sockets())
        return [RemoteSocket(client, self._threads) for client in found]


class BroadcastOperator(Broadcasting):
    """See :class:`socketio_fast.sockets.operators.BroadcastOperator`."""

    def __init__(self, inner: operators.BroadcastOperator, threads: Threads) -> None:
        self._inner = inner
        self._threads = threads

    emit = _waits(operators.BroadcastOperator.emit)
    send = _waits(operators.BroadcastOperator.send)
    emit_with_ack = _waits(operators.BroadcastOperator.emit_with_ack)

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
        answers = self._inner.acks(event, *args)

        async def step() -> Any:
            return await anext(answers, _END)

        try:
            while (answer := self._threads.wait(step())) is not _END:
                yield answer
        finally:
            self._threads.wait(answers.aclose())


class RemoteSocket(_Blocking):
    """See :class:`socketio_fast.sockets.operators.RemoteSocket`."""

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

    emit = _waits(operators.RemoteSocket.emit)
    emit_with_ack = _waits(operators.RemoteSocket.emit_with_ack)
    join = _waits(operators.RemoteSocket.join)
    leave = _waits(operators.RemoteSocket.leave)
    disconnect = _waits(operators.RemoteSocket.disconnect)


class _Listening(_Blocking):
    """What has listeners, which run in threads."""

    def off(self, event: AnyEvent, listener: Callable[..., Any] | None = None) -> None:
        """Remove a listener of an event, the one added last; all without it."""
        self._change(self._inner.off, event, listener)

    def listeners(self, event: AnyEvent) -> list[Callable[..., Any]]:
        """The listeners of an event, in the order they are called."""
        found: list[Callable[..., Any]] = self._inner.listeners(event)
        return found

    def remove_all_listeners(self, event: AnyEvent | None = None) -> None:
        """Remove the listeners of an event, of all events without ``event``."""
        self._change(self._inner.remove_all_listeners, event)

    def _register(self, event: Any, listener: Any, once: bool = False) -> Any:
        add = self._inner.once if once else self._inner.on

        def register(function: F) -> F:
            adapted = self._in_threads(function, self._client_of(event))
            self._change(add, event, adapted)
            return function

        return register if listener is None else register(listener)

    def _change(self, method: Callable[..., Any], *args: Any) -> None:
        # On the loop, if there is one by now: it reads what is changed.
        if self._threads.running:
            self._threads.ask(method, *args)
        else:
            method(*args)

    def _client_of(self, event: Any) -> Finder | None:
        """What finds whose call of a listener it is."""
        return None

    def _in_threads(
        self, function: Callable[..., Any], client: Finder | None = None
    ) -> Callable[..., Any]:
        """A coroutine function that runs this one in a thread."""
        if not callable(function):
            raise TypeError(f"{function!r} is not callable")
        check_handler(function)
        adapted = self._threads.adapt(self._given(function), client)
        adapted._listener = function  # type: ignore[attr-defined]
        return adapted

    def _given(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, given what is for threads."""
        return function


class _Events(_Listening):
    """What tells of events of its own."""

    def on(self, event: AnyEvent, listener: Any = None) -> Any:
        """Listen to an event, or decorate what does; see the class of asyncio."""
        return self._register(event, listener)

    def once(self, event: AnyEvent, listener: Any = None) -> Any:
        """Listen to the next such event, and no others."""
        return self._register(event, listener, once=True)


class _WithMiddlewares(_Listening):
    """What has functions that are asked first."""

    def use(self, middleware: F) -> F:
        """Ask a function first; see the class of asyncio."""
        adapted = self._in_threads(middleware, self._client_of(None))
        self._change(self._inner.use, adapted)
        return middleware


class _Emitting(_Blocking):
    """What sends to one client."""

    emit_with_ack = _waits(sockets.SocketEmitter.emit_with_ack)
    send = _waits(sockets.SocketEmitter.send)

    def emit(
        self,
        event: EventName[Unpack[Ts]],
        *args: Unpack[Ts],
        callback: Callable[..., Any] | None = None,
    ) -> None:
        """Send an event to this client.

        Args:
            event: The name.
            *args: The arguments: what JSON knows, with bytes anywhere in it.
            callback: Called, in a thread, with the arguments of the acknowledgement.

        Raises:
            ValueError: The name is one of
                :data:`~socketio_fast.sockets.socket.RESERVED_EVENTS`.
            TypeError: An argument is not JSON with bytes in it.
        """
        adapted = None if callback is None else self._threads.adapt(callback)

        async def call() -> None:
            await self._inner.emit(event, *args, callback=adapted)

        self._threads.run(call())

    def timeout(self, seconds: float | None) -> SocketEmitter:
        """For an :meth:`emit_with_ack` that waits so long, and not longer."""
        return SocketEmitter(self._inner.timeout(seconds), self._threads)

    def compress(self, compress: bool) -> SocketEmitter:
        """For what may be compressed on its way, or may not."""
        return SocketEmitter(self._inner.compress(compress), self._threads)

    @property
    def volatile(self) -> SocketEmitter:
        """For what is dropped if it cannot leave at once."""
        return SocketEmitter(self._inner.volatile, self._threads)


class SocketEmitter(_Emitting):
    """See :class:`socketio_fast.sockets.SocketEmitter`."""

    def __init__(self, inner: sockets.SocketEmitter, threads: Threads) -> None:
        self._inner = inner
        self._threads = threads


class Socket(_Emitting, _WithMiddlewares, sockets.SocketEvents):
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

    @property
    def id(self) -> str:
        """The ``sid``, which is the name of its own room too."""
        return self._inner.id

    @property
    def connected(self) -> bool:
        """Whether it is connected to the namespace."""
        return self._inner.connected

    @property
    def recovered(self) -> bool:
        """Whether it is the continuation of one that had lost its connection."""
        return self._inner.recovered

    @property
    def environ(self) -> dict[str, Any]:
        """The request that it connected with, as a WSGI environment."""
        return self._inner.environ

    #: The same, by Node's name.
    request = environ

    @property
    def conn(self) -> Connection:
        """The Engine.IO connection; its listeners run on the event loop."""
        return self._inner.conn

    @property
    def handshake(self) -> sockets.Handshake:
        """The request that it connected with, and the ``auth`` of the client."""
        return self._inner.handshake

    @property
    def rooms(self) -> set[Any]:
        """The rooms that it is in, its own among them; a new set."""
        return self._inner.rooms

    @property
    def data(self) -> dict[str, Any]:
        """The application's data of this client: the dict of ``get_session()``."""
        return self._inner.data

    @data.setter
    def data(self, data: dict[str, Any]) -> None:
        self._inner.data = data

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait for the client, of all its namespaces."""
        return self._inner.buffered_bytes

    def on_any(self, listener: F) -> F:
        """Listen to all events of the client: ``(event, *arguments)``."""
        adapted = self._in_threads(listener, self._client_of(None))
        self._change(self._inner.on_any, adapted)
        return listener

    def prepend_any(self, listener: F) -> F:
        """As :meth:`on_any`, before all that are there."""
        adapted = self._in_threads(listener, self._client_of(None))
        self._change(self._inner.prepend_any, adapted)
        return listener

    def listeners_any(self) -> list[Callable[..., Any]]:
        """Who listens to all events."""
        return self._inner.listeners_any()

    def prepend_any_outgoing(self, listener: F) -> F:
        """As :meth:`on_any_outgoing`, before all that are there."""
        self._change(self._inner.prepend_any_outgoing, self._in_threads(listener))
        return listener

    def listeners_any_outgoing(self) -> list[Callable[..., Any]]:
        """Who listens to all that is sent."""
        return self._inner.listeners_any_outgoing()

    def off_any(self, listener: Callable[..., Any] | None = None) -> None:
        """Remove a listener of all events; all of them without ``listener``."""
        self._change(self._inner.off_any, listener)

    def on_any_outgoing(self, listener: F) -> F:
        """Listen to all that is sent to the client, broadcasts too."""
        self._change(self._inner.on_any_outgoing, self._in_threads(listener))
        return listener

    def off_any_outgoing(self, listener: Callable[..., Any] | None = None) -> None:
        """Remove a listener of all that is sent; all of them without ``listener``."""
        self._change(self._inner.off_any_outgoing, listener)

    join = _waits(sockets.Socket.join)
    leave = _waits(sockets.Socket.leave)
    disconnect = _waits(sockets.Socket.disconnect)
    flushed = _waits(sockets.Socket.flushed)

    to = _begins(sockets.Socket.to)
    in_ = to
    except_ = _begins(sockets.Socket.except_)

    @property
    def local(self) -> BroadcastOperator:
        """Clients of this process, but for this one."""
        return BroadcastOperator(self._inner.local, self._threads)

    @property
    def broadcast(self) -> BroadcastOperator:
        """All clients of the namespace but this one."""
        return BroadcastOperator(self._inner.broadcast, self._threads)


class Adapter(_Events):
    """See :class:`socketio_fast.sockets.namespace.Adapter`."""

    def __init__(self, inner: socket_namespace.Adapter, threads: Threads) -> None:
        self._inner: socket_namespace.Adapter = inner
        self._threads = threads

    @property
    def rooms(self) -> dict[Any, set[str]]:
        """Which clients are in which room, now."""
        return self._inner.rooms

    @property
    def sids(self) -> dict[str, set[Any]]:
        """In which rooms each client is, now."""
        return self._inner.sids


class _Namespace(Broadcasting, _Events, _WithMiddlewares):
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

    emit = _waits(socket_namespace.SocketNamespace.emit)
    send = _waits(socket_namespace.SocketNamespace.send)

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

    @property
    def params(self) -> dict[str, str]:
        """What stands in the name in place of ``{…}`` or of groups with names."""
        params: dict[str, str] = self._inner.params
        return params

    @property
    def sockets(self) -> Mapping[str, Socket]:
        """The sockets of its clients, by sid: those that are connected now."""

        async def look() -> dict[str, Socket]:
            found: Mapping[str, sockets.Socket] = self._inner.sockets
            return {sid: Socket(found[sid], self._server) for sid in list(found)}

        return self._threads.run(look())

    @property
    def adapter(self) -> Adapter:
        """Its rooms."""
        return Adapter(self._inner.adapter, self._threads)

    def delete(self) -> None:
        """Disconnect all clients, and accept no more."""
        self._threads.ask(self._inner.delete)


class ParentNamespace(_Namespace):
    """See :class:`socketio_fast.sockets.namespace.ParentNamespace`."""

    @property
    def children(self) -> set[SocketNamespace]:
        """Those that there are now."""
        return {SocketNamespace(child, self._server) for child in self._inner.children}
