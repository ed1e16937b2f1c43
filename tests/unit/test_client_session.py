"""A client's Engine.IO session: the open packet, the heartbeat, how it ends."""

from __future__ import annotations

from typing import Any

import pytest
from support.client_core import Core, open_packet


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
