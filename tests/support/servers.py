"""Servers in processes of their own, as people run them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import socketio as python_socketio

from support.http_clients import http
from support.processes import environment
from support.python_client import async_client

# Seconds for a process to listen, and to end with a client connected.
START_TIMEOUT = 30.0
STOP_TIMEOUT = 8.0


class Server:
    """A process that listens."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> tuple[int, float]:
        """Its status, and how many seconds it took to end."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(self.process.wait, 2 * STOP_TIMEOUT)
        return status, time.monotonic() - started


@contextlib.contextmanager
def process(arguments: list[str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block; what it wrote is in the file "log"."""
    with open(cwd / "log", "w") as log:
        running = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            # Warnings are the servers' own.
            env={**environment(cwd), "PYTHONWARNINGS": "default"},
            stdout=log,
            stderr=log,
            text=True,
        )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


async def listens(
    running: subprocess.Popen[str], cwd: Path, connect: Callable[[], Any]
) -> None:
    """Wait until it does."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            _, writer = await connect()
        except OSError:
            assert running.poll() is None, (cwd / "log").read_text()
            assert time.monotonic() < deadline, (cwd / "log").read_text()
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


@asynccontextmanager
async def connected(
    url: str,
    transports: list[str],
    path: str = "socket.io",
    session: aiohttp.ClientSession | None = None,
) -> AsyncIterator[python_socketio.AsyncClient]:
    """A client of python-socketio, until the block ends."""
    async with async_client(http_session=session) as client:
        await client.connect(
            url, transports=transports, socketio_path=path, wait_timeout=5
        )
        yield client


@asynccontextmanager
async def waiting_poll(url: str) -> AsyncIterator[None]:
    """A client of Socket.IO whose poll is on its way, until the block ends."""
    async with http(url, "/socket.io/") as client:
        sid = await client.open_session()
        assert await client.push(sid, "40") == (200, "ok")
        assert (await client.poll(sid))[1].startswith("40")
        poll = await client.start_poll(sid)
        yield
        await poll.cancel()
