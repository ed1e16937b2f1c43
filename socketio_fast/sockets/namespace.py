"""The socket API: namespaces as objects, those that are made on demand too."""

from __future__ import annotations

import asyncio
import inspect
import re
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, overload

from socketio_fast._core.engine.failures import log_failure
from socketio_fast._core.socketio.contracts import NamespaceListener, RoomListener
from socketio_fast._core.socketio.hub import MAX_NAME, Namespace
from socketio_fast._core.socketio.peer import Peer
from socketio_fast.coroutines import DONE, Begun
from socketio_fast.handlers.middlewares import Middlewares, added
from socketio_fast.managers.async_manager import AsyncManager
from socketio_fast.managers.pubsub import AsyncPubSubManager
from socketio_fast.options.logs import escaped
from socketio_fast.sockets.operators import (
    Broadcasting,
    BroadcastOperator,
    RemoteSocket,
)
from socketio_fast.sockets.socket import EventEmitter, Listener, Socket

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.async_server import AsyncServer
    from socketio_fast.events import EventName, Ts

__all__ = ["Adapter", "Namespaces", "ParentNamespace", "SocketNamespace"]

F = TypeVar("F", bound=Listener)
C = TypeVar("C", bound=Callable[[Socket], Any])
Predicate = Callable[[str, Any], bool | Awaitable[bool]]

# For clients that are here, they are basic_enter_room() and basic_leave_room().
_OWN_CHANGES = (
    *(AsyncManager.enter_room, AsyncManager.leave_room),
    *(AsyncPubSubManager.enter_room, AsyncPubSubManager.leave_room),
)

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Adapter(EventEmitter):
    """The rooms of a namespace: who is in them, and when that changes.

    Its events are ``create-room(room)``, ``delete-room(room)``, ``join-room(room,
    sid)`` and ``leave-room(room, sid)``. A client's own room, named by its ``sid``, is
    a room like others.
    """

    _own_events: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "create-room": ("room",),
        "delete-room": ("room",),
        "join-room": ("room", "sid"),
        "leave-room": ("room", "sid"),
    }

    def __init__(self, nsp: SocketNamespace) -> None:
        self._nsp = nsp

    @overload
    def on(self, event: str, listener: None = None) -> Callable[[F], F]: ...

    @overload
    def on(self, event: str, listener: F) -> F: ...

    def on(self, event: str, listener: Any = None) -> Any:
        """Listen to a change of rooms, or decorate what does.

        Raises:
            ValueError: There is no such event, or the listener takes other arguments.
        """
        if event not in self._own_events:
            known = ", ".join(self._own_events)
            raise ValueError(f"rooms have no event {event!r}: one of {known} expected")
        if self._nsp._core.rooms is not None:
            self._nsp._core.rooms.listener = _AdapterEvents(self)
        return self._register(event, listener)

    @property
    def rooms(self) -> dict[Any, set[str]]:
        """The sids in each room, those of clients' own too; a new dict."""
        core = self._nsp._core
        found: dict[Any, set[str]] = {sid: {sid} for sid in core.peers}
        if core.rooms is not None:  # else it has ended
            for room, members in core.rooms.rooms.items():
                found[room] = {peer.sid for peer in members}
        return found

    @property
    def sids(self) -> dict[str, set[Any]]:
        """The rooms of each client, its own too; a new dict."""
        return {
            sid: {sid, *(peer.rooms or ())}
            for sid, peer in self._nsp._core.peers.items()
        }

    def _fire_own(self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]) -> bool:
        return self._nsp._fire_own(self, event, *args)


class _AdapterEvents(RoomListener):
    """Fires the events of an adapter."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    def room_created(self, room: Any) -> None:
        self._adapter._fire_own("create-room", room)

    def room_deleted(self, room: Any) -> None:
        self._adapter._fire_own("delete-room", room)

    def room_joined(self, room: Any, sid: str) -> None:
        self._adapter._fire_own("join-room", room, sid)

    def room_left(self, room: Any, sid: str) -> None:
        self._adapter._fire_own("leave-room", room, sid)


class _Sockets(Mapping[str, Socket]):
    """The sockets of a namespace's clients, by sid; each is made when it is wanted."""

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
    """What a namespace and a family of them have in common."""

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

    @overload
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
        self._begin()
        return self._register(event, listener)

    @overload
    def once(self, event: str, listener: None = None) -> Callable[[F], F]: ...

    @overload
    def once(self, event: str, listener: F) -> F: ...

    def once(self, event: str, listener: Any = None) -> Any:
        """Listen to the next such event, and no others; see :meth:`on`."""
        self._begin()
        return self._register(event, listener, once=True)

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
        """It has something of its own now: a listener, a middleware."""


class SocketNamespace(_Namespace):
    """A namespace; ``sio.of(name)`` gives it."""

    def __init__(
        self,
        server: AsyncServer,
        name: str,
        params: Mapping[str, str] | None = None,
        parent: ParentNamespace | None = None,
    ) -> None:
        super().__init__(server, name)
        #: What stands in the name in place of ``{…}`` or of groups with names.
        self.params: dict[str, str] = dict(params or {})
        #: The family that it was made by; ``None`` for none.
        self.parent = parent
        self._adapter: Adapter | None = None
        self._core: Namespace = server._hub.namespace(name)

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

    def delete(self) -> None:
        """Disconnect all clients, and accept no more; the object is of no use then.

        A namespace that handlers of functions are registered for, or that the option
        ``namespaces`` names, goes on without what this object has. A family may make
        another one of the name.
        """
        if not self.server._namespaces._has(self):
            return  # it has ended already
        core = self._core
        for peer in list(core.peers.values()):
            peer.disconnect()
        core.listener = None
        self._on_end()
        if not self.server._has_handlers(self.name):
            self.server._hub.release(self.name)

    def _begin(self) -> None:
        if self._core.listener is None:
            self._core.listener = _Clients(self)
        self._core.member = False  # it has what another one of its name would not have

    def _socket(self, peer: Peer) -> Socket:
        socket: Any = peer.socket
        if socket is None:
            socket = Socket(self, peer)
            peer.attach(socket)
        assert isinstance(socket, Socket)
        return socket

    def _set_middlewares(self, middlewares: Middlewares | None) -> None:
        super()._set_middlewares(middlewares)
        if self._core.listener is not None:
            self._core.listener.middlewares = middlewares

    def _fire_own(
        self, source: EventEmitter, event: EventName[Unpack[Ts]], *args: Unpack[Ts]
    ) -> bool:
        runner = self.server._hub.runner
        if runner is None:
            return False  # nothing happens before there is an event loop

        def failed(error: BaseException) -> None:
            message = "listener of %r failed in %s"
            log_failure(self.server.logger, error, message, (event, escaped(self.name)))

        return source._fire(runner, failed, event, *args)

    def _on_end(self) -> None:
        """The namespace is forgotten: its last client has left."""
        self.server._namespaces._forget(self)
        self._adapter = None  # each knows the other

    def _change_rooms(self, change: str, sid: str, rooms: Iterable[Any]) -> Begun:
        """Change the rooms of a client of this process, of which others need not know.

        A manager that wants to see it is asked at once, and may take its time.
        """
        manager = self.server.manager
        name = f"{change}_room"
        if getattr(type(manager), name) in _OWN_CHANGES:
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
                :data:`~socketio_fast.sockets.socket.RESERVED_EVENTS`.
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
        self._nsp = nsp

    def client_connects(self, peer: Peer) -> None:
        self._nsp._socket(peer)

    def ended(self) -> None:
        self._nsp._on_end()


class ParentNamespace(_Namespace):
    """A family of namespaces, each made when a client first asks for it.

    A member begins with the middlewares and listeners that the family has then. What is
    sent by the family goes to all members.
    """

    def __init__(
        self, server: AsyncServer, name: str, match: Callable[..., Any], key: Any
    ) -> None:
        super().__init__(server, name)
        #: The members that there are.
        self.children: set[SocketNamespace] = set()
        self._match = match
        self._key = key

    def _child(self, name: str, params: Mapping[str, str] | None) -> SocketNamespace:
        child = SocketNamespace(self.server, name, params, self)
        child._begin()
        child._set_middlewares(self._middlewares)
        for event in self._events:
            child._store(event, self._functions(event))
        self.children.add(child)
        if self.server.cleanup_empty_child_namespaces:
            # One with handlers of functions stays for those.
            child._core.temporary = not self.server._has_handlers(name)
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


class Namespaces:
    """The namespaces of a server that :meth:`of` has been asked for.

    Args:
        server: The server.
    """

    def __init__(self, server: AsyncServer) -> None:
        self._of_server = weakref.ref(server)
        self._known: dict[str, SocketNamespace] = {}
        self._parents: dict[Any, ParentNamespace] = {}

    @property
    def _server(self) -> AsyncServer:
        server = self._of_server()
        assert server is not None
        return server

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def of(self, name: Any) -> Any:
        """See :meth:`socketio_fast.AsyncServer.of`."""
        if isinstance(name, str) and not _FIELD.search(name):
            return self._named(name if name.startswith("/") else "/" + name)
        if name in self._parents:
            return self._parents[name]
        if isinstance(name, str):
            name = name if name.startswith("/") else "/" + name
            match: Any = _pattern(name).fullmatch
            shown = name
        elif isinstance(name, re.Pattern):
            match, shown = name.search, f"/{name.pattern}/"
        elif callable(name):
            match, shown = name, getattr(name, "__name__", repr(name))
        else:
            raise TypeError(
                f"of({name!r}): a name, a pattern, a compiled regular expression or a "
                "function (name, auth) expected"
            )
        parent = ParentNamespace(self._server, shown, match, name)
        self._parents[name] = parent
        self._server._hub.resolve = self._resolve
        return parent

    def _named(self, name: str) -> SocketNamespace:
        nsp = self._known.get(name)
        if nsp is not None:
            return nsp
        for parent in self._parents.values():
            if isinstance(parent._key, (str, re.Pattern)):
                found = parent._match(name)
                if found:
                    return self._born(parent._child(name, found.groupdict()))
        return self._born(SocketNamespace(self._server, name))

    def _born(self, nsp: SocketNamespace) -> SocketNamespace:
        self._known[nsp.name] = nsp
        main = self._known.get("/")
        if nsp.name != "/" and main is not None:
            main._fire_own(main, "new_namespace", nsp)
        return nsp

    def _has(self, nsp: SocketNamespace) -> bool:
        return self._known.get(nsp.name) is nsp

    def _forget(self, nsp: SocketNamespace) -> None:
        if self._has(nsp):
            del self._known[nsp.name]
        if nsp.parent is not None:
            nsp.parent.children.discard(nsp)

    async def _resolve(self, name: str, auth: Any) -> Namespace | None:
        """The namespace that a client asks for; None if no family has it.

        One that only handlers of functions have made may be of a family, whose
        middlewares guard it.
        """
        if name in self._known:
            return self._known[name]._core
        if len(name) > MAX_NAME:
            return None
        for parent in list(self._parents.values()):
            params: Mapping[str, str] | None = None
            if isinstance(parent._key, (str, re.Pattern)):
                found = parent._match(name)
                params = found.groupdict() if found else None
            else:
                found = parent._match(name, auth)
                if inspect.isawaitable(found):
                    found = await found
            if found:
                nsp = self._known.get(name)  # it may be there by now
                if nsp is None:
                    nsp = self._born(parent._child(name, params))
                    # One with handlers of functions stays for those.
                    nsp._core.member = not self._server._has_handlers(name)
                return nsp._core
        return None


def _pattern(name: str) -> re.Pattern[str]:
    """The regular expression of ``"/org/{org}/chat"``."""
    parts = _FIELD.split(name)  # text, field, text, …
    fields = parts[1::2]
    if len(set(fields)) != len(fields):
        raise ValueError(f"of({name!r}): a parameter is there twice")
    for i in range(1, len(parts), 2):
        text = parts[i + 1]
        one = "[^/]"
        if i + 2 < len(parts) and "/" not in text:
            if not text:
                raise ValueError(f"of({name!r}): two parameters need text between them")
            # It ends where that text begins first. If each such place were tried, the
            # time would grow with a power of the name's length.
            one = f"(?:(?!{re.escape(text)})[^/])"
        parts[i] = f"(?P<{parts[i]}>{one}+)"
    parts[::2] = map(re.escape, parts[::2])
    return re.compile("".join(parts))
