"""Several workers of uvicorn, gunicorn and others, without sticky sessions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.interop import TRANSPORTS
from support.js_client import JSClient
from support.ports import free_port
from support.processes import python
from support.python_client import PythonClient
from support.servers import Server, listens, process
from support.waiting import WAIT, within

WORKERS = 3

#: As by default, but that browsers have WebTransport besides.
UPGRADE = TRANSPORTS["upgrade"]

APP = """
import os

import socketio_fast

options = {"ping_interval": float(os.environ.get("PING", 25)), "ping_timeout": 2}

def serve(server):
    @server.event
    def say(sid, data):
        return server.emit("said", data, to=sid)

    @server.event
    def who(sid):
        return os.getpid()

    return server

def asgi():
    # The directory is named by the environment.
    return socketio_fast.ASGIApp(serve(socketio_fast.AsyncServer(**options)))

def wsgi():
    server = socketio_fast.Server(
        cluster="unix:" + os.environ["DIRECTORY"],
        async_handlers=False,  # in threads, what one says first may come second
        **options,
    )
    return socketio_fast.WSGIApp(serve(server))

app = wsgi() if "DIRECTORY" in os.environ else asgi()
"""

GUNICORN = ["-m", "gunicorn", "app:app", "--bind", "127.0.0.1:{port}"]
UVICORN = ["-m", "uvicorn", "app:app", "--port", "{port}", "--workers", f"{WORKERS}"]

#: The commands of servers; a port follows.
SERVERS = {
    "uvicorn": UVICORN,
    "gunicorn, threads": [*GUNICORN, "-w", f"{WORKERS}", "--threads", "50"],
    "uvicorn, compiled WebSockets": [
        *(*UVICORN, "--ws", "socketio_fast.uvicorn:WebSocketProtocol"),
    ],
    "gunicorn, UvicornWorker": [
        *(*GUNICORN, "-w", f"{WORKERS}", "-k", "uvicorn.workers.UvicornWorker"),
    ],
    "hypercorn": [
        *("-m", "hypercorn", "app:app", "--bind", "127.0.0.1:{port}"),
        *("--workers", f"{WORKERS}"),
    ],
    "granian": [
        *("-m", "granian", "app:app", "--interface", "asgi", "--port", "{port}"),
        *("--workers", f"{WORKERS}"),
    ],
}

#: An asynchronous one and one with threads. They are the first in ``SERVERS``: pytest
#: goes by places to keep the tests of a server together.
BOTH = ["uvicorn", "gunicorn, threads"]


@contextlib.contextmanager
def serving(name: str, path: Path, **variables: str) -> Iterator[Server]:
    """One of the servers, until the block ends."""
    (path / "app.py").write_text(APP)
    port = free_port()
    arguments = [piece.format(port=port) for piece in SERVERS[name]]
    with (
        # A short path: that of a Unix socket has a limit.
        tempfile.TemporaryDirectory(prefix="sf") as directory,
        pytest.MonkeyPatch.context() as patch,
    ):
        if "threads" in name:
            variables["DIRECTORY"] = directory
        else:
            variables["SOCKETIO_FAST_CLUSTER"] = f"unix:{directory}"
        for key, value in variables.items():
            patch.setenv(key, value)
        with process(arguments, path) as running:
            asyncio.run(
                listens(
                    running, path, lambda: asyncio.open_connection("127.0.0.1", port)
                )
            )
            server = Server(running, port)
            try:
                yield server
            finally:
                # Its workers would outlive it if it were killed.
                asyncio.run(server.stop())
    log = (path / "log").read_text()
    assert "Traceback" not in log, log


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Each of them, for the tests that leave its workers as they are."""
    with serving(request.param, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def ping() -> str:
    """Its ping interval in seconds."""
    return "25"


@pytest.fixture
def own_server(name: str, ping: str, tmp_path: Path) -> Iterator[Server]:
    """A server of this name for one test."""
    with serving(name, tmp_path, PING=ping) as server:
        yield server


@asynccontextmanager
async def fresh() -> AsyncIterator[aiohttp.ClientSession]:
    """Each request is a connection of its own."""
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


class Polling:
    """A client of Socket.IO that polls, and checks every answer."""

    def __init__(self, session: aiohttp.ClientSession, server: Server) -> None:
        self.session = session
        self.url = f"{server.url}/socket.io/?EIO=4&transport=polling"
        self.requests = 0
        self.events: list[Any] = []
        self.acks: dict[int, Any] = {}

    async def request(self, method: str, body: str | None = None) -> str:
        async with self.session.request(method, self.url, data=body) as response:
            text = await response.text()
            assert response.status == 200, (response.status, text)
            self.requests += 1
            return text

    async def connect(self) -> None:
        opening = await self.request("GET")
        self.sid = json.loads(opening[1:])["sid"]
        self.url += f"&sid={self.sid}"
        assert await self.request("POST", "40") == "ok"
        await self.poll()
        assert self.connected

    async def poll(self) -> None:
        for packet in (await self.request("GET")).split("\x1e"):
            if packet == "2":
                assert await self.request("POST", "3") == "ok"
            elif packet.startswith("42"):
                self.events.append(json.loads(packet[2:]))
            elif packet.startswith("43"):
                number, _, rest = packet[2:].partition("[")
                self.acks[int(number)] = json.loads("[" + rest)
            else:
                assert packet.startswith("40")
                self.connected = True

    async def worker(self) -> int:
        """The process that has the session."""
        assert await self.request("POST", '420["who"]') == "ok"
        while 0 not in self.acks:
            await self.poll()
        (pid,) = self.acks.pop(0)
        return int(pid)

    async def talk(self, count: int) -> None:
        async def say() -> None:
            for number in range(count):
                assert await self.request("POST", f'42["say",{number}]') == "ok"

        saying = asyncio.ensure_future(say())
        while len(self.events) < count:
            await self.poll()
        await saying
        assert self.events == [["said", number] for number in range(count)]


async def connected(session: aiohttp.ClientSession, server: Server) -> Polling:
    client = Polling(session, server)
    await within(client.connect())
    return client


async def one_of_each(
    session: aiohttp.ClientSession, server: Server
) -> dict[int, Polling]:
    """A client of each worker."""
    clients: dict[int, Polling] = {}

    async def find() -> None:
        while len(clients) < WORKERS:
            # A worker that is still starting answers nothing.
            with contextlib.suppress(aiohttp.ClientError):
                client = await connected(session, server)
                clients.setdefault(await client.worker(), client)

    await within(find(), "a session of each worker", seconds=2 * WAIT)
    return clients


async def test_nothing_is_lost_doubled_or_reordered(server: Server) -> None:
    async with fresh() as session:
        clients = list((await one_of_each(session, server)).values())
        clients += [await connected(session, server) for _ in range(5)]
        await within(
            asyncio.gather(*[client.talk(100) for client in clients]), seconds=50
        )
        assert sum(client.requests for client in clients) > 1000


async def test_the_javascript_client_with_default_options(server: Server) -> None:
    async with fresh() as session:
        await one_of_each(session, server)
        for _ in range(4):
            async with JSClient(server.url, transports=UPGRADE) as client:
                await client.connect()
                assert await client.emit_with_ack("who")
                for number in range(10):
                    await client.emit("say", number)
                for number in range(10):
                    assert await client.expect("said") == [number]


@pytest.mark.parametrize("server", BOTH, indirect=True)
@pytest.mark.parametrize("kind", PythonClient.CLASSES)
async def test_the_clients_of_python_socketio(server: Server, kind: str) -> None:
    async with fresh() as session:
        await one_of_each(session, server)
        for _ in range(3):
            async with PythonClient(kind, server.url, "upgrade", ["/"], {}) as client:
                await client.connect()
                assert await client.call("who")
                assert client.client.transport() == "websocket"


async def until_unknown(client: Polling) -> None:
    """The client's session is gone, and told so as after a restart."""
    while True:
        async with client.session.get(client.url) as response:
            if response.status == 400:
                assert json.loads(await response.text()) == {
                    "code": 1,
                    "message": "Session ID unknown",
                }
                return


async def test_what_workers_do_is_told(server: Server, tmp_path: Path) -> None:
    """By the workers themselves: other servers have no supervisor that asks them."""
    directory = os.environ.get("DIRECTORY")
    cluster = os.environ["SOCKETIO_FAST_CLUSTER"] if directory is None else directory
    async with fresh() as session:
        clients = await one_of_each(session, server)
        done = await asyncio.to_thread(
            python,
            *("-m", "socketio_fast", "status", cluster, "--json"),
            cwd=tmp_path,
            check=True,
        )
        workers = json.loads(done.stdout)["workers"]
        assert {each["pid"] for each in workers} == clients.keys()
        for each in workers:
            assert each["clients"] >= 1
            assert each["memory"] > 10_000_000


@pytest.mark.parametrize("name", BOTH)
async def test_a_worker_is_killed(own_server: Server) -> None:
    async with fresh() as session:
        clients = await one_of_each(session, own_server)
        (pid, client), *others = clients.items()
        poll = asyncio.ensure_future(session.get(client.url))
        os.kill(pid, signal.SIGKILL)
        # Another worker has relayed it, unless it had come to this one.
        with contextlib.suppress(aiohttp.ClientError):
            async with await within(poll) as response:
                assert response.status == 400
        await within(until_unknown(client))
        for _, other in others:
            await within(other.talk(20))


# uvicorn's own supervisor ends a worker that does not answer it for 5 s.
@pytest.mark.parametrize(("name", "ping"), [("gunicorn, UvicornWorker", "1")])
async def test_a_worker_is_stopped(own_server: Server) -> None:
    """Requests for its sessions end, those of others go on."""
    async with fresh() as session:
        clients = await one_of_each(session, own_server)
        (pid, client), *others = clients.items()
        os.kill(pid, signal.SIGSTOP)
        try:
            # What the stopped worker accepts itself is answered by nobody.
            timeout = aiohttp.ClientTimeout(total=15)
            answers = await asyncio.gather(
                *[session.get(client.url, timeout=timeout) for _ in range(8)],
                return_exceptions=True,
            )
            statuses = {
                answer.status
                for answer in answers
                if isinstance(answer, aiohttp.ClientResponse)
            }
            assert statuses == {504}
        finally:
            os.kill(pid, signal.SIGCONT)
        assert len(others) == WORKERS - 1
