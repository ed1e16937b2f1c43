"""The file that has the number of a running server's process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["pidfile", "read_pid", "runs"]


@contextlib.contextmanager
def pidfile(path: str | os.PathLike[str] | None) -> Iterator[None]:
    """Keep the file while the block runs.

    Args:
        path: The file; ``None`` for none.

    Raises:
        FileExistsError: The process that it names runs.
        OSError: It cannot be written.
    """
    if path is None:
        yield
        return
    file = Path(path)
    own = os.getpid()
    with contextlib.suppress(FileNotFoundError, ValueError):
        other = read_pid(file)
        if other != own and runs(other):
            raise FileExistsError(
                f"pidfile {os.fspath(path)!r}: process {other} runs; stop it first, or "
                "remove the file if that is another program"
            )
    new = file.with_name(f"{file.name}.{own}")
    try:
        new.write_text(f"{own}\n")
        new.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            if os.getpid() == own == read_pid(file):
                file.unlink()


def read_pid(path: str | os.PathLike[str]) -> int:
    """The number that is in a file.

    Raises:
        OSError: It cannot be read.
        ValueError: Something else is in it.
    """
    text = Path(path).read_text().strip()
    if not text.isdecimal() or not text.isascii():
        raise ValueError(f"{os.fspath(path)!r}: the number of a process expected")
    return int(text)


def runs(pid: int) -> bool:
    """Whether there is such a process."""
    if os.name == "nt":
        return False  # os.kill() would end it
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # of another user
    return True
