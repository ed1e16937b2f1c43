"""Namespaces that are made on demand: of(pattern), and who they are for."""

from __future__ import annotations

import asyncio
import gc
import re
import weakref
from typing import Any

import pytest
from support.sansio import Loop, Server, WebSocket, errors, join
from support.socket_api import make, one, refusal

import socketio_fast.engineio
from socketio_fast import exceptions
from socketio_fast.engineio.connection import Connection
from socketio_fast.options.limits import Limits
from socketio_fast.sockets.socket import Socket

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


def test_a_client_that_asks_twice_and_has_joined_is_not_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A CONNECT may cross the answer to the one before; its client would leave."""
    server, sio = make()
    asked: list[asyncio.Future[bool]] = []

    async def allowed(name: str, auth: Any) -> bool:
        asked.append(asyncio.get_running_loop().create_future())
        return await asked[-1]

    sio.of(allowed)
    client = server.websocket()
    client.text("40/x,")
    client.text("40/x,")
    with server.loop.running():
        asked[0].set_result(True)
        asked[1].set_exception(KeyError("gone"))
    (answer,) = client.messages()
    assert str(answer).startswith('40/x,{"sid":')
    assert errors(caplog) == ["namespace '/x' was not found"]
    client.text('42/x,["e"]')
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


def test_an_object_that_was_deleted_gives_way_to_the_next() -> None:
    server, sio = make()
    sio.on("hello", lambda sid: None, namespace="/n")
    log: list[str] = []
    first = sio.of("/n")
    first.delete()
    first.on("connection", lambda socket: log.append("first"))
    second = sio.of("/n")
    second.on("connection", lambda socket: log.append("second"))
    second.use(lambda socket: log.append("middleware"))
    join(server.websocket(), "/n")
    assert log == ["middleware", "second"]


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
