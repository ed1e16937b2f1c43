"""Engine.IO: packets and payloads."""

from __future__ import annotations

from typing import Any

import pytest
from engineio import packet as peer_packet
from engineio import payload as peer_payload

from socketio_fast._core.protocol.outgoing import message_packet
from socketio_fast._core.testing import decode_payload, encode_payload, render_packets

MESSAGE, BINARY = 4, 7
IMPLEMENTATIONS = ("socketio_fast", "python-engineio")
TEXT = '2["message",{"from":"ada","text":"Shall we?"}]'
DATA = bytes(range(64))

implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


@implementation
def bench_encode_packet(benchmark: Any, implementation: str) -> None:
    benchmark.group = "Engine.IO packet: encode"
    if implementation == "socketio_fast":
        result = benchmark(lambda: render_packets(message_packet(TEXT)))
        assert result == b"4" + TEXT.encode()
    else:
        result = benchmark(lambda: peer_packet.Packet(MESSAGE, TEXT).encode())
        assert result == "4" + TEXT


@implementation
def bench_decode_packet(benchmark: Any, implementation: str) -> None:
    benchmark.group = "Engine.IO packet: decode"
    if implementation == "socketio_fast":
        encoded = b"4" + TEXT.encode()
        assert benchmark(decode_payload, encoded) == [(MESSAGE, TEXT.encode())]
    else:
        text = "4" + TEXT
        result = benchmark(lambda: peer_packet.Packet(encoded_packet=text))
        # The peer tries to parse every message as JSON; this is none.
        assert (result.packet_type, result.data) == (MESSAGE, TEXT)


@implementation
@pytest.mark.parametrize("count", [1, 16])
def bench_encode_payload(benchmark: Any, implementation: str, count: int) -> None:
    benchmark.group = f"Engine.IO payload of {count}: encode"
    wanted = "\x1e".join(["4" + TEXT] * count)
    if implementation == "socketio_fast":

        def encode() -> bytes:
            return encode_payload(
                [render_packets(message_packet(TEXT)) for _ in range(count)]
            )

        assert benchmark(encode) == wanted.encode()
    else:

        def encode_peer() -> bytes:
            packets = [peer_packet.Packet(MESSAGE, TEXT) for _ in range(count)]
            text: str = peer_payload.Payload(packets=packets).encode()
            return text.encode()

        assert benchmark(encode_peer) == wanted.encode()


@implementation
@pytest.mark.parametrize("count", [1, 16])
def bench_decode_payload(benchmark: Any, implementation: str, count: int) -> None:
    benchmark.group = f"Engine.IO payload of {count}: decode"
    encoded = "\x1e".join(["4" + TEXT] * count).encode()
    if implementation == "socketio_fast":
        assert benchmark(decode_payload, encoded) == [(MESSAGE, TEXT.encode())] * count
    else:
        result = benchmark(
            lambda: peer_payload.Payload(encoded_payload=encoded.decode())
        )
        assert [p.data for p in result.packets] == [TEXT] * count


@implementation
def bench_encode_binary(benchmark: Any, implementation: str) -> None:
    benchmark.group = "Engine.IO payload of 1, binary: encode"
    wanted = (
        b"bAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1"
        b"Njc4OTo7PD0+Pw=="
    )
    if implementation == "socketio_fast":
        assert benchmark(lambda: render_packets(message_packet(DATA))) == wanted
    else:
        result = benchmark(lambda: peer_packet.Packet(MESSAGE, DATA).encode(b64=True))
        assert result == wanted.decode()


@implementation
def bench_decode_binary(benchmark: Any, implementation: str) -> None:
    benchmark.group = "Engine.IO payload of 1, binary: decode"
    encoded = render_packets(message_packet(DATA))
    if implementation == "socketio_fast":
        assert benchmark(decode_payload, encoded) == [(BINARY, DATA)]
    else:
        result = benchmark(
            lambda: peer_payload.Payload(encoded_payload=encoded.decode())
        )
        assert result.packets[0].data == DATA
