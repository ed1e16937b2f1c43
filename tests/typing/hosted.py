"""Both servers for asyncio are what hosts need, as mypy sees it; checked, not run."""

from __future__ import annotations

from socketio_fast import AsyncServer, Server, engineio
from socketio_fast.hosting.contracts import HostedServer

servers: list[HostedServer] = [AsyncServer(), engineio.AsyncServer()]
not_for_asyncio: HostedServer = Server()  # type: ignore[assignment]
