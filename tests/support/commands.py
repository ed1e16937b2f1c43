"""The command ``socketio-fast`` as a process: with pipes, or at a terminal."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import socketio_fast as socketio
from support.processes import Fork, environment, run_fork
from support.waiting import WAIT

#: How Python runs it, in an interpreter of its own.
COMMAND = (sys.executable, "-m", "socketio_fast")

#: What a terminal is told besides text.
CONTROL = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[=>]|\r|\x07")


def make_server() -> socketio.AsyncServer:
    """What the command is tried with."""
    sio = socketio.AsyncServer(namespaces=["/", "/chat"])
    came: dict[str, Any] = {}
    echoed: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    @sio.on("connect", namespace="*")
    async def connect(namespace: str, sid: str, environ: Any, auth: Any) -> None:
        came[namespace] = auth, environ

    @sio.on("came_with", namespace="*")
    async def came_with(namespace: str, sid: str) -> Any:
        auth, environ = came[namespace]
        return auth, environ.get("HTTP_X_TRACE"), environ["QUERY_STRING"]

    @sio.on("echo", namespace="*")
    async def echo(namespace: str, sid: str, *args: Any) -> Any:
        echoed[sid].set()
        return args

    @sio.on("back", namespace="*")
    async def back(namespace: str, sid: str, event: str, *args: Any) -> None:
        await sio.emit(event, args, to=sid, namespace=namespace)

    @sio.event
    async def later(sid: str) -> str:
        """Acknowledges after the client's first ``echo``."""
        await echoed[sid].wait()
        return "late"

    @sio.event
    async def kick(sid: str) -> None:
        await sio.disconnect(sid)

    @sio.on("connect", namespace="/refusing")
    async def refuse(sid: str, environ: Any, auth: Any) -> None:
        raise socketio.exceptions.ConnectionRefusedError("not you\x1b[31m", {"a": 1})

    return sio


class Command:
    """A process whose output is read line by line, each within a time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._rest = b""

    def line(self) -> str:
        """The next line of stdout; ``""`` at its end."""
        assert self.process.stdout is not None
        while b"\n" not in self._rest:
            chunk = _read(self.process.stdout.fileno(), WAIT)
            if not chunk:
                return ""
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def told(self, kind: str | None = None) -> dict[str, Any]:
        """The next object of ``--json``, of a type."""
        while True:
            line = self.line()
            assert line, f"stdout has ended; no {kind}"
            found: dict[str, Any] = json.loads(line)
            if kind in (None, found["type"]):
                return found

    def say(self, value: Any) -> None:
        """Write a line: text, or a value as JSON."""
        assert self.process.stdin is not None
        text = value if isinstance(value, str) else json.dumps(value)
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def end_input(self) -> None:
        """End its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def status(self) -> int:
        """Its exit code."""
        return self.process.wait(WAIT)

    def errors(self) -> str:
        """What it has written to stderr, when it has ended."""
        self.status()
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()


@contextmanager
def command(*arguments: str, cwd: Path, **options: Any) -> Iterator[Command]:
    """Start ``socketio-fast`` with these arguments and pipes."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = Fork(
        ["-m", "socketio_fast", *arguments],
        cwd=cwd,
        env=environment(),
        **{**pipes, **options},
    )
    try:
        yield Command(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(WAIT)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def run(
    *arguments: str, cwd: Path, text: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run ``connect`` to the end with this as its stdin, and more variables."""
    return run_fork(
        ["-m", "socketio_fast", "connect", *arguments],
        text=text,
        cwd=cwd,
        env={**environment(), **variables},
        timeout=WAIT,
    )


def objects(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """What ``--json`` has told."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def of(kind: str, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of a type."""
    return [each for each in told if each["type"] == kind]


def lines_of(*values: Any) -> str:
    """Lines of stdin with ``--json``."""
    return "".join(json.dumps(value) + "\n" for value in values)


class Terminal:
    """A process at a terminal: what is typed, and what is shown."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        #: All that came, with what moves the cursor and chooses colours.
        self.raw = b""
        self._seen = 0

    def modes(self) -> list[int]:
        """How the terminal treats what is typed and shown."""
        return termios.tcgetattr(self._descriptor)[:4]

    def type(self, text: str) -> None:
        """Type it."""
        os.write(self._descriptor, text.encode())

    def until(self, text: str) -> str:
        """Wait until it is shown, after what was waited for before."""
        deadline = time.monotonic() + WAIT
        while (at := self.shown.find(text, self._seen)) < 0:
            chunk = _read(self._descriptor, deadline - time.monotonic())
            assert chunk, f"{text!r} is not in {self.shown[self._seen :]!r}"
            self.raw += chunk
        before, self._seen = self._seen, at + len(text)
        return self.shown[before : self._seen]

    def status(self) -> int:
        """Its exit code; the rest of its output is read."""
        while chunk := _read(self._descriptor, WAIT):
            self.raw += chunk
        return self.process.wait(WAIT)

    @property
    def shown(self) -> str:
        """What came, as text."""
        return CONTROL.sub(b"", self.raw).decode(errors="replace")


@contextmanager
def terminal(
    *arguments: str,
    cwd: Path,
    program: tuple[str, ...] | None = None,
    **variables: str,
) -> Iterator[Terminal]:
    """Start ``socketio-fast`` at a terminal of its own.

    Args:
        *arguments: Its arguments.
        cwd: Where; its history is there too.
        program: What runs it, in an interpreter of its own.
        **variables: More of its environment.
    """
    ours, its = pty.openpty()
    # Wide enough for what is waited for to be in one line.
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("4H", 24, 200, 0, 0))
    env = {
        **environment(),
        "TERM": "xterm",
        "PROMPT_TOOLKIT_NO_CPR": "1",
        "XDG_STATE_HOME": str(cwd),
        **variables,
    }
    start = subprocess.Popen if program else Fork
    process = start(
        [*(program or ("-m", "socketio_fast")), *arguments],
        cwd=cwd,
        env=env,
        **dict.fromkeys(("stdin", "stdout", "stderr"), its),
        start_new_session=True,
    )
    os.close(its)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(WAIT)
        os.close(ours)


def _read(descriptor: int, seconds: float) -> bytes:
    """What comes next; ``b""`` at the end."""
    ready, _, _ = select.select([descriptor], [], [], max(0.0, seconds))
    assert ready, f"nothing came within {seconds:g} s"
    try:
        return os.read(descriptor, 65_536)
    except OSError:
        return b""  # a terminal whose process has ended
