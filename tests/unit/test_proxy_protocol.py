"""Headers of the PROXY protocol: bytes in, addresses out."""

from __future__ import annotations

import socket
import struct

import pytest

from socketio_fast.exceptions import ProtocolError
from socketio_fast.serving.proxy_protocol import MAX_2, PREFIX_2, Header, read_header

TCP4, TCP6, UNIX, UDP4, UNSPECIFIED = 0x11, 0x21, 0x31, 0x12, 0x00
V4 = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1")
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(
    socket.AF_INET6, "2001:db8::1"
)
PORTS = struct.pack("!HH", 56324, 443)
CLIENT4, SERVER4 = ("192.0.2.7", 56324), ("198.51.100.1", 443)
CLIENT6, SERVER6 = ("2001:db8::7", 56324), ("2001:db8::1", 443)
# The name of the host that TLS was for, a checksum, nothing.
VECTORS = b"\x02\x00\x09a.example" + b"\x03\x00\x04abcd" + b"\x04\x00\x00"
LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"


def version_2(family: int, body: bytes, command: int = 0x21) -> bytes:
    return PREFIX_2 + struct.pack("!BBH", command, family, len(body)) + body


HEADERS = {
    "tcp4": (LINE, CLIENT4, SERVER4),
    "tcp6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", CLIENT6, SERVER6),
    "zero": (
        b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n",
        ("0.0.0.0", 0),
        ("255.255.255.255", 65535),
    ),
    "unknown": (b"PROXY UNKNOWN\r\n", None, None),
    "unknown-with-more": (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None, None),
    "longest": (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", None, None),
    "2-tcp4": (version_2(TCP4, V4 + PORTS), CLIENT4, SERVER4),
    "2-tcp6": (version_2(TCP6, V6 + PORTS), CLIENT6, SERVER6),
    "2-vectors": (version_2(TCP4, V4 + PORTS + VECTORS), CLIENT4, SERVER4),
    "2-vectors-6": (version_2(TCP6, V6 + PORTS + VECTORS), CLIENT6, SERVER6),
    "2-local": (version_2(UNSPECIFIED, b"", 0x20), None, None),
    "2-local-with-more": (version_2(TCP4, b"abc", 0x20), None, None),
    "2-unix": (version_2(UNIX, bytes(216)), None, None),
    "2-unspecified": (version_2(UNSPECIFIED, b"abc"), None, None),
    "2-largest": (
        version_2(TCP4, V4 + PORTS + b"\xee\x0f\xf1" + bytes(MAX_2 - 15)),
        CLIENT4,
        SERVER4,
    ),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers(name: str) -> None:
    """U9: every form, split at every byte, with the client's bytes behind it."""
    data, client, server = HEADERS[name]
    expected = Header(len(data), client, server)
    assert read_header(data) == expected
    assert read_header(data + b"GET / HTTP/1.1\r\n\r\n") == expected
    assert read_header(data + data) == expected
    for size in range(1, len(data)):
        assert read_header(data[:size]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01",
        b"proxy TCP4",
        b" PROXY",
        b"PROXZ",
        b"\r\n\r\n\x00\r\nQUIX",
        b"PROXY \r\n",
        b"PROXY TCP4\r\n",
        b"PROXY UNKNOWNS\r\n",
        LINE.replace(b"TCP4", b"TCP5"),
        LINE.replace(b"TCP4", b"TCP6"),
        LINE.replace(b"TCP4", b"UDP4"),
        LINE.replace(b" 443", b"  443"),
        LINE.replace(b" 443", b""),
        LINE.replace(b" 443", b" 0443"),
        LINE.replace(b" 443", b" 65536"),
        LINE.replace(b" 443", b" -1"),
        LINE.replace(b" 443", b" 443 "),
        LINE.replace(b" 443", b" 443 1"),
        LINE.replace(b"\r\n", b"\n\r\n"),
        LINE.replace(b"192.0.2.7", b"192.0.2.256"),
        LINE.replace(b"192.0.2.7", b"192.0.2.07"),
        LINE.replace(b"192.0.2.7", b"192.0.2"),
        LINE.replace(b"192.0.2.7", b"client"),
        b"PROXY TCP6 2001:db8::7%1 ::1 1 2\r\n",
        b"PROXY TCP6 [::2] ::1 1 2\r\n",
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
        b"PROXY UNKNOWN " + b"x" * 93,
        version_2(TCP4, V4 + PORTS, 0x11),
        version_2(TCP4, V4 + PORTS, 0x22),
        version_2(UDP4, V4 + PORTS),
        version_2(0x41, V4 + PORTS),
        version_2(TCP4, (V4 + PORTS)[:-1]),
        version_2(TCP6, V4 + PORTS),
        version_2(UNIX, bytes(215)),
        version_2(TCP4, V4 + PORTS + VECTORS[:-1]),
        version_2(TCP4, V4 + PORTS + b"\x04\x00\x02a"),
        version_2(TCP4, V4 + PORTS + bytes(MAX_2 - 11)),
        version_2(TCP4, V4 + PORTS + bytes(MAX_2 - 11))[:16],
    ],
)
def test_what_is_malformed(data: bytes) -> None:
    """U9: what is malformed, too long or no header is refused."""
    with pytest.raises(ProtocolError, match="PROXY"):
        read_header(data)
