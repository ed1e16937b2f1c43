"""A client's Engine.IO session: the open packet, the heartbeat, how it ends."""

from __future__ import annotations

from typing import Any

import pytest
from support.client_core import Core, Owner, open_packet
from support.client_websockets import ConnectingLoop, ServerEnd
from support.sansio import errors

from socketio_fast._core.client.session import ClientSession
from socketio_fast._core.client.websocket import ClientWebSocket
from socketio_fast._core.protocol.outgoing import message_packet


def test_it_opens_with_the_open_packet() -> None:
    core = Core().open()
    assert core.owner.told == [("opened", "eio-sid")]
    assert core.session.connected
    assert core.session.upgrades == ["websocket"]
    assert core.session.max_payload == 1000
    assert (core.engine.ping_interval, core.engine.ping_timeout) == (25, 20)


@pytest.mark.parametrize(
    ("packet", "told"),
    [
        (b"4hello", "type 4 where the open packet was expected"),
        (b"0{", "open packet is not JSON"),
        (b"0[]", "open packet is not a JSON object"),
        (open_packet(sid=...), "open packet without a sid"),
        (open_packet(sid=""), "open packet without a sid"),
        (open_packet(sid=7), "open packet without a sid"),
        (open_packet(pingInterval=...), "pingInterval of the open packet is None"),
        (open_packet(pingInterval=0, pingTimeout=0), "of the open packet are 0"),
        (open_packet(pingTimeout=-1), "pingTimeout of the open packet is -1"),
        (open_packet(pingTimeout=True), "pingTimeout of the open packet is True"),
        (open_packet(pingTimeout="1"), "pingTimeout of the open packet is '1'"),
        (open_packet(pingTimeout=1e300), "pingTimeout of the open packet is 1e"),
        (b"bAAEC", "binary message where the open packet was expected"),
        (b"<html>", "unknown Engine.IO packet type"),
    ],
)
def test_what_is_no_open_packet_ends_it(packet: bytes, told: str) -> None:
    core = Core()
    assert not core.receive(packet)
    (kind, reason, description), finished = core.owner.told
    assert (kind, reason, finished) == ("closed", "transport error", ("finished",))
    assert told in description
    assert core.requests.stopped


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"upgrades": ...}, []),
        ({"upgrades": None}, []),
        ({"maxPayload": ...}, 0),
        ({"maxPayload": "1"}, 0),
        ({"maxPayload": True}, 0),
        ({"maxPayload": -5}, 0),
    ],
)
def test_what_a_server_may_leave_out(changes: dict[str, Any], expected: Any) -> None:
    core = Core().open(**changes)
    session = core.session
    assert (session.upgrades if "upgrades" in changes else session.max_payload) == (
        expected
    )


def test_a_ping_is_answered() -> None:
    core = Core().open()
    core.receive(b"2")
    assert core.sent() == [b"3"]
    assert core.owner.told[-1] == ("pinged",)


def test_a_server_that_pings_is_there() -> None:
    core = Core().open()
    for _ in range(5):
        core.loop.advance(44.9)
        core.receive(b"2")
    assert core.session.connected


def test_a_server_that_is_silent_has_gone() -> None:
    core = Core().open()
    core.loop.advance(44.9)
    assert core.session.connected
    core.loop.advance(0.2)
    assert core.owner.told[1:] == [("finished",), ("closed", "ping timeout", None)]
    assert core.requests.stopped


def test_a_close_packet_ends_it() -> None:
    core = Core().open()
    assert not core.receive(b"1", b"4never read")
    assert core.owner.told[1:] == [("finished",), ("closed", "transport close", None)]


def test_packets_that_mean_nothing_are_ignored() -> None:
    core = Core().open()
    assert core.receive(b"6", b"3", b"5", b"0{}")
    assert core.session.connected
    assert core.sent() == []


def test_closing_sends_what_was_sent_before_and_the_close_packet() -> None:
    core = Core().open()
    core.joined()
    peer = core.hub.connection.peers["/"]
    peer.emit(["e", 1])
    core.session.end("client disconnect")
    assert core.sent() == [b'42["e",1]', b"1"]
    assert core.owner.told[1:] == [
        ("closed", "client disconnect", None),
        ("finished",),
    ]


def test_a_server_that_breaks_a_rule_is_left() -> None:
    core = Core().open()
    core.receive(b"4x")
    kind, reason, description = core.owner.told[-1]
    assert (kind, reason) == ("closed", "transport error")
    assert description
    assert core.requests.stopped


@pytest.mark.parametrize("taken", range(4))
def test_a_server_that_is_left_must_go_on_taking(
    taken: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit begins again with each POST that is answered."""
    core = Core().open()
    core.session.close_timeout = 3.0
    for _ in range(3):
        core.session.send_encoded(message_packet("x" * 499))  # two are too much at once
    core.session.end("client disconnect")
    for _ in range(taken):
        core.loop.advance(2.9)
        assert ("finished",) not in core.owner.told
        core.polling.posted()
    assert (("finished",) in core.owner.told) == (taken == 3)
    core.loop.advance(6)
    assert core.owner.told[-1] == ("finished",)
    lost = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    if taken == 3:
        assert not lost
    else:
        (text,) = lost
        assert "it has taken nothing for 3 s" in text
        left = min(1500, 1501 - 500 * taken)  # with the close packet, which is no loss
        assert f"may not have got {left} bytes" in text


def test_nothing_is_told_of_the_close_packet_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    core = Core().open()
    core.session.end("client disconnect")
    core.loop.advance(6)
    assert core.owner.told[-1] == ("finished",)
    assert "may not have got" not in caplog.text


def test_a_post_that_fails_while_it_closes_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    core = Core().open()
    core.session.send_encoded(message_packet("hello"))
    core.session.end("client disconnect")
    core.polling.failed(ConnectionError("HTTP 500"))
    assert core.owner.told[-1] == ("finished",)
    assert "may not have got 6 bytes" in caplog.text
    assert "HTTP 500" in caplog.text


class Failing(Owner):
    """An owner whose methods note that they were called, and raise."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("opened", "pinged", "closed", "finished"):

            def fails(*args: Any) -> None:
                self.told.append((name,))
                raise RuntimeError("of the owner")

            return fails
        return super().__getattribute__(name)


def test_an_owner_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """The session goes on, and ends."""
    core = Core()
    core.owner = Failing()
    core.session = ClientSession(core.engine, core.owner)
    core.session.begin(core.polling)
    core.receive(open_packet(), b"2")
    assert core.sent() == [b"3"]
    assert core.session.connected
    core.receive(b"1")
    assert core.session.closed
    told = ["opened", "pinged", "finished", "closed"]
    assert core.owner.told == [(name,) for name in told]
    assert errors(caplog) == ["the client of session eio-sid failed"] * 4


def test_a_session_that_has_not_begun_fails() -> None:
    """There was no transport yet."""
    core = Core()
    owner = Owner()
    session = ClientSession(core.engine, owner)
    session.fail("transport error", ConnectionError("refused"))
    assert owner.told == [("closed", "transport error", None), ("finished",)]


def test_a_message_that_is_too_large_is_found_before_it_is_sent() -> None:
    core = Core().open(maxPayload=10)
    core.session.check_message(message_packet("a" * 9))
    with pytest.raises(ValueError, match="11 bytes"):
        core.session.check_message(message_packet("a" * 10))
    with pytest.raises(ValueError, match="13 bytes in base64"):
        core.session.check_message(message_packet(b"a" * 9))


def test_a_session_that_is_not_read_is_upgraded() -> None:
    """It is not read by the WebSocket either, until its handlers have ended."""
    core = Core(ConnectingLoop(), max_pending_events=1).open()
    waits: list[Any] = []
    got: list[int] = []

    async def slow(number: int) -> None:
        got.append(number)
        waits.append(core.loop.create_future())
        await waits[-1]

    core.hub.namespace("/").set_handler("e", slow)
    core.joined()
    for number in range(2):
        core.receive(b'42["e",%d]' % number)
    socket = ClientWebSocket(core.engine)
    server = ServerEnd(core.loop, socket)
    assert core.session.start_upgrade(socket)
    server.text(b"3probe")
    core.polling.rest_for_upgrade()
    core.session.finish_upgrade()
    assert not server.wire.reading
    server.text(b'42["e",2]')
    assert got == [0, 1]
    while not server.wire.reading:
        with core.loop.running():
            for one in waits:
                if not one.done():
                    one.set_result(None)
        core.loop.turn()
    assert got == [0, 1, 2]


def test_an_upgrade_that_takes_too_long_is_given_up() -> None:
    core = Core(ConnectingLoop()).open()
    socket = ClientWebSocket(core.engine)
    server = ServerEnd(core.loop, socket)
    assert core.session.start_upgrade(socket)
    assert not core.session.start_upgrade(ClientWebSocket(core.engine))
    core.session.give_up_upgrade(TimeoutError("too long"))
    assert core.owner.told[-1] == ("probe failed", "too long")
    assert server.code() == 1000
    core.session.give_up_upgrade(TimeoutError("again"))
    core.session.finish_upgrade()  # there is none any more
    assert core.session.transport_name == "polling"


@pytest.mark.parametrize("rest", [b"4x", b'42["e"]'])
def test_a_payload_is_read_to_its_end_when_handlers_have_room(rest: bytes) -> None:
    core = Core(max_pending_events=1).open()
    waits: list[Any] = []

    async def slow() -> None:
        waits.append(core.loop.create_future())
        await waits[-1]

    core.hub.namespace("/").set_handler("e", slow)
    core.joined()
    assert not core.receive(b'42["e"]', b'42["e"]', rest)
    assert (len(waits), core.requests.reads) == (2, 0)
    with core.loop.running():
        for one in waits:
            one.set_result(None)
    core.loop.turn()
    if rest == b"4x":
        assert core.owner.told[-1][:2] == ("closed", "transport error")
        assert core.requests.reads == 0
    else:
        assert (len(waits), core.requests.reads) == (3, 1)
