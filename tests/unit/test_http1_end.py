"""HTTP/1.1 on a wire: deadlines, and the end of connections and of the server."""

from __future__ import annotations

import tracemalloc
import weakref
from typing import Any

import pytest
from support.http1 import POLL, ends, make, parked
from support.raw import chunked, request
from support.sansio import errors

from socketio_fast._core.http.exchange import Body

pytestmark = pytest.mark.usefixtures("both_ways")

# --- the end of a connection ----------------------------------------------------


@pytest.mark.parametrize(
    ("version", "headers", "closes"),
    [
        ("1.1", [], False),
        ("1.1", [("Connection", "keep-alive")], False),
        ("1.1", [("Connection", "close")], True),
        ("1.0", [], True),
        ("1.0", [("Connection", "keep-alive")], False),
    ],
)
def test_keep_alive(version: str, headers: list[tuple[str, str]], closes: bool) -> None:
    http = make().http()
    data = request("GET", "/x", headers=headers)
    http.send(data.replace(b"HTTP/1.1", b"HTTP/" + version.encode()))
    _, got, _ = http.response()
    assert got["connection"] == ("close" if closes else "keep-alive")
    assert ends(http) is closes


def test_requests_behind_a_last_one_are_not_answered() -> None:
    http = make().http()
    http.send(request("GET", "/a", headers=[("Connection", "close")]) * 2)
    assert len(http.responses()) == 1
    assert ends(http)


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_not_http(data: bytes) -> None:
    server = make()
    http = server.http()
    http.send(data)
    assert http.response()[0] == 400
    server.loop.advance(3)  # what the client still sends is let come, for a while
    assert http.wire.closed


def test_a_head_without_end() -> None:
    server = make()
    http = server.http()
    http.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    for _ in range(20):
        http.send(b"X-More: " + b"x" * 1000 + b"\r\n")
    assert http.response()[0] == 431
    server.loop.advance(3)
    assert http.wire.closed


def test_a_long_head() -> None:
    http = make().http()
    http.send(request("GET", POLL, headers=[("X", "x" * 17000)]))
    assert http.response()[0] == 431
    http = make().http()
    http.send(request("GET", POLL, headers=[("X", "x" * 15000)]))
    assert http.response()[0] == 200


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_a_body_that_is_too_large(kind: str) -> None:
    server = make(max_http_buffer_size=10)
    http, sid = server.polling()
    target = server.target("polling", sid)
    if kind == "length":
        http.send(request("POST", target, "4" + "x" * 10))
    else:
        http.send(chunked(target, [b"4xxxx", b"xxxxx", b"x"]))
    assert http.response()[0] == 413
    assert server.engine.sessions == {}
    server.loop.advance(3)
    assert http.wire.closed


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_a_body_that_is_just_not_too_large(kind: str) -> None:
    http, sid = (server := make(max_http_buffer_size=10)).polling()
    target = server.target("polling", sid)
    if kind == "length":
        http.send(request("POST", target, "4" + "x" * 9))
    else:
        http.send(chunked(target, [b"4xxxx", b"xxxxx"]))
    assert http.response()[0] == 200


def test_a_large_body_is_refused_before_it_comes() -> None:
    server = make(max_http_buffer_size=10)
    http, sid = server.polling()
    head = request("POST", server.target("polling", sid), b"").replace(
        b"Content-Length: 0", b"Content-Length: 11"
    )
    http.send(head)
    assert http.response()[0] == 413


def test_expect_continue() -> None:
    server = make()
    http, sid = server.polling()
    data = request(
        "POST", server.target("polling", sid), "4a", [("Expect", "100-continue")]
    )
    http.send(data[:-2])
    assert http.wire.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    http.send(data[-2:])
    assert http.response()[0] == 200


def test_a_head_in_pieces_costs_little_more_than_it_carries() -> None:
    server = make()
    connections = [server.http() for _ in range(10)]
    head = f"GET {POLL} HTTP/1.1\r\n" + "a: b\r\n" * 2500
    for http in connections:
        http.send(head[:20].encode())
    tracemalloc.start()
    try:
        for http in connections:
            for i in range(20, len(head), 100):
                http.send(head[i : i + 100].encode())
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 2 * 10 * len(head)
    for http in connections:
        http.send(b"Host: a\r\n\r\n")
        assert http.response()[0] == 200


def test_a_body_in_pieces_costs_no_more_than_it_carries() -> None:
    http, sid = (server := make()).polling()
    got: list[Any] = []
    server.app.on("message", lambda sid, data: got.append(data))
    data = chunked(server.target("polling", sid), [b"4a", *[b"ab"] * 100_000])
    cut = len(data) - 5  # before the last chunk, which is empty
    tracemalloc.start()
    try:
        for i in range(0, cut, 50_000):
            http.send(data[i : min(i + 50_000, cut)])
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 1.3 * 200_000
    http.send(data[cut:])
    assert http.response()[0] == 200
    assert got == ["a" + "ab" * 100_000]


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_a_body_is_what_its_pieces_are(pieces: int) -> None:
    body = Body()
    text = b"abcdef"
    for i in range(pieces):
        body.add(b"")
        body.add(text[i * 6 // pieces : (i + 1) * 6 // pieces])
    assert body.size == 6
    whole = body.take()
    assert whole == text
    assert type(whole) is bytes
    assert body.take() == b""


def test_a_body_in_one_piece_is_not_copied() -> None:
    body, piece = Body(), b"abcdef" * 10
    body.add(piece)
    body.add(b"")
    assert body.take() is piece


def test_a_body_of_a_session_that_has_ended_is_not_kept() -> None:
    server = make()
    http, sid = server.polling()
    (session,) = server.engine.sessions.values()
    gone = weakref.ref(session)
    del session
    target = server.target("polling", sid)
    head = request("POST", target, b"").replace(b"Length: 0", b"Length: 900000")
    http.send(head)
    tracemalloc.start()
    try:
        for _ in range(44):
            server.loop.advance(1)
            http.send(b"4" * 10_000)
        assert tracemalloc.get_traced_memory()[0] > 440_000
        assert http.responses() == []
        server.loop.advance(2)
        assert http.response()[0] == 400
        http.send(b"4" * 10_000)
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()
    assert gone() is None
    assert ends(http)


# --- deadlines ------------------------------------------------------------------


def test_a_connection_that_says_nothing() -> None:
    server = make()
    http = server.http()
    server.loop.advance(59)
    assert not http.wire.closed
    server.loop.advance(2)
    assert http.wire.closed
    assert http.wire.take() == b""


def test_a_request_that_does_not_end() -> None:
    server = make()
    http = server.http()
    http.send(b"GET / HTTP/1.1\r\n")
    server.loop.advance(50)
    http.send(b"Host: a\r\n")  # a little more does not help
    server.loop.advance(15)
    assert http.response()[0] == 408
    assert http.wire.closed or http.wire.eof


def test_a_body_that_does_not_come(caplog: pytest.LogCaptureFixture) -> None:
    server = make(ping_interval=1000)
    http, sid = server.polling()
    http.send(request("POST", server.target("polling", sid), "4abc")[:-1])
    server.loop.advance(299)
    assert http.responses() == []
    server.loop.advance(5)
    assert http.response()[0] == 408
    assert server.engine.sessions == {}
    server.loop.advance(5)
    assert http.wire.closed
    assert errors(caplog) == []


def test_a_poll_may_wait_for_long() -> None:
    server = make(ping_interval=1000)
    http, _ = parked(server)
    server.loop.advance(900)
    assert not http.wire.closed


def test_time_between_requests() -> None:
    server = make()
    http = server.http()
    for _ in range(3):
        server.loop.advance(50)
        assert http.get("/x")[0] == 404
    server.loop.advance(61)
    assert http.wire.closed


# --- the end of the server ------------------------------------------------------


def test_idle_connections_are_closed_and_others_answered() -> None:
    server = make()
    idle = server.http()
    http, _ = parked(server)
    begun = server.http()
    begun.send(b"GET /x HTTP/1.1\r\n")
    server.endpoint.connections.close_idle()
    assert idle.wire.closed
    assert not http.wire.closed
    (session,) = server.engine.sessions.values()
    session.send_message("a")
    assert http.response()[1]["connection"] in ("close", "keep-alive")
    assert http.wire.closed


def test_connections_are_counted() -> None:
    server = make()
    connections = server.endpoint.connections
    http, ws = server.http(), server.websocket()
    assert len(connections.open) == 2
    http.wire.lose()
    ws.wire.lose()
    assert connections.open == set()


def test_waiting_for_the_last_connection() -> None:
    server = make()
    http = server.http()
    with server.loop.running():
        task = server.loop.create_task(server.endpoint.connections.wait_closed(100))
    server.loop.turn()
    assert not task.done()
    http.wire.lose()
    server.loop.turn()
    assert task.done()


def test_abort_all() -> None:
    server = make()
    http, ws = server.http(), server.websocket()
    server.endpoint.connections.abort_all()
    assert http.wire.aborted
    assert ws.wire.aborted


def test_a_client_that_goes_while_its_requests_are_read() -> None:
    """A handler may run the event loop itself, and the client be gone behind it."""
    got: list[str] = []
    server = make()
    _, sid = server.polling()
    target = server.target("polling", sid)
    http = server.http()

    @server.app.on("message")
    def message(sid: str, data: str) -> None:
        got.append(data)
        http.wire.lose()

    http.send(request("POST", target, body="4a") + request("POST", target, body="4b"))
    assert got == ["a"]
    assert http.responses() == []
