"""Broadcasts to the clients of several workers, beside one process and Node.js.

    python benchmarks/workers.py --workers 4 --connections 400 --rounds 3
    python benchmarks/workers.py --page     # all that the page shows, and the page

One client sends, all get it, and sends again when all have. The CPU time is that of all
processes of a server, from when they listen until the clients have gone, so it has the
connections in it; the deliveries are those that are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import handover
from harness.building import build_load
from harness.peers import free_port
from harness.results import APART, RESULTS
from rendering.page import write_readme
from rendering.workers import scenario_rows

HERE = Path(__file__).parent
NODE = HERE / "servers" / "node_workers"
# Rounds of a server that may fail, and are repeated: in some a client gets no answer.
MOST_FAILURES = 5
TICKS = os.sysconf("SC_CLK_TCK")


async def worker(port: int, cluster: str, number: int) -> None:
    """Serve as one of several workers; 0 for a process that knows no others."""
    import uvloop

    import socketio_fast

    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    sio = socketio_fast.AsyncServer(cluster=cluster if number else None)

    @sio.event
    async def broadcast(sid: str, data: str) -> None:
        await sio.emit("b", data)

    @sio.event
    async def echo(sid: str, data: str) -> None:
        await sio.emit("echo", data, to=sid)

    await socketio_fast.serve(sio, sock=listening_socket(port))
    print("listening", flush=True)
    await asyncio.Event().wait()


def listening_socket(port: int) -> socket.socket:
    """A socket on a port that several processes share."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    return sock


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its children that run."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = (int(fields[11]) + int(fields[12])) / TICKS
    return own + sum(cpu_seconds(int(child)) for child in children)


@contextlib.contextmanager
def running(commands: list[list[str]]) -> Iterator[list[int]]:
    """The processes of a server, which listen."""
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE)
        for command in commands
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert "listening" in process.stdout.readline()
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


def commands(name: str, workers: int, port: int, cluster: str) -> list[list[str]]:
    """What starts a server: "apart" are processes that are no workers of a cluster."""
    if name == "node":
        script = str(NODE / "server.mjs")
        return [["node", script, "--port", str(port), "--workers", str(workers)]]
    if name == "apart":
        numbers: Iterable[int] = [0] * workers
    else:
        numbers = [0] if workers == 1 else range(1, workers + 1)
    own = [sys.executable, __file__, "--port", str(port), "--cluster", cluster]
    return [[*own, "--worker", str(number)] for number in numbers]


def measure(name: str, workers: int, options: argparse.Namespace) -> dict[str, float]:
    """Run the load once against one server."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        started = commands(name, workers, port, f"unix:{folder}/c")
        with running(started) as pids:
            before = sum(map(cpu_seconds, pids))
            command = [str(build_load()), "--port", str(port)]
            command += ["--scenario", options.scenario, "--warmup", "0.05"]
            command += ["--connections", str(options.connections)]
            command += ["--in-flight", str(options.in_flight)]
            command += ["--seconds", str(options.seconds)]
            result = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=True
            )
            cpu = sum(map(cpu_seconds, pids)) - before
    found = json.loads(result.stdout)
    return {
        "rate": found["messages"] / found["seconds"],
        "cpu": cpu / found["messages"] * 1e6,
    }


def several(
    servers: list[tuple[str, int]], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Measure servers in turn: each with its number of processes, and its rounds."""
    rows: list[dict[str, Any]] = [
        {
            "scenario": options.scenario,
            "connections": options.connections,
            "server": name,
            "processes": count,
            "rounds": [],
            "failed": 0,
        }
        for name, count in servers
    ]
    for _ in range(options.rounds):
        for row in rows:
            while True:
                try:
                    found = measure(row["server"], row["processes"], options)
                except subprocess.CalledProcessError:
                    row["failed"] += 1
                    if row["failed"] > MOST_FAILURES:
                        raise
                else:
                    row["rounds"].append(found)
                    break
    return rows


def write_page(options: argparse.Namespace) -> None:
    """Measure all that the page shows, and render it."""
    both = [(name, n) for n in (4, 1) for name in ("socketio_fast", "node")]
    scenarios = several(both, options)
    options.scenario, options.connections, options.in_flight = "echo", 100, 8
    echoing = [("socketio_fast", 1), ("socketio_fast", 2), ("apart", 2)]
    scenarios += several(echoing, options)
    results = {
        "date": f"{datetime.date.today()}",
        "python": sys.version.split()[0],
        "seconds": options.seconds,
        "rounds": options.rounds,
        "scenarios": scenarios,
        "handover": handover.measured(options.rounds, 2000),
    }
    APART.mkdir(exist_ok=True)
    (APART / "workers.json").write_text(json.dumps(results, indent=1) + "\n")
    write_readme(RESULTS, "full", HERE / "README.md")


def main() -> None:
    """Measure the servers in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--connections", type=int, default=400)
    parser.add_argument("--in-flight", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--scenario", choices=("broadcast", "echo"), default="broadcast"
    )
    parser.add_argument("--page", action="store_true", help="rewrite the page")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--cluster", help=argparse.SUPPRESS)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        import uvloop

        uvloop.run(worker(options.port, options.cluster, options.worker))
        return
    if not (NODE / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--prefix", str(NODE)], check=True)
    if options.page:
        write_page(options)
        return
    servers = [
        (name, count)
        for count in (options.workers, 1)
        for name in ("socketio_fast", "node")
    ]
    print(scenario_rows(several(servers, options)))


if __name__ == "__main__":
    main()
