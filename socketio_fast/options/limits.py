"""Limits of what clients and addresses may ask of a server."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from socketio_fast.options.amounts import real, whole

__all__ = ["Limits", "Rate"]


class Rate(NamedTuple):
    """A token bucket.

    Args:
        per_second: How many tokens come back in a second, greater than 0.
        burst: How many it holds, which may be used at once; by default those of one
            second, at least 1.
    """

    per_second: float
    burst: float | None = None


@dataclass(frozen=True)
class Limits:
    """What clients and addresses may ask for; ``None`` is no limit, and the default of
    all but ``namespaces_per_connection``.

    An address is an IPv4 address, or the first 64 bits of an IPv6 address: that of the
    client behind a trusted proxy. A rate is a number for each second, or a
    :class:`Rate` to say how many at once.

    Args:
        events: Events, and requests to join a namespace, of one connection a second.
        bytes: Bytes of messages of one connection a second. A message larger than the
            burst is taken when nothing was for long enough.
        address_events: Such events of all connections of an address together.
        address_bytes: Such bytes of all connections of an address together.
        connections: New connections of an address a second.
        connections_per_address: Connections of an address at a time.
        tcp_connections_per_address: TCP connections of an address at a time, whatever
            they are used for; a client has one, and by long-polling up to as many as
            its browser opens. Counted by the compiled server, for who connects to it:
            not for trusted proxies.
        pending_handshakes: Connections at a time, of all addresses, that have not
            joined a namespace yet.
        rooms_per_socket: Rooms that a client may be in at a time, its own not counted.
        namespaces_per_connection: Namespaces that a connection may be in at a time
            (1,000, without ``limits`` too: clients choose their names where a server
            takes all, or those of a pattern).
        excess: What becomes of an event beyond its rate: ``"refuse"``, the client is
            told and the event is dropped; ``"close"``, so is the connection, by
            WebSocket with the code 1008.
        exempt: Addresses and networks (``"10.0.0.0/8"``) to which what is counted by
            address does not apply.

    Raises:
        ValueError: The limit and the value that is not allowed.
    """

    events: float | Rate | None = None
    bytes: float | Rate | None = None
    address_events: float | Rate | None = None
    address_bytes: float | Rate | None = None
    connections: float | Rate | None = None
    connections_per_address: int | None = None
    tcp_connections_per_address: int | None = None
    pending_handshakes: int | None = None
    rooms_per_socket: int | None = None
    namespaces_per_connection: int | None = 1000
    excess: str = "refuse"
    exempt: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in RATES:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _rate(name, value))
        for name in NUMBERS:
            value = getattr(self, name)
            if value is None:
                continue
            number = whole(value)
            if number is None or number < 1:
                raise ValueError(f"limits: {name}={value!r}: 1 or more expected")
            object.__setattr__(self, name, number)
        if self.excess not in ("refuse", "close"):
            raise ValueError(
                f"limits: excess={self.excess!r}: 'refuse' or 'close' expected"
            )
        for network in self.exempt:
            try:
                ipaddress.ip_network(network)
            except ValueError as exc:
                raise ValueError(f"limits: exempt: {exc}") from None


RATES = ("events", "bytes", "address_events", "address_bytes", "connections")
NUMBERS = (
    "connections_per_address",
    "tcp_connections_per_address",
    "pending_handshakes",
    "rooms_per_socket",
    "namespaces_per_connection",
)


def _rate(name: str, value: Any) -> Rate:
    """The rate with its burst."""
    given, given_burst = value if isinstance(value, tuple) else (value, None)
    per_second = real(given)
    if per_second is not None:
        burst = max(per_second, 1) if given_burst is None else real(given_burst)
        if burst is not None and (
            0 < per_second < float("inf") and 1 <= burst < float("inf")
        ):
            return Rate(per_second, burst)
    raise ValueError(
        f"limits: {name}={value!r}: more than 0 a second, a burst of 1 or more"
    )
