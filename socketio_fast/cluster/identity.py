"""Which worker has a session: its ids end with the worker's tag."""

from __future__ import annotations

import base64
import binascii
import os
import re

__all__ = ["MAX_WORKERS", "TAG_SIZE", "file_name", "new_tag", "number_of", "tag_in"]

#: Characters of a tag.
TAG_SIZE = 4

#: The number of a worker is one byte of its tag.
MAX_WORKERS = 256

_TAG = re.compile(r"[A-Za-z0-9_-]{4}")
_FILE = re.compile(r"([0-9a-f]{6})\.sock")


def new_tag(number: int | None) -> str:
    """Make a tag: the number of a worker, and two random bytes, which are others after
    each start.

    Args:
        number: 0 to 255; ``None`` for a random one.
    """
    drawn = bytearray(os.urandom(3))
    if number is not None:
        drawn[0] = number
    return base64.urlsafe_b64encode(drawn).decode()


def number_of(tag: str) -> int:
    """The number of a worker."""
    return base64.urlsafe_b64decode(tag)[0]


def tag_in(sid: str) -> str | None:
    """The tag that an id ends with; ``None`` if it cannot be one."""
    tag = sid[-TAG_SIZE:]
    return tag if _TAG.fullmatch(tag) else None


def file_name(tag: str) -> str:
    """The name of the socket of a worker. Some file systems ignore case."""
    return base64.urlsafe_b64decode(tag).hex() + ".sock"


def tag_of_file(name: str) -> str | None:
    """The tag of the worker whose socket has this name; ``None`` if it is no such."""
    match = _FILE.fullmatch(name)
    if match is None:
        return None
    return base64.urlsafe_b64encode(binascii.unhexlify(match[1])).decode()
