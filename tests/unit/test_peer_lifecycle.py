"""Socket.IO clients: connect, held messages, namespaces, what breaks the protocol."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import weakref
from typing import Any

import pytest
from support.peers import Log, make, noting, peers
from support.raw import request, upgrade_request
from support.sansio import errors, join, run

import socketio_fast
from socketio_fast import AsyncServer, exceptions

# --- connect --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("packet", "auth"),
    [
        ("40", None),
        ("40{}", None),
        ('40{"token":"x"}', {"token": "x"}),
    ],
)
def test_connect(packet: str, auth: Any) -> None:
    server, sio = make()
    log = noting(sio)
    client = server.websocket()
    client.text(packet)
    (sid,) = peers(sio)
    assert client.messages() == [f'40{{"sid":"{sid}"}}']
    assert log == [("connect", sid, auth)]


def test_the_public_id_is_not_the_connections() -> None:
    server, sio = make()
    _, sid = server.joined()
    assert sid not in sio.eio.sockets


def test_connect_without_handlers() -> None:
    server, sio = make()
    _, sid = server.joined()
    assert peers(sio) == [sid]


def test_a_connect_handler_that_leaves_out_auth() -> None:
    server, sio = make()
    got: list[Any] = []

    @sio.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        got.append((sid, environ["REMOTE_ADDR"]))

    _, sid = server.joined()
    assert got == [(sid, "192.0.2.7")]


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        (False, {"message": "Connection rejected by server"}),
        (
            exceptions.ConnectionRefusedError(),
            {"message": "Connection rejected by server"},
        ),
        (exceptions.ConnectionRefusedError("no"), {"message": "no"}),
        (
            exceptions.ConnectionRefusedError("no", 5),
            {"message": "no", "data": 5},
        ),
        (
            exceptions.ConnectionRefusedError("no", 5, {"a": 1}),
            {"message": "no", "data": [5, {"a": 1}]},
        ),
        (ConnectionRefusedError(), {"message": "Connection refused by server"}),
        (ValueError("secret"), {"message": "Connection rejected by server"}),
        (
            exceptions.ConnectionRefusedError("no", object()),
            {"message": "no"},
        ),
    ],
)
def test_refused(outcome: Any, answer: dict[str, Any], suspends: bool) -> None:
    server, sio = make()
    log = noting(sio)

    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> Any:
        if suspends:
            await asyncio.sleep(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    client = server.websocket()
    client.text("40")
    (packet,) = client.messages()
    assert isinstance(packet, str)
    assert packet[:2] == "44"
    assert json.loads(packet[2:]) == answer
    assert peers(sio) == []
    assert not client.ended()
    client.leave()
    assert log == []


def test_refused_in_a_namespace() -> None:
    server, sio = make()
    sio.on("connect", lambda sid, environ: False, namespace="/a")
    client = server.websocket()
    client.text("40/a,")
    assert client.messages() == ['44/a,{"message":"Connection rejected by server"}']


def test_a_failed_connect_handler_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    server, sio = make()

    @sio.event
    def connect(sid: str, environ: Any) -> None:
        raise ValueError("secret")

    client = server.websocket()
    client.text("40")
    (message,) = errors(caplog)
    assert message.startswith("handler of 'connect' failed for ")
    assert message.endswith(" in /")


@pytest.mark.parametrize("answer", [None, True, 0, "", "no", []])
def test_only_false_refuses(answer: Any) -> None:
    server, sio = make()
    sio.on("connect", lambda sid, environ: answer)
    server.joined()


def test_refused_and_then_accepted() -> None:
    server, sio = make()
    answers = [False, True]
    sio.on("connect", lambda sid, environ: answers.pop(0))
    client = server.websocket()
    client.text("40")
    assert client.messages() == ['44{"message":"Connection rejected by server"}']
    join(client)


# --- namespaces -----------------------------------------------------------------


def test_several_namespaces_on_one_connection() -> None:
    server, sio = make(namespaces=["/", "/a", "/b"])
    got: Log = []
    for namespace in ("/", "/a"):
        sio.on(
            "e",
            lambda sid, *args, ns=namespace: got.append((ns, sid, *args)),
            namespace=namespace,
        )
    client = server.websocket()
    main, a = join(client), join(client, "/a")
    join(client, "/b")
    assert main != a
    client.text('42["e",1]')
    client.text('42/a,["e",2]')
    client.text('42/b,["e",3]')
    assert got == [("/", main, 1), ("/a", a, 2)]


@pytest.mark.parametrize(
    ("options", "handlers", "namespace", "admitted"),
    [
        ({}, [], "/", True),
        ({}, [], "/a", False),
        ({}, ["/a"], "/a", True),
        ({}, ["/a"], "/", True),
        ({"namespaces": ["/a"]}, [], "/a", True),
        ({"namespaces": ["/a"]}, [], "/", False),
        ({"namespaces": "/a"}, [], "/a", True),
        ({"namespaces": "*"}, [], "/anything", True),
        ({}, ["*"], "/a", False),
        ({"namespaces": "*"}, ["*"], "/a", True),
    ],
)
def test_which_namespaces_admit(
    options: dict[str, Any], handlers: list[str], namespace: str, admitted: bool
) -> None:
    server, sio = make(**options)
    for name in handlers:
        sio.on("e", print, namespace=name)
    client = server.websocket()
    prefix = "" if namespace == "/" else namespace + ","
    client.text("40" + prefix)
    (packet,) = client.messages()
    if admitted:
        assert isinstance(packet, str)
        assert packet.startswith(f"40{prefix}{{")
    else:
        assert packet == f'44{prefix}{{"message":"Invalid namespace"}}'


def test_asking_about_a_namespace_does_not_open_it() -> None:
    server, sio = make()
    assert sio.rooms("x", namespace="/ghost") == []
    run(sio.close_room("x", namespace="/ghost"))
    run(sio.emit("e", namespace="/ghost"))
    client = server.websocket()
    client.text("40/ghost,")
    assert client.messages() == ['44/ghost,{"message":"Invalid namespace"}']


def test_namespaces_that_nobody_is_in_are_not_kept() -> None:
    """Where clients choose the names, they would fill the memory."""
    server, sio = make(namespaces="*")
    client = server.websocket()
    for number in range(20):
        join(client, f"/{number}")
        client.text(f"41/{number},")
    client.leave()
    assert len(sio._hub.namespaces) <= 1


# --- what breaks the protocol ---------------------------------------------------


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        ("42/a,[1]", "packet for '/a', which is not connected"),
        ("41/a,", "packet for '/a', which is not connected"),
        ("43/a,1[]", "packet for '/a', which is not connected"),
        ('44{"message":"x"}', "CONNECT_ERROR from a client"),
        ('42["connect"]', "reserved event name 'connect'"),
        ("42", "EVENT or ACK packet without data"),
        ("4", "unknown Socket.IO packet type: b''"),
        ("4x", "unknown Socket.IO packet type: b'x'"),
        (
            '4511-["a"]',
            "attachment count 11 exceeds max_attachments=10",
        ),
        (b"x", "binary message that no packet has announced"),
    ],
)
def test_a_client_that_breaks_the_protocol_is_closed(
    packet: str | bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "socketio_fast")
    server, sio = make()
    log = noting(sio)
    client, sid = server.joined()
    (session,) = sio.eio.sockets
    if isinstance(packet, str):
        client.text(packet)
    else:
        client.binary(packet)
    assert client.ended()
    assert log[1:] == [("disconnect", sid, "transport error")]
    assert f"session {session}: {why}" in caplog.messages
    assert errors(caplog) == []


@pytest.mark.parametrize("packet", ['42["e"]', "41", "431[]", '42/a,["e"]'])
def test_packets_before_connect(packet: str) -> None:
    server, _ = make()
    client = server.websocket()
    client.text(packet)
    assert client.ended()


def test_packets_while_the_connect_handler_runs() -> None:
    server, sio = make()
    gate = server.loop.create_future()

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await gate

    client = server.websocket()
    client.text("40")
    client.text('42["e"]')
    assert client.ended()
    gate.set_result(None)
    server.loop.turn()
    assert peers(sio) == []


@pytest.mark.parametrize("packet", ['42["x"]', "43[]"])
def test_a_second_connect_of_a_client_that_knows_the_answer_closes(
    packet: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "socketio_fast")
    server, _ = make()
    client, _ = server.joined()
    client.text(packet)
    client.text("40")
    assert client.ended()
    assert "second CONNECT to '/'" in caplog.text


@pytest.mark.parametrize("always_connect", [False, True])
@pytest.mark.parametrize("namespace", ["", "/a,"])
def test_a_second_connect_that_may_have_crossed_the_answer_gets_none(
    namespace: str, always_connect: bool
) -> None:
    server, _ = make(always_connect=always_connect, namespaces=["/", "/a"])
    client = server.websocket()
    client.messages()
    client.text(f"40{namespace}")
    client.text(f"40{namespace}")
    (answer,) = client.messages()
    assert answer.startswith(f"40{namespace}{{")
    client.text(f"40{namespace}")
    client.text(f'42{namespace}["x"]')
    assert client.messages() == []
    assert not client.ended()


def test_a_second_connect_while_the_first_runs() -> None:
    server, sio = make()
    gate = server.loop.create_future()
    connected = []

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        connected.append(sid)
        await gate

    client = server.websocket()
    client.messages()
    client.text("40")
    client.text("40")
    assert client.messages() == []
    gate.set_result(None)
    server.loop.turn()
    (sid,) = connected
    assert client.messages() == [f'40{{"sid":"{sid}"}}']


# --- held messages --------------------------------------------------------------


@pytest.mark.parametrize("suspends", [False, True])
def test_what_the_connect_handler_sends_follows_the_connect_packet(
    suspends: bool,
) -> None:
    server, sio = make()

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await sio.emit("1", to=sid)
        await sio.emit("2")
        await sio.enter_room(sid, "room")
        await sio.emit("3", room="room")
        if suspends:
            await asyncio.sleep(0)
        await sio.emit("4", b"x", to=sid)

    client = server.websocket()
    client.text("40")
    packet, *rest = client.messages()
    assert isinstance(packet, str)
    assert packet.startswith('40{"sid":')
    assert rest == [
        '42["1"]',
        '42["2"]',
        '42["3"]',
        '451-["4",{"_placeholder":true,"num":0}]',
        b"x",
    ]


@pytest.mark.parametrize("sends", ["handler", "later handler", "listener", "told"])
@pytest.mark.parametrize("namespace", ["/", "/chat"])
def test_the_first_event_leaves_behind_the_connect_packet_not_with_it(
    sends: str, namespace: str
) -> None:
    """A client may listen for events only once it is connected."""
    server, sio = make(always_connect=sends == "told")

    async def connect(sid: str, environ: Any) -> None:
        if sends == "later handler":
            await asyncio.sleep(0)
        await sio.emit("a", to=sid, namespace=namespace)
        await sio.emit("b", to=sid, namespace=namespace)

    if sends == "listener":

        @sio.of(namespace).on("connection")
        async def connection(socket: Any) -> None:
            await socket.emit("a")
            await socket.emit("b")
    else:
        sio.on("connect", connect, namespace=namespace)
    client = server.websocket()
    before = len(client.wire.pieces)
    client.text("40" if namespace == "/" else "40/chat,")
    prefix = "42" if namespace == "/" else "42/chat,"
    first, second = client.wire.pieces[before:]
    assert first[2:].startswith(b"40")
    assert first.endswith(b"}")
    # Those are in one write again.
    assert len(second) == 2 * len(f'..{prefix}["a"]')
    assert client.messages()[1:] == [f'{prefix}["a"]', f'{prefix}["b"]']


def test_without_an_event_there_is_no_write_more() -> None:
    server, _ = make()
    client = server.websocket()
    client.text('40/,{"a":1}')
    assert len(client.wire.pieces) == 3  # the response, the open packet, CONNECT
    client.messages()
    client.text('421["x"]')
    assert len(client.wire.pieces) == 3


def test_by_polling_the_first_event_waits_for_the_next_poll() -> None:
    """As with the reference implementation, where a poll waits for CONNECT."""
    server, sio = make()

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await sio.emit("a", to=sid)
        await sio.emit("b", to=sid)

    http, sid = server.polling()
    poll = server.http()
    poll.send(request("GET", server.target("polling", sid)))
    http.post(server.target("polling", sid), "40")
    answer = poll.response()[2]
    assert answer.startswith(b"40")
    assert answer.count(b"\x1e") == 0
    assert poll.get(server.target("polling", sid)) == (200, b'42["a"]\x1e42["b"]')


def test_each_packet_of_a_handshake_of_revision_3_leaves_by_itself() -> None:
    server, sio = make(allow_eio3=True)

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await sio.emit("a", to=sid)

    http = server.http()
    http.send(upgrade_request(f"{server.path}?EIO=3&transport=websocket"))
    response, opened, connected, event = http.wire.pieces
    assert response.endswith(b"\r\n\r\n")
    assert opened.endswith(b"}")
    assert opened.count(b'0{"sid"') == 1
    assert (connected[2:], event[2:]) == (b"40", b'42["a"]')


@pytest.mark.parametrize("suspends", [False, True])
def test_what_it_sends_is_dropped_if_it_refuses(suspends: bool) -> None:
    server, sio = make()

    @sio.event
    async def connect(sid: str, environ: Any) -> bool:
        await sio.emit("1", to=sid)
        await sio.enter_room(sid, "room")
        if suspends:
            await asyncio.sleep(0)
        return False

    client = server.websocket()
    client.text("40")
    assert client.messages() == ['44{"message":"Connection rejected by server"}']
    assert sio._hub.namespaces["/"].rooms.rooms == {}


def test_what_is_held_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    server, sio = make(max_buffer_bytes=10_000)
    gate = server.loop.create_future()

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await gate

    client = server.websocket()
    client.text("40")
    for _ in range(20):
        run(sio.emit("e", "x" * 1000))
    server.loop.turn()
    assert client.ended()
    assert any("max_buffer_bytes=10000" in message for message in caplog.messages)


def test_attachments_that_are_held_count() -> None:
    server, sio = make(max_buffer_bytes=10_000)
    gate = server.loop.create_future()

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await gate

    client = server.websocket()
    client.text("40")
    for _ in range(20):
        run(sio.emit("e", b"x" * 1000))
    server.loop.turn()
    assert client.ended()


# --- connect_timeout ------------------------------------------------------------


def test_a_connection_that_joins_nothing_is_closed() -> None:
    server, _sio = make(connect_timeout=5, ping_interval=100)
    client = server.websocket()
    server.loop.advance(4.9)
    assert not client.ended()
    server.loop.advance(0.2)
    assert client.ended()


def test_a_refused_connection_still_has_to_join() -> None:
    server, _sio = make(connect_timeout=5, ping_interval=100)
    client = server.websocket()
    client.text("40/nowhere,")
    assert client.messages() == ['44/nowhere,{"message":"Invalid namespace"}']
    server.loop.advance(5.1)
    assert client.ended()


def test_who_has_joined_has_time() -> None:
    server, _ = make(connect_timeout=5, ping_interval=100)
    client, _ = server.joined()
    server.loop.advance(50)
    assert not client.ended()


# --- what belongs to a client ---------------------------------------------------


def test_session_data_is_per_namespace() -> None:
    server, sio = make(namespaces=["/", "/a"])
    client = server.websocket()
    main, a = join(client), join(client, "/a")

    async def use() -> None:
        async with sio.session(main) as data:
            data["x"] = 1
        await sio.save_session(a, {"y": 2}, namespace="/a")
        assert await sio.get_session(main) == {"x": 1}
        assert await sio.get_session(a, "/a") == {"y": 2}

    run(use())


@pytest.mark.parametrize("method", ["get_session", "save_session", "transport"])
def test_unknown_clients(method: str) -> None:
    _, sio = make()
    arguments: dict[str, tuple[Any, ...]] = {"save_session": ("x", {})}
    call = getattr(sio, method)
    with pytest.raises(KeyError, match="Session not found"):
        run(call(*arguments.get(method, ("x",))))
    assert sio.get_environ("x") is None
    run(sio.disconnect("x"))


def test_transport_and_environ() -> None:
    server, sio = make()
    _, sid = server.joined()
    assert sio.transport(sid) == "websocket"
    environ = sio.get_environ(sid)
    assert environ is not None
    assert environ["QUERY_STRING"] == "EIO=4&transport=websocket"


@pytest.mark.parametrize("end", ["leaves", "refused", "lost while connecting"])
def test_nothing_keeps_a_client_that_has_gone(end: str) -> None:
    """Not even until the garbage collector comes."""
    server, sio = make()
    gate = server.loop.create_future()
    seen: list[weakref.ref[Any]] = []

    @sio.event
    async def connect(sid: str, environ: Any) -> bool:
        (session,) = sio.eio.sockets.values()
        seen.append(weakref.ref(session))
        del session
        if end == "lost while connecting":
            await gate
        return end != "refused"

    gc.collect()
    gc.disable()
    try:
        client = server.websocket()
        client.text("40")
        client.leave()
        client.wire.lose()
        gate.set_result(None)
        server.loop.turn()
        del client
        server.loop.timers.clear()
        (session,) = seen
        assert session() is None
    finally:
        gc.enable()


def test_options_that_are_not_ones() -> None:
    for options in ({"connect_timeout": 0}, {"max_attachments": -1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            AsyncServer(**options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="pingInterval"):
        socketio_fast.AsyncServer(pingInterval=3)
