"""Pages that get the official client from the server that they connect to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.browser import CLIENT_JS, Open

import socketio_fast

SCRIPT = """
const socket = io();
socket.on("connect", async () => {
  document.title = await socket.emitWithAck("echo", "it works");
});
"""

PAGES = {
    name: f'<script src="/socket.io/{name}"></script><script>{SCRIPT}</script>'
    for name in ("socket.io.js", "socket.io.min.js")
}
PAGES["socket.io.esm.min.js"] = (
    '<script type="module">import { io } from "/socket.io/socket.io.esm.min.js";'
    f"{SCRIPT}</script>"
)


@pytest.mark.parametrize("name", sorted(PAGES))
async def test_a_page_loads_the_client_and_connects(
    serve: Any, open_page: Open, tmp_path: Path, name: str
) -> None:
    """S2: Chromium loads a served bundle, and connects with it."""
    sio = socketio_fast.AsyncServer(serve_client=CLIENT_JS.parent)
    done = asyncio.Event()

    @sio.event
    async def echo(sid: str, text: str) -> str:
        done.set()
        return text

    index = tmp_path / "index.html"
    index.write_text(f'<!doctype html><link rel="icon" href="data:,">{PAGES[name]}')
    server = await serve(sio, static_files={"/": str(index)})
    page = await open_page(server.url)
    await asyncio.wait_for(done.wait(), 10)
    await page.wait_for_function("document.title === 'it works'")
