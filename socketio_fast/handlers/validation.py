"""Arguments of handlers that are annotated with models are validated before the call.

Models are pydantic's (of which pydantic is asked), msgspec's structs (of which msgspec
is) and dataclasses. A dataclass is checked here, the same whatever is installed: what
the client sent must have the types of its fields. Other handlers are let alone.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Awaitable, Callable
from typing import Any

from socketio_fast.exceptions import ConnectionRefusedError, InvalidPayloadError
from socketio_fast.handlers.models import (
    MAX_DETAILS,
    Check,
    Errors,
    Loc,
    check_of,
    check_or_none,
    is_model,
    plain,
)
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
    if not any(map(is_model, hints)):
        return handler
    return _wrapped(handler, _Arguments(parameters, hints, before))


def validated_connect(handler: Handler, before: int, logger: Logger) -> Handler:
    """A connect handler that validates ``auth``, or the same if that is no model.

    Args:
        handler: Takes all arguments that connect handlers get, or fewer.
        before: How many arguments come before ``auth``.
        logger: See :func:`validated`, as for the rest.
    """
    parameters = _parameters(handler)[before : before + 1]
    if not parameters or not is_model(hint := _resolve(handler, parameters[0], logger)):
        return handler
    check = check_of(hint)

    def arguments(args: tuple[Any, ...]) -> list[Any]:
        errors = Errors()
        values = list(args)
        try:
            values[before] = check(values[before], ("auth",), errors)
        except RecursionError:
            errors.add(("auth",), "nested too deep")
        if errors.details:
            error = InvalidPayloadError(errors.details)
            raise ConnectionRefusedError(
                error.message, {"details": error.details}
            ) from error
        return values

    return _wrapped(handler, arguments)


def _wrapped(
    handler: Handler, arguments: Callable[[tuple[Any, ...]], list[Any]]
) -> Handler:
    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def run_async(*args: Any) -> Any:
            return plain(await handler(*arguments(args)))

        return run_async

    @functools.wraps(handler)
    def run(*args: Any) -> Any:
        result = handler(*arguments(args))
        return _awaited(result) if inspect.isawaitable(result) else plain(result)

    return run


async def _awaited(result: Awaitable[Any]) -> Any:
    return plain(await result)


# Signatures.


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
    """Whether to look at the signature: sockets register listeners all the time."""
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


class _Arguments:
    """Makes the arguments of a handler of those that were received."""

    def __init__(
        self, parameters: list[inspect.Parameter], hints: list[Any], before: int
    ) -> None:
        self._before = before
        self._checks: list[tuple[int, Loc, Check]] = []
        self._rest: Check | None = None
        self._least = 0
        self._most: int | None = len(parameters)
        self._end = before
        for parameter, hint in zip(parameters, hints, strict=True):
            check = check_or_none(hint)
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = check
                self._most = None
                continue
            if check is not None:
                self._checks.append((self._end, (self._end - before,), check))
            self._end += 1
            if parameter.default is parameter.empty:
                self._least += 1

    def __call__(self, args: tuple[Any, ...]) -> list[Any]:
        before = self._before
        errors = Errors()
        count = len(args) - before
        if count < self._least or (self._most is not None and count > self._most):
            wanted = str(self._least)
            if self._most is None:
                wanted += " or more"
            elif self._most != self._least:
                wanted += f" to {self._most}"
            errors.add((), f"{wanted} arguments expected, {count} received")
            raise InvalidPayloadError(errors.details)
        values = list(args)
        loc: Loc = ()
        try:
            for place, loc, check in self._checks:
                if place < len(args):
                    values[place] = check(args[place], loc, errors)
            if self._rest is not None:
                for place in range(self._end, len(args)):
                    loc = (place - before,)
                    values[place] = self._rest(args[place], loc, errors)
                    if errors.full:
                        break
        except RecursionError:
            errors.add(loc, "nested too deep")
        if errors.details:
            raise InvalidPayloadError(errors.details[:MAX_DETAILS])
        return values
