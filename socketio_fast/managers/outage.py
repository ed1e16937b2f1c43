"""Outages of a broker: when the next attempt is due, and what is logged."""

from __future__ import annotations

import time
from collections.abc import Iterator

from socketio_fast.options.logs import Logger

__all__ = ["FIRST_DELAY", "LONGEST_DELAY", "Outage"]

FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0


def _delays(first: float, longest: float) -> Iterator[float]:
    delay = first
    while True:
        yield delay
        delay = min(delay * 2, longest)


class Outage:
    """Periods in which something fails: one warning at the start, one at the end.

    Args:
        what: What fails, for the log: ``publish to redis``.
        cost: What is lost meanwhile, for the log.
        first: Seconds from the first attempt that fails to the next.
        longest: Seconds between two attempts, at most.
    """

    def __init__(
        self,
        what: str,
        cost: str,
        first: float = FIRST_DELAY,
        longest: float = LONGEST_DELAY,
    ) -> None:
        self._what = what
        self._cost = cost
        self._first, self._longest = first, longest
        self._delays: Iterator[float] | None = None
        self._again = 0.0
        #: Messages lost in this outage.
        self.lost = 0

    @property
    def lasts(self) -> bool:
        """Whether there is an outage now."""
        return self._delays is not None

    @property
    def waits(self) -> bool:
        """Whether there is an outage, and the next attempt is not due yet."""
        return self._delays is not None and time.monotonic() < self._again

    @property
    def left(self) -> float:
        """Seconds until the next attempt is due."""
        return max(0.0, self._again - time.monotonic())

    def failed(self, error: BaseException, logger: Logger) -> float:
        """An attempt has failed; returns the seconds until the next: 1, 2, 4, … 60."""
        if self._delays is None:
            self._delays = _delays(self._first, self._longest)
            logger.warning(
                "cannot %s (%s: %s): %s",
                self._what,
                type(error).__name__,
                error,
                self._cost,
            )
        else:
            logger.debug("still cannot %s (%s)", self._what, error)
        delay = next(self._delays)
        self._again = time.monotonic() + delay
        return delay

    def try_now(self) -> None:
        """Make the next attempt due, because the outage may be over."""
        self._again = 0.0

    def over(self, logger: Logger) -> None:
        """An attempt has succeeded."""
        if self._delays is not None:
            self._delays = None
            lost, self.lost = self.lost, 0
            logger.warning(
                "can %s again%s", self._what, f", {lost} messages are lost" * (lost > 0)
            )
