"""T2: scripts and forms of JSONP, bytes in and bytes out."""

from __future__ import annotations

import json
from urllib.parse import quote_plus

import pytest

from socketio_fast._core.testing import decode_form, encode_script
from socketio_fast.exceptions import PacketError


def test_script() -> None:
    """T2: the payload is a JavaScript string."""
    assert encode_script("3", b'2:40"\\\n\x1e') == (
        b'___eio[3]("2:40\\"\\\\\\n\\u001e");'
    )


def test_index_is_digits() -> None:
    """T2: a client cannot put code of its own into a script."""
    assert encode_script("1]);alert(2", b"6") == b'___eio[12]("6");'
    assert encode_script("", b"6") == b'___eio[]("6");'


def test_what_is_no_javascript_is_escaped() -> None:
    """T2: line separators, and what would end a script element."""
    payload = "4\u2028\u2029</script>é😀"
    script = encode_script("0", payload.encode())
    assert script == '___eio[0]("4\\u2028\\u2029<\\/script>é😀");'.encode()
    assert json.loads(script[len("___eio[0](") : -2]) == payload


def escaped(payload: str) -> str:
    """What the reference's client makes of newlines before it submits its form."""
    return payload.replace("\\n", "\\\n").replace("\n", "\\n")


@pytest.mark.parametrize(
    "payload",
    [
        "4hello",
        '42["a\\nb","\\\\n","c"]',
        "4one\ntwo\n\nthree",
        "4\\n\n\\\\n",
        "4é ☃ 😀 + & = % ;",
        "4a\x1e4b",
    ],
)
def test_form(payload: str) -> None:
    """T2: a POST has the payload in the field d, newlines escaped."""
    form = "d=" + quote_plus(escaped(payload))
    assert decode_form(form.encode()) == payload.encode()
    assert decode_form(b"x=1&" + form.encode() + b"&y") == payload.encode()


@pytest.mark.parametrize("form", [b"", b"x=1", b"d=", b"d=%ff", b"\xff", b"d=1&" * 99])
def test_malformed_form(form: bytes) -> None:
    """T2: a form without a payload is refused."""
    with pytest.raises(PacketError):
        decode_form(form)
