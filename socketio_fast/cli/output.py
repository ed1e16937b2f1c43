"""What the command tells: lines for people, or JSON for scripts.

Events come from a server, which may send what moves the cursor or worse. Nothing of it
reaches a terminal that is not printable.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import select
import stat
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from socketio_fast.cli.messages import HEX

__all__ = [
    "JsonLines",
    "Lines",
    "Reporter",
    "StderrLog",
    "Stdout",
    "json_line",
    "printable",
    "show",
]

#: Characters of an argument, and bytes of binary, that people are shown.
MOST_TEXT = 4000
MOST_BYTES = 64

#: Bytes that stdout may not have taken yet.
MOST_WAITING = 64 * 1024 * 1024

# Windows polls nothing but sockets: a write waits there until it is taken.
POLLOUT = getattr(select, "POLLOUT", 0)
PIPE_BUF = getattr(select, "PIPE_BUF", 4096)

_STYLES = {
    "dim": "\x1b[2m",
    "event": "\x1b[1;36m",
    "ack": "\x1b[32m",
    "good": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
}

Write = Callable[[str], object]


def show(text: str) -> bool:
    """Write to stdout at once.

    Returns:
        Whether somebody reads it.
    """
    if sys.stdout is None:
        return False
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        # Or the interpreter would complain of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def printable(text: str) -> str:
    """The text, what is not printable in it escaped as in JSON."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else json.dumps(char)[1:-1] for char in text
    )


def json_line(value: Any) -> str:
    """The value as JSON in one line."""
    try:
        return printable(json.dumps(_shown(value), ensure_ascii=False)) + "\n"
    except RecursionError:
        return '"(nested too deeply to be shown)"\n'


def _shown(value: Any) -> Any:
    """What JSON can say of a value."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {HEX: bytes(value).hex()}
    if isinstance(value, Mapping):
        return {str(name): _shown(item) for name, item in value.items()}
    if isinstance(value, Iterable):
        return [_shown(item) for item in value]
    return str(value)


class Stdout:
    """Standard output, read slowly perhaps, and closed at any time.

    What its reader does not take at once waits here, so that the connection and signals
    do not wait for the reader.

    Args:
        descriptor: Its number.
        ended: Called, once, when nothing can be written any more, with the exit code: 0
            if the reader has gone; else 1, after a line for stderr.
    """

    def __init__(self, descriptor: int, ended: Callable[[int], object]) -> None:
        self._descriptor = descriptor
        self._ended = ended
        self._open = True
        self._waiting = bytearray()
        self._drained = asyncio.Event()
        self._drained.set()

    def watch(self) -> None:
        """Notice that the reader goes also while nothing is written."""
        kind = os.fstat(self._descriptor).st_mode
        if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
            with suppress(NotImplementedError, OSError):
                asyncio.get_running_loop().add_reader(self._descriptor, self._look)

    def _look(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        if self._polled(0):  # an error or a hang-up: nothing else was asked for
            self._close()

    def write(self, text: str) -> None:
        """Write all of it, now or later; nothing after the end."""
        if not self._open:
            return
        self._waiting += text.encode("utf-8", "backslashreplace")
        if self._drained.is_set():
            self._flush()
        if len(self._waiting) > MOST_WAITING:
            self._close(f"it is not read, and {MOST_WAITING} bytes wait")

    async def drained(self) -> None:
        """Wait until all is written, or cannot be."""
        await self._drained.wait()

    def _flush(self) -> None:
        """Write what the descriptor takes without blocking."""
        try:
            while self._waiting and self._polled(POLLOUT):
                # A pipe that can be written to has room for as much.
                count = os.write(self._descriptor, self._waiting[:PIPE_BUF])
                del self._waiting[:count]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._close()
        except OSError as exc:
            self._close(str(exc))
        self._call_back()

    def _call_back(self) -> None:
        """Have the rest written when there is room; or no longer."""
        loop = asyncio.get_running_loop()
        if not self._waiting and not self._drained.is_set():
            self._drained.set()
            loop.remove_writer(self._descriptor)
        elif self._waiting and self._drained.is_set():
            self._drained.clear()
            loop.add_writer(self._descriptor, self._flush)

    def _polled(self, events: int) -> bool:
        if not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(self._descriptor, events)
        return bool(poll.poll(0))

    def _close(self, error: str | None = None) -> None:
        if not self._open:
            return
        self._open = False
        self._waiting.clear()
        self._call_back()
        if error is not None:
            print(f"socketio-fast: stdout: {error}", file=sys.stderr)
        self._ended(0 if error is None else 1)


class StderrLog(logging.Handler):
    """Writes logs to what is stderr at the time: a prompt replaces it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            lines = [printable(line) for line in self.format(record).splitlines()]
            print("\n".join(lines), file=sys.stderr)
        except Exception:
            self.handleError(record)


class Reporter(ABC):
    """Tells what happens on a connection.

    Args:
        write: Gets lines.
    """

    def __init__(self, write: Write) -> None:
        self._write = write

    @abstractmethod
    def report(self, kind: str, namespace: str | None = None, **fields: Any) -> None:
        """Tell one thing.

        Args:
            kind: ``"connect"``, ``"event"`` and others: see docs/client.md.
            namespace: Where it has happened; ``None`` for what concerns the connection.
            **fields: What there is to say of it.
        """


class JsonLines(Reporter):
    """An object in a line for each thing."""

    def report(self, kind: str, namespace: str | None = None, **fields: Any) -> None:
        told = {
            "type": kind,
            "namespace": namespace,
            "time": round(time.time(), 6),
            **fields,
        }
        self._write(json_line(told))


class Lines(Reporter):
    """A line for each thing, with its time, and its namespace if there are several.

    Args:
        write: Gets them.
        namespaces: Those that are joined.
        colors: Whether there are colours.
    """

    def __init__(self, write: Write, namespaces: list[str], *, colors: bool) -> None:
        super().__init__(write)
        self._only = namespaces[0] if len(namespaces) == 1 else None
        self._colors = colors

    def report(self, kind: str, namespace: str | None = None, **fields: Any) -> None:
        where = [datetime.now().strftime("%H:%M:%S.%f")[:-3]]
        if namespace is not None and self._only is None:
            where.append(namespace)
        told = getattr(self, f"_{kind}")(**fields)
        line = [*(self._styled("dim", word) for word in where), *told]
        self._write(" ".join(line) + "\n")

    def _styled(self, style: str, text: str) -> str:
        text = printable(text)
        return f"{_STYLES[style]}{text}\x1b[0m" if self._colors else text

    def _connect(self, sid: str | None, transport: str | None) -> list[str]:
        to = f" to {self._only}" if self._only else ""
        return [self._styled("good", f"connected{to} as {sid}, by {transport}")]

    def _upgrade(self, transport: str) -> list[str]:
        return [self._styled("dim", f"upgraded to {transport}")]

    def _disconnect(self, reason: str, description: str | None) -> list[str]:
        more = f" ({description})" if description else ""
        return [self._styled("warning", f"disconnected: {reason}{more}")]

    def _reconnecting(self, attempt: int) -> list[str]:
        return [self._styled("warning", f"connecting again, attempt {attempt}")]

    def _reconnect_failed(self, attempts: int) -> list[str]:
        return [self._styled("error", f"given up after {attempts} attempts")]

    def _connect_error(self, message: str) -> list[str]:
        return [self._styled("error", message)]

    def _refused(self, message: str, data: Any) -> list[str]:
        told = f"the server refuses {self._only}" if self._only else "refused"
        more = [] if data is None else _shorts([data])
        return [self._styled("error", f"{told}: {message}"), *more]

    def _event(self, event: str, args: list[Any]) -> list[str]:
        return [self._styled("event", event), *_shorts(args)]

    def _ack(self, event: str, args: list[Any], ms: float, id: Any) -> list[str]:
        return [self._styled("ack", f"ack of {event} ({ms:g} ms)"), *_shorts(args)]

    def _help(self, text: str) -> list[str]:
        return [text]

    def _error(self, message: str, **fields: Any) -> list[str]:
        return [self._styled("error", message)]


def _shorts(args: Iterable[Any]) -> list[str]:
    return [_short(value) for value in args]


def _short(value: Any) -> str:
    """An argument as people see it: binary as typed, and not all of a long one."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        more = f"… ({len(data)} bytes)" if len(data) > MOST_BYTES else ""
        return f"hex:{data[:MOST_BYTES].hex()}{more}"
    text = json_line(value)[:-1]
    left = len(text) - MOST_TEXT
    return text if left <= 0 else f"{text[:MOST_TEXT]}… ({left} characters more)"
