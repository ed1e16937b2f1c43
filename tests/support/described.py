"""An application whose events are described: by each kind of type and handler."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic

import socketio_fast
from socketio_fast import Depends, Event

sio = socketio_fast.AsyncServer()


class Credentials(pydantic.BaseModel):
    token: str


class Order(pydantic.BaseModel):
    """What is to be bought."""

    product: str
    count: int = pydantic.Field(1, gt=0, description="How many; */ ends no comment")


class Receipt(pydantic.BaseModel):
    product: str
    total: float = 0
    when: datetime.datetime | None = None


class Tag(msgspec.Struct):
    name: str
    data: bytes = b""
    parent: Tag | None = None


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0
    colour: Colour = Colour.RED
    pair: tuple[int, bool] = (0, False)
    size: Literal["s", 1] | None = None
    tags: list[Tag] = dataclasses.field(default_factory=list)
    by_name: dict[str, Point] = dataclasses.field(default_factory=dict)


class Named(TypedDict):
    name: str


moved = Event[str, float, float]("moved")
joined = Event[Named]("joined")
cleared = Event[()]("cleared")
placed = Event[Point, Receipt, bytes]("placed")
anything = Event("any thing")
asked = Event[str]("asked")
sio.emits(moved, "untyped")
sio.emits(asked, ack=(bool, Point))


def get_db() -> str:
    return "db"


@sio.event
async def connect(sid: str, environ: Any, auth: Credentials) -> None: ...


@sio.event
def disconnect(sid: str, reason: str) -> None: ...


@sio.on(moved)
async def on_moved(sid: str, piece, x, y) -> None:  # type: ignore[no-untyped-def]
    """A piece is moved.

    More of it.
    """


@sio.event
async def order(
    sid: str, order: Order, note: str = "", *, db: str = Depends(get_db)
) -> Receipt:
    return Receipt(product=order.product)


@sio.event
async def place(
    sid: str, db: Annotated[str, Depends(get_db)], point: Point, *more: Point
) -> tuple[int, bytes]:
    return len(more), b"x"


@sio.event
async def say(sid: str, text: str) -> int | None:
    return len(text)


@sio.event
def tag(sid: str, tag: Tag) -> None: ...


@sio.event
def untold(sid, delete, callback=1, *rest): ...  # type: ignore[no-untyped-def]


class Chat(socketio_fast.AsyncNamespace):
    def on_message(
        self,
        sid: str,
        text: str,
        kind: Literal["a", "b"] = "a",
        db: str = Depends(get_db),
    ) -> bool:
        """Something is said."""
        return True

    def on_point(self, sid: str, point: Point) -> Point:
        return point


sio.register_namespace(Chat("/org/chat"))
sio.emits(joined, namespace="/org/chat")
