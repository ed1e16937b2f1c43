"""Whatever user code raises: other clients are served, and this one by one rule.

SystemExit and KeyboardInterrupt leave the event loop as well, once the pass is whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from support.processes import python
from support.raw import TEXT, frame, request
from support.sansio import Loop, Recorder, Server, WebSocket, join, make_engine, run

import socketio_fast
from socketio_fast._core.engine.runner import Runner

Fail = pytest.fail.Exception

RAISED: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("x"),
    "CancelledError": asyncio.CancelledError,
    "GeneratorExit": GeneratorExit,
    "Failed": lambda: Fail("x"),
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
}
EXITS = (SystemExit, KeyboardInterrupt)


@pytest.fixture(params=RAISED)
def error(request: pytest.FixtureRequest) -> BaseException:
    """What user code raises."""
    return RAISED[request.param]()


class Environ:
    """What a request gives a session."""

    def environ(self) -> dict[str, Any]:
        return {}


def make(**options: Any) -> tuple[Server, socketio_fast.AsyncServer]:
    sio = socketio_fast.AsyncServer(namespaces=["/", "/a"], **options)
    return Server(sio), sio


@contextlib.contextmanager
def leaves(error: BaseException) -> Iterator[None]:
    """SystemExit and KeyboardInterrupt come out of the loop, nothing else does."""
    if not isinstance(error, EXITS):
        yield
        return
    with pytest.raises(type(error)):
        yield


def text(client: WebSocket, packet: str, error: BaseException) -> None:
    """Send a packet whose handler raises this, and let the loop pass."""
    with leaves(error):
        client.text(packet)
    client.server.loop.turn()


# --- passes that serve all clients ----------------------------------------------


def stuffed(server: Server, size: int = 40_000) -> WebSocket:
    """A client that does not read, and has been sent so many bytes."""
    client, _ = server.joined()
    client.wire.holds = size
    return client


@pytest.mark.parametrize("where", ["server", "socket"])
def test_a_listener_of_slow_keeps_nobody_from_getting_bytes(
    where: str, error: BaseException
) -> None:
    server, sio = make(high_water_mark=10_000)

    def slow(*args: Any) -> None:
        raise error

    if where == "server":
        sio.eio.on("slow", slow)
    else:
        sio.of("/").on("connection", lambda socket: socket.on("slow", slow))
    slow_client = stuffed(server)
    other, sid = server.joined()
    with leaves(error), server.loop.running():
        run(sio.emit("e", "x" * 11_000))
        server.loop.turn()
    assert other.messages() == ['42["e","' + "x" * 11_000 + '"]']
    server.loop.turn()
    with server.loop.running():
        run(sio.emit("f", to=sid))
    assert other.messages() == ['42["f"]']
    assert slow_client.server.engine.counters["slow_consumers"] == 1


def test_the_result_of_a_cancelled_future_in_a_listener_of_slow() -> None:
    server, sio = make(high_water_mark=10_000)
    future = server.loop.create_future()
    future.cancel()
    sio.eio.on("slow", lambda sid, size: future.result())
    stuffed(server)
    other, _ = server.joined()
    for _ in range(3):
        with server.loop.running():
            run(sio.emit("e", "x" * 11_000))
        assert len(other.messages()) == 1


def test_a_listener_of_close_keeps_nobody_from_being_pinged(
    error: BaseException,
) -> None:
    server, sio = make(ping_interval=5, ping_timeout=2)

    @sio.of("/").on("connection")
    def connection(socket: Any) -> None:
        def close(reason: str) -> None:
            raise error

        if not log:
            socket.conn.on("close", close)
        log.append(socket.id)

    log: list[str] = []
    _, first = server.joined()
    second, _ = server.joined()
    server.loop.advance(5.1)
    assert second.messages() == ["2"]
    second.text("3")
    until = server.loop.now + 2.1
    with leaves(error):
        server.loop.advance(2.1)
    server.loop.advance(until - server.loop.now)
    assert first not in sio.manager.rooms["/"][None]
    assert len(server.engine.sessions) == 1
    server.loop.advance(3)
    assert second.messages() == ["2"]
    server.loop.advance(2.1)  # which it does not answer
    assert server.engine.sessions == {}


def test_a_deadline_keeps_no_other_from_being_met(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    engine, _, loop = make_engine(ping_interval=3)

    class Broken(Recorder):
        def send(self, m: Any) -> int:
            if self.sent:
                raise error
            return super().send(m)

    engine.open_session(Broken())
    other = Recorder()
    engine.open_session(other)
    with leaves(error):
        loop.advance(3.1)
    loop.turn()
    assert other.sent[1:] == [b"2"]
    assert "a deadline was not handled" in caplog.text
    assert loop.armed()


@pytest.mark.parametrize("method", ["close", "abort", "refuse"])
def test_a_transport_keeps_no_session_in_the_table(
    method: str, error: BaseException
) -> None:
    engine, callbacks, loop = make_engine()
    gone: list[str] = []
    callbacks.disconnect = lambda sid, reason: gone.append(sid)
    if method == "refuse":
        callbacks.connect = lambda sid, environ: False

    class Broken(Recorder):
        pass

    def broken(*args: Any) -> int:
        raise error

    setattr(Broken, method, broken)
    transport = Broken()
    session = engine.open_session(transport, Environ())
    if method == "close":
        session.disconnect()
    elif method == "abort":
        engine.drop_all()
    with leaves(error):
        loop.turn()
    assert session.closed
    if method != "close":  # which waits for the client to fetch the rest
        assert engine.sessions == {}
    assert gone == ([] if method == "refuse" else [session.id])


def test_a_session_that_cannot_be_opened_is_not_kept(error: BaseException) -> None:
    engine, callbacks, _ = make_engine()
    callbacks.connect = lambda sid, environ: None

    class Broken:
        def environ(self) -> dict[str, Any]:
            raise error

    transport = Recorder()
    with pytest.raises(type(error)):
        engine.open_session(transport, Broken())
    assert engine.sessions == {}
    assert transport.calls == ["abort"]


@pytest.mark.parametrize("way", ["close_all", "drop_all"])
def test_a_disconnect_handler_keeps_no_other_client_from_being_closed(
    way: str, error: BaseException
) -> None:
    server, sio = make()
    gone: list[str] = []

    @sio.event
    def disconnect(sid: str, reason: str) -> None:
        gone.append(sid)
        raise error

    sids = [server.joined()[1] for _ in range(3)]
    with leaves(error):
        with server.loop.running():
            getattr(server.engine, way)()
        server.loop.turn()
    for _ in sids:
        with leaves(error) if server.loop.ready else contextlib.nullcontext():
            server.loop.turn()
    assert gone == sids
    assert sio.manager.rooms.get("/", {}) in ({}, {None: {}})


def test_sessions_of_a_closed_loop_are_all_forgotten(error: BaseException) -> None:
    server, sio = make()
    gone: list[str] = []

    @sio.event
    def disconnect(sid: str) -> None:
        gone.append(sid)
        raise error

    sids = [server.joined()[1] for _ in range(3)]
    server.loop.closed = True
    loop = Loop()
    with loop.running():  # Python 3.14 has a current Task only on a loop that runs
        sio.bind(loop)  # type: ignore[arg-type]
    for _ in range(4):
        with contextlib.suppress(*EXITS):
            loop.turn()
    assert sorted(gone) == sorted(sids)


def test_each_namespace_of_a_client_that_goes_is_left(error: BaseException) -> None:
    server, sio = make()
    gone: list[str] = []

    def disconnect(sid: str) -> None:
        gone.append(sid)
        raise error

    sio.on("disconnect", disconnect)
    sio.on("disconnect", disconnect, namespace="/a")
    client, sid = server.joined()
    sid_a = join(client, "/a")
    for _ in range(3):
        with contextlib.suppress(*EXITS):
            client.leave() if not client.wire.lost else server.loop.turn()
            client.wire.lose()
    assert gone == [sid, sid_a]


def test_who_looks_on_changes_nothing(error: BaseException) -> None:
    """The Admin UI shows rooms, which are the application's objects."""

    class Room:
        def __str__(self) -> str:
            raise error

    server, sio = make()
    sio.instrument(auth=False)
    room = Room()

    @sio.event
    async def enter(sid: str) -> None:
        await sio.enter_room(sid, room)
        await sio.emit("entered", to=room)

    server.websocket().text("40/admin,")
    client, _ = server.joined()
    text(client, '42["enter"]', error)
    assert client.messages() == ['42["entered"]']


def test_a_logger_that_raises_stops_no_pass(capfd: pytest.CaptureFixture[str]) -> None:
    class Broken(logging.Logger):
        def error(self, *args: Any, **kwargs: Any) -> None:
            raise asyncio.CancelledError

    logger = Broken("broken")
    server, sio = make(logger=logger, engineio_logger=logger, high_water_mark=10_000)
    sio.eio.on("slow", lambda sid, size: 1 / 0)
    stuffed(server)
    other, _ = server.joined()
    for _ in range(2):
        with server.loop.running():
            run(sio.emit("e", "x" * 11_000))
        assert len(other.messages()) == 1
    assert "CancelledError" in capfd.readouterr().err


# --- what runs for one client ---------------------------------------------------

suspends = pytest.mark.parametrize("suspends", [False, True])


def raising(error: BaseException, suspends: bool) -> Any:
    async def handler(*args: Any) -> None:
        if suspends:
            await asyncio.sleep(0)
        raise error

    return handler


@suspends
def test_a_connect_handler_that_raises_refuses(
    error: BaseException, suspends: bool
) -> None:
    server, sio = make()
    entered: list[str] = []

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        entered.append(sid)
        await sio.enter_room(sid, "room")
        await raising(error, suspends)()

    client = server.websocket()
    text(client, "40", error)
    assert client.messages() == ['44{"message":"Connection rejected by server"}']
    assert not client.ended()
    assert sio.manager.rooms.get("/", {}) in ({}, {None: {}})
    assert sio.rooms(entered[0]) == []


@suspends
def test_a_middleware_of_a_namespace_that_raises_refuses(
    error: BaseException, suspends: bool
) -> None:
    server, sio = make()
    sio.of("/").use(raising(error, suspends))
    client = server.websocket()
    text(client, "40", error)
    assert client.messages() == ['44{"message":"Connection rejected by server"}']
    assert not client.ended()


@suspends
@pytest.mark.parametrize("ordered", [False, True])
def test_an_event_handler_that_raises_keeps_the_client(
    error: BaseException, suspends: bool, ordered: bool
) -> None:
    server, sio = make(async_handlers=not ordered)
    heard: list[str] = []
    sio.on("e", raising(error, suspends))
    sio.on("f", heard.append)
    client, sid = server.joined()
    text(client, '42["e"]', error)
    client.text('42["f"]')
    assert heard == [sid]
    assert not client.ended()
    assert server.engine.sessions[only(server)].under_way == (0, 0)


def only(server: Server) -> str:
    (sid,) = server.engine.sessions
    return sid


@suspends
def test_waiting_events_are_handled_after_one_that_raises(
    error: BaseException, suspends: bool
) -> None:
    server, sio = make(async_handlers=False)
    heard: list[int] = []

    @sio.on("e")
    async def e(sid: str, n: int) -> None:
        heard.append(n)
        if suspends or n == 0:
            await asyncio.sleep(0)
        if n < 2:
            raise error

    client, _ = server.joined()
    packets = b"".join(frame(TEXT, f'42["e",{n}]') for n in range(4))
    with leaves(error):
        client.send(packets)
    for _ in range(4):
        with contextlib.suppress(*EXITS):
            server.loop.turn()
    assert heard == [0, 1, 2, 3]


@suspends
def test_a_callback_of_an_acknowledgement_that_raises_keeps_the_client(
    error: BaseException, suspends: bool
) -> None:
    server, sio = make()
    client, sid = server.joined()
    with server.loop.running():
        run(sio.emit("e", to=sid, callback=raising(error, suspends)))
    assert client.messages() == ['420["e"]']
    text(client, "430[]", error)
    assert not client.ended()
    assert sid in sio.manager.rooms["/"][None]


@suspends
@pytest.mark.parametrize("kind", ["use", "on_any", "on", "on_any_outgoing"])
def test_what_listens_to_a_socket_and_raises_keeps_the_client(
    error: BaseException, suspends: bool, kind: str
) -> None:
    server, sio = make()
    heard: list[Any] = []

    @sio.of("/").on("connection")
    def connection(socket: Any) -> None:
        if kind == "on":
            socket.on("e", raising(error, suspends))
            socket.on("e", lambda: heard.append("second"))
        else:
            getattr(socket, kind)(raising(error, suspends))
        socket.on("f", lambda: heard.append("f"))

    client, sid = server.joined()
    if kind == "on_any_outgoing":
        with leaves(error), server.loop.running():
            run(sio.emit("e", to=sid))
            server.loop.turn()
        assert client.messages() == ['42["e"]']
    else:
        text(client, '42["e"]', error)
    if kind not in ("use", "on_any"):
        client.text('42["f"]')
        assert heard[-1] == "f"
    if kind == "on":
        assert heard == ["second", "f"]
    assert not client.ended()


@suspends
@pytest.mark.parametrize("event", ["disconnecting", "disconnect"])
def test_a_listener_of_the_end_that_raises_leaves_no_client_behind(
    error: BaseException, suspends: bool, event: str
) -> None:
    server, sio = make()

    @sio.of("/").on("connection")
    def connection(socket: Any) -> None:
        socket.on(event, raising(error, suspends))

    client, sid = server.joined()
    with leaves(error):
        client.wire.lose()
        server.loop.turn()
    server.loop.turn()
    assert sio.rooms(sid) == []
    assert sio.of("/").sockets == {}


@suspends
@pytest.mark.parametrize(
    "hook", ["use", "allow_request", "initial_headers", "generate_id"]
)
def test_a_request_whose_hook_raises_is_answered(
    error: BaseException, suspends: bool, hook: str
) -> None:
    function = raising(error, suspends)
    options = {hook: function} if hook == "allow_request" else {}
    sio = socketio_fast.AsyncServer(**options)
    if hook == "use":
        sio.eio.use(function)
    elif hook == "initial_headers":
        sio.eio.on("initial_headers", function)
    elif hook == "generate_id":
        sio.eio.generate_id = function
    server = Server(sio)
    http = server.http()
    with leaves(error):
        http.send(
            b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n"
        )
    server.loop.turn()
    ((status, _, _),) = http.responses()
    assert status in (400, 403, 500)


@suspends
@pytest.mark.parametrize("ordered", [False, True])
def test_handlers_of_engine_io_that_raise_have_the_same_rule(
    error: BaseException, suspends: bool, ordered: bool
) -> None:
    eio = socketio_fast.engineio.AsyncServer(async_handlers=not ordered)
    heard: list[str] = []

    async def connect(sid: str, environ: dict[str, Any]) -> None:
        if "refused" in environ["QUERY_STRING"]:
            await raising(error, suspends)()

    async def message(sid: str, data: str) -> None:
        heard.append(data)
        if data == "raise":
            await raising(error, suspends)()

    for handler in (connect, message):
        eio.on(handler.__name__, handler)
    eio.on("disconnect", raising(error, suspends))
    server = Server(eio)
    client = server.websocket()
    text(client, "4raise", error)
    client.text("4next")
    assert heard == ["raise", "next"]
    assert not client.ended()

    http = server.http()
    with leaves(error):
        http.send(request("GET", server.target("polling", more="&refused=1")))
    server.loop.turn()
    assert http.response()[0] == 403
    with leaves(error):
        client.wire.lose()
        server.loop.turn()
    server.loop.turn()
    assert server.engine.sessions == {}


# --- event loops ----------------------------------------------------------------


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
@suspends
def test_exits_leave_the_loop_after_what_was_ready(
    new_loop: Callable[[], Any], error: BaseException, suspends: bool
) -> None:
    loop = new_loop()
    seen: list[str] = []
    told: list[Any] = []

    async def main() -> None:
        runner = Runner(loop)

        def on_end(value: Any, error: BaseException | None) -> None:
            told.append(error)

        try:
            runner.run(raising(error, suspends), on_end=on_end)
        except EXITS as exc:
            told.append(exc)
        seen.append("the pass goes on")
        await asyncio.sleep(10)

    try:
        with pytest.raises(type(error)):
            loop.run_until_complete(main())
        assert seen == ["the pass goes on"]
        assert told == [error]
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


@suspends
def test_sys_exit_in_a_handler_ends_asyncio_run(suspends: bool, tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
import socketio_fast
from support.raw import TEXT, frame

sio = socketio_fast.AsyncServer()

@sio.event
async def stop(sid):
    if {suspends}:
        await asyncio.sleep(0)
    sys.exit(3)

@sio.event
def disconnect(sid):
    print("left", flush=True)

async def main():
    server = await socketio_fast.serve(sio, port=0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\\r\\nHost: x\\r\\n"
        b"Connection: Upgrade\\r\\nUpgrade: websocket\\r\\n"
        b"Sec-WebSocket-Version: 13\\r\\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n"
        + frame(TEXT, "40") + frame(TEXT, '42["stop"]')
    )
    await asyncio.sleep(60)

asyncio.run(main())
"""
    tests = Path(__file__).parents[1]
    ended = python("-c", program, cwd=tests)
    assert ended.returncode == 3, ended.stderr
    assert "handler of 'stop' failed" in ended.stderr
