"""WebTransport: sessions by HTTP/3, against a client of aioquic's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import Echo
from integration.webtransport import Client, certificate, connected

ALL = ["polling", "websocket", "webtransport"]
Start = Callable[..., Awaitable[tuple[Echo, Client]]]


@pytest.fixture
async def start(serve: Any, tmp_path: Path) -> AsyncIterator[Start]:
    """``echo, client = await start(**options of the server)``."""
    file, _ = certificate(tmp_path)
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> tuple[Echo, Client]:
            echo = Echo(**{"transports": ALL, **options})
            server = await serve(echo.app, ssl_certfile=file, webtransport=True)
            return echo, await stack.enter_async_context(connected(server))

        yield start


async def test_an_echo(start: Start) -> None:
    """T4: a session of its own, text and binary."""
    echo, client = await start()
    session = await client.open()
    assert session.handshake["upgrades"] == []
    assert session.handshake["sid"] == echo.sids[0]
    for message in ("hello", "é" * 100, b"\x00\x01", b"", "x" * 70_000, b"y" * 900_000):
        await session.echoes(message)
    assert echo.app.transport(echo.sids[0]) == "webtransport"
    session.close()
    assert await echo.disconnected(echo.sids[0]) == "transport close"
