"""What the clients without handlers share, for asyncio and for threads."""

from __future__ import annotations

from typing import Any, ClassVar

from socketio_fast.threads.facade import quick

__all__ = ["BaseSimpleClient"]


class BaseSimpleClient:
    """The state of a client without handlers: the connection, and what has come.

    Args:
        *args: Those of :attr:`client_class`.
        **kwargs: Those of :attr:`client_class`; see docs/options.md.
    """

    #: The class of :attr:`client`.
    client_class: ClassVar[Any]
    #: That of the events below.
    _event_class: ClassVar[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.client_args = args
        self.client_kwargs = kwargs
        #: The client, an object of :attr:`client_class`; ``None`` before
        #: ``connect()`` and after ``disconnect()``.
        self.client: Any = None
        self.namespace = "/"
        #: Whether it is connected, or will be again.
        self.connected = False
        self._begin()

    def _begin(self) -> None:
        #: Set while there is a connection, and when there will be none any more.
        self.connected_event = self._event_class()
        #: Set when :attr:`input_buffer` has changed.
        self.input_event = self._event_class()
        #: The events that ``receive()`` returns next.
        self.input_buffer: list[list[Any]] = []

    def _new_client(self, namespace: str) -> Any:
        """Make the client that is to connect.

        Raises:
            RuntimeError: It is connected already.
        """
        if self.connected:
            raise RuntimeError("Already connected")
        self.namespace = namespace
        self._begin()
        client = self.client_class(*self.client_args, **self.client_kwargs)
        client.on("connect", self._on_connect, namespace=namespace)
        client.on("disconnect", self._on_disconnect, namespace=namespace)
        client.on("__disconnect_final", self._on_end, namespace=namespace)
        client.on("*", self._on_event, namespace=namespace)
        return client

    @quick
    def _on_connect(self) -> None:
        self.connected = True
        self.connected_event.set()

    @quick
    def _on_disconnect(self, reason: Any) -> None:
        self.connected_event.clear()

    @quick
    def _on_end(self) -> None:
        self.connected = False
        # Who waits learns that there is no connection.
        self.connected_event.set()
        self.input_event.set()

    @quick
    def _on_event(self, event: Any, *args: Any) -> None:
        self.input_buffer.append([event, *args])
        self.input_event.set()

    @property
    def sid(self) -> str | None:
        """The ``sid`` in the namespace, which changes with each connection; ``None``
        without one."""
        return self.client.get_sid(self.namespace) if self.client else None

    @property
    def transport(self) -> str | None:
        """The transport in use: ``"polling"`` or ``"websocket"``."""
        return self.client.transport() if self.client else ""
