"""Servers that are started once for each module, and clients of either package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.client_servers import SERVERS, Kind, Target
from support.clients import CLIENTS, ClientKind
from support.interop import TRANSPORTS

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
