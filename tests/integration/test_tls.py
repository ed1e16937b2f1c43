"""Over TLS: the event loop's transport writes, and says when it cannot."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trustme

from integration.conftest import Echo
from integration.raw import (
    Connection,
    WebSocket,
    polling,
    upgrade_request,
    websocket,
    within,
)

CLIENTS = 30


class Secure:
    """An echo server with TLS; opens connections to it."""

    def __init__(self, server: Any, context: ssl.SSLContext) -> None:
        self.server = server
        self.context = context
        self.opened: list[Connection] = []

    async def connect(self, kind: type[Connection] = Connection) -> Any:
        streams = await within(
            asyncio.open_connection(
                self.server.host, self.server.port, ssl=self.context,
                server_hostname="localhost", limit=1 << 22,
            )
        )  # fmt: skip
        self.opened.append(kind(*streams))
        return self.opened[-1]


@pytest.fixture
async def secure(serve: Callable[..., Awaitable[Any]]) -> AsyncIterator[Secure]:
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_context)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    secure = Secure(await serve(Echo().app, ssl=server_context), context)
    yield secure
    for connection in secure.opened:
        await connection.close()


async def test_many_websockets_at_once(secure: Secure) -> None:
    async def client(number: int) -> None:
        ws = await secure.connect(WebSocket)
        await ws.send(upgrade_request(websocket()))
        await ws.accepted()
        await ws.open_packet()
        for i in range(5):
            await ws.echoes(f"{number} {i}")

    await asyncio.gather(*map(client, range(CLIENTS)))


async def test_many_polling_clients_at_once(secure: Secure) -> None:
    async def client(number: int) -> None:
        connection = await secure.connect()
        target = polling(await connection.open_session())
        for i in range(5):
            (await connection.post(target, f"4{number} {i}")).ok("ok")
            (await connection.get(target)).ok(f"4{number} {i}")

    await asyncio.gather(*map(client, range(CLIENTS)))


async def test_a_large_message(secure: Secure) -> None:
    ws = await secure.connect(WebSocket)
    await ws.send(upgrade_request(websocket()))
    await ws.accepted()
    await ws.open_packet()
    for _ in range(3):
        await ws.echoes(b"x" * 900_000)
