"""HTTP/1.1 on a wire: routing, order, limits, upgrades."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from support.http1 import POLL, ends, make, parked
from support.raw import chunked, request, upgrade_request
from support.sansio import PEER, SERVER, Http, Server, errors, make_engine

from socketio_fast._core.http.endpoint import Endpoint, OtherServer
from socketio_fast._core.http.request import Request
from socketio_fast.engineio import AsyncServer

pytestmark = pytest.mark.usefixtures("both_ways")

# --- requests -------------------------------------------------------------------


def test_what_goes_on_with_a_head_is_no_request() -> None:
    # The head of the second request does not end: what follows is a line of it.
    app = make()
    http = app.http()
    first = request("GET", "/engine.io/?EIO=4&transport=x")
    http.send(first + b"GET /a HTTP/1.1\r\nHost: a\r\nX: ")
    assert [status for status, _, _ in http.responses()] == [400]
    http.send(first)
    status, _, body = http.response()
    assert status == 400
    assert b"One Host header expected" in body


def test_plain_requests_and_others_on_one_connection() -> None:
    app = make()
    http = app.http()
    target = "/engine.io/?EIO=4&transport=x"
    plain, other = request("GET", target), chunked(target, [b"4a"])
    http.send(plain + other + plain + other[:9])
    assert len(http.responses()) == 3
    http.send(other[9:] + plain)
    assert len(http.responses()) == 2


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_who_judges_origins_knows_the_peer(transport: str) -> None:
    asked = []

    def allowed(origin: str, environ: dict[str, Any]) -> bool:
        asked.append((origin, environ["REMOTE_ADDR"], environ["SERVER_PORT"]))
        return False

    server = make(cors_allowed_origins=allowed)
    ask = {"polling": lambda target, lines: request("GET", target, headers=lines)}
    ask["websocket"] = upgrade_request
    http = server.http()
    http.send(ask[transport](server.target(transport), [("Origin", "http://a")]))
    assert http.response()[0] == 400
    assert asked == [("http://a", PEER[0], str(SERVER[1]))]


def test_who_does_not_read_responses_gets_no_more() -> None:
    http = make(max_buffer_bytes=1000).http()
    http.send(request("GET", "/engine.io/?EIO=4&transport=x"))
    assert len(http.responses()) == 1
    http.wire.holds = 1000
    http.send(request("GET", "/engine.io/?EIO=4&transport=x"))
    assert len(http.responses()) == 1
    http.wire.holds = 1001
    http.send(request("GET", "/engine.io/?EIO=4&transport=x"))
    assert http.responses() == []
    assert http.wire.aborted


@pytest.mark.parametrize("state", ["waits", "closes", "lingers"])
def test_who_reads_nothing_of_a_response_is_closed(state: str) -> None:
    server = make()
    http = server.http()
    http.wire.holds = 1000
    if state == "lingers":
        http.send(chunked("/x", [b"a"])[:-5])
    else:
        lines = [("Connection", "close")] * (state == "closes")
        http.send(request("GET", "/x", headers=lines))
    assert len(http.responses()) == 1
    with server.loop.running():
        http.wire.protocol.pause_writing()
    server.loop.advance(44)
    assert not http.wire.aborted
    http.wire.holds = 999
    server.loop.advance(44)
    assert not http.wire.aborted
    server.loop.advance(46)
    assert http.wire.aborted
    assert server.engine.counters["stalled_responses"] == 1


def test_pings_that_are_seldom_do_not_keep_who_does_not_read() -> None:
    server = make(ping_interval=86400)
    http = server.http()
    http.wire.holds = 1000
    with server.loop.running():
        http.wire.protocol.pause_writing()
    server.loop.advance(59)
    assert not http.wire.aborted
    server.loop.advance(2)
    assert http.wire.aborted


def test_who_has_read_a_response_keeps_the_connection() -> None:
    server = make()
    http = server.http()
    http.send(request("GET", "/x"))
    assert len(http.responses()) == 1
    http.wire.holds = 1000
    with server.loop.running():
        http.wire.protocol.pause_writing()
        http.wire.holds = 0
        http.wire.protocol.resume_writing()
    server.loop.advance(59)
    assert not http.wire.closed


def test_the_time_to_send_a_request_begins_with_the_last_response() -> None:
    server = make(ping_interval=300)
    http, target = parked(server)
    server.loop.advance(200)
    assert not http.wire.closed
    server.http().send(request("POST", target, "1"))
    assert len(http.responses()) == 1
    server.loop.advance(59)
    assert not http.wire.closed
    server.loop.advance(2)
    assert http.wire.closed


def test_a_request_that_waits_after_another_is_not_late() -> None:
    server = make(ping_interval=300)
    http, sid = server.polling()
    server.loop.advance(50)
    http.send(request("GET", server.target("polling", sid)))
    server.loop.advance(200)
    assert not http.wire.closed


def test_the_last_response_leaves_behind_those_that_wait() -> None:
    server = make()
    http, _ = parked(server)
    http.send(request("GET", "/x", headers=[("Connection", "close")]))
    http.wire.holds = 1000
    with server.loop.running():
        http.wire.protocol.pause_writing()
    (session,) = server.engine.sessions.values()
    session.send_message("a")
    assert [status for status, _, _ in http.responses()] == [200, 404]


# --- the end of what a client sends ----------------------------------------------


def half_close(http: Http) -> bool:
    with http.server.loop.running():
        stays = http.wire.protocol.eof_received()
    http.server.loop.turn()
    assert isinstance(stays, bool)
    return stays


def test_a_client_that_has_sent_all_gets_a_slow_answer() -> None:
    answers: list[asyncio.Future[tuple[int, bytes, bytes, bytes]]] = []

    async def fallback(request: Request) -> tuple[int, bytes, bytes, bytes]:
        answers.append(server.loop.create_future())
        return await answers[-1]

    server = make(fallback)
    http = server.http()
    http.send(request("GET", "/x") + request("POST", "/y", b"half")[:-2])
    assert half_close(http)
    assert not http.wire.closed
    answers[0].set_result((200, b"text/x", b"late", b""))
    assert http.response()[2] == b"late"
    assert http.wire.closed


@pytest.mark.parametrize("data", [b"", b"GET /x HT", request("POST", "/x", b"ab")[:-1]])
def test_a_client_that_has_left_is_not_waited_for(data: bytes) -> None:
    http = make().http()
    http.send(data)
    http.responses()
    assert not half_close(http)


def test_half_a_post_ends_its_session() -> None:
    server = make()
    _, sid = server.polling()
    http = server.http()
    http.send(request("POST", server.target("polling", sid), "4abc")[:-1])
    assert not half_close(http)
    assert not server.engine.sessions


def test_a_waiting_poll_of_a_client_that_has_left() -> None:
    http, _ = parked(make())
    assert not half_close(http)


def test_tls_has_no_half_close() -> None:
    server = Server(AsyncServer(), secure=True)
    http, _ = parked(server)
    assert not half_close(http)


@pytest.mark.parametrize("secure", [False, True])
def test_a_response_that_waits_for_a_slow_reader_leaves_before_the_end(
    secure: bool,
) -> None:
    async def fallback(request: Request) -> tuple[int, bytes, bytes, bytes]:
        return await answer

    server = Server(AsyncServer(), fallback=fallback, secure=secure)
    answer: asyncio.Future[tuple[int, bytes, bytes, bytes]]
    answer = server.loop.create_future()
    http = server.http()
    http.send(request("GET", "/x"))
    http.wire.holds = 1000
    with server.loop.running():
        http.wire.protocol.pause_writing()
    answer.set_result((200, b"text/x", b"late", b""))
    assert http.responses() == []
    assert not half_close(http)
    assert http.wire.closed
    assert http.response()[2] == b"late"


def test_a_poll_that_hooks_let_pass_behind_the_end_is_not_waited_for() -> None:
    async def middleware(environ: dict[str, Any], headers: Any) -> None:
        if len(asked) > 1:
            await asked[-1]

    app = AsyncServer()
    server = Server(app)
    asked = [server.loop.create_future()]
    app.use(middleware)
    _, sid = server.polling()
    asked.append(server.loop.create_future())
    http = server.http()
    http.send(request("GET", server.target("polling", sid)))
    assert half_close(http)
    assert server.engine.sessions
    asked[-1].set_result(None)
    server.loop.turn()
    assert http.wire.closed
    assert not server.engine.sessions


# --- responses ------------------------------------------------------------------


def test_lines_of_a_response() -> None:
    http = make().http()
    http.send(request("GET", "/engine.io/?EIO=4&transport=x"))
    status, headers, body = http.response()
    assert (status, body) == (400, b'{"code":0,"message":"Transport unknown"}')
    assert headers.pop("date").endswith(" GMT")
    assert headers == {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "access-control-allow-credentials": "true",
        "connection": "keep-alive",
    }


def test_the_date_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    server = make()
    http = server.http()

    def date() -> str:
        http.send(request("GET", "/x"))
        return http.response()[1]["date"]

    first = date()
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert date() == first  # made once in a second
    server.loop.advance(1.1)
    assert date() == "Thu, 01 Jan 1970 00:00:00 GMT"


def test_head_has_no_body() -> None:
    http = make().http()
    http.send(request("HEAD", "/x"))
    head, _, rest = http.wire.take().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"Content-Length: 9" in head
    assert rest == b""


@pytest.mark.parametrize("path", ["/engine.io/", "/engine.io", "/engine.io/x"])
def test_paths_of_engine_io(path: str) -> None:
    status, _ = make().http().get(path + "?EIO=4&transport=polling")
    assert status == 200


@pytest.mark.parametrize("path", ["/", "/engine.iox", "/engine", "/x/engine.io/", "*"])
def test_other_paths(path: str) -> None:
    http = make().http()
    http.send(request("OPTIONS" if path == "*" else "GET", path))
    assert http.response()[::2] == (404, b"Not Found")


def test_endpoint() -> None:
    engine, _, loop = make_engine()
    fake: Any = loop
    endpoint = Endpoint(engine, fake, "/a/", secure=True)
    assert endpoint.engine is engine
    assert (endpoint.path, endpoint.secure) == ("/a/", True)
    assert endpoint.owns("/a/")
    assert endpoint.owns("/a")
    assert not endpoint.owns("/ab")


# --- the fallback ---------------------------------------------------------------


def test_other_paths_go_to_the_fallback() -> None:
    asked: list[Request] = []

    async def fallback(request: Request) -> tuple[int, bytes, bytes, bytes] | None:
        asked.append(request)
        await asyncio.sleep(0)
        return (200, b"text/x", b"found", b"") if request.path == "/x" else None

    http = make(fallback).http()
    http.send(request("GET", "/x?y") + request("GET", "/z"))
    first, second = http.responses()
    assert (first[0], first[1]["content-type"], first[2]) == (200, "text/x", b"found")
    assert "cache-control" not in first[1]
    assert second[0] == 404
    assert [(r.method, r.path, r.query) for r in asked] == [
        ("GET", "/x", "y"),
        ("GET", "/z", ""),
    ]
    assert asked[0].client_address == ("192.0.2.7", 4321)


def test_a_fallback_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def fallback(request: Request) -> None:
        raise ValueError("x")

    http = make(fallback).http()
    status, body = http.get("/x")
    assert (status, body) == (500, b"Internal Server Error")
    assert errors(caplog) == ["GET /x failed"]


def test_a_fallback_that_answers_nobody() -> None:
    async def fallback(request: Request) -> tuple[int, bytes, bytes, bytes]:
        await asyncio.sleep(0)
        return 200, b"text/x", b"late", b""

    server = make(fallback)
    http = server.http()
    with server.loop.running():
        http.wire.protocol.data_received(request("GET", "/x"))
        http.wire.lose()
    server.loop.turn()
    assert http.wire.take() == b""


class Other(OtherServer):
    """Takes connections over, and keeps what it is given of them."""

    def __init__(self) -> None:
        super().__init__(takes_connections=True)
        self.got: list[bytes] = []

    def take_over(
        self, transport: Any, data: bytes, named: Any, endpoint: Endpoint
    ) -> None:
        self.got.append(data)


@pytest.mark.parametrize("before", [1, 16, 40])
def test_another_application_gets_all_that_follows_in_order(before: int) -> None:
    other = Other()
    server = Server(AsyncServer(), other=other)
    http, _ = parked(server)
    own, others = request("GET", "/engine.io/?transport=x"), request("GET", "/x")
    http.send(own * (before - 1) + others + own)
    http.send(own)
    assert other.got == []
    (session,) = server.engine.sessions.values()
    session.send_message("a")
    assert [status for status, _, _ in http.responses()] == [200] + [400] * (before - 1)
    assert b"".join(other.got) == others + own + own
    assert len(other.got) == 1


@pytest.mark.parametrize("form", ["", "http://a.example", "HTTPS://a.example:81"])
def test_the_form_of_a_target_does_not_say_whose_it_is(form: str) -> None:
    other = Other()
    server = Server(AsyncServer(), other=other)
    assert server.http().get(form + POLL)[0] == 200
    http = server.http()
    http.send(request("GET", f"{form}/x"))
    assert len(other.got) == 1


# --- order ----------------------------------------------------------------------


def test_responses_keep_the_order_of_the_requests() -> None:
    server = make()
    http, target = parked(server)
    http.send(request("GET", "/x") + request("POST", target, "4a"))
    assert http.responses() == []
    (session,) = server.engine.sessions.values()
    session.send_message("b")
    assert [body for _, _, body in http.responses()] == [b"4b", b"Not Found", b"ok"]


@pytest.mark.parametrize("kind", ["plain", "parsed", "parsed and plain"])
def test_one_segment_begins_no_more_requests_than_several(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "access")
    server = Server(AsyncServer(), access_log=logging.getLogger("access"))
    http = server.http()
    kinds = {
        "plain": request("GET", "/x"),
        "parsed": request("PUT", "/x"),
        "parsed and plain": request("PUT", "/x", b"") + request("GET", "/x"),
    }
    with server.loop.running():
        http.wire.protocol.data_received(kinds[kind] * 2000)
    assert len(caplog.records) <= 32
    assert not http.wire.reading
    assert len(http.responses()) == 2000 * (1 + ("and" in kind))
    assert http.wire.reading


def test_a_segment_begins_one_request_at_a_time_of_the_fallback() -> None:
    asked = []
    futures: list[asyncio.Future[tuple[int, bytes, bytes, bytes]]] = []

    async def fallback(request: Request) -> tuple[int, bytes, bytes, bytes]:
        asked.append(request)
        futures.append(server.loop.create_future())
        return await futures[-1]

    server = make(fallback)
    http = server.http()
    http.send(request("GET", "/x") * 40)
    for number in range(1, 41):
        assert len(asked) == number
        futures[-1].set_result((200, b"text/x", b"a", b""))
        assert http.response()[0] == 200
    assert http.wire.reading


def test_requests_behind_many_bodies_in_one_segment_are_refused() -> None:
    # The parser finds a request behind a body by itself.
    server = make()
    http, _ = parked(server)
    http.send(chunked("/x", [b"a"]) * 100)
    (session,) = server.engine.sessions.values()
    session.send_message("a")
    statuses = [status for status, _, _ in http.responses()]
    assert statuses == [200] + [404] * 15 + [400]
    assert ends(http)


def test_what_is_kept_of_a_segment_waits_for_a_client_that_reads() -> None:
    server = make()
    http = server.http()
    http.wire.protocol.pause_writing()
    http.send(request("GET", "/x") * 3)
    assert http.responses() == []
    assert not http.wire.reading
    with server.loop.running():
        http.wire.protocol.resume_writing()
    assert [status for status, _, _ in http.responses()] == [404] * 3
    assert http.wire.reading


def test_reading_pauses_behind_many_unanswered_requests() -> None:
    server = make()
    http, _ = parked(server)
    for _ in range(14):
        http.send(request("GET", "/x"))
        assert http.wire.reading
    http.send(request("GET", "/x"))
    assert not http.wire.reading
    (session,) = server.engine.sessions.values()
    session.send_message("a")
    assert len(http.responses()) == 16
    assert http.wire.reading


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_requests_in_pieces(size: int) -> None:
    server = make()
    got: list[str] = []
    server.app.on("message", lambda sid, data: got.append(data))
    http, sid = server.polling()
    target = server.target("polling", sid)
    data = request("POST", target, "4abc") + chunked(target, [b"4", b"de", b"\x1e4f"])
    for start in range(0, len(data), size):
        http.send(data[start : start + size])
    assert [status for status, _, _ in http.responses()] == [200, 200]
    assert got == ["abc", "de", "f"]


# --- upgrades -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"version": "8"}, b"Sec-WebSocket-Version is not 13"),
        ({"version": None}, b"Sec-WebSocket-Version is not 13"),
        ({"key": "short"}, b"Sec-WebSocket-Key is not 16 bytes in base64"),
        ({"key": None}, b"Sec-WebSocket-Key is not 16 bytes in base64"),
    ],
)
def test_a_websocket_handshake_that_is_wrong(
    replaced: dict[str, str | None], message: bytes
) -> None:
    server = make()
    http = server.http()
    http.send(upgrade_request(server.target("websocket"), **replaced))
    status, _, body = http.response()
    assert (status, body) == (400, b'{"code":3,"message":"%s"}' % message)
    assert server.engine.sessions == {}


@pytest.mark.parametrize("upgrade", ["h2c", "foo"])
@pytest.mark.parametrize("size", [1, 7, 10000])
def test_another_protocol_is_not_upgraded_to(upgrade: str, size: int) -> None:
    server = make()
    _, sid = server.polling()
    http = server.http()
    lines = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", upgrade),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
    ]
    target = server.target("polling", sid)
    # The body is that of the request, and what follows is the next request.
    data = (
        request("GET", POLL, headers=lines)
        + request("POST", target, "4a\x1e4b", headers=lines)
        + chunked(target, [b"4c"], headers=lines)
        + request("GET", "/x")
    )
    got = []
    server.app.on("message", lambda sid, data: got.append(data))
    for i in range(0, len(data), size):
        http.send(data[i : i + size])
    responses = http.responses()
    assert [status for status, _, _ in responses] == [200, 200, 200, 404]
    assert {headers["connection"] for _, headers, _ in responses} == {"keep-alive"}
    assert got == ["a", "b", "c"]
    assert not http.wire.closed


def test_a_tunnel_is_refused() -> None:
    http = make().http()
    http.send(request("CONNECT", "a:80") + request("GET", "/x"))
    assert http.response()[0] == 404
    assert ends(http)


@pytest.mark.parametrize("scheme", ["http", "HTTP", "https"])
def test_targets_that_name_the_host(scheme: str) -> None:
    environs = []
    app = AsyncServer()
    app.on("connect", lambda sid, environ: environs.append(environ))
    http = Server(app).http()
    assert http.get(f"{scheme}://a.example:81{POLL}", ("Origin", "http://a.example:81"))
    assert environs[0]["HTTP_HOST"] == "a.example:81"
    assert environs[0]["PATH_INFO"] == "/engine.io/"
    assert http.get(f"{scheme}://a.example")[0] == 404
    assert http.get(f"{scheme}://a.example?x")[0] == 404


@pytest.mark.parametrize("coding", ["x, chunked", "gzip, chunked", "chunked, chunked"])
def test_other_transfer_codings(coding: str) -> None:
    http = make().http()
    data = chunked("/x", [b"a"]).replace(b"chunked", coding.encode(), 1)
    http.send(data)
    # The parser refuses the last of them itself.
    assert http.response()[0] == (400 if coding == "chunked, chunked" else 501)
    assert ends(http)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("a", "a"),
        ("a, b", "a"),
        (" a.b!#$%&'*+-^_`|~1 ,b", "a.b!#$%&'*+-^_`|~1"),
        ("", None),
        (", a", None),
        ("a b", None),
        ('"a"', None),
        ("a/b", None),
        ("a;q=1", None),
        ("\xe9", None),
    ],
)
def test_a_subprotocol_is_a_token(offered: str, chosen: str | None) -> None:
    server = make()
    http = server.http()
    lines = [("Sec-WebSocket-Protocol", offered)]
    http.send(upgrade_request(server.target("websocket"), lines))
    head = http.wire.take().partition(b"\r\n\r\n")[0].decode("latin-1")
    assert head.startswith("HTTP/1.1 101")
    found = [
        line.partition(": ")[2]
        for line in head.split("\r\n")
        if line.lower().startswith("sec-websocket-protocol")
    ]
    assert found == ([] if chosen is None else [chosen])


def test_an_upgrade_elsewhere() -> None:
    http = make().http()
    http.send(upgrade_request("/elsewhere"))
    assert http.response()[::2] == (404, b"Not Found")
    assert http.wire.closed


def test_an_upgrade_behind_an_unanswered_request() -> None:
    server = make()
    http, _ = parked(server)
    http.send(upgrade_request(server.target("websocket")))
    (session,) = server.engine.sessions.values()
    session.send_message("a")
    assert [status for status, _, _ in http.responses()] == [200, 400]
    assert http.wire.closed


def test_a_refused_upgrade_has_cors_headers() -> None:
    http = make(cors_allowed_origins="*").http()
    http.send(
        upgrade_request("/engine.io/?transport=websocket", [("Origin", "http://a")])
    )
    status, headers, _ = http.response()
    assert status == 400
    assert headers["access-control-allow-origin"] == "http://a"
