"""Connection state recovery: bytes in, bytes out, and a clock that stands still."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from support.recovering import Fixture
from support.sansio import Server, errors, join

from socketio_fast import AsyncServer
from socketio_fast.options.recovery import RecoveryOptions, choose_recovery

# --- who comes back -------------------------------------------------------------


def test_the_wire() -> None:
    """R2, R3: pid beside sid; an offset as last argument; missed events, CONNECT."""
    f = Fixture()
    client = f.client()
    sid, pid = client.sid, client.pid
    assert sid is not None
    assert pid is not None
    assert len(pid) == 20
    f.emit("hello", 1)
    (packet,) = client.receive()
    assert packet == f'42["hello",1,"{client.offset}"]'
    client.cut()
    f.emit("hello1")
    f.emit("hello2", to=sid)
    packets = client.connect()
    assert [p[:10] for p in packets[:2]] == ['42["hello1', '42["hello2']
    assert packets[2] == f'40{{"sid":"{sid}","pid":"{pid}"}}'


def test_off_is_as_before() -> None:
    """R1: without the option no pid and no offset, and auth is the client's."""
    sio = AsyncServer()
    auths: list[Any] = []
    sio.on("connect", lambda sid, environ, auth: auths.append(auth))
    server = Server(sio)
    socket = server.websocket()
    socket.text('40{"pid":"x","offset":"y"}')
    (reply,) = socket.messages()
    assert json.loads(reply[2:]).keys() == {"sid"}
    sio._hub.namespaces["/"].rooms.emit(["a"])
    assert socket.messages() == ['42["a"]']
    assert auths == [{"pid": "x", "offset": "y"}]


def test_three_recoveries_without_a_duplicate() -> None:
    """R3: replayed packets carry their offsets."""
    f = Fixture()
    client = f.client()
    f.emit("n", 0)
    assert client.events() == [["n", 0]]
    n = 1
    for _ in range(3):
        client.cut()
        f.emit("n", n)
        f.emit("n", n + 1)
        client.connect()
        assert client.recovered
        f.emit("n", n + 2)
        assert client.events() == [["n", n], ["n", n + 1], ["n", n + 2]]
        n += 3
    assert f.counters["recoveries"] == 3


def test_a_client_that_has_received_nothing() -> None:
    """R7: it has no offset, and gets what was sent since it connected."""
    f = Fixture()
    f.emit("before")
    f.client()
    f.emit("before")
    client = f.client()
    sid = client.sid
    client.cut()
    f.emit("missed")
    client.connect()
    assert client.recovered
    assert client.sid == sid
    assert client.events() == [["missed"]]


def test_what_was_written_and_never_arrived() -> None:
    """R5: the client says what it has, whatever the server has written."""
    f = Fixture()
    client = f.client()
    f.emit("n", 0)
    assert client.events() == [["n", 0]]
    f.emit("n", 1)
    f.server.loop.turn()
    client.cut()
    client.connect()
    assert client.recovered
    assert client.events() == [["n", 1]]


def test_rooms_and_who_is_skipped() -> None:
    """R5: what a client misses is what was for it when it was sent."""
    f = Fixture()
    client, other = f.client(), f.client()
    assert client.sid is not None
    f.rooms.enter(client.sid, "left")
    f.emit("zero")
    assert client.events() == [["zero"]]
    # None of these arrives.
    f.emit("no", to="room")
    f.rooms.enter(client.sid, "room")
    f.emit("yes", 1, to="room")
    f.emit("yes", 2, to=["room", "left"])
    f.emit("yes", 3, to="left")
    f.rooms.leave(client.sid, "left")
    f.emit("no", to="left")
    f.emit("no", to=other.sid)
    f.emit("no", to=["nobody", other.sid])
    client.cut()
    f.emit("no", skip=client.sid)
    f.emit("no", to="room", skip=[client.sid, other.sid])
    f.emit("yes", 4, to="room", skip=other.sid)
    f.emit("yes", 5, to=client.sid)
    client.connect()
    assert client.events() == [["yes", n] for n in (1, 2, 3, 4, 5)]
    assert f.rooms.of(client.sid) == [client.sid, "room"]
    f.emit("newer", to="room")
    assert client.events() == [["newer"]]


@pytest.mark.parametrize("somebody", [False, True])
def test_a_room_that_is_a_tuple(somebody: bool) -> None:
    """R5: it is that room, not those of its members, also if nobody is left in it."""
    f = Fixture()
    client, other, member = f.client(), f.client(), f.client()
    f.rooms.enter(client.sid, ("a", "b"))
    if somebody:
        f.rooms.enter(other.sid, ("a", "b"))
        f.rooms.enter(member.sid, "a")
    f.emit("zero")
    client.events()
    member.events()
    client.cut()
    member.cut()
    f.emit("yes", to=("a", "b"))
    f.emit("no", to=["a", "b"])
    client.connect()
    member.connect()
    assert client.events() == [["yes"]]
    assert member.events() == ([["no"]] if somebody else [])


@pytest.mark.parametrize("to", [["a", []], [{}]])
def test_what_cannot_be_a_room_is_not_kept(to: Any) -> None:
    f = Fixture()
    client = f.client()
    with pytest.raises(TypeError, match="unhashable"):
        f.emit("n", to=to)
    client.cut()
    client.connect()
    assert client.recovered
    assert client.events() == []


def test_a_room_that_was_closed_meanwhile() -> None:
    """R5: who is away is not in it any more."""
    f = Fixture()
    client = f.client()
    assert client.sid is not None
    f.rooms.enter(client.sid, "room")
    client.cut()
    f.emit("yes", to="room")
    f.rooms.close("room")
    f.emit("no", to="room")
    client.connect()
    assert client.events() == [["yes"]]
    assert f.rooms.of(client.sid) == [client.sid]


def test_binary_events() -> None:
    """R3: an offset behind the placeholders; attachments are replayed too."""
    f = Fixture()
    client = f.client()
    f.emit("b", b"one")
    text, data = client.receive()
    placeholder = '{"_placeholder":true,"num":0}'
    assert text == f'451-["b",{placeholder},"{client.got[0][-1]}"]'
    assert data == b"one"
    client.offset = client.got[0][-1]
    client.cut()
    f.emit("b", b"two", {"x": b"three"})
    text, *attachments, _ = client.connect()
    assert text.startswith('452-["b",')
    assert attachments == [b"two", b"three"]


def test_data_and_the_handlers() -> None:
    """R5: data is that of the session; connect handlers run, and can ask."""
    f = Fixture()
    calls: list[Any] = []

    @f.sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        recovered = f.sio.recovered(sid)
        calls.append(("connect", auth, recovered))
        async with f.sio.session(sid) as session:
            session["connects"] = session.get("connects", 0) + 1
        if not recovered:
            await f.sio.enter_room(sid, "room")

    @f.sio.event
    async def disconnect(sid: str, reason: str) -> None:
        calls.append(("disconnect", reason))
        await f.sio.leave_room(sid, "room")
        await f.sio.save_session(sid, {**await f.sio.get_session(sid), "left": True})

    client = f.client()
    sid = client.sid
    client.cut()
    client.connect(token="t")
    assert client.sid == sid
    assert calls == [
        ("connect", None, False),
        ("disconnect", "transport close"),
        ("connect", {"token": "t"}, True),
    ]
    assert f.sio._get_session(sid, None) == {"connects": 2, "left": True}
    assert f.sio.rooms(sid) == [sid, "room"]


def test_a_disconnect_handler_that_still_runs() -> None:
    """R5: the client need not wait for it, and is not harmed by its end."""
    f = Fixture()
    ends: list[asyncio.Future[None]] = []

    @f.sio.event
    async def disconnect(sid: str, reason: str) -> None:
        ends.append(f.server.loop.create_future())
        await ends[-1]

    client = f.client()
    client.cut()
    client.connect()
    assert client.recovered
    ends[0].set_result(None)
    f.server.loop.turn()
    f.emit("n", to=client.sid)
    assert client.events() == [["n"]]


@pytest.mark.parametrize("how", ["server", "client"])
def test_who_leaves_is_gone(how: str) -> None:
    """R6: a DISCONNECT, of either side, is the end."""
    f = Fixture()
    client = f.client()
    if how == "server":
        f.sio._hub.namespaces["/"].peers[client.sid].disconnect()
    else:
        client.socket.text("41")
    client.cut()
    client.connect()
    assert not client.recovered
    assert f.backlog.sessions == []
    assert f.counters["recoveries_failed"] == 1


@pytest.mark.parametrize("how", ["timeout", "engine", "error", "close", "shutdown"])
def test_reasons_that_are_recovered_from(how: str) -> None:
    """R6: ping timeout, a close of the engine, an error, a transport that closes."""
    f = Fixture()
    client = f.client()
    if how == "timeout":
        f.server.loop.advance(46)
    elif how == "engine":
        next(iter(f.server.engine.sessions.values())).disconnect()
    elif how == "error":
        client.socket.text("9")
    elif how == "close":
        client.socket.leave()
    else:
        f.server.engine.close_all()
    f.server.loop.turn()
    f.emit("missed")
    client.connect()
    assert client.recovered
    assert client.got[-1][0] == "missed"


def test_too_late() -> None:
    """R1, R7: after max_disconnection_duration it is a new client, with a new pid."""
    f = Fixture({"max_disconnection_duration": 60})
    client = f.client()
    sid, pid = client.sid, client.pid
    client.cut()
    f.server.loop.advance(59)
    client.connect()
    assert client.recovered
    client.cut()
    f.server.loop.advance(61)
    assert f.backlog.sessions == []
    client.connect()
    assert not client.recovered
    assert client.sid != sid
    assert client.pid != pid


def test_a_new_client_that_kept_an_old_offset() -> None:
    """R7: the official client does so after a recovery that failed."""
    f, other = Fixture(), Fixture()
    stranger = other.client()
    other.emit("n")
    stranger.receive()
    client = f.client()
    client.offset = stranger.offset
    client.cut()
    f.emit("missed")
    client.connect()
    assert client.recovered
    assert client.events() == [["missed"]]


@pytest.mark.parametrize("offset", ["bar", "", "abcdef.x", "abcdef.²", "OWN.99"])
def test_an_unknown_offset(offset: str) -> None:
    """R7: it is a clean new session."""
    f = Fixture()
    client = f.client()
    f.emit("n")
    client.events()
    assert client.offset is not None
    sid = client.sid
    client.cut()
    client.offset = offset.replace("OWN", client.offset.partition(".")[0])
    client.connect()
    assert not client.recovered
    assert client.sid != sid
    assert client.events() == []


def test_a_pid_is_used_by_one_client_at_a_time() -> None:
    """R2: who comes back ends a connection that was not known to be dead."""
    f = Fixture()
    reasons: list[str] = []
    f.sio.on("disconnect", lambda sid, reason: reasons.append(reason))
    client = f.client()
    stale = client.socket
    sid = client.sid
    f.emit("n")
    client.connect()
    assert client.recovered
    assert stale.ended()
    assert reasons == ["transport close"]
    assert list(f.sio._hub.namespaces["/"].peers) == [sid]
    assert client.events() == [["n"]]


def test_an_unknown_pid_and_strange_ones() -> None:
    """R7: nothing that is sent instead of a pid does harm."""
    f = Fixture()
    for auth in ('{"pid":"foo","offset":"bar"}', '{"pid":7}', '{"pid":[]}', '"pid"'):
        socket = f.server.websocket()
        socket.text("40" + auth)
        packets = socket.messages()
        if auth != '"pid"':
            assert json.loads(packets[0][2:]).keys() == {"sid", "pid"}


# --- beside other features ------------------------------------------------------


def test_a_transient_namespace_waits_for_its_clients() -> None:
    """R5: one that only its clients keep is there when they come back, and goes."""
    f = Fixture({"max_disconnection_duration": 5}, namespaces="*")
    socket = f.server.websocket()
    socket.text("40/x,")
    reply = json.loads(str(socket.messages()[0])[5:])
    socket.wire.lose()
    assert "/x" in f.sio._hub.namespaces
    socket = f.server.websocket()
    socket.text("40/x," + json.dumps({"pid": reply["pid"]}))
    assert json.loads(str(socket.messages()[0])[5:]) == reply
    socket.wire.lose()
    f.server.loop.advance(6)
    assert "/x" not in f.sio._hub.namespaces


def test_always_connect() -> None:
    """R5: missed events come before CONNECT in any case."""
    f = Fixture(always_connect=True)
    f.sio.on("connect", lambda sid, environ: None)
    client = f.client()
    client.cut()
    f.emit("missed")
    packets = client.connect()
    assert [packet[:2] for packet in packets] == ["42", "40"]
    assert client.recovered


def test_middlewares() -> None:
    """R1: skip_middlewares, which is the default."""
    for skip in (True, False):
        f = Fixture({"skip_middlewares": skip})
        calls: list[bool] = []

        async def middleware(socket: Any, calls: list[bool] = calls) -> None:
            calls.append(socket.recovered)

        f.sio.of("/").use(middleware)
        client = f.client()
        client.cut()
        client.connect()
        assert client.recovered
        assert calls == ([False] if skip else [False, True])
        assert f.sio.of("/").sockets[client.sid].recovered


def test_no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """R2: pids are in no log, and in no view of a peer."""
    caplog.set_level(logging.DEBUG)
    logger = logging.getLogger("test_recovery")
    f = Fixture(logger=logger, engineio_logger=logger)
    client = f.client()
    f.emit("n")
    client.cut()
    client.connect()
    assert client.pid is not None
    assert "transport close" in caplog.text
    assert client.pid not in caplog.text
    peer = f.sio._hub.namespaces["/"].peers[client.sid]
    assert not hasattr(peer, "pid")
    assert peer.auth is None
    assert errors(caplog) == []


def test_coming_back_while_the_disconnect_handler_runs() -> None:
    """R6: who left is not recovered; its connection, with what else is there, stays."""
    f = Fixture()
    gate = f.server.loop.create_future()
    f.sio.on("x", lambda sid: None, namespace="/other")

    @f.sio.on("disconnect")
    async def gone(sid: str, reason: str) -> None:
        await gate

    client = f.client()
    join(client.socket, "/other")
    sid = client.sid
    client.socket.text("41")
    client.socket.text(f'40{{"pid":"{client.pid}"}}')
    client.receive()
    assert client.sid not in (None, sid)
    assert not client.socket.ended()
    with f.server.loop.running():
        gate.set_result(None)
    f.server.loop.turn()
    peers = f.sio._hub.namespaces["/"].peers
    assert list(peers) == [client.sid]
    client.socket.leave()
    f.server.loop.turn()
    assert not peers


def test_a_room_that_is_another_ones_sid_by_now() -> None:
    """R5: it is that client's alone; the other rooms are restored."""
    f = Fixture()
    a, b = f.client(), f.client()
    b.cut()
    f.rooms.enter(a.sid, b.sid)
    f.rooms.enter(a.sid, "room")
    b.connect()
    assert b.recovered
    a.cut()
    a.connect()
    assert a.recovered
    assert f.rooms.of(a.sid) == [a.sid, "room"]


async def test_a_room_that_is_left_out_while_a_client_of_it_is_away() -> None:
    """R5, M13: what others of the room do not get is not for it either."""
    f = Fixture()
    client = f.client()
    f.rooms.enter(client.sid, "quiet")
    client.cut()
    assert f.backlog.away_in("quiet") == f.backlog.away_in(client.sid) == [client.sid]
    assert f.backlog.away_in("loud") == []
    await f.sio.except_("quiet").emit("a")
    await f.sio.except_("loud").emit("b")
    client.connect()
    assert client.recovered
    assert client.events() == [["b"]]


def test_options() -> None:
    """R1, S7: True is the defaults; what is wrong is named."""
    assert choose_recovery(None) is None
    assert choose_recovery(False) is None
    assert choose_recovery(True) == RecoveryOptions(120, True, 10_000, 2**25, 10_000)
    assert choose_recovery({"max_packets": 5}) == RecoveryOptions(max_packets=5)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (5, "connection_state_recovery=5: True, False or a dict"),
        ({"max_packet": 5}, "did you mean 'max_packets'"),
        ({"max_packets": 0}, "max_packets=0"),
        ({"max_bytes": 1.5}, "max_bytes=1.5"),
        ({"max_sessions": True}, "max_sessions=True"),
        ({"skip_middlewares": 1}, "skip_middlewares=1"),
        ({"max_disconnection_duration": 0}, "max_disconnection_duration=0"),
        ({"max_disconnection_duration": "1"}, "max_disconnection_duration='1'"),
    ],
)
def test_options_that_are_refused(option: Any, message: str) -> None:
    """R1: ValueError."""
    with pytest.raises(ValueError, match=message):
        AsyncServer(connection_state_recovery=option)


def test_volatile_events_are_not_kept() -> None:
    """R4, M8: and their offset is that of the last event which is."""
    f = Fixture()
    client = f.client()
    f.emit("kept")
    client.receive()
    offset = client.offset
    f.rooms.emit(["tick", "text"], volatile=True)
    client.receive()
    assert client.got[-1] == ["tick", "text", offset]
    client.cut()
    f.rooms.emit(["tick", "missed"], volatile=True)
    f.emit("missed")
    client.got.clear()
    client.connect()
    assert client.recovered
    assert [event[0] for event in client.got] == ["missed"]
