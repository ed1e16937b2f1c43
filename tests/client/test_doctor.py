"""socketio-fast doctor: which cause it names for set-ups that are broken."""

from __future__ import annotations

import asyncio
import datetime
import json
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from support.broken_proxies import ReverseProxy
from support.ports import free_port
from support.scripted_servers import Bytes, HttpProxy, HttpServer, Request, response

import socketio_fast as socketio
from client.conftest import Listen
from socketio_fast.doctor import Finding, Target, as_json, as_text, examine, problems_of
from socketio_fast.doctor.link import Link
from socketio_fast.doctor.network import check_tcp, explain_certificate
from socketio_fast.doctor.origins import check_origin
from socketio_fast.doctor.rendering import summary

ORIGIN = "https://app.example.com"
OTHERS_ORIGIN = "http://app.example.com"

PAGE = response(200, "<html>Hello</html>", {"Content-Type": "text/html"})


async def examined(url: str, **options: Any) -> list[Finding]:
    options = {"idle": False, "patience": 0.3, "timeout": 5.0, **options}
    return [finding async for finding in examine(Target(url, **options))]


async def cause(url: str, **options: Any) -> str:
    """The one cause that it names."""
    found = problems_of(await examined(url, **options))
    (one,) = {each.cause for each in found}
    for each in found:
        assert each.tried
        assert each.came
        assert each.meaning
        assert each.remedy.text
        assert as_text(each).isascii() or "…" in as_text(each)
    return one


Serve = Callable[..., Any]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """``running = await serve(**options)``: a server that is well."""
    running: list[Any] = []

    async def start(server: socketio.AsyncServer | None = None, **options: Any) -> Any:
        serving = {
            name: options.pop(name)
            for name in ("path", "ssl", "uds", "proxy_protocol")
            if name in options
        }
        sio = server or socketio.AsyncServer(**options)
        running.append(
            await socketio.serve(sio, port=0, shutdown_timeout=0.1, **serving)
        )
        return running[-1]

    yield start
    for each in running:
        await each.close()


# --- what is well -------------------------------------------------------------------


async def test_a_server_that_is_well(serve: Serve) -> None:
    server = await serve(ping_interval=0.3, cors_allowed_origins=[OTHERS_ORIGIN])
    found = await examined(server.url, idle=True, origin=OTHERS_ORIGIN)
    assert {each.level for each in found} == {"ok"}
    assert [each.check for each in found] == [
        *("url", "dns", "tcp", "polling", "versions", "cache", "sessions", "delivery"),
        *("websocket", "upgrade", "cors", "preflight", "cors of websocket"),
        *("idle polling", "idle websocket"),
    ]
    assert all(each.seconds is not None for each in found[1:])
    assert "".join(as_text(each) for each in found).count("\n") == len(found)
    assert summary(found) == "No problem found.\n"


async def test_a_heartbeat_that_nobody_waits_for(serve: Serve) -> None:
    server = await serve(ping_interval=3600)
    found = await examined(server.url, idle=True)
    assert (found[-1].check, found[-1].level) == ("idle", "skipped")
    assert "more than 120 s" in found[-1].came


async def test_tls_that_is_well(
    serve: Serve, server_context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    server = await serve(ssl=server_context)
    found = await examined(
        server.url.replace("127.0.0.1", "localhost"), ssl_verify=trusting
    )
    (tls,) = [each for each in found if each.check == "tls"]
    assert tls.level == "ok"
    assert "a certificate for localhost, 127.0.0.1, from" in tls.came
    assert not problems_of(found)


async def test_revision_3_that_is_well(serve: Serve) -> None:
    server = await serve(allow_eio3=True, ping_interval=0.3)
    assert not problems_of(await examined(server.url, eio=3, idle=True))


async def test_a_unix_socket(serve: Serve) -> None:
    with tempfile.TemporaryDirectory() as folder:
        await serve(uds=f"{folder}/s")
        assert not problems_of(await examined(f"unix://{folder}/s"))
        assert await cause(f"unix://{folder}/none") == "no-unix-socket"


async def test_a_proxy_of_the_client(serve: Serve, listen: Listen) -> None:
    server = await serve()
    proxy = await listen(HttpProxy())
    found = await examined(server.url, proxy=f"http://127.0.0.1:{proxy.port}")
    assert not problems_of(found)
    assert "by the proxy" in found[0].came
    assert {"dns", "tcp"}.isdisjoint(each.check for each in found)


async def test_a_proxy_of_the_client_that_fails(
    serve: Serve, listen: Listen, server_context: ssl.SSLContext
) -> None:
    server = await serve(ssl=server_context)
    refusing = await listen(HttpProxy(user="ann", password="x"))
    for port in (refusing.port, free_port()):
        found = await cause(server.url, proxy=f"http://127.0.0.1:{port}")
        assert found == "proxy-failed"
    proxy = await listen(HttpProxy())
    found = await cause(server.url, proxy=f"http://127.0.0.1:{proxy.port}")
    assert found == "tls-untrusted"


async def test_a_server_that_offers_one_transport(serve: Serve) -> None:
    by_websocket = await serve(transports=["websocket"])
    found = await examined(by_websocket.url)
    assert not problems_of(found)
    assert "polling-not-offered" in {each.cause for each in found}
    by_polling = await serve(transports=["polling"])
    assert await cause(by_polling.url) == "websocket-not-offered"
    assert not problems_of(await examined(by_polling.url, transports=("polling",)))


# --- before HTTP --------------------------------------------------------------------


async def test_a_name_without_an_address() -> None:
    assert await cause("http://no-such-host.invalid") == "dns-failure"


async def test_nobody_listens() -> None:
    assert await cause(f"http://127.0.0.1:{free_port()}") == "connection-refused"


async def test_one_of_two_addresses(serve: Serve) -> None:
    """As of localhost, where a server listens on 127.0.0.1 alone."""
    server = await serve()
    finding = await check_tcp(Target(server.url), ["127.0.0.1", "127.0.0.2"])
    assert (finding.level, finding.cause) == ("warning", "some-addresses-fail")
    assert f"127.0.0.2:{server.port}: Connection refused" in finding.came


def own_context(authority: trustme.CA, *names: str, **times: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names, **times).configure_cert(context)
    return context


DAY = datetime.timedelta(days=1)


@pytest.mark.parametrize(
    ("names", "days", "expected", "told"),
    [
        (["localhost"], (-30, -1), "tls-expired", "certificate for localhost, from"),
        (["localhost"], (1, 30), "tls-not-yet-valid", "certificate for localhost"),
        (
            ["a.example", "b.example"],
            (-1, 30),
            "tls-wrong-name",
            "a.example, b.example",
        ),
    ],
)
async def test_certificates(
    serve: Serve,
    authority: trustme.CA,
    trusting: ssl.SSLContext,
    names: list[str],
    days: tuple[int, int],
    expected: str,
    told: str,
) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    context = own_context(
        authority,
        *names,
        not_before=now + days[0] * DAY,
        not_after=now + days[1] * DAY,
    )
    server = await serve(ssl=context)
    url = f"https://localhost:{server.port}"
    assert await cause(url, ssl_verify=trusting) == expected
    (finding,) = problems_of(await examined(url, ssl_verify=trusting))
    assert told in finding.came


async def test_an_authority_that_nobody_knows(
    serve: Serve, server_context: ssl.SSLContext
) -> None:
    server = await serve(ssl=server_context)
    url = f"https://localhost:{server.port}"
    assert await cause(url) == "tls-untrusted"
    found = await examined(url, ssl_verify=False)
    assert not problems_of(found)
    assert "tls-unverified" in {each.cause for each in found}


async def test_a_self_signed_certificate(
    serve: Serve, authority: trustme.CA, tmp_path: Path
) -> None:
    file = tmp_path / "own.pem"
    for blob in (authority.private_key_pem, authority.cert_pem):
        blob.write_to_path(file, append=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    server = await serve(ssl=context)
    assert await cause(f"https://localhost:{server.port}") == "tls-self-signed"


def test_a_certificate_that_is_wrong_in_another_way() -> None:
    error = ssl.SSLCertVerificationError("revoked")
    error.verify_code = 23
    found, _, remedy = explain_certificate(error)
    assert found == "tls-not-accepted"
    assert "openssl" in remedy.text


async def test_http_and_https_are_mixed_up(
    serve: Serve, server_context: ssl.SSLContext
) -> None:
    plain = await serve()
    assert await cause(f"https://127.0.0.1:{plain.port}") == "tls-not-spoken"
    secure = await serve(ssl=server_context)
    assert await cause(f"http://127.0.0.1:{secure.port}") == "tls-expected"


# --- the first request --------------------------------------------------------------


async def test_another_path(serve: Serve) -> None:
    server = await serve(path="/api/socket.io")
    (finding,) = problems_of(await examined(server.url))
    assert finding.cause == "wrong-path"
    assert "there is one at /api/socket.io/" in finding.meaning
    assert "--path api/socket.io" in finding.remedy.text
    assert await cause(server.url, transports=("websocket",)) == "wrong-path"


async def test_a_path_in_the_url(serve: Serve) -> None:
    server = await serve(path="/live/socket.io")
    found = await examined(f"{server.url}/live")
    assert found[0].cause == "path-in-url"
    (finding,) = problems_of(found)
    assert "--path live/socket.io" in finding.remedy.text


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (response(404, "nothing"), "wrong-path"),
        (PAGE, "html-page"),
        (
            response(200, "<form>Log in to our Wi-Fi", {"Content-Type": "text/html"}),
            "captive-portal",
        ),
        (
            response(302, "", {"Location": "http://wifi.example/login"}),
            "captive-portal",
        ),
        (response(511, "Network Authentication Required"), "captive-portal"),
        (response(302, "", {"Location": "https://127.0.0.1/"}), "redirect-to-https"),
        (response(301, "", {"Location": "/socket.io"}), "redirect"),
        (response(302, "", {"Location": "http://b.example/"}), "redirect"),
        (response(401), "unauthorized"),
        (response(403, "<html>no"), "forbidden"),
        (response(429), "too-many-requests"),
        (response(500), "http-error"),
        (response(502, "<html>Bad Gateway"), "bad-gateway"),
        (response(503), "unavailable"),
        (response(504), "gateway-timeout"),
        (response(400, '{"code":4,"message":"no"}'), "refused"),
        (
            response(
                400,
                "The plain HTTP request was sent to HTTPS port",
                {"Server": "nginx"},
            ),
            "tls-expected",
        ),
        (
            response(
                200, '96:0{"sid":"a","upgrades":["websocket"],"pingInterval":1}2:40'
            ),
            "eio3-server",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_responses(listen: Listen, reply: bytes, expected: str) -> None:
    server = await listen(HttpServer(reply))
    assert await cause(server.url("")) == expected


async def test_what_is_no_http(listen: Listen) -> None:
    server = await listen(Bytes(b"SSH-2.0-OpenSSH_9.2\r\n"))
    assert await cause(f"http://127.0.0.1:{server.port}") == "no-http"


async def test_a_server_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        assert await cause(url, timeout=0.3) == "no-answer"


async def test_the_proxy_protocol_is_expected(serve: Serve) -> None:
    server = await serve(proxy_protocol=True)
    (finding,) = problems_of(await examined(server.url))
    assert finding.cause == "no-http"
    assert "PROXY protocol" in finding.remedy.text


async def test_a_client_of_revision_3(serve: Serve) -> None:
    server = await serve()
    (finding,) = problems_of(await examined(server.url, eio=3))
    assert finding.cause == "eio3-refused"
    assert "allow_eio3=True" in finding.remedy.text


async def test_what_a_server_sends_is_escaped(listen: Listen) -> None:
    server = await listen(HttpServer(response(404, "\x1b[2J\x1b]0;x\x07\nno")))
    for finding in await examined(server.url("")):
        assert "\x1b" not in as_text(finding)
        assert "\\x1b[2J" in finding.came or finding.level == "ok"


# --- what proxies do ----------------------------------------------------------------


async def test_a_proxy_that_strips_upgrade(serve: Serve, listen: Listen) -> None:
    server = await serve()
    proxy = await listen(ReverseProxy(server.port, strip=("upgrade", "connection")))
    (finding,) = problems_of(await examined(proxy.url))
    assert (finding.check, finding.cause) == ("websocket", "upgrade-stripped")
    assert "proxy_set_header Upgrade" in finding.remedy.configuration["nginx"]


async def test_a_proxy_that_buffers(serve: Serve, listen: Listen) -> None:
    server = await serve()
    proxy = await listen(ReverseProxy(server.port, held_back=65_536))
    found = await examined(proxy.url, timeout=0.5)
    (finding,) = problems_of(found)
    assert (finding.check, finding.cause) == ("polling", "buffered")
    assert "proxy_buffering off" in finding.remedy.configuration["nginx"]


async def test_a_proxy_that_buffers_websockets(serve: Serve, listen: Listen) -> None:
    """Its responses end with their connection, as nginx asks servers to do."""

    def close(request: Request) -> None:
        if "upgrade" not in request.headers:
            request.headers["connection"] = "close"

    server = await serve()
    proxy = await listen(ReverseProxy(server.port, held_back=65_536, rewrite=close))
    assert await cause(proxy.url) == "websocket-buffered"


async def test_a_cache(serve: Serve, listen: Listen) -> None:
    server = await serve()
    proxy = await listen(ReverseProxy(server.port, cached=True))
    assert await cause(proxy.url) == "cached"


async def test_two_servers_that_share_nothing(serve: Serve, listen: Listen) -> None:
    first, second = await serve(), await serve()
    proxy = await listen(ReverseProxy(first.port, second.port))
    found = problems_of(await examined(proxy.url))
    assert {each.cause for each in found} == {"not-sticky"}
    assert "ip_hash" in found[0].remedy.configuration["nginx"]


async def test_a_proxy_that_closes_idle_connections(
    serve: Serve, listen: Listen
) -> None:
    server = await serve(ping_interval=1.5)
    proxy = await listen(ReverseProxy(server.port, idle=0.5))
    found = problems_of(await examined(proxy.url, idle=True))
    assert [each.cause for each in found] == ["idle-timeout", "idle-timeout"]
    for each in found:
        assert "after 0." in each.came
        assert "proxy_read_timeout" in each.remedy.configuration["nginx"]


async def test_a_proxy_that_forbids_websockets(serve: Serve, listen: Listen) -> None:
    server = await serve()
    firewall = await listen(HttpServer(response(403, "WebSockets are not allowed")))
    proxy = await listen(ReverseProxy(server.port, websockets=firewall.port))
    assert await cause(proxy.url) == "websocket-forbidden"


async def test_limits_of_the_server(serve: Serve) -> None:
    server = await serve(limits=socketio.Limits(connections=1))
    assert await cause(server.url) == "too-many-requests"


# --- origins ------------------------------------------------------------------------


async def test_an_origin_that_is_not_allowed(serve: Serve) -> None:
    server = await serve()
    found = problems_of(await examined(server.url, origin=OTHERS_ORIGIN))
    assert [each.check for each in found] == ["cors", "cors of websocket"]
    assert {each.cause for each in found} == {"cors-refused"}
    assert f"cors_allowed_origins=['{OTHERS_ORIGIN}']" in found[0].remedy.text


async def test_a_header_that_two_have_written(serve: Serve, listen: Listen) -> None:
    server = await serve(cors_allowed_origins=[OTHERS_ORIGIN])
    added = b"Access-Control-Allow-Origin: *\r\n"
    proxy = await listen(ReverseProxy(server.port, added=added))
    assert await cause(proxy.url, origin=OTHERS_ORIGIN) == "cors-twice"


OPEN = '0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "cors-missing"),
        ({"Access-Control-Allow-Origin": f"{OTHERS_ORIGIN}/"}, "cors-other-origin"),
    ],
)
async def test_headers_of_other_servers(
    listen: Listen, headers: dict[str, str], expected: str
) -> None:
    """Node's answers any origin, and leaves the rest to the browser."""
    count = 0

    def reply(request: Request) -> bytes:
        nonlocal count
        count += 1
        if request.method == "POST" or "sid=" in request.target:
            return response(200, '40{"sid":"b"}' if request.method == "GET" else "ok")
        return response(200, OPEN.replace('"a"', f'"a{count}"'), headers)

    server = await listen(HttpServer(reply))
    found = await cause(server.url(""), origin=OTHERS_ORIGIN, transports=("polling",))
    assert found == expected


async def test_a_page_of_https_and_a_server_of_http() -> None:
    async with Link(Target("http://chat.example.com")) as link:
        (finding,) = await check_origin(link, ORIGIN)
    assert finding.cause == "mixed-content"


# --- the application ----------------------------------------------------------------


async def test_a_namespace_that_is_refused(serve: Serve) -> None:
    sio = socketio.AsyncServer(namespaces=["/", "/secret"])

    @sio.on("connect", namespace="/secret")
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        if auth != {"token": 1}:
            raise socketio.exceptions.ConnectionRefusedError("who are you?")

    server = await serve(sio)
    found = await examined(server.url, namespace="/secret")
    assert not problems_of(found)
    refused = [each for each in found if each.cause == "namespace-refused"]
    assert [each.check for each in refused] == ["delivery", "websocket"]
    assert "who are you?" in refused[0].came
    found = await examined(server.url, namespace="/secret", auth={"token": 1})
    assert {each.level for each in found} == {"ok", "skipped"}


async def test_a_connect_handler_that_takes_long(serve: Serve) -> None:
    sio = socketio.AsyncServer()

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        await asyncio.sleep(3600)

    server = await serve(sio)
    sio_findings = await examined(server.url)
    slow = [each.check for each in sio_findings if each.cause == "slow-connect"]
    assert slow == ["delivery", "websocket"]
    assert not problems_of(sio_findings)


# --- what it says -------------------------------------------------------------------


async def test_json(serve: Serve) -> None:
    server = await serve()
    told = json.loads(as_json(server.url, await examined(server.url, path="x")))
    assert (told["url"], told["problems"]) == (server.url, 1)
    last = told["findings"][-1]
    assert last["cause"] == "wrong-path"
    assert set(last) == {
        *("check", "level", "cause", "tried", "came", "meaning", "remedy", "seconds")
    }
