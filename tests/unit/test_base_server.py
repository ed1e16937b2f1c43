"""Registration of handlers: who gets an event, and tables that programs change."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from support.handlers import Calls, Chat, Recording, connected, make
from support.sansio import Server, errors, join

import socketio_fast
from socketio_fast import AsyncNamespace, AsyncServer, exceptions, testing

#: The places for a handler, in the order in which they are asked.
PLACES = [
    ("/a", "chat"),
    ("/a", "*"),
    ("*", "chat"),
    ("*", "*"),
    ("/a", None),
    ("*", None),
]


def register(sio: AsyncServer, place: tuple[str, str | None], calls: Calls) -> None:
    namespace, event = place
    if event is None:
        sio.register_namespace(Recording(namespace, calls, place))
    else:
        sio.on(event, lambda *args: calls.append((place, *args)), namespace)


# --- who gets an event ----------------------------------------------------------------


@pytest.mark.parametrize("first", range(len(PLACES)))
@pytest.mark.parametrize("reverse", [False, True])
def test_the_first_place_with_a_handler_gets_the_event(
    first: int, reverse: bool
) -> None:
    server, sio = make(namespaces="*")
    calls: Calls = []
    places = PLACES[first:]
    for place in reversed(places) if reverse else places:
        register(sio, place, calls)
    client, sid = connected(server, "/a")
    calls.clear()
    client.text('42/a,["chat",1,2]')
    namespace, event = place = PLACES[first]
    before: tuple[Any, ...] = ()
    if event != "chat":
        before += ("chat",)
    if namespace == "*":
        before += ("/a",)
    assert calls == [(place, *before, sid, 1, 2)]


@pytest.mark.parametrize("event", ["connect", "disconnect"])
@pytest.mark.parametrize("first", range(6))
def test_catch_all_handlers_do_not_get_connect_and_disconnect(
    event: str, first: int
) -> None:
    places = [(n, event if e == "chat" else e) for n, e in PLACES]
    server, sio = make(namespaces="*")
    calls: Calls = []
    for place in places[first:]:
        register(sio, place, calls)
    client, sid = connected(server, "/a")
    client.text("41/a,")
    calls = [call for call in calls if event in (call[0][1], call[1])]
    expected = next(p for p in places[first:] if p[1] != "*")
    before: tuple[Any, ...] = () if expected[1] == event else (event,)
    if expected[0] == "*":
        before += ("/a",)
    ((place, *args),) = calls
    assert place == expected
    assert args[: len(before) + 1] == [*before, sid]


def test_no_handler_at_all() -> None:
    server, _ = make()
    client, _ = connected(server)
    client.text('421["chat",1]')
    assert client.messages() == []
    assert not client.ended()


def test_a_handler_registered_while_clients_are_connected() -> None:
    server, sio = make()
    client, sid = connected(server)
    calls: Calls = []
    sio.on("chat", lambda *args: calls.append(args))
    client.text('42["chat",1]')
    assert calls == [(sid, 1)]


# --- callables ------------------------------------------------------------------------


class Handlers:
    def method(self, sid: str, a: int) -> list[Any]:
        return [sid, a]

    async def coroutine(self, sid: str, a: int) -> list[Any]:
        await asyncio.sleep(0)
        return [sid, a]

    @staticmethod
    async def static(sid: str, a: int) -> list[Any]:
        return [sid, a]

    @classmethod
    def of_class(cls, sid: str, a: int) -> list[Any]:
        return [sid, a]

    def __call__(self, sid: str, a: int) -> list[Any]:
        return [sid, a]


class Empty:
    def __len__(self) -> int:
        return 0

    def __call__(self, sid: str, a: int) -> list[Any]:
        return [sid, a]


class CoroutineObject:
    async def __call__(self, sid: str, a: int) -> list[Any]:
        return [sid, a]


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


async def with_prefix(prefix: str, sid: str, a: int) -> list[Any]:
    return [sid, a]


@pytest.mark.parametrize(
    "handler",
    [
        Handlers().method,
        Handlers().coroutine,
        Handlers.static,
        Handlers.of_class,
        Handlers(),
        CoroutineObject(),
        Empty(),
        functools.partial(with_prefix, "x"),
        decorated(Handlers.static),
        lambda sid, a: [sid, a],
        lambda *args: list(args),
    ],
)
def test_callables_of_every_kind(handler: Callable[..., Any]) -> None:
    server, sio = make()
    sio.on("chat", handler)
    client, sid = connected(server)
    client.text('427["chat",5]')
    assert client.messages() == [f'437[["{sid}",5]]']


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (None, "[]"),
        ((), "[]"),
        ((1, [2]), "[1,[2]]"),
        ([1, 2], "[[1,2]]"),
        ({"a": None}, '[{"a":null}]'),
        (False, "[false]"),
        ("", '[""]'),
    ],
)
def test_what_a_handler_returns_is_acknowledged(value: Any, answer: str) -> None:
    server, sio = make()
    sio.on("chat", lambda sid: value)
    client, _ = connected(server)
    client.text('427["chat"]')
    assert client.messages() == [f"437{answer}"]


def takes_three(sid: str, environ: Any, auth: Any) -> tuple[Any, ...]:
    return (auth,)


async def takes_two(sid: str, environ: Any) -> tuple[Any, ...]:
    return ()


def narrow(sid: str, environ: Any) -> Any:
    return functools.wraps(takes_three)(lambda sid, environ: ())(sid, environ)


class Connects:
    async def three(self, sid: str, environ: Any, auth: Any) -> tuple[Any, ...]:
        return (auth,)

    async def two(self, sid: str, environ: Any) -> tuple[Any, ...]:
        return ()


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (takes_three, [{"a": 1}]),
        (takes_two, []),
        (Connects().three, [{"a": 1}]),
        (Connects().two, []),
        (decorated(takes_two), []),
        (decorated(Connects().three), [{"a": 1}]),
        (functools.wraps(takes_three)(narrow), []),
        (functools.partial(takes_three), [{"a": 1}]),
        (lambda sid, environ, auth=5: (auth,), [{"a": 1}]),
        (lambda sid, *rest: rest[1:], [{"a": 1}]),
    ],
)
@pytest.mark.parametrize("class_based", [False, True])
def test_what_a_connect_handler_gets(
    handler: Callable[..., Any], expected: list[Any], class_based: bool
) -> None:
    server, sio = make()
    got: list[Any] = []

    @functools.wraps(handler)
    async def connect(*args: Any) -> None:
        value = handler(*args)
        got.extend(await value if asyncio.iscoroutine(value) else value)

    if class_based:
        namespace = AsyncNamespace()
        namespace.on_connect = connect  # type: ignore[attr-defined]
        sio.register_namespace(namespace)
    else:
        sio.on("connect", connect)
    client = server.websocket()
    client.text('40{"a":1}')
    assert got == expected
    assert len(client.messages()) == 1


@pytest.mark.parametrize("event", ["connect", "disconnect"])
@pytest.mark.parametrize("class_based", [False, True])
def test_a_type_error_inside_a_handler_is_not_called_again(
    event: str, class_based: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server, sio = make()
    calls: Calls = []

    def handler(*args: Any) -> None:
        calls.append(args)
        raise TypeError("mine")

    if class_based:
        namespace = AsyncNamespace()
        setattr(namespace, f"on_{event}", handler)
        sio.register_namespace(namespace)
    else:
        sio.on(event, handler)
    client = server.websocket()
    client.text("40")
    client.text("41") if event == "disconnect" else None
    assert len(calls) == 1
    (message,) = errors(caplog)
    assert message.startswith(f"handler of {event!r} failed")


# --- the tables -----------------------------------------------------------------------


def test_changes_of_the_table_take_effect() -> None:
    server, sio = make()
    calls: Calls = []

    def note(name: str) -> Callable[..., None]:
        return lambda *args: calls.append((name, *args))

    sio.on("a", note("on"))
    client, _ = connected(server)

    def heard(event: str) -> list[str]:
        calls.clear()
        client.text(f'42["{event}"]')
        return [name for name, *_ in calls]

    assert heard("a") == ["on"]
    sio.handlers["/"]["a"] = note("set")
    assert heard("a") == ["set"]
    del sio.handlers["/"]["a"]
    assert heard("a") == []
    sio.handlers["/"].update(a=note("updated"), b=note("b"))
    assert (heard("a"), heard("b")) == (["updated"], ["b"])
    sio.handlers["/"] |= {"a": note("or")}
    assert heard("a") == ["or"]
    sio.handlers["/"].pop("a")
    assert (heard("a"), heard("b")) == ([], ["b"])
    sio.handlers["/"].setdefault("b", note("other"))
    sio.handlers["/"].setdefault("c", note("c"))
    assert (heard("b"), heard("c")) == (["b"], ["c"])
    sio.handlers["/"].clear()
    assert (heard("b"), heard("c")) == ([], [])
    sio.handlers["/"] = {"d": note("d")}
    assert heard("d") == ["d"]
    sio.handlers = {"/": {"e": note("e")}}
    assert (heard("d"), heard("e")) == ([], ["e"])
    sio.handlers["/"]["*"] = note("any")
    assert heard("x") == ["any"]
    sio.handlers["*"] = {"*": note("everything")}
    del sio.handlers["/"]
    assert (heard("e"), heard("x")) == (["everything"], ["everything"])
    sio.handlers.popitem()
    assert heard("x") == []
    assert sio.handlers == {}


def test_none_is_no_handler() -> None:
    """As with python-socketio, which asks whether it is one."""
    server, sio = make()
    sio.handlers["/"] = {"connect": None, "a": None}  # type: ignore[dict-item]
    client, _ = connected(server)
    client.text('421["a"]')
    assert client.messages() == []
    sio.handlers["/"]["a"] = lambda sid: 1
    sio.handlers["/"]["a"] = None  # type: ignore[assignment]
    client.text('421["a"]')
    assert client.messages() == []


def test_the_table_is_a_dict() -> None:
    _, sio = make()

    def handler(sid: str) -> None:
        pass

    sio.on("a", handler)
    assert isinstance(sio.handlers, dict)
    assert sio.handlers == {"/": {"a": handler}}
    assert repr(sio.handlers) == repr({"/": {"a": handler}})
    with pytest.raises(KeyError, match="'x'"):
        del sio.handlers["/"]["x"]
    sio.handlers = sio.handlers
    assert sio.handlers == {"/": {"a": handler}}


def test_a_handler_that_does_not_fit_leaves_no_trace() -> None:
    server, sio = make()
    with pytest.raises(ValueError, match="handler of 'connect' takes 0"):
        sio.handlers["/a"] = {"connect": lambda: None}
    with pytest.raises(ValueError, match="namespace"):
        sio.on("x", print, namespace="/with,comma")
    assert sio.handlers == {}
    client = server.websocket()
    client.text("40/a,")
    assert client.messages() == ['44/a,{"message":"Invalid namespace"}']


def test_connect_and_disconnect_handlers_can_be_removed() -> None:
    server, sio = make()
    calls: Calls = []
    for event in ("connect", "disconnect"):
        sio.on(event, lambda *args: calls.append(args))
    sio.handlers["/"].clear()
    client, _ = connected(server)
    client.text("41")
    assert calls == []


@pytest.mark.parametrize("class_based", [False, True])
def test_a_namespace_accepts_clients_while_it_has_handlers(class_based: bool) -> None:
    server, sio = make()
    table: dict[str, Any] = sio.namespace_handlers if class_based else sio.handlers
    client = server.websocket()
    client.text("40/a,")
    assert client.messages() == ['44/a,{"message":"Invalid namespace"}']
    table["/a"] = AsyncNamespace("/a") if class_based else {}
    join(client, "/a")
    other = server.websocket()
    del table["/a"]
    other.text("40/a,")
    assert other.messages() == ['44/a,{"message":"Invalid namespace"}']
    client.text('42/a,["still there"]')
    assert not client.ended()
    client.text("41/a,")
    client.text("40/a,")
    assert client.messages() == ['44/a,{"message":"Invalid namespace"}']
    table["/a"] = AsyncNamespace("/a") if class_based else {}
    join(client, "/a")


def test_one_of_two_reasons_to_accept_is_enough() -> None:
    server, sio = make(namespaces=["/", "/listed"])
    sio.on("x", print, namespace="/a")
    sio.register_namespace(AsyncNamespace("/a"))
    del sio.namespace_handlers["/a"]
    join(server.websocket(), "/a")
    sio.register_namespace(AsyncNamespace("/a"))
    del sio.handlers["/a"]
    join(server.websocket(), "/a")
    sio.on("x", print, namespace="/listed")
    sio.handlers.clear()
    join(server.websocket(), "/listed")


def test_the_list_of_namespaces_can_grow() -> None:
    server, sio = make(namespaces=["/"])
    sio.namespaces.append("/late")  # type: ignore[union-attr]
    join(server.websocket(), "/late")


# --- what programs and tools touch ----------------------------------------------------


def test_the_environ_of_every_connection() -> None:
    server, sio = make()
    assert len(sio.environ) == 0
    client, sid = connected(server)
    (eio_sid,) = sio.environ
    assert sio.environ[eio_sid] is sio.get_environ(sid)
    assert sio.environ.get("x") is None
    assert eio_sid in sio.environ
    client.leave()
    server.loop.turn()
    assert dict(sio.environ) == {}


async def test_an_event_as_if_a_client_had_sent_it() -> None:
    _, sio = make()
    chat = Chat("/chat")
    sio.register_namespace(chat)

    @sio.event
    async def add(sid: str, a: int, b: int) -> int:
        return a + b

    sio.on("*", lambda *args: args, namespace="*")
    sio.on("connect", lambda sid, environ: environ)
    assert await sio._trigger_event("add", "/", "x", 1, 2) == 3
    assert await sio._trigger_event("x", "/any", "s", 1) == ("x", "/any", "s", 1)
    assert await sio._trigger_event("connect", "/", "s", {}) == {}
    assert await sio._trigger_event("connect", "/", "s", {}, None) == {}
    assert await sio._trigger_event("disconnect", "/", "s", "r") is sio.not_handled
    del sio.handlers["*"]
    assert await sio._trigger_event("suspending", "/chat", "s", 4) == 5
    assert await sio._trigger_event("x", "/any", "s") is sio.not_handled
    assert "/any" not in sio._hub.namespaces


@pytest.mark.parametrize("replaced", ["by a subclass", "on the object"])
def test_what_runs_handlers_can_be_replaced(replaced: str) -> None:
    calls: Calls = []

    class Traced(AsyncServer):
        async def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
            calls.append((event, namespace, *args))
            return await super()._trigger_event(event, namespace, *args)

    if replaced == "by a subclass":
        sio: AsyncServer = Traced()
    else:
        sio = AsyncServer()
        original = sio._trigger_event

        async def trace(event: str, namespace: str, *args: Any) -> Any:
            calls.append((event, namespace, *args))
            return await original(event, namespace, *args)

        sio._trigger_event = trace
    server = Server(sio)

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await asyncio.sleep(0)

    sio.on("add", lambda sid, a, b: a + b)
    client = server.websocket()
    client.text('40{"token":1}')
    assert len(client.messages()) == 1
    client.text('425["add",1,2]')
    client.text('426["unknown"]')
    assert client.messages() == ["435[3]"]
    client.text("41")
    sid = calls[0][2]
    assert calls == [
        ("connect", "/", sid, calls[0][3], {"token": 1}),
        ("add", "/", sid, 1, 2),
        ("unknown", "/", sid),
        ("disconnect", "/", sid, "client disconnect"),
    ]


async def test_a_subclass_that_finds_handlers_itself() -> None:
    class Routing(AsyncServer):
        async def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
            handler, found = self._get_event_handler(event, namespace, args)
            if handler is not None:
                return "handler", handler(*found)
            methods, found = self._get_namespace_handler(namespace, args)
            if methods is not None:
                return await methods.trigger_event(event, *found)
            return self.not_handled

    sio = Routing()

    def function(name: str) -> Any:
        return lambda *args: (name, *args)

    for namespace in ["/", "*"]:
        for event in ["own", "connect", "*"]:
            place = f"{namespace} {event}"
            sio.on(event, function(place), namespace=namespace)
    calls: Calls = []
    sio.register_namespace(Recording("/class", calls))
    trigger = sio._trigger_event
    assert await trigger("own", "/", "s", 1) == ("handler", ("/ own", "s", 1))
    assert await trigger("x", "/", "s") == ("handler", ("/ *", "x", "s"))
    assert await trigger("connect", "/", "s", {}) == ("handler", ("/ connect", "s", {}))
    assert await trigger("own", "/x", "s") == ("handler", ("* own", "/x", "s"))
    assert await trigger("x", "/x", "s") == ("handler", ("* *", "x", "/x", "s"))
    assert await trigger("disconnect", "/", "s", "r") is sio.not_handled
    del sio.handlers["*"]
    await trigger("x", "/class", "s", 2)
    assert await trigger("x", "/x", "s") is sio.not_handled
    sio.register_namespace(Recording("*", calls))
    await trigger("x", "/x", "s", 3)
    assert calls == [(None, "x", "s", 2), (None, "x", "/x", "s", 3)]


# --- clients that are not there -------------------------------------------------


@pytest.mark.parametrize("kind", ["AsyncServer", "Server"])
@pytest.mark.parametrize(
    ("method", "args", "error"),
    [
        ("enter_room", ["room"], ValueError),
        ("get_session", [], KeyError),
        ("save_session", [{}], KeyError),
        ("session", [], KeyError),
        ("transport", [], KeyError),
        ("recovered", [], KeyError),
        ("call", ["event"], exceptions.CallDisconnectedError),
        ("flushed", [], exceptions.DisconnectedError),
    ],
)
async def test_errors_name_the_client_and_the_namespace(
    kind: str, method: str, args: list[Any], error: type[Exception]
) -> None:
    sio: Any = getattr(socketio_fast, kind)(namespaces=["/", "/chat"])

    async def ask(sid: str, **options: Any) -> None:
        if method == "call":
            result = sio.call(*args, to=sid, **options)
        else:
            result = getattr(sio, method)(sid, *args, **options)
        if method == "session":
            result = (
                result.__aenter__() if kind == "AsyncServer" else result.__enter__()
            )
        if inspect.isawaitable(result):
            await result

    async def fail(sid: str, **options: Any) -> str:
        with pytest.raises(error) as caught:
            await ask(sid, **options)
        assert type(caught.value) is error
        return str(caught.value.args[0])

    try:
        text = await fail("nobody")
        assert text.endswith(": no client 'nobody' in namespace '/'")
        text = await fail("nobody", namespace="/chat")
        assert text.endswith(": no client 'nobody' in namespace '/chat'")
        if kind == "AsyncServer":
            async with testing.client(sio, "/chat") as client:
                text = await fail(client.sid)
                assert f"no client {client.sid!r} in namespace '/', but in" in text
                assert "'/chat': that is the namespace= to give" in text
    finally:
        if kind == "Server":
            sio.shutdown()


@pytest.mark.parametrize("kind", ["AsyncServer", "Server"])
async def test_errors_of_connections_name_the_client(kind: str) -> None:
    eio: Any = getattr(socketio_fast.engineio, kind)()

    async def ask(method: str, *args: Any) -> None:
        result = getattr(eio, method)("nobody", *args)
        if inspect.isawaitable(result):
            await result

    for method, *args in (["get_session"], ["save_session", {}], ["transport"]):
        with pytest.raises(KeyError, match="no client 'nobody'"):
            await ask(method, *args)
    if kind == "Server":
        eio.shutdown()
