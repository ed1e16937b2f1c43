"""A client's Engine.IO session: the open packet, the heartbeat, how it ends."""

from __future__ import annotations

from typing import Any

import pytest
from support.client_core import Core, open_packet

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
