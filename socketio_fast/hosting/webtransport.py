"""WebTransport: Engine.IO over HTTP/3, by aioquic.

A client opens a session by a CONNECT request, and in it one bidirectional stream, whose
first packet says what the query of other transports says. From there on the session is
to the engine a WebSocket that another server speaks.

aioquic holds back neither what is written to a stream nor what comes by it: how much of
each waits is looked at here, at attributes that have no public names.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

try:
    from aioquic.asyncio.protocol import QuicConnectionProtocol
    from aioquic.asyncio.server import QuicServer
    from aioquic.h3.connection import H3_ALPN, H3Connection
    from aioquic.h3.events import (
        DataReceived,
        H3Event,
        HeadersReceived,
        WebTransportStreamDataReceived,
    )
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import QuicConnection
    from aioquic.quic.events import (
        ConnectionTerminated,
        HandshakeCompleted,
        QuicEvent,
        StreamReset,
    )
except ImportError as exc:
    raise ImportError(
        'WebTransport is served by aioquic: pip install "socketio-fast[webtransport]"'
    ) from exc

from socketio_fast._core.http.cors import origin_accepted
from socketio_fast._core.http.foreign import ForeignWebSocket
from socketio_fast._core.http.request import Request, make_request
from socketio_fast.coroutines import within
from socketio_fast.exceptions import ProtocolError
from socketio_fast.hosting.common import CLOSE_TIMEOUT, Sender, ask
from socketio_fast.hosting.contracts import HostedEngine
from socketio_fast.hosting.webtransport_frames import FrameDecoder, encode_frame
from socketio_fast.options.logs import escaped

__all__ = ["WebTransportServer"]

logger = logging.getLogger("socketio_fast.webtransport")

# Bytes that a client may send before it gets credit for more, and bytes that may be on
# their way to it.
WINDOW = 256 * 1024
# Seconds for a client to close a session whose stream the server has ended. The server
# does not close it at once, because a browser drops what it has not read by then.
LINGER = 1.0
# Seconds, at least, after which a silent connection is taken for gone.
IDLE_TIMEOUT = 60.0
# Bytes of a stream before a session is open: {"sid": ...}.
OPEN_PACKET = 1024
# The capsule that ends a session, its type as a variable-length integer.
CLOSE_SESSION = b"\x68\x43"
# Error codes of HTTP/3 (RFC 9114) and of WebTransport for streams without a session.
REQUEST_REJECTED = 0x010B
BUFFERED_STREAM_REJECTED = 0x3994BD84

# Parameters that the open packet has; in the query of the URL they are ignored.
HANDSHAKE_PARAMETERS = ("EIO", "transport", "sid")


class Window:
    """How far a client may send on a stream; it replaces aioquic's own account.

    That doubles with what was received, whether it has been taken or not.
    """

    class _Receiver:
        highest_offset = 0  # nothing to double for

    receiver = _Receiver()

    def __init__(self, stream_id: int, size: int) -> None:
        self.stream_id = stream_id
        self.max_stream_data_local = size
        self.max_stream_data_local_sent = size


class Session:
    """A WebTransport session, from its CONNECT request on.

    Args:
        connection: Its connection.
        session_id: The stream of the request.
        request: That request.
    """

    def __init__(
        self, connection: Connection, session_id: int, request: Request
    ) -> None:
        self.id = session_id
        self.stream_id: int | None = None
        self._connection = connection
        self._eio = connection.server.eio
        self._request = request
        self._decoder = FrameDecoder(OPEN_PACKET)
        self._websocket: ForeignWebSocket | None = None
        self._sender: Sender | None = None
        self._opening: asyncio.Task[None] | None = None
        self._ended = False
        self._over = asyncio.Event()  # ended
        self._delivered = asyncio.Event()  # some of what was sent
        self._timer = self._later(self._eio.config.upgrade_timeout)

    def _later(self, delay: float) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        return loop.call_later(delay, self.close, 408, "timeout")

    # Called by the connection.

    def receive(self, data: bytes) -> None:
        """Take bytes of the session's stream."""
        if not self._ended:
            self._decoder.feed(data)
            self._read()

    def delivered(self) -> None:
        """Note that the client may have acknowledged bytes."""
        self._delivered.set()

    def stop(self) -> None:
        """Note that the server stops: a session that is not open yet is refused."""
        if self._websocket is None:
            self.close(503, "the server stops")

    async def wait(self) -> None:
        """Wait until the session is over."""
        await self._over.wait()

    def end(self) -> None:
        """End the session: a side has closed it, or its connection is lost."""
        if self._ended:
            return
        self._ended = True
        self._timer.cancel()
        self._over.set()
        self._connection.forget(self)
        if self._opening is not None:
            self._opening.cancel()
        if self._sender is not None:
            self._sender.end()

    @property
    def full(self) -> bool:
        """Whether the client gets no more credit for now."""
        return self._websocket is None or self._websocket.room is not None

    # Reading.

    def _read(self) -> None:
        websocket = self._websocket
        try:
            if websocket is None:
                if self._opening is None:
                    self._read_open_packet()
                return
            while not self._ended and not websocket.closing:
                if websocket.room is not None:
                    websocket.room.add_done_callback(self._read_on)
                    return
                message = self._decoder.take()
                if message is None:
                    return
                websocket.receive(message)
        except ProtocolError as exc:
            if websocket is None:
                self._refuse(400, str(exc))
            else:
                websocket.fail(exc)

    def _read_on(self, room: asyncio.Future[Any]) -> None:
        if not self._ended:
            self._read()
            self._connection.transmit_soon()

    def _read_open_packet(self) -> None:
        packet = self._decoder.take()
        if packet is None:
            return
        sid = _sid_of(packet)
        self._timer.cancel()
        self._opening = asyncio.get_running_loop().create_task(self._open(sid))

    async def _open(self, sid: str | None) -> None:
        engine = self._eio.engine
        request = _handshake(self._request, sid)
        admission = await ask(engine, request, request, True)
        websocket = ForeignWebSocket(engine, request, request, admission)
        if websocket.status != 101:
            self._refuse(websocket.status, (websocket.body or b"").decode())
            return
        self._opening = None
        self._decoder.limit = self._eio.config.max_http_buffer_size
        self._websocket = websocket
        self._sender = Sender(websocket, self._send, self._close, self._closing)
        self._read()
        self._connection.transmit_soon()

    def _refuse(self, status: int, reason: str) -> None:
        logger.info(
            "%s: WebTransport refused: %s",
            self._request.client_address,
            escaped(reason),
        )
        self.close(status, reason)

    # Writing.

    async def _send(self, message: str | bytes) -> None:
        await self._room(WINDOW)
        if not self._ended:
            self._connection.write(self.stream_id, encode_frame(message))

    async def _room(self, limit: int) -> None:
        """Wait until at most this many bytes are on their way."""
        while not self._ended and self._connection.unread(self.stream_id) > limit:
            self._delivered.clear()
            await self._delivered.wait()

    def _closing(self) -> None:
        self._timer = self._later(CLOSE_TIMEOUT)

    async def _close(self, code: int | None) -> None:
        self._connection.write(self.stream_id, b"", end=True)
        await self._room(0)
        with suppress(asyncio.TimeoutError):
            await within(self.wait(), LINGER)
        self.close(code or 0)

    def close(self, code: int = 0, reason: str = "") -> None:
        """Close the session; the client drops what it has not read."""
        if not self._ended:
            self._connection.close_session(self, code, reason)
            self.end()


def _sid_of(packet: str | bytes) -> str | None:
    """The session that an open packet is to upgrade; ``None``: a new one.

    Raises:
        ProtocolError: It is no open packet.
    """
    if not isinstance(packet, str) or packet[0] != "0":
        raise ProtocolError("the first packet is no open packet")
    if packet == "0":
        return None
    try:
        sid = json.loads(packet[1:])["sid"]
    except (ValueError, TypeError, KeyError, RecursionError):
        sid = None
    if not isinstance(sid, str) or not sid:
        raise ProtocolError("the open packet has no sid")
    return sid


def _handshake(request: Request, sid: str | None) -> Request:
    """Makes one request of the CONNECT request and the open packet.

    Hooks, limits and handlers look at it as at the request of a WebSocket.
    """
    path, _, query = request.target.decode("latin-1").partition("?")
    parameters = [("EIO", "4"), ("transport", "webtransport")]
    if sid is not None:
        parameters.append(("sid", sid))
    parameters += [
        (name, value)
        for name, value in parse_qsl(query, keep_blank_values=True)
        if name not in HANDSHAKE_PARAMETERS
    ]
    return make_request(
        "GET",
        f"{path}?{urlencode(parameters)}".encode("latin-1"),
        request.headers,
        client_address=request.client_address,
        server=request.server,
        scheme="https",
        http_version="3",
        webtransport=True,
    )


class Connection(QuicConnectionProtocol):
    """A QUIC connection with HTTP/3 and its sessions."""

    def __init__(
        self, quic: QuicConnection, server: WebTransportServer, **options: Any
    ) -> None:
        super().__init__(quic, **options)
        self.server = server
        self._http = H3Connection(quic, enable_webtransport=True)
        self._sessions: dict[int, Session] = {}
        self._streams: dict[int, Session] = {}
        self._windows: dict[int, Window] = {}
        self._peer: Any = None  # the address of the client during the handshake
        self._confirmed = False
        self._grant = quic._write_stream_limits
        quic._write_stream_limits = self._limit_stream  # type: ignore[method-assign]

    # Called by sessions.

    def write(self, stream_id: int | None, data: bytes, end: bool = False) -> None:
        """Send bytes on a stream."""
        if stream_id in self._streams:
            self._quic.send_stream_data(stream_id, data, end)
            self.transmit_soon()

    def unread(self, stream_id: int | None) -> int:
        """Bytes of a stream that the client has not acknowledged."""
        stream = self._quic._streams.get(stream_id)  # type: ignore[arg-type]
        if stream is None:
            return 0
        return len(stream.sender._buffer)

    def transmit_soon(self) -> None:
        """Send all that waits, in the next pass of the loop."""
        self._transmit_soon()

    def close_session(self, session: Session, code: int, reason: str) -> None:
        """End a session, by a capsule on the stream of its request."""
        text = reason.encode()[:1024]
        value = code.to_bytes(4, "big") + text
        capsule = CLOSE_SESSION + (0x4000 | len(value)).to_bytes(2, "big") + value
        self._http.send_data(session.id, capsule, end_stream=True)
        if session.stream_id is not None:
            self._drop_stream(session.stream_id)
        self.transmit_soon()

    def forget(self, session: Session) -> None:
        """Forget a session that has ended."""
        self._sessions.pop(session.id, None)
        if session.stream_id is not None:
            self._streams.pop(session.stream_id, None)
            self._windows.pop(session.stream_id, None)
        self.server.sessions.discard(session)

    # Called by aioquic.

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        """Called by the event loop with a datagram of the client."""
        if self._peer is None:
            self._peer = addr
        elif addr != self._peer and not self._confirmed:
            # The whole handshake has to come from one address: a sender of datagrams
            # may write any address on them.
            return
        super().datagram_received(data, addr)
        for session in list(self._streams.values()):
            session.delivered()

    def quic_event_received(self, event: QuicEvent) -> None:
        """Called by aioquic with an event."""
        if isinstance(event, ConnectionTerminated):
            for session in list(self._sessions.values()):
                session.end()
            return
        if isinstance(event, HandshakeCompleted):
            self._confirmed = True
        if isinstance(event, StreamReset):
            ended = self._sessions.get(event.stream_id) or self._streams.get(
                event.stream_id
            )
            if ended is not None:
                ended.close()
        for happened in self._http.handle_event(event):
            self._http_event(happened)

    def _http_event(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            if event.stream_id not in self._sessions:
                self._request(event)
        elif isinstance(event, WebTransportStreamDataReceived):
            self._stream_data(event)
        elif isinstance(event, DataReceived) and event.stream_ended:
            session = self._sessions.get(event.stream_id)
            if session is not None:
                session.close()

    def _request(self, event: HeadersReceived) -> None:
        fields = dict(event.headers)
        request = make_request(
            "GET",
            fields.get(b":path", b"/"),
            _lines(fields, event.headers),
            client_address=_address(self._peer),
            server=self.server.address,
            scheme="https",
            http_version="3",
        )
        status = self._judge(fields, request)
        headers = [(b":status", b"%d" % status)]
        if status == 200:
            headers.append((b"sec-webtransport-http3-draft", b"draft02"))
            session = Session(self, event.stream_id, request)
            self._sessions[event.stream_id] = session
            self.server.sessions.add(session)
        else:
            logger.info(
                "%s %s: %d", request.client_address, escaped(request.path), status
            )
        self._http.send_headers(event.stream_id, headers, end_stream=status != 200)
        if event.stream_ended and status == 200:
            self._sessions[event.stream_id].close()

    def _judge(self, fields: dict[bytes, bytes], request: Request) -> int:
        server = self.server
        if (
            fields.get(b":method") != b"CONNECT"
            or fields.get(b":protocol") != b"webtransport"
            or not (request.path + "/").startswith(server.path)
        ):
            return 404
        if server.closing:
            return 503
        if not server.eio.config.has_webtransport:
            return 400
        # A request reads the proxies' headers once; the open packet makes another one.
        asked = _handshake(request, None)
        return 200 if origin_accepted(server.eio.engine, asked) else 403

    def _stream_data(self, event: WebTransportStreamDataReceived) -> None:
        session = self._sessions.get(event.session_id)
        bidirectional = event.stream_id % 4 == 0
        if session is not None and session.stream_id is None and bidirectional:
            session.stream_id = event.stream_id
            self._streams[event.stream_id] = session
            self._windows[event.stream_id] = Window(event.stream_id, WINDOW)
        if session is None or session.stream_id != event.stream_id:
            self._drop_stream(event.stream_id)
            return
        session.receive(event.data)
        if event.stream_ended:
            session.close()

    def _drop_stream(self, stream_id: int) -> None:
        if stream_id in self._quic._streams:
            self._quic.stop_stream(stream_id, BUFFERED_STREAM_REJECTED)
            if stream_id % 4 == 0:
                self._quic.reset_stream(stream_id, BUFFERED_STREAM_REJECTED)

    def _limit_stream(self, builder: Any, space: Any, stream: Any) -> None:
        """Send how far the client may send on a stream; replaces aioquic's method."""
        window = self._windows.get(stream.stream_id)
        if window is None:
            # Streams of requests and of HTTP/3 itself are short; others are refused.
            return
        received = stream.receiver.highest_offset
        if not self._streams[stream.stream_id].full and (
            received + WINDOW // 2 > window.max_stream_data_local
        ):
            window.max_stream_data_local = received + WINDOW
            stream.max_stream_data_local = window.max_stream_data_local
        self._grant(builder, space, window)  # type: ignore[arg-type]


def _lines(
    fields: dict[bytes, bytes], headers: Iterable[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """The header of a request, as HTTP/1.1 has it."""
    lines = [(name, value) for name, value in headers if not name.startswith(b":")]
    if b":authority" in fields and b"host" not in fields:
        lines.insert(0, (b"host", fields[b":authority"]))
    return lines


def _address(peer: Any) -> Any:
    return None if peer is None else tuple(peer[:2])


class WebTransportServer:
    """Serves WebTransport on a UDP port.

    Args:
        eio: The server.
        path: Where clients connect, with slashes around.
        certfile: A PEM file of the certificate chain.
        keyfile: The PEM file of its key, if that is not in the same.
        password: The password of the key.
    """

    def __init__(
        self,
        eio: HostedEngine,
        path: str,
        certfile: str | os.PathLike[str],
        keyfile: str | os.PathLike[str] | None,
        password: str | None,
    ) -> None:
        config = eio.config
        interval = cast(float, config.ping_interval) + config.ping_grace
        self._configuration = QuicConfiguration(
            alpn_protocols=H3_ALPN,
            is_client=False,
            idle_timeout=max(IDLE_TIMEOUT, interval + config.ping_timeout),
            max_stream_data=WINDOW,
            max_datagram_frame_size=65536,  # browsers want datagrams, nobody sends them
        )
        self._configuration.load_cert_chain(certfile, keyfile or certfile, password)
        self.eio = eio
        self.path = path
        self.address: Any = None
        self.closing = False
        self.sessions: set[Session] = set()
        self._servers: list[QuicServer] = []

    async def listen(self, beside: Iterable[Any]) -> None:
        """Listen on the addresses and port numbers of these TCP sockets.

        Raises:
            OSError: It cannot listen there.
        """
        loop = asyncio.get_running_loop()
        factory = partial(
            QuicServer,
            configuration=self._configuration,
            create_protocol=partial(Connection, server=self),
        )
        for listening in beside:
            address = listening.getsockname()
            sock = socket.socket(listening.family, socket.SOCK_DGRAM)
            try:
                if listening.family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setblocking(False)
                sock.bind(address)
                _, server = await loop.create_datagram_endpoint(factory, sock=sock)
            except BaseException:
                sock.close()
                self.close()
                raise
            self.address = address[:2]
            self._servers.append(server)

    async def wait_closed(self, timeout: float) -> None:
        """Accept no more sessions, and wait until all have ended or time is over."""
        self.closing = True
        for session in list(self.sessions):
            session.stop()
        over = [asyncio.ensure_future(session.wait()) for session in self.sessions]
        if over:
            await asyncio.wait(over, timeout=timeout)
            for waiting in over:
                waiting.cancel()

    def close(self) -> None:
        """Close every connection."""
        self.closing = True
        for session in list(self.sessions):
            session.close()
        for server in self._servers:
            server.close()
        self._servers.clear()
