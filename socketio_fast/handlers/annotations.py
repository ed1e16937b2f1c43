"""Reads the annotations of functions: those of parameters, and of what they return."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

from socketio_fast.handlers.signatures import inner
from socketio_fast.options.logs import Logger

__all__ = ["hint_of", "parameters_of", "resolve"]

Function = Callable[..., Any]


def parameters_of(function: Function) -> list[inspect.Parameter]:
    """The positional parameters, ``*args`` too; see ``signatures.inner()``."""
    try:
        signature = inspect.signature(inner(function), follow_wrapped=False)
    except (TypeError, ValueError):
        return []  # a builtin that does not tell
    return [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD)
    ]


def resolve(function: Function, annotation: Any) -> Any:
    """The type that an annotation of a function stands for, with ``Annotated``.

    Raises:
        Exception: It cannot be resolved, such as a name that is imported only for type
            checkers: a ``NameError``, or what else its expression raises.
    """
    function = inner(function)
    if isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        function = function.__init__
    elif not inspect.isroutine(function):
        function = type(function).__call__
    function = getattr(function, "__func__", function)

    def holder() -> None: ...

    holder.__annotations__ = {"hint": annotation}
    cells = getattr(function, "__closure__", None) or ()
    names = function.__code__.co_freevars if cells else ()
    local = {
        name: cell.cell_contents
        for name, cell in zip(names, cells, strict=True)
        if cell != types.CellType()
    }
    return typing.get_type_hints(
        holder, getattr(function, "__globals__", {}), local, include_extras=True
    )["hint"]


def hint_of(function: Function, parameter: inspect.Parameter, logger: Logger) -> Any:
    """The type of a handler's parameter; ``Any`` if it has none.

    Args:
        function: The handler.
        parameter: The parameter.
        logger: Gets a WARNING if its annotation cannot be resolved.
    """
    hint = parameter.annotation
    if hint is parameter.empty:
        return Any
    try:
        return resolve(function, hint)
    except Exception as exc:
        logger.warning(
            "%s of handler %r is not validated: its annotation %r cannot be resolved "
            "(%s)",
            parameter.name,
            function,
            hint,
            exc,
        )
        return Any
