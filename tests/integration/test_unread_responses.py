"""Clients that ask by HTTP and do not read: bounded in memory, and in time."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tracemalloc
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from support.hosts import run_uvicorn
from support.raw import Connection, polling, request, within

import socketio_fast

SIZE = 5_000_000
CONTENT = bytes(range(256)) * (SIZE // 256)
PINGS = {"ping_interval": 0.3, "ping_timeout": 0.2}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "large.bin").write_bytes(CONTENT)
    return {"/static": str(tmp_path)}


async def deaf(server: Any, count: int, data: bytes) -> list[socket.socket]:
    """Clients that have sent this, and read nothing."""
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(count):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, (server.host, server.port))
        await loop.sock_sendall(client, data)
        clients.append(client)
    return clients


async def test_files_that_nobody_reads_cost_little_and_end(
    serve: Any, files: dict[str, str]
) -> None:
    sio = socketio_fast.AsyncServer(**PINGS)
    server = await serve(sio, static_files=files)
    tasks = asyncio.all_tasks()
    tracemalloc.start()
    clients = await deaf(server, 100, request("GET", "/static/large.bin"))
    try:
        await within(server._endpoint.connections.wait_closed(None), 30)
        assert sio.eio.counters["stalled_responses"] == 100
        _, peak = tracemalloc.get_traced_memory()
        assert peak < 100 * 300_000
        assert asyncio.all_tasks() == tasks
    finally:
        tracemalloc.stop()
        for client in clients:
            client.close()


async def test_polls_that_nobody_reads_end(serve: Any) -> None:
    eio = socketio_fast.engineio.AsyncServer(**PINGS)
    server = await serve(eio)
    sids = []
    eio.on("connect", lambda sid, environ: sids.append(sid))
    clients = []
    try:
        for _ in range(20):
            connection = await Connection.open(server)
            sid = await connection.open_session()
            await connection.close()
            await eio.send(sid, "x" * SIZE)
            clients += await deaf(server, 1, request("GET", polling(sid)))
        await within(server._endpoint.connections.wait_closed(None), 30)
        assert not eio.engine.sessions
    finally:
        for client in clients:
            client.close()


async def test_who_reads_slowly_gets_all_of_a_file(
    serve: Any, files: dict[str, str]
) -> None:
    server = await serve(socketio_fast.AsyncServer(**PINGS), static_files=files)
    async with await Connection.open(
        server, receive_buffer=4096, limit=4096
    ) as connection:
        await connection.send(request("GET", "/static/large.bin"))
        head = await within(connection.reader.readuntil(b"\r\n\r\n"))
        assert b"Content-Length: %d\r\n" % len(CONTENT) in head
        received = bytearray()
        # Longer than the deadline, a part of the time.
        for _ in range(8):
            await asyncio.sleep(0.1)
            received += await connection.exactly(50_000)
        received += await connection.exactly(len(CONTENT) - len(received))
        assert received == CONTENT
        response = await connection.get("/static/none")
        assert response.status == 404


async def test_large_files_keep_their_place_among_pipelined_requests(
    serve: Any, files: dict[str, str]
) -> None:
    server = await serve(socketio_fast.AsyncServer(), static_files=files)
    async with await Connection.open(server) as connection:
        await connection.send(
            request("GET", "/static/large.bin")
            + request("HEAD", "/static/large.bin")
            + request("GET", "/socket.io/?EIO=4&transport=polling")
            + request("GET", "/static/large.bin", headers=[("Connection", "close")])
        )
        assert (await connection.response()).body == CONTENT
        response = await connection.response("HEAD")
        assert response.header("content-length") == str(len(CONTENT))
        assert (await connection.response()).text.startswith("0{")
        assert (await connection.response()).body == CONTENT
        await connection.eof()


async def test_a_file_that_becomes_shorter_is_not_sent_as_whole(
    serve: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(20_000_000))
    server = await serve(
        socketio_fast.AsyncServer(), static_files={"/a.bin": str(path)}
    )
    async with await Connection.open(server, receive_buffer=4096) as connection:
        await connection.send(request("GET", "/a.bin"))
        await within(connection.reader.readuntil(b"\r\n\r\n"))
        path.write_bytes(b"")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await connection.exactly(20_000_000)
    assert "has become shorter" in caplog.text


async def test_a_segment_full_of_requests_is_answered(
    serve: Any, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")
    server = await serve(
        socketio_fast.AsyncServer(), static_files={"/a.txt": str(tmp_path / "a.txt")}
    )
    count = 500
    async with await Connection.open(server) as connection:
        await connection.send(request("GET", "/a.txt") * count)
        for _ in range(count):
            assert (await connection.response()).body == b"a"


@pytest.mark.parametrize("target", ["/static/large.bin", "/slow"])
async def test_an_answer_reaches_who_has_sent_all_and_still_reads(
    serve: Any, files: dict[str, str], target: str
) -> None:
    eio = socketio_fast.engineio.AsyncServer()
    refused = asyncio.Event()

    @eio.use
    async def slow(environ: dict[str, Any], headers: Any) -> None:
        await within(refused.wait())

    server = await serve(eio, static_files=files)
    if target == "/slow":
        target = "/engine.io/?EIO=4&transport=polling"
    async with await Connection.open(server) as connection:
        await connection.send(request("GET", target))
        connection.writer.write_eof()
        await asyncio.sleep(0.05)  # the end has come, without a trace to wait for
        refused.set()
        response = await connection.response()
        assert response.status == 200
        await connection.eof()


async def test_a_poll_of_who_has_left_ends_its_session_at_once(serve: Any) -> None:
    eio = socketio_fast.engineio.AsyncServer()
    gone = asyncio.Event()
    eio.on("disconnect", lambda sid, reason: gone.set())
    server = await serve(eio)
    async with await Connection.open(server) as connection:
        sid = await connection.open_session()
        await connection.park(polling(sid))
        connection.writer.write_eof()
        await within(gone.wait())


async def test_over_tls(serve: Any, files: dict[str, str]) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    sio = socketio_fast.AsyncServer(**PINGS)
    server = await serve(sio, static_files=files, ssl=context)

    async def connect(limit: int) -> Connection:
        return Connection(
            *await within(
                asyncio.open_connection(
                    server.host, server.port, ssl=trusting, limit=limit
                )
            )
        )

    connection = await connect(1 << 22)
    assert (await connection.get("/static/large.bin")).body == CONTENT
    connection.writer.transport.abort()
    stalled = await connect(4096)
    # More than buffers hold, of which nothing is read.
    await stalled.send(request("GET", "/static/large.bin") * 16)
    while not server._endpoint.connections.open:  # noqa: ASYNC110
        await asyncio.sleep(0)  # the client ends the handshake of TLS 1.3 first
    await within(server._endpoint.connections.wait_closed(None), 30)
    stalled.writer.transport.abort()
    assert sio.eio.counters["stalled_responses"] == 1


async def test_another_application_has_the_same_deadline(serve: Any) -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for i in range(0, SIZE, 10_000):
            body = {"type": "http.response.body", "body": CONTENT[i : i + 10_000]}
            await send({**body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    sio = socketio_fast.AsyncServer(**PINGS)
    server = await serve(socketio_fast.ASGIApp(sio, other))
    clients = await deaf(server, 5, request("GET", "/other"))
    try:
        async with await Connection.open(server) as connection:
            for _ in range(20):
                response = await connection.get("/other")
                assert response.body == CONTENT
                if sio.eio.counters["stalled_responses"] == 5:
                    break
                await asyncio.sleep(0.1)
            (await connection.get("/socket.io/?EIO=4&transport=polling")).ok()
        assert sio.eio.counters["stalled_responses"] == 5
    finally:
        for client in clients:
            client.close()


async def test_large_files_through_asgi(files: dict[str, str]) -> None:
    app = socketio_fast.ASGIApp(socketio_fast.AsyncServer(), static_files=files)
    async with run_uvicorn(app) as url, aiohttp.ClientSession() as session:
        url += "/static/large.bin"
        async with session.get(url) as response:
            assert response.headers["Content-Length"] == str(len(CONTENT))
            assert await response.read() == CONTENT
        async with session.head(url) as response:
            assert response.headers["Content-Length"] == str(len(CONTENT))


def test_large_files_through_wsgi(files: dict[str, str]) -> None:
    app = socketio_fast.WSGIApp(socketio_fast.Server(), static_files=files)
    for method in ("GET", "HEAD"):
        environ = {"REQUEST_METHOD": method, "PATH_INFO": "/static/large.bin"}
        told: dict[str, str] = {}
        body = app(environ, lambda status, headers, told=told: told.update(headers))
        assert told["Content-Length"] == str(len(CONTENT))
        pieces = list(body)
        assert b"".join(pieces) == (CONTENT if method == "GET" else b"")
        assert max(map(len, pieces)) < 200_000
        if method == "GET":
            body.close()  # type: ignore[attr-defined]
