"""WebSocket frames: what stands between a packet and the socket.

python-socketio leaves them to uvicorn, and that to websockets.
"""

from __future__ import annotations

from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from socketio_fast._core.protocol.outgoing import event_packet
from socketio_fast._core.testing import encode_frames, render_frames

IMPLEMENTATIONS = ("socketio_fast", "websockets")
HEADS = {
    32: b"\x81\x20",
    1024: b"\x81\x7e\x04\x00",
    70000: b"\x81\x7f\0\0\0\0\0\x01\x11\x70",
}

implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


@implementation
@pytest.mark.parametrize("size", HEADS)
def bench_frame(benchmark: Any, implementation: str, size: int) -> None:
    benchmark.group = f"Text frame of {size} bytes"
    packet = b"4" + b"x" * (size - 1)
    if implementation == "socketio_fast":
        result = benchmark(encode_frames, packet)
    else:
        result = benchmark(lambda: Frame(Opcode.TEXT, packet).serialize(mask=False))
    assert result == HEADS[size] + packet


def bench_event_to_frame(benchmark: Any) -> None:
    """What `emit` does before it sends: from arguments to the bytes of a frame."""
    benchmark.group = "From an event's arguments to its frame"
    result = benchmark(lambda: render_frames(event_packet("echo", ["x" * 32])))
    assert result == b'\x81\x2d42["echo","' + b"x" * 32 + b'"]'
