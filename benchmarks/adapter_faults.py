"""What arrives once, twice, never or out of order when an engine, or a server, fails.

    python benchmarks/adapter_faults.py --only RedisAdapter
    python benchmarks/adapter_faults.py --fault "failover by Sentinel"
    python benchmarks/adapter_faults.py --page     # all, and the table of the docs

Three servers, each with a client in a room, share an adapter's engine. Each sends
numbered broadcasts to the room. In the middle something happens to the engine, to the
first server, or between the two. A quarter of a minute for each adapter and fault.
With --page the rows that there are already of other adapters and faults are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import socketio_fast
from harness.counting import Count, notes_in
from harness.engines import engine, manager_of
from harness.results import APART
from rendering.adapter_faults import PAGE, faults_table, with_table

SERVERS = 3

#: Seconds between two broadcasts of a server.
PERIOD = 0.02
#: Seconds in which everybody hears of everybody, at first and after a fault.
PATIENCE = 60.0
#: Seconds that nothing comes any more before it is counted.
QUIET = 2.0
#: Bytes of a broadcast to a server that does not read.
LARGE = 32 * 1024

ROOM = "all"

RESULTS = APART / "adapter-faults.json"


# A server.


async def serve(name: str, url: str, number: int, size: int, folder: str) -> None:
    """Send numbered broadcasts while a client says so."""
    sio = socketio_fast.AsyncServer(
        client_manager=manager_of("socketio_fast", name, url)
    )
    # Written at once: what was noted stays when the process is killed.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    note = os.open(Path(folder, str(os.getpid())), flags, 0o600)
    stopped = asyncio.Event()
    text = "x" * size

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await sio.enter_room(sid, ROOM)

    @sio.event
    async def begin(sid: str) -> None:
        sending.append(asyncio.ensure_future(send()))

    @sio.event
    async def stop(sid: str) -> None:
        stopped.set()
        await asyncio.wait(sending)

    async def send() -> None:
        sent = 0
        while not stopped.is_set():
            os.write(note, f"{number} {sent}\n".encode())
            await sio.emit("said", (number, sent, text), to=ROOM)
            sent += 1
            await asyncio.sleep(PERIOD)

    sending: list[asyncio.Task[None]] = []
    running = await socketio_fast.serve(sio, "127.0.0.1", 0)
    print(running.port, flush=True)
    await asyncio.Event().wait()


# All servers.


@dataclass
class Server:
    """A server's process, and its client here."""

    number: int
    process: asyncio.subprocess.Process
    client: Any
    #: What the client has received: by the sender, its numbers and when they came.
    heard: dict[int, list[int]] = field(default_factory=dict)
    last: dict[int, float] = field(default_factory=dict)

    def on_said(self, sender: int, number: int, text: str) -> None:
        self.heard.setdefault(sender, []).append(number)
        self.last[sender] = time.monotonic()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


@dataclass
class Result:
    """What became of all messages of a run."""

    #: To clients of the server that sends.
    own: Count = field(default_factory=Count)
    #: Between servers that nothing happens to; all, if it happens to the engine.
    between: Count = field(default_factory=Count)
    #: To the server that something happens to, or from it.
    its: Count = field(default_factory=Count)
    #: Whether everybody heard everybody again afterwards.
    recovered: bool = True


class Run:
    """Servers that share an engine."""

    def __init__(self, name: str, fault: Fault) -> None:
        self.name = name
        self.fault = fault
        self.servers: list[Server] = []
        self.broker: Any = None
        self.proxy: Any = None
        #: Whether the first server is not there any more.
        self.killed = False

    @property
    def victim(self) -> Server:
        """The server that something happens to."""
        return self.servers[0]

    @contextlib.asynccontextmanager
    async def _server(
        self, number: int, url: str, folder: str
    ) -> AsyncIterator[Server]:
        size = LARGE if self.fault.large else 0
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            *("--serve", self.name, "--url", url, "--folder", folder),
            *("--number", str(number), "--size", str(size)),
            stdout=asyncio.subprocess.PIPE,
            stderr=open(Path(folder, f"log-{number}"), "wb"),  # noqa: ASYNC230, SIM115
        )
        assert process.stdout is not None
        client = socketio_fast.AsyncClient(reconnection=False)
        server = Server(number, process, client)
        client.on("said", server.on_said)
        try:
            port = int(await process.stdout.readline())
            await client.connect(f"http://127.0.0.1:{port}", transports=["websocket"])
            await client.emit("begin")
            yield server
        finally:
            with contextlib.suppress(socketio_fast.exceptions.SocketIOError):
                await client.disconnect()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def count(self, seconds: float) -> Result:
        """Let it happen among messages."""
        from support.tcp_proxy import TcpProxy

        kind = self.fault.engine or ENGINES[self.name]
        options = OPTIONS.get(self.name, {})
        if self.fault.large:
            options = {**options, **LIMITS.get(kind, {})}
        async with contextlib.AsyncExitStack() as stack:
            self.broker = stack.enter_context(engine(kind, **options))
            url = self.broker.url
            if kind == "cluster":
                url = url.replace("redis:", "redis+cluster:")
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            for number in range(SERVERS):
                own = url
                if self.fault.partition and number == 0:
                    self.proxy = await stack.enter_async_context(
                        TcpProxy(self.broker.port)
                    )
                    own = url.replace(str(self.broker.port), str(self.proxy.port))
                server = self._server(number, own, folder)
                self.servers.append(await stack.enter_async_context(server))
            assert await self._hear_each_other(), self._logs(folder)
            await asyncio.sleep(seconds)
            await self.fault.happens(self)
            recovered = await self._hear_each_other()
            if not recovered:
                print(self._logs(folder), file=sys.stderr)
            await asyncio.sleep(seconds)
            for server in self._alive():
                await server.client.call("stop", timeout=PATIENCE)
            await self._until(self._is_quiet)
            return self._result(notes_in(Path(folder)), recovered)

    def _logs(self, folder: str) -> str:
        return "\n".join(
            f"{path.name}: {path.read_text(errors='replace')}"
            for path in sorted(Path(folder).glob("log-*"))
        )

    def _alive(self) -> list[Server]:
        return self.servers[1:] if self.killed else self.servers

    async def _until(self, condition: Callable[[], bool]) -> bool:
        for _ in range(round(PATIENCE / 0.1)):
            if condition():
                return True
            await asyncio.sleep(0.1)
        return False

    async def _hear_each_other(self) -> bool:
        """Wait until each server has a message of each that was sent from now on."""
        alive = self._alive()
        begun = {each.number: self._highest(each.number) for each in alive}

        def heard() -> bool:
            return all(
                (server.heard.get(number) or [-1])[-1] > first
                for server in alive
                for number, first in begun.items()
            )

        return await self._until(heard)

    def _highest(self, sender: int) -> int:
        """The number of the last message of a server that its own client has."""
        return max(self.servers[sender].heard.get(sender) or [-1])

    def _is_quiet(self) -> bool:
        last = max(max(server.last.values()) for server in self._alive())
        return time.monotonic() > last + QUIET

    def _result(self, sent: dict[str, list[int]], recovered: bool) -> Result:
        result = Result(recovered=recovered)
        for server in self.servers:
            gone = self.killed and server is self.victim
            for sender, numbers in server.heard.items():
                # In the beginning it was not in the room yet.
                due = set(sent[str(sender)]) - set(range(numbers[0]))
                if gone:
                    due &= set(range(max(numbers) + 1))
                if sender == server.number:
                    count = result.own
                elif self.fault.of_server and 0 in (sender, server.number):
                    count = result.its
                else:
                    count = result.between
                count.add(due, numbers)
        return result


# Faults.


@dataclass(frozen=True)
class Fault:
    """What happens, and to which adapters it can."""

    happens: Callable[[Run], Awaitable[None]]
    #: Whether it happens to one server, and not to all.
    of_server: bool = False
    #: Whether there is a proxy between the first server and the engine.
    partition: bool = False
    #: Whether messages are large.
    large: bool = False
    #: The engine that it needs, and the adapters that have that one.
    engine: str | None = None
    adapters: tuple[str, ...] | None = None


async def nothing(run: Run) -> None:
    await asyncio.sleep(1)


async def engine_killed(run: Run) -> None:
    run.broker.kill()
    await asyncio.sleep(1)
    await asyncio.to_thread(run.broker.start)


def engine_stopped(seconds: float) -> Callable[[Run], Awaitable[None]]:
    async def happens(run: Run) -> None:
        run.broker.pause()
        await asyncio.sleep(seconds)
        run.broker.resume()

    return happens


async def server_killed(run: Run) -> None:
    run.killed = True
    run.victim.signal(signal.SIGKILL)
    await asyncio.sleep(1)


async def server_stopped(run: Run) -> None:
    run.victim.signal(signal.SIGSTOP)
    await asyncio.sleep(4)
    run.victim.signal(signal.SIGCONT)


async def cut(run: Run) -> None:
    await run.proxy.refuse()
    await run.proxy.cut()
    await asyncio.sleep(3)
    await run.proxy.accept()


def silent(seconds: float) -> Callable[[Run], Awaitable[None]]:
    async def happens(run: Run) -> None:
        run.proxy.hold()
        await asyncio.sleep(seconds)
        run.proxy.let_go()

    return happens


async def memory_full(run: Run) -> None:
    from redis.asyncio import Redis

    async with Redis.from_url(run.broker.url) as client:
        await client.config_set("maxmemory", 1)
        await asyncio.sleep(3)
        await client.config_set("maxmemory", 0)


async def master_killed(run: Run) -> None:
    await asyncio.to_thread(run.broker.kill)


async def shard_killed(run: Run) -> None:
    """The one that the messages go through."""
    cluster = run.broker
    if run.name == "RedisAdapter":  # which takes the first by name
        masters = cluster.nodes[:3]
        min(masters, key=lambda node: f"127.0.0.1:{node.port}").kill()
    elif run.name == "ShardedRedisAdapter":
        cluster.owner(f"socket.io#/#{ROOM}#").kill()
    else:
        cluster.owner("socket.io").kill()


REDIS = ("RedisAdapter", "ShardedRedisAdapter", "RedisStreamsAdapter")
OF_REDIS = (*REDIS, "AsyncRedisManager")

ENGINES = {
    "RedisAdapter": "redis",
    "ShardedRedisAdapter": "redis",
    "RedisStreamsAdapter": "redis",
    "PostgresAdapter": "postgres",
    "NatsAdapter": "nats",
    "JetStreamAdapter": "nats",
    "AsyncRedisManager": "redis",
}

# How engines are set up: what is promised needs it.
OPTIONS = {"RedisStreamsAdapter": {"appendonly": "yes", "appendfsync": "always"}}

# How little an engine keeps for a consumer that is slow.
LIMITS = {
    "redis": {"client_output_buffer_limit": "pubsub 1mb 0 0"},
    "nats": {"config": "max_pending: 8MB\n"},
}

FAULTS: dict[str, Fault] = {
    "none": Fault(nothing),
    "kill -9 of the engine, which starts again": Fault(engine_killed),
    "SIGSTOP of the engine for 3 s": Fault(engine_stopped(3)),
    "SIGSTOP of the engine for 7 s": Fault(engine_stopped(7)),
    "SIGSTOP of the engine for 20 s": Fault(engine_stopped(20)),
    "kill -9 of a server": Fault(server_killed, of_server=True),
    "SIGSTOP of a server for 4 s": Fault(server_stopped, of_server=True),
    "a server's connections cut for 3 s": Fault(cut, of_server=True, partition=True),
    "silence to a server for 3 s": Fault(silent(3), of_server=True, partition=True),
    "silence to a server for 7 s": Fault(silent(7), of_server=True, partition=True),
    "silence to a server for 20 s": Fault(silent(20), of_server=True, partition=True),
    "Redis without memory for 3 s": Fault(memory_full, adapters=OF_REDIS),
    "a server that reads too slowly": Fault(server_stopped, of_server=True, large=True),
    "failover by Sentinel": Fault(master_killed, engine="sentinel", adapters=OF_REDIS),
    "failover of a cluster's shard": Fault(
        shard_killed, engine="cluster", adapters=REDIS
    ),
}


def count_all(
    adapters: list[str], faults: list[str], seconds: float
) -> list[dict[str, Any]]:
    """Let all of them happen, one after the other."""
    rows = []
    for fault in faults:
        for name in adapters:
            if name not in (FAULTS[fault].adapters or ENGINES):
                continue
            result = asyncio.run(Run(name, FAULTS[fault]).count(seconds))
            rows.append({"fault": fault, "adapter": name, **asdict(result)})
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Let faults happen, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(ENGINES), help="adapters")
    parser.add_argument("--fault", choices=FAULTS, help="one fault")
    parser.add_argument("--seconds", type=float, default=1, help="before and after it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--page", action="store_true", help="rewrite docs/scaling.md")
    for hidden in ("--serve", "--url", "--folder"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    for hidden in ("--number", "--size"):
        parser.add_argument(hidden, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        import uvloop

        name, url, number = options.serve, options.url, options.number
        uvloop.run(serve(name, url, number, options.size, options.folder))
        return
    faults = [options.fault] if options.fault else list(FAULTS)
    rows = count_all(options.only.split(","), faults, options.seconds)
    if options.json:
        print(json.dumps(rows))
        return
    if not options.page:
        print(faults_table(rows))
        return
    APART.mkdir(exist_ok=True)
    results = {
        "date": f"{datetime.date.today()}",
        "python": sys.version.split()[0],
        "rows": renewed(rows),
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(with_table(PAGE.read_text(), results))


def renewed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """These rows, and those of other adapters and faults that there are already."""
    before = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    found = {(row["fault"], row["adapter"]): row for row in [*before, *rows]}
    order = [(fault, adapter) for fault in FAULTS for adapter in ENGINES]
    return [found[key] for key in order if key in found]


if __name__ == "__main__":
    main()
