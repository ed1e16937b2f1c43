"""WebTransport to several workers, by the client of this package."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from support.supervised import APP, WAIT, running
from support.webtransport import certificate

import socketio_fast as socketio

#: So many that each of two workers has some: but for once in 30,000 times.
CLIENTS = 16


async def test_upgrades_and_new_workers(folder: Path, tmp_path: Path) -> None:
    """T4, T5, A14: the UDP port is all workers' too; they are replaced one by one."""
    file, digest = certificate(tmp_path)
    transports = "transports=['polling', 'websocket', 'webtransport']"
    (folder / "app.py").write_text(
        APP.replace("AsyncServer()", f"AsyncServer({transports})")
    )
    arguments = ("--workers", "2", "--webtransport", "--ssl-certfile", file)
    clients = [
        socketio.AsyncClient(
            reconnection_delay=0.01,
            ssl_verify=False,
            webtransport_options={"server_certificate_hashes": [digest]},
        )
        for _ in range(CLIENTS)
    ]

    async def asked(client: Any) -> int:
        found: int = await client.call("pid", timeout=WAIT)
        return found

    async with AsyncExitStack() as stack:
        server = stack.enter_context(running(folder, *arguments))
        for client in clients:
            stack.push_async_callback(client.shutdown)
        for client in clients:
            await client.connect(
                f"https://127.0.0.1:{server.port}",
                transports=["polling", "webtransport"],
                wait_timeout=WAIT,
            )
        assert {client.transport() for client in clients} == {"webtransport"}
        before = set(server.workers().values())
        assert {await asked(client) for client in clients} == before
        server.signal(signal.SIGHUP)
        await asyncio.to_thread(
            server.log.wait_for, "ended with the exit code 0", count=2
        )
        # Their sessions ended with the old workers: they have come to the new ones.
        after = set(server.workers().values())
        assert after.isdisjoint(before)
        assert {await asked(client) for client in clients} <= after
        # What a worker relayed to the other one has ended with it.
        log = "\n".join(server.log.lines)
        assert "Traceback" not in log
        assert "eof_received" not in log
