"""Draining: clients leave in stages, and no new ones come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.hosts import HOSTS
from support.raw import (
    Connection,
    WebSocket,
    join,
    polling,
    upgrade_request,
    websocket,
    within,
)

import socketio_fast
from socketio_fast.serving.drain import DrainSummary

PATH = "/socket.io/"


class Program:
    """A server whose handlers of ``slow`` wait until they are let through."""

    def __init__(self) -> None:
        self.sio = socketio_fast.AsyncServer()
        self.open = asyncio.Event()
        self.begun = asyncio.Event()
        self.gone: list[str] = []

        @self.sio.event
        async def slow(sid: str) -> str:
            self.begun.set()
            await self.open.wait()
            return "done"

        @self.sio.event
        async def disconnect(sid: str, reason: str) -> None:
            self.gone.append(sid)


@pytest.fixture
def program() -> Program:
    return Program()


@pytest.fixture(params=list(HOSTS))
async def where(request: pytest.FixtureRequest, program: Program) -> AsyncIterator[Any]:
    """Where the program is served."""
    async with HOSTS[request.param](program.sio) as url:
        parts = urlsplit(url)
        yield SimpleNamespace(host=parts.hostname, port=parts.port)


@pytest.fixture
async def compiled(program: Program) -> AsyncIterator[Any]:
    """The same, by the server of the package alone."""
    async with await socketio_fast.serve(program.sio, port=0) as running:
        yield running


async def join_by_polling(connection: Connection) -> str:
    """The target of a client that is connected."""
    target = polling(await connection.open_session(path=PATH), path=PATH)
    (await connection.post(target, "40")).ok("ok")
    assert (await connection.get(target)).ok().text.startswith("40")
    return target


async def test_clients_are_told_to_connect_again(where: Any, program: Program) -> None:
    """S6: WebSockets are closed by 1001, polls answered by 503, and nobody is told by a
    DISCONNECT, after which clients would stay away."""
    async with await join(where) as ws, await Connection.open(where) as connection:
        await connection.park(await join_by_polling(connection))
        draining = asyncio.ensure_future(program.sio.drain(timeout=20))
        await ws.fails_with(1001)
        assert (await connection.response()).status == 503
        assert await within(draining) == DrainSummary(2, 0, 2, 0, 0)
        assert len(program.gone) == 2


async def test_handshakes_are_refused(where: Any, program: Program) -> None:
    """S6: by 503, with a time to come again, until shutdown()."""
    assert not program.sio.eio.draining
    assert await program.sio.drain() == DrainSummary(0, 0, 0, 0, 0)
    assert program.sio.eio.draining
    async with await Connection.open(where) as connection:
        response = await connection.get(
            polling(path=PATH), ("Origin", "http://test.local")
        )
        assert response.status == 503
        assert response.header("access-control-allow-origin") == "http://test.local"
        assert response.header("content-type") == "application/json"
        assert json.loads(response.body) == {
            "code": 4,
            "message": "The server is draining",
        }
        assert 1 <= int(response.header("retry-after") or 0) <= 5
    assert program.sio.eio.counters["refused_draining"] == 1
    await program.sio.shutdown()
    assert not program.sio.eio.draining
    async with await join(where):
        pass


async def test_websockets_are_refused(compiled: Any, program: Program) -> None:
    """S6: the handshake of a WebSocket is answered by 503 too."""
    await program.sio.drain()
    async with await Connection.open(compiled) as connection:
        await connection.send(upgrade_request(websocket(path=PATH)))
        response = await connection.response()
        assert response.status == 503
        assert response.header("retry-after")


async def test_a_handler_is_waited_for(where: Any, program: Program) -> None:
    """S6: its client gets the acknowledgement, and is asked to leave after it."""
    async with await join(where) as busy, await join(where) as idle:
        await busy.text('421["slow"]')
        await within(program.begun.wait())
        draining = asyncio.ensure_future(program.sio.drain(timeout=20))
        await idle.fails_with(1001)
        await busy.silent()
        program.open.set()
        assert await busy.message() == '431["done"]'
        await busy.fails_with(1001)
        assert await within(draining) == DrainSummary(2, 0, 2, 0, 0)


async def test_a_client_that_polls_is_waited_for(
    compiled: Any, program: Program
) -> None:
    """S6: what it has not fetched yet is not lost."""
    async with await Connection.open(compiled) as connection:
        target = await join_by_polling(connection)
        await program.sio.emit("news", 1)
        draining = asyncio.ensure_future(program.sio.drain(timeout=20))
        assert (await connection.get(target)).ok('42["news",1]')
        assert await within(draining) == DrainSummary(1, 0, 1, 0, 0)
        (await connection.get(target)).error(1)


async def test_an_acknowledgement_is_waited_for(
    compiled: Any, program: Program
) -> None:
    """S6: the server's own calls get their answers."""
    async with await join(compiled) as ws:
        call = asyncio.ensure_future(program.sio.call("question", to=only(program)))
        assert await ws.message() == '420["question"]'
        draining = asyncio.ensure_future(program.sio.drain(timeout=20))
        await ws.silent()
        await ws.text('430["answer"]')
        assert await within(call) == "answer"
        await ws.fails_with(1001)
        assert await within(draining) == DrainSummary(1, 0, 1, 0, 0)


async def test_what_does_not_end_is_given_up(compiled: Any, program: Program) -> None:
    """S6: handlers and acknowledgements that were waited for up to the timeout."""
    answers: list[Any] = []
    async with await join(compiled) as ws:
        await program.sio.emit("question", callback=answers.append)
        assert await ws.message() == '420["question"]'
        await ws.text('421["slow"]')
        await within(program.begun.wait())
        assert await within(program.sio.drain(timeout=0.1)) == DrainSummary(
            1, 0, 1, 1, 1
        )
        await ws.fails_with(1001)
        program.open.set()


async def test_a_client_that_leaves_by_itself(compiled: Any, program: Program) -> None:
    """S6: is told apart from those that were asked."""
    async with await join(compiled) as ws:
        await ws.text('421["slow"]')
        await within(program.begun.wait())
        draining = asyncio.ensure_future(program.sio.drain(timeout=20))
        await ws.silent()
        await ws.text("1")
        assert await within(draining) == DrainSummary(1, 1, 0, 0, 0)
        program.open.set()


async def test_stages(compiled: Any, program: Program) -> None:
    """S6: no more clients leave in a time than its rate says."""
    loop = asyncio.get_running_loop()
    clients = [await join(compiled) for _ in range(5)]
    try:
        began = loop.time()
        draining = asyncio.ensure_future(program.sio.drain(rate=20, timeout=20))
        times = []
        for client in clients:
            await client.fails_with(1001)
            times.append(loop.time() - began)
        assert await within(draining) == DrainSummary(5, 0, 5, 0, 0)
        for n, time in enumerate(times):
            assert time >= (n - 1) / 20, times
    finally:
        for client in clients:
            await client.close()


async def test_the_rest_leaves_at_the_end(compiled: Any, program: Program) -> None:
    """S6: a rate that is too low does not hold up the end."""
    clients = [await join(compiled) for _ in range(5)]
    try:
        summary = await within(program.sio.drain(rate=0.01, timeout=0.1))
        assert summary == DrainSummary(5, 0, 5, 0, 0)
        for client in clients:
            await client.fails_with(1001)
    finally:
        for client in clients:
            await client.close()


async def test_shutdown_ends_it(compiled: Any, program: Program) -> None:
    """S6: drain() returns, and clients may connect again."""
    async with await join(compiled) as ws:
        await ws.text('421["slow"]')
        await within(program.begun.wait())
        draining = asyncio.ensure_future(program.sio.drain(timeout=20))
        await ws.silent()
        await program.sio.shutdown()
        assert await within(draining) == DrainSummary(1, 1, 0, 0, 0)
        program.open.set()
    async with await join(compiled):
        pass


@pytest.mark.parametrize(
    "options", [{"rate": 0}, {"rate": -1}, {"rate": float("nan")}, {"timeout": -1}]
)
async def test_bad_arguments(options: dict[str, float], program: Program) -> None:
    """S6: are named, and nothing is refused then."""
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        await program.sio.drain(**options)
    assert not program.sio.eio.draining
    if name == "rate":
        with pytest.raises(ValueError, match=f"drain_rate={value}"):
            await socketio_fast.serve(program.sio, port=0, drain_rate=value)


async def test_close_drains(program: Program) -> None:
    """S6: close() waits for what is under way, and the server can be started again."""
    loop = asyncio.get_running_loop()
    running = await socketio_fast.serve(
        program.sio, port=0, drain_rate=float("inf"), shutdown_timeout=20
    )
    try:
        async with await join(running) as ws:
            await ws.text('421["slow"]')
            await within(program.begun.wait())
            closing = loop.create_task(running.close())
            await ws.silent()
            async with await Connection.open(running) as connection:
                assert (await connection.get(polling(path=PATH))).status == 503
            program.open.set()
            assert await ws.message() == '431["done"]'
            await ws.fails_with(1001)
        await within(closing)
    finally:
        await running.close()
    with pytest.raises(OSError):
        await Connection.open(running)
    async with (
        await socketio_fast.serve(program.sio, port=0) as again,
        await join(again),
    ):
        pass


async def test_close_without_a_rate_does_not_wait(program: Program) -> None:
    """S6: a stop is what it was: no code in the close frame, and no waiting for the
    handler's client."""
    running = await socketio_fast.serve(program.sio, port=0)
    try:
        async with await join(running) as ws:
            await ws.text('421["slow"]')
            await within(program.begun.wait())
            closing = asyncio.ensure_future(running.close())
            assert await ws.close_payload() == b""
            program.open.set()
        await within(closing)
    finally:
        await running.close()


async def test_engine_io_alone(serve: Any) -> None:
    """S6: a server of Engine.IO drains, and one that was stopped serves again."""
    eio = socketio_fast.engineio.AsyncServer()
    running = await serve(eio, drain_rate=1000)
    async with await WebSocket.upgrade(running, websocket()) as ws:
        await ws.open_packet()
        closing = asyncio.ensure_future(running.close())
        await ws.fails_with(1001)
        await within(closing)
    assert not eio.draining
    async with await Connection.open(await serve(eio)) as connection:
        await connection.open_session()


async def test_threads() -> None:
    """S6: Server.drain() waits for handlers, which run in threads."""
    sio = socketio_fast.Server()
    begun, done = sio.eio.create_event(), sio.eio.create_event()

    @sio.event
    def slow(sid: str) -> str:
        begun.set()
        done.wait(10)
        return "done"

    running = sio._threads.run(socketio_fast.serve(sio._server, port=0))
    try:
        async with await join(running) as ws:
            await ws.text('421["slow"]')
            assert await asyncio.to_thread(begun.wait, 5)
            draining = asyncio.ensure_future(asyncio.to_thread(sio.drain, timeout=20))
            await ws.silent()
            done.set()
            assert await ws.message() == '431["done"]'
            await ws.fails_with(1001)
            assert await within(draining) == DrainSummary(1, 0, 1, 0, 0)
            assert sio.eio.draining
    finally:
        sio._threads.run(running.close())
        sio.shutdown()


def only(program: Program) -> Any:
    """The one client there is."""
    ((sid, _),) = program.sio.manager.get_participants("/", None)
    return sid
