"""Watches the number of file descriptors, of which each connection takes one."""

from __future__ import annotations

import asyncio
import os
from typing import Any

resource: Any
try:
    import resource
except ImportError:  # Windows
    resource = None

__all__ = ["DescriptorWatch"]

#: Seconds between two warnings.
INTERVAL = 60.0

# With fewer free descriptors than this it warns. The system assigns the lowest free
# one, so the number of a new connection's descriptor tells how many are in use.
SPARE = 4


class DescriptorWatch:
    """Warns when file descriptors run out, and once a minute while they do.

    Who accepts connections does not tell it: uvloop and the sockets of this package
    close at once what they cannot keep, asyncio's own loop logs an error for each
    attempt.

    Args:
        loop: The event loop.
        logger: Where the warning goes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, logger: Any) -> None:
        self._loop = loop
        self._logger = logger
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def few_from(self) -> int:
        """The lowest descriptor that calls for a warning; -1 for none."""
        if resource is None:
            return -1
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return -1 if limit == resource.RLIM_INFINITY else max(1, limit - SPARE)

    def seen(self, number: int) -> None:
        """Called with the descriptor of a new connection."""
        few_from = self.few_from
        if self._closed or self._timer is not None or not 0 <= few_from <= number:
            return
        self._logger.warning(
            "%d of %d file descriptors are in use, further connections are refused: "
            "raise the limit (ulimit -n, LimitNOFILE= of systemd)",
            number + 1,
            few_from + SPARE,
        )
        self._timer = self._loop.call_later(INTERVAL, self._look_again)

    def close(self) -> None:
        """Stop warning."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_again(self) -> None:
        self._timer = None
        try:
            number = os.open(os.devnull, os.O_RDONLY)
        except OSError:
            self.seen(self.few_from + SPARE - 1)
        else:
            os.close(number)
            self.seen(number)
