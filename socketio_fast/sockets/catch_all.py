"""Catch-all listeners: of all events that a socket gets, or of all that it sends."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeVar

from socketio_fast._core.engine import listeners
from socketio_fast.sockets.events import EventEmitter, Listener

__all__ = ["CatchAll", "called"]

F = TypeVar("F", bound=Listener)


class CatchAll(EventEmitter):
    """A socket, of a server or of a client, with catch-all listeners."""

    def on_any(self, listener: F) -> F:
        """Listen to all events of the peer: ``(event, *arguments)``.

        It is called before the listeners of the event; what it returns is ignored.
        """
        listeners.set_any_in(self, [*listeners.any_in(self), called(listener)])
        return listener

    def prepend_any(self, listener: F) -> F:
        """As :meth:`on_any`, before all that are there."""
        listeners.set_any_in(self, [called(listener), *listeners.any_in(self)])
        return listener

    def off_any(self, listener: Listener | None = None) -> None:
        """Remove a listener of all events; all of them without ``listener``."""
        listeners.set_any_in(self, _without(listeners.any_in(self), listener))

    def listeners_any(self) -> list[Listener]:
        """Who listens to all events."""
        return listeners.any_in(self)

    def on_any_outgoing(self, listener: F) -> F:
        """Listen to all that is sent to the peer, broadcasts too:
        ``(event, *arguments)``."""
        self._set_any_outgoing([*listeners.any_out(self), called(listener)])
        return listener

    def prepend_any_outgoing(self, listener: F) -> F:
        """As :meth:`on_any_outgoing`, before all that are there."""
        self._set_any_outgoing([called(listener), *listeners.any_out(self)])
        return listener

    def off_any_outgoing(self, listener: Listener | None = None) -> None:
        """Remove a listener to all that is sent; all of them without ``listener``."""
        self._set_any_outgoing(_without(listeners.any_out(self), listener))

    def listeners_any_outgoing(self) -> list[Listener]:
        """Who listens to all that is sent."""
        return listeners.any_out(self)

    def _set_any_outgoing(self, functions: list[Any]) -> None:
        listeners.set_any_out(self, functions)


def called(listener: F) -> F:
    """The listener.

    Raises:
        TypeError: It is not callable.
    """
    if not callable(listener):
        raise TypeError(f"a listener is not callable: {listener!r}")
    return listener


def _without(functions: list[Listener], listener: Listener | None) -> list[Listener]:
    if listener is None:
        return []
    kept = list(functions)
    with suppress(ValueError):
        kept.remove(listener)
    return kept
