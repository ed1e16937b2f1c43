"""What many clients are sent in a pass of the loop leaves by one system call."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.hosts import compiled
from support.io_uring import io_uring_allowed
from support.processes import Fork, environment
from support.raw import WebSocket, join, within
from support.waiting import until

import socketio_fast

#: More than the package submits at a time.
MANY = 600


def rings(pid: int | str = "self") -> list[int]:
    """The descriptors of io_uring that a process has."""
    found = []
    for name in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if "io_uring" in os.readlink(name):
                found.append(int(name.name))
        except FileNotFoundError:  # that of the directory
            continue
    return found


@pytest.fixture(scope="module")
def allowed() -> None:
    if not io_uring_allowed():
        pytest.skip("this system does not allow io_uring")


@pytest.fixture(params=["io_uring", "send"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """By io_uring, and as where that is forbidden. How many rings a server has then."""
    gc.collect()  # servers of other tests
    if request.param == "send":
        monkeypatch.setenv("SOCKETIO_FAST_IO_URING", "0")
        return 0
    request.getfixturevalue("allowed")
    return 1


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


class Place:
    """A server, and clients of it."""

    def __init__(self, sio: Any, url: str, stack: AsyncExitStack) -> None:
        self.sio = sio
        self.url = url
        self._parts = urlsplit(url)
        self._stack = stack

    @property
    def host(self) -> Any:
        return self._parts.hostname

    @property
    def port(self) -> Any:
        return self._parts.port

    async def clients(self, count: int) -> list[WebSocket]:
        found = []
        for _ in range(count):
            found.append(await self._stack.enter_async_context(await join(self)))
        return found


async def start(stack: AsyncExitStack, **options: Any) -> Place:
    sio = socketio_fast.AsyncServer(max_buffer_bytes=1 << 30, **options)
    sio.on("connect", lambda sid, environ: None)
    return Place(sio, await stack.enter_async_context(compiled(sio)), stack)


async def all_read(clients: list[WebSocket], *messages: str) -> None:
    for client in clients:
        for message in messages:
            assert await client.message() == message


async def test_all_get_all_in_order(stack: AsyncExitStack, way: int) -> None:
    place = await start(stack)
    before = len(rings())
    clients = await place.clients(1)
    await place.sio.emit("one")
    await all_read(clients, '42["one"]')
    assert len(rings()) == before  # a few need none
    clients += await place.clients(MANY - 1)
    for number in range(3):
        await place.sio.emit("a", number)
        await place.sio.emit("b", number)
    await all_read(
        clients, *(f'42["{name}",{n}]' for n in range(3) for name in ("a", "b"))
    )
    assert len(rings()) == before + way


async def test_more_than_is_joined_at_a_time(stack: AsyncExitStack, way: int) -> None:
    """Several messages of a client are copied, up to a bound; large ones are not."""
    place = await start(stack)
    clients = await place.clients(8)
    half, large = "h" * 30_000, "l" * 200_000
    for text in (half, half, large, half):
        await place.sio.emit("x", text)
    await asyncio.sleep(0)
    await place.sio.emit("x", half)
    await place.sio.emit("x", half)
    await all_read(clients, *(f'42["x","{t}"]' for t in (half, half, large, half)))
    await all_read(clients, *[f'42["x","{half}"]'] * 2)


async def test_what_is_sent_before_the_end_of_the_pass(
    stack: AsyncExitStack, way: int
) -> None:
    """flushed() sends at once; what follows in the same pass comes once, behind it."""
    place = await start(stack)
    clients = await place.clients(4)
    sids = list(place.sio._hub.namespace("/").peers)
    for number in range(20):
        await place.sio.emit("before", number)
        for sid in sids[1:]:
            await place.sio.flushed(sid)
        await place.sio.emit("behind", number)
        await place.sio.flushed(sids[0])
        await place.sio.emit("last", number)
        await all_read(
            clients,
            *(f'42["{name}",{number}]' for name in ("before", "behind", "last")),
        )


async def test_a_client_that_does_not_read(stack: AsyncExitStack, way: int) -> None:
    """It gets the rest when it reads, in order; the others wait for nothing."""
    place = await start(stack)
    slow, *others = await place.clients(5)
    slow.reader._limit = 1  # type: ignore[attr-defined]
    count = 200
    for number in range(count):
        await place.sio.emit("chunk", (number, "x" * 50_000))
        await all_read(others, f'42["chunk",{number},"{"x" * 50_000}"]')
    sizes = [s.buffered_bytes for s in place.sio.eio.sockets.values()]
    assert sum(size > 100_000 for size in sizes) == 1
    slow.reader._limit = 1 << 24  # type: ignore[attr-defined]
    slow.reader._maybe_resume_transport()  # type: ignore[attr-defined]
    for number in range(count):
        await all_read([slow], f'42["chunk",{number},"{"x" * 50_000}"]')


async def test_a_client_that_is_gone(stack: AsyncExitStack, way: int) -> None:
    """The server does not read it, so only sending tells; the others get all."""
    place = await start(stack, max_pending_events=1)
    ended: list[str] = []
    place.sio.on("disconnect", lambda sid, reason: ended.append(reason))
    waits = asyncio.Event()
    begun = asyncio.Event()

    @place.sio.event
    async def wait(sid: str) -> None:
        begun.set()
        await waits.wait()

    gone, *others = await place.clients(6)
    for _ in range(3):
        await gone.text('42["wait"]')
    await within(begun.wait())
    raw = gone.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.writer.transport.abort()
    for number in range(5):
        await place.sio.emit("news", number)
        await all_read(others, f'42["news",{number}]')
    waits.set()
    await until(lambda: len(ended) == 1)
    assert ended == ["transport close"]


async def test_a_ring_that_fails(stack: AsyncExitStack, allowed: None) -> None:
    """What the kernel does not take is sent without it, once."""
    place = await start(stack)
    clients = await place.clients(MANY)
    before = rings()
    await place.sio.emit("news", 1)
    await all_read(clients, '42["news",1]')
    (ring,) = set(rings()) - set(before)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, ring)
    os.close(null)
    for number in range(2, 4):
        await place.sio.emit("news", number)
        await all_read(clients, f'42["news",{number}]')
    assert not set(rings()) - set(before)


async def test_no_descriptor_for_a_ring(stack: AsyncExitStack, allowed: None) -> None:
    """It is opened when there is one."""
    place = await start(stack)
    clients = await place.clients(4)
    gc.collect()
    before = len(rings())
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        await place.sio.emit("news", 1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    await all_read(clients, '42["news",1]')
    assert len(rings()) == before
    await place.sio.emit("news", 2)
    await all_read(clients, '42["news",2]')
    assert len(rings()) == before + 1


PROGRAM = """
import asyncio, os
import socketio_fast

async def main():
    sio = socketio_fast.AsyncServer()

    @sio.event
    async def news(sid, data):
        await sio.emit("news", data)

    @sio.event
    def detach(sid):
        if os.fork():
            os._exit(0)

    @sio.event
    def pid(sid):
        return os.getpid()

    async with await socketio_fast.serve(sio, port=0) as running:
        print(running.url, flush=True)
        await asyncio.get_running_loop().create_future()

asyncio.run(main())
"""


async def serve_apart(stack: AsyncExitStack, tmp_path: Path) -> Place:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = Fork(
        [str(program)],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    stack.callback(process.stdout.close)
    stack.callback(process.wait)
    stack.callback(process.kill)
    line = await within(asyncio.to_thread(process.stdout.readline))
    return Place(None, line.strip(), stack)


async def process_of(client: WebSocket) -> int:
    await client.text('420["pid"]')
    answer = await client.message()
    assert isinstance(answer, str)
    return int(answer.removeprefix("430[").removesuffix("]"))


@pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="its event loops do not go on in a fork"
)
async def test_a_fork_has_its_own(
    stack: AsyncExitStack, tmp_path: Path, allowed: None
) -> None:
    """A program that goes into the background while it serves."""
    place = await serve_apart(stack, tmp_path)
    clients = await place.clients(5)
    await clients[0].text('42["news",1]')
    await all_read(clients, '42["news",1]')
    before = await process_of(clients[0])
    assert len(rings(before)) == 1
    await clients[0].text('42["detach"]')
    after = await process_of(clients[0])
    assert after != before
    stack.callback(os.kill, after, 9)
    await clients[0].text('42["news",2]')
    await all_read(clients, '42["news",2]')
    assert len(rings(after)) == 1
