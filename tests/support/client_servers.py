"""One application on four servers, each a process of its own.

::

    with NODE.serve() as target:            # socket.io on Node.js
        target.url                          # http://127.0.0.1:…
        target.kill()                       # as if the machine had lost its power
        target.start()                      # again, on the same port

The application is described in :mod:`support.client_application`. These methods block
for as long as a process takes to start or end: a test whose event loop has something
else to do in the meantime calls them by ``asyncio.to_thread``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

from support.ports import free_port
from support.processes import environment

__all__ = ["NODE", "OURS", "PYTHON", "RUST", "SERVERS", "Kind", "Target"]

#: Seconds for a process to listen, and to end when it is asked to.
START_TIMEOUT = 30.0
STOP_TIMEOUT = 8.0

TESTS = Path(__file__).parents[1]

#: Options of :meth:`Kind.serve`: seconds, bytes, a cookie as ``{"name": …}``. None is
#: the server's default.
DEFAULTS: dict[str, Any] = {
    "path": "/socket.io/",
    "ping_interval": None,
    "ping_timeout": None,
    "max_http_buffer_size": None,
    "transports": None,
    "allow_upgrades": None,
    "cookie": None,
    #: Connection state recovery, where the server has it.
    "recovery": False,
    "per_message_deflate": False,
}


def _python(package: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-m", "support.client_application", package]


def _node() -> list[str]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("socket.io needs Node.js, which is not installed")
    if not (TESTS / "interop" / "node_modules" / "socket.io").is_dir():
        pytest.skip("no socket.io: run `npm ci --prefix tests/interop`")
    return [node, str(TESTS / "interop" / "server.mjs")]


def _rust() -> list[str]:
    """The built program; RUST_APPLICATION says where, if not where cargo puts it."""
    built = TESTS / "interop" / "rust" / "target" / "debug" / "application"
    program = os.environ.get("RUST_APPLICATION") or str(built)
    if not Path(program).is_file():
        pytest.skip(
            "no socketioxide: run "
            "`cargo build --manifest-path tests/interop/rust/Cargo.toml`"
        )
    return [program]


def _new_log() -> IO[str]:
    return tempfile.TemporaryFile("w+")


@dataclass(frozen=True)
class Kind:
    """One of the servers.

    Args:
        name: What tests call it.
        command: The program and its first arguments, or skips the test with a reason.
        lacks: What the server does not have: names of events of the application, and
            of options.
    """

    name: str
    command: Callable[[], list[str]]
    lacks: frozenset[str] = frozenset()

    @contextlib.contextmanager
    def serve(self, **options: Any) -> Iterator[Target]:
        """A running server, until the block ends."""
        unknown = options.keys() - DEFAULTS.keys()
        if unknown:
            raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
        missing = {name for name in self.lacks & options.keys() if options[name]}
        if missing:
            pytest.skip(f"{self.name} has no {', '.join(sorted(missing))}")
        target = Target(self, {**DEFAULTS, **options})
        try:
            target.start()
            yield target
        finally:
            target.kill()
            target.close()

    def needs(self, *features: str) -> None:
        """Skip the test where the server has not got them."""
        missing = self.lacks.intersection(features)
        if missing:
            pytest.skip(f"{self.name} has no {', '.join(sorted(missing))}")


@dataclass
class Target:
    """A server that can be ended and started again on its port."""

    kind: Kind
    options: dict[str, Any]
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[str] | None = None
    _log: IO[str] = field(default_factory=_new_log)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, unless it runs, and wait until it listens."""
        if self.running:
            return
        given = {
            name: value for name, value in self.options.items() if value is not None
        }
        self._process = subprocess.Popen(
            [*self.kind.command(), str(self.port), json.dumps(given)],
            # Warnings are the servers' own.
            env={**environment(TESTS), "PYTHONWARNINGS": "default"},
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        out = self._process.stdout
        assert out is not None
        ready, _, _ = select.select([out], [], [], START_TIMEOUT)
        if not ready or "listening" not in out.readline():
            self.kill()
            self._log.seek(0)
            raise AssertionError(f"{self.kind.name}: {self._log.read()}")

    def kill(self) -> None:
        """End it as a crash does: the kernel resets or ends its connections."""
        if self._process is not None:
            self._process.kill()
            self._ended(STOP_TIMEOUT)

    def stop(self) -> None:
        """End it by SIGTERM, and kill it if it does not end."""
        if self._process is not None:
            self._process.terminate()
            deadline = time.monotonic() + STOP_TIMEOUT
            while self.running and time.monotonic() < deadline:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(deadline - time.monotonic())
            self.kill()

    def restart(self) -> None:
        """Kill it, and start it again on the same port."""
        self.kill()
        self.start()

    def close(self) -> None:
        self._log.close()

    def _ended(self, seconds: float) -> None:
        process, self._process = self._process, None
        assert process is not None
        process.wait(seconds)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


OURS = Kind("socketio_fast", _python("socketio_fast"))
NODE = Kind("socket.io", _node)
PYTHON = Kind("python-socketio", _python("socketio"), frozenset({"recovery"}))
RUST = Kind(
    "socketioxide",
    _rust,
    frozenset(
        {
            "allow_upgrades",
            "cookie",
            "per_message_deflate",
            "recovery",
            # It refuses with a message alone, and cannot end a connection without
            # telling its namespaces.
            "data of a refusal",
            "drop",
        }
    ),
)

SERVERS = [OURS, NODE, PYTHON, RUST]
