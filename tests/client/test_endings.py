"""Disconnecting and connecting again at awkward moments, and what is left after it."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from typing import Any

import pytest
from support.waiting import until, within
from support.wire import Gate, Peer, WebSocketServer, open_packet

import socketio_fast as socketio
from client.conftest import Listen
from socketio_fast import exceptions
from socketio_fast._core.client.session import ClientSession
from socketio_fast.clients.link import Link, _Polls
from socketio_fast.clients.websocket import WebSocketCarrier

TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]
FAST: dict[str, Any] = {
    "reconnection_delay": 0.001,
    "reconnection_delay_max": 0.002,
    "randomization_factor": 0,
}


def echoing(**options: Any) -> socketio.AsyncServer:
    sio = socketio.AsyncServer(**options)

    @sio.event
    async def echo(sid: str, *args: Any) -> Any:
        await sio.emit("echo", args, to=sid)
        return args

    return sio


@pytest.mark.parametrize("transports", TRANSPORTS)
@pytest.mark.parametrize("when", ["connect", "echo", "ack", "disconnect", "listener"])
async def test_a_client_may_disconnect_and_connect_in_any_handler(
    serve: Any, transports: list[str], when: str
) -> None:
    server = await serve(echoing())
    client = socketio.AsyncClient(reconnection=False)
    ended: asyncio.Queue[str] = asyncio.Queue()
    done: list[str] = []

    async def turn(event: str) -> None:
        if event == when and not done:
            done.append(event)
            await client.disconnect()
            await client.connect(server.url, transports=transports, wait=False)
            ended.put_nowait(event)

    client.on("connect", lambda: turn("connect"))
    client.on("echo", lambda *args: turn("echo"))
    client.on("disconnect", lambda reason: turn("disconnect"))
    client.socket().on("echo", lambda *args: turn("listener"))
    try:
        await within(client.connect(server.url, transports=transports, wait_timeout=5))
    except exceptions.ConnectionError:
        assert when == "connect"
    else:
        if when != "connect":
            await client.emit("echo", 1, callback=lambda *args: turn("ack"))
            if when == "disconnect":
                await until(lambda: client.connected)
                await client.disconnect()
    assert await within(ended.get()) == when
    await until(lambda: client.get_sid() is not None)
    assert await within(client.call("echo", 2)) == 2
    await client.disconnect()


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_nothing_of_a_burst_reaches_a_client_that_leaves_in_it(
    serve: Any, transports: list[str]
) -> None:
    sio = socketio.AsyncServer()

    @sio.event
    async def burst(sid: str) -> None:
        for n in range(100):
            await sio.emit("item", n, to=sid)

    server = await serve(sio)
    client = socketio.AsyncClient(reconnection=False)
    got: list[int] = []

    def item(n: int) -> Any:
        got.append(n)
        if n == 10:
            client._peer("/").leave()

    client.on("item", item)
    await client.connect(server.url, transports=transports, wait_timeout=5)
    await client.emit("burst")
    await until(lambda: 10 in got)
    await client.disconnect()
    assert got == list(range(11))


async def test_what_listeners_of_the_connection_raise_is_logged_and_nothing_else(
    serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve(echoing(ping_interval=0.1))
    client = socketio.AsyncClient(reconnection=False)

    def fails(*args: Any) -> None:
        raise RuntimeError("on purpose")

    for event in ("open", "close", "ping", "upgrade", "error"):
        client.manager.on(event, fails)
    client.on("connect", fails)
    client.on("disconnect", fails)
    pinged = asyncio.Event()
    client.manager.on("ping", pinged.set)
    await client.connect(server.url, wait_timeout=5)
    await within(pinged.wait())
    assert await within(client.call("echo", 1)) == 1
    await client.disconnect()
    assert "on purpose" in caplog.text


async def test_what_the_client_itself_raises_in_a_callback_ends_nothing(
    serve: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Methods of SessionOwner and PeerOwner that raise are logged."""
    server = await serve(echoing())
    client = socketio.AsyncClient(reconnection=False)

    def fails(*args: Any) -> None:
        raise RuntimeError("on purpose")

    await client.connect(server.url, transports=["websocket"])
    monkeypatch.setattr(client, "_on_left", fails)
    monkeypatch.setattr(client, "_on_closed", fails)
    asked = asyncio.ensure_future(client.call("nobody answers this"))
    await asyncio.sleep(0)
    await within(client.disconnect())
    with pytest.raises(exceptions.CallDisconnectedError):
        await within(asked)
    assert caplog.text.count("on purpose") >= 2


@pytest.mark.parametrize("moment", ["probe", "rest"])
async def test_disconnecting_during_an_upgrade_closes_the_session(
    serve: Any, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server hears of it at once, whatever the upgrade has come to."""
    sio = echoing()
    left: asyncio.Queue[Any] = asyncio.Queue()
    sio.on("disconnect", lambda sid, reason: left.put_nowait(reason))
    server = await serve(sio)
    client = socketio.AsyncClient(reconnection=False)
    resting = asyncio.Event()
    joined: asyncio.Queue[None] = asyncio.Queue()
    sio.on("connect", lambda sid, environ: joined.put_nowait(None))
    rest_of_polls = _Polls.rest

    async def rest(polls: _Polls) -> None:
        if moment == "rest":
            await rest_of_polls(polls)
        resting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(_Polls, "rest", rest)
    connecting = asyncio.ensure_future(client.connect(server.url, wait_timeout=5))
    await within(joined.get())
    await within(resting.wait())
    started = asyncio.get_running_loop().time()
    await within(client.disconnect())
    assert asyncio.get_running_loop().time() - started < 2.5
    assert await within(left.get()) == "client disconnect"
    connecting.cancel()
    await asyncio.wait({connecting})
    assert client.eio.state == "disconnected"


async def test_disconnecting_at_any_pass_of_a_reconnection_ends_it(serve: Any) -> None:
    """Also when the upgrade fails in the pass in which the attempt is cancelled."""
    sio = echoing()
    server = await serve(sio)
    for passes in range(30):
        client = socketio.AsyncClient(**FAST)
        await client.connect(server.url)
        again = asyncio.Event()
        client.manager.on("open", again.set)
        for sid in list(sio.eio.sockets):
            await sio.eio.disconnect(sid)
        await within(again.wait())
        for _ in range(passes):
            await asyncio.sleep(0)
        await within(client.disconnect())
        for _ in range(50):
            await asyncio.sleep(0)
        assert client.eio.state == "disconnected", passes
    await until(lambda: not sio.eio.sockets)


async def test_an_upgrade_waits_for_what_a_poll_has_brought(serve: Any) -> None:
    """Packets that wait behind slow handlers are not lost by the upgrade."""
    sio = socketio.AsyncServer()

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        for n in range(2_000):
            await sio.emit("item", n, to=sid)

    server = await serve(sio)
    got: list[int] = []
    async with socketio.AsyncClient(reconnection=False) as client:

        @client.event
        async def item(n: int) -> None:
            await asyncio.sleep(0.2)
            got.append(n)

        await client.connect(server.url, wait_timeout=10)
        await until(lambda: len(got) == 2_000)
        assert client.transport() == "websocket"
    assert sorted(got) == list(range(2_000))


async def test_an_upgrade_that_loses_its_websocket_goes_on_by_polling(
    serve: Any, listen: Listen
) -> None:
    server = await serve(echoing())
    relay = await listen(Gate(server.url))
    relay.open(closed=True)
    failed: asyncio.Queue[Any] = asyncio.Queue()
    async with socketio.AsyncClient(reconnection=False) as client:
        client.manager.on("upgrade_error", failed.put_nowait)
        await within(client.connect(relay.url, wait_timeout=5))
        assert isinstance(await within(failed.get()), exceptions.ConnectionError)
        assert client.transport() == "polling"
        assert await within(client.call("echo", 1)) == 1


@pytest.mark.parametrize("moment", ["handshake", "probe"])
async def test_the_end_of_the_session_ends_its_upgrade(
    serve: Any, listen: Listen, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a wait for ``connect_timeout``, and the client connects again at once."""
    sio = echoing()
    joined: asyncio.Queue[str] = asyncio.Queue()
    sio.on("connect", lambda sid, environ: joined.put_nowait(sid))
    server = await serve(sio)
    relay = await listen(Gate(server.url))
    begun = asyncio.Event()
    if moment == "probe":
        relay.open()
        monkeypatch.setattr(Link, "probe_answered", lambda link, session: begun.set())
    client = socketio.AsyncClient(connect_timeout=60, **FAST)
    connecting = asyncio.ensure_future(client.connect(relay.url, wait_timeout=5))
    sid = await within(joined.get())
    await within((relay.came if moment == "handshake" else begun).wait())
    await sio.eio.disconnect(sio.manager.eio_sid_from_sid(sid, "/"))
    await within(joined.get())
    with suppress(exceptions.ConnectionError):
        await within(connecting)
    assert await within(client.call("echo", 1)) == 1
    await client.disconnect()


async def test_handlers_find_the_client_connected_during_the_upgrade(
    serve: Any, listen: Listen
) -> None:
    """Programs that go on while ``sio.connected`` would stop there."""
    server = await serve(echoing())
    relay = await listen(Gate(server.url))
    client = socketio.AsyncClient(reconnection=False)
    found: asyncio.Queue[bool] = asyncio.Queue()
    client.on("connect", lambda: client.emit("echo"))
    client.on("echo", lambda: found.put_nowait(client.connected))
    connecting = asyncio.ensure_future(client.connect(relay.url, wait_timeout=5))
    assert await within(found.get())
    assert not connecting.done()
    relay.open()
    await within(connecting)
    await client.disconnect()
    assert not client.connected


async def test_connection_is_there_while_its_block_runs(serve: Any) -> None:
    server = await serve(echoing(namespaces=["/", "/chat"]))
    client = socketio.AsyncClient(reconnection=False)
    for namespaces, first in ((None, "/"), (["/chat", "/"], "/chat")):
        async with client.connection(server.url, namespaces=namespaces) as socket:
            assert socket is client.socket(first)
            assert socket.connected
        assert client.eio.state == "disconnected"
    await server.close()
    with pytest.raises(exceptions.ConnectionError):
        async with client.connection(server.url):
            pytest.fail("there is no server")


def test_a_url_is_no_argument_of_the_class() -> None:
    for kind in (socketio.AsyncClient, socketio.Client):
        with pytest.raises(
            ValueError, match=r"URL .* connect\(\), or of connection\(\)"
        ):
            kind("http://localhost:5000")  # type: ignore[arg-type]


async def test_a_slow_handler_pauses_the_server_and_nothing_is_lost(serve: Any) -> None:
    sio = socketio.AsyncServer(max_buffer_bytes=100_000_000)

    @sio.event
    async def burst(sid: str) -> None:
        for n in range(20_000):
            await sio.emit("item", n, to=sid)

    server = await serve(sio)
    got: list[int] = []
    async with socketio.AsyncClient(reconnection=False) as client:

        @client.event
        async def item(n: int) -> None:
            await asyncio.sleep(0)
            got.append(n)

        await client.connect(server.url, transports=["websocket"])
        await client.emit("burst")
        await until(lambda: len(got) == 20_000)
    assert got == list(range(20_000))


async def test_a_connection_that_is_lost_as_soon_as_it_is_there(serve: Any) -> None:
    """The Task that has connected again has not ended yet."""
    server = await serve(echoing())
    client = socketio.AsyncClient(**FAST)
    lost: list[int] = []

    def reconnected(attempt: int) -> None:
        lost.append(attempt)
        if len(lost) < 5:
            client.eio._link.abort(ConnectionResetError("on purpose"))

    client.manager.on("reconnect", reconnected)
    await client.connect(server.url, transports=["websocket"], wait_timeout=5)
    client.eio._link.abort(ConnectionResetError("on purpose"))
    await until(lambda: len(lost) == 5)
    await until(lambda: client.get_sid() is not None)
    assert await within(client.call("echo", 1)) == 1
    await client.disconnect()


async def test_a_session_that_ends_during_its_upgrade_is_noticed_at_once(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The WebSocket is not answered, and connect() waits for it."""
    connects = asyncio.Event()

    async def connect(carrier: WebSocketCarrier, url: str) -> None:
        connects.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(WebSocketCarrier, "connect", connect)
    sio = echoing()
    server = await serve(sio)
    client = socketio.AsyncClient(reconnection=False)
    connecting = asyncio.ensure_future(client.connect(server.url, wait_timeout=5))
    await within(connects.wait())
    await until(lambda: client.get_sid() is not None)
    await sio.eio.disconnect(sio.manager.eio_sid_from_sid(client.get_sid(), "/"))
    with suppress(exceptions.ConnectionError):
        await within(connecting, "connect()", seconds=10)
    assert not client.connected
    await client.disconnect()


def _sessions() -> int:
    return sum(type(one) is ClientSession for one in gc.get_objects())


async def test_a_session_needs_no_garbage_collection(serve: Any) -> None:
    server = await serve(echoing())
    gc.collect()
    gc.disable()
    try:
        client = socketio.AsyncClient(reconnection=False)
        before = _sessions()
        for transports in TRANSPORTS * 3:
            await client.connect(server.url, transports=transports, wait_timeout=5)
            assert await within(client.call("echo", 1)) == 1
            await client.disconnect()
        await until(lambda: _sessions() <= before + 1)
    finally:
        gc.enable()


async def test_a_listener_of_the_end_may_connect_again_at_once(listen: Listen) -> None:
    async def script(peer: Peer) -> Any:
        await peer.send(open_packet())
        await peer.receive()
        await peer.send('40{"sid":"s1"}')
        await peer.receive()

    server = await listen(WebSocketServer(script))
    client = socketio.AsyncClient(reconnection=False)
    again: asyncio.Queue[Any] = asyncio.Queue()

    async def connect(reason: str, description: Any) -> None:
        client.manager.off("close", connect)
        await client.connect(server.url, transports=["websocket"])
        again.put_nowait(reason)

    client.manager.on("close", connect)
    await within(client.connect(server.url, transports=["websocket"]))
    await client.emit("go")
    assert await within(again.get()) == "transport close"
    assert client.connected
    await client.disconnect()


@pytest.mark.parametrize("passes", range(8))
async def test_disconnecting_just_after_the_connection_is_back_is_the_end(
    serve: Any, passes: int
) -> None:
    """The attempt to connect is cancelled in the very pass in which it succeeds."""
    app = echoing()
    server = await serve(app)
    client = socketio.AsyncClient(**FAST)
    opened: list[int] = []

    @client.manager.on("open")
    async def came() -> None:
        opened.append(len(opened))
        if len(opened) == 2:
            for _ in range(passes):
                await asyncio.sleep(0)
            await client.disconnect()

    await client.connect(server.url, transports=["polling"])
    assert client.sid is not None
    await app.eio.disconnect(client.sid)
    await within(client.wait(), "the end")
    assert len(opened) == 2
    assert client.eio.state == "disconnected"
    await client.disconnect()


async def test_a_listener_of_an_attempt_may_end_the_attempts(serve: Any) -> None:
    sio = echoing()
    server = await serve(sio)
    client = socketio.AsyncClient(**FAST)
    await client.connect(server.url)
    told = asyncio.Event()

    async def leave(attempt: int) -> None:
        await client.disconnect()
        told.set()

    client.manager.on("reconnect_attempt", leave)
    for sid in list(sio.eio.sockets):
        await sio.eio.disconnect(sid)
    await within(told.wait())
    await within(client.wait())
    for _ in range(50):
        await asyncio.sleep(0)
    assert client.eio.state == "disconnected"
    await until(lambda: not sio.eio.sockets)
