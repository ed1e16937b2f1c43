"""The examples of FastAPI and Flask, started by each command of their READMEs."""

from __future__ import annotations

import asyncio
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
import socketio as python_socketio
from support.processes import environment
from support.python_client import AsyncClient

EXAMPLES = Path(__file__).parents[2] / "examples"
TIMEOUT = 20.0
# SIGINT is ignored by what a shell starts in the background, and by its children.
INTERRUPTIBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
DIAGNOSTICS = {"PYTHONWARNINGS": "default", "PYTHONFAULTHANDLER": "1"}
TRANSPORTS = [["polling"], ["websocket"]]


def commands(example: str) -> list[str]:
    """The lines of a README that start the example."""
    readme = (EXAMPLES / example / "README.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    lines = "".join(blocks).splitlines()
    return [line for line in lines if not line.startswith("pip ")]


@contextmanager
def started(example: str, command: str) -> Iterator[str]:
    """A command of a README, on a free port; the URL that it says."""
    words = shlex.split(command.replace("5000", "0"))
    script = Path(sys.executable).with_name(words[0])
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, str(script), *words[1:]],
        cwd=EXAMPLES / example,
        env={**environment(), "PORT": "0", **DIAGNOSTICS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            # Not gunicorn's control socket: an address with its scheme.
            if found := re.search(r"http://127\.0\.0\.1:[1-9]\d*", line):
                yield found[0]
                break
        else:
            raise AssertionError("".join(said))
    finally:
        process.send_signal(signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # where does it hang?
            rest, _ = process.communicate()
            raise AssertionError(rest) from None
    assert "Traceback" not in rest, rest


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
