"""``eio=3``: servers of Socket.IO 2 (Engine.IO 3), ours and Node's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.interop import ARGUMENTS, BINARY_ARGUMENTS
from support.waiting import within
from support.wire import TEXT, Peer, WebSocketServer, node

import socketio_fast as socketio
from client.conftest import Listen
from socketio_fast import exceptions

TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]


def ours(**options: Any) -> socketio.AsyncServer:
    sio = socketio.AsyncServer(allow_eio3=True, namespaces="*", **options)

    @sio.on("*", namespace="*")
    async def any_event(event: str, namespace: str, sid: str, *args: Any) -> Any:
        if event == "echo":
            await sio.emit("echo", args, to=sid, namespace=namespace)
            return args
        if event == "ask":

            def answered(*answer: Any) -> None:
                sio.start_background_task(
                    sio.emit, "answered", answer, to=sid, namespace=namespace
                )

            await sio.emit(
                "question", args, to=sid, namespace=namespace, callback=answered
            )
        return None

    @sio.on("connect", namespace="*")
    async def connect(namespace: str, sid: str, environ: Any, auth: Any = None) -> None:
        if namespace == "/refuse":
            raise exceptions.ConnectionRefusedError("not you")

    return sio


@pytest.fixture(params=["ours", "node"])
async def url(request: pytest.FixtureRequest, serve: Any) -> AsyncIterator[str]:
    if request.param == "ours":
        yield (await serve(ours(ping_interval=0.2, ping_timeout=5))).url
    else:
        async with node(eio=3, pingInterval=200, pingTimeout=5000) as started:
            yield started


def new(**options: Any) -> socketio.AsyncClient:
    return socketio.AsyncClient(eio=3, reconnection=False, **options)


@pytest.mark.parametrize("force_base64", [False, True], ids=["binary", "base64"])
@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_events_and_acks_carry_any_arguments(
    url: str, transports: list[str], force_base64: bool
) -> None:
    got: asyncio.Queue[Any] = asyncio.Queue()
    async with new(force_base64=force_base64) as client:
        client.on("echo", lambda *args: got.put_nowait(list(args)))
        await client.connect(url, transports=transports, wait_timeout=5)
        assert client.get_sid() == client.sid
        for name, args in {**ARGUMENTS, **BINARY_ARGUMENTS}.items():
            if name == "lone surrogates":
                continue  # Node's UTF-8 has none
            answer = await within(client.call("echo", tuple(args)))
            expected = None if not args else args[0] if len(args) == 1 else tuple(args)
            assert answer == expected, name
            assert await within(got.get()) == args, name
    assert client.transport() is None


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_the_client_pings_and_lives_longer_than_the_timeout(
    url: str, transports: list[str]
) -> None:
    async with new() as client:
        await client.connect(url, transports=transports, wait_timeout=5)
        await asyncio.sleep(0.7)
        assert await within(client.call("echo", "still there")) == "still there"


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_the_server_asks_and_is_answered(url: str, transports: list[str]) -> None:
    got: asyncio.Queue[Any] = asyncio.Queue()
    async with new() as client:
        client.on("question", lambda *args: (*args, b"binary"))
        client.on("answered", lambda *args: got.put_nowait(args))
        await client.connect(url, transports=transports, wait_timeout=5)
        await client.emit("ask", ("a", 1))
        assert await within(got.get()) == ("a", 1, b"binary")


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_other_namespaces_are_joined_and_left(
    url: str, transports: list[str]
) -> None:
    async with new() as client:
        chat = client.socket("/chat")
        await client.connect(
            url, transports=transports, namespaces=["/", "/chat"], wait_timeout=5
        )
        assert await within(chat.emit_with_ack("echo", 1)) == 1
        assert chat.id == f"/chat#{client.sid}"
        await chat.disconnect()
        assert await within(client.call("echo", 2)) == 2


async def test_a_namespace_gets_the_query_and_its_auth() -> None:
    async with (
        node(eio=3) as url,
        new(query={"from": "option", "odd": "a,b c&d"}) as client,
    ):
        chat = client.socket("/chat", auth={"token": "secret", "n": 1})
        await client.connect(
            f"{url}?of=url", namespaces=["/", "/chat"], transports=["websocket"]
        )
        query = await within(chat.emit_with_ack("query"))
        assert (
            query.items()
            >= {
                "from": "option",
                "odd": "a,b c&d",
                "of": "url",
                "token": "secret",
                "n": "1",
            }.items()
        )
        query = await within(client.call("query"))
        assert query.items() >= {"from": "option", "odd": "a,b c&d"}.items()
        assert "token" not in query


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_a_namespace_that_refuses_is_an_error(
    url: str, transports: list[str]
) -> None:
    client = new()
    errors: asyncio.Queue[Any] = asyncio.Queue()
    client.on("connect_error", errors.put_nowait, namespace="/refuse")
    with pytest.raises(exceptions.ConnectionError, match="/refuse"):
        await within(
            client.connect(
                url, namespaces=["/", "/refuse"], transports=transports, wait_timeout=5
            )
        )
    assert await within(errors.get()) == {"message": "not you"}


async def test_a_server_that_answers_no_ping_is_left(listen: Listen) -> None:
    async def script(peer: Peer) -> Any:
        await peer.send(
            '0{"sid":"abc","upgrades":[],"pingInterval":50,"pingTimeout":100}', "40"
        )
        return [await peer.receive(), await peer.receive()]

    server = await listen(WebSocketServer(script))
    client = new()
    closed: asyncio.Queue[Any] = asyncio.Queue()
    client.manager.on("close", lambda *args: closed.put_nowait(args))
    await within(client.connect(server.url, transports=["websocket"]))
    assert (await server.result())[0] == (0, TEXT, b"2")
    assert (await within(closed.get()))[0] == "ping timeout"


@pytest.mark.parametrize(
    "body", [b"", b"x", b"3:4", b"99:40", b"-1:4", b"\x00\xff4", b"\x01\x01\xff"]
)
async def test_a_payload_that_is_none_is_an_error(listen: Listen, body: bytes) -> None:
    from support.scripted_servers import HttpServer, response

    kind = "application/octet-stream" if body[:1] in b"\x00\x01" else "text/plain"
    server = await listen(HttpServer(response(200, body, {"Content-Type": kind})))
    with pytest.raises(exceptions.ConnectionError):
        await within(new().connect(server.url("")))


async def test_a_server_of_revision_4_is_named(serve: Any) -> None:
    server = await serve(socketio.AsyncServer())
    with pytest.raises(exceptions.ConnectionError):
        await within(new().connect(server.url))


async def test_a_server_of_revision_3_is_named_to_clients_of_revision_4() -> None:
    async with node(eio=3) as url:
        for transports in TRANSPORTS:
            client = socketio.AsyncClient(reconnection=False)
            with pytest.raises(exceptions.ConnectionError):
                await within(client.connect(url, transports=transports))
