"""Subclasses of clients that override ``emit()``: ``call()`` goes by it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from support.threaded_servers import Running, make_server, running

import socketio_fast
from socketio_fast import exceptions


@pytest.fixture
def server() -> Iterator[Running]:
    with running(make_server) as server:
        yield server


def test_call_of_a_client_for_threads(server: Running) -> None:
    class Client(socketio_fast.Client):
        def emit(  # type: ignore[override]
            self, event: str, data: Any = None, **options: Any
        ) -> None:
            return super().emit(event, ("signed", data), **options)

    sio = Client()
    sio.connect(server.url)
    try:
        assert sio.call("ask", 1, timeout=10) == ("signed", 1)
        with pytest.raises(exceptions.TimeoutError, match="acknowledge 'unknown'"):
            sio.call("unknown", timeout=0.01)
    finally:
        sio.disconnect()


async def test_call_of_a_client_for_asyncio(server: Running) -> None:
    class AsyncClient(socketio_fast.AsyncClient):
        async def emit(  # type: ignore[override]
            self, event: str, data: Any = None, **options: Any
        ) -> None:
            await super().emit(event, ("signed", data), **options)

    async with AsyncClient() as sio:
        await sio.connect(server.url)
        assert await sio.call("ask", 1, timeout=10) == ("signed", 1)
        with pytest.raises(exceptions.TimeoutError, match="acknowledge 'unknown'"):
            await sio.call("unknown", timeout=0.01)
        waiting = asyncio.ensure_future(sio.call("unknown", timeout=10))
        await asyncio.sleep(0)
        await sio.disconnect()
        with pytest.raises(exceptions.CallDisconnectedError):
            await waiting
