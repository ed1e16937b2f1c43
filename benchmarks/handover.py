"""What it costs when a client comes to the wrong worker.

A long-polling client asks two workers for sessions of either; and a client by WebSocket
comes back to either, to be recovered by one of them. CPU time of both workers for each
request and each echo, in microseconds, as medians of rounds that alternate:

    python benchmarks/handover.py --rounds 5
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import socket
import ssl
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import socketio_fast
from harness.building import certificate

SESSIONS = 8

WAYS = ("own worker", "wrong worker", "fresh, own worker", "fresh, wrong worker")
ECHOES = ("echo, own worker", "echo, recovered by the other worker")


def worker(directory: str, files: tuple[str, str] | None, pipe: Any) -> None:
    """Serve in a process of its own; tell the port."""

    async def main() -> None:
        server = socketio_fast.AsyncServer(
            cluster=f"unix:{directory}", connection_state_recovery=True
        )

        @server.event
        async def echo(sid: str, text: str) -> None:
            await server.emit("echo", text, to=sid)

        more = (
            {} if files is None else {"ssl_certfile": files[0], "ssl_keyfile": files[1]}
        )
        async with await socketio_fast.serve(server, port=0, **more) as running:
            membership = server.eio.membership
            assert membership is not None
            pipe.send((running.port, membership.mesh.tag))
            await asyncio.to_thread(pipe.recv)

    os.sched_setaffinity(0, {0})
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.run(main())
        return
    asyncio.run(main())


class Workers:
    """Two workers, by their ports and tags."""

    def __init__(self, files: tuple[str, str] | None) -> None:
        self._stack = contextlib.ExitStack()
        directory = self._stack.enter_context(tempfile.TemporaryDirectory())
        self.ports: list[int] = []
        self.tags: list[str] = []
        self._pids: list[int] = []
        spawn = multiprocessing.get_context("spawn")
        for _ in range(2):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=worker, args=(directory, files, theirs))
            process.start()
            self._stack.callback(process.join)
            self._stack.callback(ours.send, None)
            self._pids.append(process.pid or 0)
            port, tag = ours.recv()
            self.ports.append(port)
            self.tags.append(tag)

    def cpu(self) -> float:
        """Seconds of CPU that both have used."""
        total = 0.0
        for pid in self._pids:
            text = Path(f"/proc/{pid}/schedstat").read_text()
            total += int(text.split()[0]) / 1e9
        return total

    def close(self) -> None:
        self._stack.close()


class Connection:
    """A connection to a worker; each request waits for its response."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        plain = socket.create_connection(("127.0.0.1", port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket: socket.socket = (
            plain if context is None else context.wrap_socket(plain)
        )

    def ask(self, method: str, sid: str, body: str | None = None) -> str:
        query = "EIO=4&transport=polling" + (f"&sid={sid}" if sid else "")
        head = f"{method} /socket.io/?{query} HTTP/1.1\r\nHost: localhost\r\n"
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n"
        self._socket.sendall(f"{head}\r\n{body or ''}".encode())
        answer = self._socket.recv(65536).decode()
        assert answer.startswith("HTTP/1.1 200"), answer
        return answer.partition("\r\n\r\n")[2]

    def close(self) -> None:
        self._socket.close()


def measure(
    workers: Workers, way: str, requests: int, tls: ssl.SSLContext | None
) -> float:
    """Microseconds of CPU for a request that brings a packet."""
    opening = [Connection(port, tls) for port in workers.ports]
    # A new client may be given to the other worker for the sake of balance.
    sids: list[list[str]] = [[], []]
    while min(map(len, sids)) < SESSIONS:
        for each in opening:
            sid = json.loads(each.ask("GET", "")[1:])["sid"]
            sids[workers.tags.index(sid[-4:])].append(sid)
    for each in opening:
        each.close()
    own = way.endswith("own worker")
    fresh = way.startswith("fresh")
    connection = None if fresh else Connection(workers.ports[0], tls)
    before = workers.cpu()
    for number in range(requests):
        if fresh:
            connection = Connection(workers.ports[0], tls)
        assert connection is not None
        # On a connection that stays, the worker that has it is the one before.
        wrong = 1 if fresh else (number + 1) % 2
        sid = sids[0 if own else wrong][number % SESSIONS]
        assert connection.ask("POST", sid, "3") == "ok"
        if fresh:
            connection.close()
    used = workers.cpu() - before
    if connection is not None and not fresh:
        connection.close()
    return used / requests * 1e6


class WebSocket:
    """A client by WebSocket: it joins "/", or comes back to it."""

    def __init__(self, port: int, auth: dict[str, Any] | None = None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._socket.sendall(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
            b"Host: localhost\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        while self._file.readline() != b"\r\n":
            pass
        assert self.receive().startswith("0{")
        self.send("40" + ("" if auth is None else json.dumps(auth)))
        self.joined: dict[str, Any] = json.loads(self.receive()[2:])

    def send(self, text: str) -> None:
        # Masked with zeros; no message here is longer than 125 bytes.
        self._socket.sendall(
            bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text.encode()
        )

    def receive(self) -> str:
        _, size = self._file.read(2)
        if size == 126:
            size = int.from_bytes(self._file.read(2), "big")
        return self._file.read(size).decode()

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def measure_echo(workers: Workers, passed_on: bool, echoes: int) -> float:
    """Microseconds of CPU for an echo to a client that was recovered."""
    before = WebSocket(workers.ports[0])
    pid = before.joined["pid"]
    before.close()
    home = workers.tags.index(pid[-4:])
    client = WebSocket(workers.ports[1 - home if passed_on else home], {"pid": pid})
    assert client.joined["pid"] == pid
    used = workers.cpu()
    for _ in range(echoes):
        client.send('42["echo","hello world"]')
        assert client.receive().startswith('42["echo"')
    used = workers.cpu() - used
    client.close()
    return used / echoes * 1e6


@contextlib.contextmanager
def started(tls: bool) -> Iterator[tuple[Workers, ssl.SSLContext | None]]:
    """The workers, and what clients need for TLS."""
    with contextlib.ExitStack() as stack:
        files = stack.enter_context(certificate()) if tls else None
        context = None
        if tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        workers = Workers(files)
        stack.callback(workers.close)
        yield workers, context


def measured(rounds: int, requests: int) -> dict[str, list[float]]:
    """Microseconds of CPU of each way, in each round."""
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    figures: dict[str, list[float]] = {}
    for tls in (False, True):
        with started(tls) as (workers, context):
            for _ in range(rounds):
                for way in WAYS:
                    count = requests // (4 if tls and "fresh" in way else 1)
                    found = measure(workers, way, count, context)
                    name = f"POST, {way}{', TLS' if tls else ''}"
                    figures.setdefault(name, []).append(found)
                for where in () if tls else ECHOES:
                    found = measure_echo(workers, where == ECHOES[1], requests)
                    figures.setdefault(where, []).append(found)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=4000)
    options = parser.parse_args()
    print(
        f"Python {sys.version.split()[0]}, us of CPU for a POST or an echo, "
        f"medians of {options.rounds} rounds of {options.requests}"
    )
    for way, found in measured(options.rounds, options.requests).items():
        print(f"{way:36} {statistics.median(found):8.1f}")


if __name__ == "__main__":
    main()
