"""Requests whose session another worker has, as hosts see them.

A host has parsed the request, and writes the response. So what goes to the other worker
is the request, with one end of a pair of sockets, by which its body follows and the
response comes back; or the messages of a WebSocket. If the host lets go of the
connection of a WebSocket, that goes as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.http.request import Request, make_request
from socketio_fast.cluster.channel import Channel, Part, body_frames
from socketio_fast.cluster.frames import Kind, frame, split_head, with_head
from socketio_fast.cluster.links import OutgoingLink
from socketio_fast.coroutines import within
from socketio_fast.exceptions import ProtocolError

__all__ = [
    "OtherWorker",
    "RemoteExchange",
    "RemoteWebSocket",
    "address_of",
    "read_request",
]

# Seconds that the other worker has for everything but a GET, which waits for a message:
# those in which a client has to send the body of a request.
PATIENCE = 300.0
# Seconds in which the other worker must accept a WebSocket: as picows has.
HANDSHAKE_TIMEOUT = 20.0
# Seconds by which this worker waits longer than the other one has to wait.
SLACK = 5.0

# Bytes of messages that wait until the host takes them; nothing is read with more.
HIGH = 65536

# Names of counters, see docs/scaling.md.
RELAYED = "requests_relayed_to_workers"
REFUSED = "requests_refused_by_workers"

JSON = b"application/json"
TEXT = b"text/plain; charset=UTF-8"

# As after a restart: the client connects again.
UNKNOWN = b'{"code":1,"message":"Session ID unknown"}'

GOING_AWAY = 1001


def address_of(given: Any) -> Any:
    """An address, of which JSON has made a list."""
    return tuple(given) if isinstance(given, list) else given


def _named(address: Any) -> Any:
    """An address for JSON; those of Unix sockets say nothing."""
    return address if isinstance(address, tuple) else None


def read_request(payload: bytes) -> tuple[Request, dict[str, Any]]:
    """The request of a frame, and what else is said of it: ``"websocket"`` is whether
    it asks for one, ``"returning"`` the namespace and the pid of a client that comes
    back, or ``None``.

    Raises:
        ValueError: It is none.
    """
    head, data = split_head(payload)
    lines = data.split(b"\r\n")[:-1]
    request = make_request(
        head["method"],
        head["target"].encode("latin-1"),
        [
            (name, value.strip(b" \t"))
            for name, _, value in (line.partition(b":") for line in lines)
        ],
        client_address=address_of(head["client"]),
        server=address_of(head["server"]),
        scheme=head["scheme"],
        http_version=head["version"],
        webtransport=head["webtransport"],
    )
    return request, head


def _request_payload(
    request: Request, websocket: bool, returning: tuple[str, str] | None
) -> bytes:
    head = {
        "websocket": websocket,
        "returning": returning,
        "method": request.method,
        "target": request.target.decode("latin-1"),
        "client": _named(request.client_address),
        "server": _named(request.server),
        "scheme": request.scheme,
        "version": request.http_version,
        "webtransport": request.webtransport,
    }
    return with_head(head, request.lines)


class OtherWorker:
    """Another worker, which has the session of a request.

    Args:
        engine: The engine of this worker.
        loop: Its event loop.
        link: To the other one.
    """

    def __init__(
        self, engine: Engine, loop: asyncio.AbstractEventLoop, link: OutgoingLink
    ) -> None:
        self.engine = engine
        self.loop = loop
        self.link = link

    def exchange(self, request: Request, answer: Callable[..., None]) -> RemoteExchange:
        """Have a request answered there; see ``ForeignExchange`` of the core."""
        return RemoteExchange(self, request, answer)

    async def websocket(self, request: Request) -> RemoteWebSocket:
        """Have a WebSocket served there; see ``ForeignWebSocket`` of the core."""
        websocket = RemoteWebSocket(self)
        await websocket.open(request)
        return websocket

    def relay(
        self,
        request: Request,
        websocket: bool,
        received: Callable[[int, bytes], None],
        ended: Callable[[], None],
        returning: tuple[str, str] | None = None,
    ) -> Channel | None:
        """Send a request there; returns the channel of its response, ``None`` if the
        other worker does not read, or descriptors have run out."""
        self.engine.counters[RELAYED] += 1
        try:
            ours, theirs = socket.socketpair()
        except OSError:
            self.engine.counters[REFUSED] += 1
            return None
        data = frame(Kind.REQUEST, _request_payload(request, websocket, returning))
        if not self.link.send_descriptor(
            data, theirs.fileno(), lambda has_left: theirs.close()
        ):
            self.engine.counters[REFUSED] += 1
            ours.close()
            theirs.close()
            return None
        return Channel(self.loop, ours, received, ended)


class RemoteExchange:
    """One request, as ``ForeignExchange`` of the core.

    Args:
        owner: Who has its session.
        request: The request, without its body.
        answer: Called once with the status, the header pairs and the body.
    """

    def __init__(
        self, owner: OtherWorker, request: Request, answer: Callable[..., None]
    ) -> None:
        self._owner = owner
        self._request = request
        self._answer: Callable[..., None] | None = answer
        self._channel: Channel | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._head: Any = None
        self._body: list[bytes] = []

    def begin(self) -> bool:
        """Send the request. Returns whether its body must be read and given to
        ``finish()``."""
        engine = self._owner.engine
        self._channel = self._owner.relay(
            self._request, False, self._received, self._ended
        )
        if self._channel is None:
            self._respond(503, TEXT, b"The worker that has this session does not read")
            return False
        if self._request.method == "POST":
            return True
        self._expect(engine.ping_interval + engine.ping_timeout + SLACK)
        return False

    def finish(self, body: bytes) -> None:
        """The body of the request has come completely."""
        if self._channel is not None:
            self._channel.send(body_frames(body))
            self._expect(PATIENCE)

    def lost(self) -> None:
        """The connection was lost before the response was sent."""
        self._answer = None
        self._end()

    def _expect(self, seconds: float) -> None:
        if self._answer is not None:
            self._timer = self._owner.loop.call_later(seconds, self._overdue)

    def _overdue(self) -> None:
        self._respond(504, TEXT, b"The worker that has this session does not answer")

    def _received(self, kind: int, payload: bytes) -> None:
        if kind == Part.HEAD:
            self._head = json.loads(payload)
        elif kind == Part.BODY:
            self._body.append(payload)
        else:
            status, headers = self._head
            pairs = [
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in headers
            ]
            self._tell(status, pairs, b"".join(self._body))

    def _ended(self) -> None:
        self._respond(400, JSON, UNKNOWN)

    def _respond(self, status: int, content_type: bytes, body: bytes) -> None:
        length = b"%d" % len(body)
        self._tell(
            status,
            [
                (b"content-type", content_type),
                (b"content-length", length),
                (b"cache-control", b"no-store"),
            ],
            body,
        )

    def _tell(self, *answer: Any) -> None:
        tell, self._answer = self._answer, None
        self._end()
        if tell is not None:
            tell(*answer)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None


class RemoteWebSocket:
    """A WebSocket that a host speaks, or a WebTransport session, as
    ``ForeignWebSocket`` of the core.

    Args:
        owner: Who has its session.
    """

    def __init__(self, owner: OtherWorker) -> None:
        self._owner = owner
        self._loop = owner.loop
        self._channel: Channel | None = None
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._wake: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._queue: deque[str | bytes] = deque()
        self._size = 0
        #: The status of the response, 101 if the WebSocket is opened.
        self.status = 503
        #: The header pairs and the body of the response.
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b"The worker that has this session does not read"
        #: The subprotocol that the response chooses.
        self.subprotocol: str | None = None
        #: A future while nothing is to be received.
        self.room: asyncio.Future[None] | None = None
        #: Whether it closes when everything was taken, and the code.
        self.closing = False
        self.code: int | None = None

    async def open(
        self,
        request: Request,
        returning: tuple[str, str] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Send the request, and wait for its response.

        Args:
            request: The handshake.
            returning: The namespace and the pid of a client that comes back, for whom
                the other worker accepts a new session if it awaits that client.
            timeout: Seconds that the other worker has; ``None``: those of a WebSocket.
        """
        self._channel = self._owner.relay(
            request, True, self._received, self._ended, returning
        )
        if self._channel is None:
            return
        try:
            await within(
                self._accepted, HANDSHAKE_TIMEOUT if timeout is None else timeout
            )
        except asyncio.TimeoutError:
            self.status = 504
            self.body = b"The worker that has this session does not answer"
        except BaseException:
            self.lost()
            raise
        if self.status != 101:
            self.lost()

    def begin(self, wake: Callable[[], None]) -> None:
        """The host has accepted the client. ``wake()`` is called when ``take()`` has
        something to send."""
        self._wake = wake
        if self._queue or self.closing:
            wake()

    def receive(self, data: str | bytes) -> None:
        """A message has come."""
        channel = self._channel
        if channel is None or self.closing:
            return
        if isinstance(data, str):
            channel.send(frame(Part.TEXT, data.encode()))
        else:
            channel.send(frame(Part.BINARY, bytes(data)))
        if channel.unsent > HIGH and self.room is None:
            engine = self._owner.engine
            self.room = self._loop.create_future()
            channel.on_room = self._let_in
            self._timer = self._loop.call_later(
                engine.ping_interval + engine.ping_timeout + SLACK, self._ended
            )

    def fail(self, exc: Exception) -> None:
        """The client has broken a rule of the protocol: its session is closed there."""
        if self._channel is not None and not self.closing:
            code = exc.code if isinstance(exc, ProtocolError) else None
            told = json.dumps([str(exc), code]).encode()
            self._channel.send(frame(Part.FAILURE, told))

    def go_away(self) -> None:
        """This worker stops: the client is to come again, to another one."""
        self._close(GOING_AWAY)

    def take(self) -> str | bytes | None:
        """The next message to send; ``None``: there is none at the moment."""
        if not self._queue:
            return None
        message = self._queue.popleft()
        self._size -= len(message)
        if self._size <= HIGH and self._channel is not None:
            self._channel.resume()
        return message

    def lost(self) -> None:
        """The connection was lost, or is being closed."""
        self.closing = True
        self._wake = None
        self._queue.clear()
        self._let_in()
        if self._channel is not None:
            self._channel.finish()

    def _received(self, kind: int, payload: bytes) -> None:
        if kind == Part.HEAD:
            self.status, headers, self.subprotocol = json.loads(payload)
            self.headers = [
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in headers
            ]
            self.body = b""
            if self.status == 101:
                self._accept()
        elif kind == Part.BODY:
            self.body += payload
        elif kind == Part.END:
            self._accept()
        elif kind == Part.CLOSE:
            self._close(json.loads(payload))
        else:
            self._queue.append(payload.decode() if kind == Part.TEXT else payload)
            self._size += len(payload)
            if self._size > HIGH and self._channel is not None:
                self._channel.pause()
            if self._wake is not None:
                self._wake()

    def _accept(self) -> None:
        with contextlib.suppress(asyncio.InvalidStateError):
            self._accepted.set_result(None)

    def _ended(self) -> None:
        if not self._accepted.done():
            self.status = 400
            self.headers = [(b"content-type", JSON)]
            self.body = UNKNOWN
            self._accept()
        self._close(GOING_AWAY)

    def _close(self, code: int | None) -> None:
        if not self.closing:
            self.closing = True
            self.code = code
            self._let_in()
            if self._wake is not None:
                self._wake()

    def _let_in(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        room, self.room = self.room, None
        if room is not None and not room.done():
            room.set_result(None)
