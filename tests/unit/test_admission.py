"""Which requests are admitted, with which headers; requests as WSGI environments."""

from __future__ import annotations

from typing import Any

import pytest
from support.raw import request, upgrade_request
from support.sansio import Http, make_engine, open_session

from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.http.endpoint import Endpoint
from socketio_fast._core.http.foreign import ForeignWebSocket
from socketio_fast._core.http.polling import Polling
from socketio_fast._core.http.request import make_request
from socketio_fast._core.testing import judge

pytestmark = pytest.mark.usefixtures("both_ways")

Headers = list[tuple[bytes, bytes]]

ERRORS = {
    0: b'{"code":0,"message":"Transport unknown"}',
    1: b'{"code":1,"message":"Session ID unknown"}',
    2: b'{"code":2,"message":"Bad handshake method"}',
    3: b'{"code":3,"message":"Bad request"}',
    5: b'{"code":5,"message":"Unsupported protocol version"}',
}
POLLING = b"EIO=4&transport=polling"
WEBSOCKET = b"EIO=4&transport=websocket"


def engine_with(*transports: str, **options: Any) -> Engine:
    """An engine with sessions 1, 2, … over these transports."""
    engine, _, _ = make_engine(**options)
    for name in transports:
        open_session(engine, name)
    return engine


def ask(
    engine: Engine,
    query: bytes,
    method: str = "GET",
    headers: Headers | None = None,
    *,
    upgrade: bool = False,
    **more: Any,
) -> tuple[int, bytes | None, bytes]:
    asked = make_request(method, b"/engine.io/?" + query, headers or [], **more)
    status, body, lines, _ = judge(engine, asked, upgrade)
    return status, body, lines


@pytest.mark.parametrize(
    ("query", "upgrade"),
    [
        (POLLING, False),
        (b"transport=polling&EIO=4&t=abc", False),
        (b"EIO=4&EIO=3&transport=polling&transport=x", False),
        (b"EIO=4&transport=poll%69ng", False),
        (b"EIO=4&transport=polling&sid=", False),
        (b"EIO=4&transport=polling&b64", False),
        (WEBSOCKET, True),
    ],
)
def test_a_handshake_is_admitted(query: bytes, upgrade: bool) -> None:
    status, body, _ = ask(engine_with(), query, upgrade=upgrade)
    assert (status, body) == (0, None)


@pytest.mark.parametrize(
    ("query", "method", "upgrade", "code"),
    [
        (b"", "GET", False, 0),
        (b"EIO=4", "GET", False, 0),
        (b"EIO=4&transport=", "GET", False, 0),
        (b"EIO=4&transport=Polling", "GET", False, 0),
        (b"EIO=4&transport=webtransport", "GET", False, 0),
        (b"EIO=4&transport=__proto__", "GET", False, 0),
        (POLLING + b"&sid=unknown", "GET", False, 1),
        (POLLING + b"&sid=unknown", "POST", False, 1),
        (WEBSOCKET + b"&sid=unknown", "GET", True, 1),
        (POLLING, "POST", False, 2),
        (POLLING, "PUT", False, 2),
        (POLLING, "HEAD", False, 2),
        (WEBSOCKET, "POST", True, 2),
        (WEBSOCKET, "GET", False, 3),
        (POLLING, "GET", True, 3),
        (b"transport=polling", "GET", False, 5),
        (b"EIO=&transport=polling", "GET", False, 5),
        (b"EIO=3&transport=polling", "GET", False, 5),
        (b"EIO=5&transport=polling", "GET", False, 5),
        (b"EIO=04&transport=polling", "GET", False, 5),
        (b"EIO=3&transport=websocket", "GET", True, 5),
        (b"EIO=abc&transport=polling", "GET", False, 5),
    ],
)
def test_a_handshake_is_refused(
    query: bytes, method: str, upgrade: bool, code: int
) -> None:
    status, body, _ = ask(engine_with(), query, method, upgrade=upgrade)
    assert (status, body) == (400, ERRORS[code])


@pytest.mark.parametrize("query", [b"", b"EIO=&", b"EIO=3&"])
def test_no_revision_is_3_where_that_is_allowed(query: bytes) -> None:
    """As in the reference implementation."""
    engine = engine_with(allow_eio3=True)
    status, body, _ = ask(engine, query + b"transport=polling")
    assert (status, body) == (0, None)


@pytest.mark.parametrize("query", [b"EIO=abc&", b"EIO=2&", b"EIO=5&"])
def test_other_revisions_are_refused(query: bytes) -> None:
    engine = engine_with(allow_eio3=True)
    status, body, _ = ask(engine, query + b"transport=polling")
    assert (status, body) == (400, ERRORS[5])


@pytest.mark.parametrize(
    ("session", "query", "method", "upgrade", "code"),
    [
        ("polling", POLLING, "GET", False, None),
        ("polling", POLLING, "POST", False, None),
        ("polling", b"transport=polling", "GET", False, None),
        ("polling", WEBSOCKET, "GET", True, None),
        ("polling", POLLING, "PUT", False, 3),
        ("polling", POLLING, "DELETE", False, 3),
        ("polling", WEBSOCKET, "GET", False, 3),
        ("polling", POLLING, "GET", True, 3),
        ("polling", b"sid=1", "GET", False, 0),
        ("websocket", POLLING, "GET", False, 3),
        ("websocket", POLLING, "POST", False, 3),
        ("websocket", WEBSOCKET, "GET", True, None),  # begin_upgrade() refuses it
    ],
)
def test_requests_of_a_session(
    session: str, query: bytes, method: str, upgrade: bool, code: int | None
) -> None:
    engine = engine_with(session)
    asked = make_request(method, b"/engine.io/?" + query + b"&sid=1", [])
    status, body, _, found = judge(engine, asked, upgrade)
    if code is None:
        assert (status, body, found) == (0, None, engine.sessions["1"])
    else:
        assert (status, body, found) == (400, ERRORS[code], None)


def test_a_session_that_is_not_accepted_yet_is_unknown() -> None:
    engine, callbacks, loop = make_engine()
    gate = loop.create_future()

    async def connect(sid: str, environ: Any) -> None:
        await gate

    callbacks.connect = connect
    engine.open_session(Polling(engine), make_request("GET", b"/", []))
    assert list(engine.sessions) == ["1"]
    assert ask(engine, POLLING + b"&sid=1")[:2] == (400, ERRORS[1])
    gate.set_result(None)
    loop.turn()
    assert ask(engine, POLLING + b"&sid=1")[:2] == (0, None)


def test_a_session_that_closes_can_be_asked_for_the_rest() -> None:
    engine = engine_with("polling")
    engine.close_all()
    assert ask(engine, POLLING + b"&sid=1")[:2] == (0, None)


def test_transports_that_are_not_offered() -> None:
    engine = engine_with(transports=["websocket"])
    assert ask(engine, POLLING)[:2] == (400, ERRORS[0])
    assert ask(engine, WEBSOCKET, upgrade=True)[0] == 0
    engine = engine_with("polling", transports=["polling"])
    assert ask(engine, WEBSOCKET, upgrade=True)[:2] == (400, ERRORS[0])
    assert ask(engine, WEBSOCKET + b"&sid=1", upgrade=True)[:2] == (400, ERRORS[0])


def test_an_upgrade_is_a_get() -> None:
    engine = engine_with("polling")
    query = WEBSOCKET + b"&sid=1"
    assert ask(engine, query, upgrade=True)[0] == 0
    assert ask(engine, query, "POST", upgrade=True)[:2] == (400, ERRORS[3])


def test_an_upgrade_that_is_not_allowed() -> None:
    engine = engine_with("polling", allow_upgrades=False)
    assert ask(engine, WEBSOCKET, upgrade=True)[0] == 0
    assert ask(engine, WEBSOCKET + b"&sid=1", upgrade=True)[:2] == (400, ERRORS[3])


# --- CORS -----------------------------------------------------------------------

HOST = (b"Host", b"ex.org")
REFUSED = (400, b'{"code":3,"message":"Not an accepted origin"}', b"")


def allowed(origin: bytes, *, options: bool = False) -> bytes:
    return (
        b"Access-Control-Allow-Origin: "
        + origin
        + b"\r\nVary: Origin\r\n"
        + (b"Access-Control-Allow-Methods: OPTIONS, GET, POST\r\n" if options else b"")
        + b"Access-Control-Allow-Credentials: true\r\n"
    )


@pytest.mark.parametrize(
    ("configured", "origin", "accepted"),
    [
        (None, b"http://ex.org", True),
        (None, b"https://ex.org", False),
        (None, b"http://ex.org:5000", False),
        (None, b"http://other.org", False),
        (None, b"null", False),
        ("*", b"http://other.org", True),
        ("*", b"null", True),
        ("http://a.org", b"http://a.org", True),
        ("http://a.org", b"http://a.org.evil", False),
        ("http://a.org", b"http://ex.org", False),
        (["http://a.org", "http://b.org"], b"http://b.org", True),
        (["http://a.org", "http://b.org"], b"http://c.org", False),
        (["*"], b"http://c.org", True),
        (lambda origin: origin == "http://a.org", b"http://a.org", True),
        (lambda origin: origin == "http://a.org", b"http://b.org", False),
        (
            lambda origin, environ: environ["HTTP_HOST"] == "ex.org",
            b"http://b.org",
            True,
        ),
    ],
)
def test_origins(configured: Any, origin: bytes, accepted: bool) -> None:
    engine = engine_with(cors_allowed_origins=configured)
    answer = ask(engine, POLLING, headers=[HOST, (b"Origin", origin)])
    assert answer == ((0, None, allowed(origin)) if accepted else REFUSED)


def test_no_origin_is_admitted_without_being_named() -> None:
    assert ask(engine_with(), POLLING, headers=[HOST]) == (
        0,
        None,
        b"Access-Control-Allow-Credentials: true\r\n",
    )


def test_the_check_switched_off() -> None:
    engine = engine_with(cors_allowed_origins=[])
    assert ask(engine, POLLING, headers=[HOST, (b"Origin", b"http://x")]) == (
        0,
        None,
        b"",
    )


def test_without_credentials() -> None:
    engine = engine_with(cors_credentials=False)
    _, _, lines = ask(engine, POLLING, headers=[HOST, (b"Origin", b"http://ex.org")])
    assert b"Credentials" not in lines
    assert b"Access-Control-Allow-Origin: http://ex.org\r\n" in lines


def test_preflight() -> None:
    engine = engine_with()
    headers = [
        HOST,
        (b"Origin", b"http://ex.org"),
        (b"Access-Control-Request-Headers", b"x-a, x-b"),
    ]
    status, body, lines = ask(engine, b"", "OPTIONS", headers)
    assert (status, body) == (200, b"")
    assert lines == (
        b"Access-Control-Allow-Origin: http://ex.org\r\nVary: Origin\r\n"
        b"Access-Control-Allow-Methods: OPTIONS, GET, POST\r\n"
        b"Access-Control-Allow-Headers: x-a, x-b\r\n"
        b"Access-Control-Allow-Credentials: true\r\n"
    )
    headers[1] = (b"Origin", b"http://evil")
    assert ask(engine, b"", "OPTIONS", headers) == REFUSED


@pytest.mark.parametrize(
    ("headers", "scheme", "origin", "accepted"),
    [
        ([HOST], "https", b"https://ex.org", True),
        ([HOST], "https", b"http://ex.org", False),
        ([], "http", b"http://ex.org", False),
        (
            [HOST, (b"X-Forwarded-Proto", b"https")],
            "http",
            b"https://ex.org",
            True,
        ),
        ([HOST, (b"X-Forwarded-Host", b"pub.org")], "http", b"http://pub.org", True),
        (
            [
                HOST,
                (b"X-Forwarded-Host", b"pub.org, proxy"),
                (b"X-Forwarded-Proto", b"https, http"),
            ],
            "http",
            b"https://pub.org",
            True,
        ),
        ([HOST, (b"X-Forwarded-Host", b"pub.org")], "http", b"http://other", False),
        # Of clients that are no browsers.
        ([HOST], "http", b"ws://ex.org", True),
        ([HOST], "https", b"wss://ex.org", True),
        ([HOST], "http", b"wss://ex.org", False),
        ([HOST], "https", b"ws://ex.org", False),
        ([HOST], "http", b"ws://other", False),
        ([HOST], "http", b"http://ex.org:80", True),
        ([HOST], "https", b"wss://ex.org:443", True),
        ([HOST], "http", b"http://ex.org:443", False),
        ([HOST], "http", b"http://ex.org/", True),
        ([HOST], "http", b"http://ex.org/chat/", True),
        ([HOST], "http", b"http://EX.org", True),
        ([HOST], "http", b"http://ex.org.evil", False),
        ([HOST], "http", b"http://ex.org@evil", False),
        ([HOST], "http", b"http://evil/ex.org", False),
        ([HOST], "http", b"file://", False),
        ([HOST], "http", b"null", False),
        ([(b"Host", b"ex.org:443")], "https", b"wss://ex.org", True),
        ([(b"Host", b"ex.org:8080")], "http", b"ws://ex.org:8080", True),
        ([(b"Host", b"ex.org:8080")], "http", b"ws://ex.org", False),
    ],
)
def test_same_origin(
    headers: Headers, scheme: str, origin: bytes, accepted: bool
) -> None:
    answer = ask(
        engine_with(), POLLING, headers=[*headers, (b"Origin", origin)], scheme=scheme
    )
    assert answer == ((0, None, allowed(origin)) if accepted else REFUSED)


def test_errors_have_cors_headers_too() -> None:
    """Or a page could not read why."""
    answer = ask(engine_with(), b"", headers=[HOST, (b"Origin", b"http://ex.org")])
    assert answer == (400, ERRORS[0], allowed(b"http://ex.org"))


# --- requests -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/engine.io/?a=1&b=2", "/engine.io/", "a=1&b=2"),
        (b"/engine.io/", "/engine.io/", ""),
        (b"/a%20b/%C3%A9?x=%20", "/a b/é", "x=%20"),
        (b"/%FF", "/\ufffd", ""),
        (b"/a?b?c", "/a", "b?c"),
    ],
)
def test_target(target: bytes, path: str, query: str) -> None:
    asked = make_request("GET", target, [])
    assert (asked.target, asked.path, asked.query) == (target, path, query)


def test_header() -> None:
    asked = make_request("GET", b"/", [(b"Host", b"a"), (b"HOST", b"b")])
    assert asked.header(b"host") == b"a"
    assert asked.header(b"origin") is None


def test_environ() -> None:
    asked = make_request(
        "GET",
        b"/socket.io/?EIO=4",
        [
            (b"host", b"ex.org"),
            (b"content-type", b"text/plain"),
            (b"content-length", b"3"),
            (b"x-my-header", b"a"),
            (b"x-my-header", b"b"),
            (b"cookie", b"a=1"),
            (b"cookie", b"b=2"),
            (b"x-latin", b"\xe9"),
        ],
        ("192.0.2.7", 4321),
        ("127.0.0.1", 5000),
        "https",
        "1.0",
    )
    assert asked.environ() == {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.async": True,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "SERVER_SOFTWARE": "socketio_fast",
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/socket.io/",
        "QUERY_STRING": "EIO=4",
        "RAW_URI": "/socket.io/?EIO=4",
        "SERVER_PROTOCOL": "HTTP/1.0",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "4321",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "5000",
        "HTTP_HOST": "ex.org",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "3",
        "HTTP_X_MY_HEADER": "a,b",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_X_LATIN": "é",
    }
    assert asked.environ() is not asked.environ()


@pytest.mark.parametrize("peer", [None, "", b"", "/tmp/client.sock"])
def test_environ_of_a_unix_socket(peer: Any) -> None:
    environ = make_request("GET", b"/", [], client_address=peer, server="x").environ()
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["REMOTE_PORT"] == "0"
    assert environ["SERVER_NAME"] == "localhost"


def test_environ_of_ipv6() -> None:
    environ = make_request("GET", b"/", [], client_address=("::1", 5, 0, 0)).environ()
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("::1", "5")


def test_a_header_cannot_pass_for_a_key_of_ours() -> None:
    """`Wsgi.Url_Scheme` or `Remote-Addr` become HTTP_… keys, like all."""
    environ = make_request(
        "GET", b"/", [(b"Remote-Addr", b"evil"), (b"wsgi.url_scheme", b"evil")]
    ).environ()
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["wsgi.url_scheme"] == "http"


def test_an_underscore_cannot_pass_for_a_hyphen() -> None:
    """X_Forwarded_For is not X-Forwarded-For: proxies clean only the latter."""
    environ = make_request(
        "GET",
        b"/",
        [(b"X-Forwarded-For", b"true"), (b"X_Forwarded_For", b"evil")],
    ).environ()
    assert environ["HTTP_X_FORWARDED_FOR"] == "true"


# --- cookies --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookie", "line"),
    [
        ("io", "io=1; path=/; SameSite=Lax"),
        ({"name": "x", "path": "/p", "HttpOnly": True}, "x=1; path=/p; HttpOnly"),
        ({"name": "x", "Secure": False}, "x=1"),
        ({}, "io=1"),
        ({"name": "x", "Max-Age": 60, "Domain": None}, "x=1; Max-Age=60"),
        ({"name": "x", "Expires": lambda: "now"}, "x=1; Expires=now"),
    ],
)
def test_cookie(cookie: Any, line: str) -> None:
    engine, _, loop = make_engine(cookie=cookie)
    http = Http(Bare(engine, loop))  # type: ignore[arg-type]
    http.send(request("GET", "/engine.io/?EIO=4&transport=polling"))
    assert http.response()[1]["set-cookie"] == line
    http.send(request("GET", "/engine.io/?EIO=4&transport=polling&sid=unknown"))
    assert "set-cookie" not in http.response()[1]


def fails() -> str:
    raise ValueError("no cookie today")


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_cookie_that_fails_gets_500(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine, _, loop = make_engine(cookie={"name": "io", "x": fails})
    http = Http(Bare(engine, loop))  # type: ignore[arg-type]
    target = f"/engine.io/?EIO=4&transport={transport}"
    http.send(
        request("GET", target) if transport == "polling" else upgrade_request(target)
    )
    assert http.response()[::2] == (500, b"Internal Server Error")
    assert not engine.sessions
    assert "no cookie today" in caplog.text


def test_a_cookie_that_fails_gets_500_from_a_foreign_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine, _, _ = make_engine(cookie={"name": "io", "x": fails})
    asked = make_request("GET", b"/engine.io/?EIO=4&transport=websocket")
    websocket = ForeignWebSocket(engine, asked, asked)
    assert (websocket.status, websocket.body) == (500, b"Internal Server Error")
    assert websocket.headers == [(b"content-type", b"text/plain; charset=UTF-8")]
    assert "no cookie today" in caplog.text


class Bare:
    """What `Http` needs of a server."""

    def __init__(self, engine: Engine, loop: Any) -> None:
        self.loop = loop
        self.endpoint = Endpoint(engine, loop, "/engine.io/")
