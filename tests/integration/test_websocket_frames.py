"""The framing of RFC 6455: fragments, control frames, UTF-8, protocol errors."""

from __future__ import annotations

import struct

import pytest
from support.raw import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Client,
    close_frame,
    frame,
    header,
    text,
    turns,
)
from support.websockets import INVALID_UTF8, TRUNCATED_UTF8, fragments

from integration.conftest import Start

# --- fragments ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opcode", "pieces", "message"),
    [
        (TEXT, [b"4hel", b"lo"], "4hello"),
        (TEXT, [b"4", b"h", b"e", b"l", b"l", b"o"], "4hello"),
        (TEXT, [b"", b"4hello", b""], "4hello"),
        (TEXT, [b"4hello", b""], "4hello"),
        (TEXT, [b"", b"", b"4"], "4"),
        (TEXT, [b"4\xe2", b"\x82", b"\xac"], "4€"),
        (TEXT, [b"4\xf0\x9f", b"\x98\x80\xf0", b"\x9f\x98\x80"], "4😀😀"),
        (BINARY, [b"\x01", b"\x02\x03", b"\x04"], b"\x01\x02\x03\x04"),
        (BINARY, [b"", b"", b""], b""),
        (BINARY, [b"\xff\xc3", b"\x28\xfe"], b"\xff\xc3\x28\xfe"),
        (BINARY, [b"a" * 70_000, b"b" * 130, b"c"], b"a" * 70_000 + b"b" * 130 + b"c"),
    ],
)
async def test_fragments_are_reassembled(
    start: Start, opcode: int, pieces: list[bytes], message: str | bytes
) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.send(b"".join(fragments(opcode, pieces)))
    assert await ws.message() == message
    for piece in fragments(opcode, pieces):
        await ws.send(piece)
        await turns()
    assert await ws.message() == message
    await echo.received(*[message[1:] if isinstance(message, str) else message] * 2)


async def test_control_frames_between_fragments_are_answered_at_once(
    start: Start,
) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.send(text("4hel", fin=False) + frame(PING, b"one") + frame(PONG, b"none"))
    got = await ws.frame()
    assert (got.opcode, got.payload) == (PONG, b"one")
    await ws.send(frame(CONT, "l", fin=False) + frame(PING) + frame(CONT, "o"))
    got = await ws.frame()
    assert (got.opcode, got.payload) == (PONG, b"")
    assert await ws.message() == "4hello"
    await echo.received("hello")


async def test_the_server_may_send_between_a_clients_fragments(start: Start) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.send(text("4hel", fin=False))
    await echo.until(lambda: len(echo.sids) == 1)
    await echo.app.send(echo.sids[0], "between")
    assert await ws.message() == "4between"
    await ws.send(frame(CONT, "lo"))
    assert await ws.message() == "4hello"


async def test_a_close_between_fragments_is_answered(client: Client) -> None:
    ws = await client.session()
    await ws.send(text("4hel", fin=False) + close_frame(1000))
    await ws.fails_with(1000)


# --- control frames -------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"hello", b"\x00\xff\xfe", b"x" * 125])
async def test_a_ping_is_answered_with_its_payload(
    client: Client, payload: bytes
) -> None:
    ws = await client.session()
    await ws.send(frame(PING, payload))
    got = await ws.frame()
    assert (got.opcode, got.payload) == (PONG, payload)
    await ws.echoes("still here")


async def test_every_ping_is_answered_in_order(client: Client) -> None:
    ws = await client.session()
    await ws.send(b"".join(frame(PING, b"%d" % i) for i in range(10)))
    for i in range(10):
        got = await ws.frame()
        assert (got.opcode, got.payload) == (PONG, b"%d" % i)


@pytest.mark.parametrize("payload", [b"", b"unasked"])
async def test_an_unsolicited_pong_is_ignored(client: Client, payload: bytes) -> None:
    ws = await client.session()
    await ws.send(frame(PONG, payload))
    await ws.echoes("still here")


async def test_no_frame_of_websockets_own_ping_reaches_the_application(
    start: Start,
) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.send(frame(PING, b"4x") + frame(PONG, b"4y"))
    await ws.frame()
    await ws.echoes("only this")
    await echo.received("only this")


# --- protocol errors ------------------------------------------------------------


VIOLATIONS = {
    **{
        f"RSV{4 - rsv.bit_length()} of opcode {opcode}": frame(
            opcode, b"4" if opcode < 8 else b"", rsv=rsv
        )
        for rsv in (4, 2, 1)
        for opcode in (TEXT, BINARY, PING, PONG, CLOSE)
    },
    "all RSV bits": frame(TEXT, b"4", rsv=7),
    **{
        f"opcode {opcode}": frame(opcode, b"4")
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    },
    "an unmasked text": frame(TEXT, b"4hello", mask=None),
    "an unmasked ping": frame(PING, b"", mask=None),
    "an unmasked close": frame(CLOSE, struct.pack("!H", 1000), mask=None),
    "a fragmented ping": frame(PING, b"a", fin=False),
    "a fragmented pong": frame(PONG, b"a", fin=False),
    "a fragmented close": frame(CLOSE, struct.pack("!H", 1000), fin=False),
    "a ping of 126 bytes": header(PING, 126),
    "a pong of 126 bytes": header(PONG, 126),
    "a close of 126 bytes": header(CLOSE, 126),
    "a ping of 65536 bytes": header(PING, 65536),
    "a short ping with a 16-bit length": header(PING, 5, width=16),
    "a continuation first": frame(CONT, b"4"),
    "an unfinished continuation first": frame(CONT, b"4", fin=False),
    "a continuation after a message": text("3") + frame(CONT, b"4"),
    "a continuation after a fragmented message": (
        text("3", fin=False) + frame(CONT, b"") + frame(CONT, b"4")
    ),
    "text inside fragments": text("4a", fin=False) + text("4b"),
    "binary inside fragments": text("4a", fin=False) + frame(BINARY, b"b"),
    "a second start of fragments": text("4a", fin=False) + text("4b", fin=False),
    "RSV in a continuation": text("4a", fin=False) + frame(CONT, b"b", rsv=4),
    **{
        f"a length of {length} in 16 bits": header(TEXT, length, width=16)
        for length in (0, 1, 125)
    },
    **{
        f"a length of {length} in 64 bits": header(TEXT, length, width=64)
        for length in (0, 125, 126, 65535)
    },
}


@pytest.mark.parametrize("violation", VIOLATIONS.values(), ids=VIOLATIONS.keys())
async def test_a_violation_of_the_protocol_is_closed_with_1002(
    start: Start, violation: bytes
) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.send(violation)
    await ws.fails_with(1002)
    await echo.until(lambda: len(echo.ended) == 1)
    assert echo.got == []


async def test_a_negative_length_is_refused(client: Client) -> None:
    ws = await client.session()
    await ws.send(header(BINARY, (1 << 63) + 5))
    payload = await ws.close_payload()
    assert payload[:2] in (struct.pack("!H", 1002), struct.pack("!H", 1009))


async def test_what_came_before_a_violation_is_delivered(start: Start) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.send(text("4before") + frame(TEXT, b"4", rsv=4) + text("4after"))
    assert await ws.message() == "4before"
    await ws.fails_with(1002)
    await echo.received("before")


async def test_a_violation_harms_nobody_else(client: Client) -> None:
    other = await client.session()
    ws = await client.session()
    await ws.send(frame(3, b""))
    await ws.fails_with(1002)
    await other.echoes("still here")


# --- UTF-8 ----------------------------------------------------------------------


@pytest.mark.parametrize("bad", INVALID_UTF8 + TRUNCATED_UTF8)
async def test_text_that_is_not_utf8_is_closed_with_1007(
    start: Start, bad: bytes
) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.send(frame(TEXT, b"4hello " + bad))
    await ws.fails_with(1007)
    assert echo.got == []


@pytest.mark.parametrize("bad", INVALID_UTF8)
async def test_it_is_found_in_the_fragment_where_it_is(
    start: Start, bad: bytes
) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.send(frame(TEXT, b"4hello " + bad, fin=False))
    await ws.fails_with(1007)
    assert echo.got == []


@pytest.mark.parametrize("bad", INVALID_UTF8)
async def test_it_is_found_in_a_later_fragment(client: Client, bad: bytes) -> None:
    ws = await client.session()
    await ws.send(frame(TEXT, "4€", fin=False))
    await ws.silent()
    await ws.send(frame(CONT, b"x" + bad, fin=False))
    await ws.fails_with(1007)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"4\xe2\x82", b"x"),
        (b"4\xc3", b"\xc3"),
        (b"4\xf0\x9f", b"\x98x"),
        (b"4\xed", b"\xa0\x80"),
        (b"4\xe2", b"\xe2\x82\xac"),
    ],
)
async def test_it_is_found_across_fragments(
    client: Client, first: bytes, second: bytes
) -> None:
    ws = await client.session()
    await ws.send(frame(TEXT, first, fin=False))
    await ws.silent()
    await ws.send(frame(CONT, second, fin=False))
    await ws.fails_with(1007)


@pytest.mark.parametrize("prefix", [b"\xed\xa0", b"\xf4\x90", b"\xe0\x80", b"\xf0\x8f"])
async def test_a_prefix_that_nothing_can_complete_is_found_at_once(
    client: Client, prefix: bytes
) -> None:
    ws = await client.session()
    await ws.send(frame(TEXT, b"4" + prefix, fin=False))
    await ws.fails_with(1007)


@pytest.mark.parametrize("rest", TRUNCATED_UTF8)
async def test_a_message_that_ends_inside_a_character(
    client: Client, rest: bytes
) -> None:
    ws = await client.session()
    await ws.send(frame(TEXT, b"4" + rest, fin=False))
    await ws.silent()
    await ws.send(frame(CONT, b""))
    await ws.fails_with(1007)


async def test_binary_is_not_utf8(client: Client) -> None:
    ws = await client.session()
    await ws.echoes(b"".join(INVALID_UTF8))
