"""Packets of Engine.IO and Socket.IO, as far as the examination has to read them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Opened",
    "connect_answer",
    "connect_packet",
    "in_payload",
    "opened",
    "packets",
]

CONNECT = "40"
CONNECT_ERROR = "44"


@dataclass(frozen=True)
class Opened:
    """An open packet."""

    sid: str
    #: The revision whose format it has in a payload; that of the request otherwise.
    eio: int
    upgrades: tuple[str, ...]
    #: Seconds.
    ping_interval: float
    ping_timeout: float


def opened(text: str, eio: int) -> Opened | None:
    """The open packet at the beginning of a payload or a message.

    Args:
        text: What came.
        eio: The revision that was asked for.

    Returns:
        The packet; ``None`` if this is none.
    """
    match = re.match(r"(?:(\d{1,6}):)?0(?=\{)", text)
    if match is None:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text, match.end())
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("sid"), str):
        return None
    upgrades = value.get("upgrades")
    names = upgrades if isinstance(upgrades, list) else []
    return Opened(
        value["sid"],
        3 if match[1] is not None else eio,
        tuple(name for name in names if isinstance(name, str)),
        _seconds(value.get("pingInterval"), 25.0),
        _seconds(value.get("pingTimeout"), 20.0),
    )


def _seconds(milliseconds: Any, default: float) -> float:
    if isinstance(milliseconds, (int, float)) and 0 < milliseconds < 1e9:
        return float(milliseconds) / 1000
    return default


def in_payload(packet: str, eio: int) -> str:
    """One packet as the body of a POST."""
    return packet if eio == 4 else f"{len(packet)}:{packet}"


def packets(payload: str, eio: int) -> list[str]:
    """The packets of a payload."""
    if eio == 4:
        return payload.split("\x1e")
    found = []
    while match := re.match(r"(\d{1,7}):", payload):
        end = match.end() + int(match[1])
        found.append(payload[match.end() : end])
        payload = payload[end:]
    return found


def connect_packet(namespace: str, auth: Any, eio: int) -> str:
    """What joins a namespace."""
    place = "" if namespace == "/" else f"{namespace},"
    data = "" if auth is None or eio == 3 else json.dumps(auth)
    return f"{CONNECT}{place}{data}"


def connect_answer(packet: str, namespace: str) -> tuple[bool, str] | None:
    """The answer to :func:`connect_packet`.

    Returns:
        Whether it is let in, and what was said; ``None`` if this is another packet.
    """
    kind, rest = packet[:2], packet[2:]
    if kind not in (CONNECT, CONNECT_ERROR):
        return None
    place = "/"
    if rest.startswith("/"):
        place, _, rest = rest.partition(",")
    return (kind == CONNECT, rest) if place == namespace else None
