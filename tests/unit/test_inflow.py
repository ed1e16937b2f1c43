"""Flow control against clients that are not nice, bytes in and bytes out."""

from __future__ import annotations

import asyncio
import gc
import json as std_json
import tracemalloc
import weakref
from typing import Any

import pytest
from support.raw import TEXT, frame, request
from support.sansio import Server

import socketio_fast
from socketio_fast._core.http.foreign import ForeignWebSocket
from socketio_fast._core.http.request import make_request


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


@pytest.mark.parametrize("transport", ["polling", "revision 3", "websocket"])
def test_what_waits_behind_a_pause_is_not_copied_at_each(transport: str) -> None:
    """Else a payload of n packets takes time that grows with n²."""
    sio = socketio_fast.AsyncServer(max_pending_events=1, allow_eio3=True)
    server = Server(sio)
    begun: list[asyncio.Future[Any]] = []
    got: list[int] = []

    @sio.event
    async def slow(sid: str, n: int) -> None:
        got.append(n)
        begun.append(asyncio.get_running_loop().create_future())
        await begun[-1]

    packets = [f'42["slow",{n}]' for n in range(200)] + ["4" + "2" * 500_000]
    if transport == "websocket":
        client, _ = server.joined()
        send, data = client.send, b"".join(frame(TEXT, packet) for packet in packets)
    else:
        revision = 4 if transport == "polling" else 3
        http = server.http()
        base = f"{server.path}?EIO={revision}&transport=polling"
        _, opened = http.get(base)
        target = base + "&sid=" + opened.decode().split('"sid":"')[1].split('"')[0]
        if revision == 4:
            http.post(target, "40")
            body = "\x1e".join(packets)
        else:
            body = "".join(f"{len(packet)}:{packet}" for packet in packets)
        send, data = server.http().send, request("POST", target, body)
    send(data)
    most = []
    tracemalloc.start()
    try:
        while len(got) < 200:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            with server.loop.running():
                for future in begun:
                    if not future.done():
                        future.set_result(None)
            server.loop.turn()
            most.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert got == list(range(200))
    assert sorted(most)[-3] < 100_000  # one copy, of what the read had left, is needed


def test_a_packet_whose_attachments_stay_away_is_not_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A client that answers pings could hold its part of a packet for ever."""
    sio = socketio_fast.AsyncServer()
    server = Server(sio)
    client, _ = server.joined()
    client.text('4510-["e",' + ",".join(placeholders(10)) + "]")
    client.binary(bytes(100_000))
    for _ in range(3):
        assert not client.ended()
        server.loop.advance(25)
        assert client.messages() == ["2"]
        client.text("3")
    server.loop.advance(20)
    assert client.ended()
    assert sio.eio.counters["incomplete_packets"] == 1
    assert "9 of the attachments of a packet have not come in 45 s" in caplog.text


def placeholders(count: int) -> list[str]:
    return [f'{{"_placeholder":true,"num":{n}}}' for n in range(count)]


def test_attachments_that_come_slowly_are_waited_for() -> None:
    sio = socketio_fast.AsyncServer()
    server = Server(sio)
    got: list[Any] = []
    sio.on("e", lambda sid, *args: got.append(args))
    client, _ = server.joined()
    client.text('4510-["e",' + ",".join(placeholders(10)) + "]")
    for n in range(10):
        server.loop.advance(24)
        client.binary(bytes([n]))
        server.loop.advance(20)
        client.text("3")
    assert got == [tuple(bytes([n]) for n in range(10))]
    assert not client.ended()
    # What waited for them is gone: a packet that is whole at once meets no deadline.
    for _ in range(10):
        client.text('451-["e",' + placeholders(1)[0] + "]")
        client.binary(b"x")
        server.loop.advance(24)
        client.text("3")
    assert len(got) == 11
    assert sio.eio.counters["incomplete_packets"] == 0


@pytest.mark.parametrize("transport", ["websocket", "polling", "revision 3"])
def test_a_packet_that_is_too_much_with_its_attachments(transport: str) -> None:
    sio = socketio_fast.AsyncServer(
        max_pending_bytes=5000, max_http_buffer_size=3000, allow_eio3=True
    )
    server = Server(sio)
    text = '4510-["e",' + ",".join(placeholders(10)) + "]"
    if transport == "websocket":
        client, _ = server.joined()
        client.text(text)
        client.binary(bytes(2500))
        assert not client.ended()
        client.binary(bytes(2500))
        client.messages()
        assert client.code == 1009
        assert server.engine.sessions == {}
        return
    revision = 4 if transport == "polling" else 3
    http = server.http()
    base = f"{server.path}?EIO={revision}&transport=polling"
    _, opened = http.get(base)
    target = f"{base}&sid=" + opened.decode().partition('"sid":"')[2].partition('"')[0]

    def post(packet: str) -> int:
        body = packet if revision == 4 else f"{len(packet)}:{packet}"
        return http.post(target, body)[0]

    if revision == 4:
        assert post("40") == 200
    assert post(text) == 200
    attachment = "b" * (revision == 4) + "b4" * (revision == 3) + "A" * 2800
    assert post(attachment) == 200
    assert post(attachment) == 200
    assert post(attachment) == 200
    # As after any malformed message, the close comes by the next poll.
    status, closed = http.get(target)
    assert status == 200
    assert closed.endswith(b"1")
    assert server.engine.sessions == {}


def test_a_packet_may_be_as_large_as_a_message_may() -> None:
    sio = socketio_fast.AsyncServer(max_pending_bytes=100)
    server = Server(sio)
    got: list[Any] = []
    sio.on("e", lambda sid, *args: got.append(args))
    client, _ = server.joined()
    client.text('452-["e",' + ",".join(placeholders(2)) + "]")
    client.binary(bytes(100_000))
    client.binary(bytes(100_000))
    assert got == [(bytes(100_000),) * 2]


def begin_packet(client: Any, sizes: list[int], attachments: int = 10) -> None:
    """Send the text of a packet, and these of its attachments."""
    text = f'45{attachments}-["e",' + ",".join(placeholders(attachments)) + "]"
    client.text(text)
    for size in sizes:
        client.binary(bytes(size))


def test_incomplete_packets_have_a_bound_for_all_clients(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The one that was begun first goes, and the others are completed."""
    sio = socketio_fast.AsyncServer(
        max_incomplete_bytes=1_000_000,
        max_pending_bytes=900_000,
        max_http_buffer_size=200_000,
    )
    server = Server(sio)
    got: list[int] = []
    sio.on("e", lambda sid, *args: got.append(len(args)))
    clients = [server.joined()[0] for _ in range(10)]
    for client in clients[:5]:
        begin_packet(client, [190_000])
    assert not any(client.ended() for client in clients)
    clients[0].binary(bytes(40_000))  # it goes on, and is the first all the same
    clients[5].text('42["e"]')
    begin_packet(clients[5], [10_000] * 9)
    assert [client.ended() for client in clients] == [True] + [False] * 9
    assert clients[0].code == 1008
    assert sio.eio.counters["incomplete_packets"] == 1
    assert "max_incomplete_bytes" in caplog.text
    for client in clients[1:5]:
        for _ in range(9):
            client.binary(b"x")
    clients[5].binary(b"x")
    assert got == [0] + [10] * 5
    # All of it is free again.
    for client in clients[5:]:
        begin_packet(client, [190_000])
    assert not any(client.ended() for client in clients[1:])
    for client in clients[5:]:
        client.wire.lose()
    for client in clients[1:5]:
        begin_packet(client, [190_000])
    assert not any(client.ended() for client in clients[1:5])


def test_by_default_few_clients_cannot_fill_the_server_with_incomplete_packets() -> (
    None
):
    sio = socketio_fast.AsyncServer()
    server = Server(sio)
    clients = [server.joined()[0] for _ in range(30)]
    tracemalloc.start()
    try:
        for client in clients:
            begin_packet(client, [999_000] * 9)
        assert tracemalloc.get_traced_memory()[0] < 70_000_000
    finally:
        tracemalloc.stop()
    assert [client.ended() for client in clients] == [True] * 23 + [False] * 7


@pytest.mark.parametrize("value", [0, -1, 1.5, "1", None])
def test_the_bound_of_incomplete_packets_is_a_number(value: Any) -> None:
    with pytest.raises(ValueError, match=f"max_incomplete_bytes={value!r}: bytes"):
        socketio_fast.AsyncServer(max_incomplete_bytes=value)


@pytest.mark.parametrize("json", [None, std_json])
def test_an_incomplete_packet_takes_what_was_sent_of_it(json: Any) -> None:
    """What its JSON becomes may take many times as much."""
    sio = socketio_fast.AsyncServer(json=json)
    server = Server(sio)
    got: list[Any] = []
    sio.on("e", lambda sid, *args: got.append(args))
    clients = [server.joined()[0] for _ in range(20)]
    lists = ",".join(["[]"] * 10_000)
    text = f'451-["e",{placeholders(1)[0]},{lists}]'
    tracemalloc.start()
    try:
        for client in clients:
            client.text(text)
        assert tracemalloc.get_traced_memory()[0] < 1.3 * 20 * len(text)
    finally:
        tracemalloc.stop()
    for client in clients:
        client.binary(b"x")
    assert got == [(b"x", *[[]] * 10_000)] * 20


@pytest.mark.parametrize("json", [None, std_json])
@pytest.mark.parametrize(
    ("wrong", "code"),
    [(b"[}", 0), (b'"\xff"', 1007), (b'{"_placeholder":true,"num":7}', 0)],
)
def test_a_large_packet_with_attachments_that_is_malformed(
    wrong: bytes, code: int, json: Any
) -> None:
    server = Server(socketio_fast.AsyncServer(json=json))
    client, _ = server.joined()
    client.text(b'451-["e",' + b"1," * 3000 + wrong + b"]")
    client.binary(b"x")
    assert client.ended()
    assert client.code == code
    assert server.engine.sessions == {}


@pytest.mark.parametrize("text", ['{"a":PAD}', '[["e"],PAD]', '["connect",PAD]'])
def test_a_large_packet_with_attachments_that_is_no_event(text: str) -> None:
    server = Server(socketio_fast.AsyncServer())
    client, _ = server.joined()
    client.text("451-" + text.replace("PAD", f'"{"x" * 5000}"'))
    client.binary(b"x")
    assert client.ended()


def test_one_client_may_send_a_packet_whatever_the_bound_for_all_is() -> None:
    sio = socketio_fast.AsyncServer(max_incomplete_bytes=1)
    server = Server(sio)
    got: list[int] = []
    sio.on("e", lambda sid, *args: got.append(len(args)))
    client, _ = server.joined()
    begin_packet(client, [999_000] * 10)
    assert got == [10]


@pytest.mark.parametrize("transport", ["polling", "hosted"])
def test_the_bound_of_incomplete_packets_holds_by_other_transports(
    transport: str,
) -> None:
    sio = socketio_fast.AsyncServer(
        max_incomplete_bytes=300_000,
        max_pending_bytes=300_000,
        max_http_buffer_size=200_000,
    )
    server = Server(sio)
    text = '452-["e",' + ",".join(placeholders(2)) + "]"
    if transport == "polling":
        http, sid = server.polling()
        target = server.target("polling", sid)
        attachment = "b" + "A" * 199_000
        assert http.post(target, "\x1e".join(["40", text])) == (200, b"ok")
        assert http.post(target, attachment) == (200, b"ok")
    else:
        request = make_request("GET", server.target("websocket").encode())
        hosted = ForeignWebSocket(server.engine, request, request)
        hosted.begin(lambda: None)
        for message in ["40", text, bytes(150_000)]:
            hosted.receive(message)
    client, _ = server.joined()
    begin_packet(client, [190_000])
    assert not client.ended()
    assert len(server.engine.sessions) == 1
    if transport == "polling":
        assert http.get(target)[0] == 400
    else:
        assert hosted.closing
        assert hosted.code == 1008


@pytest.mark.parametrize("ends", [True, False])
def test_a_client_with_an_incomplete_packet_goes(ends: bool) -> None:
    """Nothing keeps it, and nothing happens to it later."""
    sio = socketio_fast.AsyncServer()
    server = Server(sio)
    client, _ = server.joined()
    (session,) = server.engine.sessions.values()
    gone = weakref.ref(session)
    del session
    begin_packet(client, [100_000], 2)
    if ends:
        client.wire.lose()
    else:
        client.text("1")
    del client
    server.loop.turn()
    gc.collect()
    assert gone() is None
    server.loop.advance(100)
