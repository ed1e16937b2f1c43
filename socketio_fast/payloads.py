"""Replaces values of types that neither JSON nor MessagePack has.

The table of docs/encodings.md. What is not of the standard library is recognised by
what it has, and never imported.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Mapping, Set, ValuesView
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

import orjson

__all__ = ["plain"]

_PLAIN = (str, int, float, list, tuple, dict, bytes, bytearray, memoryview)

# Types that msgspec is to leave as they are; it replaces others by JSON's.
_KEPT = (bytes, bytearray, memoryview, datetime, date, time, UUID, Decimal)

_FINE_UNITS = {"ns", "ps", "fs", "as"}  # units that datetime does not have


def plain(value: Any) -> Any:
    """The value that is sent for one of another type.

    Returns:
        ``None``, a ``bool``, number, ``str``, ``list``, ``tuple`` or ``dict``, or
        bytes. What is in it may be of another type again.

    Raises:
        TypeError: It is of a type that cannot be sent.
    """
    value = _replace(value)
    return value if value is None or isinstance(value, _PLAIN) else plain(value)


def _replace(value: Any) -> Any:
    kind = type(value)
    if isinstance(value, type):
        raise _refused(type)
    if isinstance(value, (tuple, float)):  # a subclass, which orjson does not write
        return tuple(value) if isinstance(value, tuple) else float(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (datetime, date, time)):
        return _moment(value)
    if isinstance(value, (UUID, Decimal, PurePath)):
        return str(value)
    if isinstance(value, (Set, ValuesView, deque, range)):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(kind):
        if hasattr(value, "__dict__") and "__slots__" not in vars(kind):
            return _shown(value, vars(value))  # as orjson does
        return _shown(value, [field.name for field in fields(kind)])
    if hasattr(kind, "__attrs_attrs__"):
        return _shown(value, [field.name for field in kind.__attrs_attrs__])
    if hasattr(kind, "__struct_fields__"):
        msgspec = sys.modules["msgspec"]
        try:
            return msgspec.to_builtins(value, builtin_types=_KEPT, enc_hook=plain)
        except RecursionError as exc:
            raise TypeError(f"{kind.__name__} is nested too deep: {exc}") from None
    if hasattr(kind, "model_dump"):
        return value.model_dump()
    if kind.__module__.partition(".")[0] in ("pydantic", "pydantic_core"):
        # Types of pydantic that fields of models have, such as URLs and secrets.
        return sys.modules["pydantic_core"].to_jsonable_python(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return _numbers(numpy, value)
    raise _refused(kind)


def _refused(kind: type) -> TypeError:
    return TypeError(
        f"object of type {kind.__name__} is not JSON serializable: convert it "
        "before it is sent"
    )


def _moment(value: datetime | date | time) -> str:
    try:
        return orjson.dumps(value)[1:-1].decode()
    except TypeError:  # a subclass, or a time zone that orjson does not know
        return value.isoformat()


def _shown(value: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names if not name.startswith("_")}


def _numbers(numpy: Any, value: Any) -> Any:
    dtype = value.dtype
    if dtype.kind == "m":
        raise _refused(type(value))
    if dtype.kind == "M" and numpy.datetime_data(dtype)[0] in _FINE_UNITS:
        value = value.astype("M8[us]")  # tolist() would return an int
    elif dtype.kind == "f" and dtype.itemsize > 8:
        value = value.astype("f8")  # tolist() would return it unchanged
    return value.tolist()
