"""A server whose handlers are registered and called in tests."""

from __future__ import annotations

import asyncio
from typing import Any

from socketio_fast import AsyncNamespace, AsyncServer
from support.sansio import Server, WebSocket

Calls = list[tuple[Any, ...]]


def make(**options: Any) -> tuple[Server, AsyncServer]:
    sio = AsyncServer(**options)
    return Server(sio), sio


def connected(server: Server, namespace: str = "/") -> tuple[WebSocket, str]:
    return server.joined(namespace)


class Recording(AsyncNamespace):
    """A class-based namespace that notes what it is called with."""

    def __init__(self, namespace: str, calls: Calls, place: Any = None) -> None:
        super().__init__(namespace)
        self.calls = calls
        self.place = place

    async def trigger_event(self, event: str, *args: Any) -> Any:
        self.calls.append((self.place, event, *args))


class Chat(AsyncNamespace):
    def __init__(self, namespace: str | None = None) -> None:
        super().__init__(namespace)
        self.calls: Calls = []

    def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
        self.calls.append(("connect", sid, environ["REQUEST_METHOD"]))

    async def on_disconnect(self, sid: str) -> None:
        self.calls.append(("disconnect", sid))

    async def on_suspending(self, sid: str, a: int) -> int:
        await asyncio.sleep(0)
        return a + 1

    def on_plain(self, sid: str, *args: Any) -> tuple[Any, ...]:
        return args

    async def on_failing(self, sid: str) -> None:
        raise ValueError("mine")
