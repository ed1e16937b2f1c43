"""What the tests of WebSocket connections share."""

from __future__ import annotations

from collections.abc import Iterable

from support.raw import (
    CONT,
    frame,
)

# RFC 3629 §3, the Unicode standard table 3-7
INVALID_UTF8 = [
    b"\xff",
    b"\x80",
    b"\xc3\x28",
    b"\xc0\xaf",  # overlong
    b"\xe0\x80\x80",
    b"\xf0\x80\x80\x80",
    b"\xed\xa0\x80",  # a surrogate
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",  # beyond U+10FFFF
    b"\xf5\x80\x80\x80",
    b"\xfe",
]


TRUNCATED_UTF8 = [b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"]


def fragments(opcode: int, pieces: Iterable[bytes]) -> list[bytes]:
    listed = list(pieces)
    return [
        frame(opcode if i == 0 else CONT, piece, fin=i == len(listed) - 1)
        for i, piece in enumerate(listed)
    ]
