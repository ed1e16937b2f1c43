"""WebTransport: Engine.IO over HTTP/3, by aioquic.

A client opens a session by a CONNECT request, and in it one bidirectional stream, whose
first packet says what the query of other transports says. From there on the session is
to the engine a WebSocket that another server speaks.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

# First: it says which extra is missing.
from socketio_fast.webtransport.streams import (
    LINGER,
    WINDOW,
    MessageStream,
    StreamConnection,
)

from aioquic.asyncio.server import QuicServer  # isort: skip
from aioquic.buffer import Buffer  # type: ignore[attr-defined]
from aioquic.h3.connection import H3_ALPN
from aioquic.h3.events import (
    DataReceived,
    H3Event,
    HeadersReceived,
    WebTransportStreamDataReceived,
)
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.crypto import (  # type: ignore[attr-defined]
    CryptoError,
    CryptoPair,
)
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
    StreamReset,
)
from aioquic.quic.packet import QuicHeader, QuicPacketType, pull_quic_header

from socketio_fast._core.http.cors import origin_accepted
from socketio_fast._core.http.request import Request, make_request
from socketio_fast.coroutines import within
from socketio_fast.exceptions import ProtocolError
from socketio_fast.hosting.common import (
    CLOSE_TIMEOUT,
    EnvironSource,
    Sender,
    open_websocket,
)
from socketio_fast.hosting.contracts import Datagrams, HostedEngine, HostedWebSocket
from socketio_fast.options.logs import escaped
from socketio_fast.webtransport.frames import encode_frame

__all__ = ["WebTransportServer"]

logger = logging.getLogger("socketio_fast.webtransport")

# Seconds, at least, after which a silent connection is taken for gone.
IDLE_TIMEOUT = 60.0
# Bytes of a stream before a session is open: {"sid": ...}.
OPEN_PACKET = 1024

# The packets that only a connection that is there can have.
OF_CONNECTIONS = (QuicPacketType.HANDSHAKE, QuicPacketType.ONE_RTT)

# Parameters that the open packet has; in the query of the URL they are ignored.
HANDSHAKE_PARAMETERS = ("EIO", "transport", "sid")


class Session(MessageStream):
    """A WebTransport session, from its CONNECT request on.

    Args:
        connection: Its connection.
        session_id: The stream of the request.
        request: That request.
    """

    def __init__(
        self, connection: Connection, session_id: int, request: Request
    ) -> None:
        super().__init__(connection, OPEN_PACKET)
        self.id = session_id
        self.connection: Connection = connection
        self._eio = connection.server.eio
        self._request = request
        self._websocket: HostedWebSocket | None = None
        self._sender: Sender | None = None
        self._opening: asyncio.Task[None] | None = None
        self._over = asyncio.Event()  # ended
        self._delivered = asyncio.Event()  # some of what was sent
        self._timer = self._later(self._eio.config.upgrade_timeout)

    def _later(self, delay: float) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        return loop.call_later(delay, self.close, 408, "timeout")

    # Called by the connection.

    def delivered(self) -> None:
        """Note that the client may have acknowledged bytes."""
        self._delivered.set()

    def stop(self) -> None:
        """Note that the server stops: a session that is not open yet is refused, and
        one whose client another worker has is closed."""
        if self._websocket is None:
            self.close(503, "the server stops")
        else:
            self._websocket.go_away()

    async def wait(self) -> None:
        """Wait until the session is over."""
        await self._over.wait()

    def end(self) -> None:
        """End the session: a side has closed it, or its connection is lost."""
        if self.ended:
            return
        self.ended = True
        self._timer.cancel()
        self._over.set()
        self.connection.forget(self)
        if self._opening is not None:
            self._opening.cancel()
        if self._sender is not None:
            self._sender.end()

    # Reading.

    def read(self) -> None:
        """Read the messages that are there, or the open packet."""
        if self.transport is not None:
            super().read()
            return
        try:
            if self._opening is None:
                self._read_open_packet()
        except ProtocolError as exc:
            self._refuse(400, str(exc))
        if self._all_sent:
            self.close()

    def _read_open_packet(self) -> None:
        packet = self.decoder.take()
        if packet is None:
            return
        sid = _sid_of(packet)
        self._timer.cancel()
        self._opening = asyncio.get_running_loop().create_task(self._open(sid))

    async def _open(self, sid: str | None) -> None:
        request = _handshake(self._request, sid)
        environ_source = EnvironSource(request, {})
        websocket = await open_websocket(self._eio, request, environ_source)
        if websocket.status != 101:
            self._refuse(websocket.status, (websocket.body or b"").decode())
            return
        self._opening = None
        self.decoder.limit = self._eio.config.max_http_buffer_size
        self.transport = self._websocket = websocket
        self._sender = Sender(websocket, self._send, self._close, self._closing)
        self.read()
        self.connection.transmit_soon()

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
        if not self.ended:
            self.connection.write(self.stream_id, encode_frame(message))

    async def _room(self, limit: int) -> None:
        """Wait until at most this many bytes are on their way."""
        while not self.ended and self.connection.unread(self.stream_id) > limit:
            self._delivered.clear()
            await self._delivered.wait()

    def _closing(self) -> None:
        self._timer = self._later(CLOSE_TIMEOUT)

    async def _close(self, code: int | None) -> None:
        self.connection.write(self.stream_id, b"", end=True)
        await self._room(0)
        with suppress(asyncio.TimeoutError):
            await within(self.wait(), LINGER)
        self.close(code or 0)

    def close(self, code: int = 0, reason: str = "") -> None:
        """Close the session; the client drops what it has not read."""
        if not self.ended:
            self.connection.end_session(self, code, reason)
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


class Connection(StreamConnection):
    """A QUIC connection with HTTP/3 and its sessions."""

    def __init__(
        self, quic: QuicConnection, server: WebTransportServer, **options: Any
    ) -> None:
        super().__init__(quic, **options)
        self.server = server
        self._sessions: dict[int, Session] = {}
        self._peer: Any = None  # the address of the client during the handshake
        self._confirmed = False

    # Called by sessions.

    def end_session(self, session: Session, code: int, reason: str) -> None:
        """End a session; the client drops what it has not read."""
        self.close_session(session.id, code, reason)
        if session.stream_id is not None:
            self.drop_stream(session.stream_id)
        self.transmit_soon()

    def forget(self, session: Session) -> None:
        """Forget a session that has ended."""
        self._sessions.pop(session.id, None)
        self.forget_stream(session)
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

    def quic_event_received(self, event: QuicEvent) -> None:
        """Called by aioquic with an event."""
        if isinstance(event, ConnectionTerminated):
            for session in list(self._sessions.values()):
                session.end()
            return
        if isinstance(event, HandshakeCompleted):
            self._confirmed = True
        if isinstance(event, StreamReset):
            ended = self._sessions.get(event.stream_id) or self.streams.get(
                event.stream_id
            )
            if ended is not None:
                ended.close()
        for happened in self.http.handle_event(event):
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
        self.http.send_headers(event.stream_id, headers, end_stream=status != 200)
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
            self.add_stream(event.stream_id, session)
        if session is None or session.stream_id != event.stream_id:
            self.drop_stream(event.stream_id)
            return
        session.receive(event.data, event.stream_ended)


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


class Port(QuicServer):
    """A UDP port, on which other workers may listen too.

    Args:
        server: What listens there.
        others: Those workers; ``None``: there are none.
    """

    def __init__(
        self, server: WebTransportServer, others: Datagrams | None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._server = server
        self._others = others
        self.address: Any = None

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        """Called by the event loop with a datagram of a client."""
        assert isinstance(data, bytes)
        if self._others is None or not self._passed_on(self._others, data, addr):
            super().datagram_received(data, addr)

    def take(self, data: bytes, addr: Any, is_new: bool) -> bool:
        """Take a datagram that another worker has passed on, if its connection is one
        of this port or is new; returns whether it is."""
        header, _ = self._header(data)
        known = header is not None and header.destination_cid in self._protocols
        if known or is_new:
            super().datagram_received(data, addr)
        return known or is_new

    def _passed_on(self, others: Datagrams, data: bytes, addr: Any) -> bool:
        header, size = self._header(data)
        if header is None or header.destination_cid in self._protocols:
            return False
        datagram = header.destination_cid, self.address, addr, data
        if header.packet_type == QuicPacketType.INITIAL:
            if _opens_connection(header, data, size):
                return self._server.retiring and others.pass_new(*datagram)
        elif header.packet_type not in OF_CONNECTIONS:
            return False
        others.pass_on(*datagram)
        return True

    def _header(self, data: bytes) -> tuple[QuicHeader | None, int]:
        """The header of a packet of a version that is spoken here, and its size."""
        length = self._configuration.connection_id_length
        buffer = Buffer(data=data)
        try:
            header = pull_quic_header(buffer, host_cid_length=length)
        except ValueError:
            return None, 0
        if header.version in (None, *self._configuration.supported_versions):
            return header, buffer.tell()
        return None, 0


def _opens_connection(header: QuicHeader, data: bytes, size: int) -> bool:
    """Whether an Initial packet is the first of its connection.

    Its keys are then made of the connection ID that it is for (RFC 9001, section 5.2).
    Those that follow are for the ID that the server has chosen, and keep the keys.
    """
    assert header.version is not None
    keys = CryptoPair()
    keys.setup_initial(header.destination_cid, is_client=False, version=header.version)
    try:
        keys.decrypt_packet(data[: header.packet_length], size, 0)
    except CryptoError:
        return False
    return True


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
        #: Other workers accept new connections in place of this one.
        self.retiring = False
        self.sessions: set[Session] = set()
        self._ports: list[Port] = []

    async def listen(self, beside: Iterable[Any]) -> None:
        """Listen on the addresses and port numbers of these TCP sockets.

        Raises:
            OSError: It cannot listen there.
        """
        loop = asyncio.get_running_loop()
        membership = self.eio.membership
        others = None if membership is None else membership.datagrams
        if others is not None:
            others.receiver = self._take
        factory = partial(
            Port,
            self,
            others,
            configuration=self._configuration,
            create_protocol=partial(Connection, server=self),
        )
        for listening in beside:
            address = listening.getsockname()
            sock = socket.socket(listening.family, socket.SOCK_DGRAM)
            try:
                if listening.family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                if others is not None and sys.platform != "win32":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                sock.setblocking(False)
                sock.bind(address)
                _, port = await loop.create_datagram_endpoint(factory, sock=sock)
            except BaseException:
                sock.close()
                self.close()
                raise
            self.address = address[:2]
            port.address = address
            self._ports.append(port)

    def _take(self, port: Any, client: Any, data: bytes, is_new: bool) -> bool:
        """Take a datagram that has come to another worker; returns whether it is of a
        connection here."""
        return any(
            found.take(data, client, is_new)
            for found in self._ports
            if found.address == port
        )

    def take_no_more(self) -> None:
        """Let other workers accept new connections, if there are any."""
        self.retiring = True

    def stop(self) -> None:
        """Accept no more sessions, and close those of other workers' clients."""
        self.closing = True
        for session in list(self.sessions):
            session.stop()

    async def wait_closed(self, timeout: float) -> None:
        """Wait until all sessions have ended or time is over."""
        over = [asyncio.ensure_future(session.wait()) for session in self.sessions]
        if over:
            await asyncio.wait(over, timeout=timeout)
            for waiting in over:
                waiting.cancel()

    def close(self) -> None:
        """Close every connection."""
        self.closing = True
        membership = self.eio.membership
        if membership is not None:
            membership.datagrams.receiver = None
        for session in list(self.sessions):
            session.close()
        for port in self._ports:
            port.close()
        self._ports.clear()
