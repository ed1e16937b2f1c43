from __future__ import annotations

import base64
from typing import Any

import pytest

from socketio_fast._core.testing import decode_payload, encode_frames, encode_payload
from socketio_fast.exceptions import PacketError

MESSAGE, BINARY = 4, 7


@pytest.mark.parametrize(
    ("payload", "packets"),
    [
        (b"0{}", [(0, b"{}")]),
        (b"1", [(1, b"")]),
        (b"2", [(2, b"")]),
        (b"2probe", [(2, b"probe")]),
        (b"3probe", [(3, b"probe")]),
        (b"4hello", [(4, b"hello")]),
        (b"4", [(4, b"")]),
        (b"5", [(5, b"")]),
        (b"6", [(6, b"")]),
        (b"4a\x1e4b", [(4, b"a"), (4, b"b")]),
        (b"4a\x1e2\x1e4b", [(4, b"a"), (2, b""), (4, b"b")]),
        ("4€".encode(), [(4, "€".encode())]),
        (b"4\xff", [(4, b"\xff")]),  # whoever decodes the message checks it
        (b"b", [(BINARY, b"")]),
        (b"bAQIDBA==", [(BINARY, b"\x01\x02\x03\x04")]),
        (b"bAQIDBA", [(BINARY, b"\x01\x02\x03\x04")]),
        (b"4a\x1ebAA==\x1e4b", [(4, b"a"), (BINARY, b"\0"), (4, b"b")]),
        (b"4b", [(4, b"b")]),
    ],
)
def test_payload_is_decoded(payload: bytes, packets: list[tuple[int, bytes]]) -> None:
    assert decode_payload(payload) == packets


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "empty Engine.IO packet"),
        (b"\x1e", "empty Engine.IO packet"),
        (b"4a\x1e", "empty Engine.IO packet"),
        (b"\x1e4a", "empty Engine.IO packet"),
        (b"4a\x1e\x1e4b", "empty Engine.IO packet"),
        (b"7", "unknown Engine.IO packet type b'7'"),
        (b"/", "unknown Engine.IO packet type b'/'"),
        (b"abc", "unknown Engine.IO packet type b'a'"),
        (b"\0", "unknown Engine.IO packet type b'\\x00'"),
        (b"\xff", "unknown Engine.IO packet type b'\\xff'"),
        (b"B", "unknown Engine.IO packet type b'B'"),
        (b"4a\x1e9", "unknown Engine.IO packet type b'9'"),
        (b"bA", "binary Engine.IO packet is not base64 (RFC 4648)"),
        (b"bAAAAA", "binary Engine.IO packet is not base64 (RFC 4648)"),
        (b"bA===", "binary Engine.IO packet is not base64 (RFC 4648)"),
        (b"bAA==AA==", "binary Engine.IO packet is not base64 (RFC 4648)"),
        (b"bAA=A", "binary Engine.IO packet is not base64 (RFC 4648)"),
        (b"bAA\0A", "binary Engine.IO packet is not base64 (RFC 4648)"),
        (b"b\xff\xff\xff\xff", "binary Engine.IO packet is not base64 (RFC 4648)"),
    ],
)
def test_malformed_payload_names_the_rule(payload: bytes, message: str) -> None:
    with pytest.raises(PacketError) as caught:
        decode_payload(payload)
    assert str(caught.value) == message


@pytest.mark.parametrize("size", [*range(10), 57, 255, 256, 3000])
@pytest.mark.parametrize("padded", [True, False])
def test_base64_of_every_remainder(size: int, padded: bool) -> None:
    data = bytes(n * 37 % 256 for n in range(size))
    packet = b"b" + base64.b64encode(data)
    if not padded:
        packet = packet.rstrip(b"=")
    assert decode_payload(packet) == [(BINARY, data)]


# What Buffer.from(text, "base64") of Node.js gives for them.
@pytest.mark.parametrize(
    ("text", "data"),
    [
        (b"AQIDBA==\n", b"\1\2\3\4"),
        (b"AQID\r\nBA==\r\n", b"\1\2\3\4"),
        (b" A Q\tI=", b"\1\2"),
        (b"AQIDBAUGBwgJCgsM\nDQ4P==", bytes(range(1, 16))),
        (b"_-8=", b"\xff\xef"),
        (b"-_-_", b"\xfb\xff\xbf"),
        (b"AQI=====", b"\1\2"),
        (b"\n", b""),
        (b"=", b""),
    ],
)
def test_base64_as_encoders_in_the_field_write_it(text: bytes, data: bytes) -> None:
    assert decode_payload(b"b" + text + b"\x1eb" + text) == [(BINARY, data)] * 2


@pytest.mark.parametrize("size", [57, 58, 59, 1000, 5000])
def test_base64_in_lines_of_76_characters(size: int) -> None:
    data = bytes(n * 37 % 256 for n in range(size))
    lines = base64.encodebytes(data)
    assert lines.count(b"\n") > 1 or size == 57
    for text in (lines, lines.replace(b"\n", b"\r\n")):
        assert decode_payload(b"b" + text) == [(BINARY, data)]


@pytest.mark.parametrize(
    ("packets", "payload"),
    [
        ([], b""),
        ([b"4a"], b"4a"),
        ([b"4a", b"2", b"bAA=="], b"4a\x1e2\x1ebAA=="),
        ([b"4" + b"x" * 70000, b"6"], b"4" + b"x" * 70000 + b"\x1e6"),
    ],
)
def test_payload_is_encoded(packets: list[bytes], payload: bytes) -> None:
    assert encode_payload(packets) == payload


@pytest.mark.parametrize("packet", ["4a", bytearray(b"4a"), 4])
def test_payload_of_something_else_than_bytes(packet: Any) -> None:
    with pytest.raises(TypeError):
        encode_payload([b"2", packet])


# RFC 6455, section 5.2: 7, 16 and 64 bits of length, never more than needed.
@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x00"),
        (1, b"\x01"),
        (125, b"\x7d"),
        (126, b"\x7e\x00\x7e"),
        (65535, b"\x7e\xff\xff"),
        (65536, b"\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_length_of_a_frame(size: int, head: bytes) -> None:
    data = b"x" * size
    assert encode_frames(data) == b"\x81" + head + data
    assert encode_frames(None, [data]) == b"\x82" + head + data


def test_frames_of_a_packet_and_its_attachments() -> None:
    assert encode_frames(b"451-[]", [b"\1", b"", b"\3\4"]) == (
        b"\x81\x06451-[]\x82\x01\1\x82\x00\x82\x02\3\4"
    )


def test_no_packet_has_no_frame() -> None:
    assert encode_frames() == encode_frames(None, []) == b""
