"""Behind nginx and HAProxy, configured as docs/deployment.md says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.interop import SETTLED
from support.real_proxies import haproxy, nginx

import socketio_fast

DOCUMENT = Path(__file__).parents[2] / "docs" / "deployment.md"

#: Where a client of its own address comes from.
ADDRESS = "127.0.0.9"


def documented(language: str, port: int) -> str:
    """The one block of the document, with the server's port."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.S)
    assert block.count("127.0.0.1:5000") == 1
    return block.replace("127.0.0.1:5000", f"127.0.0.1:{port}")


@pytest.fixture
def sio() -> socketio_fast.AsyncServer:
    return socketio_fast.AsyncServer(trusted_proxies=["127.0.0.1"])


@pytest.fixture
def addresses(sio: socketio_fast.AsyncServer) -> list[str]:
    """Where clients come from, for their handlers."""
    addresses: list[str] = []

    @sio.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        addresses.append(environ["REMOTE_ADDR"])

    @sio.event
    def echo(sid: str, *args: Any) -> Any:
        return args

    return addresses


async def check(js: Any, server: Any, transport: str, addresses: list[str]) -> None:
    """The official client, and one from an address of its own."""
    client = await js(server)
    await client.connect()
    assert await client.emit_with_ack("echo", 1, b"\x00") == [1, b"\x00"]
    await client.emit_with_ack("echo", "x" * 100_000)
    assert await client.transport() == SETTLED[transport]
    connector = aiohttp.TCPConnector(local_addr=(ADDRESS, 0))
    async with aiohttp.ClientSession(connector=connector) as session:
        url = f"{server.url}/socket.io/?EIO=4&transport=polling"
        # What the client says of itself does not count.
        headers = {"X-Forwarded-For": "1.2.3.4"}
        async with session.get(url, headers=headers) as response:
            opened = await response.text()
        sid = opened.partition('"sid":"')[2].partition('"')[0]
        async with session.post(f"{url}&sid={sid}", data="40") as response:
            assert response.status == 200
    assert addresses == ["127.0.0.1", ADDRESS]


async def test_nginx(
    js: Any,
    serve: Any,
    sio: socketio_fast.AsyncServer,
    transport: str,
    addresses: list[str],
    tmp_path: Path,
) -> None:
    """U9: every transport through nginx, which says who the client is."""
    running = await serve(sio)
    async with nginx(tmp_path, documented("nginx", running.port)) as server:
        await check(js, server, transport, addresses)


@pytest.mark.parametrize("mode", ["http", "tcp"])
@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
async def test_haproxy(
    js: Any,
    sio: socketio_fast.AsyncServer,
    transport: str,
    addresses: list[str],
    tmp_path: Path,
    mode: str,
    version: str,
) -> None:
    """U9: every transport through HAProxy, by both versions of the PROXY protocol."""
    async with await socketio_fast.serve(sio, port=0, proxy_protocol=True) as running:
        block = documented("haproxy", running.port).replace("send-proxy-v2", version)
        async with haproxy(tmp_path, block, mode=mode) as server:
            await check(js, server, transport, addresses)
