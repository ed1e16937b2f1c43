"""The official client by WebTransport, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.browser import CLIENT_JS, Open
from support.webtransport import certificate

import socketio_fast

CONNECT = """
async ([url, hash, transports]) => {
  // The client does not look whether what it pipes to a session's stream ends well.
  addEventListener("unhandledrejection", (event) => {
    if (event.reason.message === "The session is closed.") event.preventDefault();
  });
  const seen = [];
  const socket = io(url, {
    transports,
    reconnection: false,
    transportOptions: {
      webtransport: {
        serverCertificateHashes: [
          { algorithm: "sha-256", value: new Uint8Array(hash) },
        ],
      },
    },
  });
  window.socket = socket;
  // On a busy machine the upgrade may end before Socket.IO's connect event.
  const { engine } = socket.io;
  seen.push(engine.transport.name);
  const upgraded = new Promise((resolve) => engine.on("upgrade", resolve));
  await new Promise((resolve, reject) => {
    socket.on("connect", resolve);
    socket.on("connect_error", (error) => reject(new Error(
      `${error.message} ${error.description} ${error.context}`
    )));
  });
  if (transports[0] === "polling") {
    await upgraded;
    seen.push(engine.transport.name);
  }
  const bytes = new Uint8Array(100000).fill(7);
  const answer = await socket.timeout(5000).emitWithAck("echo", "h\\u00e9", bytes);
  seen.push(answer[0], answer[1].byteLength);
  const ended = new Promise((resolve) => socket.on("disconnect", resolve));
  socket.emit("leave");
  seen.push(await ended);
  return seen;
}
"""


@pytest.fixture
def chromium_args(chromium_args: list[str]) -> list[str]:
    return [argument for argument in chromium_args if argument != "--disable-quic"]


@pytest.mark.parametrize("first", ["webtransport", "polling"])
async def test_the_official_client(
    serve: Any, open_page: Open, tmp_path: Path, first: str
) -> None:
    """T4, P2, T5: from the start, or after an upgrade from polling."""
    file, hash = certificate(tmp_path)
    page_server = await serve(
        socketio_fast.AsyncServer(),
        static_files={"/client.js": str(CLIENT_JS), "/": str(tmp_path / "x.html")},
    )
    (tmp_path / "x.html").write_text(
        '<!doctype html><link rel="icon" href="data:,">'
        '<script src="/client.js"></script>'
    )
    sio = socketio_fast.AsyncServer(
        transports=["polling", "websocket", "webtransport"],
        cors_allowed_origins=page_server.url,
    )

    @sio.event
    async def echo(sid: str, text: str, data: bytes) -> tuple[list[Any]]:
        return ([text, data],)

    @sio.event
    async def leave(sid: str) -> None:
        await sio.disconnect(sid)

    server = await serve(sio, ssl_certfile=file, webtransport=True)
    page = await open_page(page_server.url, ignore_https_errors=True)
    transports = [first, "webtransport"][first == "webtransport" :]
    happened = await page.evaluate(CONNECT, [server.url, list(hash), transports])
    ways = ["polling", "webtransport"][first == "webtransport" :]
    assert happened == [*ways, "hé", 100_000, "io server disconnect"]
