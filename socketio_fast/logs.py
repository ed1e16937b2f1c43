"""What the ``logger`` options mean."""

from __future__ import annotations

import logging

Logger = logging.Logger


def choose_logger(option: bool | Logger, name: str) -> Logger:
    """The logger for an option: ``False``, ``True``, or a logger itself.

    ``False`` is the package's own logger, left as the program has configured it.
    ``True`` sets it to INFO, and gives it a handler for stderr if it has none.
    """
    if not isinstance(option, bool):
        return option
    logger = logging.getLogger(name)
    if option:
        logger.setLevel(logging.INFO)
        if not logger.hasHandlers():
            logger.addHandler(logging.StreamHandler())
    return logger
