"""What a listening server has of its system: files of sockets, descriptors, peers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount
from support.hosts import run_uvicorn
from support.raw import Connection, WebSocket, polling, request, websocket, within
from support.sansio import Loop, Server

import socketio_fast
from socketio_fast.engineio import AsyncServer
from socketio_fast.options.limits import Limits
from socketio_fast.serving import descriptors
from socketio_fast.serving.descriptors import DescriptorWatch

# --- Unix sockets ---------------------------------------------------------------


async def test_an_overlapping_restart_keeps_the_socket_of_the_new_process(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s"
    old = await socketio_fast.serve(AsyncServer(), uds=path)
    new = await socketio_fast.serve(AsyncServer(), uds=path)
    await old.close()
    _, writer = await asyncio.open_unix_connection(path)
    writer.close()
    await new.close()
    assert not path.exists()


async def test_a_file_that_has_gone_is_not_missed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    server = await socketio_fast.serve(AsyncServer(), uds=path)
    path.unlink()
    path.write_text("another's")
    await server.close()
    assert path.exists()


async def test_a_forked_process_leaves_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    server = await socketio_fast.serve(AsyncServer(), uds=path)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    await server.close()
    assert path.exists()


# --- file descriptors -----------------------------------------------------------


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """A limit of 20 more descriptors than are in use, and no free ones below these."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/dev/fd")))
    held = []
    while (number := os.open(os.devnull, os.O_RDONLY)) < highest:
        held.append(number)
    os.close(number)
    limit = max(number, highest + 1) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    for number in held:
        os.close(number)


@pytest.mark.parametrize("tls", [False, True])
async def test_descriptors_that_run_out_are_one_warning(
    serve: Any, few_descriptors: int, caplog: pytest.LogCaptureFixture, tls: bool
) -> None:
    eio = AsyncServer(logger=logging.getLogger("test.descriptors"))
    options: dict[str, Any] = {}
    context = None
    if tls:
        authority = trustme.CA()
        options["ssl"] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(options["ssl"])
        context = ssl.create_default_context()
        authority.configure_trust(context)
    server = await serve(eio, **options)
    writers = []
    with contextlib.suppress(OSError):
        for _ in range(20):
            opening = asyncio.open_connection(server.host, server.port, ssl=context)
            writers.append((await within(opening))[1])
    for writer in writers:
        writer.transport.abort()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f" of {few_descriptors} file descriptors are in use" in record.getMessage()
    assert "ulimit -n" in record.getMessage()


def test_they_are_warned_of_once_a_minute_while_they_last(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (100, 200))
    logger = logging.getLogger("test.descriptors")
    loop = Loop()
    watch = DescriptorWatch(loop, logger)  # type: ignore[arg-type]
    assert watch.few_from == 96
    number = 99

    def get(*_: Any) -> int:
        if number > 99:
            raise OSError(24, "Too many open files")
        return number

    monkeypatch.setattr(descriptors.os, "open", get)
    monkeypatch.setattr(descriptors.os, "close", lambda number: None)
    watch.seen(95)
    assert not caplog.records
    for _ in range(5):
        watch.seen(98)
    assert [r.getMessage()[:14] for r in caplog.records] == ["99 of 100 file"]
    number = 100
    loop.advance(119)
    assert [r.getMessage()[:14] for r in caplog.records[1:]] == ["100 of 100 fil"]
    number = 20
    loop.advance(600)
    assert len(caplog.records) == 2
    watch.seen(99)
    watch.close()
    loop.advance(600)
    watch.seen(99)
    assert len(caplog.records) == 3


# --- TCP connections of an address ----------------------------------------------


async def test_tcp_connections_of_an_address_are_counted(serve: Any) -> None:
    eio = AsyncServer(limits=Limits(tcp_connections_per_address=2))
    left = asyncio.Event()
    eio.on("disconnect", lambda sid, reason: left.set())
    server = await serve(eio)
    async with await Connection.open(server) as first:
        (await first.get("/x")).refused(404)
        ws = await WebSocket.upgrade(server, websocket())
        async with await Connection.open(server) as third:
            await third.eof(reset=True)
        assert eio.counters["refused_tcp_connections"] == 1
        await ws.close()
        await within(left.wait())
        async with await Connection.open(server) as third:
            (await third.get(polling())).ok()


async def test_connections_beside_another_application_count_once(serve: Any) -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        length = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": b""})

    sio = socketio_fast.AsyncServer(limits=Limits(tcp_connections_per_address=2))
    server = await serve(socketio_fast.ASGIApp(sio, other))
    target = "/socket.io/?EIO=4&transport=polling"
    async with (
        await Connection.open(server) as first,
        await Connection.open(server) as second,
    ):
        for _ in range(5):
            for connection in (first, second):
                (await connection.get("/other")).ok()
                (await connection.get(target)).ok()
        async with await Connection.open(server) as third:
            await third.eof(reset=True)


@pytest.mark.parametrize(
    ("options", "peer", "counted"),
    [
        ({}, ("192.0.2.7", 1), True),
        ({}, "", False),
        ({"trusted_proxies": "192.0.2.0/24"}, ("192.0.2.7", 1), False),
        ({"trusted_proxies": "10.0.0.1"}, ("192.0.2.7", 1), True),
    ],
)
def test_whose_connections_are_counted(
    options: dict[str, Any], peer: Any, counted: bool
) -> None:
    limits = Limits(tcp_connections_per_address=3)
    server = Server(AsyncServer(limits=limits, **options))
    clients = [server.http(peer=peer) for _ in range(4)]
    assert [client.wire.aborted for client in clients] == [False] * 3 + [counted]
    # A connection counts until what it had to write has left.
    clients[0].wire.holds = 1
    clients[0].wire.close()
    assert server.http(peer=peer).wire.aborted is counted
    clients[0].wire.holds = 0
    assert not server.http(peer=peer).wire.aborted
    for _ in range(50):
        client = server.http(peer=peer)
        client.wire.close()
        clients[1].wire.close()


def test_without_the_limit_nothing_is_counted() -> None:
    server = Server(AsyncServer(limits=Limits(connections_per_address=1)))
    assert not any(server.http().wire.aborted for _ in range(50))


# --- requests that nobody waits for ---------------------------------------------


async def test_a_middleware_sees_a_response_of_a_poll_that_was_aborted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sio = socketio_fast.AsyncServer()
    begun: asyncio.Queue[str] = asyncio.Queue()
    statuses: asyncio.Queue[int] = asyncio.Queue()

    async def note(request: Any, call_next: Any) -> Any:
        begun.put_nowait(request.method)
        response = await call_next(request)
        statuses.put_nowait(response.status_code)
        return response

    app = Starlette(
        routes=[Mount("/", socketio_fast.ASGIApp(sio))],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=note)],
    )
    async with run_uvicorn(app) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        target = "/socket.io/?EIO=4&transport=polling"
        connection = Connection(reader, writer)
        sid = (await connection.get(target)).text.split('"')[3]
        assert await within(statuses.get()) == 200
        await within(begun.get())
        await connection.send(request("GET", f"{target}&sid={sid}"))
        await within(begun.get())
        await connection.close()
        assert await within(statuses.get()) == 400
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


# --- who may connect ------------------------------------------------------------


async def test_origins_of_a_pattern(serve: Any) -> None:
    server = await serve(AsyncServer(cors_allowed_origins="https://*.example.com"))
    async with await Connection.open(server) as connection:
        for origin, status in [
            ("https://a.example.com", 200),
            ("https://example.com", 400),
            ("https://a.example.com.evil.com", 400),
        ]:
            response = await connection.get(polling(), ("Origin", origin))
            assert response.status == status
            allowed = response.header("access-control-allow-origin")
            assert allowed == (origin if status == 200 else None)


async def test_jsonp_is_refused_unless_it_is_wanted(serve: Any) -> None:
    eio = AsyncServer()
    server = await serve(eio)
    async with await Connection.open(server) as connection:
        response = await connection.get(polling(more="&j=0"))
        assert response.status == 400
        assert "JSONP is not served: allow_jsonp=False" in response.text
        eio.allow_jsonp = True
        response = await connection.get(polling(more="&j=0"))
        assert response.text.startswith("___eio[0](")


async def test_what_a_deployment_may_not_want_is_said_once(
    serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sio = socketio_fast.AsyncServer(cors_allowed_origins="*", cookie="io")
    await serve(sio)
    await serve(sio)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "cors_credentials=False" in record.getMessage()
    assert "'HttpOnly': True" in record.getMessage()
