"""Sessions of several workers, and requests that come to any of them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

from leaks.endurance import times
from support.raw import polling, request
from support.supervised import WAIT, connected, running

CLIENTS = 50

PING = "2"

#: Requests of a client for one message.
A_MESSAGE = 2


class Asking:
    """A client by long-polling, each of whose requests has a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.statuses: Counter[bytes] = Counter()
        self.sid = ""

    async def ask(self, method: str, body: str | None = None) -> str:
        async with connected(self.port) as (reader, writer):
            target = polling(self.sid, path="/socket.io/")
            headers = [("Connection", "close")]
            writer.write(request(method, target, body, headers))
            answer = await asyncio.wait_for(reader.read(), WAIT)
        head, _, text = answer.partition(b"\r\n\r\n")
        self.statuses[head[9:12]] += 1
        return text.decode()

    async def exchange(self, messages: int) -> None:
        """Messages and their acknowledgements, each once and in order."""
        self.sid = json.loads((await self.ask("GET"))[1:])["sid"]
        assert await self.ask("POST", "40") == "ok"
        assert (await self.ask("GET")).startswith("40{")
        for number in range(messages):
            assert await self.ask("POST", f'42{number}["pid"]') == "ok"
            assert (await self.packet()).startswith(f"43{number}[")

    async def packet(self) -> str:
        """What a poll brings besides a ping."""
        while True:
            packets = (await self.ask("GET")).split("\x1e")
            if PING in packets:
                packets.remove(PING)
                assert await self.ask("POST", "3") == "ok"
            if packets:
                (packet,) = packets
                return packet


async def test_each_request_by_a_connection_of_its_own(folder: Path) -> None:
    """A14: 100,000 requests in all, no error, nothing lost or doubled."""
    messages = times(100_000, 4_000) // CLIENTS // A_MESSAGE
    with running(folder, "--workers", "4") as server:
        clients = [Asking(server.port) for _ in range(CLIENTS)]
        await asyncio.gather(*(client.exchange(messages) for client in clients))
    statuses = sum((client.statuses for client in clients), Counter[bytes]())
    assert statuses.keys() == {b"200"}
    assert statuses[b"200"] >= CLIENTS * (3 + messages * A_MESSAGE)
