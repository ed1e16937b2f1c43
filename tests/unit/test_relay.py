"""Events between workers: the bytes that clients get, and whom they are sent to."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest
from support.sansio import Server, WebSocket

from socketio_fast import AsyncServer
from socketio_fast._core.engine.observer import Observer
from socketio_fast._core.socketio.meter import Meter
from socketio_fast._core.socketio.relay import WorkerRelay
from socketio_fast.cluster.frames import FrameReader, Kind


class Worker:
    """A server, whose frames are delivered when the test says so."""

    def __init__(self, tag: str, encoding: str = "a", **options: Any) -> None:
        self.tag = tag
        self.sio = AsyncServer(**options)
        self.server = Server(self.sio)
        self.rooms = self.sio._hub.namespace("/").rooms
        self.plain: list[Any] = []
        self.dropped: list[str] = []
        self.full = False
        self.relay = WorkerRelay(
            self.sio._hub,
            Kind.MESSAGE,
            encoding,
            lambda *event: self.plain.append(event),
            self.dropped.append,
        )
        self.sio._hub.relay = self.relay
        self.sent: list[bytes] = []

    def _send(self, frame: bytes) -> bool:
        if not self.full:
            self.sent.append(frame)
        return not self.full

    def knows(self, other: Worker) -> None:
        self.relay.joined(other.tag, self._send)
        self.sent.append(self.relay.state())

    def deliver(self, other: Worker) -> list[bytes]:
        """Give the other worker what was sent to it; returns what the core does not
        read."""
        rest = []
        sent, self.sent = self.sent, []
        for kind, payload in FrameReader().feed(b"".join(sent)):
            assert kind == Kind.MESSAGE
            found = other.relay.receive(self.tag, payload)
            if found is not None:
                rest.append(found)
        return rest

    def client(self) -> WebSocket:
        socket = self.server.websocket()
        socket.text("40")
        socket.messages()
        return socket

    def emit(self, *data: Any, to: Any = None, skip: Any = None, **flags: Any) -> None:
        self.relay.emit("/", list(data), to, skip, skip, **flags)

    @property
    def sid(self) -> str:
        return list(self.sio._hub.namespaces["/"].peers)[-1]


@pytest.fixture
def pair() -> tuple[Worker, Worker]:
    """Two workers that know each other."""
    a, b = Worker("aaaa"), Worker("bbbb")
    a.knows(b)
    b.knows(a)
    a.deliver(b)
    b.deliver(a)
    return a, b


def test_clients_get_the_bytes_that_were_encoded(pair: tuple[Worker, Worker]) -> None:
    a, b = pair
    client = b.client()
    a.emit("e", 1, "é\u2028")
    a.emit("e", b"\x00", {"b": [b"2"]})
    a.deliver(b)
    assert client.messages() == [
        '42["e",1,"é\u2028"]',
        '452-["e",{"_placeholder":true,"num":0},{"b":[{"_placeholder":true,"num":1}]}]',
        b"\x00",
        b"2",
    ]


def test_an_event_goes_where_its_room_is(pair: tuple[Worker, Worker]) -> None:
    a, b = pair
    client = b.client()
    a.emit("nobody", to="r")
    a.emit("nobody", to=["r", 5])
    assert a.sent == []
    b.rooms.enter(b.sid, "r")
    b.rooms.enter(b.sid, 5)
    b.deliver(a)
    # They were sent before anybody was there.
    assert a.sent == []
    a.emit("r", to="r")
    a.emit("5", to=[5, "s"])
    a.emit("nobody", to="s")
    assert len(a.sent) == 2
    a.deliver(b)
    assert client.messages() == ['42["r"]', '42["5"]']
    b.rooms.leave(b.sid, "r")
    b.rooms.close(5)
    b.deliver(a)
    a.emit("nobody", to=["r", 5])
    assert a.sent == []


def test_what_is_sent_before_a_worker_hears_of_a_room(
    pair: tuple[Worker, Worker],
) -> None:
    """It is sent when it hears, in order, once, and nothing that was sent before."""
    a, b = pair
    client = b.client()
    a.emit("before", to="r")
    b.rooms.enter(b.sid, "r")
    b.rooms.enter(b.sid, "s")
    for number in range(3):
        a.emit("e", number, to=["r", "s"])
    a.emit("elsewhere", to="t")
    a.emit("dropped", to="r", volatile=True)
    assert a.sent == []
    b.deliver(a)
    assert len(a.sent) == 3
    a.deliver(b)
    assert client.messages() == [f'42["e",{number}]' for number in range(3)]


def test_what_is_kept_for_others_is_bounded(pair: tuple[Worker, Worker]) -> None:
    a, b = pair
    client = b.client()
    b.rooms.enter(b.sid, "r")
    for number in range(2500):
        a.emit("e", number, to="r")
    b.deliver(a)
    assert len(a.sent) == 2000
    a.deliver(b)
    assert client.messages()[-1] == '42["e",2499]'
    b.rooms.enter(b.sid, "large")
    for _ in range(10):
        a.emit("e", "x" * 1_000_000, to="large")
    b.deliver(a)
    assert len(a.sent) == 4


def test_a_worker_that_puts_clients_into_rooms_sends_there_at_once(
    pair: tuple[Worker, Worker],
) -> None:
    a, b = pair
    b.client()
    a.relay.expect("bbbb", "/", ["r", "none"])
    a.emit("e", to="r")
    a.emit("e", to="none")
    assert len(a.sent) == 2
    a.deliver(b)
    b.rooms.enter(b.sid, "r")
    b.relay.confirm("aaaa", "/", ["r", "none"])
    b.deliver(a)
    (remote,) = a.relay.remotes.values()
    assert remote.wants("/", ["r"])
    assert not remote.wants("/", ["none"])


def test_a_worker_that_has_not_said_what_it_has_is_sent_all() -> None:
    a, b = Worker("aaaa"), Worker("bbbb")
    client = b.client()
    a.relay.joined("bbbb", a._send)
    a.emit("e", to="r")
    a.emit("e")
    assert len(a.sent) == 2
    a.deliver(b)
    assert client.messages() == ['42["e"]']


def test_skips_mean_sids_and_rooms(pair: tuple[Worker, Worker]) -> None:
    a, b = pair
    a.client()
    first, second = b.client(), b.client()
    skipped = b.sid
    b.rooms.enter(skipped, "muted")
    b.deliver(a)
    a.emit("1", skip=skipped)
    a.emit("2", skip=["muted", a.sid])
    a.relay.emit("/", ["3"], None, ["muted"], [], excepts=True)
    a.deliver(b)
    assert first.messages() == ['42["1"]', '42["2"]', '42["3"]']
    assert second.messages() == ['42["2"]']


def test_an_event_to_a_client_of_this_worker_stays_here(
    pair: tuple[Worker, Worker],
) -> None:
    a, _ = pair
    client = a.client()
    a.sio._bind_manager(a)
    with contextlib.suppress(StopIteration):
        a.sio.emit("e", to=a.sid).send(None)
    assert client.messages() == ['42["e"]']
    assert a.sent == []


def test_drops_are_told(pair: tuple[Worker, Worker]) -> None:
    a, b = pair
    b.client()
    a.full = True
    a.emit("e")
    a.rooms.namespace.hub.namespace("/x")
    assert a.dropped == ["bbbb", "bbbb"]


def test_another_encoding_gets_the_event(pair: tuple[Worker, Worker]) -> None:
    a, _ = pair
    other = Worker("cccc", "b")
    a.knows(other)
    other.knows(a)
    a.deliver(other)
    other.deliver(a)
    a.emit("e", b"1", to=["r", "cccc"], skip="s")
    assert a.plain == [("cccc", ["e", b"1"], "/", ["r", "cccc"], ["s"], True, False)]


def test_rooms_that_cannot_be_named(pair: tuple[Worker, Worker]) -> None:
    a, b = pair
    a.client()
    for room in (("a", 1), frozenset(), object, b"bytes"):
        with pytest.raises(TypeError, match="no room for several workers"):
            a.rooms.enter(a.sid, room)
    assert a.rooms.of(a.sid) == [a.sid]
    for room in ("\ud800", -(10**30), 0.1, True, ""):
        a.rooms.enter(a.sid, room)
    a.deliver(b)
    (remote,) = b.relay.remotes.values()
    for room in ("\ud800", -(10**30), 0.1, 1, ""):
        assert remote.wants("/", [room])


def test_nonsense_raises_value_errors(pair: tuple[Worker, Worker]) -> None:
    """Frames of which bytes are changed, cut off or added: never anything else."""
    a, b = pair
    b.client()
    b.rooms.enter(b.sid, "r")
    b.deliver(a)
    a.sent = [a.relay.state()]
    a.client()
    a.rooms.enter(a.sid, "s")
    a.rooms.leave(a.sid, "s")
    a.emit("e", {"a": b"1"}, to=["r", 5, 0.5], skip=["x", b.sid])
    a.emit("plain", 1)
    a.sio._hub.namespace("/y")
    frames = [payload for _, payload in FrameReader().feed(b"".join(a.sent))]
    assert len(frames) == 6
    drawn = random.Random(7)
    refused = 0
    for _ in range(20_000):
        payload = bytearray(drawn.choice(frames))
        for _ in range(drawn.randint(1, 3)):
            what, at = drawn.randrange(3), drawn.randrange(len(payload) + 1)
            if what == 0 and payload:
                payload[at - 1] = drawn.randrange(256)
            elif what == 1:
                del payload[at:]
            else:
                payload.insert(at, drawn.randrange(256))
        try:
            b.relay.receive("aaaa", bytes(payload))
        except ValueError:
            refused += 1
    assert refused > 5_000


# --- who watches -------------------------------------------------------------------


class Watcher(Observer):
    """Notes the events that are sent."""

    def __init__(self) -> None:
        super().__init__(events=True)
        self.log: list[Any] = []

    def event_sent(self, namespace: Any, event: list[Any], to: Any, skip: Any) -> None:
        self.log.append(list(event))


@pytest.mark.parametrize("encoding", [None, "msgpack"])
def test_an_observer_hears_what_another_worker_sends(encoding: str | None) -> None:
    options: dict[str, Any] = {} if encoding is None else {"serializer": encoding}
    a, b = Worker("aaaa", **options), Worker("bbbb", **options)
    a.knows(b)
    b.knows(a)
    a.deliver(b)
    b.deliver(a)
    b.client()
    b.deliver(a)
    watcher = Watcher()
    b.server.engine.observe(watcher)
    a.emit("text", 1, 'of "quotes"')
    a.emit("binary", [b"\0\1", {"b": b"\2"}])
    a.deliver(b)
    assert watcher.log == [
        ["text", 1, 'of "quotes"'],
        ["binary", [b"\0\1", {"b": b"\2"}]],
    ]


@pytest.mark.parametrize("name", ["plain", 'of "quotes"', "é", "\n"])
def test_events_of_another_worker_are_counted_by_name(
    pair: tuple[Worker, Worker], name: str
) -> None:
    a, b = pair
    b.client()
    b.deliver(a)
    meter = Meter(b.sio._hub.wildcard, frozenset([name]), 10)
    b.sio._hub.measure(meter)
    a.emit(name, 1)
    a.emit(name, b"\0")
    a.deliver(b)
    assert [(one.event, one.events) for one in meter.sent] == [(name, 2)]
