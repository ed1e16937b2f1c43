"""Hooks of requests, and the events of connections, on every host."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from support.hosts import HOSTS
from support.raw import Client, polling, turns, upgrade_request, websocket, within
from support.raw import Connection as Raw

import socketio_fast
from socketio_fast import engineio
from socketio_fast.engineio.connection import Connection
from socketio_fast.exceptions import RequestRefusedError
from socketio_fast.options.limits import Limits

Begin = Callable[[engineio.AsyncServer], Awaitable[str]]
FORBIDDEN = {"code": 4, "message": "Forbidden"}


@pytest.fixture(params=sorted(HOSTS))
async def begin(request: pytest.FixtureRequest) -> AsyncIterator[Begin]:
    async with AsyncExitStack() as stack:

        async def start(eio: engineio.AsyncServer) -> str:
            url = await stack.enter_async_context(HOSTS[request.param](eio))
            return url + "/engine.io/"

        yield start


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def target(**more: str) -> dict[str, str]:
    return {"EIO": "4", "transport": "polling", **more}


async def handshake(
    http: aiohttp.ClientSession, url: str, **options: Any
) -> tuple[int, Any, Any]:
    async with http.get(url, params=target(), **options) as response:
        text = await response.text()
        if response.status == 200:
            text = text.partition("\x1e")[0][1:]
        return response.status, json.loads(text), response.headers


async def open_websocket(http: aiohttp.ClientSession, url: str) -> int:
    """The status of a WebSocket's handshake."""
    try:
        params = target(transport="websocket")
        async with http.ws_connect(url, params=params) as ws:
            await within(ws.receive())
        return 101
    except aiohttp.WSServerHandshakeError as exc:
        return exc.status


@pytest.mark.parametrize("suspends", [False, True])
async def test_allow_request_judges_handshakes(
    begin: Begin, http: aiohttp.ClientSession, suspends: bool
) -> None:
    """E6: on handshakes only; 403 and code 4, with the message if there is one."""
    asked = []

    async def later(environ: dict[str, Any]) -> bool:
        await asyncio.sleep(0)
        return allow(environ)

    def allow(environ: dict[str, Any]) -> bool:
        asked.append(environ["QUERY_STRING"])
        if environ.get("HTTP_X_WHO") == "nobody":
            raise RequestRefusedError('No "nobody" here', headers={"X-Why": "name"})
        return environ.get("HTTP_X_WHO") == "me"

    eio = engineio.AsyncServer(allow_request=later if suspends else allow)
    url = await begin(eio)
    status, body, _ = await handshake(http, url)
    assert (status, body) == (403, FORBIDDEN)
    status, body, headers = await handshake(http, url, headers={"X-Who": "nobody"})
    assert (status, body["message"]) == (403, 'No "nobody" here')
    assert headers["X-Why"] == "name"
    status, body, _ = await handshake(http, url, headers={"X-Who": "me"})
    assert status == 200
    async with http.post(url, params=target(sid=body["sid"]), data="4hi") as response:
        assert response.status == 200
    assert len(asked) == 3
    assert await open_websocket(http, url) in (403, 401)


async def test_middlewares_see_every_request_in_order(
    begin: Begin, http: aiohttp.ClientSession
) -> None:
    """E7: in order, whatever they are; what they add to the environ lasts."""
    seen: list[Any] = []
    eio = engineio.AsyncServer()

    @eio.use
    async def first(environ: dict[str, Any], headers: Any) -> None:
        await asyncio.sleep(0)
        seen.append(("first", environ["REQUEST_METHOD"]))
        environ["app.user"] = "alice"
        headers["X-First"] = "1"

    @eio.use
    def second(environ: dict[str, Any], headers: Any) -> None:
        seen.append(("second", environ["app.user"]))
        if environ.get("HTTP_X_BAD"):
            raise ValueError("not for the client")
        if environ.get("HTTP_X_SLOW"):
            raise RequestRefusedError("Slow down", code=3, status=429)

    @eio.on("connect")
    def connect(sid: str, environ: dict[str, Any]) -> None:
        seen.append(("connect", environ["app.user"]))

    url = await begin(eio)
    status, body, headers = await handshake(http, url)
    assert (status, headers["X-First"]) == (200, "1")
    assert seen == [("first", "GET"), ("second", "alice"), ("connect", "alice")]
    data = "4" + "x" * 200_000
    async with http.post(url, params=target(sid=body["sid"]), data=data) as response:
        assert (response.status, await response.text()) == (200, "ok")
    assert ("first", "POST") in seen
    status, body, headers = await handshake(http, url, headers={"X-Bad": "1"})
    assert (status, body) == (400, {"code": 3, "message": "Bad request"})
    assert headers["X-First"] == "1"
    status, body, _ = await handshake(http, url, headers={"X-Slow": "1"})
    assert (status, body) == (429, {"code": 3, "message": "Slow down"})
    assert await open_websocket(http, url) == 101


async def test_headers_of_responses(begin: Begin, http: aiohttp.ClientSession) -> None:
    """E8: `initial_headers` of the handshake, `headers` of each response."""
    eio = engineio.AsyncServer(cookie="io")

    @eio.on("initial_headers")
    def initial(headers: Any, environ: dict[str, Any]) -> None:
        headers["X-Initial"] = environ["REQUEST_METHOD"]
        headers["Set-Cookie"] = ["a=1", "b=2"]

    @eio.on("headers")
    async def each(headers: Any, environ: dict[str, Any]) -> None:
        headers["X-Each"] = "yes"

    url = await begin(eio)
    _, body, headers = await handshake(http, url)
    assert (headers["X-Initial"], headers["X-Each"]) == ("GET", "yes")
    assert len(headers.getall("Set-Cookie")) == 3
    async with http.post(url, params=target(sid=body["sid"]), data="4a") as response:
        assert response.headers["X-Each"] == "yes"
        assert "X-Initial" not in response.headers
    params = target(transport="websocket")
    async with http.ws_connect(url, params=params) as ws:
        assert ws._response.headers["X-Initial"] == "GET"


async def test_connection_errors_are_told(
    begin: Begin, http: aiohttp.ClientSession
) -> None:
    """E9: the request, the code, its message and what it is about."""
    errors: list[dict[str, Any]] = []
    eio = engineio.AsyncServer()
    eio.on("connection_error", errors.append)
    url = await begin(eio)
    for params, expected in [
        (target(transport="x"), (0, "Transport unknown", {"transport": "x"})),
        (target(sid="x"), (1, "Session ID unknown", {"sid": "x"})),
        (target(EIO="9"), (5, "Unsupported protocol version", {"protocol": "9"})),
    ]:
        async with http.get(url, params=params) as response:
            assert response.status == 400
        error = errors.pop()
        assert error.pop("environ")["REQUEST_METHOD"] == "GET"
        assert tuple(error.values()) == expected
    assert not errors


async def test_a_client_that_is_turned_away_is_told(
    begin: Begin, http: aiohttp.ClientSession
) -> None:
    """E9: by limits, by a drain; what may be tried again says when."""
    errors: list[dict[str, Any]] = []
    eio = engineio.AsyncServer(limits=Limits(connections_per_address=1))
    eio.on("connection_error", errors.append)
    url = await begin(eio)
    assert (await handshake(http, url))[0] == 200
    assert (await handshake(http, url))[0] == 429
    eio.engine.drain()
    assert (await handshake(http, url))[0] == 503
    told = [
        (error["code"], error["context"]["name"], error["context"]["status"])
        for error in errors
    ]
    assert told == [
        (4, "REFUSED_CONNECTIONS_PER_ADDRESS", 429),
        (4, "REFUSED_DRAINING", 503),
    ]
    assert all(error["context"]["retry_after"] >= 1 for error in errors)
    assert errors[0]["environ"]["REQUEST_METHOD"] == "GET"
    assert "draining" in errors[1]["message"]


@pytest.mark.parametrize(
    "wrong", [{"key": "short"}, {"key": None}, {"version": "8"}], ids=str
)
async def test_a_websocket_that_breaks_the_rules_is_told(
    serve: Callable[..., Coroutine[Any, Any, Any]], wrong: dict[str, Any]
) -> None:
    """E9: what RFC 6455, section 4.2.1 asks of a handshake."""
    errors: list[dict[str, Any]] = []
    eio = engineio.AsyncServer()
    eio.on("connection_error", errors.append)
    async with await Raw.open(await serve(eio)) as connection:
        await connection.send(upgrade_request(websocket(), **wrong))
        response = (await connection.response()).refused()
    (error,) = errors
    assert (error["code"], error["message"]) == (3, "Bad request")
    assert error["context"]["name"] == "TRANSPORT_HANDSHAKE_ERROR"
    assert str(error["context"]["error"]) == json.loads(response.text)["message"]
    assert error["environ"]["HTTP_UPGRADE"] == "websocket"


async def test_the_initial_packet_and_the_count(
    begin: Begin, http: aiohttp.ClientSession
) -> None:
    """E13, E14: it comes behind the open packet; clients are counted."""
    eio = engineio.AsyncServer(initial_packet="hello")
    url = await begin(eio)
    assert eio.clients_count == 0
    async with http.get(url, params=target()) as response:
        assert (await response.text()).split("\x1e")[1:] == ["4hello"]
    assert eio.clients_count == 1


async def test_ids_made_of_requests(begin: Begin, http: aiohttp.ClientSession) -> None:
    eio = engineio.AsyncServer()

    async def generate_id(environ: dict[str, Any]) -> str:
        await asyncio.sleep(0)
        return environ["HTTP_X_ID"]

    eio.generate_id = generate_id  # type: ignore[method-assign]
    url = await begin(eio)
    _, body, _ = await handshake(http, url, headers={"X-Id": "mine"})
    assert body["sid"] == "mine"
    status, body, _ = await handshake(http, url, headers={"X-Id": "mine"})
    assert (status, body["code"]) == (400, 3)
    status, _, _ = await handshake(http, url)
    assert status == 400


async def test_ids_made_at_the_same_time(
    begin: Begin, http: aiohttp.ClientSession
) -> None:
    """P13: an id that another request has got while hooks were asked is taken."""
    asked, gate = asyncio.Semaphore(0), asyncio.Event()
    eio = engineio.AsyncServer()
    eio.generate_id = lambda environ: "same"  # type: ignore[method-assign]

    @eio.on("initial_headers")
    async def headers(headers: Any, environ: Any) -> None:
        asked.release()
        await gate.wait()

    url = await begin(eio)
    requests = [asyncio.create_task(handshake(http, url)) for _ in range(2)]
    for _ in requests:
        await within(asked.acquire())
    gate.set()
    answers = await within(asyncio.gather(*requests))
    assert sorted(status for status, _, _ in answers) == [200, 400]


@pytest.mark.parametrize("limit", ["connections_per_address", "pending_handshakes"])
async def test_limits_hold_while_hooks_are_asked(
    begin: Begin, http: aiohttp.ClientSession, limit: str
) -> None:
    """U8, E6: who was admitted before others connected is judged once more."""
    asked, gate = asyncio.Semaphore(0), asyncio.Event()

    async def allow(environ: dict[str, Any]) -> bool:
        asked.release()
        await gate.wait()
        return True

    sio = socketio_fast.AsyncServer(allow_request=allow, limits=Limits(**{limit: 1}))
    url = await begin(sio.eio)
    requests = [asyncio.create_task(handshake(http, url)) for _ in range(3)]
    for _ in requests:
        await within(asked.acquire())
    gate.set()
    answers = await within(asyncio.gather(*requests))
    refused = 429 if limit == "connections_per_address" else 503
    assert sorted(status for status, _, _ in answers) == [200, refused, refused]
    assert sio.eio.counters[f"refused_{limit}"] == 2
    for status, _, headers in answers:
        assert ("Retry-After" in headers) is (status != 200)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_listener_that_closes_while_the_open_packet_is_sent(
    begin: Begin, http: aiohttp.ClientSession, transport: str
) -> None:
    closed = asyncio.Event()
    eio = engineio.AsyncServer()

    @eio.on("connect")
    def connect(sid: str, environ: dict[str, Any]) -> None:
        conn = Connection(eio.sockets[sid])
        conn.on("packet_create", lambda packet: conn.close())
        conn.on("close", lambda reason: closed.set())

    url = await begin(eio)
    if transport == "websocket":
        async with http.ws_connect(url, params=target(transport=transport)) as ws:
            while not ws.closed:
                await within(ws.receive())
    else:
        async with http.get(url, params=target(transport=transport)) as response:
            await within(response.read())
    await within(closed.wait())


async def test_events_of_a_connection(
    begin: Begin, http: aiohttp.ClientSession
) -> None:
    """E15: packets, messages, what is sent, and the end."""
    told: list[Any] = []
    closed = asyncio.Event()
    eio = engineio.AsyncServer()

    @eio.on("connect")
    def connect(sid: str, environ: dict[str, Any]) -> None:
        conn = Connection(eio.sockets[sid])
        assert conn == Connection(eio.sockets[sid])
        assert (conn.id, conn.remote_address) == (sid, environ["REMOTE_ADDR"])
        assert conn.environ is environ
        conn.on("packet", lambda packet: told.append(packet["type"]))
        conn.once("message", lambda data: told.append(data))
        conn.on("packet_create", lambda packet: told.append("create"))
        conn.on("close", lambda reason: (told.append(reason), closed.set()))

    @eio.on("message")
    async def message(sid: str, data: str) -> None:
        told.append("handler")
        await eio.send(sid, data)
        if data == "b":
            Connection(eio.sockets[sid]).close()

    url = await begin(eio)
    async with http.ws_connect(url, params=target(transport="websocket")) as ws:
        await within(ws.receive())
        await ws.send_str("4a")
        await ws.send_str("4b")
        await within(closed.wait())
    del told[0]  # the open packet
    assert told == [
        *("message", "a", "handler", "create"),
        *("message", "handler", "create", "server disconnect"),
    ]


async def test_a_connection_that_is_closed_at_once(
    begin: Begin, http: aiohttp.ClientSession
) -> None:
    """E13: by the listener of `connection`; the server serves on."""
    ends: list[str] = []
    ended = asyncio.Event()
    sio = socketio_fast.AsyncServer()

    @sio.eio.on("connection")
    def connection(conn: Connection) -> None:
        def close(reason: str) -> None:
            ends.append(reason)
            ended.set()

        conn.on("close", close)
        conn.close()

    url = await begin(sio.eio)
    for transport in ("websocket", "polling"):
        ended.clear()
        if transport == "polling":
            await handshake(http, url)
        else:
            async with http.ws_connect(url, params=target(transport=transport)) as ws:
                kinds = [(await within(ws.receive())).type for _ in range(2)]
                assert kinds[-1] is aiohttp.WSMsgType.CLOSE
        await within(ended.wait())
    assert ends == ["server disconnect"] * 2
    assert not [s for s in sio.eio.sockets.values() if s.connected]


async def test_the_same_below_socket_io(
    begin: Begin, http: aiohttp.ClientSession
) -> None:
    """E13: handlers pair up, and hear of the end once."""
    told: list[str] = []
    ended = asyncio.Event()
    eio = engineio.AsyncServer()
    eio.on("connection", lambda conn: conn.close())
    eio.on("connect", lambda sid, environ: told.append("connect"))

    @eio.on("disconnect")
    def disconnect(sid: str, reason: str) -> None:
        told.append(reason)
        ended.set()

    url = await begin(eio)
    async with http.ws_connect(url, params=target(transport="websocket")) as ws:
        kinds = [(await within(ws.receive())).type for _ in range(2)]
        assert kinds[-1] is aiohttp.WSMsgType.CLOSE
    await within(ended.wait())
    await turns()
    assert told == ["connect", "server disconnect"]


async def test_what_leaves_together(begin: Begin, http: aiohttp.ClientSession) -> None:
    """E15, E16: `connection` of the engine; `flush` and `drain`, once for a pass."""
    told: list[Any] = []
    drained = asyncio.Event()
    eio = engineio.AsyncServer()

    @eio.on("connection")
    def connection(conn: Connection) -> None:
        told.append(conn.transport_name)

        def drain() -> None:
            told.append(("drain", conn.buffered_bytes))
            drained.set()

        conn.on("flush", lambda packets: told.append(len(packets)))
        conn.on("drain", drain)

    @eio.on("message")
    async def message(sid: str, data: str) -> None:
        del told[:]
        drained.clear()
        for _ in range(3):
            await eio.send(sid, data)

    url = await begin(eio)
    async with http.ws_connect(url, params=target(transport="websocket")) as ws:
        await within(ws.receive())
        assert told[0] == "websocket"
        await ws.send_str("4a")
        for _ in range(3):
            assert (await within(ws.receive())).data == "4a"
        await within(drained.wait())
    assert told == [3, ("drain", 0)]


async def test_a_drain_that_takes_time(
    serve: Callable[..., Coroutine[Any, Any, Any]],
) -> None:
    """E16: when a request of a client that polls has fetched what was sent."""
    drains: list[int] = []
    eio = engineio.AsyncServer()

    @eio.on("connection")
    def connection(conn: Connection) -> None:
        conn.on("drain", lambda: drains.append(conn.buffered_bytes))

    async with await Raw.open(await serve(eio)) as http:
        sid = await http.open_session()
        await turns()
        del drains[:]
        await eio.send(sid, "x" * 100)
        await turns()
        assert drains == []
        (await http.get(polling(sid))).ok("4" + "x" * 100)
        await turns()
        assert drains == [0]


async def test_a_hook_that_waits_holds_up_nobody_else(
    serve: Callable[..., Coroutine[Any, Any, Any]],
) -> None:
    """E7: responses of a connection keep their order, other connections go on."""
    gate = asyncio.Event()
    waiting = asyncio.Event()
    eio = engineio.AsyncServer()

    @eio.use
    async def wait(environ: dict[str, Any], headers: Any) -> None:
        if "slow" in environ["QUERY_STRING"]:
            waiting.set()
            await gate.wait()

    client = Client(await serve(eio))
    try:
        slow, other = await client.connect(), await client.connect()
        first = asyncio.ensure_future(slow.get(polling() + "&slow=1"))
        await within(waiting.wait())
        (await other.get(polling())).ok()
        assert not first.done()
        gate.set()
        (await within(first)).ok()
    finally:
        await client.close()


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "\u20ac"])
def test_headers_cannot_be_injected(value: str) -> None:
    headers = engineio.hooks.Headers()
    with pytest.raises(ValueError, match="cannot be sent"):
        headers["X-A"] = value
    with pytest.raises(ValueError, match="server itself"):
        headers["content-length"] = "1"
    headers["x-a"] = "b"
    assert (headers["X-A"], list(headers), len(headers)) == ("b", ["x-a"], 1)
    del headers["X-a"]
    assert headers.lines() == b""


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="allow_request=1"):
        engineio.AsyncServer(allow_request=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="initial_packet=1"):
        socketio_fast.AsyncServer(initial_packet=1)
    with pytest.raises(ValueError, match="status=200"):
        RequestRefusedError(status=200)


async def test_hooks_of_a_server_for_threads() -> None:
    """E6, E7: its hooks run in threads, not on the event loop."""
    names: list[str] = []

    def allow(environ: dict[str, Any]) -> bool:
        names.append(threading.current_thread().name)
        return environ["app.user"] == "alice"

    sio = socketio_fast.Server(allow_request=allow)

    @sio.eio.use
    def user(environ: dict[str, Any], headers: Any) -> None:
        names.append(threading.current_thread().name)
        environ["app.user"] = environ.get("HTTP_X_USER")

    def call(who: str) -> str:
        statuses: list[str] = []
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/socket.io/",
            "QUERY_STRING": "EIO=4&transport=polling",
            "HTTP_X_USER": who,
        }
        app(environ, lambda status, headers: statuses.append(status))
        return statuses[0]

    app = socketio_fast.WSGIApp(sio)
    try:
        assert await asyncio.to_thread(call, "bob") == "403 Forbidden"
        assert await asyncio.to_thread(call, "alice") == "200 OK"
    finally:
        await asyncio.to_thread(sio.shutdown)
    assert len(names) == 4
    assert all("handler" in name for name in names)
