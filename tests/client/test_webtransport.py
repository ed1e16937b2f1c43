"""Clients by WebTransport, against this package's server, by UDP."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from aioquic.asyncio import serve as serve_quic
from aioquic.h3.connection import H3_ALPN
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from support.ports import free_port
from support.threaded_servers import running
from support.waiting import until, within
from support.webtransport import certificate, signed

import socketio_fast as socketio
from socketio_fast import exceptions
from socketio_fast.clients import webtransport as module
from socketio_fast.hosting.webtransport import Connection, Session, WebTransportServer
from socketio_fast.webtransport.streams import StreamConnection

ALL = ["polling", "websocket", "webtransport"]
DIRECT = ["webtransport"]

Connect = Callable[..., Awaitable[Any]]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, bytes]:
    """The file of a certificate, and its hash."""
    return certificate(tmp_path)


def echoing(**options: Any) -> socketio.AsyncServer:
    sio = socketio.AsyncServer(**{"transports": ALL, **options})

    @sio.event
    async def echo(sid: str, *args: Any) -> Any:
        await sio.emit("echo", args, to=sid)
        return args

    @sio.event
    async def transport(sid: str) -> str:
        return sio.transport(sid)

    return sio


class Network:
    """A server, and the clients that a test connects to it."""

    def __init__(
        self, serve: Any, pair: tuple[str, bytes], hosts: list[WebTransportServer]
    ) -> None:
        self.file, self.hash = pair
        self._hosts = hosts
        self._serve = serve
        self.clients: list[Any] = []
        self.sio = echoing()
        self.server: Any = None

    async def start(self, **options: Any) -> None:
        self.sio = echoing(**options)
        self.server = await self._serve(
            self.sio, ssl_certfile=self.file, webtransport=True
        )

    def end_udp(self) -> None:
        """Close the server's UDP socket, and its connections without a word to the
        namespaces."""
        self._hosts[-1].close()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.port}"

    def new(self, **options: Any) -> socketio.AsyncClient:
        options.setdefault(
            "webtransport_options", {"server_certificate_hashes": [self.hash]}
        )
        options.setdefault("ssl_verify", False)
        options.setdefault("reconnection_delay", 0.01)
        client = socketio.AsyncClient(**options)
        self.clients.append(client)
        return client

    async def connected(
        self, transports: list[str] = DIRECT, **options: Any
    ) -> socketio.AsyncClient:
        client = self.new(**options)
        await within(
            client.connect(self.url, transports=transports, wait_timeout=10), "connect"
        )
        return client


@pytest.fixture
async def network(
    serve: Any, pair: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Network]:
    hosts: list[WebTransportServer] = []
    listen = WebTransportServer.listen

    async def noted(host: WebTransportServer, beside: Any) -> None:
        hosts.append(host)
        await listen(host, beside)

    monkeypatch.setattr(WebTransportServer, "listen", noted)
    made = Network(serve, pair, hosts)
    yield made
    for client in made.clients:
        await within(client.shutdown(), "shutdown")


# --- direct -----------------------------------------------------------------------


async def test_echoes(network: Network) -> None:
    """C28: direct."""
    await network.start()
    client = await network.connected()
    assert client.transport() == "webtransport"
    assert await client.call("transport") == "webtransport"
    for value in ("é" * 3, b"\x00\x01", {"a": [b"x", "y"]}, "x" * 900_000, b""):
        assert await within(client.call("echo", value)) == value


async def test_messages_beyond_the_window_of_flow_control(network: Network) -> None:
    await network.start(max_http_buffer_size=10_000_000)
    client = await network.connected()
    big = b"z" * 3_000_000
    assert await within(client.call("echo", big)) == big
    assert await within(client.call("echo", "y" * 3_000_000)) == "y" * 3_000_000


async def test_what_was_emitted_arrives_before_the_disconnection(
    network: Network,
) -> None:
    await network.start()
    got: list[int] = []
    gone = asyncio.Event()

    @network.sio.event
    def item(sid: str, n: int, data: bytes) -> None:
        got.append(n)

    @network.sio.event
    def disconnect(sid: str, reason: str) -> None:
        gone.set()

    client = await network.connected()
    for n in range(40):
        await client.emit("item", (n, b"x" * 50_000))
    await within(client.disconnect(), "disconnect")
    await within(gone.wait(), "the server's disconnect")
    assert got == list(range(40))


async def test_the_query_the_headers_and_cookies_reach_the_server(
    network: Network,
) -> None:
    await network.start()
    found: list[dict[str, Any]] = []

    @network.sio.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        found.append(environ)

    client = network.new(query={"version": "2"})
    await client.connect(
        f"{network.url}?room=7",
        headers={"X-Trace": "1", "Cookie": "a=b", "Connection": "close"},
        transports=DIRECT,
        wait_timeout=10,
    )
    (environ,) = found
    query = environ["QUERY_STRING"]
    assert "room=7" in query
    assert "version=2" in query
    assert "transport=webtransport" in query
    assert environ["HTTP_X_TRACE"] == "1"
    assert environ["HTTP_COOKIE"] == "a=b"
    assert environ["SERVER_PROTOCOL"] == "HTTP/3"


async def test_the_heartbeat(network: Network) -> None:
    await network.start(ping_interval=0.2, ping_timeout=0.2)
    client = await network.connected()
    pings: list[None] = []
    client.manager.on("ping", lambda: pings.append(None))
    await until(lambda: len(pings) >= 4)
    assert client.connected


@pytest.mark.parametrize("end", ["disconnect", "close"])
async def test_the_server_ends_the_connection(network: Network, end: str) -> None:
    await network.start()
    client = await network.connected(reconnection=False)
    reasons: asyncio.Queue[str] = asyncio.Queue()
    client.on("disconnect", reasons.put_nowait)
    if end == "disconnect":
        await network.sio.disconnect(client.get_sid())
        assert await within(reasons.get()) == "server disconnect"
    else:
        await network.server.close()
        # As by WebSocket: servers that stop disconnect nobody's namespaces.
        assert await within(reasons.get()) in ("transport error", "server disconnect")
    await within(client.wait(), "wait()")


async def test_a_server_that_has_gone_is_noticed(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing any more: its socket is there, and nobody reads it."""
    await network.start(ping_interval=0.3, ping_timeout=0.3)
    client = await network.connected(reconnection=False)
    told: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    @client.on("disconnect")
    def disconnect(reason: str, description: Any) -> None:
        told.put_nowait((reason, description))

    monkeypatch.setattr(Connection, "datagram_received", lambda self, data, addr: None)
    monkeypatch.setattr(Connection, "transmit", lambda self: None)
    assert await within(told.get()) == ("transport error", "ping timeout")
    await within(client.wait(), "wait()")


async def test_reconnects_when_the_server_comes_back(
    network: Network, serve: Any
) -> None:
    await network.start()
    port = network.server.port
    client = await network.connected()
    connects: asyncio.Queue[None] = asyncio.Queue()
    client.on("connect", lambda: connects.put_nowait(None))
    network.end_udp()
    await until(lambda: not client.connected)
    await client.emit("echo", "while away")
    echoes: asyncio.Queue[Any] = asyncio.Queue()
    client.on("echo", echoes.put_nowait)
    await network.server.close()
    network.server = await serve(
        network.sio, port=port, ssl_certfile=network.file, webtransport=True
    )
    await within(connects.get(), "connect")
    assert await within(echoes.get()) == "while away"
    assert client.transport() == "webtransport"


def test_the_client_for_threads(pair: tuple[str, bytes], tmp_path: Path) -> None:
    options = {"server_certificate_hashes": [pair[1]]}
    with (
        running(echoing, ssl_certfile=pair[0], webtransport=True) as server,
        socketio.Client(webtransport_options=options) as client,
    ):
        client.connect(server.url, transports=DIRECT, wait_timeout=10)
        assert client.call("echo", b"x", timeout=10) == b"x"
        assert client.transport() == "webtransport"


# --- the upgrade ------------------------------------------------------------------


@pytest.mark.parametrize("transports", [["polling", "webtransport"], ALL])
async def test_upgrades(network: Network, transports: list[str]) -> None:
    """C28: as an upgrade."""
    await network.start()
    client = network.new()
    upgrades: list[str] = []
    client.manager.on("upgrade", upgrades.append)
    await within(
        client.connect(network.url, transports=transports, wait_timeout=10), "connect"
    )
    assert upgrades == ["webtransport"]
    assert client.transport() == "webtransport"
    assert await within(client.call("transport")) == "webtransport"


async def test_nothing_is_lost_or_reordered_by_the_upgrade(network: Network) -> None:
    await network.start()
    client = network.new()
    got: list[int] = []
    back: list[int] = []
    sent = 0

    @network.sio.event
    async def item(sid: str, n: int, data: bytes) -> None:
        got.append(n)
        await network.sio.emit("back", n, to=sid)

    client.on("back", back.append)
    connecting = asyncio.ensure_future(
        client.connect(network.url, transports=ALL, wait_timeout=10)
    )
    await until(lambda: client.get_sid() is not None)
    while not connecting.done():
        # Never more than what a busy machine carries before the upgrade is too late.
        if sent - len(back) < 64:
            await client.emit("item", (sent, b"x" * (sent % 7 * 300)))
            sent += 1
        await asyncio.sleep(0)
    await connecting
    for _ in range(50):
        await client.emit("item", (sent, b""))
        sent += 1
    assert client.transport() == "webtransport"
    await until(lambda: len(back) == sent)
    assert got == back == list(range(sent))


async def test_websocket_is_taken_where_udp_does_not_pass(network: Network) -> None:
    """Nobody listens on the UDP port."""
    await network.start()
    network.end_udp()
    client = network.new()
    errors: asyncio.Queue[Exception] = asyncio.Queue()
    client.manager.on("upgrade_error", errors.put_nowait)
    await within(
        client.connect(network.url, transports=ALL, wait_timeout=10), "connect"
    )
    assert client.transport() == "websocket"
    assert "nobody answers there by UDP" in str(await within(errors.get()))
    assert await client.call("echo", 1) == 1


async def test_websocket_is_taken_where_udp_is_dropped(network: Network) -> None:
    """What a firewall does: WebTransport is given up when WebSocket has connected."""
    await network.start()
    network.end_udp()
    loop = asyncio.get_running_loop()
    silent, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, ("127.0.0.1", network.server.port)
    )
    try:
        client = network.new()
        await within(
            client.connect(network.url, transports=ALL, wait_timeout=10), "connect"
        )
        assert client.transport() == "websocket"
    finally:
        silent.close()


async def test_websocket_is_taken_where_webtransport_refuses_the_session(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is there, and the upgrade fails."""
    await network.start()
    monkeypatch.setattr(
        Session, "_read_open_packet", lambda session: session.close(400, "not today")
    )
    client = network.new()
    errors: asyncio.Queue[Exception] = asyncio.Queue()
    client.manager.on("upgrade_error", errors.put_nowait)
    await within(
        client.connect(network.url, transports=ALL, wait_timeout=10), "connect"
    )
    assert client.transport() == "websocket"
    assert "with code 400: not today" in str(await within(errors.get()))


async def test_polling_goes_on_where_no_upgrade_succeeds(network: Network) -> None:
    await network.start()
    network.end_udp()
    client = await network.connected(["polling", "webtransport"])
    assert client.transport() == "polling"
    assert await client.call("echo", b"x") == b"x"


async def test_there_is_no_upgrade_to_it_without_tls(serve: Any) -> None:
    server = await serve(echoing())
    client = socketio.AsyncClient()
    await client.connect(server.url, transports=ALL, wait_timeout=10)
    assert client.transport() == "websocket"
    await client.disconnect()


# --- failures ---------------------------------------------------------------------


async def failure(client: Any, url: str, transports: list[str] = DIRECT) -> str:
    with pytest.raises(exceptions.ConnectionError) as caught:
        await within(client.connect(url, transports=transports), "connect")
    assert "secret" not in str(caught.value)
    return str(caught.value)


async def test_a_url_without_tls(network: Network) -> None:
    text = await failure(network.new(), "http://user:secret@127.0.0.1:1?token=secret")
    assert "use a URL of https" in text


async def test_a_proxy(network: Network) -> None:
    client = network.new(proxy="http://127.0.0.1:1")
    assert "goes by UDP, which a proxy" in await failure(client, "https://127.0.0.1:1")


async def test_revision_3(network: Network) -> None:
    client = network.new(eio=3)
    assert "eio=3 has no WebTransport" in await failure(client, "https://127.0.0.1:1")


async def test_nobody_listens(network: Network) -> None:
    url = f"https://127.0.0.1:{free_port()}"
    assert "nobody answers there by UDP" in await failure(network.new(), url)


async def test_a_server_that_answers_nothing(network: Network) -> None:
    loop = asyncio.get_running_loop()
    silent, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, ("127.0.0.1", 0)
    )
    port = silent.get_extra_info("sockname")[1]
    try:
        client = network.new(connect_timeout=0.5)
        text = await failure(client, f"https://127.0.0.1:{port}")
        assert "within connect_timeout=0.5 seconds" in text
    finally:
        silent.close()


async def test_a_server_that_answers_garbage(network: Network) -> None:
    class Garbage(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            for answer in (b"", b"\x00" * 50, data[::-1], b"\xc0" + data[1:]):
                self.transport.sendto(answer, addr)

    loop = asyncio.get_running_loop()
    answering, _ = await loop.create_datagram_endpoint(Garbage, ("127.0.0.1", 0))
    port = answering.get_extra_info("sockname")[1]
    try:
        client = network.new(connect_timeout=1)
        await failure(client, f"https://127.0.0.1:{port}")
    finally:
        answering.close()


async def test_a_certificate_that_nobody_has_signed(network: Network) -> None:
    await network.start()
    client = network.new(webtransport_options=None, ssl_verify=True)
    text = await failure(client, f"https://localhost:{network.server.port}")
    assert "TLS has failed, alert 42 (self-signed certificate)" in text
    assert "server_certificate_hashes" in text


@pytest.fixture
def issued(network: Network, authority: trustme.CA, tmp_path: Path) -> Network:
    """A server with a certificate of an authority, for localhost."""
    file = tmp_path / "issued.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(file)
    network.file = str(file)
    return network


async def test_a_certificate_of_another_host(
    issued: Network, trusting: ssl.SSLContext
) -> None:
    await issued.start()
    client = issued.new(webtransport_options=None, ssl_verify=trusting)
    text = await failure(client, issued.url)
    assert "TLS has failed, alert 42" in text
    assert "use a name that the certificate has" in text


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_a_certificate_of_an_authority(
    issued: Network, trusting: ssl.SSLContext, name: str
) -> None:
    await issued.start()
    trusting.check_hostname = name == "localhost"
    client = issued.new(webtransport_options=None, ssl_verify=trusting)
    url = f"https://{name}:{issued.server.port}"
    await client.connect(url, transports=DIRECT, wait_timeout=10)
    assert await client.call("echo", 1) == 1


async def test_the_name_that_the_certificate_must_have(
    issued: Network, trusting: ssl.SSLContext
) -> None:
    await issued.start()
    client = await issued.connected(
        webtransport_options=None,
        ssl_verify=trusting,
        websocket_extra_options={"server_hostname": "localhost"},
    )
    assert await client.call("echo", 1) == 1


async def test_authorities_that_cannot_be_read(network: Network) -> None:
    """Those of a folder, which OpenSSL reads when it needs one, and no authorities."""
    await network.start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(network.file)
    client = network.new(webtransport_options=None, ssl_verify=context)
    assert "has no authorities" in await failure(client, network.url)


async def test_any_certificate(network: Network) -> None:
    await network.start()
    client = await network.connected(webtransport_options=None, ssl_verify=False)
    assert await client.call("echo", 1) == 1


async def test_another_hash(network: Network) -> None:
    await network.start()
    options = {"server_certificate_hashes": [bytes(32)]}
    client = network.new(webtransport_options=options)
    text = await failure(client, network.url)
    assert f"the SHA-256 {network.hash.hex(':')}" in text


@pytest.mark.parametrize(
    "value",
    [
        *(lambda h: h, lambda h: h.hex(":").upper(), lambda h: h.hex()),
        lambda h: {"algorithm": "sha-256", "value": h},
    ],
)
async def test_forms_of_a_hash(network: Network, value: Any) -> None:
    await network.start()
    options = {"server_certificate_hashes": [bytes(32), value(network.hash)]}
    client = await network.connected(webtransport_options=options)
    assert client.transport() == "webtransport"


@pytest.mark.parametrize(
    "options",
    [
        *({"server_certificate_hashes": [value]} for value in ("x", b"x", 7, None)),
        {"server_certificate_hashes": [{"algorithm": "md5", "value": bytes(32)}]},
        *({"serverCertificateHashes": []}, [], "x"),
    ],
)
def test_options_that_are_none(options: Any) -> None:
    with pytest.raises(ValueError, match="server_certificate_hashes"):
        socketio.AsyncClient(webtransport_options=options)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"days": 20}, "valid for 20 days"),
        ({"begins": -5, "days": 4}, "is valid from"),
        ({"key": "rsa"}, "no ECDSA key"),
        ({}, None),
    ],
)
def test_what_may_be_accepted_by_its_hash(
    changes: dict[str, Any], text: str | None
) -> None:
    made, digest = signed(**changes)
    if text is None:
        module.check_by_hash(made, [digest])
        return
    with pytest.raises(module.QuicError, match=text):
        module.check_by_hash(made, [digest])


async def test_another_path(network: Network) -> None:
    await network.start()
    client = network.new()
    with pytest.raises(exceptions.ConnectionError, match="HTTP 404"):
        await client.connect(network.url, transports=DIRECT, socketio_path="other")


async def test_an_origin_that_is_refused(network: Network) -> None:
    await network.start(cors_allowed_origins=["https://a.example"])
    client = network.new()
    with pytest.raises(exceptions.ConnectionError, match="HTTP 403") as caught:
        await client.connect(
            network.url, {"Origin": "https://b.example"}, transports=DIRECT
        )
    assert getattr(caught.value, "status", None) == 403


async def test_a_connection_that_the_server_refuses(network: Network) -> None:
    await network.start(allow_request=lambda environ: False)
    text = await failure(network.new(), network.url)
    assert "closed the WebTransport session with code 403" in text


async def test_without_aioquic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aioquic.asyncio.protocol", None)
    for name in ("webtransport.streams", "clients.webtransport"):
        monkeypatch.delitem(sys.modules, f"socketio_fast.{name}")
    client = socketio.AsyncClient()
    with pytest.raises(ImportError, match=r"socketio-fast\[webtransport\]"):
        await client.connect("https://127.0.0.1:1", transports=DIRECT)
    assert client.eio.state == "disconnected"


async def test_connections_leave_nothing(network: Network) -> None:
    await network.start()
    await (await network.connected()).disconnect()
    before = len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
    for transports in [DIRECT] * 10 + [ALL] * 5:
        client = await network.connected(transports)
        assert await client.call("echo", 1) == 1
        await within(client.disconnect(), "disconnect")

    def now() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())

    await until(lambda: now() <= before)


# --- servers that break rules -----------------------------------------------------


class Scripted(StreamConnection):
    """A server that answers the request, and what comes by the stream."""

    status = 200
    answer: bytes | None = b""
    capsule = b""

    def quic_event_received(self, event: Any) -> None:
        for happened in self.http.handle_event(event):
            if isinstance(happened, HeadersReceived):
                self.http.send_headers(
                    happened.stream_id,
                    [(b":status", b"%d" % self.status)],
                    end_stream=self.status != 200,
                )
            elif self.capsule:
                self.http.send_data(0, self.capsule, end_stream=False)
            elif self.answer is None:
                self._quic.reset_stream(happened.stream_id, 7)
            else:
                self._quic.send_stream_data(happened.stream_id, self.answer)


@pytest.fixture
async def scripted(network: Network) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """``url = await scripted(status=500)``"""
    servers = []

    async def start(**script: Any) -> str:
        configuration = QuicConfiguration(
            alpn_protocols=H3_ALPN, is_client=False, max_datagram_frame_size=65536
        )
        configuration.load_cert_chain(network.file)
        port = free_port()
        kind = type("Kind", (Scripted,), script)

        def protocol(quic: Any, stream_handler: Any = None) -> Any:
            return kind(quic)

        servers.append(
            await serve_quic(
                "127.0.0.1", port, configuration=configuration, create_protocol=protocol
            )
        )
        return f"https://127.0.0.1:{port}"

    yield start
    for server in servers:
        server.close()


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ({"status": 500}, "HTTP 500"),
        ({"answer": b"\x00"}, "an empty packet"),
        ({"answer": b"\x01\xff"}, "not UTF-8"),
        ({"answer": b'\x0540["a'}, "where the open packet was expected"),
        ({"answer": b"\x81\x00"}, "binary message where the open packet was"),
        ({"answer": b"\x020x"}, "open packet is not JSON"),
        ({"answer": b"\x7f" + b"\xff" * 8}, "more than max_http_buffer_size"),
        ({"answer": None}, "has reset the stream, with error 0x7"),
        ({"capsule": b"\x68\x43\x06\0\0\0\x05\x1b["}, r"code 5: \x1b["),
    ],
)
async def test_a_server_that_breaks_a_rule(
    network: Network, scripted: Any, script: dict[str, Any], text: str
) -> None:
    url = await scripted(**script)
    assert text in await failure(network.new(), url)


async def test_a_server_that_sends_no_open_packet(
    network: Network, scripted: Any
) -> None:
    url = await scripted()
    client = network.new(connect_timeout=0.5)
    assert "connect_timeout=0.5" in await failure(client, url)
