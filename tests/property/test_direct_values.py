"""Arguments decoded straight into their types are those that checking gives."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import uuid
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import orjson
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from socketio_fast._core.protocol.json_text import loads_json
from socketio_fast._core.protocol.sio import encode_packet
from socketio_fast._core.socketio.checked_handlers import CheckedHandler
from socketio_fast._core.testing import acknowledge, split_event
from socketio_fast.exceptions import InvalidPayloadError
from socketio_fast.handlers.decoders import decoder_of
from socketio_fast.handlers.models import Errors, check_of, plain

many = examples(150)


class Colour(enum.Enum):
    RED = "red"
    TWO = "two"


class Inner(msgspec.Struct, tag=True):
    n: int = 0


class Other(msgspec.Struct, tag=True):
    when: datetime.datetime | None = None


class Typed(TypedDict, total=False):
    a: float
    b: str


class Struct(msgspec.Struct, rename="camel"):
    text: str = ""
    a_number: int | float = 0
    whole: int = 0
    real: float = 0.0
    flag: bool | None = None
    colour: Colour = Colour.RED
    word: Literal["s", 1, None] = None
    many: list[int] = []
    pair: tuple[int, str] = (0, "")
    names: dict[str, float] = {}
    inner: Inner | Other | None = None
    typed: Typed | None = None
    day: datetime.date | None = None
    number: uuid.UUID | None = None
    anything: Any = None
    short: Annotated[str, msgspec.Meta(max_length=3)] = ""


class Strict(msgspec.Struct, forbid_unknown_fields=True, array_like=True):
    a: int
    b: str = "b"


class Model(pydantic.BaseModel):
    text: str = ""
    whole: int = 0
    real: float = 0.0
    flag: bool | None = None
    word: Literal["s", 1] | None = None
    many: list[int] = []
    names: dict[str, float] = {}
    inner: Model | None = None
    anything: Any = None
    short: Annotated[str, pydantic.Field(max_length=3)] = ""

    @pydantic.field_validator("text")
    @classmethod
    def no_x(cls, value: str) -> str:
        if value == "x":
            raise ValueError("x")
        return value


class Extra(Model, extra="allow"):
    pass


class Exact(pydantic.BaseModel, strict=True):
    real: float = 0.0
    day: datetime.date | None = None
    data: bytes = b""


@dataclasses.dataclass
class Record:
    text: str = ""
    whole: int = 0
    real: float = 0.0
    many: list[int] = dataclasses.field(default_factory=list)


KINDS: list[Any] = [
    Struct, Strict, Model, Extra, Exact, Record, list[Struct], Model | None,
    dict[str, Inner], Annotated[int, pydantic.Field(gt=0)], str, int, float, bool,
]  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.sampled_from([1e16, 1e-7, 1.0, 2.0, -0.0, 1e300, 123456789.125, 1e22])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.sampled_from(
        ["red", "s", "Inner", "Other", "2020-01-02", "2020-01-02T03:04:05Z", "1", "x",
         "true", "6f9619ff-8b86-d011-b42d-00c04fc964ff", "\ud800", "\x1e", "\u2028"]
    )
)  # fmt: skip
fields = sorted(
    {"type", "n", "when", "a", "b", "data"}
    | set(Struct.__struct_encode_fields__)
    | set(Model.model_fields)
    | {"day"}
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(fields), inner, max_size=5)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=12,
)
good = st.fixed_dictionaries(
    {},
    optional={
        "text": st.text(max_size=5),
        "whole": st.integers(-(2**70), 2**70) | st.sampled_from([1.0, "1"]),
        "aNumber": st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        "real": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9),
        "flag": st.booleans(),
        "colour": st.sampled_from(["red", "two"]),
        "many": st.lists(st.integers(-5, 5), max_size=3),
        "names": st.dictionaries(st.text(max_size=2), st.floats(0, 9), max_size=2),
        "inner": st.sampled_from([{"type": "Inner", "n": 1}, {"type": "Other"}, None]),
        "anything": values,
        "unknown": values,
        "day": st.sampled_from(["2020-01-02", None]),
    },
)


def checked(kind: Any, value: Any) -> Any:
    """What checking makes of a decoded value; InvalidPayloadError: it does not fit."""
    errors = Errors()
    made = check_of(kind)(value, (0,), errors)
    if errors.details:
        raise InvalidPayloadError(errors.details)
    return made


def shown(value: Any) -> str:
    """The value and the types of what is in it: 1, 1.0 and True are equal."""
    if isinstance(value, pydantic.BaseModel):
        return f"{value!r} {value.model_fields_set} {value.model_extra}"
    return repr(value)


def agree(kind: Any, text: bytes) -> None:
    try:
        made = decoder_of(kind)(text)  # type: ignore[misc]
    except Exception:
        return  # the other way is taken
    assert shown(made) == shown(checked(kind, loads_json(text)))


@pytest.mark.parametrize("kind", KINDS, ids=str)
@many
@given(values | good | st.lists(good, max_size=2), st.booleans())
def test_what_is_decoded(kind: Any, value: Any, blanks: bool) -> None:
    if blanks:
        text = json.dumps(["e", value], indent=1).encode()
    else:
        text = json.dumps(
            ["e", value], ensure_ascii=False, separators=(",", ":")
        ).encode(errors="surrogatepass")
    parts = split_event(text, "e")
    if parts is None:
        return  # an integer of many digits, a lone surrogate
    assert [loads_json(part) for part in parts] == ["e", value]
    agree(kind, parts[1])


@pytest.mark.parametrize("kind", [Struct, Model, Record])
@many
@given(good)
def test_what_fits_is_decoded_directly(kind: Any, value: Any) -> None:
    parts = split_event(json.dumps(["e", value]).encode(), "e")
    if parts is None:
        return  # an integer of many digits
    text = parts[1]
    try:
        expected = checked(kind, loads_json(text))
    except InvalidPayloadError:
        return
    assert shown(decoder_of(kind)(text)) == shown(expected)  # type: ignore[misc]


@many
@given(st.lists(values, min_size=1, max_size=9), st.data())
def test_broken_text_is_never_split(items: list[Any], data: st.DataObject) -> None:
    """What is split is JSON for orjson too, and has these values."""
    text = json.dumps(["e", *items], ensure_ascii=False).encode(errors="surrogatepass")
    at = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.binary(max_size=1))
    broken = text[:at] + byte + text[at + data.draw(st.integers(0, 1)) :]
    parts = split_event(broken, "e")
    if parts is not None:
        whole = orjson.loads(broken)
        assert [orjson.loads(part) for part in parts] == whole
        assert [repr(loads_json(part)) for part in parts] == [repr(v) for v in whole]


class AnyStruct(msgspec.Struct):
    value: Any
    more: list[Any] = []


@many
@given(
    st.recursive(
        scalars | st.binary(max_size=2) | st.sampled_from([Colour.RED, Inner(3)]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
            | st.builds(AnyStruct, inner)
        ),
        max_leaves=8,
    )
)
def test_what_is_returned(value: Any) -> None:
    struct = AnyStruct(value, [value])
    handler = CheckedHandler(print, print, print, [], 0, plain)
    text, *attachments = acknowledge(handler, struct)
    expected, *others = encode_packet(3, [plain(struct)])
    assert attachments == others
    start = text.index(b"[")
    assert text[:start] == expected[:start]
    assert repr(json.loads(text[start:])) == repr(json.loads(expected[start:]))
