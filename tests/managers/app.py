"""One application for servers of either package, and clients that make it do things."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import socketio as python_socketio
from support.waiting import WAIT, within


def register(sio: Any) -> None:
    """Let clients call the methods of a server: ``do`` with a name and arguments."""

    @sio.on("do")
    async def do(sid: str, method: str, options: dict[str, Any]) -> Any:
        try:
            result = await getattr(sio, method)(**options)
        except Exception as exc:
            return {"error": type(exc).__name__}
        return {"result": result}

    @sio.on("rooms")
    def rooms(sid: str) -> list[Any]:
        return sorted(sio.rooms(sid))

    answers: asyncio.Queue[Any] = asyncio.Queue()

    @sio.on("ask")
    async def ask(sid: str, event: str, data: Any, to: str) -> None:
        await sio.emit(
            event, data, to=to, callback=lambda *args: answers.put_nowait(args)
        )

    @sio.on("answer")
    async def answer(sid: str) -> Any:
        return list(await within(answers.get()))


class Client:
    """A client, by WebSocket, that keeps the events that it gets."""

    def __init__(self, **options: Any) -> None:
        self.sio = python_socketio.AsyncClient(reconnection=False, **options)
        self.events: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self.ended = asyncio.Event()
        self._http: aiohttp.ClientSession | None = None
        self.sio.on("*", self._on_event)
        self.sio.on("disconnect", lambda reason: self.ended.set())
        self.sio.on("double", lambda number: 2 * number)
        self.sio.on("bytes", lambda: (b"\x00\x01", {"a": b"b"}))
        self.sio.on("silent", self._never)

    async def _never(self) -> None:
        await asyncio.Event().wait()

    def _on_event(self, event: str, *args: Any) -> None:
        self.events.put_nowait((event, *args))

    async def connect(self, url: str) -> Client:
        self._http = self.sio.eio.http = aiohttp.ClientSession()
        self.sio.eio.external_http = True
        await self.sio.connect(url, transports=["websocket"], wait_timeout=WAIT)
        return self

    @property
    def sid(self) -> str:
        sid: str = self.sio.get_sid("/")
        return sid

    async def next(self) -> tuple[Any, ...]:
        """The next event: its name, and its arguments."""
        event: tuple[Any, ...] = await within(self.events.get())
        return event

    async def nothing_before(self, *last: Any) -> None:
        """This event comes, and no other before it."""
        assert await self.next() == last

    async def do(self, method: str, **options: Any) -> Any:
        """Make its server call one of its methods."""
        answer = await self.sio.call("do", (method, options), timeout=WAIT)
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["result"]

    async def call(self, event: str, *args: Any) -> Any:
        return await self.sio.call(event, args, timeout=WAIT)

    async def close(self) -> None:
        await self.sio.shutdown()
        if self._http is not None:
            await self._http.close()
