"""Validates arguments of handlers that are annotated with models.

Models are pydantic's, which pydantic validates, msgspec's structs, which msgspec
validates, and dataclasses, which are checked here: what the client sent must have the
types of the fields. Handlers without models are left as they are.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

from socketio_fast.handlers.signatures import inner
from socketio_fast.options.logs import Logger

__all__ = ["plain", "validated", "validated_connect"]

Handler = Callable[..., Any]


def validated(handler: Handler, before: int, logger: Logger) -> Handler:
    """A handler that validates its arguments, or the same if it has no models.

    The signature is looked at here, once.

    Args:
        handler: The handler, a coroutine function or not.
        before: How many arguments come before those of the event, such as the ``sid``.
        logger: Where it is said that an annotation cannot be resolved.

    Returns:
        A function that raises
        :class:`~socketio_fast.exceptions.InvalidPayloadError` if the arguments are not
        what the handler takes, and gives :func:`plain` of what the handler returns.

    Raises:
        TypeError: A field of a dataclass has a type that cannot be checked here.
    """
    if not _has_annotations(handler):
        return handler
    parameters = _parameters(handler)[before:]
    hints = [_resolve(handler, parameter, logger) for parameter in parameters]
    # Imported only where a handler has annotations; few programs have models.
    from socketio_fast.handlers import models

    if not any(map(models.is_model, hints)):
        return handler
    from socketio_fast.handlers import checked

    return checked.wrapped(handler, checked.Arguments(parameters, hints, before))


def validated_connect(handler: Handler, before: int, logger: Logger) -> Handler:
    """A connect handler that validates ``auth``, or the same if that is no model.

    Args:
        handler: Takes all arguments that connect handlers get, or fewer.
        before: How many arguments come before ``auth``.
        logger: See :func:`validated`, as for the rest.
    """
    if not _has_annotations(handler):
        return handler
    parameters = _parameters(handler)[before : before + 1]
    if not parameters:
        return handler
    hint = _resolve(handler, parameters[0], logger)
    from socketio_fast.handlers import models

    if not models.is_model(hint):
        return handler
    from socketio_fast.handlers import checked

    return checked.wrapped(handler, checked.checked_auth(hint, before))


def plain(value: Any) -> Any:
    """Makes dicts and lists of models, also inside lists, tuples and dicts.

    Bytes stay as they are, and values of other types are left to the encoding.
    """
    from socketio_fast.handlers import models

    return models.plain(value)


def _parameters(handler: Handler) -> list[inspect.Parameter]:
    """The positional parameters; see ``signatures.inner()``."""
    try:
        signature = inspect.signature(inner(handler), follow_wrapped=False)
    except (TypeError, ValueError):
        return []  # a builtin that does not tell
    return [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD)
    ]


def _has_annotations(handler: Handler) -> bool:
    """Whether the signature may name models.

    Asked first because sockets register listeners for each client, and signatures are
    slow to read.
    """
    if not inspect.isfunction(handler) or hasattr(handler, "__wrapped__"):
        return True
    return bool(handler.__annotations__)


def _resolve(handler: Handler, parameter: inspect.Parameter, logger: Logger) -> Any:
    """The type of a parameter; Any if it has none."""
    hint = parameter.annotation
    if hint is parameter.empty:
        return Any
    function = inner(handler)
    if isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        function = function.__init__
    function = getattr(function, "__func__", function)

    def holder() -> None: ...

    holder.__annotations__ = {"hint": hint}
    cells = getattr(function, "__closure__", None) or ()
    names = function.__code__.co_freevars if cells else ()
    local = {
        name: cell.cell_contents
        for name, cell in zip(names, cells, strict=True)
        if cell != types.CellType()
    }
    try:
        return typing.get_type_hints(
            holder, getattr(function, "__globals__", {}), local, include_extras=True
        )["hint"]
    except Exception as exc:
        logger.warning(
            "%s of handler %r is not validated: its annotation %r cannot be resolved "
            "(%s)",
            parameter.name,
            handler,
            hint,
            exc,
        )
        return Any
