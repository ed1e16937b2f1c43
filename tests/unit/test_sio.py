from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
import uuid
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any

import pytest
from support.processes import python

from socketio_fast._core.protocol.sio import Packet, decode_packet, encode_packet
from socketio_fast.exceptions import LimitError, PacketError

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)
MAX_ID = 2**53 - 1


def fields(packet: Packet) -> tuple[int, str, int, Any]:
    return packet.type, packet.namespace, packet.id, packet.data


# --- decoding -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", (CONNECT, "/", -1, None)),
        ('0{"token":1}', (CONNECT, "/", -1, {"token": 1})),
        ("0{}", (CONNECT, "/", -1, {})),
        ("0/admin,", (CONNECT, "/admin", -1, None)),
        ("0/admin", (CONNECT, "/admin", -1, None)),
        ('0/admin,{"a":1}', (CONNECT, "/admin", -1, {"a": 1})),
        ("0/,{}", (CONNECT, "/", -1, {})),
        ("0/a/b c-1,", (CONNECT, "/a/b c-1", -1, None)),
        ("0/é€𝄞,", (CONNECT, "/é€𝄞", -1, None)),
        ("1", (DISCONNECT, "/", -1, None)),
        ("1/admin,", (DISCONNECT, "/admin", -1, None)),
        ('2["a"]', (EVENT, "/", -1, ["a"])),
        ('2["a",1,{"b":[null,true]}]', (EVENT, "/", -1, ["a", 1, {"b": [None, True]}])),
        ('20["a"]', (EVENT, "/", 0, ["a"])),
        ('212["a"]', (EVENT, "/", 12, ["a"])),
        ('2007["a"]', (EVENT, "/", 7, ["a"])),
        (f'2{MAX_ID}["a"]', (EVENT, "/", MAX_ID, ["a"])),
        ('2/admin,["a"]', (EVENT, "/admin", -1, ["a"])),
        ('2/admin,456["a"]', (EVENT, "/admin", 456, ["a"])),
        ('2/1,2["a"]', (EVENT, "/1", 2, ["a"])),
        ('2["é€𝄞"]', (EVENT, "/", -1, ["é€𝄞"])),
        ('2[1,"a"]', (EVENT, "/", -1, [1, "a"])),
        ("2[1.5]", (EVENT, "/", -1, [1.5])),
        ('2[""]', (EVENT, "/", -1, [""])),
        ('2 ["a"]', (EVENT, "/", -1, ["a"])),
        ("3[]", (ACK, "/", -1, [])),
        ("312[]", (ACK, "/", 12, [])),
        ('3/admin,456["x",null]', (ACK, "/admin", 456, ["x", None])),
        ('4{"message":"no"}', (CONNECT_ERROR, "/", -1, {"message": "no"})),
        ('4"no"', (CONNECT_ERROR, "/", -1, "no")),
        ("4", (CONNECT_ERROR, "/", -1, None)),
        ('4/a,{"message":"no"}', (CONNECT_ERROR, "/a", -1, {"message": "no"})),
    ],
)
def test_every_form_of_a_head(text: str, expected: tuple[int, str, int, Any]) -> None:
    packet = decode_packet(text.encode())
    assert fields(packet) == expected
    assert packet.missing == 0


@pytest.mark.parametrize(
    ("text", "expected", "missing"),
    [
        ('51-["a",{"_placeholder":true,"num":0}]', (EVENT, "/", -1), 1),
        ('52-/admin,7["a"]', (EVENT, "/admin", 7), 2),
        ('510-["a"]', (EVENT, "/", -1), 10),
        ("501-[1]", (EVENT, "/", -1), 1),
        ("61-[]", (ACK, "/", -1), 1),
        ("61-12[]", (ACK, "/", 12), 1),
        ("63-/admin,12[]", (ACK, "/admin", 12), 3),
    ],
)
def test_binary_packets_await_their_attachments(
    text: str, expected: tuple[int, str, int], missing: int
) -> None:
    packet = decode_packet(text.encode())
    assert fields(packet)[:3] == expected
    assert packet.missing == missing


def refused(packet: bytes, **options: Any) -> PacketError:
    with pytest.raises(PacketError) as caught:
        decode_packet(packet, **options)
    return caught.value


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (b"", "unknown Socket.IO packet type: b''"),
        (b"7", "unknown Socket.IO packet type: b'7'"),
        (b"9[]", "unknown Socket.IO packet type: b'9[]'"),
        (b'["a"]', "unknown Socket.IO packet type: b'[\"a\"]'"),
        (b"/", "unknown Socket.IO packet type: b'/'"),
        (b"\0", "unknown Socket.IO packet type: b'\\x00'"),
        (b"\xb2", "unknown Socket.IO packet type: b'\\xb2'"),
        (b"x" * 40, f"unknown Socket.IO packet type: {b'x' * 32!r}"),
        (b"5", "illegal attachment count: b'5'"),
        (b"51", "illegal attachment count: b'51'"),
        (b'5["a"]', "illegal attachment count: b'5[\"a\"]'"),
        (b'5-["a"]', "illegal attachment count: b'5-[\"a\"]'"),
        (b'5a-["a"]', "illegal attachment count: b'5a-[\"a\"]'"),
        (b'51.5-["a"]', "illegal attachment count: b'51.5-[\"a\"]'"),
        (b'5-1-["a"]', "illegal attachment count: b'5-1-[\"a\"]'"),
        (b"6[]", "illegal attachment count: b'6[]'"),
        (
            b'512345678901-["a"]',
            "illegal attachment count: b'512345678901-[\"a\"]'",
        ),
        (b'50-["a"]', "binary packet without attachments"),
        (b"60-[]", "binary packet without attachments"),
        (
            b'29007199254740992["a"]',
            "ack id exceeds 2^53 - 1: b'29007199254740992[\"a\"]'",
        ),
        (b"3" + b"9" * 40, f"ack id exceeds 2^53 - 1: {b'3' + b'9' * 31!r}"),
        (b"2", "EVENT or ACK packet without data"),
        (b"212", "EVENT or ACK packet without data"),
        (b"2/admin,", "EVENT or ACK packet without data"),
        (b"2/admin", "EVENT or ACK packet without data"),
        (b"3", "EVENT or ACK packet without data"),
        (b"312", "EVENT or ACK packet without data"),
        (b"51-", "EVENT or ACK packet without data"),
        (b"2[]", "EVENT payload is not an array that starts with a name"),
        (b"2{}", "EVENT payload is not an array that starts with a name"),
        (b'2"a"', "EVENT payload is not an array that starts with a name"),
        (b"2null", "EVENT payload is not an array that starts with a name"),
        (b"2[null]", "EVENT payload is not an array that starts with a name"),
        (b"2[true]", "EVENT payload is not an array that starts with a name"),
        (b"2[[]]", "EVENT payload is not an array that starts with a name"),
        (b"2[{}]", "EVENT payload is not an array that starts with a name"),
        (
            b'51-[{"_placeholder":true,"num":0}]',
            "EVENT payload is not an array that starts with a name",
        ),
        (b"3{}", "ACK payload is not an array"),
        (b'3"a"', "ACK payload is not an array"),
        (b"3null", "ACK payload is not an array"),
        (b"61-{}", "ACK payload is not an array"),
        (b"0[]", "CONNECT payload is not an object"),
        (b'0"a"', "CONNECT payload is not an object"),
        (b"0null", "CONNECT payload is not an object"),
        (b"0/a,true", "CONNECT payload is not an object"),
        (b"4[]", "CONNECT_ERROR payload is neither object nor string"),
        (b"4null", "CONNECT_ERROR payload is neither object nor string"),
        (b"1{}", "DISCONNECT packet with a payload"),
        (b'1/admin,"a"', "DISCONNECT packet with a payload"),
        (b"1null", "DISCONNECT packet with a payload"),
        (b"2[", "payload is not JSON: b'['"),
        (b'2["a"', "payload is not JSON: b'[\"a\"'"),
        (b'2["a"]]', "payload is not JSON: b'[\"a\"]]'"),
        (b"2['a']", "payload is not JSON: b\"['a']\""),
        (b'2["a",NaN]', "payload is not JSON: b'[\"a\",NaN]'"),
        (b'2["a",01]', "payload is not JSON: b'[\"a\",01]'"),
        (b'2-1["a"]', "payload is not JSON: b'-1[\"a\"]'"),
        (b'2admin,["a"]', "payload is not JSON: b'admin,[\"a\"]'"),
        (b'2["\x00"]', "payload is not JSON: b'[\"\\x00\"]'"),
        (b"2[" + b"x" * 100, f"payload is not JSON: {b'[' + b'x' * 63!r}"),
        (
            b"2" + b"[" * 2000 + b"]" * 2000,
            f"payload is not JSON: {b'[' * 64!r}",
        ),
    ],
)
def test_malformed_packet_names_rule_and_value(packet: bytes, message: str) -> None:
    error = refused(packet)
    assert str(error) == message
    assert type(error) is PacketError
    assert error.code is None


@pytest.mark.parametrize(
    "name",
    [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ],
)
def test_reserved_event_name(name: str) -> None:
    assert str(refused(f'2["{name}"]'.encode())) == f"reserved event name {name!r}"
    assert str(refused(f'51-["{name}"]'.encode())) == f"reserved event name {name!r}"


def test_other_names_are_not_reserved() -> None:
    for name in ("Connect", "connected", "message", "error", "*", "__proto__"):
        assert decode_packet(f'2["{name}"]'.encode()).data == [name]


def test_names_are_kept_and_not_mixed_up() -> None:
    """A name that comes again is the same object, however many came meanwhile."""
    names = [
        a + b + c * n for a in "ab" for b in "cdefg" for c in "xyz" for n in range(40)
    ]
    for _ in range(2):
        for name in names:
            for size in ("", ',"x"', ",1"):
                data = decode_packet(f'2["{name}"{size}]'.encode()).data
                assert data[0] == name
    first, again = (decode_packet(b'2["again"]').data[0] for _ in range(2))
    assert first is again
    first, again = (decode_packet(b'3["again"]').data[0] for _ in range(2))
    assert first is not again


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (b'2["\xff"]', "text is not UTF-8"),
        (b'2["\xc0\x80"]', "text is not UTF-8"),
        (b'2["\xed\xa0\x80"]', "text is not UTF-8"),
        (b'2["\xe2\x82', "text is not UTF-8"),
        (b'2["' + b"a" * 2000 + b'\xff"]', "text is not UTF-8"),
        (b"2/\xff,[]", "namespace is not UTF-8"),
        (b"0/a\xe2\x82,", "namespace is not UTF-8"),
    ],
)
def test_bad_utf_8_has_its_close_code(packet: bytes, message: str) -> None:
    error = refused(packet)
    assert str(error) == message
    assert error.code == 1007


def test_a_long_payload_is_read_like_a_short_one() -> None:
    for size in (1015, 1016, 1017, 5000):
        data = ["a", "é" * size]
        text = b"2" + json.dumps(data, ensure_ascii=False).encode()
        assert decode_packet(text).data == data


def test_too_many_attachments() -> None:
    error = refused(b'511-["a"]')
    assert type(error) is LimitError
    assert str(error) == "attachment count 11 exceeds max_attachments=10"
    assert decode_packet(b'511-["a"]', 11).missing == 11
    assert str(refused(b'51-["a"]', max_attachments=0)) == (
        "attachment count 1 exceeds max_attachments=0"
    )
    assert str(refused(b'59999999999-["a"]')) == (
        "attachment count 9999999999 exceeds max_attachments=10"
    )


def test_attachments_take_their_places() -> None:
    packet = decode_packet(
        b'52-["a",{"_placeholder":true,"num":1},'
        b'{"b":[{"_placeholder":true,"num":0}],"c":1}]'
    )
    assert packet.add_attachment(b"first") is False
    assert packet.missing == 1
    assert packet.add_attachment(b"second") is True
    assert packet.missing == 0
    assert packet.data == ["a", b"second", {"b": [b"first"], "c": 1}]


def test_one_attachment_in_two_places_and_one_in_none() -> None:
    packet = decode_packet(
        b'52-["a",{"_placeholder":true,"num":0},{"num":0,"_placeholder":true}]'
    )
    packet.add_attachment(b"x")
    packet.add_attachment(b"y")
    assert packet.data == ["a", b"x", b"x"]


def test_attachments_of_an_acknowledgement() -> None:
    packet = decode_packet(b'61-3[{"_placeholder":true,"num":0}]')
    packet.add_attachment(b"x")
    assert fields(packet) == (ACK, "/", 3, [b"x"])


@pytest.mark.parametrize(
    "lookalike",
    [
        '{"_placeholder":false,"num":0}',
        '{"_placeholder":1,"num":0}',
        '{"_placeholder":"true","num":0}',
        '{"placeholder":true,"num":0}',
        '{"num":0}',
    ],
)
def test_what_is_not_a_placeholder_stays(lookalike: str) -> None:
    packet = decode_packet(f'51-["a",{lookalike}]'.encode())
    packet.add_attachment(b"x")
    assert packet.data == ["a", json.loads(lookalike)]


def test_placeholders_of_a_packet_without_attachments_stay() -> None:
    data = ["a", {"_placeholder": True, "num": 0}]
    assert decode_packet(b"2" + json.dumps(data).encode()).data == data


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("1", "1"),
        ("-1", "-1"),
        ("0.0", "0.0"),
        ("true", "True"),
        ("null", "None"),
        ('"0"', "'0'"),
        ("[]", "[]"),
        ("99999999999999999999", "1e+20"),
        (f'"{"x" * 100}"', "'" + "x" * 31),
    ],
)
def test_illegal_attachment_number(number: str, shown: str) -> None:
    packet = decode_packet(f'51-["a",{{"_placeholder":true,"num":{number}}}]'.encode())
    with pytest.raises(PacketError) as caught:
        packet.add_attachment(b"x")
    assert str(caught.value) == f"illegal attachment number {shown}"


def test_placeholder_without_a_number() -> None:
    packet = decode_packet(b'51-["a",{"_placeholder":true}]')
    with pytest.raises(PacketError, match="illegal attachment number None"):
        packet.add_attachment(b"x")


def test_one_attachment_too_many() -> None:
    packet = decode_packet(b'51-["a",{"_placeholder":true,"num":0}]')
    packet.add_attachment(b"x")
    with pytest.raises(PacketError, match="that no packet has announced"):
        packet.add_attachment(b"y")
    with pytest.raises(PacketError, match="that no packet has announced"):
        decode_packet(b'2["a"]').add_attachment(b"y")


def test_placeholders_as_deep_as_json_may_be() -> None:
    depth = 1000
    packet = decode_packet(
        b'51-["a",'
        + b"[" * depth
        + b'{"_placeholder":true,"num":0}'
        + b"]" * depth
        + b"]"
    )
    packet.add_attachment(b"x")
    found = packet.data[1]
    for _ in range(depth):
        (found,) = found
    assert found == b"x"


def test_packets_are_made_by_decoding_only() -> None:
    with pytest.raises(TypeError, match="use decode_packet"):
        Packet()


# --- encoding -------------------------------------------------------------------


def one(data: Any) -> str:
    """The JSON of an argument that has no attachments."""
    (text,) = encode_packet(EVENT, ["e", data])
    assert text.startswith(b'2["e",')
    assert text.endswith(b"]")
    return text[len(b'2["e",') : -1].decode()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((CONNECT, {"sid": "x"}), b'0{"sid":"x"}'),
        ((CONNECT, {"sid": "x"}, "/a"), b'0/a,{"sid":"x"}'),
        ((DISCONNECT,), b"1"),
        ((DISCONNECT, None, "/a"), b"1/a,"),
        ((EVENT, ["a", 1]), b'2["a",1]'),
        ((EVENT, ["a"], "/", 0), b'20["a"]'),
        ((EVENT, ["a"], "/", 12), b'212["a"]'),
        ((EVENT, ["a"], "/", MAX_ID), b'29007199254740991["a"]'),
        ((EVENT, ["a"], "/é"), '2/é,["a"]'.encode()),
        ((EVENT, ["a"], "/" + "n" * 500), b"2/" + b"n" * 500 + b',["a"]'),
        ((EVENT, ["a"], "/a", 3), b'2/a,3["a"]'),
        ((ACK, [], "/", 3), b"33[]"),
        ((ACK, ["x"], "/a", 3), b'3/a,3["x"]'),
        ((CONNECT_ERROR, {"message": "no"}), b'4{"message":"no"}'),
    ],
)
def test_every_form_of_a_head_is_written(
    arguments: tuple[Any, ...], text: bytes
) -> None:
    assert encode_packet(*arguments) == [text]


@pytest.mark.parametrize(
    ("arguments", "packet"),
    [
        (
            (EVENT, ["a", b"x"]),
            [b'51-["a",{"_placeholder":true,"num":0}]', b"x"],
        ),
        (
            (EVENT, ["a", b"x"], "/a", 7),
            [b'51-/a,7["a",{"_placeholder":true,"num":0}]', b"x"],
        ),
        (
            (ACK, [b"x", {"k": [b""]}], "/", 7),
            [
                b'62-7[{"_placeholder":true,"num":0},'
                b'{"k":[{"_placeholder":true,"num":1}]}]',
                b"x",
                b"",
            ],
        ),
        (
            (EVENT, ["a", bytearray(b"x"), memoryview(b"yz")[1:]]),
            [
                b'52-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
                b"x",
                b"z",
            ],
        ),
    ],
)
def test_bytes_become_attachments(
    arguments: tuple[Any, ...], packet: list[bytes]
) -> None:
    encoded = encode_packet(*arguments)
    assert encoded == packet
    assert {type(part) for part in encoded} == {bytes}


def test_an_attachment_is_a_copy_of_what_can_change() -> None:
    data = bytearray(b"before")
    encoded = encode_packet(EVENT, ["a", data])
    data[:] = b"after!"
    assert encoded[1] == b"before"


def test_more_attachments_than_a_digit() -> None:
    encoded = encode_packet(EVENT, ["a", *([b"x"] * 1234)], "/", 5)
    assert encoded[0].startswith(b'51234-5["a",')
    assert len(encoded) == 1235


@pytest.mark.parametrize("kind", [CONNECT, CONNECT_ERROR])
def test_packets_that_have_no_binary_form(kind: int) -> None:
    with pytest.raises(TypeError, match="only events and acknowledgements"):
        encode_packet(kind, {"a": b"x"})


class Text(str):
    __slots__ = ()


class Data(bytes):
    pass


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


Point = namedtuple("Point", "x y")


@dataclasses.dataclass
class Person:
    name: str
    age: int


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("é€𝄞", '"é€𝄞"'),
        ("\u2028\x1e\0", '"\u2028\\u001e\\u0000"'),
        (math.nan, "null"),
        (math.inf, "null"),
        (-math.inf, "null"),
        (2**64 - 1, "18446744073709551615"),
        (-(2**63), "-9223372036854775808"),
        ((1, 2), "[1,2]"),
        (Person("Ada", 36), '{"name":"Ada","age":36}'),
        (datetime.date(2024, 2, 29), '"2024-02-29"'),
        (
            datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=datetime.timezone.utc),
            '"2024-02-29T01:02:03+00:00"',
        ),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, '"red"'),
        (Level.LOW, "1"),
        (Text("a"), '"a"'),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
    ],
)
def test_what_orjson_knows(value: Any, text: str) -> None:
    assert one(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**64, "18446744073709551616"),
        (-(2**63) - 1, "-9223372036854775809"),
        (10**40, "1" + "0" * 40),
        ({1: "a"}, '{"1":"a"}'),
        ({None: 1, True: 2, 1.5: 3}, '{"null":1,"true":2,"1.5":3}'),
        ({Text("k"): 1}, '{"k":1}'),
        (Point(1, 2), "[1,2]"),
        ("\ud800", '"\\ud800"'),
        (["é", "\udfff"], '["é","\\udfff"]'),
    ],
)
def test_what_orjson_refuses_falls_back(value: Any, text: str) -> None:
    assert one(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("é€𝄞", '"é€𝄞"'),
        (math.nan, "null"),
        ((1, (math.inf,)), "[1,[null]]"),
        (Person("Ada", 36), '{"name":"Ada","age":36}'),
        (datetime.date(2024, 2, 29), '"2024-02-29"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, '"red"'),
        (Level.LOW, "1"),
        (Text("a"), '"a"'),
    ],
)
def test_the_fallback_writes_the_rest_as_orjson_does(value: Any, text: str) -> None:
    assert one([2**64, value]) == f"[18446744073709551616,{text}]"


def test_the_fallback_finds_attachments_once() -> None:
    assert encode_packet(EVENT, ["a", b"x", {1: [bytearray(b"y"), Data(b"z")]}]) == [
        b'53-["a",{"_placeholder":true,"num":0},'
        b'{"1":[{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]}]',
        b"x",
        b"y",
        b"z",
    ]


@pytest.mark.parametrize(
    "value",
    [
        Person("Ada", 2**64),
        Person("\ud800", 1),
        [2**64, Person(b"x", 1)],  # type: ignore[arg-type]
    ],
    ids=["long integer", "surrogate", "bytes"],
)
def test_the_fallback_reaches_into_dataclasses(value: Any) -> None:
    text, *attachments = encode_packet(EVENT, ["a", value])
    found = json.loads(text[text.index(b"[") :])[1]
    if attachments:
        assert attachments == [b"x"]
        assert found == [
            2**64,
            {"name": {"_placeholder": True, "num": 0}, "age": 1},
        ]
    else:
        assert found == dataclasses.asdict(value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (object(), "object"),
        (1j, "complex"),
        (datetime.timedelta(1), "timedelta"),
        ([2**64, object()], "object"),
    ],
)
def test_what_nothing_can_serialise_is_named(value: Any, name: str) -> None:
    with pytest.raises(TypeError, match=name):
        encode_packet(EVENT, ["a", value])


@pytest.mark.parametrize(
    "value", [{(1, 2): 3}, {b"k": 1}, {math.nan: 1}], ids=["tuple", "bytes", "nan"]
)
def test_keys_that_json_does_not_have(value: Any) -> None:
    with pytest.raises(TypeError):
        encode_packet(EVENT, ["a", value])


def test_nesting_that_orjson_refuses() -> None:
    value: list[Any] = []
    for _ in range(500):
        value = [value]
    assert one(value) == "[" * 501 + "]" * 501


def test_what_may_come_in_may_go_out() -> None:
    """An echo must not fail for what a client sent."""
    text = b'2["a",' + b"[" * 1000 + b"]" * 1000 + b"]"
    assert encode_packet(EVENT, decode_packet(text).data) == [text]


@pytest.mark.parametrize("what", ["cycle", "depth"])
def test_data_without_end_is_an_error_and_not_the_end(
    what: str, tmp_path: Path
) -> None:
    """In a process of its own: it would take this one with it."""
    program = (
        "from socketio_fast._core.protocol.sio import encode_packet\n"
        "a = []\n"
        + ("a.append(a)\n" if what == "cycle" else "for _ in range(200_000): a = [a]\n")
        + "try:\n"
        "    encode_packet(2, ['e', a])\n"
        "except (TypeError, ValueError, RecursionError) as exc:\n"
        "    print('refused')\n"
    )
    done = python("-c", program, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
