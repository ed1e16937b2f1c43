"""Where a suite's server runs: in any host of this process, or in four workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from support.hosts import HOSTS
from support.http_clients import H, http
from support.suites import ENDED, engineio_suite
from support.supervised import Supervised

#: Places of four processes, each with whether every request of a client has a
#: connection of its own. Otherwise a connection stays, and goes to the worker that has
#: the session.
WORKERS = {"four workers": False, "four workers, many connections": True}

#: All of them.
PLACES = [*HOSTS, *WORKERS]

#: Places, each with whether the server serves clients of revision 3 besides: what is
#: true of revision 4 is true of it then too.
SERVERS = [
    *((name, False) for name in PLACES),
    ("compiled", True),
    ("uvicorn", True),
]

#: Starts the four workers of a suite's server, by its name and options.
StartWorkers = Callable[..., Supervised]


class _Sessions:
    """The sessions of all workers that have not ended."""

    def __init__(self, running: Supervised) -> None:
        self._lines = running.out.lines

    def __contains__(self, sid: object) -> bool:
        return f"{ENDED}{sid}" not in self._lines


@asynccontextmanager
async def served(
    place: str,
    start_workers: StartWorkers,
    suite: Callable[..., Any],
    kind: type[H],
    **options: Any,
) -> AsyncIterator[H]:
    """A client of a suite's server."""
    path = "/engine.io/" if suite is engineio_suite else "/socket.io/"
    if place in WORKERS:
        running = start_workers(suite.__name__, **options)
        connector = aiohttp.TCPConnector(force_close=WORKERS[place])
        url = f"http://127.0.0.1:{running.port}"
        async with http(url, path, kind, connector=connector) as client:
            client.sessions = lambda: _Sessions(running)
            client.ordered = not WORKERS[place]
            yield client
        return
    server = suite(**options)
    async with HOSTS[place](server) as url, http(url, path, kind) as client:
        client.sessions = lambda: getattr(server, "eio", server).sockets
        yield client
