"""Flow control against clients that are not nice, bytes in and bytes out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from integration.raw import request

import socketio_fast
from unit.sansio import Server


@pytest.mark.parametrize("revision", [3, 4])
@pytest.mark.parametrize("more", [0, 18])
def test_a_post_whose_connection_is_lost_while_it_waits(
    revision: int, more: int
) -> None:
    """Its session ends, and nobody answers it."""
    sio = socketio_fast.AsyncServer(max_pending_events=1, allow_eio3=True)
    server = Server(sio)
    begun: list[asyncio.Future[Any]] = []

    @sio.event
    async def slow(sid: str, n: int) -> None:
        begun.append(asyncio.get_running_loop().create_future())
        await begun[-1]

    http = server.http()
    base = f"{server.path}?EIO={revision}&transport=polling"
    _, opened = http.get(base)
    sid = opened.decode().partition('"sid":"')[2].partition('"')[0]
    target = f"{base}&sid={sid}"
    packets = [f'42["slow",{n}]' for n in range(2 + more)]
    if revision == 4:
        assert http.post(target, "40") == (200, b"ok")
        assert http.get(target)[0] == 200
        body = "\x1e".join(packets)
    else:
        body = "".join(f"{len(packet)}:{packet}" for packet in packets)
    poster = server.http()
    poster.send(request("POST", target, body))
    assert poster.responses() == []
    poster.wire.lose()
    server.loop.turn()
    assert server.engine.sessions == {}
    with server.loop.running():
        for future in begun:
            future.set_result(None)
    server.loop.turn()
    assert http.get(target)[0] == 400
