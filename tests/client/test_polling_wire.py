"""Long-polling as servers may answer it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.scripted_servers import HttpServer, Request, response
from support.waiting import until, within
from support.wire import node, open_packet

import socketio_fast as socketio
from client.conftest import Listen

SEPARATOR = "\x1e"


class Polling(HttpServer):
    """A server of long-polling that notes what is posted, and says what it is told."""

    def __init__(self, **more: Any) -> None:
        super().__init__(self._answer)
        self._opened = False
        self.packets: list[str] = []
        self.posts: list[list[str]] = []
        #: Payloads for polls, or whole responses.
        self.polls: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.post_answer = response(200, "ok")
        self.more = more

    async def _answer(self, request: Request) -> bytes:
        if request.method == "POST":
            packets = request.body.decode().split(SEPARATOR)
            self.posts.append(packets)
            self.packets += packets
            if packets[0].startswith("40"):
                self.polls.put_nowait('40{"sid":"s1"}')
                return response(200, "ok")
            if packets == ["1"]:
                self.polls.put_nowait("6")
            return self.post_answer
        if not self._opened:
            self._opened = True
            return response(200, open_packet(**self.more))
        said = await self.polls.get()
        return said if isinstance(said, bytes) else response(200, said)


def new(**options: Any) -> socketio.AsyncClient:
    return socketio.AsyncClient(reconnection=False, **options)


async def connected(
    listen: Listen, client: socketio.AsyncClient, **more: Any
) -> tuple[Polling, asyncio.Queue[Any]]:
    server = await listen(Polling(**more))
    closed: asyncio.Queue[Any] = asyncio.Queue()
    client.manager.on("close", lambda *args: closed.put_nowait(args))
    await within(client.connect(server.url(""), transports=["polling"]))
    return server, closed


async def test_what_is_sent_is_split_under_max_payload(listen: Listen) -> None:
    async with new() as client:
        server, _ = await connected(listen, client, maxPayload=100)
        events = [f"{n}" * 20 for n in range(10)] * 5
        for text in events:
            client.emit("a", text)
        client.emit("b", [b"x" * 60, b"y" * 60])
        await until(lambda: len(server.packets) == 54)
    bodies = [SEPARATOR.join(packets) for packets in server.posts]
    assert max(map(len, bodies)) <= 100
    assert sum(len(packets) > 1 for packets in server.posts) > 10
    assert server.packets[1:51] == [f'42["a","{text}"]' for text in events]
    assert [packet[:3] for packet in server.packets[51:54]] == ["452", "beH", "beX"]


async def test_a_post_has_no_more_packets_than_servers_of_python_engineio_take(
    listen: Listen,
) -> None:
    async with new() as client:
        server, _ = await connected(listen, client)
        for n in range(100):
            client.emit("a", n)
        client.emit("b", [b"%d" % n for n in range(40)])
        await until(lambda: len(server.packets) == 142)
    assert max(map(len, server.posts)) == 16
    assert server.packets[1:101] == [f'42["a",{n}]' for n in range(100)]


async def test_binary_above_max_payload_counts_as_base64(listen: Listen) -> None:
    async with new() as client:
        await connected(listen, client, maxPayload=100)
        await client.emit("a", b"x" * 72)
        with pytest.raises(ValueError, match=r"101 bytes in base64 .*maxPayload=100"):
            await client.emit("a", b"x" * 75)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (response(500, "oops"), "500"),
        (response(413), "413"),
        (response(204), "204"),
        (
            response(400, '{"code":1,"message":"Session ID unknown"}'),
            "Session ID unknown",
        ),
        (b"garbage\r\n\r\n", ""),
    ],
)
async def test_a_post_that_fails_ends_the_connection_and_says_why(
    listen: Listen, answer: bytes, says: str
) -> None:
    client = new()
    server, closed = await connected(listen, client)
    server.post_answer = answer
    await client.emit("a", 1)
    reason, description = await within(closed.get())
    assert reason == "transport error"
    assert says in description
    assert "/socket.io/" in description


@pytest.mark.parametrize(
    "answer",
    [
        response(200, ""),
        response(204),
        response(500),
        response(200, "9"),
        response(200, "garbage"),
        response(200, b"4\xff"),
        response(200, b"42[1]\x1e"),
        response(200, "bnot base64!"),
        response(200, "<html>" + "x" * 5_000),
        response(200, "x" * 20_000),
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n4",
    ],
    ids=range(11),
)
async def test_a_poll_that_brings_no_packets_ends_the_connection_and_says_why(
    listen: Listen, answer: bytes
) -> None:
    client = new(max_http_buffer_size=10_000)
    server, closed = await connected(listen, client)
    if b"Content-Length: 10\r" in answer:
        # The body is cut off.
        server.polls.put_nowait(answer)
        await until(lambda: server.polls.empty())
        for task in list(server._tasks):
            task.cancel()
    else:
        server.polls.put_nowait(answer)
    reason, description = await within(closed.get())
    assert (reason, bool(description)) == ("transport error", True)
    await client.disconnect()


async def test_many_packets_in_one_poll_are_read(listen: Listen) -> None:
    """C18: a server may send more than 16 packets at once."""
    got: list[Any] = []
    async with new() as client:
        server, _ = await connected(listen, client)
        client.on("a", got.append)
        packets = [f'42["a",{n}]' for n in range(500)]
        packets += ['451-["a",{"_placeholder":true,"num":0}]', "bYWJj"]
        server.polls.put_nowait(SEPARATOR.join(packets))
        await until(lambda: len(got) == 501)
    assert got == [*range(500), b"abc"]


async def test_a_compressed_poll_is_read(listen: Listen) -> None:
    got: list[Any] = []
    async with new() as client:
        server, _ = await connected(listen, client)
        client.on("a", got.append)
        body = gzip.compress(b'42["a",1]')
        server.polls.put_nowait(response(200, body, {"Content-Encoding": "gzip"}))
        await until(lambda: got == [1])


async def test_a_close_packet_ends_the_connection(listen: Listen) -> None:
    client = new()
    server, closed = await connected(listen, client)
    server.polls.put_nowait("1")
    assert (await within(closed.get()))[0] == "transport close"
    await client.disconnect()


async def test_disconnecting_posts_what_was_sent_before_and_the_close_packet(
    listen: Listen,
) -> None:
    client = new()
    server, _ = await connected(listen, client)
    for n in range(40):
        client.emit("a", n)
    await client.disconnect()
    assert server.packets[1:] == [*(f'42["a",{n}]' for n in range(40)), "41", "1"]


async def test_a_post_under_way_when_the_client_disconnects_is_not_cut_off(
    listen: Listen,
) -> None:
    go_on = asyncio.Event()

    class Slow(Polling):
        async def _answer(self, request: Request) -> bytes:
            if request.method == "POST" and b"slow" in request.body:
                await go_on.wait()
            return await super()._answer(request)

    server = await listen(Slow())
    client = new()
    await within(client.connect(server.url(""), transports=["polling"]))
    await client.emit("slow")
    await until(lambda: len(server.requests) == 4)
    client.emit("later")
    disconnecting = asyncio.ensure_future(client.disconnect())
    await asyncio.sleep(0)
    go_on.set()
    await within(disconnecting)
    assert server.packets[1:] == ['42["slow"]', '42["later"]', "41", "1"]


@pytest.fixture(params=["ours", "node"])
async def url(request: pytest.FixtureRequest, serve: Any) -> AsyncIterator[str]:
    if request.param == "ours":
        sio = socketio.AsyncServer(max_http_buffer_size=2_000)

        @sio.event
        async def echo(sid: str, *args: Any) -> Any:
            return args

        yield (await serve(sio)).url
    else:
        async with node(maxHttpBufferSize=2_000) as started:
            yield started


@pytest.mark.parametrize(
    "transports", [["polling"], ["websocket"], ["polling", "websocket"]]
)
async def test_a_packet_above_max_payload_does_not_end_the_connection(
    url: str, transports: list[str]
) -> None:
    async with new() as client:
        await client.connect(url, transports=transports, wait_timeout=5)
        sid = client.get_sid()
        asked = [
            asyncio.ensure_future(client.call("echo", "x" * 1_500)) for _ in range(20)
        ]
        with pytest.raises(ValueError, match="maxPayload=2000"):
            await client.emit("echo", "x" * 2_000)
        for one in asked:
            assert await within(one) == "x" * 1_500
        assert client.get_sid() == sid


async def test_sigstop_of_the_client_is_noticed(serve: Any) -> None:
    """A process that slept for longer than the heartbeat connects again."""
    sio = socketio.AsyncServer(ping_interval=0.5, ping_timeout=0.5)
    joined: asyncio.Queue[str] = asyncio.Queue()
    sio.on("here", joined.put_nowait)
    left: asyncio.Queue[Any] = asyncio.Queue()
    sio.on("disconnect", lambda sid, reason: left.put_nowait(reason))
    server = await serve(sio)
    program = (
        "import asyncio, sys, socketio_fast\n"
        "async def main():\n"
        "    c = socketio_fast.AsyncClient(reconnection_delay=0.05)\n"
        "    c.manager.on('reconnect', lambda attempt: c.emit('here'))\n"
        "    await c.connect(sys.argv[1], transports=['websocket'], wait_timeout=9)\n"
        "    await c.emit('here')\n"
        "    await c.wait()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, server.url),
        cwd=Path(__file__).parent,  # not where a package may be that is not compiled
    )
    try:
        first = await within(joined.get())
        os.kill(process.pid, signal.SIGSTOP)
        await within(left.get())
        os.kill(process.pid, signal.SIGCONT)
        assert await within(joined.get()) != first
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
