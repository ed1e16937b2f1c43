"""How many positional arguments a handler takes: looked at once, when registered."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any

__all__ = ["adapt", "fit", "names_of", "positional"]


def positional(function: Callable[..., Any]) -> tuple[int, int | None]:
    """The least and the most positional arguments; ``None`` for any number.

    Of a decorated function (``functools.wraps``) this is asked from the outside in: a
    decorator that takes any number passes them on.
    """
    if isinstance(function, MethodType):
        least, most = positional(function.__func__)
        return max(0, least - 1), None if most is None else most - 1
    try:
        parameters = inspect.signature(function, follow_wrapped=False).parameters
    except (TypeError, ValueError):
        return 0, None  # a builtin that does not tell
    count = least = 0
    for parameter in parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            wrapped = getattr(function, "__wrapped__", None)
            return (least, None) if wrapped is None else positional(wrapped)
        if parameter.kind in (
            parameter.POSITIONAL_ONLY,
            parameter.POSITIONAL_OR_KEYWORD,
        ):
            count += 1
            if parameter.default is parameter.empty:
                least += 1
    return least, count


def names_of(function: Callable[..., Any]) -> list[str]:
    """The names of the positional arguments, without those of ``*args``.

    Of a decorated function these are the decorator's own.
    """
    try:
        parameters = inspect.signature(function, follow_wrapped=False).parameters
    except (TypeError, ValueError):
        return []  # a builtin that does not tell
    return [
        parameter.name
        for parameter in parameters.values()
        if parameter.kind
        in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]


def fit(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """These arguments, or all but the last if only that many are taken."""
    if not _takes(function, len(args)) and _takes(function, len(args) - 1):
        return args[:-1]
    return args


def _takes(function: Callable[..., Any], count: int) -> bool:
    if not isinstance(function, MethodType):
        least, most = positional(function)
        return least <= count and (most is None or count <= most)
    least, most = _of_method(function.__func__)
    return least <= count + 1 and (most is None or count + 1 <= most)


# Methods are asked at each connect; what one takes is looked at once.
@functools.lru_cache(maxsize=1024)
def _of_method(function: Callable[..., Any]) -> tuple[int, int | None]:
    return positional(function)


def adapt(
    function: Callable[..., Any], event: str, arguments: Sequence[str]
) -> Callable[..., Any]:
    """A callable for these arguments, of a handler that may leave out the last.

    A decorator that takes any number may call the function with others than it gets.
    It gets all, unless the function takes none, or one too few without naming the last.

    Raises:
        ValueError: The handler takes fewer or more.
    """
    least, most = positional(function)
    count = len(arguments)
    if least <= count and (most is None or most >= count):
        return function
    decorated = _is_decorated(function)
    if decorated and _last_name(function) == arguments[-1]:
        return function
    if least <= count - 1 == most or (decorated and most == 0):
        return _without_last(function, count)
    if decorated:
        return function
    raise ValueError(
        f"handler of {event!r} takes {_range(least, most)} positional arguments, not "
        f"({', '.join(arguments[:-1])}[, {arguments[-1]}])"
    )


def _without_last(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    def handler(*args: Any) -> Any:
        return function(*args[: count - 1])

    # Its name, for the log; its signature is its own.
    functools.update_wrapper(handler, function, _NAMES, ())
    del handler.__wrapped__  # type: ignore[attr-defined]
    return handler


_NAMES = ("__module__", "__name__", "__qualname__")


def _is_decorated(function: Callable[..., Any]) -> bool:
    """Whether its decorator (``functools.wraps``) takes any number of arguments."""
    return hasattr(function, "__wrapped__") and any(
        parameter.kind is parameter.VAR_POSITIONAL
        for parameter in inspect.signature(
            function, follow_wrapped=False
        ).parameters.values()
    )


def _last_name(function: Callable[..., Any]) -> str | None:
    names = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is not parameter.KEYWORD_ONLY
    ]
    return names[-1] if names else None


def _range(least: int, most: int | None) -> str:
    if least == most:
        return str(least)
    return f"{least} or more" if most is None else f"{least} to {most}"
