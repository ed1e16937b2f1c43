"""Unions: which alternative is told of, and what nested ones cost."""

import dataclasses
import enum
import sys
import types
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from support.validated import LOGGER, Deep, Item, Numbers, one, wrong

import socketio_fast
from socketio_fast.exceptions import ConnectionRefusedError, InvalidPayloadError
from socketio_fast.handlers.validation import validated

# --- unions ---------------------------------------------------------------------


@dataclasses.dataclass
class KindFirstA:
    kind: Literal["a"]
    child: "KindFirstA | KindFirstB | None" = None


@dataclasses.dataclass
class KindFirstB:
    kind: Literal["b"]
    child: "KindFirstA | KindFirstB | None" = None


@dataclasses.dataclass
class KindLastA:
    child: "KindLastA | KindLastB | None"
    kind: Literal["a"]


@dataclasses.dataclass
class KindLastB:
    child: "KindLastA | KindLastB | None"
    kind: Literal["b"]


@dataclasses.dataclass
class ListsA:
    children: "list[ListsA | ListsB] | dict[str, ListsA | ListsB]"
    kind: Literal["a"]


@dataclasses.dataclass
class ListsB:
    children: "list[ListsA | ListsB] | dict[str, ListsA | ListsB]"
    kind: Literal["b"]


@dataclasses.dataclass
class Named:
    name: str
    below: "Named | Numbered | None"


@dataclasses.dataclass
class Numbered:
    number: int
    below: "Named | Numbered | None"


class ModelA(pydantic.BaseModel):
    kind: Literal["a"]
    child: "ModelA | ModelB | None" = None


class ModelB(pydantic.BaseModel):
    kind: Literal["b"]
    child: "ModelA | ModelB | None" = None


class TaggedA(pydantic.BaseModel):
    kind: Literal["a"]
    child: (
        Annotated["TaggedA | TaggedB", pydantic.Field(discriminator="kind")] | None
    ) = None


class TaggedB(pydantic.BaseModel):
    kind: Literal["b"]
    child: (
        Annotated["TaggedA | TaggedB", pydantic.Field(discriminator="kind")] | None
    ) = None


class StructA(msgspec.Struct, tag_field="kind", tag="a"):
    child: "StructA | StructB | None" = None


class StructB(msgspec.Struct, tag_field="kind", tag="b"):
    child: "StructA | StructB | None" = None


def chain(depth: int, end: Any = None) -> Any:
    value = end
    for _ in range(depth):
        value = {"kind": "b", "child": value}
    return value


def numbered(depth: int, last: Any, end: Any = None) -> Any:
    value: Any = {"number": last, "below": end}
    for _ in range(depth):
        value = {"number": 1, "below": value}
    return value


def nested_lists(depth: int, end: Any) -> Any:
    value = end
    for _ in range(depth):
        value = {"kind": "b", "children": [value]}
    return value


def calls_of(function: Callable[[], Any]) -> int:
    """How many functions are called, of Python and of C: what the time goes by."""
    calls = 0

    def count(frame: types.FrameType, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")
        if calls > 1_000_000:
            sys.setprofile(None)
            raise AssertionError("more than a million calls")

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (KindFirstA | KindFirstB, chain),
        (KindLastA | KindLastB, chain),
        (Named | Numbered, lambda depth, end=None: numbered(depth, 1, end)),
        (TaggedA | TaggedB, chain),
        (StructA | StructB, chain),
        (
            list[KindLastA | KindLastB],
            lambda depth, end=None: [chain(depth, end) for _ in range(2)],
        ),
        (
            ListsA | ListsB,
            lambda depth, end=None: nested_lists(
                depth, {"kind": "b", "children": [] if end is None else end}
            ),
        ),
    ],
    ids=[
        "kind first",
        "kind last",
        "no tag",
        "discriminator",
        "msgspec",
        "list",
        "lists",
    ],
)
@pytest.mark.parametrize("end", [None, 5], ids=["valid", "invalid"])
def test_nested_unions_take_time_in_proportion_to_the_payload(
    kind: Any, payload: Callable[..., Any], end: Any
) -> None:
    handler = one(kind)

    def run(depth: int) -> int:
        value = payload(depth, end)
        if end is None:
            return calls_of(lambda: handler("sid", value))

        def refused() -> None:
            with pytest.raises(InvalidPayloadError):
                handler("sid", value)

        return calls_of(refused)

    run(1)
    assert run(40) < 4 * run(20)


def test_what_nested_unions_make_is_right() -> None:
    made = one(KindLastA | KindLastB)("sid", chain(3, {"kind": "a", "child": None}))
    assert made == chain(3, {"kind": "a", "child": None})
    seen = []

    def handler(sid: str, item: KindLastA | KindLastB) -> None:
        seen.append(item)

    validated(handler, 1, LOGGER)("sid", chain(2, {"kind": "a", "child": None}))
    assert seen == [KindLastB(KindLastB(KindLastA(None, "a"), "b"), "b")]


def test_an_error_in_nested_unions_is_told_of_the_alternative_that_came_farthest() -> (
    None
):
    details = wrong(KindFirstA | KindFirstB, chain(2, {"kind": "c"}))
    assert details == [
        {"loc": [0, "child", "child", "kind"], "msg": "one of 'a' expected"}
    ]
    details = wrong(KindFirstA | KindFirstB, chain(2, {"child": None}))
    assert details == [{"loc": [0, "child", "child", "kind"], "msg": "field required"}]


def test_all_errors_of_the_alternative_that_came_farthest_are_told() -> None:
    item = {"name": 5, "tags": [1], "parent": {"name": 6}, "numbers": 7}
    details = wrong(Item | Numbers, item)
    assert [detail["loc"] for detail in details] == [
        [0, "name"], [0, "tags", 0], [0, "parent", "name"],
    ]  # fmt: skip


def test_pydantic_is_not_asked_for_what_would_take_it_without_end() -> None:
    """It looks at each level once for each alternative of the level above."""
    assert one(ModelA | ModelB)("sid", chain(12))["kind"] == "b"
    (detail,) = wrong(ModelA | ModelB, chain(60))
    assert detail == {
        "loc": [0],
        "msg": "nested too deep for a union of models without a discriminator",
    }
    wide = {"kind": "b", "child": None}
    assert len(one(list[ModelA | ModelB])("sid", [wide] * 50_000)) == 50_000
    assert one(TaggedA)("sid", {"kind": "a", "child": chain(60)})


@pytest.mark.parametrize("kind", [Deep, StructA, TaggedA])
def test_what_is_nested_too_deep_is_refused(kind: Any) -> None:
    value: Any = None
    for _ in range(1000):
        value = {"kind": "a", "child": value, "inside": value}
    if kind is StructA and sys.version_info >= (3, 12):
        one(kind)("sid", value)  # there C code may nest deeper than Python's
        return
    details = wrong(kind, value)
    assert len(details) == 1


@dataclasses.dataclass
class Tree:
    below: "dict[str, Tree]" = dataclasses.field(default_factory=dict)
    number: int = 0


def test_details_are_short_whatever_was_sent() -> None:
    value: Any = {"number": "x"}
    for _ in range(100):
        value = {"below": {"k" * 1000: value}}
    (detail,) = wrong(Tree, value)
    assert len(detail["loc"]) == 33
    assert detail["loc"][-1] == "..."
    assert max(len(str(part)) for part in detail["loc"]) == 64

    class Tags(pydantic.BaseModel):
        item: Annotated[TaggedA | TaggedB, pydantic.Field(discriminator="kind")]

    (detail,) = wrong(Tags, {"item": {"kind": "x" * 10_000}})
    assert len(detail["msg"]) <= 512


def test_details_of_auth_are_bounded() -> None:
    def connect(sid: str, environ: Any, auth: Numbers) -> None: ...

    handler = socketio_fast.handlers.validation.validated_connect(connect, 2, LOGGER)
    auth = {"numbers": ["x"] * 30, "by_name": {str(n): "x" for n in range(30)}}
    with pytest.raises(ConnectionRefusedError) as caught:
        handler("sid", {}, auth)
    assert len(caught.value.error_args["data"]["details"]) == 20


def test_which_error_is_deeper_is_known_beyond_the_path_that_is_told_of() -> None:
    """That ends after 32 names."""
    assert wrong(Named | Numbered, numbered(40, "x")) == [
        {"loc": [0, *["below"] * 31, "..."], "msg": "field required"}
    ]


class Kinds(enum.Enum):
    ONE = 1
    TWO = "two"


@dataclasses.dataclass
class First:
    kind: Literal[1, "a"]
    child: "First | Second | list[First | Second] | None" = None


@dataclasses.dataclass
class Second:
    kind: Literal[True, "a", "b"]
    child: "First | Second | list[First | Second] | None" = None
    number: int = 0


@dataclasses.dataclass
class Third:
    kind: Kinds


@dataclasses.dataclass
class Untagged:
    name: str


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (First | Second, {"kind": 1}, First(1)),
        (First | Second, {"kind": True}, Second(True)),
        (First | Second, {"kind": "a"}, First("a")),
        (First | Second, {"kind": "a", "child": None, "number": 1}, First("a")),
        (None | First | Second, {"kind": "b"}, Second("b")),
        (None | First | Second, None, None),
        (
            First | Second,
            {"kind": "b", "child": [{"kind": 1, "child": {"kind": "b"}}]},
            Second("b", [First(1, Second("b"))]),
        ),
        (First | Third, {"kind": "two"}, Third(Kinds.TWO)),
        (First | Third, {"kind": 1}, First(1)),
        (Third | First, {"kind": 1}, Third(Kinds.ONE)),
        (First | Untagged, {"name": "x"}, Untagged("x")),
        (First | Untagged, {"kind": 2, "name": "x"}, Untagged("x")),
        (First | Untagged, {"kind": 1, "name": "x"}, First(1)),
        (First | dict[str, int], {"kind": 5}, {"kind": 5}),
        (First | dict[str, int], {"kind": 1}, First(1)),
        (str | First | Second, "text", "text"),
    ],
)
def test_which_alternative_a_value_is(kind: Any, value: Any, expected: Any) -> None:
    seen = []

    def handler(sid: str, item: kind) -> None:
        seen.append(item)

    validated(handler, 1, LOGGER)("sid", value)
    assert seen == [expected]
    assert type(getattr(seen[0], "kind", None)) is type(getattr(expected, "kind", None))


@pytest.mark.parametrize("kind", [5, 1.0, None, [], {}, "c"])
def test_a_tag_that_no_alternative_has(kind: Any) -> None:
    (detail,) = wrong(First | Second, {"kind": kind})
    assert detail == {"loc": [0, "kind"], "msg": "one of 1, 'a' expected"}
    (detail,) = wrong(First | Second, {"child": None})
    assert detail == {"loc": [0, "kind"], "msg": "field required"}


def test_all_errors_of_the_alternative_with_the_tag_are_told() -> None:
    details = wrong(First | Second, {"kind": "b", "child": 5, "number": "x"})
    assert [detail["loc"] for detail in details] == [[0, "child"], [0, "number"]]


@dataclasses.dataclass
class VersionedA:
    version: Literal[1]
    kind: Literal["a"]
    number: int


@dataclasses.dataclass
class VersionedB:
    version: Literal[1]
    kind: Literal["b"]
    number: int


def test_the_tag_is_the_field_that_tells_most_apart() -> None:
    value = {"version": 1, "kind": "b", "number": "x"}
    (detail,) = wrong(VersionedA | VersionedB, value)
    assert detail["loc"] == [0, "number"]


def test_an_object_with_a_tag_is_checked_once() -> None:
    tagged, tried = one(KindLastA | KindLastB), one(Named | Numbered)

    def calls_for(depth: int) -> tuple[int, int]:
        tree, other = chain(depth), numbered(depth, 1)
        return (
            calls_of(lambda: tagged("sid", tree)),
            calls_of(lambda: tried("sid", other)),
        )

    (few, few_tried), (many, many_tried) = calls_for(5), calls_for(55)
    assert 3 * (many - few) < 2 * (many_tried - few_tried)
