"""Types of the libraries that validate, and a server whose handlers take them."""

import dataclasses
import enum
import logging
from collections.abc import Callable
from typing import Any, Literal, Optional

import pytest

from socketio_fast.exceptions import InvalidPayloadError
from socketio_fast.handlers.validation import validated

LOGGER = logging.getLogger("test")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Item:
    name: str
    price: float = 0.0
    colour: Colour = Colour.RED
    tags: list[str] = dataclasses.field(default_factory=list)
    parent: Optional["Item"] = None
    size: Literal["s", "m"] | int | None = None
    data: bytes = b""
    extra: dict[str, int] = dataclasses.field(default_factory=dict)
    pair: tuple[int, bool] = (0, False)
    many: tuple[int, ...] = ()
    anything: Any = None

    def __post_init__(self) -> None:
        if self.price < 0:
            raise ValueError("the price is negative")


@dataclasses.dataclass
class Deep:
    inside: Optional["Deep"] = None


SECRET = "a secret that must not come back"


def one(kind: Any) -> Callable[..., Any]:
    def handler(sid: str, item: kind) -> Any:
        return item

    return validated(handler, 1, LOGGER)


def wrong(kind: Any, *args: Any) -> list[dict[str, Any]]:
    with pytest.raises(InvalidPayloadError) as caught:
        one(kind)("sid", *args)
    assert SECRET not in repr(caught.value.details)
    return caught.value.details


@dataclasses.dataclass
class Numbers:
    numbers: list[int] = dataclasses.field(default_factory=list)
    by_name: dict[str, int] = dataclasses.field(default_factory=dict)
    items: list[Item] = dataclasses.field(default_factory=list)
