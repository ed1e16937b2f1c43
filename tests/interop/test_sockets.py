"""The socket API, with the official client."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from support.interop import WAIT, Calls, within
from support.js_client import Refused

import socketio_fast
from socketio_fast.exceptions import ConnectionRefusedError
from socketio_fast.sockets.socket import Socket


async def test_a_client_as_an_object(
    serve: Any, js: Any, sio: socketio_fast.AsyncServer
) -> None:
    """K1, K2, K4, K7, K14, K15, N1: from its coming to its end."""
    chat = sio.of("/chat")
    came, went, heard = Calls("connection"), Calls("disconnect"), Calls("any")

    @chat.on("connection")
    async def connection(socket: Socket) -> None:
        @socket.on("add")
        async def add(*numbers: int) -> int:
            return sum(numbers)

        @socket.on("file")
        def file(data: bytes) -> tuple[bytes, int]:
            return data, len(data)

        @socket.on("disconnecting")
        def disconnecting(reason: str) -> None:
            went.add("disconnecting", reason, socket.rooms)

        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            went.add("disconnect", reason, socket.rooms)

        socket.on_any(heard.add)
        await socket.join("room")
        await socket.emit("welcome", socket.handshake.auth["name"], b"\x00\x01")
        came.add(socket)

    client = await (await js(await serve(sio))).connect("/chat", auth={"name": "ada"})
    (socket,) = await came.next()
    assert socket.id == client.sid
    assert socket.handshake.address == "127.0.0.1"
    assert socket.handshake.query["EIO"] == "4"
    assert await client.expect("welcome") == ["ada", b"\x00\x01"]
    assert await client.emit_with_ack("add", 1, 2, 3) == [6]
    assert await client.emit_with_ack("file", b"\x01\x02") == [b"\x01\x02", 2]
    assert [call[0] for call in await heard.several(2)] == ["add", "file"]
    await client.disconnect()
    reason = "client disconnect"
    rooms = {socket.id, "room"}
    assert await went.next() == ("disconnecting", reason, rooms)
    assert await went.next() == ("disconnect", reason, set())


async def test_middlewares(serve: Any, js: Any, sio: socketio_fast.AsyncServer) -> None:
    """N5, N12: message and data of a refusal."""
    admin = sio.of("/admin")

    @admin.use
    async def middleware(socket: Socket) -> None:
        if socket.handshake.auth.get("token") != "good":
            raise ConnectionRefusedError("not authorized", {"retry": False})

    client = await js(await serve(sio))
    with pytest.raises(Refused) as refused:
        await client.connect("/admin", auth={"token": "bad"})
    assert refused.value.message == "not authorized"
    assert refused.value.data == {"retry": False}


async def test_namespaces_on_demand(
    serve: Any, js: Any, sio: socketio_fast.AsyncServer
) -> None:
    """N2, N3, N4, S11"""
    made = Calls("new_namespace")
    sio.of("/").on("new_namespace", lambda nsp: made.add(nsp.name))
    rooms = sio.of(re.compile(r"^/room-\d+$"))
    orgs = sio.of("/org/{org}/chat")

    @orgs.on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("org", socket.nsp.params)

    async def exists(name: str, auth: Any) -> bool:
        return bool(auth) and auth["name"] == name

    sio.of(exists)
    client = await js(await serve(sio))
    await client.connect("/room-1")
    await client.connect("/room-2")
    await client.connect("/org/acme/chat")
    assert await client["/org/acme/chat"].expect("org") == [{"org": "acme"}]
    await client.connect("/mine", auth={"name": "/mine"})
    with pytest.raises(Refused, match="Invalid namespace"):
        await client.connect("/other", auth={"name": "/mine"})
    await rooms.emit("all", 1)
    assert await client["/room-1"].expect("all") == [1]
    assert await client["/room-2"].expect("all") == [1]
    names = [name for (name,) in await made.several(4)]
    assert names == ["/room-1", "/room-2", "/org/acme/chat", "/mine"]


async def test_guards_and_questions(
    serve: Any, js: Any, sio: socketio_fast.AsyncServer
) -> None:
    """N10, K6: and acknowledgements that the server asks for."""
    errors, sent, came = Calls("error"), Calls("outgoing"), Calls("connection")

    @sio.of("/").on("connection")
    def connection(socket: Socket) -> None:
        @socket.use
        async def guard(event: str, *args: Any) -> None:
            if event == "forbidden":
                raise PermissionError(event)

        socket.on("error", lambda error: errors.add(str(error)))
        socket.on("allowed", lambda: "yes")
        socket.on_any_outgoing(sent.add)
        came.add(socket)

    client = await js(await serve(sio))
    await client.connect()
    (socket,) = await came.next()
    await client.emit("forbidden")
    assert await errors.next() == ("forbidden",)
    assert await client.emit_with_ack("allowed") == ["yes"]
    await sio.emit("news", 5)
    assert await client.expect("news") == [5]
    assert await sent.next() == ("news", 5)
    question = asyncio.create_task(socket.timeout(WAIT).emit_with_ack("q", 1))
    assert await client.expect_and_answer("q", "a", b"\x02") == [1]
    assert await within(question, "acknowledgement") == ("a", b"\x02")


async def test_disconnect_closes_the_connection(
    serve: Any, js: Any, sio: socketio_fast.AsyncServer
) -> None:
    """K9: all namespaces of it."""
    gone = Calls("disconnect")

    def connection(socket: Socket) -> None:
        socket.on("disconnect", lambda reason: gone.add(socket.nsp.name, reason))
        socket.on("end", lambda: socket.disconnect(close=True) and None)

    for name in ("/", "/other"):
        sio.of(name).on("connection", connection)
    client = await js(await serve(sio), reconnection=False)
    await client.connect()
    await client.connect("/other")
    await client["/other"].emit("end")
    ended = await gone.several(2)
    assert sorted(ended) == [
        ("/", "server disconnect"),
        ("/other", "server disconnect"),
    ]
