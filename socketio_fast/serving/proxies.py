"""The address of a client, from headers of trusted proxies."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from socketio_fast.exceptions import ProtocolError

__all__ = ["ForwardedClient", "TrustedProxies"]

Headers = Iterable[tuple[bytes, bytes]]

# Headers that may name a client.
HEADERS = ("x-forwarded-for", "forwarded")

# Entries of a header that are read, at most, from the nearest proxy on.
MAX_HOPS = 64

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Addresses without their quotes are common, though not RFC 7239's.
PAIR = re.compile(
    rf'[ \t]*({TOKEN})=(?:([!#$%&\'*+.^_`|~0-9A-Za-z:\[\]-]+)|"((?:[^"\\]|\\.)*)")'
    r"[ \t]*([;,]|\Z)"
)
EMPTY = re.compile(r"[ \t]*(?:,|\Z)")
ESCAPE = re.compile(r"\\(.)")
# An IPv4 address, or IPv6 in brackets, with or without a port (which may be hidden);
# or IPv6 alone.
NODE = re.compile(
    r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\])(?::(?:([0-9]{1,5})|_[0-9A-Za-z._-]+))?"
    r"|([0-9A-Fa-f:.]+)"
)
HOST = re.compile(r"(?:[0-9A-Za-z._~-]{1,255}|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class ForwardedClient(NamedTuple):
    """A client as trusted proxies name it; ``None`` for what they do not tell."""

    #: The address and port, 0 if that is not known.
    peer: tuple[str, int] | None
    #: ``"http"`` or ``"https"``.
    scheme: str | None
    #: The host that the client has requested, with its port unless it is the default.
    host: str | None


class _Hop(NamedTuple):
    """What one proxy tells of the peer that has connected to it."""

    node: str
    proto: str
    host: str


class TrustedProxies:
    """The proxies whose headers are trusted.

    Args:
        proxies: Addresses and networks (``"10.0.0.0/8"``), ``"unix"`` for whoever
            connects by a Unix socket, ``"*"`` for everybody; one of them or several.
        header: What names the client: ``"X-Forwarded-For"``, with
            ``X-Forwarded-Proto`` and ``X-Forwarded-Host``; or ``"Forwarded"``
            (RFC 7239). Proxies must write it; what a client sends by the other is not
            believed.

    Raises:
        ValueError: It is something else.
    """

    def __init__(
        self, proxies: str | Sequence[str], header: str = "X-Forwarded-For"
    ) -> None:
        if not isinstance(header, str) or header.lower() not in HEADERS:
            raise ValueError(
                f"header={header!r}: 'X-Forwarded-For' or 'Forwarded' expected"
            )
        self._standard = header.lower() == "forwarded"
        names = (proxies,) if isinstance(proxies, str) else tuple(proxies)
        self._everybody = "*" in names
        self._unix = self._everybody or "unix" in names
        self._networks = [
            ipaddress.ip_network(name) for name in names if name not in ("*", "unix")
        ]

    def client(self, peer: Any, headers: Headers) -> ForwardedClient | None:
        """Find the client of a request.

        The client is the rightmost entry of the header that is not a trusted proxy; if
        all are, the leftmost. An entry on the way that is no address says nothing.

        Args:
            peer: Who has connected: an address and a port, or anything else for a Unix
                socket.
            headers: The header lines, names in lower case.

        Returns:
            ``None``: who has connected is not trusted, or says nothing.

        Raises:
            ProtocolError: ``Forwarded`` and ``X-Forwarded-For`` name different clients:
                one of them is not the proxy's.
        """
        if not self.trusts(peer):
            return None
        found: dict[bytes, list[str]] = {}
        for name, value in headers:
            if name == b"forwarded" or name.startswith(b"x-forwarded-"):
                found.setdefault(name, []).append(value.decode("latin-1"))
        standard = [
            hop for line in found.get(b"forwarded", ()) for hop in _forwarded(line)
        ]
        common = _x_forwarded(found)
        client, hop = self._walk(standard if self._standard else common)
        if standard and b"x-forwarded-for" in found:
            other, _ = self._walk(common if self._standard else standard)
            if client is not None and other is not None and client[0] != other[0]:
                raise ProtocolError(
                    f"Forwarded and X-Forwarded-For disagree: {client} and {other}"
                )
        if hop is None:
            return None
        host = hop.host if HOST.fullmatch(hop.host) else None
        return ForwardedClient(client, SCHEMES.get(hop.proto.lower()), host)

    def _walk(self, hops: Sequence[_Hop]) -> tuple[tuple[str, int] | None, _Hop | None]:
        """The client and the proxy that names it, from the nearest proxy on."""
        client = hop = None
        for hop in hops[: -MAX_HOPS - 1 : -1]:
            client = _node(hop.node)
            if client is None or not self._trusts_address(client[0]):
                return client, hop
        return (client, hop) if len(hops) <= MAX_HOPS else (None, None)

    def trusts(self, peer: Any) -> bool:
        """Whether a peer is a trusted proxy.

        Args:
            peer: Its address and port, or anything else for a Unix socket.
        """
        if not isinstance(peer, tuple):
            return self._unix
        return self._trusts_address(peer[0])

    def _trusts_address(self, address: str) -> bool:
        if self._everybody:
            return True
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return any(ip in network for network in self._networks)


def _node(text: str) -> tuple[str, int] | None:
    """An address and a port; ``None`` if the text is none."""
    match = NODE.fullmatch(text)
    if match is None:
        return None
    port = int(match[3] or 0)
    if port > 65535:
        return None
    try:
        if match[1] is not None:
            return str(ipaddress.IPv4Address(match[1])), port
        ip = ipaddress.IPv6Address(match[2] or match[4])
    except ValueError:
        return None
    return str(ip.ipv4_mapped or ip), port


def _forwarded(line: str) -> list[_Hop]:
    """The entries of a ``Forwarded`` header; one without content if it is malformed."""
    hops: list[_Hop] = []
    pairs: dict[str, str] = {}
    position = 0
    while position < len(line):
        match = PAIR.match(line, position)
        if match is None:
            empty = EMPTY.match(line, position)
            if empty is None or pairs:
                return [_Hop("", "", "")]
            position = empty.end()
            continue
        name, token, quoted, end = match.groups()
        value = ESCAPE.sub(r"\1", quoted) if token is None else token
        if pairs.setdefault(name.lower(), value) is not value:
            return [_Hop("", "", "")]
        position = match.end()
        if end != ";":
            hops.append(_Hop(*(pairs.get(key, "") for key in ("for", "proto", "host"))))
            pairs = {}
    return [_Hop("", "", "")] if pairs else hops


def _x_forwarded(found: dict[bytes, list[str]]) -> list[_Hop]:
    """The entries of ``X-Forwarded-For``, with those of the other headers."""

    def values(name: bytes) -> list[str]:
        return [
            value.strip(" \t")
            for value in ",".join(found.get(name, ())).split(",")
            if value.strip(" \t")
        ]

    nodes = values(b"x-forwarded-for")
    protos, hosts = values(b"x-forwarded-proto"), values(b"x-forwarded-host")
    if not nodes:
        nodes = [""] if protos or hosts else []
    count = len(nodes)
    if len(protos) != count:
        protos = protos[-1:] * count or [""] * count
    if len(hosts) != count:
        hosts = hosts[-1:] * count or [""] * count
    return [_Hop(*each) for each in zip(nodes, protos, hosts, strict=True)]
