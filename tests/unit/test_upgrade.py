"""Sessions over real transports on a wire: what comes in, and the upgrade."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.processes import python
from support.sansio import (
    Http,
    Server,
    WebSocket,
    errors,
    make_engine,
)
from support.sessions import echo, ended, only, target

from socketio_fast._core.engine.engine import Engine

pytestmark = pytest.mark.usefixtures("both_ways")

# --- what comes in --------------------------------------------------------------


@pytest.mark.parametrize("packet", ["0", "0{}", "5", "5x", "6", "6x"])
def test_packets_without_a_meaning_are_let_pass(packet: str) -> None:
    server = echo()
    client = server.websocket()
    client.text(packet)
    client.text("4a")
    assert client.messages() == ["4a"]


@pytest.mark.parametrize("packet", ["2", "2probe", "7", "", "x", "bA"])
def test_a_packet_against_the_protocol_closes(
    packet: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = echo()
    reasons = ended(server)
    client = server.websocket()
    client.text(packet)
    assert client.ended()
    assert [reason for _, reason in reasons] == ["transport error"]
    assert server.engine.sessions == {}
    assert errors(caplog) == []


def test_a_close_packet_closes() -> None:
    server = echo()
    reasons = ended(server)
    client = server.websocket()
    client.text("1")
    assert client.ended()
    assert [reason for _, reason in reasons] == ["client disconnect"]


def test_packets_behind_a_close_packet_are_not_heard() -> None:
    server = echo()
    got: list[str | bytes] = []
    server.app.on("message", lambda sid, data: got.append(data))
    http, sid = server.polling()
    http.post(server.target("polling", sid), "4a\x1e1\x1e4b")
    assert got == ["a"]


def test_a_handler_that_cannot_be_called_is_not_the_clients_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = echo()
    client = server.websocket()
    not_callable: Any = 5
    server.app.on("message", not_callable)
    client.text("4a")
    session = only(server)
    assert session.connected
    assert errors(caplog) == [f"handler of 'message' failed for {session.id}"]


# --- upgrade --------------------------------------------------------------------


def upgrading(server: Server) -> tuple[Http, str, WebSocket]:
    http, sid = server.polling()
    return http, sid, WebSocket(server, sid)


def test_an_upgrade() -> None:
    server = echo()
    _http, _sid, ws = upgrading(server)
    session = only(server)
    assert session.upgrading
    assert session.transport_name == "polling"
    ws.text("2probe")
    assert ws.messages() == ["3probe"]
    assert not session.upgraded
    ws.text("5")
    assert session.upgraded
    assert not session.upgrading
    assert session.transport_name == "websocket"
    ws.text("4a")
    assert ws.messages() == ["4a"]


def test_a_waiting_poll_is_released_by_the_probe() -> None:
    server = echo()
    _http, sid, ws = upgrading(server)
    poll = server.http()
    poll.send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target(server, sid))
    assert poll.responses() == []
    ws.text("2probe")
    assert poll.response()[2] == b"6"


def test_later_polls_are_released_until_the_upgrade() -> None:
    server = echo()
    _http, sid, ws = upgrading(server)
    ws.text("2probe")
    poll = server.http()
    poll.send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target(server, sid))
    server.loop.advance(0.15)
    assert poll.response()[2] == b"6"
    ws.text("5")
    assert ws.messages() == ["3probe"]
    assert len(server.loop.armed()) <= 1


def slow_pass() -> None:
    """A pass of the loop takes longer than the interval of a deadline that repeats, and
    what it has marked is flushed after the timers."""
    server = echo()
    _http, sid, ws = upgrading(server)
    ws.text("2probe")
    poll = server.http()
    # Not by its own way, which lets the loop pass.
    poll.wire.protocol.data_received(
        b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target(server, sid)
    )
    only(server).send_message("1")
    server.loop.now += 1
    server.engine.on_timer()
    server.loop.turn()
    assert poll.response()[2] == b"41"


def test_a_slow_pass_does_not_repeat_a_deadline_for_ever() -> None:
    """In a process of its own: what loops in compiled code is ended from outside."""
    program = "from unit.test_upgrade import slow_pass; slow_pass()"
    done = python("-c", program, cwd=Path(__file__).parents[1], timeout=20)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_sent_before_the_upgrade_is_delivered_once_and_in_order() -> None:
    server = echo()
    _http, _sid, ws = upgrading(server)
    session = only(server)
    session.send_message("1")
    ws.text("2probe")
    session.send_message("2")
    assert ws.messages() == ["3probe"]
    ws.text("5")
    session.send_message("3")
    assert ws.messages() == ["41", "42", "43"]
    assert session.transport_name == "websocket"


def test_polling_delivers_while_the_upgrade_is_under_way() -> None:
    server = echo()
    http, sid, ws = upgrading(server)
    ws.text("2probe")
    only(server).send_message("1")
    assert http.get(server.target("polling", sid)) == (200, b"41")
    ws.text("5")
    assert ws.messages() == ["3probe"]


def test_an_upgrade_without_a_probe() -> None:
    server = echo()
    _, _, ws = upgrading(server)
    ws.text("5")
    ws.text("4a")
    assert ws.messages() == ["4a"]


@pytest.mark.parametrize("packet", ["4a", "2", "2probed", "1", "3probe", "6"])
def test_another_packet_ends_the_probe_and_not_the_session(packet: str) -> None:
    server = echo()
    http, sid, ws = upgrading(server)
    ws.text(packet)
    assert ws.ended()
    assert not only(server).upgrading
    assert http.post(server.target("polling", sid), "4a") == (200, b"ok")
    assert http.get(server.target("polling", sid)) == (200, b"4a")


def test_an_upgrade_that_takes_too_long() -> None:
    server = echo(upgrade_timeout=1)
    _http, _, ws = upgrading(server)
    ws.text("2probe")
    server.loop.advance(0.99)
    assert ws.messages() == ["3probe"]
    assert not ws.ended()
    server.loop.advance(0.05)
    assert ws.ended()
    session = only(server)
    assert session.connected
    assert not session.upgrading


def test_a_probe_that_is_lost_leaves_polling() -> None:
    server = echo()
    _http, sid, ws = upgrading(server)
    ws.text("2probe")
    ws.wire.lose()
    assert not only(server).upgrading
    again = WebSocket(server, sid)
    again.text("2probe")
    assert again.messages() == ["3probe"]


def test_a_second_probe_is_refused() -> None:
    server = echo()
    _, sid, ws = upgrading(server)
    second = WebSocket(server, sid)
    assert second.ended()
    ws.text("2probe")
    assert ws.messages() == ["3probe"]


def test_an_upgraded_session_has_its_websocket() -> None:
    server = echo()
    http, sid, ws = upgrading(server)
    ws.text("5")
    assert WebSocket(server, sid).ended()
    status, _ = http.get(server.target("polling", sid))
    assert status == 400
    assert only(server).connected


def test_a_session_that_closes_while_it_upgrades_takes_the_probe_along() -> None:
    server = echo()
    http, sid, ws = upgrading(server)
    ws.text("2probe")
    only(server).disconnect()
    assert http.get(server.target("polling", sid)) == (200, b"1")
    assert ws.ended()
    assert server.engine.sessions == {}


def test_an_upgrade_to_a_session_that_closes() -> None:
    server = echo()
    _, _, ws = upgrading(server)
    session = only(server)
    ws.text("2probe")
    session.send_message("last")
    session.disconnect()
    ws.text("5")
    assert ws.messages() == ["3probe", "4last"]
    assert ws.ended()
    ws.wire.lose()
    assert server.engine.sessions == {}


def test_a_lost_websocket_ends_the_session() -> None:
    server = echo()
    reasons = ended(server)
    _, sid, ws = upgrading(server)
    ws.text("5")
    ws.wire.lose()
    assert reasons == [(sid, "transport close")]
    assert server.engine.sessions == {}


def test_nothing_is_timed_when_all_have_gone() -> None:
    server = echo()
    http, _, ws = upgrading(server)
    ws.text("2probe")
    ws.text("5")
    ws.leave()
    ws.wire.lose()
    http.wire.lose()
    # One timer may be left, with nothing behind it.
    server.loop.advance(400)
    assert server.loop.armed() == []


def test_engine_is_for_one_configuration() -> None:
    engine, _callbacks, _ = make_engine(ping_timeout=7)
    assert isinstance(engine, Engine)
    assert engine.config.ping_timeout == 7
    assert engine.loop is not None
