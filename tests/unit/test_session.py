"""Sessions over a recording transport: opening, heartbeat, sending, closing."""

from __future__ import annotations

import gc
import json
import logging
import re
import weakref
from pathlib import Path
from typing import Any

import pytest
from support.processes import python
from support.sansio import (
    Loop,
    Recorder,
    errors,
    make_engine,
    open_session,
)
from support.sessions import echo, ended, only, target

from socketio_fast._core.engine.contracts import Transport
from socketio_fast._core.engine.ids import generate_id

OPENING, OPEN, CLOSING, CLOSED = range(4)


# --- ids ------------------------------------------------------------------------


def test_ids_are_20_url_safe_characters_that_differ() -> None:
    ids = {generate_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{20}", id) for id in ids)
    assert {"-", "_"} < set("".join(ids))


def test_a_forked_process_makes_ids_of_its_own(tmp_path: Path) -> None:
    program = (
        "import os\n"
        "from socketio_fast._core.engine.ids import generate_id\n"
        "generate_id()\n"
        "child = os.fork()\n"
        "if child:\n"
        "    os.waitpid(child, 0)\n"
        "print(*[generate_id() for _ in range(300)], flush=True)\n"
    )
    done = python("-c", program, cwd=tmp_path, check=True)
    assert len(set(done.stdout.split())) == 600


# --- opening --------------------------------------------------------------------


def opened(transport: Recorder) -> dict[str, Any]:
    packet = transport.sent[0]
    assert packet[:1] == b"0"
    value: dict[str, Any] = json.loads(packet[1:])
    return value


@pytest.mark.parametrize(
    ("options", "name", "packet"),
    [
        (
            {},
            "polling",
            b'0{"sid":"1","upgrades":["websocket"],"pingInterval":25000,'
            b'"pingTimeout":20000,"maxPayload":1000000}',
        ),
        (
            {},
            "websocket",
            b'0{"sid":"1","upgrades":[],"pingInterval":25000,'
            b'"pingTimeout":20000,"maxPayload":1000000}',
        ),
        (
            {"allow_upgrades": False},
            "polling",
            b'0{"sid":"1","upgrades":[],"pingInterval":25000,'
            b'"pingTimeout":20000,"maxPayload":1000000}',
        ),
        (
            {"transports": "polling", "max_http_buffer_size": 5},
            "polling",
            b'0{"sid":"1","upgrades":[],"pingInterval":25000,'
            b'"pingTimeout":20000,"maxPayload":5}',
        ),
        (
            {"ping_interval": 0.3, "ping_timeout": 1.2345},
            "websocket",
            b'0{"sid":"1","upgrades":[],"pingInterval":300,'
            b'"pingTimeout":1234.5,"maxPayload":1000000}',
        ),
    ],
)
def test_open_packet(options: dict[str, Any], name: str, packet: bytes) -> None:
    engine, _, _ = make_engine(**options)
    _, transport = open_session(engine, name)
    assert transport.sent == [packet]


def test_grace_is_told_on_top_of_the_interval() -> None:
    engine, _, loop = make_engine(ping_interval=(10, 5))
    _, transport = open_session(engine)
    assert opened(transport)["pingInterval"] == 15000
    loop.advance(10)
    assert transport.sent[1:] == [b"2"]


def test_a_session_is_in_the_table_under_its_id() -> None:
    engine, _, _ = make_engine()
    first, _ = open_session(engine)
    second, _ = open_session(engine)
    assert engine.sessions == {"1": first, "2": second}
    assert (first.id, first.sid, first.state) == ("1", "1", OPEN)
    assert first.connected
    assert not first.closed


def test_refused_by_the_handler() -> None:
    engine, callbacks, _ = make_engine()
    callbacks.connect = lambda sid, environ: False
    session, transport = open_session(engine, request=Environ())
    assert transport.calls == ["refuse"]
    assert transport.sent == []
    assert session.state == CLOSED
    assert engine.sessions == {}


class Environ:
    made = 0

    def environ(self) -> dict[str, Any]:
        self.made += 1
        return {"number": self.made}


def test_environ_is_made_once_and_when_wanted() -> None:
    engine, _, _ = make_engine()
    request = Environ()
    session, _ = open_session(engine, request=request)
    assert request.made == 0
    assert session.environ == {"number": 1}
    assert session.environ is session.environ


def test_an_environ_that_is_set_is_kept_and_none_is_made() -> None:
    engine, _, _ = make_engine()
    request = Environ()
    session, _ = open_session(engine, request=request)
    own = {"own": True}
    session.environ = own
    assert session.environ is own
    assert request.made == 0


def test_one_that_is_set_while_the_environ_is_made_wins() -> None:
    # Environs are made in the thread that asks; another thread may set one meanwhile.
    engine, _, _ = make_engine()
    own = {"own": True}

    class Slow(Environ):
        def environ(self) -> dict[str, Any]:
            session.environ = own
            return super().environ()

    session, _ = open_session(engine, request=Slow())
    assert session.environ is own
    assert session.environ is own


# --- heartbeat ------------------------------------------------------------------


def test_ping_at_the_interval_and_not_before() -> None:
    engine, _, loop = make_engine(ping_interval=3)
    _, transport = open_session(engine)
    loop.advance(2.999)
    assert transport.sent[1:] == []
    loop.advance(0.001)
    assert transport.sent[1:] == [b"2"]


def test_closed_when_no_pong_comes_in_time() -> None:
    reasons: list[str] = []
    engine, callbacks, loop = make_engine(ping_interval=3, ping_timeout=2)
    callbacks.disconnect = lambda sid, reason: reasons.append(reason)
    session, transport = open_session(engine)
    loop.advance(4.999)
    assert session.connected
    loop.advance(0.03)  # deadlines of many are handled in one go
    assert session.state == CLOSED
    assert transport.calls == ["abort"]
    assert transport.codes == [None]
    assert reasons == ["ping timeout"]
    assert engine.sessions == {}


def test_a_pong_starts_the_next_interval() -> None:
    server = echo(ping_interval=3, ping_timeout=2)
    client = server.websocket()
    server.loop.advance(3)
    assert client.messages() == ["2"]
    server.loop.advance(1.5)
    client.text("3")
    server.loop.advance(2.99)
    assert client.messages() == []
    server.loop.advance(0.03)
    assert client.messages() == ["2"]
    assert not client.ended()


def test_a_pong_that_nobody_asked_for() -> None:
    server = echo(ping_interval=3)
    client = server.websocket()
    server.loop.advance(2)
    client.text("3")
    server.loop.advance(2.99)
    assert client.messages() == []
    server.loop.advance(0.03)
    assert client.messages() == ["2"]


def test_thousands_of_sessions_wake_the_loop_once() -> None:
    engine, _, loop = make_engine()
    for _ in range(2000):
        open_session(engine)
        loop.now += 1e-6
    assert len(loop.armed()) == 1
    loop.advance(25.1)
    # Within 20 ms of each other: one or two wakes for the pings of all.
    assert loop.wakes <= 2
    loop.advance(20.1)
    assert engine.sessions == {}
    assert loop.wakes <= 4
    assert loop.armed() == []


def test_10000_sessions_of_a_minute_take_few_wakes() -> None:
    """All of a busy server's: each wake is for what is due in 20 ms."""
    engine, _, loop = make_engine(ping_timeout=60)
    for _ in range(10_000):
        open_session(engine)
        loop.advance(0.0025)
    wakes = loop.wakes
    loop.advance(25)
    assert loop.wakes - wakes <= 25 / 0.02 + 2


@pytest.mark.parametrize("before", [1, 2, 5, 10, 19, 21])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_session_ends_in_time_beside_others(before: int, transport: str) -> None:
    """The times of the official suites, which look when they have passed."""
    engine, callbacks, loop = make_engine(ping_interval=0.3, ping_timeout=0.2)
    ended = []
    callbacks.disconnect = lambda sid, reason: ended.append((loop.now, reason))
    open_session(engine, transport)
    loop.advance(before / 1000)
    opened = loop.now
    open_session(engine, transport)
    loop.advance(0.5011)
    assert [reason for _, reason in ended] == ["ping timeout"] * 2
    # 0.5 ms early where a timer fires so; a share of 1/500 late.
    assert opened + 0.498 < ended[-1][0] <= opened + 0.501
    assert loop.wakes <= 4


@pytest.mark.parametrize(
    ("timeout", "late", "after"),
    [(0.2, 0.008, 0.2), (0.2, 1, 1.19), (20, 0.015, 20), (20, 1, 20.98)],
)
def test_a_late_ping_takes_little_of_its_timeout(
    timeout: float, late: float, after: float
) -> None:
    """Of ping_interval and ping_timeout together, which clients count."""
    engine, callbacks, loop = make_engine(ping_interval=0.3, ping_timeout=timeout)
    ended = []
    callbacks.disconnect = lambda sid, reason: ended.append(loop.now)
    _, transport = open_session(engine)
    due = loop.now + 0.3
    loop.now = due + late  # the loop was busy
    loop.advance(0)
    assert transport.sent[1:] == [b"2"]
    loop.advance(30)
    assert ended == [pytest.approx(due + after, abs=0.001)]


def test_a_session_that_starts_while_deadlines_are_handled() -> None:
    engine, callbacks, loop = make_engine(ping_interval=3, ping_timeout=2)
    open_session(engine)
    callbacks.disconnect = lambda sid, reason: open_session(engine)
    loop.advance(5.1)
    (session,) = engine.sessions.values()
    assert session.id == "2"
    callbacks.disconnect = None
    loop.advance(5.1)
    assert engine.sessions == {}


def test_a_deadline_that_fails_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine, _, loop = make_engine(ping_interval=3)

    class Broken(Recorder):
        def send(self, m: Any) -> int:
            if self.sent:
                raise OSError("broken")
            return super().send(m)

    engine.open_session(Broken())
    _, transport = open_session(engine)
    loop.advance(3.1)
    assert transport.sent[1:] == [b"2"]
    assert errors(caplog) == ["a deadline was not handled"]


# --- sending --------------------------------------------------------------------


def test_messages_go_to_the_transport_in_order() -> None:
    engine, _, _ = make_engine()
    session, transport = open_session(engine)
    session.send_message("a")
    session.send_message(b"b")
    assert transport.sent[1:] == [b"4a", b"bYg=="]


@pytest.mark.parametrize("state", ["closed", "refused"])
def test_nothing_is_sent_to_whom_is_gone(state: str) -> None:
    engine, callbacks, _ = make_engine()
    if state == "refused":
        callbacks.connect = lambda sid, environ: False
    session, transport = open_session(engine, request=Environ())
    session.disconnect()
    before = list(transport.sent)
    session.send_message("late")
    assert transport.sent == before


def test_a_message_that_is_neither_text_nor_bytes() -> None:
    engine, _, _ = make_engine()
    session, _ = open_session(engine)
    bad: Any = 5
    with pytest.raises(TypeError):
        session.send_message(bad)


# --- closing --------------------------------------------------------------------


def test_close_delivers_first() -> None:
    reasons: list[str] = []
    engine, callbacks, _loop = make_engine()
    callbacks.disconnect = lambda sid, reason: reasons.append(reason)
    session, transport = open_session(engine)
    session.disconnect()
    assert transport.calls == ["close"]
    assert reasons == ["server disconnect"]  # Rule 1: when it leaves OPEN
    assert session.state == CLOSING
    assert session.closed
    assert not session.connected
    assert engine.sessions == {"1": session}
    session.disconnect()
    assert transport.calls == ["close"]
    assert reasons == ["server disconnect"]


def test_what_was_not_fetched_is_dropped_after_a_while() -> None:
    engine, callbacks, loop = make_engine()
    reasons: list[str] = []
    callbacks.disconnect = lambda sid, reason: reasons.append(reason)
    session, transport = open_session(engine)
    session.disconnect()
    loop.advance(29.9)
    assert session.state == CLOSING
    loop.advance(0.2)
    assert session.state == CLOSED
    assert transport.calls == ["close", "abort"]
    assert reasons == ["server disconnect"]
    assert engine.sessions == {}
    assert loop.armed() == []


def test_drop_delivers_nothing() -> None:
    reasons: list[str] = []
    engine, callbacks, loop = make_engine()
    callbacks.disconnect = lambda sid, reason: reasons.append(reason)
    sessions = [open_session(engine) for _ in range(3)]
    engine.drop_all()
    assert engine.sessions == {}
    assert reasons == ["server disconnect"] * 3
    assert [t.calls for _, t in sessions] == [["abort"]] * 3
    engine.drop_all()
    assert len(reasons) == 3
    loop.advance(100)
    assert len(reasons) == 3


def test_close_all_closes_and_flushes() -> None:
    engine, _, _ = make_engine()
    sessions = [open_session(engine) for _ in range(3)]
    engine.close_all()
    assert [s.state for s, _ in sessions] == [CLOSING] * 3
    assert [t.calls for _, t in sessions] == [["close"]] * 3


@pytest.mark.parametrize("waiting", [True, False])
def test_polling_clients_are_told_by_503_that_the_server_stops(waiting: bool) -> None:
    server = echo()
    reasons = ended(server)
    http, sid = server.polling()
    request = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target(server, sid)
    if waiting:
        http.send(request)
    server.engine.close_all(stopping=True)
    assert server.engine.sessions == {}
    assert reasons == [(sid, "server disconnect")]
    if waiting:
        assert http.response()[0] == 503
    else:
        http.send(request)
        assert http.response()[0] == 400


@pytest.mark.parametrize("how", ["send_away", "close_all"])
def test_others_that_a_disconnect_handler_closes_are_not_told_that_it_stops(
    how: str,
) -> None:
    """A client that polls would connect again: it is told by a close packet."""
    server = echo()
    first, first_sid = server.polling()
    second, second_sid = server.polling()
    sessions = server.engine.sessions
    for http, sid in ((first, first_sid), (second, second_sid)):
        http.send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target(server, sid))

    @server.app.on("disconnect")
    def disconnect(sid: str, reason: str) -> None:
        if second_sid in sessions and not sessions[second_sid].closed:
            sessions[second_sid].disconnect()

    if how == "send_away":
        sessions[first_sid].send_away()
    else:
        server.engine.close_all(stopping=True)
    assert first.response()[0] == 503
    assert second.response()[::2] == (200, b"1")


def test_who_is_closed_by_the_program_while_a_server_drains_is_not_sent_away() -> None:
    server = echo()
    one, other = server.websocket(), server.websocket()
    gone, closed = list(server.engine.sessions.values())
    server.engine.drain()
    gone.send_away()
    closed.disconnect()
    assert (one.messages(), one.code) == ([], 1001)
    assert (other.messages(), other.code) == ([], 0)


def test_what_was_sent_before_the_server_stops_is_delivered() -> None:
    server = echo()
    http, sid = server.polling()
    http.send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target(server, sid))
    only(server).send_message("last")
    server.engine.close_all(stopping=True)
    assert http.response()[2] == b"4last"


def test_a_disconnect_handler_that_fails_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine, callbacks, _ = make_engine()

    def fail(sid: str, reason: str) -> None:
        raise ValueError("x")

    callbacks.disconnect = fail
    session, _ = open_session(engine)
    session.disconnect()
    assert errors(caplog) == ["handler of 'disconnect' failed for 1"]


def test_why_a_session_closed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "socketio_fast")
    engine, _, _ = make_engine()
    session, _ = open_session(engine)
    session.disconnect()
    assert "session 1 closed: server disconnect" in caplog.messages


def test_data_is_the_applications_own() -> None:
    engine, _, _ = make_engine()
    session, _ = open_session(engine)
    assert session.data is None
    session.data = {"a": 1}
    assert session.data == {"a": 1}


@pytest.mark.parametrize("end", ["closed", "dropped", "refused", "timed out"])
def test_nothing_keeps_a_session_that_has_ended(end: str) -> None:
    """Not even until the garbage collector comes."""
    engine, callbacks, loop = make_engine()
    if end == "refused":
        callbacks.connect = lambda sid, environ: False
    gc.collect()
    gc.disable()
    try:
        session, transport = open_session(engine, request=Environ())
        gone = weakref.ref(session)
        if end == "closed":
            session.disconnect()
            loop.advance(31)
        elif end == "dropped":
            engine.drop_all()
        elif end == "timed out":
            loop.advance(50)
        transport.session = None
        del session, transport
        assert gone() is None
    finally:
        gc.enable()


# --- slow readers ---------------------------------------------------------------


def test_who_reads_too_slowly_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    server = echo(max_buffer_bytes=1000)
    reasons = ended(server)
    slow, fast = server.websocket(), server.websocket()
    (slow_sid, fast_sid) = server.engine.sessions
    slow.wire.holds = 10**6
    slow.wire.protocol.pause_writing()
    for sid in (slow_sid, fast_sid):
        server.engine.sessions[sid].send_message("x" * 600)
        server.loop.turn()
    for sid in (slow_sid, fast_sid):
        server.engine.sessions[sid].send_message("x" * 600)
        server.loop.turn()
    assert list(server.engine.sessions) == [fast_sid]
    assert reasons == [(slow_sid, "transport error")]
    assert slow.wire.aborted
    assert not fast.ended()
    assert (
        f"session {slow_sid}: more than max_buffer_bytes=1000 wait to be read, closed"
        in caplog.messages
    )


def test_a_poll_that_does_not_come_is_a_slow_reader() -> None:
    server = echo(max_buffer_bytes=1000)
    _, sid = server.polling()
    session = server.engine.sessions[sid]
    session.send_message("x" * 600)
    server.loop.turn()
    assert session.connected
    session.send_message("x" * 600)
    assert session.connected  # not closed amidst a fan-out
    server.loop.turn()
    assert session.state == CLOSED


def test_one_large_message_to_a_fast_reader_is_not_slowness() -> None:
    server = echo(max_buffer_bytes=1000)
    client = server.websocket()
    (session,) = server.engine.sessions.values()
    session.send_message("x" * 5000)
    server.loop.turn()
    assert client.messages() == ["4" + "x" * 5000]
    assert session.connected


# --- one write in a pass --------------------------------------------------------


def test_what_is_sent_in_one_pass_leaves_in_one_write() -> None:
    server = echo()
    client = server.websocket()
    (session,) = server.engine.sessions.values()
    before = client.wire.writes
    for number in range(10):
        session.send_message(str(number))
    server.loop.turn()
    assert client.wire.writes == before + 1
    assert client.messages() == [f"4{number}" for number in range(10)]


# --- the loop -------------------------------------------------------------------


def test_another_loop_while_sessions_are_open() -> None:
    engine, _, _ = make_engine()
    open_session(engine)
    other: Any = Loop()
    with pytest.raises(RuntimeError, match="another event loop"):
        engine.bind(other)


def test_another_loop_when_the_first_was_closed() -> None:
    server = echo()
    told = ended(server)
    server.websocket()
    sid = only(server).id
    server.loop.closed = True
    other: Any = Loop()
    with other.running():
        server.app.bind(other)
    assert server.engine.sessions == {}
    assert told == [(sid, "transport close")]


def test_another_loop_when_there_are_none() -> None:
    engine, callbacks, loop = make_engine(ping_interval=3)
    _session, _ = open_session(engine)
    engine.drop_all()
    other: Any = Loop()
    engine.bind(other)
    callbacks.bind(engine)
    _, transport = open_session(engine)
    other.advance(3)
    assert transport.sent[1:] == [b"2"]
    assert loop.armed() == []


def test_the_same_loop_again() -> None:
    engine, _, loop = make_engine()
    _, transport = open_session(engine)
    engine.bind(loop)  # type: ignore[arg-type]
    loop.advance(25)
    assert transport.sent[1:] == [b"2"]


def test_abstract_transport() -> None:
    transport = Transport()
    message: Any = None
    for call in (
        lambda: transport.send(message),
        transport.flush,
        transport.close,
        lambda: transport.abort(None),
        transport.refuse,
        transport.release,
        transport.handover,
        transport.buffered,
    ):
        with pytest.raises(NotImplementedError):
            call()
