"""Servers that share a directory, each as if it were a process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from integration.conftest import Echo
from support.raw import Client

from socketio_fast.options.limits import Limits


@dataclass
class Worker:
    """An echo server, and a client of it."""

    echo: Echo
    client: Client

    @property
    def counters(self) -> Any:
        return self.echo.app.counters

    @property
    def tag(self) -> str:
        membership = self.echo.app.membership
        assert membership is not None
        return membership.mesh.tag


StartWorkers = Callable[..., Awaitable[list[Worker]]]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path: that of a Unix socket has a limit."""
    with tempfile.TemporaryDirectory(prefix="sf") as name:
        yield Path(name)


@pytest.fixture
async def workers(
    serve: Callable[..., Awaitable[Any]], directory: Path
) -> AsyncIterator[StartWorkers]:
    """``a, b = await workers(2)``; they know each other."""
    started: list[Worker] = []

    async def start(
        count: int, limits: Limits | None = None, **options: Any
    ) -> list[Worker]:
        own = {"trusted_proxies": options.pop("trusted_proxies", ())}
        for _ in range(count):
            echo = Echo(cluster=f"unix:{directory}", limits=limits, **own)
            started.append(Worker(echo, Client(await serve(echo.app, **options))))
        return started[-count:]

    yield start
    for worker in started:
        await worker.client.close()
