"""Frames of WebTransport streams: bytes in, packets out, and back."""

from __future__ import annotations

import pytest

from socketio_fast.exceptions import LimitError, ProtocolError
from socketio_fast.webtransport.frames import FrameDecoder, encode_frame

# As the reference implementation writes them.
FRAMES: list[tuple[str | bytes, bytes]] = [
    ("0", b"\x010"),
    ('0{"sid":"x"}', b'\x0c0{"sid":"x"}'),
    ("4é", b"\x034\xc3\xa9"),
    (b"", b"\x80"),
    (b"\x01\x02\x03", b"\x83\x01\x02\x03"),
    ("4" + "a" * 124, b"\x7d4" + b"a" * 124),
    ("4" + "a" * 125, b"\x7e\x00\x7e4" + b"a" * 125),
    (b"b" * 126, b"\xfe\x00\x7e" + b"b" * 126),
    ("4" + "a" * 65534, b"\x7e\xff\xff4" + b"a" * 65534),
    (b"b" * 65536, b"\xff\0\0\0\0\0\x01\0\0" + b"b" * 65536),
]
IDS = [f"{type(message).__name__}-{len(message)}" for message, _ in FRAMES]


def decoded(decoder: FrameDecoder) -> list[str | bytes]:
    found: list[str | bytes] = []
    while (message := decoder.take()) is not None:
        found.append(message)
    return found


@pytest.mark.parametrize(("message", "frame"), FRAMES, ids=IDS)
def test_a_frame(message: str | bytes, frame: bytes) -> None:
    """P2: headers of 1, 3 and 9 bytes, and the bit of binary messages."""
    assert encode_frame(message) == frame
    decoder = FrameDecoder(100_000)
    decoder.feed(frame)
    assert decoded(decoder) == [message]
    assert decoder.waiting == 0


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pieces_of_any_size(size: int) -> None:
    """P2: a stream has no limits of messages of its own."""
    messages = [message for message, _ in FRAMES]
    stream = b"".join(frame for _, frame in FRAMES)
    decoder = FrameDecoder(100_000)
    found: list[str | bytes] = []
    for start in range(0, len(stream), size):
        decoder.feed(stream[start : start + size])
        found += decoded(decoder)
    assert found == messages


@pytest.mark.parametrize("frame", [b"\x7e\0\x054aaaa", b"\xff" + b"\0" * 7 + b"\x01x"])
def test_a_length_in_more_bytes_than_it_needs(frame: bytes) -> None:
    """P2: as the reference implementation, which does not look."""
    decoder = FrameDecoder(10)
    decoder.feed(frame)
    assert decoded(decoder) == [b"x" if frame[0] & 0x80 else "4aaaa"]


@pytest.mark.parametrize(
    "header", [b"\x0b", b"\x8b", b"\x7e\0\x0b", b"\x7f" + b"\xff" * 8, b"\xff" * 9]
)
def test_a_packet_too_long_is_refused_by_its_header(header: bytes) -> None:
    """P2: nothing of it is waited for."""
    decoder = FrameDecoder(10)
    decoder.feed(header)
    with pytest.raises(LimitError, match="max_http_buffer_size=10") as caught:
        decoder.take()
    assert caught.value.code == 1009


def test_as_long_as_it_may_be() -> None:
    """P2: the limit itself is allowed."""
    decoder = FrameDecoder(10)
    decoder.feed(encode_frame("4123456789"))
    assert decoded(decoder) == ["4123456789"]


@pytest.mark.parametrize("frame", [b"\x00", b"\x7e\0\0", b"\x024\xff"])
def test_no_packet(frame: bytes) -> None:
    """P2: an empty text packet, and one that is not UTF-8."""
    decoder = FrameDecoder(10)
    decoder.feed(frame)
    with pytest.raises(ProtocolError):
        decoder.take()


def test_what_is_not_all_there_waits() -> None:
    """P2: without a packet before it is complete."""
    decoder = FrameDecoder(1000)
    assert decoder.take() is None
    for piece in (b"\x7e", b"\0", b"\x80", b"4" + b"x" * 126):
        decoder.feed(piece)
        assert decoder.take() is None
    assert decoder.waiting == 130
    decoder.feed(b"y")
    assert decoder.take() == "4" + "x" * 126 + "y"
