"""What clients for asyncio and for threads share: registration of handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar, overload

from socketio_fast.engineio.base_client import Reason
from socketio_fast.handlers.registration import check_callable
from socketio_fast.handlers.registry import HandlerRegistry
from socketio_fast.handlers.signatures import adapt, takes_description
from socketio_fast.handlers.validation import validated
from socketio_fast.namespace import BaseClientNamespace

__all__ = ["BaseClient"]

F = TypeVar("F", bound=Callable[..., Any])

#: What the handlers of the reserved events get; they may leave out the last.
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "connect_error": ("data",),
    "disconnect": ("reason",),
}


class BaseClient(HandlerRegistry):
    """The base class of Socket.IO clients."""

    #: The reasons that ``disconnect`` handlers get.
    reason: ClassVar[type[Reason]] = Reason
    reserved_events: ClassVar[list[str]] = [
        "connect",
        "connect_error",
        "disconnect",
        "__disconnect_final",
    ]

    #: Whether handlers that are annotated with models get validated arguments.
    validate_handlers: bool = True

    @overload
    def on(
        self, event: str, handler: None = None, namespace: str | None = None
    ) -> Callable[[F], F]: ...

    @overload
    def on(self, event: str, handler: F, namespace: str | None = None) -> F: ...

    def on(self, event: Any, handler: Any = None, namespace: str | None = None) -> Any:
        """Register the handler of an event, or decorate it.

        ``connect`` gets nothing, ``connect_error`` what the server refused with,
        ``disconnect`` the reason, one of :class:`reason`, and if it has a second
        parameter ``description`` which rule the server broke, or what went wrong.
        Others get what the server sent, and what they return is acknowledged: ``None``
        as nothing, a tuple as several arguments.

        Args:
            event: The name, or ``"*"`` for events without a handler, which get the
                event first.
            handler: A function, or of ``AsyncClient`` a coroutine function. It starts
                as soon as the event is received; what it raises is logged.
            namespace: The namespace, ``"/"`` by default; ``"*"`` for those without a
                handler, which get the namespace first, behind the event if the handler
                is one of ``"*"``.

        Raises:
            TypeError: ``event`` is a function (``@sio.on`` without parentheses) or no
                name of an event, or the handler cannot be called.
            ValueError: The handler does not take what it would get, or there can be no
                such namespace.
        """
        return self._register(event, handler, namespace)

    def register_namespace(self, namespace_handler: Any) -> None:
        """Register a class-based namespace. It gets the events without a function.

        Args:
            namespace_handler: An object of a subclass of
                :class:`~socketio_fast.ClientNamespace` or
                :class:`~socketio_fast.AsyncClientNamespace`, as fits the client.

        Raises:
            ValueError: It is another object, or its class does not fit.
        """
        if not isinstance(namespace_handler, BaseClientNamespace):
            raise ValueError(
                "Not a namespace instance: register_namespace() takes an object, such "
                "as Chat('/chat'), of a subclass of AsyncClientNamespace or "
                "ClientNamespace"
            )
        if self.is_asyncio_based() != namespace_handler.is_asyncio_based():
            raise ValueError(
                "Not a valid namespace class for this client: "
                f"{type(namespace_handler).__name__}"
            )
        namespace_handler._set_client(self)
        self._namespace_handlers[namespace_handler.namespace] = namespace_handler

    #: The namespaces that ``socket()`` was asked for, by name.
    _sockets: Mapping[str, Any]

    def _chosen(self, namespaces: Sequence[str] | str | None) -> list[str]:
        """The namespaces that ``connect()`` joins."""
        if isinstance(namespaces, str):
            return [namespaces]
        if namespaces is not None:
            return list(namespaces)
        found = {*self.handlers, *self.namespace_handlers}
        found.update(self._sockets)
        found.discard("*")
        return list(found) or ["/"]

    def _adapt(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a handler for the core. Clients for threads override this."""
        return handler

    def _adapted(
        self, namespace: str, event: Any, handler: Callable[..., Any] | None
    ) -> Callable[..., Any] | None:
        if handler is None:
            return None
        check_callable(handler, event)
        before = ["namespace"] if namespace == "*" else []
        if event in _ARGUMENTS:
            if event == "disconnect" and takes_description(handler, len(before) + 1):
                return self._adapt(self._described(handler))
            names = [*before, *_ARGUMENTS[event]]
            return self._adapt(adapt(handler, event, names))
        if event not in self.reserved_events and self.validate_handlers:
            skipped = len(before) + (event == "*")
            handler = validated(handler, skipped, self._hub.logger)
        return self._adapt(handler)

    def _described(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        """Add the description of the last disconnect to a handler's arguments."""

        def described(*args: Any) -> Any:
            return handler(*args, self._description)

        return described

    _description: str | None = None

    def _on_namespace_handler(self, namespace: str, handler: Any) -> Any:
        trigger = None if handler is None else self._adapt(handler.trigger_event)
        self._hub.namespace(namespace).set_trigger(trigger)
        return handler
