"""The access log: a line for each request, in the common log format."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from socketio_fast.options.logs import Logger, escaped

__all__ = ["AccessLog", "CommonLines", "common_line"]

_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)

#: Characters of a path.
MAX_PATH = 16_384


def common_line(
    address: str,
    request: str,
    status: int,
    size: int | None,
    moment: float | None = None,
) -> str:
    """A line as Apache has it in ``%h %l %u %t "%r" %>s %b``.

    Args:
        address: The client's.
        request: The request line.
        status: Of the response.
        size: Bytes of its body; ``None`` if they were not counted.
        moment: When, in seconds since the epoch; ``None`` for now.
    """
    # A quote in the path would end the quoted request line.
    quoted = escaped(request, MAX_PATH).replace('"', "\\x22")
    at = _time(time.time() if moment is None else moment)
    return f'{address} - - [{at}] "{quoted}" {status} {size or "-"}'


def _time(moment: float) -> str:
    # Not by strftime(), whose names of months depend on the locale.
    at = time.localtime(moment)
    minutes = at.tm_gmtoff // 60
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
    return (
        f"{at.tm_mday:02}/{_MONTHS[at.tm_mon - 1]}/{at.tm_year}:{at.tm_hour:02}:"
        f"{at.tm_min:02}:{at.tm_sec:02} {zone}"
    )


class AccessLog:
    """Logs requests at INFO.

    A record has the fields of the line as attributes too: ``address``, ``method``,
    ``path`` (without the query, in which clients have tokens), ``status``, ``size``;
    and ``duration``, in seconds, for a WebSocket.

    Args:
        logger: Where.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def request(
        self,
        client: Any,
        method: str,
        path: str,
        version: str,
        status: int,
        size: int,
    ) -> None:
        """Log a request that has its response.

        Args:
            client: Its address as ``getpeername()`` gives it.
            method: Of the request.
            path: Of its target.
            version: Of HTTP.
            status: Of the response.
            size: Bytes of its body.
        """
        address = _host(client)
        self._logger.info(
            "%s",
            common_line(address, f"{method} {path} HTTP/{version}", status, size),
            extra={
                "address": address,
                "method": method,
                "path": path,
                "status": status,
                "size": size,
            },
        )

    def websocket(
        self,
        client: Any,
        method: str,
        path: str,
        version: str,
        sent_bytes: Callable[[], int],
    ) -> Callable[[], None]:
        """A request has made a WebSocket: its line has the time of the request, and is
        written when the WebSocket has ended.

        Args:
            client: Its address as ``getpeername()`` gives it.
            method: Of the request.
            path: Of its target.
            version: Of HTTP.
            sent_bytes: Tells how many bytes of frames the WebSocket has sent.

        Returns:
            What is to be called then.
        """
        began = time.time()
        begun = time.monotonic()
        address = _host(client)

        def ended() -> None:
            request = f"{method} {path} HTTP/{version}"
            size = sent_bytes()
            self._logger.info(
                "%s",
                common_line(address, request, 101, size, began),
                extra={
                    "address": address,
                    "method": method,
                    "path": path,
                    "status": 101,
                    "size": size,
                    "duration": round(time.monotonic() - begun, 3),
                },
            )

        return ended


def _host(client: Any) -> str:
    """An address, without the port."""
    return str(client[0]) if isinstance(client, (tuple, list)) else "unix"


class CommonLines(logging.Filter):
    """Gives uvicorn's lines of requests the same format.

    They are those of the application beside the server, and have its queries.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; it is logged in any case."""
        args = record.args
        if isinstance(args, tuple) and len(args) == 5:
            client, method, path, version, status = args
            address = str(client).rpartition(":")[0].strip("[]") or "unix"
            request = f"{method} {path} HTTP/{version}"
            record.msg = "%s"
            record.args = (common_line(address, request, int(str(status)), None),)
            vars(record).update(
                address=address, method=method, path=path, status=status
            )
        return True
