"""A client without handlers for asyncio, with python-socketio's names."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, ClassVar

from socketio_fast.async_client import AsyncClient
from socketio_fast.clients.simple import BaseSimpleClient
from socketio_fast.coroutines import within
from socketio_fast.exceptions import DisconnectedError, SocketIOError, TimeoutError

__all__ = ["AsyncSimpleClient"]


class AsyncSimpleClient(BaseSimpleClient):
    """A client for asyncio that has no handlers: events are received by a method.

    While the connection is lost, :meth:`emit`, :meth:`call` and :meth:`receive` wait
    until there is one again.

    Example::

        async with socketio.AsyncSimpleClient() as sio:
            await sio.connect("http://localhost:5000")
            await sio.emit("chat", "Hello")
            event, *arguments = await sio.receive(timeout=5)

    Args:
        *args: Those of :attr:`client_class`.
        **kwargs: Those of :attr:`client_class`; see docs/options.md.
    """

    client_class: ClassVar[type[AsyncClient]] = AsyncClient
    _event_class = asyncio.Event

    async def connect(
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
            url: See :meth:`socketio_fast.AsyncClient.connect`, also for the next ones.
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
            await client.connect(
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

    async def _connected(self) -> AsyncClient:
        """Wait for the connection.

        Raises:
            DisconnectedError: There will be none.
        """
        if self.client is not None:
            await self.connected_event.wait()
        client: AsyncClient | None = self.client
        if client is None or not self.connected:
            raise DisconnectedError("there is no connection, and there will be none")
        return client

    async def emit(self, event: Any, data: Any = None) -> None:
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
            client = await self._connected()
            try:
                return await client.emit(event, data, namespace=self.namespace)
            except SocketIOError:
                await asyncio.sleep(0)  # the connection was lost meanwhile

    async def call(
        self, event: Any, data: Any = None, timeout: float | None = 60
    ) -> Any:
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
            client = await self._connected()
            try:
                return await client.call(
                    event, data, namespace=self.namespace, timeout=timeout
                )
            except TimeoutError:
                raise
            except SocketIOError:
                await asyncio.sleep(0)

    async def receive(self, timeout: float | None = None) -> list[Any]:
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
            try:
                await within(self._connected(), timeout)
                await within(self.input_event.wait(), timeout)
            except asyncio.TimeoutError:
                raise TimeoutError(f"no event in {timeout} s") from None
            self.input_event.clear()
        return self.input_buffer.pop(0)

    async def disconnect(self) -> None:
        """Disconnect from the server."""
        if self.client is not None:
            await self.client.disconnect()
            self.client = None
            self.connected = False

    async def __aenter__(self) -> AsyncSimpleClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.disconnect()
