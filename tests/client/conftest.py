"""Servers that are started once for each module, and clients of either package."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.client_servers import SERVERS, Kind, Target
from support.clients import CLIENTS, ClientKind
from support.interop import TRANSPORTS, within
from support.official_suite import New, application
from support.tcp_proxy import TcpProxy

import socketio_fast

Start = Callable[..., Target]


@pytest.fixture(params=list(TRANSPORTS))
def transport(request: pytest.FixtureRequest) -> str:
    """How clients connect: 'upgrade' is by polling, then upgraded to WebSocket."""
    return request.param


@pytest.fixture(params=CLIENTS, ids=lambda kind: kind.name)
def client_kind(request: pytest.FixtureRequest) -> ClientKind:
    """The class of clients."""
    request.param.check()
    return request.param


@pytest.fixture(scope="module")
def targets() -> Iterator[Start]:
    """``targets(NODE, recovery=True)``: a server of the module with these options."""
    with ExitStack() as stack:
        running: dict[Any, Target] = {}

        def start(kind: Kind, **options: Any) -> Target:
            key = (kind.name, repr(sorted(options.items())))
            if key not in running:
                running[key] = stack.enter_context(kind.serve(**options))
            running[key].start()  # if a test has left it dead
            return running[key]

        yield start


@pytest.fixture(params=SERVERS, ids=lambda kind: kind.name)
def server_kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture
def target(server_kind: Kind, targets: Start) -> Target:
    """The application on one of the servers, with its defaults."""
    return targets(server_kind)


@pytest.fixture
async def new() -> AsyncIterator[New]:
    """``client = new(**options)``: an AsyncClient that ends with the test."""
    try:
        make: Any = socketio_fast.AsyncClient  # type: ignore[attr-defined]
    except AttributeError as error:
        pytest.skip(f"no client yet: {error}")
    clients = []

    def start(**options: Any) -> Any:
        options.setdefault("handle_sigint", False)
        options.setdefault("reconnection_delay", 0.01)
        clients.append(make(**options))
        return clients[-1]

    yield start
    for client in clients:
        await within(client.shutdown(), "shutdown")


@pytest.fixture
async def network(serve: Any) -> AsyncIterator[TcpProxy]:
    """Between the client and the application of the official suite's server."""
    async with TcpProxy((await serve(application())).port) as proxy:
        yield proxy


@pytest.fixture
def url(network: TcpProxy) -> str:
    return network.url
