"""Draining, with the official client: it goes on with the next server."""

from __future__ import annotations

import asyncio
from typing import Any

from support.interop import within

import socketio_fast


def program(handled: list[int], slow: asyncio.Event) -> socketio_fast.AsyncServer:
    sio = socketio_fast.AsyncServer()

    @sio.event
    async def add(sid: str, n: int) -> int:
        if n == 2:
            await slow.wait()
        handled.append(n)
        return n

    return sio


async def test_a_client_goes_on_with_the_next_server(serve: Any, js: Any) -> None:
    """S6: it connects again by itself, and no event that was acknowledged is lost."""
    slow = asyncio.Event()
    before: list[int] = []
    after: list[int] = []
    first = await serve(
        program(before, slow), drain_rate=float("inf"), shutdown_timeout=20
    )
    client = await js(first, reconnectionDelay=100, reconnectionDelayMax=200)
    await client.connect()
    assert await client.emit_with_ack("add", 1) == [1]
    second = asyncio.ensure_future(client.emit_with_ack("add", 2))
    third = asyncio.ensure_future(client.emit_with_ack("add", 3))
    assert await within(third, "an acknowledgement") == [3]
    closing = asyncio.ensure_future(first.close())
    await asyncio.sleep(0)  # it has begun
    assert not closing.done()
    slow.set()
    assert await within(second, "an acknowledgement") == [2]
    # Not "io server disconnect", after which it would not connect again.
    assert await client.disconnected() in ("transport close", "transport error")
    await within(closing, "the end of the first server")
    await serve(program(after, slow), port=first.port)
    await client["/"].reconnected()
    assert await client.emit_with_ack("add", 4) == [4]
    assert (sorted(before), after) == ([1, 2, 3], [4])
