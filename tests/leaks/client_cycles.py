"""Clients that connect and disconnect, a great many times; prints what is left.

    python -m leaks.client_cycles WARM COUNT

As JSON, for each kind of client: what the process held after the first WARM cycles, by
which all is there that is made once, and after COUNT more. The server is a process of
its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict

import uvloop
from support.client_servers import OURS
from support.interop import SETTLED, TRANSPORTS, WAIT

import socketio_fast as socketio

from .endurance import Held, held, settled

AT_ONCE = 4


def with_asyncio(url: str, transport: str, anew: bool) -> Callable[[int], Held]:
    async def cycles(numbers: Iterator[int]) -> None:
        client = socketio.AsyncClient(handle_sigint=False)
        for number in numbers:
            if anew:
                client = socketio.AsyncClient(handle_sigint=False)
            await client.connect(
                url, transports=TRANSPORTS[transport], wait_timeout=WAIT
            )
            assert client.transport() == SETTLED[transport]
            assert await client.call("echo", number) == number
            await client.disconnect()

    async def run(count: int) -> Held:
        numbers = iter(range(count))
        await asyncio.gather(*(cycles(numbers) for _ in range(AT_ONCE)))
        return await settled()

    loop = uvloop.new_event_loop()
    return lambda count: loop.run_until_complete(run(count))


def with_threads(url: str, transport: str, anew: bool) -> Callable[[int], Held]:
    def cycles(count: int) -> None:
        client = socketio.Client(handle_sigint=False)
        for number in range(count):
            if anew:
                client = socketio.Client(handle_sigint=False)
            client.connect(url, transports=TRANSPORTS[transport], wait_timeout=WAIT)
            assert client.transport() == SETTLED[transport]
            assert client.call("echo", number) == number
            client.disconnect()

    def run(count: int) -> Held:
        cycles(count)
        deadline = time.monotonic() + WAIT
        while threading.active_count() > threads and time.monotonic() < deadline:
            time.sleep(0.01)
        return held()

    threads = threading.active_count()
    return run


def main(warm: int, count: int) -> None:
    found = {}
    with OURS.serve() as target:
        for make in (with_asyncio, with_threads):
            for transport in TRANSPORTS:
                for anew in (False, True):
                    run = make(target.url, transport, anew)
                    before = run(warm)
                    kind = [make.__name__, transport, "anew" if anew else "again"]
                    found[" ".join(kind)] = asdict(before), asdict(run(count))
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
