"""Servers and proxies for clients, of which some are started once for each module;
certificates, and what makes requests."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

import pytest
import requests
import trustme
from support.client_servers import SERVERS, Kind, Target
from support.clients import CLIENTS, ClientKind
from support.interop import TRANSPORTS, within
from support.official_suite import New, application
from support.scripted_servers import Listener
from support.tcp_proxy import TcpProxy

import socketio_fast
from socketio_fast.clients.http import HttpOptions, Requests, requests_for

L = TypeVar("L", bound=Listener)

Listen = Callable[..., Awaitable[Any]]
Make = Callable[..., Awaitable[Requests]]
Start = Callable[..., Target]


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxies and no authorities that its environment may name."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """``server = await listen(HttpServer(…))``, with TLS if a context is given."""
    listeners: list[Listener] = []

    async def start(listener: L, context: ssl.SSLContext | None = None) -> L:
        await listener.start(context)
        listeners.append(listener)
        return listener

    yield start
    for listener in listeners:
        await listener.close()


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """``requests = await make(http_session, **options)``, closed with the test."""
    made: list[Requests] = []

    async def start(http_session: Any = None, **options: Any) -> Requests:
        made.append(await requests_for(http_session, HttpOptions.of(**options)))
        return made[-1]

    yield start
    for one in made:
        await one.close()


@pytest.fixture
def requests_session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    """Of a server named localhost and 127.0.0.1."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context that trusts this authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def authority_file(authority: trustme.CA, tmp_path: Any) -> str:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(params=list(TRANSPORTS))
def transport(request: pytest.FixtureRequest) -> str:
    """How clients connect: 'upgrade' is by polling, then upgraded to WebSocket."""
    return request.param


@pytest.fixture(params=CLIENTS, ids=lambda kind: kind.name)
def client_kind(request: pytest.FixtureRequest) -> ClientKind:
    """The class of clients."""
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
    clients = []

    def start(**options: Any) -> Any:
        options.setdefault("handle_sigint", False)
        options.setdefault("reconnection_delay", 0.01)
        clients.append(socketio_fast.AsyncClient(**options))
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
