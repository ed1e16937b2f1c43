"""Programs of the Engine.IO client, run with both packages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from compat.client_harness import Note, compared_engines

ways = pytest.mark.parametrize("transports", [["polling"], ["websocket"], None])


def slow_handlers(eio: Any, note: Note) -> None:
    """Handlers that go on for a while."""

    @eio.on("connect")
    async def connect() -> None:
        await asyncio.sleep(0.05)
        note("connect")

    @eio.on("disconnect")
    async def disconnect(reason: str) -> None:
        await asyncio.sleep(0.05)
        note("disconnect")


@ways
@pytest.mark.parametrize("abort", [False, True])
async def test_connect_and_disconnect_wait_for_their_handlers(
    transports: Any, abort: bool
) -> None:
    async def run(eio: Any, url: str, note: Note) -> None:
        slow_handlers(eio, note)
        await eio.connect(url, transports=transports)
        note("connected")
        await eio.disconnect(abort=abort)
        note("disconnected")

    assert await compared_engines(run) == [
        ("connect",),
        ("connected",),
        ("disconnect",),
        ("disconnected",),
    ]


@ways
async def test_wait_waits_for_the_disconnect_handler(transports: Any) -> None:
    async def run(eio: Any, url: str, note: Note) -> None:
        slow_handlers(eio, note)
        await eio.connect(url, transports=transports)
        await eio.send("bye")
        await eio.wait()
        note("waited")

    assert await compared_engines(run) == [
        ("connect",),
        ("disconnect",),
        ("waited",),
    ]
