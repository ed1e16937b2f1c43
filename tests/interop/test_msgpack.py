"""serializer="msgpack" with the official parser, and with python-socketio's client."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import msgpack
import pytest
import socketio as python_socketio
from support.interop import (
    ARGUMENTS,
    BINARY_ARGUMENTS,
    SETTLED,
    record,
    record_connects,
    record_disconnects,
    returning,
)
from support.js_client import Binary, JSClient, Refused
from support.python_client import PythonClient
from support.waiting import until

import socketio_fast
from socketio_fast import exceptions
from socketio_fast.msgpack_packet import MsgPackPacket
from socketio_fast.packet import EVENT

#: Strings of MessagePack are UTF-8.
ARGUMENTS = {k: v for k, v in ARGUMENTS.items() if k != "lone surrogates"}


class Counting(MsgPackPacket):
    """Counts how often events of a name are encoded."""

    counts: dict[str, int]

    def encode(self) -> bytes:
        if self.packet_type == EVENT:
            name = self.data[0]
            self.counts[name] = self.counts.get(name, 0) + 1
        return super().encode()


@pytest.fixture
def sio() -> socketio_fast.AsyncServer:
    packet_class = type("Counting", (Counting,), {"counts": {}})
    return socketio_fast.AsyncServer(cors_allowed_origins="*", serializer=packet_class)


@pytest.fixture
async def node(js: Any) -> Any:
    """A factory: ``client = await node(server)``, with the msgpack parser."""

    async def start(server: Any, **options: Any) -> JSClient:
        return await js(server, parser="msgpack", **options)

    return start


@pytest.fixture
async def python(serve: Any, transport: str) -> Any:
    """A factory: ``client = python(server, *namespaces)``."""
    async with AsyncExitStack() as stack:

        def start(server: Any, *namespaces: str) -> PythonClient:
            client = PythonClient(
                "AsyncClient",
                server.url,
                transport,
                list(namespaces) or ["/"],
                {"serializer": "msgpack"},
            )
            stack.push_async_exit(client)
            return client

        yield start


# ------------------------------------------------------- the official parser


async def test_arguments_from_javascript(node, serve, sio, transport):
    """P10, P11: the official client with socket.io-msgpack-parser."""
    received = record(sio, "arguments")
    client = await node(await serve(sio))
    await client.connect()
    await until(lambda: sio.transport(client.sid) == SETTLED[transport])
    for case, arguments in {**ARGUMENTS, **BINARY_ARGUMENTS}.items():
        if case == "floats":
            # notepack.io takes 1e300 for an integer, and writes another one.
            arguments = [value for value in arguments if value != 1e300]
        await client.emit("arguments", *arguments)
        sid, *got = await received.next()
        assert (case, repr(got)) == (case, repr(arguments))
        assert sid == client.sid


async def test_arguments_to_javascript(node, serve, sio):
    """P11: arguments to javascript."""
    client = await node(await serve(sio))
    await client.connect()
    for case, arguments in {**ARGUMENTS, **BINARY_ARGUMENTS}.items():
        await sio.emit("arguments", tuple(arguments), to=client.sid)
        got = await client.expect("arguments")
        assert (case, repr(got)) == (case, repr(arguments))


async def test_kinds_of_binary_of_javascript(node, serve, sio):
    received = record(sio, "binary")
    client = await node(await serve(sio))
    await client.connect()
    data = b"\x00\x01\x02"
    kinds = ("Buffer", "Uint8Array", "ArrayBuffer")
    await client.emit("binary", *(Binary(data, kind) for kind in kinds))
    # notepack.io has an extension type for what is no Buffer.
    extension = msgpack.ExtType(0, data)
    assert (await received.next())[1:] == (data, extension, extension)


async def test_acknowledgements_with_javascript(node, serve, sio):
    sio.on("add", lambda sid, a, b: a + b)
    sio.on("several", returning((1, b"two", {"three": [3]})))
    sio.on("nothing", returning(None))
    client = await node(await serve(sio))
    await client.connect()
    assert await client.emit_with_ack("add", 1, 2) == [3]
    assert await client.emit_with_ack("several") == [1, b"two", {"three": [3]}]
    assert await client.emit_with_ack("nothing") == []

    answers = record(sio, "unused")
    await sio.emit("question", b"?", to=client.sid, callback=answers.add)
    assert await client.expect_and_answer("question", b"!", 5) == [b"?"]
    assert await answers.next() == (b"!", 5)


async def test_namespaces_with_javascript(node, serve, sio):
    sio.on("echo", lambda sid, value: value, namespace="/chat")
    connected = record_connects(sio, "/chat")
    disconnected = record_disconnects(sio, "/chat")
    client = await node(await serve(sio))
    await client.connect()
    chat = await client.connect("/chat", auth={"token": b"t"})
    sid, _, auth = await connected.next()
    assert sid == chat.sid != client.sid
    assert auth == {"token": b"t"}
    assert await chat.emit_with_ack("echo", b"x") == [b"x"]
    await sio.emit("news", 1, namespace="/chat")
    assert await chat.expect("news") == [1]

    await chat.disconnect()
    assert await disconnected.next() == (sid, sio.reason.CLIENT_DISCONNECT)
    await sio.disconnect(client.sid)
    assert await client.disconnected() == "io server disconnect"


async def test_refusals_with_javascript(node, serve, sio):
    @sio.on("connect", namespace="/no")
    async def connect(sid, environ, auth):
        raise exceptions.ConnectionRefusedError("not you", {"why": b"\x01"})

    client = await node(await serve(sio))
    await client.connect()
    with pytest.raises(Refused) as refused:
        await client.connect("/no")
    assert refused.value.message == "not you"
    assert refused.value.data == {"why": b"\x01"}
    with pytest.raises(Refused) as refused:
        await client.connect("/unknown")
    assert refused.value.message == "Invalid namespace"


async def test_broadcast_to_javascript_is_encoded_once(node, serve, sio):
    """M15: broadcast to javascript is encoded once."""
    server = await serve(sio)
    clients = [await node(server) for _ in range(3)]
    for client in clients:
        await client.connect()
        await sio.enter_room(client.sid, "room")
    await sio.emit("news", ("x", b"y"), room="room")
    for client in clients:
        assert await client.expect("news") == ["x", b"y"]
    assert sio.packet_class.counts["news"] == 1


# ------------------------------------------------- python-socketio's client


async def test_arguments_with_python(python, serve, sio, transport):
    received = record(sio, "arguments")

    @sio.event
    async def echo(sid, *arguments):
        await sio.emit("echoed", arguments, to=sid)
        return arguments

    client = python(await serve(sio))
    await client.connect()
    assert client.client.transport() == SETTLED[transport]
    for case, arguments in {**ARGUMENTS, **BINARY_ARGUMENTS}.items():
        expected = (case, repr(arguments))
        await client.emit("arguments", *arguments)
        sid, *got = await received.next()
        assert (case, repr(got)) == expected
        assert sid == client.sid

        answer = await client.call("echo", *arguments)
        got = [] if answer is None else answer if type(answer) is tuple else [answer]
        if arguments != [None]:  # which is no answer to this client
            assert (case, repr(list(got))) == expected
        assert (case, repr(await client.expect("echoed"))) == expected


async def test_acknowledgements_with_python(python, serve, sio):
    client = python(await serve(sio))
    client.answers["question"] = (b"!", {"a": 1})
    await client.connect()
    assert await sio.call("question", b"?", to=client.sid) == (b"!", {"a": 1})


async def test_namespaces_with_python(python, serve, sio):
    connected = record_connects(sio, "/chat")
    disconnected = record_disconnects(sio, "/chat")
    sio.on("echo", lambda sid, value: value, namespace="/chat")
    client = python(await serve(sio), "/", "/chat")
    await client.connect(auth={"token": b"t"})
    sid, _, auth = await connected.next()
    assert auth == {"token": b"t"}
    assert await client.call("echo", b"x", nsp="/chat") == b"x"
    await sio.disconnect(sid, namespace="/chat")
    assert await client.disconnects["/chat"].next() == ("server disconnect",)
    assert await disconnected.next() == (sid, "server disconnect")


async def test_refusals_with_python(python, serve, sio):
    @sio.event
    async def connect(sid, environ, auth):
        raise exceptions.ConnectionRefusedError("not you", {"why": b"\x01"})

    client = python(await serve(sio))
    with pytest.raises(python_socketio.exceptions.ConnectionError):
        await client.connect()
    assert await client.errors["/"].next() == (
        {"message": "not you", "data": {"why": b"\x01"}},
    )


async def test_broadcast_to_python_is_encoded_once(python, serve, sio):
    server = await serve(sio)
    clients = [python(server) for _ in range(3)]
    for client in clients:
        await client.connect()
        await sio.enter_room(client.sid, "room")
    await sio.emit("news", ("x", b"y"), room="room")
    for client in clients:
        assert await client.expect("news") == ["x", b"y"]
    assert sio.packet_class.counts["news"] == 1


async def test_both_in_one_room(node, python, serve, sio):
    @sio.event
    async def say(sid, text):
        await sio.emit("said", text, skip_sid=sid)

    server = await serve(sio)
    other, client = python(server), await node(server)
    await other.connect()
    await client.connect()
    await client.emit("say", b"hello")
    assert await other.expect("said") == [b"hello"]
    await other.emit("say", "hi")
    assert await client.expect("said") == ["hi"]
