"""What hosts need of the servers that they host."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from socketio_fast._core.engine.engine import Engine
from socketio_fast.options.config import EngineConfig
from socketio_fast.options.logs import Logger

__all__ = ["HostedEngine", "HostedServer"]


class HostedEngine(Protocol):
    """An Engine.IO server for asyncio."""

    @property
    def engine(self) -> Engine:
        """The sessions of its clients."""

    @property
    def config(self) -> EngineConfig:
        """Its options."""

    @property
    def logger(self) -> Logger:
        """Where it logs."""

    @property
    def membership(self) -> Any:
        """Its ``socketio_fast.workers.membership.Membership``; ``None``: it is the only
        process."""

    def handler_tasks(self) -> set[asyncio.Task[Any]]:
        """The handlers that have suspended."""


class HostedServer(Protocol):
    """A server for asyncio, of Socket.IO or of Engine.IO."""

    @property
    def eio(self) -> HostedEngine:
        """The Engine.IO server that it stands on, or is."""

    @property
    def logger(self) -> Logger:
        """Where it logs."""

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run on an event loop."""

    def is_bound(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether it runs on an event loop."""

    async def unbind(self) -> None:
        """Let go of the event loop, because the host stops."""

    async def handle_request(self, *args: Any, **kwargs: Any) -> Any:
        """Answer a request of the host."""
