"""Reads the numbers of options: counts, bytes and seconds."""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from operator import index
from typing import Any

__all__ = ["real", "whole"]


def whole(value: Any) -> int | None:
    """The integer that a number stands for; ``None`` if it stands for none.

    That is any integer (``__index__``, as numpy's have), and any other number that is
    whole, as ``1e8``. Booleans and text are no numbers.
    """
    if type(value).__name__ in ("bool", "bool_"):  # numpy's has been both
        return None
    try:
        return index(value)
    except TypeError:
        number = real(value)
        return int(value) if number is not None and number.is_integer() else None


def real(value: Any) -> float | None:
    """The number as a float or int; ``None`` if it is none.

    That is any real number of :mod:`numbers`, as numpy's are, and any ``Decimal``.
    Booleans and text are no numbers.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    try:
        if isinstance(value, (Real, Decimal)):
            return float(value)
        return index(value)
    except (TypeError, ValueError, OverflowError):
        return None
