"""Clients that send faster than handlers take it are not read, and lose nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.hosts import HOSTS
from support.raw import (
    BINARY,
    Connection,
    WebSocket,
    frame,
    join,
    polling,
    text,
    websocket,
    within,
)
from support.waiting import Changes

import socketio_fast

PATH = "/socket.io/"


class Gate:
    """A server whose handlers of ``slow`` wait until they are let through."""

    def __init__(self, **options: Any) -> None:
        self.sio = socketio_fast.AsyncServer(**options)
        self.begun: list[Any] = []
        self.ended: list[Any] = []
        self.open = asyncio.Event()
        self._changes = Changes()

        @self.sio.event
        async def slow(sid: str, value: Any) -> Any:
            self.begun.append(value)
            self._changes.note()
            await self.open.wait()
            self.ended.append(value)
            self._changes.note()
            return value

        @self.sio.event
        async def ask(sid: str) -> Any:
            return await self.sio.call("question", to=sid, timeout=None)

    @property
    def session(self) -> Any:
        (session,) = self.sio.eio.sockets.values()
        return session

    async def until(self, condition: Callable[[], bool]) -> None:
        await self._changes.until(condition, seconds=10)


@pytest.fixture(params=list(HOSTS))
async def host(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """``await host(server)``: where it listens."""
    contexts = []

    async def start(server: Any) -> Any:
        context = HOSTS[request.param](server)
        parts = urlsplit(await context.__aenter__())
        contexts.append(context)
        return SimpleNamespace(host=parts.hostname, port=parts.port)

    yield start
    for context in contexts:
        await context.__aexit__(None, None, None)


async def test_a_websocket_is_not_read_while_handlers_have_too_much_to_do(
    host: Any,
) -> None:
    """What waits is bounded, nothing is lost, and the order is kept."""
    gate = Gate(max_pending_events=10)
    async with await join(await host(gate.sio)) as ws:
        await ws.send(b"".join(text(f'42["slow",{i}]') for i in range(100)))
        await gate.until(lambda: len(gate.begun) >= 11)
        assert gate.session.flow.events == 11
        assert gate.session.flow.paused
        await ws.silent()
        assert len(gate.begun) == 11
        gate.open.set()
        await gate.until(lambda: len(gate.ended) == 100)
        assert gate.begun == list(range(100))
        await ws.send(text('421["slow",true]'))
        assert await ws.message() == "431[true]"
        assert gate.session.flow.events == gate.session.flow.bytes == 0
        assert gate.sio.eio.counters["paused_clients"] >= 1


async def test_a_post_is_answered_when_there_is_room(host: Any) -> None:
    """By polling, the rest of the POST waits, and its answer does."""
    gate = Gate(max_pending_events=10)
    where = await host(gate.sio)
    async with await Connection.open(where) as connection:
        sid = await connection.open_session(path=PATH)
        target = polling(sid, path=PATH)
        (await connection.post(target, "40")).ok("ok")
        (await connection.get(target)).ok()
        post = "\x1e".join(f'42["slow",{i}]' for i in range(30))
        sent = asyncio.ensure_future(connection.post(target, post))
        await gate.until(lambda: len(gate.begun) >= 11)
        assert gate.session.flow.paused
        done, _ = await asyncio.wait([sent], timeout=0.02)
        assert not done
        assert len(gate.begun) == 11
        gate.open.set()
        (await within(sent)).ok("ok")
        await gate.until(lambda: len(gate.ended) == 30)
        assert gate.begun == list(range(30))


async def test_a_client_that_goes_while_its_post_waits(host: Any) -> None:
    """Nothing is left of it."""
    gate = Gate(max_pending_events=1)
    ended = asyncio.get_running_loop().create_future()
    gate.sio.on("disconnect", lambda sid, reason: ended.set_result(reason))
    where = await host(gate.sio)
    async with await Connection.open(where) as connection:
        sid = await connection.open_session(path=PATH)
        target = polling(sid, path=PATH)
        (await connection.post(target, "40")).ok("ok")
        (await connection.get(target)).ok()
        post = "\x1e".join(f'42["slow",{i}]' for i in range(30))
        sent = asyncio.ensure_future(connection.post(target, post))
        await gate.until(lambda: len(gate.begun) == 2)
        gate.session.disconnect()
        assert (await within(sent)).status in (200, 400)
        assert await within(ended) == "server disconnect"
    gate.open.set()
    await gate.until(lambda: len(gate.ended) == 2)
    assert gate.begun == [0, 1]


async def test_a_post_whose_connection_breaks_while_it_waits(host: Any) -> None:
    """Nobody answers it, and the server goes on."""
    gate = Gate(max_pending_events=1)
    where = await host(gate.sio)
    async with await Connection.open(where) as connection:
        sid = await connection.open_session(path=PATH)
        target = polling(sid, path=PATH)
        (await connection.post(target, "40")).ok("ok")
        (await connection.get(target)).ok()
        async with await Connection.open(where) as other:
            post = "\x1e".join(f'42["slow",{i}]' for i in range(30))
            sent = asyncio.ensure_future(other.post(target, post))
            await gate.until(lambda: len(gate.begun) == 2)
            sent.cancel()
        gate.open.set()
        await gate.until(lambda: len(gate.ended) >= 2)
        await connection.open_session(path=PATH)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    running = []

    async def start(server: Any) -> Any:
        running.append(await socketio_fast.serve(server, port=0))
        return running[-1]

    yield start
    for server in running:
        await server.close()


async def test_a_paused_client_does_not_time_out(serve: Callable[..., Any]) -> None:
    """Its pongs are not read, so it is not closed for want of them."""
    gate = Gate(max_pending_events=1, ping_interval=0.05, ping_timeout=0.05)
    async with await join(await serve(gate.sio)) as ws:
        await ws.send(text('42["slow",1]') + text('42["slow",2]'))
        # It is pinged on: without pings it would take the server for gone.
        for _ in range(5):
            assert await ws.message() == "2"
            await ws.send(text("3"))
        assert gate.session.flow.paused
        gate.open.set()
        await gate.until(lambda: len(gate.ended) == 2)
        await ws.send(text('423["slow",3]'))
        while (message := await ws.message()) == "2":
            await ws.send(text("3"))
        assert message == "433[3]"


async def test_bytes_are_limited_too(serve: Callable[..., Any]) -> None:
    """Few events of many bytes pause a client, attachments counted."""
    gate = Gate(max_pending_bytes=10_000)
    async with await join(await serve(gate.sio)) as ws:
        event = text('451-["slow",{"_placeholder":true,"num":0}]')
        event += frame(BINARY, b"x" * 6_000)
        await ws.send(event * 4)
        await gate.until(lambda: len(gate.begun) == 2)
        assert gate.session.flow.paused
        gate.open.set()
        await gate.until(lambda: len(gate.ended) == 4)


async def test_call_in_a_handler_of_a_client_that_sends_too_much(
    serve: Callable[..., Any],
) -> None:
    """An acknowledgement behind more events than may wait is still read."""
    gate = Gate(max_pending_events=5, async_handlers="ordered")
    gate.open.set()
    async with await join(await serve(gate.sio)) as ws:
        await ws.send(
            text('427["ask"]') + b"".join(text(f'42["slow",{i}]') for i in range(12))
        )
        assert await ws.message() == '420["question"]'
        await ws.send(text('430["answer"]'))
        assert await ws.message() == '437["answer"]'
        await gate.until(lambda: len(gate.ended) == 12)
        assert gate.begun == list(range(12))


async def test_an_acknowledgement_that_cannot_be_reached(
    serve: Callable[..., Any],
) -> None:
    """Call() does not wait for ever behind what its own handler holds up."""
    gate = Gate(
        max_pending_events=1,
        async_handlers="ordered",
        ping_interval=0.05,
        ping_timeout=0.05,
    )
    gone = asyncio.get_running_loop().create_future()
    gate.sio.on("disconnect", lambda sid, reason: gone.set_result(reason))
    async with await join(await serve(gate.sio)) as ws:
        await ws.send(text('42["ask"]') + text('42["slow",0]') * 20)
        assert await within(gone) == "transport error"
        assert gate.sio.eio.counters["deadlocked_clients"] == 1


async def test_ordered_handlers(serve: Callable[..., Any]) -> None:
    """K12, D21: one client's events one after another, two clients' together."""
    gate = Gate(async_handlers="ordered")
    where = await serve(gate.sio)
    async with await join(where) as one, await join(where) as two:
        await one.send(text('42["slow","a1"]') + text('42["slow","a2"]'))
        await two.send(text('42["slow","b1"]') + text('42["slow","b2"]'))
        await gate.until(lambda: len(gate.begun) == 2)
        await one.silent()
        assert sorted(gate.begun) == ["a1", "b1"]
        gate.open.set()
        await gate.until(lambda: len(gate.ended) == 4)
        assert gate.ended.index("a1") < gate.begun.index("a2")


@pytest.mark.parametrize("error_acks", [False, True])
async def test_acknowledgements_of_failures(
    serve: Callable[..., Any], error_acks: bool
) -> None:
    """D15: a handler that raises, now or later, or none: the client learns it."""
    sio = socketio_fast.AsyncServer(error_acks=error_acks)

    @sio.event
    def fails(sid: str) -> None:
        raise ValueError("secret")

    @sio.event
    async def fails_later(sid: str) -> None:
        await asyncio.sleep(0)
        raise ValueError("secret")

    @sio.event
    def works(sid: str) -> str:
        return "yes"

    async with await join(await serve(sio)) as ws:
        await ws.send(text('421["fails"]') + text('423["nobody"]'))
        await ws.send(text('422["fails_later"]'))
        if error_acks:
            assert {await ws.message() for _ in range(3)} == {
                '431[{"error":"The handler of this event failed"}]',
                '432[{"error":"The handler of this event failed"}]',
                '433[{"error":"No handler for this event"}]',
            }
        await ws.send(text('424["works"]'))
        assert await ws.message() == '434["yes"]'


def test_ordered_handlers_in_threads() -> None:
    """K12: Server takes the option, and refuses what is none."""
    assert socketio_fast.Server(async_handlers="ordered").async_handlers == "ordered"
    with pytest.raises(ValueError, match="async_handlers='order'"):
        socketio_fast.Server(async_handlers="order")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["max_pending_events", "max_pending_bytes"])
@pytest.mark.parametrize("value", [0, -1, "many", None])
def test_limits_are_checked(name: str, value: Any) -> None:
    """An error names the option and the value."""
    with pytest.raises(ValueError, match=name):
        socketio_fast.AsyncServer(**{name: value})


async def test_an_upgrade_of_a_client_that_is_not_read(host: Any) -> None:
    """What has come by polling is before what comes by WebSocket, which waits too."""
    gate = Gate(max_pending_events=10)
    where = await host(gate.sio)
    async with await Connection.open(where) as connection:
        sid = await connection.open_session(path=PATH)
        target = polling(sid, path=PATH)
        (await connection.post(target, "40")).ok("ok")
        (await connection.get(target)).ok()
        async with await Connection.open(where) as posting:
            events = "\x1e".join(f'42["slow",{i}]' for i in range(20))
            post = asyncio.ensure_future(posting.post(target, events))
            await gate.until(lambda: len(gate.begun) == 11)
            async with await WebSocket.upgrade(where, websocket(sid, path=PATH)) as ws:
                await ws.send(text("2probe"))
                assert await ws.message() == "3probe"
                await ws.send(text("5"))
                # All of the POST is read, to be before what follows.
                await gate.until(lambda: len(gate.begun) == 20)
                (await within(post)).ok("ok")
                await ws.send(
                    b"".join(text(f'42{i}["slow",{i}]') for i in range(20, 40))
                )
                await ws.silent()
                assert len(gate.begun) == 20
                gate.open.set()
                await gate.until(lambda: len(gate.ended) == 40)
                assert gate.begun == list(range(40))
                for i in range(20, 40):
                    assert await ws.message() == f"43{i}[{i}]"


async def test_connect_handlers_that_wait_are_counted(host: Any) -> None:
    """One client that asks for ever more namespaces is not read after a while."""
    sio = socketio_fast.AsyncServer(namespaces="*", max_pending_events=10)
    gate = asyncio.Event()
    begun: list[str] = []

    @sio.on("connect", namespace="*")
    async def connect(namespace: str, sid: str, environ: Any) -> None:
        begun.append(namespace)
        await gate.wait()

    async with await WebSocket.upgrade(await host(sio), websocket(path=PATH)) as ws:
        await ws.open_packet()
        await ws.send(b"".join(text(f"40/n{i},") for i in range(100)))
        await ws.silent()
        assert begun == [f"/n{i}" for i in range(11)]
        (session,) = sio.eio.sockets.values()
        assert session.under_way == (11, 0)
        gate.set()
        for i in range(100):
            assert str(await ws.message()).startswith(f"40/n{i},")
        assert session.under_way == (0, 0)
