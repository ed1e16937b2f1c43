"""Handlers that have their arguments decoded straight from the JSON of the event."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import msgspec
import pydantic
import pytest

import socketio_fast
from socketio_fast import Limits, Rate, testing
from socketio_fast._core.socketio.checked_handlers import CheckedHandler
from socketio_fast.exceptions import DisconnectedError
from socketio_fast.handlers import checked


class Move(msgspec.Struct):
    x: float
    tags: list[str] = []
    more: Any = None


class Model(pydantic.BaseModel):
    x: float


tasks: list[Any] = []
variable: contextvars.ContextVar[int] = contextvars.ContextVar("v", default=0)


class Looks(msgspec.Struct):
    x: int

    def __post_init__(self) -> None:
        tasks.append(asyncio.current_task())
        variable.set(variable.get() + self.x)


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was checked after it had been decoded: empty if all was decoded directly."""
    seen: list[Any] = []
    call = checked.Arguments.__call__

    def spy(self: Any, args: tuple[Any, ...]) -> list[Any]:
        seen.append(args[1:])
        return call(self, args)

    monkeypatch.setattr(checked.Arguments, "__call__", spy)
    return seen


def make(**options: Any) -> socketio_fast.AsyncServer:
    sio = socketio_fast.AsyncServer(**options)

    @sio.event
    async def move(sid: str, move: Move, n: int = 1, anything=None) -> Any:
        return (move, n, anything) if anything else move

    @sio.event
    async def later(sid: str, move: Move) -> Move:
        await testing.settle()
        move.x += 1
        return move

    @sio.event
    def model(sid: str, model: Model, *, key: int = 0) -> Model:
        return model

    return sio


async def test_arguments_are_decoded_directly(undecoded: list[Any]) -> None:
    sio = make()
    assert set(sio._hub.undecoded) == {"move", "later", "model"}
    async with testing.client(sio) as client:
        whole = {"x": 1.0, "tags": ["é"], "more": {"a": [None]}}
        assert await client.call("move", whole) == whole
        assert await client.call("move", whole, 2, "three") == (whole, 2, "three")
        assert await client.call("later", whole) == {**whole, "x": 2.0}
        assert await client.call("model", {"x": "1"}) == {"x": 1.0}
        assert not undecoded
        # What does not fit is looked at once more, as are attachments.
        assert "error" in await client.call("move", {"x": "1"})
        assert "error" in await client.call("move", whole, 2, 3, 4)
        assert "error" in await client.call("move")
        assert (await client.call("move", {"x": 1, "more": b"\0"}))["more"] == b"\0"
        assert len(undecoded) == 4


async def test_binary_values_of_a_struct_are_attached() -> None:
    sio = socketio_fast.AsyncServer()

    @sio.event
    async def move(sid: str, move: Move) -> Move:
        move.more = [b"\xff", 2**70]
        return move

    async with testing.client(sio) as client:
        assert (await client.call("move", {"x": 1}))["more"] == [b"\xff", 2**70]


async def test_who_looks_at_events_gets_decoded_ones() -> None:
    """Listeners of all events, middlewares, and listeners beside the handler."""
    sio = make()
    heard: list[Any] = []

    @sio.of("/").on("connection")
    def joined(socket: Any) -> None:
        socket.on_any(lambda event, *args: heard.append((event, args)))
        socket.on("move", lambda move: heard.append(move))

    async with testing.client(sio) as client:
        assert await client.call("move", {"x": 1}) == {
            "x": 1.0, "tags": [], "more": None,
        }  # fmt: skip
    assert heard == [("move", ({"x": 1},)), {"x": 1}]


@pytest.mark.parametrize("replaces", [True, False])
async def test_a_trigger_of_the_program_gets_decoded_events(replaces: bool) -> None:
    sio = make()
    seen: list[Any] = []

    async def trigger(event: str, namespace: str, *args: Any) -> Any:
        seen.append(args[1:])

    if replaces:
        sio._trigger_event = trigger
    else:
        del sio.handlers["/"]["move"]
        sio.on("*", lambda event, sid, *args: seen.append(args))
    async with testing.client(sio) as client:
        await client.call("move", {"x": 1})
    assert ({"x": 1},) in seen


async def test_events_that_wait_for_a_handler_are_decoded_in_their_turn() -> None:
    sio = make(async_handlers=False)
    async with testing.client(sio) as client:
        answers = await asyncio.gather(
            *(client.call(event, {"x": 1}) for event in ("later", "move", "later"))
        )
    assert [answer["x"] for answer in answers] == [2, 1, 2]


async def test_the_context_is_that_of_the_handler() -> None:
    """As in a check of decoded values: a struct may look at its task."""
    tasks.clear()
    sio = socketio_fast.AsyncServer()

    @sio.event
    async def look(sid: str, looks: Looks) -> int:
        tasks.append(asyncio.current_task())
        return variable.get()

    async with testing.client(sio) as client:
        assert await client.call("look", {"x": 3}) == 3
    assert tasks[0] is not None
    assert tasks[0] is tasks[1]


@pytest.mark.parametrize("text", ['2["move",{"x":1}', '2["move",{"x":01}]'])
async def test_broken_json_closes_the_connection(text: str) -> None:
    sio = make()
    async with testing.Connection(sio) as connection:
        await connection.join()
        await connection.send("4" + text)
        with pytest.raises(DisconnectedError):
            await connection.send("2")


async def test_an_event_beyond_the_limits_is_named() -> None:
    sio = make(limits=Limits(events=Rate(1, 1)))
    async with testing.client(sio) as client:
        for _ in range(4):
            await client.emit("move", {"x": 1})
        assert (await client.expect("error"))["event"] == "move"


@pytest.mark.parametrize(
    "options", [{"serializer": "msgpack"}, {"json": __import__("json")}]
)
async def test_other_encodings(options: dict[str, Any]) -> None:
    sio = make(**options)
    assert sio._hub.undecoded is None
    async with testing.client(sio) as client:
        assert (await client.call("move", {"x": 1}))["x"] == 1
        assert "error" in await client.call("move", {"x": "1"})


def test_it_is_shown_as_the_handler() -> None:
    sio = make()
    (found, _) = sio._hub.namespace("/").handler_of("move", "sid")
    assert isinstance(found, CheckedHandler)
    assert found.__qualname__.endswith("move")
    with pytest.raises(ValueError, match="at most 7 arguments"):
        CheckedHandler(print, print, print, [None] * 8, 0, print)


async def test_handlers_of_many_arguments_are_checked_as_before() -> None:
    sio = socketio_fast.AsyncServer()

    @sio.event
    async def many(sid: str, *moves: Move) -> int:
        return len(moves)

    @sio.event
    async def eight(sid: str, a, b, c, d, e, f, g, h: Move) -> float:
        return h.x

    assert sio._hub.undecoded is None
    async with testing.client(sio) as client:
        assert await client.call("many", {"x": 1}, {"x": 2}) == 2
        assert await client.call("eight", *range(7), {"x": 2}) == 2
