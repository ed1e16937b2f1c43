"""Handlers whose arguments are checked before the call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from socketio_fast.exceptions import ConnectionRefusedError, InvalidPayloadError
from socketio_fast.handlers.decoders import Decoder, decoder_of
from socketio_fast.handlers.models import (
    MAX_DETAILS,
    Check,
    Errors,
    Loc,
    check_of,
    check_or_none,
    plain,
)

if TYPE_CHECKING:
    from socketio_fast._core.socketio.hub import Hub

__all__ = ["Arguments", "checked_auth", "compiled", "valid_auth", "wrapped"]

Handler = Callable[..., Any]

#: Arguments of a handler that are decoded one by one, at most.
MAX_DECODED = 7


class Arguments:
    """Makes the arguments of a handler from those that were received.

    Args:
        parameters: The handler's positional parameters, without those before.
        hints: Their types.
        before: How many arguments come before those, such as the ``sid``.
    """

    def __init__(
        self, parameters: list[inspect.Parameter], hints: list[Any], before: int
    ) -> None:
        self._before = before
        self._checks: list[tuple[int, Loc, Check]] = []
        self._rest: Check | None = None
        self._least = 0
        self._most: int | None = len(parameters)
        self._end = before
        self._hints = hints
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

    def decoders(self) -> list[Decoder | None] | None:
        """For each argument, what makes it of its JSON; see ``models.decoder_of()``.

        ``None``: the handler takes any number of arguments, or too many.
        """
        if self._most is None or not 0 < self._most <= MAX_DECODED:
            return None
        return [decoder_of(hint) for hint in self._hints]

    @property
    def least(self) -> int:
        """How many arguments the handler takes at least."""
        return self._least

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
        if errors.found:
            raise InvalidPayloadError(errors.details[:MAX_DETAILS])
        return values


def wrapped(
    handler: Handler, arguments: Callable[[tuple[Any, ...]], list[Any]]
) -> Handler:
    """A handler that gets other arguments, and whose models are made plain.

    Args:
        handler: The handler, a coroutine function or not.
        arguments: What makes its arguments of those that were received.
    """
    run: Any
    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def run_async(*args: Any) -> Any:
            return plain(await handler(*arguments(args)))

        run = run_async
    else:

        @functools.wraps(handler)
        def run_sync(*args: Any) -> Any:
            result = handler(*arguments(args))
            return _awaited(result) if inspect.isawaitable(result) else plain(result)

        run = run_sync
    run._checks = (handler, arguments)
    return run  # type: ignore[no-any-return]


def compiled(function: Handler, hub: Hub, event: Any) -> Handler:
    """A handler that the core gives the JSON of an event, if :func:`wrapped` made it.

    Args:
        function: The handler, of :func:`wrapped`.
        hub: That of the server.
        event: The event.

    Returns:
        It decodes each argument straight into its type. The same function, if it checks
        nothing, or if packets have another encoding.
    """
    checks = getattr(function, "_checks", None)
    if checks is None or hub.encoding is not None or not isinstance(event, str):
        return function
    handler, arguments = checks
    decoders = arguments.decoders()
    if decoders is None:
        return function
    from socketio_fast._core.socketio.checked_handlers import CheckedHandler

    if hub.undecoded is None:
        hub.undecoded = {}
    hub.undecoded[event] = None
    return CheckedHandler(
        function, handler, arguments, decoders, arguments.least, plain
    )


async def _awaited(result: Awaitable[Any]) -> Any:
    return plain(await result)


def checked_auth(hint: Any, before: int) -> Callable[[tuple[Any, ...]], list[Any]]:
    """What checks the ``auth`` among the arguments of a connect handler.

    Args:
        hint: The model.
        before: How many arguments come before ``auth``.
    """
    check = check_of(hint)

    def arguments(args: tuple[Any, ...]) -> list[Any]:
        values = list(args)
        values[before] = valid_auth(check, values[before], connects=True)
        return values

    return arguments


def valid_auth(check: Check, auth: Any, connects: bool) -> Any:
    """What a check makes of a client's ``auth``.

    Args:
        check: The check.
        auth: What the client sent.
        connects: Whether the client is refused if it does not fit.

    Raises:
        ConnectionRefusedError: It does not fit, and the client connects.
        InvalidPayloadError: It does not fit, and the client is connected.
    """
    errors = Errors()
    value = None
    try:
        value = check(auth, ("auth",), errors)
    except RecursionError:
        errors.add(("auth",), "nested too deep")
    if not errors.found:
        return value
    error = InvalidPayloadError(errors.details)
    if not connects:
        raise error
    raise ConnectionRefusedError(error.message, {"details": error.details}) from error
