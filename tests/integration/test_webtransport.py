"""WebTransport: sessions by HTTP/3, against a client of aioquic's."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.raw import Connection, WebSocket, polling, upgrade_request, within
from support.webtransport import Client, Session, beside, certificate, connected

import socketio_fast
import socketio_fast.engineio
from integration.conftest import Echo
from socketio_fast.hosting import webtransport
from socketio_fast.options.limits import Limits

ALL = ["polling", "websocket", "webtransport"]


class Program:
    """An echo server with WebTransport, and connections to it."""

    def __init__(self, echo: Echo, server: Any, stack: AsyncExitStack) -> None:
        self.echo = echo
        self.server = server
        self._stack = stack

    async def client(self, **options: Any) -> Client:
        return await self._stack.enter_async_context(connected(self.server, **options))

    async def tcp(self, kind: type[Connection] = Connection) -> Any:
        return await self._stack.enter_async_context(await beside(self.server, kind))


Start = Callable[..., Awaitable[Program]]


@pytest.fixture
async def start(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """``program = await start(**options of the server)``."""
    file, _ = certificate(tmp_path)
    # These clients leave the end of a session to the server.
    monkeypatch.setattr(webtransport, "LINGER", 0.1)
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Program:
            echo = Echo(**{"transports": ALL, **options})
            server = await serve(echo.app, ssl_certfile=file, webtransport=True)
            return Program(echo, server, stack)

        yield start


# --- sessions -------------------------------------------------------------------


async def test_an_echo(start: Start) -> None:
    """T4: a session of its own, text and binary."""
    program = await start()
    echo = program.echo
    session = await (await program.client()).open()
    assert session.handshake["upgrades"] == []
    assert session.handshake["sid"] == echo.sids[0]
    assert session.handshake["maxPayload"] == 1_000_000
    for message in ("hello", "é" * 100, b"\x00\x01", b"", "x" * 70_000, b"y" * 900_000):
        await session.echoes(message)
    assert echo.app.transport(echo.sids[0]) == "webtransport"
    session.close()
    assert await echo.disconnected(echo.sids[0]) == "transport close"


async def test_a_stream_in_pieces(start: Start) -> None:
    """P2: each byte by itself."""
    program = await start()
    session = await (await program.client()).session()
    for byte in b"\x010\x054\xc3\xa9xy\x82\x00\x01":
        session.write(bytes((byte,)))
        await asyncio.sleep(0)
    assert str(await session.receive()).startswith("0{")
    assert await session.receive() == "4éxy"
    assert await session.receive() == b"\x00\x01"


async def test_several_sessions_of_one_connection(start: Start) -> None:
    """T4: each is a client; one that ends takes no other with it."""
    program = await start()
    client = await program.client()
    one, two = await client.open(), await client.open("/engine.io")
    assert one.handshake["sid"] != two.handshake["sid"]
    one.close()
    assert await program.echo.disconnected(one.handshake["sid"]) == "transport close"
    await two.echoes("still here")


async def test_the_environment(start: Start) -> None:
    """T4: handlers see the request; the open packet says what the query would."""
    program = await start(cors_allowed_origins="https://a.example")
    client = await program.client()
    await client.open(
        "/engine.io/?token=1&sid=forged&EIO=3&transport=polling",
        (b"origin", b"https://a.example"),
        (b"cookie", b"a=b"),
        (b"x-thing", b"yes"),
    )
    environ = program.echo.environs[0]
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["SERVER_PROTOCOL"] == "HTTP/3"
    assert environ["PATH_INFO"] == "/engine.io/"
    assert environ["QUERY_STRING"] == "EIO=4&transport=webtransport&token=1"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["SERVER_PORT"] == str(program.server.port)
    assert environ["HTTP_HOST"] == "localhost"
    assert environ["HTTP_COOKIE"] == "a=b"
    assert environ["HTTP_X_THING"] == "yes"
    assert environ["HTTP_ORIGIN"] == "https://a.example"


# --- what is refused ------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "/other/"},
        {"path": "/engine.iox/"},
        {"protocol": "websocket"},
        {"method": "GET", "protocol": ""},
    ],
)
async def test_requests_for_something_else(start: Start, fields: Any) -> None:
    """T4: HTTP/3 is there for sessions alone."""
    client = await (await start()).client()
    path = fields.pop("path", "/engine.io/")
    assert (await client.request(path, **fields))[0] == 404
    await (await client.open()).echoes("still here")


@pytest.mark.parametrize(
    ("origin", "status"),
    [(b"https://localhost", 200), (b"http://localhost", 403), (b"https://x", 403)],
)
async def test_origins(start: Start, origin: bytes, status: int) -> None:
    """E12, T4: a page of another origin gets no session."""
    client = await (await start()).client()
    assert (await client.request("/engine.io/", (b"origin", origin)))[0] == status


async def test_others_have_no_transport_of_this_name(start: Start) -> None:
    """T4: by TCP it is unknown, as in Node.js."""
    program = await start()
    target = "/engine.io/?EIO=4&transport=webtransport"
    (await (await program.tcp()).get(target)).error(0)
    connection = await program.tcp()
    await connection.send(upgrade_request(target))
    (await connection.response()).error(0)


BAD = [
    ("4hello", "no open packet"),
    (b"0", "no open packet"),
    ("0x", "no sid"),
    ("0[]", "no sid"),
    ("0{}", "no sid"),
    ('0{"sid":1}', "no sid"),
    ('0{"sid":""}', "no sid"),
    ("0" + "[" * 1000, "no sid"),
    ("0" * 2000, "more than"),
]


@pytest.mark.parametrize(("packet", "reason"), BAD, ids=range(len(BAD)))
async def test_first_packets(start: Start, packet: str | bytes, reason: str) -> None:
    """P2: the first is an open packet, with a sid or empty."""
    program = await start()
    session = await (await program.client()).session()
    session.send(packet)
    code, said = await session.closed()
    assert code == 400
    assert reason in said
    assert not program.echo.sids


async def test_a_session_that_is_not_there(start: Start) -> None:
    """P2: as Node.js, closed."""
    session = await (await (await start()).client()).session()
    session.send('0{"sid":"nobody"}')
    code, said = await session.closed()
    assert (code, json.loads(said)["message"]) == (400, "Session ID unknown")


async def test_a_stream_that_never_opens(start: Start) -> None:
    """T4: the session is closed after upgrade_timeout."""
    program = await start(upgrade_timeout=0.1)
    client = await program.client()
    silent = await client.session()
    half = await client.session()
    half.write(b"\x0b0{")
    assert await silent.closed() == (408, "timeout")
    assert await half.closed() == (408, "timeout")


async def test_other_streams_are_refused(start: Start) -> None:
    """T4: a session has one stream, the first."""
    program = await start()
    client = await program.client()
    session = await client.open()
    other = Session(client, session.id)
    other.send("4lost")
    event = await within(client.queue(other.stream_id).get())
    assert type(event).__name__ == "StreamReset"
    nobody = Session(client, 400)
    nobody.send("0")
    event = await within(client.queue(nobody.stream_id).get())
    assert type(event).__name__ == "StreamReset"
    await session.echoes("still here")
    assert program.echo.got == ["still here"]


async def test_limits_of_addresses(start: Start) -> None:
    """T4: as by other transports, for all of them together."""
    program = await start(limits=Limits(connections_per_address=2))
    client = await program.client()
    one = await client.open()
    await (await program.tcp()).open_session()
    refused = await client.session()
    refused.send("0")
    code, said = await refused.closed()
    assert code == 429
    assert json.loads(said)["code"] == 4
    one.close()
    await program.echo.disconnected(one.handshake["sid"])
    await client.open()


async def test_a_server_that_drains(start: Start) -> None:
    """T4: takes no new sessions."""
    program = await start()
    client = await program.client()
    program.echo.app.engine.drain()
    session = await client.session()
    session.send("0")
    assert (await session.closed())[0] == 503


async def test_hooks(start: Start) -> None:
    """E6, E7, T4: asked as for other requests, when the stream begins."""
    asked: list[str] = []

    async def allow(environ: dict[str, Any]) -> bool:
        asked.append(environ["QUERY_STRING"])
        await asyncio.sleep(0)
        return environ.get("HTTP_X_TOKEN") == "right"

    program = await start(allow_request=allow)
    client = await program.client()
    session = await client.session()
    session.send("0", "4lost")
    assert (await session.closed())[0] == 403
    session = await client.session("/engine.io/", (b"x-token", b"right"))
    session.send("0", "4kept")
    assert str(await session.receive()).startswith("0{")
    assert await session.receive() == "4kept"
    assert asked == ["EIO=4&transport=webtransport"] * 2


# --- upgrades -------------------------------------------------------------------


async def test_an_upgrade_from_polling(start: Start) -> None:
    """T5, P2: the handshake offers it; probe, upgrade, and nothing is lost."""
    program = await start()
    tcp = await program.tcp()
    opened = (await tcp.get(polling())).ok().text
    handshake = json.loads(opened[1:])
    assert handshake["upgrades"] == ["websocket", "webtransport"]
    sid = handshake["sid"]
    session = await (await program.client()).session()
    session.send(json.dumps({"sid": sid}).join(["0", ""]), "2probe")
    assert await session.receive() == "3probe"
    (await tcp.get(polling(sid))).ok("6")
    await program.echo.app.send(sid, "before")
    session.send("5")
    assert await session.receive() == "4before"
    await session.echoes("after")
    assert program.echo.app.transport(sid) == "webtransport"
    session.close()
    assert await program.echo.disconnected(sid) == "transport close"


async def test_only_one_upgrade(start: Start) -> None:
    """T5: not while another is under way, nor from WebSocket or WebTransport."""
    program = await start()
    client = await program.client()
    tcp = await program.tcp()
    sid = await tcp.open_session()
    first = await client.session()
    first.send(f'0{{"sid":"{sid}"}}', "2probe")
    assert await first.receive() == "3probe"
    second = await client.session()
    second.send(f'0{{"sid":"{sid}"}}', "2probe")
    assert await second.closed() == (0, "")
    websocket = await program.tcp(WebSocket)
    await websocket.send(upgrade_request("/engine.io/?EIO=4&transport=websocket"))
    await websocket.accepted()
    await websocket.open_packet()
    for sid in (program.echo.sids[-1], (await client.open()).handshake["sid"]):
        session = await client.session()
        session.send(f'0{{"sid":"{sid}"}}', "2probe")
        assert await session.closed() == (0, "")
    await websocket.echoes("still here")


async def test_an_upgrade_that_does_not_come(start: Start) -> None:
    """T5: closed after upgrade_timeout, and polling goes on."""
    program = await start(upgrade_timeout=0.1)
    tcp = await program.tcp()
    sid = await tcp.open_session()
    session = await (await program.client()).session()
    session.send(f'0{{"sid":"{sid}"}}')
    assert await session.closed() == (0, "")
    (await tcp.post(polling(sid), "4hello")).ok("ok")
    (await tcp.get(polling(sid))).ok("4hello")


async def test_no_upgrades(start: Start) -> None:
    """T7: with allow_upgrades=False neither offered nor taken."""
    program = await start(allow_upgrades=False)
    tcp = await program.tcp()
    handshake = json.loads((await tcp.get(polling())).ok().text[1:])
    assert handshake["upgrades"] == []
    session = await (await program.client()).session()
    session.send(json.dumps({"sid": handshake["sid"]}).join(["0", ""]))
    assert (await session.closed())[0] == 400


async def test_revision_3_knows_none(start: Start) -> None:
    """P3: clients of the revision before are offered WebSocket alone."""
    program = await start(allow_eio3=True)
    tcp = await program.tcp()
    text = (await tcp.get("/engine.io/?EIO=3&transport=polling")).ok().text
    handshake = json.loads(text.partition("0")[2])
    assert handshake["upgrades"] == ["websocket"]
    session = await (await program.client()).session()
    session.send(json.dumps({"sid": handshake["sid"]}).join(["0", ""]))
    assert (await session.closed())[0] == 400


# --- how sessions end -----------------------------------------------------------


async def test_the_heartbeat(start: Start) -> None:
    """E1, E2: who does not answer a ping is gone."""
    program = await start(ping_interval=0.05, ping_timeout=0.2)
    session = await (await program.client()).open()
    for _ in range(3):
        assert await session.receive() == "2"
        session.send("3")
    sid = session.handshake["sid"]
    assert await program.echo.disconnected(sid) == "ping timeout"
    await session.closed()


@pytest.mark.parametrize(
    "frame",
    [
        b"\x00",
        b"\x01x",
        b"\x012",
        b"\x024\xff",
        b"\x7f\0\0\0\0\0\x0f\x42\x41",
        b"\xff" + b"\xff" * 8,
    ],
)
async def test_what_breaks_the_protocol(start: Start, frame: bytes) -> None:
    """P2, P6, E3: the session ends; of a packet too long, the header is enough."""
    program = await start()
    client = await program.client()
    session = await client.open()
    session.write(frame)
    sid = session.handshake["sid"]
    assert await program.echo.disconnected(sid) == "transport error"
    code, _ = await session.closed()
    assert code == (1009 if frame[0] & 0x7F == 0x7F else 0)
    assert not program.echo.got
    await (await client.open()).echoes("still here")


@pytest.mark.parametrize("how", ["capsule", "fin", "reset", "connection"])
async def test_the_client_goes(start: Start, how: str) -> None:
    """T4: however it does."""
    program = await start()
    client = await program.client()
    session = await client.open()
    if how == "capsule":
        session.close()
    elif how == "fin":
        session.write(b"", end=True)
    elif how == "reset":
        client._quic.reset_stream(session.stream_id, 0)
        client.transmit()
    else:
        client.close()
    sid = session.handshake["sid"]
    assert await program.echo.disconnected(sid) == "transport close"
    server = program.server._http3
    assert not server.sessions


async def test_the_client_says_that_it_goes(start: Start) -> None:
    """T4: by a close packet."""
    program = await start()
    session = await (await program.client()).open()
    session.send("1")
    sid = session.handshake["sid"]
    assert await program.echo.disconnected(sid) == "client disconnect"
    await session.closed()


async def test_what_was_sent_before_the_end_arrives(start: Start) -> None:
    """T4: the stream ends first, then the session."""
    program = await start()
    app = program.echo.app
    session = await (await program.client()).open()
    sid = session.handshake["sid"]
    for i in range(3):
        await app.send(sid, f"{i}" + "x" * 300_000)
    await app.disconnect(sid)
    for i in range(3):
        assert await session.receive() == f"4{i}" + "x" * 300_000
    assert await session.closed() == (0, "")
    assert await program.echo.disconnected(sid) == "server disconnect"


async def test_the_server_stops(start: Start) -> None:
    """T4: its clients are told, and the port is free at once."""
    program = await start()
    client = await program.client()
    session = await client.open()
    await client.session()  # without a stream
    stopping = asyncio.ensure_future(program.server.close())
    assert await session.closed() == (0, "")
    session.close()
    await within(stopping)
    assert program.echo.ended == [(session.handshake["sid"], "server disconnect")]


# --- flow -----------------------------------------------------------------------


async def test_a_client_that_is_not_read(start: Start) -> None:
    """T4: it can send no more than a window, before handlers have ended."""
    program = await start(max_pending_events=1)
    go, done = asyncio.Event(), asyncio.Event()
    got: list[str] = []

    @program.echo.app.on("message")
    async def message(sid: str, data: str) -> None:
        await go.wait()
        got.append(data)
        if data == "end":
            done.set()

    client = await program.client()
    session = await client.open()
    count = 4 * webtransport.WINDOW // 10_000
    for i in range(count):
        session.send(f"4{i:05}" + "x" * 10_000)
    stream = client._quic._streams[session.stream_id]
    waiting = -1
    while waiting != len(stream.sender._buffer):
        waiting = len(stream.sender._buffer)
        await asyncio.sleep(0.1)
    assert stream.max_stream_data_remote <= 2 * webtransport.WINDOW
    assert waiting > webtransport.WINDOW
    assert not got
    go.set()
    session.send("4end")
    await within(done.wait(), 10)
    assert [int(data[:5]) for data in got[:-1]] == list(range(count))


async def test_a_client_that_does_not_read(start: Start) -> None:
    """T4: no more waits for it than max_buffer_bytes."""
    program = await start(max_buffer_bytes=400_000)
    app = program.echo.app
    client = await program.client(max_data=1 << 17, max_stream_data=1 << 16)
    session = await client.open()
    sid = session.handshake["sid"]
    client._quic._write_stream_limits = lambda **_: None  # type: ignore[method-assign]
    sent = 0
    while sid in app.sockets and sent < 20:
        await app.send(sid, "x" * 100_000)
        await asyncio.sleep(0.02)
        sent += 1
    assert 4 < sent < 12
    assert await program.echo.disconnected(sid) == "transport error"


# --- serving --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "ssl_certfile"),
        ({"ssl": ssl.create_default_context()}, "ssl_certfile"),
        ({"uds": "/nowhere", "ssl_certfile": "FILE"}, "uds"),
    ],
)
async def test_what_it_needs(tmp_path: Path, options: Any, error: str) -> None:
    """T4: said before anything listens."""
    file, _ = certificate(tmp_path)
    options = {name: file if v == "FILE" else v for name, v in options.items()}
    app = socketio_fast.AsyncServer(transports=ALL)
    with pytest.raises(ValueError, match=error):
        await socketio_fast.serve(app, port=0, webtransport=True, **options)


async def test_a_server_that_has_it_not(tmp_path: Path) -> None:
    """T6: transports= says which there are, and this one is not there unasked."""
    file, _ = certificate(tmp_path)
    with pytest.raises(ValueError, match="transports="):
        await socketio_fast.serve(
            socketio_fast.AsyncServer(), port=0, ssl_certfile=file, webtransport=True
        )


async def test_nothing_but_webtransport(start: Start) -> None:
    """T6: it can be the only one."""
    program = await start(transports=["webtransport"])
    (await (await program.tcp()).get(polling())).error(0)
    await (await (await program.client()).open()).echoes("hello")


async def test_a_port_that_is_taken(tmp_path: Path, unused_tcp_port: int) -> None:
    """T4: where UDP cannot be had, TCP is not served either."""
    file, _ = certificate(tmp_path)
    app = socketio_fast.AsyncServer(transports=ALL)
    address = ("127.0.0.1", unused_tcp_port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(address)
        with pytest.raises(OSError):
            await socketio_fast.serve(
                app, *address, ssl_certfile=file, webtransport=True
            )
    with pytest.raises(OSError):
        await within(asyncio.open_connection(*address))


class Forwarder(asyncio.DatagramProtocol):
    """A client's datagrams, by two addresses in turn, as if one were forged."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.server = server
        self.sockets: list[asyncio.DatagramTransport] = []
        self.sent = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.addr = addr
        self.sockets[min(self.sent, 1)].sendto(data, self.server)
        self.sent += 1


class Back(asyncio.DatagramProtocol):
    """What the server answers, whichever address it is for."""

    def __init__(self, forwarder: Forwarder) -> None:
        self.forwarder = forwarder

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.forwarder.transport.sendto(data, self.forwarder.addr)


async def test_a_handshake_by_two_addresses(start: Start) -> None:
    """T4: who a client is said to be has been heard from, and has heard."""
    program = await start()
    loop = asyncio.get_running_loop()
    local = ("127.0.0.1", 0)
    server = ("127.0.0.1", program.server.port)
    transport, forwarder = await loop.create_datagram_endpoint(
        lambda: Forwarder(server), local_addr=local
    )
    for _ in range(2):
        back, _ = await loop.create_datagram_endpoint(
            lambda: Back(forwarder), local_addr=local
        )
        forwarder.sockets.append(back)
    host, port = transport.get_extra_info("sockname")
    try:
        with pytest.raises((ConnectionError, asyncio.TimeoutError)):
            async with connected(SimpleNamespace(host=host, port=port)) as client:
                await asyncio.wait_for(client.open(), 1)
        assert forwarder.sent > 1
        assert not program.echo.sids
    finally:
        for opened in (transport, *forwarder.sockets):
            opened.close()
