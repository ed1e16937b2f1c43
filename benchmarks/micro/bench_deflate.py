"""permessage-deflate: 4 KiB of JSON, echoed, and broadcast to a thousand."""

from __future__ import annotations

import json
import random
import zlib
from typing import Any

import pytest

from socketio_fast._core.protocol.deflate import Deflate, Extension
from socketio_fast._core.protocol.outgoing import message_packet
from socketio_fast._core.testing import inflate, render_compressed, render_frames
from socketio_fast.options.config import DeflateOptions

OFFER = [b"permessage-deflate; client_max_window_bits"]
TAKEOVER = {"server_no_context_takeover": False, "client_no_context_takeover": False}
OPTIONS = {
    "level 1": {},
    "level 6": {"level": 6},
    "level 1, context takeover": TAKEOVER,
}
RECIPIENTS = 1000


def rows(size: int = 4096) -> str:
    """JSON as applications send it: names that repeat, values that do not."""
    draw = random.Random(1)
    text = json.dumps([
        {
            "id": draw.randrange(10**9),
            "user": draw.choice(["ann", "bob", "eve", "mallory"]),
            "price": draw.random(),
            "online": draw.random() < 0.5,
        }
        for _ in range(size // 40)
    ])  # fmt: skip
    return text[:size]


def negotiated(extension: Extension) -> Deflate:
    found = extension.negotiate(OFFER)
    assert found is not None
    return found


@pytest.mark.parametrize("options", ["none", *OPTIONS])
def bench_echo(benchmark: Any, options: str) -> None:
    """What it adds to an echo: a payload inflated, a frame rendered."""
    benchmark.group = "permessage-deflate: echo of 4 KiB of JSON"
    text = rows()
    if options == "none":
        assert benchmark(lambda: render_frames(message_packet(text)))
        return
    deflate = negotiated(Extension(DeflateOptions(**OPTIONS[options])))
    compressor = zlib.compressobj(6, wbits=-15)
    data = compressor.compress(text.encode()) + compressor.flush(zlib.Z_SYNC_FLUSH)

    def echo() -> bytes:
        message = inflate(deflate, data[:-4], 10_000)
        return render_compressed(deflate, message_packet(message.decode()))

    assert 0 < len(benchmark(echo)) < 4096


@pytest.mark.parametrize("options", ["none", *OPTIONS])
def bench_broadcast(benchmark: Any, options: str) -> None:
    """The frames of one message for every recipient."""
    benchmark.group = f"permessage-deflate: 4 KiB of JSON to {RECIPIENTS}"
    text = rows()
    if options == "none":

        def plain() -> int:
            message = message_packet(text)
            return sum(len(render_frames(message)) for _ in range(RECIPIENTS))

        assert benchmark(plain) > 4096 * RECIPIENTS
        return
    extension = Extension(DeflateOptions(**OPTIONS[options]))
    clients = [negotiated(extension) for _ in range(RECIPIENTS)]

    def broadcast() -> int:
        message = message_packet(text)
        return sum(len(render_compressed(client, message)) for client in clients)

    assert 0 < benchmark(broadcast) < 4096 * RECIPIENTS
