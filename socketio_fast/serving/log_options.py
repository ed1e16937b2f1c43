"""``log_level`` and ``log_format`` of ``run()``: how the process logs."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from socketio_fast.logs import JsonFormatter

__all__ = ["FORMATS", "LEVELS", "LogOptions"]

LEVELS = ("debug", "info", "warning", "error", "critical")

FORMATS = ("text", "json")

#: Loggers whose lines are of a format of their own, with their time.
_ACCESS = ("socketio_fast.access", "uvicorn.access")


_applied: LogOptions | None = None


@dataclass(frozen=True)
class LogOptions:
    """How a process logs.

    Raises:
        ValueError: A value is not what is expected.
    """

    #: The lowest level that is logged; ``None``: the program's own settings count.
    level: str | None = None
    #: ``"text"`` or ``"json"``; ``None``: the program's own settings count.
    format: str | None = None

    def __post_init__(self) -> None:
        if self.level is not None and self.level not in LEVELS:
            raise ValueError(
                f"log_level={self.level!r:.80}: one of {', '.join(LEVELS)} expected"
            )
        if self.format is not None and self.format not in FORMATS:
            raise ValueError(
                f"log_format={self.format!r:.80}: one of {', '.join(FORMATS)} expected"
            )

    def apply(self) -> None:
        """Have the root logger write to stderr so, if an option is given.

        Once for a process: what the application has changed since stays.
        """
        global _applied
        if self in (LogOptions(), _applied):
            return
        _applied = self
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter() if self.format == "json" else _Text())
        logging.basicConfig(handlers=[handler], force=True)
        if self.level is not None:
            level = self.level.upper()
            logging.getLogger().setLevel(level)
            # Below WARNING it logs only if it is asked for by its own name.
            logging.getLogger("socketio_fast").setLevel(level)


class _Text(logging.Formatter):
    """A line for people; one of the access log as it is."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        if record.name in _ACCESS:
            return record.getMessage()
        return super().format(record)
