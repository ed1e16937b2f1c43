"""How long to wait before each attempt to connect again."""

from __future__ import annotations

import random

__all__ = ["Backoff"]


class Backoff:
    """Delays that double, each made shorter or longer at random, as those of the
    reference implementation.

    Args:
        first: Seconds of the first delay.
        most: The most seconds.
        jitter: By which share of itself a delay may be shorter or longer, 0 to 1.
    """

    def __init__(self, first: float, most: float, jitter: float) -> None:
        self._first = first
        self._most = most
        self._jitter = jitter
        #: How many delays there have been since :meth:`reset`.
        self.attempts = 0

    def next(self) -> float:
        """The next delay, in seconds."""
        # A float of 2 ** 1024 would overflow.
        delay = self._first * 2.0 ** min(self.attempts, 64)
        self.attempts += 1
        if self._jitter:
            delay *= 1 + self._jitter * random.uniform(-1, 1)
        return min(delay, self._most)

    def reset(self) -> None:
        """Begin with the first delay again."""
        self.attempts = 0
