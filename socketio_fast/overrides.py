"""Finds methods of this package that a program overrides."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["is_overridden", "refuse_overrides"]


def is_overridden(owner: Any, name: str) -> bool:
    """Whether a program overrides a method, on an object or in its class.

    Args:
        owner: The object or the class.
        name: The name of the method.
    """
    if isinstance(owner, type):
        classes = owner.__mro__
    elif name in getattr(owner, "__dict__", ()):
        return True
    else:
        classes = type(owner).__mro__
    for cls in classes:
        if name in vars(cls):
            return not cls.__module__.startswith("socketio_fast.")
    return False


def refuse_overrides(
    cls: type[Any], remedies: Mapping[str, str], unless: Collection[str] = ()
) -> None:
    """Refuse a class that overrides methods which are never called.

    Args:
        cls: The class, which is being made.
        remedies: The methods that are never called, and what to do instead.
        unless: The methods that may call them, if the class overrides all of these.

    Raises:
        TypeError: It overrides one of them.
    """
    if unless and all(is_overridden(cls, name) for name in unless):
        return
    for name, remedy in remedies.items():
        if is_overridden(cls, name):
            raise TypeError(
                f"{cls.__name__} overrides {name}(), which is never called: {remedy}"
            )
