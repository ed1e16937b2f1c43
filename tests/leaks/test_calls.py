"""What waits for an acknowledgement that does not come leaves nothing."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import socketio_fast as socketio

from .soak_peers import Peer

CALLS = 5
Ask = Callable[[socketio.AsyncServer, str, float], Awaitable[Any]]


async def call(sio: socketio.AsyncServer, sid: str, timeout: float) -> Any:
    return await sio.call("question", to=sid, timeout=timeout)


async def emit_with_ack(sio: socketio.AsyncServer, sid: str, timeout: float) -> Any:
    socket = sio.of("/").sockets[sid]
    return await socket.timeout(timeout).emit_with_ack("question")


@pytest.mark.parametrize("how", ["late", "given up", "gone"])
@pytest.mark.parametrize("ask", [call, emit_with_ack])
async def test_a_call_that_fails_leaves_no_cycle(ask: Ask, how: str) -> None:
    sio = socketio.AsyncServer(max_pending_acks=1 if how == "given up" else CALLS)
    sio.of("/")
    expected = CALLS - (how == "given up")
    failed = asyncio.Semaphore(0)

    @sio.event
    async def begin(sid: str) -> None:
        try:
            await ask(sio, sid, 0.05 if how == "late" else 5)
        except TimeoutError:
            failed.release()

    async with await socketio.serve(sio, port=0) as server, Peer(server.port) as peer:
        await peer.join()
        gc.collect()
        gc.disable()
        try:
            for _ in range(CALLS):
                await peer.text('42["begin"]')
            for _ in range(CALLS):
                await peer.message()
            if how == "gone":
                peer.socket.close()
            for _ in range(expected):
                await asyncio.wait_for(failed.acquire(), 5)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [o for o in gc.garbage if issubclass(type(o), TimeoutError)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert left == []
