"""The Admin UI's namespace: what no client of python-socketio can show."""

from __future__ import annotations

import json
from typing import Any

import pytest

from socketio_fast import AsyncServer
from unit.sansio import Server, WebSocket


def instrumented(**options: Any) -> tuple[Server, AsyncServer, WebSocket]:
    """A server, and a UI that has got its first messages."""
    sio = AsyncServer()
    sio.instrument(auth=False, **options)
    server = Server(sio)
    admin = server.websocket()
    admin.text("40/admin,")
    admin.messages()
    return server, sio, admin


def told(admin: WebSocket) -> list[Any]:
    events = []
    for message in admin.messages():
        assert isinstance(message, str)
        assert message.startswith("42/admin,")
        events.append(json.loads(message[len("42/admin,") :]))
    return events


def test_the_first_messages() -> None:
    sio = AsyncServer()
    sio.instrument(auth=False)
    admin = Server(sio).websocket()
    admin.text("40/admin,")
    connect, *messages = [str(message) for message in admin.messages()]
    sid = json.loads(connect.removeprefix("40/admin,"))["sid"]
    events = [json.loads(m.removeprefix("42/admin,")) for m in messages]
    names = ["room_joined", "socket_connected", "config", "all_sockets"]
    assert [event[0] for event in events] == names
    assert events[0][1:4] == ["/admin", sid, sid]
    assert [found["id"] for found in events[3][1]] == [sid]


def test_an_upgrade() -> None:
    server, _, admin = instrumented()
    http, eio_sid = server.polling()
    http.post(server.target("polling", eio_sid), "40")
    _, body = http.get(server.target("polling", eio_sid))
    sid = json.loads(body.removeprefix(b"40"))["sid"]
    _, (_, connected, _) = told(admin)
    assert connected["transport"] == "polling"
    client = WebSocket(server, eio_sid)
    client.text("2probe")
    client.text("5")
    update = {"id": sid, "nsp": "/", "transport": "websocket"}
    assert told(admin) == [["socket_updated", update]]


def test_figures_are_sent_while_there_are_clients() -> None:
    server, _, admin = instrumented(mode="production", server_stats_interval=3)
    server.loop.advance(2.9)
    assert told(admin) == []
    server.loop.advance(0.2)
    ((event, stats),) = told(admin)
    assert event == "server_stats"
    assert (stats["clientsCount"], stats["pollingClientsCount"]) == (1, 0)
    counts = {e["type"]: e["count"] for e in stats["aggregatedEvents"]}
    assert counts.pop("bytesOut") > 100
    assert counts == {
        "rawConnection": 1,
        "packetsIn": 1,
        "bytesIn": len("40/admin,"),
        "packetsOut": 3,  # open, connect, config
    }
    server.loop.advance(3)
    assert [event for event, _ in told(admin)] == ["server_stats"]
    admin.leave()
    server.loop.advance(30)
    assert server.loop.armed() == []


def test_a_server_that_runs_again_on_another_loop() -> None:
    _, sio, admin = instrumented(server_stats_interval=3)
    admin.leave()
    again = Server(sio)
    admin = again.websocket()
    admin.text("40/admin,")
    admin.messages()
    again.loop.advance(3.1)
    assert [event for event, *_ in told(admin)] == ["server_stats"]


def test_a_connection_from_before() -> None:
    sio = AsyncServer()
    server = Server(sio)
    admin = server.websocket()
    sio.instrument(auth=False, mode="production", server_stats_interval=3)
    admin.text("40/admin,")
    admin.messages()
    server.loop.advance(3.1)
    assert [event for event, _ in told(admin)] == ["server_stats"]


def test_nothing_is_kept_of_who_has_gone() -> None:
    server, sio, admin = instrumented()
    reporter: Any = sio._hub.observer
    clients = [server.joined()[0] for _ in range(3)]
    http, eio_sid = server.polling()
    http.post(server.target("polling", eio_sid), "40")
    assert len(reporter._since) == 5
    assert reporter._polling == {eio_sid}
    for client in (*clients, admin):
        client.leave()
    http.post(server.target("polling", eio_sid), "1")
    server.loop.advance(3)
    assert (reporter._since, reporter._polling, reporter._counts) == ({}, set(), {})


def test_what_nobody_looks_at_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    sio = AsyncServer()
    admin = sio.instrument(auth=False)
    made: list[Any] = []
    monkeypatch.setattr(admin, "serialize_socket", lambda *args: made.append(args))
    monkeypatch.setattr(sio._hub.observer, "_emit", lambda *args: made.append(args))
    server = Server(sio)
    client, sid = server.joined()
    with pytest.raises(StopIteration):
        sio.enter_room(sid, "x").send(None)
    client.text('42["x"]')
    with pytest.raises(StopIteration):
        sio.emit("e").send(None)
    client.leave()
    server.loop.advance(3)
    assert made == []
    server.websocket().text("40/admin,")
    assert made[0][0] == "room_joined"


def test_events_of_uis_are_not_told() -> None:
    server, sio, admin = instrumented()
    admin.text('42/admin,["anything"]')
    with pytest.raises(StopIteration):
        sio.emit("news", namespace="/admin").send(None)
    assert told(admin) == [["news"]]
    client, sid = server.joined()
    told(admin)
    client.text('42["x"]')
    assert [event[:4] for event in told(admin)] == [["event_received", "/", sid, ["x"]]]
