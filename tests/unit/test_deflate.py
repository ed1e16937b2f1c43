"""permessage-deflate (RFC 7692): negotiation, frames, limits. Bytes in, bytes out."""

from __future__ import annotations

import os
import zlib
from typing import Any

import pytest
from support.raw import BINARY, CONT, PING, TEXT, frame, upgrade_request
from support.sansio import Http, Server, errors

from socketio_fast import AsyncServer
from socketio_fast._core.protocol.deflate import Deflate, Extension, parse_extensions
from socketio_fast._core.protocol.outgoing import event_packet, message_packet
from socketio_fast._core.testing import inflate, render_compressed
from socketio_fast.engineio import AsyncServer as EngineServer
from socketio_fast.exceptions import LimitError, ProtocolError
from socketio_fast.options.config import DeflateOptions, EngineConfig

RSV1 = 4
OFFER = "permessage-deflate; client_max_window_bits"
TAKEOVER = {"server_no_context_takeover": False, "client_no_context_takeover": False}
NCT = "server_no_context_takeover; client_no_context_takeover"
#: Section 7.2.3: "Hello", compressed.
HELLO = bytes.fromhex("f248cdc9c90700")
LONG = "the quick brown fox " * 200


# --- the header -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "parsed"),
    [
        ("a", [("a", [])]),
        ("a,b", [("a", []), ("b", [])]),
        (" a ; x ; y = 1 , b", [("a", [("x", None), ("y", "1")]), ("b", [])]),
        ('a; x="10"', [("a", [("x", "10")])]),
        (r'a; x="1\0"', [("a", [("x", "10")])]),
        ("A; X=Y", [("a", [("x", "Y")])]),
    ],
)
def test_extensions(header: str, parsed: list[Any]) -> None:
    """E5"""
    assert parse_extensions(header) == parsed


@pytest.mark.parametrize(
    "header", ["", ",", "a,", "a;", "a; x=", 'a; x="', "a b", "a; x y", "a=1", ";"]
)
def test_extensions_that_are_malformed(header: str) -> None:
    """E5"""
    with pytest.raises(ProtocolError, match="Sec-WebSocket-Extensions is malformed"):
        parse_extensions(header)


def extension(**options: Any) -> Extension:
    return Extension(DeflateOptions(**options))


@pytest.mark.parametrize(
    ("options", "offer", "answer"),
    [
        ({}, "permessage-deflate", NCT),
        ({}, OFFER, NCT),
        ({}, "Permessage-Deflate", NCT),
        ({}, "x-webkit-deflate-frame, permessage-deflate", NCT),
        (TAKEOVER, "permessage-deflate", ""),
        (
            TAKEOVER,
            "permessage-deflate; server_no_context_takeover",
            "server_no_context_takeover",
        ),
        (
            TAKEOVER,
            "permessage-deflate; client_no_context_takeover",
            "client_no_context_takeover",
        ),
        (
            {},
            "permessage-deflate; server_max_window_bits=10",
            f"{NCT}; server_max_window_bits=10",
        ),
        (
            {},
            'permessage-deflate; server_max_window_bits="10"',
            f"{NCT}; server_max_window_bits=10",
        ),
        (
            {"server_max_window_bits": 9},
            "permessage-deflate; server_max_window_bits=12",
            f"{NCT}; server_max_window_bits=9",
        ),
        (
            {"server_max_window_bits": 12},
            "permessage-deflate",
            f"{NCT}; server_max_window_bits=12",
        ),
        (
            {},
            "permessage-deflate; client_max_window_bits=8",
            f"{NCT}; client_max_window_bits=8",
        ),
        ({"client_max_window_bits": 10}, OFFER, f"{NCT}; client_max_window_bits=10"),
        # The first that can be accepted.
        (
            {},
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            NCT,
        ),
        # Declined.
        ({}, "permessage-bzip2", None),
        ({}, "permessage-deflate; unknown", None),
        ({}, "permessage-deflate; server_max_window_bits", None),
        ({}, "permessage-deflate; server_max_window_bits=7", None),
        ({}, "permessage-deflate; server_max_window_bits=8", None),
        ({}, "permessage-deflate; server_max_window_bits=16", None),
        ({}, "permessage-deflate; server_max_window_bits=09", None),
        ({}, "permessage-deflate; client_max_window_bits=x", None),
        ({}, "permessage-deflate; server_no_context_takeover=1", None),
        ({}, f"{OFFER}; client_max_window_bits", None),
        ({"client_max_window_bits": 10}, "permessage-deflate", None),
    ],
)
def test_negotiation(options: dict[str, Any], offer: str, answer: str | None) -> None:
    """E5"""
    found = extension(**options).negotiate([offer.encode()])
    if answer is None:
        assert found is None
    else:
        assert found is not None
        expected = "; ".join(["permessage-deflate", *filter(None, [answer])])
        assert found.header.decode() == f"Sec-WebSocket-Extensions: {expected}\r\n"


@pytest.mark.parametrize(
    ("options", "offer"),
    [
        ({}, f"{NCT}; client_max_window_bits"),
        (TAKEOVER, "client_max_window_bits"),
        (
            {"server_max_window_bits": 10},
            f"{NCT}; server_max_window_bits=10; client_max_window_bits",
        ),
        ({"client_max_window_bits": 10}, f"{NCT}; client_max_window_bits=10"),
    ],
)
def test_what_a_client_offers(options: dict[str, Any], offer: str) -> None:
    assert extension(**options).offer() == f"permessage-deflate; {offer}"


@pytest.mark.parametrize(
    ("options", "answer", "bits", "takeover"),
    [
        ({}, f"permessage-deflate; {NCT}", (15, 15), (False, False)),
        (
            {},
            "permessage-deflate; server_no_context_takeover",
            (15, 15),
            (False, False),
        ),
        (TAKEOVER, "permessage-deflate", (15, 15), (True, True)),
        (TAKEOVER, f"permessage-deflate; {NCT}", (15, 15), (False, False)),
        (
            TAKEOVER,
            "permessage-deflate; client_max_window_bits=9; server_max_window_bits=8",
            (9, 8),
            (True, True),
        ),
        (
            {**TAKEOVER, "client_max_window_bits": 10},
            "permessage-deflate; client_max_window_bits=12",
            (10, 15),
            (True, True),
        ),
    ],
)
def test_what_a_server_may_accept(
    options: dict[str, Any],
    answer: str,
    bits: tuple[int, int],
    takeover: tuple[bool, bool],
) -> None:
    """Bits and context takeover of what the client sends, and of what it receives."""
    found = extension(**options).answered(answer)
    assert found is not None
    assert (found.out_bits, found.in_bits) == bits
    assert (found.out_takeover, found.in_takeover) == takeover


@pytest.mark.parametrize(
    "answer",
    [
        "permessage-bzip2",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate",  # it was told that no context is taken over
        f"permessage-deflate; {NCT}; {NCT}",
        f"permessage-deflate; {NCT}; unknown",
        f"permessage-deflate; {NCT}; client_max_window_bits",
        f"permessage-deflate; {NCT}; server_max_window_bits=11",
        f"permessage-deflate; {NCT}; server_max_window_bits=x",
        "permessage-deflate; server_no_context_takeover=1",
    ],
)
def test_what_a_server_may_not_accept(answer: str) -> None:
    with pytest.raises(ProtocolError, match="the server has accepted"):
        extension(server_max_window_bits=10).answered(answer)


def test_a_server_accepts_nothing_or_less_than_zlib_can() -> None:
    assert extension().answered("") is None
    found = extension().answered(f"permessage-deflate; {NCT}; client_max_window_bits=8")
    assert found is not None
    assert found.out_bits == 8  # nothing is compressed, however long it is


def test_offers_in_several_lines() -> None:
    """E5"""
    found = extension().negotiate([b"permessage-deflate; x", b"permessage-deflate"])
    assert found is not None
    assert extension().negotiate([]) is None


def test_connections_share_what_has_no_state() -> None:
    """E5: an idle connection costs nothing."""
    one, other = extension(), extension(**TAKEOVER)
    offer = [OFFER.encode()]
    assert one.negotiate(offer) is one.negotiate(offer)
    assert other.negotiate(offer) is not other.negotiate(offer)


# --- messages -------------------------------------------------------------------


def deflate(offer: str = OFFER, **options: Any) -> Deflate:
    found = extension(**options).negotiate([offer.encode()])
    assert found is not None
    return found


def test_the_examples_of_the_rfc() -> None:
    """E5: RFC 7692, section 7.2.3."""
    once = deflate()
    assert inflate(once, HELLO, 5) == b"Hello"
    # A block without compression, a final block, two blocks, an empty message.
    assert inflate(once, bytes.fromhex("000500faff48656c6c6f00"), 5) == b"Hello"
    assert inflate(once, bytes.fromhex("f348cdc9c9070000"), 5) == b"Hello"
    assert inflate(once, bytes.fromhex("f248050000 00ffffcac9c90700"), 5) == b"Hello"
    assert inflate(once, b"\0", 5) == inflate(once, b"", 5) == b""
    # With context takeover, the second refers to the first.
    kept = deflate(**TAKEOVER)
    assert inflate(kept, HELLO, 5) == b"Hello"
    assert inflate(kept, bytes.fromhex("f200110000"), 5) == b"Hello"
    with pytest.raises(ProtocolError):
        inflate(once, bytes.fromhex("f200110000"), 5)


def test_a_final_block_begins_anew() -> None:
    """E5"""
    kept = deflate(**TAKEOVER)
    for _ in range(3):
        assert inflate(kept, bytes.fromhex("f348cdc9c9070000"), 5) == b"Hello"
    with pytest.raises(ProtocolError, match="follows its final block"):
        inflate(kept, bytes.fromhex("f348cdc9c90700") + HELLO, 50)


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", b"Hello", b"\x07"])
def test_what_is_not_compressed(payload: bytes) -> None:
    """E5"""
    with pytest.raises(ProtocolError) as info:
        inflate(deflate(), payload, 100)
    assert info.value.code == 1007


def packed(data: bytes, bits: int = 15) -> bytes:
    c = zlib.compressobj(9, zlib.DEFLATED, -bits)
    return (c.compress(data) + c.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize("bits", range(8, 16))
def test_the_window_of_a_client(bits: int) -> None:
    """E5"""
    block = os.urandom(2000)
    for takeover in ({}, TAKEOVER):
        theirs = deflate(
            f"permessage-deflate; client_max_window_bits={bits}", **takeover
        )
        assert theirs.in_bits == bits
        assert (
            inflate(theirs, packed(block + block, max(bits, 9)), 4000) == block + block
        )


@pytest.mark.parametrize("size", [999, 1000, 1001, 50_000_000])
def test_the_limit(size: int) -> None:
    """E5: nothing larger is decompressed, whatever the ratio."""
    payload = packed(b"x" * size)
    if size <= 1000:
        assert inflate(deflate(), payload, 1000) == b"x" * size
        return
    with pytest.raises(LimitError) as info:
        inflate(deflate(), payload, 1000)
    assert info.value.code == 1009


def unpacked(frames: bytes, inflate: Any = None) -> list[tuple[bool, bytes]]:
    """Frames as (whether it was compressed, message)."""
    found = []
    while frames:
        size, offset = frames[1], 2
        assert size < 127
        if size == 126:
            size, offset = int.from_bytes(frames[2:4], "big"), 4
        payload, first = frames[offset : offset + size], frames[0]
        frames = frames[offset + size :]
        if first & 0x40:
            inflater = inflate or zlib.decompressobj(-15)
            payload = inflater.decompress(payload + b"\0\0\xff\xff")
        found.append((bool(first & 0x40), payload))
    return found


def test_what_is_compressed() -> None:
    """E5: messages from the threshold on, each by itself."""
    once = deflate()
    small, large, noise = b"x" * 1023, b"x" * 1024, os.urandom(2000)
    message = event_packet("a", [small, large, noise])
    text, *rest = unpacked(render_compressed(once, message))
    assert text[1].startswith(b'453-["a",')
    assert rest == [(False, small), (True, large), (False, noise)]
    assert unpacked(render_compressed(once, message_packet(small.decode()))) == [
        (True, b"4" + small)
    ]
    assert render_compressed(once, message_packet(b"abc")) == b"\x82\x03abc"


@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("bits", [9, 12, 15])
def test_the_window_of_the_server_is_kept_to(level: int, bits: int) -> None:
    """E5"""
    for options in ({}, TAKEOVER):
        ours = deflate(level=level, server_max_window_bits=bits, mem_level=5, **options)
        block = os.urandom(3000)
        inflate = zlib.decompressobj(-bits)
        for _ in range(3):
            data = block + b"y" * 2000 + block
            ((compressed, got),) = unpacked(
                render_compressed(ours, message_packet(data)),
                inflate if options else zlib.decompressobj(-bits),
            )
            assert compressed
            assert got == data


def test_context_takeover_makes_less_of_what_was_sent() -> None:
    """E5"""
    kept = deflate(**TAKEOVER)
    inflate = zlib.decompressobj(-15)
    noise = os.urandom(2000)
    first, second = (render_compressed(kept, message_packet(noise)) for _ in range(2))
    assert len(second) < 100 < len(first)
    for frames in (first, second):
        assert unpacked(frames, inflate) == [(True, noise)]


def test_a_message_is_compressed_once_for_all_who_share_a_window() -> None:
    """E5, M15: the frame is one object."""
    server = extension()
    message = message_packet(LONG)
    clients = [
        server.negotiate([offer])
        for offer in (
            b"permessage-deflate",
            b"permessage-deflate; client_max_window_bits=9",
            b"permessage-deflate; server_max_window_bits=10",
            b"permessage-deflate; server_max_window_bits=10",
        )
    ]
    a, b, c, d = (
        render_compressed(client, message) for client in clients if client is not None
    )
    assert a is b
    assert c is d
    assert a is not c


# --- on the wire ----------------------------------------------------------------


def open_websocket(app: Any, offer: str | None = OFFER) -> tuple[Server, Http, str]:
    """A connection, and its response's head."""
    server = Server(app)
    http = server.http()
    headers = [] if offer is None else [("Sec-WebSocket-Extensions", offer)]
    http.send(upgrade_request(server.target("websocket"), headers))
    head, _, _ = http.wire.take().partition(b"\r\n\r\n")
    return server, http, head.decode()


def echo(**options: Any) -> EngineServer:
    app = EngineServer(**options)

    @app.on("message")
    async def message(sid: str, data: str | bytes) -> None:
        await app.send(sid, data)

    return app


@pytest.mark.parametrize(
    ("options", "offer", "accepted"),
    [
        ({}, OFFER, False),
        ({"per_message_deflate": False}, OFFER, False),
        ({"per_message_deflate": True}, OFFER, True),
        ({"per_message_deflate": {}}, OFFER, True),
        ({"per_message_deflate": True}, None, False),
        ({"per_message_deflate": True}, "permessage-bzip2", False),
    ],
)
def test_the_handshake(
    options: dict[str, Any], offer: str | None, accepted: bool
) -> None:
    """E5"""
    _, http, head = open_websocket(echo(**options), offer)
    assert head.startswith("HTTP/1.1 101 ")
    assert ("Sec-WebSocket-Extensions: permessage-deflate" in head) is accepted
    http.send(frame(TEXT, "4" + LONG))
    ((compressed, got),) = unpacked(http.wire.take())
    assert compressed is accepted
    assert got.decode() == "4" + LONG


def test_a_malformed_offer() -> None:
    """E5: RFC 6455, section 9.1, as ws for Node.js."""
    _, _, head = open_websocket(echo(per_message_deflate=True), "a; b=")
    assert head.startswith("HTTP/1.1 400 ")
    _, _, head = open_websocket(echo(), "a; b=")
    assert head.startswith("HTTP/1.1 101 ")


@pytest.mark.parametrize("kind", [TEXT, BINARY])
@pytest.mark.parametrize("takeover", [False, True])
def test_messages_whole_and_in_fragments(kind: int, takeover: bool) -> None:
    """E5"""
    app = echo(per_message_deflate=TAKEOVER if takeover else True)
    _, http, _ = open_websocket(app)
    inflate = zlib.decompressobj(-15)
    c = zlib.compressobj(wbits=-15)
    message = ("4é" if kind == TEXT else "é").encode() + LONG.encode()
    for _ in range(2):
        if not takeover:
            c = zlib.compressobj(wbits=-15)
        payload = (c.compress(message) + c.flush(zlib.Z_SYNC_FLUSH))[:-4]
        http.send(frame(kind, payload, rsv=RSV1))
        assert unpacked(http.wire.take(), inflate if takeover else None) == [
            (True, message)
        ]
        if takeover:
            payload = (c.compress(message) + c.flush(zlib.Z_SYNC_FLUSH))[:-4]
        pieces = [payload[:1], b"", payload[1:-1], payload[-1:]]
        http.send(frame(kind, pieces[0], fin=False, rsv=RSV1))
        http.send(frame(CONT, pieces[1], fin=False))
        http.send(frame(PING, b"p"))
        http.send(frame(CONT, pieces[2], fin=False))
        assert http.wire.take() == b"\x8a\x01p"
        http.send(frame(CONT, pieces[3]))
        assert unpacked(http.wire.take(), inflate if takeover else None) == [
            (True, message)
        ]
        # What is not compressed goes between.
        http.send(frame(kind, b"4ok"))
        assert unpacked(http.wire.take()) == [(False, b"4ok")]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(CONT, b"", rsv=RSV1), 1002),
        (frame(TEXT, HELLO, fin=False, rsv=RSV1) + frame(CONT, b"", rsv=RSV1), 1002),
        (frame(PING, b"", rsv=RSV1), 1002),
        (frame(8, b"", rsv=RSV1), 1002),
        (frame(TEXT, b"4a", rsv=2), 1002),
        (frame(TEXT, b"4a", rsv=1), 1002),
        (frame(TEXT, b"4a", rsv=RSV1 | 1), 1002),
        (frame(TEXT, b"\xff\xff", rsv=RSV1), 1007),
        (frame(TEXT, packed(b"4\xff"), rsv=RSV1), 1007),
        (frame(TEXT, packed(b"4" + b"x" * 1_000_000), rsv=RSV1), 1009),
        (frame(BINARY, packed(b"x" * 9_000_000), rsv=RSV1), 1009),
        (
            frame(BINARY, packed(b"x" * 9_000_000)[:50], fin=False, rsv=RSV1)
            + frame(CONT, packed(b"x" * 9_000_000)[50:]),
            1009,
        ),
    ],
)
def test_violations(frames: bytes, code: int, caplog: pytest.LogCaptureFixture) -> None:
    """E5"""
    app = echo(per_message_deflate=True)
    _, http, _ = open_websocket(app)
    http.send(frames)
    assert http.wire.take() == b"\x88\x02" + code.to_bytes(2, "big")
    assert not app.sockets
    assert not errors(caplog)


def test_a_reserved_bit_without_negotiation() -> None:
    """E5"""
    for app, offer in ((echo(), OFFER), (echo(per_message_deflate=True), None)):
        _, http, _ = open_websocket(app, offer)
        http.send(frame(TEXT, HELLO, rsv=RSV1))
        assert http.wire.take() == b"\x88\x02" + (1002).to_bytes(2, "big")


def test_an_empty_message() -> None:
    """E5"""
    _, http, _ = open_websocket(echo(per_message_deflate={"threshold": 0}))
    http.send(frame(BINARY, b"\0", rsv=RSV1))
    # It would grow if it were compressed.
    assert http.wire.take() == b"\x82\x00"


def test_a_message_of_the_maximum_is_taken() -> None:
    """E5"""
    _, http, _ = open_websocket(
        echo(per_message_deflate=True, max_http_buffer_size=5000)
    )
    http.send(frame(BINARY, packed(b"x" * 5000), rsv=RSV1))
    assert unpacked(http.wire.take()) == [(True, b"x" * 5000)]


def test_the_compress_flag() -> None:
    """M9: no permessage-deflate for it."""
    app = echo(per_message_deflate=True)
    _, http, _ = open_websocket(app)
    (session,) = app.sockets.values()
    message = message_packet(LONG)
    message.compress = False
    session.send_encoded(message)
    http.server.loop.turn()
    assert unpacked(http.wire.take()) == [(False, b"4" + LONG.encode())]


async def test_a_broadcast() -> None:
    """E5: everybody gets it, compressed for those who asked."""
    app = AsyncServer(per_message_deflate=True)
    server, http, _ = open_websocket(app)
    http.send(frame(TEXT, "40"))
    plain, _ = server.joined()
    http.wire.take()
    await app.emit("a", LONG)
    server.loop.turn()
    assert plain.messages() == [f'42["a","{LONG}"]']
    assert unpacked(http.wire.take()) == [(True, f'42["a","{LONG}"]'.encode())]


# --- options --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1, "True, False or a dict"),
        ("yes", "'yes'"),
        ({"windowBits": 9}, "'windowBits' is not an option"),
        ({"threshold": -1}, "threshold=-1"),
        ({"threshold": 1.5}, "threshold=1.5"),
        ({"level": 0}, "level=0: 1 to 9"),
        ({"level": True}, "level=True"),
        ({"mem_level": 10}, "mem_level=10"),
        ({"server_max_window_bits": 8}, "server_max_window_bits=8: 9 to 15"),
        ({"client_max_window_bits": 16}, "client_max_window_bits=16: 9 to 15"),
        ({"server_no_context_takeover": 1}, "server_no_context_takeover=1"),
    ],
)
def test_options_that_are_wrong(value: Any, message: str) -> None:
    """E5"""
    with pytest.raises(ValueError, match=f"per_message_deflate.*{message}"):
        EngineConfig(per_message_deflate=value)


def test_options_are_kept() -> None:
    """E5"""
    app = EngineServer(per_message_deflate={"threshold": 9, "level": 6})
    assert app.per_message_deflate == DeflateOptions(threshold=9, level=6)
    app.ping_interval = 3
    assert app.per_message_deflate == DeflateOptions(threshold=9, level=6)
    app.per_message_deflate = False
    assert app.per_message_deflate is None
    assert app.engine.deflate is None
