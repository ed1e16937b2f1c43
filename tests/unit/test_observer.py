"""An observer is told of everything, once, and cannot disturb it."""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

import pytest
from support.sansio import Server, WebSocket, join, make_engine, open_session, run

import socketio_fast
from socketio_fast import AsyncServer
from socketio_fast._core.engine.observer import ConnectionListener, Observer
from socketio_fast._core.engine.request_hooks import RequestHooks
from socketio_fast._core.engine.session import Session
from socketio_fast._core.socketio.hub import Namespace
from socketio_fast._core.socketio.peer_lifecycle import Peer


class Log(Observer):
    """Notes what it is told."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.log: list[tuple[Any, ...]] = []

    def take(self) -> list[tuple[Any, ...]]:
        log, self.log = self.log, []
        return log

    def session_opened(self, session: Session) -> None:
        self.log.append(("opened", session.transport_name))

    def session_upgraded(self, session: Session) -> None:
        self.log.append(("upgraded", session.transport_name))

    def session_closed(self, session: Session, reason: str) -> None:
        self.log.append(("closed", reason))

    def peer_connected(self, peer: Peer) -> None:
        self.log.append(("connected", peer.namespace.name, peer.sid))

    def peer_disconnected(self, peer: Peer, reason: str) -> None:
        self.log.append(("disconnected", peer.namespace.name, peer.sid, reason))

    def event_received(self, peer: Peer, event: list[Any]) -> None:
        self.log.append(("received", peer.sid, list(event)))

    def event_sent(
        self, namespace: Namespace, event: list[Any], to: Any, skip: Any
    ) -> None:
        self.log.append(("sent", namespace.name, event, to, skip))

    def room_joined(self, peer: Peer, room: Any) -> None:
        self.log.append(("joined", peer.sid, room))

    def room_left(self, peer: Peer, room: Any) -> None:
        self.log.append(("left", peer.sid, room))


def make(*, events: bool = True, **options: Any) -> tuple[Server, AsyncServer, Log]:
    sio = AsyncServer(**options)
    log = Log(events=events)
    sio.eio.engine.observe(log)
    return Server(sio), sio, log


def test_a_client_that_comes_and_goes() -> None:
    server, _, log = make()
    client = server.websocket()
    assert log.take() == [("opened", "websocket")]
    sid = join(client)
    assert log.take() == [("connected", "/", sid)]
    client.text("41")
    assert log.take() == [("disconnected", "/", sid, "client disconnect")]
    client.leave()
    assert log.take() == [("closed", "transport close")]


def test_a_connection_that_is_lost() -> None:
    server, _, log = make(namespaces=["/", "/chat"])
    client, sid = server.joined()
    chat = join(client, "/chat")
    log.take()
    client.wire.lose()
    assert log.take() == [
        ("closed", "transport close"),
        ("disconnected", "/", sid, "transport close"),
        ("disconnected", "/chat", chat, "transport close"),
    ]


def test_an_upgrade() -> None:
    server, _, log = make()
    _, eio_sid = server.polling()
    assert log.take() == [("opened", "polling")]
    client = WebSocket(server, eio_sid)
    client.text("2probe")
    client.text("5")
    assert log.take() == [("upgraded", "websocket")]
    client.leave()
    assert log.take() == [("closed", "transport close")]


def test_who_is_refused_is_not_told() -> None:
    server, sio, log = make()
    sio.on("connect", lambda sid, environ: False)
    client = server.websocket()
    client.text("40")
    client.text("40/unknown,")
    client.leave()
    assert log.take() == [("opened", "websocket"), ("closed", "transport close")]


def test_who_is_disconnected_while_connecting_is_not_told() -> None:
    server, sio, log = make()
    ended: list[str] = []

    @sio.on("connect")
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await sio.disconnect(sid)

    sio.on("disconnect", lambda sid, reason: ended.append(reason))
    client = server.websocket()
    client.text("40")
    assert ended == ["server disconnect"]
    assert log.take() == [("opened", "websocket")]


def test_it_hears_of_a_client_behind_its_connect_packet() -> None:
    class Greeter(Observer):
        def peer_connected(self, peer: Peer) -> None:
            peer.namespace.rooms.emit(["hello"], peer.sid)

        def peer_disconnected(self, peer: Peer, reason: str) -> None:
            peer.namespace.rooms.emit(["bye"])

    sio = AsyncServer()
    server = Server(sio)
    client, other = server.websocket(), server.joined()[0]
    sio.eio.engine.observe(Greeter())
    client.text("40")
    connect, hello = client.messages()
    assert str(connect).startswith("40{")
    assert hello == '42["hello"]'
    client.text("41")
    assert client.messages() == []
    assert other.messages() == ['42["bye"]']


def test_events() -> None:
    server, sio, log = make()
    client, sid = server.joined()
    server.joined()
    log.take()
    client.text('42["ask",1,{"a":[]}]')
    client.text('451-["file",{"_placeholder":true,"num":0}]')
    client.binary(b"\x01")
    assert log.take() == [
        ("received", sid, ["ask", 1, {"a": []}]),
        ("received", sid, ["file", b"\x01"]),
    ]
    run(sio.emit("one", ("a", 2), to=sid))
    run(sio.emit("all"))
    run(sio.emit("others", b"x", skip_sid=[sid]))
    run(sio.emit("nobody", to="nowhere"))
    assert log.take() == [
        ("sent", "/", ["one", "a", 2], sid, None),
        ("sent", "/", ["all"], None, None),
        ("sent", "/", ["others", b"x"], None, [sid]),
        ("sent", "/", ["nobody"], "nowhere", None),
    ]


def test_what_cannot_be_sent_is_not_told() -> None:
    server, sio, log = make()
    server.joined()
    log.take()
    with pytest.raises(TypeError):
        sio.emit("all", object()).send(None)
    assert log.take() == []


def test_events_are_told_to_who_wants_them() -> None:
    server, sio, log = make(events=False)
    client, _ = server.joined()
    log.take()
    client.text('42["ask"]')
    run(sio.emit("all"))
    assert log.take() == []
    assert not log.events


def test_rooms() -> None:
    server, sio, log = make()
    client, a = server.joined()
    _, b = server.joined()
    log.take()
    run(sio.enter_room(a, "x"))
    run(sio.enter_room(a, "x"))
    run(sio.enter_room(a, a))
    run(sio.enter_room(b, "x"))
    assert log.take() == [("joined", a, "x"), ("joined", b, "x")]
    run(sio.leave_room(a, "x"))
    run(sio.leave_room(a, "x"))
    assert log.take() == [("left", a, "x")]
    run(sio.enter_room(a, "x"))
    log.take()
    run(sio.close_room("x"))
    run(sio.close_room("x"))
    assert log.take() == [("left", b, "x"), ("left", a, "x")]
    assert sio.rooms(a) == [a]
    run(sio.enter_room(a, 1))
    log.take()
    client.text("41")
    assert log.take() == [("disconnected", "/", a, "client disconnect"), ("left", a, 1)]


def test_packets_and_bytes() -> None:
    server, sio, log = make(events=False)
    sio.on("ask", lambda sid, data: data)
    client = server.websocket()
    opened = log.bytes_out
    assert log.packets_out == 1
    client.text("40")
    (connect,) = client.messages()
    assert (log.packets_in, log.bytes_in) == (1, 2)
    assert (log.packets_out, log.bytes_out) == (2, opened + len(connect))
    before = log.packets_out, log.bytes_out
    packets = ['42["all","é"]', '451-["all",{"_placeholder":true,"num":0}]', b"123"]
    run(sio.emit("all", "é"))
    run(sio.emit("all", b"123"))
    assert client.messages() == packets
    size = sum(len(p.encode() if isinstance(p, str) else p) for p in packets)
    assert (log.packets_out, log.bytes_out) == (before[0] + 3, before[1] + size)
    before = log.packets_out, log.bytes_out
    received = log.packets_in, log.bytes_in
    client.text('4217["ask","x"]')
    assert client.messages() == ['4317["x"]']
    assert (log.packets_in, log.bytes_in) == (received[0] + 1, received[1] + 15)
    assert (log.packets_out, log.bytes_out) == (before[0] + 1, before[1] + 9)
    client.text('451-["ask",{"_placeholder":true,"num":0}]')
    client.binary(b"12")
    assert (log.packets_in, log.bytes_in) == (received[0] + 3, received[1] + 15 + 43)


def test_a_broadcast_is_counted_for_each_who_got_it() -> None:
    server, sio, log = make()
    sids = [server.joined()[1] for _ in range(3)]
    for options in ({}, {"to": sids}, {"skip_sid": "nobody"}):
        before = log.packets_out, log.bytes_out
        run(sio.emit("e", **options))
        assert (log.packets_out, log.bytes_out) == (before[0] + 3, before[1] + 3 * 7)
    before = log.packets_out, log.bytes_out
    run(sio.emit("e", skip_sid=sids[0]))
    run(sio.emit("e", to=sids[0]))
    assert (log.packets_out, log.bytes_out) == (before[0] + 3, before[1] + 3 * 7)


def test_what_waits_for_the_connect_handler_is_counted_once() -> None:
    server, sio, log = make()

    @sio.on("connect")
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await sio.emit("hello", to=sid)

    client = server.websocket()
    before = log.packets_out
    client.text("40")
    assert len(client.messages()) == 2
    assert log.packets_out == before + 2


def test_pings_are_not_counted() -> None:
    engine, _, loop = make_engine(ping_interval=1, ping_timeout=1)
    engine.observe(log := Log())
    _, transport = open_session(engine)
    before = log.packets_out
    loop.advance(1.1)
    assert transport.sent[-1] == b"2"
    assert (log.packets_in, log.packets_out) == (0, before)


def test_messages_of_engineio_alone() -> None:
    eio = socketio_fast.engineio.AsyncServer()
    eio.engine.observe(log := Log())
    client = Server(eio).websocket()
    assert log.take() == [("opened", "websocket")]
    before = log.packets_out
    client.text("4hello")
    client.binary(b"xyz")
    run(eio.send(next(iter(eio.sockets)), b"1234"))
    assert (log.packets_in, log.bytes_in) == (2, 9)
    assert log.packets_out == before + 1


def test_several_observe_and_each_may_go() -> None:
    server, sio, log = make()
    other, third = Log(), Log(events=True)
    engine = sio.eio.engine
    engine.observe(other)
    engine.observe(third)
    sio.on("ask", lambda sid: None)
    client, sid = server.joined()
    client.text('42["ask"]')
    came = [("opened", "websocket"), ("connected", "/", sid)]
    assert log.take() == third.take() == [*came, ("received", sid, ["ask"])]
    assert other.take() == came
    assert log.packets_in == other.packets_in == third.packets_in == 2
    assert log.packets_out == other.packets_out == third.packets_out > 0
    engine.unobserve(log)
    engine.unobserve(log)
    run(sio.emit("news", 1))
    assert log.take() == other.take() == []
    assert third.take() == [("sent", "/", ["news", 1], None, None)]
    engine.unobserve(third)
    assert engine.observer is sio._hub.observer is other
    client.leave()
    assert len(other.take()) == 2
    engine.unobserve(other)
    assert engine.observer is sio._hub.observer is None


def test_who_observes_the_engine_counts_what_emit_sends() -> None:
    """As workers do, for `socketio-fast status`."""
    sio = AsyncServer()
    counts = Observer()
    sio.eio.engine.observe(counts)
    client, sid = Server(sio).joined()
    before = counts.packets_out
    run(sio.emit("news", to=sid))
    run(sio.emit("news"))
    assert counts.packets_out == before + 2
    assert len(client.messages()) == 2


TOLD = ["opened", "upgraded", "connected", "received", "sent"]
TOLD += ["joined", "left", "disconnected", "closed"]


@pytest.mark.parametrize("last", TOLD)
def test_it_may_go_while_it_is_told(last: str) -> None:
    """Nobody else holds it."""
    sio = AsyncServer()
    seen: list[tuple[Any, ...]] = []

    class Leaving(Log):
        @property
        def log(self) -> Any:
            return self

        @log.setter
        def log(self, value: Any) -> None:
            pass

        def append(self, entry: tuple[Any, ...]) -> None:
            seen.append(entry)
            if entry[0] == last:
                sio.eio.engine.unobserve(self)

    sio.eio.engine.observe(Leaving(events=True))
    gc.collect()
    server = Server(sio)
    http, eio_sid = server.polling()
    http.post(server.target("polling", eio_sid), "40")
    _, body = http.get(server.target("polling", eio_sid))
    sid = json.loads(body[2:])["sid"]
    client = WebSocket(server, eio_sid)
    client.text("2probe")
    client.text("5")
    client.text('42["e"]')
    run(sio.enter_room(sid, "x"))
    run(sio.emit("e"))
    run(sio.leave_room(sid, "x"))
    client.leave()
    assert seen[-1][0] == last
    assert sio._hub.observer is None


def test_what_it_raises_goes_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Observer):
        def event_received(self, peer: Peer, event: list[Any]) -> None:
            raise ValueError("broken")

    raised: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)
    sio = AsyncServer()
    sio.on("ask", lambda sid: "answer")
    server = Server(sio)
    client, _ = server.joined()
    sio.eio.engine.observe(Broken(events=True))
    client.text('421["ask"]')
    assert client.messages() == ['431["answer"]']
    assert [str(unraisable.exc_value) for unraisable in raised] == ["broken"]


def test_methods_that_are_not_wanted_do_nothing() -> None:
    server, sio, _ = make()
    sio.eio.engine.observe(Observer(events=True))
    client, sid = server.joined()
    run(sio.enter_room(sid, "x"))
    client.text('42["e"]')
    run(sio.emit("e"))
    assert client.messages() == ['42["e"]']
    client.leave()


def test_a_listener_of_a_connection_may_implement_nothing() -> None:
    server, sio, log = make()
    client = server.websocket()
    sid = join(client)
    (session,) = server.engine.sessions.values()
    session.hear(ConnectionListener())
    assert server.engine.packet_listeners == 1
    client.text('42["x"]')
    assert ("received", sid, ["x"]) in log.take()
    run(sio.emit("y"))
    assert client.messages() == ['42["y"]']
    client.leave()
    assert server.engine.packet_listeners == 0


def test_hooks_may_implement_nothing() -> None:
    server, _, log = make()
    server.engine.hooks = RequestHooks()
    server.engine.hooks.every_request = True
    client = server.websocket()
    sid = join(client)
    assert ("connected", "/", sid) in log.take()


def test_listeners_and_hooks_are_of_the_declared_classes() -> None:
    """The core calls them through a table of C functions."""
    engine, _, _ = make_engine()
    session, _ = open_session(engine)
    with pytest.raises(TypeError, match="ConnectionListener"):
        session.hear(object())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="RequestHooks"):
        engine.hooks = object()  # type: ignore[assignment]
