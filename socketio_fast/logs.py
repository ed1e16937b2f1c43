"""Log lines as JSON."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any

import orjson

__all__ = ["JsonFormatter"]

# What every record has. The rest is what `extra=` and filters have added.
_OF_EVERY_RECORD = frozenset(
    vars(logging.LogRecord("", 0, "", 0, "", (), None)).keys()
    | {"asctime", "message", "taskName"}
)
# In this order, behind the message.
_FIELDS = ("sid", "namespace", "event", "address")


class JsonFormatter(logging.Formatter):
    """Formats each record as one line, an object of JSON.

    Its members are:

    - ``time``: ISO 8601 in UTC, with microseconds, such as
      ``"2026-01-31T12:00:00.000000Z"``;
    - ``level``: ``"INFO"``, ``"WARNING"``, …;
    - ``logger``: the logger's name;
    - ``message``: the text, formatted;
    - where the record has them, ``sid`` (the client's id), ``namespace``, ``event`` and
      ``address`` (the client's IP address);
    - everything else that ``extra=`` or a filter has added to the record, by its name
      there. A value that is not JSON is written as its ``repr()``;
    - ``exception`` and ``stack``: the traceback, and the stack that ``stack_info=True``
      asks for, as text of several lines.

    Example::

        handler = logging.StreamHandler()
        handler.setFormatter(socketio.logs.JsonFormatter())
        logging.basicConfig(level=logging.INFO, handlers=[handler])
    """

    def __init__(self) -> None:
        super().__init__()

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """The time of a record, in UTC.

        Args:
            record: The record.
            datefmt: Accepted; the format is always ISO 8601.
        """
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON, without a line break."""
        added = vars(record)
        line: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in _FIELDS:
            if added.get(name) is not None:
                line[name] = added[name]
        for name, value in added.items():
            if name not in _OF_EVERY_RECORD and name not in _FIELDS:
                line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:  # of a record that came from another process
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return _as_json(line)


def _as_json(line: dict[str, Any]) -> str:
    try:
        return orjson.dumps(line, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # Half a surrogate pair, an int of more than 64 bits, an object in itself.
        plain = (str, int, bool, type(None))
        return json.dumps(
            {
                name: value if isinstance(value, plain) else repr(value)
                for name, value in line.items()
            }
        )
