"""What is refused, or warned of, when a handler is registered."""

from __future__ import annotations

import functools
import logging
from typing import Any

import pytest

import socketio_fast as socketio


@pytest.fixture(params=["AsyncServer", "Server"])
def sio(request: pytest.FixtureRequest) -> Any:
    return getattr(socketio, request.param)()


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Any:
    def texts() -> list[str]:
        return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]

    return texts


def test_on_without_parentheses_names_both_right_forms(sio: Any) -> None:
    def chat(sid: str, text: str) -> None: ...

    with pytest.raises(TypeError, match=r"@sio\.on\('chat'\), or @sio\.event"):
        sio.on(chat)


@pytest.mark.parametrize("method", ["on", "event"])
def test_a_namespace_without_a_slash_is_refused(sio: Any, method: str) -> None:
    def chat(sid: str) -> None: ...

    def register(function: Any) -> None:
        if method == "on":
            sio.on("chat", function, namespace="chat")
        else:
            sio.event(namespace="chat")(function)

    with pytest.raises(ValueError, match=r"'chat'.*begins with a slash.*'/chat'"):
        register(chat)
    assert "chat" not in sio.handlers


@pytest.mark.parametrize("event", ["chat", "connect", "*"])
def test_a_handler_that_cannot_be_called_is_refused(sio: Any, event: str) -> None:
    with pytest.raises(TypeError, match="a function expected, not 'handler'"):
        sio.on(event, "handler")


def test_an_event_is_named_by_text_or_a_number(sio: Any) -> None:
    sio.on(3, lambda sid: None)
    with pytest.raises(TypeError, match=r"event=\{\}: the name of an event expected"):
        sio.on({}, lambda sid: None)


def test_a_class_for_a_namespace_has_the_right_base(sio: Any) -> None:
    right, wrong = "AsyncNamespace", "Namespace"
    if not sio.is_asyncio_based():
        right, wrong = wrong, right
    with pytest.raises(ValueError, match=f"has to be a subclass of {right}$"):
        sio.register_namespace(getattr(socketio, wrong)("/chat"))
    with pytest.raises(ValueError, match=r"takes an object, such as Chat\('/chat'\)"):
        sio.register_namespace(getattr(socketio, right))


@pytest.mark.parametrize("kind", ["AsyncServer", "Server"])
def test_the_option_namespaces_is_checked(kind: str) -> None:
    with pytest.raises(ValueError, match="'/chat'"):
        getattr(socketio, kind)(namespaces=["/", "chat"])


def test_a_class_for_a_namespace_without_a_slash_is_refused() -> None:
    with pytest.raises(ValueError, match="'/chat'"):
        socketio.AsyncServer().register_namespace(socketio.AsyncNamespace("chat"))
    with pytest.raises(ValueError, match="'/chat'"):
        socketio.Server().register_namespace(socketio.Namespace("chat"))


def test_a_namespace_that_is_no_text_is_refused(sio: Any) -> None:
    with pytest.raises(TypeError, match="namespace=5"):
        sio.on("chat", lambda sid: None, namespace=5)


def test_a_handler_of_connection_is_warned_of(sio: Any, warnings: Any) -> None:
    sio.on("connection", lambda sid: None)
    assert len(warnings()) == 1
    assert "connect(sid, environ, auth)" in warnings()[0]


def test_a_listener_of_connection_is_the_right_form(sio: Any, warnings: Any) -> None:
    sio.of("/").on("connection", lambda socket: None)
    assert warnings() == []


@pytest.mark.parametrize(
    ("event", "namespace", "form"),
    [
        ("ping", None, r"\(sid, \*args\)"),
        ("ping", "*", r"\(namespace, sid, \*args\)"),
        ("*", None, r"\(event, sid, \*args\)"),
        ("*", "*", r"\(event, namespace, sid, \*args\)"),
    ],
)
def test_a_handler_that_takes_too_little_is_refused(
    sio: Any, event: str, namespace: str | None, form: str
) -> None:
    with pytest.raises(ValueError, match=form):
        sio.on(event, lambda: None, namespace=namespace)


@pytest.mark.parametrize(
    "handler",
    [
        lambda sid: None,
        lambda sid, *args: None,
        lambda *args: None,
        functools.partial(lambda before, sid: None, 1),
        print,
    ],
)
def test_a_handler_that_takes_the_sid_is_not_warned_of(
    sio: Any, warnings: Any, handler: Any
) -> None:
    sio.on("ping", handler)
    assert warnings() == []


@pytest.mark.parametrize("name", ["data", "msg", "message", "payload"])
def test_a_handler_whose_sid_is_named_as_data_is_warned_of(
    sio: Any, warnings: Any, name: str
) -> None:
    sio.on("ping", eval(f"lambda {name}: None"))
    assert len(warnings()) == 1
    assert f"(sid, {name})" in warnings()[0]


@pytest.mark.parametrize("handler", [lambda: None, lambda data: None])
def test_a_decorator_may_give_a_handler_other_arguments(
    sio: Any, warnings: Any, handler: Any
) -> None:
    """As Flask-SocketIO's, which keeps the sid in its request."""

    @functools.wraps(handler)
    def decorated(sid: str, *args: Any) -> Any:
        return handler(*args)

    sio.on("ping", decorated)
    assert warnings() == []


def test_methods_of_a_class_are_checked_too(warnings: Any) -> None:
    class Chat(socketio.AsyncNamespace):
        async def on_ping(self) -> None: ...

    class Board(socketio.AsyncNamespace):
        async def on_move(self, data: Any) -> None: ...

    class Router(socketio.AsyncNamespace):
        async def on_ping(self) -> None: ...

        async def trigger_event(self, event: str, *args: Any) -> Any:
            return await self.on_ping()

    sio = socketio.AsyncServer()
    with pytest.raises(ValueError, match=r"'ping'.*\(sid, \*args\)"):
        sio.register_namespace(Chat("/chat"))
    sio.register_namespace(Board("/board"))
    assert len(warnings()) == 1
    sio.register_namespace(Router("/router"))


@pytest.mark.parametrize("kind", ["AsyncNamespace", "Namespace"])
def test_a_method_for_connection_is_warned_of(kind: str, warnings: Any) -> None:
    class Chat(getattr(socketio, kind)):  # type: ignore[misc]
        def on_connection(self, sid: str, environ: Any) -> None: ...

    sio = socketio.AsyncServer() if kind == "AsyncNamespace" else socketio.Server()
    sio.register_namespace(Chat("/chat"))
    (warning,) = warnings()
    assert "on_connect()" in warning


def test_a_method_for_connection_may_be_what_the_program_calls(warnings: Any) -> None:
    class Chat(socketio.AsyncNamespace):
        async def trigger_event(self, event: str, *args: Any) -> Any:
            return None

        def on_connection(self, sid: str) -> None: ...

    socketio.AsyncServer().register_namespace(Chat("/chat"))
    assert warnings() == []


def test_one_argument_is_not_arguments(sio: Any) -> None:
    with pytest.raises(ValueError, match="takes 1 positional argument, write"):
        sio.on("*", lambda event: None)
    with pytest.raises(ValueError, match="takes 0 positional arguments, write"):
        sio.on("chat", lambda: None)
