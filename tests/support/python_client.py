"""python-socketio's own clients, both with the same awaitable methods.

The asyncio client (aiohttp) runs in the loop of the test; the other one (requests and
websocket-client) in threads, its handlers too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import TracebackType
from typing import Any, ClassVar

import aiohttp
import engineio
import requests
import socketio as python_socketio
import websocket
from engineio.payload import Payload

from support.interop import TRANSPORTS, WAIT, Calls, within


class _SaysGoodbye:
    """Sends what is queued when it disconnects by polling, CLOSE above all.

    The stock engine leaves it in the queue where a POST is under way: disconnect()
    changes the state, and the loop that sends ends with this POST. The server then
    holds the last poll until its next ping, for which disconnect() waits.
    """

    def _goodbye(self: Any) -> dict[str, Any] | None:
        """The request for what the stock loop has left in the queue, if any."""
        if self.state != "disconnecting" or self.current_transport != "polling":
            return None
        queued = []
        with suppress(self.queue_empty):
            while True:
                queued.append(self.queue.get_nowait())
        packets = [packet for packet in queued if packet is not None]
        if not packets:
            return None
        return {
            "method": "POST",
            "url": self.base_url,
            "body": Payload(packets=packets).encode(),
            "headers": {"Content-Type": "text/plain"},
            "timeout": self.request_timeout,
        }


class AsyncEngine(_SaysGoodbye, engineio.AsyncClient):
    async def _write_loop(self) -> None:
        await super()._write_loop()
        if goodbye := self._goodbye():
            await self._send_request(**goodbye)


class Engine(_SaysGoodbye, engineio.Client):
    def _write_loop(self) -> None:
        super()._write_loop()
        if goodbye := self._goodbye():
            self._send_request(**goodbye)


class InOrderEngine(Engine):
    """Handles packets where they are read.

    The stock engine starts a thread for each, so that two packets that are read one
    after the other, such as an event and its attachments, may be handled the other
    way round.
    """

    def _trigger_event(self, event: str, *args: Any, **options: Any) -> Any:
        if event == "message":
            options["run_async"] = False
        return super()._trigger_event(event, *args, **options)


class AsyncClient(python_socketio.AsyncClient):
    def _engineio_client_class(self) -> type[engineio.AsyncClient]:
        return AsyncEngine


class Client(python_socketio.Client):
    def _engineio_client_class(self) -> type[engineio.Client]:
        return Engine


class AsyncSimpleClient(python_socketio.AsyncSimpleClient):
    client_class = AsyncClient


class InOrderClient(python_socketio.Client):
    def _engineio_client_class(self) -> type[engineio.Client]:
        return InOrderEngine


@asynccontextmanager
async def async_client(**options: Any) -> AsyncIterator[python_socketio.AsyncClient]:
    """The asyncio client, whose HTTP session ends with the block.

    A session of its own stays open where connecting fails, and where the block ends
    before the client has noticed that its connection has.
    """
    async with AsyncExitStack() as stack:
        if options.get("http_session") is None:
            http = await stack.enter_async_context(aiohttp.ClientSession())
            options["http_session"] = http
        options.setdefault("reconnection", False)
        client = AsyncClient(handle_sigint=False, **options)
        stack.push_async_callback(client.shutdown)
        yield client


class PythonClient:
    """What a client was told is in ``events[nsp]``, ``connects[nsp]`` and so on."""

    CLASSES: ClassVar[dict[str, type[Any]]] = {
        "AsyncClient": AsyncClient,
        "Client": Client,
        "Client in order": InOrderClient,
    }

    def __init__(
        self, kind: str, url: str, transport: str, namespaces: list[str], options: Any
    ) -> None:
        self._url = url
        self._transport = transport
        self._namespaces = namespaces
        self._in_threads = kind != "AsyncClient"
        self._loop = asyncio.get_running_loop()
        self._sessions: list[requests.Session] = []
        self._websockets: list[websocket.WebSocket] = []
        # These clients do not always close what they connected with.
        self._http: aiohttp.ClientSession | None = None
        if self._in_threads:
            options["http_session"] = self._new_session
            options["websocket_extra_options"] = {
                "class_": self._new_websocket,
                # In Python, byte by byte; decode() does it again.
                "skip_utf8_validation": True,
            }
        else:
            self._http = options["http_session"] = aiohttp.ClientSession()
        self.client = self.CLASSES[kind](
            handle_sigint=False,
            reconnection_delay=0.05,
            reconnection_delay_max=0.1,
            randomization_factor=0,
            **options,
        )
        #: What to answer to which event.
        self.answers: dict[str, Any] = {}
        self.events = {nsp: Calls(f"event {nsp}") for nsp in namespaces}
        self.connects = {nsp: Calls(f"connect {nsp}") for nsp in namespaces}
        self.errors = {nsp: Calls(f"connect_error {nsp}") for nsp in namespaces}
        self.disconnects = {nsp: Calls(f"disconnect {nsp}") for nsp in namespaces}
        #: The kinds of everything that happened in "/", events by their names.
        self.log: list[str] = []
        for nsp in namespaces:
            self._watch(nsp)

    def _new_session(self) -> requests.Session:
        self._sessions.append(requests.Session())
        return self._sessions[-1]

    def _new_websocket(self, **options: Any) -> websocket.WebSocket:
        self._websockets.append(websocket.WebSocket(**options))
        return self._websockets[-1]

    def _watch(self, nsp: str) -> None:
        def tell(kind: str, calls: Calls, *args: Any) -> None:
            def add() -> None:
                if nsp == "/":
                    self.log.append(kind)
                calls.add(*args)

            self._loop.call_soon_threadsafe(add)

        def event(name: str, *args: Any) -> Any:
            tell(name, self.events[nsp], name, *args)
            return self.answers.get(name)

        def connect() -> None:
            tell("connect", self.connects[nsp])

        def connect_error(data: Any = None) -> None:
            tell("connect_error", self.errors[nsp], data)

        def disconnect(reason: str) -> None:
            tell("disconnect", self.disconnects[nsp], reason)

        self.client.on("*", event, namespace=nsp)
        self.client.on("connect", connect, namespace=nsp)
        self.client.on("connect_error", connect_error, namespace=nsp)
        self.client.on("disconnect", disconnect, namespace=nsp)

    async def __aenter__(self) -> PythonClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.do("shutdown")
        finally:
            for session in self._sessions:
                session.close()
            for connection in self._websockets:
                connection.shutdown()
            if self._http is not None:
                await self._http.close()

    async def do(self, method: str, *args: Any, **options: Any) -> Any:
        """Calls the client's method, in a thread if it blocks."""
        function = getattr(self.client, method)
        if self._in_threads:
            called = asyncio.to_thread(function, *args, **options)
        else:
            called = function(*args, **options)
        return await within(called, method)

    async def connect(self, **options: Any) -> None:
        await self.do(
            "connect",
            self._url,
            transports=TRANSPORTS[self._transport],
            namespaces=self._namespaces,
            wait_timeout=WAIT / 2,
            **options,
        )

    async def emit(self, event: str, *args: Any, nsp: str = "/") -> None:
        await self.do("emit", event, args, namespace=nsp)

    async def call(self, event: str, *args: Any, nsp: str = "/") -> Any:
        return await self.do("call", event, args, namespace=nsp, timeout=WAIT / 2)

    async def expect(self, name: str, nsp: str = "/") -> list[Any]:
        """The arguments of the next event, which must be this one."""
        got, *args = await self.events[nsp].next()
        assert got == name
        return args

    @property
    def sid(self) -> str:
        return self.client.get_sid()
