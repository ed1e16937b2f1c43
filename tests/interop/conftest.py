from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from support.admin_client import Connect, Program
from support.among_workers import among_workers, cluster_of
from support.interop import TRANSPORTS, within
from support.js_client import JSClient
from support.supervised import APP, Supervised, running

import socketio_fast


@pytest.fixture(params=list(TRANSPORTS))
def transport(request: pytest.FixtureRequest) -> str:
    """How clients connect: 'upgrade' is by polling, then upgraded to WebSocket."""
    return request.param


#: For modules whose tests run twice: alone and among workers.
SERVES = ["alone", "among workers"]


@pytest.fixture(scope="session")
def four_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    folder = tmp_path_factory.mktemp("workers")
    (folder / "app.py").write_text(APP)
    with running(folder, "--workers", "4") as workers:
        yield workers


@pytest.fixture
async def serve(
    serve: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """A factory: ``server = await serve(app, **options)``."""
    if getattr(request, "param", "alone") == "alone":
        yield serve
        return
    workers = request.getfixturevalue("four_workers")
    monkeypatch.setenv("SOCKETIO_FAST_CLUSTER", await cluster_of(workers))
    async with among_workers(serve, workers) as start:
        yield start


@pytest.fixture
def sio(serve: Any) -> socketio_fast.AsyncServer:
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
