"""Several messages in one segment: the Task of one handler stays the current one for
the next, and for nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from support.sansio import Server, join

import socketio_fast


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(socketio_fast.AsyncServer())
    made.app.on("connect", lambda sid, environ: None)
    with made.loop.running():
        yield made


def frame(text: str) -> bytes:
    """A masked text frame with the key of zeros."""
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text.encode()


def events(*names: str) -> bytes:
    return b"".join(frame(f'42["{name}"]') for name in names)


def joined(server: Server) -> Any:
    client = server.websocket()
    join(client)
    return client


def current() -> asyncio.Task[Any] | None:
    return asyncio.current_task()


def test_handlers_share_a_task_that_is_gone_after_them(server: Server) -> None:
    seen: list[int] = []

    @server.app.on("e")
    async def handler(sid: str) -> None:
        task = current()
        assert task is not None
        assert not task.done()
        seen.append(id(task))

    client = joined(server)
    for _ in range(2):
        client.send(events("e", "e", "e"))
        assert current() is None
    assert len(seen) == 6
    assert len(set(seen)) == 1


def test_one_that_suspends_keeps_its_task(server: Server) -> None:
    seen: list[Any] = []
    waits = server.loop.create_future()

    @server.app.on("e")
    async def handler(sid: str) -> None:
        seen.append(current())

    @server.app.on("waits")
    async def waiting(sid: str) -> None:
        before = current()
        await waits
        seen.append(current() is before)

    client = joined(server)
    client.send(events("e", "waits", "e", "waits", "e"))
    assert current() is None
    assert all(task.done() for task in seen)
    assert len(seen) == 3
    waits.set_result(None)
    server.loop.turn()
    server.loop.turn()
    assert seen[3:] == [True, True]
    assert current() is None


def test_one_that_raises_leaves_none(server: Server) -> None:
    seen: list[bool] = []

    @server.app.on("e")
    async def handler(sid: str) -> None:
        seen.append(current() is not None)

    @server.app.on("raises")
    async def raising(sid: str) -> None:
        raise ValueError

    client = joined(server)
    client.send(events("raises", "e", "raises"))
    assert current() is None
    client.send(events("e", "raises", "e"))
    assert current() is None
    assert seen == [True] * 3


def test_a_task_that_somebody_keeps_is_nobody_elses(server: Server) -> None:
    kept: list[Any] = []

    @server.app.on("keeps")
    async def keeping(sid: str) -> None:
        kept.append(current())

    client = joined(server)
    client.send(events("keeps", "keeps", "keeps"))
    assert current() is None
    assert len(set(kept)) == 3
    server.loop.turn()
    assert all(task.done() for task in kept)


@pytest.mark.parametrize(
    "end", [b"\x83\x80\0\0\0\0", b"\x88\x80\0\0\0\0", b"\x81"], ids=str
)
def test_whatever_ends_the_segment(server: Server, end: bytes) -> None:
    """A breach of the protocol, a close frame, half of a frame."""
    seen: list[bool] = []

    @server.app.on("e")
    async def handler(sid: str) -> None:
        seen.append(current() is not None)

    client = joined(server)
    client.send(events("e", "e") + end)
    assert seen == [True, True]
    assert current() is None


def test_a_handler_that_another_handler_calls_for(server: Server) -> None:
    """The clients are in one process, as in a test; each handler has its own Task."""
    seen: list[Any] = []

    @server.app.on("inner")
    async def inner(sid: str) -> None:
        seen.append(current())

    @server.app.on("outer")
    async def outer(sid: str) -> None:
        before = current()
        other.send(events("inner", "inner"))
        assert current() is before
        assert before not in seen

    other = joined(server)
    client = joined(server)
    client.send(events("outer", "outer"))
    assert len(seen) == 4
    assert current() is None


def test_a_task_of_the_program_stays_current(server: Server) -> None:
    """A test client sends from within a Task."""
    done: list[bool] = []

    @server.app.on("e")
    async def handler(sid: str) -> None:
        assert current() is not task

    client = joined(server)

    async def program() -> None:
        client.send(events("e", "e"))
        done.append(current() is task)

    task = server.loop.create_task(program())
    server.loop.turn()
    assert done == [True]
    assert current() is None


def test_a_handler_that_lets_the_event_loop_pass(server: Server) -> None:
    """As with nest_asyncio: no Task is current meanwhile, nor after it."""
    seen: list[bool] = []

    @server.app.on("inner")
    async def inner(sid: str) -> None:
        seen.append(current() is not None)

    @server.app.on("outer")
    async def outer(sid: str) -> None:
        loop, task = asyncio.get_running_loop(), current()
        asyncio.tasks._leave_task(loop, task)  # type: ignore[attr-defined]
        other.send(events("inner", "inner"))
        assert current() is None
        asyncio.tasks._enter_task(loop, task)  # type: ignore[attr-defined]
        seen.append(True)

    other = joined(server)
    client = joined(server)
    client.send(events("outer", "outer"))
    assert seen == [True] * 6
    assert current() is None
