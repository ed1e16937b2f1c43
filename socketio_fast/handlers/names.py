"""The rule that names of namespaces have to follow in a program."""

from __future__ import annotations

__all__ = ["check_namespace"]


def check_namespace(name: str) -> str:
    """The name of a namespace, which begins with a slash; ``"*"`` is every one.

    Raises:
        TypeError: It is no ``str``.
        ValueError: It begins with something else.
    """
    if not isinstance(name, str):
        raise TypeError(f"namespace={name!r}: the name of a namespace expected, a str")
    if name != "*" and not name.startswith("/"):
        raise ValueError(
            f"namespace={name!r}: the name of a namespace begins with a slash, write "
            f"{'/' + name!r}"
        )
    return name
