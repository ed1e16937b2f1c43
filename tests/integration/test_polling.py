"""Engine.IO by HTTP long-polling, byte by byte."""

from __future__ import annotations

import gzip
import json
import re
import zlib

import pytest
from support.raw import (
    Client,
    Connection,
    chunk,
    chunked,
    polling,
    request,
    turns,
    websocket,
)

from integration.conftest import Start

OPEN = re.compile(
    r'0\{"sid":"([A-Za-z0-9_-]{20})","upgrades":\["websocket"\],'
    r'"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000\}'
)


async def session(client: Client) -> tuple[Connection, str]:
    connection = await client.connect()
    return connection, await connection.open_session()


async def is_gone(client: Client, sid: str) -> None:
    connection = await client.connect()
    (await connection.get(polling(sid))).error(1)


async def lives(client: Client, sid: str) -> None:
    """A message still goes through, both ways."""
    connection = await client.connect()
    (await connection.post(polling(sid), "4still here")).ok("ok")
    (await connection.get(polling(sid))).ok("4still here")


# --- handshake ------------------------------------------------------------------


async def test_the_open_packet_is_the_references_to_the_byte(client: Client) -> None:
    connection = await client.connect()
    response = (await connection.get(polling())).ok()
    assert OPEN.fullmatch(response.text), response.text


async def test_the_headers_of_a_poll_response(client: Client) -> None:
    """E18: the headers of a poll response."""
    connection = await client.connect()
    response = await connection.get(polling())
    assert response.header("content-type") == "text/plain; charset=UTF-8"
    assert response.header("cache-control") == "no-store"
    assert response.header("content-length") == str(len(response.body))
    assert response.header("content-encoding") is None
    assert response.header("set-cookie") is None


async def test_every_session_has_a_sid_of_its_own(client: Client) -> None:
    connection = await client.connect()
    sids = [await connection.open_session() for _ in range(50)]
    assert len(set(sids)) == 50


async def test_the_query_may_come_in_any_order_and_with_more_in_it(
    client: Client,
) -> None:
    connection = await client.connect()
    target = "/engine.io/?t=N8hyd6w&transport=polling&x=%20&EIO=4&empty="
    assert OPEN.fullmatch((await connection.get(target)).ok().text)


async def test_an_empty_sid_is_a_handshake(client: Client) -> None:
    connection = await client.connect()
    response = await connection.get("/engine.io/?EIO=4&transport=polling&sid=")
    assert OPEN.fullmatch(response.ok().text)


async def test_environ_has_the_peer_and_the_request(start: Start) -> None:
    """U9: environ has the peer and the request."""
    echo, client = await start()
    connection = await client.connect()
    await connection.get(polling(more="&token=a%20b"), ("X-Custom", "yes"))
    (environ,) = echo.environs
    host, port = connection.writer.get_extra_info("sockname")
    assert environ["REMOTE_ADDR"] == host
    assert int(environ["REMOTE_PORT"]) == port
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["PATH_INFO"] == "/engine.io/"
    assert environ["QUERY_STRING"] == "EIO=4&transport=polling&token=a%20b"
    assert environ["HTTP_HOST"] == "test.local"
    assert environ["HTTP_X_CUSTOM"] == "yes"


# --- messages -------------------------------------------------------------------


async def test_post_is_answered_ok(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    response = (await connection.post(polling(sid), "4hello")).ok("ok")
    assert response.header("content-type") == "text/html"
    assert response.header("content-length") == "2"
    assert response.header("cache-control") == "no-store"
    await echo.received("hello")


async def test_a_get_parks_until_there_is_something(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.park(polling(sid))
    await echo.app.send(sid, "now")
    (await connection.response()).ok("4now")


async def test_a_get_takes_what_has_gathered(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await echo.app.send(sid, "one")
    await echo.app.send(sid, b"\x01\x02\x03\x04")
    await echo.app.send(sid, "three")
    (await connection.get(polling(sid))).ok("4one\x1ebAQIDBA==\x1e4three")


async def test_messages_of_one_pass_leave_in_one_response(start: Start) -> None:
    echo, client = await start()
    parked, sid = await session(client)
    await parked.park(polling(sid))
    connection = await client.connect()
    (await connection.post(polling(sid), "4one\x1e4two\x1e4three")).ok("ok")
    (await parked.response()).ok("4one\x1e4two\x1e4three")
    await echo.received("one", "two", "three")


@pytest.mark.parametrize(
    ("payload", "messages"),
    [
        ("4hello", ["hello"]),
        ("4", [""]),
        ("4a\x1e4b", ["a", "b"]),
        ("4a\x1ebAQIDBA==\x1e4c", ["a", b"\x01\x02\x03\x04", "c"]),
        ("b", [b""]),
        ("bAA==", [b"\x00"]),
        ("b/+8=", [b"\xff\xef"]),
        ("4€ 😀", ["€ 😀"]),
        ("4\x00\x1f", ["\x00\x1f"]),
        ("\x1e".join(f"4{i}" for i in range(100)), [str(i) for i in range(100)]),
    ],
)
async def test_payloads(
    start: Start, payload: str, messages: list[str | bytes]
) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    (await connection.post(polling(sid), payload)).ok("ok")
    (await connection.get(polling(sid))).ok(payload)
    await echo.received(*messages)


async def test_utf8_is_counted_in_bytes(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await echo.app.send(sid, "€" * 10)
    response = (await connection.get(polling(sid))).ok("4" + "€" * 10)
    assert response.header("content-length") == "31"


async def test_a_pong_and_a_noop_are_taken_silently(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    (await connection.post(polling(sid), "3\x1e6\x1e4after")).ok("ok")
    await echo.received("after")
    (await connection.get(polling(sid))).ok("4after")


async def test_close_releases_the_parked_get_with_noop(start: Start) -> None:
    echo, client = await start()
    parked, sid = await session(client)
    await parked.park(polling(sid))
    connection = await client.connect()
    (await connection.post(polling(sid), "1")).ok("ok")
    (await parked.response()).ok("6")
    assert await echo.disconnected(sid) == "client disconnect"
    await is_gone(client, sid)


async def test_what_follows_a_close_packet_is_not_delivered(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.post(polling(sid), "4before\x1e1\x1e4after")
    await echo.disconnected(sid)
    await echo.received("before")


async def test_disconnect_by_the_server_answers_the_parked_get_with_close(
    start: Start,
) -> None:
    echo, client = await start()
    parked, sid = await session(client)
    await parked.park(polling(sid))
    await echo.app.disconnect(sid)
    (await parked.response()).ok("1")
    assert await echo.disconnected(sid) == "server disconnect"
    await is_gone(client, sid)


# --- overlap and cancellation ---------------------------------------------------


async def test_a_second_get_closes_the_session(start: Start) -> None:
    """T1: a second get closes the session."""
    echo, client = await start()
    first, sid = await session(client)
    await first.park(polling(sid))
    second = await client.connect()
    (await second.get(polling(sid))).refused(400)
    (await first.response()).ok("1")
    await echo.disconnected(sid)
    await is_gone(client, sid)


async def test_a_second_post_closes_the_session(start: Start) -> None:
    echo, client = await start()
    first, sid = await session(client)
    whole = request("POST", polling(sid), "4first")
    await first.send(whole[:-3])
    await turns(20)
    second = await client.connect()
    (await second.post(polling(sid), "4second")).refused(400)
    await echo.disconnected(sid)
    await is_gone(client, sid)
    assert echo.got == []


async def test_a_post_beside_a_parked_get_is_no_overlap(start: Start) -> None:
    _, client = await start()
    parked, sid = await session(client)
    await parked.park(polling(sid))
    connection = await client.connect()
    (await connection.post(polling(sid), "4a")).ok("ok")
    (await parked.response()).ok("4a")
    await lives(client, sid)


async def test_polls_one_after_the_other_are_no_overlap(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    for i in range(10):
        await connection.send(request("GET", polling(sid)))
        await echo.app.send(sid, str(i))
        (await connection.response()).ok(f"4{i}")


async def test_a_get_that_goes_away_closes_the_session(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.park(polling(sid))
    await connection.close()
    assert await echo.disconnected(sid) in ("transport close", "transport error")
    await is_gone(client, sid)


async def test_a_get_whose_client_sends_nothing_more_closes_the_session(
    start: Start,
) -> None:
    """`shutdown(SHUT_WR)` looks like `close()`; as in the reference implementation."""
    echo, client = await start()
    connection, sid = await session(client)
    await connection.park(polling(sid))
    connection.writer.write_eof()
    await connection.eof()
    assert await echo.disconnected(sid) == "transport error"


async def test_the_end_behind_a_get_that_is_answered_leaves_the_session(
    start: Start,
) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await echo.app.send(sid, "a")
    connection.writer.write(request("GET", polling(sid)))
    connection.writer.write_eof()
    (await connection.response()).ok("4a")
    await connection.eof()
    await lives(client, sid)
    assert not echo.ended


async def test_a_post_that_goes_away_in_its_body_closes_the_session(
    start: Start,
) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.send(request("POST", polling(sid), "4hello")[:-2])
    await turns(20)
    await connection.close()
    await echo.disconnected(sid)
    await is_gone(client, sid)
    assert echo.got == []


async def test_an_idle_connection_that_goes_away_leaves_the_session(
    client: Client,
) -> None:
    connection, sid = await session(client)
    await connection.close()
    await lives(client, sid)


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


# --- limits ---------------------------------------------------------------------


async def test_a_body_of_the_maximum_is_taken(start: Start) -> None:
    echo, client = await start(max_http_buffer_size=1000)
    connection, sid = await session(client)
    (await connection.post(polling(sid), "4" + "x" * 999)).ok("ok")
    await connection.send(chunked(polling(sid), [b"4" + b"y" * 499, b"y" * 500]))
    (await connection.response()).ok("ok")
    await echo.received("x" * 999, "y" * 999)


async def test_the_maximum_is_advertised(start: Start) -> None:
    _, client = await start(max_http_buffer_size=1234)
    connection = await client.connect()
    opened = json.loads((await connection.get(polling())).text[1:])
    assert opened["maxPayload"] == 1234


async def test_the_default_maximum_is_a_million_bytes(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    (await connection.post(polling(sid), "4" + "x" * 999_999)).ok("ok")
    await echo.received("x" * 999_999)
    await connection.send(request("POST", polling(sid), b"4" * 1_000_001)[:200])
    (await connection.response()).refused(413)


async def test_a_content_length_above_the_maximum_is_refused_before_the_body(
    start: Start,
) -> None:
    echo, client = await start(max_http_buffer_size=1000)
    connection, sid = await session(client)
    await connection.send(request("POST", polling(sid), b"4" * 1001)[:-1001])
    (await connection.response()).refused(413)
    assert echo.got == []


async def test_the_maximum_counts_bytes_not_characters(start: Start) -> None:
    """E3: the maximum counts bytes not characters."""
    echo, client = await start(max_http_buffer_size=100)
    connection, sid = await session(client)
    await connection.send(request("POST", polling(sid), "4" + "€" * 34)[:-103])
    (await connection.response()).refused(413)
    assert echo.got == []


async def test_chunks_above_the_maximum_are_refused_before_their_end(
    start: Start,
) -> None:
    echo, client = await start(max_http_buffer_size=1000)
    connection, sid = await session(client)
    await connection.send(
        request("POST", polling(sid), headers=[("Transfer-Encoding", "chunked")])
        + chunk(b"4" + b"x" * 599)
    )
    await connection.silent()
    await connection.send(chunk(b"x" * 401))
    (await connection.response()).refused(413)
    assert echo.got == []


async def test_one_chunk_above_the_maximum_is_refused_before_its_end(
    start: Start,
) -> None:
    echo, client = await start(max_http_buffer_size=1000)
    connection, sid = await session(client)
    await connection.send(
        request("POST", polling(sid), headers=[("Transfer-Encoding", "chunked")])
        + b"10000\r\n4"
        + b"x" * 1000
    )
    (await connection.response()).refused(413)
    assert echo.got == []


@pytest.mark.parametrize("form", ["length", "chunked"])
async def test_the_rest_of_a_body_too_large_is_no_request(
    start: Start, form: str
) -> None:
    echo, client = await start(max_http_buffer_size=50)
    connection, sid = await session(client)
    inside = request("GET", polling())
    if form == "length":
        await connection.send(request("POST", polling(sid), inside))
    else:
        await connection.send(chunked(polling(sid), [b"4" * 60, inside]))
    (await connection.response()).refused(413)
    await connection.eof(reset=True)
    assert len(echo.sids) == 1


# --- errors ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/engine.io/", 0),
        ("GET", "/engine.io/?EIO=4", 0),
        ("GET", "/engine.io/?EIO=4&transport=", 0),
        ("GET", "/engine.io/?EIO=4&transport=abc", 0),
        ("GET", "/engine.io/?EIO=4&transport=Polling", 0),
        ("GET", "/engine.io/?EIO=4&transport=webtransport", 0),
        ("GET", "/engine.io/?EIO=4&transport=constructor", 0),
        ("POST", "/engine.io/?EIO=4&transport=abc", 0),
        ("GET", "/engine.io/?EIO=4&transport=abc&sid=unknown", 0),
        ("GET", polling("unknown"), 1),
        ("POST", polling("unknown"), 1),
        ("PUT", polling("unknown"), 1),
        ("GET", "/engine.io/?transport=polling&sid=unknown", 1),
        ("GET", polling("__proto__"), 1),
        ("GET", polling("a" * 20), 1),
        ("GET", polling("%00"), 1),
        ("GET", polling("%ff%fe"), 1),
        ("POST", polling(), 2),
        ("PUT", polling(), 2),
        ("DELETE", polling(), 2),
        ("POST", "/engine.io/?transport=polling", 2),
        ("GET", websocket(), 3),
        ("GET", "/engine.io/?transport=polling", 5),
        ("GET", "/engine.io/?EIO=&transport=polling", 5),
        ("GET", "/engine.io/?EIO=abc&transport=polling", 5),
        ("GET", "/engine.io/?EIO=3&transport=polling", 5),
        ("GET", "/engine.io/?EIO=5&transport=polling", 5),
        ("GET", "/engine.io/?EIO=44&transport=polling", 5),
    ],
)
async def test_errors(start: Start, method: str, target: str, code: int) -> None:
    """E10: errors."""
    echo, client = await start()
    connection = await client.connect()
    body = None if method == "GET" else "4hello"
    await connection.send(request(method, target, body))
    (await connection.response()).error(code)
    assert echo.sids == []
    # an error of the application is none of the connection
    (await connection.get(polling())).ok()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_polling_on_a_websocket_session_is_a_bad_request(
    start: Start, method: str
) -> None:
    echo, client = await start()
    ws = await client.session()
    await echo.until(lambda: len(echo.sids) == 1)
    connection = await client.connect()
    body = "4x" if method == "POST" else None
    await connection.send(request(method, polling(echo.sids[0]), body))
    (await connection.response()).error(3)
    await ws.echoes("still here")


@pytest.mark.parametrize(
    "target",
    ["/", "/?EIO=4&transport=polling", "/engine.i", "/socket.io/", "/x/engine.io/"],
)
async def test_other_paths_are_not_found(start: Start, target: str) -> None:
    echo, client = await start()
    connection = await client.connect()
    assert (await connection.get(target)).status == 404
    assert echo.sids == []
    (await connection.get(polling())).ok()


@pytest.mark.parametrize(
    "payload",
    [
        b"abc",
        b"7",
        b"9x",
        b"",
        b"\x1e",
        b"4a\x1e",
        b"\x1e4a",
        b"4a\x1ex",
        b"B4a",
        b" 4a",
        b"\xef\xbb\xbf4a",
    ],
    ids=repr,
)
async def test_a_malformed_payload_closes_the_session(
    start: Start, payload: bytes
) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    (await connection.post(polling(sid), payload)).refused(400)
    await echo.disconnected(sid)
    await is_gone(client, sid)


@pytest.mark.parametrize(
    "payload", [b"b!", b"bA", b"bAQ=ID", b"4\xff", b"4\xed\xa0\x80"]
)
async def test_a_malformed_message_closes_the_session_behind_what_is_queued(
    start: Start, payload: bytes
) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    (await connection.post(polling(sid), b"4good\x1e" + payload)).ok("ok")
    await echo.disconnected(sid)
    (await connection.get(polling(sid))).ok("4good\x1e1")
    await is_gone(client, sid)
    assert echo.got == ["good"]


@pytest.mark.parametrize("payload", [b"bAQI=\n", b"bAQ\r\nI", b"b AQI ="])
async def test_base64_in_lines(start: Start, payload: bytes) -> None:
    _, client = await start()
    connection, sid = await session(client)
    (await connection.post(polling(sid), payload)).ok("ok")
    (await connection.get(polling(sid))).ok("bAQI=")


async def test_a_malformed_payload_releases_the_parked_get(start: Start) -> None:
    _, client = await start()
    parked, sid = await session(client)
    await parked.park(polling(sid))
    connection = await client.connect()
    (await connection.post(polling(sid), "abc")).refused(400)
    (await parked.response()).ok("1")


async def test_messages_before_a_malformed_packet_are_delivered(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    (await connection.post(polling(sid), "4good\x1exbad\x1e4never")).refused(400)
    await echo.disconnected(sid)
    await echo.received("good")


async def test_a_binary_post_closes_the_session(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    (
        await connection.post(
            polling(sid), b"\x04\x01", ("Content-Type", "application/octet-stream")
        )
    ).refused(400)
    await echo.disconnected(sid)
    await is_gone(client, sid)
    assert echo.got == []


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\n: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nxy",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    ],
    ids=lambda head: repr(head[:60]),
)
async def test_garbage_is_answered_400_and_closed(client: Client, head: bytes) -> None:
    connection = await client.connect()
    await connection.send(head)
    (await connection.response()).refused(400)
    await connection.eof(reset=True)
    (await (await client.connect()).get(polling())).ok()


@pytest.mark.parametrize(
    "body",
    [b"zz\r\n", b"-1\r\n", b"\r\n", b"f" * 17 + b"\r\n", b"2\r\n4abc\r\n", b"2\n4a\n"],
)
async def test_malformed_chunks_are_answered_400_and_closed(
    start: Start, body: bytes
) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.send(
        request("POST", polling(sid), headers=[("Transfer-Encoding", "chunked")]) + body
    )
    (await connection.response()).refused(400)
    await connection.eof(reset=True)
    assert echo.got == []


async def test_a_request_without_a_host_is_refused(client: Client) -> None:
    connection = await client.connect()
    await connection.send(f"GET {polling()} HTTP/1.1\r\n\r\n".encode())
    (await connection.response()).refused(400)


async def test_garbage_behind_a_request_does_not_harm_it(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.send(request("POST", polling(sid), "4hello") + b"garbage\r\n\r\n")
    (await connection.response()).ok("ok")
    (await connection.response()).refused(400)
    await connection.eof(reset=True)
    await echo.received("hello")


@pytest.mark.parametrize("where", ["header", "target", "many"])
async def test_a_head_larger_than_16_kib_is_refused(client: Client, where: str) -> None:
    connection = await client.connect()
    if where == "header":
        head = request("GET", polling(), headers=[("X-Long", "x" * 17000)])
    elif where == "target":
        head = request("GET", polling(more="&x=" + "x" * 17000))
    else:
        head = request("GET", polling(), headers=[("X", "y" * 100)] * 170)
    await connection.send(head)
    (await connection.response()).refused(431)
    await connection.eof(reset=True)


async def test_a_head_that_never_ends_is_refused_when_it_has_grown_too_large(
    client: Client,
) -> None:
    connection = await client.connect()
    await connection.send(f"GET {polling()} HTTP/1.1\r\nHost: a\r\n".encode())
    for _ in range(15):
        await connection.send(b"X-Long: " + b"x" * 990 + b"\r\n")
    await connection.silent()
    await connection.send(b"X-Long: " + b"x" * 3000)
    (await connection.response()).refused(431)
    await connection.eof(reset=True)


async def test_a_head_of_8_kib_is_taken(client: Client) -> None:
    connection = await client.connect()
    cookie = ("Cookie", "x" * 8000)
    for _ in range(3):
        (await connection.get(polling(), cookie)).ok()
    # the limit is of one head, not of the connection
    await connection.send(request("GET", polling(), headers=[cookie]) * 3)
    for _ in range(3):
        (await connection.response()).ok()
