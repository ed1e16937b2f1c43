"""The socket API: clients and namespaces as objects."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import weakref
from typing import Any
from unittest.mock import Mock

import pytest
from support.raw import request
from support.sansio import Loop, Server, WebSocket, errors, join

import socketio_fast.engineio
from socketio_fast import AsyncServer, exceptions
from socketio_fast.engineio.connection import Connection
from socketio_fast.options.limits import Limits
from socketio_fast.sockets.namespace import SocketNamespace
from socketio_fast.sockets.socket import Socket


def make(**options: Any) -> tuple[Server, AsyncServer]:
    sio = AsyncServer(**options)
    return Server(sio), sio


def one(sio: AsyncServer, server: Server, name: str = "/") -> tuple[WebSocket, Socket]:
    """A client, and its socket."""
    client, sid = server.joined(name)
    return client, sio.of(name).sockets[sid]


def refusal(client: WebSocket, prefix: str = "44") -> Any:
    (packet,) = client.messages()
    assert isinstance(packet, str)
    assert packet.startswith(prefix), packet
    return json.loads(packet[len(prefix) :])


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


# --- namespaces on demand --------------------------------------------------------


def test_a_family_by_regular_expression() -> None:
    """N2, N8"""
    server, sio = make()
    seen: list[tuple[str, dict[str, str]]] = []
    parent = sio.of(re.compile(r"^/dyn-(?P<number>\d+)$"))
    parent.use(lambda socket: None)
    parent.on("connection", lambda s: seen.append((s.nsp.name, s.nsp.params)))
    client = server.websocket()
    join(client, "/dyn-1")
    join(client, "/dyn-22")
    client.text("40/dyn-x,")
    assert client.messages() == ['44/dyn-x,{"message":"Invalid namespace"}']
    assert seen == [("/dyn-1", {"number": "1"}), ("/dyn-22", {"number": "22"})]
    assert {child.name for child in parent.children} == {"/dyn-1", "/dyn-22"}
    assert sio.of("/dyn-1").parent is parent


def test_a_family_by_pattern() -> None:
    """N2"""
    server, sio = make()
    parent: Any = sio.of("/org/{org}/chat")
    assert sio.of("/org/{org}/chat") is parent
    seen: list[Any] = []
    parent.on("connection", lambda s: seen.append(s.nsp.params))
    client = server.websocket()
    join(client, "/org/acme/chat")
    for name in ("/org/a/b/chat", "/org//chat", "/org/a/chat/"):
        client.text(f"40{name},")
        assert client.messages() == [f'44{name},{{"message":"Invalid namespace"}}']
    assert seen == [{"org": "acme"}]


@pytest.mark.parametrize("suspends", [False, True])
def test_a_family_by_function(suspends: bool) -> None:
    """N3"""
    server, sio = make()
    asked: list[Any] = []

    async def allowed(name: str, auth: Any) -> bool:
        asked.append((name, auth))
        if suspends:
            await asyncio.sleep(0)
        return name == "/yes"

    sio.of(allowed)
    client = server.websocket()
    client.text('40/yes,{"a":1}')
    (reply,) = client.messages()
    assert str(reply).startswith('40/yes,{"sid":')
    join(server.websocket(), "/yes")
    client.text("40/no,")
    assert client.messages() == ['44/no,{"message":"Invalid namespace"}']
    assert asked == [("/yes", {"a": 1}), ("/no", None)]


def test_a_family_whose_function_fails(caplog: pytest.LogCaptureFixture) -> None:
    server, sio = make()

    def allowed(name: str, auth: Any) -> bool:
        raise KeyError(name)

    sio.of(allowed)
    client = server.websocket()
    client.text("40/x,")
    assert client.messages() == ['44/x,{"message":"Invalid namespace"}']
    assert errors(caplog) == ["namespace '/x' was not found"]
    assert not client.ended()


def test_a_client_that_goes_while_a_function_is_asked() -> None:
    server, sio = make()

    async def allowed(name: str, auth: Any) -> bool:
        await asyncio.sleep(1)
        return True

    sio.of(allowed)
    client = server.websocket()
    client.text("40/x,")
    client.leave()
    server.loop.advance(2)
    assert not sio._hub.namespaces["/x"].peers


def test_a_member_begins_with_what_its_family_has() -> None:
    """N4"""
    server, sio = make()
    parent = sio.of(re.compile("^/dyn-"))
    log: list[str] = []

    @parent.use
    def refuse(socket: Socket) -> None:
        raise exceptions.ConnectionRefusedError("not here")

    client = server.websocket()
    client.text("40/dyn-1,")
    assert refusal(client, "44/dyn-1,") == {"message": "not here"}
    sio.of("/dyn-1").on("connection", lambda socket: log.append("never"))
    assert log == []


def test_a_family_sends_to_all_members() -> None:
    """N4"""
    server, sio = make()
    parent = sio.of(re.compile("^/dyn-"))
    parent.on(
        "connection", lambda s: s.join("even" if s.nsp.name[-1] == "2" else "odd")
    )
    a, b = server.websocket(), server.websocket()
    join(a, "/dyn-1")
    join(b, "/dyn-2")

    @sio.event
    async def go(sid: str) -> None:
        await parent.emit("all", 1)
        await parent.to("even").emit("even")
        await parent.except_("even").emit("odd")
        with pytest.raises(NotImplementedError, match="parent"):
            await parent.fetch_sockets()

    c, _ = server.joined()
    c.text('42["go"]')
    assert a.messages() == ['42/dyn-1,["all",1]', '42/dyn-1,["odd"]']
    assert b.messages() == ['42/dyn-2,["all",1]', '42/dyn-2,["even"]']


def test_new_namespaces_are_told() -> None:
    """S11"""
    server, sio = make()
    made: list[str] = []
    sio.of("/").on("new_namespace", lambda nsp: made.append(nsp.name))
    sio.of("/static")
    sio.of(re.compile("^/dyn-"))
    assert made == ["/static"]
    join(server.websocket(), "/dyn-1")
    join(server.websocket(), "/dyn-1")
    assert sio.of("/dyn-2") is sio.of("/dyn-2")
    assert made == ["/static", "/dyn-1", "/dyn-2"]


@pytest.mark.parametrize("cleanup", [False, True])
def test_members_without_clients(cleanup: bool) -> None:
    """S8: S8"""
    server, sio = make(cleanup_empty_child_namespaces=cleanup)
    parent = sio.of(re.compile("^/dyn-"))
    a, b = server.websocket(), server.websocket()
    join(a, "/dyn-1")
    join(b, "/dyn-1")
    (child,) = parent.children
    a.leave()
    assert parent.children == {child}
    b.leave()
    assert parent.children == (set() if cleanup else {child})
    assert ("/dyn-1" in sio._hub.namespaces) is not cleanup
    join(server.websocket(), "/dyn-1")
    assert (child in parent.children) is not cleanup
    assert len(parent.children) == 1


def visit(server: Server, names: list[str]) -> None:
    """One client after the other joins one of these, and leaves."""
    for name in names:
        client = server.websocket()
        join(client, name)
        client.leave()


def test_of_members_without_clients_a_thousand_stay() -> None:
    """S8: those that were left last; clients choose how many there are."""
    server, sio = make()
    parent = sio.of(re.compile("^/dyn-"))
    names = [f"/dyn-{n}" for n in range(1010)]
    stays = server.websocket()
    join(stays, names[0])
    sio.on("x", lambda sid: None, namespace=names[1])
    visit(server, names[:10])
    sio.of(names[2]).on("connection", lambda socket: None)
    visit(server, names[10:])
    visit(server, [names[5]])
    assert len(parent.children) == 1003
    known = {child.name for child in parent.children}
    assert known == {*names[:3], names[5], *names[11:]}
    assert all(name in sio._hub.namespaces for name in known)
    # One that has gone comes back as another client asks for it.
    visit(server, [names[3]])
    assert names[3] in {child.name for child in parent.children}
    assert len(parent.children) == 1003


def test_a_member_that_was_deleted_takes_no_other_with_it() -> None:
    server, sio = make()
    parent = sio.of(re.compile("^/dyn-"))
    visit(server, ["/dyn-a"])
    sio.of("/dyn-a").delete()
    client = server.websocket()
    join(client, "/dyn-a")
    visit(server, [f"/dyn-{n}" for n in range(1001)])
    assert "/dyn-a" in {child.name for child in parent.children}
    client.text('42/dyn-a,["x"]')
    assert not client.ended()


def test_a_member_that_has_gone_leaves_no_cycle() -> None:
    """S8"""
    server, sio = make(cleanup_empty_child_namespaces=True)
    parent = sio.of(re.compile("^/dyn-"))
    log: list[Any] = []

    @parent.on("connection")
    def connection(socket: Socket) -> None:
        adapter = socket.nsp.adapter
        adapter.on("leave-room", lambda room, sid: log.append((room, sid)))

    client = server.websocket()
    sid = join(client, "/dyn-1")
    ref = weakref.ref(sio.of("/dyn-1"))
    gc.collect()
    gc.disable()
    try:
        client.leave()
        assert ref() is None
    finally:
        gc.enable()
    assert log == [(sid, sid)]


def test_a_member_ends_while_its_listeners_run() -> None:
    """S8: with its only client, which the first of them disconnects."""
    server, sio = make(cleanup_empty_child_namespaces=True)
    parent = sio.of(re.compile("^/dyn-"))
    parent.on("connect", lambda socket: socket.disconnect())
    parent.on("connection", lambda socket: None)
    client = server.websocket()
    client.text("40/dyn-1,")
    reply, goodbye = client.messages()
    assert str(reply).startswith('40/dyn-1,{"sid":')
    assert goodbye == "41/dyn-1,"
    assert parent.children == set()


def test_a_listener_of_a_connection_has_another_one_read() -> None:
    """E15: a client that is not read is closed, with something of it unread."""
    server, sio = make(async_handlers="ordered", max_pending_events=1)
    got: list[str] = []
    sio.on("say", lambda sid, text: got.append(text))

    async def slow(sid: str) -> None:
        await server.loop.create_future()

    sio.on("slow", slow)
    busy, other = one(sio, server)
    client, socket = one(sio, server)
    for _ in range(3):
        busy.text('42["slow"]')
    assert not busy.wire.reading
    busy.text('42["' + "Z" * 60 + '"]')
    socket.conn.on("packet", lambda packet: other.conn.close())
    client.text('42["say","hello"]')
    assert got == ["hello"]
    assert busy.ended()
    assert not client.ended()


@pytest.mark.parametrize("room", ["room", None])
def test_a_listener_of_a_connection_changes_rooms(room: str | None) -> None:
    """E15: while an event is sent to a room, or to all."""
    server, sio = make()
    rooms = sio.of("/")._core.rooms
    clients = [one(sio, server) for _ in range(8)]
    for _, socket in clients:
        rooms.enter(socket.id, "room")

    def changed(packet: Any) -> None:
        if "room" in rooms.rooms:
            rooms.close("room")
            clients[1][1].conn.close()

    clients[0][1].conn.on("packet_create", changed)
    rooms.emit(["x"], room)
    assert [client.messages() for client, _ in clients] == [
        [] if client is clients[1][0] else ['42["x"]'] for client, _ in clients
    ]


def test_broadcasts_are_fast_again_when_nobody_listens_to_connections() -> None:
    """They cost more while listeners may change rooms in the middle of them."""
    server, sio = make()
    engine = sio.eio.engine

    def listener(packet: Any) -> None:
        pass

    (one_client, first), (other_client, second), (_, third) = (
        one(sio, server) for _ in range(3)
    )
    assert engine.packet_listeners == 0
    for socket in (first, second, third):
        socket.conn.on("packet", listener)
        socket.conn.on("close", listener)
    assert engine.packet_listeners == 3
    first.conn.off("packet", listener)
    assert engine.packet_listeners == 3
    first.conn.off("close")
    first.conn.off("close")
    assert engine.packet_listeners == 2
    first.conn.once("packet", listener)
    assert engine.packet_listeners == 3
    one_client.text('42["x"]')
    assert engine.packet_listeners == 2
    first.conn.once("packet", listener)
    assert engine.packet_listeners == 3
    one_client.wire.lose()
    assert engine.packet_listeners == 2
    other_client.leave()
    assert engine.packet_listeners == 1
    third.conn.close()
    assert engine.packet_listeners == 0
    third.conn.on("packet", listener)
    assert engine.packet_listeners == 0


def test_a_connection_listened_to_before_it_is_refused_or_lost() -> None:
    app = socketio_fast.engineio.AsyncServer()
    server = Server(app)
    answers: list[Any] = []

    @app.on("connect")
    async def connect(sid: str, environ: Any) -> bool:
        Connection(app.sockets[sid]).on("close", print)
        assert app.engine.packet_listeners == 1
        if len(answers) == 0:
            await server.loop.create_future()
        return bool(answers.pop())

    client = WebSocket(server)
    client.wire.lose()
    assert app.engine.packet_listeners == 0
    answers.append(False)
    WebSocket(server)
    assert app.engine.packet_listeners == 0
    answers.append(True)
    WebSocket(server)
    assert app.engine.packet_listeners == 1
    server.loop.closed = True
    app.bind(Loop())  # type: ignore[arg-type]
    assert app.engine.packet_listeners == 0


@pytest.mark.parametrize("family", [False, True])
def test_namespaces_beyond_the_limit_leave_nothing(family: bool) -> None:
    """U8, S8: those that were made for a client which may not join them go."""
    limits = Limits(namespaces_per_connection=1)
    options: dict[str, Any] = {} if family else {"namespaces": "*"}
    server, sio = make(limits=limits, cleanup_empty_child_namespaces=True, **options)
    parent = sio.of(re.compile("^/dyn-")) if family else None
    client = server.websocket()
    join(client, "/dyn-1")
    before = set(sio._hub.namespaces)
    for n in range(2, 5):
        client.text(f"40/dyn-{n},")
        (answer,) = client.messages()
        assert "Too many namespaces" in str(answer)
    assert set(sio._hub.namespaces) == before
    assert parent is None or len(parent.children) == 1


@pytest.mark.parametrize("namespaces", ["all", "a family's"])
@pytest.mark.parametrize("limit", ["default", "given", "none"])
def test_namespaces_of_a_connection_have_a_limit_by_default(
    namespaces: str, limit: str, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"namespaces": "*"} if namespaces == "all" else {}
    if limit == "given":
        options["limits"] = Limits(events=100_000)
    elif limit == "none":
        options["limits"] = Limits(namespaces_per_connection=None)
    server, sio = make(**options)
    if namespaces != "all":
        sio.of("/n{number}")
    client = server.websocket()
    for n in range(1000):
        client.text(f"40/n{n},")
    client.messages()
    client.text("40/n1000,")
    (answer,) = client.messages()
    if limit == "none":
        assert str(answer).startswith('40/n1000,{"sid":')
        return
    assert answer == '44/n1000,{"message":"Too many namespaces"}'
    assert sio.eio.counters["refused_namespaces"] == 1
    assert "namespaces_per_connection" in caplog.text
    client.text("41/n7,")
    client.text("40/n1000,")
    assert str(client.messages()[-1]).startswith('40/n1000,{"sid":')


@pytest.mark.parametrize("size", [1024, 1025])
def test_names_of_namespaces_that_clients_choose_have_a_limit(size: int) -> None:
    server, sio = make(namespaces="*")
    name = "/" + "n" * (size - 1)
    client = server.websocket()
    client.text(f"40{name},")
    (answer,) = client.messages()
    assert str(answer).startswith(f"40{name}," if size == 1024 else f"44{name},")
    sio.on("x", lambda sid: None, namespace=name)
    join(server.websocket(), name)


def test_clients_that_go_while_a_family_is_asked() -> None:
    """S8: no member is left; of those who stay, no more is read than it can take."""
    server, sio = make(cleanup_empty_child_namespaces=True, max_pending_events=3)
    gate = server.loop.create_future()

    async def match(name: str, auth: Any) -> bool:
        await gate
        return True

    parent = sio.of(match)
    client = server.websocket()
    before = set(sio._hub.namespaces)
    for n in range(4):
        assert client.wire.reading
        client.text(f"40/dyn-{n},")
    assert not client.wire.reading
    client.wire.lose()
    with server.loop.running():
        gate.set_result(None)
    server.loop.turn()
    assert parent.children == set()
    assert set(sio._hub.namespaces) == before


async def test_a_namespace_that_has_ended_can_be_used() -> None:
    server, sio = make(cleanup_empty_child_namespaces=True)
    sio.of(re.compile("^/dyn-"))
    client = server.websocket()
    join(client, "/dyn-1")
    nsp = sio.of("/dyn-1")
    client.leave()
    await nsp.emit("x")
    await nsp.except_("room").emit("x")
    nsp.adapter.on("join-room", print)
    assert nsp.adapter.rooms == nsp.adapter.sids == dict(nsp.sockets) == {}


@pytest.mark.parametrize("handlers", [False, True])
def test_deleting_a_namespace(handlers: bool) -> None:
    """N9: N9"""
    server, sio = make()
    if handlers:
        sio.on("x", lambda sid: None, namespace="/a")
    nsp = sio.of("/a")
    reasons: list[str] = []
    nsp.use(lambda socket: socket.on("disconnect", reasons.append))
    client = server.websocket()
    join(client, "/a")
    nsp.delete()
    assert reasons == ["server disconnect"]
    assert client.messages() == ["41/a,"]
    assert not client.ended()
    client.text("40/a,")
    (answer,) = client.messages()
    assert str(answer).startswith("40/a," if handlers else "44/a,")
    assert reasons == ["server disconnect"]
    assert sio.of("/a") is not nsp
    nsp.delete()
    join(server.websocket(), "/a")


def test_a_member_is_joined_without_being_asked_for_again() -> None:
    """S8"""
    server, sio = make(cleanup_empty_child_namespaces=True)
    asked: list[str] = []

    def allowed(name: str, auth: Any) -> bool:
        asked.append(name)
        return True

    sio.of(allowed)
    join(server.websocket(), "/a")
    join(server.websocket(), "/a")
    assert asked == ["/a"]


@pytest.mark.parametrize("cleanup", [False, True])
def test_a_family_guards_namespaces_with_handlers(cleanup: bool) -> None:
    """N5, N8"""
    server, sio = make(cleanup_empty_child_namespaces=cleanup)
    got: list[Any] = []
    sio.on("x", lambda sid, *args: got.append(args), namespace="/org/a")

    @sio.of("/org/{org}").use
    def refuse(socket: Socket) -> None:
        if not socket.handshake.auth:
            raise exceptions.ConnectionRefusedError("who?")

    for _ in range(2):
        client = server.websocket()
        client.text("40/org/a,")
        assert refusal(client, "44/org/a,") == {"message": "who?"}
        client.text('40/org/a,{"user":"x"}')
        client.text('42/org/a,["x",1]')
        assert got.pop() == (1,)
        client.leave()


def test_a_family_does_not_take_the_main_namespace() -> None:
    server, sio = make()
    asked: list[str] = []
    sio.of(lambda name, auth: asked.append(name) or True)
    server.joined()
    sio.of("/static")
    join(server.websocket(), "/static")
    assert asked == []


# --- listeners -------------------------------------------------------------------


def test_several_listeners_of_an_event() -> None:
    """K4"""
    server, sio = make()
    client, socket = one(sio, server)
    log: list[Any] = []

    @socket.on("x")
    def first(*args: Any) -> None:
        log.append(("first", args))

    @socket.on("x")
    async def second(*args: Any) -> None:
        log.append(("second", args))

    socket.once("x", lambda *args: log.append(("once", args)))
    assert socket.listeners("x")[:2] == [first, second]
    client.text('42["x",1,{"a":2}]')
    assert log == [(n, (1, {"a": 2})) for n in ("first", "second", "once")]
    log.clear()
    socket.off("x", first)
    client.text('42["x"]')
    assert log == [("second", ())]
    socket.off("x")
    assert socket.listeners("x") == []
    client.text('42["x"]')
    assert log == [("second", ())]


def test_removing_all_listeners() -> None:
    """K4"""
    server, sio = make()
    _, socket = one(sio, server)
    for event in ("x", "y", "z"):
        socket.on(event, print)
        socket.on(event, print)
    socket.off("x", print)
    assert socket.listeners("x") == [print]
    socket.remove_all_listeners("x")
    assert socket.listeners("x") == []
    assert socket.listeners("y") == [print, print]
    socket.remove_all_listeners()
    assert socket.listeners("y") == []
    socket.off("nothing", print)


def test_a_listener_that_removes_itself_while_called() -> None:
    server, sio = make()
    client, socket = one(sio, server)
    log: list[str] = []

    def first() -> None:
        socket.off("x", first)
        log.append("first")

    socket.on("x", first)
    socket.on("x", lambda: log.append("second"))
    client.text('42["x"]')
    client.text('42["x"]')
    assert log == ["first", "second", "second"]


def test_methods_are_removed_by_what_they_are() -> None:
    class Chat:
        def on_x(self) -> None: ...

    server, sio = make()
    _, socket = one(sio, server)
    chat = Chat()
    socket.on("x", chat.on_x)
    socket.off("x", chat.on_x)
    assert socket.listeners("x") == []


def test_listeners_are_given_as_they_were_added() -> None:
    """K4: one that leaves out an argument, and one that has all attributes."""
    server, sio = make()
    client, socket = one(sio, server)
    log: list[str] = []

    def gone() -> None:
        log.append("gone")

    mock = Mock()
    socket.on("disconnect", gone)
    socket.once("disconnect", mock)
    assert socket.listeners("disconnect") == [gone, mock]
    client.leave()
    assert log == ["gone"]
    mock.assert_called_once_with("transport close")


def test_listeners_that_cannot_be_called() -> None:
    server, sio = make()
    _, socket = one(sio, server)
    with pytest.raises(TypeError, match="not callable"):
        socket.on("x", 5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="not callable"):
        socket.on_any(5)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="disconnect"):
        socket.on("disconnect")(lambda a, b: None)  # type: ignore[type-var]


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ([None], "[]"),
        ([(1, 2)], "[1,2]"),
        ([5], "[5]"),
        ([None, 0], "[0]"),
        ([None, "a", "b"], '["a"]'),
        ([None, None], "[]"),
    ],
)
def test_acknowledgements(values: list[Any], answer: str, suspends: bool) -> None:
    """K4: what the first listener returns that returns anything."""
    server, sio = make()
    client, socket = one(sio, server)
    for i, value in enumerate(values):

        async def listener(value: Any = value, i: int = i) -> Any:
            if suspends:
                await asyncio.sleep(10 - i)
            return value

        socket.on("q", listener)
    client.text('427["q"]')
    server.loop.advance(11)
    assert client.messages() == [f"437{answer}"]


def test_the_handler_comes_first() -> None:
    """K4: a function of the server and listeners of the socket get the same event."""
    server, sio = make()
    client, socket = one(sio, server)
    log: list[Any] = []

    @sio.event
    async def x(sid: str, *args: Any) -> Any:
        log.append(("handler", sid, args))
        return args[0]

    @socket.on("x")
    def listener(*args: Any) -> Any:
        log.append(("listener", args))
        return "listener"

    client.text('421["x","handler"]')
    client.text('422["x",null]')
    assert client.messages() == ['431["handler"]', '432["listener"]']
    assert log[:2] == [("handler", socket.id, ("handler",)), ("listener", ("handler",))]


def test_catch_all_handlers_and_listeners() -> None:
    server, sio = make()
    client, socket = one(sio, server)
    log: list[Any] = []
    sio.on("*", lambda *args: log.append(args))
    socket.on("x", lambda *args: log.append(args))
    client.text('42["x",1]')
    assert log == [("x", socket.id, 1), (1,)]


def test_an_event_that_nobody_listens_to() -> None:
    server, sio = make()
    client, _ = one(sio, server)
    client.text('421["x"]')
    assert client.messages() == []
    assert not client.ended()


@pytest.mark.parametrize("suspends", [False, True])
def test_errors_are_isolated(suspends: bool, caplog: pytest.LogCaptureFixture) -> None:
    """K11"""
    server, sio = make()
    client, socket = one(sio, server)
    told: list[BaseException] = []
    socket.on("error", told.append)

    @socket.on("x")
    async def bad() -> None:
        if suspends:
            await asyncio.sleep(0)
        raise KeyError("bad")

    socket.on("x", lambda: "good")
    client.text('421["x"]')
    assert client.messages() == ['431["good"]']
    assert [repr(error) for error in told] == ["KeyError('bad')"]
    assert errors(caplog) == [f"handler of 'x' failed for {socket.id} in /"]


def test_an_error_in_an_error_listener(caplog: pytest.LogCaptureFixture) -> None:
    """K11"""
    server, sio = make()
    client, socket = one(sio, server)

    @socket.on("error")
    def error(error: BaseException) -> None:
        raise error

    @sio.event
    def x(sid: str) -> None:
        raise KeyError("bad")

    client.text('42["x"]')
    assert len(errors(caplog)) == 2
    assert not client.ended()


def test_listeners_of_one_client_in_order() -> None:
    """K12"""
    server, sio = make(async_handlers=False)
    client, socket = one(sio, server)
    log: list[Any] = []

    async def guard(event: str, *args: Any) -> None:
        await asyncio.sleep(0.1)

    socket.use(guard)
    for name in "ab":

        @socket.on("x")
        async def listener(n: int, name: str = name) -> None:
            log.append((name, n, "begins"))
            await asyncio.sleep(1)
            log.append((name, n, "ends"))

    for n in range(3):
        client.text(f'42["x",{n}]')
    server.loop.advance(10)
    assert log == [
        (name, n, what)
        for n in range(3)
        for what in ("begins", "ends")
        for name in "ab"
    ]


def test_all_events() -> None:
    """K5: K5"""
    server, sio = make()
    client, socket = one(sio, server)
    log: list[Any] = []

    @socket.on_any
    def any_(event: str, *args: Any) -> None:
        log.append(("any", event, args))

    socket.prepend_any(lambda *args: log.append(("first", *args)))
    socket.on("x", lambda *args: log.append(("x", args)))
    assert socket.listeners_any()[1] is any_
    client.text('42["x",1]')
    client.text('42["y"]')
    assert log == [
        ("first", "x", 1),
        ("any", "x", (1,)),
        ("x", (1,)),
        ("first", "y"),
        ("any", "y", ()),
    ]
    socket.off_any(any_)
    assert len(socket.listeners_any()) == 1
    socket.off_any()
    assert socket.listeners_any() == []


@pytest.mark.parametrize("suspends", [False, True])
def test_guards_of_a_socket(suspends: bool) -> None:
    """N10"""
    server, sio = make()
    client, socket = one(sio, server)
    log: list[Any] = []

    @socket.use
    async def guard(event: str, *args: Any) -> None:
        log.append(("guard", event, args))
        if suspends:
            await asyncio.sleep(0)
        if event == "bad":
            raise PermissionError("not this")

    socket.use(lambda *args: log.append("second"))
    sio.on("*", lambda *args: log.append("handler"))
    socket.on("good", lambda *args: log.append(("good", args)))
    socket.on("bad", lambda *args: log.append("never"))
    socket.on("error", lambda error: log.append(repr(error)))
    client.text('42["good",1]')
    assert log == [("guard", "good", (1,)), "second", "handler", ("good", (1,))]
    log.clear()
    client.text('421["bad"]')
    assert log == [("guard", "bad", ()), "PermissionError('not this')"]
    assert client.messages() == []
    assert sio.eio.counters["refused_events"] == 1


def test_a_refused_event_that_nobody_hears_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """N10"""
    server, sio = make()
    client, socket = one(sio, server)

    @socket.use
    def guard(event: str) -> None:
        raise PermissionError("not this")

    client.text('42["x"]')
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "not this" in record.getMessage()


# --- the end ---------------------------------------------------------------------


@pytest.mark.parametrize("suspends", [False, True])
def test_disconnecting_is_told_in_the_rooms(suspends: bool) -> None:
    """K7"""
    server, sio = make()
    log: list[Any] = []

    @sio.of("/").on("connection")
    def connection(socket: Socket) -> None:
        socket.join(["a", "b"])
        socket.data["x"] = 1

        @socket.on("disconnecting")
        async def disconnecting(reason: str) -> None:
            if suspends:
                await asyncio.sleep(0)
            log.append(("disconnecting", reason, socket.rooms == {socket.id, "a", "b"}))

        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            log.append(("disconnect", reason, socket.rooms, socket.data))

    sio.on("disconnect", lambda sid, reason: log.append("handler"))
    client, _ = server.joined()
    client.text("41")
    first, second = log[0], log[1]
    if suspends:
        first, second = second, first
    assert first == ("disconnecting", "client disconnect", True)
    assert second == "handler"
    assert log[2:] == [("disconnect", "client disconnect", set(), {"x": 1})]


def test_disconnect_listeners_without_a_reason() -> None:
    """K7"""
    server, sio = make()
    client, socket = one(sio, server)
    log: list[str] = []
    socket.on("disconnect")(lambda: log.append("gone"))
    client.wire.lose()
    assert log == ["gone"]


@pytest.mark.parametrize("close", [False, True])
def test_disconnect(close: bool) -> None:
    """K9"""
    server, sio = make()
    sio.of("/other")
    reasons: list[str] = []
    sio.of("/other").on(
        "connection", lambda s: s.on("disconnect")(reasons.append) and None
    )
    client, socket = one(sio, server)
    join(client, "/other")
    socket.disconnect(close)
    assert client.messages()[0] == "41"
    assert client.ended() is close
    assert reasons == (["server disconnect"] if close else [])
    assert not socket.connected
    socket.disconnect()


def test_disconnect_may_be_waited_for() -> None:
    """K9"""
    server, sio = make()
    _, socket = one(sio, server)
    log: list[str] = []

    @socket.on("disconnecting")
    async def disconnecting(reason: str) -> None:
        await asyncio.sleep(1)
        log.append("ended")

    async def go() -> None:
        await socket.disconnect()
        log.append("waited")

    with server.loop.running():
        server.loop.create_task(go())
    server.loop.advance(2)
    assert log == ["ended", "waited"]


@pytest.mark.parametrize("suspends", [False, True])
def test_a_client_that_has_gone_leaves_no_cycle(suspends: bool) -> None:
    server, sio = make()
    refs: list[weakref.ref[Socket]] = []

    @sio.of("/").on("connection")
    async def connection(socket: Socket) -> None:
        refs.append(weakref.ref(socket))
        socket.on("x", lambda: socket.emit("y"))
        socket.on_any(lambda *args: socket.id)
        socket.on_any_outgoing(lambda *args: socket.id)
        socket.use(lambda *args: socket.id)
        socket.on("disconnect", lambda reason: socket.id)
        assert socket.handshake
        if suspends:
            await asyncio.sleep(1)
            socket.on("late", lambda: socket.id)
            socket.on_any(lambda *args: socket.id)

    client, _ = server.joined()
    client.text('42["x"]')
    gc.collect()
    gc.disable()
    try:
        client.leave()
        server.loop.advance(2)
        assert refs[0]() is None
    finally:
        gc.enable()


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
