"""The socket API: clients and namespaces as objects."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from support.raw import request
from support.sansio import errors, join
from support.socket_api import make, one, refusal

from socketio_fast import exceptions
from socketio_fast.sockets.namespace import SocketNamespace
from socketio_fast.sockets.socket import Socket

# --- namespaces ------------------------------------------------------------------


def test_a_namespace_that_was_asked_for_accepts_clients() -> None:
    """N1"""
    server, sio = make()
    client = server.websocket()
    client.text("40/chat,")
    assert client.messages() == ['44/chat,{"message":"Invalid namespace"}']
    nsp = sio.of("/chat")
    assert nsp.name == "/chat"
    assert sio.of("chat") is nsp
    join(client, "/chat")
    client.text("40/other,")
    assert client.messages() == ['44/other,{"message":"Invalid namespace"}']


def test_handlers_that_go_leave_a_namespace_that_was_asked_for() -> None:
    server, sio = make()
    sio.of("/chat")
    sio.on("x", lambda sid: None, namespace="/chat")
    del sio.handlers["/chat"]
    join(server.websocket(), "/chat")


@pytest.mark.parametrize("name", [5, None, b"/x"])
def test_of_something_else(name: Any) -> None:
    _, sio = make()
    with pytest.raises(TypeError, match="a name, a pattern"):
        sio.of(name)


def test_of_a_pattern_with_a_parameter_twice() -> None:
    _, sio = make()
    with pytest.raises(ValueError, match="twice"):
        sio.of("/{a}/{a}")


def test_of_a_pattern_with_two_parameters_side_by_side() -> None:
    _, sio = make()
    with pytest.raises(ValueError, match="need text between them"):
        sio.of("/{a}{b}")


@pytest.mark.parametrize(
    ("pattern", "name", "params"),
    [
        ("/{year}-{month}-{day}", "/2024-01-02-x", ("2024", "01", "02-x")),
        ("/{file}.json", "/a.json.json", ("a.json",)),
        ("/{a}--{b}/{c}", "/x-y--z/1", ("x-y", "z", "1")),
        ("/{a}-{b}", "/-b", None),
    ],
)
def test_where_parameters_of_a_pattern_end(
    pattern: str, name: str, params: tuple[str, ...] | None
) -> None:
    _, sio = make()
    found = sio.of(pattern)._match(name)
    assert (found and found.groups()) == params


def test_names_that_fit_no_pattern_are_found_out_quickly() -> None:
    """Were each place tried at which a parameter may end, this took hours."""
    server, sio = make()
    sio.of("/{a}-{b}-{c}-{d}-{e}/end")
    client = server.websocket()
    name = "/" + "-" * 1000
    client.text(f"40{name},")
    assert client.messages() == [f'44{name},{{"message":"Invalid namespace"}}']


def test_families_are_not_asked_for_very_long_names() -> None:
    server, sio = make()
    asked: list[str] = []

    def allowed(name: str, auth: Any) -> bool:
        asked.append(name)
        return True

    sio.of(allowed)
    client = server.websocket()
    client.text(f"40/{'x' * 1024},")
    (refused,) = client.messages()
    assert str(refused).endswith('{"message":"Invalid namespace"}')
    client.text(f"40/{'x' * 1023},")
    assert asked == ["/" + "x" * 1023]


def test_connection_listeners_get_the_socket_after_the_reply() -> None:
    """K1, K16"""
    server, sio = make()
    nsp = sio.of("/chat")
    got: list[Socket] = []

    @nsp.on("connection")
    async def connection(socket: Socket) -> None:
        got.append(socket)
        assert socket.connected
        socket.emit("welcome", 1, [2])

    client = server.websocket()
    client.text('40/chat,{"token":5}')
    reply, welcome = client.messages()
    (socket,) = got
    assert reply == f'40/chat,{{"sid":"{socket.id}"}}'
    assert welcome == '42/chat,["welcome",1,[2]]'
    assert nsp.sockets[socket.id] is socket
    assert dict(nsp.sockets) == {socket.id: socket}
    assert len(nsp.sockets) == 1
    assert socket.nsp is nsp
    assert socket.handshake.auth == {"token": 5}
    assert not socket.recovered
    client.leave()
    assert not socket.connected
    assert dict(nsp.sockets) == {}


def test_connect_is_connection_by_another_name() -> None:
    server, sio = make()
    got: list[str] = []
    sio.of("/").on("connect", lambda socket: got.append("connect"))
    sio.of("/").once("connection", lambda socket: got.append("once"))
    server.joined()
    server.joined()
    assert got == ["connect", "once", "connect"]


@pytest.mark.parametrize("suspends", [False, True])
def test_middlewares_run_in_order_and_refuse(suspends: bool) -> None:
    """N5, N12"""
    server, sio = make()
    nsp = sio.of("/")
    log: list[Any] = []

    @nsp.use
    async def first(socket: Socket) -> None:
        log.append("first")
        if suspends:
            await asyncio.sleep(0)
        assert not socket.connected

    @nsp.use
    def second(socket: Socket) -> None:
        log.append("second")
        if socket.handshake.auth != {"token": "good"}:
            raise exceptions.ConnectionRefusedError("no", {"code": 5})
        socket.data["user"] = "x"

    @nsp.use
    def third(socket: Socket) -> None:
        log.append("third")

    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        log.append(("handler", await sio.get_session(sid)))

    nsp.on("connection", lambda socket: log.append("connection"))
    client = server.websocket()
    client.text("40")
    assert refusal(client) == {"message": "no", "data": {"code": 5}}
    assert log == ["first", "second"]
    log.clear()
    client.text('40{"token":"good"}')
    assert len(client.messages()) == 1
    assert log == ["first", "second", "third", ("handler", {"user": "x"}), "connection"]


def test_a_middleware_that_fails_refuses(caplog: pytest.LogCaptureFixture) -> None:
    server, sio = make()

    @sio.of("/").use
    def middleware(socket: Socket) -> None:
        raise KeyError("secret")

    client = server.websocket()
    client.text("40")
    assert refusal(client) == {"message": "Connection rejected by server"}
    assert len(errors(caplog)) == 1


def test_a_client_that_goes_while_a_middleware_runs() -> None:
    server, sio = make()
    log: list[str] = []
    sio.of("/").use(lambda socket: asyncio.sleep(1))
    sio.on("connect", lambda sid, environ: log.append("connect"))
    sio.of("/").on("connection", lambda socket: log.append("connection"))
    client = server.websocket()
    client.text("40")
    client.leave()
    server.loop.advance(2)
    assert log == []
    assert sio._hub.namespaces["/"].peers == {}


def test_the_order_of_a_new_client() -> None:
    """N5: middlewares, handler, reply, listeners."""
    server, sio = make()
    log: list[Any] = []
    sio.of("/").use(lambda socket: log.append("middleware"))
    sio.on("connect", lambda sid, environ: log.append("handler"))
    sio.of("/").on("connection", lambda s: log.append(("connection", s.connected)))
    server.joined()
    assert log == ["middleware", "handler", ("connection", True)]


# --- rooms -----------------------------------------------------------------------


def test_rooms() -> None:
    """K14, K15"""
    server, sio = make()
    _, socket = one(sio, server)
    assert socket.rooms == {socket.id}
    socket.join("a")
    socket.join(["b", 5])
    assert socket.rooms == {socket.id, "a", "b", 5}
    socket.leave({"b", 5})
    socket.leave("nothing")
    assert set(sio.rooms(socket.id)) == {socket.id, "a"}


def test_adapter_events() -> None:
    """A2, B4"""
    server, sio = make()
    adapter = sio.of("/").adapter
    log: list[Any] = []
    for event in ("create-room", "delete-room", "join-room", "leave-room"):
        adapter.on(event, lambda *args, event=event: log.append((event, *args)))
    client, socket = one(sio, server)
    sid = socket.id
    socket.join("a")
    socket.join("a")
    assert adapter.rooms == {sid: {sid}, "a": {sid}}
    assert adapter.sids == {sid: {sid, "a"}}
    socket.leave("a")
    socket.join("b")
    client.leave()
    assert log == [
        ("create-room", sid),
        ("join-room", sid, sid),
        ("create-room", "a"),
        ("join-room", "a", sid),
        ("leave-room", "a", sid),
        ("delete-room", "a"),
        ("create-room", "b"),
        ("join-room", "b", sid),
        ("leave-room", "b", sid),
        ("delete-room", "b"),
        ("leave-room", sid, sid),
        ("delete-room", sid),
    ]
    assert adapter.rooms == adapter.sids == {}
    with pytest.raises(ValueError, match="create-room"):
        adapter.on("created", print)


def test_an_adapter_listener_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    server, sio = make()

    @sio.of("/").adapter.on("join-room")
    def join_room(room: Any, sid: str) -> None:
        raise KeyError(room)

    _, socket = one(sio, server)
    socket.join("a")
    assert socket.rooms == {socket.id, "a"}
    assert len(errors(caplog)) == 2


# --- sending ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ],
)
def test_reserved_events(event: str) -> None:
    """K10"""
    server, sio = make()
    client, socket = one(sio, server)
    with pytest.raises(ValueError, match=f"{event!r} is a reserved event name"):
        socket.emit(event)
    assert client.messages() == []


def test_emit_with_ack() -> None:
    server, sio = make()
    client, socket = one(sio, server)
    got: list[Any] = []

    async def ask(*args: Any) -> None:
        try:
            got.append(await socket.timeout(5).emit_with_ack("q", *args))
        except exceptions.TimeoutError as exc:
            got.append(exc)

    for _ in range(5):
        with server.loop.running():
            server.loop.create_task(ask(1, b"x"))
        server.loop.turn()
    assert client.messages()[:2] == [
        '451-0["q",1,{"_placeholder":true,"num":0}]',
        b"x",
    ]
    client.text("430[]")
    client.text("431[1]")
    client.text("432[1,2]")
    assert got == [None, 1, (1, 2)]
    server.loop.advance(6)
    assert type(got[3]) is exceptions.TimeoutError
    del got[:]
    with server.loop.running():
        server.loop.create_task(ask())
    server.loop.turn()
    client.leave()
    server.loop.turn()
    assert type(got[0]) is exceptions.CallDisconnectedError


def test_emit_with_a_callback() -> None:
    server, sio = make()
    client, socket = one(sio, server)
    got: list[Any] = []
    socket.emit("q", callback=lambda *args: got.append(args))
    assert client.messages() == ['420["q"]']
    client.text("430[1,2]")
    assert got == [(1, 2)]


@pytest.mark.parametrize("compress", [False, True])
def test_compress(compress: bool) -> None:
    """E4: a message that must not be compressed."""
    server, sio = make(compression_threshold=0)
    http, eio_sid = server.polling()
    target = server.target("polling", eio_sid)
    http.post(target, "40")
    status, body = http.get(target)
    assert status == 200
    socket = sio.of("/").sockets[json.loads(body[2:])["sid"]]
    socket.compress(compress).timeout(5).emit("big", "x" * 100)
    http.send(request("GET", target, headers=[("Accept-Encoding", "gzip")]))
    _, headers, _ = http.response()
    assert headers.get("content-encoding") == ("gzip" if compress else None)


def test_broadcast() -> None:
    server, sio = make()
    a, first = one(sio, server)
    b, second = one(sio, server)
    c, third = one(sio, server)
    second.join("room")
    first.join("room")

    @first.on("go")
    async def go() -> None:
        await first.broadcast.emit("others", 1)
        await first.to("room").emit("room")
        await first.except_("room").emit("outside")
        await sio.of("/").to("room").except_(first.id).emit("one")
        await first.send("me")

    a.text('42["go"]')
    assert a.messages() == ['42["message","me"]']
    assert b.messages() == ['42["others",1]', '42["room"]', '42["one"]']
    assert c.messages() == ['42["others",1]', '42["outside"]']
    assert third.connected


# --- what it brings --------------------------------------------------------------


def test_handshake() -> None:
    """K2"""
    server, sio = make()
    _, socket = one(sio, server)
    handshake = socket.handshake
    assert handshake.address == "192.0.2.7"
    assert handshake.headers["upgrade"] == "websocket"
    assert handshake.query == {"EIO": "4", "transport": "websocket"}
    assert handshake.url == "/socket.io/?EIO=4&transport=websocket"
    assert handshake.secure is handshake.xdomain is False
    assert handshake.auth == {}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", handshake.time)
    assert socket.handshake is handshake
    assert socket.environ is socket.request
    assert socket.environ["REMOTE_ADDR"] == "192.0.2.7"


def test_data_is_the_session() -> None:
    """K3: data is the session."""
    server, sio = make()
    _, socket = one(sio, server)
    socket.data["a"] = 1
    assert sio._get_session(socket.id, "/") == {"a": 1}
    socket.data = {"b": 2}
    assert sio._get_session(socket.id, "/") is socket.data


def test_a_server_that_never_asks_has_no_sockets() -> None:
    server, sio = make()
    _, sid = server.joined()
    (peer,) = sio._hub.namespaces["/"].peers.values()
    assert peer.socket is None
    nsp = sio.of("/")
    assert isinstance(nsp, SocketNamespace)
    assert peer.socket is None
    socket = nsp.sockets[sid]
    assert peer.socket is socket is nsp.sockets[sid]
    with pytest.raises(KeyError):
        nsp.sockets["nobody"]


def test_all_that_is_sent() -> None:
    """K6: its own and broadcasts, nothing that does not reach it."""
    server, sio = make()
    client, socket = one(sio, server)
    other, second = one(sio, server)
    log: list[Any] = []

    @socket.on_any_outgoing
    def outgoing(event: str, *args: Any) -> None:
        log.append((event, *args))

    socket.prepend_any_outgoing(lambda *args: log.append("first"))
    assert socket.listeners_any_outgoing()[1] is outgoing
    socket.join("a")
    second.join("b")

    @socket.on("go")
    async def go() -> None:
        socket.emit("own", 1)
        await sio.emit("all", 2)
        await sio.emit("room", 3, to="a")
        await sio.emit("rooms", 4, to=["a", "b"])
        await sio.emit("no", to="b")
        await sio.emit("no", to=second.id)
        await sio.emit("no", skip_sid=socket.id)
        await sio.emit("no", skip_sid=[socket.id])
        await socket.broadcast.emit("no")

    client.text('42["go"]')
    sent = [("own", 1), ("all", 2), ("room", 3), ("rooms", 4)]
    assert log == [entry for event in sent for entry in ("first", event)]
    assert len(client.messages()) == 4
    assert len(other.messages()) == 7
    del log[:]
    socket.off_any_outgoing(outgoing)
    socket.emit("x")
    socket.off_any_outgoing()
    socket.emit("x")
    assert log == ["first"]
    assert sio._hub.namespaces["/"].watched is None
