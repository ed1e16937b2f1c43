"""Clients of a server on a Unix socket: by a URL, and by a session of aiohttp."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.official_suite import New
from support.threaded_servers import running
from support.waiting import until, within

import socketio_fast as socketio
from socketio_fast import exceptions
from socketio_fast.clients.urls import unix_path

TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]


def application() -> socketio.AsyncServer:
    sio = socketio.AsyncServer()

    @sio.event
    async def echo(sid: str, value: Any) -> Any:
        return value

    @sio.event
    async def query(sid: str) -> str:
        return str(sio.get_environ(sid)["QUERY_STRING"])

    @sio.event
    async def host(sid: str) -> str:
        return str(sio.get_environ(sid)["HTTP_HOST"])

    return sio


@pytest.fixture
def path(tmp_path: Path) -> str:
    """One with what a URL must not have as it is."""
    return str(tmp_path / "a b?#.sock")


@pytest.fixture
async def url(serve: Any, path: str) -> str:
    await serve(application(), uds=path)
    return "unix://" + path.replace(" ", "%20").replace("?", "%3F").replace("#", "%23")


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_by_a_url(
    new: New, url: str, transports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the environment names a proxy."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    client = new()
    await client.connect(f"{url}?room=7", transports=transports, wait_timeout=5)
    assert client.transport() == transports[-1]
    for value in ("x", b"y" * 500_000):
        assert await within(client.call("echo", value)) == value
    assert "room=7" in await client.call("query")
    assert await client.call("host") == "localhost"


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_by_a_session_of_aiohttp(
    new: New, url: str, path: str, transports: list[str]
) -> None:
    """As programs for python-socketio do."""

    async def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.UnixConnector(path))

    client = new(http_session=session)
    await client.connect("http://app.example", transports=transports, wait_timeout=5)
    assert client.transport() == transports[-1]
    assert await client.call("host") == "app.example"
    async with await session() as own:
        client = new(http_session=own)
        await client.connect(url, transports=transports, wait_timeout=5)
        assert await client.call("echo", 1) == 1
        await client.disconnect()


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_there_is_no_tls_by_a_unix_socket(
    new: New, url: str, path: str, transports: list[str]
) -> None:
    """As in aiohttp, whatever the URL says."""
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as own:
        client = new(http_session=own)
        await client.connect("https://a.example", transports=transports, wait_timeout=5)
        assert client.transport() == transports[-1]
        await client.disconnect()


@pytest.mark.parametrize("transports", TRANSPORTS)
def test_the_client_for_threads(tmp_path: Path, transports: list[str]) -> None:
    path = str(tmp_path / "app.sock")
    with (
        running(application, uds=path),
        socketio.Client() as client,
    ):
        client.connect(f"unix://{path}", transports=transports, wait_timeout=5)
        assert client.call("echo", 1, timeout=10) == 1
        assert client.transport() == transports[-1]


async def test_reconnects(new: New, serve: Any, path: str, url: str) -> None:
    client = new()
    await client.connect(url, wait_timeout=5)
    # The server is still there: the connection alone is lost.
    client.eio._link.abort(ConnectionResetError("on purpose"))
    client.emit("echo", 1)
    await until(lambda: client.connected and client.get_sid() is not None)
    assert await within(client.call("echo", 2)) == 2


# --- failures ---------------------------------------------------------------------


async def failure(client: Any, url: str, transport: str) -> str:
    with pytest.raises(exceptions.ConnectionError) as caught:
        await within(client.connect(url, transports=[transport]), "connect")
    return str(caught.value)


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_no_such_file(new: New, tmp_path: Path, transport: str) -> None:
    path = tmp_path / "none.sock"
    assert await failure(new(), f"unix://{path}", transport) == (
        f"cannot connect to the Unix socket {path}: there is no such file; is the path "
        "right, and does the server run?"
    )


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_nobody_listens(new: New, tmp_path: Path, transport: str) -> None:
    path = tmp_path / "file"
    path.touch()
    text = await failure(new(), f"unix://{path}", transport)
    assert f"Unix socket {path}: connection refused: nobody listens at {path}" in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_no_permission(new: New, url: str, path: str, transport: str) -> None:
    os.chmod(path, 0)
    assert "may not write to it" in await failure(new(), url, transport)


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_server_that_answers_nothing(
    new: New, tmp_path: Path, transport: str
) -> None:
    path = str(tmp_path / "silent.sock")

    async def silent(reader: Any, writer: Any) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(silent, path)
    try:
        client = new(connect_timeout=0.3, request_timeout=0.3)
        text = await failure(client, f"unix://{path}", transport)
        assert path in text
        assert "0.3 seconds" in text
    finally:
        server.close()


@pytest.mark.parametrize(
    "url", ["unix://run/app.sock", "unix:app.sock", "unix://", "unix:///a%00b"]
)
async def test_urls_that_are_none(new: New, url: str) -> None:
    with pytest.raises(ValueError, match="the absolute path of a Unix socket"):
        await new().connect(url)


def test_urls() -> None:
    assert unix_path("unix:///run/a%20b.sock?x=1") == "/run/a b.sock"
    assert unix_path("http://localhost") is None


async def test_what_contradicts_the_url(new: New, requests_session: Any) -> None:
    url = "unix:///run/app.sock"
    with pytest.raises(ValueError, match=r"which a requests\.Session cannot reach"):
        await new(http_session=requests_session).connect(url)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ValueError, match=r"aiohttp\.UnixConnector\(path\)"):
            await new(http_session=session).connect(url)
    with pytest.raises(ValueError, match="which no proxy reaches"):
        await new(proxy="http://127.0.0.1:1").connect(url)
    client = new()
    with pytest.raises(exceptions.ConnectionError, match="not by a Unix socket"):
        await client.connect(url, transports=["webtransport"])
