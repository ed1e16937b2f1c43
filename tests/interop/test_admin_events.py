"""What the Admin UI is told: python-socketio's AsyncClient plays the UI."""

from __future__ import annotations

import os
import re
import socket
from typing import Any

import pytest
import socketio as python_socketio
from support.admin_client import LOGIN, Connect, Program, log_in

from socketio_fast import AsyncServer

ACTIONS = ["EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"]


TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


# ------------------------------------------------------------------- development mode


async def test_what_can_be_done(serve: Any, connect: Connect) -> None:
    """U3: what can be done."""
    sio = AsyncServer()
    sio.instrument(auth=LOGIN)
    admin = await log_in(connect, await serve(sio))
    (config,) = await admin.next("config")
    assert config == {
        "supportedFeatures": ["AGGREGATED_EVENTS", "ALL_EVENTS", *ACTIONS]
    }


async def test_who_is_there(serve: Any, connect: Connect) -> None:
    sio = AsyncServer(namespaces=["/", "/chat"])
    sio.instrument(auth=LOGIN)
    server = await serve(sio)
    one = await connect(server, transport="polling")
    two = await connect(server, "/chat", transport="websocket")
    await sio.enter_room(one.sid, "lobby")
    await sio.enter_room(one.sid, 7)
    admin = await log_in(connect, server)
    (found,) = await admin.next("all_sockets")
    sockets = {socket["id"]: socket for socket in found}
    assert set(sockets) == {one.sid, two.sid, admin.sid}
    first = sockets[one.sid]
    assert first["nsp"] == "/"
    assert first["transport"] == "polling"
    assert first["data"] == {}
    assert set(first["rooms"]) == {one.sid, "lobby", "7"}
    assert one.client.eio.sid.startswith(first["clientId"])
    assert first["clientId"] != one.client.eio.sid
    handshake = first["handshake"]
    assert handshake["address"] == "127.0.0.1"
    assert handshake["headers"]["user-agent"].startswith("Python/")
    assert handshake["query"]["EIO"] == "4"
    assert handshake["query"]["transport"] == "polling"
    assert handshake["secure"] is handshake["xdomain"] is False
    assert handshake["url"].startswith("/socket.io/?transport=polling&EIO=4")
    assert TIME.fullmatch(handshake["time"])
    assert handshake["issued"] > 1_700_000_000_000
    assert sockets[two.sid]["nsp"] == "/chat"
    assert sockets[two.sid]["transport"] == "websocket"


async def test_clients_that_come_and_go(serve: Any, connect: Connect) -> None:
    sio = AsyncServer()

    @sio.on("connect")
    async def enter(sid: str, environ: dict[str, Any]) -> None:
        await sio.enter_room(sid, "lobby")

    sio.instrument(auth=LOGIN)
    server = await serve(sio)
    admin = await log_in(connect, server)
    (own, _) = await admin.next("socket_connected")
    assert own["id"] == admin.sid
    client = await connect(server)
    connected, when = await admin.next("socket_connected")
    assert (connected["id"], connected["nsp"]) == (client.sid, "/")
    assert set(connected["rooms"]) == {client.sid, "lobby"}
    assert TIME.fullmatch(when)
    joined = await admin.calls("room_joined").several(3)
    assert [args[:3] for args in joined] == [
        ("/admin", admin.sid, admin.sid),
        ("/", "lobby", client.sid),
        ("/", client.sid, client.sid),
    ]
    sid = client.sid
    await sio.disconnect(sid)
    *gone, when = await admin.next("socket_disconnected")
    assert gone == ["/", sid, "server disconnect"]
    assert TIME.fullmatch(when)
    left = await admin.calls("room_left").several(2)
    assert [args[:3] for args in left] == [("/", sid, sid), ("/", "lobby", sid)]


async def test_who_is_refused_is_not_shown(serve: Any, connect: Connect) -> None:
    sio = AsyncServer()
    sio.on("connect", lambda sid, environ: False)
    sio.instrument(auth=LOGIN)
    server = await serve(sio)
    admin = await log_in(connect, server)
    refused = Program("/")
    with pytest.raises(python_socketio.exceptions.ConnectionError):
        await refused.connect(server.url)
    await refused.close()
    other = await log_in(connect, server)
    seen = await admin.calls("socket_connected").several(2)
    assert [args[0]["id"] for args in seen] == [admin.sid, other.sid]


async def test_rooms(serve: Any, connect: Connect) -> None:
    sio = AsyncServer()
    sio.instrument(auth=LOGIN)
    server = await serve(sio)
    admin, client = await log_in(connect, server), await connect(server)
    await admin.calls("room_joined").several(2)
    await sio.enter_room(client.sid, "x")
    await sio.enter_room(client.sid, "x")
    await sio.enter_room(client.sid, 5)
    joined = await admin.calls("room_joined").several(2)
    assert [args[:3] for args in joined] == [
        ("/", "x", client.sid),
        ("/", "5", client.sid),
    ]
    await sio.leave_room(client.sid, "x")
    await sio.close_room(5)
    left = await admin.calls("room_left").several(2)
    assert [args[:3] for args in left] == [
        ("/", "x", client.sid),
        ("/", "5", client.sid),
    ]


async def test_events(serve: Any, connect: Connect) -> None:
    sio = AsyncServer()

    @sio.on("ask")
    async def ask(sid: str, data: dict[str, Any]) -> None:
        data.clear()
        await sio.emit("told", ("a", b"\x00"), to=sid)

    sio.instrument(auth=LOGIN)
    server = await serve(sio)
    admin, client = await log_in(connect, server), await connect(server)
    await client.emit("ask", {"deep": [1]})
    *received, when = await admin.next("event_received")
    assert received == ["/", client.sid, ["ask", {"deep": [1]}]]
    assert TIME.fullmatch(when)
    *sent, when = await admin.next("event_sent")
    assert sent == ["/", client.sid, ["told", "a", b"\x00"]]
    assert TIME.fullmatch(when)


async def test_events_that_are_sent_to_many(serve: Any, connect: Connect) -> None:
    sio = AsyncServer()
    sio.instrument(auth=LOGIN)
    server = await serve(sio)
    admin = await log_in(connect, server)
    clients = [await connect(server) for _ in range(3)]
    a, b, c = (client.sid for client in clients)
    await sio.enter_room(a, "x")
    await sio.enter_room(b, "x")
    for options, expected in [
        ({}, {a, b, c}),
        ({"skip_sid": a}, {b, c}),
        ({"skip_sid": [a, b]}, {c}),
        ({"to": "x", "skip_sid": b}, {a}),
        ({"to": [a, "x", c]}, {a, b, c}),
    ]:
        await sio.emit("e", **options)
        sent = await admin.calls("event_sent").several(len(expected))
        assert [(nsp, event) for nsp, _, event, _ in sent] == [("/", ["e"])] * len(sent)
        assert {sid for _, sid, *_ in sent} == expected
    await sio.emit("last", to=a)
    assert (await admin.next("event_sent"))[2] == ["last"]


async def test_behind_a_proxy_the_address_is_the_clients(
    serve: Any, connect: Connect
) -> None:
    sio = AsyncServer()
    sio.instrument(auth=LOGIN)
    server = await serve(sio)
    headers = {"X-Forwarded-For": "192.0.2.1", "Origin": server.url}
    client = await connect(server, headers=headers)
    admin = await log_in(connect, server)
    (found,) = await admin.next("all_sockets")
    handshake = next(s["handshake"] for s in found if s["id"] == client.sid)
    assert handshake["address"] == "192.0.2.1"
    assert handshake["xdomain"] is True


# ------------------------------------------------------------------- figures


@pytest.mark.parametrize("mode", ["development", "production"])
async def test_figures(serve: Any, connect: Connect, mode: str) -> None:
    """U4: figures."""
    sio = AsyncServer(namespaces=["/", "/chat"])
    sio.instrument(auth=LOGIN, mode=mode, server_stats_interval=0.05)
    server = await serve(sio)
    admin = await log_in(connect, server)
    await connect(server, transport="polling")
    client = await connect(server)
    await connect(server, "/chat")
    totals: dict[str, int] = {}

    async def until(kind: str, least: int) -> dict[str, Any]:
        stats: dict[str, Any] = {}
        while totals.get(kind, 0) < least:
            (stats,) = await admin.next("server_stats")
            for event in stats["aggregatedEvents"]:
                assert event["timestamp"] % 1000 == 0
                totals[event["type"]] = totals.get(event["type"], 0) + event["count"]
        return stats

    await client.emit("e", "x" * 1000)
    stats = await until("bytesIn", 1000)
    assert totals["rawConnection"] == stats["clientsCount"] == 4
    assert stats["pollingClientsCount"] == 1
    assert stats["serverId"] == stats["hostname"] == socket.gethostname()
    assert stats["pid"] == os.getpid()
    assert 0 < stats["uptime"] < 60
    assert stats["namespaces"] == [
        {"name": "/", "socketsCount": 2},
        {"name": "/admin", "socketsCount": 1},
        {"name": "/chat", "socketsCount": 1},
    ]
    before = totals["bytesOut"]
    await sio.emit("e", "y" * 1000)
    await until("bytesOut", before + 2000)
    assert totals["packetsIn"] >= 5
    assert totals["packetsOut"] >= 10
    await client.client.disconnect()
    stats = await until("rawDisconnection", 1)
    assert stats["clientsCount"] == 3


async def test_why_clients_went_is_told(serve: Any, connect: Connect) -> None:
    sio = AsyncServer()
    sio.instrument(auth=LOGIN, mode="production", server_stats_interval=0.05)
    server = await serve(sio)
    admin, client = await log_in(connect, server), await connect(server)
    await sio.eio.disconnect(client.client.eio.sid)
    while True:
        (stats,) = await admin.next("server_stats")
        ends = [e for e in stats["aggregatedEvents"] if e["type"] == "rawDisconnection"]
        if ends:
            break
    assert [(end["subType"], end["count"]) for end in ends] == [
        ("server disconnect", 1)
    ]


async def test_production_mode_tells_nothing_but_figures(
    serve: Any, connect: Connect
) -> None:
    sio = AsyncServer()
    sio.instrument(auth=LOGIN, mode="production", server_stats_interval=0.05)
    server = await serve(sio)
    admin, client = await log_in(connect, server), await connect(server)
    await sio.enter_room(client.sid, "x")
    await client.emit("e")
    await sio.emit("e")
    await client.client.disconnect()
    for _ in range(3):
        await admin.next("server_stats")
    assert set(admin.events) == {"session", "config", "server_stats"}


async def test_polling_clients_are_counted_from_before(
    serve: Any, connect: Connect
) -> None:
    sio = AsyncServer()
    server = await serve(sio)
    early = await connect(server, transport="polling")
    sio.instrument(auth=LOGIN, server_stats_interval=0.05, server_id="one")
    admin = await log_in(connect, server)
    (found,) = await admin.next("all_sockets")
    handshake = next(s["handshake"] for s in found if s["id"] == early.sid)
    assert (handshake["issued"], handshake["time"]) == (0, "")
    (stats,) = await admin.next("server_stats")
    assert (stats["serverId"], stats["pollingClientsCount"]) == ("one", 1)


async def test_shutdown_ends_the_figures(serve: Any, connect: Connect) -> None:
    sio = AsyncServer()
    instrumented = sio.instrument(auth=LOGIN, server_stats_interval=0.02)
    server = await serve(sio)
    admin = await log_in(connect, server)
    await admin.next("server_stats")
    await instrumented.shutdown()
    assert instrumented._reporter is not None
    assert instrumented._reporter._timer is None
    await connect(server)
    await admin.next("server_stats")
