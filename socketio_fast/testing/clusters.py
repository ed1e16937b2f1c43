"""Servers that share an adapter's engine, in one process, and clients of theirs."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeVar

from socketio_fast.async_server import AsyncServer
from socketio_fast.coroutines import within
from socketio_fast.event_loops import new_event_loop
from socketio_fast.serving.serve import RunningServer, serve
from socketio_fast.testing.client import Client, Connection

__all__ = ["TIMEOUT", "Cluster", "PollingClient", "UnresponsiveServer", "WebSocket"]

T = TypeVar("T")

NewServer = Callable[..., AsyncServer]

#: Seconds after which something that should have happened is missing.
TIMEOUT = 20.0

#: The namespaces that every server has.
NAMESPACES = ("/", "/chat")


class Cluster:
    """Servers that listen on ports of 127.0.0.1, and an event loop for them.

    Args:
        new_server: Called with options of :class:`~socketio_fast.AsyncServer`, returns
            a server that has a new adapter.
    """

    def __init__(self, new_server: NewServer) -> None:
        self._new_server = new_server
        self._loop = new_event_loop()
        self._running: dict[AsyncServer, RunningServer] = {}
        self._test = AsyncExitStack()
        #: What the event loop's exception handler was called with.
        self.errors: list[dict[str, Any]] = []
        self._loop.set_exception_handler(lambda _, context: self.errors.append(context))
        #: The servers, in the order in which they were started.
        self.servers: list[AsyncServer] = []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine; afterwards disconnect the clients that it has connected."""

        async def run() -> T:
            async with self._test:
                return await coroutine

        self.errors.clear()
        asyncio.set_event_loop(self._loop)
        try:
            return self._loop.run_until_complete(run())
        finally:
            self._test = AsyncExitStack()
            asyncio.set_event_loop(None)

    async def start(self, count: int) -> None:
        """Start this many servers; return when each of them counts all."""
        for _ in range(count):
            await self.add()
        await self.agree()

    async def add(self, **options: Any) -> AsyncServer:
        """Start another server."""
        server = self._new_server(**options)
        for namespace in NAMESPACES:
            server.on("echo", _echo, namespace=namespace)
        self._running[server] = await serve(server, "127.0.0.1", 0)
        self.servers.append(server)
        return server

    async def remove(self, server: AsyncServer) -> None:
        """Stop a server."""
        self.servers.remove(server)
        await self._running.pop(server).close()

    async def agree(self, count: int | None = None) -> None:
        """Wait until each server counts as many as there are.

        Raises:
            AssertionError: That has not happened in :data:`TIMEOUT` seconds.
        """
        count = len(self.servers) if count is None else count
        deadline = self._loop.time() + TIMEOUT
        for server in self.servers:
            while (counted := await server.server_count()) != count:
                assert self._loop.time() < deadline, (
                    f"a server counts {counted} servers, there are {count}"
                )
                await asyncio.sleep(0.02)

    async def client(
        self, server: AsyncServer, namespace: str = "/", **options: Any
    ) -> Client:
        """Connect a client, which is disconnected when the test ends.

        Events of other servers reach it when this returns.
        """
        connection = await self.connection(server, **options)
        client = await connection.join(namespace, timeout=TIMEOUT)
        # Some adapters subscribe to a channel of the client, which others do not await.
        flushed = getattr(server.manager, "flushed", None)
        if flushed is not None:
            await flushed()
        return client

    async def connection(self, server: AsyncServer, **options: Any) -> Connection:
        """Open a connection that has joined no namespace yet; it ends with the test."""
        return await self._test.enter_async_context(Connection(server, **options))

    async def clients(self, namespace: str = "/") -> list[Client]:
        """Connect a client to each server."""
        return [await self.client(server, namespace) for server in self.servers]

    def port(self, server: AsyncServer) -> int:
        """The port on which a server listens."""
        port: int = self._running[server].port
        return port

    async def enter(self, context: Any) -> Any:
        """Enter an async context manager, which ends with the test."""
        return await self._test.enter_async_context(context)

    async def leave(self) -> None:
        """Disconnect the clients of the test, and end what it has entered."""
        await self._test.aclose()

    def close(self) -> None:
        """Stop the servers and the event loop."""

        async def stop() -> None:
            for server in list(self.servers):
                await self.remove(server)

        try:
            self.run(stop())
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()


async def _echo(sid: str, *args: Any) -> tuple[Any, ...]:
    return args


class UnresponsiveServer:
    """A server of the cluster that can be stopped in the middle of whatever it does.

    It has an event loop and a thread of its own. Nobody closes its connections.

    Args:
        new_server: See :class:`Cluster`.
    """

    def __init__(self, new_server: NewServer) -> None:
        self._new_server = new_server
        self._loop = new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: None)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._go_on = threading.Event()
        self._running: RunningServer | None = None

    async def __aenter__(self) -> UnresponsiveServer:
        self._thread.start()
        await self._run(self._start())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.go_on()
        try:
            await self._run(self._end())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            await asyncio.to_thread(self._thread.join)
            self._loop.close()

    async def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return await within(asyncio.wrap_future(future), TIMEOUT)

    async def _start(self) -> None:
        self.server = self._new_server()
        for namespace in NAMESPACES:
            self.server.on("echo", _echo, namespace=namespace)
        self._running = await serve(self.server, "127.0.0.1", 0)
        self._connection = Connection(self.server)
        await self._connection.__aenter__()
        self.client = await self._connection.join()

    async def _end(self) -> None:
        await self._connection.close()
        if self._running is not None:
            await self._running.close()

    def stop(self) -> None:
        """Block its event loop, as a process that is stopped or hangs."""
        self._go_on.clear()
        self._loop.call_soon_threadsafe(self._go_on.wait)

    def go_on(self) -> None:
        """End :meth:`stop`."""
        self._go_on.set()


class WebSocket:
    """A client that sees which messages were compressed.

    Args:
        port: The port of the server.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> WebSocket:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port
        )
        key = base64.b64encode(os.urandom(16)).decode()
        self._writer.write(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
            "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n".encode()
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        await self.next()
        # One masked frame, with a mask of zeros: "40", CONNECT.
        self._writer.write(b"\x81\x82\x00\x00\x00\x0040")
        await self.next()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def next(self) -> tuple[bool, bytes]:
        """Whether the next message is compressed, and its payload."""
        return await within(self._next(), TIMEOUT)

    async def _next(self) -> tuple[bool, bytes]:
        first, length = await self._reader.readexactly(2)
        if length >= 126:
            size = 2 if length == 126 else 8
            raw = await self._reader.readexactly(size)
            (length,) = struct.unpack(">H" if size == 2 else ">Q", raw)
        return bool(first & 0x40), await self._reader.readexactly(length)


class PollingClient:
    """A client by long-polling: it only receives when it is told to.

    Args:
        port: The port of the server.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._path = "/socket.io/?EIO=4&transport=polling"

    async def __aenter__(self) -> PollingClient:
        opened = await self._request("GET")
        sid = opened.partition('"sid":"')[2].partition('"')[0]
        self._path += f"&sid={sid}"
        await self._request("POST", "40")
        await self.receive()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._request("POST", "1")

    async def receive(self) -> str:
        """The payload that the server has, or will have, for the client."""
        return await self._request("GET")

    async def _request(self, method: str, body: str = "") -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = f"{method} {self._path} HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body.encode())
        try:
            response = await within(reader.read(), TIMEOUT)
        finally:
            writer.close()
        status, _, rest = response.partition(b"\r\n\r\n")
        assert b" 200 " in status.partition(b"\r\n")[0], response
        return rest.decode()
