"""Limits of what clients and addresses may ask of a server."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from socketio_fast.options.amounts import real
from socketio_fast.options.declare import (
    check_options,
    number,
    one_of,
    option,
    takes,
    texts,
)

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


def _rate(label: str, value: Any) -> Rate | None:
    """A check for a rate, with or without its burst."""
    if value is None:
        return None
    given, given_burst = value if isinstance(value, tuple) else (value, None)
    per_second = real(given)
    if per_second is not None:
        burst = max(per_second, 1) if given_burst is None else real(given_burst)
        if burst is not None and (
            0 < per_second < float("inf") and 1 <= burst < float("inf")
        ):
            return Rate(per_second, burst)
    raise ValueError(f"{label}={value!r}: more than 0 a second, a burst of 1 or more")


def _networks(label: str, given: Any) -> tuple[str, ...]:
    found = texts(label, given, "addresses and networks, such as '10.0.0.0/8',")
    for network in found:
        try:
            ipaddress.ip_network(network)
        except ValueError as exc:
            raise ValueError(f"{label}={given!r}: {exc}") from None
    return found


_number = number("1 or more", 1, optional=True)


@takes()
@dataclass(frozen=True)
class Limits:
    """What clients and addresses may ask for; docs/options.md describes each.

    ``None`` is no limit, and the default of all but ``namespaces_per_connection``. An
    address is an IPv4 address, or the first 64 bits of an IPv6 address: that of the
    client behind a trusted proxy. A rate is a number for each second, or a
    :class:`Rate` to say how many at once.

    Args:
        **options: See docs/options.md.

    Raises:
        ValueError: The limit and the value that is not allowed.
    """

    events: float | Rate | None = option(
        None,
        "Events, and requests to join a namespace, of one connection a second.",
        _rate,
    )
    bytes: float | Rate | None = option(
        None,
        "Bytes of messages of one connection a second. A message larger than the burst "
        "is taken when the bucket is full.",
        _rate,
    )
    address_events: float | Rate | None = option(
        None, "Such events of all connections of an address together.", _rate
    )
    address_bytes: float | Rate | None = option(
        None, "Such bytes of all connections of an address together.", _rate
    )
    connections: float | Rate | None = option(
        None, "New connections of an address a second.", _rate
    )
    connections_per_address: int | None = option(
        None, "Connections of an address at a time.", _number
    )
    tcp_connections_per_address: int | None = option(
        None,
        "TCP connections of an address at a time, whatever they are used for. A client "
        "has one, and by long-polling up to as many as its browser opens. The compiled "
        "server counts those of peers that connect to it directly, other than trusted "
        "proxies.",
        _number,
    )
    pending_handshakes: int | None = option(
        None,
        "Connections at a time, of all addresses, that have not joined a namespace "
        "yet. Each worker counts its own.",
        _number,
    )
    rooms_per_socket: int | None = option(
        None,
        "Rooms that a client may be in at a time, its own room not counted.",
        _number,
    )
    namespaces_per_connection: int | None = option(
        1000,
        "Namespaces that a connection may be in at a time. It holds without ``limits`` "
        "too: where a server accepts all namespaces, or those of a pattern, clients "
        "choose the names.",
        _number,
    )
    excess: str = option(
        "refuse",
        "What becomes of an event beyond its rate. ``'refuse'``: it is dropped and the "
        "client is told. ``'close'``: the connection is closed too, by WebSocket with "
        "the code 1008.",
        one_of("refuse", "close", expected="'refuse' or 'close'"),
    )
    exempt: str | Sequence[str] = option(
        (),
        "Addresses and networks (``'10.0.0.0/8'``) to which what is counted by address "
        "does not apply.",
        _networks,
    )

    def __post_init__(self) -> None:
        check_options(self, "limits: ")
