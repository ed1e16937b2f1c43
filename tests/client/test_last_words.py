"""What is emitted just before ``disconnect()`` arrives however slowly the server takes
it, and what it does not take is told."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.tcp_proxy import TO_SERVER, TcpProxy
from support.waiting import WAIT, until, within
from support.webtransport import certificate

import socketio_fast as socketio
from socketio_fast.clients import link

#: Seconds in which the server must take something, in place of 3.
LIMIT = 1.0
#: Bytes that a server which reads slowly takes in a second, and all that it is sent.
RATE, SIZE = 600_000, 1_600_000
PIECE = 25_000
#: How often a server which handles events slowly takes one (seconds).
STEP = SIZE / RATE / (SIZE / PIECE)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "CLOSE_TIMEOUT", LIMIT)


class Side:
    """A server that notes what it gets, and a client that disconnects."""

    def __init__(self, client: socketio.AsyncClient, got: list[int]) -> None:
        self.client = client
        self.got = got
        self.gone = asyncio.Event()

    def read_slowly(self) -> None:
        raise NotImplementedError

    def stop_reading(self) -> None:
        raise NotImplementedError

    async def emit(self, count: int = SIZE // PIECE) -> None:
        for n in range(count):
            await self.client.emit("item", (n, b"x" * (SIZE // count)))


class ByTcp(Side):
    """Through a proxy that reads."""

    proxy: TcpProxy

    def read_slowly(self) -> None:
        self.proxy.throttle(RATE, TO_SERVER)

    def stop_reading(self) -> None:
        self.proxy.hold()


class ByQuic(Side):
    """A server whose handlers are slow gives the client no more credit."""

    turns: asyncio.Semaphore
    ticking: asyncio.Task[None]

    def read_slowly(self) -> None:
        async def tick() -> None:
            while True:
                await asyncio.sleep(STEP)
                self.turns.release()

        self.ticking = asyncio.ensure_future(tick())

    def stop_reading(self) -> None:
        """Its handlers have no turn."""


@pytest.fixture(params=["polling", "polling by requests", "websocket", "webtransport"])
async def side(
    request: pytest.FixtureRequest, serve: Any, tmp_path: Path
) -> AsyncIterator[Side]:
    transport, _, by = request.param.partition(" by ")
    quic = transport == "webtransport"
    file, digest = certificate(tmp_path)
    sio = socketio.AsyncServer(
        transports=["polling", "websocket", "webtransport"],
        max_http_buffer_size=2 * SIZE,
        **({"max_pending_events": 1} if quic else {}),
    )
    options = {"ssl_certfile": file, "webtransport": True} if quic else {}
    server = await serve(sio, **options)
    client = socketio.AsyncClient(
        reconnection=False,
        high_water_mark=2 * SIZE,
        ssl_verify=False,
        webtransport_options={"server_certificate_hashes": [digest]},
        request_timeout=WAIT,
        **({"http_session": requests.Session} if by else {}),
    )
    made: Any = (ByQuic if quic else ByTcp)(client, [])
    turns = made.turns = asyncio.Semaphore(0)

    @sio.event
    async def item(sid: str, n: int, data: bytes) -> None:
        if quic:
            await turns.acquire()
        made.got.append(n)

    @sio.event
    def disconnect(sid: str, reason: str) -> None:
        made.gone.set()

    async with TcpProxy(server.port, room=16_384) as proxy:
        made.proxy = proxy
        url = f"https://127.0.0.1:{server.port}" if quic else proxy.url
        await within(client.connect(url, transports=[transport], wait_timeout=WAIT))
        yield made
        await within(client.disconnect())
        if quic:
            if hasattr(made, "ticking"):
                made.ticking.cancel()
            for _ in range(SIZE // PIECE):
                turns.release()


async def test_a_server_that_reads_slowly_gets_all(
    side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    side.read_slowly()
    began = asyncio.get_running_loop().time()
    await side.emit()
    await within(side.client.disconnect(), "disconnect()")
    assert asyncio.get_running_loop().time() - began > 2 * LIMIT
    await until(lambda: len(side.got) == SIZE // PIECE)
    assert side.got == list(range(SIZE // PIECE))
    await within(side.gone.wait(), "the server's disconnect")
    assert "may not have got" not in caplog.text


@pytest.mark.parametrize("side", ["polling", "websocket"], indirect=True)
async def test_a_server_that_takes_one_message_slowly_gets_it(side: Side) -> None:
    """One POST, or one frame, is under way all the time."""
    side.read_slowly()
    await side.emit(1)
    await within(side.client.disconnect(), "disconnect()")
    await within(side.gone.wait(), "the server's disconnect")
    assert side.got == [0]


async def test_a_server_that_stops_reading_is_left_and_that_is_told(
    side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    side.stop_reading()
    await side.emit()
    await within(side.client.disconnect(), "disconnect()", seconds=10 * LIMIT)
    (told,) = [one for one in caplog.records if "may not have got" in one.message]
    assert told.levelno == logging.WARNING
    assert f"it has taken nothing for {LIMIT:g} s" in told.message
    found = re.search(r"got (\d+) bytes", told.message)
    assert found is not None
    assert SIZE / 10 < int(found[1]) < 2 * SIZE


async def test_who_gives_disconnect_up_is_told_too(
    side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    side.stop_reading()
    await side.emit()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(side.client.disconnect(), LIMIT / 4)
    assert caplog.text.count("may not have got") == 1
    assert "it was aborted" in caplog.text
    assert side.client.eio.state == "disconnected"
