"""JSONP polling of the official client of Socket.IO 2, in a browser."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from support.browser import CLIENT_JS, Open

import socketio_fast

CLIENT_2 = CLIENT_JS.parents[2] / "socket.io-client-2" / "dist" / "socket.io.js"

#: What scripts and forms have an opinion of.
TEXT = "a\nb\r\nc\u2028d\u2029e\\f\\\\g\"h'i</script>j\0k\\n é😀 \\u0041 %41 +&="

SCRIPT = """
async ([url, text]) => {
  const socket = io(url, {
    transports: ["polling"], forceJSONP: true, reconnection: false,
  });
  const next = (name) => new Promise((resolve) => socket.once(name, resolve));
  const ask = (value) =>
    new Promise((resolve) => socket.emit("echo", value, resolve));
  const bytes = (buffer) => [...new Uint8Array(buffer)];
  await next("connect");
  const heard = next("echo");
  const answer = await ask(text);
  const event = await heard;
  const heardBytes = next("echo");
  const answerBytes = bytes(await ask(new Uint8Array([0, 1, 255, 128]).buffer));
  const eventBytes = bytes(await heardBytes);
  for (let i = 0; i < 20; i++) socket.emit("count", i);
  await ask("all");
  socket.disconnect();
  return { answer, event, answerBytes, eventBytes };
}
"""


async def test_jsonp_of_the_old_client(
    serve: Any, open_page: Open, tmp_path: Path
) -> None:
    """T2, P3: text, bytes and order, from a page of another origin."""
    sio = socketio_fast.AsyncServer(allow_eio3=True, cors_allowed_origins="*")
    texts: list[Any] = []
    counted: list[int] = []
    left = asyncio.Event()

    @sio.event
    async def echo(sid: str, value: Any) -> Any:
        texts.append(value)
        await sio.emit("echo", value, to=sid)
        return value

    @sio.event
    def count(sid: str, number: int) -> None:
        counted.append(number)

    @sio.event
    def disconnect(sid: str, reason: str) -> None:
        left.set()

    (tmp_path / "index.html").write_text('<link rel="icon" href="data:,">')
    (tmp_path / "client.js").write_bytes(CLIENT_2.read_bytes())
    server = await serve(sio)
    pages = await serve(
        socketio_fast.AsyncServer(),
        static_files={
            "/": str(tmp_path / "index.html"),
            "/client.js": str(tmp_path / "client.js"),
        },
    )
    page = await open_page(pages.url)
    requests: set[tuple[str, str]] = set()
    page.on("request", lambda r: requests.add((r.method, r.resource_type)))
    await page.add_script_tag(url=f"{pages.url}/client.js")
    requests.clear()
    result = await page.evaluate(SCRIPT, [server.url, TEXT])
    await asyncio.wait_for(left.wait(), 10)
    assert result == {
        "answer": TEXT,
        "event": TEXT,
        "answerBytes": [0, 1, 255, 128],
        "eventBytes": [0, 1, 255, 128],
    }
    assert texts == [TEXT, b"\x00\x01\xff\x80", "all"]
    assert counted == list(range(20))
    # Scripts to receive, forms in frames to send.
    assert requests == {("GET", "script"), ("POST", "document")}
