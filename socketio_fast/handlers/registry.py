"""The handlers of a server or a client, as programs see them: two tables of which each
change is reported to the compiled core."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from socketio_fast._core.socketio.hub import Hub
from socketio_fast.events import Event, name_of
from socketio_fast.handlers.names import check_namespace
from socketio_fast.handlers.registration import check_event

if TYPE_CHECKING:
    from socketio_fast.events import AnyEvent

__all__ = ["HandlerRegistry"]

Handler = Callable[..., Any]
F = TypeVar("F", bound=Handler)


class HandlerRegistry:
    """Registers functions and class-based namespaces.

    Subclasses define ``on()`` by :meth:`_register`, since types of handlers differ.
    """

    #: Events of the connection itself, which no catch-all handler gets.
    reserved_events: ClassVar[list[str]]

    def _begin_registry(self) -> None:
        self._handlers = _Table(self._on_handlers, {})
        self._namespace_handlers = _Table(self._on_namespace_handler, {})
        # The Event objects of handlers, by namespace and name: they know their types.
        self._events: dict[tuple[str, str], AnyEvent] = {}

    @property
    def _hub(self) -> Hub:
        """The core's namespaces and their handlers."""
        raise NotImplementedError

    def is_asyncio_based(self) -> bool:
        """Whether handlers may be coroutine functions."""
        return False

    def _adapted(
        self, namespace: str, event: Any, handler: Handler | None
    ) -> Handler | None:
        """A handler as the core is to call it."""
        raise NotImplementedError

    def _on_namespace_handler(self, namespace: str, handler: Any) -> Any:
        """A class-based namespace is registered; ``None``: it is removed."""
        raise NotImplementedError

    def _is_kept(self, namespace: str, handlers: Mapping[str, Any]) -> bool:
        """Whether something besides what is removed needs the namespace."""
        return namespace in handlers

    def on(self, event: Any, handler: Any = None, namespace: str | None = None) -> Any:
        """Register the handler of an event, or decorate it."""
        return self._register(event, handler, namespace)

    def _register(self, event: Any, handler: Any, namespace: str | None) -> Any:
        name = check_namespace(namespace or "/")
        check_event(event, self._hub.logger)
        key = name_of(event)
        if isinstance(event, Event):
            self._events[name, key] = event

        def register(function: Any) -> Any:
            if name in self._handlers:
                self._handlers[name][key] = function
            else:
                self._handlers[name] = {key: function}
            return function

        return register if handler is None else register(handler)

    @overload
    def event(self, handler: F, /) -> F: ...

    @overload
    def event(self, *, namespace: str | None = None) -> Callable[[F], F]: ...

    def event(self, *args: Any, **kwargs: Any) -> Any:
        """Decorate the handler of the event that is named as the function.

        ``@sio.event`` or ``@sio.event(namespace="/chat")``; see :meth:`on`.
        """
        if len(args) == 1 and not kwargs and callable(args[0]):
            return self.on(args[0].__name__, args[0])

        def register(function: Handler) -> Any:
            return self.on(function.__name__, function, *args, **kwargs)

        return register

    @property
    def handlers(self) -> dict[str, dict[Any, Handler]]:
        """The handlers, by namespace and event. A change registers or removes one."""
        return self._handlers

    @handlers.setter
    def handlers(self, handlers: Mapping[str, Mapping[Any, Handler]]) -> None:
        self._handlers.replace(handlers)

    @property
    def namespace_handlers(self) -> dict[str, Any]:
        """The class-based namespaces, by name. A change registers or removes one."""
        return self._namespace_handlers

    @namespace_handlers.setter
    def namespace_handlers(self, handlers: Mapping[str, Any]) -> None:
        self._namespace_handlers.replace(handlers)

    def _on_handlers(
        self, namespace: str, handlers: Mapping[Any, Handler] | None
    ) -> _Table:
        before = self._handlers.get(namespace, {})
        after = {
            event: self._adapted(namespace, event, handler)
            for event, handler in (handlers or {}).items()
        }
        target = self._hub.namespace(namespace)
        for event in [*before, *after]:
            target.set_handler(event, after.get(event))
        if handlers is None and not self._is_kept(namespace, self._namespace_handlers):
            self._hub.release(namespace)
        return _Table(partial(self._on_handler, namespace), handlers or {})

    def _on_handler(
        self, namespace: str, event: Any, handler: Handler | None
    ) -> Handler | None:
        adapted = self._adapted(namespace, event, handler)
        self._hub.namespace(namespace).set_handler(event, adapted)
        return handler

    def _get_event_handler(
        self, event: Any, namespace: str, args: tuple[Any, ...]
    ) -> tuple[Handler | None, tuple[Any, ...]]:
        """Find the function that handles an event, and the arguments for it.

        For a ``_trigger_event`` of the application, as is the next method.
        """
        for place, before in ((namespace, ()), ("*", (namespace,))):
            handlers = self.handlers.get(place, {})
            if event in handlers:
                return handlers[event], (*before, *args)
            if "*" in handlers and event not in self.reserved_events:
                return handlers["*"], (event, *before, *args)
        return None, args

    def _get_namespace_handler(
        self, namespace: str, args: tuple[Any, ...]
    ) -> tuple[Any, tuple[Any, ...]]:
        """Find a class-based namespace, and the arguments for it after the event."""
        handler = self.namespace_handlers.get(namespace)
        if handler is None and (handler := self.namespace_handlers.get("*")):
            args = (namespace, *args)
        return handler, args


class _Table(dict[Any, Any]):
    """A dict that reports each change before it is made.

    Args:
        change: Called with the key and the new value, or ``None`` for a value that is
            removed. It returns the value to store.
        values: The first values, which are not reported.
    """

    __slots__ = ("_change",)

    # These call __setitem__ and __delitem__; the methods of dict do not.
    clear = MutableMapping.clear
    pop: Any = MutableMapping.pop
    popitem = MutableMapping.popitem
    setdefault: Any = MutableMapping.setdefault
    update: Any = MutableMapping.update

    def __init__(
        self, change: Callable[[Any, Any], Any], values: Mapping[Any, Any]
    ) -> None:
        super().__init__(values)
        self._change = change

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, self._change(key, value))

    def __delitem__(self, key: Any) -> None:
        if key not in self:
            raise KeyError(key)
        self._change(key, None)
        super().__delitem__(key)

    def __ior__(self, other: Any) -> _Table:  # type: ignore[misc]
        self.update(other)
        return self

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # A copy, or what is pickled, is a dict: it tells nobody.
        return dict, (dict(self),)

    def replace(self, values: Mapping[Any, Any]) -> None:
        """Replace all values."""
        values = dict(values)  # it may be this table
        self.clear()
        self.update(values)
