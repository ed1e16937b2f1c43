"""picows as the client: a WebSocket peer that shares no code with the server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import picows
import pytest

import socketio_fast


class Client(picows.WSListener):
    """Queues the messages that it gets, text as str and binary as bytes."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Any] = asyncio.Queue()

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.TEXT:
            self.messages.put_nowait(frame.get_payload_as_utf8_text())
        elif frame.msg_type == picows.WSMsgType.BINARY:
            self.messages.put_nowait(frame.get_payload_as_bytes())
        else:
            self.messages.put_nowait((frame.msg_type, frame.get_payload_as_bytes()))

    async def next(self) -> Any:
        return await asyncio.wait_for(self.messages.get(), 10)


@pytest.fixture
async def client(serve):
    sio = socketio_fast.AsyncServer()

    @sio.event
    async def echo(sid, *data):
        await sio.emit("echo", data, to=sid)
        return len(data)

    server = await serve(sio)
    transport, listener = await picows.ws_connect(
        Client, f"ws://{server.host}:{server.port}/socket.io/?EIO=4&transport=websocket"
    )
    assert json.loads((await listener.next())[1:])["upgrades"] == []
    transport.send(picows.WSMsgType.TEXT, b"40")
    assert (await listener.next()).startswith('40{"sid":')
    yield transport, listener
    transport.disconnect()
    await transport.wait_disconnected()


async def test_events_and_acknowledgements(client):
    transport, listener = client
    transport.send(picows.WSMsgType.TEXT, '42["echo","é",1]'.encode())
    assert await listener.next() == '42["echo","é",1]'
    transport.send(picows.WSMsgType.TEXT, b'421["echo"]')
    assert await listener.next() == '42["echo"]'
    assert await listener.next() == "431[0]"


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 900_000])
async def test_binary_of_every_length_form(client, size):
    transport, listener = client
    data = bytes(i % 251 for i in range(size))
    transport.send(picows.WSMsgType.TEXT, b'451-["echo",{"_placeholder":true,"num":0}]')
    transport.send(picows.WSMsgType.BINARY, data)
    assert await listener.next() == '451-["echo",{"_placeholder":true,"num":0}]'
    assert await listener.next() == data


async def test_a_ping_is_answered_with_its_payload(client):
    transport, listener = client
    transport.send_ping(b"are you there")
    assert await listener.next() == (picows.WSMsgType.PONG, b"are you there")


async def test_a_close_is_answered_with_its_code(client):
    transport, listener = client
    transport.send_close(picows.WSCloseCode.GOING_AWAY, b"bye")
    kind, payload = await listener.next()
    assert (kind, payload) == (picows.WSMsgType.CLOSE, b"\x03\xe9")
