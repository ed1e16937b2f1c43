"""Which proxy a URL is reached by, and real requests and WebSockets by real proxies."""

from __future__ import annotations

import ssl
from typing import Any

import aiohttp
import picows
import pytest
import requests
from support.scripted_servers import HttpProxy, HttpServer, Socks5Proxy, response
from support.waiting import within

import socketio_fast
from client.conftest import Listen, Make
from socketio_fast.clients.http import HttpOptions, requests_for
from socketio_fast.clients.proxies import (
    proxy_for,
    proxy_of_websocket_options,
    proxy_url,
    shown_url,
)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://a:3128", "http://a:3128"),
        ("a:3128", "http://a:3128"),
        ("a", "http://a:80"),
        ("https://a/", "https://a:443"),
        ("socks5://a", "socks5://a:1080"),
        ("socks5h://a:1", "socks5://a:1"),
        ("SOCKS4://A:1", "socks4://a:1"),
        ("http://u:p%40@a:1", "http://u:p%40@a:1"),
        ("u:p@a:1", "http://u:p@a:1"),
        ("http://u@a:1", "http://u:@a:1"),
        ("http://[::1]:1", "http://[::1]:1"),
    ],
)
def test_urls_of_proxies(given: str, meant: str) -> None:
    assert proxy_url(given) == meant


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("ftp://u:secret@a", "'ftp://a': the scheme of a proxy is one of http, https"),
        ("socks4a://a:1", "the scheme of a proxy is one of"),
        ("http://u:secret@", "the host is missing"),
        ("", "the host is missing"),
        ("http://u:secret@a:0", r"the port \(1 to 65535\), is none"),
        ("http://u:secret@a:70000", r"the port \(1 to 65535\), is none"),
        ("http://u:secret@a:b", r"the port \(1 to 65535\), is none"),
        ("http://u:secret@[a", r"the host, or the port \(1 to 65535\), is none"),
        ("http://u:secret@a b", "no spaces and no control characters"),
        ("http://u:secret@a\n", "no spaces and no control characters"),
        ("http://u:secret@a/path", "a proxy has no path"),
        ("http://u:sec/ret@a:1", "the host, or the port"),
        ("http://a?secret", "a proxy has no path, query"),
        (5, "proxy=int: the URL of a proxy as text, None"),
        (True, "proxy=bool: the URL"),
    ],
)
def test_what_is_no_url_of_a_proxy_is_an_error(url: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=rule) as caught:
        HttpOptions.of(proxy=url)
    assert str(caught.value).startswith("proxy=")
    assert "sec" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://u:p@a:1/b?c=d#e", "http://a:1/b"),
        ("http://a/b", "http://a/b"),
        ("u:p@a", "a"),
        ("http://u:p/q@a", "http://a"),
        ("http://u:p@q@a/b", "http://a/b"),
    ],
)
def test_urls_are_shown_without_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_for("ws://a/") is None
    monkeypatch.setenv("HTTP_PROXY", "http://plain:1")
    monkeypatch.setenv("HTTPS_PROXY", "secure:2")
    assert proxy_for("ws://a/") == proxy_for("http://a/") == "http://plain:1"
    assert proxy_for("wss://a/") == proxy_for("https://a/") == "http://secure:2"
    assert proxy_for("ws://a/", False) is None
    assert proxy_for("ws://a/", "socks5://b") == "socks5://b:1080"
    monkeypatch.delenv("HTTPS_PROXY")
    assert proxy_for("wss://a/") is None
    monkeypatch.setenv("ALL_PROXY", "socks5://all:3")
    assert proxy_for("wss://a/") == "socks5://all:3"
    assert proxy_for("ws://a/") == "http://plain:1"


@pytest.mark.parametrize(
    ("url", "bypassed"),
    [
        ("ws://localhost:5000/", True),
        ("ws://u:p@localhost:5000/", True),
        ("ws://sub.example.com/", True),
        ("wss://[::1]:80/", True),
        ("ws://port.example:81/", True),
        ("ws://port.example:82/", False),
        ("ws://example.org/", False),
    ],
)
def test_no_proxy(monkeypatch: pytest.MonkeyPatch, url: str, bypassed: bool) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all:3")
    monkeypatch.setenv("NO_PROXY", "localhost, .example.com,::1,port.example:81")
    assert (proxy_for(url) is None) is bypassed


def test_a_star_is_no_proxy_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all:3")
    monkeypatch.setenv("NO_PROXY", "*")
    assert proxy_for("ws://a/") is None


def test_an_error_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "ftp://u:secret@a")
    with pytest.raises(ValueError, match="HTTPS_PROXY='ftp://a': the scheme"):
        proxy_for("wss://a/")


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        (None, None),
        ({"heartbeat": 5}, None),
        ({"proxy": "http://a:1"}, "http://a:1"),
        ({"proxy": "a:1", "proxy_auth": ("u", "p@")}, "http://u:p%40@a:1"),
        ({"http_proxy_host": "a", "http_proxy_port": 1}, "http://a:1"),
        (
            {
                "http_proxy_host": "a", "http_proxy_port": "1",
                "http_proxy_auth": ("u", "p"), "proxy_type": "socks5h",
            },
            "socks5://u:p@a:1",
        ),
        ({"http_proxy_host": "a", "http_proxy_auth": ("u", None)}, "http://u:@a:80"),
    ],
)  # fmt: skip
def test_the_proxy_of_websocket_extra_options(options: Any, meant: str | None) -> None:
    """As aiohttp has them, and as websocket-client has them."""
    assert proxy_of_websocket_options(options) == meant
    given = HttpOptions.of(websocket_extra_options=options)
    assert given.websocket_proxy == meant


# By real proxies. The host names exist only for them.

SCHEMES = ["http", "https"]
USER = ("us er", "p@ss:/")
CREDENTIALS = "us%20er:p%40ss%3A%2F@"


def proxies() -> list[Any]:
    return [
        pytest.param(HttpProxy, "http", id="http"),
        pytest.param(Socks5Proxy, "socks5", id="socks5"),
    ]


@pytest.fixture
def trusted(server_context: ssl.SSLContext, authority: Any) -> ssl.SSLContext:
    authority.issue_cert("server.test", "127.0.0.1").configure_cert(server_context)
    return server_context


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("kind", "name"), proxies())
async def test_polling_by_a_proxy(
    listen: Listen, make: Make, trusted: ssl.SSLContext, trusting: ssl.SSLContext,
    kind: Any, name: str, scheme: str,
) -> None:  # fmt: skip
    """C19: by HTTP and SOCKS5, with a name and a password."""
    context = trusted if scheme == "https" else None
    server = await listen(HttpServer(response(200, "ok")), context)
    proxy = await listen(kind(*USER))
    client = await make(
        proxy=f"{name}://{CREDENTIALS}127.0.0.1:{proxy.port}", ssl_verify=trusting
    )
    url = f"{scheme}://server.test:{server.port}/socket.io/"
    for _ in range(2):
        assert (await within(client.request("GET", url))).body == b"ok"
    assert (await within(client.request("POST", url, body="4"))).body == b"ok"
    assert f"server.test:{server.port}" in proxy.asked[0]
    assert proxy.accepted == 1


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("variable", ["ALL_PROXY", "{}_PROXY"])
async def test_the_environment_is_enough(
    listen: Listen, make: Make, trusted: ssl.SSLContext, trusting: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch, scheme: str, variable: str,
) -> None:  # fmt: skip
    context = trusted if scheme == "https" else None
    server = await listen(HttpServer(response(200, "ok")), context)
    proxy = await listen(HttpProxy())
    name = variable.format(scheme.upper())
    monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    url = f"{scheme}://server.test:{server.port}/"
    client = await make(ssl_verify=trusting)
    assert (await within(client.request("GET", url))).body == b"ok"
    assert len(proxy.asked) == 1
    direct = await make(proxy=False, ssl_verify=False)
    url = f"{scheme}://127.0.0.1:{server.port}/"
    assert (await within(direct.request("GET", url))).body == b"ok"
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_proxy_that_speaks_tls(
    listen: Listen, make: Make, serve: Any, trusted: ssl.SSLContext,
    trusting: ssl.SSLContext, server_context: ssl.SSLContext, scheme: str,
) -> None:  # fmt: skip
    context = {"ssl": trusted} if scheme == "https" else {}
    server = await serve(socketio_fast.AsyncServer(), **context)
    proxy = await listen(HttpProxy(*USER), server_context)
    client = await make(
        proxy=f"https://{CREDENTIALS}127.0.0.1:{proxy.port}", ssl_verify=trusting
    )
    url = f"{scheme}://server.test:{server.port}/socket.io/?EIO=4&transport="
    answer = await within(client.request("GET", f"{url}polling"))
    assert answer.body.startswith(b"0{")
    url = url.replace("http", "ws", 1)
    options = client.websocket_options(url)
    assert options.proxy_ssl is trusting
    transport, listener = await within(
        picows.ws_connect(
            Messages, f"{url}websocket", ssl_context=options.ssl, proxy=options.proxy,
            proxy_ssl_context=options.proxy_ssl,
        )
    )  # fmt: skip
    assert (await within(listener.first)).startswith("0{")
    transport.disconnect()
    await within(transport.wait_disconnected())
    assert len(proxy.asked) == 2


@pytest.mark.parametrize("where", ["session", "option", "environment", "none"])
async def test_requests_by_a_proxy(
    listen: Listen, make: Make, requests_session: requests.Session, where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    server = await listen(HttpServer(response(200, "ok")))
    proxy = await listen(HttpProxy("u", "p"))
    url = f"http://u:p@127.0.0.1:{proxy.port}"
    options: dict[str, Any] = {}
    if where == "session":
        requests_session.proxies = {"http": url}
    elif where == "option":
        options["proxy"] = url
    else:
        monkeypatch.setenv("HTTP_PROXY", url)
        if where == "none":
            options["proxy"] = False
    client = await make(requests_session, **options)
    answer = await within(client.request("GET", server.url()))
    assert answer.body == b"ok"
    asked = where != "none"
    assert len(proxy.asked) == asked
    found = client.websocket_options(server.url(scheme="ws")).proxy
    assert found == (url if asked else None)


async def test_an_aiohttp_session_by_a_proxy(listen: Listen, make: Make) -> None:
    server = await listen(HttpServer(response(200, "ok")))
    proxy = await listen(HttpProxy("u", "p"))
    url = f"http://u:p@127.0.0.1:{proxy.port}"
    async with aiohttp.ClientSession() as session:
        client = await make(session, proxy=url)
        assert (await within(client.request("GET", server.url()))).body == b"ok"
        assert client.websocket_options(server.url(scheme="ws")).proxy == url
    assert len(proxy.asked) == 1


async def test_the_proxy_of_a_session_is_kept_to(
    listen: Listen, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment is for a session that asks for it."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server = await listen(HttpServer(response(200, "ok")))
    async with aiohttp.ClientSession() as session:
        client = await make(session)
        assert (await within(client.request("GET", server.url()))).body == b"ok"
        assert client.websocket_options(server.url(scheme="ws")).proxy is None
    async with aiohttp.ClientSession(trust_env=True) as session:
        client = await make(session)
        options = client.websocket_options(server.url(scheme="ws"))
        assert options.proxy == "http://127.0.0.1:1"


async def test_options_that_a_session_contradicts_are_errors() -> None:
    async with aiohttp.ClientSession(trust_env=True) as session:
        with pytest.raises(ValueError, match="make it without proxy= and trust_env="):
            await requests_for(session, HttpOptions.of(proxy=False))
        with pytest.raises(ValueError, match="proxy='socks5://a:1' needs a connector"):
            await requests_for(session, HttpOptions.of(proxy="socks5://u:p@a:1"))


class Messages(picows.WSListener):  # type: ignore[misc]
    """Notes what comes first."""

    def __init__(self) -> None:
        import asyncio

        self.first: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if not self.first.done():
            self.first.set_result(frame.get_payload_as_utf8_text())


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize(("kind", "name"), proxies())
async def test_a_websocket_by_what_the_requests_say(
    listen: Listen, make: Make, serve: Any, trusted: ssl.SSLContext,
    trusting: ssl.SSLContext, kind: Any, name: str, scheme: str,
) -> None:  # fmt: skip
    """C19: picows takes the proxy and the context as they are."""
    context = {"ssl": trusted} if scheme == "wss" else {}
    server = await serve(socketio_fast.AsyncServer(), **context)
    proxy = await listen(kind(*USER))
    client = await make(
        proxy=f"{name}://{CREDENTIALS}127.0.0.1:{proxy.port}", ssl_verify=trusting
    )
    url = f"{scheme}://server.test:{server.port}/socket.io/?EIO=4&transport=websocket"
    options = client.websocket_options(url)
    transport, listener = await within(
        picows.ws_connect(
            Messages, url, ssl_context=options.ssl, proxy=options.proxy,
            extra_headers=options.headers,
        )
    )  # fmt: skip
    assert (await within(listener.first)).startswith("0{")
    transport.disconnect()
    await within(transport.wait_disconnected())
    assert f"server.test:{server.port}" in proxy.asked[0]
