"""Arguments of handlers that the program's own functions make: ``Depends()``."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import fastapi
import pydantic
import pytest

import socketio_fast
from socketio_fast import Depends, Socket, testing
from socketio_fast.exceptions import ConnectionRefusedError
from socketio_fast.sockets import Handshake
from socketio_fast.sockets.blocking import Socket as ThreadSocket

Log = list[Any]

log: Log = []


@pytest.fixture(autouse=True)
def empty_log() -> None:
    log.clear()


def noted(name: str) -> Iterator[str]:
    log.append(f"open {name}")
    try:
        yield name
    except BaseException as exc:
        log.append(f"{name} saw {type(exc).__name__}")
        raise
    finally:
        log.append(f"close {name}")


def get_db() -> Iterator[str]:
    yield from noted("db")


async def get_cache(db: str = Depends(get_db)) -> AsyncIterator[str]:
    log.append(f"open cache of {db}")
    try:
        yield "cache"
    finally:
        await asyncio.sleep(0)
        log.append("close cache")


async def get_name(session: dict[str, Any]) -> str:
    await asyncio.sleep(0)
    return str(session.get("name", "nobody"))


class Repository:
    def __init__(self, db: Annotated[str, Depends(get_db)], size: int = 3) -> None:
        self.db = db
        self.size = size


Db = Annotated[str, Depends(get_db)]


class Credentials(pydantic.BaseModel):
    name: str


class Order(pydantic.BaseModel):
    product: str


# --- what a handler gets ----------------------------------------------------------


async def test_dependencies_are_made_once_and_closed_in_the_opposite_order() -> None:
    """S15: functions, coroutine functions, generators of both kinds, classes."""
    sio = socketio_fast.AsyncServer()

    @sio.event
    async def order(
        sid: str,
        text: str,
        cache: str = Depends(get_cache),
        repository: Repository = Depends(),
        again: str = Depends(get_db),
        *,
        name: Annotated[str, Depends(get_name)],
    ) -> Any:
        log.append("handler")
        return text, cache, repository.db, repository.size, again, name

    async with testing.client(sio) as client:
        assert await client.call("order", "hi") == (
            *("hi", "cache", "db", 3, "db", "nobody"),
        )
    assert log == [
        *("open db", "open cache of db", "handler", "close cache", "close db"),
    ]


async def test_without_the_cache_each_gets_its_own() -> None:
    """S15: use_cache=False."""
    sio = socketio_fast.AsyncServer()

    @sio.event
    def order(sid: str, one: Db, two: str = Depends(get_db, use_cache=False)) -> None:
        log.append("handler")

    async with testing.client(sio) as client:
        await client.call("order")
    assert log == ["open db"] * 2 + ["handler"] + ["close db"] * 2


async def test_what_is_given_by_name_and_type() -> None:
    """S15: the sid, the session, the handshake, the environ, auth, the socket."""
    sio = socketio_fast.AsyncServer()
    seen: dict[str, Any] = {}

    def all_of(
        sid: str,
        session: dict[str, Any],
        environ: dict[str, Any],
        auth: Credentials,
        namespace: str,
        event: str,
        arguments: tuple[Any, ...],
        shaken: Handshake,
        one: Socket,
        server: socketio_fast.AsyncServer,
    ) -> None:
        seen.update(locals())

    @sio.event
    async def connect(
        sid: str, environ: Any, session: dict[str, Any] = Depends()
    ) -> None:
        session["name"] = "ada"

    @sio.on("*", namespace="*")
    async def anything(
        event: str,
        namespace: str,
        sid: str,
        *args: Any,
        all_of: None = Depends(all_of),
        handshake: Handshake = Depends(),
        socket: Socket = Depends(),
    ) -> Any:
        assert handshake.auth == {"name": "ada"}
        return event, namespace, args, socket.id == sid

    async with testing.client(sio, auth={"name": "ada"}, query={"a": "1"}) as client:
        answer = await client.call("any", 1, 2)
        assert answer == ("any", "/", [1, 2], True)
        assert seen["sid"] == client.sid
    assert seen["session"] == {"name": "ada"}
    assert "a=1" in seen["environ"]["QUERY_STRING"]
    assert seen["auth"] == Credentials(name="ada")
    assert (seen["namespace"], seen["event"]) == ("/", "any")
    assert seen["arguments"] == (1, 2)
    assert seen["shaken"].query["a"] == "1"
    assert seen["one"].id == seen["sid"]
    assert seen["server"] is sio


async def test_names_that_clients_make_up_leave_nothing_behind() -> None:
    """S15: a socket of a namespace that only handlers of "*" have."""
    sio = socketio_fast.AsyncServer(namespaces="*")

    @sio.on("name", namespace="*")
    async def name(namespace: str, sid: str, socket: Socket = Depends()) -> str:
        return socket.nsp.name

    async with testing.client(sio, "/made/up") as client:
        assert await client.call("name") == "/made/up"
    assert "/made/up" not in sio._namespaces
    assert "/made/up" not in sio._hub.namespaces


async def test_a_client_sends_no_dependency() -> None:
    """S15: more arguments than the handler takes do not become dependencies."""
    sio = socketio_fast.AsyncServer(error_acks=True)

    @sio.event
    async def plain(sid: str, text: str, db: str = Depends(get_db)) -> str:
        return text + db

    @sio.event
    async def mixed(sid: str, db: Db, text: str, n: int = 1, *rest: Any) -> Any:
        return db, text, n, rest

    @sio.event
    async def checked(sid: str, order: Order, db: str = Depends(get_db)) -> Any:
        return order.product, db

    async with testing.client(sio) as client:
        assert await client.call("plain", "a") == "adb"
        assert "error" in await client.call("plain", "a", "evil")
        assert await client.call("mixed", "a") == ("db", "a", 1, [])
        assert await client.call("mixed", "a", 2, 3) == ("db", "a", 2, [3])
        assert await client.call("checked", {"product": "tea"}) == ("tea", "db")
        log.clear()
        answer = await client.call("checked", {"product": "tea"}, "evil")
        assert answer["error"]["message"] == "invalid payload"
        answer = await client.call("checked", {"product": 1})
        assert answer["error"]["details"][0]["loc"] == [0, "product"]
    assert log == []  # nothing is opened for what is not valid


async def test_models_are_made_plain_while_dependencies_are_open() -> None:
    """S15: a model may load what is missing when it is read."""
    sio = socketio_fast.AsyncServer()

    class Lazy(pydantic.BaseModel):
        @pydantic.computed_field  # type: ignore[prop-decorator]
        @property
        def open(self) -> bool:
            return log[-1] == "open db"

    @sio.event
    async def lazy(sid: str, db: str = Depends(get_db)) -> Lazy:
        return Lazy()

    async with testing.client(sio) as client:
        assert await client.call("lazy") == {"open": True}


# --- failures -----------------------------------------------------------------------


async def test_what_a_handler_raises_is_raised_in_its_dependencies(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """S15: they cannot keep it, and may raise something else."""
    sio = socketio_fast.AsyncServer(error_acks=True)

    def swallows() -> Iterator[str]:
        try:
            yield "x"
        except ValueError:
            log.append("swallowed")

    def changes() -> Iterator[str]:
        try:
            yield "x"
        except ValueError as exc:
            raise KeyError("changed") from exc

    @sio.event
    async def fails(
        sid: str, db: str = Depends(get_db), x: str = Depends(swallows)
    ) -> None:
        raise ValueError("mine")

    @sio.event
    async def differs(
        sid: str, db: str = Depends(get_db), x: str = Depends(changes)
    ) -> None:
        raise ValueError("mine")

    @sio.event
    async def never(
        sid: str, db: str = Depends(get_db), x: str = Depends(fail)
    ) -> None:
        raise AssertionError

    async with testing.client(sio) as client:
        assert "error" in await client.call("fails")
        assert log == ["open db", "swallowed", "db saw ValueError", "close db"]
        log.clear()
        assert "error" in await client.call("differs")
        assert log == ["open db", "db saw KeyError", "close db"]
        log.clear()
        assert "error" in await client.call("never")
        assert log == ["open db", "db saw LookupError", "close db"]
    assert [type(r.exc_info[1]) for r in caplog.records if r.exc_info] == [
        *(ValueError, KeyError, LookupError)
    ]


def fail() -> None:
    raise LookupError("no such thing")


async def test_a_handler_that_is_cancelled_closes_its_dependencies() -> None:
    """S15: as by a timeout, or when the server stops."""
    sio = socketio_fast.AsyncServer()
    tasks: list[asyncio.Task[Any] | None] = []

    @sio.event
    async def waits(sid: str, cache: str = Depends(get_cache)) -> None:
        tasks.append(asyncio.current_task())
        await asyncio.Event().wait()

    async with testing.client(sio) as client:
        await client.emit("waits")
        (task,) = tasks
        assert task is not None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert log[-3:] == ["close cache", "db saw CancelledError", "close db"]


# --- connect, disconnect, classes ---------------------------------------------------


async def test_connect_and_disconnect_have_dependencies() -> None:
    """S15: and their optional arguments are still optional."""
    sio = socketio_fast.AsyncServer()

    def user(auth: Credentials) -> str:
        if auth.name == "eve":
            raise ConnectionRefusedError("no", {"name": auth.name})
        return auth.name

    @sio.event
    async def connect(
        sid: str,
        environ: Any,
        session: dict[str, Any] = Depends(),
        name: str = Depends(user),
        db: str = Depends(get_db),
    ) -> None:
        session["name"] = name

    @sio.event
    async def disconnect(
        sid: str, reason: str, name: str = Depends(get_name), db: str = Depends(get_db)
    ) -> None:
        log.append((name, reason))

    async with testing.client(sio, auth={"name": "ada"}):
        assert log == ["open db", "close db"]
    assert log[2:] == ["open db", ("ada", "client disconnect"), "close db"]
    with pytest.raises(socketio_fast.exceptions.ConnectionError) as caught:
        async with testing.client(sio, auth={"name": "eve"}):
            raise AssertionError
    assert "no" in str(caught.value)
    with pytest.raises(socketio_fast.exceptions.ConnectionError) as caught:
        async with testing.client(sio, auth={"name": 1}):
            raise AssertionError
    assert "invalid payload" in str(caught.value)


class Chat(socketio_fast.AsyncNamespace):
    async def on_connect(
        self, sid: str, environ: Any, db: str = Depends(get_db)
    ) -> None:
        log.append("connect")

    def on_disconnect(
        self, sid: str, reason: str, description: Any, db: str = Depends(get_db)
    ) -> None:
        log.append(f"disconnect {reason} {description}")

    def on_say(self, sid: str, order: Order, db: str = Depends(get_db)) -> Any:
        return order.product, db


async def test_methods_of_class_based_namespaces() -> None:
    """S15: with validated arguments beside dependencies."""
    sio = socketio_fast.AsyncServer()
    sio.register_namespace(Chat("/chat"))
    async with testing.client(sio, "/chat") as client:
        assert await client.call("say", {"product": "tea"}) == ("tea", "db")
    assert [entry for entry in log if "db" not in entry] == [
        *("connect", "disconnect client disconnect None")
    ]
    assert log.count("close db") == 3


async def test_decorators_are_passed_through() -> None:
    """S15: one with *args and **kwargs."""
    sio = socketio_fast.AsyncServer()

    def passing_on(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            log.append("decorator")
            return await function(*args, **kwargs)

        return wrapper

    @sio.event
    @passing_on
    async def say(sid: str, text: str, db: str = Depends(get_db)) -> str:
        return text + db

    async with testing.client(sio) as client:
        assert await client.call("say", "hi") == "hidb"
    assert log == ["open db", "decorator", "close db"]


# --- threads ------------------------------------------------------------------------

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


def test_handlers_of_threads() -> None:
    """S15: dependencies run in the handler's thread, those of asyncio on the loop."""
    sio = socketio_fast.Server()
    threads: list[Any] = []

    def here() -> Iterator[str]:
        threads.append(threading.current_thread())
        yield "here"
        threads.append(threading.current_thread())

    async def loop() -> AsyncIterator[str]:
        threads.append(threading.current_thread())
        await asyncio.sleep(0)
        yield f"loop, {variable.get()}"
        threads.append(threading.current_thread())

    @sio.event
    def connect(sid: str, environ: Any, session: dict[str, Any] = Depends()) -> None:
        session["name"] = "ada"
        variable.set("set")

    @sio.event
    def say(
        sid: str,
        text: str,
        one: str = Depends(here),
        two: str = Depends(loop),
        name: str = Depends(get_name),
        socket: ThreadSocket = Depends(),
    ) -> Any:
        threads.append(threading.current_thread())
        return text, one, two, name, socket.id == sid

    with testing.client(sio) as client:
        assert client.call("say", "hi") == (*("hi", "here", "loop, set", "ada", True),)
    mine, its, handler, its_too, mine_too = threads
    assert mine is handler is mine_too
    assert its is its_too is not mine


class Threaded(socketio_fast.Namespace):
    def on_connect(self, sid: str, environ: Any, db: str = Depends(get_db)) -> None:
        log.append("connect")

    def on_disconnect(self, sid: str, db: str = Depends(get_db)) -> None:
        log.append("disconnect")

    def on_say(self, sid: str, order: Order, cache: str = Depends(get_cache)) -> Any:
        return order.product, cache


def test_class_based_namespaces_of_threads() -> None:
    """S15."""
    sio = socketio_fast.Server()
    sio.register_namespace(Threaded("/chat"))
    with testing.client(sio, "/chat") as client:
        assert client.call("say", {"product": "tea"}) == ("tea", "cache")
        assert log[:3] == ["open db", "connect", "close db"]
    sio.shutdown()
    assert log[-3:] == ["open db", "disconnect", "close db"]


def test_a_failing_handler_of_a_thread(caplog: pytest.LogCaptureFixture) -> None:
    """S15: what it raises is raised in its dependencies."""
    sio = socketio_fast.Server(error_acks=True)

    @sio.event
    def fails(sid: str, cache: str = Depends(get_cache)) -> None:
        raise ValueError("mine")

    with testing.client(sio) as client:
        assert "error" in client.call("fails")
    assert log[-3:] == ["close cache", "db saw ValueError", "close db"]
    with pytest.raises(TypeError, match="is a coroutine function, which Server cannot"):

        @sio.event
        async def wrong(sid: str, db: str = Depends(get_db)) -> None: ...


# --- overrides, FastAPI -------------------------------------------------------------


async def test_dependencies_are_overridden() -> None:
    """S15: for tests, also those of dependencies."""
    sio = socketio_fast.AsyncServer()

    @sio.event
    async def say(
        sid: str, cache: str = Depends(get_cache), db: str = Depends(get_db)
    ) -> Any:
        return cache, db

    def other(sid: str) -> Iterator[str]:
        yield from noted("other")

    async with testing.client(sio) as client:
        sio.dependency_overrides[get_db] = other
        assert await client.call("say") == ("cache", "other")
        assert log == [
            *("open other", "open cache of other", "close cache", "close other")
        ]
        sio.dependency_overrides[get_cache] = lambda: 1
        assert await client.call("say") == (1, "other")
        sio.dependency_overrides.clear()
        assert await client.call("say") == ("cache", "db")


async def test_dependencies_of_fastapi() -> None:
    """S15: its Depends() and Security(), also where dependencies use them."""
    sio = socketio_fast.AsyncServer()

    def settings(db: Annotated[str, fastapi.Depends(get_db)]) -> Any:
        return {"db": db}

    @sio.event
    async def say(
        sid: str,
        text: str,
        db: Annotated[str, fastapi.Depends(get_db)],
        settings: Any = fastapi.Depends(settings),
        safe: Any = fastapi.Security(get_name, scopes=["a"]),
        own: Annotated[str, fastapi.Depends(get_db, use_cache=False)] = "",
    ) -> Any:
        return text, db, settings, safe, own

    async with testing.client(sio) as client:
        assert await client.call("say", "hi") == (
            *("hi", "db", {"db": "db"}, "nobody", "db"),
        )
        assert log == ["open db", "open db", "close db", "close db"]
        api = fastapi.FastAPI()
        api.dependency_overrides[get_db] = lambda: "other"
        sio.dependency_overrides = api.dependency_overrides
        answer = await client.call("say", "hi")
        assert answer == ("hi", "other", {"db": "other"}, "nobody", "other")


# --- at registration ----------------------------------------------------------------


def limited() -> Any:
    """FastAPI's Depends() with a limit, which old versions have not."""
    depends = fastapi.Depends(get_db)
    object.__setattr__(depends, "max_concurrency", 1)
    return depends


def no_way(thing: int) -> None: ...


def of_a_request(q: str = fastapi.Query("x")) -> None: ...


def session_of_another(session: Repository) -> None: ...


def circle_a(b: Any = Depends(lambda: 0)) -> None: ...


def circle_b(a: Any = Depends(circle_a)) -> None: ...


circle_a.__defaults__ = (Depends(circle_b),)


def handlers() -> dict[str, Any]:
    def unknown(sid: str, x: Any = Depends(no_way)) -> None: ...

    def fastapis(sid: str, x: Any = Depends(of_a_request)) -> None: ...

    def mistyped(sid: str, x: Any = Depends(session_of_another)) -> None: ...

    def circular(sid: str, x: Any = Depends(circle_a)) -> None: ...

    def nameless(sid: str, x: Any = Depends()) -> None: ...

    def positional(sid: str, x: Any = Depends(get_db), /) -> None: ...

    def sidless(x: Any = Depends(get_db)) -> None: ...

    local = get_db

    def unresolved(sid: str, x: Annotated[str, Depends(local)]) -> None: ...

    @functools.wraps(unknown)
    def decorated(*args: Any) -> None: ...

    return {
        **locals(),
        "limited": lambda sid, x=limited(): None,  # noqa: B008
    }


REFUSED = {
    "unknown": r"handler of 'x' in namespace '/': 'thing' of dependency no_way is not "
    r"known, and has no default: give it .*: sid, session",
    "fastapis": r"'q' of dependency of_a_request is what FastAPI takes",
    "mistyped": r"'session' of dependency session_of_another is annotated with "
    r"Repository, but a dependency gets dict by this name",
    "circular": r"in a circle: circle_a -> circle_b -> circle_a",
    "nameless": r"'x': Depends\(\) does not say what makes it",
    "positional": r"'x' is a dependency, .* behind the '/'",
    "sidless": r"takes 0 positional arguments, write \(sid, \*args\)",
    "unresolved": r"the annotation .* of 'x' cannot be resolved .*local",
    "decorated": r"a decorator takes \*args alone",
    "limited": r"max_concurrency of FastAPI's Depends\(\)",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_resolved(name: str) -> None:
    """S15: is an error when the handler is registered."""
    sio = socketio_fast.AsyncServer()
    with pytest.raises((TypeError, ValueError), match=REFUSED[name]):
        sio.on("x", handlers()[name])


def test_a_dependency_can_be_called() -> None:
    """S15."""
    with pytest.raises(TypeError, match=r"Depends\(3\): a function or a class"):
        Depends(3)  # type: ignore[arg-type]
    assert repr(Depends(get_db)) == "Depends(get_db)"
    assert repr(Depends(use_cache=False)) == "Depends(, use_cache=False)"


async def test_listeners_of_sockets_have_none() -> None:
    """S15: they say so, and do not get the Depends()."""
    sio = socketio_fast.AsyncServer()
    errors: list[str] = []

    @sio.of("/").on("connection")
    def connection(socket: Socket) -> None:
        def listener(text: str, db: str = Depends(get_db)) -> None: ...

        def keyword(text: Any, *, db: str = Depends(get_db)) -> None: ...

        for function in (listener, keyword):
            with pytest.raises(TypeError, match="'db' is a dependency, which only"):
                socket.on("x", function)
            errors.append(function.__name__)

    async with testing.client(sio):
        assert errors == ["listener", "keyword"]


def test_a_handler_without_dependencies_is_left_as_it_is() -> None:
    """S15: the core calls the function itself, so it costs nothing more."""
    sio = socketio_fast.AsyncServer()

    @sio.event
    async def plain(sid: str, text: str = "", *, more: int = 1) -> None: ...

    assert sio._hub.namespaces["/"].handler_of("plain", "sid")[0] is plain


@dataclasses.dataclass
class Unhashable:
    name: str

    def __call__(self) -> Iterator[str]:
        yield from noted(self.name)


async def test_an_object_as_a_dependency() -> None:
    """S15: with a __call__ that yields; and a functools.partial."""
    sio = socketio_fast.AsyncServer()

    @sio.event
    def say(
        sid: str,
        db: str = Depends(Unhashable("mine")),
        part: str = Depends(functools.partial(noted, "part")),
    ) -> Any:
        return db, part

    async with testing.client(sio) as client:
        assert await client.call("say") == ("mine", "part")
    assert log == ["open mine", "open part", "close part", "close mine"]
