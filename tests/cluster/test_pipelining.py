"""Requests for a session of another worker, behind others that have no response yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from integration.conftest import Echo
from support.raw import (
    Client,
    Connection,
    WebSocket,
    chunked,
    polling,
    request,
    text,
    upgrade_request,
    websocket,
)
from support.waiting import until

from socketio_fast.cluster import elsewhere, handover, links, relayed

Pair = tuple[Echo, Client]
StartPair = Callable[..., Awaitable[tuple[Pair, Pair]]]


@pytest.fixture
async def pair(
    serve: Callable[..., Awaitable[Any]], directory: Path
) -> AsyncIterator[StartPair]:
    """``(a, at_a), (b, at_b) = await pair()``: two workers and clients of them."""
    clients: list[Client] = []

    async def start(**options: Any) -> tuple[Pair, Pair]:
        async def one() -> Pair:
            echo = Echo(cluster=f"unix:{directory}", **options)
            clients.append(Client(await serve(echo.app)))
            return echo, clients[-1]

        return await one(), await one()

    yield start
    for client in clients:
        await client.close()


async def session_of(client: Client) -> str:
    """The id of a new session."""
    connection = await client.connect()
    sid = await connection.open_session()
    await connection.close()
    return sid


async def waiting_behind(client: Client, sid: str) -> Connection:
    """A connection with a poll that waits."""
    connection = await client.connect()
    await connection.park(polling(sid))
    return connection


def counted(echo: Echo, name: str) -> int:
    return echo.app.engine.counters[name]


async def test_a_post_does_not_wait_for_the_poll_before(pair: StartPair) -> None:
    (a, at_a), (b, at_b) = await pair()
    here, there = await session_of(at_a), await session_of(at_b)
    connection = await waiting_behind(at_a, here)
    await connection.send(request("POST", polling(there), "4behind"))
    await b.received("behind")
    await a.app.send(here, "released")
    (await connection.response()).ok("4released")
    response = (await connection.response()).ok("ok")
    assert response.header("content-type") == "text/html"
    assert response.header("cache-control") == "no-store"
    assert counted(a, elsewhere.RELAYED) == counted(b, relayed.TAKEN) == 1
    # The connection is there for the next one, which moves it.
    (await connection.get(polling(there))).ok("4behind")
    assert counted(a, handover.GIVEN) == 1


@pytest.mark.parametrize("seed", range(3))
async def test_many_are_answered_in_order(pair: StartPair, seed: int) -> None:
    """Also where the parser cannot be stopped behind a body, and in small pieces."""
    (a, at_a), (b, at_b) = await pair()
    here, there = await session_of(at_a), await session_of(at_b)
    connection = await waiting_behind(at_a, here)
    expected = []
    data = b""
    for number in range(6):
        if number % 2:
            data += request("POST", polling(there), f"4{number}")
        else:
            data += chunked(polling(there), [b"4", b"%d" % number])
        expected.append("ok")
    data += request("GET", polling(there))
    size = [len(data), 50, 7][seed]
    for at in range(0, len(data), size):
        await connection.send(data[at : at + size])
        await asyncio.sleep(0)
    await b.received(*map(str, range(6)))
    await a.app.send(here, "released")
    (await connection.response()).ok("4released")
    for body in expected:
        (await connection.response()).ok(body)
    got = (await connection.response()).ok().text.split("\x1e")
    while len(got) < 6:
        got += (await connection.get(polling(there))).ok().text.split("\x1e")
    assert got == [f"4{number}" for number in range(6)]
    assert b.ended == []


async def test_a_request_in_one_piece_with_the_body_before(pair: StartPair) -> None:
    (_, at_a), (b, at_b) = await pair()
    here, there = await session_of(at_a), await session_of(at_b)
    connection = await at_a.connect()
    await connection.send(
        chunked(polling(here), [b"4here"])
        + request("POST", polling(there), "4there")
        + request("GET", polling(here))
    )
    (await connection.response()).ok("ok")
    (await connection.response()).ok("ok")
    (await connection.response()).ok("4here")
    await b.received("there")


async def test_an_upgrade_in_one_piece_with_the_body_before(pair: StartPair) -> None:
    (_, at_a), (b, at_b) = await pair()
    here, there = await session_of(at_a), await session_of(at_b)
    connection = await at_a.connect()
    await connection.send(
        chunked(polling(here), [b"4here"])
        + upgrade_request(websocket(there))
        + text("2probe")
    )
    (await connection.response()).ok("ok")
    ws = WebSocket(connection.reader, connection.writer)
    await ws.accepted()
    assert await ws.message() == "3probe"
    await ws.text("5")
    await ws.echoes("over there")
    assert b.app.transport(there) == "websocket"


async def test_a_large_response_is_relayed(pair: StartPair) -> None:
    (a, at_a), (b, at_b) = await pair()
    here, there = await session_of(at_a), await session_of(at_b)
    connection = await waiting_behind(at_a, here)
    large = "x" * 900_000
    await b.app.send(there, large)
    await connection.send(request("GET", polling(there)))
    await until(lambda: counted(b, relayed.TAKEN) == 1)
    await a.app.send(here, "released")
    (await connection.response()).ok("4released")
    (await connection.response()).ok("4" + large)


async def test_a_client_that_goes_ends_both_sessions(pair: StartPair) -> None:
    (a, at_a), (b, at_b) = await pair()
    here, there = await session_of(at_a), await session_of(at_b)
    connection = await waiting_behind(at_a, here)
    await connection.send(request("GET", polling(there)))
    await until(lambda: counted(b, relayed.TAKEN) == 1)
    await connection.close()
    assert await a.disconnected(here) == "transport error"
    assert await b.disconnected(there) == "transport error"


async def test_a_body_that_is_too_large_is_refused(pair: StartPair) -> None:
    (a, at_a), (b, at_b) = await pair(max_http_buffer_size=1000)
    here, there = await session_of(at_a), await session_of(at_b)
    connection = await waiting_behind(at_a, here)
    await connection.send(chunked(polling(there), [b"4" + 999 * b"x", b"x"]))
    assert await b.disconnected(there) == "transport error"
    await a.app.send(here, "released")
    (await connection.response()).ok("4released")
    (await connection.response()).refused(413)
    await connection.eof(reset=True)


async def test_a_worker_that_ends_meanwhile(pair: StartPair) -> None:
    (a, at_a), (b, at_b) = await pair()
    here, there = await session_of(at_a), await session_of(at_b)
    connection = await waiting_behind(at_a, here)
    await connection.send(request("GET", polling(there)))
    await until(lambda: counted(b, relayed.TAKEN) == 1)
    await b.app.unbind()
    await a.app.send(here, "released")
    (await connection.response()).ok("4released")
    (await connection.response()).error(1)


async def test_a_worker_to_which_too_much_waits(
    pair: StartPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    (a, at_a), (_, at_b) = await pair()
    here, there = await session_of(at_a), await session_of(at_b)
    connection = await waiting_behind(at_a, here)
    monkeypatch.setattr(links, "MAX_CONNECTIONS", 0)
    await connection.send(request("POST", polling(there), "4x"))
    await until(lambda: counted(a, elsewhere.REFUSED) == 1)
    await a.app.send(here, "released")
    (await connection.response()).ok("4released")
    assert (await connection.response()).status == 503
