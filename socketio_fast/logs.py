"""What the ``logger`` options mean."""

from __future__ import annotations

import logging

Logger = logging.Logger


def escaped(text: object, size: int = 200) -> str:
    """What came from a peer, for a line of a log.

    Args:
        text: What is to be logged; of something else its ``str()``.
        size: Characters of it, at most.

    Returns:
        Its beginning, in which what is not printable (line breaks, escape sequences of
        terminals) is escaped as in ``repr()``.
    """
    shown = str(text)[:size]
    return shown if shown.isprintable() else repr(shown)[1:-1]


def choose_logger(option: bool | Logger, name: str) -> Logger:
    """The logger for an option: ``False``, ``True``, or a logger itself.

    ``False`` is the package's own logger, as the program has configured it. INFO of the
    root logger is not meant for a line for every message: the package's level is
    WARNING if it has none. ``True`` sets the logger to INFO, and gives it a handler for
    stderr if it has none.
    """
    if not isinstance(option, bool):
        return option
    logger = logging.getLogger(name)
    package = logging.getLogger(name.partition(".")[0])
    if option:
        logger.setLevel(logging.INFO)
        if not logger.hasHandlers():
            logger.addHandler(logging.StreamHandler())
    elif not package.level and package.isEnabledFor(logging.WARNING):
        package.setLevel(logging.WARNING)
    return logger
