"""What all Socket.IO servers share: registration of handlers, clients by ``sid``."""

from __future__ import annotations

import inspect
from collections.abc import (
    Awaitable,
    Callable,
    Container,
    Coroutine,
    Mapping,
    MutableMapping,
)
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from socketio_fast._core.socketio.hub import Namespace
from socketio_fast._core.socketio.peer_lifecycle import Peer
from socketio_fast.engineio.base_server import Reason
from socketio_fast.handlers.dependencies import plan_of, says_nothing
from socketio_fast.handlers.names import check_namespace
from socketio_fast.handlers.registration import (
    check_callable,
    check_handler,
    check_name,
)
from socketio_fast.handlers.registry import HandlerRegistry
from socketio_fast.handlers.signatures import adapt, fit, takes_description
from socketio_fast.handlers.validation import validated, validated_connect
from socketio_fast.namespace import AsyncNamespace, BaseServerNamespace
from socketio_fast.overrides import is_overridden, refuse_overrides
from socketio_fast.sockets.environs import Environs
from socketio_fast.sockets.events import check_event

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast._core.engine.session import Session
    from socketio_fast.events import AnyEvent, Event, Ts
    from socketio_fast.handlers.dependencies import Given

__all__ = ["BaseServer"]

Handler = Callable[..., Any]

# Private methods of python-socketio's servers, which are called there. Here the
# compiled core does that.
NEVER_CALLED = {
    **dict.fromkeys(
        ("_handle_connect", "_handle_eio_connect"),
        "use a handler of 'connect', allow_request=, or eio.use()",
    ),
    **dict.fromkeys(
        ("_handle_disconnect", "_handle_eio_disconnect"),
        "use a handler of 'disconnect'",
    ),
    **dict.fromkeys(
        ("_handle_event", "_handle_event_internal"),
        "override _trigger_event(), or use a handler of '*'",
    ),
    "_handle_eio_message": "override _trigger_event(), or listen to 'packet' of "
    "socket.conn",
    "_handle_ack": "pass callback= to emit(), or use call()",
    **dict.fromkeys(
        ("_emit_internal", "_send_packet"),
        "override emit() of a client manager, or pass serializer= a packet class",
    ),
    "_send_eio_packet": "listen to 'packet_create' of socket.conn",
    "_engineio_server_class": "pass its options to the server",
}
# These are for a _trigger_event() to call.
_FINDERS = dict.fromkeys(
    ("_get_event_handler", "_get_namespace_handler"), "override _trigger_event() too"
)
F = TypeVar("F", bound=Handler)
T = TypeVar("T")


class BaseServer(HandlerRegistry):
    """The base class of servers: their handlers, and questions about clients.

    Every handler goes through :meth:`_adapt` on its way to the compiled core, however
    it was registered.

    Args:
        eio: The Engine.IO server below.
    """

    #: The reasons that disconnect handlers get.
    reason: ClassVar[type[Reason]] = Reason
    #: Events that clients cannot send.
    reserved_events: ClassVar[list[str]] = ["connect", "disconnect"]

    #: The client manager, asked for rooms.
    manager: Any
    #: Whether handlers that are annotated with models get validated arguments.
    validate_handlers: Any

    #: The namespaces that ``of()`` was asked for, by name.
    _namespaces: Container[str] = ()

    _replaced_trigger: Handler | None = None

    #: What takes the place of dependencies of handlers, by the dependency: for tests,
    #: ``sio.dependency_overrides[get_db] = get_test_db``.
    dependency_overrides: MutableMapping[Callable[..., Any], Callable[..., Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_overrides(cls, NEVER_CALLED)
        refuse_overrides(cls, _FINDERS, unless=("_trigger_event",))

    def __init__(self, eio: Any) -> None:
        self.eio: Any = eio
        self._environs = Environs(eio)
        #: Handshake requests of all connections, by Engine.IO id.
        self.environ: MutableMapping[str, dict[str, Any]] = self._environs
        #: What :attr:`_trigger_event` gives for an event without a handler.
        self.not_handled = self._hub.not_handled
        self.dependency_overrides = {}
        # What emits() was told, by namespace and name: the event, and its ack.
        self._emitted: dict[str, dict[str, tuple[AnyEvent, Any]]] = {}
        self._begin_registry()
        if is_overridden(self, "_trigger_event"):
            self._hub.trigger = self._adapt(self._trigger_event, self._client_at(2))

    # Handlers.

    @overload
    def on(
        self,
        event: Event[Unpack[Ts]],
        handler: None = None,
        namespace: str | None = None,
    ) -> Callable[[Callable[[str, Unpack[Ts]], T]], Callable[[str, Unpack[Ts]], T]]: ...

    @overload
    def on(
        self,
        event: Event[Unpack[Ts]],
        handler: Callable[[str, Unpack[Ts]], T],
        namespace: str | None = None,
    ) -> Callable[[str, Unpack[Ts]], T]: ...

    @overload
    def on(
        self, event: str, handler: None = None, namespace: str | None = None
    ) -> Callable[[F], F]: ...

    @overload
    def on(self, event: str, handler: F, namespace: str | None = None) -> F: ...

    def on(
        self, event: AnyEvent, handler: Any = None, namespace: str | None = None
    ) -> Any:
        """Register the handler of an event, or decorate it.

        ``connect`` gets ``(sid, environ, auth)``, or ``(sid, environ)`` if it takes no
        more, and refuses the client by returning ``False`` or raising
        :class:`~socketio_fast.exceptions.ConnectionRefusedError`. ``disconnect`` gets
        ``(sid, reason)``, ``(sid)``, or ``(sid, reason, description)``: which rule the
        client broke, a ``str``, or ``None``. Others get ``(sid, *arguments)``, and what
        they return is acknowledged: ``None`` as nothing, a tuple as several arguments.

        Args:
            event: The name, or ``"*"`` for events without a handler, which get the
                event before the ``sid``.
            handler: A function, a coroutine function or another callable. It starts as
                soon as the event is received; what it raises is logged.
            namespace: The namespace, ``"/"`` by default; ``"*"`` for those without a
                handler, which get the namespace before the ``sid``.

        Raises:
            TypeError: ``event`` is a function (``@sio.on`` without parentheses) or no
                name of an event, or the handler cannot be called.
            ValueError: The handler does not take what it would get, or there can be no
                such namespace.
        """
        return self._register(event, handler, namespace)

    def emits(
        self, *events: AnyEvent, namespace: str | None = None, ack: Any = None
    ) -> None:
        """Declare events that the server sends, for ``socketio-fast asyncapi``.

        Nothing else depends on it; see docs/asyncapi.md.

        Args:
            *events: Each an :class:`~socketio_fast.Event`, or a name, which may have
                any arguments.
            namespace: Their namespace, ``"/"`` by default.
            ack: The type of what clients acknowledge them with, a tuple of types for
                several values; ``None`` if they do not.

        Raises:
            TypeError: One is neither an ``Event`` nor a name.
            ValueError: A name is reserved, or there can be no such namespace.
        """
        declared = self._emitted.setdefault(check_namespace(namespace or "/"), {})
        for event in events:
            if not isinstance(event, str):
                raise TypeError(f"emits({event!r}): an Event or a name expected")
            declared[check_event(event)] = (event, ack)

    def register_namespace(self, namespace_handler: BaseServerNamespace) -> None:
        """Register a class-based namespace. It gets the events without a function.

        Args:
            namespace_handler: An object of a subclass of
                :class:`~socketio_fast.Namespace` or
                :class:`~socketio_fast.AsyncNamespace`, as fits the server.

        Raises:
            ValueError: It is another object, its class does not fit, or there can be no
                such namespace.
        """
        if not isinstance(namespace_handler, BaseServerNamespace):
            raise ValueError(
                "Not a namespace instance: register_namespace() takes an object, such "
                "as Chat('/chat'), of a subclass of AsyncNamespace or Namespace"
            )
        if self.is_asyncio_based() != namespace_handler.is_asyncio_based():
            right = "AsyncNamespace" if self.is_asyncio_based() else "Namespace"
            raise ValueError(
                "Not a valid namespace class for this server: "
                f"{type(namespace_handler).__name__} has to be a subclass of {right}"
            )
        check_namespace(namespace_handler.namespace)
        self._check_methods(namespace_handler)
        namespace_handler._set_server(self)
        self._namespace_handlers[namespace_handler.namespace] = namespace_handler

    @property
    def _trigger_event(self) -> Handler:
        """Run the handler of an event: ``(event, namespace, sid, *arguments)``.

        It returns what the handler returns, or :attr:`not_handled` if there is none.
        Events of clients come here only if a subclass or a program replaces it.
        """
        return self._replaced_trigger or self._run_handler

    @_trigger_event.setter
    def _trigger_event(self, trigger: Handler) -> None:
        self._replaced_trigger = trigger
        self._hub.trigger = self._adapt(trigger, self._client_at(2))

    def _run_handler(self, event: Any, namespace: str, *args: Any) -> Any:
        raise NotImplementedError

    def _adapt(
        self,
        handler: Handler,
        client: Callable[..., Session | None] | None = None,
    ) -> Handler:
        """Wrap a handler for the core. Servers for threads override this.

        The core calls the result on the event loop, and awaits what that returns if it
        is awaitable. ``client`` finds the client by the arguments of a call.
        """
        return handler

    def _client_at(
        self, place: int, namespace: str = "*", event: Any = None
    ) -> Callable[..., Session | None]:
        """Make a function that finds the connection by the arguments of a handler.

        Args:
            place: Where the ``sid`` stands among the arguments.
            namespace: The namespace; ``"*"`` for the argument before the ``sid``.
            event: The event; ``None`` for the first argument.
        """

        def find(*args: Any) -> Session | None:
            if (args[0] if event is None else event) == "disconnect":
                return None  # it must run, whatever the client has under way
            name = args[place - 1] if namespace == "*" else namespace
            peer = self._peer(args[place], name)
            return None if peer is None else peer.session

        return find

    def _adapted(
        self, namespace: str, event: Any, handler: Handler | None
    ) -> Handler | None:
        if handler is None:
            return None
        check_callable(handler, event)
        before = 1 + (namespace == "*")
        handler = self._injected(handler, event, namespace, event == "*")
        if event in self.reserved_events:
            if event == "disconnect" and takes_description(handler, before + 1):
                return self._described(self._adapt(handler), before - 1, namespace)
            arguments = ["sid", *_ARGUMENTS[event]]
            if namespace == "*":
                arguments.insert(0, "namespace")
            handler = adapt(handler, event, arguments)
            if event == "connect" and self.validate_handlers:
                handler = validated_connect(handler, before + 1, self._hub.logger)
            return self._adapt(handler)
        check_handler(handler, event, namespace, self._hub.logger)
        if self.validate_handlers:
            decodes = self.is_asyncio_based() and "*" not in (event, namespace)
            handler = validated(
                handler,
                before + (event == "*"),
                self._hub.logger,
                (self._hub, event) if decodes else None,
            )
        place = (namespace == "*") + (event == "*")
        return self._adapt(handler, self._client_at(place, namespace, event))

    def _injected(
        self, handler: Handler, event: Any, namespace: str, named: bool = False
    ) -> Handler:
        """A handler that gets its dependencies, or the same if it has none.

        Args:
            handler: The handler; its signature is looked at here, once.
            event: The event.
            namespace: The namespace; ``"*"`` for the argument before the ``sid``.
            named: Whether the first argument is the event.

        Raises:
            TypeError: What a dependency needs is not there.
        """
        if says_nothing(handler):
            return handler
        where = f"handler of {event!r} in namespace {namespace!r}"
        plan = plan_of(handler, where, self._given, self._hub.logger)
        if plan is None:
            return handler
        if not self.is_asyncio_based() and inspect.iscoroutinefunction(handler):
            return self._adapt(handler)  # which refuses it
        from socketio_fast.handlers.injection import Injected
        from socketio_fast.handlers.models import plain

        return Injected(
            handler,
            plan,
            self,
            namespace,
            event,
            named + (namespace == "*"),
            plain if self.validate_handlers else None,
        ).function()

    def _given(self) -> Mapping[str, Given]:
        """What dependencies get by the names and types of their parameters."""
        raise NotImplementedError

    def _awaited(self, coroutine: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Run a coroutine of a dependency. Servers for threads wait for it here."""
        return coroutine

    def _described(self, handler: Handler, place: int, namespace: str) -> Handler:
        """Add the description of a disconnect to the arguments of a handler.

        Args:
            handler: That of ``disconnect``, or a trigger, which gets every event.
            place: Where the ``sid`` stands among the arguments.
            namespace: The namespace; ``"*"`` for the argument before the ``sid``.
        """
        triggers = place > (namespace == "*")

        def described(*args: Any) -> Any:
            if triggers and args[0] != "disconnect":
                return handler(*args)
            name = args[place - 1] if namespace == "*" else namespace
            peer = self._peer(args[place], name)
            # Asked here, on the event loop: later nobody knows it.
            return handler(*args, None if peer is None else peer.session.description)

        return described

    def _on_namespace_handler(
        self, namespace: str, handler: BaseServerNamespace | None
    ) -> BaseServerNamespace | None:
        if handler is not None:
            self._prepare_methods(handler)
        trigger = None
        if handler is not None:
            client = self._client_at(1 + (namespace == "*"), namespace)
            trigger = self._adapt(_trigger(handler), client)
            disconnect = getattr(handler, "on_disconnect", None)
            place = 1 + (namespace == "*")
            if disconnect is not None and takes_description(disconnect, place + 1):
                trigger = self._described(trigger, place, namespace)
        self._hub.namespace(namespace).set_trigger(trigger)
        if handler is None and not self._is_kept(namespace, self._handlers):
            self._hub.release(namespace)
        return handler

    def _has_handlers(self, namespace: str) -> bool:
        return namespace in self._handlers or namespace in self._namespace_handlers

    def _is_kept(self, namespace: str, handlers: Mapping[str, Any]) -> bool:
        """Whether other handlers, or an object of ``of()``, need the namespace."""
        return namespace in handlers or namespace in self._namespaces

    def _check_methods(self, handler: BaseServerNamespace) -> None:
        """Check that the methods for events take the arguments that they will get."""
        if type(handler).trigger_event not in (
            BaseServerNamespace.trigger_event,
            AsyncNamespace.trigger_event,
        ):
            return  # the application calls them, with what it chooses
        for name in dir(type(handler)):
            event = name.removeprefix("on_")
            if event == name or event in self.reserved_events:
                continue
            method = getattr(handler, name)
            if callable(method):
                check_name(event, self._hub.logger)
                method = self._injected(method, event, handler.namespace)
                check_handler(method, event, handler.namespace, self._hub.logger)

    def _prepare_methods(self, handler: BaseServerNamespace) -> None:
        """Replace methods that have dependencies, or whose arguments are annotated
        with models: attributes of the object get and validate them. A
        ``trigger_event`` of the application calls these."""
        before = 1 + (handler.namespace == "*")
        logger = self._hub.logger
        for name in dir(handler):
            event = name.removeprefix("on_")
            if event == name or name in vars(handler):
                continue
            method = getattr(handler, name)
            if not callable(method):
                continue
            prepared = self._injected(method, event, handler.namespace)
            if self.validate_handlers and event == "connect":
                prepared = validated_connect(prepared, before + 1, logger)
            elif self.validate_handlers and event != "disconnect":
                prepared = validated(prepared, before, logger)
            if prepared is not method:
                setattr(handler, name, prepared)

    # Clients.

    def rooms(self, sid: str, namespace: str | None = None) -> list[Any]:
        """The rooms of a client, a list. The first is its own, named by its ``sid``."""
        found: list[Any] = self.manager.get_rooms(sid, namespace or "/")
        return found

    def transport(self, sid: str, namespace: str | None = None) -> str:
        """The transport of a client: ``"polling"``, ``"websocket"`` or
        ``"webtransport"``.

        Raises:
            KeyError: The client is not connected.
        """
        return self._known(sid, namespace).session.transport_name

    def recovered(self, sid: str, namespace: str | None = None) -> bool:
        """Whether a client has come back after a lost connection, with its former
        ``sid``, rooms and data.

        ``connect`` handlers run for such a client too, and may call this.

        Raises:
            KeyError: The client is not connected.
        """
        return self._known(sid, namespace).recovered

    def get_environ(
        self, sid: str, namespace: str | None = None
    ) -> dict[str, Any] | None:
        """The handshake request as a WSGI environment; ``None``: there is no client."""
        peer = self._peer(sid, namespace)
        return None if peer is None else self._environs.of(peer.session)

    def _get_session(self, sid: str, namespace: str | None) -> dict[str, Any]:
        session = self._known(sid, namespace).session
        if session.data is None:
            session.data = {}
        data: dict[str, Any] = session.data.setdefault(namespace or "/", {})
        return data

    def _save_session(
        self, sid: str, data: dict[str, Any], namespace: str | None
    ) -> None:
        session = self._known(sid, namespace).session
        if session.data is None:
            session.data = {}
        session.data[namespace or "/"] = data

    def _namespace(self, name: str | None) -> Namespace | None:
        return self._hub.namespaces.get(name or "/")

    def _peer(self, sid: str, namespace: str | None) -> Peer | None:
        found = self._namespace(namespace)
        return None if found is None else found.peers.get(sid)

    def _gone(self, sid: str, namespace: str | None) -> str:
        """The text of an error: the client is not connected."""
        text = f"{sid} is not connected"
        if self._peer(sid, namespace) is not None:
            return text
        return f"{text}: {self._hub.absence_of(sid, namespace or '/')}"

    def _known(self, sid: str, namespace: str | None) -> Peer:
        peer = self._peer(sid, namespace)
        if peer is None:
            text = self._hub.absence_of(sid, namespace or "/")
            raise KeyError(f"Session not found: {text}")
        return peer


#: What the reserved events bring besides the sid; handlers may leave out the last.
_ARGUMENTS = {"connect": ("environ", "auth"), "disconnect": ("reason",)}


def _trigger(handler: BaseServerNamespace) -> Handler:
    """Make the function that the core calls for events of a class-based namespace."""

    def trigger(event: Any, *args: Any) -> Any:
        if event == "connect":
            # trigger_event() may be the application's own, and pass on what it gets.
            connect = getattr(handler, "on_connect", None)
            if connect is not None:
                args = fit(connect, args)
        trigger_event = handler.trigger_event
        if getattr(trigger_event, "__func__", None) is AsyncNamespace.trigger_event:
            # Without a coroutine around the method's: 1.3 us an event, not 1.7.
            return BaseServerNamespace.trigger_event(handler, event, *args)
        return trigger_event(event, *args)

    trigger.namespace_handler = handler  # type: ignore[attr-defined]
    return trigger
