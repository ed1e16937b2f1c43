"""A host of requests that other workers relay: this worker has their sessions."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from socketio_fast._core.http.exchange import Body
from socketio_fast._core.http.request import Request
from socketio_fast.cluster.channel import Channel, Part, body_frames
from socketio_fast.cluster.elsewhere import HIGH, REFUSED, read_request
from socketio_fast.cluster.frames import Kind, frame
from socketio_fast.cluster.links import DescriptorLostError
from socketio_fast.cluster.mesh import Mesh
from socketio_fast.exceptions import ProtocolError
from socketio_fast.hosting.common import (
    EnvironSource,
    Sender,
    exchange,
    open_websocket,
)
from socketio_fast.hosting.contracts import HostedEngine

__all__ = ["RelayedRequests"]

# The name of a counter, see docs/scaling.md.
TAKEN = "requests_relayed_by_workers"


class RelayedRequests:
    """Answers the requests that other workers relay.

    Args:
        mesh: The workers.
        eio: The server, whose sessions this worker has.
    """

    def __init__(self, mesh: Mesh, eio: HostedEngine) -> None:
        self._eio = eio
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        #: Whether a client may be recovered here, by its namespace and its pid.
        self.awaits: Callable[[str, str], bool] = lambda namespace, pid: False
        mesh.receive(Kind.REQUEST, self._take)

    def close(self) -> None:
        """Answer none of them any more."""
        for task in list(self._tasks):
            task.cancel()

    def _take(self, tag: str, payload: bytes, descriptor: Callable[[], int]) -> None:
        try:
            sock = socket.socket(fileno=descriptor())
        except DescriptorLostError:
            self._eio.engine.counters[REFUSED] += 1
            raise
        try:
            request, head = read_request(payload)
            returning = head["returning"]
            refused = returning is not None and not self.awaits(*returning)
        except BaseException:
            sock.close()
            raise
        self._eio.engine.counters[TAKEN] += 1
        serve = _serve_websocket if head["websocket"] else _answer
        if refused:
            serve = _refuse
        requester = _Requester(self._loop, sock)
        task = self._loop.create_task(serve(self._eio, request, requester))
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            # Also of a task that was cancelled before it has begun.
            requester.channel.finish()

        task.add_done_callback(done)


class _Requester:
    """The worker that has relayed a request.

    Args:
        loop: The event loop.
        sock: The socket of the request.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self._parts: deque[tuple[int, bytes]] = deque()
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        #: Is done when the other worker sends nothing more: the client has gone.
        self.gone: asyncio.Future[None] = loop.create_future()
        self.channel = Channel(loop, sock, self._received, self.end)
        self.channel.on_room = self._let_on

    def end(self) -> None:
        """Nothing more is received, nor waited for."""
        if not self.gone.done():
            self.gone.set_result(None)
        self._wake()
        self._let_on()

    async def receive(self) -> tuple[int, bytes] | None:
        """The next part; ``None`` if there is none any more."""
        while not self._parts:
            if self.gone.done():
                return None
            self._waiter = self._loop.create_future()
            await self._waiter
        kind, payload = self._parts.popleft()
        self._size -= len(payload)
        if self._size <= HIGH:
            self.channel.resume()
        return kind, payload

    async def send(self, data: bytes) -> None:
        """Send frames, and wait while the other worker does not read."""
        self.channel.send(data)
        if self.channel.unsent > HIGH:
            self._room = self._loop.create_future()
            await self._room

    async def read(self, body: Body, limit: int) -> bool:
        """Read the body of the request; False if the client has gone."""
        while body.size <= limit:
            part = await self.receive()
            if part is None:
                return False
            kind, payload = part
            if kind == Part.END:
                break
            body.add(payload)
        return True

    def watch(self) -> AbstractContextManager[asyncio.Future[Any]]:
        """See ``exchange()``."""
        return nullcontext(self.gone)

    def _received(self, kind: int, payload: bytes) -> None:
        self._parts.append((kind, payload))
        self._size += len(payload)
        if self._size > HIGH:
            self.channel.pause()
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _let_on(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)


def _texts(headers: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in headers
    ]


async def _answer(eio: HostedEngine, request: Request, requester: _Requester) -> None:
    answer = await exchange(
        eio, request, EnvironSource(request, {}), requester.read, requester.watch
    )
    if answer is not None:
        status, headers, body = answer
        head = json.dumps([status, _texts(headers)]).encode()
        requester.channel.send(frame(Part.HEAD, head) + body_frames(body))


async def _refuse(eio: HostedEngine, request: Request, requester: _Requester) -> None:
    """This worker does not await the client."""
    requester.channel.send(
        frame(Part.HEAD, json.dumps([404, [], None]).encode()) + body_frames(b"")
    )


async def _serve_websocket(
    eio: HostedEngine, request: Request, requester: _Requester
) -> None:
    async def send(message: str | bytes) -> None:
        if isinstance(message, str):
            await requester.send(frame(Part.TEXT, message.encode()))
        else:
            await requester.send(frame(Part.BINARY, message))

    async def close(code: int | None) -> None:
        requester.channel.send(frame(Part.CLOSE, json.dumps(code).encode()))
        requester.end()

    websocket = await open_websocket(eio, request, EnvironSource(request, {}))
    head = [websocket.status, _texts(websocket.headers), websocket.subprotocol]
    requester.channel.send(frame(Part.HEAD, json.dumps(head).encode()))
    if websocket.status != 101:
        requester.channel.send(body_frames(websocket.body or b""))
        return
    sender = Sender(websocket, send, close)
    try:
        while True:
            if websocket.room is not None:
                await websocket.room
            part = await requester.receive()
            if part is None:
                return
            kind, payload = part
            if kind == Part.FAILURE:
                websocket.fail(ProtocolError(*json.loads(payload)))
            else:
                websocket.receive(payload.decode() if kind == Part.TEXT else payload)
    finally:
        sender.end()
