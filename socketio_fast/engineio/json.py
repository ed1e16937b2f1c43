"""The standard library's ``json``, but for integers of more than 100 digits.

``int()`` takes quadratic time for them, so ``loads`` refuses them.
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
        raise ValueError(f"an integer of more than {MAX_DIGITS} digits")
    return int(digits)


def loads(*args: Any, **kwargs: Any) -> Any:
    """The value of a JSON text; takes what ``json.loads`` takes.

    Raises:
        ValueError: It is not JSON, or an integer has more than 100 digits.
    """
    kwargs.setdefault("parse_int", _bounded_int)
    return _json.loads(*args, **kwargs)
