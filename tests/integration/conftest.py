"""An Engine.IO echo server and strict clients for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from support.raw import TIMEOUT, Client
from support.waiting import Changes

import socketio_fast.engineio

Start = Callable[..., Awaitable[tuple["Echo", Client]]]


class Echo:
    """An Engine.IO application that sends back what it gets and notes it."""

    def __init__(self, **options: Any) -> None:
        self.app = socketio_fast.engineio.AsyncServer(**options)
        self.got: list[str | bytes] = []
        self.sids: list[str] = []
        self.environs: list[dict[str, Any]] = []
        self.ended: list[tuple[str, str]] = []
        self._changes = Changes()

        @self.app.on("connect")
        async def connect(sid: str, environ: dict[str, Any]) -> None:
            self.sids.append(sid)
            self.environs.append(environ)
            self._changes.note()

        @self.app.on("message")
        async def message(sid: str, data: str | bytes) -> None:
            self.got.append(data)
            self._changes.note()
            await self.app.send(sid, data)

        @self.app.on("disconnect")
        async def disconnect(sid: str, reason: str) -> None:
            self.ended.append((sid, reason))
            self._changes.note()

    async def until(self, condition: Callable[[], bool]) -> None:
        await self._changes.until(condition, seconds=TIMEOUT)

    async def received(self, *messages: str | bytes) -> None:
        """These messages came, in this order, and no others."""
        await self.until(lambda: len(self.got) >= len(messages))
        assert self.got == list(messages)

    async def disconnected(self, sid: str) -> str:
        """The reason with which this session ended."""
        await self.until(lambda: any(sid == ended for ended, _ in self.ended))
        return next(reason for ended, reason in self.ended if ended == sid)


@pytest.fixture
async def start(serve: Callable[..., Awaitable[Any]]) -> AsyncIterator[Start]:
    """``echo, client = await start(**options)``: an echo server and its client."""
    echoes: list[Echo] = []
    clients: list[Client] = []

    async def make(**options: Any) -> tuple[Echo, Client]:
        echoes.append(Echo(**options))
        clients.append(Client(await serve(echoes[-1].app)))
        return echoes[-1], clients[-1]

    yield make
    for client in clients:
        await client.close()
    for echo in echoes:
        sids = [sid for sid, _ in echo.ended]
        assert len(sids) == len(set(sids)), "a session ended twice"


@pytest.fixture
async def client(start: Start) -> Client:
    """A client of an echo server with default options."""
    return (await start())[1]
