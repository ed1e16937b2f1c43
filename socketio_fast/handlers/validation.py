"""Validates arguments of handlers that are annotated with models.

Models are pydantic's, which pydantic validates, msgspec's structs, which msgspec
validates, and dataclasses, which are checked here: what the client sent must have the
types of the fields. Handlers without models are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from socketio_fast.handlers.annotations import hint_of, parameters_of
from socketio_fast.handlers.dependencies import refuse_dependencies, says_nothing
from socketio_fast.options.logs import Logger

if TYPE_CHECKING:
    from socketio_fast._core.socketio.hub import Hub

__all__ = ["plain", "validated", "validated_connect"]

Handler = Callable[..., Any]


def validated(
    handler: Handler,
    before: int,
    logger: Logger,
    decodes: tuple[Hub, Any] | None = None,
) -> Handler:
    """A handler that validates its arguments, or the same if it has no models.

    The signature is looked at here, once.

    Args:
        handler: The handler, a coroutine function or not.
        before: How many arguments come before those of the event, such as the ``sid``.
        logger: Where it is said that an annotation cannot be resolved.
        decodes: The hub and the event, if the core calls the handler of one event, and
            ``before`` is 1: its arguments are then decoded straight into their types.

    Returns:
        A function that raises
        :class:`~socketio_fast.exceptions.InvalidPayloadError` if the arguments are not
        what the handler takes, and gives :func:`plain` of what the handler returns.

    Raises:
        TypeError: A field of a dataclass has a type that cannot be checked here, or a
            parameter is a dependency: those of handlers that may have some are gone.
    """
    if says_nothing(handler):
        return handler
    parameters = parameters_of(handler)[before:]
    hints = [hint_of(handler, parameter, logger) for parameter in parameters]
    refuse_dependencies(handler, parameters, hints)
    # Imported only where a handler has annotations; few programs have models.
    from socketio_fast.handlers import models

    if not any(map(models.is_model, hints)):
        return handler
    from socketio_fast.handlers import checked

    made = checked.wrapped(handler, checked.Arguments(parameters, hints, before))
    return made if decodes is None else checked.compiled(made, *decodes)


def validated_connect(handler: Handler, before: int, logger: Logger) -> Handler:
    """A connect handler that validates ``auth``, or the same if that is no model.

    Args:
        handler: Takes all arguments that connect handlers get, or fewer.
        before: How many arguments come before ``auth``.
        logger: See :func:`validated`, as for the rest.
    """
    if says_nothing(handler):
        return handler
    parameters = parameters_of(handler)[before : before + 1]
    if not parameters:
        return handler
    hint = hint_of(handler, parameters[0], logger)
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
