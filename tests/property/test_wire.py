"""Any bytes onto the socket: an answer or an end, no traceback, and the next client
is served."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from support.examples import examples
from support.raw import (
    BINARY,
    CLOSE,
    CONT,
    MASK,
    PING,
    TEXT,
    Connection,
    WebSocket,
    chunked,
    connections,
    frame,
    header,
    polling,
    request,
    upgrade_request,
    websocket,
    within,
)

import socketio_fast
import socketio_fast.engineio

MAXIMUM = 2000

many = examples(
    250,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
async def engine(serve: Callable[..., Awaitable[Any]]) -> Any:
    """An Engine.IO echo server; all examples of a test go to the same one."""
    eio = socketio_fast.engineio.AsyncServer(max_http_buffer_size=MAXIMUM)

    @eio.on("message")
    async def message(sid: str, data: str | bytes) -> None:
        await eio.send(sid, data)

    return await serve(eio)


@pytest.fixture
async def server(serve: Callable[..., Awaitable[Any]]) -> Any:
    """A Socket.IO echo server."""
    sio = socketio_fast.AsyncServer(max_http_buffer_size=MAXIMUM)

    @sio.on("a")
    async def event(sid: str, *args: Any) -> Any:
        await sio.emit("a", args, to=sid)
        return args

    return await serve(sio)


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Callable[[], None]:
    def check() -> None:
        errors = [r for r in caplog.records if r.levelno >= logging.ERROR]
        assert not errors, "\n".join(
            f"{r.name}: {r.getMessage()} {r.exc_text or ''}" for r in errors
        )

    return check


async def ends(connection: Connection) -> bytes:
    """We say no more; the server says the rest, and ends."""
    try:
        connection.writer.write_eof()
        return await within(connection.reader.read())
    except OSError:  # ENOTCONN too, when it has ended before us
        return b""


async def next_is_served(running: Any, path: str = "/engine.io/") -> None:
    async with connections(running) as client:
        connection = await client.connect()
        await connection.open_session(path=path)
        await client.session(path=path)


# --- as HTTP --------------------------------------------------------------------

http_bytes = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"GET ",
                b"POST ",
                b"OPTIONS ",
                b"/engine.io/?EIO=4&transport=polling",
                b"/engine.io/?EIO=4&transport=websocket",
                b"&sid=",
                b"%",
                b"?",
                b" HTTP/1.1\r\n",
                b" HTTP/1.0\r\n",
                b"Host: a\r\n",
                b"Content-Length: 6\r\n",
                b"Content-Length: ",
                b"99999999",
                b"Transfer-Encoding: chunked\r\n",
                b"Expect: 100-continue\r\n",
                b"Connection: Upgrade\r\n",
                b"Connection: close\r\n",
                b"Upgrade: websocket\r\n",
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                b"Sec-WebSocket-Version: 13\r\n",
                b"Origin: http://a\r\n",
                b"Origin: \xff\r\n",
                b"Accept-Encoding: gzip;q=",
                b"\r\n",
                b"\r\n\r\n",
                b"4hello",
                b"6\r\n4hello\r\n",
                b"0\r\n\r\n",
                b"\x1e",
                b"x" * 5000,
                request("GET", polling()),
                request("POST", polling(), "4hello"),
                request("POST", polling("x" * 20), "4hello"),
                chunked(polling("x" * 20), [b"4hello"]),
                upgrade_request(websocket()),
            ]
        ),
        st.binary(max_size=30),
    ),
    max_size=15,
).map(b"".join)


@many
@given(data=http_bytes | st.binary(max_size=500), cut=st.integers(0, 5000))
async def test_any_bytes_as_http(
    engine: Any, quiet: Callable[[], None], data: bytes, cut: int
) -> None:
    async with connections(engine) as client:
        connection = await client.connect()
        await connection.send(data[:cut])
        await asyncio.sleep(0)
        await connection.send(data[cut:])
        answer = await ends(connection)
    assert not answer or answer.startswith(b"HTTP/1.1 "), answer[:50]
    assert b"HTTP/1.1 500" not in answer
    quiet()
    await next_is_served(engine)


# --- as a request's body --------------------------------------------------------

payloads = st.lists(
    st.one_of(
        st.sampled_from(
            [b"4", b"4hello", b"3", b"1", b"6", b"2", b"b", b"bAQID", b"bAQIDBA=="]
        ),
        st.binary(max_size=20),
        st.text(max_size=20).map(lambda value: b"4" + value.encode()),
    ),
    max_size=8,
).map(b"\x1e".join)


@many
@given(body=payloads, in_chunks=st.booleans())
async def test_any_bytes_as_a_body(
    engine: Any, quiet: Callable[[], None], body: bytes, in_chunks: bool
) -> None:
    async with connections(engine) as client:
        connection = await client.connect()
        sid = await connection.open_session()
        if in_chunks:
            pieces = [body[i : i + 7] for i in range(0, len(body), 7)]
            await connection.send(chunked(polling(sid), pieces))
        else:
            await connection.send(request("POST", polling(sid), body))
        response = await connection.response()
        if response.status == 200:
            assert response.body == b"ok"
        else:
            response.refused(400)
            connection = await client.connect()
            (await connection.get(polling(sid))).error(1)
    quiet()
    await next_is_served(engine)


# --- as WebSocket frames --------------------------------------------------------

frames = st.builds(
    frame,
    opcode=st.sampled_from([CONT, TEXT, TEXT, BINARY, PING, CLOSE])
    | st.integers(0, 15),
    payload=st.one_of(
        st.sampled_from(
            [b"4hello", b"4\xff", b"\x03\xe8", b"1", b"3", b"2probe", b"5"]
        ),
        st.binary(max_size=140),
    ),
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2, 4, 7]),
    mask=st.sampled_from([MASK, MASK, MASK, MASK, None]),
    width=st.sampled_from([None, None, None, 16, 64]),
)
headers = st.builds(
    lambda opcode, length, width: header(opcode, length, width=width) + MASK,
    st.integers(0, 15),
    st.integers(0, (1 << 64) - 1),
    st.just(64),
)
stream = st.lists(frames | headers | st.binary(max_size=20), max_size=8).map(b"".join)


async def frames_then_end(ws: WebSocket) -> None:
    """What the server says is well-formed, and a close is its last word."""
    partial = b""
    try:
        ws.writer.write_eof()
        while (await ws.frame()).opcode != CLOSE:
            pass
        assert await within(ws.reader.read()) == b""
    except OSError:  # ENOTCONN too, when it has ended before us
        pass
    except asyncio.IncompleteReadError as error:
        partial = error.partial
    assert partial == b"", "the end came inside a frame"


@many
@given(data=stream, with_request=st.booleans(), cut=st.integers(0, 300))
async def test_any_bytes_as_frames(
    engine: Any, quiet: Callable[[], None], data: bytes, with_request: bool, cut: int
) -> None:
    async with connections(engine) as client:
        ws = await client.websocket(after=data[:cut] if with_request else b"")
        await ws.open_packet()
        if not with_request:
            await ws.send(data[:cut])
            await asyncio.sleep(0)
        try:
            await ws.send(data[cut:])
        except ConnectionError:
            pass
        else:
            await frames_then_end(ws)
    quiet()
    await next_is_served(engine)


@many
@given(data=stream)
async def test_any_bytes_as_a_probe(
    engine: Any, quiet: Callable[[], None], data: bytes
) -> None:
    async with connections(engine) as client:
        connection = await client.connect()
        sid = await connection.open_session()
        ws = await client.websocket(websocket(sid), after=data)
        await frames_then_end(ws)
        # the session lives on by polling unless the bytes were an upgrade
        response = await connection.post(polling(sid), "3")
        assert response.status == 200 or response.refused(400)
    quiet()
    await next_is_served(engine)


# --- as Socket.IO packets -------------------------------------------------------

packets = st.one_of(
    st.text(alphabet='0123456789-/,[]{}":a ', max_size=20).map(lambda text: "4" + text),
    st.lists(
        st.sampled_from(
            [
                "0",
                "1",
                "2",
                "3",
                "4",
                "5",
                "6",
                "1-",
                "2-",
                "/",
                "/x,",
                ",",
                "7",
                '["a"',
                '["a"]',
                '["connect"]',
                '{"_placeholder":true,"num":0}',
                '["a",{"_placeholder":true,"num":0}]',
                "[",
                "]",
                "{}",
                "null",
                "1e999",
                "NaN",
                '"\\ud800"',
                "[" * 300,
            ]
        ),
        max_size=5,
    ).map(lambda parts: "4" + "".join(parts)),
)


@many
@given(
    sent=st.lists(packets | st.binary(max_size=5), max_size=6),
    joins=st.booleans(),
    by_polling=st.booleans(),
)
async def test_any_packets(
    server: Any,
    quiet: Callable[[], None],
    sent: list[str | bytes],
    joins: bool,
    by_polling: bool,
) -> None:
    path = "/socket.io/"
    packets = ["40", *sent] if joins else sent
    async with connections(server) as client:
        if by_polling:
            connection = await client.connect()
            sid = await connection.open_session(path=path)
            body = "\x1e".join(p for p in packets if isinstance(p, str))
            response = await connection.post(polling(sid, path=path), body or "3")
            assert response.status == 200 or response.refused(400)
        else:
            ws = await client.session(path=path)
            try:
                for packet in packets:
                    opcode = TEXT if isinstance(packet, str) else BINARY
                    await ws.send(frame(opcode, packet))
            except ConnectionError:
                pass
            else:
                await frames_then_end(ws)
    quiet()
    await next_is_served(server, path)
