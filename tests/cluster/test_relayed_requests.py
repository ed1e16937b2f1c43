"""Requests that other servers have received, for sessions of another worker.

Two servers of one directory run in one process, as if each were a process of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from integration.conftest import Echo
from support.hosts import HOSTS
from support.http_clients import Http, http
from support.waiting import until, within

from socketio_fast.cluster import channel, elsewhere, links, relayed

PATH = "/engine.io/"

#: More than any buffer on the way has room for.
LARGE = "x" * 900_000

#: Those that hold on to the connections of WebSockets.
KEEP_SOCKETS = ["uvicorn", "uvicorn, wsproto", "tornado"]
GIVE_SOCKETS = ["uvicorn, compiled WebSockets", "aiohttp", "sanic"]
RELAY = [*KEEP_SOCKETS, *GIVE_SOCKETS]


class Worker:
    """An echo server in a host, and a client of it."""

    def __init__(self, echo: Echo, client: Http) -> None:
        self.echo = echo
        self.client = client

    @property
    def counters(self) -> Any:
        return self.echo.app.engine.counters


Start = Callable[..., Any]


@pytest.fixture
async def start(directory: Path) -> AsyncIterator[Start]:
    """``a, b = await start("uvicorn")``: two workers, and clients of them."""
    async with AsyncExitStack() as stack:

        async def one(name: str, **options: Any) -> Worker:
            echo = Echo(cluster=f"unix:{directory}", **options)
            # tornado has no end of an application to hook into.
            stack.push_async_callback(echo.app.unbind)
            url = await stack.enter_async_context(HOSTS[name](echo.app))
            client = await stack.enter_async_context(http(url, PATH))
            # A host without an event for its start binds the server by a request.
            await client.open_session()
            echo.sids.clear()
            return Worker(echo, client)

        async def make(name: str, **options: Any) -> list[Worker]:
            return [await one(name, **options), await one(name, **options)]

        yield make


async def echoes(client: Http, sid: str, text: str) -> None:
    assert await client.push(sid, f"4{text}") == (200, "ok")
    assert await client.poll(sid) == (200, f"4{text}")


@pytest.mark.parametrize("name", HOSTS)
async def test_any_worker_takes_the_requests_of_a_session(
    name: str, start: Start
) -> None:
    a, b = await start(name)
    sids = [await a.client.open_session(), await b.client.open_session()]
    for number in range(5):
        for worker in (a, b):
            for sid in sids:
                await echoes(worker.client, sid, f"{number}")
    assert a.echo.sids == sids[:1]
    assert b.echo.sids == sids[1:]
    if name in RELAY:
        for counter in (elsewhere.RELAYED, relayed.TAKEN):
            assert a.counters[counter] == b.counters[counter] == 10


@pytest.mark.parametrize("name", RELAY)
async def test_a_poll_waits_there(name: str, start: Start) -> None:
    a, b = await start(name)
    sid = await a.client.open_session()
    poll = await b.client.start_poll(sid)
    await until(lambda: b.counters[elsewhere.RELAYED] == 1)
    assert await b.client.push(sid, "4awaited") == (200, "ok")
    assert await poll.result() == (200, "4awaited")


@pytest.mark.parametrize("name", RELAY)
async def test_large_bodies_go_both_ways(name: str, start: Start) -> None:
    a, b = await start(name)
    await echoes(b.client, await a.client.open_session(), LARGE)


@pytest.mark.parametrize("name", RELAY)
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_ends_the_session(
    name: str, chunked: bool, start: Start
) -> None:
    a, b = await start(name, max_http_buffer_size=100_000)
    sid = await a.client.open_session()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"4" + 40_000 * b"x"

    url = b.client.query("polling", sid)
    body = pieces() if chunked else b"4" + 160_000 * b"x"
    headers = {"Content-Type": "text/plain"}
    async with b.client.session.post(url, data=body, headers=headers) as response:
        assert response.status == 413
    assert await a.echo.disconnected(sid) == "transport error"
    assert a.echo.got == []


@pytest.mark.parametrize("name", RELAY)
async def test_a_client_that_goes_while_it_polls_ends_the_session(
    name: str, start: Start
) -> None:
    a, b = await start(name)
    sid = await a.client.open_session()
    poll = await b.client.start_poll(sid)
    await until(lambda: a.counters[relayed.TAKEN] == 1)
    await poll.cancel()
    assert await a.echo.disconnected(sid) == "transport error"


@pytest.mark.parametrize("name", RELAY)
async def test_a_session_of_a_worker_that_has_ended_is_unknown(
    name: str, start: Start
) -> None:
    a, b = await start(name)
    sid = await a.client.open_session()
    await a.echo.app.unbind()
    unknown = 400, '{"code":1,"message":"Session ID unknown"}'
    assert await b.client.poll(sid) == unknown
    assert await b.client.push(sid, "4x") == unknown


@pytest.mark.parametrize("name", RELAY)
async def test_a_worker_that_ends_ends_its_requests(name: str, start: Start) -> None:
    a, b = await start(name)
    sid = await a.client.open_session()
    poll = await b.client.start_poll(sid)
    await until(lambda: a.counters[relayed.TAKEN] == 1)
    await a.echo.app.unbind()
    assert await poll.result() == (400, '{"code":1,"message":"Session ID unknown"}')


@pytest.mark.parametrize("name", RELAY)
async def test_a_worker_that_does_not_answer(
    name: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "SLACK", 0.0)
    monkeypatch.setattr(elsewhere, "PATIENCE", 0.1)
    monkeypatch.setattr(elsewhere, "HANDSHAKE_TIMEOUT", 0.1)
    a, b = await start(name, ping_interval=0.1, ping_timeout=0.1)
    sid = await a.client.open_session()
    # As if it were stopped: nothing is read of what is sent.
    for link in a.echo.app.membership.mesh._incoming:
        asyncio.get_running_loop().remove_reader(link._sock)
    assert (await b.client.poll(sid))[0] == 504
    assert (await b.client.push(sid, "4x"))[0] == 504
    if name in KEEP_SOCKETS:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await b.client.websocket(sid=sid)


@pytest.mark.parametrize("name", RELAY)
async def test_a_worker_to_which_too_much_waits(
    name: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MAX_CONNECTIONS", 0)
    a, b = await start(name)
    sid = await a.client.open_session()
    assert (await b.client.poll(sid))[0] == 503
    assert b.counters[elsewhere.REFUSED] == 1


@pytest.mark.parametrize("name", RELAY)
async def test_an_upgrade_goes_to_the_worker_of_the_session(
    name: str, start: Start
) -> None:
    a, b = await start(name)
    sid = await a.client.open_session()
    socket = await b.client.websocket(sid=sid)
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    await socket.send("5")
    for data in ("4text", b"\x00bytes", f"4{LARGE}"):
        await socket.send(data)
        assert await socket.receive() == data
    assert a.echo.app.transport(sid) == "websocket"
    assert b.counters[elsewhere.RELAYED] == (name in KEEP_SOCKETS)
    await within(socket.ws.close())
    assert await a.echo.disconnected(sid) == "transport close"


@pytest.mark.parametrize("name", RELAY)
async def test_the_server_closes_an_upgraded_session(name: str, start: Start) -> None:
    a, b = await start(name)
    sid = await a.client.open_session()
    socket = await b.client.websocket(sid=sid)
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    await socket.send("5")
    await socket.send("4x")
    assert await socket.receive() == "4x"
    await a.echo.app.disconnect(sid)
    await socket.closed()
    assert await a.echo.disconnected(sid) == "server disconnect"


@pytest.mark.parametrize("name", RELAY)
async def test_an_upgrade_is_refused_there(name: str, start: Start) -> None:
    a, b = await start(name)
    socket = await a.client.websocket()
    sid = str(await socket.receive()).split('"')[3]
    await b.client.websocket_fails(sid=sid)
    await socket.send("4still here")
    assert await socket.receive() == "4still here"


@pytest.mark.parametrize("name", RELAY)
async def test_a_message_that_is_too_large_closes(name: str, start: Start) -> None:
    a, b = await start(name, max_http_buffer_size=1000)
    sid = await a.client.open_session()
    socket = await b.client.websocket(sid=sid)
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    await socket.send("5")
    await socket.send("4" + "x" * 1000)
    await socket.closed()
    await a.echo.disconnected(sid)
    assert a.echo.got == []


@pytest.mark.parametrize("name", KEEP_SOCKETS)
async def test_messages_wait_for_who_does_not_read(name: str, start: Start) -> None:
    a, b = await start(name)
    sid = await a.client.open_session()
    socket = await b.client.websocket(sid=sid)
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    await socket.send("5")
    sent = [f"4{number}" + "x" * 50_000 for number in range(60)]

    async def send() -> None:
        for message in sent:
            await socket.ws.send_str(message)

    sending = asyncio.ensure_future(send())
    for message in sent:
        assert await socket.receive() == message
    await within(sending)


async def test_hooks_are_asked_where_the_session_is(start: Start) -> None:
    a, b = await start("uvicorn")
    asked: list[tuple[Worker, str, str]] = []

    def use(worker: Worker) -> None:
        async def middleware(environ: Any, headers: Any) -> None:
            asked.append((worker, environ["REQUEST_METHOD"], environ["REMOTE_ADDR"]))

        worker.echo.app.use(middleware)

    use(a)
    use(b)
    sid = await a.client.open_session()
    asked.clear()
    await echoes(b.client, sid, "x")
    assert asked == [(a, "POST", "127.0.0.1"), (a, "GET", "127.0.0.1")]


def test_pieces_of_a_body() -> None:
    size = channel.PIECE
    for count in (0, 1, size - 1, size, size + 1, 3 * size):
        reader = channel.FrameReader()
        *pieces, end = reader.feed(channel.body_frames(bytes(count)))
        assert end == (channel.Part.END, b"")
        assert b"".join(piece for _, piece in pieces) == bytes(count)
