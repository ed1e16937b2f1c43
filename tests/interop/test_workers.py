"""The official client with its default options, and several workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from leaks.endurance import times
from support.real_proxies import haproxy, nginx
from support.supervised import APP, running

#: Polling, then the upgrade.
default = pytest.mark.parametrize("transport", ["upgrade"], indirect=True)

NGINX_POOL = """
location / {
    proxy_pass http://workers;
    proxy_http_version 1.1;
    proxy_set_header Host $host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $wanted;
    proxy_buffering off;
}
"""

NGINX_WORKERS = """
map $http_upgrade $wanted {{ default upgrade; '' ''; }}
upstream workers {{
    server 127.0.0.1:{port};
    keepalive 8;
}}
"""

HAPROXY_POOL = """
backend socketio
    http-reuse always
    server workers 127.0.0.1:{port}
"""


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[SimpleNamespace]:
    (tmp_path / "app.py").write_text(APP)
    with running(tmp_path, "--workers", "4") as server:
        yield SimpleNamespace(
            url=f"http://127.0.0.1:{server.port}", port=server.port, server=server
        )


async def exchange(js: Any, server: Any, clients: int) -> None:
    """So many clients connect, are upgraded and get an answer, from all workers."""
    # They share one process of Node.js, which connects no more in the time there is.
    few = asyncio.Semaphore(50)

    async def one() -> int:
        async with few:
            client = await js(server)
            await client.connect()
        (before,) = await client.emit_with_ack("pid")
        assert await client.transport() == "websocket"
        (after,) = await client.emit_with_ack("pid")
        assert before == after
        return int(after)

    pids = await asyncio.gather(*(one() for _ in range(clients)))
    assert len(set(pids)) == 4


@default
async def test_clients_with_their_default_options(js: Any, workers: Any) -> None:
    """A14: each connects, is upgraded and stays with its worker."""
    await exchange(js, workers, times(500, 60))


RECOVERING = """
import os

import socketio_fast as socketio

app = socketio.AsyncServer(connection_state_recovery=True)


@app.event
async def connect(sid, environ):
    if not app.recovered(sid):
        await app.enter_room(sid, "all")


@app.event
async def pid(sid):
    return os.getpid()


@app.event
async def tell(sid, number):
    await app.emit("told", number, to="all")
"""


@default
async def test_each_recovers_wherever_it_comes_back(js: Any, tmp_path: Path) -> None:
    """R2, R3, R5: its sid, its room and what it has missed, whichever worker accepts
    its connection."""
    (tmp_path / "app.py").write_text(RECOVERING)
    with running(tmp_path, "--workers", "4") as supervised:
        server = SimpleNamespace(url=f"http://127.0.0.1:{supervised.port}")
        clients = [await js(server, reconnectionDelay=20) for _ in range(8)]
        sockets = [await client.connect() for client in clients]
        teller = await js(server)
        await teller.connect()
        pids = [await client.emit_with_ack("pid") for client in clients]
        await teller.emit_with_ack("tell", -1)
        for client in clients:
            assert (await client.expect("told"))[0] == -1
        for turn in range(6):
            for client in clients:
                # One that is cut off while it is upgraded hands what came then out
                # again when it comes back, as with a server in Node.js.
                await client.settled()
                await client.do("cut")
            await teller.emit("tell", turn)
            for client, socket in zip(clients, sockets, strict=True):
                assert await socket.reconnected() == socket.sid
                assert await client.do("recovered", nsp="/")
                assert (await client.expect("told"))[0] == turn
        assert [await client.emit_with_ack("pid") for client in clients] == pids


@pytest.fixture
async def pooling(
    request: pytest.FixtureRequest, workers: Any, tmp_path: Path
) -> AsyncIterator[Any]:
    """A proxy whose connections to the workers serve many clients."""
    if request.param == "nginx":
        http = NGINX_WORKERS.format(port=workers.port)
        proxy = nginx(tmp_path, NGINX_POOL, http)
    else:
        proxy = haproxy(tmp_path, HAPROXY_POOL.format(port=workers.port))
    async with proxy as front:
        yield front


@default
@pytest.mark.parametrize("pooling", ["nginx", "haproxy"], indirect=True)
async def test_behind_a_proxy_without_sticky_sessions(js: Any, pooling: Any) -> None:
    await exchange(js, pooling, 40)


@pytest.mark.parametrize("transport", ["polling", "upgrade"], indirect=True)
@pytest.mark.parametrize("serve", ["among workers"], indirect=True)
async def test_a_server_among_workers(js: Any, serve: Any, sio: Any) -> None:
    """Where most tests of this client run too: its connections come by others."""
    sio.on("question", lambda sid: "answer")
    client = await js(await serve(sio))
    await client.connect()
    assert await client.emit_with_ack("question") == ["answer"]
    assert sio.eio.counters["connections_taken_from_workers"]
    assert await sio.server_count() == 5
