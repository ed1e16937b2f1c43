"""Clients that come back to another worker than the one that may recover them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from support.interop import TRANSPORTS, record_disconnects
from support.raw import WebSocket, connections, polling, websocket
from support.tcp_proxy import TcpProxy
from support.waiting import until, within

import socketio_fast as socketio

FAST: dict[str, Any] = {
    "reconnection_delay": 0.01,
    "reconnection_delay_max": 0.05,
    "handle_sigint": False,
}


class Worker:
    """A server, and a network before it that may be cut."""

    def __init__(
        self, sio: socketio.AsyncServer, network: TcpProxy, server: Any
    ) -> None:
        self.sio = sio
        self.network = network
        self.server = server
        self.gone = record_disconnects(sio)

    @property
    def tag(self) -> str:
        membership = self.sio.eio.membership
        assert membership is not None
        return membership.mesh.tag

    @property
    def connections(self) -> int:
        """Those that count among the connections of an address, of all workers."""
        limits = self.sio.eio.engine.limits
        assert limits is not None
        return sum(v.connections for v in limits.visitors.values())

    @property
    def counters(self) -> Any:
        return self.sio.eio.engine.counters


class Client:
    """A client, and the worker that its next connection is to."""

    def __init__(self, worker: Worker, transport: str) -> None:
        self.worker = worker
        self.transport = transport
        self.sio = socketio.AsyncClient(**FAST)
        self.socket = self.sio.socket()
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.connections: asyncio.Queue[str] = asyncio.Queue()
        self.sio.on("n", lambda *args: self.events.put_nowait(args))
        self.sio.on("question", lambda *args: ["answer", *args])
        self.socket.on(
            "connect", lambda: self.connections.put_nowait(self.sio.get_sid() or "")
        )

    async def connect(self) -> str:
        await self.sio.connect(
            lambda: self.worker.network.url,
            transports=TRANSPORTS[self.transport],
            wait_timeout=10,
        )
        return await within(self.connections.get())

    async def moved(self, to: Worker) -> str:
        """It loses its connection and comes back to that worker. Returns its sid."""
        before, self.worker = self.worker, to
        await before.network.cut()
        return await within(self.connections.get())

    async def next(self) -> Any:
        return await within(self.events.get())


Start = Callable[..., Awaitable[list[Worker]]]


@pytest.fixture
async def start(serve: Any, cluster: str) -> AsyncIterator[Start]:
    """``home, other = await start(2)``, which know each other."""
    networks: list[TcpProxy] = []

    async def start(count: int, **options: Any) -> list[Worker]:
        options = {"connection_state_recovery": True, **options}
        workers = []
        for _ in range(count):
            sio = socketio.AsyncServer(cluster=cluster, **options)

            @sio.event
            async def echo(sid: str, *args: Any) -> Any:
                return args

            server = await serve(sio)
            network = TcpProxy(server.port)
            await network.__aenter__()
            networks.append(network)
            workers.append(Worker(sio, network, server))
        return workers

    yield start
    for network in networks:
        await network.__aexit__(None, None, None)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_is_recovered_by_another_worker(
    start: Start, transport: str
) -> None:
    """Its sid, its rooms, its session, and what it has missed, once and in order; it
    goes on as before, with either worker's events."""
    home, other = await start(2)
    client = Client(home, transport)
    sid = await client.connect()
    await home.sio.enter_room(sid, "room")
    await home.sio.save_session(sid, {"name": "Ada"})
    await home.sio.emit("n", 0, to="room")
    assert (await client.next())[0] == 0
    for number in (1, 2, 3):
        missed = number * 10
        before, client.worker = client.worker, other
        await before.network.cut()
        await home.gone.next()
        await home.sio.emit("n", missed, to="room")
        await other.sio.emit("n", (missed + 1, b"\x00"), to="room")
        await home.sio.emit("n", "not for it", skip_sid=sid)
        assert await within(client.connections.get()) == sid
        assert client.socket.recovered
        assert home.sio.recovered(sid)
        assert (await client.next())[:-1] == (missed,)
        assert (await client.next())[:-1] == (missed + 1, b"\x00")
        for sio in (home.sio, other.sio):
            await sio.emit("n", (number, b"\x01\x02"), to="room")
            assert (await client.next())[:-1] == (number, b"\x01\x02")
        assert await client.sio.call("echo", ("é", b"\xff", {"a": [b"b"]})) == (
            "é",
            b"\xff",
            {"a": [b"b"]},
        )
        for sio in (home.sio, other.sio):
            assert await sio.call("question", number, to=sid) == ["answer", number]
        assert (await home.sio.get_session(sid))["name"] == "Ada"
    assert home.sio.rooms(sid) == [sid, "room"]
    assert sid not in other.sio.of("/").sockets
    await client.sio.disconnect()
    assert await home.gone.next() == (sid, "client disconnect")
    await until(lambda: not other.sio.eio.engine.sessions)


async def test_it_may_come_back_anywhere(start: Start) -> None:
    workers = await start(3)
    client = Client(workers[0], "websocket")
    sid = await client.connect()
    await workers[0].sio.emit("n", -1)
    await client.next()
    for number, to in enumerate((1, 2, 0, 2, 1, 0)):
        assert await client.moved(workers[to]) == sid
        await workers[(to + 1) % 3].sio.emit("n", number, to=sid)
        assert (await client.next())[0] == number
    await client.sio.disconnect()


async def session(worker: Worker, auth: dict[str, Any] | None = None) -> WebSocket:
    """A WebSocket that has asked for "/"."""
    ws = await WebSocket.upgrade(worker.server, websocket(path="/socket.io/"))
    await ws.open_packet()
    await ws.text("40" + ("" if auth is None else json.dumps(auth)))
    return ws


async def joined(ws: WebSocket) -> dict[str, Any]:
    packet = await ws.message()
    assert isinstance(packet, str)
    assert packet.startswith("40")
    answer: dict[str, Any] = json.loads(packet[2:])
    return answer


async def cut_off(home: Worker) -> dict[str, Any]:
    """What a client that was cut off from this worker sends when it comes back."""
    ws = await session(home)
    answer = await joined(ws)
    await ws.close()
    assert (await home.gone.next())[1] == "transport close"
    return {"pid": answer["pid"], "offset": None}


@pytest.mark.parametrize("why", ["expired", "unknown", "ended", "not here"])
async def test_one_that_nobody_awaits_stays(start: Start, why: str) -> None:
    """It is a new client of the worker that it came to, with all that it has sent."""
    duration = 0.01 if why == "expired" else 60
    home, other = await start(
        2, connection_state_recovery={"max_disconnection_duration": duration}
    )
    auth = await cut_off(home)
    if why == "expired":
        recovery = home.sio._hub.namespace("/").recovery
        assert recovery is not None
        await until(lambda: not recovery.away_in(None))
    elif why == "unknown":
        auth["pid"] = "A" * 16 + home.tag
    elif why == "ended":
        await home.server.close()
    else:
        auth["pid"] = "A" * 20
    ws = await session(other, auth)
    await ws.text('421["echo","é"]')
    await ws.text('451-2["echo",{"_placeholder":true,"num":0}]')
    await ws.binary(b"\xff")
    assert (await joined(ws))["sid"].endswith(other.tag)
    assert await ws.message() == '431["é"]'
    assert await ws.message() == '461-2[{"_placeholder":true,"num":0}]'
    assert await ws.message() == b"\xff"
    assert not other.sio.recovered(next(iter(other.sio.of("/").sockets)))
    await ws.close()


async def test_one_that_cannot_be_passed_on_stays(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """The program has put into its environ what no request has."""
    home, other = await start(2)
    auth = await cut_off(home)
    ws = await WebSocket.upgrade(other.server, websocket(path="/socket.io/"))
    await ws.open_packet()
    (front,) = other.sio.eio.engine.sessions.values()
    front.environ["HTTP_X_NAME"] = "\u0416"
    await ws.text("40" + json.dumps(auth))
    assert (await joined(ws))["sid"].endswith(other.tag)
    assert "was not passed on to the worker that awaits it" in caplog.text
    await ws.close()


@pytest.mark.parametrize("awaited", [True, False])
async def test_it_counts_once_among_the_connections_of_its_address(
    start: Start, awaited: bool
) -> None:
    home, other = await start(2, limits=socketio.Limits(connections_per_address=1))
    auth = await cut_off(home)
    await until(lambda: not home.connections)
    if not awaited:
        auth["pid"] = "A" * 16 + home.tag
    ws = await session(other, auth)
    owner = home if awaited else other
    assert (await joined(ws))["sid"].endswith(owner.tag)
    await until(lambda: home.connections == other.connections == 1)
    await ws.close()
    await until(lambda: home.connections + other.connections == 0)


async def test_one_that_leaves_at_once(start: Start) -> None:
    """Before the other worker is asked: the close packet comes with CONNECT."""
    home, other = await start(2)
    auth = await cut_off(home)
    async with connections(other.server) as client:
        connection = await client.connect()
        opened = await connection.get(polling(path="/socket.io/"))
        target = polling(json.loads(opened.text[1:])["sid"], path="/socket.io/")
        sent = ["40" + json.dumps(auth), "1"]
        (await connection.post(target, "\x1e".join(sent))).ok("ok")
        await until(lambda: not other.sio.eio.engine.sessions)
    # It may still come back: nobody has taken its place.
    ws = await session(other, auth)
    assert (await joined(ws))["pid"] == auth["pid"]
    await ws.close()


async def test_what_it_sends_at_once_comes_after_it_has_joined(start: Start) -> None:
    """By one payload of long-polling."""
    home, other = await start(2)
    auth = await cut_off(home)
    async with connections(other.server) as client:
        connection = await client.connect()
        opened = await connection.get(polling(path="/socket.io/"))
        target = polling(json.loads(opened.text[1:])["sid"], path="/socket.io/")
        sent = ["40" + json.dumps(auth), '421["echo",1]', '422["echo",2]']
        (await connection.post(target, "\x1e".join(sent))).ok("ok")
        packets: list[str] = []
        while len(packets) < 3:
            packets += (await connection.get(target)).ok().text.split("\x1e")
        assert packets[0].startswith('40{"sid"')
        assert json.loads(packets[0][2:])["pid"] == auth["pid"]
        assert packets[1:] == ["431[1]", "432[2]"]


@pytest.mark.parametrize("kind", ["disconnect", "stop", "kill"])
async def test_the_end_of_its_session(start: Start, kind: str) -> None:
    """Its own worker ends it: by a disconnect, or as it stops, or dies."""
    home, other = await start(2)
    ws = await session(other, await cut_off(home))
    sid = (await joined(ws))["sid"]
    assert sid.endswith(home.tag)
    if kind == "disconnect":
        await home.sio.emit("last", to=sid)
        await home.sio.disconnect(sid)
        packet = await ws.message()
        assert isinstance(packet, str)
        assert packet.startswith('42["last"')
        assert await ws.message() == "41"
        await ws.close()
    else:
        if kind == "stop":
            await home.server.close()
        else:
            assert home.sio.eio.membership is not None
            home.sio.eio.membership.close()
            home.sio.eio.engine.drop_all()
        await ws.ends()
    await until(lambda: not other.sio.eio.engine.sessions)


async def test_a_client_that_breaks_the_protocol(start: Start) -> None:
    """Its own worker notices, and it is closed where it is."""
    home, other = await start(2)
    ws = await session(other, await cut_off(home))
    await joined(ws)
    await ws.text("49")
    await ws.ends()
    await until(lambda: not other.sio.eio.engine.sessions)
    await until(lambda: not home.sio.eio.engine.sessions)


async def test_a_client_that_reads_nothing_costs_either_worker_little(
    start: Start,
) -> None:
    """What waits for it stays bounded in both, and its own worker finds it slow."""
    home, other = await start(2, slow_consumer="drop_volatile")
    ws = await session(other, await cut_off(home))
    sid = (await joined(ws))["sid"]
    socket = home.sio.of("/").sockets[sid]
    data = "x" * 100_000
    for _ in range(400):
        await socket.volatile.emit("n", data)
        await asyncio.sleep(0)
    (front,) = other.sio.eio.engine.sessions.values()
    assert front.buffered_bytes < 1_000_000
    assert home.counters["dropped_volatile"] > 0
    await ws.close()


async def test_its_flood_waits_while_its_handlers_are_busy(start: Start) -> None:
    """Neither worker reads it without end."""
    home, other = await start(2, max_pending_events=10, max_pending_bytes=100_000)
    open_ = asyncio.Event()
    came: list[int] = []

    @home.sio.event
    async def slow(sid: str, number: int, data: str) -> None:
        await open_.wait()
        came.append(number)

    ws = await session(other, await cut_off(home))
    await joined(ws)
    count = 2000

    async def flood() -> None:
        for number in range(count):
            await ws.text(f'42["slow",{number},"{"x" * 10_000}"]')

    flooding = asyncio.ensure_future(flood())
    await until(lambda: other.counters["paused_clients"] > 0)
    assert not flooding.done()
    open_.set()
    await within(flooding)
    await until(lambda: len(came) == count)
    assert came == list(range(count))
    await ws.close()


async def test_two_namespaces(start: Start) -> None:
    """All of a connection goes where its first namespace is recovered."""
    home, other = await start(2)
    for worker in (home, other):
        worker.sio.of("/admin")
    auth = await cut_off(home)
    ws = await session(other, auth)
    sid = (await joined(ws))["sid"]
    await ws.text("40/admin,")
    packet = await ws.message()
    assert isinstance(packet, str)
    assert packet.startswith('40/admin,{"sid":')
    assert sid.endswith(home.tag)
    assert len(home.sio.of("/admin").sockets) == 1
    await ws.close()
    await home.gone.next()
