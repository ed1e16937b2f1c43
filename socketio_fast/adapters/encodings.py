"""Messages between servers as JSON and MessagePack, with the types that clients get."""

from __future__ import annotations

import json
from typing import Any

import orjson

from socketio_fast._core.protocol.encoding import claims_fit
from socketio_fast._core.protocol.json_text import dumps_json
from socketio_fast.managers.extras import require
from socketio_fast.options.logs import Logger
from socketio_fast.payloads import plain

__all__ = [
    "MessageEncoding",
    "MessagePack",
    "broadcast_json",
    "encode_session",
    "json_of",
    "value_of_json",
]


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


class MessageEncoding:
    """Messages between servers as JSON, or as MessagePack if there are bytes in them.

    Args:
        user: Who needs it, for the error.

    Raises:
        RuntimeError: msgpack is not installed.
    """

    def __init__(self, user: str) -> None:
        self._msgpack = MessagePack(user)

    def encode(self, message: dict[str, Any], text: bytes | None = None) -> bytes:
        """Encode a message.

        Args:
            message: The message.
            text: Of a broadcast, the JSON of its event if it is known.

        Raises:
            TypeError: It has a value that cannot be encoded.
        """
        if text is not None:
            # The JSON that clients get is in it: it need not be made again.
            whole = json_of({**message, "data": {**message["data"], "packet": None}})
            nsp = json_of(message["nsp"])
            if whole is not None and nsp is not None:
                packet = b'"packet":{"type":2,"data":%b,"nsp":%b}' % (text, nsp)
                return whole.replace(b'"packet":null', packet, 1)
        return json_of(message) or self._msgpack.encode(message)

    def decode(self, data: bytes) -> dict[str, Any]:
        """Decode a message.

        Raises:
            ValueError: It is neither JSON nor MessagePack.
            TypeError: It is not an object.
        """
        if data[:1] == b"{":
            decoded = value_of_json(data)
        else:
            decoded = self._msgpack.decode(data)
        if not isinstance(decoded, dict):
            raise TypeError("a message is an object")
        return decoded


def encode_session(
    msgpack: MessagePack, session: dict[str, Any], logger: Logger
) -> bytes:
    """The MessagePack of the state of a client, without data that it cannot have.

    Args:
        msgpack: Encodes it.
        session: The state.
        logger: Is told what is left out.
    """
    try:
        return msgpack.encode(session)
    except TypeError as exc:
        logger.warning("the data of a client that has gone cannot be kept: %s", exc)
        return msgpack.encode({**session, "data": {}})


def _replaced(value: Any) -> Any:
    if isinstance(value, int):
        raise OverflowError(f"integer of more than 64 bits: {value!r:.40}")
    return plain(value)
