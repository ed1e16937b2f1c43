"""The error that ends a run, or a part of it, and its message."""

from __future__ import annotations


class BenchmarkError(Exception):
    """A server or the load generator failed; the message says how."""


def last_line(text: str) -> str:
    """What a program that failed has to say for itself."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"
