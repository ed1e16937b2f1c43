"""The benchmark's client on an AsyncClient: socketio_fast's, or python-socketio's."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from typing import Any

import uvloop
from common import FLOOD, Load, Wrong, parse_arguments


class Clients:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.package = importlib.import_module(options.package)
        self.url = f"http://127.0.0.1:{options.port}"

    async def connect(self, prepare: Any = None) -> Any:
        sio = self.package.AsyncClient(reconnection=False, handle_sigint=False)
        if prepare is not None:
            prepare(sio)
        # Of python-socketio, `wait` needs longer where many connect at once.
        await sio.connect(self.url, transports=["websocket"], wait_timeout=30)
        return sio

    async def echo(self) -> None:
        load = Load(self.options)
        over = asyncio.get_running_loop().create_future()

        def prepare(sio: Any) -> None:
            @sio.on("echo")
            async def echo(data: str) -> None:
                try:
                    text = load.next_message(data)
                except Wrong as error:
                    over.done() or over.set_exception(error)
                    return
                if text is not None:
                    await sio.emit("echo", text)
                elif not over.done():
                    over.set_result(None)

        sio = await self.connect(prepare)
        for text in load.first_messages():
            await sio.emit("echo", text)
        await over

    async def flood(self) -> None:
        load = Load(self.options)
        over = asyncio.get_running_loop().create_future()

        def prepare(sio: Any) -> None:
            @sio.on("b")
            async def b(data: str) -> None:
                try:
                    more = load.next_of_flood(data)
                except Wrong as error:
                    over.done() or over.set_exception(error)
                    return
                if load.over:
                    over.done() or over.set_result(None)
                elif more:
                    await sio.emit("flood", FLOOD)

        sio = await self.connect(prepare)
        for _ in range(2):
            await sio.emit("flood", FLOOD)
        await over

    async def cycle(self) -> None:
        """Connects and disconnects, so many at a time."""
        load = Load(self.options)

        async def repeat() -> None:
            while not load.over:
                sio = await self.connect()
                await sio.disconnect()
                load.count()

        await asyncio.gather(*(repeat() for _ in range(self.options.in_flight)))

    async def memory(self) -> None:
        load = Load(self.options)
        # What the first client imports is not the memory of each.
        kept = [await self.connect()]
        load.begin()
        for _ in range(self.options.connections // 50):
            kept += await asyncio.gather(*(self.connect() for _ in range(50)))
        load.end(self.options.connections)


def main() -> None:
    options = parse_arguments("AsyncClient")
    clients = Clients(options)
    uvloop.run(getattr(clients, options.mode)())


if __name__ == "__main__":
    sys.exit(main())
