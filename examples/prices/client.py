"""A client without a page: it shows prices as they change.

python examples/prices/client.py [--url URL] [--count COUNT] NAME...
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import socketio_fast as socketio


async def show(url: str, names: list[str], count: int | None) -> None:
    client = socketio.AsyncClient()
    last: dict[str, int] = {}

    async def watch() -> None:
        for name in names:
            answer = await client.call("watch", name, timeout=5)
            if "error" in answer:
                raise SystemExit(f"{name}: {answer['error']}")
            last[name] = answer["cents"]

    shown = 0
    async with client.connection(url) as socket:
        await watch()
        # After a lost connection it is a new client for the server.
        client.on("connect", watch)
        async for name, cents in socket.events("price"):
            way = "▲" if cents > last[name] else "▼" if cents < last[name] else " "
            last[name] = cents
            print(f"{name:8} {cents / 100:8.2f} {way}", flush=True)
            shown += 1
            if shown == count:
                return


def main() -> None:
    parser = argparse.ArgumentParser(description="Shows prices as they change.")
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--url", default="http://127.0.0.1:5000")
    parser.add_argument("--count", type=int, help="end after so many lines")
    args = parser.parse_args()
    try:
        asyncio.run(show(args.url, args.names, args.count))
    except KeyboardInterrupt:
        pass
    except socketio.exceptions.ConnectionError as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
