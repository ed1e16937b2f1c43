"""A TCP proxy that does to connections what networks do.

::

    async with TcpProxy(server.port) as proxy:
        await client.connect(proxy.url)
        proxy.hold()                # silence: nothing passes, nothing closes
        proxy.let_go()
        await proxy.cut()           # every connection is reset
        await proxy.refuse()        # and nobody listens any more
        await proxy.accept()

What it has passed on is in the kernel's hands when it goes on, so bytes that were
counted have arrived. The switches hold for connections that come later too.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from support.waiting import WAIT, Changes

__all__ = ["TO_CLIENT", "TO_SERVER", "TcpProxy"]

#: Directions.
TO_SERVER = "to server"
TO_CLIENT = "to client"

CHUNK = 65_536


@dataclass
class _Way:
    """One direction of all connections: what is done to it, and what has passed."""

    delay: float = 0.0
    rate: float | None = None
    passed: int = 0
    #: The count of passed bytes at which all connections are cut.
    cut_at: int | None = None


@dataclass(eq=False)
class _Connection:
    client: socket.socket
    server: socket.socket
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def sink(self, direction: str) -> socket.socket:
        return self.server if direction == TO_SERVER else self.client

    def source(self, direction: str) -> socket.socket:
        return self.client if direction == TO_SERVER else self.server


class TcpProxy:
    """Between clients and a server on 127.0.0.1.

    Args:
        server_port: The server's.
        room: Bytes that it takes of a connection, one way, before it has passed them
            on; ``None`` for any amount. What is held back then stays with the sender.
    """

    def __init__(self, server_port: int, *, room: int | None = None) -> None:
        self._server_port = server_port
        self._room = room
        self._ways = {TO_SERVER: _Way(), TO_CLIENT: _Way()}
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: socket.socket | None = None
        #: Those of clients, until the server has accepted them too.
        self._connecting: set[socket.socket] = set()
        #: What cut_after() has begun last.
        self._cutting: asyncio.Task[None] | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._changes = Changes()
        self.port = 0
        #: How many connections there have been.
        self.accepted = 0
        #: How many times all connections were cut.
        self.cuts = 0

    async def __aenter__(self) -> TcpProxy:
        await self.accept()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.refuse()
        for way in self._ways.values():
            way.cut_at = None
        if self._cutting is not None:
            await self._cutting  # it has connections that nobody else knows of
        await self.cut()
        await _end(self._tasks)
        for accepted in self._connecting:
            _reset(accepted)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    @property
    def to_server(self) -> int:
        """How many bytes have reached the server."""
        return self._ways[TO_SERVER].passed

    @property
    def to_client(self) -> int:
        """How many bytes have reached clients."""
        return self._ways[TO_CLIENT].passed

    def delay(self, seconds: float, direction: str | None = None) -> None:
        """Let everything arrive so much later; 0 for not."""
        for way in self._chosen(direction):
            way.delay = seconds

    def throttle(
        self, bytes_per_second: float | None, direction: str | None = None
    ) -> None:
        """Let no more pass on each connection; None for any amount."""
        for way in self._chosen(direction):
            way.rate = bytes_per_second

    def hold(self) -> None:
        """Keep what comes, either way: silence, while connections stay open."""
        self._flows.clear()

    def let_go(self) -> None:
        """Pass on what was kept, and what comes."""
        self._flows.set()

    def cut_after(self, count: int, direction: str) -> None:
        """Cut all connections as soon as so many more bytes have passed."""
        way = self._ways[direction]
        way.cut_at = way.passed + count

    async def cut(self) -> None:
        """Reset all connections."""
        self.cuts += 1
        connections, self._connections = self._connections, set()
        for connection in connections:
            await _end(connection.tasks)
            _reset(connection.client)
            _reset(connection.server)
        self._changes.note()

    def half_close(self, direction: str = TO_CLIENT) -> None:
        """End one direction of all connections; the other one stays open."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.sink(direction).shutdown(socket.SHUT_WR)

    async def refuse(self) -> None:
        """Stop listening: connections are refused; those that are open stay."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None

    async def accept(self) -> None:
        """Listen again, on the same port."""
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self.port))
            self._listening.setblocking(False)
            if self._room is not None:  # connections inherit it
                self._listening.setsockopt(
                    socket.SOL_SOCKET, socket.SO_RCVBUF, self._room
                )
            self.port = self._listening.getsockname()[1]
            asyncio.get_running_loop().add_reader(self._listening, self._accept)

    async def until(
        self, condition: Callable[[TcpProxy], bool], *, seconds: float = WAIT
    ) -> None:
        """Wait until it is true of the counts: ``lambda proxy: proxy.open == 1``."""
        await self._changes.until(lambda: condition(self), seconds=seconds)

    def _chosen(self, direction: str | None) -> list[_Way]:
        return [self._ways[direction]] if direction else list(self._ways.values())

    def _accept(self) -> None:
        assert self._listening is not None
        with contextlib.suppress(BlockingIOError, ConnectionError):
            client, _ = self._listening.accept()
            self._connecting.add(client)
            self.accepted += 1
            self._start(self._connect(client))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _connect(self, client: socket.socket) -> None:
        server = socket.socket()
        for end in (client, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(
                server, ("127.0.0.1", self._server_port)
            )
        except OSError:  # nobody listens there
            self._connecting.discard(client)
            _reset(client)
            server.close()
            return
        except asyncio.CancelledError:
            server.close()
            raise
        self._connecting.discard(client)
        connection = _Connection(client, server)
        self._connections.add(connection)
        connection.tasks = [self._start(self._carry(connection))]
        self._changes.note()

    async def _carry(self, connection: _Connection) -> None:
        """Both directions, until both have ended or one has failed."""
        ways = [
            asyncio.ensure_future(self._pass_on(connection, direction))
            for direction in (TO_SERVER, TO_CLIENT)
        ]
        failed = False
        try:
            await asyncio.gather(*ways)
        except OSError:
            failed = True
        finally:
            await _end(ways)
        self._connections.discard(connection)
        for end in (connection.client, connection.server):
            if failed:
                _reset(end)
            else:
                end.close()
        self._changes.note()

    async def _pass_on(self, connection: _Connection, direction: str) -> None:
        loop = asyncio.get_running_loop()
        came: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        way = self._ways[direction]
        size = CHUNK if self._room is None else self._room

        async def read() -> None:
            data = b"first"
            while data:
                data = await loop.sock_recv(connection.source(direction), size)
                came.put_nowait((loop.time() + way.delay, data))
                if self._room is not None:
                    await came.join()

        reading = asyncio.ensure_future(read())
        reading.add_done_callback(lambda _: came.put_nowait((0.0, b"")))
        try:
            while (item := await came.get())[1]:
                await asyncio.sleep(item[0] - loop.time())
                await self._send(connection, direction, item[1])
                came.task_done()
        finally:
            await _end([reading])
        if not reading.cancelled() and (error := reading.exception()) is not None:
            raise error
        await self._flows.wait()
        with contextlib.suppress(OSError):  # half_close() has done it
            connection.sink(direction).shutdown(socket.SHUT_WR)

    async def _send(self, connection: _Connection, direction: str, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        way = self._ways[direction]
        while data:
            await self._flows.wait()
            size = len(data)
            if way.rate is not None:
                size = max(1, min(size, int(way.rate / 50)))
            if way.cut_at is not None:
                # Another connection may have sent some meanwhile.
                size = max(0, min(size, way.cut_at - way.passed))
            # After half_close() there is nowhere to send it to.
            with contextlib.suppress(BrokenPipeError):
                await loop.sock_sendall(connection.sink(direction), data[:size])
            way.passed += size
            data = data[size:]
            self._changes.note()
            if way.cut_at is not None and way.passed >= way.cut_at:
                way.cut_at = None
                self._cutting = self._start(self.cut())
                await loop.create_future()  # which cut() cancels
            if way.rate is not None:
                await asyncio.sleep(size / way.rate)


def _reset(end: socket.socket) -> None:
    """Close it so that its peer gets a reset, not an end."""
    if end.fileno() != -1:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()


async def _end(tasks: Any) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
