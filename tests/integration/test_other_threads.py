"""Coroutines of a server that runs, run by a loop of another thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.raw import TIMEOUT, Client, connections, websocket, within

import socketio_fast as socketio

PATH = "/socket.io/"


async def elsewhere(call: Callable[[], Awaitable[Any]]) -> Any:
    """What a thread gets by `asyncio.run()`; the server's loop has nothing to do."""

    async def run() -> Any:
        return await call()

    return await within(asyncio.to_thread(asyncio.run, run()))


async def joined(client: Client, packet: str = "40") -> Any:
    ws = await client.websocket(websocket(path=PATH))
    await ws.open_packet()
    await ws.text(packet)
    await within(ws.message())
    return ws


@pytest.fixture
async def server(serve: Any) -> Any:
    # Nothing wakes the loop by itself.
    sio = socketio.AsyncServer(ping_interval=600)
    sio.on("connect", lambda sid, environ: None)
    return await serve(sio), sio


def sid_of(sio: socketio.AsyncServer) -> str:
    (sid,) = sio._hub.namespaces["/"].peers
    return sid


async def test_emit_is_sent_at_once(server: Any) -> None:
    running, sio = server
    async with connections(running) as client:
        ws = await joined(client)

        def emit() -> None:
            time.sleep(0.2)  # until the server's loop sleeps: nothing tells when
            asyncio.run(sio.emit("e", {"a": 1}))

        thread = threading.Thread(target=emit)
        thread.start()
        assert await within(ws.message()) == '42["e",{"a":1}]'
        await asyncio.to_thread(thread.join, TIMEOUT)
        assert not thread.is_alive()


async def test_what_one_thread_emits_stays_in_order(server: Any) -> None:
    running, sio = server
    async with connections(running) as client:
        ws = await joined(client)

        def emit() -> None:
            for number in range(50):
                asyncio.run(sio.emit("e", number))

        emitting = asyncio.create_task(asyncio.to_thread(emit))
        for number in range(50):
            assert await within(ws.message()) == f'42["e",{number}]'
        await within(emitting)


async def test_call_is_answered(server: Any) -> None:
    running, sio = server
    async with connections(running) as client:
        ws = await joined(client)
        sid = sid_of(sio)
        calling = asyncio.create_task(elsewhere(lambda: sio.call("add", 1, to=sid)))
        assert await within(ws.message()) == '420["add",1]'
        await ws.text("430[2]")
        assert await within(calling) == 2


async def test_rooms_change_before_it_returns(server: Any) -> None:
    running, sio = server
    async with connections(running) as client:
        ws = await joined(client)
        sid = sid_of(sio)
        await elsewhere(lambda: sio.enter_room(sid, "room"))
        assert sio.rooms(sid) == [sid, "room"]
        await elsewhere(lambda: sio.emit("e", room="room"))
        assert await within(ws.message()) == '42["e"]'
        await elsewhere(lambda: sio.leave_room(sid, "room"))
        assert sio.rooms(sid) == [sid]
        await elsewhere(lambda: sio.enter_room(sid, "room"))
        await elsewhere(lambda: sio.close_room("room"))
        assert sio.rooms(sid) == [sid]


async def test_disconnect_waits_for_its_handler(server: Any) -> None:
    running, sio = server
    left: list[str] = []
    threads: list[threading.Thread] = []

    @sio.event
    async def disconnect(sid: str) -> None:
        threads.append(threading.current_thread())
        await asyncio.sleep(0)
        left.append(sid)

    async with connections(running) as client:
        ws = await joined(client)
        sid = sid_of(sio)
        await elsewhere(lambda: sio.disconnect(sid))
        assert left == [sid]
        assert threads == [threading.current_thread()]
        assert await within(ws.message()) == "41"


@pytest.mark.parametrize("name", ["namespace", "to", "socket"])
async def test_other_ways_to_emit_are_prompt(server: Any, name: str) -> None:
    running, sio = server
    namespace = socketio.AsyncNamespace("/")
    sio.register_namespace(namespace)
    sio.of("/").on("connection", lambda socket: None)
    async with connections(running) as client:
        ws = await joined(client)
        emitter = {
            "namespace": namespace,
            "to": sio.to(sid_of(sio)),
            "socket": sio.of("/").sockets[sid_of(sio)],
        }[name]
        emitting = asyncio.create_task(elsewhere(lambda: emitter.emit("e", 1)))
        began = time.monotonic()
        assert await within(ws.message()) == '42["e",1]'
        assert time.monotonic() - began < TIMEOUT / 2
        await within(emitting)


async def test_errors_reach_the_thread(server: Any) -> None:
    _, sio = server
    with pytest.raises(ValueError, match="not connected"):
        await elsewhere(lambda: sio.enter_room("nobody", "room"))
    with pytest.raises(TypeError):
        await elsewhere(lambda: sio.emit("e", object()))
