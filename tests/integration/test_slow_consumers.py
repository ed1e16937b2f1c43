"""Clients that do not read what they are sent: who waits for them, and who is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.hosts import HOSTS
from support.raw import (
    Connection,
    WebSocket,
    join,
    polling,
    text,
    turns,
    websocket,
    within,
)
from support.waiting import until

import socketio_fast

PATH = "/socket.io/"
MARK = 200_000
CHUNK = "x" * 100_000

#: Our own WebSockets, and those that another server speaks.
SOME = ("compiled", "uvicorn", "aiohttp")


@pytest.fixture(params=SOME)
async def host(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """``await host(server)``: where it listens."""
    async with AsyncExitStack() as stack:

        async def start(server: Any) -> Any:
            url = await stack.enter_async_context(HOSTS[request.param](server))
            parts = urlsplit(url)
            return SimpleNamespace(host=parts.hostname, port=parts.port)

        yield start


def make(**options: Any) -> Any:
    sio = socketio_fast.AsyncServer(
        high_water_mark=MARK, max_buffer_bytes=1 << 30, **options
    )
    sio.on("connect", lambda sid, environ: None)
    return sio


async def join_by_polling(connection: Connection) -> str:
    sid = await connection.open_session(path=PATH)
    target = polling(sid, path=PATH)
    (await connection.post(target, "40")).ok("ok")
    (await connection.get(target)).ok()
    return sid


def stop_reading(ws: WebSocket) -> None:
    ws.reader._limit = 1


async def read_events(ws: WebSocket, count: int) -> None:
    """Read on: these numbers come, in order."""
    ws.reader._limit = 1 << 24
    ws.reader._maybe_resume_transport()
    for number in range(count):
        assert await ws.message() == f'42["chunk",{number},"{CHUNK}"]'


def session_of(sio: Any) -> Any:
    (session,) = sio.eio.sockets.values()
    return session


async def fill(sio: Any) -> int:
    """Send to a client that does not read, until twice the mark waits; how much."""
    session = session_of(sio)
    for number in range(1000):
        sending = asyncio.ensure_future(sio.emit("chunk", (number, CHUNK)))
        await asyncio.sleep(0.001)
        if not sending.done():
            sending.cancel()  # it waits for the client
            return number + 1
        if session.buffered_bytes > 2 * MARK:
            return number + 1
    raise AssertionError("the kernel takes all")


async def send_at_once(sio: Any, numbers: range) -> None:
    """Send them in one pass of the loop: the kernel takes nothing in between."""
    sends = [asyncio.ensure_future(sio.emit("chunk", (n, CHUNK))) for n in numbers]
    await asyncio.sleep(0)  # they are sent
    await asyncio.sleep(0)  # at the end of that pass of the loop
    for sending in sends:
        sending.cancel()


async def goes_on(awaitable: asyncio.Future[Any]) -> bool:
    await asyncio.wait([awaitable], timeout=0.05)
    return not awaitable.done()


async def test_drain_waits_until_what_was_sent_has_left(host: Any) -> None:
    """M24: sio.flushed() and socket.flushed() end when a client has read on."""
    sio = make()
    sockets: list[Any] = []
    sio.of("/").on("connection", sockets.append)
    async with await join(await host(sio)) as ws:
        stop_reading(ws)
        (socket,) = sockets
        sent = await fill(sio)
        assert socket.buffered_bytes > MARK
        drains = [
            asyncio.ensure_future(waiting)
            for waiting in (
                socket.flushed(),
                sio.flushed(socket.id),
                sio.eio.flushed(session_of(sio).id),
                socket.flushed(below=MARK),
            )
        ]
        await socket.flushed(below=1 << 30)
        assert await goes_on(drains[0])
        abandoned = asyncio.ensure_future(socket.flushed())
        assert await goes_on(abandoned)
        abandoned.cancel()
        await read_events(ws, sent)
        await within(asyncio.gather(*drains))
        assert socket.buffered_bytes <= 1
        await socket.flushed()


async def test_drain_of_a_client_that_goes(host: Any) -> None:
    """M24: whoever waits for a client that goes gets DisconnectedError."""
    sio = make()
    async with await join(await host(sio)) as ws:
        stop_reading(ws)
        (sid,) = sio._hub.namespace("/").peers
        await fill(sio)
        drain = asyncio.ensure_future(sio.flushed(sid))
        assert await goes_on(drain)
        session = session_of(sio)
        session.disconnect()
        with pytest.raises(socketio_fast.exceptions.DisconnectedError):
            await within(drain)
        with pytest.raises(socketio_fast.exceptions.DisconnectedError):
            await sio.flushed(sid)
        with pytest.raises(socketio_fast.exceptions.DisconnectedError):
            await sio.eio.flushed(session.id)


async def test_drain_by_polling(host: Any) -> None:
    """M24: by polling, what was sent has left when a request has fetched it."""
    sio = make()
    async with await Connection.open(await host(sio)) as connection:
        target = polling(await join_by_polling(connection), path=PATH)
        (sid,) = sio._hub.namespace("/").peers
        await sio.emit("news", 1)
        drain = asyncio.ensure_future(sio.flushed(sid))
        assert await goes_on(drain)
        (await connection.get(target)).ok('42["news",1]')
        await within(drain)


async def test_drain_and_an_upgrade(host: Any) -> None:
    """M24: what waits for a request leaves by the WebSocket of an upgrade."""
    sio = make()
    where = await host(sio)
    async with await Connection.open(where) as connection:
        eio_sid = await join_by_polling(connection)
        (sid,) = sio._hub.namespace("/").peers
        async with await WebSocket.upgrade(where, websocket(eio_sid, path=PATH)) as ws:
            await ws.send(text("2probe"))
            assert await ws.message() == "3probe"
            await sio.emit("news", 1)
            drain = asyncio.ensure_future(sio.flushed(sid))
            assert await goes_on(drain)
            await ws.send(text("5"))
            assert await ws.message() == '42["news",1]'
            await within(drain)


async def test_slow_is_told_once(host: Any) -> None:
    """E16: once above the mark, and again after less than half of it."""
    sio = make()
    told: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    @sio.eio.on("slow")
    async def slow(sid: str, size: int) -> None:
        told.put_nowait((sid, size))

    @sio.of("/").on("connection")
    def connection(socket: Any) -> None:
        socket.on("slow", lambda size: told.put_nowait((socket.id, size)))

    async with await join(await host(sio)) as ws:
        (sid,) = sio._hub.namespace("/").peers
        for time in range(1, 3):
            stop_reading(ws)
            # What the kernel may still take leaves far more than the mark.
            await send_at_once(sio, range(200))
            both = dict([await within(told.get()), await within(told.get())])
            assert both.keys() == {sid, session_of(sio).id}
            assert min(both.values()) > MARK
            await send_at_once(sio, range(200, 210))
            assert told.empty()
            assert sio.eio.counters["slow_consumers"] == time
            drain = asyncio.ensure_future(sio.flushed(sid))
            await read_events(ws, 210)
            await within(drain)


async def test_slow_by_polling(host: Any) -> None:
    """E16: a client that fetches nothing is slow, until it does."""
    sio = make()
    told: list[int] = []
    sio.eio.on("slow", lambda sid, size: told.append(size))
    async with await Connection.open(await host(sio)) as connection:
        target = polling(await join_by_polling(connection), path=PATH)
        for time in range(1, 3):
            for _ in range(4):
                await sio.emit("chunk", CHUNK)
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(told) == sio.eio.counters["slow_consumers"] == time
            (await connection.get(target)).ok()


async def test_a_listener_that_fails_or_sends(host: Any) -> None:
    """E16: what a listener does wrong is its own matter; it may send, and close."""
    sio = make()
    ended = asyncio.get_running_loop().create_future()
    sio.on("disconnect", lambda sid, reason: ended.set_result(reason))

    @sio.eio.on("slow")
    def fails(sid: str, size: int) -> None:
        raise RuntimeError("fails")

    @sio.eio.on("slow")
    async def fails_too(sid: str, size: int) -> None:
        raise RuntimeError("fails")

    @sio.eio.on("slow")
    def ends(sid: str, size: int) -> None:
        sio.eio.sockets[sid].send_message("x" * 2 * MARK)
        sio.eio.sockets[sid].disconnect()

    async with await join(await host(sio)) as ws:
        stop_reading(ws)
        for _ in range(1000):
            await sio.emit("chunk", CHUNK)
            await asyncio.sleep(0.001)
            if ended.done():
                break
        assert await within(ended) == "server disconnect"


async def test_block_waits_for_a_slow_client(host: Any) -> None:
    """E17, M24: emit() returns when the client is below the mark; nothing is lost."""
    sio = make(slow_consumer="block")
    sockets: list[Any] = []
    sio.of("/").on("connection", sockets.append)
    async with await join(await host(sio)) as ws:
        stop_reading(ws)
        sent = await fill(sio)
        (socket,) = sockets
        sends: list[asyncio.Future[Any]] = []
        for send in (
            lambda *args: sio.emit("chunk", args),
            lambda *args: sio.emit("chunk", args, to=socket.id),
            lambda *args: sio.of("/").emit("chunk", *args),
            lambda *args: sio.to(socket.id).emit("chunk", *args),
            lambda *args: sio.local.emit("chunk", *args),
            lambda *args: socket.emit("chunk", *args),
            lambda *args: socket.compress(False).emit("chunk", *args),
        ):
            sends.append(asyncio.ensure_future(send(sent + len(sends), CHUNK)))
            await asyncio.sleep(0)
        cancelled = sends[1]
        await asyncio.wait(sends, timeout=0.05)
        assert not any(send.done() for send in sends)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert cancelled.cancelled()
        del sends[1]
        await read_events(ws, sent + 7)
        assert await within(asyncio.gather(*sends))
        await sio.emit("chunk", (0, CHUNK))
        await read_events(ws, 1)


async def test_block_bounds_what_waits(host: Any) -> None:
    """E17: whoever awaits what it sends keeps the buffer small, and the client."""
    sio = socketio_fast.AsyncServer(
        high_water_mark=MARK, max_buffer_bytes=2 * MARK, slow_consumer="block"
    )
    ended: list[str] = []
    sio.on("disconnect", lambda sid, reason: ended.append(reason))
    async with await join(await host(sio)) as ws:
        stop_reading(ws)

        async def send_all() -> None:
            for number in range(150):
                await sio.emit("chunk", (number, CHUNK))

        sending = asyncio.ensure_future(send_all())
        await until(lambda: session_of(sio).buffered_bytes > MARK)
        await read_events(ws, 150)
        await within(sending)
        assert not ended


async def test_block_and_a_client_that_goes(host: Any) -> None:
    """E17: a broadcast waits for all slow clients, not for one that goes."""
    sio = make(slow_consumer="block")
    where = await host(sio)
    async with await join(where) as ws, await join(where) as other:
        stop_reading(ws)
        stop_reading(other)
        sessions = list(sio.eio.sockets.values())
        sent = 0
        while any(session.buffered_bytes < 2 * MARK for session in sessions):
            for sid in list(sio._hub.namespace("/").peers):
                sio._hub.namespace("/").rooms.emit(["chunk", sent, CHUNK], sid)
            sent += 1
            await asyncio.sleep(0.001)
        broadcast = asyncio.ensure_future(sio.emit("chunk", (sent, CHUNK)))
        assert await goes_on(broadcast)
        sessions[0].disconnect()
        assert await goes_on(broadcast)
        await read_events(other, sent + 1)
        await within(broadcast)


async def test_block_and_a_client_that_is_not_read(host: Any) -> None:
    """E17, E22: a client whose pongs are not read, as its handlers have too much to do,
    and that reads nothing itself, is gone after two pings; one that reads is not."""
    sio = make(
        slow_consumer="block", max_pending_events=1, ping_interval=0.2, ping_timeout=0.2
    )
    gone = asyncio.Event()
    gate = asyncio.Event()

    @sio.event
    async def wait(sid: str) -> None:
        await gate.wait()

    @sio.event
    def disconnect(sid: str, reason: str) -> None:
        assert reason == "ping timeout"
        gone.set()

    async with await join(await host(sio)) as ws:
        for _ in range(3):
            await ws.send(text('42["wait"]'))
        while not sio.eio.counters["paused_clients"]:
            await turns()
        for _ in range(6):  # more than a second: pings
            assert await ws.message() == "2"
        assert not gone.is_set()
        stop_reading(ws)
        sending = asyncio.ensure_future(fill_blocked(sio))
        await within(gone.wait())
        await within(sending)
        gate.set()


async def fill_blocked(sio: Any) -> None:
    """Send until the client has gone, waiting for it each time."""
    while sio.eio.sockets:
        await sio.emit("chunk", (0, CHUNK))


async def test_block_in_engineio() -> None:
    """E17: send() of an Engine.IO server waits too, in threads as well."""
    eio = socketio_fast.engineio.AsyncServer(
        high_water_mark=1000, slow_consumer="block"
    )
    async with (
        await socketio_fast.serve(eio, port=0) as running,
        await Connection.open(running) as connection,
    ):
        sid = await connection.open_session()
        await eio.send(sid, "x")
        send = asyncio.ensure_future(eio.send(sid, "x" * 2000))
        assert await goes_on(send)
        (await connection.get(polling(sid))).ok("4x\x1e4" + "x" * 2000)
        await within(send)


async def test_drop_volatile() -> None:
    """E17: above the mark, volatile messages are dropped and counted; no others."""
    sio = make(slow_consumer="drop_volatile")
    async with (
        await socketio_fast.serve(sio, port=0) as running,
        await join(running) as ws,
    ):
        # In one pass, before anything is given to the kernel.
        for number in range(3):
            await sio.emit("chunk", (number, CHUNK))
        await sio.volatile.emit("dropped", "x" * 1000)
        await sio.emit("chunk", (3, CHUNK))
        await read_events(ws, 4)
        counters = sio.eio.counters
        assert counters["dropped_volatile"] == counters["dropped_messages"] == 1
        assert 1000 < counters["dropped_bytes"] < 1100
        await sio.volatile.emit("sent")
        assert await ws.message() == '42["sent"]'
        assert counters["dropped_volatile"] == 1


def numbers_of(*messages: str | bytes) -> list[int]:
    """Of `chunk` and `asked` events, in whatever order they came."""
    found = re.findall(r'\["(?:chunk|asked)",(\d+)', " ".join(map(str, messages)))
    return [int(number) for number in found]


async def send_until_dropped(sio: Any, ask: Any, count: int = 10) -> int:
    """Send, every fifth event with an acknowledgement asked for; how many."""
    session = session_of(sio)
    for number in range(1000):
        if number % 5:
            await sio.emit("chunk", (number, CHUNK))
        else:
            await sio.emit("asked", (number, "x"), callback=ask)
        assert session.buffered_bytes < 4 * MARK
        await asyncio.sleep(0.001)
        if sio.eio.counters["dropped_messages"] >= count:
            return number + 1
    raise AssertionError("nothing is dropped")


async def test_drop_oldest(host: Any) -> None:
    """E17: a slow client loses what has waited longest, and nothing that is asked."""
    sio = make(slow_consumer="drop_oldest")
    async with await join(await host(sio)) as ws:
        stop_reading(ws)
        sent = await send_until_dropped(sio, print)
        await sio.emit("chunk", (sent, CHUNK))
        await turns()  # what is too much is left out at the end of the pass
        dropped = sio.eio.counters["dropped_messages"]
        assert dropped * len(CHUNK) <= sio.eio.counters["dropped_bytes"]
        ws.reader._limit = 1 << 24
        ws.reader._maybe_resume_transport()
        came = [numbers_of(await ws.message())[0] for _ in range(sent + 1 - dropped)]
        assert came == sorted(came)
        assert set(range(0, sent, 5)) <= set(came)
        assert came[-1] == sent
        # What had left before, and what came last, is there without a gap.
        lost = [number for number in range(sent) if number not in came]
        assert len(lost) == dropped
        assert all(number % 5 == 0 for number in came if lost[0] < number < lost[-1])
        await sio.emit("chunk", (7, "y"))
        assert await ws.message() == '42["chunk",7,"y"]'
        assert session_of(sio).buffered_bytes == 0


async def test_drop_oldest_of_binary_events(host: Any) -> None:
    """E17: an event with bytes in it comes whole, or not at all."""
    sio = make(slow_consumer="drop_oldest")
    async with await join(await host(sio)) as ws:
        stop_reading(ws)
        sent = 0
        while sio.eio.counters["dropped_messages"] < 3:
            blob = sent.to_bytes(2, "big") + b"x" * 100_000
            await sio.emit("blob", (sent, blob))
            sent += 1
            await asyncio.sleep(0.001)
        ws.reader._limit = 1 << 24
        ws.reader._maybe_resume_transport()
        for _ in range(sent - sio.eio.counters["dropped_messages"]):
            head = str(await ws.message())
            assert head.startswith('451-["blob",')
            blob = await ws.message()
            assert blob[:2] == int(head.split(",")[1]).to_bytes(2, "big")
            assert len(blob) == 100_002


async def test_drop_oldest_leaves_alone_who_reads(host: Any) -> None:
    """E17: what is sent at once and read at once is not lost, and in order."""
    sio = make(slow_consumer="drop_oldest")
    async with await join(await host(sio)) as ws:
        for number in range(4):
            await sio.emit("chunk", (number, CHUNK))
        await read_events(ws, 4)
        assert sio.eio.counters["dropped_messages"] == 0


async def test_drop_oldest_and_the_end(host: Any) -> None:
    """E17: what is not dropped comes before a disconnect by the server."""
    sio = make(slow_consumer="drop_oldest")
    async with await join(await host(sio)) as ws:
        stop_reading(ws)
        sent = await send_until_dropped(sio, print)
        dropped = sio.eio.counters["dropped_messages"]
        (sid,) = sio._hub.namespace("/").peers
        await sio.disconnect(sid)
        ws.reader._limit = 1 << 24
        ws.reader._maybe_resume_transport()
        came = [numbers_of(await ws.message())[0] for _ in range(sent - dropped)]
        assert came[-1] == sent - 1
        assert await ws.message() == "41"


async def test_drop_oldest_by_polling_and_across_an_upgrade() -> None:
    """E17: the same for what no request fetches, on whichever transport it leaves."""
    sio = make(slow_consumer="drop_oldest")
    async with (
        await socketio_fast.serve(sio, port=0) as running,
        await Connection.open(running) as connection,
    ):
        sid = await join_by_polling(connection)
        sent = await send_until_dropped(sio, print)
        dropped = sio.eio.counters["dropped_messages"]
        payload = (await connection.get(polling(sid, path=PATH))).text
        came = numbers_of(*payload.split("\x1e"))
        async with await WebSocket.upgrade(running, websocket(sid, path=PATH)) as ws:
            await ws.send(text("2probe"))
            assert await ws.message() == "3probe"
            await ws.send(text("5"))
            while len(came) < sent - dropped:
                came += numbers_of(await ws.message())
            assert came == sorted(came)
            assert came[-1] == sent - 1
            assert set(range(0, sent, 5)) <= set(came)


async def test_what_may_not_be_dropped_is_bounded() -> None:
    """E17: a client that reads nothing it is asked is closed at max_buffer_bytes."""
    sio = socketio_fast.AsyncServer(
        high_water_mark=1000, max_buffer_bytes=5000, slow_consumer="drop_oldest"
    )
    reasons: list[str] = []
    closed = asyncio.Event()
    sio.on("connect", lambda sid, environ: None)

    @sio.event
    def disconnect(sid: str, reason: str) -> None:
        reasons.append(reason)
        closed.set()

    async with (
        await socketio_fast.serve(sio, port=0) as running,
        await Connection.open(running) as connection,
    ):
        await join_by_polling(connection)
        for number in range(100):
            await sio.emit("asked", (number, "x" * 100), callback=print)
        await within(closed.wait())
        assert reasons == ["transport error"]


def test_in_threads() -> None:
    """E17, M24: Server has the options and drain(), and waits as well."""
    sio = socketio_fast.Server(slow_consumer="block", high_water_mark=1000)
    try:
        sio.emit("news", 1)
        sio.eio.send("nobody", "x")
        with pytest.raises(socketio_fast.exceptions.DisconnectedError):
            sio.flushed("nobody")
        with pytest.raises(socketio_fast.exceptions.DisconnectedError):
            sio.eio.flushed("nobody")
    finally:
        sio.shutdown()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("high_water_mark", 0),
        ("high_water_mark", "1"),
        ("slow_consumer", "drop"),
        ("slow_consumer", None),
    ],
)
def test_options_are_checked(name: str, value: Any) -> None:
    """E17: an error names the option and the value."""
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        socketio_fast.AsyncServer(**{name: value})


async def test_what_a_listener_of_slow_raises_is_nobody_elses_matter(host: Any) -> None:
    """`.result()` of a cancelled future raises what is no Exception."""
    sio = make()
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    told: list[int] = []

    def slow(sid: str, size: int) -> None:
        told.append(size)
        future.result()

    sio.eio.on("slow", slow)
    where = await host(sio)
    reading, other = await join(where), await join(where)
    stop_reading(other)
    for number in range(1000):
        await sio.emit("chunk", (number, CHUNK))
        assert await within(reading.message()) == f'42["chunk",{number},"{CHUNK}"]'
        if told:
            break
    for number in range(3):
        await sio.emit("after", number)
        assert await within(reading.message()) == f'42["after",{number}]'
    assert len(told) == 1
    await reading.close()
    await other.close()


async def test_what_a_listener_of_close_raises_is_nobody_elses_matter(
    host: Any,
) -> None:
    """Pings and timeouts of the others go on."""
    sio = make(ping_interval=0.2, ping_timeout=0.2)
    closed, all_gone = asyncio.Event(), asyncio.Event()
    left: list[str] = []

    @sio.event
    def disconnect(sid: str) -> None:
        left.append(sid)
        if len(left) == 2:
            all_gone.set()

    @sio.of("/").on("connection")
    def connection(socket: Any) -> None:
        def close(reason: str) -> None:
            closed.set()
            raise asyncio.CancelledError

        if len(sio.eio.sockets) == 1:
            socket.conn.on("close", close)

    where = await host(sio)
    silent = await join(where)
    other = await join(where)
    for _ in range(8):
        assert await within(other.message()) == "2"
        await other.send(text("3"))
    assert closed.is_set()
    assert len(sio.eio.sockets) == 1
    await within(all_gone.wait())
    await silent.close()
    await other.close()
