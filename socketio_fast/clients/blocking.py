"""What the client for threads gives: sockets and events of the connection.

Each class is a facade of one of asyncio's, with the same methods. Listeners run in the
client's threads, as handlers do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from socketio_fast.clients import manager as managers
from socketio_fast.clients import socket as sockets
from socketio_fast.sockets.blocking import Blocking, CatchAllListening, Listening
from socketio_fast.sockets.events import Events, check_event
from socketio_fast.threads.facade import Threads
from socketio_fast.threads.methods import like, reads, waits

if TYPE_CHECKING:
    from socketio_fast.client import Client

__all__ = ["ClientSocket", "ClientSocketEmitter", "Manager"]


class Manager(Events, Listening):
    """See :class:`socketio_fast.clients.manager.Manager`."""

    def __init__(self, inner: managers.Manager, threads: Threads) -> None:
        self._inner: managers.Manager = inner
        self._threads = threads


class _Emitting(Blocking):
    """Sends to the server."""

    _inner: Any
    _client: Client
    #: What :class:`socketio_fast.clients.socket.ClientSocketEmitter` has.
    _peer: Any
    _flags: dict[str, Any]

    @like(
        sockets.ClientSocket.emit,
        "The event is encoded before this returns, and sent soon after. This waits\n"
        "while the server is slow. The ``callback`` is called in a thread of handlers.",
    )
    def emit(
        self, event: Any, *args: Any, callback: Callable[..., Any] | None = None
    ) -> None:
        if callback is not None:
            callback = self._threads.adapt(callback)
        self._client._send(
            self._peer,
            [check_event(event), *args],
            callback,
            lambda: self._inner.emit(event, *args, callback=callback),
            self._flags.get("volatile", False),
            self._flags.get("compress", True),
        )

    @like(sockets.ClientSocket.send)
    def send(self, *args: Any) -> None:
        self.emit("message", *args)

    @like(sockets.ClientSocket.emit_with_ack)
    def emit_with_ack(self, event: Any, *args: Any) -> Any:
        timeout = self._flags.get("timeout", self._client.config.ack_timeout)
        return self._client._ask(
            self._peer,
            [check_event(event), *args],
            timeout,
            lambda: self._inner.emit_with_ack(event, *args),
            self._flags.get("volatile", False),
            self._flags.get("compress", True),
        )

    @like(sockets.ClientSocket.timeout)
    def timeout(self, seconds: float | None) -> ClientSocketEmitter:
        return self._with(self._inner.timeout(seconds))

    @like(sockets.ClientSocket.compress)
    def compress(self, compress: bool) -> ClientSocketEmitter:
        return self._with(self._inner.compress(compress))

    @property
    def volatile(self) -> ClientSocketEmitter:
        """The same, but what cannot leave at once is dropped."""
        return self._with(self._inner.volatile)

    def _with(self, made: sockets.ClientSocketEmitter) -> ClientSocketEmitter:
        return ClientSocketEmitter(made, self._client, self._peer)


class ClientSocketEmitter(_Emitting):
    """See :class:`socketio_fast.clients.socket.ClientSocketEmitter`."""

    def __init__(
        self, inner: sockets.ClientSocketEmitter, client: Client, peer: Any
    ) -> None:
        self._inner = inner
        self._client = client
        self._threads = client._threads
        self._peer = peer
        self._flags = inner._flags


class ClientSocket(_Emitting, Events, CatchAllListening):
    """See :class:`socketio_fast.clients.socket.ClientSocket`."""

    def __init__(self, inner: sockets.ClientSocket, client: Client) -> None:
        self._inner: sockets.ClientSocket = inner
        self._client = client
        self._threads = client._threads
        self._peer = inner._peer
        self._flags = {}

    @property
    def client(self) -> Client:
        """The client."""
        return self._client

    @property
    def namespace(self) -> str:
        """The name of the namespace."""
        return self._inner.namespace

    id = reads(sockets.ClientSocket, lambda socket: socket.id)
    connected = reads(sockets.ClientSocket, lambda socket: socket.connected)
    active = reads(sockets.ClientSocket, lambda socket: socket.active)
    recovered = reads(sockets.ClientSocket, lambda socket: socket.recovered)

    disconnect = waits(sockets.ClientSocket.disconnect)

    @like(sockets.ClientSocket.connect)
    def connect(self, auth: Any = None) -> None:
        self._wait(self._inner.connect(self._client._in_thread(auth)))

    def events(self, event: Any, size: int = 10_000) -> Iterator[Any]:
        """Iterate over the arguments of an event: ``for price in
        socket.events("price")``.

        Each item is ``None`` for no argument, the argument for one, a tuple for
        several. The iteration ends when the namespace is left for good.

        Args:
            event: The name.
            size: How many events wait at most; of more, the oldest are dropped.
        """
        return self._iterate(self._inner.events(event, size))
