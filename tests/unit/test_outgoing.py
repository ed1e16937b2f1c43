from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from socketio_fast._core.protocol.outgoing import (
    Outgoing,
    event_packet,
    message_packet,
    raw_packet,
)
from socketio_fast._core.testing import (
    decode_payload,
    mask_frames,
    render,
    render_frames,
    render_packets,
)

# Of Rendering in outgoing.pxd.
TEXT_PAYLOAD_3, MESSAGES = 4, 6
MESSAGE, BINARY = 4, 7


@pytest.mark.parametrize(
    ("message", "frames", "packets"),
    [
        (event_packet("a", [1]), b'\x81\x0942["a",1]', b'42["a",1]'),
        (event_packet("a", []), b'\x81\x0742["a"]', b'42["a"]'),
        (event_packet("a", [], "/n", 7), b'\x81\x0b42/n,7["a"]', b'42/n,7["a"]'),
        (event_packet("a", [], id=0), b'\x81\x08420["a"]', b'420["a"]'),
        (message_packet("é"), "\x81\x034é".encode("latin-1")[:2] + "4é".encode(),
         "4é".encode()),
        (message_packet(""), b"\x81\x014", b"4"),
        (message_packet(b"\0\1"), b"\x82\x02\0\1", b"bAAE="),
        (message_packet(b""), b"\x82\x00", b"b"),
        (message_packet(bytearray(b"\2")), b"\x82\x01\2", b"bAg=="),
        (message_packet(memoryview(b"\1\2")[1:]), b"\x82\x01\2", b"bAg=="),
    ],
)  # fmt: skip
def test_rendering(message: Outgoing, frames: bytes, packets: bytes) -> None:
    assert render_frames(message) == frames
    assert render_packets(message) == packets


# A frame's head grows at 126 and 65,536 bytes of payload.
@pytest.mark.parametrize("size", [0, 1, *range(100, 125), *range(65505, 65535)])
@pytest.mark.parametrize("namespace", ["/", "/chat"])
@pytest.mark.parametrize("character", ["x", "\n"])
def test_all_renderings_have_the_same_text(
    size: int, namespace: str, character: str
) -> None:
    """What needs no escapes is written into the frame, and other JSON beside it."""
    text = event_text(namespace, character * size)
    expected: list[tuple[Callable[[Outgoing], Any], Any]] = [
        (render_frames, b"\x81" + frame_length(len(text)) + text),
        (render_packets, text),
        (lambda m: render(m, TEXT_PAYLOAD_3), b"%d:" % len(text) + text),
        (lambda m: render(m, MESSAGES), [text.decode()]),
    ]
    for first, as_first in expected:
        message = event_packet("a", [character * size], namespace)
        assert first(message) == as_first
        for then, as_then in expected:
            assert then(message) == as_then


def event_text(namespace: str, argument: str) -> bytes:
    prefix = "" if namespace == "/" else f"{namespace},"
    return f"42{prefix}{json.dumps(['a', argument], separators=(',', ':'))}".encode()


def frame_length(n: int) -> bytes:
    if n < 126:
        return bytes([n])
    return (
        b"\x7e" + n.to_bytes(2, "big") if n < 65536 else b"\x7f" + n.to_bytes(8, "big")
    )


# Small ones are framed at once, of more than 4,096 bytes in all where they are needed.
@pytest.mark.parametrize(
    "sizes", [[0], [1], [125], [126, 2000], [4092], [4093], [9999]]
)
@pytest.mark.parametrize("argument", ["x", 1])
def test_all_renderings_have_the_same_attachments(
    sizes: list[int], argument: Any
) -> None:
    """A number in the event makes the encoder take its other way."""
    data = [bytes([65 + i]) * size for i, size in enumerate(sizes)]
    places = "".join(f',{{"_placeholder":true,"num":{i}}}' for i, _ in enumerate(sizes))
    text = f'45{len(sizes)}-["a",{json.dumps(argument)}{places}]'.encode()
    expected: list[tuple[Callable[[Outgoing], Any], Any]] = [
        (
            render_frames,
            b"\x81" + frame_length(len(text)) + text
            + b"".join(b"\x82" + frame_length(len(d)) + d for d in data),
        ),
        (
            render_packets,
            b"\x1e".join([text, *(b"b" + base64.b64encode(d) for d in data)]),
        ),
        (lambda m: render(m, MESSAGES), [text.decode(), *data]),
        (lambda m: unmasked(mask_frames(m)), [text, *data]),
    ]  # fmt: skip
    for first, as_first in expected:
        message = event_packet("a", [argument, *data])
        assert first(message) == as_first
        for then, as_then in expected:
            assert then(message) == as_then


def unmasked(frames: bytes) -> list[bytes]:
    """The payloads of masked frames."""
    found = []
    while frames:
        size, at = frames[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(frames[2:4], "big"), 4
        mask, payload = frames[at : at + 4], frames[at + 4 : at + 4 + size]
        found.append(bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))
        frames = frames[at + 4 + size :]
    return found


def test_attachments_follow_their_packet() -> None:
    message = event_packet("a", [b"\1", {"k": b"\2"}])
    text = (
        b'452-["a",{"_placeholder":true,"num":0},{"k":{"_placeholder":true,"num":1}}]'
    )
    assert render_frames(message) == (
        b"\x81" + bytes([len(text)]) + text + b"\x82\x01\1\x82\x01\2"
    )
    assert decode_payload(render_packets(message)) == [
        (MESSAGE, text[1:]),
        (BINARY, b"\1"),
        (BINARY, b"\2"),
    ]


@pytest.mark.parametrize(
    "message", [event_packet("a", [1, b"x"]), message_packet("a"), message_packet(b"a")]
)
def test_each_kind_is_rendered_once(message: Outgoing) -> None:
    assert render_frames(message) is render_frames(message)
    assert render_packets(message) is render_packets(message)


def test_data_is_taken_when_the_message_is_made() -> None:
    arguments = [{"k": 1}]
    message = event_packet("a", arguments)
    arguments[0]["k"] = 2
    assert render_packets(message) == b'42["a",{"k":1}]'


@pytest.mark.parametrize("data", [None, 1, ["a"], {"a": 1}])
def test_a_message_is_text_or_bytes(data: Any) -> None:
    with pytest.raises(TypeError) as caught:
        message_packet(data)
    assert str(caught.value) == (
        f"a message is str or bytes, not {type(data).__name__}"
    )


def test_an_event_that_is_not_json() -> None:
    with pytest.raises(TypeError, match="object"):
        event_packet("a", [object()])


def test_messages_may_be_compressed_unless_they_must_not() -> None:
    """M9"""
    for message in (event_packet("a", []), raw_packet(b"2"), message_packet(b"")):
        assert message.compress
        message.compress = False
        assert not message.compress
