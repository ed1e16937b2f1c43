"""Limits of what clients and addresses may ask for, on a clock that stands still."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.raw import request, upgrade_request
from support.sansio import Server, WebSocket, Wire, join, run

import socketio_fast
from socketio_fast._core.engine import rate_limits as core
from socketio_fast._core.http.http1 import Http1Connection
from socketio_fast.engineio import AsyncServer
from socketio_fast.options.limits import Limits, Rate


def test_addresses_without_end_are_not_all_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(core, "MAX_ABSENT", 1500)
    app = AsyncServer(limits=Limits(connections=Rate(0.001, burst=1)))
    server = Server(app)
    stays = server.websocket(peer=("192.0.2.1", 1))
    no_websocket = upgrade_request(server.target("websocket"), key=None)
    most = 0
    for n in range(8000):
        http = server.http(peer=(f"2001:db8:{n:x}::1", 1, 0, 0))
        http.send(no_websocket)
        assert http.response()[0] == 400
        assert app.engine.limits is not None
        most = max(most, len(app.engine.limits.visitors))
    assert most <= 2 * 1501
    # Who has a connection is not forgotten, nor who came last.
    assert "192.0.2.1" in app.engine.limits.visitors
    assert not stays.ended()
    http = server.http(peer=("2001:db8:1f3f::1", 1, 0, 0))
    http.send(no_websocket)
    assert http.response()[0] == 429


# --- events and bytes -------------------------------------------------------------

ONE_A_SECOND = Rate(1, burst=1)


def limited(**limits: Any) -> tuple[Server, list[tuple[Any, ...]]]:
    """A server of Socket.IO, and the events that its handler gets."""
    app = socketio_fast.AsyncServer(
        limits=Limits(**limits), allow_eio3=True, namespaces=["/", "/chat"]
    )
    found: list[tuple[Any, ...]] = []

    @app.on("*")
    def heard(event: str, sid: str, *args: Any) -> str:
        found.append((event, *args))
        return "ok"

    return Server(app), found


def test_events_beyond_their_rate() -> None:
    """One is answered by its acknowledgement, others by an event, once a second."""
    server, found = limited(events=Rate(2, burst=3))
    client, _ = server.joined()  # which counts as one
    client.text('42["e",1]')
    client.text('42["e",2]')
    client.text('427["e",3]')
    error = '{"message":"Rate limit exceeded","retry_after":0.5}'
    assert client.messages() == [f'437[{{"error":{error}}}]']
    client.text('42["e",4]')
    client.text('42["e",5]')
    told = error.replace("}", ',"event":"e"}')
    assert client.messages() == [f'42["error",{told}]']
    server.loop.advance(0.5)
    client.text('428["e",6]')
    assert client.messages() == ['438["ok"]']
    client.text('42["e",7]')
    assert client.messages() == []
    server.loop.advance(1.4)
    for number in range(3):
        client.text(f'42["e",{number}]')
    assert len(client.messages()) == 1
    assert [args for _, *args in found] == [[1], [2], [6], [0], [1]]
    assert server.engine.counters["refused_events"] == 5


def test_acknowledgements_and_leaving_are_never_beyond_the_rate() -> None:
    server, _ = limited(events=ONE_A_SECOND)
    got: list[Any] = []
    client, sid = server.joined()
    app = server.app
    assert isinstance(app, socketio_fast.AsyncServer)
    run(app.emit("ask", to=sid, callback=got.append))
    assert client.messages() == ['420["ask"]']
    client.text('430["answer"]')
    client.text("41")
    assert (got, client.ended()) == (["answer"], False)


def test_a_namespace_beyond_the_rate_is_refused() -> None:
    """It may be asked for again."""
    server, _ = limited(events=ONE_A_SECOND)
    client, _ = server.joined()
    client.text("40/chat,")
    answer = '{"message":"Rate limit exceeded","data":{"retry_after":1.0}}'
    assert client.messages() == [f"44/chat,{answer}"]
    server.loop.advance(1)
    join(client, "/chat")


def test_a_namespace_beyond_the_rate_of_revision_3() -> None:
    server, _ = limited(events=ONE_A_SECOND)
    server.path += "?EIO=3&rest="
    client = WebSocket(server)
    client.messages()
    client.text("40/chat?token=1")
    assert len(client.messages()) == 1
    client.text("40/news?token=1")
    assert client.messages() == ['44/news,{"retry_after":1.0}']


def test_bytes_beyond_their_rate_count_attachments() -> None:
    server, found = limited(bytes=Rate(100, burst=1000))
    client, _ = server.joined()
    head = '451-["e",{"_placeholder":true,"num":0}]'
    for _ in range(3):
        client.text(head)
        client.binary(bytes(400))
    assert len(found) == 2
    (told,) = client.messages()
    assert '"Rate limit exceeded"' in str(told)
    server.loop.advance(10)
    client.text(head)
    client.binary(bytes(2000))  # more than the bucket holds: taken when it is full
    assert len(found) == 3


def test_who_exceeds_a_rate_may_be_closed() -> None:
    server, found = limited(events=ONE_A_SECOND, excess="close")
    client, _ = server.joined()
    client.text('42["e"]')
    assert client.ended()
    assert (client.code, found) == (1008, [])


def test_all_connections_of_an_address_share_its_rate() -> None:
    server, found = limited(address_events=Rate(1, burst=5), exempt=["198.51.100.0/24"])
    near = [server.websocket() for _ in range(2)]
    far = server.websocket(peer=("2001:db8::1", 1, 0, 0))
    exempt = server.websocket(peer=("198.51.100.7", 1))
    mapped = server.websocket(peer=("::ffff:198.51.100.7", 1, 0, 0))
    local = server.websocket(peer="")  # a Unix socket
    for client in (*near, far, exempt, mapped, local):
        join(client)
        for _ in range(2):
            client.text('42["e"]')
    server.loop.turn()
    # Near, 3 of 4 events are let in, behind 2 requests for a namespace.
    counts = {"near": 3, "far": 2, "exempt": 4, "local": 2}
    assert len(found) == sum(counts.values())


# --- connections ------------------------------------------------------------------


def refusal(server: Server, **options: Any) -> tuple[int, str, str | None]:
    """What a new session by polling gets: status, message, and when to try again."""
    http = server.http(**options)
    http.send(request("GET", server.target("polling")))
    status, headers, body = http.response()
    if status == 200:
        return status, "", None
    return status, json.loads(body)["message"], headers.get("retry-after")


def test_sessions_of_an_address_at_a_time() -> None:
    server, _ = limited(connections_per_address=2)
    first, _ = server.joined()
    server.joined()
    message = "Too many connections of this address"
    assert refusal(server) == (429, message, "1")
    assert refusal(server, peer=("192.0.2.8", 1))[0] == 200
    first.leave()
    assert refusal(server)[0] == 200
    assert server.engine.counters["refused_connections_per_address"] == 1


def test_new_sessions_of_an_address() -> None:
    server, _ = limited(connections=Rate(0.1, burst=2))
    assert [refusal(server)[0] for _ in range(2)] == [200, 200]
    message = "Too many new connections of this address"
    assert refusal(server) == (429, message, "10")
    server.loop.advance(10)
    assert refusal(server)[0] == 200
    assert server.engine.counters["refused_connection_rate"] == 1


def test_sessions_that_have_not_joined_a_namespace_yet() -> None:
    server, _ = limited(pending_handshakes=2)
    client = server.websocket()
    gone = server.websocket(peer=("192.0.2.9", 1))
    assert refusal(server) == (503, "Too many handshakes", "1")
    join(client)
    gone.wire.lose()
    assert [refusal(server)[0] for _ in range(3)] == [200, 200, 503]
    assert server.engine.counters["refused_pending_handshakes"] == 2


def test_tcp_connections_of_an_address() -> None:
    server, _ = limited(tcp_connections_per_address=2)
    first, second = server.http(), server.websocket()
    assert not first.wire.aborted
    assert server.http().wire.aborted
    assert not server.http(peer=("192.0.2.8", 1)).wire.aborted
    assert not server.http(peer="").wire.aborted  # a Unix socket
    second.leave()
    assert not server.http().wire.aborted
    assert server.http().wire.aborted
    assert server.engine.counters["refused_tcp_connections"] == 2


def test_connections_of_proxies_are_not_counted() -> None:
    app = socketio_fast.AsyncServer(
        limits=Limits(tcp_connections_per_address=1), trusted_proxies="192.0.2.0/24"
    )
    server = Server(app)
    for _ in range(3):
        assert not server.http().wire.aborted
    assert not server.http(peer=("198.51.100.1", 1)).wire.aborted
    assert server.http(peer=("198.51.100.1", 2)).wire.aborted


def test_a_proxy_names_the_address() -> None:
    """It has said so before the first request: the PROXY protocol."""
    server, _ = limited(tcp_connections_per_address=1)
    client, own = ("198.51.100.1", 1), ("203.0.113.1", 443)
    wires = []
    for _ in range(2):
        with server.loop.running():
            connection = Http1Connection(server.endpoint)
        connection.set_proxied_addresses(client, own)
        wires.append(Wire(server.loop, connection))
    assert [wire.aborted for wire in wires] == [False, True]
