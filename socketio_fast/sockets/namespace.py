"""Namespaces as objects: one, and a family whose members are made on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, overload

from socketio_fast._core.engine import listeners
from socketio_fast._core.engine.failures import log_failure
from socketio_fast._core.socketio.contracts import NamespaceListener
from socketio_fast._core.socketio.hub import Namespace
from socketio_fast._core.socketio.peer_lifecycle import Peer
from socketio_fast.coroutines import DONE, Begun
from socketio_fast.handlers.middlewares import Middlewares, added
from socketio_fast.options.logs import escaped
from socketio_fast.sockets.adapter import Adapter
from socketio_fast.sockets.broadcast import (
    Broadcasting,
    BroadcastOperator,
    RemoteSocket,
)
from socketio_fast.sockets.events import EventEmitter, Listener
from socketio_fast.sockets.socket import Socket

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.async_server import AsyncServer
    from socketio_fast.events import EventName, Ts
    from socketio_fast.sockets.presence import Presence

__all__ = ["ParentNamespace", "SocketNamespace"]

F = TypeVar("F", bound=Listener)
C = TypeVar("C", bound=Callable[[Socket], Any])
Predicate = Callable[[str, Any], bool | Awaitable[bool]]


class _Sockets(Mapping[str, Socket]):
    """The sockets of a namespace's clients, by sid; each is made when it is read."""

    def __init__(self, nsp: SocketNamespace) -> None:
        self._nsp = nsp

    def __getitem__(self, sid: str) -> Socket:
        peer = self._nsp._core.peers[sid]
        if not peer.connected:
            raise KeyError(sid)
        return self._nsp._socket(peer)

    def __iter__(self) -> Iterator[str]:
        return (s for s, p in list(self._nsp._core.peers.items()) if p.connected)

    def __len__(self) -> int:
        return sum(peer.connected for peer in self._nsp._core.peers.values())


class _Namespace(Broadcasting, EventEmitter):
    """The base of namespaces and of families of namespaces."""

    _own_events: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "connection": ("socket",),
        "connect": ("socket",),
        "new_namespace": ("namespace",),
    }

    def __init__(self, server: AsyncServer, name: str) -> None:
        #: The server.
        self.server = server
        #: The name.
        self.name = name
        self._middlewares: Middlewares | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @overload  # type: ignore[override]  # these listeners take a socket
    def on(
        self, event: Literal["connection", "connect"], listener: None = None
    ) -> Callable[[C], C]: ...

    @overload
    def on(self, event: str, listener: None = None) -> Callable[[F], F]: ...

    @overload
    def on(self, event: str, listener: F) -> F: ...

    def on(self, event: str, listener: Any = None) -> Any:
        """Listen to an event, or decorate what does.

        ``connection``, or ``connect``, is a client that has been accepted: the listener
        gets its :class:`Socket`, and should add listeners to that before it waits for
        anything. ``new_namespace``, of namespace ``"/"``, is a namespace that was made.

        Args:
            event: The name.
            listener: A function or a coroutine function.

        Raises:
            TypeError: It cannot be called.
            ValueError: A listener of these events takes other arguments.
        """
        return super().on(event, listener)

    def _register(self, *args: Any, **kwargs: Any) -> Any:
        self._begin()
        return super()._register(*args, **kwargs)

    def use(self, middleware: F) -> F:
        """Let a function see each new client before it is accepted.

        It gets the :class:`Socket`, and refuses the client by raising
        :class:`~socketio_fast.exceptions.ConnectionRefusedError`. Several are asked in
        order, all before the ``connect`` handler.

        Args:
            middleware: A function; with asyncio, a coroutine function too.

        Raises:
            TypeError: It cannot be called.
        """
        if not callable(middleware):
            raise TypeError(f"a middleware is not callable: {middleware!r}")
        self._begin()
        self._set_middlewares(added(self._middlewares, middleware))
        return middleware

    def _set_middlewares(self, middlewares: Middlewares | None) -> None:
        self._middlewares = middlewares

    def _begin(self) -> None:
        """A listener or a middleware is about to be added."""


class SocketNamespace(_Namespace):
    """A namespace; ``sio.of(name)`` gives it."""

    def __init__(
        self,
        server: AsyncServer,
        name: str,
        params: Mapping[str, str] | None = None,
        parent: ParentNamespace | None = None,
        core: Namespace | None = None,
    ) -> None:
        super().__init__(server, name)
        #: The parts of the name that matched ``{…}`` or named groups of the pattern.
        self.params: dict[str, str] = dict(params or {})
        #: The family that it is a member of; ``None`` if it is none's.
        self.parent = parent
        self._adapter: Adapter | None = None
        self._presence: Presence | None = None
        # The hub keeps a namespace that it is asked for.
        self._core: Namespace = server._hub.namespace(name) if core is None else core

    # Clients.

    @property
    def sockets(self) -> Mapping[str, Socket]:
        """The sockets of its clients, by sid: those that are connected now."""
        return _Sockets(self)

    @property
    def adapter(self) -> Adapter:
        """Its rooms."""
        if self._adapter is None:
            self._adapter = Adapter(self)
        return self._adapter

    @property
    def presence(self) -> Presence:
        """Its users who are online, on all servers that share the manager."""
        if self._presence is None:
            from socketio_fast.sockets.presence import Presence

            self._presence = Presence(self)
        return self._presence

    def delete(self) -> None:
        """Disconnect all clients and accept no more; do not use the object afterwards.

        If the namespace has function handlers, or if the option ``namespaces`` names
        it, it goes on without the listeners and middlewares of this object. A family
        may make another namespace of the same name.
        """
        if not self.server._namespaces._has(self):
            return  # deleted already
        core = self._core
        for peer in list(core.peers.values()):
            peer.disconnect()
        core.listener = None
        self._on_end()
        if not self.server._has_handlers(self.name):
            self.server._hub.release(self.name)

    def _begin(self) -> None:
        listener = self._core.listener
        if not isinstance(listener, _Clients) or listener.nsp is not self:
            self._core.listener = _Clients(self)
        # A namespace that clients come and go by would be made anew without these.
        self._core.keep()

    def _socket(self, peer: Peer) -> Socket:
        socket: Any = peer.socket
        if socket is None:
            socket = Socket(self, peer)
            peer.attach(socket)
        assert isinstance(socket, Socket)
        return socket

    def _set_middlewares(self, middlewares: Middlewares | None) -> None:
        super()._set_middlewares(middlewares)
        listener = self._core.listener
        if isinstance(listener, _Clients) and listener.nsp is self:
            listener.middlewares = middlewares

    def _fire_own(
        self, source: EventEmitter, event: EventName[Unpack[Ts]], *args: Unpack[Ts]
    ) -> bool:
        runner = self.server._hub.runner
        if runner is None:
            return False  # without an event loop no listener can run

        def failed(error: BaseException) -> None:
            message = "listener of %r failed in %s"
            log_failure(self.server.logger, error, message, (event, escaped(self.name)))

        return listeners.fire(source, runner, failed, event, *args)

    def _on_end(self) -> None:
        """Forget this object: the core has dropped the namespace."""
        self.server._namespaces._forget(self)
        self._adapter = None  # a reference cycle otherwise
        if self._presence is not None:
            self._presence.end()
            self._presence = None

    def _change_rooms(self, change: str, sid: str, rooms: Iterable[Any]) -> Begun:
        """Change the rooms of a client of this process.

        It is done at once, unless the program's manager overrides the method: that one
        is called, and may suspend.
        """
        manager = self.server.manager
        name = f"{change}_room"
        if name not in self.server._seen_changes:
            # Other processes need not know the rooms of clients that are not theirs.
            for room in rooms:
                getattr(manager, f"basic_{name}")(sid, self.name, room)
            return DONE
        runner = self.server._hub.runner
        assert runner is not None  # there are clients
        ask = getattr(manager, name)
        asked = runner.run(self._ask_manager, ask, sid, list(rooms))
        return DONE if asked is None else Begun(asyncio.shield(asked))

    async def _ask_manager(self, ask: Any, sid: str, rooms: list[Any]) -> None:
        for room in rooms:
            await ask(sid, self.name, room)

    # Sending.

    async def emit(self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]) -> None:
        """Send an event to all clients of the namespace.

        Args:
            event: The name.
            *args: The arguments: what JSON knows, with bytes anywhere in it.

        Raises:
            ValueError: The name is one of
                :data:`~socketio_fast.sockets.RESERVED_EVENTS`.
            TypeError: An argument is not JSON with bytes in it.
        """
        await self._broadcast().emit(event, *args)

    async def send(self, *args: Any) -> None:
        """Send the event ``message``; see :meth:`emit`."""
        await self.emit("message", *args)

    def _broadcast(self) -> BroadcastOperator:
        return BroadcastOperator(self.server, (self.name,))


class _Clients(NamespaceListener):
    """Hears of the clients of a namespace.

    Args:
        nsp: The namespace, whose listeners of ``connection`` are called.
    """

    def __init__(self, nsp: SocketNamespace) -> None:
        super().__init__(nsp)
        self.middlewares = nsp._middlewares
        #: The namespace.
        self.nsp = nsp

    def client_connects(self, peer: Peer) -> None:
        self.nsp._socket(peer)

    def ended(self) -> None:
        self.nsp._on_end()


class ParentNamespace(_Namespace):
    """A family of namespaces, each made when a client first asks for it.

    A new member copies the middlewares and listeners of the family. What is sent to the
    family goes to all its members.
    """

    def __init__(
        self, server: AsyncServer, name: str, match: Callable[..., Any], key: Any
    ) -> None:
        super().__init__(server, name)
        #: The members.
        self.children: set[SocketNamespace] = set()
        self._match = match
        self._key = key

    def _child(self, name: str, params: Mapping[str, str] | None) -> SocketNamespace:
        child = SocketNamespace(self.server, name, params, self)
        child._begin()
        child._set_middlewares(self._middlewares)
        listeners.copy(self, child)
        self.children.add(child)
        # A namespace with function handlers outlives its last client.
        if self.server.cleanup_empty_child_namespaces and (
            not self.server._has_handlers(name)
        ):
            child._core.end_with_clients()
        return child

    async def emit(self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]) -> None:
        """Send an event to all clients of all members."""
        await self._broadcast().emit(event, *args)

    async def send(self, *args: Any) -> None:
        """Send the event ``message``; see :meth:`emit`."""
        await self.emit("message", *args)

    async def fetch_sockets(self) -> list[RemoteSocket]:
        """A family has no clients of its own.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            "fetch_sockets() is not supported on parent namespaces: ask the children"
        )

    def _broadcast(self) -> BroadcastOperator:
        names = tuple(child.name for child in self.children)
        return BroadcastOperator(self.server, names)
