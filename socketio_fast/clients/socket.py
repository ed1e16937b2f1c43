"""A client's place in one namespace as an object, with the official client's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from socketio_fast.coroutines import Begun, returns_coroutine
from socketio_fast.handlers.validation import validated
from socketio_fast.sockets.catch_all import CatchAll
from socketio_fast.sockets.events import Listener, check_event
from socketio_fast.sockets.iteration import EventIterator

if TYPE_CHECKING:
    from socketio_fast.async_client import AsyncClient

__all__ = ["ClientSocket", "ClientSocketEmitter"]


class ClientSocket(CatchAll, EventIterator):
    """A client's place in one namespace.

    :meth:`AsyncClient.socket` gives it. Listeners may be functions or coroutine
    functions, several for each event; all start at once when the event arrives, in the
    order in which they were added. What a listener returns is the acknowledgement, as
    that of a handler.

    Events of its own: ``connect()``, ``connect_error(data)``, ``disconnect(reason)``.
    """

    _own_events: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "connect": (),
        "connect_error": ("data",),
        "disconnect": ("reason",),
        "error": ("error",),
    }

    def __init__(self, client: AsyncClient, namespace: str, peer: Any) -> None:
        #: The client.
        self.client = client
        #: The name of the namespace.
        self.namespace = namespace
        self._peer = peer

    def __repr__(self) -> str:
        return f"<ClientSocket {self.id} in {self.namespace}>"

    def _adapted(self, event: Any, listener: Listener) -> Listener:
        if event == "connect" or not self.client.validate_handlers:
            return listener
        adapted = super()._adapted(event, listener)
        if event in self._own_events:
            return adapted
        return validated(adapted, 0, self.client.logger)

    # What it is.

    @property
    def id(self) -> str | None:
        """The ``sid``; ``None`` while it is not connected."""
        return self._peer.sid if self._peer.connected else None

    @property
    def connected(self) -> bool:
        """Whether it is connected to the namespace."""
        return bool(self._peer.connected)

    @property
    def active(self) -> bool:
        """Whether it is connected, or will be when there is a connection."""
        return bool(self._peer.active)

    @property
    def recovered(self) -> bool:
        """Whether the last connection went on where the one before was cut off."""
        return bool(self._peer.recovered)

    # Joining and leaving.

    async def connect(self, auth: Any = None) -> None:
        """Join the namespace, with the client's connection.

        Args:
            auth: What the server's ``connect`` handler gets, or a function or
                coroutine function that returns it; by default that of
                :meth:`AsyncClient.connect`.
        """
        await self.client._join(self.namespace, auth)

    async def disconnect(self) -> None:
        """Leave the namespace. The connection is closed if it was the last one."""
        await self.client._leave(self.namespace)

    # Sending.

    @returns_coroutine
    def emit(self, event: Any, *args: Any, callback: Listener | None = None) -> Begun:
        """Send an event. It is done when this returns; the result may be awaited, which
        waits while the server is slow.

        Args:
            event: The name.
            *args: The arguments: what JSON knows, with bytes anywhere in it.
            callback: Called with the arguments of the acknowledgement.

        Raises:
            ValueError: The name is a reserved one.
            TypeError: An argument is not JSON with bytes in it.
            BadNamespaceError: The namespace is not connected, and is not to be.
            OfflineBufferError: Too much waits for the connection already.
        """
        return self._emit(event, args, callback)

    def _emit(
        self,
        event: Any,
        args: tuple[Any, ...],
        callback: Listener | None,
        **flags: Any,
    ) -> Begun:
        name = check_event(event)
        return self.client._send_event(
            self._peer, [name, *args], callback, early=True, **flags
        )

    async def _ask(self, event: Any, args: tuple[Any, ...], **flags: Any) -> Any:
        name = check_event(event)
        client = self.client
        if client.config.retries and not flags.get("volatile"):
            return await client._ask_until_answered(
                self._peer, [name, *args], early=True, **flags
            )
        timeout = flags.pop("timeout", client.config.ack_timeout)
        return await client._ask(
            self._peer, [name, *args], timeout, early=True, **flags
        )

    @returns_coroutine
    def send(self, *args: Any) -> Begun:
        """Send the event ``message``; see :meth:`emit`."""
        return self.emit("message", *args)

    async def emit_with_ack(self, event: Any, *args: Any) -> Any:
        """Send an event, and wait for its acknowledgement: without limit, or as long as
        ``ack_timeout=`` says; for a limit see :meth:`timeout`.

        Returns:
            ``None`` for an acknowledgement without arguments, the argument for one, a
            tuple for several.

        Raises:
            CallDisconnectedError: The connection was lost.
            TimeoutError: None came in time.
        """
        return await self._ask(event, args)

    def timeout(self, seconds: float | None) -> ClientSocketEmitter:
        """The same with a limit of seconds for :meth:`emit_with_ack`; with ``retries=``
        for each time that the event is sent."""
        return ClientSocketEmitter(self, timeout=seconds)

    def compress(self, compress: bool) -> ClientSocketEmitter:
        """The same, with or without compression of what is sent."""
        return ClientSocketEmitter(self, compress=compress)

    @property
    def volatile(self) -> ClientSocketEmitter:
        """The same, but what cannot leave at once is dropped."""
        return ClientSocketEmitter(self, volatile=True)


class ClientSocketEmitter:
    """Sends to the server, with the flags that :meth:`ClientSocket.timeout` and others
    set. It has those methods too, so that calls can be chained."""

    def __init__(self, socket: ClientSocket, **flags: Any) -> None:
        self._socket = socket
        self._flags = flags

    @returns_coroutine
    def emit(self, event: Any, *args: Any, callback: Listener | None = None) -> Begun:
        """Send an event; see :meth:`ClientSocket.emit`."""
        return self._socket._emit(event, args, callback, **self._flags)

    @returns_coroutine
    def send(self, *args: Any) -> Begun:
        """Send the event ``message``; see :meth:`ClientSocket.emit`."""
        return self.emit("message", *args)

    async def emit_with_ack(self, event: Any, *args: Any) -> Any:
        """Send an event and wait for its acknowledgement; see
        :meth:`ClientSocket.emit_with_ack`."""
        return await self._socket._ask(event, args, **self._flags)

    def timeout(self, seconds: float | None) -> ClientSocketEmitter:
        """The same with a limit of seconds for :meth:`emit_with_ack`."""
        return ClientSocketEmitter(self._socket, **{**self._flags, "timeout": seconds})

    def compress(self, compress: bool) -> ClientSocketEmitter:
        """The same, with or without compression of what is sent."""
        return ClientSocketEmitter(
            self._socket, **{**self._flags, "compress": compress}
        )

    @property
    def volatile(self) -> ClientSocketEmitter:
        """The same, but what cannot leave at once is dropped."""
        return ClientSocketEmitter(self._socket, **{**self._flags, "volatile": True})
