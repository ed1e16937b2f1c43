"""What a server refuses is in its log, with the option to change."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from support import hosts
from support.raw import within

import socketio_fast as socketio
from socketio_fast.serving import refusal_warnings as refusals

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Any:
    def texts() -> list[str]:
        return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]

    return texts


@pytest.fixture
def sio() -> socketio.AsyncServer:
    sio = socketio.AsyncServer(max_http_buffer_size=1000)
    sio.on("connect", lambda sid, environ: None)
    return sio


@pytest.fixture(params=list(hosts.HOSTS))
async def url(
    request: pytest.FixtureRequest, sio: socketio.AsyncServer
) -> AsyncIterator[str]:
    async with hosts.HOSTS[request.param](sio) as url:
        yield url


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def joined(
    http: aiohttp.ClientSession, url: str, packet: str = "40"
) -> aiohttp.ClientWebSocketResponse:
    """A WebSocket after its open packet and the answer to a CONNECT."""
    ws = await http.ws_connect(url + WEBSOCKET)
    assert (await within(ws.receive_str())).startswith("0")
    await ws.send_str(packet)
    await within(ws.receive_str())
    return ws


@pytest.mark.parametrize("target", [POLLING, WEBSOCKET])
async def test_an_origin_that_is_not_allowed(
    url: str, http: aiohttp.ClientSession, told: Any, target: str
) -> None:
    headers = {"Origin": "https://else.example"}
    for _ in range(3):
        with contextlib.suppress(aiohttp.WSServerHandshakeError):
            if target == WEBSOCKET:
                await http.ws_connect(url + target, headers=headers)
            else:
                async with http.get(url + target, headers=headers) as response:
                    assert response.status == 400
    (line,) = told()
    assert line.startswith("127.0.0.1: the origin 'https://else.example'")
    assert "cors_allowed_origins" in line


async def test_a_revision_that_is_not_served(
    url: str, http: aiohttp.ClientSession, told: Any
) -> None:
    for _ in range(2):
        async with http.get(url + POLLING.replace("EIO=4", "EIO=3")) as response:
            assert response.status == 400
    (line,) = told()
    assert "'3'" in line
    assert "allow_eio3=True" in line


async def test_an_unknown_namespace(
    url: str, http: aiohttp.ClientSession, told: Any
) -> None:
    for _ in range(2):
        ws = await joined(http, url, "40/chat\x1b[2J,")
        await ws.close()
    (line,) = told()
    assert line.startswith("127.0.0.1: there is no namespace '/chat\\x1b[2J'")
    assert "namespaces=" in line


async def test_a_message_that_is_too_big(
    url: str,
    http: aiohttp.ClientSession,
    told: Any,
    sio: socketio.AsyncServer,
    request: pytest.FixtureRequest,
) -> None:
    if "[tornado]" in request.node.name:
        pytest.skip("tornado closes such a connection itself")
    ended: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
    sio.on(
        "disconnect",
        lambda sid, reason, description: ended.put_nowait((sid, reason, description)),
    )
    ws = await joined(http, url)
    await ws.send_str("42" + "x" * 2000)
    _, reason, description = await within(ended.get())
    assert reason == "transport error"
    assert "max_http_buffer_size=1000" in description
    assert [line for line in told() if "max_http_buffer_size=1000" in line]


async def test_a_body_that_is_too_big(
    url: str, http: aiohttp.ClientSession, told: Any, sio: socketio.AsyncServer
) -> None:
    ended: asyncio.Queue[str | None] = asyncio.Queue()
    sio.on("disconnect", lambda sid, reason, description: ended.put_nowait(description))
    async with http.get(url + POLLING) as response:
        sid = (await response.json(content_type=None, loads=_open))["sid"]
    async with http.post(f"{url}{POLLING}&sid={sid}", data="40"):
        pass
    async with http.get(f"{url}{POLLING}&sid={sid}"):
        pass
    async with http.post(f"{url}{POLLING}&sid={sid}", data="4" * 2000) as response:
        assert response.status == 413
    assert "max_http_buffer_size=1000" in str(await within(ended.get()))
    assert [line for line in told() if "max_http_buffer_size=1000" in line]


def _open(text: str) -> Any:
    return json.loads(text[1:])


@pytest.mark.parametrize("namespace", ["/chat", "*"])
@pytest.mark.parametrize("threads", [False, True])
async def test_classes_and_threads_get_the_description_too(
    http: aiohttp.ClientSession, serve: Any, namespace: str, threads: bool
) -> None:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[tuple[Any, ...]] = loop.create_future()

    def tell(*args: Any) -> None:
        loop.call_soon_threadsafe(ended.set_result, args)

    class Async(socketio.AsyncNamespace):
        if namespace == "*":

            async def on_disconnect(
                self, name: str, sid: str, reason: str, description: str | None
            ) -> None:
                tell(reason, description)
        else:

            async def on_disconnect(  # type: ignore[misc]
                self, sid: str, reason: str, description: str | None
            ) -> None:
                tell(reason, description)

    class Sync(socketio.Namespace):
        if namespace == "*":

            def on_disconnect(
                self, name: str, sid: str, reason: str, description: str | None
            ) -> None:
                tell(reason, description)
        else:

            def on_disconnect(  # type: ignore[misc]
                self, sid: str, reason: str, description: str | None
            ) -> None:
                tell(reason, description)

    sio: Any = (socketio.Server if threads else socketio.AsyncServer)(
        namespaces=["/chat"]
    )
    sio.register_namespace((Sync if threads else Async)(namespace))
    inner = sio._server if threads else sio
    if threads:
        starting = socketio.serve(inner, port=0)
        server = await asyncio.to_thread(sio._threads.run, starting)
    else:
        server = await serve(inner)
    ws = await joined(http, server.url, "40/chat,")
    await ws.send_str("42/chat,nonsense")
    reason, description = await within(ended)
    assert reason == "transport error"
    assert description
    if threads:
        await asyncio.to_thread(sio._threads.run, server.close())
        await asyncio.to_thread(sio.shutdown)


@pytest.mark.parametrize(
    ("close", "reason"),
    [("client", "client disconnect"), ("server", "server disconnect")],
)
async def test_an_end_without_an_error_has_no_description(
    http: aiohttp.ClientSession,
    serve: Any,
    sio: socketio.AsyncServer,
    close: str,
    reason: str,
) -> None:
    ended: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
    sio.on(
        "disconnect",
        lambda sid, reason, description: ended.put_nowait((reason, description)),
    )
    server = await serve(sio)
    ws = await joined(http, server.url)
    if close == "client":
        await ws.send_str("41")
    else:
        (sid,) = sio._hub.namespaces["/"].peers
        await sio.disconnect(sid)
    assert await within(ended.get()) == (reason, None)


def test_the_same_is_told_again_after_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(refusals.time, "monotonic", lambda: now)
    tell = refusals.Refusals(logging.getLogger("refusals"))
    for later in (0, 59, 1):
        now += later
        tell("origin", ("192.0.2.1", 5), "refused")
    tell("origin", ("192.0.2.2", 5), "refused")
    tell("revision", ("192.0.2.1", 5), "refused")
    assert len(caplog.records) == 4


def test_addresses_that_come_and_go_take_no_memory() -> None:
    tell = refusals.Refusals(logging.getLogger("refusals"))
    for number in range(3 * refusals.MAX_TOLD):
        tell("origin", (str(number), 5), "refused")
    assert len(tell._told) <= refusals.MAX_TOLD
