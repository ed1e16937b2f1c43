"""What the ``logger`` options mean."""

from __future__ import annotations

import logging
from collections.abc import Callable
from traceback import format_exception
from typing import Any, Protocol

__all__ = ["AnyLogger", "LogMethods", "Logger", "as_logger", "choose_logger"]

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


class LogMethods(Protocol):
    """What a logger of another package has: loguru's, structlog's, or a program's own.

    The methods get the text of a message, formatted. ``debug`` may be missing.
    """

    @property
    def info(self) -> Callable[..., Any]: ...
    @property
    def warning(self) -> Callable[..., Any]: ...
    @property
    def error(self) -> Callable[..., Any]: ...


AnyLogger = Logger | LogMethods


def choose_logger(option: bool | AnyLogger, name: str) -> Logger:
    """The logger for an option: ``False``, ``True``, or a logger itself.

    ``False`` is the package's own logger, as the program has configured it. INFO of the
    root logger is not meant for a line for every message: the package's level is
    WARNING if it has none. ``True`` sets the logger to INFO, and gives it a handler for
    stderr if it has none.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(option, bool):
        return as_logger(option, name)
    logger = logging.getLogger(name)
    package = logging.getLogger(name.partition(".")[0])
    if option:
        logger.setLevel(logging.INFO)
        if not logger.hasHandlers():
            logger.addHandler(logging.StreamHandler())
    elif not package.level and package.isEnabledFor(logging.WARNING):
        package.setLevel(logging.WARNING)
    return logger


def as_logger(logger: AnyLogger, name: str) -> Logger:
    """The logger, or one by whose name another package's gets what is logged.

    Raises:
        ValueError: It has not the methods of a logger.
    """
    if isinstance(logger, logging.Logger):
        return logger
    for method in ("info", "warning", "error"):
        if not callable(getattr(logger, method, None)):
            raise ValueError(
                f"logger={logger!r}: True, False, a logging.Logger or an object with "
                f"the methods info, warning and error expected; it has no {method!r}"
            )
    return _Foreign(logger, name)


class _Foreign(logging.Logger):
    """Formats messages, and has another package's logger write them.

    What else that logger has, this one has too.
    """

    def __init__(self, target: Any, name: str) -> None:
        super().__init__(name, logging.DEBUG)
        self._target = target
        self._is_enabled = getattr(target, "isEnabledFor", None) or getattr(
            target, "is_enabled_for", None
        )
        self.addHandler(_Forward(target))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # while it is made or copied, there is no target
            raise AttributeError(name)
        return getattr(self._target, name)

    def isEnabledFor(self, level: int) -> bool:
        if self._is_enabled is not None and not self._is_enabled(level):
            return False
        return super().isEnabledFor(level)


class _Forward(logging.Handler):
    """Gives records to another package's logger."""

    def __init__(self, target: Any) -> None:
        super().__init__()
        self._target = target

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._forward(record)
        except Exception:
            self.handleError(record)

    def _forward(self, record: logging.LogRecord) -> None:
        target, text, options = self._target, record.getMessage(), {}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            if hasattr(target, "opt"):  # loguru
                target = target.opt(exception=error)
            elif hasattr(target, "bind") or isinstance(target, logging.LoggerAdapter):
                options = {"exc_info": error}  # structlog
            else:
                text = f"{text}\n{''.join(format_exception(error)).rstrip()}"
        name = "error" if record.levelno >= logging.ERROR else record.levelname.lower()
        method = getattr(target, name, None)
        if method is not None:
            method(text, **options)
