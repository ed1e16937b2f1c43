from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from support.admin_client import Connect, Program
from support.interop import TRANSPORTS, within
from support.js_client import JSClient

import socketio_fast


@pytest.fixture(params=list(TRANSPORTS))
def transport(request: pytest.FixtureRequest) -> str:
    """How clients connect: 'upgrade' is by polling, then upgraded to WebSocket."""
    return request.param


@pytest.fixture
def sio() -> socketio_fast.AsyncServer:
    return socketio_fast.AsyncServer(cors_allowed_origins="*")


@pytest.fixture
async def js(serve: Any, transport: str) -> Any:
    """A factory: ``client = await js(server, **options)``, by ``transport``.

    It asks for ``serve`` so that clients end before servers do.
    """
    async with AsyncExitStack() as stack:

        async def start(server: Any, **options: Any) -> JSClient:
            options.setdefault("transports", TRANSPORTS[transport])
            return await stack.enter_async_context(JSClient(server.url, **options))

        yield start


@pytest.fixture
async def connect(serve: Any) -> AsyncIterator[Connect]:
    """A factory of clients: ``await connect(server, "/admin", auth=auth)``."""
    async with AsyncExitStack() as stack:

        async def start(server: Any, namespace: str = "/", **options: Any) -> Program:
            program = Program(namespace)
            stack.push_async_callback(program.close)
            return await within(program.connect(server.url, **options), "connect")

        yield start
