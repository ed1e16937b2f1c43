"""Events of plain strings and bytes: read and written as orjson does it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.examples import examples

from socketio_fast._core.protocol.sio import decode_packet, encode_packet
from socketio_fast.exceptions import PacketError

EVENT = 2
many = examples(500)
texts = st.text(max_size=40) | st.text(
    st.characters(min_codepoint=0x1F, max_codepoint=0x80), max_size=40
)


def reference(data: list[Any]) -> tuple[bytes, list[bytes]]:
    found: list[bytes] = []

    def default(value: Any) -> dict[str, Any]:
        found.append(value)
        return {"_placeholder": True, "num": len(found) - 1}

    return orjson.dumps(data, default=default), found


@many
@given(st.lists(texts | st.binary(max_size=3), min_size=1, max_size=10))
@example(["a\x7f", "", " "])
@example([b""] * 8)
@example([b""] * 10)
def test_what_is_written(items: list[Any]) -> None:
    data = ["e", *items]
    json, found = reference(data)
    text, *attachments = encode_packet(EVENT, data)
    assert attachments == found
    assert text == (b"5%d-" % len(found) if found else b"2") + json


@many
@given(st.lists(texts, max_size=10), st.sampled_from([b"", b" ", b"\n"]))
def test_what_is_read(items: list[str], space: bytes) -> None:
    json = space + orjson.dumps(["e", *items]) + space
    assert decode_packet(b"2" + json).data == ["e", *items]


@many
@given(st.lists(texts | st.binary(max_size=3), min_size=1, max_size=9))
def test_what_is_written_is_read(items: list[Any]) -> None:
    text, *attachments = encode_packet(EVENT, ["e", *items])
    packet = decode_packet(text)
    for attachment in attachments:
        packet.add_attachment(attachment)
    assert packet.data == ["e", *items]


def test_a_placeholder_without_attachments_is_an_object() -> None:
    packet = decode_packet(b'2["e",{"_placeholder":true,"num":0}]')
    assert packet.data == ["e", {"_placeholder": True, "num": 0}]


def test_one_attachment_in_several_places() -> None:
    packet = decode_packet(
        b'51-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]'
    )
    assert packet.add_attachment(b"x")
    assert packet.data == ["e", b"x", b"x"]


def test_a_placeholder_of_no_attachment() -> None:
    packet = decode_packet(b'51-["e",{"_placeholder":true,"num":1}]')
    with pytest.raises(PacketError, match="illegal attachment number 1"):
        packet.add_attachment(b"x")


@pytest.mark.parametrize(
    "text",
    [
        b'2["e""f"]',
        b'2["e",]',
        b'2["e","f]',
        b'2["e"',
        b'2["e"]]',
        b'2["e";"f"]',
        b'2["e",{"_placeholder":true,"num":0]',
        b'51-[{"_placeholder":true,"num":0}]',
        b'2["\x1f"]',
    ],
)
def test_what_is_not_plain_is_refused_all_the_same(text: bytes) -> None:
    with pytest.raises(PacketError):
        decode_packet(text)
