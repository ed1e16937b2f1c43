"""What workers do: a socket of their supervisor that tells, and who asks.

The supervisor listens on ``status`` in its directory, which only its user can enter. A
connection gets one object of JSON. Workers without a supervisor are asked themselves.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import selectors
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from socketio_fast.cluster.frames import Kind, frame
from socketio_fast.cluster.identity import number_of, tag_of_file

__all__ = [
    "COLUMNS",
    "PREFIX",
    "StatusSocket",
    "ask",
    "directories",
    "make_directory",
    "table",
]

#: How the names of the directories of supervisors begin; the pid comes next.
PREFIX = "socketio-fast-"

#: Seconds that one side waits for the other.
TIMEOUT = 5.0

# The most bytes of a Unix socket's path on any system, and what names in the directory
# may take of it.
LONGEST_PATH = 100
LONGEST_NAME = 30

NAME_IT = (
    "name the directory that the running server has in cluster= or "
    "SOCKETIO_FAST_CLUSTER"
)


def make_directory() -> str:
    """Make the directory in which the workers of this process find each other."""
    parent = tempfile.gettempdir()
    name = f"{PREFIX}{os.getpid()}-"
    if len(os.fsencode(os.path.join(parent, name))) + LONGEST_NAME > LONGEST_PATH:
        parent = "/tmp"
    return tempfile.mkdtemp(prefix=name, dir=parent)  # its mode is 0700


def directories(pid: int | None = None) -> list[str]:
    """The directories of supervisors of this user (for root, of all).

    Args:
        pid: That of one supervisor; ``None`` for all.
    """
    found: list[str] = []
    if sys.platform == "win32":
        return found  # where no server has workers
    name = f"{PREFIX}*-*" if pid is None else f"{PREFIX}{pid}-*"
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp")):
        for path in glob.glob(os.path.join(glob.escape(parent), name)):
            with contextlib.suppress(OSError):
                about = os.lstat(path)
                own = about.st_uid == os.geteuid() or os.geteuid() == 0
                if own and stat.S_ISDIR(about.st_mode) and _answers(path):
                    found.append(path)
    return sorted(set(found))


def _answers(directory: str) -> bool:
    with contextlib.suppress(OSError), _connect(directory):
        return True
    return False  # of a supervisor that was killed


def _connect(directory: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(TIMEOUT)
    try:
        sock.connect(os.path.join(directory, "status"))
    except BaseException:
        sock.close()
        raise
    return sock


def ask(directory: str) -> dict[str, Any]:
    """What the supervisor of a directory says, or else its workers.

    Raises:
        LookupError: There is neither, or no such directory.
        OSError: The supervisor does not answer in 5 seconds.
        ValueError: Something else answers there.
    """
    cluster = f"unix:{directory}"
    try:
        names = os.listdir(directory)
    except OSError as exc:
        raise LookupError(f"cluster={cluster!r}: {exc.strerror}: {NAME_IT}") from None
    if "status" in names:
        return _ask_supervisor(directory)
    workers = _ask_workers(directory, [name for name in names if tag_of_file(name)])
    if not workers:
        raise LookupError(
            f"cluster={cluster!r}: no worker has a socket there: {NAME_IT}"
        )
    versions = sorted({each.pop("version") for each in workers if "version" in each})
    return {
        "version": ", ".join(versions) or "of a version that is not known",
        "directory": directory,
        "workers": sorted(workers, key=lambda each: int(each["worker"])),
    }


def _ask_workers(directory: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """What the workers with these sockets say, all at once."""
    told = []
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for name in names:
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.setblocking(False)
            try:
                sock.connect(os.path.join(directory, name))
            except (ConnectionRefusedError, FileNotFoundError):
                continue  # it has ended
            except BlockingIOError:
                pass  # it accepts nothing: it does not answer either
            ours, theirs = socket.socketpair()
            stack.enter_context(ours)
            with theirs, contextlib.suppress(OSError):
                socket.send_fds(sock, [frame(Kind.STATUS, b"")], [theirs.fileno()])
            ours.setblocking(False)
            selector.register(ours, selectors.EVENT_READ, (name, bytearray()))
        deadline = time.monotonic() + TIMEOUT
        while selector.get_map():
            ready = selector.select(max(0, deadline - time.monotonic()))
            if not ready:
                break
            for key, _ in ready:
                name, data = key.data
                with contextlib.suppress(OSError):
                    if chunk := key.fileobj.recv(65536):  # type: ignore[union-attr]
                        data += chunk
                        continue
                selector.unregister(key.fileobj)
                if data:  # else it has ended meanwhile
                    told.append(json.loads(bytes(data)))
        for key in selector.get_map().values():
            number = number_of(str(tag_of_file(key.data[0])))
            told.append({"worker": number, "state": "does not answer"})
    return told


def _ask_supervisor(directory: str) -> dict[str, Any]:
    data = bytearray()
    with _connect(directory) as sock:
        while chunk := sock.recv(65536):
            data += chunk
    told = json.loads(bytes(data))
    if not isinstance(told, dict) or not isinstance(told.get("workers"), list):
        raise ValueError(f"{directory}: what answers there is no supervisor")
    return told


class StatusSocket:
    """Tells who connects, in the supervisor.

    Args:
        directory: The supervisor's.
        status: Returns what is told.
    """

    def __init__(self, directory: str, status: Callable[[], Mapping[str, Any]]) -> None:
        self._status = status
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.bind(os.path.join(directory, "status"))
        self._sock.listen(16)
        self._sock.setblocking(False)

    def fileno(self) -> int:
        """The descriptor, for selectors."""
        return self._sock.fileno()

    def answer(self) -> None:
        """Answer a connection that waits."""
        try:
            asker, _ = self._sock.accept()
        except OSError:
            return
        with asker:
            # The answer fits into the socket's buffer; nobody is waited for.
            asker.setblocking(False)
            data = json.dumps(self._status()).encode()
            with contextlib.suppress(OSError):
                while data:
                    data = data[asker.send(data) :]

    def close(self) -> None:
        """Stop telling."""
        self._sock.close()


COLUMNS = (
    *("worker", "pid", "state", "age", "clients", "connections", "memory", "cpu"),
    *("in/s", "out/s"),
)


def table(told: Mapping[str, Any]) -> str:
    """The lines of a table, for people."""
    if "pid" in told:
        head = (
            f"socketio_fast {told['version']} on {told['url'] or 'nothing yet'}, "
            f"supervisor {told['pid']}, up {_age(told['age'])}"
        )
    else:
        head = f"socketio_fast {told['version']}, workers of unix:{told['directory']}"
    rows: list[Sequence[str]] = [COLUMNS]
    rows += [_row(worker) for worker in told["workers"]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == "state" else cell.rjust(width)
            for column, cell, width in zip(COLUMNS, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([head, *lines])


def _row(worker: Mapping[str, Any]) -> list[str]:
    def shown(name: str, form: Callable[[Any], str]) -> str:
        return form(worker[name]) if worker.get(name) is not None else "-"

    state = worker["state"]
    if worker.get("silent", 0) >= 10:
        state += f", silent for {_age(worker['silent'])}"
    return [
        str(worker["worker"]),
        shown("pid", str),
        state,
        shown("age", _age),
        shown("clients", str),
        shown("connections", str),
        shown("memory", lambda size: f"{size / 1048576:.1f} MiB"),
        shown("cpu_per_second", lambda share: f"{share * 100:.0f} %"),
        shown("packets_in_per_second", lambda rate: f"{rate:.0f}"),
        shown("packets_out_per_second", lambda rate: f"{rate:.0f}"),
    ]


def _age(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
