"""Servers that break the rules of WebSocket, Engine.IO or Socket.IO: the client says
which, and goes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.waiting import until, within
from support.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Peer,
    WebSocketServer,
    open_packet,
    server_frame,
)

import socketio_fast as socketio
from client.conftest import Listen
from socketio_fast import exceptions

GO = (0, TEXT, b'42["go"]')


def new(**options: Any) -> socketio.AsyncClient:
    return socketio.AsyncClient(reconnection=False, **options)


async def ends(
    listen: Listen, *frames: bytes, **options: Any
) -> tuple[str, str | None, int | None]:
    """The reason and the description of the end of a connection whose server sends
    this, and the code of the client's close frame."""

    more = {"pingInterval": options.pop("ping_interval", 25_000)}

    async def script(peer: Peer) -> int | None:
        await peer.open(**more)
        assert await peer.receive() == GO
        await peer.write(*frames)
        return await peer.closed()

    server = await listen(WebSocketServer(script))
    client = new(**options)
    closed: asyncio.Queue[Any] = asyncio.Queue()
    left: asyncio.Queue[Any] = asyncio.Queue()
    client.manager.on("close", lambda *args: closed.put_nowait(args))
    client.on("disconnect", left.put_nowait)
    await within(client.connect(server.url, transports=["websocket"]))
    await client.emit("go")
    reason, description = await within(closed.get())
    assert await within(left.get()) in ("transport error", "server disconnect")
    await client.disconnect()
    return reason, description, await server.result()


@pytest.mark.parametrize(
    ("frames", "code", "says"),
    [
        ([server_frame(TEXT, b"42[1]", mask=b"abcd")], 1002, "mask"),
        ([server_frame(TEXT, b"42[1]", rsv=4)], 1002, "reserved bit"),
        ([server_frame(3, b"")], 1002, "opcode"),
        ([server_frame(CONTINUATION, b"x")], 1002, "continuation"),
        (
            [server_frame(TEXT, b"42", fin=False), server_frame(TEXT, b"[1]")],
            1002,
            "new message",
        ),
        ([server_frame(PING, b"x" * 126)], 1002, "control frame"),
        ([server_frame(PING, fin=False)], 1002, ""),
        ([server_frame(CLOSE, b"x")], 1002, "close"),
        ([server_frame(CLOSE, b"\x03\xed")], 1002, "close"),
        ([server_frame(CLOSE, b"\x03\xe8\xff")], 1007, ""),
        ([server_frame(TEXT, b'42["\xff"]')], 1007, "UTF-8"),
        ([server_frame(TEXT, b"6\xff")], 1007, "UTF-8"),
        ([server_frame(TEXT, b"")], 1000, "empty"),
        ([server_frame(TEXT, b"9")], 1000, "type"),
        ([server_frame(TEXT, b"garbage")], 1000, "type"),
        ([server_frame(TEXT, b"4")], 1000, ""),
        ([server_frame(TEXT, b"49")], 1000, "type"),
        ([server_frame(TEXT, b'42["a"')], 1000, ""),
        ([server_frame(TEXT, b"42{}")], 1000, ""),
        ([server_frame(TEXT, b"42[]")], 1000, ""),
        ([server_frame(BINARY, b"x")], 1000, "binary message that no packet"),
        (
            [
                server_frame(TEXT, b'451-["a",{"_placeholder":true,"num":0}]'),
                server_frame(TEXT, b'42["a"]'),
            ],
            1000,
            "binary attachments are awaited",
        ),
        ([server_frame(TEXT, b'4510001-["a"]')], 1000, "attachments"),
        (
            [server_frame(TEXT, b"4" + b"x" * 20_000)],
            1009,
            "max_http_buffer_size=10000",
        ),
        ([server_frame(BINARY, b"x" * 10_001)], 1009, "max_http_buffer_size=10000"),
        (
            [
                server_frame(TEXT, b"4" + b"x" * 9_000, fin=False),
                server_frame(CONTINUATION, b"x" * 2_000),
            ],
            1009,
            "max_http_buffer_size=10000",
        ),
    ],
    ids=str,
)
async def test_a_rule_that_the_server_breaks_ends_the_connection(
    listen: Listen, frames: list[bytes], code: int, says: str
) -> None:
    reason, description, sent = await ends(listen, *frames, max_http_buffer_size=10_000)
    assert reason == "transport error"
    assert description is not None
    assert says.lower() in description.lower()
    assert sent == code


async def test_attachments_that_never_come_end_the_connection(listen: Listen) -> None:
    packet = server_frame(TEXT, b'451-["a",{"_placeholder":true,"num":0}]')

    async def script(peer: Peer) -> int | None:
        await peer.open(pingInterval=100, pingTimeout=100)
        await peer.write(packet)

        async def ping() -> None:
            while True:
                await peer.send("2")
                await asyncio.sleep(0.05)

        pinging = asyncio.ensure_future(ping())
        try:
            return await peer.closed()
        finally:
            pinging.cancel()

    server = await listen(WebSocketServer(script))
    client = new()
    closed: asyncio.Queue[Any] = asyncio.Queue()
    client.manager.on("close", lambda *args: closed.put_nowait(args))
    await within(client.connect(server.url, transports=["websocket"]))
    reason, description = await within(closed.get())
    assert reason == "transport error"
    assert description == "1 of the attachments of a packet have not come in 0.2 s"
    assert await server.result() == 1008


@pytest.mark.parametrize(
    ("payload", "description"),
    [
        (b"", None),
        (b"\x03\xe8", None),
        (b"\x03\xe9bye", None),
        (b"\x03\xf1too big", "closed the WebSocket with code 1009: too big"),
        (b"\x0f\xa0", "closed the WebSocket with code 4000: it gives no reason"),
    ],
)
async def test_a_close_frame_is_answered_and_its_fault_is_told(
    listen: Listen, payload: bytes, description: str | None
) -> None:
    reason, told, code = await ends(listen, server_frame(CLOSE, payload))
    assert reason == "transport close"
    assert code == (int.from_bytes(payload[:2], "big") if payload else 1000)
    assert (told or "").endswith(description or "")
    assert (told is None) == (description is None)


async def test_fragments_and_pings_between_them_are_read(listen: Listen) -> None:
    async def script(peer: Peer) -> Any:
        await peer.open()
        assert await peer.receive() == GO
        await peer.write(
            server_frame(TEXT, '42["a","é'.encode()[:-1], fin=False),
            server_frame(PING, b"1"),
            server_frame(CONTINUATION, b"", fin=False),
            server_frame(PONG, b"unasked"),
            server_frame(CONTINUATION, "é".encode()[1:] + b'"]'),
            server_frame(TEXT, b'451-["b",{"_placeholder":true,"num":0}]', fin=False),
            server_frame(CONTINUATION, b""),
            server_frame(BINARY, b"12", fin=False),
            server_frame(CONTINUATION, b"34"),
        )
        assert await peer.receive() == (0, PONG, b"1")
        return await peer.closed()

    server = await listen(WebSocketServer(script))
    got: asyncio.Queue[Any] = asyncio.Queue()
    async with new() as client:
        client.on("*", lambda *args: got.put_nowait(args))
        await within(client.connect(server.url, transports=["websocket"]))
        await client.emit("go")
        assert await within(got.get()) == ("a", "é")
        assert await within(got.get()) == ("b", b"1234")
    assert await server.result() == 1000


@pytest.mark.parametrize(
    "packet",
    [
        "40",
        "2",
        "0",
        "0[]",
        "0null",
        "0{}",
        '0{"sid":1}',
        '0{"sid":"a","pingInterval":1}',
        open_packet(pingInterval=0, pingTimeout=0),
        open_packet(pingTimeout="20"),
        open_packet(pingInterval=1e300),
        open_packet(pingTimeout=True),
        open_packet(sid=""),
        "<html></html>",
    ],
)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_wrong_open_packet_is_an_error(
    listen: Listen, packet: str, transport: str
) -> None:
    from support.scripted_servers import HttpServer, response

    async def script(peer: Peer) -> Any:
        await peer.send(packet)
        return await peer.closed()

    if transport == "websocket":
        server = await listen(WebSocketServer(script))
        url = server.url
    else:
        url = (await listen(HttpServer(response(200, packet)))).url("")
    client = new()
    with pytest.raises(exceptions.ConnectionError, match=r"127\.0\.0\.1"):
        await within(client.connect(url, transports=[transport]))
    assert client.eio.state == "disconnected"


async def test_a_binary_open_packet_is_an_error(listen: Listen) -> None:
    async def script(peer: Peer) -> Any:
        await peer.write(server_frame(BINARY, b"0{}"))
        return await peer.closed()

    server = await listen(WebSocketServer(script))
    with pytest.raises(exceptions.ConnectionError, match="open packet was expected"):
        await within(new().connect(server.url, transports=["websocket"]))


async def test_a_connection_that_ends_before_it_is_joined_says_why(
    listen: Listen,
) -> None:
    async def script(peer: Peer) -> Any:
        await peer.send(open_packet())
        await peer.receive()
        await peer.write(server_frame(TEXT, b"9"))
        return await peer.closed()

    server = await listen(WebSocketServer(script))
    with pytest.raises(exceptions.ConnectionError, match="lost before / was joined: "):
        await within(
            new().connect(server.url, transports=["websocket"], wait_timeout=9)
        )


async def test_a_server_gone_silent_is_left(listen: Listen) -> None:
    async def script(peer: Peer) -> Any:
        await peer.open(pingInterval=100, pingTimeout=100)
        await peer.send("2")
        return await peer.receive(), await peer.closed()

    server = await listen(WebSocketServer(script))
    client = new()
    closed: asyncio.Queue[Any] = asyncio.Queue()
    client.manager.on("close", lambda *args: closed.put_nowait(args))
    await within(client.connect(server.url, transports=["websocket"]))
    assert (await within(closed.get()))[0] == "ping timeout"
    assert (await server.result())[0] == (0, TEXT, b"3")


async def test_what_picows_and_asyncio_meet_is_not_logged_as_a_traceback(
    listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when the connection is reset."""

    async def script(peer: Peer) -> Any:
        await peer.open()
        assert await peer.receive() == GO
        peer.writer.transport.abort()

    server = await listen(WebSocketServer(script))
    client = new()
    await within(client.connect(server.url, transports=["websocket"]))
    await client.emit("go")
    await until(lambda: client.eio.state == "disconnected")
    await ends(listen, server_frame(TEXT, b"42[1]", mask=b"abcd"))
    import gc

    gc.collect()
    await asyncio.sleep(0)
    assert "Traceback" not in caplog.text
    assert "never retrieved" not in caplog.text


async def test_a_packet_above_max_payload_is_an_error_for_who_emits(
    listen: Listen,
) -> None:
    async def script(peer: Peer) -> Any:
        await peer.open(maxPayload=1_000)
        return await peer.receive(), await peer.closed()

    server = await listen(WebSocketServer(script))
    async with new(per_message_deflate=False) as client:
        await within(client.connect(server.url, transports=["websocket"]))
        for data in ("x" * 1_000, b"x" * 1_001):
            with pytest.raises(ValueError, match="maxPayload=1000"):
                await client.emit("a", data)
            with pytest.raises(ValueError, match="maxPayload=1000"):
                await client.call("a", data)
        await client.emit("a", "x" * (1_000 - len('42["a",""]')))
    (_, _, data), _ = await server.result()
    assert len(data) == 1_000


async def test_one_that_waited_for_the_connection_fails_alone(
    listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(peer: Peer) -> Any:
        await peer.open(maxPayload=1_000)
        _, _, data = await peer.receive()
        assert data == b'421["a",1]'
        await peer.send("431[2]")
        return await peer.closed()

    server = await listen(WebSocketServer(script))
    async with new() as client:
        socket = client.socket()
        client._peer("/").intend()
        large = asyncio.ensure_future(socket.emit_with_ack("a", "x" * 2_000))
        small = asyncio.ensure_future(socket.emit_with_ack("a", 1))
        await within(client.connect(server.url, transports=["websocket"]))
        with pytest.raises(ValueError, match="maxPayload=1000"):
            await within(large)
        assert await within(small) == 2
    assert "an event was not sent" in caplog.text


async def test_an_event_that_nobody_waits_for_any_more_is_not_sent(
    listen: Listen,
) -> None:
    async def script(peer: Peer) -> Any:
        await peer.open()
        return (await peer.receive())[2], await peer.closed()

    server = await listen(WebSocketServer(script))
    async with new() as client:
        socket = client.socket()
        client._peer("/").intend()
        with pytest.raises(exceptions.TimeoutError):
            await socket.timeout(0.01).emit_with_ack("a", 1)
        assert client._peer("/").offline_events == client._peer("/").offline_bytes == 0
        await client.emit("b", 2)
        await within(client.connect(server.url, transports=["websocket"]))
    assert await server.result() == (b'42["b",2]', 1000)


async def test_the_oldest_of_too_many_acknowledgements_is_given_up(
    listen: Listen,
) -> None:
    async def script(peer: Peer) -> Any:
        await peer.open()
        return await peer.closed()

    server = await listen(WebSocketServer(script))
    async with new(max_pending_acks=2) as client:
        await within(client.connect(server.url, transports=["websocket"]))
        asked = [asyncio.ensure_future(client.call("a", n)) for n in range(3)]
        with pytest.raises(exceptions.TimeoutError, match=r"the server .*_acks=2"):
            await within(asked[0])
        assert not asked[1].done()
    for one in asked[1:]:
        with pytest.raises(exceptions.CallDisconnectedError):
            await within(one)
