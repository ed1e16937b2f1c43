"""The socket API of the sync Server, with the official client."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from support.interop import within
from support.js_client import Refused
from support.wsgi_hosts import werkzeug

import socketio_fast
from socketio_fast import exceptions


@pytest.fixture
def transport() -> str:
    """One is enough: what is sent goes the way that all events go."""
    return "websocket"


@pytest.fixture
def sio() -> Iterator[socketio_fast.Server]:
    server = socketio_fast.Server(cors_allowed_origins="*")
    yield server
    server.shutdown()


@pytest.fixture
def server(sio: socketio_fast.Server) -> Iterator[Any]:
    with ExitStack() as stack:
        app = socketio_fast.WSGIApp(sio)
        yield SimpleNamespace(url=stack.enter_context(werkzeug(app)))
        sio.shutdown()


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await within(asyncio.to_thread(function, *args), str(function))


async def test_the_socket_of_a_client(
    js: Any, sio: socketio_fast.Server, server: Any
) -> None:
    """K1, K4, N5: middlewares, listeners, rooms, answers; all of it in threads."""
    nsp = sio.of("/chat")
    assert nsp == sio.of("/chat")
    told: list[Any] = []
    came, ended = threading.Event(), threading.Event()
    loop_thread = sio.loop_thread.run(asyncio.sleep(0, threading.get_ident()))

    @nsp.use
    def authenticate(socket: Any) -> None:
        assert threading.get_ident() != loop_thread
        socket.conn.on("message", lambda data: "hi" in data and came.set())
        if socket.handshake.auth != {"token": "x"}:
            raise exceptions.ConnectionRefusedError("no", {"code": 1})
        socket.data["user"] = "ada"

    @nsp.on("connection")
    def connection(socket: Any) -> None:
        assert came.wait(10)  # what comes meanwhile waits for the listeners
        assert threading.get_ident() != loop_thread

        @socket.on("message")
        def message(text: str) -> str:
            socket.emit("heard", text, callback=lambda *args: told.append(args))
            answer = socket.timeout(5).emit_with_ack("question")
            socket.broadcast.emit("not to itself")
            return f"{socket.data['user']} {text} {answer}"

        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            told.append((reason, socket.connected))
            ended.set()

        def never() -> None:
            told.append("never")

        socket.on("end", never)
        socket.off("end", never)
        socket.on("end", lambda: socket.disconnect())
        socket.on_any(lambda *event: told.append(event))
        socket.join("room")
        assert socket.rooms == {socket.id, "room"}
        told.append((socket.connected, socket.nsp.name, list(nsp.sockets)))

    client = await js(server)
    with pytest.raises(Refused, match="no"):
        await client.connect("/chat", auth={"token": "y"})
    other = await js(server)
    chat = await other.socket("/chat")
    await chat.connect(auth={"token": "x"})
    answering = asyncio.ensure_future(chat.emit_with_ack("message", "hi"))
    heard = await chat.next_event()
    await chat.answer(heard, "yes")
    await chat.expect_and_answer("question", 42)
    assert await within(answering, "answer") == ["ada hi 42"]
    sid = await chat.connected() if chat.sid is None else chat.sid
    await chat.emit("end")
    assert await chat.disconnected() == "io server disconnect"
    await in_thread(ended.wait, 10)
    assert told == [
        (True, "/chat", [sid]),
        ("message", "hi"),
        ("yes",),
        ("end",),
        ("server disconnect", False),
    ]


async def test_namespaces_on_demand(
    js: Any, sio: socketio_fast.Server, server: Any
) -> None:
    """N2, N3, N4: patterns and functions, which run in threads; parents emit."""
    parent = sio.of("/org/{org}")
    made: list[str] = []

    @sio.of("/").on("new_namespace")
    def new(nsp: Any) -> None:
        made.append(nsp.name)

    @parent.on("connection")
    def connection(socket: Any) -> None:
        socket.emit("welcome", socket.nsp.params["org"])

    def exists(name: str, auth: Any) -> bool:
        return name == "/yes"

    assert sio.of(exists) == sio.of(exists)
    client = await js(server)
    org = await client.connect("/org/acme")
    assert await org.expect("welcome") == ["acme"]
    assert [child.name for child in parent.children] == ["/org/acme"]
    yes = await client.connect("/yes")
    with pytest.raises(Refused, match="Invalid namespace"):
        await client.connect("/no")
    await in_thread(parent.emit, "all", 1)
    assert await org.expect("all") == [1]
    assert set(made) >= {"/org/acme", "/yes"}
    await in_thread(sio.of("/yes").delete)
    assert await yes.disconnected() == "io server disconnect"
    assert sio.of(re.compile("x")).children == set()


async def test_operators(js: Any, sio: socketio_fast.Server, server: Any) -> None:
    """M4, M6, M12, M13, M16, M17: to rooms, with acknowledgements as they come."""
    clients = []
    for rooms in ("ab", "b", ""):
        client = await js(server)
        await client.connect()
        for room in rooms:
            sio.enter_room(client.sid, room)
        clients.append(client)
    first, second, third = clients

    def broadcasts() -> None:
        sio.to("a").to("b").except_(second.sid).emit("one", 1, b"2")
        sio.in_("b").local.compress(False).send("text")
        sio.volatile.emit("end")

    await in_thread(broadcasts)
    assert await first.expect("one") == [1, b"2"]
    for client in (first, second):
        assert await client.expect("message") == ["text"]
    for client in clients:
        await client.expect("end")

    def ask() -> list[tuple[str, Any]]:
        return list(sio.to("b").timeout(5).acks("question"))

    asking = asyncio.ensure_future(in_thread(ask))
    await second.expect_and_answer("question", 2)
    await first.expect_and_answer("question", 1)
    assert await asking == [(second.sid, 2), (first.sid, 1)]
    asking = asyncio.ensure_future(
        in_thread(lambda: sio.to("a").emit_with_ack("question"))
    )
    await first.expect_and_answer("question", "x", "y")
    assert await asking == [("x", "y")]

    def in_vain() -> None:
        with pytest.raises(exceptions.BroadcastTimeoutError):
            sio.timeout(0.05).emit_with_ack("nobody")

    await in_thread(in_vain)

    def look() -> None:
        found = {client.id: client for client in sio.fetch_sockets()}
        assert set(found) == {client.sid for client in clients}
        assert found[first.sid].rooms == {first.sid, "a", "b"}
        found[first.sid].join("c")
        assert set(sio.rooms(first.sid)) == {first.sid, "a", "b", "c"}
        sio.in_("a").sockets_leave("b")
        assert [client.id for client in sio.in_("b").fetch_sockets()] == [second.sid]
        assert sio.server_count() == 1
        sio.except_(third.sid).disconnect_sockets()

    await in_thread(look)
    for client in (first, second):
        assert await client.disconnected() == "io server disconnect"
    await in_thread(sio.emit, "still there")
    await third.expect("nobody")
    await third.expect("still there")


def test_what_is_asyncios_is_refused(sio: socketio_fast.Server) -> None:
    """K1: a coroutine function would not run in a thread."""

    async def listener(socket: Any) -> None: ...

    with pytest.raises(TypeError, match="coroutine function"):
        sio.of("/").on("connection", listener)
    with pytest.raises(TypeError, match="not callable"):
        sio.of("/").use(1)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="'connect' is a reserved event name"):
        sio.to("room").emit("connect")
