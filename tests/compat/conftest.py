"""Each test of this directory runs once for each package and way to serve it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import engineio as python_engineio
import pytest
import socketio as python_socketio

from compat.harness import HOSTS, App, Host, Run, Server


@pytest.fixture(params=HOSTS, ids=lambda host: host.name)
def host(request: pytest.FixtureRequest) -> Host:
    return request.param


@pytest.fixture(autouse=True)
def own_json() -> Iterator[None]:
    """python-socketio keeps a server's ``json=`` in classes that all share."""
    packets: list[Any] = [python_socketio.packet.Packet, python_engineio.packet.Packet]
    before = [packet.json for packet in packets]
    yield
    for packet, json in zip(packets, before, strict=True):
        packet.json = json


@pytest.fixture
async def run(host: Host) -> AsyncIterator[Run]:
    """``server = await run(app)``: the application, served by the package."""
    async with AsyncExitStack() as stack:

        async def start(
            app: App | None = None, *, path: str = "socket.io", **options: Any
        ) -> Server:
            server = Server(host, app, options)
            return await stack.enter_async_context(server.running(path))

        yield start
