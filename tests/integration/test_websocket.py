"""Engine.IO by WebSocket: the handshake, messages, closing, limits."""

from __future__ import annotations

import struct

import pytest
from support.raw import (
    BINARY,
    CLOSE,
    CONT,
    MASK,
    PING,
    PONG,
    TEXT,
    WS_KEY,
    Client,
    WebSocket,
    close_frame,
    frame,
    header,
    polling,
    request,
    text,
    turns,
    upgrade_request,
    websocket,
)
from support.websockets import INVALID_UTF8, TRUNCATED_UTF8, fragments

from integration.conftest import Start


async def refused(client: Client, data: bytes, *statuses: int) -> None:
    connection = await client.connect()
    await connection.send(data)
    assert (await connection.response()).status in (statuses or (400,))


# --- handshake ------------------------------------------------------------------


async def test_the_open_packet_comes_first(start: Start) -> None:
    echo, client = await start()
    ws = await client.websocket()
    packet = await ws.message()
    await echo.until(lambda: len(echo.sids) == 1)
    assert packet == (
        f'0{{"sid":"{echo.sids[0]}","upgrades":[],"pingInterval":25000,'
        '"pingTimeout":20000,"maxPayload":1000000}'
    )
    await ws.echoes("hello")


@pytest.mark.parametrize(
    "connection",
    [
        "Upgrade",
        "upgrade",
        "UPGRADE",
        "keep-alive, Upgrade",
        "Upgrade, keep-alive",
        "keep-alive,upgrade",
        "close ,  Upgrade  , x",
    ],
)
async def test_connection_headers(client: Client, connection: str) -> None:
    ws = await client.websocket(connection=connection)
    await ws.open_packet()
    await ws.echoes("hello")


@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "WEBSOCKET"])
async def test_upgrade_headers(client: Client, upgrade: str) -> None:
    ws = await client.websocket(upgrade=upgrade)
    await ws.open_packet()
    await ws.echoes("hello")


async def test_header_names_in_any_case(client: Client) -> None:
    connection = await client.connect()
    ws = WebSocket(connection.reader, connection.writer)
    await ws.send(
        request(
            "GET",
            websocket(),
            headers=[
                ("UPGRADE", "websocket"),
                ("connection", "Upgrade"),
                ("sec-websocket-KEY", WS_KEY),
                ("SEC-WEBSOCKET-VERSION", "13"),
            ],
        )
    )
    await ws.accepted()
    await ws.open_packet()
    await ws.echoes("hello")


async def test_the_handshake_of_a_browser(client: Client) -> None:
    """What Firefox sends: extensions it offers need not be taken."""
    ws = await client.websocket(
        headers=[
            ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"),
            ("Accept", "*/*"),
            ("Accept-Encoding", "gzip, deflate, br, zstd"),
            ("Origin", "http://test.local"),
            ("Sec-WebSocket-Extensions", "permessage-deflate"),
            ("Sec-Fetch-Mode", "websocket"),
            ("Pragma", "no-cache"),
            ("Cache-Control", "no-cache"),
        ],
        connection="keep-alive, Upgrade",
    )
    await ws.open_packet()
    await ws.echoes("hello")


async def test_the_first_offered_subprotocol_is_chosen(client: Client) -> None:
    """As `ws` does; a browser that offers some fails where none is chosen."""
    ws = await client.websocket(
        headers=[("Sec-WebSocket-Protocol", "chat, mqtt")], protocol="chat"
    )
    await ws.open_packet()


async def test_frames_in_the_segment_of_the_request(start: Start) -> None:
    echo, client = await start()
    ws = await client.websocket(
        after=text("4one") + frame(BINARY, b"\x01\x02") + text("4three")
    )
    await ws.open_packet()
    assert await ws.message() == "4one"
    assert await ws.message() == b"\x01\x02"
    assert await ws.message() == "4three"
    await echo.received("one", b"\x01\x02", "three")


async def test_a_part_of_a_frame_in_the_segment_of_the_request(client: Client) -> None:
    whole = text("4hello")
    for cut in range(1, len(whole)):
        ws = await client.websocket(after=whole[:cut])
        await ws.open_packet()
        await ws.send(whole[cut:])
        assert await ws.message() == "4hello"


async def test_the_handshake_split_at_every_byte(client: Client) -> None:
    whole = upgrade_request(websocket()) + text("4hello")
    for cut in range(1, len(whole)):
        connection = await client.connect()
        ws = WebSocket(connection.reader, connection.writer)
        await ws.send(whole[:cut])
        await turns()
        await ws.send(whole[cut:])
        await ws.accepted()
        await ws.open_packet()
        assert await ws.message() == "4hello"


async def test_an_upgrade_after_other_requests_of_the_connection(
    client: Client,
) -> None:
    connection = await client.connect()
    sid = await connection.open_session()
    (await connection.post(polling(sid), "4a")).ok("ok")
    ws = WebSocket(connection.reader, connection.writer)
    await ws.send(upgrade_request(websocket()))
    await ws.accepted()
    await ws.open_packet()
    await ws.echoes("hello")


async def test_an_upgrade_pipelined_behind_a_request(client: Client) -> None:
    connection = await client.connect()
    ws = WebSocket(connection.reader, connection.writer)
    await ws.send(
        request("GET", polling()) + upgrade_request(websocket()) + text("4hello")
    )
    (await ws.response()).ok()
    await ws.accepted()
    await ws.open_packet()
    assert await ws.message() == "4hello"


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "short",
        "x" * 24,
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ==x",
        "dGhlIHNhbXBsZSBub25jZTEyMw==",  # 19 bytes
        "dGhl!HNhbXBsZSBub25jZQ==",
    ],
)
async def test_an_invalid_key_is_refused(start: Start, key: str | None) -> None:
    echo, client = await start()
    await refused(client, upgrade_request(websocket(), key=key))
    assert echo.sids == []
    await (await client.session()).echoes("next")


@pytest.mark.parametrize("version", [None, "", "12", "0", "x", "130", "13, 12"])
async def test_a_wrong_version_is_refused(start: Start, version: str | None) -> None:
    echo, client = await start()
    connection = await client.connect()
    await connection.send(upgrade_request(websocket(), version=version))
    response = await connection.response()
    assert response.status in (400, 426)
    if response.status == 426:
        assert response.header("sec-websocket-version") == "13"
    assert echo.sids == []


@pytest.mark.parametrize("upgrade", [None, "h2c", "websockets"])
async def test_without_an_upgrade_to_websocket_it_is_a_bad_request(
    start: Start, upgrade: str | None
) -> None:
    echo, client = await start()
    await refused(client, upgrade_request(websocket(), upgrade=upgrade))
    assert echo.sids == []


async def test_without_connection_upgrade_it_is_a_bad_request(start: Start) -> None:
    echo, client = await start()
    await refused(client, upgrade_request(websocket(), connection="keep-alive"))
    assert echo.sids == []


@pytest.mark.parametrize("method", [b"POST", b"HEAD", b"OPTIONS"])
async def test_an_upgrade_is_a_get(start: Start, method: bytes) -> None:
    echo, client = await start()
    connection = await client.connect()
    await connection.send(
        upgrade_request(websocket()).replace(b"GET", method, 1),
    )
    response = await connection.response(method.decode())
    assert response.status != 101
    assert echo.sids == []


async def test_http_1_0_has_no_upgrade(start: Start) -> None:
    echo, client = await start()
    connection = await client.connect()
    await connection.send(
        upgrade_request(websocket()).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    )
    assert (await connection.response()).status != 101
    assert echo.sids == []


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/engine.io/?EIO=4", "Transport unknown"),
        ("/engine.io/?EIO=4&transport=abc", "Transport unknown"),
        (websocket("unknown"), "Session ID unknown"),
        ("/engine.io/?transport=websocket", "Unsupported protocol version"),
        ("/engine.io/?EIO=3&transport=websocket", "Unsupported protocol version"),
    ],
)
async def test_refused_targets(start: Start, target: str, message: str) -> None:
    echo, client = await start()
    connection = await client.connect()
    await connection.send(upgrade_request(target))
    response = await connection.response()
    if response.status == 101:
        # the reference has shaken hands before it looks at the version
        ws = WebSocket(connection.reader, connection.writer)
        await ws.ends()
    else:
        assert response.status == 400
        assert message in response.text
    assert echo.sids == []


async def test_another_path_is_not_found(client: Client) -> None:
    await refused(client, upgrade_request("/elsewhere/?EIO=4&transport=websocket"), 404)


# --- messages -------------------------------------------------------------------


SIZES = [0, 1, 124, 125, 126, 127, 200, 65534, 65535, 65536, 100_000, 999_999]


@pytest.mark.parametrize("size", SIZES)
async def test_text_of_any_length(client: Client, size: int) -> None:
    ws = await client.session()
    await ws.echoes("x" * size)


@pytest.mark.parametrize("size", SIZES)
async def test_binary_of_any_length(client: Client, size: int) -> None:
    ws = await client.session()
    await ws.echoes((bytes(range(256)) * (size // 256 + 1))[:size])


@pytest.mark.parametrize(
    "payload", ["", "hello", "€", "😀", "\x00", "\x1e", "\ufeff", "\U0010ffff", "a" * 9]
)
async def test_text_is_utf8(start: Start, payload: str) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.echoes(payload)
    await echo.received(payload)


@pytest.mark.parametrize(
    "mask", [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x01\x00\x00\x80"]
)
async def test_any_mask(client: Client, mask: bytes) -> None:
    ws = await client.session()
    for size in range(20):
        await ws.send(frame(BINARY, bytes(range(size)), mask=mask))
        assert await ws.message() == bytes(range(size))


async def test_many_frames_in_one_segment_are_echoed_in_order(start: Start) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.send(b"".join(text(f"4{i}") for i in range(200)))
    for i in range(200):
        assert await ws.message() == f"4{i}"
    assert echo.got == [str(i) for i in range(200)]


@pytest.mark.parametrize(
    "whole",
    [
        text("4€ hello"),
        frame(BINARY, bytes(range(200))),
        text("4one", fin=False) + frame(CONT, "two", fin=False) + frame(CONT, "😀"),
    ],
    ids=["text", "16-bit length", "fragments"],
)
async def test_frames_split_in_two_at_every_byte(client: Client, whole: bytes) -> None:
    ws = await client.session()
    await ws.send(whole)
    expected = await ws.message()
    for cut in range(1, len(whole)):
        await ws.send(whole[:cut])
        await turns()
        await ws.send(whole[cut:])
        assert await ws.message() == expected


async def test_frames_byte_by_byte(client: Client) -> None:
    ws = await client.session()
    whole = (
        frame(PING, b"ping")
        + text("4hello")
        + frame(BINARY, b"x" * 130)
        + frame(BINARY, b"y" * 70_000)[:14]
    )
    for i in range(len(whole)):
        await ws.send(whole[i : i + 1])
        await turns(3)
    got = await ws.frame()
    assert (got.opcode, got.payload) == (PONG, b"ping")
    assert await ws.message() == "4hello"
    assert await ws.message() == b"x" * 130
    await ws.send(frame(BINARY, b"y" * 70_000)[14:])
    assert await ws.message() == b"y" * 70_000


# --- closing --------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999],
)
async def test_a_close_code_is_echoed(start: Start, code: int) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.send(close_frame(code))
    await ws.fails_with(code)
    await echo.until(lambda: len(echo.ended) == 1)
    assert echo.ended[0][1] == "transport close"


async def test_a_close_without_a_code_is_answered(client: Client) -> None:
    ws = await client.session()
    await ws.send(close_frame())
    assert await ws.close_payload() in (b"", struct.pack("!H", 1000))


@pytest.mark.parametrize("reason", ["bye", "€", "x" * 123])
async def test_a_close_may_give_a_reason(client: Client, reason: str) -> None:
    ws = await client.session()
    await ws.send(close_frame(1000, reason.encode()))
    await ws.fails_with(1000)


@pytest.mark.parametrize(
    "code",
    [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535],
)
async def test_an_invalid_close_code_is_a_violation(client: Client, code: int) -> None:
    ws = await client.session()
    await ws.send(close_frame(code))
    await ws.fails_with(1002)


async def test_a_close_of_one_byte_is_a_violation(client: Client) -> None:
    ws = await client.session()
    await ws.send(frame(CLOSE, b"\x03"))
    await ws.fails_with(1002)


@pytest.mark.parametrize("reason", INVALID_UTF8 + TRUNCATED_UTF8)
async def test_a_close_reason_is_utf8(client: Client, reason: bytes) -> None:
    ws = await client.session()
    await ws.send(close_frame(1000, b"ok " + reason))
    await ws.fails_with(1007)


async def test_nothing_after_a_close_is_heard(start: Start) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.send(close_frame(1000) + text("4late") + frame(PING) + close_frame(1001))
    await ws.fails_with(1000)
    await echo.until(lambda: len(echo.ended) == 1)
    assert echo.got == []


async def test_garbage_after_a_close_is_not_a_second_failure(client: Client) -> None:
    ws = await client.session()
    await ws.send(close_frame(1000) + b"\xff" * 100)
    await ws.fails_with(1000)


async def test_a_socket_that_ends_without_a_close_ends_the_session(
    start: Start,
) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.close()
    await echo.until(lambda: len(echo.ended) == 1)
    assert echo.ended[0][1] in ("transport close", "transport error")


async def test_disconnect_by_the_server_closes_the_websocket(start: Start) -> None:
    echo, client = await start()
    ws = await client.session()
    await echo.until(lambda: len(echo.sids) == 1)
    await echo.app.disconnect(echo.sids[0])
    await ws.ends()
    assert await echo.disconnected(echo.sids[0]) == "server disconnect"


async def test_what_was_sent_before_a_disconnect_arrives(start: Start) -> None:
    echo, client = await start()
    ws = await client.session()
    await echo.until(lambda: len(echo.sids) == 1)
    await echo.app.send(echo.sids[0], "last")
    await echo.app.disconnect(echo.sids[0])
    assert await ws.message() == "4last"
    await ws.ends()


# --- limits ---------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_message_of_the_maximum_is_taken(start: Start, opcode: int) -> None:
    _, client = await start(max_http_buffer_size=1000)
    ws = await client.session()
    content = b"4" * 1000
    expected = content.decode() if opcode == TEXT else content
    await ws.send(frame(opcode, content))
    assert await ws.message() == expected
    await ws.send(b"".join(fragments(opcode, [content[:400], content[400:]])))
    assert await ws.message() == expected


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("length", [1001, 65536, 1 << 32, (1 << 63) - 1])
async def test_a_frame_above_the_maximum_is_refused_by_its_header(
    start: Start, opcode: int, fin: bool, length: int
) -> None:
    echo, client = await start(max_http_buffer_size=1000)
    ws = await client.session()
    await ws.send(header(opcode, length, fin=fin) + MASK)
    await ws.fails_with(1009)
    await echo.until(lambda: len(echo.ended) == 1)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_fragments_above_the_maximum_are_refused_before_their_end(
    start: Start, opcode: int
) -> None:
    echo, client = await start(max_http_buffer_size=1000)
    ws = await client.session()
    await ws.send(
        frame(opcode, b"4" * 600, fin=False) + frame(CONT, b"4" * 300, fin=False)
    )
    await ws.silent()
    await ws.send(frame(CONT, b"4" * 101, fin=False))
    await ws.fails_with(1009)
    assert echo.got == []


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_fragments_above_the_maximum_are_refused_by_a_header(
    start: Start, opcode: int
) -> None:
    echo, client = await start(max_http_buffer_size=1000)
    ws = await client.session()
    await ws.send(
        frame(opcode, b"4" * 600, fin=False) + frame(CONT, b"4" * 300, fin=False)
    )
    await ws.silent()
    await ws.send(header(CONT, 101, fin=False) + MASK)
    await ws.fails_with(1009)
    assert echo.got == []


async def test_the_maximum_is_of_one_message_not_of_the_connection(
    start: Start,
) -> None:
    _, client = await start(max_http_buffer_size=1000)
    ws = await client.session()
    for _ in range(5):
        await ws.send(b"".join(fragments(TEXT, [b"4" * 500, b"4" * 500])))
        assert await ws.message() == "4" * 1000


async def test_pings_between_fragments_do_not_count(start: Start) -> None:
    _, client = await start(max_http_buffer_size=100)
    ws = await client.session()
    first, second = fragments(TEXT, [b"4" * 50, b"4" * 50])
    await ws.send(first + frame(PING, b"x" * 100) + second)
    assert (await ws.frame()).payload == b"x" * 100
    assert await ws.message() == "4" * 100


async def test_the_default_maximum_is_a_million_bytes(client: Client) -> None:
    ws = await client.session()
    await ws.send(frame(BINARY, b"x" * 1_000_000))
    assert await ws.message() == b"x" * 1_000_000
    await ws.send(header(BINARY, 1_000_001) + MASK)
    await ws.fails_with(1009)


# --- Engine.IO's packets --------------------------------------------------------


@pytest.mark.parametrize("packet", ["", "abc", "7", "9", " 4", "4"[:0], "B", "-"])
async def test_an_invalid_packet_closes_the_session(start: Start, packet: str) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.text(packet)
    await ws.ends()
    await echo.until(lambda: len(echo.ended) == 1)
    assert echo.got == []


async def test_a_close_packet_closes_the_session(start: Start) -> None:
    echo, client = await start()
    ws = await client.session()
    await ws.text("1")
    await ws.ends()
    await echo.until(lambda: len(echo.ended) == 1)
    assert echo.ended[0][1] == "client disconnect"


async def test_a_pong_and_a_noop_are_taken_silently(client: Client) -> None:
    ws = await client.session()
    await ws.text("3")
    await ws.text("6")
    await ws.echoes("still here")
