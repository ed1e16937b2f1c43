"""GET /healthz and /readyz of serve() and run()."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from support.waiting import until, within

import socketio_fast as socketio
from socketio_fast.async_pubsub_manager import AsyncPubSubManager

Serve = Callable[..., Awaitable[Any]]


async def get(url: str, path: str, method: str = "GET") -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, url + path) as response,
    ):
        return response.status, await response.text()


async def test_only_when_it_is_asked_for(serve: Serve) -> None:
    server = await serve(socketio.AsyncServer())
    assert (await get(server.url, "/healthz"))[0] == 404
    assert (await get(server.url, "/readyz"))[0] == 404


@pytest.mark.parametrize("engine", [False, True])
async def test_a_server_that_runs(serve: Serve, engine: bool) -> None:
    app = socketio.engineio.AsyncServer() if engine else socketio.AsyncServer()
    server = await serve(app, health=True)
    assert await get(server.url, "/healthz") == (200, "ok\n")
    assert await get(server.url, "/readyz") == (200, "ready\n")
    assert await get(server.url, "/readyz", "HEAD") == (200, "")
    assert (await get(server.url, "/healthz", "POST"))[0] == 405
    assert (await get(server.url, "/healthz/"))[0] == 404


async def test_beside_files_and_applications(serve: Serve, tmp_path: Any) -> None:
    (tmp_path / "healthz").write_text("a file")
    sio = socketio.AsyncServer()
    server = await serve(sio, health=True, static_files={"/": str(tmp_path)})
    assert await get(server.url, "/healthz") == (200, "ok\n")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"the application's"})

    server = await serve(socketio.ASGIApp(socketio.AsyncServer(), app), health=True)
    async with aiohttp.ClientSession(server.url) as http:
        for path, body in (("/healthz", "ok\n"), ("/", "the application's")) * 2:
            async with http.get(path) as response:
                assert await response.text() == body


async def test_a_server_that_drains(serve: Serve) -> None:
    sio = socketio.AsyncServer()
    begun, going_on = asyncio.Event(), asyncio.Event()

    @sio.event
    async def work(sid: str) -> None:
        begun.set()
        await going_on.wait()

    server = await serve(sio, health=True, drain_rate=100, shutdown_timeout=30)
    client = socketio.AsyncClient()
    await client.connect(server.url, transports=["websocket"])
    await client.emit("work")
    await within(begun.wait())
    closing = asyncio.ensure_future(server.close())
    await until(lambda: sio.eio.engine.draining)
    assert await get(server.url, "/healthz") == (200, "ok\n")
    assert await get(server.url, "/readyz") == (503, "draining\n")
    going_on.set()
    await within(closing)
    assert sio.eio.engine.pages is None
    await client.disconnect()


async def test_other_servers_that_cannot_be_reached(serve: Serve) -> None:
    sio = socketio.AsyncServer()
    server = await serve(sio, health=True)
    assert await get(server.url, "/readyz?cluster") == (200, "ready\n")

    class Manager(AsyncPubSubManager):
        async def _listen(self) -> Any:
            self._on_subscribed()
            assert await away.wait()
            raise OSError("the broker has gone")
            yield

    away = asyncio.Event()
    sio = socketio.AsyncServer(client_manager=Manager())
    server = await serve(sio, health=True)
    await until(lambda: sio.manager.healthy)
    assert await get(server.url, "/readyz?cluster") == (200, "ready\n")
    away.set()
    await until(lambda: not sio.manager.healthy)
    said = "other servers cannot be reached\n"
    assert await get(server.url, "/readyz?cluster") == (503, said)
    assert await get(server.url, "/readyz") == (200, "ready\n")
