"""WebSocket frames on a wire (RFC 6455): what is read, written, and how it ends."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from support.raw import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    close_frame,
    frame,
    header,
    upgrade_request,
)
from support.sansio import MOMENT, Loop, Server, WebSocket, errors

from socketio_fast._core.http.request import make_request
from socketio_fast._core.http.websocket_handshake import subprotocol_line, websocket_key
from socketio_fast.engineio import AsyncServer
from socketio_fast.exceptions import ProtocolError

pytestmark = pytest.mark.usefixtures("both_ways")

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def make(**options: Any) -> tuple[Server, WebSocket, list[Any]]:
    """A client, and what its handlers get."""
    app = AsyncServer(**options)
    log: list[Any] = []

    @app.on("message")
    async def message(sid: str, data: str | bytes) -> None:
        log.append(data)
        await app.send(sid, data)

    app.on("disconnect", lambda sid, reason: log.append(("end", reason)))
    server = Server(app)
    return server, server.websocket(), log


# --- the handshake --------------------------------------------------------------


def headers(**changed: bytes | None) -> list[tuple[bytes, bytes]]:
    lines: dict[str, bytes | None] = {
        "upgrade": b"websocket",
        "connection": b"Upgrade",
        "sec-websocket-key": KEY,
        "sec-websocket-version": b"13",
    }
    lines.update({name.replace("_", "-"): value for name, value in changed.items()})
    return [
        (name.encode(), value) for name, value in lines.items() if value is not None
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"upgrade": b"WebSocket"},
        {"upgrade": b"h2c, websocket"},
        {"connection": b"keep-alive, Upgrade"},
        {"connection": b"keep-alive,upgrade"},
    ],
)
def test_a_valid_handshake(changed: dict[str, bytes]) -> None:
    assert websocket_key(make_request("GET", b"/", headers(**changed))) == KEY


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"upgrade": None}, "not an upgrade to websocket"),
        ({"upgrade": b"websockets"}, "not an upgrade to websocket"),
        ({"connection": None}, "not an upgrade to websocket"),
        ({"connection": b"close"}, "not an upgrade to websocket"),
        ({"sec_websocket_version": None}, "Sec-WebSocket-Version is not 13"),
        ({"sec_websocket_version": b"8"}, "Sec-WebSocket-Version is not 13"),
        ({"sec_websocket_version": b"13, 8"}, "Sec-WebSocket-Version is not 13"),
        ({"sec_websocket_key": None}, "Sec-WebSocket-Key is not 16 bytes in base64"),
        ({"sec_websocket_key": b""}, "Sec-WebSocket-Key is not 16 bytes in base64"),
        ({"sec_websocket_key": b"AAAA"}, "Sec-WebSocket-Key is not 16 bytes"),
        ({"sec_websocket_key": b"!" * 24}, "Sec-WebSocket-Key is not 16 bytes"),
        ({"sec_websocket_key": b"\xff" * 24}, "Sec-WebSocket-Key is not 16 bytes"),
    ],
)
def test_a_handshake_that_is_wrong(
    changed: dict[str, bytes | None], message: str
) -> None:
    with pytest.raises(ProtocolError, match=message):
        websocket_key(make_request("GET", b"/", headers(**changed)))


def test_a_key_twice() -> None:
    with pytest.raises(ProtocolError, match="Sec-WebSocket-Key"):
        websocket_key(
            make_request("GET", b"/", [*headers(), (b"sec-websocket-key", KEY)])
        )


@pytest.mark.parametrize(
    ("offered", "line"),
    [
        ([], b""),
        ([b"a"], b"Sec-WebSocket-Protocol: a\r\n"),
        ([b" a , b"], b"Sec-WebSocket-Protocol: a\r\n"),
        ([b"a", b"b"], b"Sec-WebSocket-Protocol: a\r\n"),
    ],
)
def test_subprotocols(offered: list[bytes], line: bytes) -> None:
    lines = [(b"sec-websocket-protocol", value) for value in offered]
    assert subprotocol_line(make_request("GET", b"/", lines)) == line


def test_what_is_sent_in_a_pass_leaves_at_its_end_in_one_write() -> None:
    server, client, _ = make()
    other = server.websocket()
    before = client.wire.writes
    with server.loop.running():
        for data in (b"4a", b"4b", b"4c"):
            client.wire.protocol.data_received(frame(TEXT, data))
            other.wire.protocol.data_received(frame(TEXT, data))
    assert client.wire.writes == before
    server.loop.turn()
    assert client.wire.writes == before + 1
    assert client.messages() == ["4a", "4b", "4c"]
    assert other.messages() == ["4a", "4b", "4c"]


def test_the_open_packet_leaves_behind_the_response_not_with_it() -> None:
    """A client may listen for messages only once it has read the response."""
    app = AsyncServer(cookie="io")
    server = Server(app)
    http = server.http()
    http.send(
        upgrade_request(server.target("websocket"), [("Sec-WebSocket-Protocol", "x")])
    )
    response, rest = http.wire.pieces
    head, blank, nothing = response.partition(b"\r\n\r\n")
    assert (blank, nothing) == (b"\r\n\r\n", b"")
    (sid,) = app.sockets
    assert head.decode().split("\r\n") == [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        # RFC 6455, section 1.3
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Access-Control-Allow-Credentials: true",
        f"Set-Cookie: io={sid}; path=/; SameSite=Lax",
        "Sec-WebSocket-Protocol: x",
    ]
    assert rest[2:].startswith(b'0{"sid"')


def patient() -> tuple[Server, list[Any]]:
    """A server, and what it wants to do in a moment: (delay, function)."""
    calls: list[Any] = []
    loop = Loop()
    loop.call_later = lambda *call: calls.append(call)  # type: ignore[method-assign]
    return Server(AsyncServer(), loop), calls


def test_the_open_packet_waits_until_the_response_can_have_been_read() -> None:
    server, calls = patient()
    clients = [server.http() for _ in range(3)]
    for http in clients:
        http.send(upgrade_request(server.target("websocket")))
        assert len(http.wire.pieces) == 1
    ((delay, call),) = calls  # one timer for all of them
    assert delay == MOMENT
    call()
    assert [len(http.wire.pieces) for http in clients] == [2, 2, 2]


def test_what_waits_for_its_moment_leaves_before_the_server_stops() -> None:
    server, _ = patient()
    http = server.http()
    http.send(upgrade_request(server.target("websocket")))
    with server.loop.running():
        server.engine.close_all(True)
    _, rest = http.wire.pieces
    assert rest[2:].startswith(b'0{"sid"')
    assert rest.endswith(b"\x88\x00")


def test_frames_behind_the_handshake_in_one_segment() -> None:
    app = AsyncServer()
    got: list[Any] = []
    app.on("message", lambda sid, data: got.append(data))
    server = Server(app)
    http = server.http()
    data = frame(TEXT, "4a") + frame(TEXT, "4b")
    http.send(upgrade_request(server.target("websocket")) + data[:-1])
    assert got == ["a"]
    http.send(data[-1:])
    assert got == ["a", "b"]


# --- frames ---------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 100])
def test_frames_in_pieces(size: int) -> None:
    _, client, log = make()
    data = (
        frame(TEXT, "4a")
        + frame(BINARY, b"b" * 200)
        + frame(TEXT, "4" + "c" * 70000)
        + frame(PING, b"p")
        + frame(TEXT, "4d", fin=False)
        + frame(PING, b"q")
        + frame(CONT, "e")
    )
    # The long middle need not come byte by byte.
    position = 0
    while position < len(data):
        step = 4000 if 300 < position < len(data) - 300 else size
        client.send(data[position : position + step])
        position += step
    assert log == ["a", b"b" * 200, "c" * 70000, "de"]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65534, 65535, 65536, 200_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_every_size_comes_and_goes(opcode: int, size: int) -> None:
    _, client, log = make()
    message: Any = "x" * size if opcode == TEXT else b"x" * size
    client.send(frame(opcode, b"4" + b"x" * size if opcode == TEXT else message))
    assert log == [message]
    assert client.messages() == ["4" + message if opcode == TEXT else message]


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\2\3\4"])
@pytest.mark.parametrize("size", range(18))
def test_masks(mask: bytes, size: int) -> None:
    _, client, log = make()
    data = bytes(range(size))
    client.send(frame(BINARY, data, mask=mask))
    assert log == [data]


def test_pong_carries_what_the_ping_did() -> None:
    _, client, _ = make()
    client.send(frame(PING, b"") + frame(PING, b"x" * 125) + frame(PONG, b"unasked"))
    assert client.messages() == [b"", b"x" * 125]  # the opcode is not looked at
    assert not client.ended()


def test_answers_to_a_burst_leave_in_one_write() -> None:
    _, client, _ = make()
    before = client.wire.writes
    client.send(b"".join(frame(TEXT, f"4{n}") for n in range(10)))
    assert client.wire.writes == before + 1
    assert client.messages() == [f"4{n}" for n in range(10)]


# --- fragments ------------------------------------------------------------------


def test_fragments_are_joined() -> None:
    _, client, log = make()
    client.send(frame(TEXT, "4a", fin=False))
    client.send(frame(CONT, "", fin=False) + frame(CONT, "é".encode()[:1], fin=False))
    assert log == []
    client.send(frame(CONT, "é".encode()[1:]))
    client.send(frame(BINARY, b"1", fin=False) + frame(CONT, b"2"))
    assert log == ["aé", b"12"]


@pytest.mark.parametrize(
    "frames",
    [
        frame(CONT, "x"),
        frame(TEXT, "4a", fin=False) + frame(TEXT, "4b"),
        frame(TEXT, "4a", fin=False) + frame(BINARY, b"b"),
        frame(TEXT, "4a") + frame(CONT, "b"),
    ],
)
def test_fragments_that_do_not_fit(frames: bytes) -> None:
    _, client, _ = make()
    client.send(frames)
    assert client.ended()
    assert client.code == 1002


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_cost_no_more_than_they_carry(opcode: int) -> None:
    _, client, log = make()
    client.send(frame(opcode, b"4a" if opcode == TEXT else b"", fin=False))
    piece = frame(CONT, b"ab", fin=False) * 1000
    tracemalloc.start()
    try:
        for _ in range(100):
            client.send(piece)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 1.3 * 200_000
    client.send(frame(CONT, b""))
    (message,) = log
    assert message == ("a" + "ab" * 100_000 if opcode == TEXT else b"ab" * 100_000)


@pytest.mark.parametrize("more", [b"", b"a"])
@pytest.mark.parametrize("revision", [3, 4])
def test_a_fragmented_message_has_as_long_as_a_ping(revision: int, more: bytes) -> None:
    """Nothing else can be sent before it ends, not even what answers a ping."""
    server, _, log = make(allow_eio3=True)
    client = server.http()
    client.send(upgrade_request(f"{server.path}?EIO={revision}&transport=websocket"))
    client.send(frame(TEXT, b"4" + b"a" * 10_000, fin=False))
    for _ in range(44):
        server.loop.advance(1)
        client.send(frame(CONT, more, fin=False))
        client.send(frame(PING, b""))
    assert log == []
    server.loop.advance(2)
    assert log == [("end", "ping timeout")] * 2  # and who has sent nothing at all
    assert server.engine.sessions == {}


# --- violations -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, "4a", rsv=4), 1002),
        (frame(TEXT, "4a", rsv=2), 1002),
        (frame(TEXT, "4a", rsv=1), 1002),
        (frame(3, "x"), 1002),
        (frame(7, "x"), 1002),
        (frame(11, "x"), 1002),
        (frame(15, "x"), 1002),
        (frame(TEXT, "4a", mask=None), 1002),
        (frame(PING, b"", fin=False), 1002),
        (frame(CLOSE, b"", fin=False), 1002),
        (header(PING, 126) + b"\0\0\0\0", 1002),
        (header(TEXT, 5, width=16) + b"\0\0\0\0", 1002),
        (header(TEXT, 5, width=64) + b"\0\0\0\0", 1002),
        (header(TEXT, 65535, width=64) + b"\0\0\0\0", 1002),
        (b"\x81\xff\x80" + b"\0" * 7 + b"\0\0\0\0", 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"4\xff"), 1007),
        (frame(TEXT, b"4\xe2\x82"), 1007),
        (frame(TEXT, b"4", fin=False) + frame(CONT, b"\xff", fin=False), 1007),
        (frame(TEXT, b"4\xe2", fin=False) + frame(CONT, b""), 1007),
        (close_frame(999), 1002),
        (close_frame(1004), 1002),
        (close_frame(1005), 1002),
        (close_frame(1006), 1002),
        (close_frame(1015), 1002),
        (close_frame(2999), 1002),
        (close_frame(5000), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (close_frame(1000, b"\xff"), 1007),
    ],
)
def test_what_breaks_the_protocol(
    data: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    server, client, log = make()
    client.send(data)
    assert client.ended()
    assert client.code == code
    assert log == [("end", "transport error")]
    assert server.engine.sessions == {}
    assert errors(caplog) == []


def test_messages_before_a_violation_are_delivered_and_none_behind() -> None:
    _, client, log = make()
    client.send(frame(TEXT, "4a") + frame(3, "x") + frame(TEXT, "4b"))
    assert client.messages()[:1] == ["4a"]
    assert log == ["a", ("end", "transport error")]


@pytest.mark.parametrize(
    "data",
    [
        header(TEXT, 1001) + b"\0\0\0\0",  # by its head alone
        frame(TEXT, b"4" + b"x" * 1000),
        frame(BINARY, b"x" * 1001),
        frame(TEXT, b"4" + b"x" * 500, fin=False) + frame(CONT, b"x" * 500),
        frame(BINARY, b"x" * 500, fin=False) + header(CONT, 501) + b"\0\0\0\0",
    ],
)
def test_too_large(data: bytes) -> None:
    _, client, log = make(max_http_buffer_size=1000)
    client.send(data)
    assert client.ended()
    assert client.code == 1009
    assert log == [("end", "transport error")]


def test_just_not_too_large() -> None:
    _, client, log = make(max_http_buffer_size=1000)
    client.send(frame(TEXT, b"4" + b"x" * 999) + frame(BINARY, b"x" * 1000))
    client.send(frame(BINARY, b"x" * 500, fin=False) + frame(CONT, b"x" * 500))
    assert log == ["x" * 999, b"x" * 1000, b"x" * 1000]


# --- closing --------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999])
def test_the_clients_code_is_given_back(code: int) -> None:
    _, client, log = make()
    client.send(close_frame(code, b"why"))
    assert client.ended()
    assert client.code == code
    assert client.wire.closed
    assert log == [("end", "transport close")]


def test_a_close_without_a_code() -> None:
    _, client, _ = make()
    client.send(frame(CLOSE, b""))
    assert client.ended()
    assert client.code == 0


def test_nothing_is_read_behind_a_close() -> None:
    _, client, log = make()
    client.send(close_frame(1000) + frame(TEXT, "4a") + close_frame(1000))
    assert log == [("end", "transport close")]


def test_the_server_closes_and_waits_for_the_answer() -> None:
    server, client, log = make()
    (session,) = server.engine.sessions.values()
    session.send_message("last")
    session.disconnect()
    assert client.messages() == ["4last"]
    assert client.code == 0
    assert not client.wire.closed
    client.text("4too late")
    client.send(frame(CLOSE, b""))
    assert client.wire.closed
    assert log == [("end", "server disconnect")]


def test_an_answer_that_does_not_come() -> None:
    server, client, _ = make()
    (session,) = server.engine.sessions.values()
    session.disconnect()
    server.loop.advance(9.9)
    assert not client.wire.closed
    server.loop.advance(0.2)
    assert client.wire.aborted
    assert server.engine.sessions == {}


def test_a_lost_connection() -> None:
    server, client, log = make()
    client.wire.lose()
    assert log == [("end", "transport close")]
    assert server.engine.sessions == {}
    server.loop.advance(100)
    assert log == [("end", "transport close")]


def test_what_is_sent_to_a_lost_connection_goes_nowhere() -> None:
    server, client, _ = make()
    (session,) = server.engine.sessions.values()
    session.send_message("a")
    client.wire.lose()
    session.send_message("b")
    server.loop.turn()
    assert client.wire.take() == b""


def test_an_incomplete_frame_of_a_lost_connection() -> None:
    _, client, log = make()
    client.send(frame(TEXT, "4abc")[:-1])
    client.wire.lose()
    assert log == [("end", "transport close")]


# --- flow -----------------------------------------------------------------------


def test_what_the_client_does_not_read_waits() -> None:
    server, client, _ = make()
    (session,) = server.engine.sessions.values()
    client.wire.protocol.pause_writing()
    before = client.wire.writes
    for number in range(3):
        session.send_message(str(number))
        server.loop.turn()
    assert client.wire.writes == before
    client.wire.protocol.resume_writing()
    assert client.wire.writes == before + 1
    assert client.messages() == ["40", "41", "42"]


def test_who_does_not_read_gets_no_close_frame() -> None:
    server, client, _ = make()
    client.wire.protocol.pause_writing()
    server.engine.drop_all()
    assert client.wire.aborted


def test_who_closes_gets_what_was_sent_before() -> None:
    """Although it has not read all of it yet. It has 10 s for that."""
    server, client, _ = make()
    (session,) = server.engine.sessions.values()
    client.wire.holds = 5
    client.wire.protocol.pause_writing()
    session.send_message("a")
    client.send(close_frame(1000))
    assert not client.wire.aborted
    assert client.wire.closed
    client.wire.drain()
    assert client.messages() == ["4a"]
    assert client.code == 1000


def test_who_closes_and_reads_nothing_is_not_waited_for() -> None:
    server, client, _ = make()
    client.wire.holds = 5
    client.wire.protocol.pause_writing()
    client.send(close_frame(1000))
    server.loop.advance(9.9)
    assert not client.wire.lost
    server.loop.advance(0.3)
    assert client.wire.aborted


def test_empty_fragments_cost_no_memory() -> None:
    """Any number of them may come, which no limit of a message's size sees."""
    _, client, log = make()
    empty = frame(CONT, b"", fin=False) * 1000
    client.send(frame(TEXT, b"4a", fin=False) + empty)
    tracemalloc.start()
    try:
        for _ in range(30):
            client.send(empty)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 50_000
    client.send(frame(CONT, b"b"))
    assert log == ["ab"]
