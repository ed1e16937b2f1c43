"""HTTP long-polling: what waits, what answers it, and with what."""

from __future__ import annotations

import gzip
import importlib
import json
import zlib
from typing import Any

import pytest
from support.raw import request
from support.sansio import Http, Server, WebSocket, errors, make_engine

from socketio_fast._core.http.compression import ENCODINGS, accepted_encoding
from socketio_fast._core.http.polling import Polling, Responder
from socketio_fast._core.protocol.outgoing import event_packet, message_packet
from socketio_fast.engineio import AsyncServer


def make(**options: Any) -> tuple[Server, Http, str, list[Any]]:
    """A session by polling, its connection and sid; what its handlers get."""
    app = AsyncServer(**options)
    log: list[Any] = []
    app.on("message", lambda sid, data: log.append(data))
    app.on("disconnect", lambda sid, reason: log.append(("end", reason)))
    server = Server(app)
    http, sid = server.polling()
    return server, http, server.target("polling", sid), log


def park(server: Server, target: str, *headers: tuple[str, str]) -> Http:
    """A GET that waits, on a connection of its own."""
    http = server.http()
    http.send(request("GET", target, headers=headers))
    assert http.responses() == []
    return http


# --- the transport alone --------------------------------------------------------


class Answers(Responder):
    def __init__(self) -> None:
        self.got: list[tuple[int, bytes, bytes, bytes]] = []

    def respond(
        self, status: int, content_type: bytes, body: bytes, headers: bytes
    ) -> int:
        self.got.append((status, content_type, body, headers))
        return 0

    def header(self, name: bytes) -> bytes | None:
        return None


def test_abstract_responder() -> None:
    responder = Responder()
    with pytest.raises(NotImplementedError):
        responder.respond(200, b"", b"", b"")
    with pytest.raises(NotImplementedError):
        responder.header(b"host")
    assert Answers().respond(200, b"", b"", b"") == 0


def test_what_is_sent_without_a_poll_waits() -> None:
    engine, _, _loop = make_engine()
    polling = Polling(engine)
    assert polling.name == "polling"
    engine.open_session(polling)
    opened = polling.buffered()
    polling.send(message_packet("abc"))
    polling.send(message_packet(b"\0"))
    assert polling.buffered() == opened + len("4abc") + len("bAA==")
    polling.flush()
    polling.release()
    assert polling.buffered() == opened + len("4abc") + len("bAA==")


def test_handover_gives_back_what_waits_in_order_and_once() -> None:
    engine, _, _ = make_engine()
    polling = Polling(engine)
    engine.open_session(polling)
    first, second = message_packet("a"), message_packet("b")
    polling.send(first)
    polling.send(second)
    assert polling.handover()[1:] == [first, second]
    assert polling.handover() == []


# --- polls ----------------------------------------------------------------------


def test_a_poll_waits_for_a_message() -> None:
    server, _, target, _ = make()
    poll = park(server, target)
    (session,) = server.engine.sessions.values()
    session.send_message("a")
    status, headers, body = poll.response()
    assert (status, body) == (200, b"4a")
    assert headers["content-type"] == "text/plain; charset=UTF-8"
    assert headers["cache-control"] == "no-store"


def test_a_poll_takes_all_there_is() -> None:
    server, http, target, _ = make()
    (session,) = server.engine.sessions.values()
    for data in ("a", b"\0", "b"):
        session.send_message(data)
    assert http.get(target) == (200, b"4a\x1ebAA==\x1e4b")
    assert park(server, target).responses() == []


def test_what_is_sent_in_one_pass_leaves_in_one_payload() -> None:
    server, _, target, _ = make()
    poll = park(server, target)
    (session,) = server.engine.sessions.values()
    session.send_message("a")
    session.send_message("b")
    assert poll.response()[2] == b"4a\x1e4b"


def test_what_a_handler_sends_at_once_goes_with_the_open_packet() -> None:
    app = AsyncServer()

    @app.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        app.sockets[sid].send_message("at once")
        server.loop.call_soon(app.sockets[sid].send_message, "later")

    server = Server(app)
    http = server.http()
    status, body = http.get(server.target("polling"))
    assert status == 200
    assert body.split(b"\x1e")[1:] == [b"4at once"]
    (sid,) = app.sockets
    assert http.get(server.target("polling", sid)) == (200, b"4later")


PYTHON = [
    ("", ("User-Agent", "python-requests/2.32.3")),
    ("", ("User-Agent", "Python/3.11 aiohttp/3.10.5")),
    ("&t=1732851234.5678", ("User-Agent", "chat/1.0")),
    ("&t=1732851234.0", ("Accept", "*/*")),
]
OTHERS = [
    ("", ("Accept", "*/*")),
    ("&t=PdQx1ab", ("User-Agent", "Mozilla/5.0")),
    ("&t=PdQx1ab.0", ("User-Agent", "Mozilla/5.0")),
    ("&t=1732851234567", ("User-Agent", "okhttp/4.12.0")),
    ("&t=1732851234567.", ("User-Agent", "Dart/3.5 (dart:io)")),
]


def opened(query: str, header: tuple[str, str]) -> tuple[Server, Http, str]:
    """A session that such a request has opened."""
    server = Server(AsyncServer())
    http = server.http()
    status, body = http.get(server.target("polling") + query, header)
    assert status == 200
    return server, http, server.target("polling", json.loads(body[1:])["sid"])


@pytest.mark.parametrize(("query", "header"), PYTHON)
def test_python_clients_get_16_packets_at_a_time(
    query: str, header: tuple[str, str]
) -> None:
    """They drop an answer of more."""
    server, http, target = opened(query, header)
    (session,) = server.engine.sessions.values()
    for number in range(40):
        session.send_message(str(number))
    sizes = [len(b"4" + str(number).encode()) for number in range(40)]
    got = []
    for count in (16, 16, 8):
        assert session.buffered_bytes == sum(sizes[len(got) :])
        _, body = http.get(target)
        got += body.split(b"\x1e")
        assert len(body.split(b"\x1e")) == count
    assert got == [b"4%d" % number for number in range(40)]
    assert session.buffered_bytes == 0
    http.send(request("GET", target))
    assert http.responses() == []


@pytest.mark.parametrize(("query", "header"), OTHERS)
def test_others_get_all_there_is(query: str, header: tuple[str, str]) -> None:
    server, http, target = opened(query, header)
    (session,) = server.engine.sessions.values()
    for number in range(40):
        session.send_message(str(number))
    assert http.get(target)[1].count(b"\x1e") == 39


@pytest.mark.parametrize("before", [0, 1, 15, 16, 17])
@pytest.mark.parametrize("attachments", [1, 15, 16, 40])
def test_attachments_are_packets_of_their_own(before: int, attachments: int) -> None:
    server, http, target = opened(*PYTHON[0])
    (session,) = server.engine.sessions.values()
    expected = [b"4a"] * before
    for _ in range(before):
        session.send_message("a")
    session.send_encoded(event_packet("e", [b"x"] * attachments))
    session.send_message("b")
    got = []
    while session.buffered_bytes:
        packets = http.get(target)[1].split(b"\x1e")
        assert len(packets) <= 16
        got += packets
    assert got[:before] == expected
    assert got[before].startswith(b'45%d-["e",' % attachments)
    assert got[before + 1 :] == [b"beA=="] * attachments + [b"4b"]


@pytest.mark.parametrize("count", [15, 16, 17, 40])
def test_the_close_packet_comes_last(count: int) -> None:
    server, http, target = opened(*PYTHON[0])
    (session,) = server.engine.sessions.values()
    for number in range(count):
        session.send_message(str(number))
    session.disconnect()
    got = []
    while server.engine.sessions:
        packets = http.get(target)[1].split(b"\x1e")
        assert len(packets) <= 16
        got += packets
    assert got == [b"4%d" % number for number in range(count)] + [b"1"]


@pytest.mark.parametrize("binary", [False, True])
def test_python_clients_of_revision_3_get_16_packets_at_a_time(binary: bool) -> None:
    server = Server(AsyncServer(allow_eio3=True))
    http = server.http()
    target = f"{server.path}?EIO=3&transport=polling" + ("" if binary else "&b64=1")
    http.get(target, PYTHON[0][1])
    (session,) = server.engine.sessions.values()
    target += f"&sid={session.id}"
    # One message, which is 41 packets.
    session.send_encoded(event_packet("e", [b"x"] * 40))
    got = b""
    for _ in range(3):
        assert session.buffered_bytes
        got += http.get(target)[1]
    assert session.buffered_bytes == 0
    assert got.count(b"\1\2\xff\4x" if binary else b"6:b4eA==") == 40


def test_what_is_left_goes_by_the_websocket_after_an_upgrade() -> None:
    server, http, target = opened(*PYTHON[0])
    (session,) = server.engine.sessions.values()
    for number in range(40):
        session.send_message(str(number))
    assert http.get(target)[1].count(b"\x1e") == 15
    client = WebSocket(server, session.id)
    client.text("2probe")
    client.text("5")
    assert client.messages() == ["3probe", *(f"4{n}" for n in range(16, 40))]


def test_a_ping_answers_a_poll() -> None:
    server, _, target, _ = make(ping_interval=3)
    poll = park(server, target)
    server.loop.advance(3.1)
    assert poll.response()[2] == b"2"


def test_a_second_poll_closes_the_session() -> None:
    server, _, target, log = make()
    first = park(server, target)
    second = server.http()
    second.send(request("GET", target))
    assert second.response()[::2] == (400, b'{"code":3,"message":"Bad request"}')
    assert first.response()[2] == b"1"
    assert log == [("end", "transport error")]
    assert server.engine.sessions == {}


def test_a_poll_that_is_aborted_ends_the_session() -> None:
    server, _, target, log = make()
    park(server, target).wire.lose()
    assert log == [("end", "transport error")]
    assert server.engine.sessions == {}


def test_a_connection_that_is_lost_between_polls_does_not() -> None:
    server, http, target, log = make()
    http.wire.lose()
    assert log == []
    assert server.http().post(target, "4a") == (200, b"ok")
    assert log == ["a"]


# --- posts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        ("4a", ["a"]),
        ("4a\x1e4b", ["a", "b"]),
        ("bAAE=", [b"\0\1"]),
        ("4a\x1ebAAE=\x1e4é€", ["a", b"\0\1", "é€"]),
        ("4", [""]),
        ("b", [b""]),
        ("3", []),
        ("6\x1e4a", ["a"]),
    ],
)
def test_a_post_delivers(body: str, messages: list[str | bytes]) -> None:
    _, http, target, log = make()
    http.send(request("POST", target, body))
    status, headers, answer = http.response()
    assert (status, answer) == (200, b"ok")
    assert headers["content-type"] == "text/html"
    assert log == messages


@pytest.mark.parametrize(
    ("body", "delivered"),
    [
        ("", []),
        ("x", []),
        ("7", []),
        ("2", []),
        ("4a\x1e", ["a"]),
        ("4a\x1ex\x1e4b", ["a"]),
    ],
)
def test_a_malformed_post_closes_the_session(
    body: str | bytes, delivered: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    server, http, target, log = make()
    poll = park(server, target)
    assert http.post(target, body) == (400, b'{"code":3,"message":"Bad request"}')
    assert log == [*delivered, ("end", "transport error")]
    assert poll.response()[2] == b"1"
    assert errors(caplog) == []


@pytest.mark.parametrize("body", ["b!", "bA", b"4\xff", "4a\x1eb!\x1e4b"])
@pytest.mark.parametrize("parked", [True, False])
def test_a_malformed_message_closes_the_session_behind_what_is_queued(
    body: str | bytes, parked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server, http, target, log = make()
    poll = park(server, target) if parked else None
    (session,) = server.engine.sessions.values()
    session.send_message("queued")
    assert http.post(target, body) == (200, b"ok")
    assert log[-1] == ("end", "transport error")
    assert "b" not in log
    if poll is None:
        poll = server.http()
        poll.send(request("GET", target))
    assert poll.response()[2] == b"4queued\x1e1"
    assert server.engine.sessions == {}
    assert http.post(target, "4a")[0] == 400
    assert errors(caplog) == []


def test_a_session_closed_by_a_malformed_message_waits_for_a_poll_and_no_longer() -> (
    None
):
    server, http, target, log = make()
    assert http.post(target, "b!") == (200, b"ok")
    assert log == [("end", "transport error")]
    assert http.post(target, "4a") == (200, b"ok")  # nobody reads it
    server.loop.advance(31)
    assert server.engine.sessions == {}
    assert log == [("end", "transport error")]


def test_a_close_packet_answers_the_poll() -> None:
    server, http, target, log = make()
    poll = park(server, target)
    assert http.post(target, "4a\x1e1\x1e4b") == (200, b"ok")
    assert log == ["a", ("end", "client disconnect")]
    assert poll.response()[2] == b"6"


def test_a_second_post_closes_the_session() -> None:
    server, _, target, log = make()
    first = server.http()
    first.send(request("POST", target, "4abc")[:-1])
    second = server.http()
    assert second.post(target, "4d") == (400, b'{"code":3,"message":"Bad request"}')
    assert log == [("end", "transport error")]
    first.send(b"c")
    assert first.response()[::2] == (400, b'{"code":1,"message":"Session ID unknown"}')


def test_one_post_after_another_and_pipelined() -> None:
    _server, http, target, log = make()
    http.send(request("POST", target, "4a") + request("POST", target, "4b"))
    assert [status for status, _, _ in http.responses()] == [200, 200]
    assert log == ["a", "b"]


def test_a_post_behind_a_waiting_poll() -> None:
    """On one connection: the responses keep the order of the requests."""
    server, http, target, log = make()
    http.send(request("GET", target) + request("POST", target, "4a"))
    assert log == ["a"]
    assert http.responses() == []
    (session,) = server.engine.sessions.values()
    session.send_message("b")
    assert [body for _, _, body in http.responses()] == [b"4b", b"ok"]


def test_a_post_that_is_aborted_ends_the_session() -> None:
    server, _, target, log = make()
    http = server.http()
    http.send(request("POST", target, "4abc")[:-1])
    http.wire.lose()
    assert log == [("end", "transport error")]


def test_binary_posts_are_of_revision_3() -> None:
    _server, http, target, log = make()
    http.send(
        request(
            "POST",
            target,
            b"\0",
            headers=[("Content-Type", "application/octet-stream")],
        )
    )
    assert http.response()[0] == 400
    assert log == [("end", "transport error")]


# --- closing --------------------------------------------------------------------


def test_close_is_told_to_the_poll_that_waits() -> None:
    server, _, target, log = make()
    poll = park(server, target)
    (session,) = server.engine.sessions.values()
    session.send_message("last")
    session.disconnect()
    assert poll.response()[2] == b"4last\x1e1"
    assert log == [("end", "server disconnect")]
    assert server.engine.sessions == {}


def test_close_is_told_to_the_next_poll() -> None:
    server, http, target, _ = make()
    (session,) = server.engine.sessions.values()
    session.send_message("last")
    session.disconnect()
    assert http.get(target) == (200, b"4last\x1e1")
    assert server.engine.sessions == {}
    assert http.get(target) == (400, b'{"code":1,"message":"Session ID unknown"}')


def test_drop_is_told_to_the_poll_without_what_was_sent() -> None:
    server, _, target, _ = make()
    poll = park(server, target)
    (session,) = server.engine.sessions.values()
    session.send_message("lost")
    server.engine.drop_all()
    assert poll.response()[2] == b"1"


# --- compression ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        (None, None),
        (b"", None),
        (b"gzip", b"gzip"),
        (b"GZIP", b"gzip"),
        (b"deflate", b"deflate"),
        (b"gzip, deflate, br", b"gzip"),
        (b"deflate, gzip", b"gzip"),
        (b"br", None),
        (b"gzip;q=0", None),
        (b"gzip;q=0, deflate", b"deflate"),
        (b"gzip;q=0.5, deflate;q=0.8", b"deflate"),
        (b"gzip ; q=0.5,deflate ;q=0.4", b"gzip"),
        (b"*", b"gzip"),
        (b"*;q=0", None),
        (b"gzip;q=0, *", b"deflate"),
        (b"identity", None),
        (b"identity;q=1, gzip;q=0.5", None),
        (b"identity;q=0.5, gzip;q=1", b"gzip"),
        (b"gzip;q=x", None),
        (b"gzip;q=nan", None),
        (b",,;,gzip", b"gzip"),
        (b"gzip;level=9", b"gzip"),
    ],
)
def test_accepted_encoding(accept: bytes | None, encoding: bytes | None) -> None:
    assert accepted_encoding(accept, (b"gzip", b"deflate")) == encoding


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        (b"br", b"br"),
        (b"gzip, deflate, br, zstd", b"br"),
        (b"gzip, br;q=0.9", b"gzip"),
        (b"gzip;q=0.5, br;q=0.8", b"br"),
        (b"br;q=0, gzip", b"gzip"),
        (b"*", b"br"),
        (b"zstd", None),
    ],
)
def test_accepted_encoding_with_brotli(
    accept: bytes | None, encoding: bytes | None
) -> None:
    """E4"""
    assert accepted_encoding(accept, (b"br", b"gzip", b"deflate")) == encoding


@pytest.mark.parametrize(
    ("options", "accept", "encoding"),
    [
        ({}, "gzip", "gzip"),
        ({}, "deflate", "deflate"),
        pytest.param(
            {},
            "gzip, deflate, br",
            "br",
            marks=pytest.mark.skipif(
                b"br" not in ENCODINGS, reason="brotli is not installed"
            ),
        ),
        ({}, None, None),
        ({"http_compression": False}, "gzip", None),
        ({"compression_threshold": 2001}, "gzip", "gzip"),
        ({"compression_threshold": 2002}, "gzip", None),
        ({"compression_threshold": 0}, "gzip", "gzip"),
    ],
)
def test_compression(
    options: dict[str, Any], accept: str | None, encoding: str | None
) -> None:
    server, http, target, _ = make(**options)
    (session,) = server.engine.sessions.values()
    session.send_message("x" * 2000)
    headers = [] if accept is None else [("Accept-Encoding", accept)]
    http.send(request("GET", target, headers=headers))
    _, got, body = http.response()
    assert got.get("content-encoding") == encoding
    if encoding == "gzip":
        body = gzip.decompress(body)
    elif encoding == "br":
        body = importlib.import_module("brotli").decompress(body)
    elif encoding == "deflate":
        body = zlib.decompress(body)
    assert body == b"4" + b"x" * 2000


@pytest.mark.parametrize(
    ("flags", "encoding"),
    [
        ([True], "gzip"),
        ([False], None),
        ([True, True], "gzip"),
        ([True, False], None),
        ([False, True], None),
    ],
)
def test_a_response_with_a_packet_that_must_not_be_compressed(
    flags: list[bool], encoding: str | None
) -> None:
    """M9, E4: `compress` of each packet."""
    server, http, target, _ = make()
    (session,) = server.engine.sessions.values()
    for flag in flags:
        message = message_packet("x" * 2000)
        message.compress = flag
        session.send_encoded(message)
    http.send(request("GET", target, headers=[("Accept-Encoding", "gzip")]))
    _, got, body = http.response()
    assert got.get("content-encoding") == encoding
    if encoding:
        body = gzip.decompress(body)
    assert body == b"\x1e".join([b"4" + b"x" * 2000] * len(flags))
