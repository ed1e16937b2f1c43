"""Handlers whose arguments are validated, and what a client gets that sends others."""

import dataclasses
import functools
import logging
import re
import sys
import tracemalloc
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
import typing_extensions
from support.validated import LOGGER, SECRET, Colour, Deep, Item, Numbers, one, wrong

import socketio_fast
from socketio_fast import testing
from socketio_fast.exceptions import ConnectionRefusedError, InvalidPayloadError
from socketio_fast.handlers.validation import plain, validated

ROOT = Path(__file__).parents[2]


class Struct(msgspec.Struct):
    name: str
    price: float = 0.0
    colour: Colour = Colour.RED
    data: bytes = b""


class Model(pydantic.BaseModel):
    name: str
    price: float = 0.0
    colour: Colour = Colour.RED
    data: bytes = b""


class Small(typing_extensions.TypedDict):
    item: Model


class Outer(pydantic.BaseModel):
    small: Small


@dataclasses.dataclass
class Holds:
    item: Model
    items: list[Struct]


@dataclasses.dataclass
class Unknown:
    path: Path


# --- handlers -------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Item, Struct, Model])
def test_each_library_makes_its_objects(kind: type[Any]) -> None:
    """N11: 3.3 row 9: dataclasses, msgspec structs, pydantic models."""
    seen = []

    def handler(sid: str, item: kind, items: list[kind], maybe: kind | None) -> None:
        seen.extend([sid, item, items, maybe])

    validated(handler, 1, LOGGER)(
        "sid", {"name": "a", "price": 1, "colour": "blue", "data": b"\0"},
        [{"name": "b"}], None,
    )  # fmt: skip
    expected = kind(name="a", price=1, colour=Colour.BLUE, data=b"\0")
    assert seen == ["sid", expected, [kind(name="b")], None]


class ManyNumbers(pydantic.BaseModel):
    numbers: list[int] = []
    by_name: dict[str, int] = {}


@pytest.mark.parametrize("kind", [Numbers, ManyNumbers])
def test_a_payload_in_which_all_is_wrong_is_refused_cheaply(kind: type[Any]) -> None:
    """N11: 3.3 row 9: what is told is bounded, and so is what it takes to find it."""
    payloads: list[dict[str, Any]] = [
        {"numbers": ["x"] * 20_000},
        {"by_name": {str(n): "x" for n in range(20_000)}},
    ]
    for payload in payloads:
        tracemalloc.start()
        try:
            details = wrong(kind, payload)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(details) in (1, 20)
        assert peak < 1_000_000
    if kind is ManyNumbers:
        assert details == [{"loc": [0], "msg": "20000 errors"}]


def test_nothing_is_made_of_what_was_not_looked_at() -> None:
    """N11: a dataclass behind the last error that is told is not made of a part."""
    items = [{"name": 1}] * 19 + [{"name": 1, "tags": [1] * 5}] + [{}] * 100
    assert len(wrong(Numbers, {"items": items, "numbers": ["x"]})) == 20


@pytest.mark.parametrize("kind", [Item, Struct, Model])
def test_details_say_where_and_never_what(kind: type[Any]) -> None:
    assert wrong(kind, {"price": 1})[0]["loc"] in ([0], [0, "name"])
    for data in (
        {"name": 1},
        {"name": "a", "price": SECRET},
        {"name": "a", "colour": SECRET},
        SECRET,
        None,
        [SECRET],
    ):
        (detail,) = wrong(kind, data)
        assert set(detail) == {"loc", "msg"}
        assert detail["loc"][0] == 0
        assert detail["msg"]
    (detail,) = wrong(list[kind], [{"name": "a"}, {"name": "a", "colour": SECRET}])
    assert detail["loc"] == [0, 1, "colour"]


@pytest.mark.parametrize("kind", [Item, Struct, Model])
def test_the_number_of_arguments(kind: type[Any]) -> None:
    assert wrong(kind) == [{"loc": [], "msg": "1 arguments expected, 0 received"}]
    assert "2 received" in wrong(kind, {"name": "a"}, SECRET)[0]["msg"]

    def more(sid: str, item: kind, n: int = 0, *rest: kind) -> Any:
        return n, rest

    handler = validated(more, 1, LOGGER)
    assert handler("sid", {"name": "a"}) == (0, ())
    assert handler("sid", {"name": "a"}, 2, {"name": "b"})[0] == 2
    for args in ((), ({"name": "a"}, "2"), ({"name": "a"}, 2, {})):
        with pytest.raises(InvalidPayloadError):
            handler("sid", *args)


def test_a_dataclass_is_strict() -> None:
    good = {
        "name": "a", "price": 1.5, "tags": ["x"], "parent": {"name": "p"}, "size": 3,
        "extra": {"a": 1}, "pair": [1, True], "many": [1, 2], "anything": [None],
        "unknown": "left out",
    }  # fmt: skip
    check = one(Item)
    item = check("sid", good)
    assert item["parent"]["name"] == "p"
    assert item["pair"] == (1, True)
    for change, loc in (
        ({"name": None}, ["name"]),
        ({"price": True}, ["price"]),
        ({"price": "1"}, ["price"]),
        ({"colour": "green"}, ["colour"]),
        ({"colour": ["red"]}, ["colour"]),
        ({"tags": ["x", 1]}, ["tags", 1]),
        ({"tags": "x"}, ["tags"]),
        ({"parent": {"name": 1}}, ["parent", "name"]),
        ({"size": "l"}, ["size"]),
        ({"size": 1.5}, ["size"]),
        ({"data": "text"}, ["data"]),
        ({"extra": {"a": "1"}}, ["extra", "a"]),
        ({"extra": []}, ["extra"]),
        ({"pair": [1]}, ["pair"]),
        ({"pair": [1, 1]}, ["pair", 1]),
        ({"many": [1, "2"]}, ["many", 1]),
        ({"price": -1}, []),
    ):
        assert [d["loc"] for d in wrong(Item, {**good, **change})] == [[0, *loc]]
    assert wrong(Item, {**good, "price": -1})[0]["msg"] == "the price is negative"
    # All of them, up to a limit, and no more of a name than is needed.
    assert len(wrong(Item, {**good, "tags": [1] * 1000})) == 20
    (detail,) = wrong(Item, {**good, "extra": {"k" * 1000: "x"}})
    assert len(detail["loc"][2]) == 64
    data: dict[str, Any] = {}
    for _ in range(1000):
        data = {"inside": data}
    assert wrong(Deep, data) == [{"loc": [0], "msg": "nested too deep"}]


def test_libraries_inside_a_dataclass() -> None:
    held = one(Holds)("sid", {"item": {"name": "a"}, "items": [{"name": "b"}]})
    assert held["item"]["name"] == "a"
    (detail,) = wrong(Holds, {"item": {"name": "a"}, "items": [{"name": 1}]})
    assert detail["loc"] == [0, "items", 0, "name"]
    with pytest.raises(TypeError, match=r"Path.* use pydantic or msgspec"):
        one(Unknown)


def test_typed_dicts_and_constraints_are_the_libraries() -> None:
    (detail,) = wrong(Outer, {"small": {"item": {}}})
    assert detail["loc"] == [0, "small", "item", "name"]
    positive = Annotated[int, pydantic.Field(gt=0)]
    assert one(positive)("sid", 1) == 1
    assert wrong(positive, 0)[0]["loc"] == [0]
    short = Annotated[str, msgspec.Meta(max_length=2)]
    assert wrong(short, "abc")[0]["loc"] == [0]


def test_other_handlers_are_let_alone(caplog: pytest.LogCaptureFixture) -> None:
    def plain_handler(
        sid: str, n: int, data: dict[str, Any], xs: list[int]
    ) -> None: ...

    for handler in (plain_handler, lambda sid, a: a, print, dict):
        assert validated(handler, 1, LOGGER) is handler
    assert not caplog.records

    def unresolved(sid: str, item: "NotThere") -> None: ...  # type: ignore[name-defined] # noqa: F821

    assert validated(unresolved, 1, LOGGER) is unresolved
    assert "item of handler" in caplog.text
    assert "NotThere" in caplog.text


def test_decorators_partials_and_methods() -> None:
    def logs(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*args: Any) -> Any:
            return function(*args)

        return run

    @logs
    def decorated(sid: str, item: Item) -> str:
        return item.name

    def three(room: str, sid: str, item: Item) -> str:
        return room + item.name

    class Calls:
        def __call__(self, sid: str, item: Item) -> str:
            return item.name

    for handler in (decorated, functools.partial(three, ""), Calls(), Calls().__call__):
        assert validated(handler, 1, LOGGER)("sid", {"name": "a"}) == "a"


def test_what_is_returned_is_plain() -> None:
    model = Model(name="a", data=b"\xff")
    assert plain((model, [Struct("b", data=b"\0")], {"c": Item("d")}, Colour.RED)) == (
        {"name": "a", "price": 0.0, "colour": "red", "data": b"\xff"},
        [{"name": "b", "price": 0.0, "colour": "red", "data": b"\0"}],
        {"c": plain(Item("d"))},
        "red",
    )
    other = object()
    assert plain(other) is other


def make(log: list[Any], **options: Any) -> socketio_fast.AsyncServer:
    sio = socketio_fast.AsyncServer(**options)

    @sio.event
    async def connect(sid: str, environ: Any, auth: Model) -> None:
        log.append(auth)

    @sio.event
    async def buy(sid: str, item: Model) -> Any:
        log.append(item)
        return item

    @sio.on("*", namespace="/any")
    def catch(event: str, sid: str, item: Struct) -> Any:
        log.append((event, item))
        return item

    @sio.on("*", namespace="*")
    def everything(event: str, namespace: str, sid: str, item: Item) -> Any:
        return [namespace, item]

    return sio


async def test_methods_of_a_class() -> None:
    """3.3 row 9: class-based namespaces."""
    log: list[Any] = []

    class Methods(socketio_fast.AsyncNamespace):
        def on_connect(self, sid: str, environ: Any, auth: Struct | None) -> None:
            log.append(auth)

        async def on_buy(self, sid: str, item: Struct) -> Any:
            return item, 1

        def on_plain(self, sid: str, item: Any) -> Any:
            return item

    sio = socketio_fast.AsyncServer()
    namespace = Methods("/methods")
    sio.register_namespace(namespace)
    assert "on_plain" not in vars(namespace)
    async with testing.client(sio, "/methods", {"name": "m"}) as client:
        assert log == [Struct("m")]
        assert (await client.call("buy", {"name": "x"}))[1] == 1
        assert "error" in await client.call("buy", {"name": 1})
        assert await client.call("plain", {"name": 1}) == {"name": 1}
    async with testing.client(sio, "/methods"):
        assert log[1] is None
    with pytest.raises(ConnectionRefusedError, match="invalid payload"):
        async with testing.client(sio, "/methods", {"name": 1}):
            pass


async def test_a_bad_payload_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    """3.1 "Typed events": an error acknowledgement, an error event, no traceback."""
    caplog.set_level(logging.INFO)
    log: list[Any] = []
    sio = make(log, namespaces="*", logger=True)
    async with testing.client(sio, auth={"name": "me"}) as client:
        assert await client.call("buy", {"name": "a", "price": "2"}) == {
            "name": "a", "price": 2.0, "colour": "red", "data": b"",
        }  # fmt: skip
        answer = await client.call("buy", {"price": SECRET})
        assert SECRET not in repr(answer)
        assert answer["error"]["message"] == "invalid payload"
        assert [d["loc"] for d in answer["error"]["details"]] == [
            [0, "name"],
            [0, "price"],
        ]
        await client.emit("buy", 1, 2, 3)
        assert await client.expect("error") == {
            "event": "buy",
            "message": "invalid payload",
            "details": [{"loc": [], "msg": "1 arguments expected, 3 received"}],
        }
        assert client.received == []
        assert len(log) == 2
        any_ = await client.join("/any")
        assert (await any_.call("what", {"name": "x"}))["name"] == "x"
        assert "error" in await any_.call("what")
        other = await client.join("/other")
        assert (await other.call("what", {"name": "x"}))[0] == "/other"
        assert "error" in await other.call("what", {})
    assert sio.eio.counters["invalid_payloads"] == 4
    assert not [r for r in caplog.records if r.levelno > logging.INFO]
    assert "invalid payload" in caplog.text
    for auth in (None, {"name": 1}):
        with pytest.raises(ConnectionRefusedError, match="invalid payload") as caught:
            async with testing.client(sio, auth=auth):
                pass
        assert caught.value.args[1]["details"][0]["loc"][0] == "auth"


async def test_listeners_of_a_socket() -> None:
    """3.3 row 9, K11: listeners of the socket API, and its error event."""
    sio = socketio_fast.AsyncServer()
    errors: list[Any] = []

    @sio.of("/").on("connection")
    def joined(socket: Any) -> None:
        @socket.on("buy")
        def buy(item: Item) -> Any:
            return item.name

        @socket.on("both")
        def first(item: Item) -> Any:
            return item.name

        @socket.on("both")
        def second(item: Any) -> None: ...

        socket.on("error", errors.append)

    async with testing.client(sio) as client:
        for event in ("buy", "both"):
            assert await client.call(event, {"name": "a"}) == "a"
            assert "error" in await client.call(event, {"name": 1})
            await client.emit(event, {"name": 1})
            assert (await client.expect("error"))["event"] == event
    assert len(errors) == 4
    assert {type(error) for error in errors} == {InvalidPayloadError}


async def test_details_that_a_program_gives() -> None:
    sio = socketio_fast.AsyncServer()

    @sio.event
    async def buy(sid: str, n: int) -> None:
        await testing.settle()
        raise InvalidPayloadError([{"loc": [0], "msg": "too many"}], "not sold")

    async with testing.client(sio) as client:
        assert await client.call("buy", 7) == {
            "error": {
                "message": "not sold",
                "details": [{"loc": [0], "msg": "too many"}],
            }
        }


async def test_without_validation() -> None:
    log: list[Any] = []
    sio = make(log, validate_handlers=False)
    async with testing.client(sio, auth={"any": 1}) as client:
        assert await client.call("buy", {"price": "x"}) == {"price": "x"}
    assert log == [{"any": 1}, {"price": "x"}]


def test_threads() -> None:
    sio = socketio_fast.Server()

    @sio.event
    def buy(sid: str, item: Struct) -> Any:
        return item

    async def coroutine(sid: str, item: Struct) -> None: ...

    with pytest.raises(TypeError, match="use AsyncServer"):
        sio.on("coroutine", coroutine)
    try:
        with testing.client(sio) as client:
            assert client.call("buy", {"name": "a"})["name"] == "a"
            assert client.call("buy", {})["error"]["message"] == "invalid payload"
            client.emit("buy", {})
            assert client.expect("error")["event"] == "buy"
        assert sio.eio.counters["invalid_payloads"] == 2
    finally:
        sio.shutdown()


async def test_ordered_handlers_go_on_after_a_bad_payload() -> None:
    log: list[Any] = []
    sio = make(log, async_handlers=False)
    async with testing.client(sio, auth={"name": "me"}) as client:
        await client.emit("buy", {})
        assert (await client.call("buy", {"name": "b"}))["name"] == "b"


async def test_the_examples_of_the_documentation() -> None:
    text = (ROOT / "docs" / "validation.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert blocks
    module = types.ModuleType("docs_validation")
    sys.modules["docs_validation"] = module
    try:
        for block in blocks:
            exec(compile(block, "docs/validation.md", "exec"), vars(module))
        space = vars(module)
        async with testing.client(space["sio"], auth={"token": "t"}) as client:
            assert await client.call("order", {"product": "tea", "count": 2}) == {
                "product": "tea",
                "total": 6.0,
            }
            answer = await client.call("order", {"product": "tea", "count": 0})
            assert answer["error"]["details"][0]["loc"] == [0, "count"]
            assert (await client.call("move", {"x": 1, "y": 2})) is None
            assert "error" in await client.call("move", {"x": "1", "y": 2})
            assert await client.call("tag", [{"name": "a"}]) == 1
        with pytest.raises(ConnectionRefusedError):
            async with testing.client(space["sio"], auth={}):
                pass
    finally:
        del sys.modules["docs_validation"]
