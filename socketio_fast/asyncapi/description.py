"""What events a server receives and sends, read from its handlers and ``Event``s."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import types
import typing
import warnings
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Union, get_args, get_origin

from socketio_fast.base_server import BaseServer
from socketio_fast.events import Event, name_of
from socketio_fast.handlers.annotations import parameters_of, resolve
from socketio_fast.handlers.dependencies import marker_of
from socketio_fast.handlers.models import is_model
from socketio_fast.handlers.signatures import inner

__all__ = ["Argument", "AsyncAPIWarning", "Message", "Namespace", "describe"]

Handler = Callable[..., Any]


class AsyncAPIWarning(UserWarning):
    """Something of a server is not in its description, or only in part."""


@dataclass
class Argument:
    """An argument of an event or of an acknowledgement."""

    name: str
    #: Its type.
    hint: Any = Any
    #: Whether it is always there.
    required: bool = True
    #: Whether it stands for any number of arguments.
    rest: bool = False


@dataclass
class Message:
    """An event that a server receives or sends."""

    name: str
    arguments: list[Argument]
    #: The arguments of the acknowledgement; ``None`` if nothing is known of it. What
    #: the server sends is not acknowledged then.
    answer: list[Argument] | None = None
    #: Whether the server refuses other arguments, and says so.
    validated: bool = False
    summary: str = ""


@dataclass
class Namespace:
    """The events of a namespace."""

    name: str
    received: list[Message] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    #: The type of the ``auth`` that clients connect with; ``Any`` if it is not known.
    auth: Any = Any

    @property
    def validates(self) -> bool:
        """Whether the server tells clients of invalid payloads."""
        return any(message.validated for message in self.received)


def describe(server: BaseServer, module: str | None = None) -> list[Namespace]:
    """Read what a server receives and sends: its namespaces, the main one first.

    Args:
        server: The server.
        module: The name of its module. ``Event`` objects of that, and of others beside
            it, are what the server sends, if they are not named otherwise. ``None``
            for the modules of its handlers.
    """
    found: dict[str, Namespace] = {}

    def namespace(name: str) -> Namespace:
        return found.setdefault(name, Namespace(name))

    for name, methods in server.namespace_handlers.items():
        for event, method in _methods_of(methods):
            _add(server, namespace(name), event, method)
    for name, handlers in server.handlers.items():
        for event, handler in handlers.items():
            _add(server, namespace(name), event, handler)
    for name, events in server._emitted.items():
        namespace(name).sent += [_sent(*declared) for declared in events.values()]
    _add_others(server, found, module)
    for one in found.values():
        one.received.sort(key=_name_of_message)
        one.sent.sort(key=_name_of_message)
    order = sorted(found, key=lambda name: (name != "/", name))
    return [found[name] for name in order]


def _name_of_message(message: Message) -> str:
    return message.name


def _methods_of(handler: Any) -> Iterator[tuple[str, Handler]]:
    """The methods for events of a class-based namespace, as its class has them."""
    for name in dir(type(handler)):
        event = name.removeprefix("on_")
        if event == name:
            continue
        # The object may have a function in its place, which validates.
        static = inspect.getattr_static(type(handler), name)
        method = static.__get__(handler) if hasattr(static, "__get__") else static
        if callable(method):
            yield event, method


def _add(server: BaseServer, place: Namespace, event: Any, handler: Handler) -> None:
    """Add what is known of an event by its handler."""
    if event == "disconnect":
        return
    if event == "*":
        warnings.warn(
            f"the handler of '*' in namespace {place.name!r} gets events whose names "
            "are not known: they are not described",
            AsyncAPIWarning,
            stacklevel=2,
        )
        return
    before = 1 + (place.name == "*")
    parameters = []
    for parameter in parameters_of(handler):
        hint = _hint_of(handler, parameter.annotation)
        if marker_of(parameter.default, hint) is None:
            parameters.append((parameter, hint))
    if event == "connect":
        for _, hint in parameters[before + 1 : before + 2]:
            place.auth = hint
        return
    arguments = [_argument(*parameter) for parameter in parameters[before:]]
    hints = [argument.hint for argument in arguments]
    typed = server._events.get((place.name, event))
    types_of_event = _types_of(typed) if isinstance(typed, Event) else None
    if types_of_event is not None:
        arguments = _typed(arguments, types_of_event)
    place.received[:] = [one for one in place.received if one.name != str(event)]
    place.received.append(
        Message(
            str(event),
            arguments,
            _answer_of(handler),
            bool(server.validate_handlers) and any(map(is_model, hints)),
            _summary_of(handler),
        )
    )


def _summary_of(handler: Handler) -> str:
    """The first line of a function's docstring."""
    function = inner(handler)
    while isinstance(function, functools.partial):
        function = function.func
    doc = inspect.getdoc(function) if inspect.isroutine(function) else None
    return (doc or "").partition("\n")[0]


def _argument(parameter: inspect.Parameter, hint: Any) -> Argument:
    rest = parameter.kind is parameter.VAR_POSITIONAL
    required = parameter.default is parameter.empty and not rest
    return Argument(parameter.name, hint, required, rest)


def _typed(arguments: list[Argument], hints: tuple[Any, ...]) -> list[Argument]:
    """The arguments of an ``Event``, with names and types of the handler's."""
    typed = []
    for place, hint in enumerate(hints):
        given = arguments[place] if place < len(arguments) else None
        if given is None or given.rest:
            typed.append(Argument(f"arg{place + 1}", hint))
        else:
            given = Argument(given.name, given.hint)
            typed.append(given)
            if given.hint is Any:
                given.hint = hint
    return typed


def _sent(event: Any, ack: Any = None) -> Message:
    hints = _types_of(event) if isinstance(event, Event) else None
    if hints is None:
        arguments = [Argument("args", required=False, rest=True)]
    else:
        arguments = [Argument(f"arg{i}", hint) for i, hint in enumerate(hints, 1)]
    if ack is None:
        return Message(name_of(event), arguments)
    answers = [
        Argument(f"answer{i}", hint)
        for i, hint in enumerate(ack if isinstance(ack, tuple) else (ack,), 1)
    ]
    return Message(name_of(event), arguments, answers)


def _types_of(event: Event) -> tuple[Any, ...] | None:  # type: ignore[type-arg]
    """The types of an ``Event``, those that are names resolved where it is."""
    hints = event.types
    if hints is None or not any(isinstance(hint, str) for hint in hints):
        return hints
    space = next(
        (
            vars(module)
            for module in list(sys.modules.values())
            if any(value is event for value in list(vars(module).values()))
        ),
        {},
    )
    resolved = []
    for hint in hints:
        try:
            resolved.append(eval(hint, space) if isinstance(hint, str) else hint)
        except Exception as exc:
            _warn_of(f"event {event.name!r}", hint, exc)
            resolved.append(Any)
    return tuple(resolved)


def _hint_of(function: Handler, annotation: Any) -> Any:
    if annotation is inspect.Parameter.empty:
        return Any
    try:
        return resolve(function, annotation)
    except Exception as exc:
        name = getattr(function, "__qualname__", repr(function))
        _warn_of(f"handler {name}", annotation, exc)
        return Any


def _warn_of(place: str, hint: Any, exc: Exception) -> None:
    warnings.warn(
        f"{place}: {hint!r} cannot be resolved ({exc}); any value is described",
        AsyncAPIWarning,
        stacklevel=2,
    )


def _answer_of(handler: Handler) -> list[Argument] | None:
    """The arguments of the acknowledgement, by what a handler says that it returns."""
    try:
        signature = inspect.signature(inner(handler), follow_wrapped=False)
    except (TypeError, ValueError):
        return None
    hint = _hint_of(handler, signature.return_annotation)
    origin, args = get_origin(hint), get_args(hint)
    if isinstance(origin, type) and issubclass(origin, Awaitable):
        hint = args[-1]
        origin, args = get_origin(hint), get_args(hint)
    if hint is Any or origin is AsyncIterable:
        return None
    if hint in (None, type(None), typing.NoReturn):
        return []
    if origin is tuple:
        if args[1:] == (Ellipsis,):
            return [Argument("answers", args[0], required=False, rest=True)]
        return [Argument(f"answer{i}", arg) for i, arg in enumerate(args, 1)]
    if origin in (Union, types.UnionType) and type(None) in args:
        left = tuple(arg for arg in args if arg is not type(None))
        return [Argument("answer", Union[left], required=False)]  # noqa: UP007
    return [Argument("answer", hint)]


def _add_others(
    server: BaseServer, found: dict[str, Namespace], module: str | None
) -> None:
    """Add ``Event`` objects that no handler takes, and that ``emits()`` has not got."""
    modules = set() if module is None else {module}
    if module is None:
        for handlers in server.handlers.values():
            modules |= {
                getattr(handler, "__module__", "") for handler in handlers.values()
            }
        modules |= {type(one).__module__ for one in server.namespace_handlers.values()}
    named = {m.name for one in found.values() for m in (*one.received, *one.sent)}
    others = {
        event.name: event
        for event in _events_beside(modules)
        if event.name not in named
    }
    if not others:
        return
    names = [name for name in found if name != "*"]
    name = names[0] if len(names) == 1 else "/"
    place = found.setdefault(name, Namespace(name))
    place.sent += map(_sent, others.values())


def _events_beside(modules: Iterable[str]) -> Iterator[Event]:  # type: ignore[type-arg]
    """The ``Event`` objects of modules, and of those of the same packages or, where
    they are in none, of the same directories."""
    packages = {name.partition(".")[0] for name in modules if "." in name}
    for name in modules:
        if hasattr(sys.modules.get(name), "__path__"):
            packages.add(name)
    directories = {
        directory
        for name in modules
        if name.partition(".")[0] not in packages
        and (directory := _directory(sys.modules.get(name))) is not None
    }
    for name, module in sorted(sys.modules.items()):
        top = name.partition(".")[0]
        beside = "." not in name and _directory(module) in directories
        if top in packages or name in modules or beside:
            for value in list(vars(module).values()):
                if isinstance(value, Event):
                    yield value


def _directory(module: Any) -> str | None:
    file = getattr(module, "__file__", None)
    return os.path.dirname(os.path.abspath(file)) if file else None
