"""A WebTransport client by aioquic, which sends the bytes it is given."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import (
    ConnectionTerminated,
    QuicEvent,
    StreamDataReceived,
    StreamReset,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from socketio_fast.webtransport.frames import FrameDecoder, encode_frame
from support.raw import Connection, within


def signed(
    *, begins: float = -1 / 24, days: float = 10, key: str = "ecdsa"
) -> tuple[x509.Certificate, bytes]:
    """A certificate for localhost, signed by itself, and its hash.

    Args:
        begins: The day from which on it is valid; 0 is now.
        days: How long.
        key: ``"ecdsa"`` or ``"rsa"``.
    """
    certificate, _ = _signed(begins, days, key)
    return certificate, _digest(certificate)


def _signed(begins: float, days: float, kind: str) -> tuple[x509.Certificate, Any]:
    key: Any = (
        ec.generate_private_key(ec.SECP256R1())
        if kind == "ecdsa"
        else rsa.generate_private_key(65537, 2048)
    )
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    first = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(begins)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(first + datetime.timedelta(days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _digest(certificate: x509.Certificate) -> bytes:
    der = certificate.public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).digest()


def certificate(directory: Path) -> tuple[str, bytes]:
    """A file with a certificate as browsers take by its hash, and the hash."""
    made, key = _signed(-1 / 24, 10, "ecdsa")
    file = directory / "cert.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(file), _digest(made)


class Client(QuicConnectionProtocol):
    """A connection, with sessions by their ids."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.http = H3Connection(self._quic, enable_webtransport=True)
        self.events: dict[int, asyncio.Queue[Any]] = {}
        self.raw: set[int] = set()  # streams in sessions

    def queue(self, stream_id: int) -> asyncio.Queue[Any]:
        return self.events.setdefault(stream_id, asyncio.Queue())

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated):
            for queue in self.events.values():
                queue.put_nowait(event)
        if isinstance(event, StreamReset):
            self.queue(event.stream_id).put_nowait(event)
        if isinstance(event, StreamDataReceived) and event.stream_id in self.raw:
            self.queue(event.stream_id).put_nowait(event)
            return
        for happened in self.http.handle_event(event):
            self.queue(cast(Any, happened).stream_id).put_nowait(happened)

    async def request(
        self, path: str = "/engine.io/", *headers: tuple[bytes, bytes], **fields: str
    ) -> tuple[int, int]:
        """A CONNECT request: the status, and the id of its stream."""
        pseudo = {
            "method": "CONNECT",
            "scheme": "https",
            "authority": "localhost",
            "path": path,
            "protocol": "webtransport",
            **fields,
        }
        stream_id = self._quic.get_next_available_stream_id()
        lines = [(f":{k}".encode(), v.encode()) for k, v in pseudo.items() if v]
        self.http.send_headers(stream_id, [*lines, *headers])
        self.transmit()
        event = await within(self.queue(stream_id).get())
        assert isinstance(event, HeadersReceived), event
        return int(dict(event.headers)[b":status"]), stream_id

    async def session(self, *args: Any, **options: Any) -> Session:
        """A session, without a stream."""
        status, stream_id = await self.request(*args, **options)
        assert status == 200
        return Session(self, stream_id)

    async def open(self, *args: Any, **options: Any) -> Session:
        """A session with an Engine.IO session; its open packet has come."""
        session = await self.session(*args, **options)
        session.send("0")
        session.handshake = json.loads(cast(str, await session.receive())[1:])
        return session


class Session:
    """A WebTransport session, with a stream from the first packet on."""

    def __init__(self, client: Client, session_id: int) -> None:
        self.client = client
        self.id = session_id
        self.stream_id = -1
        self.handshake: dict[str, Any] = {}
        self.decoder = FrameDecoder(1 << 26)

    def write(self, data: bytes, end: bool = False) -> None:
        if self.stream_id < 0:
            self.stream_id = self.client.http.create_webtransport_stream(self.id)
            self.client.raw.add(self.stream_id)
        self.client._quic.send_stream_data(self.stream_id, data, end)
        self.client.transmit()

    def send(self, *packets: str | bytes) -> None:
        self.write(b"".join(encode_frame(packet) for packet in packets))

    async def receive(self) -> str | bytes:
        """The next packet."""
        while (packet := self.decoder.take()) is None:
            event = await within(self.client.queue(self.stream_id).get(), seconds=10)
            assert isinstance(event, StreamDataReceived), event
            assert event.data or not event.end_stream, "the stream has ended"
            self.decoder.feed(event.data)
        return packet

    async def echoes(self, message: str | bytes) -> None:
        packet = "4" + message if isinstance(message, str) else message
        self.send(packet)
        assert await self.receive() == packet

    async def closed(self) -> tuple[int, str]:
        """The server closes the session; with the code and reason it says."""
        data = b""
        while True:
            event = await within(self.client.queue(self.id).get(), seconds=10)
            if isinstance(event, ConnectionTerminated):
                raise AssertionError("the whole connection was closed")
            assert isinstance(event, DataReceived), event
            data += event.data
            if event.stream_ended:
                break
        assert data[:2] == b"\x68\x43", "no CLOSE_WEBTRANSPORT_SESSION"
        size = int.from_bytes(data[2:4], "big") & 0x3FFF
        assert len(data) == 4 + size
        return int.from_bytes(data[4:8], "big"), data[8:].decode()

    def close(self) -> None:
        """As a browser does."""
        capsule = b"\x68\x43\x04" + bytes(4)
        self.client.http.send_data(self.id, capsule, end_stream=True)
        self.client.transmit()


@asynccontextmanager
async def connected(server: Any, **options: Any) -> AsyncIterator[Client]:
    """A QUIC connection to a server."""
    configuration = QuicConfiguration(
        alpn_protocols=H3_ALPN,
        is_client=True,
        verify_mode=ssl.CERT_NONE,
        max_datagram_frame_size=65536,
        **options,
    )
    async with connect(
        server.host,
        server.port,
        configuration=configuration,
        create_protocol=Client,
    ) as client:
        yield cast(Client, client)


async def beside(server: Any, kind: type[Connection] = Connection) -> Any:
    """A connection by TCP to the same server."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    streams = await within(
        asyncio.open_connection(server.host, server.port, ssl=context, limit=1 << 22)
    )
    return kind(*streams)
