"""The client: masked frames, and an event from its frame to its handler."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import picows
import pytest
import socketio
from engineio.packet import Packet
from fakes import Tally
from websockets.frames import Frame, Opcode

import socketio_fast
from socketio_fast._core.client.session import ClientSession, SessionOwner
from socketio_fast._core.client.websocket import ClientWebSocket
from socketio_fast._core.protocol.outgoing import event_packet
from socketio_fast._core.testing import mask_frames

EVENTS = 100
TEXT = "x" * 32
OPEN = {"sid": "e", "upgrades": [], "pingInterval": 25000, "pingTimeout": 20000}
EVENT = f'42["price","{TEXT}"]'


def unmasked(frame: bytes) -> bytes:
    """The payload of a short masked frame."""
    key, body = frame[2:6], frame[6:]
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(body))


@pytest.mark.parametrize("implementation", ["socketio_fast", "websockets"])
def bench_masked_frame(benchmark: Any, implementation: str) -> None:
    benchmark.group = "Masked text frame of 50 bytes"
    if implementation == "socketio_fast":
        packet = event_packet("price", [TEXT])
        result = benchmark(mask_frames, packet)
    else:
        payload = EVENT.encode()
        result = benchmark(lambda: Frame(Opcode.TEXT, payload).serialize(mask=True))
    assert result[:2] == bytes([0x81, 0x80 | len(EVENT)])
    assert unmasked(result) == EVENT.encode()


class FakeFrame:
    """A text frame, as picows gives it to a listener."""

    msg_type = picows.WSMsgType.TEXT
    fin = True
    rsv1 = rsv2 = rsv3 = False
    last_in_buffer = True

    def __init__(self, text: str) -> None:
        self.payload = text.encode()

    def get_payload_as_bytes(self) -> bytes:
        return self.payload


class FakeTransport:
    """What is below picows."""

    def __init__(self, tally: Tally) -> None:
        self.write = tally.add

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        pass

    def close(self) -> None:
        pass


class FakeSocket:
    """picows' transport."""

    is_secure = False

    def __init__(self, tally: Tally) -> None:
        self.underlying_transport = FakeTransport(tally)


class Owner(SessionOwner):
    """Joins the root namespace when the session is open."""

    def __init__(self, client: socketio_fast.AsyncClient) -> None:
        self.peer = client._peer("/")

    def opened(self, session: ClientSession) -> None:
        self.peer.join()


@pytest.mark.parametrize("implementation", ["socketio_fast", "python-socketio"])
def bench_event_to_handler(benchmark: Any, loop: Any, implementation: str) -> None:
    benchmark.group = f"Client: {EVENTS} events, from their frames to the handler"
    tally = Tally()

    async def price(data: str) -> None:
        tally.add(data)

    connect = {"socketio_fast": connect_fast, "python-socketio": connect_peer}
    receive = loop.run_until_complete(connect[implementation](loop, price))

    async def receive_all() -> None:
        tally.count = 0
        for _ in range(EVENTS):
            await receive()
        await tally.reach(EVENTS)

    benchmark(lambda: loop.run_until_complete(receive_all()))
    assert (tally.count, tally.last) == (EVENTS, TEXT)


async def connect_fast(loop: Any, handler: Any) -> Any:
    """A connected client; returns what gives it one event."""
    client = socketio_fast.AsyncClient()
    client.on("price", handler)
    engine = client.eio.engine
    engine.bind(loop)
    client._core.bind(engine)
    websocket = ClientWebSocket(engine)
    session = ClientSession(engine, Owner(client), 0)
    session.begin(websocket)
    listener = websocket.listen()
    transport = FakeSocket(Tally())
    listener.on_ws_connected(transport)
    for text in (f"0{json.dumps(OPEN)}", '40{"sid":"s"}'):
        listener.on_ws_frame(transport, FakeFrame(text))
    await asyncio.sleep(0.01)
    frame = FakeFrame(EVENT)

    async def receive() -> None:
        listener.on_ws_frame(transport, frame)

    return receive


async def connect_peer(loop: Any, handler: Any) -> Any:
    client = socketio.AsyncClient()
    client.logger.setLevel(logging.CRITICAL)
    client.on("price", handler)
    client.namespaces["/"] = "s"

    async def receive() -> None:
        packet = Packet(encoded_packet=EVENT)
        # As python-engineio calls it, but for a task of its own.
        await client._handle_eio_message(packet.data)

    return receive
