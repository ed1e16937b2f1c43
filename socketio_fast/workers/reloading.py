"""Notices changed Python files, for ``--reload``."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

try:
    import watchfiles
except ImportError as exc:
    raise ImportError(
        "reload=True (--reload) notices changed files by watchfiles: "
        'pip install "socketio-fast[reload]"'
    ) from exc

__all__ = ["Watcher"]

# Milliseconds within which changes are one: editors write several files.
DEBOUNCE = 100


class Watcher:
    """Watches directories in a thread.

    Args:
        directories: The directories; ``None`` for the current one. Directories below
            are watched too.

    Raises:
        ValueError: One is no directory.
    """

    def __init__(self, directories: Sequence[str | os.PathLike[str]] | None) -> None:
        self.directories = [Path(each) for each in directories or [Path.cwd()]]
        for each in self.directories:
            if not each.is_dir():
                raise ValueError(f"reload_dirs: {str(each)!r} is no directory")
        self._changed: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """A descriptor that is readable when something has changed, for selectors."""
        return self._reader.fileno()

    def changed(self) -> list[str]:
        """The files that have changed since the last call."""
        try:
            while self._reader.recv(4096):
                pass
        except BlockingIOError:
            pass
        with self._lock:
            found, self._changed = self._changed, set()
        return sorted(found)

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join()
        self._reader.close()
        self._writer.close()

    def _watch(self) -> None:
        for changes in watchfiles.watch(
            *self.directories,
            watch_filter=watchfiles.PythonFilter(),
            stop_event=self._stop,
            debounce=DEBOUNCE,
            step=20,
            rust_timeout=200,
            yield_on_timeout=False,
            raise_interrupt=False,
        ):
            with self._lock:
                self._changed |= {path for _, path in changes}
            self._writer.send(b"x")
