"""How many positional arguments a handler takes: looked at once, when registered."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["adapt", "positional"]


def positional(function: Callable[..., Any]) -> tuple[int, int | None]:
    """The least and the most positional arguments; ``None`` for any number."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 0, None  # a builtin that does not tell
    least = most = 0
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            return least, None
        if parameter.kind in (
            parameter.POSITIONAL_ONLY,
            parameter.POSITIONAL_OR_KEYWORD,
        ):
            most += 1
            if parameter.default is parameter.empty:
                least += 1
    return least, most


def adapt(
    function: Callable[..., Any], event: str, arguments: tuple[str, ...]
) -> Callable[..., Any]:
    """A callable for exactly these arguments, of a handler that may leave out the last.

    Raises:
        ValueError: The handler takes fewer or more.
    """
    least, most = positional(function)
    count = len(arguments)
    if least <= count and (most is None or most >= count):
        return function
    if least <= count - 1 == most:
        return lambda *args: function(*args[:-1])
    raise ValueError(
        f"handler of {event!r} takes {_range(least, most)} positional arguments, not "
        f"({', '.join(arguments[:-1])}[, {arguments[-1]}])"
    )


def _range(least: int, most: int | None) -> str:
    if least == most:
        return str(least)
    return f"{least} or more" if most is None else f"{least} to {most}"
