"""P3, P5: the official client of Socket.IO 2, npm socket.io-client@2."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from support.interop import (
    ARGUMENTS,
    BINARY_ARGUMENTS,
    SETTLED,
    TRANSPORTS,
    record,
    record_connects,
    record_disconnects,
    returning,
)
from support.js_client import JSClient, Refused
from support.waiting import until

import socketio_fast
from socketio_fast import exceptions

OLD = "socket.io-client-2"

#: For what does not depend on the transport.
BY_WEBSOCKET = pytest.mark.parametrize("transport", ["websocket"])


@pytest.fixture
def sio() -> socketio_fast.AsyncServer:
    return socketio_fast.AsyncServer(cors_allowed_origins="*", allow_eio3=True)


@pytest.fixture
async def old(serve: Any, transport: str) -> AsyncIterator[Any]:
    """A factory of clients: ``client = await old(server, **options)``."""
    async with AsyncExitStack() as stack:

        async def start(server: Any, **options: Any) -> JSClient:
            options.setdefault("transports", TRANSPORTS[transport])
            return await stack.enter_async_context(
                JSClient(server.url, package=OLD, **options)
            )

        yield start


async def test_connect(old, serve, sio, transport):
    """P3: "/" is joined without asking; its sid is the client's, Engine.IO's."""
    connected = record_connects(sio)
    client = await old(await serve(sio), query={"token": "t"})
    await client.connect()
    sid, environ, auth = await connected.next()
    assert sid == client.sid == client.engine
    assert auth is None
    assert "EIO=3" in environ["QUERY_STRING"]
    assert "token=t" in environ["QUERY_STRING"]
    await until(lambda: sio.transport(sid) == SETTLED[transport])
    (session,) = sio.eio.sockets.values()
    assert session.protocol == 3


async def test_arguments(old, serve, sio):
    """P3, P5: text and binary, both ways, with acknowledgements."""
    sio.on("echo", lambda sid, *arguments: arguments)
    received = record(sio, "arguments")
    client = await old(await serve(sio))
    await client.connect()
    for case, arguments in {**ARGUMENTS, **BINARY_ARGUMENTS}.items():
        expected = (case, repr(arguments))
        await client.emit("arguments", *arguments)
        assert (case, repr([*(await received.next())[1:]])) == expected
        assert (case, repr(await client.emit_with_ack("echo", *arguments))) == expected
        await sio.emit("arguments", tuple(arguments), to=client.sid)
        assert (case, repr(await client.expect("arguments"))) == expected


@pytest.mark.parametrize("force", [False, True], ids=["binary", "forceBase64"])
async def test_acknowledgements_that_the_server_asks_for(old, serve, sio, force):
    """P3: b64=1 where the client asks for it."""
    client = await old(await serve(sio), forceBase64=force)
    await client.connect()
    answers = record(sio, "unused")
    await sio.emit("question", b"?", to=client.sid, callback=answers.add)
    assert await client.expect_and_answer("question", b"!", 5) == [b"?"]
    assert await answers.next() == (b"!", 5)


async def test_namespaces(old, serve, sio):
    """P3, P5: a namespace is joined with a query; the sid is the client's."""
    connected = record_connects(sio, "/chat")
    disconnected = record_disconnects(sio, "/chat")
    sio.on("echo", returning(b"x"), namespace="/chat")
    client = await old(await serve(sio))
    await client.connect()
    chat = await client.connect("/chat", auth={"token": "é &=?,"})
    sid, _, auth = await connected.next()
    assert sid == chat.sid == f"/chat#{client.engine}"
    assert auth == {"token": "é &=?,"}
    assert await chat.emit_with_ack("echo", b"y") == [b"x"]
    await sio.emit("news", 1, room=sid, namespace="/chat")
    assert await chat.expect("news") == [1]

    await chat.disconnect()
    assert await disconnected.next() == (sid, sio.reason.CLIENT_DISCONNECT)
    # It comes back with the same sid.
    await chat.connect()
    assert (await connected.next())[0] == sid
    assert sio.rooms(sid, namespace="/chat") == [sid]
    await sio.disconnect(sid, namespace="/chat")
    assert await chat.next("disconnect")
    assert client.engines == 1


@BY_WEBSOCKET
async def test_a_namespace_alone(old, serve, sio):
    """P3: the client has "/" although it did not ask for it."""
    main = record_connects(sio)
    connected = record_connects(sio, "/chat")
    client = await old(await serve(sio))
    chat = await client.connect("/chat")
    assert (await main.next())[0] == client.engine
    assert (await connected.next())[0] == chat.sid


@BY_WEBSOCKET
async def test_refusals(old, serve, sio):
    """P5: ERROR has the data of the refusal, or its message, a string."""

    @sio.on("connect", namespace="/message")
    async def refuse(sid: str, environ: Any) -> None:
        raise exceptions.ConnectionRefusedError("not you")

    @sio.on("connect", namespace="/data")
    async def refuse_with_data(sid: str, environ: Any) -> None:
        raise exceptions.ConnectionRefusedError("not you", {"why": 1})

    client = await old(await serve(sio))
    await client.connect()
    for nsp, data in {
        "/message": "not you",
        "/data": {"why": 1},
        "/unknown": "Invalid namespace",
    }.items():
        with pytest.raises(Refused) as refused:
            await client.connect(nsp)
        assert refused.value.data == data


@BY_WEBSOCKET
async def test_the_main_namespace_refuses(old, serve, sio):
    """P5: ERROR in "/" instead of CONNECT."""

    @sio.event
    async def connect(sid: str, environ: Any) -> bool:
        return False

    client = await old(await serve(sio))
    with pytest.raises(Refused) as refused:
        await client.connect()
    assert refused.value.data == "Connection rejected by server"


@BY_WEBSOCKET
async def test_disconnect(old, serve, sio):
    """P3: either side ends it."""
    disconnected = record_disconnects(sio)
    server = await serve(sio)
    client = await old(server, reconnection=False)
    await client.connect()
    await sio.disconnect(client.sid)
    assert await client.disconnected() == "io server disconnect"
    assert (await disconnected.next())[1] == sio.reason.SERVER_DISCONNECT

    client = await old(server)
    await client.connect()
    await client.disconnect()
    assert await client.disconnected() == "io client disconnect"
    assert (await disconnected.next())[1] == sio.reason.CLIENT_DISCONNECT


@BY_WEBSOCKET
async def test_heartbeat(old, serve):
    """P3: the client pings, and stays."""
    sio = socketio_fast.AsyncServer(
        allow_eio3=True, ping_interval=0.2, cors_allowed_origins="*"
    )
    disconnected = record_disconnects(sio)
    client = await old(await serve(sio))
    await client.connect()
    for _ in range(3):
        await client.next("ping")
    sio.on("question", returning("still here"))
    assert await client.emit_with_ack("question") == ["still here"]
    assert disconnected.empty


@BY_WEBSOCKET
async def test_broadcast_to_both(old, js, serve, sio):
    """P3: one message for clients of both revisions, text and binary."""
    server = await serve(sio)
    clients = [
        await start(server, transports=transports)
        for start in (old, js)
        for transports in TRANSPORTS.values()
    ]
    clients.append(await old(server, transports=["polling"], forceBase64=True))
    for client in clients:
        await client.connect()
        await sio.enter_room(client.sid, "room")
    await sio.emit("news", ("é😀", b"\x00\xff"), room="room")
    await sio.emit("more", {"a": 1})
    for client in clients:
        assert await client.expect("news") == ["é😀", b"\x00\xff"]
        assert await client.expect("more") == [{"a": 1}]


@BY_WEBSOCKET
async def test_not_without_the_option(old, serve):
    """P3: by default such clients are refused."""
    sio = socketio_fast.AsyncServer(cors_allowed_origins="*")
    client = await old(await serve(sio), reconnection=False)
    with pytest.raises(Refused):
        await client.connect()
    assert not sio.eio.sockets
