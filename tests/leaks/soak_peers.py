"""The clients of a soak: those that behave, and hostile ones of many kinds.

As a program it is either, in a process of its own: `python soak_peers.py PORT KIND
PEERS` until it is ended, or `python soak_peers.py PORT behave CLIENTS SECONDS`, which
prints a `Served` as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

import uvloop

RATE = 10.0  # messages of a client that behaves, in a second
ANSWERED = 10.0  # seconds in which each is to be answered


def frame(data: bytes, opcode: int = 1) -> bytes:
    """A masked frame (RFC 6455, section 5.2), with a mask of zeros."""
    size = len(data)
    if size < 126:
        head = bytes([0x80 | opcode, 0x80 | size])
    elif size < 1 << 16:
        head = bytes([0x80 | opcode, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x80 | opcode, 0x80 | 127]) + size.to_bytes(8, "big")
    return head + bytes(4) + data


class Peer:
    """A connection by which a kind of peer sends what it likes.

    Args:
        port: The server's.
        buffer: Bytes of its receive buffer; 0 for what the system gives.
        address: Its own address; the server's by default.
    """

    def __init__(self, port: int, buffer: int = 0, address: str = "127.0.0.1") -> None:
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.setblocking(False)
        self.address = address
        self.port = port
        self.loop = asyncio.get_running_loop()
        self.rest = b""

    async def __aenter__(self) -> Peer:
        self.socket.bind((self.address, 0))
        await self.loop.sock_connect(self.socket, ("127.0.0.1", self.port))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.socket.close()

    async def send(self, data: bytes) -> None:
        await self.loop.sock_sendall(self.socket, data)

    async def text(self, text: str) -> None:
        await self.send(frame(text.encode()))

    async def _more(self) -> None:
        data = await self.loop.sock_recv(self.socket, 1 << 16)
        if not data:
            raise ConnectionResetError
        self.rest += data

    async def response(self) -> bytes:
        """The body of the next response; that of an upgrade is what follows."""
        while b"\r\n\r\n" not in self.rest:
            await self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(found[1]) if found else 0
        while len(self.rest) < size:
            await self._more()
        body, self.rest = self.rest[:size], self.rest[size:]
        return body

    async def message(self) -> bytes:
        """The payload of the next frame that has no more than 65,535 bytes."""
        while True:
            if len(self.rest) >= 2:
                size, start = self.rest[1], 2
                if size == 126 and len(self.rest) >= 4:
                    size, start = int.from_bytes(self.rest[2:4], "big"), 4
                if size != 126 and len(self.rest) >= start + size:
                    found = self.rest[start : start + size]
                    self.rest = self.rest[start + size :]
                    return found
            await self._more()

    async def answer(self) -> bytes:
        """The next message that is no ping; those are answered."""
        while True:
            message = await self.message()
            if message != b"2":
                return message
            await self.text("3")

    async def until_closed(self) -> None:
        """Read, and answer nothing."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self._more()
                self.rest = b""

    async def request(self, query: str = "", body: str | None = None) -> None:
        """Ask for a poll, or post something."""
        path = f"/socket.io/?EIO=4&transport=polling{query}"
        if body is None:
            await self.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        else:
            size = f"Content-Length: {len(body)}"
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{size}\r\n\r\n"
            await self.send((head + body).encode())

    async def upgrade(self) -> None:
        await self.send(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
            b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await self.response()
        await self.message()

    async def join(self, packet: str = "40") -> bytes:
        await self.upgrade()
        await self.text(packet)
        return await self.message()


# --- clients that behave ----------------------------------------------------------


@dataclass
class Served:
    """What clients that behave got.

    Args:
        p99: The 99th percentile of the time to an answer, in seconds.
        sent: Messages.
        answered: Those of them that were answered.
    """

    p99: float
    sent: int
    answered: int


class Client:
    """One that echoes at a rate, and reads."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.sent = 0
        self.waiting: dict[int, float] = {}
        self.answered = asyncio.Event()  # all of it
        self.latencies: list[float] = []

    async def send(self, until: float) -> None:
        due = time.perf_counter() + random.random() / RATE
        while due < until:
            await asyncio.sleep(due - time.perf_counter())
            number, self.sent = self.sent, self.sent + 1
            self.answered.clear()
            self.waiting[number] = due  # late sending is the latency's as well
            try:
                await self.peer.text(f'42{number}["echo","0123456789abcdef"]')
            except OSError:
                return  # it was closed: this one, at least, is lost
            due += 1 / RATE

    async def receive(self) -> None:
        while True:
            message = await self.peer.answer()
            if message.startswith(b"43"):
                number = int(message[2 : message.index(b"[")])
                due = self.waiting.pop(number)
                self.latencies.append(time.perf_counter() - due)
                if not self.waiting:
                    self.answered.set()


async def behave(port: int, clients: int, seconds: float) -> Served:
    """Connect, then echo for so long."""
    async with contextlib.AsyncExitStack() as stack:
        several = [
            Client(await stack.enter_async_context(Peer(port))) for _ in range(clients)
        ]
        for client in several:
            await client.peer.join()
        until = time.perf_counter() + seconds
        reading = [asyncio.ensure_future(client.receive()) for client in several]
        await asyncio.gather(*(client.send(until) for client in several))
        rest = [asyncio.ensure_future(client.answered.wait()) for client in several]
        await asyncio.wait(rest, timeout=ANSWERED)
        for task in (*rest, *reading):
            task.cancel()
        latencies = sorted(one for client in several for one in client.latencies)
        sent = sum(client.sent for client in several)
        p99 = latencies[int(0.99 * len(latencies))] if latencies else float("inf")
        return Served(p99, sent, len(latencies))


# --- hostile peers ----------------------------------------------------------------

FILE = b"GET /large.bin HTTP/1.1\r\nHost:x\r\n\r\n"


async def files(port: int, number: int) -> None:
    """Ask for a large file, and do not read it."""
    async with Peer(port, 4096) as peer:
        await peer.send(FILE)
        await asyncio.sleep(20)


async def polls(port: int, number: int) -> None:
    """Have a poll answered by 1 MB of events, and do not read it."""
    async with Peer(port) as posts, Peer(port, 4096) as peer:
        await posts.request()
        sid = "&sid=" + json.loads((await posts.response())[1:])["sid"]
        for body in ("40", '42["flood"]'):
            await posts.request(sid, body)
            await posts.response()
        await peer.request(sid)
        await asyncio.sleep(20)


async def unread(port: int, number: int) -> None:
    """Either."""
    await (files if number % 10 else polls)(port, number)


async def pipelined(port: int, number: int) -> None:
    """8,333 requests in one piece, and nothing is read."""
    async with Peer(port, 4096) as peer:
        await peer.send(FILE * 8333)
        await asyncio.sleep(20)


async def broadcasts(port: int, number: int) -> None:
    """Ask for a flood of events, and do not read it; who hears of it raises."""
    async with Peer(port, 4096) as peer:
        await peer.join()
        await peer.text('42["hear"]')
        await asyncio.sleep(60)


async def pings(port: int, number: int) -> None:
    """Do not answer pings; who hears of the end raises."""
    async with Peer(port) as peer:
        await peer.join('40{"raises":true}')
        await peer.until_closed()


async def attachments(port: int, number: int) -> None:
    """Send 9 of 10 attachments, and answer pings from then on."""
    async with Peer(port) as peer:
        await peer.join()
        places = ",".join(f'{{"_placeholder":true,"num":{i}}}' for i in range(10))
        await peer.text(f'4510-["echo",{places}]')
        for _ in range(9):
            await peer.send(frame(bytes(32768), 2))
        while True:
            await peer.answer()


async def handlers(port: int, number: int) -> None:
    """Emit more events than may be under way, whose handlers take 10 seconds."""
    async with Peer(port) as peer:
        await peer.join()
        for _ in range(400):
            await peer.text('42["hang","' + "x" * 1000 + '"]')
        await peer.until_closed()


async def threads(port: int, number: int) -> None:
    """Emit 400 events whose handlers never end, and go."""
    async with Peer(port) as peer:
        await peer.join()
        for _ in range(400):
            await peer.text('42["hang"]')
        await asyncio.sleep(1)
    await asyncio.sleep(3600)


async def namespaces(port: int, number: int) -> None:
    """Join one namespace after the other, and go."""
    async with Peer(port) as peer:
        await peer.join()
        for _ in range(random.randrange(200)):
            await peer.text(f"40/{random.random()},")
            await peer.answer()


async def acks(port: int, number: int) -> None:
    """Acknowledge nothing."""
    async with Peer(port) as peer:
        await peer.join()
        for _ in range(100):
            await peer.text('42["ask"]')
            for _ in range(21):
                await peer.answer()
            await asyncio.sleep(0.1)


async def escapes(port: int, number: int) -> None:
    """Have the connect handler raise what is no Exception."""
    async with Peer(port) as peer:
        await peer.upgrade()
        for _ in range(20):
            await peer.text('40{"escape":true}')
            assert (await peer.answer()).startswith(b"44")
            await asyncio.sleep(0.05)


def chain(depth: int, last: str) -> str:
    """A tree of alternatives, one in another; the last one is of this kind."""
    kinds = ["ab"[i % 2] for i in range(depth - 1)] + [last]
    text = "null"
    for kind in reversed(kinds):
        text = f'{{"kind":"{kind}","child":{text}}}'
    return text


async def unions(port: int, number: int) -> None:
    """Send what is validated by trying alternatives: valid, wrong at the end, deep."""
    async with Peer(port) as peer:
        await peer.join()
        for tree in (chain(20, "b"), chain(20, "c"), chain(400, "c")) * 10:
            await peer.text(f'420["tree",{tree}]')
            assert (await peer.answer()).startswith(b"430")
            await asyncio.sleep(random.random())


async def passwords(port: int, number: int) -> None:
    """Try passwords of the Admin UI, each peer from its own address."""
    async with Peer(port, address=f"127.0.1.{1 + number % 250}") as peer:
        await peer.upgrade()
        for _ in range(20):
            auth = {"username": "admin", "password": random.random()}
            await peer.text(f"40/admin,{json.dumps(auth)}")
            assert (await peer.answer()).startswith(b"44/admin,")
            await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Kind:
    """Peers that do the same.

    Args:
        attack: What one of them does, by the server's port and its own number.
        most: How many there are, at most.
        server: Which server they need: plain, with the Admin UI, or with threads.
    """

    attack: Callable[[int, int], Awaitable[None]]
    most: int = 1000
    server: str = "plain"


KINDS = {
    kind.attack.__name__: kind
    for kind in (
        Kind(files),
        Kind(polls, most=20),
        Kind(unread),
        Kind(pipelined),
        Kind(broadcasts),
        Kind(pings),
        Kind(attachments),
        Kind(handlers),
        Kind(threads, most=1, server="threads"),
        Kind(namespaces),
        Kind(acks),
        Kind(escapes),
        Kind(unions),
        Kind(passwords, server="admin"),
    )
}


async def again(kind: Kind, port: int, number: int) -> None:
    """One hostile peer after the other, each until the server has had enough."""
    while True:
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await kind.attack(port, number)
        await asyncio.sleep(0.05)


async def attack(kind: Kind, port: int, peers: int) -> None:
    """All peers of a kind; what one of them does not expect ends this."""
    await asyncio.gather(
        *(again(kind, port, number) for number in range(min(peers, kind.most)))
    )


def main(port: int, name: str, number: int, seconds: float = 0) -> None:
    if name == "behave":
        print(json.dumps(asdict(uvloop.run(behave(port, number, seconds)))))
        return
    uvloop.run(attack(KINDS[name], port, number))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *map(float, sys.argv[4:]))
