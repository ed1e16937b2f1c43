"""Clients behind proxies: their addresses, on every host, and by the PROXY protocol."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.hosts import HOSTS
from support.raw import Connection, polling, within

import socketio_fast
from socketio_fast.options.limits import Limits
from socketio_fast.serving import proxy_protocol
from socketio_fast.serving.proxies import TrustedProxies
from socketio_fast.serving.proxy_protocol import PREFIX_2

Serve = Callable[..., Awaitable[socketio_fast.RunningServer]]

FORWARDED = 'for=198.51.100.9, for="[2001:db8::7]:4711";proto=https;host=a.example'
PATH = "/socket.io/"
LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"
GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"
HANDSHAKE = GET % polling(path=PATH).encode()


class App:
    """A Socket.IO server that notes what it is told of clients."""

    def __init__(self, **options: Any) -> None:
        self.asked: list[dict[str, Any]] = []
        self.sockets: asyncio.Queue[Any] = asyncio.Queue()
        self.environs: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sio = socketio_fast.AsyncServer(**options)
        self.sio.of("/").on("connection", self.sockets.put_nowait)
        self.sio.on("connect", self.connect)

    async def connect(self, sid: str, environ: dict[str, Any]) -> None:
        self.environs.put_nowait(environ)

    async def handshake(self) -> Any:
        return (await within(self.sockets.get())).handshake


@pytest.fixture(params=sorted(HOSTS))
def host(request: pytest.FixtureRequest) -> Any:
    return HOSTS[request.param]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def join(
    http: aiohttp.ClientSession, url: str, transport: str, headers: dict[str, str]
) -> None:
    url += f"{PATH}?EIO=4&transport={transport}"
    if transport == "websocket":
        async with http.ws_connect(url, headers=headers) as ws:
            await within(ws.receive_str())
            await ws.send_str("40")
            assert (await within(ws.receive_str())).startswith("40{")
        return
    async with http.get(url, headers=headers) as response:
        assert response.status == 200, await response.text()
        sid = (await response.text()).split('"')[3]
    async with http.post(f"{url}&sid={sid}", data="40", headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize("hooks", [False, True])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_trusted_proxy(
    host: Any, http: aiohttp.ClientSession, transport: str, hooks: bool
) -> None:
    """U9: a trusted proxy says who a client is, on every host, to hooks too; what the
    client has written itself is left of that. The own origin is the one it names."""
    app = App(trusted_proxies=TrustedProxies("127.0.0.1", "Forwarded"))
    if hooks:
        app.sio.eio.use(lambda environ, headers: app.asked.append(environ))
    headers = {"Forwarded": FORWARDED, "Origin": "https://a.example"}
    async with host(app.sio) as url:
        await join(http, url, transport, headers)
        handshake = await app.handshake()
    assert handshake.address == "2001:db8::7"
    assert handshake.secure
    assert handshake.headers["host"] == "a.example"
    environ = app.environs.get_nowait()
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("2001:db8::7", "4711")
    assert all(asked["REMOTE_ADDR"] == "2001:db8::7" for asked in app.asked)
    assert bool(app.asked) is hooks


@pytest.mark.parametrize(
    "trusted", [(), TrustedProxies(["192.0.2.0/24", "unix"], "Forwarded")]
)
async def test_others_are_not_believed(
    host: Any, http: aiohttp.ClientSession, trusted: Any
) -> None:
    """U9: who is not trusted cannot say who it is."""
    app = App(trusted_proxies=trusted)
    async with host(app.sio) as url:
        await join(http, url, "websocket", {"Forwarded": FORWARDED})
        handshake = await app.handshake()
    assert handshake.address == "127.0.0.1"
    assert not handshake.secure
    assert handshake.headers["host"] != "a.example"


async def test_limits_are_by_the_address_of_the_client(
    host: Any, http: aiohttp.ClientSession
) -> None:
    """U9: connections are counted for the clients, not for their proxy."""
    proxies = TrustedProxies("127.0.0.1", "Forwarded")
    app = App(trusted_proxies=proxies, limits=Limits(connections_per_address=1))
    params = {"EIO": "4", "transport": "polling"}
    async with host(app.sio) as url:
        for client, status in [("a", 200), ("b", 200), ("a", 429)]:
            headers = {"Forwarded": f'for="[2001:db8:{client}::1]"'}
            async with http.get(url + PATH, params=params, headers=headers) as response:
                assert response.status == status


async def test_the_access_log(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """U9: the access log has the client's address."""
    caplog.set_level(logging.INFO, "socketio_fast.access")
    server = await serve(App(trusted_proxies="*").sio, access_log=True)
    async with await Connection.open(server) as connection:
        await connection.get(polling(path=PATH), ("X-Forwarded-For", "192.0.2.7:99"))
    assert "192.0.2.7 - - [" in caplog.text
    assert '] "GET /socket.io/ HTTP/1.1" 200 ' in caplog.text


async def test_a_unix_socket(
    serve: Serve, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    """U9: "unix" trusts who connects by a Unix socket."""
    app = App(trusted_proxies=["unix"])
    await serve(app.sio, uds=tmp_path / "s")
    async with aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(str(tmp_path / "s"))
    ) as unix:
        await join(unix, "http://x", "websocket", {"X-Forwarded-For": "192.0.2.7"})
    assert (await app.handshake()).address == "192.0.2.7"


# --- the PROXY protocol ---------------------------------------------------------


async def address(app: App, connection: Connection) -> tuple[str, str]:
    """Join on a connection: the address and port that the application is told."""
    sid = await connection.open_session(path=PATH)
    (await connection.post(polling(sid, path=PATH), "40")).ok("ok")
    environ = await within(app.environs.get())
    return environ["REMOTE_ADDR"], environ["REMOTE_PORT"]


@pytest.fixture
async def app() -> App:
    return App()


@pytest.mark.parametrize("pieces", [1, 2, 50])
@pytest.mark.parametrize(
    "header",
    [
        LINE,
        PREFIX_2
        + struct.pack("!BBH", 0x21, 0x11, 12)
        + socket.inet_aton("192.0.2.7")
        + socket.inet_aton("198.51.100.1")
        + struct.pack("!HH", 56324, 443),
    ],
)
async def test_the_proxy_protocol(
    serve: Serve, app: App, header: bytes, pieces: int
) -> None:
    """U9: a connection begins with a header, in whatever pieces it comes."""
    server = await serve(app.sio, proxy_protocol=True)
    async with await Connection.open(server) as connection:
        step = -(-len(header) // pieces)
        for i in range(0, len(header), step):
            await connection.send(header[i : i + step])
        assert await address(app, connection) == ("192.0.2.7", "56324")
    assert not app.sio.eio.counters


async def test_a_request_in_the_same_piece(serve: Serve, app: App) -> None:
    """U9: the client's bytes may come with the header."""
    server = await serve(app.sio, proxy_protocol=True)
    async with await Connection.open(server) as connection:
        await connection.send(LINE + HANDSHAKE)
        (await connection.response()).ok()


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", PREFIX_2 + b"\x20\0\0\0"])
async def test_connections_of_the_proxy_itself(
    serve: Serve, app: App, header: bytes
) -> None:
    """U9: LOCAL and UNKNOWN leave the address of the TCP peer."""
    server = await serve(app.sio, proxy_protocol=True)
    async with await Connection.open(server) as connection:
        await connection.send(header)
        assert (await address(app, connection))[0] == "127.0.0.1"


async def test_without_a_header(
    serve: Serve, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    """U9: a connection without a header is closed, logged and counted."""
    server = await serve(app.sio, proxy_protocol=True)
    for data in (HANDSHAKE, b"PROXY TCP4 x\r\n"):
        async with await Connection.open(server) as connection:
            await connection.send(data)
            await connection.eof(reset=True)
    assert app.sio.eio.counters["refused_proxy_protocol"] == 2
    assert "refused: no PROXY protocol: b'GET /socket.io/?'" in caplog.text


async def test_a_header_that_does_not_come(
    serve: Serve, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U9: a header has its time."""
    monkeypatch.setattr(proxy_protocol, "TIMEOUT", 0.05)
    server = await serve(app.sio, proxy_protocol=True)
    async with await Connection.open(server) as connection:
        await connection.send(LINE[:-1])
        await connection.eof(reset=True)
    assert app.sio.eio.counters["refused_proxy_protocol"] == 1


async def test_a_stop_does_not_wait_for_headers(serve: Serve, app: App) -> None:
    """U9: connections without a header end with the server."""
    server = await serve(app.sio, proxy_protocol=True)
    async with await Connection.open(server) as connection:
        await connection.send(LINE[:-1])
        await connection.silent()
        await within(server.close())
        await connection.eof(reset=True)
    assert not app.sio.eio.counters


async def test_beside_an_application(serve: Serve, app: App) -> None:
    """U9: the other application on the port knows the address as well, and requests
    to Engine.IO behind one to it."""
    clients: list[Any] = []

    async def other(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        clients.append(tuple(scope["client"]))
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
            return
        length = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": b""})

    server = await serve(
        socketio_fast.ASGIApp(app.sio, other), proxy_protocol=True, shutdown_timeout=1
    )
    async with await Connection.open(server) as connection:
        await connection.send(LINE)
        for _ in range(2):
            (await connection.get("/other")).ok()
            assert await address(app, connection) == ("192.0.2.7", "56324")
        response = await connection.get(
            "/other",
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        )
        assert response.status == 403
    assert clients == [("192.0.2.7", 56324)] * 3


async def test_not_with_tls(app: App) -> None:
    """U9: asyncio cannot read the header before TLS, and that is said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ValueError, match="proxy_protocol=True with TLS"):
        await socketio_fast.serve(app.sio, port=0, ssl=context, proxy_protocol=True)
