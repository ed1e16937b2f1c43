"""What the suite of the official Engine.IO client checks, one test for each behaviour;
see official_suites.md.

Its server takes 100 bytes at once, greets with ``hi`` and sends back what comes. Here
it is one of this package, and one on Node.js.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from support.interop import TRANSPORTS, within
from support.scripted_servers import HttpServer, Request, Socks5Proxy, response
from support.wire import TEXT, Gate, Peer, WebSocketServer, node, open_packet

from client.conftest import Listen
from socketio_fast import engineio, exceptions
from socketio_fast.clients.urls import engine_url

ConnectionError = exceptions.ConnectionError

EMOJI = (
    "\U00010000-\U000effff\U000f0000-\U0010ffff\ue000-\uf8ff"  # as the official suite
)
MULTIBYTE = "cash money €€€"
BINARY = bytes(range(5))

BOTH = [["polling"], ["websocket"]]

#: ``await start(**options)``: the URL of a server with these options.
Start = Callable[..., Awaitable[str]]


class Client(engineio.AsyncClient):
    """Keeps what comes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(handle_sigint=False, **options)
        self.came: asyncio.Queue[Any] = asyncio.Queue()
        self.ends: asyncio.Queue[Any] = asyncio.Queue()
        self.on("message", self.came.put_nowait)
        self.on("disconnect", self.ends.put_nowait)

    async def next(self) -> Any:
        return await within(self.came.get(), "a message")

    async def start(self, url: str, transport: str = "upgrade") -> None:
        """Connect, and take the greeting."""
        await within(self.connect(url, transports=TRANSPORTS[transport]), "connect")
        assert await self.next() == "hi"


@pytest.fixture
async def new() -> AsyncIterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(**options: Any) -> Client:
        clients.append(Client(**options))
        return clients[-1]

    yield make
    for client in clients:
        await within(client.disconnect(), "disconnect")


def ours(**options: Any) -> engineio.AsyncServer:
    options = {"ping_interval": 0.5, "max_http_buffer_size": 100, **options}
    eio = engineio.AsyncServer(**options)
    notes: list[Any] = []

    @eio.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        await eio.send(sid, "hi")

    @eio.on("message")
    async def message(sid: str, data: Any) -> None:
        notes.append(data)
        if data == "give binary":
            data = BINARY
        elif data == "clients":
            data = str(len(eio.sockets))
        elif data == "notes":
            data = json.dumps(notes)
        await eio.send(sid, data)

    return eio


@pytest.fixture(params=["ours", "node"])
async def start(request: pytest.FixtureRequest, serve: Any) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> str:
            if request.param == "ours":
                return (await serve(ours(**options))).url
            running = node(script="engine.mjs", **options)
            return await stack.enter_async_context(running)

        yield start


@pytest.fixture
async def url(start: Start) -> str:
    return await start()


# connection.js


async def test_connects(new: Any, url: str, transport: str) -> None:
    """C14: by each transport."""
    client = new()
    await client.start(url, transport)
    wanted = "polling" if transport == "polling" else "websocket"
    assert client.transport() == wanted


@pytest.mark.parametrize("text", [MULTIBYTE, EMOJI], ids=["multibyte", "emoji"])
async def test_text_comes_back_as_it_was(
    new: Any, url: str, transport: str, text: str
) -> None:
    client = new()
    await client.start(url, transport)
    await client.send(text)
    assert await client.next() == text


async def test_nothing_is_sent_after_the_end(
    new: Any, url: str, transport: str
) -> None:
    client = new()
    await client.start(url, transport)
    ending = asyncio.ensure_future(client.disconnect())
    await asyncio.sleep(0)
    await client.send("late")
    await within(ending, "disconnect")
    await client.send("later")
    other = new()
    await other.start(url, transport)
    await other.send("notes")
    assert await other.next() == ["notes"]


async def test_packets_are_merged_under_max_payload(new: Any, url: str) -> None:
    """C18: One byte more in any POST, and the server would end the session."""
    client = new()
    await client.start(url, "polling")
    texts = ["a" * 99, "b" * 30, "c" * 30, "d" * 35, "€" * 33, "f" * 99]
    for text in texts:
        await client.send(text)
    assert [await client.next() for _ in texts] == texts
    assert client.sid is not None


async def test_binary_packets_are_merged_under_max_payload(new: Any, url: str) -> None:
    client = new()
    await client.start(url, "polling")
    messages = [b"a" * 72, b"b" * 20, "c" * 20, b"d" * 20, b"e" * 72]
    for message in messages:
        await client.send(message)
    assert [await client.next() for _ in messages] == messages


async def test_a_packet_above_max_payload_is_an_error_of_send(
    new: Any, url: str, transport: str
) -> None:
    """The official client sends it, and loses its connection by that."""
    client = new()
    await client.start(url, transport)
    with pytest.raises(ValueError, match="maxPayload=100"):
        await client.send("a" * 101)
    await client.send("b")
    assert await client.next() == "b"


# connection.js: what happens while it upgrades


@pytest.fixture
async def gate(listen: Listen, url: str) -> Gate:
    return await listen(Gate(url))


async def upgrading(client: Client, gate: Gate) -> asyncio.Future[None]:
    """connect(), when the upgrade has begun."""
    connecting = asyncio.ensure_future(client.connect(gate.url))
    await within(gate.came.wait(), "the upgrade")
    assert await client.next() == "hi"
    return connecting


async def clients_of(new: Any, url: str) -> int:
    client = new()
    await client.start(url, "websocket")
    await client.send("clients")
    count = int(await client.next())
    await client.disconnect()
    return count - 1


async def test_disconnect_does_not_wait_for_the_upgrade(
    new: Any, url: str, gate: Gate
) -> None:
    """The official client ends the upgrade before it closes. Here the session is closed
    by polling, at once; the server hears of it in either case."""
    client = new()
    connecting = await upgrading(client, gate)
    await within(client.disconnect(), "disconnect")
    assert await client.ends.get() == "client disconnect"
    gate.open()
    await asyncio.wait({connecting})
    assert client.state == "disconnected"
    assert await clients_of(new, url) == 0


async def test_it_ends_although_the_upgrade_fails_meanwhile(
    new: Any, url: str, gate: Gate
) -> None:
    client = new()
    connecting = await upgrading(client, gate)
    ending = asyncio.ensure_future(client.disconnect())
    await asyncio.sleep(0)
    gate.open(closed=True)
    await within(ending, "disconnect")
    await asyncio.wait({connecting})
    assert client.state == "disconnected"
    assert await clients_of(new, url) == 0


@pytest.mark.parametrize("closed", [False, True], ids=["upgraded", "not upgraded"])
async def test_what_was_sent_before_the_end_arrives_and_nothing_else(
    new: Any, url: str, gate: Gate, closed: bool
) -> None:
    client = new()
    connecting = await upgrading(client, gate)
    await client.send("before")
    ending = asyncio.ensure_future(client.disconnect())
    await asyncio.sleep(0)
    await client.send("after")
    gate.open(closed=closed)
    await within(ending, "disconnect")
    await asyncio.wait({connecting})
    assert client.buffered_bytes == 0
    other = new()
    await other.start(url)
    await other.send("notes")
    assert await other.next() == ["before", "notes"]


# engine.io-client.js, parseuri.js and "transport uris" of transport.js

IPV6 = ipaddress.ip_address("::1").packed


@pytest.mark.parametrize("transports", BOTH)
@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://server.test", "server.test:80"),
        ("https://server.test", "server.test:443"),
        ("ws://server.test", "server.test:80"),
        ("wss://server.test", "server.test:443"),
        ("wss://server.test:2020", "server.test:2020"),
        ("http://server.test:8080/?a=b", "server.test:8080"),
        ("http://[::1]", f"{IPV6}:80"),
        ("https://[::1]", f"{IPV6}:443"),
        ("http://[::1]:8080", f"{IPV6}:8080"),
        ("ws://name:password@server.test", "server.test:80"),
    ],
)
async def test_the_host_and_the_port_of_a_url(
    new: Any, listen: Listen, url: str, asked: str, transports: list[str]
) -> None:
    """What a proxy is asked for: it connects to nobody."""

    class Nobody(Socks5Proxy):
        async def _tunnel(self, *args: Any) -> None:
            """It closes."""

    proxy = await listen(Nobody())
    client = new(proxy=f"socks5://127.0.0.1:{proxy.port}")
    with pytest.raises(ConnectionError):
        await within(client.connect(url, transports=transports), "connect")
    assert proxy.asked == [asked]


@pytest.mark.parametrize("url", ["server.test", "//server.test", "http://", "/path"])
async def test_a_url_needs_a_scheme_and_a_host(new: Any, url: str) -> None:
    """In a browser it may do without: there the page has them."""
    with pytest.raises(ValueError, match="the URL of a server expected"):
        await new().connect(url)


@pytest.mark.parametrize(
    ("url", "transport", "meant"),
    [
        ("http://a", "polling", "http://a/engine.io/?"),
        ("http://a:3000", "polling", "http://a:3000/engine.io/?"),
        ("https://a:8443", "polling", "https://a:8443/engine.io/?"),
        ("ws://a", "polling", "http://a/engine.io/?"),
        ("http://a", "websocket", "ws://a/engine.io/?"),
        ("https://a", "websocket", "wss://a/engine.io/?"),
        ("http://[::1]", "polling", "http://[::1]/engine.io/?"),
        ("http://[::1]:8080", "websocket", "ws://[::1]:8080/engine.io/?"),
        ("http://a?bar=@example.com", "polling", "http://a/engine.io/?bar=@e"),
    ],
)
def test_the_url_of_a_request(url: str, transport: str, meant: str) -> None:
    assert engine_url(url, "engine.io", transport).startswith(meant)


@pytest.mark.parametrize("path", ["its/own", "/its/own", "its/own/", "/its/own/"])
async def test_a_path_with_and_without_slashes(
    new: Any, listen: Listen, path: str
) -> None:
    """All are one: servers of python-engineio and of Node.js have the last slash."""
    server = await listen(HttpServer(response(404)))
    with pytest.raises(ConnectionError, match="404"):
        await new().connect(server.url("/of/a/page"), engineio_path=path)
    assert server.requests[0].target.startswith("/its/own/?")


@pytest.mark.parametrize("transports", BOTH)
async def test_the_query_of_a_request(
    new: Any, listen: Listen, transports: list[str]
) -> None:
    """That of the URL, the option's, the protocol's, and a time against caches."""
    server = await listen(HttpServer(response(404)))
    client = new(query={"e": "f", "&a": "&=?a"})
    with pytest.raises(ConnectionError, match="404"):
        await client.connect(server.url("/?c=d%26"), transports=transports)
    asked = dict(parse_qsl(urlsplit(server.requests[0].target).query))
    assert float(asked.pop("t")) > 0
    ours = {"EIO": "4", "transport": transports[0]}
    assert asked == {"c": "d&", "e": "f", "&a": "&=?a", **ours}


@pytest.mark.parametrize("transports", BOTH)
async def test_no_timestamp_where_it_is_not_wanted(
    new: Any, listen: Listen, transports: list[str]
) -> None:
    """C17: ``timestamp_requests=False``."""
    server = await listen(HttpServer(response(404)))
    with pytest.raises(ConnectionError, match="404"):
        await new(timestamp_requests=False).connect(
            server.url(""), transports=transports
        )
    assert "&t=" not in server.requests[0].target


# socket.js


async def test_no_upgrade_to_a_transport_that_was_not_chosen(
    new: Any, url: str
) -> None:
    """C14: although the server offers it."""
    client = new()
    await client.start(url, "polling")
    assert client.upgrades == ["websocket"]
    assert client.transport() == "polling"


async def test_the_list_of_transports_is_not_changed(new: Any, url: str) -> None:
    chosen = ["websocket", "polling"]
    client = new(try_all_transports=True, remember_upgrade=True)
    for _ in range(2):
        await client.connect(url, transports=chosen)
        await client.disconnect()
    assert chosen == ["websocket", "polling"]


@pytest.mark.parametrize("transports", [[], ["carrier pigeon"], "carrier pigeon"])
async def test_no_transport_is_an_error(new: Any, url: str, transports: Any) -> None:
    with pytest.raises(ValueError, match="No valid transports"):
        await new().connect(url, transports=transports)


@pytest.mark.parametrize("only", ["polling", "websocket"])
async def test_the_second_transport_is_tried_if_all_are_to_be(
    new: Any, start: Start, only: str
) -> None:
    """C15: the first one of the list that connects."""
    url = await start(transports=[only])
    first = "websocket" if only == "polling" else "polling"
    client = new(try_all_transports=True)
    await within(client.connect(url, transports=[first, only]), "connect")
    assert await client.next() == "hi"
    assert client.transport() == only


async def test_the_second_transport_is_not_tried_by_default(
    new: Any, start: Start
) -> None:
    url = await start(transports=["websocket"])
    with pytest.raises(ConnectionError, match="400"):
        await within(new().connect(url), "connect")


@pytest.mark.parametrize("transports", BOTH)
async def test_a_message_above_the_limit_tells_why_the_connection_ends(
    new: Any, listen: Listen, transports: list[str]
) -> None:
    """C31: where the server has not said its limit: else see above."""

    def polling(request: Request) -> Any:
        if request.method == "POST":
            return response(413)
        if "sid=" in request.target:
            return asyncio.get_running_loop().create_future()
        return response(200, open_packet(maxPayload=0))

    async def websocket(peer: Peer) -> None:
        await peer.send(open_packet(maxPayload=0))
        assert (await peer.receive())[1] == TEXT
        await peer.write(b"\x88\x02\x03\xf1")
        await peer.closed()

    by_polling = transports == ["polling"]
    server = await listen(
        HttpServer(polling) if by_polling else WebSocketServer(websocket)
    )
    ends: asyncio.Queue[Any] = asyncio.Queue()
    client = new(_events=_Ends(ends))
    await client.connect(f"http://127.0.0.1:{server.port}", transports=transports)
    await client.send("a" * 101)
    reason, description = await within(ends.get(), "the end")
    assert reason == ("transport error" if by_polling else "transport close")
    assert ("413" if by_polling else "1009") in description


class _Ends(engineio.async_client.LinkEvents):
    def __init__(self, ends: asyncio.Queue[Any]) -> None:
        self._ends = ends

    def closed(self, link: Any, reason: str, description: str | None) -> None:
        self._ends.put_nowait((reason, description))


@pytest.mark.parametrize("transports", BOTH)
async def test_an_unknown_session_is_an_error_that_tells_it(
    new: Any, url: str, transports: list[str]
) -> None:
    client = new(query={"sid": "abc"})
    with pytest.raises(ConnectionError, match="400") as caught:
        await within(client.connect(url, transports=transports), "connect")
    if transports == ["polling"]:
        assert caught.value.args[1] == {"code": 1, "message": "Session ID unknown"}


# transport.js


@pytest.mark.parametrize("remember", [True, False])
async def test_a_websocket_is_remembered_if_it_is_to_be(
    new: Any, url: str, remember: bool
) -> None:
    """C16: then the next connection begins by WebSocket."""
    client = new(remember_upgrade=remember)
    await client.start(url)
    await client.disconnect()
    await client.start(url)
    begun = client.base_url.startswith("ws:")
    assert begun is remember
    assert client.transport() == "websocket"


async def test_no_upgrade_if_none_is_wanted(new: Any, url: str) -> None:
    """C16: ``upgrade=False``."""
    client = new(upgrade=False)
    await client.start(url)
    await client.send("a")
    assert await client.next() == "a"
    assert client.transport() == "polling"


async def test_headers_are_those_of_all_requests(
    new: Any, listen: Listen, serve: Any, transport: str
) -> None:
    """C13: of polling, and of the WebSocket's handshake."""
    asked: list[tuple[str, str | None, str | None]] = []
    eio = ours()

    @eio.use
    async def note(environ: Any, headers: Any) -> None:
        asked.append(
            (
                environ["QUERY_STRING"].partition("transport=")[2].partition("&")[0],
                environ.get("HTTP_X_TOKEN"),
                environ.get("HTTP_COOKIE"),
            )
        )

    server = await serve(eio)
    client = new()
    headers = {"X-Token": "mine", "Cookie": "user=NI2Jl"}
    await client.connect(server.url, headers=headers, transports=TRANSPORTS[transport])
    assert await client.next() == "hi"
    await client.send("a")
    assert await client.next() == "a"
    assert {name for name, _, _ in asked} == set(TRANSPORTS[transport])
    assert {(token, cookie) for _, token, cookie in asked} == {("mine", "user=NI2Jl")}


# node.js


async def test_cookies_of_the_handshake_are_sent(new: Any, serve: Any) -> None:
    """C20: by polling and by the WebSocket that follows. Those that have expired are
    not, and those that are Secure only by TLS, which the official client does not see
    to."""
    asked: list[tuple[str, str | None]] = []
    eio = ours()

    @eio.on("initial_headers")
    def cookies(headers: Any, environ: Any) -> None:
        headers["Set-Cookie"] = [
            "1=1; Max-Age=86400",
            "2=2; Path=/; HttpOnly; SameSite=Strict",
            "3=3; Max-Age=0",
            "4=4; Expires=Fri, 01 Jan 1971 00:00:00 GMT",
            "5=5; Secure",
        ]

    @eio.use
    async def note(environ: Any, headers: Any) -> None:
        asked.append((environ["QUERY_STRING"], environ.get("HTTP_COOKIE")))

    client = new()
    await client.start((await serve(eio)).url)
    first, *rest = asked
    assert first[1] is None
    assert any("transport=websocket" in query for query, _ in rest)
    assert {frozenset((cookies or "").split("; ")) for _, cookies in rest} == {
        frozenset({"1=1", "2=2"})
    }


# arraybuffer, blob and binary-fallback.js


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("base64", [False, True], ids=["binary", "base64"])
async def test_binary_comes_back_as_it_was(
    new: Any, url: str, transport: str, kind: Any, base64: bool
) -> None:
    """C17: with ``force_base64`` too."""
    client = new(force_base64=base64)
    await client.start(url, transport)
    await client.send(kind(BINARY))
    await client.send(MULTIBYTE)
    assert [await client.next(), await client.next()] == [BINARY, MULTIBYTE]
    await client.send("give binary")
    assert await client.next() == BINARY


async def test_base64_is_text_on_the_wire(new: Any, listen: Listen) -> None:
    """C17: where no binary may pass: neither side sends any."""

    async def script(peer: Peer) -> Any:
        await peer.send(open_packet(), "bAAECAwQ=")
        return await peer.receive()

    server = await listen(WebSocketServer(script))
    client = new(force_base64=True)
    await client.connect(server.url, transports=["websocket"])
    assert await client.next() == BINARY
    await client.send(BINARY)
    assert await server.result() == (0, TEXT, b"bAAECAwQ=")
