"""Socket.IO packets, with and without attachments."""

from __future__ import annotations

import json
from typing import Any

import pytest
from socketio import packet as peer_packet

from socketio_fast._core.protocol.sio import decode_packet, encode_packet

EVENT = 2
IMPLEMENTATIONS = ("socketio_fast", "python-socketio")
ATTACHMENTS = (0, 1, 5)
MESSAGE = {
    "from": "ada",
    "room": 7,
    "text": "The engine weaves algebraic patterns — as a loom weaves leaves.",
    "tags": ["engine", "loom"],
    "seen": True,
}

implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
attachments = pytest.mark.parametrize("count", ATTACHMENTS)


def event(count: int) -> list[Any]:
    """An event with that many attachments."""
    return ["message", MESSAGE, *(bytes([i]) * 64 for i in range(count))]


def wire(count: int) -> list[Any]:
    """Its packets, as python-socketio writes them."""
    encoded = peer_packet.Packet(EVENT, data=event(count)).encode()
    return encoded if isinstance(encoded, list) else [encoded]


def words(text: bytes | str, count: int) -> tuple[str, Any]:
    """A packet's text: what is before the JSON, and the JSON's value."""
    text = text.decode() if isinstance(text, bytes) else text
    head = f"5{count}-" if count else "2"
    assert text.startswith(head)
    return head, json.loads(text[len(head) :])


@implementation
@attachments
def bench_encode(benchmark: Any, implementation: str, count: int) -> None:
    benchmark.group = f"Socket.IO event, {count} attachments: encode"
    data = event(count)
    if implementation == "socketio_fast":
        result = benchmark(encode_packet, EVENT, data)
    else:
        result = benchmark(lambda: peer_packet.Packet(EVENT, data=data).encode())
        result = result if isinstance(result, list) else [result]
    assert words(result[0], count) == words(wire(count)[0], count)
    assert result[1:] == event(count)[2:]


@implementation
@attachments
def bench_decode(benchmark: Any, implementation: str, count: int) -> None:
    benchmark.group = f"Socket.IO event, {count} attachments: decode"
    text, *binaries = wire(count)
    if implementation == "socketio_fast":
        encoded = text.encode()

        def decode() -> Any:
            packet = decode_packet(encoded)
            for data in binaries:
                packet.add_attachment(data)
            return packet

        assert benchmark(decode).data == event(count)
    else:

        def decode_peer() -> Any:
            packet = peer_packet.Packet(encoded_packet=text)
            for data in binaries:
                packet.add_attachment(data)
            return packet

        assert benchmark(decode_peer).data == event(count)
