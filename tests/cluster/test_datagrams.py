"""WebTransport with several workers: QUIC on one UDP port, sessions of any of them."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from integration.conftest import Echo
from support.raw import polling
from support.waiting import until
from support.webtransport import Client, Session, beside, certificate, connected

from socketio_fast.cluster import datagrams
from socketio_fast.cluster.elsewhere import RELAYED
from socketio_fast.hosting import webtransport

TRANSPORTS = ["polling", "websocket", "webtransport"]

#: So many connections that the kernel gives some to each of a few workers: that it does
#: not happens once in half a million times.
MANY = 20


class Worker:
    """A worker, and where all of them listen."""

    def __init__(self, echo: Echo, server: Any) -> None:
        self.echo = echo
        self.server = server

    @property
    def counters(self) -> Any:
        return self.echo.app.counters


class Workers:
    """Workers on one port."""

    def __init__(self, serve: Any, directory: Path, file: str) -> None:
        self._serve = serve
        self._directory = directory
        self._file = file
        self.port = 0
        self.all: list[Worker] = []

    async def start(self, count: int = 1, **options: Any) -> list[Worker]:
        for _ in range(count):
            echo = Echo(
                cluster=f"unix:{self._directory}", transports=TRANSPORTS, **options
            )
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(("127.0.0.1", self.port))
            self.port = sock.getsockname()[1]
            server = await self._serve(
                echo.app, sock=sock, ssl_certfile=self._file, webtransport=True
            )
            self.all.append(Worker(echo, server))
        return self.all[-count:]

    def count(self, name: str) -> int:
        return sum(worker.counters[name] for worker in self.all)

    @property
    def sids(self) -> list[str]:
        return [sid for worker in self.all for sid in worker.echo.sids]


@pytest.fixture
async def workers(
    serve: Callable[..., Awaitable[Any]],
    directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Workers:
    monkeypatch.setattr(webtransport, "LINGER", 0.1)
    return Workers(serve, directory, certificate(tmp_path)[0])


@pytest.fixture
async def client(workers: Workers) -> AsyncIterator[Callable[[], Awaitable[Client]]]:
    """``await client()``: a new QUIC connection, from a port of its own."""
    async with AsyncExitStack() as stack:

        async def connect() -> Client:
            server = workers.all[0].server
            return await stack.enter_async_context(connected(server))

        yield connect


Connect = Callable[[], Awaitable[Client]]


async def upgrading(workers: Workers, client: Connect) -> tuple[str, Session]:
    """A session by polling, and a WebTransport session at another worker that is to
    upgrade it."""
    for _ in range(MANY):
        async with await beside(workers.all[0].server) as tcp:
            sid = json.loads((await tcp.get(polling())).ok().text[1:])["sid"]
        before = workers.count(RELAYED)
        session = await (await client()).session()
        session.send(json.dumps({"sid": sid}).join(["0", ""]), "2probe")
        assert await session.receive() == "3probe"
        if workers.count(RELAYED) > before:
            return sid, session
    raise AssertionError("never at another worker")


def owner(workers: Workers, sid: str) -> Echo:
    return next(each.echo for each in workers.all if sid in each.echo.sids)


async def test_a_connection_comes_to_any_worker(
    workers: Workers, client: Connect
) -> None:
    """T4: what the kernel gives to another worker arrives, also when one has come."""
    await workers.start(2)
    sessions = [await (await client()).open() for _ in range(MANY)]
    assert all(worker.echo.sids for worker in workers.all)
    assert workers.count(datagrams.PASSED) == 0
    await workers.start()  # from now on the kernel chooses among three
    for text in ("one", "two", "x" * 100_000):
        for session in sessions:
            await session.echoes(text)
    assert workers.count(datagrams.PASSED) > 0
    assert workers.count(datagrams.DROPPED) == 0
    assert not workers.all[2].echo.sids


async def test_the_worker_of_a_connection_is_asked_for_once(
    workers: Workers, client: Connect
) -> None:
    """Then datagrams go to it alone."""
    await workers.start(3)
    sessions = [await (await client()).open() for _ in range(MANY)]
    await workers.start()
    for session in sessions:
        await session.echoes("asks all")
    passed = workers.count(datagrams.PASSED)
    for worker in workers.all:
        members = worker.echo.app.membership
        assert members is not None
        assert set(members.datagrams._known.values()) <= set(members.mesh.others)
    asked = passed
    for session in sessions:
        await session.echoes("asks one")
    again = workers.count(datagrams.PASSED) - asked
    assert 0 < again < passed


async def test_an_upgrade_at_another_worker(workers: Workers, client: Connect) -> None:
    """T5: the worker that has the session speaks by the one that has the connection."""
    await workers.start(2)
    sid, session = await upgrading(workers, client)
    echo = owner(workers, sid)
    async with await beside(workers.all[0].server) as tcp:
        (await tcp.get(polling(sid))).ok("6")
    session.send("5")
    for message in ("hello", b"\x00\x01", "x" * 300_000, b"y" * 900_000):
        await session.echoes(message)
    assert echo.app.transport(sid) == "webtransport"
    session.close()
    assert await echo.disconnected(sid) == "transport close"


async def test_what_breaks_a_rule_ends_the_session_at_its_worker(
    workers: Workers, client: Connect
) -> None:
    await workers.start(2)
    sid, session = await upgrading(workers, client)
    echo = owner(workers, sid)
    session.send("5")
    await session.echoes("hello")
    session.write(b"\x7f" + (1 << 40).to_bytes(8, "big"))  # too long a message
    assert (await session.closed())[0] == 1009
    assert await echo.disconnected(sid) == "transport error"


async def test_the_end_of_a_session_reaches_the_client(
    workers: Workers, client: Connect
) -> None:
    await workers.start(2)
    sid, session = await upgrading(workers, client)
    session.send("5")
    await session.echoes("hello")
    await owner(workers, sid).app.disconnect(sid)
    assert await session.closed() == (0, "")


async def test_a_worker_that_ends_takes_no_new_connection(
    workers: Workers, client: Connect
) -> None:
    """T4: the others do, while its own go on."""
    first, second = await workers.start(2)
    before = [await (await client()).open() for _ in range(MANY)]
    held = len(first.echo.sids)
    assert held
    first.server._take_no_more()
    for _ in range(MANY):
        await (await (await client()).open()).echoes("new")
    assert len(first.echo.sids) == held
    for session in before:
        await session.echoes("still here")
    await first.server.close()
    await until(lambda: len(first.echo.ended) == held)
    for session in before:
        if session.handshake["sid"] in second.echo.sids:
            await session.echoes("at the other worker")


async def test_garbage_is_no_message_to_others(workers: Workers) -> None:
    """No more of it waits for another worker than it can take."""
    first, second = await workers.start(2)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with udp:
        for junk in (b"", b"\x40", b"\x00" * 50, b"\xff" * 1200):
            udp.sendto(junk, ("127.0.0.1", workers.port))
        udp.sendto(b"\x40" + bytes(1000), ("127.0.0.1", workers.port))
        await until(lambda: workers.count(datagrams.PASSED) == 1)
    membership = first.echo.app.membership
    assert membership is not None
    for _ in range(1000):
        membership.datagrams.pass_on(b"nobodys", None, None, bytes(1000))
    assert 0 < first.counters[datagrams.DROPPED] < 1000
    assert not second.counters[datagrams.DROPPED]
