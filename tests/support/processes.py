"""Python in a process of its own, with the package that is tested here."""

from __future__ import annotations

import contextlib
import os
import signal
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
    process = subprocess.Popen(
        [sys.executable, *arguments],
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
