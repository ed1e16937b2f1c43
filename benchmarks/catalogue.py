"""What is measured: servers and clients, the scenarios, and how they are scaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

OURS = "socketio_fast"
BASELINE = "python-socketio"
FLOOR = "floor"

# Above this, the load generator may be what is measured.
BUSY_PERCENT = 90.0


@dataclass(frozen=True)
class Server:
    """A server to measure, in a folder below servers/.

    The command, given `--versions`, prints a JSON object of versions, or fails where
    something it needs is missing. Given `--port`, it serves on 127.0.0.1, and prints
    `listening on PORT pid PID` when it does; with `--certificate` and `--key` over TLS,
    with `--deflate` it compresses what it sends. `lacks` are needs of scenarios that it
    cannot meet.
    What is to be built is built in the folder, where `product` is older than a source.
    `against` is the server that one inside another server is compared with. One that is
    no `peer` is shown, and nobody is ranked against it.
    """

    name: str
    title: str
    command: tuple[str, ...]
    folder: str = ""
    build: tuple[str, ...] = ()
    product: str = ""
    lacks: tuple[str, ...] = ()
    short: str = ""
    against: str = ""
    place: str = "servers"
    peer: bool = True

    @property
    def label(self) -> str:
        """The name in a chart."""
        return self.short or self.name

    @property
    def path(self) -> Path:
        return HERE / self.place / self.folder

    def arguments(self, python: str, *more: str) -> list[str]:
        """The command line: `./` is the folder, `python` the one that is chosen."""
        words = []
        for word in self.command:
            if word == "python":
                words.append(python)
            else:
                here = word.startswith("./")
                words.append(str(self.path / word[2:]) if here else word)
        return [*words, *more]


@dataclass(frozen=True)
class Scenario:
    """A load, and the words for its result.

    `unit` is what a message is called here. `guard` is how many times faster than
    python-socketio (`theirs`) `--check` asks us (`ours`) to be. With a `share`,
    messages go at a fixed rate, which is this share of what the server reached in
    SATURATION. `needs` are "tls", "deflate" (compressed messages) and "acks" (of a
    broadcast); of clients, "loop" or "threads" (the kind of client).
    """

    name: str
    title: str
    load: str
    unit: str = "messages"
    connections: int = 100
    in_flight: int = 1
    payload: int = 32
    pending: int = 64
    rooms: int = 0
    namespaces: int = 1
    needs: tuple[str, ...] = ()
    share: float | None = None
    quick: bool = True
    quick_connections: int | None = None
    guard: float | None = None
    short: str = ""
    ours: str = OURS
    theirs: str = BASELINE

    @property
    def label(self) -> str:
        """The title in a chart."""
        return self.short or self.title.replace("100 connections, ", "")

    @property
    def measures_memory(self) -> bool:
        return self.load in ("idle", "memory")

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
            f"--rooms={self.rooms}",
            f"--namespaces={self.namespaces}",
            *(f"--{need}" for need in self.needs if need != "acks"),
        ]


@dataclass(frozen=True)
class Sweep:
    """One scenario at several sizes."""

    name: str
    title: str
    axis: str
    unit: str
    sizes: Sequence[int]
    at: Callable[[int], Scenario]

    @property
    def scenarios(self) -> list[Scenario]:
        return [
            replace(self.at(size), name=f"{self.name}/{size}", title=self.title)
            for size in self.sizes
        ]


SERVERS = (
    Server(OURS, "socketio_fast", ("python", "./socketio_fast_server.py")),
    Server(
        BASELINE,
        "python-socketio on uvicorn",
        ("python", "./python_socketio_server.py"),
        lacks=("acks",),
    ),
    Server(
        "node",
        "socket.io on Node.js",
        ("node", "./server.mjs"),
        "node",
        ("npm", "ci"),
        "node_modules/.package-lock.json",
        short="Node.js",
    ),
    Server(
        "bun",
        "socket.io on Bun's engine",
        ("./node_modules/.bin/bun", "./server.mjs"),
        "bun",
        ("npm", "ci"),
        "node_modules/.package-lock.json",
        lacks=("deflate",),
        short="Bun",
    ),
    Server(
        "rust",
        "socketioxide on axum (Rust)",
        ("./target/release/server",),
        "rust",
        ("cargo", "build", "--release"),
        "target/release/server",
        lacks=("tls", "deflate"),
        short="Rust",
    ),
    Server(
        "go",
        "zishang520/socket.io (Go)",
        ("./build/server",),
        "go",
        ("go", "build", "-o", "build/server", "."),
        "build/server",
        lacks=("tls",),
        short="Go",
    ),
    Server(
        FLOOR,
        "the floor (C, no library)",
        ("./build/server",),
        "floor",
        ("make",),
        "build/server",
        lacks=("deflate",),
        short="Floor",
        peer=False,
    ),
)

# Inside other servers, and for threads: measured if they are asked for.
HOSTED = (
    Server(
        "uvicorn",
        "ASGIApp on uvicorn",
        ("python", "./socketio_fast_server.py", "--in", "uvicorn"),
        against=BASELINE,
    ),
    Server(
        "uvicorn-ws",
        "ASGIApp on uvicorn with our --ws class",
        ("python", "./socketio_fast_server.py", "--in", "uvicorn-ws"),
        against=BASELINE,
    ),
    Server(
        "threads",
        "Server, by run()",
        ("python", "./threads_server.py", "socketio_fast", "--in", "run"),
        against="python-socketio-threads",
    ),
    Server(
        "threads-werkzeug",
        "Server and WSGIApp on Werkzeug",
        ("python", "./threads_server.py", "socketio_fast", "--in", "werkzeug"),
        against="python-socketio-threads",
    ),
    Server(
        "python-socketio-threads",
        "python-socketio's Server on Werkzeug",
        ("python", "./threads_server.py", "socketio", "--in", "werkzeug"),
    ),
)
# Not long-polling: Werkzeug makes a connection of each request.
HOSTED_SCENARIOS = ("echo-8", "ack-8", "broadcast-500")

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
        "echo-4k",
        "Echo of 4 KiB, 100 connections, 1 in flight",
        "echo",
        payload=4096,
        quick=False,
    ),
    Scenario(
        "broadcast-500",
        "Broadcast to 500 connections, 2 in flight",
        "broadcast",
        unit="deliveries",
        connections=500,
        in_flight=2,
        guard=5,
        short="Broadcast to 500, 2 in flight",
    ),
    Scenario(
        "broadcast-5000",
        "Broadcast to 5,000 connections, 1 in flight",
        "broadcast",
        unit="deliveries",
        connections=5000,
        quick=False,
        short="Broadcast to 5,000, 1 in flight",
    ),
    Scenario(
        "connect",
        "Connections opened and closed, 64 at a time",
        "connect",
        unit="connections",
        short="Connections opened",
    ),
    Scenario(
        "polling",
        "Long-polling, 100 sessions, POST and GET in turn",
        "polling",
        unit="round trips",
        short="Long-polling, POST and GET in turn",
    ),
    Scenario(
        "tls-echo-8",
        "Echo over TLS 1.3, 100 connections, 8 in flight",
        "echo",
        in_flight=8,
        needs=("tls",),
        short="Echo over TLS 1.3, 8 in flight",
    ),
    Scenario(
        "deflate-echo-4k",
        "Echo of 4 KiB of words, compressed, 100 connections, 1 in flight",
        "echo",
        payload=4096,
        needs=("deflate",),
        quick=False,
        short="Echo of 4 KiB, compressed",
    ),
    Scenario(
        "deflate-broadcast-500",
        "Broadcast of 4 KiB of words, compressed, to 500 connections, 2 in flight",
        "broadcast",
        unit="deliveries",
        connections=500,
        in_flight=2,
        payload=4096,
        needs=("deflate",),
        quick=False,
        short="Broadcast of 4 KiB to 500, compressed",
    ),
    Scenario(
        "validated-8",
        "Acknowledgement of an object that is validated, 100 connections, 8 in flight",
        "validated",
        in_flight=8,
        quick=False,
        short="Acknowledgement, validated, 8 in flight",
    ),
    Scenario(
        "acks-500",
        "Broadcast that 500 connections acknowledge, 1 in flight",
        "gather",
        unit="acknowledgements",
        connections=500,
        needs=("acks",),
        quick=False,
        short="Broadcast that 500 acknowledge",
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

# What an open loop's rates are shares of. Not `echo-8`, whose server reads eight
# messages at a time: those of an open loop come one by one.
SATURATION = SCENARIOS[0]

LATENCY = tuple(
    Scenario(
        f"latency/{percent}",
        f"Echo at {percent} % of saturation",
        "echo",
        in_flight=64,
        share=percent / 100,
    )
    for percent in (10, 25, 50, 75, 90)
)

SWEEPS = (
    Sweep(
        "connections",
        "Connections: echo, 1 in flight each",
        "connections",
        "message",
        (100, 1000, 5000, 10000, 15000),
        lambda size: Scenario("", "", "echo", connections=size),
    ),
    Sweep(
        "room-size",
        "Room size: a room of that many, 2 messages in flight",
        "members of the room",
        "recipient",
        (10, 100, 1000, 10000),
        lambda size: Scenario(
            "", "", "room", "deliveries", connections=size, in_flight=2, rooms=1
        ),
    ),
    Sweep(
        "payload",
        "Payload: echo, 16 connections, 1 in flight",
        "bytes of payload",
        "message",
        (16, 256, 4096, 65536, 262144),
        lambda size: Scenario("", "", "echo", connections=16, payload=size),
    ),
    Sweep(
        "rooms",
        "Rooms per socket: a message to one of them, 100 members, 2 in flight",
        "rooms that every socket is in",
        "recipient",
        (1, 10, 100, 1000),
        lambda size: Scenario("", "", "room", "deliveries", in_flight=2, rooms=size),
    ),
    Sweep(
        "namespaces",
        "Namespaces: echo in turn, 100 connections, 8 in flight",
        "namespaces that every client is in",
        "message",
        (1, 10, 100),
        lambda size: Scenario("", "", "echo", in_flight=8, namespaces=size),
    ),
)

OUR_CLIENT = "fast-client"
BASELINE_CLIENT = "peer-client"
OUR_SYNC_CLIENT = "fast-sync-client"
BASELINE_SYNC_CLIENT = "peer-sync-client"


@dataclass(frozen=True)
class Client(Server):
    """A client to measure, in a folder below clients/.

    The command takes `--versions` as that of a server does. Otherwise it connects to
    `--port`, does what `--mode` says, prints `begin` when it is warm and `end COUNT`
    when its time is over, and ends when its input is closed.
    """

    place: str = "clients"


# What the clients talk to.
CLIENTS_SERVER = Server(
    "server", "socketio_fast", ("python", "./server.py"), place="clients"
)

CLIENTS = (
    Client(
        OUR_CLIENT,
        "socketio_fast.AsyncClient",
        ("python", "./async_client.py", "socketio_fast"),
        lacks=("threads",),
    ),
    Client(
        BASELINE_CLIENT,
        "python-socketio's AsyncClient",
        ("python", "./async_client.py", "socketio"),
        lacks=("threads",),
    ),
    Client(
        OUR_SYNC_CLIENT,
        "socketio_fast.Client",
        ("python", "./threads_client.py", "socketio_fast"),
        lacks=("loop",),
    ),
    Client(
        BASELINE_SYNC_CLIENT,
        "python-socketio's Client",
        ("python", "./threads_client.py", "socketio"),
        lacks=("loop",),
    ),
    Client(
        "node-client",
        "socket.io-client on Node.js",
        ("node", "./client.mjs"),
        "node",
        ("npm", "ci"),
        "node_modules/.package-lock.json",
        lacks=("threads",),
    ),
    Client(
        "rust-client",
        "rust_socketio (Rust)",
        ("./target/release/client",),
        "rust",
        ("cargo", "build", "--release"),
        "target/release/client",
        lacks=("threads",),
    ),
    Client(
        "go-client",
        "zishang520/socket.io (Go)",
        ("./build/client",),
        "go",
        ("go", "build", "-o", "build/client", "."),
        "build/client",
        lacks=("threads",),
    ),
)


def client_scenario(
    name: str, title: str, load: str, in_flight: int = 1, **more: Any
) -> Scenario:
    return replace(
        Scenario(
            name,
            title,
            load,
            connections=1,
            in_flight=in_flight,
            needs=("loop",),
            ours=OUR_CLIENT,
            theirs=BASELINE_CLIENT,
        ),
        **more,
    )


CLIENT_SCENARIOS = (
    client_scenario("client-echo-1", "Client: echo, 1 in flight", "echo"),
    client_scenario(
        "client-echo-64", "Client: echo, 64 in flight", "echo", 64, guard=8
    ),
    client_scenario(
        "client-flood",
        "Client: receiving a flood of broadcasts",
        "flood",
        unit="events",
    ),
    client_scenario(
        "client-sync-echo-64",
        "Client for threads: echo, 64 in flight",
        "echo",
        64,
        guard=4,
        needs=("threads",),
        ours=OUR_SYNC_CLIENT,
        theirs=BASELINE_SYNC_CLIENT,
    ),
    client_scenario(
        "client-connect-1",
        "Client: connect and disconnect, one after the other",
        "cycle",
        unit="connections",
    ),
    client_scenario(
        "client-connect-64",
        "Client: connect and disconnect, 64 at a time",
        "cycle",
        64,
        unit="connections",
    ),
    client_scenario(
        "client-memory",
        "Client: 1,000 in a process",
        "memory",
        unit="connections",
        connections=1000,
    ),
)
