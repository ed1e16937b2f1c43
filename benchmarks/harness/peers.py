"""The processes that are measured: servers, and clients."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from catalogue import Server
from harness.errors import BenchmarkError, last_line
from harness.plan import Plan

START_SECONDS = 20.0


def probe_versions(plan: Plan, server: Server) -> dict[str, str]:
    """Asks a server for its versions; fails where it cannot run here."""
    try:
        result = subprocess.run(
            server.arguments(plan.python, "--versions"),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchmarkError(str(error)) from None
    if result.returncode != 0:
        raise BenchmarkError(last_line(result.stderr))
    versions: dict[str, str] = json.loads(result.stdout)
    return versions


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextlib.contextmanager
def serving(
    plan: Plan, server: Server, *more: str
) -> Iterator[tuple[int, int, IO[str]]]:
    """Runs a server; yields its port, its process id and its output."""
    port = free_port()
    # Opened twice: who reads must not move the place where the server writes, whose
    # next line would then be written over the one that is looked for.
    with tempfile.NamedTemporaryFile("r") as log, open(log.name, "ab") as output:
        process = subprocess.Popen(
            server.arguments(plan.python, "--port", str(port), *more),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, {plan.server_core}),
        )
        try:
            yield port, wait_until_listening(process, log), log
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_listening(process: subprocess.Popen[bytes], log: IO[str]) -> int:
    """The process that serves: what was started may only have launched it."""
    deadline = time.monotonic() + START_SECONDS
    output = ""
    while time.monotonic() < deadline:
        log.seek(0)
        output = log.read()
        if found := re.search(r"^listening on \d+ pid (\d+)$", output, re.MULTILINE):
            return int(found[1])
        if process.poll() is not None:
            raise BenchmarkError(f"the server ended: {last_line(output)}")
        time.sleep(0.02)
    raise BenchmarkError(
        f"the server did not listen within {START_SECONDS:.0f} s: {last_line(output)}"
    )


def await_line(process: subprocess.Popen[str], start: str, errors: IO[str]) -> str:
    """The next line of a client, which is to begin like this."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith(start):
        process.kill()
        errors.seek(0)
        raise BenchmarkError(
            f"the client ended, or hung, before {start.strip()!r}: "
            + last_line(errors.read())
        )
    return line


class Usage(NamedTuple):
    """What a process has used, by the clock and by /proc."""

    clock: float
    cpu: float
    resident: int

    @classmethod
    def of(cls, pid: int) -> Usage:
        # Behind the name, which may have spaces: user and system are the 12th and 13th.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return cls(
            time.monotonic(),
            ticks / os.sysconf("SC_CLK_TCK"),
            int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        )
