"""What is measured: the servers and the scenarios."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

OURS = "socketio_fast"
BASELINE = "python-socketio"

# Above this, the load generator may be what is measured.
BUSY_PERCENT = 90.0


@dataclass(frozen=True)
class Server:
    """A server to measure.

    The command, given `--versions`, prints a JSON object of versions, or fails where
    something it needs is missing. Given `--port`, it serves on 127.0.0.1, and prints
    `listening on PORT pid PID` when it does.
    """

    name: str
    title: str
    file: str

    def command(self, python: str, *arguments: str) -> list[str]:
        return [python, str(HERE / "servers" / self.file), *arguments]


@dataclass(frozen=True)
class Scenario:
    """A load, and the words for its result.

    `unit` is what a message is called here. `guard` is how many times faster than
    python-socketio `--check` asks us to be.
    """

    name: str
    title: str
    load: str
    unit: str = "messages"
    connections: int = 100
    in_flight: int = 1
    payload: int = 32
    pending: int = 64
    quick_connections: int | None = None
    guard: float | None = None

    @property
    def measures_memory(self) -> bool:
        return self.load == "idle"

    def arguments(self, *, quick: bool) -> list[str]:
        """The load generator's options."""
        connections = self.connections
        if quick and self.quick_connections is not None:
            connections = self.quick_connections
        return [
            f"--scenario={self.load}",
            f"--connections={connections}",
            f"--in-flight={self.in_flight}",
            f"--payload={self.payload}",
            f"--pending={self.pending}",
        ]


SERVERS = (
    Server(OURS, "socketio_fast", "socketio_fast_server.py"),
    Server(BASELINE, "python-socketio on uvicorn", "python_socketio_server.py"),
)

SCENARIOS = (
    Scenario("echo", "Echo, 100 connections, 1 in flight", "echo"),
    Scenario(
        "echo-8",
        "Echo, 100 connections, 8 in flight",
        "echo",
        in_flight=8,
        # The guard on echo stands here: with 1 in flight, every message costs a read
        # and a write, which no server can save, and the ratio is the kernel's.
        guard=15,
    ),
    Scenario(
        "ack-8", "Acknowledgement, 100 connections, 8 in flight", "ack", in_flight=8
    ),
    Scenario(
        "binary-8", "Binary echo, 100 connections, 8 in flight", "binary", in_flight=8
    ),
    Scenario(
        "broadcast-500",
        "Broadcast to 500 connections, 2 in flight",
        "broadcast",
        unit="deliveries",
        connections=500,
        in_flight=2,
        guard=5,
    ),
    Scenario(
        "connect",
        "Connections opened and closed, 64 at a time",
        "connect",
        unit="connections",
    ),
    Scenario(
        "polling",
        "Long-polling, 100 sessions, POST and GET in turn",
        "polling",
        unit="round trips",
    ),
    Scenario(
        "idle",
        "Idle connections",
        "idle",
        unit="connections",
        connections=5000,
        quick_connections=1000,
    ),
)
