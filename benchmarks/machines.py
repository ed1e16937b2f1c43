"""Broadcasts between two servers by each adapter, beside Node.js and python-socketio.

    python benchmarks/machines.py --only RedisAdapter,PostgresAdapter
    python benchmarks/machines.py --page     # all that the page shows, and the page

Two processes share a port, and the clients spread over both. One client sends, all get
it, and sends again when all have. The CPU time is that of the two processes, with their
connections in it; that of the engine is shown beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from harness.building import build_load
from harness.engines import engine, manager_of
from harness.peers import free_port
from harness.results import APART, RESULTS
from rendering.adapters import adapters_table, shares_table
from rendering.page import write_readme
from workers import NODE, cpu_seconds, listening_socket, running

HERE = Path(__file__).parent

#: Adapters and managers, with the engine of each and who has it.
ADAPTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "RedisAdapter": ("redis", ("socketio_fast", "node")),
    "ShardedRedisAdapter": ("redis", ("socketio_fast", "node")),
    "RedisStreamsAdapter": ("redis", ("socketio_fast", "node")),
    "PostgresAdapter": ("postgres", ("socketio_fast", "node")),
    "NatsAdapter": ("nats", ("socketio_fast",)),
    "JetStreamAdapter": ("nats", ("socketio_fast",)),
    "AsyncRedisManager": ("redis", ("socketio_fast", "python-socketio")),
}


def register(sio: Any) -> None:
    """What the load asks for."""

    @sio.event
    async def broadcast(sid: str, data: str) -> None:
        await sio.emit("b", data)

    @sio.event
    async def elsewhere(sid: str, data: str) -> int:
        await sio.emit("b", data, to="where nobody is")
        return 1


async def serve_ours(port: int, name: str, url: str) -> None:
    """Serve as one of two processes; without a URL, as the only one."""
    import socketio_fast

    manager = manager_of("socketio_fast", name, url) if url else None
    sio = socketio_fast.AsyncServer(client_manager=manager)
    register(sio)
    await socketio_fast.serve(sio, sock=listening_socket(port))
    if manager is not None:
        await manager._subscribed.wait()
    print("listening", flush=True)
    await asyncio.Event().wait()


async def serve_theirs(port: int, name: str, url: str) -> None:
    """The same by python-socketio on uvicorn."""
    import socketio
    import uvicorn

    sio = socketio.AsyncServer(
        async_mode="asgi",
        client_manager=manager_of("python-socketio", name, url) if url else None,
    )
    register(sio)
    config = uvicorn.Config(
        socketio.ASGIApp(sio), log_level="warning", ws_per_message_deflate=False
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            print("listening", flush=True)

    await Server(config).serve([listening_socket(port)])


def commands(package: str, name: str, processes: int, port: int, broker: Any) -> Any:
    """What starts the servers."""
    if package == "node":
        script = ["node", str(NODE / "server.mjs"), "--port", str(port)]
        script += ["--workers", str(processes), "--adapter", name]
        return [[*script, "--engine", str(broker.port)]]
    url = broker.url if processes > 1 else ""
    own = [sys.executable, __file__, "--port", str(port), "--package", package]
    return [[*own, "--adapter", name, "--url", url]] * processes


def server_core() -> int:
    """Where servers run whose CPU time is to be theirs alone; the load has the rest."""
    return max(os.sched_getaffinity(0))


def on_core(core: int, command: list[str]) -> list[str]:
    """A command that runs on one core."""
    return ["taskset", "--cpu-list", str(core), *command]


def measure(
    package: str,
    name: str,
    processes: int,
    broker: Any,
    options: argparse.Namespace,
    cores: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Run the load once.

    With `cores`, the processes share the first one, and the load has the second.
    """
    port = free_port()
    servers = commands(package, name, processes, port, broker)
    if cores is not None:
        servers = [on_core(cores[0], command) for command in servers]
    with running(servers) as pids:
        before = sum(map(cpu_seconds, pids))
        of_engine = cpu_seconds(broker._process.pid)
        command = [str(build_load()), "--port", str(port), "--scenario", "broadcast"]
        command += ["--connections", str(options.connections), "--warmup", "0.2"]
        command += ["--in-flight", str(options.in_flight)]
        command += ["--seconds", str(options.seconds)]
        if cores is not None:
            command = on_core(cores[1], command)
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        cpu = sum(map(cpu_seconds, pids)) - before
        of_engine = cpu_seconds(broker._process.pid) - of_engine
    found = json.loads(result.stdout)
    messages = found["messages"]
    return {
        "rate": messages / found["seconds"],
        "cpu": cpu / messages * 1e6,
        "engine": of_engine / messages * 1e6,
        "latency": found["latency_us"],
    }


def several(names: list[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure each adapter, its packages in turn."""
    rows = []
    for name in names:
        kind, packages = ADAPTERS[name]
        with engine(kind) as broker:
            turns: list[dict[str, Any]] = [
                {
                    "adapter": name,
                    "package": package,
                    "connections": options.connections,
                    "rounds": [],
                    "failed": 0,
                }
                for package in packages
            ]
            for _ in range(options.rounds):
                for row in turns:
                    try:
                        found = measure(row["package"], name, 2, broker, options)
                    except subprocess.CalledProcessError:
                        row["failed"] += 1
                    else:
                        row["rounds"].append(found)
            rows += turns
    return rows


# What a message costs, apart from its deliveries.

# Servers that an engine delivers to, for its cost of a message and of a delivery.
FEW, MANY = 2, 10
MESSAGES = 2000
# Messages that are on their way, as with the option --in-flight.
FLIGHT = 2
FLOOD = 20_000


async def exchange(ports: list[int], skipped: bool) -> None:
    """A client of the first server sends broadcasts; one of the last counts them.

    Or they are for a room in which nobody is, so that the last server skips them.
    """
    import socketio_fast

    clients = [socketio_fast.AsyncClient(reconnection=False) for _ in range(2)]
    received, sent, done = 0, 0, asyncio.Event()

    async def send() -> None:
        nonlocal sent
        sent += 1
        await clients[0].emit("broadcast", "x" * 100)

    @clients[1].on("b")
    async def heard(data: str) -> None:
        nonlocal received
        received += 1
        if sent < MESSAGES:
            await send()
        elif received == MESSAGES:
            done.set()

    for client, port in zip(clients, (ports[0], ports[-1]), strict=True):
        url = f"http://127.0.0.1:{port}"
        await client.connect(url, transports=["websocket"])
    if skipped:
        for _ in range(MESSAGES // FLIGHT):
            calls = [clients[0].call("elsewhere", "x" * 100) for _ in range(FLIGHT)]
            await asyncio.gather(*calls)
    else:
        for _ in range(FLIGHT):
            await send()
        await asyncio.wait_for(done.wait(), 60)
    for client in clients:
        await client.disconnect()


def message_costs(name: str, broker: Any) -> dict[str, float]:
    """CPU µs of a broadcast: for the server that publishes it, beyond what it costs
    without an adapter, for one that receives it and has one client to send to, and for
    one that receives it for nobody."""
    found = []
    for processes, skipped in ((1, False), (2, False), (2, True)):
        ports = [free_port() for _ in range(processes)]
        started = [
            commands("socketio_fast", name, processes, port, broker)[0]
            for port in ports
        ]
        started = [on_core(server_core(), command) for command in started]
        with running(started) as pids:
            before = [cpu_seconds(pid) for pid in pids]
            asyncio.run(exchange(ports, skipped))
            # Messages may still be on their way to the last server.
            after = [idle_seconds(pid) for pid in pids]
        pairs = zip(before, after, strict=True)
        found.append([(b - a) / MESSAGES * 1e6 for a, b in pairs])
    ((alone,), (publishing, receiving), (_, skipping)) = found
    return {"publish": publishing - alone, "receive": receiving, "skip": skipping}


async def flood(name: str, url: str, servers: int) -> None:
    """Publish broadcasts that so many servers receive, all in this process."""
    import socketio_fast

    loop = asyncio.get_running_loop()
    made = []
    for _ in range(servers):
        manager = manager_of("socketio_fast", name, url)
        made.append(socketio_fast.AsyncServer(client_manager=manager))
        made[-1].of("/")
        made[-1].bind(loop)
    for sio in made:
        await sio.manager._subscribed.wait()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for _ in range(FLOOD // 20):
        for _ in range(20):
            await made[0].emit("flood", "x" * 100)
        await asyncio.sleep(0)
    print("sent", flush=True)
    await asyncio.to_thread(sys.stdin.readline)


def idle_seconds(pid: int) -> float:
    """The CPU time of a process, when it has had nothing to do for a while."""
    spent = -1.0
    while spent != (now := cpu_seconds(pid)):
        spent = now
        time.sleep(0.5)
    return now


def engine_costs(name: str, broker: Any) -> dict[str, float]:
    """CPU µs of the engine for a message, and for each server that receives it."""
    costs = []
    for servers in (FEW, MANY):
        own = [sys.executable, __file__, "--flood", str(servers)]
        process = subprocess.Popen(
            [*own, "--adapter", name, "--url", broker.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            before = cpu_seconds(broker._process.pid)
            print(file=process.stdin, flush=True)
            assert process.stdout.readline() == "sent\n"
            after = idle_seconds(broker._process.pid)
        finally:
            process.kill()
            process.communicate()
        costs.append((after - before) / FLOOD * 1e6)
    each = (costs[1] - costs[0]) / (MANY - FEW)
    return {"engine": costs[0] - FEW * each, "engine_each": each}


def shares(names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """What a message costs, apart from its deliveries: medians of the rounds."""
    found: dict[str, Any] = {}
    for name in names:
        with engine(ADAPTERS[name][0]) as broker:
            rounds = [
                message_costs(name, broker) | engine_costs(name, broker)
                for _ in range(options.rounds)
            ]
        found[name] = {key: median(one[key] for one in rounds) for key in rounds[0]}
    return found


def scaling(options: argparse.Namespace) -> list[dict[str, Any]]:
    """What simulate.py is checked against: broadcasts by 1, 2 and 4 processes.

    They share a core, without the load: on a core with that, it would take turns with
    them for every few deliveries, which costs as much as these.
    """
    found = []
    cores = server_core(), min(os.sched_getaffinity(0))
    with engine("redis") as broker:
        for processes in (1, 2, 4):
            rounds = [
                measure(
                    *("socketio_fast", "RedisAdapter", processes, broker, options),
                    cores=cores,
                )
                for _ in range(options.rounds)
            ]
            found.append(
                {
                    "adapter": "RedisAdapter",
                    "processes": processes,
                    "connections": options.connections,
                    "cpu": median(one["cpu"] for one in rounds),
                }
            )
    return found


def write_page(options: argparse.Namespace) -> None:
    """Measure all that the page shows, and render it."""
    results = {
        "date": f"{datetime.date.today()}",
        "python": sys.version.split()[0],
        "seconds": options.seconds,
        "rounds": options.rounds,
        "rows": several(list(ADAPTERS), options),
        "shares": shares(list(ADAPTERS), options),
        "scaling": scaling(options),
    }
    APART.mkdir(exist_ok=True)
    (APART / "adapters.json").write_text(json.dumps(results, indent=1) + "\n")
    write_readme(RESULTS, "full", HERE / "README.md")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(ADAPTERS), help="adapters")
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--in-flight", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", action="store_true", help="rewrite the page")
    for hidden in ("--package", "--adapter", "--url"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    for hidden in ("--port", "--flood"):
        parser.add_argument(hidden, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.flood is not None:
        asyncio.run(flood(options.adapter, options.url, options.flood))
        return
    if options.package is not None:
        import uvloop

        serve = serve_ours if options.package == "socketio_fast" else serve_theirs
        uvloop.run(serve(options.port, options.adapter, options.url))
        return
    if not (NODE / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--prefix", str(NODE)], check=True)
    if options.page:
        write_page(options)
        return
    names = options.only.split(",")
    print(adapters_table(several(names, options)))
    print()
    print(shares_table(shares(names, options)))


if __name__ == "__main__":
    main()
