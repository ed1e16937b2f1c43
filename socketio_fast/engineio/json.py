"""The standard library's ``json``, whose ``loads`` refuses very long integers.

The limit is 100 digits. The time of ``int()`` grows with the square of the number of
digits, so that a client could block the server with one long integer.
"""

from __future__ import annotations

import json as _json
from json import JSONDecodeError, JSONDecoder, JSONEncoder, dump, dumps, load
from typing import Any

__all__ = [
    "JSONDecodeError",
    "JSONDecoder",
    "JSONEncoder",
    "dump",
    "dumps",
    "load",
    "loads",
]

MAX_DIGITS = 100


def _bounded_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(
            f"an integer has {len(digits)} digits, more than the {MAX_DIGITS} allowed"
        )
    return int(digits)


def loads(*args: Any, **kwargs: Any) -> Any:
    """Decode a JSON text; the arguments are those of ``json.loads``.

    Raises:
        ValueError: The text is not JSON, or an integer in it has more than 100 digits.
    """
    kwargs.setdefault("parse_int", _bounded_int)
    return _json.loads(*args, **kwargs)
