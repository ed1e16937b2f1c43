"""Lines of standard input, where there is no prompt."""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

__all__ = ["Interrupted", "stdin_lines"]

CHUNK = 65_536

#: Bytes of a line, at most.
LONGEST = 100_000_000


class Interrupted(Exception):
    """Ctrl-C at the prompt. A KeyboardInterrupt would end the event loop."""


async def stdin_lines(descriptor: int) -> AsyncIterator[str]:
    """Read the lines of a descriptor: a pipe, a file or a terminal.

    A daemon thread reads, for which the end of the process does not wait: nobody can
    interrupt it. It reads on when what it has read is used up.

    Raises:
        ValueError: A line is too long, or is not UTF-8.
    """
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    wanted = threading.Semaphore(1)

    def read() -> None:
        data: bytes | OSError = b"more"
        while isinstance(data, bytes) and data:
            wanted.acquire()
            data = _read(descriptor)
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(chunks.put_nowait, data)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    rest = bytearray()
    while True:
        chunk = await chunks.get()
        if isinstance(chunk, OSError):
            raise ValueError(f"stdin cannot be read: {chunk}")
        if not chunk:
            break
        first, *others = chunk.split(b"\n")
        rest += first
        for line in others:
            yield _text(rest)
            rest = bytearray(line)
        if len(rest) > LONGEST:
            raise ValueError(f"a line of stdin has more than {LONGEST} bytes")
        wanted.release()
    if rest:
        yield _text(rest)


def _read(descriptor: int) -> bytes | OSError:
    while True:
        try:
            return os.read(descriptor, CHUNK)
        except (
            BlockingIOError
        ):  # who started this process shares it, and does not block
            select.select([descriptor], [], [])
        except OSError as exc:
            return exc


def _text(line: bytearray) -> str:
    try:
        return line.decode().rstrip("\r")
    except UnicodeDecodeError:
        raise ValueError("a line of stdin is not UTF-8") from None
