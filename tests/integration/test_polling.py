"""Engine.IO by HTTP long-polling: sessions, messages, limits, errors."""

from __future__ import annotations

import json

import pytest
from support.polling import OPEN, lives, session
from support.raw import (
    Client,
    chunk,
    chunked,
    polling,
    request,
    turns,
    websocket,
)

from integration.conftest import Start


async def is_gone(client: Client, sid: str) -> None:
    connection = await client.connect()
    (await connection.get(polling(sid))).error(1)


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
