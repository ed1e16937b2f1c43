"""The server pings, the client answers, or the session ends."""

from __future__ import annotations

import asyncio

import pytest
from support.raw import polling, websocket

from integration.conftest import Start

# Loads of the machine may delay a ping, nothing may hurry it.
INTERVAL = 0.2
TIMEOUT = 0.15
EARLY = 0.02
LATE = 1.0

pytestmark = pytest.mark.prompt


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("interval", "timeout", "expected"),
    [
        (25, 20, (25000, 20000)),
        (0.25, 0.125, (250, 125)),
        (1.5, 2.5, (1500, 2500)),
        (0.3, 0.2, (300, 200)),
        (1.1, 0.7, (1100, 700)),
        (3600.0, 60.0, (3600000, 60000)),
    ],
)
async def test_times_are_advertised_in_milliseconds(
    start: Start, interval: float, timeout: float, expected: tuple[int, int]
) -> None:
    _, client = await start(ping_interval=interval, ping_timeout=timeout)
    connection = await client.connect()
    text = (await connection.get(polling())).ok().text
    assert f'"pingInterval":{expected[0]},"pingTimeout":{expected[1]},' in text
    ws = await client.websocket()
    opened = await ws.open_packet()
    assert (opened["pingInterval"], opened["pingTimeout"]) == expected


async def test_pings_by_websocket(start: Start) -> None:
    _, client = await start(ping_interval=INTERVAL, ping_timeout=TIMEOUT)
    ws = await client.session()
    for _ in range(4):
        started = now()
        assert await ws.message() == "2"
        assert INTERVAL - EARLY < now() - started < INTERVAL + LATE
        await ws.text("3")
    await ws.echoes("still here")


async def test_pings_by_polling(start: Start) -> None:
    _, client = await start(ping_interval=INTERVAL, ping_timeout=TIMEOUT)
    connection = await client.connect()
    sid = await connection.open_session()
    for _ in range(4):
        started = now()
        (await connection.get(polling(sid))).ok("2")
        assert INTERVAL - EARLY < now() - started < INTERVAL + LATE
        (await connection.post(polling(sid), "3")).ok("ok")
    (await connection.post(polling(sid), "4still here")).ok("ok")
    (await connection.get(polling(sid))).ok("4still here")


async def test_the_next_ping_is_counted_from_the_pong(start: Start) -> None:
    """E1: the next ping is counted from the pong."""
    _, client = await start(ping_interval=INTERVAL, ping_timeout=0.5)
    ws = await client.session()
    assert await ws.message() == "2"
    await asyncio.sleep(0.15)
    await ws.text("3")
    started = now()
    assert await ws.message() == "2"
    assert now() - started > INTERVAL - EARLY


async def test_without_a_pong_a_websocket_is_closed(start: Start) -> None:
    """E2, E22: without a pong a websocket is closed."""
    echo, client = await start(ping_interval=INTERVAL, ping_timeout=TIMEOUT)
    started = now()
    ws = await client.session()
    assert await ws.message() == "2"
    await ws.ends()
    assert now() - started > INTERVAL + TIMEOUT - EARLY
    await echo.until(lambda: len(echo.ended) == 1)
    assert echo.ended == [(echo.sids[0], "ping timeout")]


async def test_messages_are_no_pong(start: Start) -> None:
    echo, client = await start(ping_interval=INTERVAL, ping_timeout=TIMEOUT)
    ws = await client.session()
    assert await ws.message() == "2"
    await ws.echoes("alive, but silent to pings")
    await ws.ends()
    await echo.until(lambda: len(echo.ended) == 1)
    assert echo.ended[0][1] == "ping timeout"


async def test_without_a_pong_a_polling_session_is_closed(start: Start) -> None:
    echo, client = await start(ping_interval=INTERVAL, ping_timeout=TIMEOUT)
    connection = await client.connect()
    sid = await connection.open_session()
    (await connection.get(polling(sid))).ok("2")
    (await connection.get(polling(sid))).ok("1")
    assert await echo.disconnected(sid) == "ping timeout"
    (await connection.get(polling(sid))).error(1)


async def test_a_client_that_never_polls_is_closed(start: Start) -> None:
    echo, client = await start(ping_interval=INTERVAL, ping_timeout=TIMEOUT)
    connection = await client.connect()
    sid = await connection.open_session()
    assert await echo.disconnected(sid) == "ping timeout"
    (await connection.get(polling(sid))).error(1)


async def test_pings_go_on_across_the_upgrade(start: Start) -> None:
    echo, client = await start(ping_interval=INTERVAL, ping_timeout=TIMEOUT)
    connection = await client.connect()
    sid = await connection.open_session()
    ws = await client.websocket(websocket(sid))
    await ws.text("2probe")
    assert await ws.message() == "3probe"
    await ws.text("5")
    for _ in range(3):
        assert await ws.message() == "2"
        await ws.text("3")
    assert await ws.message() == "2"
    await ws.ends()
    assert await echo.disconnected(sid) == "ping timeout"


async def test_a_pong_for_a_ping_by_polling_may_come_by_websocket(
    start: Start,
) -> None:
    echo, client = await start(ping_interval=INTERVAL, ping_timeout=0.5)
    connection = await client.connect()
    sid = await connection.open_session()
    (await connection.get(polling(sid))).ok("2")
    ws = await client.websocket(websocket(sid))
    await ws.text("2probe")
    assert await ws.message() == "3probe"
    await ws.text("5")
    await ws.text("3")
    for _ in range(2):
        assert await ws.message() == "2"
        await ws.text("3")
    assert echo.ended == []


async def test_a_ping_from_a_websocket_client_closes_the_session(start: Start) -> None:
    """In revision 4 it is the server who pings."""
    echo, client = await start()
    ws = await client.session()
    await ws.text("2")
    await ws.ends()
    await echo.until(lambda: len(echo.ended) == 1)
    assert echo.got == []


async def test_a_ping_from_a_polling_client_closes_the_session(start: Start) -> None:
    echo, client = await start()
    connection = await client.connect()
    sid = await connection.open_session()
    (await connection.post(polling(sid), "2")).refused(400)
    await echo.disconnected(sid)
    (await connection.get(polling(sid))).error(1)


async def test_every_session_has_its_own_deadlines(start: Start) -> None:
    echo, client = await start(ping_interval=INTERVAL, ping_timeout=TIMEOUT)
    silent, lively = await client.session(), await client.session()

    async def answer() -> None:
        while True:
            assert await lively.message() == "2"
            await lively.text("3")

    answering = asyncio.ensure_future(answer())
    try:
        assert await silent.message() == "2"
        await silent.ends()
        await asyncio.sleep(INTERVAL + TIMEOUT)
        assert not answering.done()
        assert [sid for sid, _ in echo.ended] == [echo.sids[0]]
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


async def test_many_sessions_are_pinged_together(start: Start) -> None:
    _, client = await start(ping_interval=INTERVAL, ping_timeout=5)
    sessions = [await client.session() for _ in range(50)]
    assert [await ws.message() for ws in sessions] == ["2"] * 50
