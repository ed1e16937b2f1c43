"""A supervisor in a process of its own, and who asks its workers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Any

from socketio_fast.workers.status import PREFIX
from support.processes import Fork, environment
from support.raw import request

#: Seconds for what starts processes, on a busy machine.
WAIT = 40.0

#: An application that says which process answers, at /about, as JSON.
APP = """
import json
import os

import socketio_fast as socketio

sio = socketio.AsyncServer()


async def about(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    told = {
        "pid": os.getpid(),
        "worker": os.environ.get("SOCKETIO_FAST_WORKER"),
        "cluster": os.environ.get("SOCKETIO_FAST_CLUSTER"),
        "version": VERSION,
    }
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


@sio.event
async def pid(sid):
    return os.getpid()


VERSION = 1
app = socketio.ASGIApp(sio, about)
"""


class Lines:
    """The lines of a stream, read by a thread as they come."""

    def __init__(self, stream: IO[str]) -> None:
        self.lines: list[str] = []
        self.ended = False
        self._stream = stream
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def close(self) -> None:
        self._thread.join()
        self._stream.close()

    def wait_for(self, pattern: str, count: int = 1, after: int = 0) -> re.Match[str]:
        """The count-th line after those that matches."""

        def found() -> list[re.Match[str]]:
            matches = (re.search(pattern, line) for line in self.lines[after:])
            return [match for match in matches if match]

        with self._changed:
            there = self._changed.wait_for(
                lambda: len(found()) >= count or self.ended, WAIT
            )
            matches = found()
        if not there or len(matches) < count:
            lines = "\n".join(self.lines)
            raise AssertionError(f"not {count} times {pattern!r}:\n{lines}")
        return matches[count - 1]

    def wait_for_end(self, seconds: float = WAIT) -> None:
        """Wait until all processes that had the stream have ended."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.ended, seconds), (
                "a process still has the stream:\n" + "\n".join(self.lines)
            )


class Supervised:
    """A running supervisor."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        assert process.stderr is not None
        self.out = Lines(process.stdout)
        self.log = Lines(process.stderr)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until_listening(self) -> None:
        try:
            line = self.out.wait_for(" listening on ").string
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n" + "\n".join(self.log.lines)) from None
        match = re.search(r"https?://127\.0\.0\.1:(\d+)/", line)
        self.port = int(match[1]) if match else 0
        if match := re.search(r", (\d+) workers?\)", line):
            self.log.wait_for(r"^worker \d+ .* accepts connections", int(match[1]))

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit code, after all its processes have ended."""
        code = self.process.wait(WAIT)
        self.out.wait_for_end()
        return code

    def workers(self) -> dict[int, int]:
        """The process that accepted last, of each worker."""
        found: dict[int, int] = {}
        for line in self.log.lines:
            match = re.match(r"worker (\d+) \(pid (\d+)\) accepts connections", line)
            if match:
                found[int(match[1])] = int(match[2])
        return found


@contextlib.contextmanager
def started(*command: str, cwd: Path, **options: Any) -> Iterator[Supervised]:
    """Start Python with this command line; end it with all its workers."""
    # One that is given descriptors cannot be a fork of another.
    start = subprocess.Popen if "pass_fds" in options else Fork
    process: subprocess.Popen[str] = start(
        [*([] if start is Fork else [sys.executable]), *command],
        cwd=cwd,
        # What is compiled of a module stands for it until the next second.
        env={**environment(), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Of its own group, so that what is left of it can be ended.
        start_new_session=True,
        **options,
    )
    supervised = Supervised(process)
    try:
        yield supervised
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(WAIT)
        for stream in (supervised.out, supervised.log):
            stream.wait_for_end()
            stream.close()
        # What it has made and, being killed, has not removed.
        for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}{process.pid}-*"):
            shutil.rmtree(directory)


@contextlib.contextmanager
def running(folder: Path, *arguments: str, **options: Any) -> Iterator[Supervised]:
    """``socketio-fast run app:app`` with workers, listening."""
    command = ("-m", "socketio_fast", "run", "app:app", "--port", "0", *arguments)
    with started(*command, cwd=folder, **options) as supervised:
        supervised.wait_until_listening()
        yield supervised


@contextlib.asynccontextmanager
async def connected(
    where: int | Path,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a port or a Unix socket."""
    if isinstance(where, int):
        reader, writer = await asyncio.open_connection("127.0.0.1", where)
    else:
        reader, writer = await asyncio.open_unix_connection(where)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def about(where: int | Path) -> dict[str, Any]:
    """Which process answers a request on a connection of its own."""

    async def ask() -> bytes:
        async with connected(where) as (reader, writer):
            writer.write(request("GET", "/about", headers=[("Connection", "close")]))
            return await reader.read()

    answer = await asyncio.wait_for(ask(), WAIT)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    body = answer.partition(b"\r\n\r\n")[2]
    start, end = body.index(b"{"), body.rindex(b"}") + 1
    told: dict[str, Any] = json.loads(body[start:end])
    return told


async def answering(where: int | Path, requests: int = 40) -> set[int]:
    """The processes that answer so many connections."""
    answers = await asyncio.gather(*(about(where) for _ in range(requests)))
    return {answer["pid"] for answer in answers}


def gone(path: str | Path) -> None:
    """Wait until a file or directory is not there any more."""
    deadline = time.monotonic() + WAIT
    while os.path.exists(path):
        assert time.monotonic() < deadline, f"{path} is still there"
        time.sleep(0.02)
