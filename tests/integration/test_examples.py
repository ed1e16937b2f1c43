"""The examples without a page of their own tests, started as their READMEs say."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from typing import Any

import aiohttp
import pytest
import requests
import socketio as python_socketio
from support.example_programs import EXAMPLES, TIMEOUT, commands, started
from support.processes import environment
from support.python_client import AsyncClient

TRANSPORTS = [["polling"], ["websocket"]]


async def read(response: aiohttp.ClientResponse) -> None:
    if response.status == 200:
        await response.read()


class Client:
    """python-socketio's, and the events that it got."""

    async def __aenter__(self) -> Client:
        # Its own is not always closed, and what POST is answered with not always read.
        self.http = aiohttp.ClientSession(raise_for_status=read)
        self.sio = AsyncClient(
            reconnection=False, handle_sigint=False, http_session=self.http
        )
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.sio.on("*", lambda *event: self.events.put_nowait(event))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.sio.disconnect()
        await self.sio.eio.wait()  # for the poll that it has begun
        await self.http.close()

    async def next(self) -> Any:
        return await asyncio.wait_for(self.events.get(), TIMEOUT)

    async def call(self, *event: Any) -> Any:
        return await self.sio.call(*event, timeout=TIMEOUT)


@pytest.mark.parametrize("command", commands("fastapi"))
async def test_fastapi(command: str) -> None:
    with started("fastapi", command) as url:
        assert "socket.io.min.js" in (await asyncio.to_thread(requests.get, url)).text
        docs = await asyncio.to_thread(requests.get, f"{url}/docs")
        assert docs.status_code == 200
        notes: list[str] = []
        for transports in TRANSPORTS:
            async with Client() as client:
                await put_notes(client, url, transports, notes)


async def put_notes(
    client: Client, url: str, transports: list[str], notes: list[str]
) -> None:
    await client.sio.connect(url, transports=transports)
    assert client.sio.transport() == transports[0]
    assert await client.next() == ("notes", notes)
    assert await client.call("put", "by an event") == {"ok": True}
    assert await client.next() == ("note", "by an event")
    note = {"text": "by HTTP"}
    posted = await asyncio.to_thread(requests.post, f"{url}/notes", json=note)
    assert posted.status_code == 201
    assert await client.next() == ("note", "by HTTP")
    for wrong in ["", "x" * 201, 5, None]:
        answer = await client.call("put", wrong)
        assert answer["ok"] is False
        assert answer["error"]
    notes += ["by an event", "by HTTP"]
    assert (await asyncio.to_thread(requests.get, f"{url}/notes")).json() == notes


@pytest.mark.parametrize("command", commands("flask"))
async def test_flask(command: str) -> None:
    with started("flask", command) as url, requests.Session() as session:
        async with Client() as stranger:
            with pytest.raises(python_socketio.exceptions.ConnectionError):
                await stranger.sio.connect(url, transports=["polling"])
        name = {"name": "Ada"}
        page = await asyncio.to_thread(session.post, f"{url}/login", data=name)
        assert "socket.io.min.js" in page.text
        cookie = "; ".join(f"{c.name}={c.value}" for c in session.cookies)
        for transports in TRANSPORTS:
            async with Client() as client:
                await say(client, url, transports, cookie)


async def say(client: Client, url: str, transports: list[str], cookie: str) -> None:
    await client.sio.connect(url, transports=transports, headers={"Cookie": cookie})
    assert client.sio.transport() == transports[0]
    assert await client.call("say", "hello") == {"ok": True}
    assert await client.next() == ("said", {"name": "Ada", "text": "hello"})
    assert (await client.call("say", 5))["ok"] is False
    text = {"text": "by HTTP"}
    await asyncio.to_thread(requests.post, f"{url}/announce", data=text)
    announced = {"name": "everybody", "text": "by HTTP"}
    assert await client.next() == ("said", announced)


def test_prices_in_a_terminal() -> None:
    with started("prices", "python server.py") as url:
        command = [sys.executable, "client.py", "--url", url]
        shown = shell(*command, "--count", "3", "apples", "pears", "plums")
        assert len(shown.stdout.splitlines()) == 3
        for line in shown.stdout.splitlines():
            assert re.fullmatch(r"(apples|pears|plums) +\d+\.\d\d [▲▼ ]", line)
        assert shown.stderr == ""
        wrong = shell(*command, "gold")
        assert wrong.returncode == 1
        assert wrong.stderr == "gold: there are apples, pears, plums\n"
    nobody = shell(*command, "apples")
    assert nobody.returncode == 1
    assert "connection refused" in nobody.stderr
    assert "Traceback" not in nobody.stderr


def shell(*command: str) -> subprocess.CompletedProcess[str]:
    """A program of the example, to its end."""
    return subprocess.run(
        command,
        cwd=EXAMPLES / "prices",
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
