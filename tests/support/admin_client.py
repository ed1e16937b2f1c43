"""What the Admin UI asks of a server, asked by python-socketio's AsyncClient."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import socketio as python_socketio

from support.interop import WAIT, Calls
from support.python_client import AsyncClient

LOGIN = {"username": "admin", "password": "secret"}


class Program:
    """A client of python-socketio, and all that it is told."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.sid = ""  # once connected, and after
        # The client leaves a session of its own open where connecting fails.
        self._http = aiohttp.ClientSession()
        self.client = AsyncClient(
            handle_sigint=False, reconnection=False, http_session=self._http
        )
        self.events: dict[str, Calls] = {}
        self.client.on("*", self._on_event, namespace=namespace)
        self.refusal = Calls("connect_error")
        self.client.on("connect_error", self.refusal.add, namespace=namespace)
        self.disconnected = Calls("disconnect")
        self.client.on("disconnect", self.disconnected.add, namespace=namespace)

    def _on_event(self, event: str, *args: Any) -> None:
        self.calls(event).add(*args)

    def calls(self, event: str) -> Calls:
        return self.events.setdefault(event, Calls(event))

    async def next(self, event: str) -> tuple[Any, ...]:
        return await self.calls(event).next()

    async def emit(self, event: str, *args: Any) -> None:
        await self.client.emit(event, args, namespace=self.namespace)

    async def connect(
        self, url: str, transport: str = "websocket", **options: Any
    ) -> Program:
        # A second by default, after which a refusal is not heard of.
        options.setdefault("wait_timeout", WAIT)
        await self.client.connect(
            url, namespaces=[self.namespace], transports=[transport], **options
        )
        self.sid = self.client.get_sid(self.namespace)
        return self

    async def close(self) -> None:
        await self.client.shutdown()
        await self._http.close()


Connect = Callable[..., Awaitable[Program]]


async def log_in(connect: Connect, server: Any, **options: Any) -> Program:
    return await connect(server, "/admin", auth=LOGIN, **options)


async def refusal(server: Any, auth: Any) -> Any:
    """Why a UI that sends this is not let in."""
    program = Program("/admin")
    with pytest.raises(python_socketio.exceptions.ConnectionError):
        await program.connect(server.url, auth=auth)
    (reason,) = await program.refusal.next()
    await program.close()
    return reason
