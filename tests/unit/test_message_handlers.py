"""The Engine.IO layer's handlers: order, refusals, failures, pairs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.raw import request
from support.sansio import Http, Server, WebSocket, errors, run

import socketio_fast
from socketio_fast.engineio import AsyncServer
from socketio_fast.engineio.base_server import BaseServer
from socketio_fast.engineio.packet import MESSAGE, Packet

Log = list[tuple[Any, ...]]


def make(**options: Any) -> tuple[Server, AsyncServer, Log]:
    """A server whose handlers note what they get."""
    app = AsyncServer(**options)
    log: Log = []

    @app.on("connect")
    def connect(sid: str, environ: dict[str, Any]) -> None:
        log.append(("connect", sid, environ["PATH_INFO"]))

    @app.on("message")
    def message(sid: str, data: str | bytes) -> None:
        log.append(("message", sid, data))

    @app.on("disconnect")
    def disconnect(sid: str, reason: str) -> None:
        log.append(("disconnect", sid, reason))

    return Server(app), app, log


def test_a_session_from_connect_to_disconnect() -> None:
    server, app, log = make()
    client = server.websocket()
    (sid,) = app.sockets
    client.text("4a")
    client.binary(b"b")
    client.leave()
    assert log == [
        ("connect", sid, "/engine.io/"),
        ("message", sid, "a"),
        ("message", sid, b"b"),
        ("disconnect", sid, "transport close"),
    ]


def test_without_handlers() -> None:
    server = Server(AsyncServer())
    client = server.websocket()
    client.text("4a")
    client.binary(b"b")
    assert not client.ended()
    client.leave()
    assert server.engine.sessions == {}


def test_text_that_is_not_utf_8() -> None:
    server, _, log = make()
    http, sid = server.polling()
    status, _ = http.post(server.target("polling", sid), b"4\xff")
    assert status == 200  # the close packet comes by the next poll
    assert log[1:] == [("disconnect", sid, "transport error")]


def test_text_that_is_not_utf_8_over_websocket() -> None:
    server, _, _ = make()
    client = server.websocket()
    client.text(b"4\xff")
    assert client.ended()
    assert client.code == 1007


# --- connect --------------------------------------------------------------------


@pytest.mark.parametrize("answer", [None, True])
@pytest.mark.parametrize("suspends", [False, True])
def test_accepted(answer: Any, suspends: bool) -> None:
    server, app, _ = make()

    @app.on("connect")
    async def connect(sid: str, environ: Any) -> Any:
        if suspends:
            await asyncio.sleep(0)
        return answer

    assert not server.websocket().ended()


@pytest.mark.parametrize("answer", [False, 0, "no", {"error": 1}])
@pytest.mark.parametrize("suspends", [False, True])
def test_refused(answer: Any, suspends: bool) -> None:
    server, app, log = make()

    @app.on("connect")
    async def connect(sid: str, environ: Any) -> Any:
        if suspends:
            await asyncio.sleep(0)
        return answer

    http = server.http()
    status, _ = http.get(server.target("polling"))
    assert status == 403
    assert WebSocket(server).ended()
    assert app.sockets == {}
    assert log == []  # who was not accepted does not disconnect


@pytest.mark.parametrize("suspends", [False, True])
def test_refused_by_an_exception(
    suspends: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server, app, _ = make()

    @app.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        if suspends:
            await asyncio.sleep(0)
        raise ValueError("x")

    status, body = server.http().get(server.target("polling"))
    assert (status, body) == (403, b'{"code":4,"message":"Forbidden"}')
    (message,) = errors(caplog)
    assert message.startswith("handler of 'connect' failed for ")
    assert app.sockets == {}


def test_nothing_is_delivered_before_the_client_is_accepted() -> None:
    server, app, log = make()
    go = server.loop.create_future()

    @app.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        await app.send(sid, "too early")
        await go

    client = WebSocket(server)
    assert client.messages() == []
    client.text("4also too early")
    assert log == []
    go.set_result(None)
    packet, early = client.messages()
    assert packet[:1] == "0"
    assert early == "4too early"
    client.text("4a")
    assert [entry[2] for entry in log] == ["a"]


def test_gone_before_it_was_accepted_and_refused_then() -> None:
    server, app, log = make()
    go = server.loop.create_future()

    @app.on("connect")
    async def connect(sid: str, environ: Any) -> bool:
        await go
        return False

    client = WebSocket(server)
    client.wire.lose()
    assert app.sockets == {}
    go.set_result(None)
    server.loop.turn()
    assert app.sockets == {}
    assert log == []


def test_gone_before_it_was_accepted_disconnects_once() -> None:
    """Its connect handler accepted it: the handlers pair up."""
    server, app, log = make()
    go = server.loop.create_future()

    @app.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        await go
        log.append(("accepted", sid))

    client = WebSocket(server)
    (sid,) = app.sockets
    client.wire.lose()
    go.set_result(None)
    server.loop.turn()
    assert app.sockets == {}
    assert log == [("accepted", sid), ("disconnect", sid, "transport close")]


def test_disconnected_by_its_own_connect_handler() -> None:
    server, app, _ = make()

    @app.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        await app.disconnect(sid)

    client = WebSocket(server)
    (packet,) = client.messages()
    assert packet[:1] == "0"
    assert client.code == 0
    client.leave()
    assert app.sockets == {}


# --- what a connect handler sends ------------------------------------------------


def sending(app: AsyncServer, server: Server, suspends: bool, value: Any = None) -> Any:
    """A connect handler that sends one of each; the Future that it may wait for."""
    go = server.loop.create_future()

    @app.on("connect")
    async def connect(sid: str, environ: Any) -> Any:
        session = app.sockets[sid]
        await app.send(sid, "a")
        if suspends:
            await go
        await app.send_packet(sid, Packet(MESSAGE, "b"))
        await app.send(sid, b"")
        await app.send(sid, [1])
        session.send_message(b"\1")
        return value

    return go


@pytest.mark.parametrize("suspends", [False, True])
def test_what_a_connect_handler_sends_follows_the_open_packet(suspends: bool) -> None:
    server, app, _ = make(initial_packet="first")
    go = sending(app, server, suspends)
    client = WebSocket(server)
    assert bool(client.wire.written or client.rest) is not suspends
    go.set_result(None)
    packet, *messages = client.messages()
    assert packet[:1] == "0"
    assert messages == ["4first", "4a", "4b", b"", "4[1]", b"\1"]
    # The response, the open packet, the others.
    assert len(client.wire.pieces) == 3
    assert client.wire.pieces[1].endswith(b"}")
    assert server.engine.sessions[next(iter(app.sockets))].buffered_bytes == 0


@pytest.mark.parametrize("suspends", [False, True])
def test_by_polling_it_comes_with_the_open_packet(suspends: bool) -> None:
    server, app, _ = make()
    go = sending(app, server, suspends)
    http = server.http()
    http.send(request("GET", server.target("polling")))
    assert bool(http.wire.written) is not suspends
    go.set_result(None)
    status, _, body = http.response()
    assert status == 200
    packet, *messages = body.split(b"\x1e")
    assert packet[:1] == b"0"
    assert messages == [b"4a", b"4b", b"b", b"4[1]", b"bAQ=="]


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_refused_client_gets_nothing_of_it(suspends: bool, transport: str) -> None:
    server, app, log = make()
    go = sending(app, server, suspends, False)
    http = server.http()
    go.set_result(None)
    if transport == "polling":
        http.send(request("GET", server.target("polling")))
        status, _, body = http.response()
        assert (status, body) == (403, b'{"code":4,"message":"Forbidden"}')
    else:
        client = WebSocket(server)
        assert client.messages() == []
        assert client.code == 1008
    assert app.sockets == {}
    assert log == []


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_disconnected_by_its_connect_handler_behind_what_that_sent(
    suspends: bool, transport: str
) -> None:
    server, app, log = make()
    go = server.loop.create_future()

    @app.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        await app.send(sid, "a")
        await app.disconnect(sid)
        await app.send(sid, "too late")
        assert log == []
        if suspends:
            await go

    if transport == "polling":
        http = server.http()
        http.send(request("GET", server.target("polling")))
        go.set_result(None)
        (status, _, body) = http.response()
        assert (status, body.split(b"\x1e")[1:]) == (200, [b"4a", b"1"])
    else:
        client = WebSocket(server)
        go.set_result(None)
        (packet, message) = client.messages()
        assert (packet[:1], message, client.code) == ("0", "4a", 0)
        client.leave()
    assert app.sockets == {}
    assert [entry[::2] for entry in log] == [("disconnect", "server disconnect")]


def test_gone_before_it_was_sent_what_its_connect_handler_sent() -> None:
    server, app, log = make()
    go = sending(app, server, True)
    client = WebSocket(server)
    (session,) = app.sockets.values()
    assert session.buffered_bytes == 1 + len("4")
    client.wire.lose()
    go.set_result(None)
    server.loop.turn()
    assert app.sockets == {}
    assert [entry[::2] for entry in log] == [("disconnect", "transport close")]


def test_a_connect_handler_that_sends_too_much_is_stopped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, app, _ = make(max_buffer_bytes=1000)
    go = server.loop.create_future()

    @app.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        for _ in range(11):
            await app.send(sid, "x" * 100)
        await go

    client = WebSocket(server)
    assert client.ended()
    assert app.sockets == {}
    assert "max_buffer_bytes=1000" in caplog.text


# --- messages -------------------------------------------------------------------


def test_handlers_start_in_order_though_one_suspends() -> None:
    server, app, _ = make()
    client = server.websocket()
    gates = {name: server.loop.create_future() for name in "ab"}
    log: list[str] = []

    @app.on("message")
    async def message(sid: str, data: str) -> None:
        log.append("begin " + data)
        if data in gates:
            await gates[data]
        log.append("end " + data)

    for name in "abc":
        client.text("4" + name)
    gates["b"].set_result(None)
    server.loop.turn()
    gates["a"].set_result(None)
    server.loop.turn()
    assert log == ["begin a", "begin b", "begin c", "end c", "end b", "end a"]


def test_one_handler_at_a_time() -> None:
    server, app, _ = make(async_handlers=False)
    client, other = server.websocket(), server.websocket()
    gate = server.loop.create_future()
    log: list[str] = []

    @app.on("message")
    async def message(sid: str, data: str) -> None:
        log.append("begin " + data)
        if data == "a":
            await gate
        if data == "fails":
            await asyncio.sleep(0)
            raise ValueError
        log.append("end " + data)

    for name in ("a", "fails", "c"):
        client.text("4" + name)
    other.text("4other")
    assert log == ["begin a", "begin other", "end other"]
    gate.set_result(None)
    server.loop.turn()
    assert log[3:] == ["end a", "begin fails", "begin c", "end c"]
    client.text("4d")
    assert log[7:] == ["begin d", "end d"]


@pytest.mark.parametrize("suspends", [False, True])
def test_a_handler_that_fails_is_logged_and_the_client_stays(
    suspends: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server, app, _ = make()
    client = server.websocket()
    (sid,) = app.sockets

    @app.on("message")
    async def message(sid: str, data: str) -> None:
        if suspends:
            await asyncio.sleep(0)
        raise ValueError("x")

    client.text("4a")
    client.text("4b")
    assert errors(caplog) == [f"handler of 'message' failed for {sid}"] * 2
    assert all(
        record.exc_info is not None and record.exc_info[0] is ValueError
        for record in caplog.records
    )
    assert not client.ended()


def test_a_cancelled_handler_does_not_end_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, app, _ = make()
    client = server.websocket()

    @app.on("message")
    async def message(sid: str, data: str) -> None:
        raise asyncio.CancelledError

    client.text("4a")
    assert not client.ended()
    assert errors(caplog) == []
    assert "handler of 'message' was cancelled" in caplog.text


def test_handlers_that_have_suspended_are_tasks() -> None:
    server, app, _ = make()
    client = server.websocket()
    gate = server.loop.create_future()

    @app.on("message")
    async def message(sid: str, data: str) -> None:
        if data == "wait":
            await gate

    client.text("4quick")
    assert app.handler_tasks() == set()
    client.text("4wait")
    (task,) = app.handler_tasks()
    assert not task.done()
    gate.set_result(None)
    server.loop.turn()
    assert app.handler_tasks() == set()
    assert task.done()


# --- disconnect -----------------------------------------------------------------


def lose(server: Server, client: Http, sid: str) -> None:
    client.wire.lose()


def close_packet(server: Server, client: Any, sid: str) -> None:
    client.text("1")


def break_the_protocol(server: Server, client: Any, sid: str) -> None:
    client.text("9")


def server_side(server: Server, client: Http, sid: str) -> None:
    server.engine.sessions[sid].disconnect()


def silence(server: Server, client: Http, sid: str) -> None:
    server.loop.advance(46)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lose, "transport close"),
        (close_packet, "client disconnect"),
        (break_the_protocol, "transport error"),
        (server_side, "server disconnect"),
        (silence, "ping timeout"),
    ],
)
def test_reasons(end: Any, reason: str) -> None:
    server, app, log = make()
    client = server.websocket()
    (sid,) = app.sockets
    end(server, client, sid)
    client.wire.lose()
    server.loop.advance(100)
    assert log[1:] == [("disconnect", sid, reason)]


def test_a_disconnect_handler_that_leaves_out_the_reason() -> None:
    server, app, _ = make()
    got: list[str] = []

    @app.on("disconnect")
    async def disconnect(sid: str) -> None:
        got.append(sid)

    client = server.websocket()
    (sid,) = app.sockets
    client.leave()
    assert got == [sid]


def test_a_disconnect_handler_that_suspends_and_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, app, _ = make()

    @app.on("disconnect")
    async def disconnect(sid: str, reason: str) -> None:
        await asyncio.sleep(0)
        raise ValueError("x")

    client = server.websocket()
    (sid,) = app.sockets
    client.leave()
    assert errors(caplog) == [f"handler of 'disconnect' failed for {sid}"]


# --- the application's names ----------------------------------------------------


def test_sessions_of_the_application() -> None:
    server, app, _ = make()
    server.websocket()
    (sid,) = app.sockets

    async def main() -> None:
        assert await app.get_session(sid) == {}
        async with app.session(sid) as data:
            data["a"] = 1
        assert await app.get_session(sid) == {"a": 1}
        await app.save_session(sid, {"b": 2})
        assert await app.get_session(sid) == {"b": 2}
        with pytest.raises(KeyError, match="Session not found"):
            await app.get_session("x")

    run(main())
    assert app.transport(sid) == "websocket"
    with pytest.raises(KeyError, match="Session not found"):
        app.transport("x")


def test_sending_to_nobody_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    _, app, _ = make()
    run(app.send("x", "a"))
    assert caplog.messages == ["cannot send to unknown session x"]


def test_disconnect_one_or_all() -> None:
    server, app, _ = make()
    clients = [server.websocket() for _ in range(3)]
    first, *_ = app.sockets
    run(app.disconnect("unknown"))
    run(app.disconnect(first))
    assert [client.ended() for client in clients] == [True, False, False]
    run(app.disconnect())
    assert all(client.ended() for client in clients)


def test_ids_can_be_chosen() -> None:
    class Numbered(AsyncServer):
        count = 0

        def generate_id(self) -> str:
            self.count += 1
            return f"id-{self.count}"

    app = Numbered()
    server = Server(app)
    server.websocket()
    app.generate_id = lambda: "replaced"  # type: ignore[method-assign]
    server.websocket()
    assert list(app.sockets) == ["id-1", "replaced"]


def test_ids_can_be_chosen_for_all_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseServer, "generate_id", lambda self: "of all")
    app = AsyncServer()
    Server(app).websocket()
    assert list(app.sockets) == ["of all"]


def test_an_event_that_is_not_one() -> None:
    with pytest.raises(ValueError, match="event 'msg': one of"):
        AsyncServer().on("msg", print)


def test_on_as_a_call() -> None:
    app = AsyncServer()
    assert app.on("message", print) is print
    assert app.handlers == {"message": print}


def test_options_that_are_not_ones() -> None:
    with pytest.raises(ValueError, match="async_mode='gevent'"):
        AsyncServer("gevent")
    with pytest.raises(TypeError, match="ping_intervall"):
        AsyncServer(ping_intervall=3)
    assert socketio_fast.engineio.AsyncServer is AsyncServer
