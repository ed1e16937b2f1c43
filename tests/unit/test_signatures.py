from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from socketio_fast import AsyncServer
from socketio_fast.handlers.signatures import adapt, fit, positional


class Handlers:
    def method(self, a: Any, b: Any) -> tuple[Any, ...]:
        return a, b

    def __call__(self, a: Any) -> tuple[Any, ...]:
        return (a,)

    @classmethod
    def of_class(cls, a: Any) -> tuple[Any, ...]:
        return (a,)

    @staticmethod
    def static(a: Any, b: Any, c: Any) -> tuple[Any, ...]:
        return a, b, c


async def coroutine(a: Any, b: Any = 5, *, c: Any = 6) -> None:
    pass


@functools.wraps(Handlers.static)
def wrapped(*args: Any) -> None:
    pass


@functools.wraps(Handlers.static)
def narrowed(a: Any, b: Any) -> None:
    pass


def passing_on(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Decorated:
    @passing_on
    def method(self, a: Any, b: Any = 1) -> None:
        pass

    @passing_on
    @passing_on
    def twice(self, a: Any) -> None:
        pass

    def any_number(*args: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("function", "least", "most"),
    [
        (lambda: None, 0, 0),
        (lambda a: None, 1, 1),
        (lambda a, b=1: None, 1, 2),
        (lambda *args: None, 0, None),
        (lambda a, *args: None, 1, None),
        (lambda a, *, b=1: None, 1, 1),
        (lambda a, **kwargs: None, 1, 1),
        (coroutine, 1, 2),
        (Handlers().method, 2, 2),
        (Handlers(), 1, 1),
        (Handlers.of_class, 1, 1),
        (Handlers.static, 3, 3),
        (functools.partial(Handlers.static, 1), 2, 2),
        (wrapped, 3, 3),
        (narrowed, 2, 2),
        (passing_on(narrowed), 2, 2),
        (passing_on(Handlers().method), 2, 2),
        (Decorated().method, 1, 2),
        (Decorated().twice, 1, 1),
        (Decorated().any_number, 0, None),
        (mock.Mock(), 0, None),
        (mock.AsyncMock(), 0, None),
        (print, 0, None),
        (dict.fromkeys, 1, 2),
    ],
)
def test_positional(function: Callable[..., Any], least: int, most: int | None) -> None:
    assert positional(function) == (least, most)


def test_positional_only() -> None:
    namespace: dict[str, Any] = {}
    exec("def f(a, b=1, /, c=2): pass", namespace)
    assert positional(namespace["f"]) == (1, 3)


def test_a_builtin_that_does_not_tell() -> None:
    assert positional(vars) == (0, None) or positional(vars)[1] is None


@pytest.mark.parametrize(
    ("function", "fitted"),
    [
        (Handlers().method, (1, 2)),
        (Decorated().method, (1, 2)),
        (Decorated().any_number, (1, 2, 3)),
        (Handlers.static, (1, 2, 3)),
        (mock.Mock(), (1, 2, 3)),
        # Python says what is wrong with these.
        (Handlers(), (1, 2, 3)),
        (lambda a, b, c, d: None, (1, 2, 3)),
    ],
)
def test_fit(function: Callable[..., Any], fitted: tuple[int, ...]) -> None:
    for _ in range(2):
        assert fit(function, (1, 2, 3)) == fitted


ARGUMENTS = ("sid", "environ", "auth")


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda a, b, c: (a, b, c), (1, 2, 3)),
        (lambda a, b: (a, b), (1, 2)),
        (lambda *args: args, (1, 2, 3)),
        (lambda a, *args: (a, *args), (1, 2, 3)),
        (lambda a, b, c=None: (a, b, c), (1, 2, 3)),
        (lambda a, b=None: (a, b), (1, 2)),
        (lambda a, b, c, d=4: (a, b, c, d), (1, 2, 3, 4)),
        (Handlers().method, (1, 2)),
    ],
)
def test_adapted_to_three_arguments_or_two(
    function: Callable[..., Any], got: tuple[Any, ...]
) -> None:
    assert adapt(function, "connect", ARGUMENTS)(1, 2, 3) == got


def test_a_handler_that_fits_is_not_wrapped() -> None:
    def handler(a: Any, b: Any, c: Any) -> None:
        pass

    assert adapt(handler, "connect", ARGUMENTS) is handler


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        (lambda: None, "0 positional arguments"),
        (lambda a: None, "1 positional argument"),
        (lambda a, b, c, d: None, "4 positional arguments"),
        (lambda a=1: None, "0 to 1 positional arguments"),
        (lambda a, b, c, d, *e: None, "4 or more positional arguments"),
    ],
)
def test_a_handler_that_does_not_fit(function: Callable[..., Any], takes: str) -> None:
    with pytest.raises(ValueError) as caught:
        adapt(function, "connect", ARGUMENTS)
    assert str(caught.value) == (
        f"handler of 'connect' takes {takes}, not (sid, environ[, auth])"
    )


def test_looked_at_when_registered() -> None:
    sio = AsyncServer()
    with pytest.raises(ValueError, match=r"not \(sid\[, reason\]\)"):
        sio.on("disconnect", lambda: None)
    with pytest.raises(ValueError, match=r"not \(namespace, sid, environ\[, auth\]\)"):
        sio.on("connect", lambda sid: None, namespace="*")
    assert sio.handlers == {}


def test_what_is_registered_is_what_was_given() -> None:
    sio = AsyncServer()

    @sio.event
    def connect(sid: str, environ: Any) -> None:
        pass

    @sio.event(namespace="/a")
    def chat(sid: str) -> None:
        pass

    @sio.on("other", namespace="*")
    async def handler(*args: Any) -> None:
        pass

    assert sio.handlers == {
        "/": {"connect": connect},
        "/a": {"chat": chat},
        "*": {"other": handler},
    }


def of_a_framework(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that calls the function without the sid, as Flask-SocketIO's."""

    @functools.wraps(function)
    def wrapper(sid: Any, *args: Any) -> tuple[Any, ...]:
        return sid, *args

    return wrapper


@pytest.mark.parametrize(
    ("function", "event", "got"),
    [
        (lambda: None, "disconnect", (1,)),
        (lambda reason: None, "disconnect", (1, 2)),
        (lambda sid: None, "disconnect", (1,)),
        (lambda sid, reason: None, "disconnect", (1, 2)),
        (lambda: None, "connect", (1, 2)),
        (lambda auth: None, "connect", (1, 2, 3)),
        (lambda auth=None: None, "connect", (1, 2, 3)),
        (lambda anything: None, "connect", (1, 2, 3)),
        (lambda sid, environ: None, "connect", (1, 2)),
        (lambda sid, environ, auth: None, "connect", (1, 2, 3)),
    ],
)
def test_decorators_that_call_with_other_arguments(
    function: Callable[..., Any], event: str, got: tuple[int, ...]
) -> None:
    arguments = ARGUMENTS if event == "connect" else ("sid", "reason")
    adapted = adapt(of_a_framework(function), event, arguments)
    assert adapted(*range(1, len(arguments) + 1)) == got
