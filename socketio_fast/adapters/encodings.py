"""Messages between servers as JSON and MessagePack, with the types that clients get."""

from __future__ import annotations

import json
from typing import Any

import orjson

from socketio_fast._core.protocol.encoding import claims_fit
from socketio_fast._core.protocol.json_text import dumps_json
from socketio_fast.managers.extras import require
from socketio_fast.payloads import plain

__all__ = ["MessagePack", "broadcast_json", "json_of", "value_of_json"]


def json_of(value: Any) -> bytes | None:
    """The JSON of a value, in UTF-8; ``None`` if there are bytes in it.

    Raises:
        TypeError: It has a value that is neither JSON nor bytes.
    """
    try:
        return dumps_json(value)
    except TypeError:
        if has_bytes(value):
            return None
        raise


def broadcast_json(data: dict[str, Any], text: bytes) -> bytes:
    """The JSON of the data of a broadcast.

    Args:
        data: The data.
        text: The JSON of the event.
    """
    nsp, opts = dumps_json(data["packet"]["nsp"]), dumps_json(data["opts"])
    return b'{"packet":{"type":2,"data":%b,"nsp":%b},"opts":%b}' % (text, nsp, opts)


def has_bytes(value: Any) -> bool:
    """Whether there are bytes in a value.

    Raises:
        TypeError: It has a value that is neither JSON nor bytes.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return True
    if value is None or isinstance(value, (str, int, float)):
        return False
    if isinstance(value, (list, tuple)):
        return any(map(has_bytes, value))
    if isinstance(value, dict):
        return any(map(has_bytes, value.values()))
    return has_bytes(plain(value))


def value_of_json(text: str | bytes) -> Any:
    """The value of JSON, also with the extensions of the standard library.

    Raises:
        ValueError: It is not JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text, parse_constant=lambda name: None)


class MessagePack:
    """MessagePack as ``@msgpack/msgpack`` and ``notepack.io`` write and read it.

    Args:
        user: Who needs it, for the error.

    Raises:
        RuntimeError: msgpack is not installed.
    """

    def __init__(self, user: str) -> None:
        self._msgpack = require("msgpack", "msgpack", user)

    def encode(self, value: Any) -> bytes:
        """The MessagePack of a value.

        Raises:
            TypeError: It has a value that cannot be encoded.
        """
        try:
            encoded: bytes = self._msgpack.packb(value, default=_replaced)
        except (OverflowError, RecursionError, UnicodeEncodeError) as exc:
            raise TypeError(f"not MessagePack: {exc}") from None
        return encoded

    def decode(self, data: bytes) -> Any:
        """The value of MessagePack.

        Raises:
            ValueError: It is not MessagePack.
        """
        # msgpack allocates what a header claims, before it reads on.
        if not claims_fit(data):
            raise ValueError("not MessagePack: it ends too early")
        return self._msgpack.unpackb(
            data, timestamp=3, strict_map_key=False, ext_hook=_extension
        )


def _extension(code: int, data: bytes) -> None:
    # notepack.io, of Node's classic adapter, writes undefined so.
    if code != 0 or data != b"\0":
        raise ValueError(f"MessagePack with an extension of the type {code}")


def _replaced(value: Any) -> Any:
    if isinstance(value, int):
        raise OverflowError(f"integer of more than 64 bits: {value!r:.40}")
    return plain(value)
