"""Warnings about handlers that block the event loop."""

from __future__ import annotations

import functools
import time
from typing import Any

from socketio_fast.handlers.middlewares import Middlewares
from socketio_fast.options.logs import Logger

__all__ = ["SlowHandlers", "name_of_handler"]

#: Seconds until the warning about a handler may be repeated.
AGAIN = 60.0

#: The maximum number of names whose last warning is remembered. A program may make
#: handlers under ever new names.
MAX_NAMES = 1000


class SlowHandlers:
    """Logs handlers that have blocked the event loop, each at most once in 60 seconds.

    Args:
        logger: Gets a WARNING about each.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._told: dict[str, float] = {}

    def __call__(
        self, handler: Any, args: tuple[Any, ...], coro: Any, seconds: float
    ) -> None:
        """Called by the core when a handler exceeded ``slow_handler_threshold``.

        Args:
            handler: The handler.
            args: The arguments of the call; none if it has been suspended before.
            coro: Its coroutine if it has been suspended before, else ``None``.
            seconds: How long it ran until it returned or was suspended.
        """
        name = name_of_handler(handler, args, coro)
        now = time.monotonic()
        if now < self._told.get(name, -AGAIN) + AGAIN:
            return
        if len(self._told) >= MAX_NAMES:
            self._told.clear()
        self._told[name] = now
        self._logger.warning(
            "handler %s blocked the event loop for %.2f s, and all clients with it: "
            "await what it waits for, or run it by asyncio.to_thread() "
            "(slow_handler_threshold)",
            name,
            seconds,
        )


def name_of_handler(handler: Any, args: tuple[Any, ...] = (), coro: Any = None) -> str:
    """The module and qualified name of a handler.

    Args:
        handler: The handler.
        args: The arguments of the call. For a class-based namespace, the first is the
            event, which names the method.
        coro: The handler's coroutine, whose name is preferred: it is the method's.
    """
    while isinstance(handler, functools.partial):
        handler = handler.func
    if isinstance(handler, Middlewares):
        return " or ".join([name_of_handler(f) for f in handler.functions])
    namespace_handler = getattr(handler, "namespace_handler", None)
    if namespace_handler is not None:
        handler = type(namespace_handler)
        if args and isinstance(args[0], str):
            handler = getattr(handler, f"on_{args[0]}", handler)
    elif not hasattr(handler, "__qualname__"):
        handler = type(handler)
    name = getattr(coro, "__qualname__", None) or handler.__qualname__
    module = getattr(handler, "__module__", None)
    return f"{module}.{name}" if module else str(name)
