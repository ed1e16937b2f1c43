"""Engine.IO inside a foreign server: requests, messages and sockets that it gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.raw import TEXT, close_frame, frame
from support.sansio import Server, Wire, errors

import socketio_fast
from socketio_fast._core.http.connections import Connections
from socketio_fast._core.http.foreign import (
    ForeignExchange,
    ForeignWebSocket,
    adopt_connection,
)
from socketio_fast._core.http.request import Request, make_request

Headers = list[tuple[bytes, bytes]]

HANDSHAKE = [
    (b"host", b"a.test"),
    (b"connection", b"Upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
]


class Exchange:
    """One request of a foreign server, and its response."""

    def __init__(
        self,
        server: Server,
        target: str,
        method: str = "GET",
        headers: Headers | None = None,
        **options: Any,
    ) -> None:
        self.loop = server.loop
        self.answers: list[tuple[int, dict[bytes, bytes], bytes]] = []
        request = make_request(
            method, target.encode(), headers or (), client_address=("192.0.2.1", 5)
        )
        self.exchange = ForeignExchange(
            server.engine,
            request,
            request,
            lambda status, lines, body: self.answers.append(
                (status, dict(lines), body)
            ),
            **options,
        )
        with self.loop.running():
            self.wants_body = self.exchange.begin()
        self.loop.turn()

    def finish(self, body: bytes) -> None:
        with self.loop.running():
            self.exchange.finish(body)
        self.loop.turn()

    def lost(self) -> None:
        with self.loop.running():
            self.exchange.lost()
        self.loop.turn()

    @property
    def answer(self) -> tuple[int, dict[bytes, bytes], bytes]:
        (answer,) = self.answers
        return answer


def echo(**options: Any) -> Server:
    app = socketio_fast.engineio.AsyncServer(**options)

    @app.on("message")
    async def message(sid: str, data: str | bytes) -> None:
        await app.send(sid, data)

    return Server(app)


def opened(server: Server, **options: Any) -> str:
    """The target of a session that polls."""
    _, _, body = Exchange(server, server.target("polling"), **options).answer
    return server.target("polling", json.loads(body[1:])["sid"])


def log_of_ends(server: Server) -> list[str]:
    found: list[str] = []
    server.app.on("disconnect", lambda sid, reason: found.append(reason))
    return found


#: A cookie that makes no header.
FAILING = {"name": "io", "Comment": lambda: "a\r\nb"}


# --- requests -------------------------------------------------------------------


def test_a_session_by_polling() -> None:
    server = echo(cookie="io", cors_allowed_origins="http://a.test")
    first = Exchange(
        server, server.target("polling"), headers=[(b"origin", b"http://a.test")]
    )
    status, headers, body = first.answer
    sid = json.loads(body[1:])["sid"]
    assert (status, first.wants_body) == (200, False)
    assert headers == {
        b"content-type": b"text/plain; charset=UTF-8",
        b"content-length": b"%d" % len(body),
        b"cache-control": b"no-store",
        b"access-control-allow-origin": b"http://a.test",
        b"access-control-allow-credentials": b"true",
        b"vary": b"Origin",
        b"set-cookie": f"io={sid}; path=/; SameSite=Lax".encode(),
    }
    target = server.target("polling", sid)
    poll = Exchange(server, target)
    post = Exchange(server, target, "POST")
    assert (poll.answers, post.answers, post.wants_body) == ([], [], True)
    post.finish(b"4hello\x1ebAAE=")
    assert post.answer[::2] == (200, b"ok")
    assert poll.answer[::2] == (200, b"4hello\x1ebAAE=")


@pytest.mark.parametrize("polling_only", [False, True])
def test_a_server_without_websockets_offers_none(polling_only: bool) -> None:
    server = echo()
    exchange = Exchange(server, server.target("polling"), polling_only=polling_only)
    offered = json.loads(exchange.answer[2][1:])["upgrades"]
    assert offered == ([] if polling_only else ["websocket"])


def test_a_request_that_is_refused() -> None:
    server = echo()
    status, headers, body = Exchange(server, server.target("carrier")).answer
    assert (status, headers[b"content-type"]) == (400, b"application/json")
    assert body == b'{"code":0,"message":"Transport unknown"}'


def test_a_body_that_is_too_large() -> None:
    """Before it comes where its length says so, else when it has come."""
    server = echo(max_http_buffer_size=1000)
    ends = log_of_ends(server)
    long = [(b"content-length", b"1001")]
    early = Exchange(server, opened(server), "POST", headers=long)
    assert (early.wants_body, early.answer[0]) == (False, 413)
    late = Exchange(server, opened(server), "POST")
    late.finish(b"4" * 1001)
    assert late.answer[0] == 413
    assert ends == ["transport error"] * 2
    just = Exchange(server, opened(server), "POST")
    just.finish(b"4" * 1000)
    assert just.answer[0] == 200


def test_a_body_that_means_nothing() -> None:
    server = echo()
    ends = log_of_ends(server)
    post = Exchange(server, opened(server), "POST")
    post.finish(b"x")
    assert post.answer[0] == 400
    assert ends == ["transport error"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_client_that_goes_while_its_request_waits(method: str) -> None:
    server = echo()
    ends = log_of_ends(server)
    target = opened(server)
    exchange = Exchange(server, target, method)
    exchange.lost()
    exchange.lost()
    assert exchange.answers == []
    assert ends == ["transport error"]
    assert Exchange(server, target).answer[0] == 400


def test_nothing_is_answered_to_a_client_that_has_gone() -> None:
    server = echo()
    target = opened(server)
    poll = Exchange(server, target)
    poll.lost()
    server.engine.close_all()
    server.loop.turn()
    assert poll.answers == []


def test_a_request_that_cannot_be_served(caplog: pytest.LogCaptureFixture) -> None:
    server = echo(cookie=FAILING)
    status, _, body = Exchange(server, server.target("polling")).answer
    assert (status, body) == (500, b"Internal Server Error")
    assert errors(caplog) == ["GET /engine.io/ failed"]
    assert server.engine.sessions == {}


def test_a_body_that_cannot_be_served(caplog: pytest.LogCaptureFixture) -> None:
    server = echo(max_http_buffer_size=1000)
    length = [(b"content-length", b"many")]
    exchange = Exchange(server, opened(server), "POST", headers=length)
    assert (exchange.wants_body, exchange.answer[0]) == (False, 500)
    assert errors(caplog) == ["POST /engine.io/ failed"]


def test_a_file_of_the_client(tmp_path: Path) -> None:
    (tmp_path / "socket.io.js").write_bytes(b"const io = {};")
    server = Server(socketio_fast.AsyncServer(serve_client=str(tmp_path)))
    target = "/socket.io/socket.io.js"
    status, headers, body = Exchange(server, target).answer
    assert (status, body) == (200, b"const io = {};")
    assert headers[b"content-length"] == b"%d" % len(body)
    assert headers[b"content-type"].startswith(b"application/javascript")
    known = [(b"if-none-match", headers[b"etag"])]
    status, headers, body = Exchange(server, target, headers=known).answer
    assert (status, body) == (304, b"")
    assert b"content-length" not in headers


# --- messages -------------------------------------------------------------------


class Messages:
    """A WebSocket that a foreign server speaks."""

    def __init__(
        self,
        server: Server,
        target: str | None = None,
        headers: Headers | None = None,
    ) -> None:
        self.loop = server.loop
        self.wakes = 0
        self.request = make_request(
            "GET",
            (target or server.target("websocket")).encode(),
            headers or (),
            client_address=("192.0.2.1", 5),
        )
        with self.loop.running():
            self.websocket = ForeignWebSocket(server.engine, self.request, self.request)

    def begin(self) -> Messages:
        with self.loop.running():
            self.websocket.begin(self._wake)
        return self

    def _wake(self) -> None:
        self.wakes += 1

    def receive(self, *messages: str | bytes) -> None:
        with self.loop.running():
            for message in messages:
                self.websocket.receive(message)
        self.loop.turn()

    def sent(self) -> list[str | bytes]:
        """What is to be sent, since the last call."""
        self.loop.turn()
        found: list[str | bytes] = []
        with self.loop.running():
            while (message := self.websocket.take()) is not None:
                found.append(message)
        self.loop.turn()
        return found

    def ended(self) -> int | None:
        """It is to be closed: the code."""
        self.loop.turn()
        assert self.websocket.closing
        return self.websocket.code


def test_a_session_by_messages() -> None:
    server = echo(cookie="io")
    offered = [(b"sec-websocket-protocol", b"chat, other")]
    client = Messages(server, headers=offered)
    assert (client.websocket.status, client.websocket.subprotocol) == (101, "chat")
    assert client.begin().sent()[0][:2] == "0{"
    (sid,) = server.engine.sessions
    cookie = f"io={sid}; path=/; SameSite=Lax".encode()
    assert client.websocket.headers[-1] == (b"set-cookie", cookie)
    client.receive("4text", b"\0\1", memoryview(b"view"))  # type: ignore[arg-type]
    assert client.sent() == ["4text", b"\0\1", b"view"]
    assert client.wakes == 2
    ends = log_of_ends(server)
    with server.loop.running():
        client.websocket.lost()
    client.receive("4behind the end")
    assert (client.sent(), ends) == ([], ["transport close"])


@pytest.mark.parametrize(
    ("query", "first", "binary"),
    [
        ("EIO=4&transport=websocket&b64=1", "4a", "bAAE="),
        ("EIO=3&transport=websocket", "4a", b"\4\0\1"),
        ("EIO=3&transport=websocket&b64=1", "4a", "b4AAE="),
    ],
)
def test_messages_of_other_dialects(
    query: str, first: str, binary: str | bytes
) -> None:
    server = echo(allow_eio3=True)
    client = Messages(server, f"{server.path}?{query}").begin()
    client.sent()
    client.receive("4a", binary)
    assert client.sent() == [first, binary]


def test_a_websocket_that_is_refused() -> None:
    server = echo()
    client = Messages(server, server.target("websocket", "unknown"))
    assert client.websocket.status == 400
    assert client.websocket.headers[0] == (b"content-type", b"application/json")
    assert client.websocket.body == b'{"code":1,"message":"Session ID unknown"}'
    assert client.websocket.subprotocol is None


def test_a_websocket_that_cannot_be_served(caplog: pytest.LogCaptureFixture) -> None:
    server = echo(cookie=FAILING)
    client = Messages(server)
    assert client.websocket.status == 500
    assert client.websocket.body == b"Internal Server Error"
    assert client.websocket.headers == [(b"content-type", b"text/plain; charset=UTF-8")]
    assert errors(caplog) == ["GET /engine.io/ failed"]


@pytest.mark.parametrize(
    ("message", "code"),
    [("x", None), ("4" * 1001, 1009), (b"4" * 1001, 1009), ("\ud800", 1011)],
)
def test_a_client_that_breaks_a_rule(message: str | bytes, code: int | None) -> None:
    server = echo(max_http_buffer_size=1000)
    ends = log_of_ends(server)
    client = Messages(server).begin()
    client.sent()
    client.receive(message, "4never read")
    assert client.ended() == code
    assert client.sent() == []
    assert ends == ["transport error"]


def test_an_upgrade_to_messages() -> None:
    server = echo()
    target = opened(server)
    sid = target.partition("sid=")[2]
    poll = Exchange(server, target)
    client = Messages(server, server.target("websocket", sid)).begin()
    client.receive("2probe")
    assert client.sent() == ["3probe"]
    assert poll.answer[2] == b"6"
    client.receive("5", "4hello")
    assert client.sent() == ["4hello"]
    another = Messages(server, server.target("websocket", sid)).begin()
    assert another.ended() is None
    client.receive("4still here")
    assert client.sent() == ["4still here"]


def test_an_upgrade_that_breaks_a_rule() -> None:
    """The session goes on by polling."""
    server = echo()
    target = opened(server)
    client = Messages(server, server.target("websocket", target.partition("sid=")[2]))
    client.begin().receive(b"binary")
    assert client.ended() is None
    post = Exchange(server, target, "POST")
    post.finish(b"4hello")
    assert Exchange(server, target).answer[2] == b"4hello"


@pytest.mark.parametrize("stops", [False, True])
def test_the_server_closes(stops: bool) -> None:
    """1001 says to clients that they shall connect to another server."""
    server = echo()
    client = Messages(server).begin()
    client.sent()
    if stops:
        server.engine.drain()
        server.engine.close_all(stopping=True)
    else:
        server.engine.close_all()
    assert client.ended() == (1001 if stops else None)


def test_a_client_that_a_handler_refuses() -> None:
    server = echo()
    server.app.on("connect", lambda sid, environ: False)
    client = Messages(server).begin()
    assert client.ended() == 1008
    assert server.engine.sessions == {}


# --- sockets --------------------------------------------------------------------


def adopt(
    server: Server, headers: Headers = HANDSHAKE, target: str | None = None
) -> tuple[Wire, Any]:
    """A connection that the foreign server gives away, and what it is to answer."""
    wire = Wire(server.loop, _Nobody())
    request = _websocket_request(server, headers, target)
    with server.loop.running():
        refusal = adopt_connection(
            server.engine, request, request, wire, False, Connections()
        )
    return wire, refusal


def _websocket_request(server: Server, headers: Headers, target: str | None) -> Request:
    path = (target or server.target("websocket")).encode()
    return make_request("GET", path, headers, client_address=("192.0.2.1", 5))


class _Nobody:
    def connection_made(self, transport: Any) -> None:
        pass


def test_a_connection_that_is_given_away() -> None:
    server = echo()
    wire, refusal = adopt(server)
    assert refusal is None
    head, _, packet = wire.take().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b'0{"sid":' in packet
    wire.feed(frame(TEXT, "4hello"))
    assert wire.take() == b"\x81\x064hello"
    wire.feed(close_frame(1000))
    assert wire.take()[:2] == b"\x88\x02"
    assert server.engine.sessions == {}


@pytest.mark.parametrize(
    ("headers", "target", "message"),
    [
        (HANDSHAKE[:-1], None, b"Sec-WebSocket-Key is not 16 bytes in base64"),
        (HANDSHAKE, "/engine.io/?EIO=4&transport=x", b"Transport unknown"),
        (HANDSHAKE[:2], None, b"not an upgrade to websocket"),
    ],
)
def test_a_connection_that_is_not_taken(
    headers: Headers, target: str | None, message: bytes
) -> None:
    """The foreign server answers on it."""
    server = echo()
    wire, (status, lines, body) = adopt(server, headers, target)
    assert (status, lines[0]) == (400, (b"content-type", b"application/json"))
    assert message in body
    assert (wire.take(), wire.closed) == (b"", False)


def test_a_connection_that_cannot_be_taken(caplog: pytest.LogCaptureFixture) -> None:
    server = echo(cookie=FAILING)
    wire, (status, lines, body) = adopt(server)
    assert (status, body) == (500, b"Internal Server Error")
    assert lines == [(b"content-type", b"text/plain; charset=UTF-8")]
    assert errors(caplog) == ["GET /engine.io/ failed"]
    assert wire.take() == b""
