"""Checks the names of namespaces that a program gives."""

from __future__ import annotations

__all__ = ["check_namespace"]


def check_namespace(name: str) -> str:
    """Return the name of a namespace if it begins with a slash or is ``"*"``.

    ``"*"`` stands for every namespace.

    Raises:
        TypeError: The name is not a ``str``.
        ValueError: The name neither begins with a slash nor is ``"*"``.
    """
    if not isinstance(name, str):
        raise TypeError(f"namespace={name!r}: the name of a namespace expected, a str")
    if name != "*" and not name.startswith("/"):
        raise ValueError(
            f"namespace={name!r}: the name of a namespace begins with a slash; write "
            f"{'/' + name!r}"
        )
    return name
