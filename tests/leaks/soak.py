"""Hostile peers beside clients that behave: what they take, and from whom.

    python -m tests.leaks.soak [--seconds 120] [--peers 200] [--kind NAME]

A server in a process of its own serves 100 clients that echo 10 messages a second each,
first alone, then beside as many hostile peers of a kind. Each kind has a server of its
own. The server has one core, the clients and peers another, where there are two.

What is printed: the server's memory before, at most, and when the hostile peers have
gone; the latency of the echoes alone and beside them; how many were sent and how many
were not answered; the share of its core that the server used; and the share of the time
in which it was ready to run and others had its core. The exit code is 1 if a bound is
broken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from .soak_peers import KINDS, Served

CLIENTS = 100
ALONE = 10.0  # seconds that they are served alone, at most
MEGABYTE = 1 << 20
# Bytes that all peers may take together, and that may be left of them.
MOST = 100 * MEGABYTE
LEFT = 20 * MEGABYTE
# How many times the latency alone the 99th percentile may be; what is quick enough in
# any case, and what never is, in seconds.
SLOWER = 3.0
QUICK = 0.02
SLOW = 0.1
# Seconds in which the server lets go of who has gone, and of what is kept for who comes
# back: `max_disconnection_duration`, `ping_interval` and twice `ping_timeout`.
GONE = 15.0


@dataclass(frozen=True)
class Usage:
    """What a process has used of its core, and waited for it, in seconds."""

    used: float
    waited: float

    @classmethod
    def of(cls, pid: int) -> Usage:
        used = waited = 0
        for thread in Path(f"/proc/{pid}/task").iterdir():
            ran, ready, _ = map(int, (thread / "schedstat").read_text().split())
            used, waited = used + ran, waited + ready
        return cls(used / 1e9, waited / 1e9)


@dataclass(frozen=True)
class Result:
    """What one kind did to the server, and to the others.

    Args:
        kind: Its name.
        before: Bytes of the server without hostile peers.
        most: Bytes of it, at most.
        end: Bytes of it when they have gone.
        alone: What the others got without them.
        beside: What they got beside them.
        busy: The share of its core that the server used meanwhile.
        waited: The share of the time in which others had its core.
    """

    kind: str
    before: int
    most: int
    end: int
    alone: Served
    beside: Served
    busy: float
    waited: float

    @property
    def lost(self) -> int:
        """Messages that were not answered."""
        return self.beside.sent - self.beside.answered

    @property
    def faults(self) -> list[str]:
        found = []
        if self.most - self.before > MOST:
            found.append("memory")
        if self.end - self.before > LEFT:
            found.append("memory at the end")
        if self.lost:
            found.append("lost")
        if self.beside.p99 > min(SLOW, max(QUICK, SLOWER * self.alone.p99)):
            found.append("latency")
        return found

    def __str__(self) -> str:
        sizes = (size / MEGABYTE for size in (self.before, self.most, self.end))
        return (
            f"{self.kind:12}"
            + "".join(f"{size:8.1f}" for size in sizes)
            + f"{1000 * self.alone.p99:10.1f}{1000 * self.beside.p99:10.1f}"
            + f"{self.beside.sent:9d}{self.lost:6d}"
            + f"{self.busy:7.0%}{self.waited:8.0%}  "
            + (", ".join(self.faults) or "ok")
        )


HEAD = (
    "kind       MiB before    most     end p99: alone    beside"
    "     sent  lost   busy  waited"
)


class ServerProcess:
    """The server, seen from outside."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.port = port
        self.pid = process.pid
        self.slow = 0
        self.most = 0
        self._process = process
        self._trimmed = asyncio.Event()

    async def read(self) -> None:
        """Hear what it prints, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line == b"slow\n":
                self.slow += 1
            else:
                self._trimmed.set()

    async def watch(self) -> None:
        """Keep an eye on its memory."""
        while True:
            self.most = max(self.most, self.memory())
            await asyncio.sleep(0.1)

    def memory(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    async def in_use(self) -> int:
        """Its memory, without what it only keeps in store."""
        assert self._process.stdin is not None
        self._trimmed.clear()
        self._process.stdin.write(b"\n")
        await self._trimmed.wait()
        return self.memory()


def cores() -> tuple[set[int], set[int]]:
    """Those of the server, and those of the clients."""
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


@contextlib.asynccontextmanager
async def program(
    name: str, *args: object, on: set[int], first: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program beside this one, on these cores, ended in the end; before all others
    if it is to be the first, and may."""
    process = await asyncio.create_subprocess_exec(
        # By its path: the checkout's package may not be built.
        *(sys.executable, str(Path(__file__).with_name(name)), *map(str, args)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # What a server has to say of its peers is not of interest.
        stderr=asyncio.subprocess.DEVNULL if name == "soak_server.py" else None,
        # The C library gives back what is free in between, CPython's allocator and the
        # stores of threads do not.
        env={**os.environ, "PYTHONMALLOC": "malloc", "MALLOC_ARENA_MAX": "1"},
    )
    os.sched_setaffinity(process.pid, on)
    if first:
        with contextlib.suppress(PermissionError):
            # Not by a real-time policy: a thread that reads a file would then keep the
            # core from the event loop's for 100 ms.
            os.setpriority(os.PRIO_PROCESS, process.pid, -20)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def running_server(flavour: str, first: bool) -> AsyncIterator[ServerProcess]:
    async with program(
        "soak_server.py", flavour, on=cores()[0], first=first
    ) as process:
        assert process.stdout is not None
        port = int(await asyncio.wait_for(process.stdout.readline(), 30))
        server = ServerProcess(process, port)
        tasks = [asyncio.ensure_future(t) for t in (server.read(), server.watch())]
        try:
            yield server
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def served(port: int, seconds: float, clients: int, first: bool) -> Served:
    args = (port, "behave", clients, seconds)
    async with program("soak_peers.py", *args, on=cores()[1], first=first) as process:
        out, _ = await process.communicate()
        return Served(**json.loads(out))


async def run(
    name: str, seconds: float, peers: int, clients: int = CLIENTS, first: bool = False
) -> Result:
    """Try one kind.

    Args:
        name: The kind's.
        seconds: How long its peers are there.
        peers: How many they are, at most.
        clients: How many there are that behave.
        first: Whether the server and these come before whatever else runs on this
            machine, which is not what is measured; a superuser can have that.
    """
    async with running_server(KINDS[name].server, first) as server:
        alone = await served(server.port, min(seconds, ALONE), clients, first)
        before = server.most = await server.in_use()
        start, began = Usage.of(server.pid), time.monotonic()
        args = (server.port, name, peers)
        async with program("soak_peers.py", *args, on=cores()[1]) as attack:
            beside = await served(server.port, seconds, clients, first)
            took, usage = time.monotonic() - began, Usage.of(server.pid)
            # Of what a peer has not expected, this has ended.
            assert attack.returncode is None, f"{name}: {attack.returncode}"
        if name == "broadcasts" and seconds > 5:
            assert server.slow, "no client was slow: nothing was tried"
        await asyncio.sleep(GONE)
        end = await server.in_use()
        return Result(
            name,
            before,
            server.most,
            end,
            alone,
            beside,
            (usage.used - start.used) / took,
            (usage.waited - start.waited) / took,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--peers", type=int, default=200)
    parser.add_argument("--kind", choices=[*KINDS], action="append")
    options = parser.parse_args()
    print(HEAD)
    broken = 0
    for kind in options.kind or KINDS:
        result = asyncio.run(run(kind, options.seconds, options.peers, first=True))
        broken += bool(result.faults)
        print(result, flush=True)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
