"""Percentiles of as many durations as there are, in memory that does not grow."""

from __future__ import annotations

from math import exp, log

__all__ = ["Latencies"]

#: Each bucket is so much wider than the one before: percentiles are right to 1 %.
GROWTH = log(1.01)

#: The bounds of the first and the last bucket, in seconds.
SHORTEST = 1e-6
LONGEST = 1e4

_BUCKETS = int(log(LONGEST / SHORTEST) / GROWTH) + 2


class Latencies:
    """Counts durations in buckets whose widths grow by 1 %."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        #: How many there are.
        self.count = 0
        #: The longest, in seconds.
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration."""
        place = int(log(max(seconds, SHORTEST) / SHORTEST) / GROWTH) + 1
        self._counts[min(place, _BUCKETS - 1)] += 1
        self.count += 1
        if seconds > self.longest:
            self.longest = seconds

    def percentile(self, share: float) -> float:
        """The duration that this share of all, 0 to 1, does not exceed; in seconds. It
        is 0 if there are none."""
        wanted = share * self.count
        passed = 0
        for place, count in enumerate(self._counts):
            passed += count
            if count and passed >= wanted:
                return min(SHORTEST * exp(GROWTH * place), self.longest)
        return 0.0
