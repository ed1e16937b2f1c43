"""Over TLS: its transport writes, and says when it cannot."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trustme
from support.raw import (
    TIMEOUT,
    Connection,
    WebSocket,
    polling,
    request,
    text,
    upgrade_request,
    websocket,
    within,
)

import socketio_fast
from integration.conftest import Echo
from socketio_fast._core.http.listening import has_own_tls

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


async def start(serve: Callable[..., Awaitable[Any]], app: Any) -> Secure:
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_context)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return Secure(await serve(app, ssl=server_context), context)


@pytest.fixture
async def secure(serve: Callable[..., Awaitable[Any]]) -> AsyncIterator[Secure]:
    secure = await start(serve, Echo().app)
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


async def test_a_get_whose_client_ends_tls_closes_the_session(
    serve: Callable[..., Awaitable[Any]],
) -> None:
    """By `close_notify`, with TCP still open; as in the reference implementation."""
    echo = Echo()
    secure = await start(serve, echo.app)
    opener = await secure.connect()
    sid = await opener.open_session()
    await opener.close()

    def poll_and_end() -> None:
        address = (secure.server.host, secure.server.port)
        with (
            socket.create_connection(address, TIMEOUT) as plain,
            secure.context.wrap_socket(plain, server_hostname="localhost") as sock,
        ):
            sock.sendall(request("GET", polling(sid)))
            sock.unwrap()
            assert plain.fileno() == -1 or not plain.recv(1)

    await within(asyncio.to_thread(poll_and_end))
    assert await echo.disconnected(sid) == "transport error"


async def test_a_server_that_closes_waits_for_no_handshake(secure: Secure) -> None:
    if not has_own_tls(secure.context):
        pytest.skip("the event loop's handshakes go on")
    address = (secure.server.host, secure.server.port)
    begun = await within(asyncio.open_connection(*address))
    await (await secure.connect()).open_session()  # so that both have been accepted
    await within(secure.server.close())
    assert await within(begun[0].read()) == b""
    begun[1].close()


async def test_a_large_body_that_is_refused_gets_its_response(secure: Secure) -> None:
    """The client reads it when it has sent all."""
    body = b"x" * 4_000_000

    async def post(size: int) -> bytes:
        target = polling(await (await secure.connect()).open_session())
        poster = await secure.connect()
        await poster.send(
            f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
            + b"".join(
                b"%x\r\n%s\r\n" % (size, body[i : i + size])
                for i in range(0, len(body), size)
            )
            + b"0\r\n\r\n"
        )
        return await within(poster.reader.readline())

    for size in (1_000, 16_000, 300_000):
        assert b" 413 " in await post(size)


async def test_a_large_message(secure: Secure) -> None:
    ws = await secure.connect(WebSocket)
    await ws.send(upgrade_request(websocket()))
    await ws.accepted()
    await ws.open_packet()
    for _ in range(3):
        await ws.echoes(b"x" * 900_000)


async def test_a_client_that_is_not_read_for_a_while(
    serve: Callable[..., Awaitable[Any]],
) -> None:
    """What its handlers cannot take yet stays in the connection, and is not lost."""
    sio = socketio_fast.AsyncServer(max_pending_events=10)
    begun: list[int] = []
    gate = asyncio.Event()

    @sio.event
    async def slow(sid: str, number: int) -> int:
        begun.append(number)
        await gate.wait()
        return number

    secure = await start(serve, sio)
    ws = await secure.connect(WebSocket)
    try:
        await ws.send(upgrade_request(websocket(path="/socket.io/")))
        await ws.accepted()
        await ws.open_packet()
        await ws.send(text("40"))
        assert str(await ws.message()).startswith("40")
        await ws.send(b"".join(text(f'42{i}["slow",{i}]') for i in range(100)))
        await ws.silent()
        assert begun == list(range(11))
        gate.set()
        assert [await ws.message() for _ in range(100)] == [
            f"43{i}[{i}]" for i in range(100)
        ]
    finally:
        await ws.close()
