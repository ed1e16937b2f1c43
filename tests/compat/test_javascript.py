"""The official JavaScript client, which must see the same of both packages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from support.js_client import Binary, JSClient, Refused

from compat.harness import Host, Record, Run, Server


@pytest.fixture
async def js(run: Run) -> AsyncIterator[Any]:
    """``client = await js(server)``; it ends before the server does."""
    async with AsyncExitStack() as stack:

        async def start(server: Server, **options: Any) -> JSClient:
            options.setdefault("transports", ["polling", "websocket"])
            options.setdefault("reconnection", False)
            return await stack.enter_async_context(JSClient(server.url, **options))

        yield start


def app(sio: Any, record: Record) -> None:
    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> bool | None:
        record("connect", sid, auth)
        return not (auth or {}).get("refuse")

    @sio.event
    async def disconnect(sid: str, reason: str) -> None:
        record("disconnect", sid, reason)

    @sio.event
    async def echo(sid: str, *args: Any) -> tuple[Any, ...]:
        await sio.emit("echo", args, to=sid)
        return args


async def test_connect(run: Run, js: Any) -> None:
    server = await run(app)
    client = await js(server)
    await client.connect(auth={"token": "x"})
    await server.recorded("connect", client.sid, {"token": "x"})


async def test_refusal(run: Run, js: Any) -> None:
    server = await run(app)
    client = await js(server)
    with pytest.raises(Refused) as caught:
        await client.connect(auth={"refuse": True})
    assert caught.value.message == "Connection rejected by server"
    assert caught.value.data is None


async def test_refusal_with_data(run: Run, js: Any, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            raise host.socketio.exceptions.ConnectionRefusedError("no", {"code": 1})

    server = await run(app)
    client = await js(server)
    with pytest.raises(Refused) as caught:
        await client.connect()
    assert (caught.value.message, caught.value.data) == ("no", {"code": 1})


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["text", 1, None, [True], {"a": 1.5}],
        ["é☃😀"],
        [{"file": b"\x00\xff"}, b"more"],
        ["x" * 100_000],
    ],
    ids=["none", "several", "unicode", "bytes", "large"],
)
async def test_echo(run: Run, js: Any, args: list[Any]) -> None:
    server = await run(app)
    client = await js(server)
    await client.connect()
    assert await client.emit_with_ack("echo", *args) == args
    assert await client.expect("echo") == args


@pytest.mark.parametrize("kind", ["Buffer", "Uint8Array", "ArrayBuffer"])
async def test_kinds_of_bytes(run: Run, js: Any, kind: str) -> None:
    server = await run(app)
    client = await js(server)
    await client.connect()
    assert await client.emit_with_ack("echo", Binary(b"abc", kind)) == [b"abc"]


async def test_call(run: Run, js: Any) -> None:
    server = await run(app)
    client = await js(server)
    await client.connect()
    called = asyncio.ensure_future(server.sio.call("ask", 1, to=client.sid))
    assert await client.expect_and_answer("ask", "a", 2) == [1]
    assert await called == ("a", 2)


async def test_namespaces(run: Run, js: Any) -> None:
    server = await run(app, namespaces=["/", "/a"])
    client = await js(server)
    await client.connect()
    other = await client.connect("/a")
    assert other.sid != client.sid
    await server.sio.emit("news", 1, namespace="/a")
    assert await other.expect("news") == [1]


async def test_rooms(run: Run, js: Any) -> None:
    server = await run(app)
    first, second = await js(server), await js(server)
    await first.connect()
    await second.connect()
    await server.sio.enter_room(first.sid, "room")
    await server.sio.emit("news", 1, room="room")
    await server.sio.emit("end")
    assert await first.expect("news") == [1]
    assert await first.expect("end") == []
    assert await second.expect("end") == []


async def test_disconnect_by_the_client(run: Run, js: Any) -> None:
    server = await run(app)
    client = await js(server)
    await client.connect()
    sid = client.sid
    await server.next_record()
    await client.disconnect()
    assert await client.disconnected() == "io client disconnect"
    await server.recorded("disconnect", sid, "client disconnect")


async def test_disconnect_by_the_server(run: Run, js: Any) -> None:
    server = await run(app)
    client = await js(server)
    await client.connect()
    sid = client.sid
    await server.next_record()
    await server.sio.disconnect(sid)
    assert await client.disconnected() == "io server disconnect"
    await server.recorded("disconnect", sid, "server disconnect")
