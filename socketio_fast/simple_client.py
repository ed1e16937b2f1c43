"""A client without handlers for threads, with python-socketio's names."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, ClassVar

from socketio_fast.client import Client
from socketio_fast.clients.simple import BaseSimpleClient
from socketio_fast.exceptions import DisconnectedError, SocketIOError, TimeoutError
from socketio_fast.threads.waiting import wait_for

__all__ = ["SimpleClient"]


class SimpleClient(BaseSimpleClient):
    """A client for threads that has no handlers: events are received by a method.

    While the connection is lost, :meth:`emit`, :meth:`call` and :meth:`receive` wait
    until there is one again.

    Example::

        with socketio.SimpleClient() as sio:
            sio.connect("http://localhost:5000")
            sio.emit("chat", "Hello")
            event, *arguments = sio.receive(timeout=5)

    Args:
        *args: Those of :attr:`client_class`.
        **kwargs: Those of :attr:`client_class`; see docs/options.md.
    """

    client_class: ClassVar[type[Client]] = Client
    _event_class = threading.Event

    def connect(
        self,
        url: Any,
        headers: Any = {},  # noqa: B006  (python-socketio's default; it is not changed)
        auth: Any = None,
        transports: Sequence[str] | str | None = None,
        namespace: str = "/",
        socketio_path: str = "socket.io",
        wait_timeout: float = 5,
    ) -> None:
        """Connect to a server.

        Args:
            url: See :meth:`socketio_fast.Client.connect`, also for the next ones.
            headers: See there.
            auth: See there.
            transports: See there.
            namespace: The namespace to join.
            socketio_path: See there.
            wait_timeout: Seconds to wait until it is joined.

        Raises:
            RuntimeError: It is connected already.
            ConnectionError: The server could not be reached or did not do what it
                should, or the namespace was not joined.
        """
        self.client = client = self._new_client(namespace)
        try:
            client.connect(
                url,
                headers=headers,
                auth=auth,
                transports=transports,
                namespaces=[namespace],
                socketio_path=socketio_path,
                wait_timeout=wait_timeout,
            )
        except BaseException:
            self.client = None
            raise

    def _connected(self, timeout: float | None = None) -> Client:
        """Wait for the connection.

        Raises:
            DisconnectedError: There will be none.
            TimeoutError: There is none in time.
        """
        if self.client is not None and not wait_for(self.connected_event, timeout):
            raise TimeoutError(f"no connection in {timeout} s")
        client: Client | None = self.client
        if client is None or not self.connected:
            raise DisconnectedError("there is no connection, and there will be none")
        return client

    def emit(self, event: Any, data: Any = None) -> None:
        """Send an event.

        Args:
            event: The name.
            data: ``None`` for no argument, a tuple for several, anything else is one:
                what JSON knows, with bytes anywhere in it.

        Raises:
            DisconnectedError: There is no connection, and there will be none.
            TypeError: ``data`` is not JSON with bytes in it.
        """
        while True:
            client = self._connected()
            try:
                return client.emit(event, data, namespace=self.namespace)
            except SocketIOError:
                time.sleep(0)  # the connection was lost meanwhile

    def call(self, event: Any, data: Any = None, timeout: float | None = 60) -> Any:
        """Send an event, and wait for its acknowledgement.

        Args:
            event: The name.
            data: As for :meth:`emit`.
            timeout: Seconds to wait for the acknowledgement; ``None`` without limit.

        Returns:
            ``None`` for an acknowledgement without arguments, the argument for one, a
            tuple for several.

        Raises:
            DisconnectedError: There is no connection, and there will be none.
            TimeoutError: No acknowledgement came in time; of its class
                ``CallDisconnectedError`` if the connection was lost.
        """
        while True:
            client = self._connected()
            try:
                return client.call(
                    event, data, namespace=self.namespace, timeout=timeout
                )
            except TimeoutError:
                raise
            except SocketIOError:
                time.sleep(0)

    def receive(self, timeout: float | None = None) -> list[Any]:
        """Wait for an event of the server.

        Args:
            timeout: Seconds to wait for the connection, and for the event; ``None``
                without limit.

        Returns:
            The name, followed by the arguments.

        Raises:
            DisconnectedError: There is no connection, and there will be none.
            TimeoutError: No event came in time.
        """
        while not self.input_buffer:
            self._connected(timeout)
            if not wait_for(self.input_event, timeout):
                raise TimeoutError(f"no event in {timeout} s")
            self.input_event.clear()
        return self.input_buffer.pop(0)

    def disconnect(self) -> None:
        """Disconnect from the server."""
        if self.client is not None:
            self.client.disconnect()
            self.client = None
            self.connected = False

    def __enter__(self) -> SimpleClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.disconnect()
