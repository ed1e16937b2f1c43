"""Prices that change: a server for the client beside it, which has no page.

python examples/prices/server.py
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random

import socketio_fast as socketio

PRICES = {"apples": 210, "pears": 260, "plums": 380}  # cents

sio = socketio.AsyncServer()


@sio.event
async def watch(sid: str, name: object = None) -> dict[str, object]:
    """A client wants to know of one price from now on."""
    if name not in PRICES:
        return {"error": f"there are {', '.join(PRICES)}"}
    await sio.enter_room(sid, f"price:{name}")
    return {"cents": PRICES[str(name)]}


async def change() -> None:
    while True:
        name = random.choice(list(PRICES))
        PRICES[name] = max(1, PRICES[name] + random.randint(-9, 9))
        await sio.emit("price", (name, PRICES[name]), to=f"price:{name}")
        await asyncio.sleep(0.3)


async def main() -> None:
    port = int(os.environ.get("PORT", 5000))
    async with await socketio.serve(sio, host="127.0.0.1", port=port) as server:
        print(f"prices at {server.url}", flush=True)
        await change()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
