"""Socket.IO clients: connect, held messages, events, acknowledgements, pairs."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from support.raw import request, upgrade_request
from support.sansio import Server, WebSocket, errors, join, run

import socketio_fast
from socketio_fast import AsyncServer, exceptions

Log = list[tuple[Any, ...]]


def make(**options: Any) -> tuple[Server, AsyncServer]:
    sio = AsyncServer(**options)
    return Server(sio), sio


def noting(sio: AsyncServer, namespace: str | None = None) -> Log:
    """Connect and disconnect handlers that note what they get."""
    log: Log = []

    @sio.on("connect", namespace=namespace)
    def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        log.append(("connect", sid, auth))

    @sio.on("disconnect", namespace=namespace)
    def disconnect(sid: str, reason: str) -> None:
        log.append(("disconnect", sid, reason))

    return log


def peers(sio: AsyncServer, namespace: str = "/") -> list[str]:
    return list(sio._hub.namespaces[namespace].peers)


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
        (b"x", "binary message without a packet that awaits it"),
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


# --- events ---------------------------------------------------------------------


def test_arguments_of_a_handler() -> None:
    server, sio = make()
    got: Log = []
    sio.on("e", lambda *args: got.append(args))
    client, sid = server.joined()
    client.text('42["e"]')
    client.text('42["e",1,{"a":[null]}]')
    client.text('452-["e",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]')
    client.binary(b"0")
    assert len(got) == 2
    client.binary(b"1")
    assert got == [(sid,), (sid, 1, {"a": [None]}), (sid, b"1", b"0")]


def test_text_while_attachments_are_awaited() -> None:
    server, _sio = make()
    client, _ = server.joined()
    client.text('451-["e",{"_placeholder":true,"num":0}]')
    client.text('42["e"]')
    assert client.ended()


def test_heartbeats_while_attachments_are_awaited() -> None:
    server, sio = make()
    got: Log = []
    sio.on("e", lambda *args: got.append(args))
    client, sid = server.joined()
    client.text('451-["e",{"_placeholder":true,"num":0}]')
    server.loop.advance(25)
    client.text("3")
    client.binary(b"x")
    assert got == [(sid, b"x")]


def test_events_without_a_handler_are_dropped() -> None:
    server, _ = make()
    client, _ = server.joined()
    client.text('421["nobody",1]')
    assert client.messages() == []
    assert not client.ended()


@pytest.mark.parametrize(
    ("registered", "event", "expected"),
    [
        # (namespace, event): the handler that is called, and its arguments.
        ([("/", "e"), ("/", "*"), ("*", "e"), ("*", "*")], "e", ("/", "e", "SID", 1)),
        ([("/", "*"), ("*", "e"), ("*", "*")], "e", ("/", "*", "e", "SID", 1)),
        ([("*", "e"), ("*", "*")], "e", ("*", "e", "/", "SID", 1)),
        ([("*", "*")], "e", ("*", "*", "e", "/", "SID", 1)),
        ([("/", "other"), ("*", "*")], "e", ("*", "*", "e", "/", "SID", 1)),
    ],
)
def test_the_handler_that_fits_best(
    registered: list[tuple[str, str]], event: str, expected: tuple[Any, ...]
) -> None:
    server, sio = make()
    got: Log = []
    for namespace, name in registered:
        sio.on(
            name,
            lambda *args, ns=namespace, n=name: got.append((ns, n, *args)),
            namespace=namespace,
        )
    client, sid = server.joined()
    client.text(f'42["{event}",1]')
    assert got == [tuple(sid if part == "SID" else part for part in expected)]


def test_an_event_with_the_catch_alls_own_name() -> None:
    """The catch-all's first arguments are ours: a client must not choose its sid."""
    server, sio = make()
    got: Log = []
    sio.on("*", lambda event, sid, *args: got.append((event, sid, *args)))
    client, sid = server.joined()
    client.text('42["*","somebody else",1]')
    assert got == [("*", sid, "somebody else", 1)]


def test_an_event_with_the_catch_alls_own_name_in_every_namespace() -> None:
    server, sio = make()
    got: Log = []
    sio.on("*", lambda *args: got.append(args), namespace="*")
    client, sid = server.joined()
    client.text('42["*","somebody else"]')
    assert got == [("*", "/", sid, "somebody else")]


def test_catch_all_connect_and_disconnect() -> None:
    server, sio = make(namespaces=["/a"])
    log = noting_everywhere(sio)
    client, sid = server.joined("/a")
    client.leave()
    assert log == [("connect", "/a", sid), ("disconnect", "/a", sid)]


def noting_everywhere(sio: AsyncServer) -> Log:
    log: Log = []

    @sio.on("connect", namespace="*")
    def connect(namespace: str, sid: str, environ: Any, auth: Any) -> None:
        log.append(("connect", namespace, sid))

    @sio.on("disconnect", namespace="*")
    def disconnect(namespace: str, sid: str, reason: str) -> None:
        log.append(("disconnect", namespace, sid))

    return log


@pytest.mark.parametrize("suspends", [False, True])
def test_a_handler_that_fails_is_logged_with_event_and_sid(
    suspends: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server, sio = make()

    @sio.on("e")
    async def e(sid: str) -> None:
        if suspends:
            await asyncio.sleep(0)
        raise ValueError("x")

    client, sid = server.joined()
    client.text('421["e"]')
    assert errors(caplog) == [f"handler of 'e' failed for {sid} in /"]
    assert client.messages() == []
    assert not client.ended()


def test_a_handler_that_takes_other_arguments(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, sio = make()
    sio.on("e", lambda sid: None)
    client, sid = server.joined()
    client.text('42["e",1,2]')
    assert errors(caplog) == [f"handler of 'e' failed for {sid} in /"]
    assert not client.ended()


def test_a_cancelled_handler(caplog: pytest.LogCaptureFixture) -> None:
    server, sio = make()

    @sio.on("e")
    async def e(sid: str) -> None:
        raise asyncio.CancelledError

    client, sid = server.joined()
    client.text('42["e"]')
    assert errors(caplog) == []
    assert f"handler of 'e' was cancelled for {sid} in /" in caplog.messages
    assert not client.ended()


def test_events_are_logged_if_wanted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "socketio_fast.server")
    server, sio = make()
    client, sid = server.joined()
    run(sio.emit("x", to=sid, callback=print))
    client.text('42["e"]')
    client.text("431[]")
    assert f'received event "e" from {sid} [/]' in caplog.messages
    assert f"received ack from {sid} [/]" in caplog.messages


# --- order ----------------------------------------------------------------------


def test_handlers_start_in_order() -> None:
    server, sio = make()
    gates = {name: server.loop.create_future() for name in ("a", "b")}
    log: list[str] = []

    @sio.on("*")
    async def handler(event: str, sid: str) -> str:
        log.append("begin " + event)
        if event in gates:
            await gates[event]
        log.append("end " + event)
        return event

    client, _ = server.joined()
    for number, name in enumerate("abc"):
        client.text(f'42{number}["{name}"]')
    gates["b"].set_result(None)
    server.loop.turn()
    gates["a"].set_result(None)
    server.loop.turn()
    assert log == ["begin a", "begin b", "begin c", "end c", "end b", "end a"]
    assert client.messages() == ['432["c"]', '431["b"]', '430["a"]']


def test_one_handler_at_a_time() -> None:
    server, sio = make(async_handlers=False)
    gate = server.loop.create_future()
    log: list[str] = []

    @sio.on("*")
    async def handler(event: str, sid: str) -> str:
        log.append("begin " + event)
        if event == "a":
            await gate
        if event == "fails":
            await asyncio.sleep(0)
            raise ValueError
        log.append("end " + event)
        return event

    client, _ = server.joined()
    other, _ = server.joined()
    for number, name in enumerate(["a", "fails", "c"]):
        client.text(f'42{number}["{name}"]')
    other.text('427["other"]')
    assert log == ["begin a", "begin other", "end other"]
    gate.set_result(None)
    server.loop.turn()
    assert log[3:] == ["end a", "begin fails", "begin c", "end c"]
    assert client.messages() == ['430["a"]', '432["c"]']


def test_waiting_events_of_a_client_that_has_gone() -> None:
    server, sio = make(async_handlers=False)
    gate = server.loop.create_future()
    log: list[str] = []

    @sio.on("*")
    async def handler(event: str, sid: str) -> None:
        log.append(event)
        if event == "a":
            await gate

    client, _ = server.joined()
    client.text('42["a"]')
    client.text('42["b"]')
    client.wire.lose()
    gate.set_result(None)
    server.loop.turn()
    assert log == ["a"]


# --- acknowledgements of the server's -------------------------------------------


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize(
    ("value", "packets"),
    [
        (None, ["437[]"]),
        ((), ["437[]"]),
        (1, ["437[1]"]),
        ([1, 2], ["437[[1,2]]"]),
        ((1, [2]), ["437[1,[2]]"]),
        ("x", ['437["x"]']),
        (False, ["437[false]"]),
        ({"a": None}, ['437[{"a":null}]']),
        (b"x", ['461-7[{"_placeholder":true,"num":0}]', b"x"]),
    ],
)
def test_what_a_handler_returns_is_acknowledged(
    value: Any, packets: list[str | bytes], suspends: bool
) -> None:
    server, sio = make()

    @sio.on("e")
    async def e(sid: str) -> Any:
        if suspends:
            await asyncio.sleep(0)
        return value

    client, _ = server.joined()
    client.text('427["e"]')
    assert client.messages() == packets
    client.text('42["e"]')
    assert client.messages() == []


def test_an_acknowledgement_in_a_namespace() -> None:
    server, sio = make()
    sio.on("e", lambda sid: 1, namespace="/a")
    client, _ = server.joined("/a")
    client.text('42/a,0["e"]')
    assert client.messages() == ["43/a,0[1]"]


def test_an_acknowledgement_that_is_not_json(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, sio = make()
    sio.on("e", lambda sid: object())
    client, sid = server.joined()
    client.text('427["e"]')
    assert client.messages() == []
    assert errors(caplog) == [f"acknowledgement 7 for {sid} could not be sent"]
    assert not client.ended()


# --- acknowledgements of the client's -------------------------------------------


def test_a_callback_gets_the_arguments_once() -> None:
    server, sio = make()
    got: Log = []
    client, sid = server.joined()
    run(sio.emit("e", 1, to=sid, callback=lambda *args: got.append(args)))
    run(sio.emit("e", 2, to=sid, callback=lambda *args: got.append(("second", *args))))
    first, second = (json_id(packet) for packet in client.messages())
    assert first != second
    client.text(f'43{second}["x",2]')
    client.text(f"43{first}[]")
    client.text(f"43{first}[9]")
    assert got == [("second", "x", 2), ()]


def json_id(packet: str | bytes) -> str:
    assert isinstance(packet, str)
    return packet[2 : packet.index("[")]


def test_a_callback_that_suspends_and_fails(caplog: pytest.LogCaptureFixture) -> None:
    server, sio = make()
    client, sid = server.joined()

    async def suspends() -> None:
        await asyncio.sleep(0)
        raise ValueError

    def fails() -> None:
        raise ValueError

    for callback in (suspends, fails):
        run(sio.emit("e", to=sid, callback=callback))
        client.text(f"43{json_id(client.messages()[0])}[]")
    assert errors(caplog) == [f"handler of 'acknowledgement' failed for {sid} in /"] * 2
    assert not client.ended()


@pytest.mark.parametrize("packet", ["4399[]", "43[]", "439007199254740991[1]"])
def test_an_acknowledgement_that_nobody_awaits(packet: str) -> None:
    server, _ = make()
    client, _ = server.joined()
    client.text(packet)
    assert not client.ended()


def test_the_acknowledgement_of_another_client() -> None:
    server, sio = make()
    got: Log = []
    (_, sid), (other, _) = server.joined(), server.joined()
    run(sio.emit("e", to=sid, callback=lambda *args: got.append(args)))
    for number in range(3):
        other.text(f"43{number}[]")
    assert got == []


def collect(got: Log, number: int) -> Callable[..., None]:
    return lambda *args: got.append((number, *args))


def calling(
    server: Server, sio: AsyncServer, **options: Any
) -> tuple[WebSocket, asyncio.Task[Any]]:
    """A client, and a call to it that waits."""
    client, sid = server.joined()
    with server.loop.running():
        task = server.loop.create_task(sio.call("e", 1, to=sid, **options))
    server.loop.turn()
    return client, task


@pytest.mark.parametrize(
    ("packet", "result"),
    [("430[]", None), ("430[1]", 1), ("430[[1]]", [1]), ("430[1,2]", (1, 2))],
)
def test_call(packet: str, result: Any) -> None:
    server, sio = make()
    client, task = calling(server, sio)
    assert client.messages() == ['420["e",1]']
    client.text(packet)
    assert task.result() == result


def test_call_that_is_not_answered() -> None:
    server, sio = make()
    client, task = calling(server, sio, timeout=3)
    server.loop.advance(2.9)
    assert not task.done()
    server.loop.advance(0.2)
    error = task.exception()
    assert type(error) is exceptions.TimeoutError
    assert "did not acknowledge 'e' in 3 s" in str(error)
    # Too late: nothing is kept for it, and the client stays.
    client.text("430[1]")
    assert client.messages() == ['420["e",1]']
    assert not client.ended()


def test_call_to_one_who_goes() -> None:
    server, sio = make()
    client, task = calling(server, sio)
    client.wire.lose()
    server.loop.turn()
    error = task.exception()
    assert type(error) is exceptions.CallDisconnectedError
    assert "disconnected before it acknowledged: transport close" in str(error)


def test_call_to_one_who_has_gone() -> None:
    _, sio = make()
    with pytest.raises(exceptions.CallDisconnectedError, match="x is not connected"):
        run(sio.call("e", to="x"))


def test_call_from_the_disconnect_handler() -> None:
    """It could only wait in vain."""
    server, sio = make()
    got: list[BaseException] = []

    @sio.event
    async def disconnect(sid: str) -> None:
        try:
            await sio.call("e", to=sid, timeout=3)
        except exceptions.TimeoutError as exc:
            got.append(exc)

    client, _ = server.joined()
    client.leave()
    server.loop.advance(4)
    (error,) = got
    assert isinstance(error, exceptions.CallDisconnectedError)


def test_call_that_cannot_be() -> None:
    _, sio = make()
    with pytest.raises(ValueError, match="Cannot use call"):
        run(sio.call("e"))
    _, sio = make(async_handlers=False)
    with pytest.raises(RuntimeError, match="async_handlers is False"):
        run(sio.call("e", to="x"))


def test_call_takes_as_long_behind_many_acknowledgements() -> None:
    """A search through them took 9 ms, twice a call."""
    server, sio = make(max_pending_acks=100_001)
    client, sid = server.joined()
    for _ in range(50_000):
        run(sio.emit("e", to=sid, callback=print))
    client.messages()

    before = time.process_time()
    for number in range(50_000, 50_500):
        with server.loop.running():
            task = server.loop.create_task(sio.call("e", to=sid))
        server.loop.turn()
        client.text(f"43{number}[]")
        assert task.done()
    assert time.process_time() - before < 2
    (peer,) = sio._hub.namespaces["/"].peers.values()
    assert peer.session.under_way == (0, 50_000)


def test_acknowledgements_that_never_come_are_bounded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The oldest is given up: a warning says so, and whoever waits for it learns it."""
    server, sio = make(max_pending_acks=3)
    client, task = calling(server, sio, timeout=None)
    (sid,) = sio._hub.namespaces["/"].peers
    got: Log = []
    with server.loop.running():
        asking = server.loop.create_task(
            sio.of("/").to(sid).timeout(60).emit_with_ack("asked")
        )
    server.loop.turn()
    for number in range(4):
        run(sio.emit("e", to=sid, callback=collect(got, number)))
    server.loop.turn()
    error = task.exception()
    assert type(error) is exceptions.TimeoutError
    assert "max_pending_acks=3" in str(error)
    assert type(asking.exception()) is exceptions.BroadcastTimeoutError
    for packet in client.messages():
        client.text(f'43{json_id(packet)}["x"]')
    assert got == [(1, "x"), (2, "x"), (3, "x")]
    assert sio.eio.counters["abandoned_acks"] == 3
    (said,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert said == (
        f"{sid} in / does not acknowledge what it is sent: more than "
        "max_pending_acks=3 are waited for, the oldest are given up"
    )


@pytest.mark.parametrize("number", [0, -1])
def test_acknowledgements_that_may_be_waited_for_are_at_least_one(number: int) -> None:
    with pytest.raises(ValueError, match=f"max_pending_acks={number}"):
        make(max_pending_acks=number)


# --- disconnect -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda server, client: client.text("41"), "client disconnect"),
        (lambda server, client: client.text("1"), "client disconnect"),
        (lambda server, client: client.leave(), "transport close"),
        (lambda server, client: client.wire.lose(), "transport close"),
        (lambda server, client: client.text("9"), "transport error"),
        (lambda server, client: server.loop.advance(46), "ping timeout"),
        (lambda server, client: server.engine.close_all(), "server disconnect"),
        (lambda server, client: server.engine.drop_all(), "server disconnect"),
    ],
)
def test_the_disconnect_handler_runs_once_with_the_reason(
    end: Any, reason: str
) -> None:
    server, sio = make()
    log = noting(sio)
    client, sid = server.joined()
    end(server, client)
    client.wire.lose()
    server.loop.advance(100)
    assert log[1:] == [("disconnect", sid, reason)]
    assert peers(sio) == []


def test_a_client_leaves_one_namespace() -> None:
    server, sio = make(namespaces=["/", "/a"])
    log = noting(sio, "/a")
    client = server.websocket()
    join(client)
    sid = join(client, "/a")
    client.text("41/a,")
    assert log[1:] == [("disconnect", sid, "client disconnect")]
    assert len(peers(sio)) == 1
    assert join(client, "/a") != sid


def test_the_server_disconnects_from_one_namespace() -> None:
    server, sio = make(namespaces=["/", "/a"])
    log = noting(sio)
    client = server.websocket()
    sid = join(client)
    join(client, "/a")
    run(sio.disconnect(sid))
    assert client.messages() == ["41"]
    assert log[1:] == [("disconnect", sid, "server disconnect")]
    assert not client.ended()
    run(sio.disconnect(sid))
    assert len(log) == 2


def test_all_namespaces_end_with_the_connection() -> None:
    server, sio = make(namespaces="*")
    log = noting_everywhere(sio)
    client = server.websocket()
    for namespace in ("/a", "/", "/b"):
        join(client, namespace)
    client.leave()
    assert sorted(entry[1] for entry in log if entry[0] == "disconnect") == [
        "/",
        "/a",
        "/b",
    ]


def test_disconnect_waits_for_the_handler() -> None:
    server, sio = make()
    gate = server.loop.create_future()
    log: list[str] = []

    @sio.event
    async def disconnect(sid: str) -> None:
        await gate
        log.append("handler ended")

    _, sid = server.joined()
    with server.loop.running():
        task = server.loop.create_task(sio.disconnect(sid))
        task.add_done_callback(lambda _: log.append("disconnect() returned"))
    server.loop.turn()
    assert log == []
    assert peers(sio) == [sid]  # handlers may still ask about it
    gate.set_result(None)
    server.loop.turn()
    assert log == ["handler ended", "disconnect() returned"]
    assert peers(sio) == []


def test_nothing_is_sent_while_the_disconnect_handler_runs() -> None:
    server, sio = make(namespaces=["/", "/a"])
    gate = server.loop.create_future()

    @sio.event
    async def disconnect(sid: str) -> None:
        await sio.emit("bye", to=sid)
        await gate

    client = server.websocket()
    sid = join(client)
    client.text("41")
    run(sio.emit("e"))
    assert client.messages() == []
    # The namespace can be joined again meanwhile.
    assert join(client) != sid
    gate.set_result(None)
    server.loop.turn()
    assert len(peers(sio)) == 1


def test_rooms_and_session_last_through_the_disconnect_handler() -> None:
    server, sio = make()
    got: list[Any] = []

    @sio.event
    async def disconnect(sid: str) -> None:
        await asyncio.sleep(0)
        got.append((sio.rooms(sid), await sio.get_session(sid)))
        assert sio.get_environ(sid) is not None

    client, sid = server.joined()
    run(sio.enter_room(sid, "room"))
    run(sio.save_session(sid, {"a": 1}))
    client.leave()
    assert got == [([sid, "room"], {"a": 1})]
    assert sio.rooms(sid) == []


def test_disconnected_by_its_own_connect_handler() -> None:
    server, sio = make()
    log = noting(sio)

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await sio.disconnect(sid)

    client = server.websocket()
    client.text("40")
    assert client.messages() == ['44{"message":"Connection rejected by server"}']
    assert [entry[2] for entry in log] == ["server disconnect"]
    assert peers(sio) == []


def test_gone_while_the_connect_handler_runs() -> None:
    server, sio = make()
    log = noting(sio)
    gate = server.loop.create_future()

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await gate
        log.append(("accepted", sid, None))

    client = server.websocket()
    client.text("40")
    client.wire.lose()
    assert log == []
    gate.set_result(None)
    server.loop.turn()
    assert [(entry[0], entry[2]) for entry in log] == [
        ("accepted", None),
        ("disconnect", "transport close"),
    ]
    assert peers(sio) == []


def test_gone_while_the_connect_handler_runs_and_refused() -> None:
    server, sio = make()
    log = noting(sio)
    gate = server.loop.create_future()

    @sio.event
    async def connect(sid: str, environ: Any) -> bool:
        await gate
        return False

    client = server.websocket()
    client.text("40")
    client.wire.lose()
    gate.set_result(None)
    server.loop.turn()
    assert log == []
    assert peers(sio) == []


def test_a_disconnect_handler_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    server, sio = make()

    @sio.event
    async def disconnect(sid: str) -> None:
        raise ValueError("x")

    client, sid = server.joined()
    client.leave()
    assert errors(caplog) == [f"handler of 'disconnect' failed for {sid} in /"]
    assert peers(sio) == []


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
