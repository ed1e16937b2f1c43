"""WSGI hosting: what requests get, by what hosts give and do not give."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import trustme
import websocket
from support.wsgi_hosts import TIMEOUT, Host, gunicorn, on_waitress, werkzeug

import socketio_fast
from socketio_fast import engineio

HOSTS: dict[str, Host] = {"werkzeug": werkzeug, "waitress": on_waitress}

Other = Callable[..., Any]


@pytest.fixture(params=list(HOSTS))
def host(request: pytest.FixtureRequest) -> Host:
    return HOSTS[request.param]


@pytest.fixture
def eio() -> Iterator[engineio.Server]:
    server = engineio.Server()
    server.on("message", server.send)
    yield server
    server.shutdown()


@pytest.fixture
def http_session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def get(http_session: requests.Session) -> Callable[..., requests.Response]:
    def get(url: str, **options: Any) -> requests.Response:
        return http_session.get(url, timeout=TIMEOUT, **options)

    return get


PATH = "/engine.io/?EIO=4&transport=polling"


def opened(response: requests.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    assert response.text[0] == "0"
    packet: dict[str, Any] = json.loads(response.text[1:])
    return packet


# Long-polling.


def test_messages_by_polling(
    host: Host, eio: engineio.Server, http_session: Any
) -> None:
    with host(engineio.WSGIApp(eio)) as url:
        sid = opened(http_session.get(url + PATH))["sid"]
        session = f"{url}{PATH}&sid={sid}"
        sent = http_session.post(session, data="4é\x1ebAAEC".encode())
        assert (sent.status_code, sent.text) == (200, "ok")
        got = ""
        while len(got.split("\x1e")) < 2:
            response = http_session.get(session)
            response.encoding = "utf-8"
            got = f"{got}\x1e{response.text}" if got else response.text
        # Each message has a handler in a thread of its own; either may answer first.
        assert sorted(got.split("\x1e")) == ["4é", "bAAEC"]
        assert response.headers["Content-Type"].startswith("text/plain")
        assert response.headers["Cache-Control"] == "no-store"
        eio.shutdown()


def test_a_poll_waits_for_a_message(host: Host, eio: engineio.Server, get: Any) -> None:
    with host(engineio.WSGIApp(eio)) as url:
        sid = opened(get(url + PATH))["sid"]
        threading.Timer(0.1, eio.send, (sid, "late")).start()
        assert get(f"{url}{PATH}&sid={sid}").text == "4late"
        eio.shutdown()


def test_shutdown_answers_polls_that_wait(
    host: Host, eio: engineio.Server, get: Any
) -> None:
    gone: queue.Queue[tuple[str, str]] = queue.Queue()
    eio.on("disconnect", lambda sid, reason: gone.put((sid, reason)))
    with host(engineio.WSGIApp(eio)) as url:
        sid = opened(get(url + PATH))["sid"]
        threading.Timer(0.1, eio.shutdown).start()
        assert get(f"{url}{PATH}&sid={sid}").text == "1"
        assert gone.get(timeout=TIMEOUT) == (sid, "server disconnect")


def test_the_host_s_environment_is_the_handler_s(
    host: Host, eio: engineio.Server, get: Any
) -> None:
    environs: list[dict[str, Any]] = []
    eio.on("connect", lambda sid, environ: environs.append(environ))

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        environ["of.the.program"] = 1
        return inner(environ, start_response)

    inner = engineio.WSGIApp(eio)
    with host(app) as url:
        get(url + PATH, headers={"X-Header": "value"})
        eio.shutdown()
    assert environs[0]["of.the.program"] == 1
    assert environs[0]["HTTP_X_HEADER"] == "value"
    assert environs[0]["wsgi.input"]


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("/engine.io/?EIO=4&transport=polling&sid=none", 400, "Session ID unknown"),
        ("/engine.io/?EIO=4&transport=smoke", 400, "Transport unknown"),
        ("/engine.io/?EIO=2&transport=polling", 400, "Unsupported protocol version"),
        ("/engine.io/?EIO=4&transport=websocket", 400, "Bad request"),
    ],
)
def test_bad_requests(
    host: Host, eio: engineio.Server, get: Any, target: str, status: int, message: str
) -> None:
    with host(engineio.WSGIApp(eio)) as url:
        response = get(url + target)
    assert response.status_code == status
    assert response.json()["message"] == message


def test_origins(host: Host, eio: engineio.Server, get: Any) -> None:
    with host(engineio.WSGIApp(eio)) as url:
        assert get(url + PATH, headers={"Origin": "http://e.org"}).status_code == 400
        same = get(url + PATH, headers={"Origin": url})
        assert same.headers["Access-Control-Allow-Origin"] == url
        eio.shutdown()


def test_responses_are_compressed(host: Host, get: Any) -> None:
    eio = engineio.Server(compression_threshold=1)
    with host(engineio.WSGIApp(eio)) as url:
        response = get(url + PATH, headers={"Accept-Encoding": "gzip"})
        assert response.headers["Content-Encoding"] == "gzip"
        assert "sid" in opened(response)
        eio.shutdown()


def test_a_cookie_is_set(host: Host, get: Any) -> None:
    eio = engineio.Server(cookie="io")
    with host(engineio.WSGIApp(eio)) as url:
        response = get(url + PATH)
        assert response.cookies["io"] == opened(response)["sid"]
        eio.shutdown()


# Bodies.


def post(url: str, target: str, lines: list[str], body: bytes) -> tuple[int, bytes]:
    """A request as it is written here; the client may send less than it says."""
    parts = urlsplit(url)
    head = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc}", *lines]
    with socket.create_connection((parts.hostname, parts.port), TIMEOUT) as sock:
        sock.sendall("\r\n".join([*head, "", ""]).encode() + body)
        if "Content-Length" in " ".join(lines):
            sock.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(sock)
        response.begin()
        return response.status, response.read()


def test_a_chunked_body_is_read(host: Host, eio: engineio.Server, get: Any) -> None:
    with host(engineio.WSGIApp(eio)) as url:
        sid = opened(get(url + PATH))["sid"]
        body = b"3\r\n4ab\r\n2\r\ncd\r\n0\r\n\r\n"
        lines = ["Transfer-Encoding: chunked"]
        assert post(url, f"{PATH}&sid={sid}", lines, body) == (200, b"ok")
        assert get(f"{url}{PATH}&sid={sid}").text == "4abcd"
        eio.shutdown()


def test_a_body_that_is_too_large_is_refused_unread(host: Host, get: Any) -> None:
    eio = engineio.Server(max_http_buffer_size=10)
    with host(engineio.WSGIApp(eio)) as url:
        sid = opened(get(url + PATH))["sid"]
        chunked = b"c\r\n4" + b"x" * 11 + b"\r\n0\r\n\r\n"
        status, _ = post(
            url, f"{PATH}&sid={sid}", ["Transfer-Encoding: chunked"], chunked
        )
        assert status == 413
        sid = opened(get(url + PATH))["sid"]
        response = requests.post(f"{url}{PATH}&sid={sid}", data="4" + "x" * 10)
        assert response.status_code == 413
        assert not eio.sockets
        eio.shutdown()


def test_half_a_body_is_not_delivered(eio: engineio.Server, get: Any) -> None:
    with werkzeug(engineio.WSGIApp(eio)) as url:
        sid = opened(get(url + PATH))["sid"]
        status, body = post(url, f"{PATH}&sid={sid}", ["Content-Length: 9"], b"4ab")
        assert (status, body) == (400, b"the request ended before its body did")
        eio.send(sid, "only this")
        assert get(f"{url}{PATH}&sid={sid}").text == "4only this"
        eio.shutdown()


def call(app: Any, **environ: Any) -> tuple[str, bytes]:
    """A WSGI application, called as a host may call it."""
    statuses: list[str] = []
    body = b"".join(
        app(
            {
                "REQUEST_METHOD": "GET",
                "PATH_INFO": "/engine.io/",
                "QUERY_STRING": "EIO=4&transport=polling",
                "wsgi.url_scheme": "http",
                **environ,
            },
            lambda status, headers, exc_info=None: statuses.append(status),
        )
    )
    return statuses[0], body


@pytest.mark.parametrize("length", ["x", "-1", "1.0"])
def test_a_length_is_a_number(eio: engineio.Server, length: str) -> None:
    app = engineio.WSGIApp(eio)
    status, body = call(app, REQUEST_METHOD="POST", CONTENT_LENGTH=length)
    assert status == "400 Bad Request"
    assert body.decode() == f"Content-Length {length!r} is not a number"


def test_what_hosts_may_leave_out(eio: engineio.Server) -> None:
    status, body = call(engineio.WSGIApp(eio), HTTP_X_FOLDED="one\r\n two")
    assert status == "200 OK"
    assert body.startswith(b'0{"sid"')


@pytest.mark.parametrize(
    ("environ", "status", "text"),
    [
        ({}, "404 Not Found", "Not Found"),
        ({"PATH_INFO": "/other"}, "404 Not Found", "Not Found"),
        ({"PATH_INFO": "/file"}, "200 OK", "content"),
        ({"PATH_INFO": "/engine.io/"}, "400 Bad Request", "Transport unknown"),
        (
            {
                "PATH_INFO": "/engine.io/",
                "QUERY_STRING": "EIO=4&transport=polling",
                "CONTENT_LENGTH": 0,
            },
            "200 OK",
            '0{"sid"',
        ),
        (
            {
                "PATH_INFO": "/engine.io/",
                "QUERY_STRING": "EIO=4&transport=polling",
                "REQUEST_METHOD": "POST",
                "CONTENT_LENGTH": 3,
            },
            "400 Bad Request",
            "the request ended before its body did",
        ),
    ],
)
def test_what_callers_by_hand_leave_out(
    eio: engineio.Server,
    tmp_path: Path,
    environ: dict[str, Any],
    status: str,
    text: str,
) -> None:
    file = tmp_path / "file"
    file.write_text("content")
    app = engineio.WSGIApp(eio, static_files={"/file": str(file)})
    statuses: list[str] = []
    body = b"".join(app(environ, lambda status, headers: statuses.append(status)))
    assert statuses == [status]
    assert text in body.decode()


def test_one_thread_is_warned_about_once(
    eio: engineio.Server, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        call(engineio.WSGIApp(eio), **{"wsgi.multithread": False})
    assert [record.getMessage() for record in caplog.records] == [
        "this WSGI server has one thread, which a client that polls holds: give it "
        "threads"
    ]


# WebSockets.


def ws_url(url: str) -> str:
    return url.replace("http", "ws", 1) + PATH.replace("polling", "websocket")


def test_messages_by_websocket(eio: engineio.Server) -> None:
    gone: queue.Queue[tuple[str, str]] = queue.Queue()
    eio.on("disconnect", lambda sid, reason: gone.put((sid, reason)))
    with werkzeug(engineio.WSGIApp(eio)) as url:
        ws = websocket.create_connection(ws_url(url), timeout=TIMEOUT)
        packet = json.loads(ws.recv()[1:])
        assert packet["upgrades"] == []
        assert eio.transport(packet["sid"]) == "websocket"
        ws.send("4hello")
        assert ws.recv() == "4hello"
        ws.send_binary(b"\x00\x01")
        assert ws.recv() == b"\x00\x01"
        ws.send("4" + "x" * 100_000)
        assert ws.recv() == "4" + "x" * 100_000
        ws.close()
        assert gone.get(timeout=TIMEOUT) == (packet["sid"], "transport close")


def test_a_websocket_holds_no_thread_of_the_host(eio: engineio.Server) -> None:
    others = set(threading.enumerate())  # of hosts that are ending
    with werkzeug(engineio.WSGIApp(eio)) as url:
        sockets = [
            websocket.create_connection(ws_url(url), timeout=TIMEOUT) for _ in range(5)
        ]
        for ws in sockets:
            ws.send("4x")
            while ws.recv() != "4x":
                pass
        deadline = time.monotonic() + TIMEOUT
        while of_the_host(others) and time.monotonic() < deadline:
            for thread in of_the_host(others):
                thread.join(deadline - time.monotonic())
        assert of_the_host(others) == []
        for ws in sockets:
            ws.send("4still there")
            assert ws.recv() == "4still there"
            ws.close()


def of_the_host(others: set[threading.Thread]) -> list[threading.Thread]:
    return [
        thread
        for thread in threading.enumerate()
        if thread not in others and "process_request_thread" in thread.name
    ]


def test_an_upgrade_that_is_refused_is_answered_by_the_host(
    eio: engineio.Server,
) -> None:
    with werkzeug(engineio.WSGIApp(eio)) as url:
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            websocket.create_connection(ws_url(url) + "&sid=none", timeout=TIMEOUT)
        assert refused.value.status_code == 400
        assert json.loads(refused.value.resp_body)["message"] == "Session ID unknown"
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            websocket.create_connection(
                ws_url(url), timeout=TIMEOUT, origin="http://elsewhere.org"
            )
        assert refused.value.status_code == 400


def test_a_connect_handler_that_refuses_a_websocket(eio: engineio.Server) -> None:
    eio.on("connect", lambda sid, environ: "not you")
    with werkzeug(engineio.WSGIApp(eio)) as url:
        ws = websocket.create_connection(ws_url(url), timeout=TIMEOUT)
        assert ws.recv() == ""
        ws.shutdown()


def test_what_gives_no_socket_says_so_and_offers_no_upgrade(
    eio: engineio.Server, get: Any
) -> None:
    with on_waitress(engineio.WSGIApp(eio)) as url:
        assert opened(get(url + PATH))["upgrades"] == []
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            websocket.create_connection(ws_url(url), timeout=TIMEOUT)
        assert refused.value.status_code == 400
        assert b"cannot open WebSockets" in refused.value.resp_body
        eio.shutdown()
    with werkzeug(engineio.WSGIApp(eio)) as url:
        assert opened(get(url + PATH))["upgrades"] == ["websocket"]
        eio.shutdown()


def test_tls_of_the_host_is_polling_only(eio: engineio.Server) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with werkzeug(engineio.WSGIApp(eio), ssl_context=context) as url:
        parts = urlsplit(url)
        connection = http.client.HTTPSConnection(
            parts.netloc, timeout=TIMEOUT, context=trusting
        )
        connection.request("GET", PATH)
        packet = json.loads(connection.getresponse().read()[1:])
        assert packet["upgrades"] == []
        connection.close()
        with pytest.raises(websocket.WebSocketBadStatusException, match="400"):
            websocket.create_connection(
                ws_url(url), timeout=TIMEOUT, sslopt={"context": trusting}
            )
        eio.shutdown()


# Beside another application, and files.


def other(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]


def test_paths(eio: engineio.Server) -> None:
    app = engineio.WSGIApp(eio, other, engineio_path="/real/time/")
    for path in ("/real/time", "/real/time/", "/real/time/x"):
        assert call(app, PATH_INFO=path)[1].startswith(b'0{"sid"')
    for path in ("/", "", "/real", "/real/times", "/engine.io/"):
        assert call(app, PATH_INFO=path) == ("200 OK", path.encode())
    assert call(engineio.WSGIApp(eio), PATH_INFO="/x") == (
        "404 Not Found",
        b"Not Found",
    )


def test_files_come_before_the_other_application(
    host: Host, eio: engineio.Server, get: Any, tmp_path: Path
) -> None:
    (tmp_path / "é.html").write_text("<p>é")
    (tmp_path / "index.html").write_text("index")
    files = {"/static": str(tmp_path), "/one": str(tmp_path / "é.html")}
    with host(engineio.WSGIApp(eio, other, static_files=files)) as url:
        response = get(f"{url}/static/é.html")
        assert response.content == "<p>é".encode()
        assert response.headers["Content-Type"] == "text/html"
        assert get(f"{url}/one").content == "<p>é".encode()
        assert get(f"{url}/static/").text == "index"
        assert get(f"{url}/static/none").text == "/static/none"
        assert get(f"{url}/static/../x").text == "/x"
        head = requests.head(f"{url}/one", timeout=TIMEOUT)
        assert (head.headers["Content-Length"], head.content) == ("5", b"")
        assert requests.post(f"{url}/one", timeout=TIMEOUT).text == "/one"
        assert requests.post(f"{url}/two", timeout=TIMEOUT).text == "/two"


def test_attributes() -> None:
    sio = socketio_fast.Server()
    app = socketio_fast.WSGIApp(sio, other, {"/": "index.html"}, "x")
    assert app.server is app.engineio_app is sio
    assert app.wsgi_app is other
    assert app.path == app.engineio_path == "/x/"
    assert app.static_files == {"/": "index.html"}
    assert isinstance(socketio_fast.Middleware(sio, other, "x"), socketio_fast.WSGIApp)
    assert isinstance(engineio.Middleware(engineio.Server()), engineio.WSGIApp)


# In processes of their own.

PROGRAM = """
import os, threading
import socketio_fast

sio = socketio_fast.Server()

@sio.event
def connect(sid, environ):
    sio.emit("who", (os.getpid(), threading.active_count()), to=sid)

@sio.event
def echo(sid, data):
    return data

app = socketio_fast.WSGIApp(sio)
"""


def ended(ws: Any) -> bool:
    with contextlib.suppress(websocket.WebSocketConnectionClosedException, OSError):
        while ws.recv():
            pass
    ws.shutdown()
    return True


def test_gunicorn(tmp_path: Path) -> None:
    """With the application loaded before the fork, and more WebSockets than threads."""
    (tmp_path / "program.py").write_text(PROGRAM)
    target = "/socket.io/?EIO=4&transport="
    with gunicorn("program:app", tmp_path, "--preload") as url:
        assert opened(requests.get(url + target + "polling", timeout=TIMEOUT))[
            "upgrades"
        ] == ["websocket"]
        sockets = [
            websocket.create_connection(
                url.replace("http", "ws") + target + "websocket", timeout=TIMEOUT
            )
            for _ in range(30)
        ]
        for ws in sockets:
            assert ws.recv()[0] == "0"
            ws.send("40")
            assert ws.recv()[:2] == "40"
            assert ws.recv().startswith('42["who",')
            ws.send('421["echo",{"a":1}]')
            assert ws.recv() == '431[{"a":1}]'
        for ws in sockets[:10]:
            ws.close()
        assert sockets[-1].connected
    for ws in sockets[10:]:
        assert ended(ws)


def test_an_option_that_fails_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    def origins(origin: str) -> bool:
        raise LookupError("of the option")

    eio = engineio.Server(cors_allowed_origins=origins)
    with werkzeug(engineio.WSGIApp(eio)) as url:
        for _ in range(2):
            with pytest.raises(websocket.WebSocketBadStatusException, match="500"):
                websocket.create_connection(ws_url(url), timeout=TIMEOUT)
        response = requests.get(url + PATH, headers={"Origin": "x"}, timeout=TIMEOUT)
        assert (response.status_code, response.text) == (500, "Internal Server Error")
        eio.shutdown()
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [str(error) for error in errors] == ["of the option"] * 3
