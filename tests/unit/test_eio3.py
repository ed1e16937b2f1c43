"""P3: payloads and binary messages of Engine.IO revision 3, bytes in and bytes out."""

from __future__ import annotations

import pytest

from socketio_fast._core.protocol.outgoing import (
    event_packet,
    message_packet,
    raw_packet,
)
from socketio_fast._core.testing import (
    decode_payload_3,
    encode_payload_3,
    render,
    render_frames,
)
from socketio_fast.exceptions import PacketError

# outgoing.Rendering
FRAMES, FRAMES_BASE64, MESSAGES, MESSAGES_BASE64, TEXT, BINARY = range(6)

TEXTS = [
    (b"4hello", b"6:4hello"),
    (b"2", b"1:2"),
    (b"", b"0:"),
    ("4é".encode(), "2:4é".encode()),
    ("4☃".encode(), "2:4☃".encode()),
    # Two UTF-16 code units, as JavaScript counts.
    ("4😀".encode(), "3:4😀".encode()),
    (b"4" + b"x" * 12345, b"12346:4" + b"x" * 12345),
]


@pytest.mark.parametrize(("packet", "payload"), TEXTS)
def test_text(packet: bytes, payload: bytes) -> None:
    """P3: a length is counted in UTF-16 code units, as JavaScript's."""
    assert encode_payload_3(packet) == payload
    assert decode_payload_3(payload) == [packet.decode()]
    # One behind the other, without a separator.
    assert decode_payload_3(payload * 3) == [packet.decode()] * 3


def test_base64() -> None:
    """P3: a client that reads no binary (b64=1) gets base64 with the type 4."""
    payload = encode_payload_3(b"4hello", [b"\x01\x02\x03\x04", b""])
    assert payload == b"6:4hello10:b4AQIDBA==2:b4"
    assert decode_payload_3(payload) == ["4hello", b"\x01\x02\x03\x04", b""]


def test_binary() -> None:
    """P3: the binary payload counts bytes, each digit a byte of that value."""
    payload = encode_payload_3(b"4hello", [b"\x01\x02\x03\x04"], binary=True)
    assert payload == bytes(
        [0, 6, 255, 52, 104, 101, 108, 108, 111, 1, 5, 255, 4, 1, 2, 3, 4]
    )
    assert decode_payload_3(payload, binary=True) == ["4hello", b"\x01\x02\x03\x04"]
    text = "4é😀".encode()
    payload = encode_payload_3(text, [b"x" * 1023], binary=True)
    assert payload == (
        b"\x00\x07\xff" + text + b"\x01\x01\x00\x02\x04\xff\x04" + b"x" * 1023
    )
    assert decode_payload_3(payload, binary=True) == ["4é😀", b"x" * 1023]


@pytest.mark.parametrize(
    "payload",
    [
        b"abc",
        b":4hello",
        b"6",
        b"-1:4",
        b"7:4hello",
        b"1:4hello",
        b"5:4",
        # In the middle of a character of two code units.
        "2:4😀".encode(),
        b"9999999999999999999999:4",
        b"3:b5A",
        b"1:b",
        b"4:b4!!",
    ],
)
def test_malformed_text(payload: bytes) -> None:
    """P3: what does not add up is refused."""
    with pytest.raises(PacketError):
        decode_payload_3(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"6:4hello",
        b"\x00",
        b"\x00\x06",
        b"\x00\xff4",
        b"\x00\x06\xff4hell",
        b"\x00\x0a\xff4",
        b"\x01\x02\xff\x021",
        b"\x01\x00\xff",
        b"\x02\x01\xff4",
        b"\x00" + b"\x09" * 40 + b"\xff4",
    ],
)
def test_malformed_binary(payload: bytes) -> None:
    """P3: the same of binary payloads."""
    with pytest.raises(PacketError):
        decode_payload_3(payload, binary=True)


def test_every_prefix_is_refused() -> None:
    """P3: nothing is read beyond the end."""
    for binary in (False, True):
        payload = encode_payload_3("4h😀".encode(), [b"\x01" * 20], binary)
        for n in range(1, len(payload)):
            try:
                packets = decode_payload_3(payload[:n], binary)
            except PacketError:
                continue
            assert packets == ["4h😀"]
            assert n == len(encode_payload_3("4h😀".encode(), binary=binary))


def test_renderings_of_a_message_with_binary() -> None:
    """P3: each kind of client gets its own, made once."""
    m = event_packet("é", [b"\x01\x02"])
    text = '451-["é",{"_placeholder":true,"num":0}]'
    raw = text.encode()
    frame = bytes([0x81, len(raw)]) + raw
    assert render(m, FRAMES) == frame + b"\x82\x03\x04\x01\x02"
    assert render(m, FRAMES_BASE64) == frame + b"\x81\x06b4AQI="
    assert render(m, MESSAGES) == [text, b"\x04\x01\x02"]
    assert render(m, MESSAGES_BASE64) == [text, "b4AQI="]
    assert render(m, TEXT) == b"%d:" % len(text) + raw + b"6:b4AQI="
    assert render(m, BINARY) == (
        b"\x00\x04\x00\xff" + raw + b"\x01\x03\xff\x04\x01\x02"
    )
    for kind in range(6):
        assert render(m, kind) is render(m, kind)


def test_text_is_the_same_for_websockets_of_both_revisions() -> None:
    """P3: a broadcast of text is framed once for both."""
    m = event_packet("x", ["y"])
    assert render(m, FRAMES) is render(m, FRAMES_BASE64) is render_frames(m)
    assert render(m, MESSAGES) == ['42["x","y"]']


def test_renderings_of_other_packets() -> None:
    """P3: packets of the protocol, and messages of Engine.IO alone."""
    assert render(raw_packet(b"6"), TEXT) == b"1:6"
    assert render(message_packet(b"\x05"), TEXT) == b"6:b4BQ=="
    assert render(message_packet(b"\x05"), FRAMES) == b"\x82\x02\x04\x05"
