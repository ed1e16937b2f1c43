"""The types of docs/encodings.md's table, in all ways that they are sent."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import re
import types
import uuid
from collections import UserDict, deque
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import attrs
import msgpack
import msgspec
import numpy as np
import pydantic
import pytest
from support.processes import python

import socketio_fast
from socketio_fast import testing
from socketio_fast._core.protocol.sio import decode_packet, encode_packet
from socketio_fast.managers.messages import JSON, pack, unpack
from socketio_fast.msgpack_packet import MsgPackPacket
from socketio_fast.packet import EVENT, Packet
from socketio_fast.payloads import plain

DOCS = Path(__file__).parents[2] / "docs"
ID = uuid.UUID(int=1)
MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, datetime.timezone.utc)
FAR = datetime.timezone(datetime.timedelta(hours=1, seconds=8))


class Color(enum.Enum):
    RED = "red"
    IDENTIFIED = ID
    BINARY = b"\x00"


class Number(enum.IntEnum):
    ONE = 1


class Text(str, enum.Enum):
    A = "a"


class Bits(enum.Flag):
    A = 1
    B = 2


class Moment(datetime.datetime):
    """Of a library, as pendulum has them."""


class Identity(uuid.UUID):
    """Of a driver, as asyncpg has them."""


class Point(NamedTuple):
    x: int
    y: Any


@dataclasses.dataclass
class Data:
    a: Any
    _hidden: int = 1


@dataclasses.dataclass
class Slotted:
    __slots__ = ("a", "b")
    a: Any
    b: Any


@dataclasses.dataclass
class Late:
    a: int = 1
    b: int = dataclasses.field(default=2, init=False)


@attrs.define
class Attrs:
    a: Any
    _hidden: int = 1


@attrs.frozen(slots=False)
class Frozen:
    a: Any


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    a: Any
    color: Color = Color.RED

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> Any:
        return [self.a] * 2


class Address(pydantic.BaseModel):
    url: pydantic.HttpUrl = pydantic.HttpUrl("http://a.b/")
    secret: pydantic.SecretStr = pydantic.SecretStr("x")


class Root(pydantic.RootModel[Color]):
    pass


class Struct(msgspec.Struct, rename="camel", tag="struct", omit_defaults=True):
    an_item: Any
    other: int = 0


class Row(msgspec.Struct, array_like=True):
    a: Any
    b: Any


# value, what a client gets
VALUES: list[tuple[Any, Any]] = [
    (decimal.Decimal("1.10"), "1.10"),
    (decimal.Decimal("NaN"), "NaN"),
    ({1}, [1]),
    (frozenset([b"b"]), [b"b"]),
    ({"k": 1}.keys(), ["k"]),
    ({"k": b"b"}.values(), [b"b"]),
    (deque([1, 2]), [1, 2]),
    (range(3), [0, 1, 2]),
    (Color.RED, "red"),
    (Color.IDENTIFIED, str(ID)),
    (Color.BINARY, b"\x00"),
    (Number.ONE, 1),
    (Text.A, "a"),
    (Bits.A | Bits.B, 3),
    (ID, str(ID)),
    (Identity(int=1), str(ID)),
    (MOMENT, "2026-01-02T03:04:05.000006+00:00"),
    (datetime.datetime(1, 2, 3, 4, 5), "0001-02-03T04:05:00"),
    (datetime.datetime(2026, 1, 2, tzinfo=FAR), "2026-01-02T00:00:00+01:00"),
    (Moment(2026, 1, 2), "2026-01-02T00:00:00"),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.time(3, 4, 5), "03:04:05"),
    (datetime.time(3, tzinfo=datetime.timezone.utc), "03:00:00+00:00"),
    (Point(1, b"b"), [1, b"b"]),
    (Data(b"b"), {"a": b"b"}),
    (Data({Data(1).a}), {"a": [1]}),
    (Slotted(1, Point(1, 2)), {"a": 1, "b": [1, 2]}),
    (Attrs(b"b"), {"a": b"b"}),
    (Frozen(Attrs(ID)), {"a": {"a": str(ID)}}),
    (Model(a=1), {"a": 1, "color": "red", "twice": [1, 1]}),
    (
        Model(a=decimal.Decimal(1)),
        {"a": "1", "color": "red", "twice": ["1", "1"]},
    ),
    (Address(), {"url": "http://a.b/", "secret": "**********"}),
    (Root(Color.IDENTIFIED), str(ID)),
    (Struct(b"b"), {"type": "struct", "anItem": b"b"}),
    (Struct(MOMENT, 1).an_item, "2026-01-02T03:04:05.000006+00:00"),
    (
        Struct([MOMENT, decimal.Decimal(1), np.int8(1), Path("/a")]),
        {"type": "struct", "anItem": [plain(MOMENT), "1", 1, "/a"]},
    ),
    (Row(b"b", {2}), [b"b", [2]]),
    (PurePosixPath("/a/b"), "/a/b"),
    (PureWindowsPath("c:/a"), "c:\\a"),
    (types.MappingProxyType({"a": b"b"}), {"a": b"b"}),
    (UserDict({"a": ID}), {"a": str(ID)}),
    (np.int64(-1), -1),
    (np.uint8(255), 255),
    (np.float64(1.5), 1.5),
    (np.float32(1.5), 1.5),
    (np.longdouble(1.5), 1.5),
    (np.bool_(True), True),
    (np.str_("a"), "a"),
    (np.bytes_(b"b"), b"b"),
    (np.datetime64("2026-01-02"), "2026-01-02"),
    (np.datetime64("2026-01-02T03:04:05.123456789"), "2026-01-02T03:04:05.123456"),
    (np.datetime64("NaT", "us"), None),
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (np.array(5), 5),
    (np.array([1.5], dtype="longdouble"), [1.5]),
    (np.arange(6).reshape(2, 3)[:, ::2], [[0, 2], [3, 5]]),
    (np.array([b"a", b"b"]), [b"a", b"b"]),
    (np.array(["2026-01-02"], dtype="M8[ns]"), ["2026-01-02T00:00:00"]),
    (np.array([ID, {1}], dtype=object), [str(ID), [1]]),
    (np.array([(1, b"b")], dtype=[("n", "i4"), ("s", "S1")]), [[1, b"b"]]),
]
IDS = [f"{type(value).__name__}-{i}" for i, (value, _) in enumerate(VALUES)]
each_value = pytest.mark.parametrize(("value", "expected"), VALUES, ids=IDS)


def received(text: bytes, *attachments: bytes) -> Any:
    packet = decode_packet(text)
    for attachment in attachments:
        packet.add_attachment(attachment)
    assert packet.missing == 0
    return packet.data


@each_value
def test_as_json(value: Any, expected: Any) -> None:
    assert received(*encode_packet(EVENT, ["e", value])) == ["e", expected]
    deep = {"k": [value, (value,)]}
    assert received(*encode_packet(EVENT, ["e", deep])) == [
        "e",
        {"k": [expected, [expected]]},
    ]


@each_value
def test_as_json_beside_what_orjson_refuses(value: Any, expected: Any) -> None:
    found = received(*encode_packet(EVENT, ["e", {1: "\ud800"}, value]))
    assert found == ["e", {"1": "\ud800"}, expected]


@each_value
def test_as_messagepack(value: Any, expected: Any) -> None:
    packet = msgpack.unpackb(MsgPackPacket(EVENT, ["e", value]).encode())
    assert packet["data"] == ["e", expected]


@each_value
def test_in_a_packet_of_its_own(value: Any, expected: Any) -> None:
    message = Packet(EVENT, ["e", value], "/").encode()
    text, *attachments = [message] if isinstance(message, str) else message
    assert isinstance(text, str)
    assert received(text.encode(), *attachments) == ["e", expected]  # type: ignore[arg-type]


@each_value
def test_between_processes(value: Any, expected: Any) -> None:
    data, binary = pack([value])
    message = JSON.loads(JSON.dumps({"data": data, "binary": binary}))
    assert unpack(message["data"], message["binary"]) == [expected]


def test_a_dataclass_is_the_same_in_all_ways() -> None:
    data = Data(1)
    data.later = 2  # type: ignore[attr-defined]
    for value in (data, Late()):
        expected = received(*encode_packet(EVENT, ["e", value]))
        again = received(*encode_packet(EVENT, ["e", value, 2**64]))
        assert again == [*expected, 2**64]
        packet = msgpack.unpackb(MsgPackPacket(EVENT, ["e", value]).encode())
        assert packet["data"] == expected
        assert pack(["e", value]) == (expected, False)


def test_a_message_between_processes_is_of_its_moment() -> None:
    value = {"a": [1]}
    (data,), _ = pack([value])
    value["a"].append(2)
    assert data == {"a": [1]}


def test_what_no_client_gets_has_nan_as_null() -> None:
    for value in (np.float64("nan"), np.float16("inf"), np.array([np.nan])[0]):
        assert received(*encode_packet(EVENT, ["e", value])) == ["e", None]
    found = received(*encode_packet(EVENT, ["e", np.array([1, np.nan])]))
    assert found == ["e", [1, None]]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (ID, str(ID)),
        (Color.RED, "red"),
        (Number.ONE, "1"),
        (np.int64(5), "5"),
        (MOMENT, MOMENT.isoformat()),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (decimal.Decimal("1.5"), "1.5"),
        (Path("/a"), "/a"),
        (np.True_, "true"),
    ],
    ids=repr,
)
def test_keys(key: Any, expected: str) -> None:
    assert received(*encode_packet(EVENT, ["e", {key: {2}}])) == ["e", {expected: [2]}]


@pytest.mark.parametrize(
    "key",
    [Point(1, 2), Color.BINARY, frozenset([1]), np.float64("nan"), b"b"],
    ids=repr,
)
def test_keys_that_no_json_has(key: Any) -> None:
    with pytest.raises(TypeError, match="key"):
        encode_packet(EVENT, ["e", {key: 1}])


REFUSED: list[tuple[Any, str]] = [
    (object(), "object"),
    (Data, "type"),
    (Attrs, "type"),
    (Struct, "type"),
    (Model, "type"),
    (1j, "complex"),
    (np.complex64(1), "complex"),
    (np.timedelta64(1, "ns"), "timedelta64"),
    (datetime.timedelta(1), "timedelta"),
    (Data(object()), "object"),
    ({object()}, "object"),
    ((item for item in ()), "generator"),
    (len, "builtin_function_or_method"),
]


@pytest.mark.parametrize(("value", "name"), REFUSED, ids=[name for _, name in REFUSED])
def test_what_cannot_be_sent_is_named(value: Any, name: str) -> None:
    encode: Callable[[Any], Any]
    for encode in (
        lambda value: encode_packet(EVENT, ["e", value]),
        lambda value: MsgPackPacket(EVENT, ["e", value]).encode(),
        lambda value: Packet(EVENT, ["e", value], "/").encode(),
        lambda value: JSON.dumps({"data": pack([value])[0]}),
    ):
        with pytest.raises(TypeError, match=f"type {name} is not JSON serializable"):
            encode(value)


def test_what_has_itself_in_it_cannot_be_sent() -> None:
    data, struct, mapping = Data(None), Struct(None), UserDict[str, Any]()
    data.a, struct.an_item = [data], struct
    mapping["a"] = types.MappingProxyType(mapping)
    model = Model(a=None)
    model.a = model
    for value in (data, struct, mapping, model):
        for encode in (
            lambda value: encode_packet(EVENT, ["e", value]),
            lambda value: MsgPackPacket(EVENT, ["e", value]).encode(),
        ):
            with pytest.raises((TypeError, ValueError)):
                encode(value)
        with pytest.raises((TypeError, ValueError)):
            JSON.dumps({"data": pack([value])[0]})


def test_what_a_serializer_of_the_program_raises_is_raised() -> None:
    class Failing(pydantic.BaseModel):
        a: int = 1

        @pydantic.field_serializer("a")
        def refuse(self, value: int) -> int:
            raise LookupError("mine")

    with pytest.raises(Exception, match="mine"):
        encode_packet(EVENT, ["e", Failing()])


ANSWER = {"a": b"b", "s": {1}, "d": decimal.Decimal(1)}
ANSWERED = {"a": b"b", "s": [1], "d": "1"}


@pytest.mark.parametrize("serializer", ["default", "msgpack"])
async def test_from_handlers_and_to_clients(serializer: str) -> None:
    sio = socketio_fast.AsyncServer(serializer=serializer)

    @sio.event
    def several(sid: str) -> Any:
        return Data(b"b"), {1}

    @sio.event
    async def one(sid: str) -> Any:
        await sio.emit("sent", Data(b"b"), to=sid)
        await sio.emit("two", Point(Color.RED, {2}), to=sid)
        await sio.send(types.MappingProxyType(ANSWER), to=sid)
        await sio.to(sid).emit("to a room", ID)
        return Data(ANSWER)

    async with testing.client(sio) as client:
        assert await client.call("several") == ({"a": b"b"}, [1])
        assert await client.call("one") == {"a": ANSWERED}
        assert await client.expect("sent") == {"a": b"b"}
        assert await client.expect("two") == ("red", [2])
        assert await client.expect("message") == ANSWERED
        assert await client.expect("to a room") == str(ID)
        client.on("ask", lambda value: value)
        assert await sio.call("ask", Model(a=b"b"), to=client.sid) == {
            "a": b"b",
            "color": "red",
            "twice": [b"b", b"b"],
        }


def test_from_handlers_in_threads() -> None:
    sio = socketio_fast.Server()

    @sio.event
    def one(sid: str) -> Any:
        sio.emit("sent", Data(b"b"), to=sid)
        return np.array([1.5])

    with testing.client(sio) as client:
        assert client.call("one") == [1.5]
        assert client.expect("sent") == {"a": b"b"}


class Seen:
    """A JSON of the program's, which sees what reaches it."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def dumps(self, value: Any) -> str:
        self.values.append(value)
        return json.dumps(value, default=str)

    loads = staticmethod(json.loads)


def test_json_of_the_program_gets_all_as_it_is() -> None:
    seen = Seen()
    packet_class = type("Own", (Packet,), {"json": seen})
    values = [value for value, _ in VALUES]
    text = packet_class(EVENT, ["e", Data(b"b"), {1}, Point(1, 2), *values]).encode()
    # numpy's bytes are bytes.
    text = text[0] if isinstance(text, list) else text
    given = seen.values[-1]
    assert given[1] == Data(b"b")
    assert given[2] == {1}
    assert given[3] is not None
    assert type(given[3]) is Point
    for value, reached in zip(values, given[4:], strict=True):
        if not isinstance(value, (bytes, tuple)):
            assert reached is value
    assert pack([Data(b"b")], False) == ([Data(b"b")], False)


def test_messagepack_asks_the_program_first() -> None:
    def mine(value: Any) -> Any:
        if isinstance(value, uuid.UUID):
            return msgpack.ExtType(1, value.bytes)
        raise TypeError(f"mine: {type(value).__name__}")

    packet_class = MsgPackPacket.configure(dumps_default=mine)
    packet = msgpack.unpackb(packet_class(EVENT, ["e", ID, {1}]).encode())
    assert packet["data"] == ["e", msgpack.ExtType(1, ID.bytes), [1]]
    with pytest.raises(TypeError, match="mine: object"):
        packet_class(EVENT, ["e", object()]).encode()


def test_nothing_is_replaced_that_orjson_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The function for other types costs nothing where there are none."""
    from socketio_fast._core.protocol import attachments, json_text

    called: list[Any] = []
    for module in (attachments, json_text):
        monkeypatch.setattr(module, "plain", lambda value: called.append(value) or 1)
    native = ["e", 1, 1.5, "é", None, True, [1], (2,), {"k": {"l": ID}}, b"b", MOMENT]
    encode_packet(EVENT, [*native, Color.RED, Data(b"b")])
    assert called == []
    encode_packet(EVENT, ["e", {1}])
    assert called == [{1}]


def test_nothing_is_imported_for_it(tmp_path: Path) -> None:
    code = """
import sys
from socketio_fast._core.protocol.sio import encode_packet
from socketio_fast.payloads import plain
assert encode_packet(2, ["e", {1}]) == [b'2["e",[1]]']
try:
    plain(object())
except TypeError:
    pass
print(sorted({"numpy", "pydantic", "msgspec", "attrs", "attr"} & set(sys.modules)))
"""
    assert python("-c", code, cwd=tmp_path, check=True).stdout.strip() == "[]"


def test_the_table_of_the_documentation_is_right() -> None:
    """Its examples, `expression -> JSON`, are what is sent."""
    text = (DOCS / "encodings.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| `([^|]+)` \| `([^|]+)` \| [^|]+ \|$", text, re.M)
    assert len(rows) > 12
    names = {
        **{name: globals()[name] for name in ("datetime", "uuid", "np")},
        "Color": Color,
        "Point": Point,
        "Data": Data,
        "Model": pydantic.create_model("Model", a=int),
        "Struct": msgspec.defstruct("Struct", ["a"]),
        "Path": PurePosixPath,
        "MappingProxyType": types.MappingProxyType,
        "Decimal": decimal.Decimal,
    }
    for expression, form in rows:
        sent = encode_packet(EVENT, [eval(expression, names)])[0]
        assert sent.decode()[sent.index(b"[") + 1 : -1] == form
