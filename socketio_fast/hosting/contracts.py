"""What hosts need of the servers that they host."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Protocol

from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.http.request import Request
from socketio_fast.options.config import EngineConfig
from socketio_fast.options.logs import Logger

__all__ = [
    "HostedEngine",
    "HostedExchange",
    "HostedServer",
    "HostedWebSocket",
    "OtherWorker",
]


class HostedExchange(Protocol):
    """One HTTP request to Engine.IO: see ``ForeignExchange`` of the core."""

    def begin(self) -> bool:
        """Judge the request; returns whether its body must be read."""

    def finish(self, body: bytes) -> None:
        """The body of the request has come completely."""

    def lost(self) -> None:
        """The connection was lost before the response was sent."""


class HostedWebSocket(Protocol):
    """A WebSocket that a host speaks: see ``ForeignWebSocket`` of the core."""

    @property
    def status(self) -> int:
        """101, or that of the response by which the client is refused."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Those of the response."""

    @property
    def body(self) -> bytes | None:
        """That of the response by which the client is refused."""

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the response chooses."""

    @property
    def room(self) -> asyncio.Future[None] | None:
        """A future while nothing is to be received."""

    @property
    def closing(self) -> bool:
        """Whether it closes when everything was taken."""

    @property
    def code(self) -> int | None:
        """With which code."""

    def begin(self, wake: Callable[[], None]) -> None:
        """The host has accepted the client."""

    def receive(self, data: str | bytes) -> None:
        """A message has come."""

    def take(self) -> str | bytes | None:
        """The next message to send."""

    def fail(self, exc: Exception) -> None:
        """The client has broken a rule of the protocol."""

    def go_away(self) -> Any:
        """This process stops: close when everything was taken."""

    def lost(self) -> None:
        """The connection was lost, or is being closed."""


class OtherWorker(Protocol):
    """Another worker, which has the session of a request."""

    def exchange(self, request: Request, answer: Callable[..., None]) -> HostedExchange:
        """Have a request answered there."""

    async def websocket(self, request: Request) -> HostedWebSocket:
        """Have a WebSocket served there."""

    async def adopt(
        self, transport: asyncio.Transport, request: Request, received: bytes
    ) -> None:
        """Give a connection away that asks for a WebSocket, and wait until it has left.

        Args:
            transport: The connection, of the running event loop.
            request: The handshake.
            received: What came behind that.
        """

    def give(self, sock: socket.socket, request: Request) -> None:
        """Give a socket away that asks for a WebSocket; it is closed."""


class Datagrams(Protocol):
    """Passes datagrams on to the worker that has their connection."""

    #: Called with the address of the port, the client's, a datagram, and whether it may
    #: open a connection. Returns whether the connection is one of this worker's.
    receiver: Callable[[Any, Any, bytes, bool], bool] | None

    def pass_on(self, cid: bytes, port: Any, client: Any, data: bytes) -> None:
        """Send a datagram to the worker that has the connection with this ID."""

    def pass_new(self, cid: bytes, port: Any, client: Any, data: bytes) -> bool:
        """Let another worker accept a connection; False: there is no other."""


class Membership(Protocol):
    """A server among the workers of a cluster."""

    @property
    def datagrams(self) -> Datagrams:
        """Passes on the datagrams of other workers' connections."""

    @property
    def handover(self) -> Any:
        """Gives connections to other workers, and takes theirs."""

    def owner(self, request: Request) -> OtherWorker | None:
        """The other worker that has the session of a request; ``None``: no other one
        has."""


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
    def membership(self) -> Membership | None:
        """Its workers; ``None``: it is the only process."""

    async def unbind(self) -> None:
        """Let go of the event loop, because the host stops."""

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
