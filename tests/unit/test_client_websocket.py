"""A client's WebSocket: frames in and frames out, by picows without a network."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import pytest
from support.client_core import Core, heard
from support.client_websockets import ConnectingLoop, ServerEnd, WebSocketCore
from support.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, server_frame

from socketio_fast._core.client.websocket import ClientWebSocket
from socketio_fast._core.protocol.deflate import Deflate, Extension
from socketio_fast._core.protocol.outgoing import message_packet
from socketio_fast.options.config import DeflateOptions


def closed(core: WebSocketCore) -> tuple[str, str | None]:
    """The reason and the description that the owner was told."""
    (told,) = (one for one in core.owner.told if one[0] == "closed")
    return told[1:]


def close(code: int, reason: bytes = b"") -> bytes:
    return server_frame(CLOSE, code.to_bytes(2, "big") + reason)


# --- what is sent ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (0, [(TEXT, b'451-["e",{"_placeholder":true,"num":0}]'), (BINARY, b"\0\1")]),
        (1, [(TEXT, b'451-["e",{"_placeholder":true,"num":0}]'), (BINARY, b"\4\0\1")]),
        (2, [(TEXT, b'451-["e",{"_placeholder":true,"num":0}]'), (TEXT, b"bAAE=")]),
        (3, [(TEXT, b'451-["e",{"_placeholder":true,"num":0}]'), (TEXT, b"b4AAE=")]),
    ],
    ids=["revision 4", "revision 3", "base64", "revision 3 with base64"],
)
def test_bytes_in_each_dialect(dialect: int, expected: list[Any]) -> None:
    core = WebSocketCore(dialect).open()
    peer = core.joined()
    peer.emit(["e", b"\0\1"])
    assert [(kind, data) for kind, _, data in core.server.frames()] == expected


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_message_of_each_length(size: int) -> None:
    core = WebSocketCore().open(maxPayload=...)
    data = bytes(n % 251 for n in range(size))
    core.session.send_message(data)
    core.session.send_message("a" * size)
    assert core.server.frames() == [(BINARY, 0, data), (TEXT, 0, b"4" + b"a" * size)]


def test_each_frame_has_a_key_of_its_own() -> None:
    """They are made of 4096 random bytes at a time."""
    core = WebSocketCore().open()
    for _ in range(2000):
        core.session.send_message("m")
    core.loop.turn()
    written = bytes(core.server.wire.written)
    assert core.sent() == [b"4m"] * 2000
    keys = {written[at + 2 : at + 6] for at in range(0, len(written), 8)}
    assert len(keys) > 1990  # of 2000 random numbers of 32 bits


def test_what_is_sent_in_one_pass_leaves_at_once() -> None:
    core = WebSocketCore().open()
    before = core.server.wire.writes
    for _ in range(3):
        core.session.send_message("m")
    assert core.sent() == [b"4m"] * 3
    assert core.server.wire.writes == before + 1


def test_nothing_is_written_before_it_is_connected_or_after_its_end() -> None:
    core = Core(ConnectingLoop())
    socket = ClientWebSocket(core.engine)
    assert (socket.closed, socket.accepted) == (True, False)
    assert (socket.buffered(), socket.untaken(), socket.writable()) == (0, 0, False)
    socket.send(message_packet("early"))
    socket.flush()
    socket.close()
    server = ServerEnd(core.loop, socket)
    assert (socket.closed, socket.accepted) == (False, True)
    assert server.frames() == []
    socket.close()
    socket.send(message_packet("late"))
    assert server.code() == 1000
    server.wire.lose()
    socket.send(message_packet("later"))
    assert (socket.closed, socket.accepted) == (True, True)
    assert (socket.buffered(), socket.untaken(), socket.writable()) == (0, 0, False)


def test_a_server_that_reads_slowly() -> None:
    core = WebSocketCore().open(maxPayload=...)
    core.server.stop_reading()
    core.session.send_message("a" * 99)
    assert core.socket.writable()
    core.loop.turn()
    core.session.send_message("b" * 99)
    assert not core.socket.writable()
    assert core.session.buffered_bytes >= 200
    waits = core.session.below(0)
    assert waits is not None
    core.loop.turn()
    assert core.sent() == [b"4" + b"a" * 99]  # the other one has not left
    assert core.socket.untaken() >= 200
    core.server.read_on()
    assert waits.done()
    assert core.sent() == [b"4" + b"b" * 99]
    assert (core.socket.buffered(), core.socket.writable()) == (0, True)


def test_pings_of_a_server_that_reads_slowly() -> None:
    """The last one is answered, when it reads: not one behind the other."""
    core = WebSocketCore().open()
    core.server.stop_reading()
    core.session.send_message("m")
    core.loop.turn()
    core.server.send(server_frame(PING, b"1"), server_frame(PING, b"2"))
    assert core.server.frames() == [(TEXT, 0, b"4m")]
    core.server.read_on()
    assert core.server.frames() == [(PONG, 0, b"2")]


def test_the_end_of_a_session_whose_server_does_not_read() -> None:
    core = WebSocketCore().open()
    core.server.stop_reading()
    core.session.send_message("m")
    core.loop.turn()
    core.session.fail("transport error")
    assert core.server.wire.aborted
    assert core.sent() == [b"4m"]


# --- what comes -----------------------------------------------------------------


def test_messages_whole_and_in_fragments() -> None:
    core = WebSocketCore().open()
    found = heard(core, "/", "e")
    core.joined()
    core.server.send(server_frame(TEXT, b'42["e",1]'))
    core.server.send(
        server_frame(TEXT, b'42["', fin=False),
        server_frame(PING, b"between"),
        server_frame(CONTINUATION, b'e",', fin=False),
        server_frame(CONTINUATION, b"2]"),
        server_frame(TEXT, b'451-["e",{"_placeholder":true,"num":0}]'),
        server_frame(BINARY, b"by", fin=False),
        server_frame(CONTINUATION, b"tes"),
        server_frame(PONG, b"that nobody has asked for"),
    )
    assert found == [("e", 1), ("e", 2), ("e", b"bytes")]
    assert core.server.frames() == [(PONG, 0, b"between")]


@pytest.mark.parametrize(
    ("frames", "code", "description"),
    [
        ([server_frame(CONTINUATION, b"x")], 1002, "continuation of nothing"),
        (
            [server_frame(TEXT, b"4", fin=False), server_frame(TEXT, b"4")],
            1002,
            "new message inside a fragmented one",
        ),
        (
            [server_frame(BINARY, b"4", fin=False), server_frame(TEXT, fin=False)],
            1002,
            "new message inside a fragmented one",
        ),
        ([server_frame(TEXT, b"4" * 201)], 1009, "max_http_buffer_size=200"),
        (
            [
                server_frame(TEXT, b"4" * 150, fin=False),
                server_frame(CONTINUATION, b"4" * 51),
            ],
            1009,
            "max_http_buffer_size=200",
        ),
        ([server_frame(TEXT, b"2", rsv=4)], 1002, "reserved bit set"),
        ([server_frame(BINARY, b"2", rsv=2)], 1002, "reserved bit set"),
        ([server_frame(PING, rsv=1)], 1002, "reserved bit set"),
        ([server_frame(TEXT, b"2\xff")], 1007, "text is not UTF-8"),
        ([server_frame(TEXT, b'42["\xff"]')], 1007, "text is not UTF-8"),
        ([server_frame(TEXT, b"x")], 1000, "unknown Engine.IO packet type"),
        (
            [server_frame(BINARY, b"x")],
            1000,
            "binary message that no packet has announced",
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 1000], ids=["byte by byte", "in one read"])
def test_a_server_that_breaks_a_rule(
    frames: list[bytes], code: int, description: str, size: int
) -> None:
    core = WebSocketCore(max_http_buffer_size=200).open()
    core.joined()
    data = b"".join([*frames, server_frame(TEXT, b'42["never"]')])
    found = heard(core, "/", "never")
    for at in range(0, len(data), size):
        core.server.send(data[at : at + size])
    assert core.server.code() == code
    reason, told = closed(core)
    assert reason == "transport error"
    assert told is not None
    assert description in told
    assert core.server.wire.lost
    assert found == []


def test_picows_finds_a_broken_rule() -> None:
    """It answers itself, and closes a moment later."""
    core = WebSocketCore().open()
    core.server.send(server_frame(TEXT, b"2", mask=b"mask"))
    assert core.server.code() == 1002
    core.loop.advance(5)
    reason, description = closed(core)
    assert reason == "transport error"
    assert description is not None
    assert "masked frame from server" in description
    assert core.session.closed


# --- flow control ---------------------------------------------------------------


class Slow:
    """A handler of "e" that ends when the test says so."""

    def __init__(self, core: Core) -> None:
        self.loop = core.loop
        self.begun: list[int] = []
        self._waits: list[asyncio.Future[None]] = []
        core.hub.namespace("/").set_handler("e", self.handle)

    async def handle(self, number: int) -> None:
        self.begun.append(number)
        self._waits.append(self.loop.create_future())
        await self._waits[-1]

    def end(self) -> None:
        """All that have begun end."""
        waits, self._waits = self._waits, []
        with self.loop.running():
            for one in waits:
                one.set_result(None)
        self.loop.turn()


def events(*numbers: int) -> bytes:
    return b"".join(server_frame(TEXT, b'42["e",%d]' % number) for number in numbers)


def paused() -> tuple[WebSocketCore, Slow]:
    """A client that is not read, with 2 events under way and 4 that are kept."""
    core = WebSocketCore(max_pending_events=1).open()
    slow = Slow(core)
    core.joined()
    core.server.send(events(*range(6)))
    assert slow.begun == [0, 1]
    assert not core.server.wire.reading
    return core, slow


def test_a_server_is_read_no_faster_than_handlers_take_it() -> None:
    core, slow = paused()
    core.server.send(server_frame(PING, b"is answered all the same"))
    assert core.server.frames() == [(PONG, 0, b"is answered all the same")]
    slow.end()
    assert slow.begun == [0, 1, 2, 3]
    assert not core.server.wire.reading
    core.server.send(events(6))
    slow.end()
    assert slow.begun == [0, 1, 2, 3, 4, 5]
    slow.end()
    assert slow.begun == [0, 1, 2, 3, 4, 5, 6]
    assert core.server.wire.reading
    slow.end()
    assert core.session.under_way == (0, 0)


@pytest.mark.parametrize(
    ("frame", "code", "description"),
    [
        (server_frame(TEXT, b"x"), 1000, "unknown Engine.IO packet type"),
        (server_frame(CONTINUATION), 1002, "continuation of nothing"),
        (close(1011, b"out of memory"), 1011, "code 1011: out of memory"),
    ],
)
def test_what_is_kept_may_end_the_session(
    frame: bytes, code: int, description: str
) -> None:
    core, slow = paused()
    core.server.send(frame, events(7))
    slow.end()
    slow.end()
    assert core.session.connected
    slow.end()
    assert core.server.code() == code
    told = closed(core)[1]
    assert told is not None
    assert description in told
    assert slow.begun == [0, 1, 2, 3, 4, 5]


def test_a_session_that_ends_while_it_is_not_read() -> None:
    core, slow = paused()
    core.session.end("client disconnect")
    assert core.server.frames()[-1] == (CLOSE, 0, b"\x03\xe8")
    core.server.wire.lose()
    slow.end()
    assert slow.begun == [0, 1]
    assert core.owner.told[-1] == ("finished",)


# --- how it ends ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "answer", "description"),
    [
        (server_frame(CLOSE), 1000, None),
        (close(1000, b"bye"), 1000, None),
        (close(1001), 1001, None),
        (close(1011), 1011, "with code 1011: it gives no reason"),
        (close(4000, "é\n".encode()), 4000, r"with code 4000: é\n"),
    ],
)
def test_the_server_closes(frame: bytes, answer: int, description: str | None) -> None:
    core = WebSocketCore().open()
    core.joined()
    found = heard(core, "/", "never")
    core.server.send(frame, server_frame(TEXT, b'42["never"]'))
    assert core.server.frames() == [(CLOSE, 0, answer.to_bytes(2, "big"))]
    assert core.server.wire.lost
    reason, told = closed(core)
    assert (reason, found) == ("transport close", [])
    if description is None:
        assert told is None
    else:
        assert told is not None
        assert description in told


def test_the_server_is_lost_without_a_close_frame() -> None:
    core = WebSocketCore().open()
    core.server.send(server_frame(TEXT, b"4", fin=False))
    core.server.wire.lose()
    assert closed(core) == ("transport close", None)
    assert core.socket.closed


def test_the_client_closes() -> None:
    """The close frame is answered before the session is over."""
    core = WebSocketCore().open()
    core.session.send_message("last")
    core.session.end("client disconnect")
    assert core.server.frames() == [
        (TEXT, 0, b"4last"),
        (CLOSE, 0, b"\x03\xe8"),
    ]
    assert core.owner.told[-1] == ("closed", "client disconnect", None)
    core.session.send_message("behind the end")
    core.server.send(close(1000))
    assert core.server.frames() == []
    assert core.owner.told[-1] == ("finished",)
    assert core.server.wire.lost


def test_a_server_that_does_not_answer_the_close_frame(
    caplog: pytest.LogCaptureFixture,
) -> None:
    core = WebSocketCore().open()
    core.server.stop_reading()
    core.session.send_message("last")
    core.session.end("client disconnect")
    core.loop.advance(6)
    assert core.server.wire.aborted
    assert core.owner.told[-1] == ("finished",)
    assert "may not have got 11 bytes" in caplog.text


def test_a_connection_that_is_lost_with_what_was_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    core = WebSocketCore().open()
    core.server.stop_reading()
    core.session.send_message("last")
    core.session.end("client disconnect")
    core.server.wire.lose()
    assert "may not have got" in caplog.text
    assert "it has closed the connection" in caplog.text


def test_a_session_that_ends_before_the_open_packet() -> None:
    core = WebSocketCore()
    core.server.send(close(1008, b"who are you?"))
    assert core.server.code() == 1008
    assert core.owner.told[0][0] == "closed"
    assert core.session.closed


def test_an_aborted_connection() -> None:
    core = WebSocketCore().open()
    core.socket.abort_connection()
    core.server.text(b"2")
    core.loop.turn()
    assert core.server.frames() == []
    assert core.server.wire.aborted
    assert closed(core) == ("transport close", None)


# --- the upgrade ----------------------------------------------------------------


def probing() -> tuple[Core, ClientWebSocket, ServerEnd]:
    """A session by long-polling, whose upgrade has begun."""
    core = Core(ConnectingLoop()).open()
    core.joined()
    socket = ClientWebSocket(core.engine)
    server = ServerEnd(core.loop, socket)
    assert core.session.start_upgrade(socket)
    assert server.messages() == [b"2probe"]
    return core, socket, server


def test_an_upgrade() -> None:
    core, socket, server = probing()
    peer = core.hub.connection.peers["/"]
    server.text(b"3probe")
    assert core.owner.told[-1] == ("probe answered",)
    core.polling.rest_for_upgrade()
    peer.emit(["e", 1])
    core.session.finish_upgrade()
    assert server.messages() == [b"5", b'42["e",1]']
    assert core.session.transport_name == "websocket"
    assert socket.handover() == []
    found = heard(core, "/", "e")
    server.text(b'42["e",2]')
    assert found == [("e", 2)]
    assert not core.session.start_upgrade(ClientWebSocket(core.engine))


@pytest.mark.parametrize(
    ("data", "error", "code"),
    [
        (server_frame(TEXT, b"2probe"), "packet of type 2 where the answer", 1000),
        (server_frame(TEXT, b"3other"), "packet of type 3 where the answer", 1000),
        (server_frame(BINARY, b"x"), "binary message before the upgrade", 1000),
        (server_frame(CONTINUATION), "continuation of nothing", 1000),
        (server_frame(CLOSE), "closed before the upgrade", 1000),
        (close(1011, b"busy"), "closed before the upgrade", 1011),
        (server_frame(3), "invalid opcode", 1002),
    ],
)
def test_an_upgrade_that_fails(data: bytes, error: str, code: int) -> None:
    """The session goes on by polling."""
    core, _, server = probing()
    server.send(data)
    assert server.code() == code
    core.loop.advance(5)
    assert server.wire.lost
    kind, told = core.owner.told[-1]
    assert kind == "probe failed"
    assert error in told
    assert core.session.connected
    core.polling.go_on()
    core.hub.connection.peers["/"].emit(["e"])
    assert core.sent() == [b'42["e"]']


def test_an_upgrade_whose_connection_is_lost() -> None:
    core, _, server = probing()
    server.wire.lose()
    error = "the WebSocket was closed before the upgrade"
    assert core.owner.told[-1] == ("probe failed", error)
    assert core.session.connected


# --- compression ----------------------------------------------------------------


def accepted(**options: Any) -> Deflate:
    """What the server has accepted: no context takeover."""
    deflate = Extension(DeflateOptions(**options)).answered(
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    )
    assert deflate is not None
    return deflate


def packed(data: bytes) -> bytes:
    """A message of the server, compressed."""
    compressor = zlib.compressobj(wbits=-15)
    compressed = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return compressed[:-4]


def unpacked(data: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff")


def test_what_is_compressed() -> None:
    core = WebSocketCore(deflate=accepted(threshold=100)).open()
    peer = core.joined()
    peer.emit(["e", "short"])
    peer.emit(["e", "a" * 200])
    peer.emit(["e", "a" * 200], compress=False)
    peer.emit(["e", b"b" * 200])
    head = b'451-["e",{"_placeholder":true,"num":0}]'
    frames = core.server.frames()
    assert [(kind, rsv) for kind, rsv, _ in frames] == [
        (TEXT, 0),
        (TEXT, 4),
        (TEXT, 0),
        (TEXT, 0),
        (BINARY, 4),
    ]
    long = b'42["e","%s"]' % (b"a" * 200)
    assert unpacked(frames[1][2]) == frames[2][2] == long
    assert (frames[3][2], unpacked(frames[4][2])) == (head, b"b" * 200)


@pytest.mark.parametrize("dialect", [1, 2, 3])
def test_bytes_of_other_dialects_are_not_compressed(dialect: int) -> None:
    core = WebSocketCore(dialect, accepted(threshold=1)).open(maxPayload=...)
    core.joined().emit(["e", b"b" * 200])
    assert [rsv for _, rsv, _ in core.server.frames()] == [0, 0]


def test_compressed_messages_whole_and_in_fragments() -> None:
    core = WebSocketCore(deflate=accepted()).open()
    found = heard(core, "/", "e")
    core.joined()
    head = b'451-["e",{"_placeholder":true,"num":0}]'
    text, binary = packed(head), packed(b"bytes")
    core.server.send(
        server_frame(TEXT, text, rsv=4), server_frame(BINARY, binary, rsv=4)
    )
    for kind, data in (TEXT, text), (BINARY, binary):
        core.server.send(
            server_frame(kind, data[:3], rsv=4, fin=False),
            server_frame(CONTINUATION, data[3:5], fin=False),
            server_frame(CONTINUATION, data[5:]),
        )
    assert found == [("e", b"bytes")] * 2


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([server_frame(TEXT, packed(b"2" * 201), rsv=4)], 1009),
        (
            [
                server_frame(TEXT, packed(b"2" * 201)[:3], rsv=4, fin=False),
                server_frame(CONTINUATION, packed(b"2" * 201)[3:]),
            ],
            1009,
        ),
        ([server_frame(TEXT, b"\xff\xff", rsv=4)], 1007),
        ([server_frame(PING, b"", rsv=4)], 1002),
        (
            [
                server_frame(TEXT, b"", rsv=4, fin=False),
                server_frame(CONTINUATION, b"", rsv=4),
            ],
            1002,
        ),
    ],
)
def test_compressed_messages_that_break_a_rule(frames: list[bytes], code: int) -> None:
    core = WebSocketCore(deflate=accepted(), max_http_buffer_size=200).open()
    core.server.send(*frames)
    assert core.server.code() == code
    assert closed(core)[0] == "transport error"
