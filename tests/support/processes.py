"""Python in a process of its own, with the package that is tested here.

Most programs are a `Fork`, which starts in a tenth of the time. Where the start of the
interpreter is the point, or what the package imports, `python` starts one.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import socketio_fast

TIMEOUT = 50.0


def environment(*paths: Path) -> dict[str, str]:
    """That of this process, and where the package is."""
    package = Path(socketio_fast.__file__).parents[1]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(path) for path in (*paths, package)),
        # Where asyncio's debug mode or such is switched on by CI, it stays on.
        "PYTHONWARNINGS": "error",
    }


def python(
    *arguments: str, cwd: Path, check: bool = False, timeout: float = TIMEOUT
) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=check,
    )


@functools.cache
def _server() -> socket.socket:
    """Where requests go to; the process ends with this one."""
    ours, its = socket.socketpair()
    program = Path(__file__).with_name("fork_server.py")
    package = Path(socketio_fast.__file__).parents[1]
    # Each fork has its own paths and warnings.
    without = {"PYTHONPATH", "PYTHONWARNINGS"}
    with its:
        server = subprocess.Popen(
            [sys.executable, program, package],
            env={k: v for k, v in os.environ.items() if k not in without},
            stdin=its,
        )

    @atexit.register
    def end() -> None:
        ours.close()
        server.wait()

    return ours


def imported(*names: str) -> None:
    """Have forks start with these modules, where they are installed."""
    _ask({"imports": names})


def _ask(request: dict[str, Any], *descriptors: int) -> None:
    body = json.dumps(request).encode()
    socket.send_fds(_server(), [len(body).to_bytes(4, "big")], descriptors)
    _server().sendall(body)


class Fork(subprocess.Popen):  # type: ignore[type-arg]
    """``subprocess.Popen([sys.executable, *arguments], ...)``, by a fork.

    It has these options of a Popen: ``cwd``, ``env``, the three streams,
    ``start_new_session`` and those for text.
    """

    def _execute_child(self, *given: Any) -> None:
        arguments, _, preexec_fn, _, pass_fds, cwd, env = given[:7]
        assert not preexec_fn
        assert not pass_fds
        pipes = given[10:16]
        streams = [
            number if stream == -1 else stream
            for number, stream in enumerate((pipes[0], pipes[3], pipes[5]))
        ]
        request = {
            "argv": list(map(str, arguments)),
            "cwd": str(cwd or Path.cwd()),
            "env": {**(os.environ if env is None else env)},
            "session": given[21],
        }
        ours, its = socket.socketpair()
        with its:
            _ask(request, *streams, its.fileno())
        self._status = ours.makefile("rb")
        ours.close()
        self.pid = int(self._status.readline())
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """As waitpid, which only a parent can call."""
        if wait_flags & os.WNOHANG and not select.select([self._status], [], [], 0)[0]:
            return 0, 0
        with self._status:
            return self.pid, int(self._status.readline())

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode  # type: ignore[no-any-return]


def run_fork(
    arguments: list[str], *, timeout: float, text: str = "", **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run to the end with this as its stdin."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with Fork(arguments, text=True, **pipes, **options) as process:
        try:
            out, err = process.communicate(text, timeout)
        finally:
            process.kill()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


#: The lines by which the command tells its settings, behind the one where it listens.
SETTINGS = ["transports", "workers", "limits"]


class Running:
    """A process that has said that it listens."""

    def __init__(self, process: subprocess.Popen[str], line: str) -> None:
        self.process = process
        self.line = line
        #: What the command has said besides.
        self.settings: dict[str, str] = {}

    def read_settings(self) -> None:
        for name in SETTINGS:
            row, _, text = self.next_line().strip().partition(" ")
            assert row == name
            self.settings[row] = text.strip()

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def next_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def ended(self) -> tuple[int, str, str]:
        """Its status, and what it wrote since."""
        out, err = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, out, err


@contextlib.contextmanager
def listening(*arguments: str, cwd: Path, **options: Any) -> Iterator[Running]:
    """Start, and wait for the line that says where it listens."""
    process = Fork(
        [*arguments],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate(timeout=TIMEOUT)[1])
        running = Running(process, line)
        if "run" in arguments and not {"-q", "--quiet"} & {*arguments}:
            running.read_settings()
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=TIMEOUT)
