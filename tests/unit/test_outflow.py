"""What becomes of messages for a client that does not read: bytes in, bytes out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.sansio import Http, Server

import socketio_fast

SIZE = 300


class Reader:
    """A client by long-polling, which reads when the test says so."""

    def __init__(self, **options: Any) -> None:
        self.sio = socketio_fast.AsyncServer(
            high_water_mark=1000, namespaces=["/"], **options
        )
        self.server = Server(self.sio)
        self.http: Http
        self.http, self.session_id = self.server.polling()
        self.target = self.server.target("polling", self.session_id)
        assert self.http.post(self.target, "40") == (200, b"ok")
        assert self.read()[0].startswith("40{")
        self.counters = self.server.engine.counters

    def read(self) -> list[str]:
        status, body = self.http.get(self.target)
        assert status == 200
        return body.decode().split("\x1e")

    def emit(self, *names: str, **options: Any) -> None:
        """Each is an event, whose packet is a little longer than SIZE."""
        for name in names:
            self.begin(self.sio.emit(name, "x" * SIZE, **options))
        self.server.loop.turn()

    def begin(self, coroutine: Any) -> Any:
        """A coroutine that was begun: what it waits for; None if it has ended."""
        with self.server.loop.running():
            try:
                return coroutine.send(None)
            except StopIteration:
                return None

    def names(self) -> str:
        """The events that one poll gives."""
        return "".join(p.split('"')[1] for p in self.read() if p.startswith("42"))


def test_the_oldest_are_dropped() -> None:
    client = Reader(slow_consumer="drop_oldest")
    client.emit(*"abcd")
    for _ in range(3):
        client.server.loop.turn()
    client.emit(*"efgh")
    client.server.loop.turn()
    dropped = client.counters["dropped_messages"]
    assert dropped > 0
    assert client.counters["dropped_bytes"] > dropped * SIZE
    assert client.counters["slow_consumers"] == 1
    got = client.names()
    while len(got) < 8 - dropped:
        got += client.names()
    # Some had left for it before the first was dropped; those after it are the newest.
    kept = "abcdefgh"
    left = next(n for n in range(9) if kept[:n] + kept[n + dropped :] == got)
    assert 0 < left < 8 - dropped
    client.emit("i")
    assert client.names() == "i"
    assert client.counters["dropped_messages"] == dropped


def test_what_asks_for_an_acknowledgement_is_not_dropped() -> None:
    client = Reader(slow_consumer="drop_oldest")
    sid = next(iter(client.sio.of("/").sockets))
    client.emit(*"abcdefgh", to=sid, callback=print)
    client.server.loop.turn()
    got = ""
    while len(got) < 8:
        got += client.names()
    assert got == "abcdefgh"
    assert client.counters["dropped_messages"] == 0


def test_more_than_may_wait_ends_the_session() -> None:
    client = Reader(slow_consumer="drop_oldest", max_buffer_bytes=2000)
    sid = next(iter(client.sio.of("/").sockets))
    client.emit(*"abcdefgh", to=sid, callback=print)
    client.server.loop.turn()
    assert client.http.get(client.target)[0] == 400


def test_what_waits_leaves_before_the_end() -> None:
    client = Reader(slow_consumer="drop_oldest")
    client.emit(*"abcdef")
    kept = 6 - client.counters["dropped_messages"]
    sid = next(iter(client.sio.of("/").sockets))
    client.begin(client.sio.disconnect(sid))
    packets = client.read()
    while len(packets) < kept + 1:
        packets += client.read()
    assert packets[-1] == "41"
    names = [packet.split('"')[1] for packet in packets[:-1]]
    assert names == sorted(names)


def test_volatile_messages_are_dropped() -> None:
    client = Reader(slow_consumer="drop_volatile")
    client.emit(*"abcd")
    client.begin(client.sio.of("/").volatile.emit("v", 1))
    client.emit("e")
    assert client.names() == "abcde"
    assert client.counters["dropped_volatile"] == 1


def test_emit_waits_for_the_client() -> None:
    client = Reader(slow_consumer="block")
    client.emit(*"abcd")
    waiting = client.sio.emit("e", "x")
    future = client.begin(waiting)
    assert isinstance(future, asyncio.Future)
    assert not future.done()
    assert client.names() == "abcde"
    client.server.loop.turn()
    assert future.done()


@pytest.mark.parametrize("leaves", [False, True])
def test_waiting_until_all_has_left(leaves: bool) -> None:
    client = Reader()
    client.emit("a")
    sid = next(iter(client.sio.of("/").sockets))
    future = client.begin(client.sio.flushed(sid))
    assert not future.done()
    if leaves:
        assert client.http.post(client.target, "1") == (200, b"ok")
    else:
        assert client.names() == "a"
    client.server.loop.turn()
    assert future.result() is not leaves


def test_a_message_before_the_client_is_accepted_comes_after_the_answer() -> None:
    sio = socketio_fast.AsyncServer()
    server = Server(sio)
    begun: list[asyncio.Future[None]] = []

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await sio.emit("early", to=sid)
        begun.append(asyncio.get_running_loop().create_future())
        await begun[-1]

    client = server.websocket()
    client.text("40")
    assert client.messages() == []
    with server.loop.running():
        begun[0].set_result(None)
    server.loop.turn()
    first, second = client.messages()
    assert str(first).startswith("40{")
    assert second == '42["early"]'
