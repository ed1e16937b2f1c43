"""Listeners of sockets, namespaces and rooms; names of events that may be sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, overload

from socketio_fast._core.engine import listeners
from socketio_fast._core.engine.listeners import Listeners
from socketio_fast._core.protocol.sio import RESERVED_EVENTS
from socketio_fast.events import name_of
from socketio_fast.handlers.signatures import adapt

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.events import AnyEvent, Event, Ts

__all__ = [
    "RESERVED_EVENTS",
    "EventEmitter",
    "Events",
    "SocketEvents",
    "check_event",
]

Listener = Callable[..., Any]
F = TypeVar("F", bound=Listener)
T = TypeVar("T")
R = TypeVar("R", bound=Callable[[str], Any] | Callable[[], Any])
E = TypeVar("E", bound=Callable[[Any], Any] | Callable[[], Any])


def check_event(event: AnyEvent) -> str:
    """The name of an event that is to be sent.

    Raises:
        ValueError: The name is one of :data:`RESERVED_EVENTS`.
    """
    name = name_of(event)
    if name in RESERVED_EVENTS:
        raise ValueError(f"{name!r} is a reserved event name: it cannot be emitted")
    return name


class Events:
    """``on()`` and ``once()``; classes for threads share them."""

    __slots__ = ()

    # Of the class that it is mixed into.
    _register: Callable[..., Any]

    @overload
    def on(self, event: str, listener: None = None) -> Callable[[F], F]: ...

    @overload
    def on(self, event: str, listener: F) -> F: ...

    def on(self, event: str, listener: Any = None) -> Any:
        """Listen to an event, or decorate what does; the class says which there are.

        Args:
            event: The name.
            listener: A function; with asyncio, a coroutine function too.

        Raises:
            TypeError: It cannot be called, or is a coroutine function and is to run in
                a thread.
            ValueError: There is no such event, or the listener takes other arguments.
        """
        return self._register(event, listener)

    @overload
    def once(self, event: str, listener: None = None) -> Callable[[F], F]: ...

    @overload
    def once(self, event: str, listener: F) -> F: ...

    def once(self, event: str, listener: Any = None) -> Any:
        """Listen to the next such event, and no others; see :meth:`on`."""
        return self._register(event, listener, once=True)


class EventEmitter(Events, Listeners):
    """An object with events, which may have several listeners each."""

    #: The arguments that listeners of these events get; they may leave out the last.
    _own_events: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def _adapted(self, event: Any, listener: Listener) -> Listener:
        if not callable(listener):
            raise TypeError(f"listener of {event!r} is not callable: {listener!r}")
        if event not in self._own_events:
            return listener
        return adapt(listener, event, self._own_events[event])

    def _register(
        self, event: Any, listener: Any, once: bool = False, first: bool = False
    ) -> Any:
        event = name_of(event)

        def register(function: Any) -> Any:
            adapted = self._adapted(event, function)
            if adapted is not function:
                plain = getattr(function, "_listener", function)
                adapted._listener = plain  # type: ignore[attr-defined]
            listeners.add(self, event, adapted, once, first)
            return function

        return register if listener is None else register(listener)

    def off(self, event: AnyEvent, listener: Listener | None = None) -> None:
        """Remove a listener of an event; without ``listener``, all of them.

        Of a listener that was added twice the later one is removed. Nothing happens if
        the listener is not there.
        """
        listeners.remove(self, event, listener)

    def listeners(self, event: AnyEvent) -> list[Listener]:
        """The listeners of an event, in the order they are called."""
        return listeners.functions_of(self, event)

    def remove_all_listeners(self, event: AnyEvent | None = None) -> None:
        """Remove the listeners of an event, of all events without ``event``."""
        if event is None:
            listeners.remove_all(self)
        else:
            listeners.remove(self, event, None)


class SocketEvents(Events):
    """``on()`` and ``once()`` of sockets and of sockets for threads, with types."""

    __slots__ = ()

    @overload  # type: ignore[override]  # these listeners take what is sent to them
    def on(
        self, event: Literal["disconnect", "disconnecting"], listener: None = None
    ) -> Callable[[R], R]: ...

    @overload
    def on(
        self, event: Literal["error"], listener: None = None
    ) -> Callable[[E], E]: ...

    @overload
    def on(
        self, event: Event[Unpack[Ts]], listener: None = None
    ) -> Callable[[Callable[[Unpack[Ts]], T]], Callable[[Unpack[Ts]], T]]: ...

    @overload
    def on(
        self, event: Event[Unpack[Ts]], listener: Callable[[Unpack[Ts]], T]
    ) -> Callable[[Unpack[Ts]], T]: ...

    @overload
    def on(self, event: str, listener: None = None) -> Callable[[F], F]: ...

    @overload
    def on(self, event: str, listener: F) -> F: ...

    def on(self, event: AnyEvent, listener: Any = None) -> Any:
        """Listen to an event of the client, or decorate what does.

        A listener gets the arguments that the client sent. A socket also has events of
        its own:

        - ``disconnecting(reason)``: the client disconnects, and is still in its rooms;
        - ``disconnect(reason)``: the client has disconnected;
        - ``error(error)``: a listener, a handler or a function of :meth:`use` raised;
        - ``slow(bytes)``: more than ``high_water_mark`` bytes wait for the client. It
          is repeated only if fewer than half of that have waited in between.

        Args:
            event: The name.
            listener: A function or another callable; of ``AsyncServer``, a coroutine
                function too.

        Raises:
            TypeError: It cannot be called, or is a coroutine function and is to run in
                a thread.
            ValueError: A listener of the socket's own events takes other arguments.
        """
        return self._register(event, listener)

    @overload
    def once(
        self, event: Event[Unpack[Ts]], listener: None = None
    ) -> Callable[[Callable[[Unpack[Ts]], T]], Callable[[Unpack[Ts]], T]]: ...

    @overload
    def once(
        self, event: Event[Unpack[Ts]], listener: Callable[[Unpack[Ts]], T]
    ) -> Callable[[Unpack[Ts]], T]: ...

    @overload
    def once(self, event: str, listener: None = None) -> Callable[[F], F]: ...

    @overload
    def once(self, event: str, listener: F) -> F: ...

    def once(self, event: AnyEvent, listener: Any = None) -> Any:
        """Listen to the next such event, and no others; see :meth:`on`."""
        return self._register(event, listener, once=True)
