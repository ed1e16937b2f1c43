"""Servers and proxies for clients, certificates, and what makes their requests."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest
import requests
import trustme
from support.scripted_servers import Listener

from socketio_fast.clients.http import HttpOptions, Requests, requests_for

L = TypeVar("L", bound=Listener)

Listen = Callable[..., Awaitable[Any]]
Make = Callable[..., Awaitable[Requests]]


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
