"""What workers send each other: frames on a stream.

A frame is its payload's size (32 bits, little-endian), its kind (a byte) and the
payload. File descriptors go beside the bytes (SCM_RIGHTS), in the order of the frames
that they belong to.
"""

from __future__ import annotations

import enum
import json
import struct
from collections.abc import Iterator
from typing import Any

__all__ = [
    "MAX_PAYLOAD",
    "PROTOCOL",
    "FrameReader",
    "Kind",
    "frame",
    "split_head",
    "with_head",
]

#: The version of what is said here. Workers of another version are not spoken to.
PROTOCOL = 3

#: Bytes of a payload, at most: what is more is no frame.
MAX_PAYLOAD = 1 << 28

HEAD = struct.Struct("<IB")
SIZE = struct.Struct("<I")


class Kind(enum.IntEnum):
    """What a frame is."""

    #: The first of a link: who has made it.
    HELLO = 0
    #: A connection, with its descriptor.
    CONNECTION = 1
    #: A message of the adapter between workers.
    MESSAGE = 2
    #: How many clients the sender has.
    COUNT = 3
    #: A request, with one end of the channel for its response.
    REQUEST = 4
    #: What the sender has of addresses, and what they have used of their limits.
    LIMITS = 6
    #: Who asks what the worker does, with one end of the channel for the answer.
    STATUS = 7
    #: A UDP datagram, whose connection the sender has not.
    DATAGRAM = 8
    #: The sender has the connection with this ID, of which it was sent a datagram.
    DATAGRAM_TAKEN = 9
    #: Who asks what the sender shows of itself, or the answer.
    SCRAPE = 10


def frame(kind: int, payload: bytes) -> bytes:
    """The bytes of a frame.

    Raises:
        ValueError: The payload is too large.
    """
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(
            f"{len(payload)} bytes for other workers: {MAX_PAYLOAD} at most"
        )
    return HEAD.pack(len(payload), kind) + payload


def with_head(head: dict[str, Any], data: bytes) -> bytes:
    """A payload that says something of its bytes: the size of JSON (32 bits), the JSON
    and the bytes."""
    text = json.dumps(head).encode()
    return SIZE.pack(len(text)) + text + data


def split_head(payload: bytes) -> tuple[dict[str, Any], bytes]:
    """What ``with_head()`` has put together.

    Raises:
        ValueError: It has not.
    """
    end = SIZE.size
    if len(payload) >= end:
        end += SIZE.unpack_from(payload)[0]
    if len(payload) < end:
        raise ValueError(f"a payload of {len(payload)} bytes has no head of {end}")
    return json.loads(payload[SIZE.size : end]), payload[end:]


class FrameReader:
    """Finds the frames in what is received."""

    def __init__(self) -> None:
        self._rest = bytearray()
        # Bytes with which the first frame of the rest is complete.
        self._wanted = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The frames that are complete: kinds and payloads.

        Raises:
            ValueError: It is no frame.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            data = bytes(self._rest)
        at = 0
        # Set first: the caller may end with the last frame that it wants.
        self._rest = bytearray()
        self._wanted = 0
        while len(data) - at >= HEAD.size:
            size, kind = HEAD.unpack_from(data, at)
            if size > MAX_PAYLOAD:
                raise ValueError(f"a frame of {size} bytes")
            end = at + HEAD.size + size
            if end > len(data):
                self._wanted = end - at
                break
            yield kind, data[at + HEAD.size : end]
            at = end
        self._rest += memoryview(data)[at:]
