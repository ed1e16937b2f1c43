"""A server on one WebSocket at a time, that notes each packet and answers as told.

The official suites look at ``packetCreate`` of the client's engine; this looks at what
arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from support.interop import within

__all__ = ["WireServer", "wire_server"]

#: What is sent for a packet: of Engine.IO, without the type "4".
Answer = Callable[[str], "list[str]"]


def nothing(packet: str) -> list[str]:
    return []


class WireServer:
    def __init__(self, answer: Answer, ping_interval: int) -> None:
        self._answer = answer
        self._ping_interval = ping_interval
        #: The Socket.IO packets that have come, of all connections.
        self.packets: list[str] = []
        self.connections = 0
        self.port = 0
        self._came: asyncio.Queue[str] = asyncio.Queue()
        self._socket: ServerConnection | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def packet(self) -> str:
        """The next Socket.IO packet."""
        return await within(self._came.get(), "a packet")

    async def send(self, packet: str) -> None:
        """Send a packet of Engine.IO."""
        assert self._socket is not None
        await self._socket.send(packet)

    async def cut(self) -> None:
        assert self._socket is not None
        self._socket.transport.abort()

    async def handle(self, socket: ServerConnection) -> None:
        self._socket = socket
        self.connections += 1
        await socket.send("0" + json.dumps(self._open()))
        with contextlib.suppress(ConnectionClosed):
            async for message in socket:
                if isinstance(message, str) and message.startswith("4"):
                    await self._receive(socket, message[1:])

    async def _receive(self, socket: ServerConnection, packet: str) -> None:
        self.packets.append(packet)
        self._came.put_nowait(packet)
        if packet.startswith("0"):
            namespace = packet[1:].partition(",")[0] if packet[1:2] == "/" else ""
            comma = "," if namespace else ""
            await socket.send(f'40{namespace}{comma}{{"sid":"s{self.connections}"}}')
        for answer in self._answer(packet):
            await socket.send(f"4{answer}")

    def _open(self) -> dict[str, Any]:
        return {
            "sid": f"e{self.connections}",
            "upgrades": [],
            "pingInterval": self._ping_interval,
            "pingTimeout": 20_000,
            "maxPayload": 1_000_000,
        }


@contextlib.asynccontextmanager
async def wire_server(
    answer: Answer = nothing, ping_interval: int = 25_000
) -> AsyncIterator[WireServer]:
    wire = WireServer(answer, ping_interval)
    async with serve(wire.handle, "127.0.0.1", 0, compression=None) as server:
        wire.port = next(iter(server.sockets)).getsockname()[1]
        yield wire
