"""What one client may cost: buffers of those who do not read, connections that
join nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from support.raw import Client, frame, polling, within

import socketio_fast
from integration.conftest import Start

Serve = Callable[..., Awaitable[Any]]

CHUNK = b"x" * 65536
MANY = 1024  # times CHUNK: more than any socket buffers
LIMIT = 1 << 20


@pytest.fixture
def logger(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    """A logger to give to the server; caplog has what it says."""
    logger = logging.getLogger("test.limits")
    logger.setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "socketio_fast")
    return logger


@pytest.fixture
async def clients() -> Any:
    made: list[Client] = []

    def make(server: Any) -> Client:
        made.append(Client(server))
        return made[-1]

    yield make
    for client in made:
        await client.close()


# --- readers that do not read ---------------------------------------------------


def said_why(caplog: pytest.LogCaptureFixture, sid: str) -> Iterator[str]:
    for record in caplog.records:
        message = record.getMessage()
        if sid in message and record.levelno >= logging.WARNING:
            yield message


async def test_a_slow_websocket_is_closed_and_others_do_not_notice(
    start: Start, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    echo, client = await start(max_buffer_bytes=LIMIT, logger=logger)
    slow = await client.session()
    await echo.until(lambda: len(echo.sids) == 1)
    (sid,) = echo.sids
    slow.reader._limit = 1  # the stream stops reading from its socket
    await asyncio.sleep(0)
    other = await client.session()
    polled = await client.connect()
    polled_sid = await polled.open_session()
    sent = 0
    while not echo.ended and sent < MANY:
        await echo.app.send(sid, CHUNK)
        sent += 1
        if sent % 16 == 0:
            await other.echoes(f"{sent}")
            await asyncio.sleep(0)
    await echo.disconnected(sid)
    assert sent * len(CHUNK) > LIMIT
    assert len(list(said_why(caplog, sid))) == 1
    await other.echoes("still here")
    (await polled.post(polling(polled_sid), "4so am I")).ok("ok")
    (await polled.get(polling(polled_sid))).ok("4so am I")


async def test_a_client_that_does_not_poll_is_closed(
    start: Start, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    echo, client = await start(max_buffer_bytes=LIMIT, logger=logger)
    connection = await client.connect()
    sid = await connection.open_session()
    for _ in range(LIMIT * 3 // 4 // len(CHUNK)):
        await echo.app.send(sid, "x" * len(CHUNK))
    await asyncio.sleep(0)
    assert echo.ended == []
    for _ in range(LIMIT * 2 // 4 // len(CHUNK)):
        await echo.app.send(sid, "x" * len(CHUNK))
    await echo.disconnected(sid)
    assert len(list(said_why(caplog, sid))) == 1
    (await connection.get(polling(sid))).error(1)


async def test_a_client_that_polls_and_does_not_read_is_closed(
    start: Start, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    echo, client = await start(max_buffer_bytes=LIMIT, logger=logger)
    other = await client.session()
    connection = await client.connect()
    sid = await connection.open_session()
    connection.reader._limit = 1  # the stream stops reading from its socket
    poll = f"GET {polling(sid)} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    for sent in range(MANY // 4):
        connection.writer.write(poll)
        for _ in range(4):
            await echo.app.send(sid, "x" * len(CHUNK))
        await other.echoes(f"{sent}")
        if any(ended == sid for ended, _ in echo.ended):
            break
    assert await echo.disconnected(sid) == "transport error"
    assert any("wait to be read, closed" in line for line in caplog.messages)
    await other.echoes("still here")


async def test_of_many_pings_that_wait_the_last_is_answered(start: Start) -> None:
    echo, client = await start()
    slow = await client.session()
    await echo.until(lambda: len(echo.sids) == 1)
    other = await client.session()
    slow.reader._limit = 1  # the stream stops reading from its socket
    (sid, *_) = echo.sids
    for sent in range(MANY // 8):
        await echo.app.send(sid, CHUNK)
        await other.echoes(f"{sent}")
    for i in range(1000):
        slow.writer.write(frame(9, b"%d" % i))
    await slow.writer.drain()
    await other.echoes("all pings are there")
    slow.reader._limit = 1 << 24
    slow.reader._maybe_resume_transport()
    pongs = []
    while not pongs or pongs[-1] != b"999":
        got = await slow.frame()
        if got.opcode == 10:
            pongs.append(got.payload)
    assert len(pongs) < 1000


async def test_below_the_limit_everything_arrives(start: Start) -> None:
    echo, client = await start(max_buffer_bytes=LIMIT)
    connection = await client.connect()
    sid = await connection.open_session()
    for i in range(15):
        await echo.app.send(sid, str(i) + "x" * 60_000)
    response = (await connection.get(polling(sid))).ok()
    packets = response.text.split("\x1e")
    assert packets == [f"4{i}" + "x" * 60_000 for i in range(15)]
    assert echo.ended == []


async def test_a_reader_that_keeps_up_may_get_any_amount(start: Start) -> None:
    echo, client = await start(max_buffer_bytes=LIMIT)
    ws = await client.session()
    await echo.until(lambda: len(echo.sids) == 1)
    for _ in range(100):
        await echo.app.send(echo.sids[0], CHUNK)
        assert await ws.message() == CHUNK
    assert echo.ended == []


async def test_the_default_limit_is_16_mib(start: Start) -> None:
    echo, client = await start()
    connection = await client.connect()
    sid = await connection.open_session()
    for _ in range(15):
        await echo.app.send(sid, "x" * (1 << 20))
    await asyncio.sleep(0)
    assert echo.ended == []
    await echo.app.send(sid, "x" * (1 << 20))
    await echo.app.send(sid, "x" * (1 << 20))
    await echo.disconnected(sid)


async def test_sending_to_one_who_was_closed_is_no_error(start: Start) -> None:
    echo, client = await start(max_buffer_bytes=1000)
    connection = await client.connect()
    sid = await connection.open_session()
    await echo.app.send(sid, "x" * 2000)
    await echo.disconnected(sid)
    await echo.app.send(sid, "x")
    await (await client.session()).echoes("next")


async def test_a_broadcast_closes_only_the_slow(serve: Serve, clients: Any) -> None:
    sio = socketio_fast.AsyncServer(max_buffer_bytes=LIMIT)
    gone: asyncio.Queue[str] = asyncio.Queue()
    joined: list[str] = []

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        joined.append(sid)

    @sio.event
    async def disconnect(sid: str, reason: str) -> None:
        gone.put_nowait(sid)

    client = clients(await serve(sio))
    slow = await client.connect()
    slow_sid = await slow.open_session(path="/socket.io/")
    (await slow.post(polling(slow_sid, path="/socket.io/"), "40")).ok("ok")
    fast = await client.session(path="/socket.io/")
    await fast.text("40")
    assert str(await fast.message()).startswith("40")
    sent = 0
    while gone.empty() and sent < MANY:
        await sio.emit("news", "x" * 60_000)
        assert len(await fast.message()) > 60_000
        sent += 1
    assert await within(gone.get()) == joined[0]
    assert gone.empty()
    await sio.emit("news", "last")
    assert await fast.message() == '42["news","last"]'


# --- connections that join no namespace -----------------------------------------

CONNECT = 0.25


async def connecting(serve: Serve, clients: Any, **options: Any) -> Client:
    sio = socketio_fast.AsyncServer(connect_timeout=CONNECT, **options)

    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> bool | None:
        return False if auth else None

    client: Client = clients(await serve(sio))
    return client


async def test_a_websocket_that_joins_nothing_is_closed(
    serve: Serve, clients: Any
) -> None:
    client = await connecting(serve, clients)
    started = asyncio.get_running_loop().time()
    ws = await client.session(path="/socket.io/")
    await ws.ends()
    passed = asyncio.get_running_loop().time() - started
    assert CONNECT - 0.02 < passed < CONNECT + 1


async def test_a_polling_session_that_joins_nothing_is_closed(
    serve: Serve, clients: Any
) -> None:
    client = await connecting(serve, clients)
    connection = await client.connect()
    sid = await connection.open_session(path="/socket.io/")
    target = polling(sid, path="/socket.io/")
    (await connection.get(target)).ok("1")
    (await connection.get(target)).error(1)


async def test_one_who_joined_stays(serve: Serve, clients: Any) -> None:
    client = await connecting(serve, clients)
    ws = await client.session(path="/socket.io/")
    await ws.text("40")
    assert str(await ws.message()).startswith("40")
    await ws.silent(CONNECT * 2)


async def test_one_who_joined_and_left_stays(serve: Serve, clients: Any) -> None:
    client = await connecting(serve, clients)
    ws = await client.session(path="/socket.io/")
    await ws.text("40")
    assert str(await ws.message()).startswith("40")
    await ws.text("41")
    await ws.silent(CONNECT * 2)


@pytest.mark.parametrize("packet", ['40{"token":"bad"}', "40/unknown,"])
async def test_one_who_was_refused_is_closed(
    serve: Serve, clients: Any, packet: str
) -> None:
    client = await connecting(serve, clients)
    ws = await client.session(path="/socket.io/")
    await ws.text(packet)
    assert str(await ws.message()).startswith("44")
    await ws.ends()
