"""A server of this process among four workers: clients come to it through these.

Its clients are opened here, where a test has its handlers. Any later connection of
theirs, each with a request for a session, comes to one of the workers. They have an
application of their own, and pass the connection on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from support.interop import routing
from support.supervised import Supervised, about


class AmongWorkers:
    """A running server, reached at another port than its own."""

    def __init__(self, server: Any, front: Front) -> None:
        self._server = server
        self.port = front.port
        self.url = f"http://127.0.0.1:{front.port}"

    async def close(self) -> None:
        await self._server.close()


class Front:
    """The port for clients: of the last server that was started behind it."""

    def __init__(self, serve: Any, workers: int) -> None:
        self._serve = serve
        self._workers = workers
        self._server: Any = None
        self.port = 0

    def route(self, line: bytes) -> int:
        return self._workers if b"sid=" in line else int(self._server.port)

    async def start(self, app: Any, **options: Any) -> AmongWorkers:
        options.pop("port", None)  # if it is one more server: the same front
        self._server = await self._serve(app, **options)
        return AmongWorkers(self._server, self)


@asynccontextmanager
async def among_workers(serve: Any, workers: Supervised) -> AsyncIterator[Any]:
    """``serve``, for servers among these workers."""
    async with AsyncExitStack() as stack:

        async def start(app: Any, *, port: int = 0, **options: Any) -> AmongWorkers:
            if port not in fronts:
                front = Front(serve, workers.port)
                front.port = await stack.enter_async_context(routing(front.route))
                fronts[port or front.port] = front
                port = front.port
            return await fronts[port].start(app, **options)

        fronts: dict[int, Front] = {}
        yield start


async def cluster_of(workers: Supervised) -> str:
    """What a server has as ``cluster`` to be among them."""
    return str((await about(workers.port))["cluster"])
