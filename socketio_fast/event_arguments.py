"""Between what a program writes for the arguments of an event, and the arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["arguments_of", "value_of"]


def arguments_of(data: Any) -> list[Any]:
    """The arguments of an event: none for ``None``, several for a tuple, or one."""
    if data is None:
        return []
    return list(data) if isinstance(data, tuple) else [data]


def value_of(arguments: Sequence[Any]) -> Any:
    """What an acknowledgement gives: ``None``, its argument, or a tuple of several."""
    if len(arguments) > 1:
        return tuple(arguments)
    return arguments[0] if arguments else None
