"""HTTP/1.1 under long-polling, byte by byte; split input, compression."""

from __future__ import annotations

import gzip
import zlib

import pytest
from support.polling import OPEN, lives, session
from support.raw import (
    Client,
    chunk,
    chunked,
    polling,
    request,
    turns,
)

from integration.conftest import Start

# --- HTTP/1.1 -------------------------------------------------------------------


async def test_one_connection_serves_many_requests(client: Client) -> None:
    connection, sid = await session(client)
    for i in range(20):
        (await connection.post(polling(sid), f"4{i}")).ok("ok")
        response = (await connection.get(polling(sid))).ok(f"4{i}")
        assert (response.header("connection") or "keep-alive") == "keep-alive"


async def test_connection_close_is_obeyed(client: Client) -> None:
    connection = await client.connect()
    response = (await connection.get(polling(), ("Connection", "close"))).ok()
    assert (response.header("connection") or "").lower() == "close"
    await connection.eof()


async def test_http_1_0_closes_after_the_response(client: Client) -> None:
    connection = await client.connect()
    await connection.send(
        request("GET", polling()).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    )
    response = (await connection.response()).ok()
    assert response.header("transfer-encoding") is None
    await connection.eof()


async def test_what_follows_connection_close_is_not_a_request(start: Start) -> None:
    echo, client = await start()
    connection = await client.connect()
    await connection.send(
        request("GET", polling(), headers=[("Connection", "close")])
        + request("GET", polling())
    )
    (await connection.response()).ok()
    await connection.eof(reset=True)
    assert len(echo.sids) == 1


async def test_pipelined_handshakes_are_answered_in_order(start: Start) -> None:
    echo, client = await start()
    connection = await client.connect()
    await connection.send(request("GET", polling()) * 5)
    sids = []
    for _ in range(5):
        match = OPEN.fullmatch((await connection.response()).ok().text)
        assert match
        sids.append(match[1])
    assert sids == echo.sids


async def test_pipelined_posts_and_polls_are_answered_in_order(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.send(
        request("POST", polling(sid), "4one")
        + request("GET", polling(sid))
        + chunked(polling(sid), [b"4t", b"wo"])
        + request("GET", polling(sid))
        + request("GET", "/nowhere")
    )
    (await connection.response()).ok("ok")
    (await connection.response()).ok("4one")
    (await connection.response()).ok("ok")
    (await connection.response()).ok("4two")
    assert (await connection.response()).status == 404
    await echo.received("one", "two")


async def test_a_post_pipelined_behind_a_parked_get(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.send(
        request("GET", polling(sid)) + request("POST", polling(sid), "4hello")
    )
    (await connection.response()).ok("4hello")
    (await connection.response()).ok("ok")
    await echo.received("hello")


async def test_a_post_that_comes_later_behind_a_parked_get(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.park(polling(sid))
    await connection.send(request("POST", polling(sid), "4hello"))
    (await connection.response()).ok("4hello")
    (await connection.response()).ok("ok")
    await echo.received("hello")


async def test_another_session_pipelined_behind_a_parked_get(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.send(request("GET", polling(sid)) + request("GET", polling()))
    await connection.silent()
    await echo.app.send(sid, "first")
    (await connection.response()).ok("4first")
    assert OPEN.fullmatch((await connection.response()).ok().text)


@pytest.mark.parametrize("pieces", [[b"4hello"], [b"4", b"he", b"llo"]])
async def test_chunked_bodies(start: Start, pieces: list[bytes]) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.send(chunked(polling(sid), pieces))
    (await connection.response()).ok("ok")
    await echo.received("hello")


@pytest.mark.parametrize(
    "body",
    [
        b"6;name=value\r\n4hello\r\n0\r\n\r\n",
        b'6;name="a b"\r\n4hello\r\n0;last\r\n\r\n',
        b"6\r\n4hello\r\n0\r\nX-Sum: 1\r\n\r\n",
        b"006\r\n4hello\r\n000\r\n\r\n",
    ],
    ids=["extension", "quoted extension", "trailer", "zeros"],
)
async def test_chunk_extensions_and_trailers_are_skipped(
    start: Start, body: bytes
) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    head = request("POST", polling(sid), headers=[("Transfer-Encoding", "chunked")])
    await connection.send(head + body)
    (await connection.response()).ok("ok")
    (await connection.get(polling(sid))).ok("4hello")
    await echo.received("hello")


async def test_chunks_that_come_one_by_one(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.send(
        request("POST", polling(sid), headers=[("Transfer-Encoding", "chunked")])
    )
    for piece in [b"4\xe2", b"\x82", b"\xac", b"!"]:
        await connection.send(chunk(piece))
        await turns()
    await connection.silent()
    await connection.send(b"0\r\n\r\n")
    (await connection.response()).ok("ok")
    await echo.received("€!")


async def test_options_is_answered_200(client: Client) -> None:
    connection = await client.connect()
    await connection.send(request("OPTIONS", polling()))
    response = (await connection.response("OPTIONS")).ok()
    assert response.header("access-control-allow-methods") == "OPTIONS, GET, POST"


async def test_head_has_no_body_and_opens_no_session(start: Start) -> None:
    echo, client = await start()
    connection = await client.connect()
    await connection.send(request("HEAD", polling()))
    assert (await connection.response("HEAD")).status == 400
    # had a body come, this response would not parse
    assert OPEN.fullmatch((await connection.get(polling())).ok().text)
    assert len(echo.sids) == 1


async def test_head_on_a_session_takes_no_messages(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await echo.app.send(sid, "kept")
    await connection.send(request("HEAD", polling(sid)))
    assert (await connection.response("HEAD")).status >= 400
    other = await client.connect()
    (await other.get(polling(sid))).ok("4kept")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_on_a_session_are_refused(
    start: Start, method: str
) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.send(request(method, polling(sid), "4hello"))
    assert (await connection.response()).status >= 400
    await lives(client, sid)
    assert echo.got == ["still here"]


async def test_expect_100_continue(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    whole = request("POST", polling(sid), "4hello", [("Expect", "100-continue")])
    await connection.send(whole[:-6])
    assert (await connection.response()).status == 100
    await connection.silent()
    await connection.send(whole[-6:])
    (await connection.response()).ok("ok")
    await echo.received("hello")


async def test_expect_100_continue_of_a_body_too_large_is_refused_at_once(
    start: Start,
) -> None:
    _, client = await start(max_http_buffer_size=100)
    connection, sid = await session(client)
    await connection.send(
        request("POST", polling(sid), "4" * 101, [("Expect", "100-continue")])[:-101]
    )
    (await connection.response()).refused(413)


# --- split input ----------------------------------------------------------------


async def test_a_get_split_in_two_at_every_byte(client: Client) -> None:
    connection = await client.connect()
    whole = request("GET", polling(), headers=[("User-Agent", "test")])
    for cut in range(1, len(whole)):
        await connection.send(whole[:cut])
        await turns()
        await connection.send(whole[cut:])
        assert OPEN.fullmatch((await connection.response()).ok().text)


@pytest.mark.parametrize("form", ["length", "chunked"])
async def test_a_post_split_in_two_at_every_byte(start: Start, form: str) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    if form == "length":
        whole = request("POST", polling(sid), "4€\x1ebAQIDBA==")
    else:
        whole = chunked(polling(sid), ["4€".encode(), b"\x1ebAQI", b"DBA=="])
    for cut in range(1, len(whole)):
        await connection.send(whole[:cut])
        await turns()
        await connection.send(whole[cut:])
        (await connection.response()).ok("ok")
        (await connection.get(polling(sid))).ok("4€\x1ebAQIDBA==")
    assert echo.got == ["€", b"\x01\x02\x03\x04"] * (len(whole) - 1)


async def test_a_conversation_byte_by_byte(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    whole = (
        request("POST", polling(sid), "4a")
        + request("GET", polling(sid))
        + chunked(polling(sid), [b"4", b"b"])
        + request("GET", polling(sid))
    )
    for i in range(len(whole)):
        await connection.send(whole[i : i + 1])
        await turns(3)
    for answer in ["ok", "4a", "ok", "4b"]:
        (await connection.response()).ok(answer)
    await echo.received("a", "b")


# --- compression ----------------------------------------------------------------


LONG = "compress me " * 200


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate, zstd", "gzip"),
        ("GZip", "gzip"),
        ("zstd", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip; q=0.000, deflate; q=0.001", "deflate"),
        ("gzip;q=0.5, deflate;q=0.9", "deflate"),
        ("deflate;q=0.5, gzip;q=0.9", "gzip"),
        ("gzip;q=0, deflate;q=0", None),
        ("br;q=0, *", "gzip"),
        ("*;q=0", None),
        ("br;q=0, gzip;q=0, *", "deflate"),
        ("xgzip, gzipped", None),
        (None, None),
    ],
)
async def test_accept_encoding(
    start: Start, accept: str | None, expected: str | None
) -> None:
    """E4: accept encoding."""
    echo, client = await start()
    connection, sid = await session(client)
    await echo.app.send(sid, LONG)
    headers = [] if accept is None else [("Accept-Encoding", accept)]
    response = await connection.get(polling(sid), *headers)
    assert response.status == 200
    assert response.header("content-encoding") == expected
    body = response.body
    if expected == "gzip":
        body = gzip.decompress(body)
    elif expected == "deflate":
        body = zlib.decompress(body)
    assert body.decode() == "4" + LONG
    assert (len(response.body) < 200) == (expected is not None)


@pytest.mark.parametrize(
    ("options", "size", "compressed"),
    [
        ({}, 1023, False),
        ({}, 1024, True),
        ({"compression_threshold": 10}, 9, False),
        ({"compression_threshold": 10}, 10, True),
        ({"http_compression": False}, 5000, False),
        ({"http_compression": False, "compression_threshold": 10}, 5000, False),
    ],
)
async def test_the_threshold_of_compression(
    start: Start, options: dict[str, object], size: int, compressed: bool
) -> None:
    echo, client = await start(**options)
    connection, sid = await session(client)
    await echo.app.send(sid, "x" * (size - 1))
    response = await connection.get(polling(sid), ("Accept-Encoding", "gzip"))
    assert response.status == 200
    assert (response.header("content-encoding") == "gzip") is compressed
    body = gzip.decompress(response.body) if compressed else response.body
    assert body == b"4" + b"x" * (size - 1)


async def test_a_post_is_never_compressed(start: Start) -> None:
    _, client = await start(compression_threshold=0)
    connection, sid = await session(client)
    response = await connection.post(polling(sid), "4a", ("Accept-Encoding", "gzip"))
    assert response.ok("ok").header("content-encoding") is None
