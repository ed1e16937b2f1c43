"""permessage-deflate with WebSocket clients that others have written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import websockets
from support.interop import record, within
from support.js_client import Binary, JSClient

import socketio_fast

TAKEOVER = {"server_no_context_takeover": False, "client_no_context_takeover": False}
OPTIONS = [
    True,
    TAKEOVER,
    {"server_max_window_bits": 9, "level": 6},
    {**TAKEOVER, "server_max_window_bits": 10, "client_max_window_bits": 10},
]
#: 100 KB of text that compresses well.
TEXT = json.dumps([{"id": i, "text": "typing offline"} for i in range(2500)])


@pytest.fixture(
    params=OPTIONS, ids=["default", "takeover", "narrow", "narrow-takeover"]
)
def sio(request: pytest.FixtureRequest) -> socketio_fast.AsyncServer:
    return socketio_fast.AsyncServer(per_message_deflate=request.param)


class Proxy:
    """Counts the bytes between clients and a server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sent = self.received = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self.server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        other, to_server = await asyncio.open_connection("127.0.0.1", self.port)

        async def back() -> None:
            while data := await other.read(65536):
                self.received += len(data)
                writer.write(data)
            writer.close()

        answers = asyncio.create_task(back())
        try:
            while data := await reader.read(65536):
                self.sent += len(data)
                to_server.write(data)
        finally:
            answers.cancel()
            to_server.close()
            writer.close()


@pytest.fixture
async def proxy(serve: Any, sio: socketio_fast.AsyncServer) -> AsyncIterator[Proxy]:
    server = await serve(sio)
    async with Proxy(int(server.url.rpartition(":")[2].strip("/"))) as proxy:
        yield proxy


async def test_the_javascript_client(
    proxy: Proxy, sio: socketio_fast.AsyncServer
) -> None:
    """E5: the official client, with ws for Node.js, both ways and in a broadcast."""
    received = record(sio, "to")
    async with JSClient(proxy.url, transports=["websocket"]) as client:
        await client.connect()
        for _ in range(3):
            await client.emit("to", TEXT, Binary(TEXT.encode(), "Buffer"))
            _, text, data = await received.next()
            assert (text, data) == (TEXT, TEXT.encode())
            await sio.emit("from", (TEXT, TEXT.encode()))
            assert await client.expect("from") == [TEXT, TEXT.encode()]
    assert 0 < proxy.sent < len(TEXT)
    assert 0 < proxy.received < len(TEXT)


async def test_after_an_upgrade(proxy: Proxy, sio: socketio_fast.AsyncServer) -> None:
    """E5"""
    received = record(sio, "to")
    async with JSClient(proxy.url, transports=["polling", "websocket"]) as client:
        await client.connect()
        await client.emit("to", TEXT)
        assert (await received.next())[1] == TEXT


async def test_websockets(proxy: Proxy, sio: socketio_fast.AsyncServer) -> None:
    """E5: the package websockets, which offers a window of its own."""

    @sio.event
    async def echo(sid: str, text: str) -> str:
        return text

    url = f"ws{proxy.url[4:]}/socket.io/?EIO=4&transport=websocket"
    async with websockets.connect(url, max_size=None) as client:
        assert await within(client.recv(), "answer")
        await client.send("40")
        assert await within(client.recv(), "answer")
        for _ in range(3):
            await client.send(f"420{json.dumps(['echo', TEXT])}")
            answer = str(await within(client.recv(), "answer"))
            assert json.loads(answer[3:]) == [TEXT]
        # In fragments.
        packet = f"420{json.dumps(['echo', TEXT])}"
        await client.send([packet[:1], packet[1:90000], packet[90000:]])
        assert json.loads(str(await within(client.recv(), "answer"))[3:]) == [TEXT]
    assert 0 < proxy.received < len(TEXT)


@pytest.mark.parametrize("bits", [9, 12, 15])
async def test_aiohttp(proxy: Proxy, sio: socketio_fast.AsyncServer, bits: int) -> None:
    """E5: the client of aiohttp."""

    @sio.event
    async def echo(sid: str, text: str) -> str:
        return text

    url = f"{proxy.url}/socket.io/?EIO=4&transport=websocket"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, compress=bits, max_msg_size=0) as client,
    ):
        assert client.compress
        await within(client.receive_str(), "answer")
        await client.send_str("40")
        await within(client.receive_str(), "answer")
        for _ in range(3):
            await client.send_str(f"420{json.dumps(['echo', TEXT])}")
            assert json.loads((await within(client.receive_str(), "answer"))[3:]) == [
                TEXT
            ]
    assert 0 < proxy.sent < len(TEXT)
    assert 0 < proxy.received < len(TEXT)


async def test_what_must_not_be_compressed(
    proxy: Proxy, sio: socketio_fast.AsyncServer
) -> None:
    """M9: `compress(False)`, with the official client."""
    async with JSClient(proxy.url, transports=["websocket"]) as client:
        await client.connect()
        socket = sio.of("/").sockets[client.sid]
        await socket.emit("a", TEXT)
        assert await client.expect("a") == [TEXT]
        assert proxy.received < len(TEXT)
        await socket.compress(False).emit("b", TEXT)
        assert await client.expect("b") == [TEXT]
        assert proxy.received > len(TEXT)
