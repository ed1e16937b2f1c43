"""What arrives once, twice, never or out of order when workers fail.

    python benchmarks/worker_faults.py
    python benchmarks/worker_faults.py --only "kill -9 of a worker" --seconds 3

Clients of four workers send numbered messages. A worker notes each in a file, and sends
it to a room that all clients are in. In the middle something happens to the worker of
the first client, or to the supervisor. A minute for all faults, on two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import socketio_fast
from harness.counting import Count, notes_in

CLIENTS = 12

#: Seconds between two messages of a client.
PERIOD = 0.02

#: Seconds in which everybody connects, or what is on its way arrives.
PATIENCE = 30.0

#: Connections that ask for a worker's descriptors.
NEWCOMERS = 60

MEGABYTE = 1_000_000
FLOOD = 40


def application() -> socketio_fast.AsyncServer:
    """What the workers serve."""
    sio = socketio_fast.AsyncServer()
    notes = Path(os.environ["NOTES"]) / str(os.getpid())
    # Written at once: what was noted stays when the process is killed.
    note = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await sio.enter_room(sid, "all")

    @sio.event
    async def say(sid: str, sender: str, number: int) -> None:
        os.write(note, f"{sender} {number}\n".encode())
        await sio.emit("said", (sender, number), to="all")

    @sio.event
    async def worker(sid: str) -> int:
        return os.getpid()

    @sio.event
    async def flood(sid: str, to: list[str]) -> None:
        for number in range(FLOOD):
            await sio.emit("flooded", (number, "x" * MEGABYTE), to=to)

    @sio.event
    async def descriptors(sid: str, more: int) -> None:
        if not more:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            return
        # The highest that is open, and a few more: the rest is refused.
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + more, limits[1]))

    return sio


class Member:
    """A client, and what it has sent and received, by its sids."""

    def __init__(self, transport: str) -> None:
        self.client = socketio_fast.AsyncClient(
            reconnection_delay=0.1, reconnection_delay_max=0.5, request_timeout=PATIENCE
        )
        self.transport = transport
        self.sent: Counter[str] = Counter()
        self.received: dict[str, list[tuple[str, int]]] = {}
        self.workers: dict[str, int] = {}
        self.flooded: list[int] = []
        self.client.on("connect", self._on_connect)
        self.client.on("said", self._on_said)
        self.client.on("flooded", lambda number, _: self.flooded.append(number))

    async def connect(self, url: str) -> None:
        await self.client.connect(url, transports=[self.transport], retry=False)

    @property
    def sid(self) -> str:
        return str(self.client.get_sid())

    async def _on_connect(self) -> None:
        sid = self.sid
        self.received[sid] = []
        with contextlib.suppress(socketio_fast.exceptions.SocketIOError):
            self.workers[sid] = await self.client.call("worker", timeout=PATIENCE)

    def _on_said(self, sender: str, number: int) -> None:
        self.received.setdefault(self.sid, []).append((sender, number))

    async def send(self, until: asyncio.Event) -> None:
        """Send numbered messages."""
        while not until.is_set():
            if self.client.connected and self.sid in self.workers:
                sid = self.sid
                number = self.sent[sid]
                self.sent[sid] += 1
                with contextlib.suppress(socketio_fast.exceptions.SocketIOError):
                    await self.client.emit("say", (sid, number))
            await asyncio.sleep(PERIOD)


@dataclass
class Result:
    """What became of all messages of a run."""

    #: From clients whose connection to their worker has lasted.
    sent: Count = field(default_factory=Count)
    #: From clients whose connection has broken.
    sent_by_broken: Count = field(default_factory=Count)
    #: Between clients of workers that nothing happens to.
    others: Count = field(default_factory=Count)
    #: To clients of the worker, and from them.
    its_own: Count = field(default_factory=Count)
    #: From another worker to its clients, many megabytes.
    flood: Count = field(default_factory=Count)
    #: Connections that have broken.
    broken: int = 0
    #: What a fault has to tell besides.
    more: dict[str, Any] = field(default_factory=dict)


class Run:
    """Workers, and their clients."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.members = [
            Member("polling" if number % 3 == 2 else "websocket")
            for number in range(CLIENTS)
        ]
        self.more: dict[str, Any] = {}
        #: The clients that were sent the flood.
        self.flooded: list[Member] = []

    @property
    def victim(self) -> int:
        """The worker of the first client."""
        return next(iter(self.members[0].workers.values()))

    @property
    def supervisor(self) -> int:
        return self._process.pid

    @contextlib.contextmanager
    def _serving(self, folder: str) -> Iterator[None]:
        place = f"{Path(__file__).stem}:application"
        arguments = ["run", place, "--factory", "--workers", "4", "--port", "0"]
        with Path(folder, "log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "socketio_fast", *arguments],
                cwd=Path(__file__).parent,
                env={**os.environ, "NOTES": folder},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        try:
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
            match = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            assert match, Path(folder, "log").read_text()
            self.port = int(match[1])
            self.url = match[0]
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGCONT)
                os.killpg(self._process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()

    async def count(self, fault: Fault) -> Result:
        """Let it happen among messages."""
        with tempfile.TemporaryDirectory() as folder, self._serving(folder):
            await asyncio.gather(*(each.connect(self.url) for each in self.members))
            done = asyncio.Event()
            sending = [asyncio.create_task(each.send(done)) for each in self.members]
            try:
                await self._until(self._is_settled)
                await asyncio.sleep(self.seconds / 3)
                await fault(self)
                await asyncio.sleep(self.seconds / 3)
            finally:
                done.set()
                await asyncio.gather(*sending)
            await self._until(self._is_quiet)
            connected = self._connected()
            notes = notes_in(Path(folder))
            for each in self.members:
                await each.client.disconnect()
        return self._result(notes, connected)

    async def _until(self, condition: Callable[[], bool]) -> None:
        for _ in range(round(PATIENCE / 0.2)):
            if condition():
                return
            await asyncio.sleep(0.2)

    def _is_settled(self) -> bool:
        """Everybody has heard of everybody."""
        return all(
            len({sender for sender, _ in heard}) == CLIENTS
            for each in self.members
            for heard in each.received.values()
        )

    _before = -1

    def _is_quiet(self) -> bool:
        """Nothing has come for a while."""
        count = sum(
            len(heard) for each in self.members for heard in each.received.values()
        ) + sum(len(each.flooded) for each in self.members)
        same, self._before = count == self._before, count
        if not same:
            self._since = time.monotonic()
        return same and time.monotonic() > self._since + 2

    def _connected(self) -> set[str]:
        """The sids of clients that are connected."""
        return {each.sid for each in self.members if each.client.connected}

    def _result(self, handled: dict[str, list[int]], connected: set[str]) -> Result:
        result = Result(more=self.more)
        for each in self.flooded:
            result.flood.add(range(FLOOD), each.flooded)
        workers = {
            sid: pid for each in self.members for sid, pid in each.workers.items()
        }
        for each in self.members:
            for sid, count in each.sent.items():
                way = result.sent if sid in connected else result.sent_by_broken
                way.add(range(count), handled.get(sid, []))
            for sid, heard in each.received.items():
                result.broken += sid not in connected
                by_sender: dict[str, list[int]] = {}
                for sender, number in heard:
                    by_sender.setdefault(sender, []).append(number)
                for sender, numbers in by_sender.items():
                    due = set(handled.get(sender, []))
                    # In the beginning it was not in the room yet.
                    due -= set(range(numbers[0]))
                    if sid not in connected:
                        due &= set(range(max(numbers) + 1))
                    hit = self.victim in (workers.get(sid), workers.get(sender))
                    (result.its_own if hit else result.others).add(due, numbers)
        return result


Fault = Callable[[Run], Awaitable[None]]


async def nothing(run: Run) -> None:
    """No fault, to compare with."""
    await asyncio.sleep(run.seconds / 3)


async def worker_killed(run: Run) -> None:
    os.kill(run.victim, signal.SIGKILL)
    await asyncio.sleep(run.seconds / 3)


async def worker_stopped(run: Run) -> None:
    os.kill(run.victim, signal.SIGSTOP)
    await asyncio.sleep(run.seconds / 3)
    os.kill(run.victim, signal.SIGCONT)


async def supervisor_killed(run: Run) -> None:
    """All workers stop."""
    os.kill(run.supervisor, signal.SIGKILL)
    await asyncio.sleep(run.seconds / 3)


async def reloaded(run: Run) -> None:
    os.kill(run.supervisor, signal.SIGHUP)
    await asyncio.sleep(run.seconds / 3 + 5)  # four processes start


async def socket_full(run: Run) -> None:
    """More is sent to a worker that does not read than is kept for it."""
    victims = [each for each in run.members if run.victim in each.workers.values()]
    other = next(each for each in run.members if each not in victims)
    os.kill(run.victim, signal.SIGSTOP)
    await other.client.emit("flood", [each.sid for each in victims])
    # Behind the flood, as it is the same client.
    await other.client.call("worker", timeout=PATIENCE)
    await asyncio.sleep(run.seconds / 3)
    os.kill(run.victim, signal.SIGCONT)
    run.flooded = victims


async def descriptors_gone(run: Run) -> None:
    """Newcomers want more descriptors than a worker may open."""
    member = run.members[0]
    await member.client.call("descriptors", 3, timeout=PATIENCE)
    answers = await asyncio.gather(*(_newcomer(run) for _ in range(NEWCOMERS)))
    await asyncio.sleep(run.seconds / 3)
    await member.client.call("descriptors", 0, timeout=PATIENCE)
    run.more["newcomers"] = dict(Counter(answers))


async def _newcomer(run: Run) -> str:
    """A client by long-polling, each of whose requests has a connection of its own."""
    target = "/socket.io/?EIO=4&transport=polling"
    try:
        opened = await asyncio.wait_for(_ask(run.port, "GET", target), 3)
        sid = json.loads(opened.partition("\r\n\r\n0")[2])["sid"]
        target += f"&sid={sid}"
        return (await asyncio.wait_for(_ask(run.port, "POST", target), 3))[9:12]
    except (OSError, ValueError):
        return "closed"
    except asyncio.TimeoutError:
        return "waits"


async def _ask(port: int, method: str, target: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: 2\r\n\r\n40".encode() if method == "POST"
                     else f"{head}\r\n".encode())  # fmt: skip
        return (await reader.read()).decode()
    finally:
        writer.close()


FAULTS: dict[str, Fault] = {
    "none": nothing,
    "kill -9 of a worker": worker_killed,
    "SIGSTOP of a worker, then SIGCONT": worker_stopped,
    "the same, and 40 MB for its clients": socket_full,
    "a worker out of descriptors": descriptors_gone,
    "kill -9 of the supervisor": supervisor_killed,
    "SIGHUP: a reload": reloaded,
}


HEAD = """\
| in the middle | connections that broke | sent | not handled | to its clients or from \
them | not received | among the others | not received | twice | out of order |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"""


def row(name: str, result: Result) -> str:
    """A line of the table."""
    counts = (result.sent, result.sent_by_broken, result.its_own, result.others)
    cells = (
        result.broken,
        result.sent.due + result.sent_by_broken.due,
        result.sent.never + result.sent_by_broken.never,
        *(result.its_own.due, result.its_own.never),
        *(result.others.due, result.others.never),
        sum(count.twice for count in (*counts, result.flood)),
        sum(count.disordered for count in (*counts, result.flood)),
    )
    return f"| {name} | {' | '.join(f'{cell:,}' for cell in cells)} |"


def note(result: Result) -> str:
    """What the table has no column for."""
    if result.flood.due:
        return f"{result.flood.once} of {result.flood.due} megabytes received"
    return ", ".join(f"{name}: {told}" for name, told in result.more.items())


def main() -> None:
    """Let all faults happen, and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=FAULTS, help="one fault")
    parser.add_argument("--seconds", type=float, default=6, help="of messages, each")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    names = [options.only] if options.only else list(FAULTS)
    notes = []
    if not options.json:
        print(HEAD, flush=True)
    for name in names:
        result = asyncio.run(Run(options.seconds).count(FAULTS[name]))
        if options.json:
            print(json.dumps({"fault": name, **asdict(result)}), flush=True)
        else:
            print(row(name, result), flush=True)
            notes.append(f"{name}: {note(result)}" if note(result) else "")
    print("\n".join(filter(None, notes)))


if __name__ == "__main__":
    main()
