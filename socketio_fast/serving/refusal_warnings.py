"""Warnings about refused requests, which name the option to change."""

from __future__ import annotations

import time
from typing import Any

from socketio_fast.options.logs import Logger, escaped

__all__ = ["Refusals"]

#: Seconds before a warning of the same cause and address is repeated.
AGAIN = 60.0

#: Causes and addresses whose last warning is remembered, at most.
MAX_TOLD = 1000


class Refusals:
    """Logs refusals, each cause and address once in a period.

    Args:
        logger: Where.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._told: dict[tuple[str, Any], float] = {}

    def __call__(self, cause: str, address: Any, message: str) -> None:
        """Called by the core.

        Args:
            cause: What kind of refusal it is.
            address: Who was refused: ``(host, port)``, the host, or ``None``.
            message: What was refused, and which option lets it pass.
        """
        host = address[0] if isinstance(address, (tuple, list)) else address
        key = (cause, host)
        now = time.monotonic()
        if now < self._told.get(key, -AGAIN) + AGAIN:
            return
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        self._told[key] = now
        self._logger.warning(
            "%s: %s (told once a minute)",
            escaped("unix" if host is None else host),
            escaped(message, 400),
            extra={"address": host},
        )
