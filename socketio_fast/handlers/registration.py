"""Checks handlers when they are registered; errors name the right form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from socketio_fast.handlers.signatures import (
    counted,
    names_of,
    passes_on_arguments,
    positional,
)
from socketio_fast.options.logs import Logger

__all__ = ["check_callable", "check_event", "check_handler", "check_name"]

#: Names of a first argument that is meant for what the client sends. The first argument
#: is the client's ``sid``.
DATA_NAMES = frozenset(
    ("args", "body", "content", "data", "json", "message", "msg", "payload", "text")
)


def check_event(event: Any, logger: Logger) -> None:
    """Check the name of an event that a handler is registered for.

    Raises:
        TypeError: It is a function, or what no event can be named.
    """
    if callable(event):
        name = getattr(event, "__name__", "name")
        raise TypeError(
            f"@sio.on needs the name of the event: write @sio.on({name!r}), or "
            "@sio.event to name it as the function"
        )
    if not isinstance(event, (str, int, float)):
        raise TypeError(f"event={event!r}: the name of an event expected, a str")
    check_name(event, logger)


def check_name(event: Any, logger: Logger) -> None:
    """Warn if the name of an event is one of the socket API."""
    if event == "connection":
        logger.warning(
            "a handler of 'connection' runs only if a client emits an event of that "
            "name: write connect(sid, environ, auth), of a class on_connect(), or "
            "sio.of('/').on('connection') for the socket API"
        )


def check_callable(handler: Any, event: Any) -> None:
    """Check that a handler can be called.

    Raises:
        TypeError: It cannot.
    """
    if not callable(handler):
        raise TypeError(f"handler of {event!r}: a function expected, not {handler!r}")


def check_handler(
    handler: Callable[..., Any], event: Any, namespace: str, logger: Logger
) -> None:
    """Check that a handler takes the arguments of its event.

    Raises:
        ValueError: It takes fewer arguments than it gets in any case.
    """
    if passes_on_arguments(handler):
        return  # a decorator may pass other arguments, as Flask-SocketIO's does
    before = []
    if event == "*":
        before.append("event")
    if namespace == "*":
        before.append("namespace")
    first = [*before, "sid"]
    _, most = positional(handler)
    if most is not None and most < len(first):
        raise ValueError(
            f"handler of {event!r} takes {counted(most)}, write "
            f"({', '.join(first)}, *args): it gets these before what the client sends"
        )
    names = names_of(handler)
    if len(names) >= len(first) and names[len(before)] in DATA_NAMES:
        logger.warning(
            "handler of %r: the argument %r gets the client's sid; write (%s), what "
            "the client sends comes behind it",
            event,
            names[len(before)],
            ", ".join([*first, names[len(before)]]),
        )
