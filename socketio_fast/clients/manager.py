"""What a client's connection tells besides the events of its namespaces."""

from __future__ import annotations

from typing import ClassVar

from socketio_fast._core.engine import listeners
from socketio_fast._core.engine.runner import Runner
from socketio_fast.options.logs import Logger
from socketio_fast.sockets.events import EventEmitter

__all__ = ["MANAGER_EVENTS", "Manager"]

#: The events, with the arguments of their listeners.
MANAGER_EVENTS: dict[str, tuple[str, ...]] = {
    "open": (),
    "close": ("reason", "description"),
    "ping": (),
    "error": ("error",),
    "upgrade": ("transport",),
    "upgrade_error": ("error",),
    "reconnect_attempt": ("attempt",),
    "reconnect": ("attempt",),
    "reconnect_error": ("error",),
    "reconnect_failed": (),
}


class Manager(EventEmitter):
    """The events of a client's connection, with the names of the official client.

    ``on()``, ``once()`` and ``off()`` take listeners, functions or coroutine functions,
    of these events:

    - ``open()``: the connection is there; namespaces are joined next;
    - ``close(reason, description)``: it is over; ``description`` says which rule the
      server broke, or what went wrong, or is ``None``;
    - ``ping()``: the server has pinged;
    - ``error(error)``: an attempt to connect has failed;
    - ``upgrade(transport)``, ``upgrade_error(error)``: the upgrade to WebSocket;
    - ``reconnect_attempt(attempt)``: an attempt to connect again begins;
    - ``reconnect(attempt)``: it has succeeded;
    - ``reconnect_error(error)``: it has failed;
    - ``reconnect_failed()``: there have been ``reconnection_attempts``, and no more are
      made.
    """

    _own_events: ClassVar[dict[str, tuple[str, ...]]] = MANAGER_EVENTS

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def tell(self, runner: Runner | None, event: str, *args: object) -> None:
        """Call the listeners of an event. ``None``: the client has never connected."""
        if runner is None:
            return
        listeners.fire(self, runner, self._failed, event, *args)

    def _failed(self, error: BaseException) -> None:
        self._logger.error("a listener of the connection failed", exc_info=error)

    def _register(
        self, event: object, listener: object, once: bool = False, first: bool = False
    ) -> object:
        if event not in MANAGER_EVENTS:
            raise ValueError(
                f"event {event!r}: one of {', '.join(MANAGER_EVENTS)} expected"
            )
        return super()._register(event, listener, once, first)
