"""Static files beside a Socket.IO server, by python-engineio's mapping."""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from weakref import WeakKeyDictionary

from socketio_fast._core.http.endpoint import OtherServer
from socketio_fast._core.http.request import Request
from socketio_fast.options.logs import Logger

__all__ = ["OpenFile", "StaticFiles", "served_files"]

T = TypeVar("T")

# Bytes: larger files are sent in pieces of this size.
PIECE = 131072

# How many files are opened or read at a time. All that have been read are sent in the
# next pass of the event loop, so that many would keep others waiting: with 200 clients
# that ask for files of 5 MB and read nothing, a pass sent 160 pieces.
TURNS = 4

WINDOWS = os.name == "nt"

# Devices, whatever the directory: to open one may wait for a terminal or a modem.
DEVICES = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\.|$)",
    re.IGNORECASE,
)

TYPES = {"js": "application/javascript", "mjs": "application/javascript"}


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
    WeakKeyDictionary()
)


async def _in_turn(function: Callable[..., T], *args: Any) -> T:
    """Call a function in another thread when fewer than TURNS are."""
    loop = asyncio.get_running_loop()
    if (turns := _turns.get(loop)) is None:
        turns = _turns[loop] = asyncio.Semaphore(TURNS)
    async with turns:
        return await asyncio.to_thread(function, *args)


class OpenFile:
    """A file that is sent in pieces; the sender closes it.

    Args:
        file: It, open for reading.
        size: Bytes of it, that were announced.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def __len__(self) -> int:
        """The number of bytes to send, even if the file has grown meanwhile."""
        return self._size

    async def read(self, size: int) -> bytes:
        """Read the next bytes, at most this many, in another thread.

        Raises:
            EOFError: The file has become shorter.
        """
        return await _in_turn(self._read, size)

    def __iter__(self) -> Iterator[bytes]:
        """Read the file in pieces, in this thread."""
        left = self._size
        while left:
            piece = self._read(min(left, PIECE))
            left -= len(piece)
            yield piece

    def close(self) -> None:
        """Close the file, after a read in another thread has ended."""
        self._file.close()

    def _read(self, size: int) -> bytes:
        piece = self._file.read(size)
        if not piece:
            raise EOFError(f"{self._file.name} has become shorter while it was sent")
        return piece


# Status, content type, body, other header lines.
Answer = tuple[int, bytes, bytes | OpenFile, bytes]


class StaticFiles(OtherServer):
    """Answers GET and HEAD requests from files.

    Args:
        mapping: URL paths to files or directories: ``{"/": "index.html", "/static":
            "./public", "": "index.html"}``. A value may be a dict of ``filename`` and
            ``content_type``. A file under a directory is found by the rest of the path,
            a directory itself by the file of the entry ``""`` (``index.html``). Nothing
            outside a directory is served, whatever the path or links say.
    """

    def __init__(self, mapping: Mapping[str, str | Path | Mapping[str, Any]]) -> None:
        super().__init__()
        self._entries: dict[str, tuple[Path, str | None]] = {}
        for url, value in mapping.items():
            if isinstance(value, Mapping):
                filename, content_type = value["filename"], value.get("content_type")
            else:
                filename, content_type = value, None
            self._entries[url] = Path(filename), content_type
        self._index = self._entries.get("", (Path("index.html"), None))[0].name

    def missing(self) -> list[str]:
        """The entries whose file or directory is missing, as text."""
        return [
            f"{url!r}: {os.path.abspath(path)}"
            for url, (path, _) in self._entries.items()
            if url and not path.exists()  # "" has a name for those in directories
        ]

    async def handle(self, request: Request) -> Answer | None:
        """The response to a request; ``None``: there is no such file.

        The body of a large file is an :class:`OpenFile`, which must be closed.
        """
        return await _in_turn(self.answer, request.method, request.path)

    def answer(self, method: str, path: str) -> Answer | None:
        """The answer to a request, read in this thread; ``None`` for no such file."""
        found = self._read(path)
        if found is None or method in ("GET", "HEAD"):
            return found
        return 405, b"text/plain", b"Method Not Allowed", b"Allow: GET, HEAD\r\n"

    def _read(self, url: str) -> Answer | None:
        try:
            found = self._find(url)
            if found is None:
                return None
            path, content_type = found
            body = _open(path)
        except (OSError, RuntimeError):  # RuntimeError: links in a circle
            return None
        kind = content_type or _content_type(path)
        return 200, kind.encode("latin-1"), body, b""

    def _find(self, url: str) -> tuple[Path, str | None] | None:
        if "\0" in url or not url:
            return None
        if url in self._entries:
            path, content_type = self._entries[url]
            return (self._inside(path, "") if path.is_dir() else path), content_type
        prefix, rest = url, ""
        while prefix:
            prefix, _, last = prefix.rpartition("/")
            rest = f"{last}/{rest}" if rest else last
            for key in (prefix, prefix + "/"):
                if key and key in self._entries:
                    root, content_type = self._entries[key]
                    return self._inside(root, rest), content_type
        return None

    def _inside(self, root: Path, rest: str) -> Path:
        """The path of a file below a directory; OSError if there is none."""
        if WINDOWS and _names_something_else(rest):
            raise FileNotFoundError(rest)
        path = root / rest
        if path.is_dir():
            path = path / self._index
        if not path.resolve().is_relative_to(root.resolve(strict=True)):
            raise FileNotFoundError(path)
        return path


def _names_something_else(path: str) -> bool:
    r"""Whether Windows takes the rest of a path for more than names below a directory.

    These are ``\\server\share``, which even to look for tells that server who asks,
    ``C:``, ``file:stream``, and devices.
    """
    return (
        path.startswith("/")
        or "\\" in path
        or ":" in path
        or any(DEVICES.match(name) for name in path.split("/"))
    )


def served_files(
    mapping: Mapping[str, str | Path | Mapping[str, Any]] | None, logger: Logger
) -> StaticFiles | None:
    """The static files of a mapping; ``None`` if that is empty.

    One WARNING names the entries whose file is missing.
    """
    if not mapping:
        return None
    files = StaticFiles(mapping)
    missing = files.missing()
    if missing:
        logger.warning(
            "static_files that are not there, and get 404: %s", ", ".join(missing)
        )
    return files


def _open(path: Path) -> bytes | OpenFile:
    """The bytes of a file, or an ``OpenFile`` if it is large."""
    file = path.open("rb")
    try:
        size = os.fstat(file.fileno()).st_size
        if size > PIECE:
            return OpenFile(file, size)
        body = file.read()
    except BaseException:
        file.close()
        raise
    file.close()
    return body


def _content_type(path: Path) -> str:
    extension = path.suffix.lstrip(".").lower()
    if extension in TYPES:
        return TYPES[extension]
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"
