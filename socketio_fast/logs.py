"""What the ``logger`` options mean."""

from __future__ import annotations

import logging

Logger = logging.Logger


def choose_logger(option: bool | Logger, name: str) -> Logger:
    """The logger for an option: ``False``, ``True``, or a logger itself.

    ``False`` is the package's own logger, as the program has configured it: with a
    level of its own or of a parent. INFO of the root logger is not meant for a line for
    every message: without another level it gets WARNING. ``True`` sets it to INFO, and
    gives it a handler for stderr if it has none.
    """
    if not isinstance(option, bool):
        return option
    logger = logging.getLogger(name)
    if option:
        logger.setLevel(logging.INFO)
        if not logger.hasHandlers():
            logger.addHandler(logging.StreamHandler())
    elif not _has_level(logger) and logger.isEnabledFor(logging.WARNING):
        logger.setLevel(logging.WARNING)
    return logger


def _has_level(logger: Logger) -> bool:
    parent = logger.parent
    return bool(parent and (logger.level or _has_level(parent)))
