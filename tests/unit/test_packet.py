"""The packet class of Socket.IO, held against python-socketio's."""

from __future__ import annotations

import json
from typing import Any

import pytest
import socketio.packet

from socketio_fast import packet as ours
from socketio_fast.exceptions import PacketError
from socketio_fast.packet import ACK, CONNECT, DISCONNECT, EVENT, Packet

THEIRS = socketio.packet.Packet
CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = 4, 5, 6


def fields(packet: Any) -> tuple[Any, ...]:
    return (
        packet.packet_type,
        packet.namespace,
        packet.id,
        packet.data,
        packet.attachment_count,
    )


def test_constants() -> None:
    assert ours.packet_names == socketio.packet.packet_names
    for name in ours.packet_names:
        assert getattr(ours, name) == getattr(socketio.packet, name)


# --- encode ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"packet_type": CONNECT},
        {"packet_type": CONNECT, "data": {"sid": "x"}},
        {"packet_type": CONNECT, "data": {"sid": "x"}, "namespace": "/chat"},
        {"packet_type": DISCONNECT, "namespace": "/"},
        {"packet_type": DISCONNECT, "namespace": "/chat"},
        {"packet_type": CONNECT_ERROR, "data": {"message": "no"}},
        {"packet_type": CONNECT_ERROR, "data": "no"},
        {"data": ["a"]},
        {"data": ["a", 1, 2.5, None, True, {"b": ["c"]}]},
        {"data": ["a"], "id": 0},
        {"data": ["a"], "namespace": "/chat", "id": 17},
        {"data": ["a", b"1", {"b": b"2"}, [[b"3"]]]},
        {"data": ["a", b"1"], "namespace": "/chat", "id": 17},
        {"data": ["a", b""], "binary": True},
        {"packet_type": ACK, "data": [], "id": 3},
        {"packet_type": ACK, "data": [b"x", "y"], "id": 3, "namespace": "/n"},
        {"data": ["a", bytearray(b"1")]},
    ],
)
def test_encoded_as_python_socketio_does(arguments: dict[str, Any]) -> None:
    theirs, own = THEIRS(**arguments), Packet(**arguments)
    assert own.packet_type == theirs.packet_type
    assert own.encode() == theirs.encode()
    assert own.encode() == theirs.encode(), "a second time"


@pytest.mark.parametrize(
    ("arguments", "theirs", "ours"),
    [
        # Text is UTF-8, not escaped to ASCII.
        ({"data": ["é"]}, '2["\\u00e9"]', '2["é"]'),
        # NaN and infinities are not JSON.
        ({"data": ["a", float("nan")]}, '2["a",NaN]', '2["a",null]'),
        # A binary packet has attachments.
        ({"data": ["a"], "binary": True}, ["50-" + '["a"]'], ['2["a"]']),
    ],
)
def test_encoded_unlike_python_socketio_does(
    arguments: dict[str, Any], theirs: Any, ours: Any
) -> None:
    assert THEIRS(**arguments).encode() == theirs
    assert Packet(**arguments).encode() == ours


@pytest.mark.parametrize(
    "data", [["a", (1, b"2")], ["a", memoryview(b"2")], ["a", {"b": (b"2",)}]]
)
def test_bytes_that_python_socketio_does_not_find(data: Any) -> None:
    with pytest.raises(TypeError):
        THEIRS(EVENT, data).encode()
    text, attachment = Packet(EVENT, data).encode()
    assert isinstance(text, str)
    assert text.startswith('51-["a",')
    assert attachment == b"2"


@pytest.mark.parametrize("packet_type", [CONNECT, DISCONNECT, CONNECT_ERROR])
def test_packets_that_cannot_have_bytes(packet_type: int) -> None:
    for cls in (THEIRS, Packet):
        with pytest.raises(ValueError, match="does not support binary payload"):
            cls(packet_type, {"a": b"b"})


def test_bytes_that_were_denied() -> None:
    for cls in (THEIRS, Packet):
        with pytest.raises(TypeError):
            cls(EVENT, ["a", b"b"], binary=False).encode()


def test_what_is_not_json() -> None:
    for cls in (THEIRS, Packet):
        with pytest.raises(TypeError):
            cls(EVENT, ["a", object()]).encode()


# --- decode ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("0", "0{}", '0{"a":1}', "0/chat,", '0/chat,{"a":1}', "1", "1/chat,"),
        *('2["a"]', '2["a",1,{"b":null}]', '217["a"]', '2/chat,17["a"]', '2["é😀"]'),
        *('2["a",1.5,true,"\\u00e9\\n"]', '2[1,"a"]'),
        *("3[]", "312[]", '3/chat,12["a",{}]', '4{"message":"no"}', '4"no"'),
        '51-["a",{"_placeholder":true,"num":0}]',
        '51-/chat,3["a",{"b":[{"_placeholder":true,"num":0}]}]',
        '62-3[{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]',
        '52-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
    ],
)
def test_decoded_as_python_socketio_does(text: str) -> None:
    theirs, own = THEIRS(encoded_packet=text), Packet(encoded_packet=text)
    assert fields(own) == fields(theirs)
    for number in range(theirs.attachment_count):
        data = bytes([number]) * 3
        assert own.add_attachment(data) == theirs.add_attachment(data)
    assert fields(own) == fields(theirs)
    for packet in (theirs, own):
        with pytest.raises(ValueError, match="Unexpected binary attachment"):
            packet.add_attachment(b"one too many")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        # What no client may send is refused here; python-socketio hands it on.
        ('2["disconnect"]', "reserved event name"),
        ('2["connect",{}]', "reserved event name"),
        ('2{"a":1}', "EVENT payload is not an array"),
        ("2[]", "EVENT payload is not an array"),
        ("2", "without data"),
        ("3", "without data"),
        ('3{"a":1}', "ACK payload is not an array"),
        ("0[]", "CONNECT payload is not an object"),
        ("4[]", "CONNECT_ERROR payload"),
        ('1"x"', "DISCONNECT packet with a payload"),
        ('2["a",NaN]', "payload is not JSON"),
        ('50-["a"]', "without attachments"),
        ("9", "unknown Socket.IO packet type"),
        ("5[]", "illegal attachment count"),
        ("29007199254740992[]", "ack id exceeds"),
    ],
)
def test_refused_unlike_python_socketio_does(text: str, rule: str) -> None:
    THEIRS(encoded_packet=text)
    with pytest.raises(PacketError, match=rule):
        Packet(encoded_packet=text)


@pytest.mark.parametrize("text", ["x", '2["a"', "2[", "2" + "1" * 101 + "[]"])
def test_refused_by_both(text: str) -> None:
    for cls in (THEIRS, Packet):
        with pytest.raises(ValueError):
            cls(encoded_packet=text)


@pytest.mark.parametrize(
    ("text", "theirs", "ours"),
    [
        ("0/chat?a=1,", "/chat", "/chat?a=1"),  # a query string is of revision 4
        ("2/,[1]", "/", None),
    ],
)
def test_namespace_unlike_python_socketios(text: str, theirs: Any, ours: Any) -> None:
    assert THEIRS(encoded_packet=text).namespace == theirs
    assert Packet(encoded_packet=text).namespace == ours


@pytest.mark.parametrize("number", ["1", "-1", '"0"', "null", "true"])
def test_illegal_placeholder(number: str) -> None:
    packet = Packet(encoded_packet=f'51-["a",{{"_placeholder":true,"num":{number}}}]')
    with pytest.raises(PacketError, match="illegal attachment number"):
        packet.add_attachment(b"x")


def test_bytes_are_no_packet() -> None:
    with pytest.raises(
        PacketError, match="binary message that no packet has announced"
    ):
        Packet(encoded_packet=b"2[]")


# --- taking apart and putting together ------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        ["a", b"1"],
        {"a": {"b": [b"1", 2, {"c": b"3"}]}},
        b"alone",
        ["nothing", {"binary": [1]}],
        "text",
        None,
    ],
)
def test_deconstructed_as_python_socketio_does(data: Any) -> None:
    before = repr(data)
    found = Packet.deconstruct_binary(data)
    assert found == THEIRS.deconstruct_binary(data)
    assert repr(data) == before, "what was given is not changed"
    assert Packet.data_is_binary(data) == THEIRS.data_is_binary(data)
    assert THEIRS.reconstruct_binary(*found) == data
    assert Packet.reconstruct_binary(*found) == data


def test_what_has_no_bytes_is_not_copied() -> None:
    plain = {"a": [1]}
    data = ["x", plain, b"1"]
    (_, same, placeholder), attachments = Packet.deconstruct_binary(data)
    assert same is plain
    assert placeholder == {"_placeholder": True, "num": 0}
    assert attachments == [b"1"]
    assert Packet.deconstruct_binary(plain)[0] is plain


def test_data_without_end() -> None:
    data: list[Any] = []
    data.append(data)
    with pytest.raises(TypeError, match="nested more than 1100 levels deep"):
        Packet(EVENT, data)


# --- subclasses -----------------------------------------------------------------


class Shouting:
    """JSON whose strings are in capitals on the wire."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        return json.dumps(value, separators=(",", ":")).upper().encode()

    @staticmethod
    def loads(text: str) -> Any:
        return json.loads(text.lower())


def test_json_of_a_subclass() -> None:
    class Own(Packet):
        json = Shouting

    assert Own(EVENT, ["a"], "/chat", 3).encode() == '2/chat,3["A"]'
    assert Own(encoded_packet='2["A"]').data == ["a"]
    assert Packet(EVENT, ["a"]).encode() == '2["a"]'
    Own.json = json
    assert Own(EVENT, ["a"]).encode() == '2["a"]'


def test_a_subclass_without_attachments() -> None:
    class Own(Packet):
        uses_binary_events = False

        def encode(self) -> bytes:
            return repr(self.data).encode()

    assert Own(EVENT, ["a", b"b"]).packet_type == EVENT
    assert Own(CONNECT, {"a": b"b"}).encode() == b"{'a': b'b'}"


@pytest.mark.parametrize("count", [10, 10_000])
def test_attachments_of_a_packet_whose_text_is_long(count: int) -> None:
    text, *attachments = Packet(EVENT, data=["e", "x" * count, b"1"]).encode()
    packet = Packet(encoded_packet=text)
    assert packet.data[:2] == ["e", "x" * count]
    assert packet.add_attachment(attachments[0])
    assert packet.data == ["e", "x" * count, b"1"]
