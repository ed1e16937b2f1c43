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


def test_events_that_listeners_of_all_events_have_not_ended_count() -> None:
    sio = socketio_fast.AsyncServer(max_pending_events=4, namespaces=["/"])
    server = Server(sio)
    begun: list[asyncio.Future[Any]] = []

    @sio.of("/").on("connection")
    def connection(socket: Any) -> None:
        @socket.on_any
        async def heard(*args: Any) -> None:
            begun.append(asyncio.get_running_loop().create_future())
            await begun[-1]

    client, _ = server.joined()
    for n in range(10):
        client.text(f'42["e",{n}]')
    assert len(begun) == 5
    with server.loop.running():
        for future in list(begun):
            future.set_result(None)
    server.loop.turn()
    assert len(begun) == 10
    with server.loop.running():
        for future in begun[5:]:
            future.set_result(None)
    server.loop.turn()
    (session,) = server.engine.sessions.values()
    assert session.under_way == (0, 0)


@pytest.mark.parametrize("binary", [False, True])
def test_a_payload_of_revision_3_waits_packet_by_packet(binary: bool) -> None:
    """P3: as one of revision 4; what is not read yet is no task."""
    sio = socketio_fast.AsyncServer(max_pending_events=1, allow_eio3=True)
    server = Server(sio)
    begun: list[asyncio.Future[Any]] = []
    ended: list[int] = []

    @sio.event
    async def slow(sid: str, n: int) -> None:
        begun.append(asyncio.get_running_loop().create_future())
        await begun[-1]
        ended.append(n)

    http = server.http()
    base = f"{server.path}?EIO=3&transport=polling"
    _, opened = http.get(base)
    sid = opened.decode().partition('"sid":"')[2].partition('"')[0]
    packets = [f'42["slow",{n}]' for n in range(20)]
    headers = []
    body: Any = "".join(f"{len(packet)}:{packet}" for packet in packets)
    if binary:
        headers = [("Content-Type", "application/octet-stream")]
        body = b"".join(
            b"\0" + bytes(map(int, str(len(packet)))) + b"\xff" + packet.encode()
            for packet in packets
        )
    poster = server.http()
    poster.send(request("POST", f"{base}&sid={sid}", body, headers=headers))
    assert len(begun) == 2
    while len(ended) < 20:
        assert poster.responses() == []
        with server.loop.running():
            for future in begun:
                if not future.done():
                    future.set_result(None)
        server.loop.turn()
    server.loop.turn()
    assert [status for status, _, _ in poster.responses()] == [200]
    assert ended == list(range(20))
