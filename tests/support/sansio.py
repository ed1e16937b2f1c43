"""Bytes in, bytes out: a loop whose clock stands still, a wire instead of a socket.

Everything is the real thing but these two: nothing here waits, and nothing happens
unless a test makes it happen.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import socketio_fast
from socketio_fast._core.engine.contracts import Transport
from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.engine.message_handlers import Callbacks
from socketio_fast._core.engine.payload_transport import PayloadTransport
from socketio_fast._core.engine.session import Session
from socketio_fast._core.http import websocket
from socketio_fast._core.http.endpoint import Endpoint, OtherServer
from socketio_fast._core.http.http1 import Http1Connection
from socketio_fast._core.protocol.outgoing import Outgoing
from socketio_fast._core.testing import receive, render_packets
from socketio_fast.options.config import EngineConfig
from socketio_fast.serving.access_log import AccessLog
from support.raw import (
    BINARY,
    CLOSE,
    TEXT,
    close_frame,
    frame,
    request,
    upgrade_request,
)

T = TypeVar("T")

# Seconds that pass at once: what is to be read apart is written so much later.
MOMENT = 0.001

PEER, SERVER = ("192.0.2.7", 4321), ("127.0.0.1", 5000)


class Loop:
    """What the core asks of an event loop. Time passes by `advance()` alone.

    It counts as running from when it is made: Python 3.14 knows the current task of a
    running loop alone. `tests/conftest.py` ends that with the test.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.ready: deque[tuple[Callable[..., Any], tuple[Any, ...], Any]] = deque()
        self.timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self.wakes = 0  # timers that fired
        self.closed = False
        self._numbers = itertools.count()
        if asyncio._get_running_loop() is None:
            asyncio._set_running_loop(self)  # type: ignore[arg-type]

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self.closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        # A test may leave handlers waiting: they go with its loop.
        if context["message"] != "Task was destroyed but it is pending!":
            raise AssertionError(context) from context.get("exception")

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)  # type: ignore[arg-type]

    def create_task(self, coro: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self)  # type: ignore[arg-type]

    def call_soon(
        self, call: Callable[..., Any], *args: Any, context: Any = None
    ) -> None:
        self.ready.append((call, args, context))

    def call_at(
        self, when: float, call: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, call, args, self, context)  # type: ignore[arg-type]
        heapq.heappush(self.timers, (when, next(self._numbers), handle))
        return handle

    def call_later(
        self, delay: float, call: Any, *args: Any, context: Any = None
    ) -> Any:
        if delay <= MOMENT:
            return self.call_soon(call, *args, context=context)
        return self.call_at(self.now + delay, call, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    @contextmanager
    def running(self) -> Iterator[None]:
        before = asyncio._get_running_loop()
        # That of the test: since Python 3.14, a thread has one for all its loops.
        task = None
        if before is not None and before is not self:
            task = asyncio.current_task(before)
        if task is not None:
            asyncio._leave_task(before, task)  # type: ignore[arg-type]
        asyncio._set_running_loop(self)  # type: ignore[arg-type]
        try:
            yield
        finally:
            asyncio._set_running_loop(before)
            if task is not None:
                asyncio._enter_task(before, task)  # type: ignore[arg-type]

    def turn(self) -> None:
        """Pass until nothing is ready."""
        with self.running():
            while self.ready:
                call, args, context = self.ready.popleft()
                if context is None:
                    call(*args)
                else:
                    context.run(call, *args)

    def armed(self) -> list[float]:
        """When timers are set for."""
        return sorted(when for when, _, h in self.timers if not h.cancelled())

    def advance(self, seconds: float) -> None:
        """Let time pass, and what is due happen at its time."""
        self.turn()
        until = self.now + seconds
        while self.timers and self.timers[0][0] <= until:
            when, _, handle = heapq.heappop(self.timers)
            if not handle.cancelled():
                self.now = max(self.now, when)
                self.wakes += 1
                with self.running():
                    handle._run()
                self.turn()
        self.now = until


class Recorder(Transport):
    """A transport that notes what session asks of it."""

    def __init__(self, name: str = "polling") -> None:
        self.name = name
        self.calls: list[str] = []
        self.sent: list[bytes] = []
        self.codes: list[int | None] = []
        self.undelivered: list[Outgoing] = []
        self.waiting = 0
        self.ends_at_once = False

    def send(self, m: Outgoing) -> int:
        self.sent.append(render_packets(m))
        return 0

    def flush(self) -> int:
        self.calls.append("flush")
        return 0

    def close(self) -> int:
        self.calls.append("close")
        return 0

    def abort(self, code: int | None) -> int:
        self.calls.append("abort")
        self.codes.append(code)
        self.session = None
        return 0

    def refuse(self) -> int:
        self.calls.append("refuse")
        return 0

    def release(self) -> int:
        self.calls.append("release")
        return 0

    def handover(self) -> list[Outgoing]:
        self.calls.append("handover")
        return self.undelivered

    def buffered(self) -> int:
        return self.waiting


class PollingRecorder(Recorder, PayloadTransport):
    """A Recorder that stands for long-polling."""


class Wire:
    """An asyncio transport: what the protocol writes, and when it closes."""

    #: What arrives lies in a buffer, as with `SocketTransport`; else it comes as bytes.
    in_place = False

    def __init__(self, loop: Loop, protocol: Any, peer: Any = PEER) -> None:
        self.loop = loop
        self.protocol = protocol
        self.peer = peer
        self.written = bytearray()
        self.writes = 0
        self.pieces: list[bytes] = []  # the beginning of each write
        self.closed = self.aborted = self.lost = self.eof = False
        self.reading = True
        self.holds = 0  # bytes that the kernel did not take
        self.full = False  # the kernel takes nothing of what is written
        with loop.running():
            protocol.connection_made(self)

    # For the protocol.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": self.peer, "sockname": SERVER}.get(name, default)

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: Any = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.holds

    def write(self, data: bytes) -> None:
        assert not self.closed, f"{bytes(data)!r} written behind the end"
        self.writes += 1
        self.pieces.append(bytes(data[:500]))
        self.written += data
        if self.full:
            self.holds += len(data)
            if self.holds == len(data):
                self.protocol.pause_writing()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            if not self.holds:
                self.loop.call_soon(self.lose)

    def abort(self) -> None:
        self.aborted = self.closed = True
        self.loop.call_soon(self.lose)

    # For the test.

    def lose(self) -> None:
        """The connection is gone."""
        if not self.lost:
            self.closed = self.lost = True
            with self.loop.running():
                self.protocol.connection_lost(None)

    def feed(self, data: bytes | bytearray) -> None:
        """Bytes arrive, in one read; then the loop passes."""
        with self.loop.running():
            while data and not self.lost:
                if hasattr(self.protocol, "get_buffer"):
                    buffer = self.protocol.get_buffer(len(data))
                    count = min(len(buffer), len(data))
                    buffer[:count] = data[:count]
                    self.protocol.buffer_updated(count)
                    data = data[count:]
                elif self.in_place and isinstance(
                    self.protocol, (Http1Connection, websocket.WebSocket)
                ):
                    receive(self.protocol, bytes(data))
                    data = b""
                else:
                    self.protocol.data_received(data)
                    data = b""
        self.loop.turn()

    def drain(self) -> None:
        """The kernel takes what it did not take before."""
        if self.holds:
            self.holds = 0
            with self.loop.running():
                self.protocol.resume_writing()
        self.loop.turn()

    def take(self) -> bytes:
        """What was written since the last time."""
        self.loop.turn()
        data = bytes(self.written)
        self.written.clear()
        return data


class Http:
    """A client's HTTP connection."""

    def __init__(self, server: Server, **options: Any) -> None:
        with server.loop.running():
            protocol = Http1Connection(server.endpoint)
        self.server = server
        self.wire = Wire(server.loop, protocol, **options)

    def send(self, data: bytes) -> None:
        self.wire.feed(data)

    def responses(self) -> list[tuple[int, dict[str, str], bytes]]:
        """Those that came since the last time."""
        data, found = self.wire.take(), []
        while data:
            head, blank, data = data.partition(b"\r\n\r\n")
            assert blank, f"{head!r} has no end"
            lines = head.decode("latin-1").split("\r\n")
            fields = [line.partition(": ") for line in lines[1:]]
            headers = {name.lower(): value for name, _, value in fields}
            size = int(headers.get("content-length", "0"))
            assert len(data) >= size
            found.append((int(lines[0].split()[1]), headers, data[:size]))
            data = data[size:]
        return found

    def response(self) -> tuple[int, dict[str, str], bytes]:
        """The one that came."""
        (response,) = self.responses()
        return response

    def get(self, target: str, *headers: tuple[str, str]) -> tuple[int, bytes]:
        self.send(request("GET", target, headers=headers))
        status, _, body = self.response()
        return status, body

    def post(self, target: str, body: bytes | str) -> tuple[int, bytes]:
        self.send(request("POST", target, body))
        status, _, answer = self.response()
        return status, answer


class WebSocket(Http):
    """A client's WebSocket, after its handshake."""

    def __init__(self, server: Server, sid: str | None = None, **options: Any) -> None:
        super().__init__(server, **options)
        self.code: int | None = None  # of the close frame, 0 for one without
        self.rest = b""
        self.send(upgrade_request(server.target("websocket", sid)))
        head, _, self.rest = self.wire.take().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head

    def text(self, data: str | bytes) -> None:
        self.send(frame(TEXT, data))

    def binary(self, data: bytes) -> None:
        self.send(frame(BINARY, data))

    def messages(self) -> list[str | bytes]:
        """Those that came since the last time."""
        data, found = self.rest + self.wire.take(), []
        self.rest = b""
        while data:
            assert data[0] & 0x80, "a fragment"
            opcode, size, offset = data[0] & 0x0F, data[1], 2
            if size == 126:
                size, offset = int.from_bytes(data[2:4], "big"), 4
            elif size == 127:
                size, offset = int.from_bytes(data[2:10], "big"), 10
            payload, data = data[offset : offset + size], data[offset + size :]
            assert self.code is None, f"{payload!r} behind a close frame"
            if opcode == CLOSE:
                self.code = int.from_bytes(payload[:2], "big")
            else:
                found.append(payload.decode() if opcode == TEXT else payload)
        return found

    def ended(self) -> bool:
        """The server has ended it."""
        self.messages()
        return self.code is not None or self.wire.closed

    def leave(self) -> None:
        """The client closes."""
        self.send(close_frame(1000))


class Fallback(OtherServer):
    """Answers requests to other paths by a function."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        super().__init__()
        self._answer = answer

    async def handle(self, request: Any) -> Any:
        return await self._answer(request)


class Server:
    """A server on a `Loop`."""

    def __init__(
        self,
        app: socketio_fast.AsyncServer | socketio_fast.engineio.AsyncServer,
        loop: Loop | None = None,
        fallback: Callable[[Any], Any] | None = None,
        other: OtherServer | None = None,
        access_log: logging.Logger | None = None,
        **options: Any,
    ) -> None:
        self.app = app
        self.loop = loop or Loop()
        app.bind(self.loop)  # type: ignore[arg-type]
        eio = app.eio if isinstance(app, socketio_fast.AsyncServer) else app
        self.engine = eio.engine
        self.path = app.default_path
        if fallback is not None:
            other = Fallback(fallback)
        log = None if access_log is None else AccessLog(access_log)
        self.endpoint = Endpoint(
            self.engine,
            self.loop,
            self.path,
            other,
            log,
            **options,  # type: ignore[arg-type]
        )

    def target(self, transport: str, sid: str | None = None, more: str = "") -> str:
        query = f"{self.path}?EIO=4&transport={transport}{more}"
        return query if sid is None else f"{query}&sid={sid}"

    def http(self, **options: Any) -> Http:
        return Http(self, **options)

    def websocket(self, **options: Any) -> WebSocket:
        """A new session's, after its open packet."""
        client = WebSocket(self, **options)
        (packet,) = client.messages()
        assert isinstance(packet, str)
        assert packet[0] == "0"
        return client

    def polling(self) -> tuple[Http, str]:
        """A new session's, after its open packet: a connection, and the sid."""
        http = self.http()
        status, body = http.get(self.target("polling"))
        assert status == 200, body
        return http, json.loads(body[1:])["sid"]

    def joined(self, namespace: str = "/") -> tuple[WebSocket, str]:
        """A client of Socket.IO in a namespace, and its sid there."""
        client = self.websocket()
        return client, join(client, namespace)


def join(client: WebSocket, namespace: str = "/") -> str:
    """Connect to a namespace and be accepted: the sid."""
    prefix = "40" if namespace == "/" else f"40{namespace},"
    client.text(prefix)
    (packet,) = client.messages()
    assert isinstance(packet, str)
    assert packet.startswith(prefix + "{"), packet
    sid = json.loads(packet[len(prefix) :])["sid"]
    assert isinstance(sid, str)
    return sid


def make_engine(
    loop: Loop | None = None, *, ordered: bool = False, **options: Any
) -> tuple[Engine, Callbacks, Loop]:
    """An engine of its own, with ids 1, 2, 3, …"""
    loop = loop or Loop()
    logger = logging.getLogger("socketio_fast.engineio")
    callbacks = Callbacks(logger=logger, ordered=ordered)
    numbers = itertools.count(1)
    engine = Engine(EngineConfig(**options), callbacks, logger)
    engine.generate_by(lambda: str(next(numbers)))
    engine.bind(loop)  # type: ignore[arg-type]
    callbacks.bind(engine)
    return engine, callbacks, loop


def open_session(
    engine: Engine, name: str = "polling", request: Any = None
) -> tuple[Session, Recorder]:
    transport = (PollingRecorder if name == "polling" else Recorder)(name)
    return engine.open_session(transport, request), transport


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine that does not suspend returns."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it has suspended")


def errors(caplog: Any) -> list[str]:
    """What was logged as an error or worse."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
