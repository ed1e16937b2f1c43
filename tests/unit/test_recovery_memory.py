"""What connection state recovery keeps, and the bounds of it."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from typing import Any

import pytest
from support.recovering import Fixture
from support.sansio import Http, join


def polling(f: Fixture) -> tuple[Http, str]:
    """A new client by polling: its connection, and where it sends and fetches."""
    http, sid = f.server.polling()
    return http, f.server.target("polling", sid)


# --- bounds ---------------------------------------------------------------------


def test_packets_are_bounded_in_number() -> None:
    """R4: with more, the oldest go, and who is behind them is not recovered."""
    f = Fixture({"max_packets": 10})
    behind, near = f.client(), f.client()
    f.emit("n")
    behind.events()
    near.events()
    behind.cut()
    for n in range(10):
        f.emit("n", n)
    near.events()
    near.cut()
    assert f.backlog.packets == 10
    assert f.counters["recovery_packets_dropped"] == 1
    behind.connect()
    assert behind.recovered  # it has the one that went
    near.connect()
    assert near.recovered
    late = f.client()
    late.cut()
    for n in range(11):
        f.emit("n", n)
    late.connect()
    assert not late.recovered
    assert late.events() == []


def test_packets_are_bounded_in_bytes() -> None:
    """R4: each counts as 512 bytes, its size, and 64 bytes for each part and room."""
    f = Fixture({"max_bytes": 5_000})
    client = f.client()
    for _ in range(20):
        f.emit("n", "x" * 500)
        assert f.backlog.bytes <= 5_000
    assert f.backlog.packets == 4
    f.emit("n", "x" * 10_000)
    assert (f.backlog.packets, f.backlog.bytes) == (0, 0)
    client.cut()
    client.connect()
    assert not client.recovered


def test_small_parts_and_many_rooms_are_counted() -> None:
    """R4: what an event is made of costs memory, too."""
    f = Fixture()
    f.client()
    f.emit("n", *[b""] * 1000)
    assert f.backlog.bytes > 64_000
    f.emit("n", to=[str(n) for n in range(1000)])
    assert f.backlog.bytes > 2 * 64_000


@pytest.mark.parametrize("replayed", [False, True])
def test_renderings_are_not_kept(replayed: bool) -> None:
    """R4: an event is kept once, by whatever transports it is sent and sent again."""
    f = Fixture()
    clients = [f.client() for _ in range(3)]
    f.emit("n", "warm up")
    for client in clients:
        client.events()
        client.cut()
    if not replayed:
        for client in clients:
            client.connect()
        http, target = polling(f)
        http.post(target, "40")
        http.get(target)
    tracemalloc.start()
    try:
        before, charged = tracemalloc.get_traced_memory()[0], f.backlog.bytes
        for _ in range(20):
            f.emit("n", "x" * 40_000, b"x" * 40_000)
        if replayed:
            for client in clients[:2]:
                client.connect()
                assert client.recovered
            http, target = polling(f)
            offset = json.dumps({"pid": clients[2].pid, "offset": clients[2].offset})
            http.post(target, f"40{offset}")
            assert "warm up" not in http.get(target)[1].decode()
        else:
            http.get(target)
            for client in clients:
                client.receive()
        for client in clients:
            client.got.clear()
        f.server.loop.turn()
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert f.backlog.packets == 21
    assert kept < f.backlog.bytes - charged + 200_000


def test_packets_are_let_go_when_nobody_can_miss_them() -> None:
    """R4: by age; a client that has an older offset has missed nothing."""
    f = Fixture({"max_disconnection_duration": 10}, ping_interval=1, ping_timeout=1)
    client = f.client()
    f.emit("n")
    assert client.events() == [["n"]]
    for _ in range(30):
        f.server.loop.advance(1)
        client.socket.messages()
        client.socket.text("3")
    assert (f.backlog.packets, f.backlog.bytes) == (0, 0)
    client.cut()
    f.emit("missed")
    client.connect()
    assert client.recovered
    assert client.events() == [["missed"]]


def test_nothing_is_kept_for_nobody() -> None:
    """R4: what is sent to a namespace without clients."""
    f = Fixture()
    f.emit("n")
    assert f.backlog.packets == 0
    client = f.client()
    f.emit("n")
    assert client.events() == [["n"]]
    client.cut()
    f.emit("n")
    assert f.backlog.packets == 2


def test_sessions_are_bounded() -> None:
    """R4: of those that are away the oldest go."""
    f = Fixture({"max_sessions": 2})
    clients = [f.client() for _ in range(3)]
    for client in clients:
        client.cut()
    assert f.backlog.sessions == [client.sid for client in clients[1:]]
    assert f.counters["recovery_sessions_dropped"] == 1
    for client in clients:
        client.connect()
    assert [client.recovered for client in clients] == [False, True, True]


def test_more_than_may_wait_to_be_read() -> None:
    """R7: a client that missed more than half of max_buffer_bytes is a new one."""
    f = Fixture(max_buffer_bytes=2000)
    client = f.client()
    client.cut()
    f.emit("n", "x" * 600)
    client.connect()
    assert client.recovered
    client.cut()
    f.emit("n", "x" * 600)
    f.emit("n", "x" * 600)
    client.connect()
    assert not client.recovered


@pytest.mark.parametrize("size", [3_000, 8_000])
def test_binary_events_missed_by_a_polling_client(size: int) -> None:
    """R7: what they are in base64 may not cut it when it comes back, ever again."""
    f = Fixture(max_buffer_bytes=30_000)
    client = f.client()
    client.cut()
    for _ in range(3):
        f.emit("n", b"x" * size)
    http, target = polling(f)
    assert http.post(target, f'40{{"pid":"{client.pid}"}}')[0] == 200
    # What comes meanwhile has room, too.
    f.emit("n", "x" * 10_000)
    status, body = http.get(target)
    assert status == 200
    assert (client.pid in body.decode()) is (size == 3_000)
    assert body.count(b"\x1eb") == (3 if size == 3_000 else 0)
    assert f.server.engine.sessions


@pytest.mark.parametrize(("size", "recovered"), [(4_900, True), (9_900, False)])
def test_a_websocket_that_does_not_take_all_at_once(size: int, recovered: bool) -> None:
    """R7: a replay and the answer behind it fit what may wait to be read."""
    f = Fixture(max_buffer_bytes=20_000)
    client = f.client()
    client.cut()
    f.emit("n", "x" * size)
    f.emit("n", "x" * size)
    socket = f.server.websocket()
    wire = socket.wire
    wire.get_write_buffer_size = lambda: len(wire.written)  # type: ignore[method-assign]
    client.socket = socket
    with f.server.loop.running():
        socket.text(f'40{{"pid":"{client.pid}"}}')
        f.emit("n", "x" * 8_000)
    f.server.loop.turn()
    assert not wire.closed
    client.receive()
    assert client.recovered is recovered


def test_what_is_missed_in_several_namespaces_waits_together() -> None:
    """R7: each counts what the others are still to send, behind their handlers."""
    f = Fixture(max_buffer_bytes=4_000, namespaces="*")
    release = asyncio.Future(loop=f.server.loop)  # type: ignore[arg-type,var-annotated]
    seen: list[tuple[str, bool]] = []

    async def connect(namespace: str, sid: str, environ: Any) -> None:
        seen.append((namespace, f.sio.recovered(sid, namespace)))
        if len(seen) > 2:
            await release

    f.sio.on("connect", connect, namespace="*")
    names = ["/a", "/b"]
    socket = f.server.websocket()
    pids = {}
    for name in names:
        socket.text(f"40{name},")
        (reply,) = socket.messages()
        assert isinstance(reply, str)
        pids[name] = json.loads(reply.partition(",")[2])["pid"]
    socket.wire.lose()
    f.server.loop.turn()
    for name in names:
        f.sio._hub.namespaces[name].rooms.emit(["n", "x" * 1_500])
    socket = f.server.websocket()
    for name in names:
        socket.text(f'40{name},{{"pid":"{pids[name]}"}}')
    assert seen[2:] == [("/a", True), ("/b", False)]
    release.set_result(None)
    assert len(socket.messages()) == 3


def test_acknowledgements_are_not_kept() -> None:
    """R4: an event that asks for one has no offset, and is not replayed."""
    f = Fixture()
    client = f.client()
    f.rooms.emit(["q", "text"], client.sid, None, lambda *args: None)
    assert client.receive() == ['420["q","text"]']
    assert f.backlog.packets == 0


def test_what_is_no_room_is_refused_before_it_is_kept() -> None:
    """R4: an emit() that fails leaves nothing behind."""
    f = Fixture()
    client = f.client()
    with pytest.raises(TypeError, match="is no room"):
        f.emit("n", to={})
    client.cut()
    client.connect()
    assert client.recovered
    assert client.events() == []


# --- bounds over all namespaces -------------------------------------------------


def test_who_is_away_is_bounded_over_all_namespaces() -> None:
    """A client chooses how many there are."""
    f = Fixture({"max_sessions": 10}, namespaces="*")
    first = f.client()
    first.cut()
    socket = f.server.websocket()
    for n in range(50):
        join(socket, f"/{n}")
    socket.wire.lose()
    f.server.loop.turn()
    assert f.counters["recovery_sessions_dropped"] == 41
    assert list(f.sio._hub.namespaces) == ["/", *(f"/{n}" for n in range(40, 50))]
    f.server.loop.advance(121)
    assert list(f.sio._hub.namespaces) == ["/"]


@pytest.mark.parametrize("bound", [{"max_packets": 10}, {"max_bytes": 7770}])
def test_events_are_bounded_over_all_namespaces(bound: dict[str, int]) -> None:
    """The oldest go first, whichever namespace they are of."""
    f = Fixture(bound, namespaces="*")
    client = f.client()
    socket = f.server.websocket()
    for n in range(20):
        join(socket, f"/{n}")
    f.emit("old")
    client.receive()
    f.emit("missed")
    kept = [namespace.recovery for namespace in f.sio._hub.namespaces.values()]
    assert [backlog.packets for backlog in kept] == [2] + [0] * 20
    client.cut()
    for n in range(20):
        f.sio._hub.namespaces[f"/{n}"].rooms.emit(["e"], None, None)
    assert sum(backlog.packets for backlog in kept) == 10
    assert [backlog.packets for backlog in kept[-10:]] == [1] * 10
    client.connect()
    assert not client.recovered
    # Those of namespaces that have gone take no room.
    socket.text("1")
    f.server.loop.advance(1)
    f.emit("new")
    assert f.backlog.packets == 1
