"""The PROXY protocol, versions 1 and 2: a header before the client's bytes."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import struct
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from socketio_fast._core.http.http1 import Http1Connection
from socketio_fast.exceptions import ProtocolError

if TYPE_CHECKING:
    from socketio_fast._core.http.endpoint import Endpoint

__all__ = ["Header", "NamedTransport", "ProxyListener", "read_header"]

#: Seconds within which the header has to come.
TIMEOUT = 10.0
#: Bytes of a header of version 1, and of version 2 behind its first 16.
MAX_1, MAX_2 = 107, 4096

PREFIX_1 = b"PROXY "
PREFIX_2 = b"\r\n\r\n\x00\r\nQUIT\n"
LINE_1 = re.compile(
    rb"PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+)"
    rb" (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})"
)
UNKNOWN = b"PROXY UNKNOWN"
LOCAL, PROXY = 0x20, 0x21
# Bytes of addresses and ports by family and protocol; those of Unix sockets, and of
# what is not specified, name nobody.
TCP4, TCP6 = 0x11, 0x21
ADDRESS_SIZES = {TCP4: 12, TCP6: 36, 0x31: 216, 0x00: 0}

Address = tuple[str, int]


class Header(NamedTuple):
    """The header of a connection."""

    #: Its bytes.
    size: int
    #: The address of the client; ``None`` if the header does not name it.
    client: Address | None
    #: The address that the client has connected to; likewise.
    server: Address | None


def read_header(data: bytes) -> Header | None:
    """Read the header that a connection begins with.

    Args:
        data: What has been received.

    Returns:
        ``None``: it is not all there.

    Raises:
        ProtocolError: It is malformed, too long, or something else.
    """
    if data.startswith(PREFIX_2[: len(data)]):
        return _read_2(data)
    if data.startswith(PREFIX_1[: len(data)]):
        return _read_1(data)
    raise ProtocolError(f"no PROXY protocol: {data[:16]!r}")


def _read_1(data: bytes) -> Header | None:
    line, end, _ = data[:MAX_1].partition(b"\r\n")
    if not end:
        if len(data) >= MAX_1:
            raise ProtocolError(f"a PROXY line of more than {MAX_1} bytes")
        return None
    size = len(line) + 2
    if line == UNKNOWN or line.startswith(UNKNOWN + b" "):
        return Header(size, None, None)
    match = LINE_1.fullmatch(line)
    if match is None:
        raise ProtocolError(f"a malformed PROXY line: {line!r}")
    kind = ipaddress.IPv4Address if match[1] == b"4" else ipaddress.IPv6Address
    try:
        client, server = (str(kind(match[i].decode())) for i in (2, 3))
    except ValueError as exc:
        raise ProtocolError(f"a malformed PROXY line: {exc}") from None
    ports = int(match[4]), int(match[5])
    if max(ports) > 65535:
        raise ProtocolError(f"a malformed PROXY line: {line!r}")
    return Header(size, (client, ports[0]), (server, ports[1]))


def _read_2(data: bytes) -> Header | None:
    if len(data) < 16:
        return None
    command, family, length = struct.unpack_from("!BBH", data, 12)
    if command not in (LOCAL, PROXY):
        raise ProtocolError(f"PROXY version and command {command:#04x}")
    if length > MAX_2:
        raise ProtocolError(f"a PROXY header of more than {MAX_2} bytes")
    if len(data) < 16 + length:
        return None
    size = 16 + length
    if command == LOCAL:
        return Header(size, None, None)
    if family not in ADDRESS_SIZES:
        raise ProtocolError(f"PROXY family and protocol {family:#04x}")
    start = ADDRESS_SIZES[family]
    if length < start:
        raise ProtocolError(f"PROXY addresses of {length} bytes: {start} expected")
    if family:
        _check_extras(data[16 + start : size])
    if family == TCP4:
        a, b, port_a, port_b = struct.unpack_from("!4s4sHH", data, 16)
    elif family == TCP6:
        a, b, port_a, port_b = struct.unpack_from("!16s16sHH", data, 16)
    else:
        return Header(size, None, None)
    client, server = (str(ipaddress.ip_address(each)) for each in (a, b))
    return Header(size, (client, port_a), (server, port_b))


def _check_extras(data: bytes) -> None:
    """The type-length-value vectors behind the addresses: whether they are whole."""
    while data:
        end = 3 + int.from_bytes(data[1:3], "big")
        if len(data) < end:
            raise ProtocolError("a PROXY header with a vector that is cut off")
        data = data[end:]


class ProxyListener:
    """Makes the protocols of connections that begin with a header.

    Args:
        endpoint: Whose connections they are behind it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        #: Connections whose header is not complete.
        self.waiting: set[_Connection] = set()

    def protocol(self) -> asyncio.Protocol:
        """A protocol for a new connection."""
        return _Connection(self)

    def close(self) -> None:
        """Close the connections whose header is not complete."""
        for connection in list(self.waiting):
            connection.abort()


class _Connection(asyncio.Protocol):
    """The protocol of a connection until its header is complete."""

    _transport: asyncio.Transport
    _timer: asyncio.TimerHandle

    def __init__(self, listener: ProxyListener) -> None:
        self._listener = listener
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._listener.waiting.add(self)
        self._timer = self._listener.endpoint.loop.call_later(
            TIMEOUT, self._refuse, f"no PROXY protocol in {TIMEOUT:g} s"
        )

    def connection_lost(self, exc: Exception | None) -> None:
        if self._leave() and self._data:
            self._count("it ended within its PROXY header")

    def data_received(self, data: bytes) -> None:
        if self not in self._listener.waiting:
            return
        self._data += data
        try:
            header = read_header(self._data)
        except ProtocolError as error:
            self._refuse(str(error))
            return
        if header is not None:
            self._leave()
            self._begin(header)

    def _begin(self, header: Header) -> None:
        protocol = Http1Connection(self._listener.endpoint)
        if header.client is not None:
            protocol.set_proxied_addresses(header.client, header.server)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        rest = self._data[header.size :]
        if rest:
            protocol.data_received(rest)

    def _leave(self) -> bool:
        """Stop waiting for the header; returns whether it was awaited."""
        waits = self in self._listener.waiting
        self._listener.waiting.discard(self)
        self._timer.cancel()
        return waits

    def _refuse(self, reason: str) -> None:
        self._leave()
        self._count(reason)
        self._transport.abort()

    def _count(self, reason: str) -> None:
        engine = self._listener.endpoint.engine
        engine.counters["refused_proxy_protocol"] += 1
        engine.logger.warning(
            "%s refused: %s", self._transport.get_extra_info("peername"), reason
        )

    def abort(self) -> None:
        """Close the connection now."""
        self._leave()
        self._transport.abort()


class NamedTransport:
    """A transport whose addresses are those that a proxy has named.

    Args:
        transport: The transport.
        proxied_addresses: Its client and server.
    """

    def __init__(
        self, transport: asyncio.Transport, proxied_addresses: tuple[Any, Any]
    ) -> None:
        self.transport = transport
        self.proxied_addresses = proxied_addresses

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection."""
        if name == "socket":
            return default  # uvicorn asks that for the addresses first
        if name in ("peername", "sockname"):
            return self.proxied_addresses[name == "sockname"]
        return self.transport.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)
