"""A broadcast that each of its clients acknowledges, from `acks()` to the last answer.

A client costs 3 µs (the median with 100 of them, on a busy machine): the event with a
number of its own, its frame, the answer read, and given to who asked.
"""

from __future__ import annotations

from typing import Any

import pytest

import socketio_fast
from socketio_fast import testing


@pytest.mark.parametrize("clients", [10, 100, 1000])
def bench_acks(benchmark: Any, loop: Any, clients: int) -> None:
    benchmark.group = "A broadcast that all clients acknowledge, by clients"
    sio = socketio_fast.AsyncServer()
    connections = [testing.Connection(sio) for _ in range(clients)]

    async def connect() -> None:
        for connection in connections:
            await connection.__aenter__()
            client = await connection.join()
            await sio.enter_room(client.sid, "room")

    def answer() -> None:
        for connection in connections:
            websocket = connection._websocket
            event = websocket.take()
            id = event[2 : event.index("[")]
            websocket.receive(f'43{id}["fine"]')

    async def ask() -> int:
        loop.call_soon(answer)
        answers = sio.to("room").timeout(5).acks("question", 1)
        return len([sid async for sid, _ in answers])

    async def close() -> None:
        for connection in connections:
            await connection.close()

    loop.run_until_complete(connect())
    assert benchmark(lambda: loop.run_until_complete(ask())) == clients
    loop.run_until_complete(close())
