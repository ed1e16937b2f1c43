"""Whatever goes wrong in an attempt to connect is told in words: real peers that fail.

Each by polling with aiohttp, with requests, and by a WebSocket.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from typing import Any

import picows
import pytest
import requests
import trustme
from support.ports import free_port
from support.scripted_servers import (
    Bytes,
    HttpProxy,
    HttpServer,
    Socks5Proxy,
    response,
)
from support.waiting import within

from client.conftest import Listen, Make
from socketio_fast.clients.failures import (
    failed_attempt,
    retry_after,
    unexpected_answer,
)
from socketio_fast.clients.http import Answer, Requests
from socketio_fast.exceptions import ConnectionError, ConnectionFailedError

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")

Attempt = Callable[..., Awaitable[ConnectionFailedError]]

PATH = "/socket.io/?EIO=4&secret=1"


async def by_polling(client: Requests, url: str, timeout: float) -> ConnectionError:
    try:
        answer = await within(client.request("GET", url, timeout=timeout))
    except Exception as error:
        proxy = client.proxy_for(url)
        return failed_attempt(error, url, timeout=timeout, proxy=proxy)
    return unexpected_answer(answer, url, proxy=client.proxy_for(url))


async def by_websocket(
    client: Requests, url: str, timeout: float, **arguments: Any
) -> ConnectionError:
    url = url.replace("http", "ws", 1)
    options = client.websocket_options(url)
    try:
        transport, _ = await within(
            picows.ws_connect(
                picows.WSListener, url, ssl_context=options.ssl, proxy=options.proxy,
                websocket_handshake_timeout=timeout, **arguments,
            )
        )  # fmt: skip
    except Exception as error:
        return failed_attempt(error, url, timeout=timeout, proxy=options.proxy)
    # picows raises nothing when the server closes without a response.
    assert transport.is_disconnected
    return failed_attempt(ConnectionResetError(), url, proxy=options.proxy)


@pytest.fixture(params=["aiohttp", "requests", "picows", "picows by the loop"])
def attempt(request: pytest.FixtureRequest, make: Make) -> Attempt:
    """``error = await attempt(url, **options)``: what an attempt fails with."""

    async def run(url: str, timeout: float = 10, **options: Any) -> Any:
        session = requests.Session if request.param == "requests" else None
        client = await make(session, **options)
        if request.param.startswith("picows"):
            fast = request.param == "picows"
            error = await by_websocket(client, url, timeout, use_aiofastnet=fast)
        else:
            error = await by_polling(client, url, timeout)
        assert type(error) is ConnectionFailedError
        text = str(error)
        shown = re.split(r"[?#]", url)[0].replace("http", "https?|wss?", 1)
        assert text.startswith("cannot connect to ")
        assert shown.partition("://")[2].rpartition("@")[2] in text
        assert "secret" not in text
        assert text.isprintable()
        assert error.args[0] == text
        return error

    return run


async def test_a_name_without_an_address(attempt: Attempt) -> None:
    error = await attempt("http://no-such-host.invalid" + PATH)
    assert "the name of the server, 'no-such-host.invalid', has no address" in str(
        error
    )


@pytest.mark.parametrize("url", ["http://u:secret@127.0.0.1:99999/", "http:///a"])
async def test_what_is_no_url(attempt: Attempt, url: str) -> None:
    error = await attempt(url)
    assert "this is no URL of a server; expected: https://host" in str(error)


async def test_nobody_listens(attempt: Attempt) -> None:
    port = free_port()
    error = await attempt(f"http://user:secret@127.0.0.1:{port}{PATH}")
    assert (
        f"connection refused: nobody listens at 127.0.0.1:{port}; is the server running"
        in str(error)
    )
    assert error.status is None


async def test_nobody_listens_at_any_address_of_a_name(attempt: Attempt) -> None:
    """localhost may have two addresses; libraries join both errors in one."""
    error = await attempt(f"http://localhost:{free_port()}{PATH}")
    assert "connection refused: nobody listens at localhost:" in str(error)


async def test_no_answer_in_time(attempt: Attempt, listen: Listen) -> None:
    """C4: the error names the option."""

    async def never() -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    server = await listen(HttpServer(lambda request: never()))
    error = await attempt(server.url(PATH), timeout=0.2)
    assert (
        f"no response of 127.0.0.1:{server.port} within request_timeout=0.2 seconds"
        in str(error)
    )


async def test_the_connection_is_closed(attempt: Attempt, listen: Listen) -> None:
    server = await listen(HttpServer(lambda request: None))
    error = await attempt(server.url(PATH))
    assert "the server closed the connection before its response" in str(error)


async def test_what_is_no_http(attempt: Attempt, listen: Listen) -> None:
    server = await listen(Bytes(b"220 \x1b[31mmail.example ESMTP\r\n\r\n"))
    error = await attempt(server_url(server))
    assert re.search("no HTTP|101 of a WebSocket server expected", str(error))


def server_url(server: Any, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{server.port}{PATH}"


# Certificates.


async def tls_error(
    attempt: Attempt, listen: Listen, context: ssl.SSLContext, **options: Any
) -> str:
    server = await listen(HttpServer(response(200)), context)
    gc.collect()  # not warnings of others
    return str(await attempt(server_url(server, "https"), **options))


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def trusted(authority_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every library trusts the test's authority."""
    monkeypatch.setenv("SSL_CERT_FILE", authority_file)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority_file)


async def test_an_expired_certificate(
    attempt: Attempt, listen: Listen, authority: trustme.CA, trusted: None
) -> None:
    expired = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    certificate = authority.issue_cert(
        "127.0.0.1", not_after=expired, not_before=expired - datetime.timedelta(1)
    )
    text = await tls_error(attempt, listen, context_of(certificate))
    assert "the certificate of the server has expired" in text


async def test_an_unknown_authority(
    attempt: Attempt, listen: Listen, server_context: ssl.SSLContext
) -> None:
    text = await tls_error(attempt, listen, server_context)
    assert "is signed by an authority that is not trusted here" in text
    assert "ssl_verify=False" in text


async def test_a_self_signed_certificate(attempt: Attempt, listen: Listen) -> None:
    """An authority's own, which no other has signed."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with (
        authority.cert_pem.tempfile() as cert,
        authority.private_key_pem.tempfile() as key,
    ):
        context.load_cert_chain(cert, key)
    text = await tls_error(attempt, listen, context)
    assert "the certificate of the server is self-signed" in text


async def test_a_certificate_of_another_host(
    attempt: Attempt, listen: Listen, authority: trustme.CA, trusted: None
) -> None:
    context = context_of(authority.issue_cert("other.example"))
    text = await tls_error(attempt, listen, context)
    assert "is not for this IP address" in text or "is for another host name" in text


async def test_https_at_a_port_of_http(attempt: Attempt, listen: Listen) -> None:
    server = await listen(Bytes(response(400, "Bad Request")))
    error = await attempt(server_url(server, "https"))
    assert "it seems to speak no TLS at this port: is it http" in str(error)
    assert "object at 0x" not in str(error)


async def test_a_server_that_wants_a_clients_certificate(
    attempt: Attempt, authority: trustme.CA, trusted: None
) -> None:
    """It blocks in a thread: asyncio's servers close without TLS's alert."""
    context = context_of(authority.issue_cert("127.0.0.1"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            context.wrap_socket(connection, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        served = asyncio.ensure_future(asyncio.to_thread(serve, listening))
        port = listening.getsockname()[1]
        error = await attempt(f"https://127.0.0.1:{port}{PATH}")
        await within(served)
    assert "it may ask for a client's certificate" in str(error)


# Proxies.


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_knows_nobody(
    attempt: Attempt, listen: Listen, scheme: str
) -> None:
    proxy = await listen(HttpProxy("user", "right"))
    error = await attempt(
        f"{scheme}://server.test{PATH}",
        proxy=f"http://user:secret@127.0.0.1:{proxy.port}",
    )
    assert f"by the proxy http://127.0.0.1:{proxy.port}: " in str(error)
    assert "HTTP 407" in str(error)
    assert "proxy='http://name:password@host'" in str(error)


async def test_a_proxy_that_refuses_the_server(
    attempt: Attempt, listen: Listen
) -> None:
    proxy = await listen(HttpServer(response(403, "no")))
    error = await attempt(
        f"https://server.test{PATH}", proxy=f"http://127.0.0.1:{proxy.port}"
    )
    assert f"by the proxy http://127.0.0.1:{proxy.port}: the proxy" in str(error)
    assert "answers CONNECT with HTTP 403; the proxy forbids this host" in str(error)


async def test_a_proxy_that_is_not_there(attempt: Attempt) -> None:
    port = free_port()
    error = await attempt(
        f"https://server.test{PATH}", proxy=f"http://u:secret@127.0.0.1:{port}"
    )
    assert f"nobody listens at 127.0.0.1:{port}; is the proxy running" in str(error)


async def test_a_proxy_without_an_address(attempt: Attempt) -> None:
    error = await attempt(f"https://server.test{PATH}", proxy="http://proxy.invalid:1")
    assert "the name of the proxy, 'proxy.invalid', has no address" in str(error)


async def test_a_socks_proxy_that_knows_nobody(
    attempt: Attempt, listen: Listen, request: pytest.FixtureRequest
) -> None:
    proxy = await listen(Socks5Proxy("user", "right"))
    error = await attempt(
        f"http://server.test{PATH}",
        proxy=f"socks5://user:secret@127.0.0.1:{proxy.port}",
    )
    assert re.search(
        r"the proxy 127\.0\.0\.1:\d+ refuses: |pip install 'requests\[socks\]'",
        str(error),
    )


async def test_a_socks_proxy_that_is_not_there(attempt: Attempt) -> None:
    port = free_port()
    error = await attempt(
        f"http://server.test{PATH}", proxy=f"socks5://127.0.0.1:{port}"
    )
    assert re.search(
        rf"nobody listens at 127\.0\.0\.1:{port}; is the proxy|requests\[socks\]",
        str(error),
    )


# Responses.

HTML = "<!DOCTYPE html>\n<title>Log in, \x1b[31mplease</title>" + "x" * 200


async def test_a_page_instead_of_an_open_packet(
    attempt: Attempt, listen: Listen
) -> None:
    server = await listen(
        HttpServer(response(200, HTML, {"Content-Type": "text/html"}))
    )
    error = await attempt(server.url(PATH))
    text = str(error)
    assert (
        "HTTP 200 with an HTML page '<!DOCTYPE html>\\n<title>Log in, \\x1b[31m" in text
    )
    assert text.count("x") < 100
    assert "socketio_path=? In a network with a log-in page (a captive portal)" in text
    assert error.status == 200


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "give what the server asks for in headers="),
        (403, "forbids this: see its log"),
        (404, "no Socket.IO server at this path: compare socketio_path="),
        (429, "the server has had too many requests"),
        (500, "the server has failed: see its log"),
        (502, "the server behind the proxy does not answer"),
        (503, "the server is overloaded or is stopping"),
        (504, "did not answer in time"),
        (418, "see the log of the server"),
    ],
)
async def test_statuses(
    attempt: Attempt, listen: Listen, status: int, remedy: str
) -> None:
    server = await listen(HttpServer(response(status, "why")))
    error = await attempt(server.url(PATH))
    assert f"expected, HTTP {status} with 'why' came; " in str(error)
    assert remedy in str(error)
    assert (error.status, error.retry_after) == (status, None)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (0, "does not offer this transport"),
        (1, "sticky sessions"),
        (3, "see the log"),
        (5, "eio=3 for Socket.IO 2"),
        ("0", "see the log"),
        (True, "see the log"),
    ],
)
async def test_what_an_engine_io_server_says(
    attempt: Attempt, listen: Listen, code: Any, remedy: str
) -> None:
    """Its JSON is the second argument of the error, as in python-socketio."""
    import json

    data = {"code": code, "message": "\x1b[31mwhy"}
    server = await listen(HttpServer(response(400, json.dumps(data))))
    error = await attempt(server.url(PATH))
    assert error.args[1:] == (data,)
    assert '"code":' in str(error)
    assert remedy in str(error)


async def test_retry_after_is_told(attempt: Attempt, listen: Listen) -> None:
    server = await listen(HttpServer(response(503, "", {"Retry-After": "120"})))
    error = await attempt(server.url(PATH))
    assert error.retry_after == 120.0
    assert "asks to be tried again after 120 s" in str(error)


async def test_an_endless_redirect(attempt: Attempt, listen: Listen) -> None:
    server = await listen(HttpServer(response(302, "", {"Location": "/again"})))
    error = await attempt(server.url(PATH))
    assert "the server redirects again and again" in str(error)


async def test_a_redirect_that_leads_nowhere(attempt: Attempt, listen: Listen) -> None:
    server = await listen(HttpServer(response(302, "")))
    error = await attempt(server.url(PATH))
    assert "HTTP 302" in str(error)
    assert "the redirect leads nowhere" in str(error)


async def test_where_the_answer_is_from(listen: Listen, make: Make) -> None:
    def reply(request: Any) -> bytes:
        if request.target.startswith("/new"):
            return response(404, "no")
        return response(302, "", {"Location": "/new?secret=1"})

    server = await listen(HttpServer(reply))
    error = await by_polling(await make(), server.url(PATH), 5)
    assert f"HTTP 404 from {server.url('/new')} after a redirect with 'no'" in str(
        error
    )


@pytest.mark.parametrize("factory", [None, requests.Session])
async def test_a_body_beyond_the_limit(
    listen: Listen, make: Make, factory: Any
) -> None:
    server = await listen(HttpServer(response(200, "x" * 1001)))
    client = await make(factory, max_http_buffer_size=1000)
    error = await by_polling(client, server.url(PATH), 5)
    assert "the response is larger than max_http_buffer_size=1000 bytes" in str(error)


@pytest.mark.parametrize("factory", [None, requests.Session])
async def test_a_body_that_is_cut_off(listen: Listen, make: Make, factory: Any) -> None:
    server = await listen(Bytes(response(200, "x" * 100)[:-10]))
    error = await by_polling(await make(factory), server_url(server), 5)
    assert "the response ended in the middle" in str(error)


async def test_a_response_101_that_is_no_websockets(listen: Listen, make: Make) -> None:
    server = await listen(HttpServer(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"))
    error = await by_websocket(await make(), server.url(PATH), 5)
    assert "the response 101 is no WebSocket's" in str(error)


# What no peer is needed for.


def test_an_error_that_nobody_knows() -> None:
    error = failed_attempt(
        RuntimeError("at http://u:s@a/b?c=d \x1b[31m" + "x" * 1000), "ws://a:1/b?c"
    )
    text = str(error)
    assert text.startswith(
        "cannot connect to ws://a:1/b: RuntimeError: at http://a/b?… \\x1b[31mxxx"
    )
    assert len(text) < 350


def test_an_error_that_has_been_told_is_not_told_again() -> None:
    told = ConnectionFailedError("x")
    assert failed_attempt(told, "http://a") is told


def test_an_error_whose_causes_go_round_has_an_end() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert "ValueError: first" in str(failed_attempt(first, "http://a"))


def test_the_option_that_ended_an_attempt_is_named() -> None:
    error = failed_attempt(
        asyncio.TimeoutError(), "http://a", timeout=20, timeout_name="connect_timeout"
    )
    assert "no response of a:80 within connect_timeout=20 seconds" in str(error)
    assert "no response of a:80; is" in str(failed_attempt(TimeoutError(), "http://a"))


NOW = datetime.datetime.now(datetime.timezone.utc)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": " 17 "}, 17.0),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "9" * 5000}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Fri, 99 Foo 2020 00:00:00 GMT"}, None),
        ({"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"}, 0.0),
        (
            {
                "Retry-After": "Wed, 01 Jan 2020 00:01:30 GMT",
                "Date": "Wed, 01 Jan 2020 00:00:00 GMT",
            },
            90.0,
        ),
    ],
)  # fmt: skip
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_a_date() -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    date = format_datetime(now + datetime.timedelta(seconds=1000), usegmt=True)
    assert 900 < (retry_after({"Retry-After": date}) or 0) < 1001


def test_a_body_that_is_no_text_is_quoted() -> None:
    answer = Answer(200, {}, b"\xff\x00\x1b", "http://a")
    assert "HTTP 200 with '\ufffd\\x00\\x1b' came" in str(
        unexpected_answer(answer, "http://a")
    )


def test_json_that_is_nested_deeply_is_no_json() -> None:
    for count in (500_000, 5_000_000):
        answer = Answer(400, {}, b"[" * count, "http://a")
        assert unexpected_answer(answer, "http://a").args[1:] == ()
