"""What a client's place in a namespace emits: now, in other threads, and offline."""

from __future__ import annotations

import logging
from typing import Any

import orjson
import pytest
from support.client_core import Core, PeerNotes, heard, open_packet
from support.client_websockets import WebSocketCore
from support.sansio import errors

from socketio_fast._core.client.session import ClientSession, SessionOwner
from socketio_fast._core.protocol.encoding import JsonEncoding
from socketio_fast._core.socketio.acks import Reply
from socketio_fast.exceptions import CallDisconnectedError, OfflineBufferError


def replies(core: Core, count: int) -> list[Reply]:
    return [Reply(core.loop.create_future()) for _ in range(count)]


def again(core: Core, **changes: Any) -> None:
    """The connection is lost, and there is another one."""
    core.session.fail("transport error")
    core.connect()
    core.open(**changes)


def rejoin(core: Core) -> None:
    peer = core.hub.connection.peers["/"]
    peer.join()
    core.sent()
    core.receive(b'40{"sid":"again"}')


# --- now ------------------------------------------------------------------------


def test_a_volatile_event_is_dropped_where_it_could_not_leave_at_once() -> None:
    core = Core().open()
    peer = core.joined()
    peer.emit(["a"])
    core.loop.turn()
    peer.emit(["volatile"], volatile=True)
    assert core.sent() == [b'42["a"]']
    peer.emit(["volatile"], volatile=True)
    assert core.sent() == [b'42["volatile"]']
    assert core.engine.counters["dropped_volatile"] == 1


def test_emitting_waits_while_the_server_reads_more_slowly() -> None:
    core = Core(high_water_mark=100).open()
    peer = core.joined()
    assert peer.emit(["e", "a" * 50]) is None
    waits = peer.emit(["e", "a" * 50])
    assert waits is not None
    assert not waits.done()
    core.sent()
    assert waits.done()


def test_what_the_server_does_not_take_is_refused() -> None:
    """It would end the session, at each attempt to send it."""
    core = Core().open(maxPayload=40)
    peer = core.joined()
    (reply,) = replies(core, 1)
    with pytest.raises(ValueError, match="maxPayload=40"):
        peer.emit(["e", "a" * 40], reply)
    with pytest.raises(ValueError, match="45 bytes in base64"):
        peer.emit(["e", b"a" * 32])
    with pytest.raises(TypeError):
        peer.emit(["e", object()], reply)
    assert (peer.callbacks, core.sent()) == ({}, [])


def test_names_of_events_are_logged_where_that_is_wanted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "test.client")
    core = Core(verbose=True).open()
    peer = core.joined()
    heard(core, "/", "in")
    peer.emit(["out"], lambda: None)
    send = peer.encode(["encoded"])
    assert send is not None
    core.receive(b'42["in"]', b"430[]")
    assert [record.getMessage() for record in caplog.records] == [
        'Emitting event "out" [/]',
        'Emitting event "encoded" [/]',
        'received event "in" from sid of / [/]',
        "received ack from sid of / [/]",
    ]


def test_the_oldest_acknowledgement_is_given_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of a server that acknowledges nothing."""
    core = Core(max_pending_acks=2).open()
    peer = core.joined()
    asked = replies(core, 4)
    for number, reply in enumerate(asked[:3]):
        peer.emit(["e", number], reply)
    send = peer.encode(["e", 3], asked[3])
    assert send is not None
    send()
    assert [reply.future.done() for reply in asked] == [True, True, False, False]
    with pytest.raises(TimeoutError, match="the server has not acknowledged"):
        asked[0].future.result()
    assert isinstance(asked[1].future.exception(), TimeoutError)
    assert caplog.text.count("does not acknowledge what it is sent") == 1


# --- encoded elsewhere ----------------------------------------------------------


def test_an_event_is_encoded_when_the_program_says_so() -> None:
    core = Core().open()
    peer = core.joined()
    got: list[Any] = []
    values = [1]
    send = peer.encode(["e", values], got.append)
    values.append(2)
    peer.emit(["before"])
    assert send is not None
    assert peer.callbacks == {}
    send()
    assert core.sent() == [b'42["before"]', b'420["e",[1]]']
    core.receive(b'430["answer"]')
    assert got == ["answer"]


@pytest.mark.parametrize("reason", ["offline", "slow"])
def test_what_must_wait_is_not_encoded_elsewhere(reason: str) -> None:
    core = Core(high_water_mark=30).open()
    peer = core.joined()
    if reason == "offline":
        core.session.fail("transport error")
    else:
        waits = peer.encode(["e", "a" * 30])
        assert waits is not None  # counts until it is sent
    assert peer.encode(["e"]) is None


@pytest.mark.parametrize("volatile", [False, True])
def test_the_connection_is_lost_before_what_was_encoded_is_sent(
    volatile: bool,
) -> None:
    core = Core().open()
    peer = core.joined()
    got: list[Any] = []
    send = peer.encode(["e"], got.append, volatile)
    assert send is not None
    again(core)
    send()
    rejoin(core)
    assert core.sent() == ([] if volatile else [b'420["e"]'])


def test_what_was_encoded_finds_no_room_offline() -> None:
    core = Core().open()
    peer = core.joined()
    (reply,) = replies(core, 1)
    send = peer.encode(["e"], reply)
    peer.max_offline_events = 0
    core.session.fail("transport error")
    assert send is not None
    with pytest.raises(OfflineBufferError, match="max_offline_events=0"):
        send()
    assert isinstance(reply.future.exception(), OfflineBufferError)
    assert (peer.callbacks, peer.offline_events) == ({}, 0)


@pytest.mark.parametrize(
    "encoding", [None, JsonEncoding(orjson.dumps, orjson.loads)], ids=["core", "other"]
)
def test_an_event_that_is_tried_again(encoding: Any) -> None:
    """It is encoded once, and has another id each time."""
    core = Core(encoding=encoding).open()
    peer = core.joined()
    event = ["e", [1]]
    packet, size = peer.encoded(event)
    assert size == len(b'42["e",[1]]')
    got: list[Any] = []
    for _ in range(2):
        peer.emit_encoded(packet, event, got.append)
    assert core.sent() == [b'420["e",[1]]', b'421["e",[1]]']
    core.receive(b'431["answer"]')
    assert got == ["answer"]
    peer.run_callback(got.append, ["by hand"])
    assert got == ["answer", "by hand"]


def test_an_event_that_cannot_be_tried_again() -> None:
    core = Core().open(maxPayload=10)
    peer = core.joined()
    event = ["e", "a" * 10]
    packet, _ = peer.encoded(event)
    (reply,) = replies(core, 1)
    with pytest.raises(ValueError, match="maxPayload=10"):
        peer.emit_encoded(packet, event, reply)
    assert peer.callbacks == {}


# --- offline --------------------------------------------------------------------


def test_what_nobody_waits_for_any_more_is_not_sent() -> None:
    """As in the official client."""
    core = Core().open()
    peer = core.joined()
    core.session.fail("transport error")
    first, second, third = replies(core, 3)
    for name, reply in ("a", first), ("b", second), ("c", third):
        peer.emit([name], reply)
    size = peer.offline_bytes
    peer.cancel_ack(second)
    peer.cancel_ack(second)
    assert (peer.offline_events, peer.offline_bytes) == (2, size * 2 // 3)
    core.connect()
    core.open()
    rejoin(core)
    assert core.sent() == [b'420["a"]', b'422["c"]']
    peer.cancel_ack(first)
    core.receive(b'430["late"]', b'432["answer"]')
    assert not first.future.done()
    assert third.future.result() == ["answer"]


def test_the_next_server_takes_less(caplog: pytest.LogCaptureFixture) -> None:
    core = Core().open()
    peer = core.joined()
    core.session.fail("transport error")
    (reply,) = replies(core, 1)
    got: list[Any] = []
    peer.emit(["e", "a" * 100], reply)
    peer.emit(["e", "a" * 100], got.append)
    peer.emit(["e", "a" * 100])
    peer.emit(["short"])
    core.connect()
    core.open(maxPayload=50)
    rejoin(core)
    assert core.sent() == [b'42["short"]']
    with pytest.raises(ValueError, match="maxPayload=50"):
        reply.future.result()
    assert [text[:21] for text in errors(caplog)] == ["an event was not sent"] * 3
    assert (peer.callbacks, peer.offline_bytes, got) == ({}, 0, [])


def test_without_another_attempt_acknowledgements_are_given_up() -> None:
    """What waits goes on waiting."""
    core = Core().open()
    peer = core.joined()
    peer.intend()
    core.session.fail("transport error")
    (reply,) = replies(core, 1)
    peer.emit(["e"], reply)
    peer.give_up()
    assert isinstance(reply.future.exception(), CallDisconnectedError)
    assert (peer.active, peer.offline_events) == (False, 1)
    core.connect()
    core.open()
    rejoin(core)
    assert core.sent() == [b'420["e"]']


def test_a_process_that_was_forked_has_no_connection() -> None:
    core = Core().open()
    peer = core.joined()
    gone = core.joined("/chat")
    peer.emit(["e"], lambda: None)
    core.receive(b'451-["e",{"_placeholder":true,"num":0}]')
    idle = ClientSession(core.engine, SessionOwner())
    idle.never_open()
    core.hub.connection.abandon(idle)
    assert (peer.connected, peer.active, gone.connected) == (False, False, False)
    assert (peer.callbacks, peer.offline_events, peer.sid) == ({}, 0, None)
    assert core.peers.told == [
        ("joined", "/", "sid of /"),
        ("joined", "/chat", "sid of /chat"),
    ]
    core.connect()
    core.open()
    rejoin(core)
    assert peer.connected


# --- recovery, and revision 3 ---------------------------------------------------


class Counting(PeerNotes):
    """An owner whose handlers take so many arguments."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def takes(self, function: Any, event: Any, count: int) -> bool:
        return count <= self.most


@pytest.mark.parametrize(
    ("count", "expected"), [(1, ("e", 1)), (2, ("e", 1, "offset"))]
)
def test_the_offset_stays_where_it_is_taken(count: int, expected: Any) -> None:
    core = Core().open()
    found = heard(core, "/", "e")
    core.peers = Counting(count)
    peer = core.joined(pid="secret")
    core.receive(b'42["e",1,"offset"]')
    assert (found, peer.offset) == ([expected], "offset")


def test_revision_3_joins_without_being_asked() -> None:
    core = WebSocketCore(dialect=1)
    core.receive(open_packet())
    peer, chat = core.peer(), core.peer("/chat")
    peer.join({"not": "sent"})
    chat.join(query={"a": "b c"})
    assert core.sent() == [b"40/chat?a=b+c,"]
    core.receive(b"40", b"40/chat,")
    assert (peer.sid, chat.sid) == ("eio-sid", "/chat#eio-sid")
    found = heard(core, "/chat", "connect_error")
    chat.leave()
    chat.join()
    core.receive(b'44/chat,"no"')
    assert found == [("connect_error", {"message": "no"})]
    assert core.sent() == [b"41/chat,", b"40/chat,"]
    core.loop.advance(25)
    assert core.sent() == [b"2"]
    core.receive(b"3")
    core.loop.advance(44)
    assert core.session.connected
    assert core.sent() == [b"2"]
    core.loop.advance(2)
    assert core.session.closed
