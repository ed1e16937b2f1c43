"""One application, the packages that serve it, and what a client sees of it.

A test says what an application does and what its clients must see::

    async def test_greets(run: Run) -> None:
        def app(sio: Any, record: Record) -> None:
            @sio.event
            async def hello(sid: str, name: str) -> str:
                record("hello", name)
                return f"Hello, {name}"

        server = await run(app)
        client = await server.client()
        assert await client.call("hello", "Ada") == "Hello, Ada"
        await server.recorded("hello", "Ada")

and is run once for each of :data:`HOSTS`: by python-socketio, whose behaviour is the
stated one, and by this package in its ways. Nothing waits longer than WAIT.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import aiohttp
import engineio as python_engineio
import socketio as python_socketio
import uvicorn
from support import raw
from support.waiting import WAIT, within
from werkzeug.serving import WSGIRequestHandler, make_server

import socketio_fast
from compat.differences import DIFFERENCES

Record = Callable[..., None]
App = Callable[[Any, Record], Any]


class Uvicorn(uvicorn.Server):
    """uvicorn in the loop of the test, started and stopped without its pauses."""

    async def begin(self) -> None:
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        self._socket = socket.create_server(("127.0.0.1", 0))
        await self.startup(sockets=[self._socket])

    async def end(self) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        self._socket.close()
        await self.lifespan.shutdown()
        for task in self.server_state.tasks:
            task.cancel()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])


@contextlib.asynccontextmanager
async def in_uvicorn(app: Any, path: str, ws: Any = "wsproto") -> AsyncIterator[int]:
    """Any ASGI application, or a server by its package's ASGIApp."""
    if hasattr(app, "handlers"):
        app = ASGI_APPS[type(app)](app, None, None, path)
    server = Uvicorn(uvicorn.Config(app, log_config=None, access_log=False, ws=ws))
    await server.begin()
    try:
        yield server.port
    finally:
        await server.end()


#: What makes an ASGI application of each server.
ASGI_APPS: dict[type[Any], Any] = {
    package.AsyncServer: package.ASGIApp
    for package in (
        python_socketio,
        python_engineio,
        socketio_fast,
        socketio_fast.engineio,
    )
}


@contextlib.asynccontextmanager
async def compiled(app: Any, path: str) -> AsyncIterator[int]:
    """By the package's own HTTP server."""
    options = {"path": path} if hasattr(app, "handlers") else {}
    async with await socketio_fast.serve(app, port=0, **options) as server:
        yield server.port


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@contextlib.asynccontextmanager
async def in_werkzeug(app: Any, path: str) -> AsyncIterator[int]:
    """A server for threads, by its package's WSGIApp; or any WSGI application."""
    if hasattr(app, "handlers"):
        app = WSGI_APPS[type(app)](app, None, None, path)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.port
    finally:
        await asyncio.to_thread(server.shutdown)
        thread.join()
        server.server_close()


WSGI_APPS: dict[type[Any], Any] = {
    package.Server: package.WSGIApp
    for package in (
        python_socketio,
        python_engineio,
        socketio_fast,
        socketio_fast.engineio,
    )
}


@dataclass(frozen=True)
class Host:
    """A package, and a way to serve its applications."""

    name: str
    ours: bool
    socketio: Any
    engineio: Any
    serve: Callable[[Any, str], contextlib.AbstractAsyncContextManager[int]]
    #: Whether it is the package's server for threads, not that for asyncio.
    threads: bool = False

    def outcome(self, key: str) -> Any:
        """What this package does, where the two are meant to differ."""
        difference = DIFFERENCES[key]
        return difference.ours if self.ours else difference.theirs


HOSTS = [
    Host("python-socketio", False, python_socketio, python_engineio, in_uvicorn),
    Host("socketio_fast", True, socketio_fast, socketio_fast.engineio, compiled),
    Host(
        "socketio_fast in uvicorn",
        True,
        socketio_fast,
        socketio_fast.engineio,
        in_uvicorn,
    ),
    Host(
        "socketio_fast by uvicorn --ws",
        True,
        socketio_fast,
        socketio_fast.engineio,
        partial(in_uvicorn, ws="socketio_fast.uvicorn:WebSocketProtocol"),
    ),
]

#: The servers for threads.
THREADED = [replace(host, serve=in_werkzeug, threads=True) for host in HOSTS[:2]]


class Client:
    """python-socketio's client; all that happens to it is kept, in order."""

    def __init__(self, url: str, **options: Any) -> None:
        self.url = url
        # The client leaves a session of its own open where connecting fails.
        self._http = aiohttp.ClientSession()
        self.sio = python_socketio.AsyncClient(
            reconnection=False,
            handle_sigint=False,
            http_session=self._http,
            **options,
        )
        #: (namespace, kind or event, *arguments)
        self._heard: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        #: What to answer to which event.
        self.answers: dict[str, Any] = {}

        def event(name: str, namespace: str, *args: Any) -> Any:
            self._heard.put_nowait((namespace, name, *args))
            return self.answers.get(name)

        self.sio.on("*", event, namespace="*")
        for kind in ("connect", "connect_error", "disconnect"):
            self.sio.on(kind, self._hears(kind), namespace="*")

    def _hears(self, kind: str) -> Callable[..., None]:
        def handler(namespace: str, *args: Any) -> None:
            self._heard.put_nowait((namespace, kind, *args))

        return handler

    async def connect(
        self,
        *,
        namespaces: list[str] | None = None,
        transports: list[str] | None = None,
        **options: Any,
    ) -> None:
        """Connect, and wait until every namespace is joined."""
        await within(
            self.sio.connect(
                self.url,
                namespaces=namespaces or ["/"],
                transports=transports or ["websocket"],
                wait_timeout=WAIT,
                **options,
            ),
            "connect",
        )
        for _ in namespaces or ["/"]:
            assert (await self.heard())[1] == "connect"

    async def heard(self) -> tuple[Any, ...]:
        """The next thing that happened: ``(namespace, kind or event, *arguments)``."""
        return await within(self._heard.get(), "something to hear")

    async def receives(self, name: str, *args: Any, namespace: str = "/") -> None:
        """The next thing that happened is this event, or end of the connection."""
        assert await self.heard() == (namespace, name, *args)

    async def emit(self, event: str, *args: Any, namespace: str = "/") -> None:
        await within(self.sio.emit(event, args, namespace=namespace), "emit")

    async def call(self, event: str, *args: Any, namespace: str = "/") -> Any:
        return await within(self.sio.call(event, args, namespace=namespace), "call")

    async def disconnect(self) -> None:
        await within(self.sio.disconnect(), "disconnect")

    async def page(self, path: str) -> str:
        """What the same server has at another path."""
        async with self._http.get(self.url + path) as response:
            return await response.text()

    def sid(self, namespace: str = "/") -> str:
        return str(self.sio.get_sid(namespace))

    async def close(self) -> None:
        """End without a word; a goodbye by polling may never be answered."""
        await within(self.sio.eio.disconnect(abort=True), "the client's end")
        await self._http.close()


@dataclass
class Answer:
    """What came back for an HTTP request."""

    status: int
    body: bytes
    headers: Any

    @property
    def text(self) -> str:
        return self.body.decode()


class Server:
    """A running application: what it recorded, and its clients."""

    def __init__(self, package: Host, app: App | None, options: dict[str, Any]) -> None:
        self._package = package
        self._records: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self._clients: list[Client] = []
        loop = asyncio.get_running_loop()

        def record(*what: Any) -> None:
            loop.call_soon_threadsafe(self._records.put_nowait, what)

        modules = package.engineio if options.pop("engine", False) else package.socketio
        wrap = options.pop("wrap", None)
        if package.threads:
            options.setdefault("async_mode", "threading")
            self.sio: Any = modules.Server(**options)
        else:
            options.setdefault("async_mode", "asgi")
            self.sio = modules.AsyncServer(**options)
        #: What is served: the server, or what wraps it.
        self._app = self.sio if wrap is None else wrap(modules, self.sio)
        if app is not None:
            app(self.sio, record)
        self.host = "127.0.0.1"
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self, path: str) -> AsyncIterator[Server]:
        async with (
            self._package.serve(self._app, path) as self.port,
            aiohttp.ClientSession(
                auto_decompress=False, skip_auto_headers=["Accept-Encoding"]
            ) as self._http,
        ):
            #: Strict clients on bare sockets.
            self.raw = raw.Client(self)
            try:
                yield self
            finally:
                await self.raw.close()
                for client in self._clients:
                    await client.close()
                # The second one of python-socketio's fails.
                with contextlib.suppress(TypeError, AttributeError):
                    await self.do("shutdown")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def do(self, method: str, *args: Any, **options: Any) -> Any:
        """Call a method of the server, in a thread if it is one for threads."""
        function = getattr(self.sio, method)
        if self._package.threads:
            called = asyncio.to_thread(function, *args, **options)
        else:
            called = function(*args, **options)
        return await within(called, method)

    async def next_record(self) -> tuple[Any, ...]:
        return await within(self._records.get(), "something recorded")

    async def recorded(self, *what: Any) -> None:
        """The next thing that the application recorded is this."""
        assert await self.next_record() == what

    def nothing_recorded(self) -> None:
        assert self._records.empty()

    def new_client(self, **options: Any) -> Client:
        """A client that is not connected yet."""
        self._clients.append(Client(self.url, **options))
        return self._clients[-1]

    async def client(self, **options: Any) -> Client:
        """A connected client."""
        client = self.new_client()
        await client.connect(**options)
        return client

    async def refused(
        self, *, namespace: str = "/", transports: list[str] | None = None, **more: Any
    ) -> Any:
        """What a client is told that may not connect."""
        client = self.new_client()
        attempt = client.sio.connect(
            self.url,
            namespaces=[namespace],
            transports=transports or ["websocket"],
            wait=False,
            **more,
        )
        await within(attempt, "connect")
        ns, kind, *args = await client.heard()
        assert (ns, kind) == (namespace, "connect_error")
        return args[0] if args else None

    async def http(self, method: str, target: str, **options: Any) -> Answer:
        async def request() -> Answer:
            async with self._http.request(method, self.url + target, **options) as got:
                return Answer(got.status, await got.read(), got.headers)

        return await within(request(), "a response")

    async def get(self, target: str, **options: Any) -> Answer:
        return await self.http("GET", target, **options)

    async def wire(self, connect: str | None = "40") -> Wire:
        """A bare WebSocket connection, joined to a namespace by this packet."""
        ws = Wire(await self.raw.session(path="/socket.io/"))
        if connect is not None:
            await ws.text(connect)
            packets = [await ws.message()]
            while packets[-1] == "2":  # due before the server has read CONNECT
                packets.append(await ws.message())
            *ws.early, ws.joined = packets
            assert ws.joined.startswith("40")
        return ws


class Wire:
    """A bare WebSocket connection of Socket.IO packets."""

    def __init__(self, ws: raw.WebSocket) -> None:
        self._ws = ws
        #: The answer to CONNECT.
        self.joined = ""
        #: Pings that came before it.
        self.early: list[str] = []
        self.text, self.binary = ws.text, ws.binary
        self.ends, self.close = ws.ends, ws.close

    async def say_goodbye(self) -> None:
        """Close by WebSocket's own rules."""
        await self._ws.send(raw.close_frame(1000))

    async def engine_message(self) -> str | bytes:
        return self.early.pop() if self.early else await self._ws.message()

    async def message(self) -> str:
        """The next packet, which is text."""
        packet = await self.engine_message()
        assert isinstance(packet, str)
        return packet

    @property
    def sid(self) -> str:
        return str(json.loads(self.joined[self.joined.index("{") :])["sid"])


class Run(Protocol):
    """``await run(app)``: the application, served by the package.

    Args:
        app: Registers the handlers; they tell the test what happened by ``record``.
        path: Where clients connect.
        engine: Whether the server is an Engine.IO server alone.
        wrap: ``(package, server) -> ASGI application``, served instead of the server.
        **options: Of the server.
    """

    async def __call__(
        self,
        app: App | None = None,
        *,
        path: str = "socket.io",
        engine: bool = False,
        wrap: Callable[[Any, Any], Any] | None = None,
        **options: Any,
    ) -> Server: ...
