"""Limits by address, in several processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.supervised import APP, WAIT, Supervised, running

import socketio_fast as socketio

LIMIT = 8


# Seconds that a worker has to answer; the kernel also chooses one that is stopped.
PATIENCE = 2.0


class Clients:
    """WebSocket clients, each at a worker that the kernel has chosen."""

    def __init__(self, server: Supervised) -> None:
        self._url = f"http://127.0.0.1:{server.port}"
        self.of: dict[int, list[socketio.AsyncClient]] = {}

    @property
    def count(self) -> int:
        return sum(map(len, self.of.values()))

    async def connect(self) -> bool | None:
        """Connect one; returns whether it was admitted, None if nobody answers."""
        client = socketio.AsyncClient(reconnection=False)
        try:
            await asyncio.wait_for(
                client.connect(self._url, transports=["websocket"]), PATIENCE
            )
        except asyncio.TimeoutError:
            await client.shutdown()
            return None
        except socketio.exceptions.ConnectionError as exc:
            if "429" not in str(exc):
                raise
            return False
        self.of.setdefault(await client.call("pid"), []).append(client)
        return True

    async def fill(self) -> None:
        """Connect until one is refused."""
        while await self.connect():
            assert self.count <= LIMIT
        assert self.count == LIMIT

    async def refill(self) -> None:
        """Connect until there are as many again, and one is refused."""

        async def connect() -> None:
            while await self.connect() is not False or self.count < LIMIT:
                pass

        await asyncio.wait_for(connect(), WAIT)
        assert self.count == LIMIT

    async def close(self) -> None:
        for clients in self.of.values():
            for client in clients:
                await client.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    options = (
        f"limits=socketio.Limits(connections_per_address={LIMIT}), "
        "ping_interval=2, ping_timeout=1"
    )
    (tmp_path / "app.py").write_text(
        APP.replace("AsyncServer()", f"AsyncServer({options})")
    )
    return tmp_path


@contextlib.asynccontextmanager
async def clients_of(folder: Path) -> AsyncIterator[tuple[Supervised, Clients]]:
    with running(folder, "--workers", "4") as server:
        clients = Clients(server)
        try:
            yield server, clients
        finally:
            await clients.close()


async def test_connections_of_an_address(folder: Path) -> None:
    """U8: they hold for all workers, also when clients go."""
    async with clients_of(folder) as (_, clients):
        await clients.fill()
        assert len(clients.of) > 1
        for connections in clients.of.values():
            await connections.pop().disconnect()
        await clients.refill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_connections_of_a_worker_that_dies_or_stops(
    folder: Path, number: int
) -> None:
    """They count no more: at once, or when clients have given the worker up."""
    async with clients_of(folder) as (_, clients):
        await clients.fill()
        pid = max(clients.of, key=lambda pid: len(clients.of[pid]))
        os.kill(pid, number)
        for client in clients.of.pop(pid):
            await client.shutdown()
        await clients.refill()
