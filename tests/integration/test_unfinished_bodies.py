"""Bodies of requests that do not come to an end, inside every host."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import aiohttp
import pytest
from support.hosts import HOSTS
from support.raw import request, within

import socketio_fast

# tornado reads a body before it asks anything.
READ_HERE = sorted(HOSTS.keys() - {"tornado"})
TARGET = "/socket.io/?EIO=4&transport=polling"


async def status_of_half_a_post(url: str) -> int:
    """A new session sends a POST whose body does not end: what is it answered?"""
    async with aiohttp.ClientSession() as http, http.get(url + TARGET) as response:
        packet = (await response.text()).partition("\x1e")[0]
    target = f"{TARGET}&sid={json.loads(packet[1:])['sid']}"
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    head = request("POST", target, b"").replace(b"Length: 0", b"Length: 900000")
    writer.write(head + b"4" * 1000)
    try:
        return int((await within(reader.readline())).split()[1])
    finally:
        writer.close()


@pytest.mark.parametrize("host", READ_HERE)
async def test_a_body_is_not_waited_for_when_its_session_has_ended(host: str) -> None:
    """A client could have the server keep it for as long as it likes."""
    sio = socketio_fast.AsyncServer(ping_interval=0.2, ping_timeout=0.2)
    async with HOSTS[host](sio) as url:
        assert await status_of_half_a_post(url) == 400
        assert sio.eio.engine.sessions == {}


# The deadline of the compiled server: tests/unit/test_http1.py.
@pytest.mark.parametrize(
    "host", [host for host in READ_HERE if not host.startswith("compiled")]
)
async def test_a_body_that_takes_too_long_ends_its_session(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socketio_fast.hosting.common.BODY_TIMEOUT", 0.1)
    sio = socketio_fast.AsyncServer()
    async with HOSTS[host](sio) as url:
        assert await status_of_half_a_post(url) == 408
        assert sio.eio.engine.sessions == {}
