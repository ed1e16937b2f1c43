"""Connecting WebTransport, by aioquic.

A QUIC connection carries one session: an extended CONNECT request, and one stream,
whose first packet says which Engine.IO session it is for.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from socket import SOCK_DGRAM
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlsplit

# First: it says which extra is missing.
from socketio_fast.webtransport.streams import (
    LINGER,
    WINDOW,
    MessageStream,
    StreamConnection,
    closing_capsule,
)

from aioquic.h3.connection import H3_ALPN, Setting  # isort: skip
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
    StreamDataReceived,
    StreamReset,
)

from socketio_fast._core.client.webtransport import ClientWebTransport
from socketio_fast.clients.carriers import Carrier, Target
from socketio_fast.clients.contracts import Answer, Requests, WebSocketOptions
from socketio_fast.clients.failures import (
    cannot_connect,
    failed_attempt,
    unexpected_answer,
)
from socketio_fast.clients.racing import first_of
from socketio_fast.coroutines import within
from socketio_fast.exceptions import ConnectionFailedError
from socketio_fast.options.logs import escaped
from socketio_fast.webtransport.frames import encode_frame

__all__ = ["WebTransportCarrier", "obstacle"]

#: Seconds between the attempts to reach several addresses of a server (RFC 8305).
NEXT_ADDRESS = 0.25

#: Seconds for the socket to close, when the session has ended.
CLOSE_TIMEOUT = 3.0

#: Seconds after which QUIC itself takes a silent server for gone. The heartbeat of the
#: session does so much earlier, after what the server says.
IDLE_TIMEOUT = 86_400.0

#: Days that a certificate may be valid which is accepted by its hash, as in browsers.
MOST_DAYS = 14

#: Bytes of capsules that are kept until they are whole.
MOST_CAPSULES = 4096

#: Error codes: of HTTP/3 for a normal end, and of QUIC for TLS, to which the code of an
#: alert is added (RFC 9001).
NO_ERROR, TLS_ALERT = 0x100, 0x100

#: What to do when TLS fails: if the certificate is another host's, if nobody who is
#: trusted has signed it, and after an alert of TLS.
OTHER_NAME = "use a name that the certificate has in the URL, or server_hostname"
NOT_TRUSTED = (
    "trust its authority: ssl_verify=context, an ssl.SSLContext that has loaded it; or "
    "accept the certificate by its hash: "
    "webtransport_options={'server_certificate_hashes': [...]}"
)
REMEDIES = {
    42: NOT_TRUSTED,
    45: "the server needs a new certificate; is the clock of this machine right?",
    48: NOT_TRUSTED,
    120: "the server speaks QUIC at this port, but not HTTP/3",
}

#: What HTTP/1.1 says of a connection, and HTTP/3 does not.
OF_HTTP_1 = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "transfer-encoding"),
        *("upgrade", "host", "content-length"),
    }
)


def obstacle(requests: Requests, target: Target, url: str) -> str:
    """Why a URL cannot be reached by WebTransport; ``""`` if it can."""
    if requests.unix_path is not None:
        return "WebTransport goes by UDP, not by a Unix socket: use another transport"
    if not url.startswith("https:"):
        return (
            "WebTransport has TLS in any case: use a URL of https, and a server with a "
            "certificate"
        )
    if target.eio != 4:
        return f"eio={target.eio} has no WebTransport: use polling or websocket"
    if _options(requests, url).proxy:
        return (
            "WebTransport goes by UDP, which a proxy does not pass on: use another "
            "transport, or proxy=False"
        )
    return ""


def _options(requests: Requests, url: str) -> WebSocketOptions:
    """What the options and the session say of TLS and proxies, as for a WebSocket."""
    return requests.websocket_options(f"wss{url[5:]}")


class QuicError(Exception):
    """Why there is no session, or no more."""


class WebTransportCarrier(Carrier):
    """A WebTransport session."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.transport = ClientWebTransport(self.engine)
        self._session: _Session | None = None

    @property
    def closed(self) -> bool:
        return self._session is None or self._session.ended

    async def connect(self, url: str) -> None:
        if why := obstacle(self.requests, self.target, url):
            raise ConnectionFailedError(f"{cannot_connect(url)}: {why}")
        try:
            await self._connect(url)
        except BaseException as exc:
            self.abort()
            await self.ended()
            if not isinstance(exc, Exception):
                raise
            if isinstance(exc, QuicError):
                raise ConnectionFailedError(f"{cannot_connect(url)}: {exc}") from exc
            raise failed_attempt(
                exc,
                url,
                timeout=self.target.connect_timeout,
                timeout_name="connect_timeout",
            ) from exc

    async def _connect(self, url: str) -> None:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=SOCK_DGRAM)
        with self._configuration(url, host) as configuration:
            _, session = await first_of(
                [partial(self._reach, configuration, info[4]) for info in found],
                NEXT_ADDRESS,
                _Session.abort,
            )
        self._session = session
        headers = self.requests.handshake_headers(url, self.target.headers)
        status, fields = await session.request(url, headers)
        if status != 200:
            raise unexpected_answer(
                Answer(status, fields, b"", url),
                url,
                expected="the response 200 of a WebTransport server",
            )

    @contextmanager
    def _configuration(self, url: str, host: str) -> Iterator[QuicConfiguration]:
        options = _options(self.requests, url)
        context = options.ssl
        assert context is not None
        configuration = QuicConfiguration(
            alpn_protocols=H3_ALPN,
            is_client=True,
            idle_timeout=IDLE_TIMEOUT,
            max_stream_data=WINDOW,
            max_datagram_frame_size=65536,  # WebTransport wants it; nobody sends any
            server_name=options.server_hostname or host,
        )
        if self.target.certificate_hashes or context.verify_mode == ssl.CERT_NONE:
            configuration.verify_mode = ssl.CERT_NONE
            yield configuration
            return
        configuration.verify_mode = ssl.CERT_REQUIRED
        if not context.check_hostname:
            configuration.server_name = None
        if authorities := context.get_ca_certs(binary_form=True):
            # By a file: OpenSSL reads some that the package cryptography does not.
            with NamedTemporaryFile("w", suffix=".pem") as file:
                file.writelines(map(ssl.DER_cert_to_PEM_cert, authorities))
                file.flush()
                configuration.cafile = file.name
                yield configuration
            return
        tls = self.requests.options.tls
        if tls.verify is not None or tls.websocket is not None:
            raise QuicError(
                "the ssl.SSLContext has no authorities that WebTransport can use, "
                "which are those that get_ca_certs() returns: load them by cafile= or "
                "cadata="
            )
        # OpenSSL reads the folder of the system's when it needs one of them.
        paths = ssl.get_default_verify_paths()
        configuration.cafile, configuration.capath = paths.cafile, paths.capath
        yield configuration

    async def _reach(self, configuration: QuicConfiguration, address: Any) -> _Session:
        """Open a QUIC connection with HTTP/3 to one address."""
        loop = asyncio.get_running_loop()
        quic = QuicConnection(configuration=configuration)
        _, connection = await loop.create_datagram_endpoint(
            partial(_Connection, quic, self), remote_addr=address[:2]
        )
        try:
            await connection.open()
        except BaseException:
            connection.session.abort()
            await connection.gone.wait()
            raise
        return connection.session

    def begin(self, sid: str | None) -> None:
        if self._session is not None:
            self._session.begin(sid)

    def abort(self) -> None:
        if self._session is not None:
            self._session.abort()

    async def ended(self) -> None:
        if self._session is not None:
            gone = self._session.connection.gone
            with suppress(asyncio.TimeoutError):
                await within(gone.wait(), CLOSE_TIMEOUT)
            self.abort()
            await gone.wait()


class _Session(MessageStream):
    """The session of a connection."""

    def __init__(self, connection: _Connection, carrier: WebTransportCarrier) -> None:
        super().__init__(connection, carrier.target.max_http_buffer_size)
        self.connection: _Connection = connection
        self._carrier = carrier
        self._answer: asyncio.Future[HeadersReceived] = _future()
        self._capsules = b""
        self._timer: asyncio.TimerHandle | None = None
        # The stream has been ended.
        self._finished = False

    async def request(
        self, url: str, headers: dict[str, str]
    ) -> tuple[int, dict[str, str]]:
        """Ask for the session. Returns the status and the headers of the response."""
        self.id = self.connection.request(url, headers)
        fields = dict((await self._answer).headers)
        status = fields.get(b":status", b"")
        if not status.isdigit():
            raise ValueError(f"HTTP/3 with the status {status[:80]!r}")
        return int(status), {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in fields.items()
        }

    def begin(self, sid: str | None) -> None:
        """Open the stream."""
        if self.ended:
            return
        transport = self.transport = self._carrier.transport
        self.connection.open_stream(self)
        packet = "0" if sid is None else f'0{{"sid":"{sid}"}}'
        self.connection.write(self.stream_id, encode_frame(packet))
        transport.begin(self._send, partial(self.connection.unread, self.stream_id))

    # From the connection.

    def answered(self, event: HeadersReceived) -> None:
        """Note the response."""
        if not self._answer.done():
            self._answer.set_result(event)

    def delivered(self) -> None:
        """Note that the server may have acknowledged bytes."""
        if not self.ended:
            self._send()

    def on_capsules(self, data: bytes) -> None:
        """Take bytes of the request's stream: the server may close the session."""
        self._capsules = (self._capsules + data)[:MOST_CAPSULES]
        found = closing_capsule(self._capsules)
        if found is not None:
            code, reason = found
            self.end(
                None
                if code == 0 and not reason
                else QuicError(
                    f"the server has closed the WebTransport session with code {code}: "
                    f"{escaped(reason) or 'it gives no reason'}"
                )
            )

    # Writing.

    def _send(self) -> None:
        """Send what waits, as much as may be on its way at once."""
        transport, connection = self._carrier.transport, self.connection
        if transport.aborted:
            self.abort()
            return
        while connection.unread(self.stream_id) <= WINDOW:
            message = transport.take()
            if message is None:
                break
            connection.write(self.stream_id, encode_frame(message))
        else:
            return  # delivered() follows
        if not transport.closing:
            return
        if not self._finished:
            self._finished = True
            connection.write(self.stream_id, b"", end=True)
        elif self._timer is None and not connection.unread(self.stream_id):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(LINGER, self.abort)

    # Ending.

    def close(self) -> None:
        """End it: the server has ended the stream."""
        self.end(None)

    def abort(self) -> None:
        """End it now."""
        self.end(None)

    def end(self, error: Exception | None) -> None:
        """The session is over, for this reason."""
        if self.ended:
            return
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
        why = error or ConnectionResetError("the server has closed the connection")
        for future in (self._answer, self.connection.opened):
            if not future.done():
                future.set_exception(why)
                future.exception()  # nobody may wait for it
        self.connection.forget_stream(self)
        if self.transport is None:
            pass  # the stream has not begun
        elif error is None:
            self.transport.lost()
        else:
            self._carrier.transport.lost_by(error)
        self.connection.finish()


class _Connection(StreamConnection):
    """A QUIC connection to a server."""

    def __init__(self, quic: QuicConnection, carrier: WebTransportCarrier) -> None:
        super().__init__(quic)
        self.session = _Session(self, carrier)
        #: It speaks HTTP/3 with WebTransport.
        self.opened: asyncio.Future[None] = _future()
        #: Its socket is closed.
        self.gone = asyncio.Event()
        self._hashes = carrier.target.certificate_hashes
        self._confirmed = False
        self._socket: Any = None

    async def open(self) -> None:
        """Shake hands."""
        self.connect(self._socket.get_extra_info("peername"))
        await self.opened

    def request(self, url: str, headers: dict[str, str]) -> int:
        """Send the request for the session; returns its stream."""
        parts = urlsplit(url)
        names = {name.lower(): value for name, value in headers.items()}
        stream_id = self._quic.get_next_available_stream_id()
        lines = {
            ":method": "CONNECT",
            ":scheme": "https",
            ":authority": names.get("host", parts.netloc.rpartition("@")[2]),
            ":path": f"{parts.path or '/'}?{parts.query}",
            ":protocol": "webtransport",
            "sec-webtransport-http3-draft02": "1",
            **{name: names[name] for name in names if name not in OF_HTTP_1},
        }
        self.http.send_headers(
            stream_id,
            [(name.encode(), value.encode()) for name, value in lines.items()],
        )
        self.transmit()
        return stream_id

    def open_stream(self, session: _Session) -> None:
        """Open the stream of the session."""
        self.add_stream(self.http.create_webtransport_stream(session.id), session)

    def finish(self) -> None:
        """Close the connection."""
        if not self._socket.is_closing():
            self.close(NO_ERROR)
            self._socket.close()

    # Called by the event loop.

    def connection_made(self, transport: Any) -> None:
        """The socket is open."""
        self._socket = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self.gone.set()
        self.session.end(exc)

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        """A datagram of the server has come."""
        try:
            super().datagram_received(data, addr)
        except Exception as exc:  # aioquic does not foresee all that may come
            self.session.end(
                QuicError(
                    f"what came is no QUIC ({type(exc).__name__}: {escaped(exc)})"
                )
            )

    def error_received(self, exc: Exception) -> None:
        """The system says that the server is not there."""
        if isinstance(exc, ConnectionRefusedError) and not self._confirmed:
            exc = QuicError(
                "nobody answers there by UDP; does the server serve WebTransport, at "
                "this port?"
            )
        self.session.end(exc)

    def transmit(self) -> None:
        """Send datagrams that wait, unless the socket is closed."""
        if not self._socket.is_closing():
            super().transmit()

    # Called by aioquic.

    def quic_event_received(self, event: QuicEvent) -> None:
        """Called with an event."""
        session = self.session
        if isinstance(event, ConnectionTerminated):
            session.end(_why(event, self._confirmed))
        elif isinstance(event, HandshakeCompleted):
            self._confirm()
        elif isinstance(event, StreamReset) and event.stream_id in (
            *(session.id, session.stream_id),
        ):
            session.end(
                QuicError(
                    f"the server has reset the stream, with error {event.error_code:#x}"
                )
            )
        elif isinstance(event, StreamDataReceived) and event.stream_id in self.streams:
            session.receive(event.data, event.end_stream)
        else:
            for happened in self.http.handle_event(event):
                self._http_event(happened)
            self._look_at_settings()

    def _confirm(self) -> None:
        """The handshake is over: is this the server's certificate?"""
        self._confirmed = True
        if not self._hashes:
            return
        try:
            check_by_hash(self._quic.tls._peer_certificate, self._hashes)
        except QuicError as exc:
            self.session.end(exc)

    def _look_at_settings(self) -> None:
        settings = self.http.received_settings
        if settings is None or self.opened.done():
            return
        if settings.get(Setting.ENABLE_CONNECT_PROTOCOL) == 1:
            self.opened.set_result(None)
        else:
            self.session.end(
                QuicError(
                    "the server speaks HTTP/3, but has no WebTransport (its settings "
                    "have no ENABLE_CONNECT_PROTOCOL)"
                )
            )

    def _http_event(self, event: H3Event) -> None:
        session = self.session
        if isinstance(event, HeadersReceived) and event.stream_id == session.id:
            session.answered(event)
            if event.stream_ended:
                session.end(None)
        elif isinstance(event, DataReceived) and event.stream_id == session.id:
            session.on_capsules(event.data)
            if event.stream_ended:
                session.end(None)


def check_by_hash(certificate: Any, hashes: Sequence[bytes]) -> None:
    """Check a certificate that is accepted by its hash, as browsers do.

    Raises:
        QuicError: It is another one, or is none that may be accepted so.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import Encoding

    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    if digest not in hashes:
        raise QuicError(
            f"the certificate of the server has the SHA-256 {digest.hex(':')}, which "
            "is none of server_certificate_hashes; has the server a new one?"
        )
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins <= datetime.now(timezone.utc) <= ends:
        raise QuicError(
            f"the certificate of the server is valid from {begins} to {ends}: the "
            "server needs a new one; is the clock of this machine right?"
        )
    if ends - begins > timedelta(days=MOST_DAYS):
        raise QuicError(
            f"the certificate of the server is valid for {(ends - begins).days} days: "
            f"one that is accepted by its hash, for {MOST_DAYS} at most, as in browsers"
        )
    if not isinstance(certificate.public_key(), EllipticCurvePublicKey):
        raise QuicError(
            "the certificate of the server has no ECDSA key, which one that is "
            "accepted by its hash must have, as in browsers"
        )


def _why(event: ConnectionTerminated, confirmed: bool) -> QuicError:
    """What the end of a connection means."""
    reason = escaped(event.reason_phrase) or "it gives no reason"
    alert = event.error_code - TLS_ALERT
    if not confirmed and 0 <= alert < 256:
        remedy = REMEDIES.get(alert, "do both sides have a version of TLS in common?")
        if "match" in event.reason_phrase:
            remedy = OTHER_NAME
        return QuicError(f"TLS has failed, alert {alert} ({reason}); {remedy}")
    return QuicError(
        f"the QUIC connection has ended with error {event.error_code:#x}: {reason}"
    )


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()
