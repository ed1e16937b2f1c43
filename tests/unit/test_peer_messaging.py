"""Events of Socket.IO clients: who handles them, in which order, and the end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from support.peers import Log, make, noting, peers
from support.sansio import errors, join, run

from socketio_fast import AsyncServer

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
