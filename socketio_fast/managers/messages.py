"""Messages between processes, as python-socketio writes them: encoding and decoding.

``pubsub.py`` publishes them; ``received.py`` acts on those of other processes.

JSON objects; ``method`` says what is asked for, ``host_id`` who asks:

- ``emit``: ``event``, ``data`` (a list of arguments), ``binary``, ``namespace``,
  ``room``, ``skip_sid``, ``callback`` (``[room, namespace, id]`` or ``null``)
- ``callback``: ``sid`` (the room), ``namespace``, ``id``, ``args``; ``host_id`` is who
  gets it
- ``disconnect``: ``sid``, ``namespace``
- ``enter_room``, ``leave_room``: ``sid``, ``room``, ``namespace``
- ``close_room``: ``room``, ``namespace``

If ``binary``, ``data`` is ``[arguments, *attachments]``: placeholders instead of bytes,
and those as base64.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import orjson

from socketio_fast._core.protocol.json_text import dumps_json
from socketio_fast.payloads import plain

__all__ = ["JSON", "pack", "unpack"]


class JSON:
    """The JSON that clients get, with the same types."""

    @staticmethod
    def dumps(value: dict[str, Any]) -> str:
        """The JSON of an object.

        Raises:
            TypeError: It has a value that is not JSON.
        """
        return dumps_json(value).decode()

    @staticmethod
    def loads(text: str | bytes) -> Any:
        """The value of JSON, also with the extensions of the standard library.

        Raises:
            ValueError: It is not JSON.
        """
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return json.loads(text, parse_constant=lambda name: None)


def pack(args: list[Any], replace: bool = True) -> tuple[list[Any], bool]:
    """Encode arguments as ``data`` and ``binary`` of a message.

    Args:
        args: The arguments.
        replace: Whether values of the types of docs/encodings.md are replaced by what
            JSON has; else the JSON of the program gets them.

    Raises:
        TypeError: They are nested too deep.
    """
    attachments: list[str] = []
    try:
        data = _without_bytes(args, attachments, replace)
    except RecursionError:
        raise TypeError("data is nested too deep") from None
    return ([data, *attachments], True) if attachments else (data, False)


def unpack(data: Any, binary: Any) -> list[Any]:
    """Decode the arguments that a message has.

    Raises:
        ValueError: It is not what :func:`pack` makes.
    """
    if not isinstance(data, list):
        return [data]
    if binary:
        try:
            attachments = [base64.b64decode(item, validate=True) for item in data[1:]]
            data = _with_bytes(data[0], attachments)
        except (binascii.Error, IndexError, TypeError) as exc:
            raise ValueError(f"binary data is not as expected: {exc}") from exc
    return list(data)


def _without_bytes(value: Any, attachments: list[str], replace: bool) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        attachments.append(base64.b64encode(value).decode())
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(value, (list, tuple)):
        return [_without_bytes(item, attachments, replace) for item in value]
    if isinstance(value, dict):
        return {
            key: _without_bytes(item, attachments, replace)
            for key, item in value.items()
        }
    if not replace or value is None or isinstance(value, (str, int, float)):
        return value
    return _without_bytes(plain(value), attachments, replace)


def _with_bytes(value: Any, attachments: list[bytes]) -> Any:
    if isinstance(value, list):
        return [_with_bytes(item, attachments) for item in value]
    if isinstance(value, dict):
        if value.get("_placeholder") and "num" in value:
            return attachments[range(len(attachments))[value["num"]]]
        return {key: _with_bytes(item, attachments) for key, item in value.items()}
    return value
