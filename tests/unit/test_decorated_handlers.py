"""Decorators of handlers take what they say, not what functools.wraps copied."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import socketio_fast
from socketio_fast import testing
from socketio_fast.exceptions import ConnectionRefusedError
from socketio_fast.handlers.signatures import inner, positional


@dataclass
class Message:
    text: str


RAW = {"text": "hello"}


def explicit(handler: Any) -> Any:
    """With parameters of its own: it makes the model itself."""

    @functools.wraps(handler)
    async def wrapper(sid, message):  # type: ignore[no-untyped-def]
        assert message == RAW
        return await handler(sid, Message(**message))

    return wrapper


def passing_on(handler: Any) -> Any:
    @functools.wraps(handler)
    async def wrapper(*args: Any) -> Any:
        return await handler(*args)

    return wrapper


def explicit_method(method: Any) -> Any:
    @functools.wraps(method)
    async def wrapper(self, sid, message):  # type: ignore[no-untyped-def]
        assert message == RAW
        return await method(self, sid, Message(**message))

    return wrapper


class Decorator:
    """A decorator that is a class."""

    def __init__(self, handler: Any) -> None:
        functools.update_wrapper(self, handler)
        self._handler = handler


class Explicit(Decorator):
    async def __call__(self, sid: str, message: Any) -> Any:
        assert message == RAW
        return await self._handler(sid, Message(**message))


class PassingOn(Decorator):
    async def __call__(self, *args: Any) -> Any:
        return await self._handler(*args)


async def plain(sid: str, message: Message) -> str:
    assert isinstance(message, Message)
    return message.text


def annotated(sid: str, message: Message) -> str:
    return message.text


async def leading(first: int, sid: str, message: Message) -> str:
    assert isinstance(message, Message)
    return message.text


class Methods:
    @explicit_method
    async def explicit(self, sid: str, message: Message) -> str:
        return message.text

    @passing_on
    async def passed_on(self, sid: str, message: Message) -> str:
        assert isinstance(message, Message)
        return message.text

    async def __call__(self, sid: str, message: Message) -> str:
        assert isinstance(message, Message)
        return message.text

    async def _leading(self, first: int, sid: str, message: Message) -> str:
        assert isinstance(message, Message)
        return message.text

    partial = functools.partialmethod(_leading, 1)

    @passing_on
    async def _wrapped(self, first: int, sid: str, message: Message) -> str:
        assert isinstance(message, Message)
        return message.text

    partial_wrapped = functools.partialmethod(_wrapped, 1)


class CallsExplicitly:
    @explicit_method
    async def __call__(self, sid: str, message: Message) -> str:
        return message.text


#: Handlers, and whether what clients send is validated for them.
HANDLERS: dict[str, tuple[Any, bool]] = {
    "plain": (plain, True),
    "explicit": (explicit(plain), False),
    "explicit, twice": (explicit(passing_on(plain)), False),
    "passing on": (passing_on(plain), True),
    "passing on, twice": (passing_on(passing_on(plain)), True),
    "passing on to explicit": (passing_on(explicit(plain)), False),
    "a class": (Explicit(plain), False),
    "a class, passing on": (PassingOn(plain), True),
    "partial": (functools.partial(leading, 1), True),
    "partial of passing on": (functools.partial(passing_on(leading), 1), True),
    "partial of explicit": (functools.partial(explicit(plain)), False),
    "passing on to partial": (passing_on(functools.partial(leading, 1)), True),
    "method, explicit": (Methods().explicit, False),
    "method, passing on": (Methods().passed_on, True),
    "partialmethod": (Methods().partial, True),
    "partialmethod of passing on": (Methods().partial_wrapped, True),
    "callable object": (Methods(), True),
    "callable object, explicit": (CallsExplicitly(), False),
}


@pytest.mark.parametrize("name", HANDLERS)
async def test_a_handler_gets_what_its_own_signature_says(name: str) -> None:
    handler, validates = HANDLERS[name]
    sio = socketio_fast.AsyncServer()
    sio.on("message", handler)
    async with testing.client(sio) as client:
        assert await client.call("message", RAW) == "hello"
        if validates:
            answer = await client.call("message", {"text": 1})
            assert answer["error"]["details"], answer


@pytest.mark.parametrize("name", HANDLERS)
def test_how_many_arguments_it_takes(name: str) -> None:
    assert positional(HANDLERS[name][0]) == (2, 2)


class Namespace(socketio_fast.AsyncNamespace):
    @explicit_method
    async def on_explicit(self, sid: str, message: Message) -> str:
        return message.text

    @passing_on
    async def on_passing_on(self, sid: str, message: Message) -> str:
        assert isinstance(message, Message)
        return message.text


@pytest.mark.parametrize("event", ["explicit", "passing_on"])
async def test_methods_of_a_namespace(event: str) -> None:
    sio = socketio_fast.AsyncServer()
    sio.register_namespace(Namespace("/"))
    async with testing.client(sio) as client:
        assert await client.call(event, RAW) == "hello"


@dataclass
class Login:
    name: str


async def connect(sid: str, environ: Any, auth: Login) -> None:
    assert isinstance(auth, Login)


def explicit_connect(handler: Any) -> Any:
    @functools.wraps(handler)
    async def wrapper(sid, environ, auth):  # type: ignore[no-untyped-def]
        assert auth == {"name": "ann"}
        return await handler(sid, environ, Login(**auth))

    return wrapper


@pytest.mark.parametrize(
    ("handler", "validates"),
    [
        (connect, True),
        (explicit_connect(connect), False),
        (passing_on(connect), True),
        (passing_on(explicit_connect(connect)), False),
    ],
)
async def test_connect_handlers(handler: Any, validates: bool) -> None:
    sio = socketio_fast.AsyncServer()
    sio.on("connect", handler)
    async with testing.client(sio, auth={"name": "ann"}) as client:
        assert client.connected
    if validates:
        with pytest.raises(ConnectionRefusedError, match="invalid payload"):
            async with testing.client(sio, auth={"name": 1}):
                pass


def test_annotations_that_a_decorator_has_of_its_own() -> None:
    def decorator(handler: Any) -> Any:
        kept = [name for name in functools.WRAPPER_ASSIGNMENTS if "annot" not in name]

        @functools.wraps(handler, kept)
        async def wrapper(sid: str, data: Message) -> Any: ...

        return wrapper

    async def handler(sid: str, data: str) -> None: ...

    found = inspect.signature(inner(decorator(handler)), follow_wrapped=False)
    assert found.parameters["data"].annotation == "Message"


def signature_of(function: Callable[..., Any]) -> list[str]:
    found = inspect.signature(inner(function), follow_wrapped=False)
    return list(found.parameters)


def test_a_signature_that_is_the_functions_own_counts() -> None:
    def told(*args: Any) -> None: ...

    told.__signature__ = inspect.signature(annotated)  # type: ignore[attr-defined]
    assert signature_of(told) == ["sid", "message"]


def test_a_signature_that_was_copied_does_not_count() -> None:
    def told(*args: Any) -> None: ...

    told.__signature__ = inspect.signature(annotated)  # type: ignore[attr-defined]

    @functools.wraps(told)
    def wrapper(sid: str, first: Any, second: Any) -> None: ...

    assert signature_of(wrapper) == ["sid", "first", "second"]
    assert positional(wrapper) == (3, 3)
    assert signature_of(passing_on(told)) == ["sid", "message"]


def test_defaults_and_keywords_of_a_decorator_are_its_own() -> None:
    @functools.wraps(annotated)
    def wrapper(sid: str, message: Any = None, *, more: int = 1) -> None: ...

    assert positional(wrapper) == (1, 2)
    assert signature_of(wrapper) == ["sid", "message", "more"]
