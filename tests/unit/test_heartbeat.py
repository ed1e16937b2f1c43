"""The heartbeat of clients that are not read, because their handlers have too much to
do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.client_websockets import WebSocketCore
from support.raw import TEXT, frame, request
from support.sansio import Server, WebSocket
from support.wire import server_frame

import socketio_fast
from socketio_fast.exceptions import CallDisconnectedError


class Slow:
    """A handler that ends when the test says so."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._waits: list[asyncio.Future[None]] = []

    async def __call__(self, *args: Any) -> None:
        self._waits.append(self._loop.create_future())
        await self._waits[-1]

    def end(self) -> None:
        waits, self._waits = self._waits, []
        with self._loop.running():
            for one in waits:
                one.set_result(None)
        self._loop.turn()


def crowded(revision: int = 4) -> tuple[Server, WebSocket, Slow, list[str]]:
    """A client with more events than it may have, and why it ended."""
    app = socketio_fast.AsyncServer(max_pending_events=1, allow_eio3=True)
    server = Server(app)
    slow = Slow(server.loop)
    app.on("e", slow)
    ends: list[str] = []
    app.on("disconnect", lambda sid, reason: ends.append(reason))
    if revision == 4:
        client, _ = server.joined()
    else:
        client = WebSocket.__new__(WebSocket)
        server.path += "?EIO=3&x="
        client.__init__(server)  # type: ignore[misc]
        client.messages()
    client.send(b"".join(frame(TEXT, f'42["e",{n}]') for n in range(6)))
    assert not client.wire.reading
    return server, client, slow, ends


def test_a_client_that_is_not_read_is_not_silent() -> None:
    """Its pongs are in what is not read. It reads pings, so it is there."""
    server, client, slow, ends = crowded()
    for _ in range(5):
        server.loop.advance(25)
        assert "2" in client.messages()
    assert ends == []
    while not client.wire.reading:
        slow.end()
    server.loop.advance(19)  # it has the time of a ping again
    assert ends == []
    server.loop.advance(2)
    assert ends == ["ping timeout"]


def test_a_client_that_neither_is_read_nor_reads_has_gone() -> None:
    server, client, _, ends = crowded()
    client.wire.full = True
    server.loop.advance(24)
    assert ends == []
    server.loop.advance(25 + 20 + 20 + 20)
    assert ends == ["ping timeout"]


@pytest.mark.parametrize("progress", [False, True])
def test_handlers_that_wait_for_what_is_not_read(
    progress: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """An acknowledgement is behind events that are not read because of the handlers
    that wait for it."""
    app = socketio_fast.AsyncServer(max_pending_events=1)
    server = Server(app)
    slow = Slow(server.loop)
    answers: list[Any] = []
    failed: list[Any] = []
    ends: list[str] = []
    app.on("disconnect", lambda sid, reason: ends.append(reason))

    @app.on("ask")
    async def ask(sid: str) -> None:
        try:
            answers.append(await app.call("question", to=sid, timeout=1000))
        except CallDisconnectedError as exc:
            failed.append(exc)

    app.on("e", slow)
    client, _ = server.joined()
    client.send(
        frame(TEXT, '42["ask"]')
        + b"".join(frame(TEXT, f'42["e",{n}]') for n in range(9))
        + frame(TEXT, '430["the answer"]')
    )
    for _ in range(4):
        server.loop.advance(25)
        client.messages()
        if progress:
            slow.end()
            client.text("3")
    if progress:
        assert (ends, answers) == ([], ["the answer"])
    else:
        assert ends == ["transport error"]
        assert len(failed) == 1
        assert app.eio.counters["deadlocked_clients"] == 1
        assert "wait behind handlers that wait for acknowledgements" in caplog.text


def test_a_client_of_revision_3_hears_that_the_server_is_there() -> None:
    """It pings, and would take the server for gone: its pings are not read."""
    server, client, slow, ends = crowded(revision=3)
    client.messages()
    server.loop.advance(46)
    assert client.messages() == ["6"]
    server.loop.advance(20)
    assert client.messages() == ["6"]
    assert ends == []
    while not client.wire.reading:
        slow.end()
    server.loop.advance(44)
    assert ends == []
    server.loop.advance(2)
    assert ends == ["ping timeout"]


def test_a_client_that_does_not_read_says_that_it_is_there() -> None:
    """The server's pings are in what is not read."""
    core = WebSocketCore(max_pending_events=1).open()
    slow = Slow(core.loop)
    core.hub.namespace("/").set_handler("e", slow)
    core.joined()
    core.server.send(*(server_frame(1, b'42["e"]') for _ in range(4)))
    assert not core.server.wire.reading
    core.loop.advance(46)
    assert core.sent() == [b"3"]
    core.loop.advance(20)
    assert core.sent() == [b"3"]
    assert core.session.connected
    while not core.server.wire.reading:
        slow.end()
    core.loop.advance(46)
    assert core.owner.told[-1] == ("closed", "ping timeout", None)


def test_by_polling_a_post_waits_and_polls_are_answered() -> None:
    app = socketio_fast.AsyncServer(max_pending_events=1)
    server = Server(app)
    slow = Slow(server.loop)
    app.on("e", slow)
    http, sid = server.polling()
    target = server.target("polling", sid)
    http.post(target, "40")
    http.get(target)
    poster = server.http()
    poster.send(request("POST", target, "\x1e".join(['42["e"]'] * 6)))
    assert poster.responses() == []
    for _ in range(4):
        http.send(request("GET", target))
        server.loop.advance(25)
        assert http.response()[2] == b"2"
    assert len(server.engine.sessions) == 1
