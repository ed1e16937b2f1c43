"""Reads the signatures of handlers: how many positional arguments they take."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import FunctionType, MethodType
from typing import Any

__all__ = [
    "adapt",
    "counted",
    "fit",
    "inner",
    "names_of",
    "passes_on_arguments",
    "positional",
    "takes_description",
]


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the callable whose signature says what arguments a handler takes.

    Decorators that use ``functools.wraps`` are followed from the outside in. A wrapper
    with ``*args`` is taken to pass its arguments on; at the first wrapper without them
    the search ends. Annotations and the ``__signature__`` that ``functools.wraps`` has
    copied onto that wrapper are dropped, because they describe the decorated function.
    """
    if isinstance(function, functools.partial):
        bound = inner(function.func)
        return functools.partial(bound, *function.args, **function.keywords)
    if isinstance(function, MethodType):
        method = _partial_method(function.__func__)
        if method is None:
            return MethodType(inner(function.__func__), function.__self__)
        bound = MethodType(method.func, function.__self__)
        return inner(functools.partial(bound, *method.args, **method.keywords))
    if inspect.isfunction(function):
        decorated = getattr(function, "__wrapped__", None)
        if decorated is None:
            return function
        own = _without_copies(function, decorated)
        return inner(decorated) if _passes_on(own) else own
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    if not callable(function):
        return function
    decorated = getattr(function, "__wrapped__", None)
    call = inner(MethodType(type(function).__call__, function))
    return inner(decorated) if decorated is not None and _passes_on(call) else call


def _partial_method(function: Any) -> functools.partialmethod[Any] | None:
    # The attribute is __partialmethod__ since Python 3.13, _partialmethod before.
    for name in ("__partialmethod__", "_partialmethod"):
        found = getattr(function, name, None)
        if isinstance(found, functools.partialmethod):
            return found
    return None


def _without_copies(function: FunctionType, decorated: Any) -> Callable[..., Any]:
    """A copy of a wrapper, without what ``functools.wraps`` has copied onto it."""
    own = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    own.__kwdefaults__ = function.__kwdefaults__
    # Since Python 3.14, wraps() copies __annotate__, which computes the annotations.
    name = "__annotate__" if hasattr(function, "__annotate__") else "__annotations__"
    if getattr(function, name) is not getattr(decorated, name, None):
        setattr(own, name, getattr(function, name))
    signature = vars(function).get("__signature__")
    if signature is not getattr(decorated, "__signature__", None):
        own.__signature__ = signature  # type: ignore[attr-defined]
    return own


def _passes_on(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function, follow_wrapped=False).parameters
    except (TypeError, ValueError):
        return True  # a builtin without a signature
    return any(p.kind is p.VAR_POSITIONAL for p in parameters.values())


def positional(function: Callable[..., Any]) -> tuple[int, int | None]:
    """The least and the greatest number of positional arguments.

    The greatest is ``None`` if there is no limit. Decorators are followed as by
    :func:`inner`.
    """
    try:
        parameters = inspect.signature(inner(function), follow_wrapped=False).parameters
    except (TypeError, ValueError):
        return 0, None  # a builtin without a signature
    count = least = 0
    for parameter in parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            return least, None
        if parameter.kind in (
            parameter.POSITIONAL_ONLY,
            parameter.POSITIONAL_OR_KEYWORD,
        ):
            count += 1
            if parameter.default is parameter.empty:
                least += 1
    return least, count


def names_of(function: Callable[..., Any]) -> list[str]:
    """The names of the positional parameters, without ``*args``.

    Decorators are followed as by :func:`inner`.
    """
    try:
        parameters = inspect.signature(inner(function), follow_wrapped=False).parameters
    except (TypeError, ValueError):
        return []  # a builtin without a signature
    return [
        parameter.name
        for parameter in parameters.values()
        if parameter.kind
        in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]


def takes_description(function: Callable[..., Any], place: int) -> bool:
    """Whether the positional parameter at an index is named ``description``."""
    return names_of(function)[place : place + 1] == ["description"]


def fit(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments, without the last if the function takes exactly one less."""
    if not _takes(function, len(args)) and _takes(function, len(args) - 1):
        return args[:-1]
    return args


def _takes(function: Callable[..., Any], count: int) -> bool:
    if not isinstance(function, MethodType):
        least, most = positional(function)
        return least <= count and (most is None or count <= most)
    least, most = _of_method(function.__func__)
    return least <= count + 1 and (most is None or count + 1 <= most)


# Cached, because every connect of a client asks for the handler's method.
@functools.lru_cache(maxsize=1024)
def _of_method(function: Callable[..., Any]) -> tuple[int, int | None]:
    return positional(function)


def adapt(
    function: Callable[..., Any], event: str, arguments: Sequence[str]
) -> Callable[..., Any]:
    """Adapt a handler to the arguments of an event, of which the last is optional.

    A handler that takes exactly one argument less is called without the last.

    A decorator with ``*args`` may call the decorated function with other arguments than
    its own. It is called with all arguments, unless the function takes none, or takes
    exactly one less and has no parameter named like the last.

    Args:
        function: The handler.
        event: The name of the event, for the error.
        arguments: The names of the arguments.

    Raises:
        ValueError: The handler takes other numbers of arguments, and no decorator is in
            the way.
    """
    least, most = positional(function)
    count = len(arguments)
    if least <= count and (most is None or most >= count):
        return function
    decorated = passes_on_arguments(function)
    if decorated and _last_name(function) == arguments[-1]:
        return function
    if least <= count - 1 == most or (decorated and most == 0):
        return _without_last(function, count)
    if decorated:
        return function
    raise ValueError(
        f"handler of {event!r} takes {_range(least, most)}, not "
        f"({', '.join(arguments[:-1])}[, {arguments[-1]}])"
    )


def _without_last(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    def handler(*args: Any) -> Any:
        return function(*args[: count - 1])

    # Logs show the name of the function. The signature must remain that of the wrapper.
    functools.update_wrapper(handler, function, _NAMES, ())
    del handler.__wrapped__  # type: ignore[attr-defined]
    return handler


_NAMES = ("__module__", "__name__", "__qualname__")


def passes_on_arguments(function: Callable[..., Any]) -> bool:
    """Whether a function is a wrapper (``functools.wraps``) with ``*args``."""
    return hasattr(function, "__wrapped__") and _passes_on(function)


def _last_name(function: Callable[..., Any]) -> str | None:
    names = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is not parameter.KEYWORD_ONLY
    ]
    return names[-1] if names else None


def _range(least: int, most: int | None) -> str:
    if least == most:
        return counted(least)
    many = "or more" if most is None else f"to {most}"
    return f"{least} {many} positional arguments"


def counted(number: int) -> str:
    """``"1 positional argument"``, ``"2 positional arguments"`` and so on."""
    return f"{number} positional argument{'' if number == 1 else 's'}"
