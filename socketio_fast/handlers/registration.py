"""Checks handlers at registration, with errors that show the correct form."""

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

#: If the first parameter has one of these names, its author expected the event's data
#: there, but the first argument is the client's ``sid``.
DATA_NAMES = frozenset(
    ("args", "body", "content", "data", "json", "message", "msg", "payload", "text")
)


def check_event(event: Any, logger: Logger) -> None:
    """Check the name of an event that a handler is registered for.

    Raises:
        TypeError: ``event`` is a function, which stands for a missing name, or is not
            a ``str``, ``int`` or ``float``.
    """
    if callable(event):
        name = getattr(event, "__name__", "name")
        raise TypeError(
            f"@sio.on needs the name of the event: write @sio.on({name!r}), or "
            "@sio.event, which takes the function's name"
        )
    if not isinstance(event, (str, int, float)):
        raise TypeError(f"event={event!r}: the name of an event expected, a str")
    check_name(event, logger)


def check_name(event: Any, logger: Logger) -> None:
    """Warn if the event is ``connection``, which only the socket API has."""
    if event == "connection":
        logger.warning(
            "a handler of 'connection' runs only if a client emits an event of that "
            "name. To handle new clients, write connect(sid, environ, auth), in a "
            "class on_connect(), or with the socket API sio.of('/').on('connection')"
        )


def check_callable(handler: Any, event: Any) -> None:
    """Check that a handler can be called.

    Raises:
        TypeError: The handler is not callable.
    """
    if not callable(handler):
        raise TypeError(f"handler of {event!r}: a function expected, not {handler!r}")


def check_handler(
    handler: Callable[..., Any], event: Any, namespace: str, logger: Logger
) -> None:
    """Check that a handler takes the arguments that it always gets.

    These are the ``sid``; before it, for ``"*"``, the event and the namespace. The
    check warns if the parameter of the ``sid`` has a name that suggests data.

    Raises:
        ValueError: The handler takes fewer arguments.
    """
    if passes_on_arguments(handler):
        return  # the wrapper may pass other arguments, as Flask-SocketIO's does
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
            f"({', '.join(first)}, *args): what the client sends comes after "
            "the sid"
        )
    names = names_of(handler)
    if len(names) >= len(first) and names[len(before)] in DATA_NAMES:
        logger.warning(
            "handler of %r: its argument %r receives the client's sid; write (%s): "
            "what the client sends comes after the sid",
            event,
            names[len(before)],
            ", ".join([*first, names[len(before)]]),
        )
