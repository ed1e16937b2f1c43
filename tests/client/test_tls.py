"""TLS of clients: what ssl_verify, websocket_extra_options and sessions ask for."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
import requests
import trustme
from support.scripted_servers import HttpServer, response
from support.waiting import within

from client.conftest import Listen, Make
from socketio_fast.clients.http import HttpOptions, requests_for
from socketio_fast.clients.tls import TlsOptions

REFUSED = (aiohttp.ClientConnectorCertificateError, requests.exceptions.SSLError)


@pytest.fixture
async def server(listen: Listen, server_context: ssl.SSLContext) -> HttpServer:
    found: HttpServer = await listen(HttpServer(response(200, "ok")), server_context)
    return found


def test_the_defaults_verify() -> None:
    tls = TlsOptions.of()
    assert tls == TlsOptions(None, None, None)
    context = tls.context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def is_insecure(context: ssl.SSLContext | None) -> bool:
    assert context is not None
    return (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize(
    "options",
    [
        {"ssl_verify": False},
        {"websocket_extra_options": {"ssl": False}},
        {"websocket_extra_options": {"ssl_context": False}},
        {"websocket_extra_options": {"verify_ssl": False}},
        {"websocket_extra_options": {"sslopt": {"cert_reqs": ssl.CERT_NONE}}},
    ],
)
def test_nothing_is_verified(options: dict[str, Any]) -> None:
    assert is_insecure(TlsOptions.of(**options).context())


@pytest.mark.parametrize(
    "options",
    [
        lambda context: {"ssl_verify": context},
        lambda context: {"websocket_extra_options": {"ssl": context}},
        lambda context: {"websocket_extra_options": {"ssl_context": context}},
        lambda context: {"websocket_extra_options": {"sslopt": {"context": context}}},
        lambda context: {
            "ssl_verify": False, "websocket_extra_options": {"ssl": context},
        },
    ],
)  # fmt: skip
def test_a_context_is_used_as_it_is(options: Callable[..., Any]) -> None:
    context = ssl.create_default_context()
    assert TlsOptions.of(**options(context)).context() is context


def test_what_sslopt_may_have(
    authority: trustme.CA, authority_file: str, tmp_path: Any
) -> None:
    own = authority.issue_cert("client")
    own.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    client = str(tmp_path / "client.pem")
    tls = TlsOptions.of(
        websocket_extra_options={
            "sslopt": {
                "ca_certs": authority_file, "certfile": client, "check_hostname": False,
                "ciphers": "HIGH", "server_hostname": "other",
                "cert_chain": (client, None, None),
            }
        }
    )  # fmt: skip
    context = tls.context()
    assert context is tls.websocket
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)
    assert len(context.get_ca_certs()) == 1
    assert tls.server_hostname == "other"


def test_authorities_of_the_system_are_the_default_of_sslopt() -> None:
    context = TlsOptions.of(websocket_extra_options={"sslopt": {"ciphers": "HIGH"}})
    system = ssl.create_default_context().cert_store_stats()
    assert context.context().cert_store_stats() == system


def test_a_name_alone_leaves_the_context() -> None:
    tls = TlsOptions.of(websocket_extra_options={"sslopt": {"server_hostname": "a"}})
    assert tls == TlsOptions(None, None, "a")
    assert TlsOptions.of(websocket_extra_options={"server_hostname": "a"}) == tls


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"ssl_verify": "/ca.pem"}, "ssl_verify='/ca.pem': True, False or an ssl.SSL"),
        ({"ssl_verify": None}, "ssl_verify=None: True, False"),
        ({"websocket_extra_options": {"ssl": 5}}, "'ssl': 5}: True, False or an ssl"),
        (
            {"websocket_extra_options": {"sslopt": {"ca_cert": "x"}}},
            "'sslopt' has 'ca_cert', which is none of ca_cert_path, ca_certs,",
        ),
        (
            {"websocket_extra_options": {"sslopt": {"context": 5}}},
            "has the context 5: an ssl.SSLContext",
        ),
        (
            {"websocket_extra_options": {"sslopt": {"ca_certs": "/not/there"}}},
            "cannot read the certificates of authorities in '/not/there'",
        ),
        (
            {"websocket_extra_options":
                {"sslopt": {"certfile": "/not", "keyfile": "/k"}}},
            "cannot read the client's certificate in '/not' and its key in '/k'",
        ),
        (
            {"websocket_extra_options": {"sslopt": {"ciphers": "no such"}}},
            "'sslopt': .*[Nn]o cipher",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_an_error(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        HttpOptions.of(**options)


@pytest.mark.parametrize("where", ["ssl_verify", "websocket_extra_options"])
async def test_one_context_is_for_both_transports(
    make: Make, server: HttpServer, trusting: ssl.SSLContext, where: str
) -> None:
    value = trusting if where == "ssl_verify" else {"ssl": trusting}
    client = await make(**{where: value})
    url = server.url(scheme="https")
    assert (await within(client.request("GET", url))).body == b"ok"
    options = client.websocket_options(server.url(scheme="wss"))
    assert options.ssl is trusting
    assert client.websocket_options(server.url(scheme="ws")).ssl is None


async def test_the_default_context_is_made_once(make: Make) -> None:
    client = await make()
    first, second = (client.websocket_options("wss://a/").ssl for _ in range(2))
    assert first is second
    assert first is not None
    assert first.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("factory", [None, requests.Session, aiohttp.ClientSession])
async def test_ssl_verify(make: Make, server: HttpServer, factory: Any) -> None:
    """C19: contexts, and none."""
    url = server.url(scheme="https")
    strict = await make(factory)
    with pytest.raises(REFUSED):
        await within(strict.request("GET", url))
    lax = await make(factory, ssl_verify=False)
    assert (await within(lax.request("GET", url))).body == b"ok"
    assert is_insecure(lax.websocket_options(server.url(scheme="wss")).ssl)


async def test_a_name_that_the_certificate_has(
    make: Make, listen: Listen, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("inner.test").configure_cert(context)
    server = await listen(HttpServer(response(200, "ok")), context)
    client = await make(
        ssl_verify=trusting, websocket_extra_options={"server_hostname": "inner.test"}
    )
    assert (await within(client.request("GET", server.url(scheme="https")))).body
    assert client.websocket_options("wss://a/").server_hostname == "inner.test"


async def test_what_a_requests_session_verifies(
    make: Make, server: HttpServer, requests_session: requests.Session,
    authority: trustme.CA, authority_file: str, tmp_path: Any,
) -> None:  # fmt: skip
    own = authority.issue_cert("client")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    requests_session.verify = authority_file
    requests_session.cert = (str(tmp_path / "client.pem"), str(tmp_path / "key.pem"))
    client = await make(requests_session)
    answer = await within(client.request("GET", server.url(scheme="https")))
    assert answer.body == b"ok"
    context = client.websocket_options(server.url(scheme="wss")).ssl
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1
    requests_session.verify = False
    assert is_insecure(client.websocket_options("wss://a/").ssl)
    requests_session.verify = True
    bundle = client.websocket_options("wss://a/").ssl
    assert bundle is not None
    assert len(bundle.get_ca_certs()) > 10
    requests_session.cert = "/not/there"
    with pytest.raises(ValueError, match="cannot read the client's certificate in"):
        client.websocket_options("wss://a/")


async def test_requests_take_no_context(requests_session: requests.Session) -> None:
    options = HttpOptions.of(ssl_verify=ssl.create_default_context())
    with pytest.raises(ValueError, match="set `verify` and `cert` of the session"):
        await requests_for(requests_session, options)


async def test_the_context_of_an_aiohttp_session(
    make: Make, server: HttpServer, trusting: ssl.SSLContext
) -> None:
    connector = aiohttp.TCPConnector(ssl=trusting)
    async with aiohttp.ClientSession(connector=connector) as session:
        client = await make(session)
        answer = await within(client.request("GET", server.url(scheme="https")))
        assert answer.body == b"ok"
        assert client.websocket_options(server.url(scheme="wss")).ssl is trusting
        other = ssl.create_default_context()
        client = await make(session, websocket_extra_options={"ssl": other})
        assert client.websocket_options(server.url(scheme="wss")).ssl is other
    connector = aiohttp.TCPConnector(ssl=False)
    async with aiohttp.ClientSession(connector=connector) as session:
        client = await make(session)
        assert is_insecure(client.websocket_options("wss://a/").ssl)
