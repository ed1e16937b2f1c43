"""What NiceGUI's relay does to a program that is on air: a program with a port."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import sys
from typing import Any

import socketio_fast as socketio

#: Seconds in which the program connects: it tries each 5 s.
CONNECT = 30.0


class Relay:
    """A server with one device, and a browser that sees its page."""

    def __init__(self) -> None:
        self.sio = socketio.AsyncServer(async_mode="asgi")
        self.devices: asyncio.Queue[str] = asyncio.Queue()
        self.forwarded: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.gone: asyncio.Queue[str] = asyncio.Queue()
        self.sio.on("connect", self._connect)
        self.sio.on("disconnect", self._disconnect)
        self.sio.on("forward", self._forward)

    async def _connect(self, sid: str, environ: dict[str, Any]) -> None:
        assert "device_token=token" in environ["QUERY_STRING"], environ
        self.devices.put_nowait(sid)

    async def _disconnect(self, sid: str, reason: str) -> None:
        self.gone.put_nowait(reason)

    async def _forward(self, sid: str, data: dict[str, Any]) -> None:
        self.forwarded.put_nowait(data)

    async def device(self) -> str:
        sid = await asyncio.wait_for(self.devices.get(), CONNECT)
        await self.sio.emit("ready", {"device_url": "http://device.example"}, to=sid)
        return sid

    async def ask(self, sid: str, event: str, data: Any) -> Any:
        return await self.sio.call(event, data, to=sid, timeout=20)

    async def page(self, sid: str) -> None:
        """Open the page, click its button, and see what the click changes."""
        answer = await self.ask(
            sid,
            "http",
            {
                "method": "GET",
                "path": "/",
                "params": {},
                "prefix": "",
                "headers": {"host": "test"},
                "body": b"",
                "instance-id": "1",
            },
        )
        assert answer["status_code"] == 200, answer
        page = gzip.decompress(answer["content"]).decode()
        found = re.search(r"['\"]?client_id['\"]?: ?['\"]([^'\"]+)", page)
        assert found, page[:3000]
        client = found[1]
        joined = await self.ask(
            sid,
            "handshake",
            {
                "client_id": client,
                "sid": "browser",
                "tab_id": "tab",
                "environ": {"asgi.scope": {}},
                "document_id": "document",
                "next_message_id": 0,
            },
        )
        assert joined is True, joined
        button = re.search(r'"(\d+)":\{[^{}]*?q-btn.*?listener_id":"([^"]+)"', page)
        assert button, page[:6000]
        message = {
            "id": int(button[1]),
            "client_id": client,
            "listener_id": button[2],
            "args": [json.dumps({})],
        }
        await self.sio.emit("event", {"client_id": client, "msg": message}, to=sid)
        while "clicked" not in json.dumps(
            await asyncio.wait_for(self.forwarded.get(), 20)
        ).replace("not clicked", ""):
            pass
        assert await self.ask(sid, "handshake", {"client_id": "unknown"}) is False
        await self.sio.emit(
            "client_disconnect", {"client_id": client, "sid": "browser"}, to=sid
        )

    async def try_it(self) -> str:
        sid = await self.device()
        await self.page(sid)
        # The connection ends.
        await self.sio.eio.disconnect(self.sio.manager.eio_sid_from_sid(sid, "/"))
        sid = await self.device()
        await self.page(sid)
        # The relay says goodbye.
        await self.sio.disconnect(sid)
        sid = await self.device()
        await self.page(sid)
        await self.sio.emit("out_of_time", to=sid)
        await self.page(sid)
        return "its page, a click, an end, a goodbye"


async def main() -> None:
    import uvicorn

    await asyncio.sleep(6)  # the program tries in vain meanwhile
    relay = Relay()
    app = socketio.ASGIApp(relay.sio, socketio_path="/on_air/socket.io")
    config = uvicorn.Config(app, port=int(sys.argv[1]), log_level="warning")
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve())
    try:
        print(await relay.try_it())
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, 10)


if __name__ == "__main__":
    asyncio.run(main())
