"""Rooms: joining, leaving, and the end of a client that is in many."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakes import SERVERS

CLIENTS = 1000
ROOMS = 10
LEAVING = 50

implementation = pytest.mark.parametrize("implementation", SERVERS)


def finish(coroutine: Any) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


@implementation
def bench_join_and_leave(
    benchmark: Any, loop: asyncio.AbstractEventLoop, implementation: str
) -> None:
    benchmark.group = f"Join and leave a room, of {CLIENTS} clients"
    server = SERVERS[implementation](loop)
    sids = loop.run_until_complete(server.connect(CLIENTS))
    sio, sid = server.sio, sids[0]
    for other in sids[1:]:
        finish(sio.enter_room(other, "room"))

    def join_and_leave() -> None:
        finish(sio.enter_room(sid, "room"))
        finish(sio.leave_room(sid, "room"))

    benchmark(join_and_leave)
    assert "room" not in sio.rooms(sid)
    assert "room" in sio.rooms(sids[1])
    loop.run_until_complete(server.close())


@implementation
def bench_disconnect(
    benchmark: Any, loop: asyncio.AbstractEventLoop, implementation: str
) -> None:
    benchmark.group = f"Disconnect {LEAVING} of {CLIENTS} clients in {ROOMS} rooms"
    server = SERVERS[implementation](loop)
    sio = server.sio
    loop.run_until_complete(enter(server, CLIENTS - LEAVING))

    def setup() -> tuple[tuple[list[str]], dict[str, Any]]:
        return (loop.run_until_complete(enter(server, LEAVING)),), {}

    async def disconnect(sids: list[str]) -> None:
        for sid in sids:
            await sio.disconnect(sid)

    def run(sids: list[str]) -> list[str]:
        loop.run_until_complete(disconnect(sids))
        return sids

    gone = benchmark.pedantic(run, setup=setup, rounds=20, warmup_rounds=2)
    assert not any(sio.rooms(sid) for sid in gone)
    loop.run_until_complete(server.close())


async def enter(server: Any, count: int) -> list[str]:
    """Connect clients, and put each into all rooms."""
    sids: list[str] = await server.connect(count)
    for sid in sids:
        for room in range(ROOMS):
            await server.sio.enter_room(sid, f"room-{room}")
    return sids
