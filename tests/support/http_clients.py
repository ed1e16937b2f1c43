"""aiohttp's client, with the few words the suites' cases are told in."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
from collections.abc import AsyncIterator, Callable, Container
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, TypeVar

import aiohttp
import pytest

from support import waiting

#: Seconds for each step: a busy machine may need more than the suites give to a case.
TIMEOUT = waiting.WAIT


within = functools.partial(waiting.within, seconds=TIMEOUT)


class Polling:
    """A request by long-polling that may still be on its way."""

    def __init__(self, answer: asyncio.Future[tuple[int, str]]) -> None:
        self.answer = answer

    async def result(self) -> tuple[int, str]:
        return await within(self.answer)

    async def cancel(self) -> None:
        self.answer.cancel()
        await asyncio.gather(self.answer, return_exceptions=True)


class Socket:
    """A WebSocket whose next message must be the one that is awaited."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def send(self, data: str | bytes) -> None:
        if isinstance(data, str):
            await within(self.ws.send_str(data))
        else:
            await within(self.ws.send_bytes(data))

    async def receive(self) -> Any:
        message = await within(self.ws.receive())
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), (
            message
        )
        return message.data

    async def closed(self) -> list[Any]:
        """Wait until the server closes; what came before it."""
        before = []
        while True:
            message = await within(self.ws.receive())
            if message.type in (
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.CLOSING,
                aiohttp.WSMsgType.CLOSED,
            ):
                return before
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)
            before.append(message.data)


class Http:
    """Requests to one server, at one path."""

    revision = 4
    allow_eio3 = False
    #: Whether requests come in the order in which they are sent.
    ordered = True

    def __init__(self, session: aiohttp.ClientSession, url: str, path: str) -> None:
        self.session = session
        self.url = url + path
        self.sockets: list[aiohttp.ClientWebSocketResponse] = []
        #: The sids of the server's sessions, for `gone`.
        self.sessions: Callable[[], Container[str]] = dict

    def query(self, transport: str, sid: str | None) -> str:
        query = f"?EIO={self.revision}&transport={transport}"
        return self.url + query + (f"&sid={sid}" if sid else "")

    async def start(self, method: str, url: str, body: str | None = None) -> Polling:
        """Send a request; it is on the wire when this returns."""
        sent = asyncio.get_running_loop().create_future()

        async def run() -> tuple[int, str]:
            async with self.session.request(
                method, url, data=body, trace_request_ctx=sent
            ) as response:
                return response.status, await response.text()

        task = asyncio.ensure_future(run())
        await within(asyncio.wait((task, sent), return_when="FIRST_COMPLETED"))
        return Polling(task)

    async def request(
        self, method: str, url: str, body: str | None = None
    ) -> tuple[int, str]:
        return await (await self.start(method, url, body)).result()

    async def status(self, method: str, query: str) -> int:
        return (await self.request(method, self.url + query))[0]

    async def poll(self, sid: str) -> tuple[int, str]:
        return await self.request("GET", self.query("polling", sid))

    async def start_poll(self, sid: str) -> Polling:
        if not self.ordered:
            pytest.skip("each request has a connection of its own: any comes first")
        return await self.start("GET", self.query("polling", sid))

    async def push(self, sid: str, body: str) -> tuple[int, str]:
        return await self.request("POST", self.query("polling", sid), body)

    async def open_session(self) -> str:
        _, content = await self.request("GET", self.query("polling", None))
        sid = json.loads(content[1:])["sid"]
        assert isinstance(sid, str)
        return sid

    async def gone(self, sid: str) -> None:
        """The server has ended this session."""
        await waiting.until(lambda: sid not in self.sessions(), seconds=TIMEOUT)

    async def websocket(self, query: str | None = None, sid: str | None = None) -> Any:
        url = self.query("websocket", sid) if query is None else self.url + query
        ws = await within(self.session.ws_connect(url))
        self.sockets.append(ws)
        return Socket(ws)

    async def session_socket(self) -> tuple[Any, str]:
        """A WebSocket of its own session and the packet that opened it."""
        socket = await self.websocket()
        return socket, await socket.receive()

    async def websocket_fails(self, query: str | None = None, **sid: str) -> None:
        """It is refused, or closed without a word."""
        try:
            socket = await self.websocket(query, **sid)
        except aiohttp.WSServerHandshakeError as error:
            status = error.status
        else:
            status = 400
            assert await socket.closed() == []
        assert status == 400


H = TypeVar("H", bound=Http)


@asynccontextmanager
async def http(
    url: str,
    path: str,
    kind: type[H] = Http,  # type: ignore[assignment]
    **options: Any,
) -> AsyncIterator[H]:
    trace = aiohttp.TraceConfig()

    async def on_sent(
        session: aiohttp.ClientSession, context: SimpleNamespace, params: Any
    ) -> None:
        sent = context.trace_request_ctx
        if sent is not None and not sent.done():
            sent.set_result(None)

    trace.on_request_headers_sent.append(on_sent)
    async with aiohttp.ClientSession(trace_configs=[trace], **options) as session:
        client = kind(session, url, path)
        yield client
        for ws in client.sockets:
            await within(ws.close())


def check_open_packet(packet: str, upgrades: list[str]) -> None:
    assert packet.startswith("0")
    value = json.loads(packet[1:])
    assert isinstance(value.pop("sid"), str)
    assert value == {
        "upgrades": upgrades,
        "pingInterval": 300,
        "pingTimeout": 200,
        "maxPayload": 1000000,
    }


def cases(module: dict[str, Any]) -> list[str]:
    """The names of a module's cases: all of its tests but the one that counts."""
    return [
        name
        for name, value in module.items()
        if name.startswith("test_") and inspect.iscoroutinefunction(value)
    ]
