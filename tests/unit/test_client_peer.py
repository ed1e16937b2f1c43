"""A client's place in a namespace: joining, handlers, what waits offline, recovery."""

from __future__ import annotations

import time
from typing import Any

import pytest
from support.client_core import Core, heard, open_packet

from socketio_fast._core.client.session import ClientSession
from socketio_fast._core.socketio.acks import Reply
from socketio_fast.exceptions import CallDisconnectedError, OfflineBufferError


def test_joining() -> None:
    core = Core().open()
    found = heard(core, "/", "connect")
    peer = core.peer()
    peer.join()
    assert core.sent() == [b"40"]
    assert not peer.connected
    core.receive(b'40{"sid":"s"}')
    assert (peer.connected, peer.sid) == (True, "s")
    assert core.peers.told == [("joined", "/", "s")]
    assert found == [("connect",)]


def test_joining_with_auth_and_of_a_namespace() -> None:
    core = Core().open()
    core.peer("/chat").join({"token": "t"})
    assert core.sent() == [b'40/chat,{"token":"t"}']


def test_a_refusal() -> None:
    core = Core().open()
    found = heard(core, "/", "connect_error")
    peer = core.peer()
    peer.join()
    core.sent()
    core.receive(b'44{"message":"no","data":{"a":1}}')
    assert found == [("connect_error", {"message": "no", "data": {"a": 1}})]
    assert not peer.active
    assert core.session.connected


@pytest.mark.parametrize("data", [b"", b'{"sid":1}', b'{"sid":""}', b"{}"])
def test_a_connect_without_a_sid_is_a_refusal(data: bytes) -> None:
    core = Core().open()
    found = heard(core, "/", "connect", "connect_error")
    core.peer().join()
    core.sent()
    core.receive(b"40" + data)
    ((event, error),) = found
    assert event == "connect_error"
    assert "eio=3" in error["message"]


def test_events_go_to_handlers_without_a_sid() -> None:
    core = Core().open()
    found = heard(core, "/", "e", "*")
    core.joined()
    core.receive(b'42["e",1,"two"]', b'42["other",{"a":[]}]')
    assert found == [("e", 1, "two"), ("*", "other", {"a": []})]


def test_handlers_of_any_namespace_get_its_name() -> None:
    core = Core().open()
    found = heard(core, "*", "e", "*")
    core.joined("/chat")
    core.receive(b'42/chat,["e",1]', b'42/chat,["other",2]')
    assert found == [("e", "/chat", 1), ("*", "other", "/chat", 2)]


def test_what_a_handler_returns_is_acknowledged() -> None:
    core = Core().open()
    answers = {"none": None, "one": 1, "two": (1, [2]), "list": [1, 2]}
    for event, answer in answers.items():
        core.hub.namespace("/").set_handler(event, lambda answer=answer: answer)
    core.joined()
    for number, event in enumerate(answers):
        core.receive(b'42%d["%s"]' % (number, event.encode()))
    assert core.sent() == [b"430[]", b"431[1]", b"432[1,[2]]", b"433[[1,2]]"]


def test_a_handler_that_raises_leaves_the_session() -> None:
    core = Core().open()

    def fails() -> None:
        raise ValueError("of the program")

    core.hub.namespace("/").set_handler("e", fails)
    core.joined()
    core.receive(b'42["e"]', b'421["e"]')
    assert core.session.connected
    assert core.sent() == []


def test_acknowledgements_reach_their_callbacks() -> None:
    core = Core().open()
    peer = core.joined()
    got: list[Any] = []
    peer.emit(["e", 1], lambda *args: got.append(args))
    peer.emit(["e", 2], lambda *args: got.append(args))
    assert core.sent() == [b'420["e",1]', b'421["e",2]']
    core.receive(b'431["b"]', b"430[]", b'430["again"]', b'437["unknown"]')
    assert got == [("b",), ()]


def test_binary_both_ways() -> None:
    core = Core().open()
    found = heard(core, "/", "e")
    peer = core.joined()
    core.receive(b'451-["e",{"_placeholder":true,"num":0}]', b"bAAEC")
    assert found == [("e", b"\x00\x01\x02")]
    peer.emit(["e", b"\x00\x01\x02"])
    assert core.sent() == [b'451-["e",{"_placeholder":true,"num":0}]', b"bAAEC"]


def test_packets_of_other_namespaces_are_ignored() -> None:
    core = Core().open()
    core.joined()
    core.receive(b'42/unknown,["e"]', b'40/unknown,{"sid":"x"}')
    assert core.session.connected


def test_a_disconnect_of_the_server() -> None:
    core = Core().open()
    found = heard(core, "/", "disconnect")
    peer = core.joined()
    core.receive(b"41")
    assert found == [("disconnect", "server disconnect")]
    assert (peer.connected, peer.active) == (False, False)
    assert core.session.connected


def test_leaving() -> None:
    core = Core().open()
    found = heard(core, "/", "disconnect")
    peer = core.joined()
    peer.leave()
    assert core.sent() == [b"41"]
    assert found == [("disconnect", "client disconnect")]


def test_leaving_before_the_server_has_answered() -> None:
    core = Core().open()
    found = heard(core, "/", "connect", "disconnect")
    peer = core.peer()
    peer.join()
    peer.leave()
    assert core.sent() == [b"40", b"41"]
    core.receive(b'40{"sid":"s"}')
    assert not peer.connected
    assert found == []


def test_what_is_emitted_offline_is_sent_in_order_when_it_is_joined() -> None:
    """C7: behind CONNECT."""
    core = Core().open()
    peer = core.joined()
    core.session.fail("transport error")
    for number in range(3):
        peer.emit(["e", number])
    assert peer.offline_events == 3
    core.connect()
    core.open()
    peer.join()
    peer.emit(["e", 3])
    assert core.sent() == [b"40"]
    core.receive(b'40{"sid":"s2"}')
    assert core.sent() == [b'42["e",%d]' % number for number in range(4)]
    assert (peer.offline_events, peer.offline_bytes) == (0, 0)


def test_what_waits_offline_is_bounded() -> None:
    core = Core().open()
    peer = core.joined()
    core.session.fail("transport error")
    peer.max_offline_events = 2
    peer.emit(["e", 1])
    peer.emit(["e", 2], lambda: None)
    with pytest.raises(OfflineBufferError, match="max_offline_events=2"):
        peer.emit(["e", 3], lambda: None)
    peer.max_offline_events = 100
    peer.max_offline_bytes = peer.offline_bytes + 5
    with pytest.raises(OfflineBufferError, match="max_offline_bytes="):
        peer.emit(["e", "more than five bytes"])
    assert peer.offline_events == 2


def test_a_volatile_event_is_not_kept() -> None:
    core = Core().open()
    peer = core.joined()
    core.session.fail("transport error")
    peer.emit(["e"], None, True)
    assert peer.offline_events == 0


@pytest.mark.parametrize("encoded", [False, True], ids=["emit", "encode"])
def test_what_is_emitted_after_a_sleep_waits_for_the_next_connection(
    encoded: bool,
) -> None:
    """C25: the silence of the server is noticed before its deadline is."""
    core = Core().open(pingInterval=10, pingTimeout=10)
    peer = core.joined()
    peer.intend()
    answers: list[Any] = []
    send = peer.encode(["e"], answers.append) if encoded else None
    time.sleep(0.03)  # the loop of this test does not know of it
    if send is None:
        peer.emit(["e"], answers.append)
    else:
        send()
    assert core.sent() == []
    assert core.owner.told[-1] == ("closed", "ping timeout", None)
    assert (peer.connected, peer.offline_events) == (False, 1)
    core.connect()
    core.open()
    peer.join()
    core.sent()
    core.receive(b'40{"sid":"again"}')
    (packet,) = core.sent()
    core.receive(b"43" + packet[2:-5] + b'["answer"]')
    assert answers == ["answer"]


def test_acknowledgements_of_what_was_sent_are_given_up_with_the_connection() -> None:
    core = Core().open()
    peer = core.joined()
    sent, waits = (Reply(core.loop.create_future()) for _ in range(2))
    peer.emit(["sent"], sent)
    core.sent()
    core.session.fail("transport error")
    peer.emit(["waits"], waits)
    with pytest.raises(CallDisconnectedError, match="transport error"):
        sent.future.result()
    assert not waits.future.done()
    core.connect()
    core.open()
    peer.join()
    core.sent()
    core.receive(b'40{"sid":"s2"}')
    assert core.sent() == [b'421["waits"]']
    core.receive(b'431["answer"]')
    assert waits.future.result() == ["answer"]


def test_what_comes_before_connect_is_handled_after_it() -> None:
    core = Core().open()
    found = heard(core, "/", "e", "connect")
    core.peer().join()
    core.sent()
    core.receive(b'42["e",1]', b'40{"sid":"s"}')
    assert found == [("e", 1), ("connect",)]


def test_recovery() -> None:
    core = Core().open()
    peer = core.joined(pid="secret")
    assert not peer.recovered
    core.receive(b'42["e","first"]', b'42["e",1,"second"]', b'42["e",{"no":"offset"}]')
    core.session.fail("transport error")
    core.connect()
    core.open()
    peer.join({"token": "t"})
    assert core.sent() == [b'40{"pid":"secret","offset":"second","token":"t"}']
    core.receive(b'40{"sid":"sid of /","pid":"secret"}')
    assert peer.recovered


def test_another_pid_is_no_recovery() -> None:
    core = Core().open()
    peer = core.joined(pid="secret")
    core.session.fail("transport error")
    core.connect()
    core.open()
    peer.join()
    core.sent()
    core.receive(b'40{"sid":"s2","pid":"another"}')
    assert not peer.recovered


def test_leaving_in_a_handler() -> None:
    core = Core().open()
    found: list[Any] = []
    peer = core.peer()
    core.hub.namespace("/").set_handler("connect", peer.leave)
    core.hub.namespace("/").set_handler("disconnect", found.append)
    peer.join()
    peer.emit(["kept"])
    core.sent()
    core.receive(b'40{"sid":"s"}', b'42["never"]')
    assert found == ["client disconnect"]
    assert core.sent() == [b'42["kept"]', b"41"]


def test_the_session_may_end_in_a_handler() -> None:
    core = Core().open()
    core.joined()
    core.hub.namespace("/").set_handler(
        "e", lambda: core.session.fail("transport error")
    )
    assert not core.receive(b'42["e"]', b'42["e"]', b'421["e"]')
    assert core.owner.told[-1][0] == "closed"


class Sleep:
    """A clock that goes on while the loop's stands still: the machine sleeps."""

    def __init__(self, core: Core) -> None:
        self.now = 5_000.0
        self._core = core
        core.session.set_clock(lambda: self.now)

    def awake(self, seconds: float) -> None:
        """Let time pass for both clocks, without timers."""
        self.now += seconds
        self._core.loop.now += seconds


def test_what_is_emitted_after_a_long_sleep_waits_for_the_next_connection() -> None:
    """The server has given the session up: 25 + 20 s."""
    core = Core().open()
    peer = core.joined()
    sleep = Sleep(core)
    sleep.now += 46
    assert peer.connected
    assert not peer.reachable
    peer.emit(["one"])
    peer.emit(["dropped"], volatile=True)
    peer.emit(["two"], lambda: None)
    assert core.owner.told[-1][0] != "closed"
    assert core.sent() == []
    assert core.owner.told[-1] == ("closed", "ping timeout", None)
    peer.emit(["three"])
    core.connect()
    core.open()
    peer.join()
    assert core.sent() == [b"40"]
    core.receive(b'40{"sid":"s2"}')
    assert core.sent() == [b'42["one"]', b'420["two"]', b'42["three"]']
    assert list(peer.callbacks) == [0]


def test_after_a_short_sleep_the_session_goes_on() -> None:
    core = Core().open()
    peer = core.joined()
    sleep = Sleep(core)
    for _ in range(3):
        sleep.now += 44
        peer.emit(["e"])
        assert core.sent() == [b'42["e"]']
        core.receive(b"2")  # counts from here
        assert core.sent() == [b"3"]
    sleep.awake(30)
    sleep.now += 14
    peer.emit(["e"])
    assert core.sent() == [b'42["e"]']
    sleep.now += 2
    peer.emit(["e"])
    assert core.sent() == []
    assert core.owner.told[-1] == ("closed", "ping timeout", None)


def test_a_loop_that_was_busy_for_so_long_is_the_same() -> None:
    """The server has given the session up, and the deadline has not been noticed."""
    core = Core().open()
    peer = core.joined()
    sleep = Sleep(core)
    sleep.awake(46)
    peer.emit(["e"])
    assert core.sent() == []
    assert core.owner.told[-1] == ("closed", "ping timeout", None)


def test_the_heartbeat_of_revision_3_after_a_sleep() -> None:
    """This side pings: the server has given up 20 s after the ping was due."""
    core = Core()
    core.session = ClientSession(core.engine, core.owner, 1)
    core.session.begin(core.polling)
    length = len(open_packet())
    core.polling.received(f"{length}:".encode() + open_packet())
    peer = core.peer()
    peer.join()
    core.polling.received(b"2:40")
    sleep = Sleep(core)
    sleep.now += 44
    assert peer.reachable
    sleep.now += 2
    assert not peer.reachable
