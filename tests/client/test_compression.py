"""permessage-deflate of clients (RFC 7692)."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.waiting import within
from support.wire import (
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
    Peer,
    WebSocketServer,
    node,
    open_packet,
    server_frame,
)

import socketio_fast as socketio
from client.conftest import Listen
from socketio_fast import exceptions
from socketio_fast._core.protocol.deflate import Extension
from socketio_fast.options.client import EngineClientConfig

LONG = "compressible " * 1_000
SERVERS: dict[str, dict[str, Any]] = {
    "no takeover": {},
    "takeover": {
        "server_no_context_takeover": False,
        "client_no_context_takeover": False,
    },
    "small windows": {"server_max_window_bits": 9, "client_max_window_bits": 9},
}
NODE: dict[str, Any] = {
    "takeover": {"threshold": 0},
    "no takeover": {
        "threshold": 0,
        "serverNoContextTakeover": True,
        "clientNoContextTakeover": True,
    },
    "small windows": {"serverMaxWindowBits": 9, "clientMaxWindowBits": 10},
}


def no_reconnection(**options: Any) -> socketio.AsyncClient:
    return socketio.AsyncClient(reconnection=False, **options)


def offer(value: Any) -> str | None:
    deflate = EngineClientConfig(per_message_deflate=value).per_message_deflate
    return None if deflate is None else Extension(deflate).offer()


def test_the_offer_is_that_of_the_official_client() -> None:
    assert offer(True) == "permessage-deflate; client_max_window_bits"
    assert offer(False) is None
    assert offer(
        {
            "server_no_context_takeover": True,
            "client_no_context_takeover": True,
            "server_max_window_bits": 10,
            "client_max_window_bits": 11,
        }
    ) == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        "server_max_window_bits=10; client_max_window_bits=11"
    )


@pytest.mark.parametrize(
    "answer",
    [
        "x-webkit-deflate-frame",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate; unknown",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=9; client_max_window_bits=9",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; =",
    ],
)
async def test_a_server_that_accepts_what_was_not_offered_is_refused(
    listen: Listen, answer: str
) -> None:
    server = await listen(WebSocketServer(Peer.closed, extensions=answer))
    client = no_reconnection()
    with pytest.raises(exceptions.ConnectionError):
        await within(client.connect(server.url, transports=["websocket"]))
    assert client.eio.state == "disconnected"


async def test_nothing_is_accepted_if_nothing_is_offered(listen: Listen) -> None:
    async def script(peer: Peer) -> Any:
        assert "sec-websocket-extensions" not in peer.request.headers

    server = await listen(WebSocketServer(script, extensions="permessage-deflate"))
    client = no_reconnection(per_message_deflate=False)
    with pytest.raises(exceptions.ConnectionError, match="not offered"):
        await within(client.connect(server.url, transports=["websocket"]))


@pytest.fixture(params=[f"ours, {n}" for n in SERVERS] + [f"node, {n}" for n in NODE])
async def url(request: pytest.FixtureRequest, serve: Any) -> AsyncIterator[str]:
    kind, _, name = request.param.partition(", ")
    if kind == "node":
        async with node(perMessageDeflate=NODE[name]) as started:
            yield started
        return
    sio = socketio.AsyncServer(per_message_deflate={"threshold": 0, **SERVERS[name]})

    @sio.event
    async def echo(sid: str, *args: Any) -> tuple[Any, ...]:
        await sio.emit("echo", args, to=sid)
        return args

    yield (await serve(sio)).url


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"]])
async def test_messages_are_compressed_both_ways(
    url: str, transports: list[str]
) -> None:
    """C22: with our server and Node's."""
    client = no_reconnection(per_message_deflate={"threshold": 0})
    got: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
    client.on("echo", lambda *args: got.put_nowait(args))
    async with client:
        await client.connect(url, transports=transports, wait_timeout=5)
        assert client.transport() == "websocket"
        for args in [
            (LONG,),
            (LONG, 1),
            ("",),
            (LONG.encode(), "text", b""),
            ([b"x" * 70_000, {"y": b"y" * 3}],),
            ("é" * 5_000,),
        ]:
            answer = await within(client.call("echo", args))
            assert answer == (args[0] if len(args) == 1 else args)
            assert await within(got.get()) == args


async def accepted(listen: Listen, script: Any, answer: str, **options: Any) -> Any:
    """A client of a WebSocket by hand that has accepted compression."""

    async def first(peer: Peer) -> Any:
        await peer.open()
        assert await peer.receive() == (0, TEXT, b'42["go"]')
        return await script(peer)

    server = await listen(WebSocketServer(first, extensions=answer))
    client = no_reconnection(**options)
    client.on("a", (got := asyncio.Queue[Any]()).put_nowait)
    await within(client.connect(server.url, transports=["websocket"]))
    await client.emit("go")
    return client, server, got


async def test_what_is_sent_has_rsv1_and_one_window(listen: Listen) -> None:
    """C32: ``compress(False)`` sends as it is."""

    async def script(peer: Peer) -> list[tuple[int, int, bytes]]:
        return [await peer.receive() for _ in range(4)]

    client, server, _ = await accepted(listen, script, "permessage-deflate")
    async with client:
        await client.emit("a", LONG)
        await client.emit("a", LONG)
        await client.emit("short", 1)
        await client.socket().compress(False).emit("a", LONG)
        first, second, short, plain = await server.result()
    inflater = zlib.decompressobj(-15)
    text = f'42["a","{LONG}"]'.encode()
    for rsv, opcode, data in (first, second):
        assert (rsv, opcode) == (4, TEXT)
        assert inflater.decompress(data + b"\0\0\xff\xff") == text
    assert len(second[2]) < len(first[2])
    assert short == (0, TEXT, b'42["short",1]')
    assert plain == (0, TEXT, text)


@pytest.mark.parametrize(
    ("option", "rsv"), [(True, 0), ({"threshold": 1_024}, 0), ({"threshold": 0}, 4)]
)
async def test_what_is_compressed_depends_on_its_size(
    listen: Listen, option: Any, rsv: int
) -> None:
    """C22: messages of 1,024 bytes or more by default."""

    async def script(peer: Peer) -> list[int]:
        await peer.send(open_packet())
        connect = await peer.receive()
        await peer.send('40{"sid":"s1"}')
        return [connect[0], *[(await peer.receive())[0] for _ in range(2)]]

    server = await listen(WebSocketServer(script, extensions="permessage-deflate"))
    async with no_reconnection(per_message_deflate=option) as client:
        await within(client.connect(server.url, transports=["websocket"]))
        await client.emit("a", "x" * 1_000)
        await client.emit("a", "x" * 1_100)
        assert await server.result() == [rsv, rsv, 4]


async def test_without_takeover_each_message_stands_alone(listen: Listen) -> None:
    async def script(peer: Peer) -> list[tuple[int, int, bytes]]:
        return [await peer.receive() for _ in range(2)]

    answer = "permessage-deflate; client_no_context_takeover; client_max_window_bits=9"
    client, server, _ = await accepted(listen, script, answer)
    async with client:
        await client.emit("a", LONG)
        await client.emit("a", LONG)
        for rsv, _, data in await server.result():
            assert rsv == 4
            inflater = zlib.decompressobj(-9)
            assert inflater.decompress(data + b"\0\0\xff\xff").endswith(b'"]')


async def test_a_window_that_zlib_has_not_means_no_compression(listen: Listen) -> None:
    answer = "permessage-deflate; client_max_window_bits=8"
    client, server, _ = await accepted(listen, Peer.receive, answer)
    async with client:
        await client.emit("a", LONG)
        assert (await server.result())[0] == 0


def deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


async def test_fragments_of_a_compressed_message_are_one(listen: Listen) -> None:
    text = deflated(f'42["a","{LONG}"]'.encode())

    async def script(peer: Peer) -> Any:
        await peer.write(
            server_frame(TEXT, text[:10], fin=False, rsv=4),
            server_frame(PING, b"between"),
            server_frame(CONTINUATION, text[10:20], fin=False),
            server_frame(CONTINUATION, text[20:]),
        )
        pong = await peer.receive()
        return pong, await peer.closed()

    client, server, got = await accepted(listen, script, "permessage-deflate")
    assert await within(got.get()) == LONG
    await client.disconnect()
    assert await server.result() == ((0, 10, b"between"), 1000)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([server_frame(TEXT, deflated(b"4" + b"x" * 1_000_000), rsv=4)], 1009),
        (
            [
                server_frame(BINARY, deflated(bytes(1_000_000))[:50], fin=False, rsv=4),
                server_frame(CONTINUATION, deflated(bytes(1_000_000))[50:]),
            ],
            1009,
        ),
        ([server_frame(TEXT, b"not deflated", rsv=4)], 1007),
        ([server_frame(TEXT, deflated(b"4\xff"), rsv=4)], 1007),
        ([server_frame(PING, b"x", rsv=4)], 1002),
        ([server_frame(TEXT, b"x", rsv=2)], 1002),
        (
            [
                server_frame(TEXT, b"x", fin=False),
                server_frame(CONTINUATION, b"x", rsv=4),
            ],
            1002,
        ),
    ],
    ids=[
        "bomb",
        "bomb in fragments",
        "garbage",
        "not UTF-8",
        "ping",
        "RSV2",
        "continuation",
    ],
)
async def test_a_server_that_breaks_a_rule_of_compression_is_left(
    listen: Listen, frames: list[bytes], code: int
) -> None:
    async def script(peer: Peer) -> int | None:
        await peer.write(*frames)
        return await peer.closed()

    client, server, _ = await accepted(
        listen, script, "permessage-deflate", max_http_buffer_size=10_000
    )
    ended: asyncio.Queue[Any] = asyncio.Queue()
    client.manager.on("close", lambda *args: ended.put_nowait(args))
    reason, description = await within(ended.get())
    assert (reason, bool(description)) == ("transport error", True)
    assert await server.result() == code
    await client.disconnect()


async def test_an_open_packet_may_be_compressed(listen: Listen) -> None:
    async def script(peer: Peer) -> Any:
        packet = deflated(open_packet().encode())
        await peer.write(server_frame(TEXT, packet, rsv=4))
        assert (await peer.receive())[2][:2] == b"40"
        await peer.send('40{"sid":"s1"}')
        return await peer.closed()

    server = await listen(WebSocketServer(script, extensions="permessage-deflate"))
    async with no_reconnection() as client:
        await within(client.connect(server.url, transports=["websocket"]))
        assert client.get_sid() == "s1"
