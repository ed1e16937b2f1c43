"""Operators for threads: those of :mod:`socketio_fast.operators`, which wait.

Each method runs the coroutine of its name on the server's event loop, and returns what
that returns. On the thread of that loop it raises RuntimeError: it would wait for
itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from socketio_fast.operators import ACK_TIMEOUT, BroadcastOperator, RemoteSocket
from socketio_fast.threads import Threads

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.events import EventName, Ts

__all__ = ["BlockingBroadcasting", "BlockingOperator", "BlockingRemoteSocket"]


class BlockingBroadcasting:
    """What servers for threads and their operators have in common."""

    _threads: Threads

    def _operator(self) -> BroadcastOperator:
        raise NotImplementedError

    def _over(self, operator: BroadcastOperator) -> BlockingOperator:
        return BlockingOperator(operator, self._threads)

    def to(self, *rooms: Any) -> BlockingOperator:
        """For clients in any of these rooms; see :meth:`BroadcastOperator.to`."""
        return self._over(self._operator().to(*rooms))

    in_ = to

    def except_(self, *rooms: Any) -> BlockingOperator:
        """Not for those in any of these rooms, ``sid``\\ s or lists of them."""
        return self._over(self._operator().except_(*rooms))

    @property
    def local(self) -> BlockingOperator:
        """For clients of this process."""
        return self._over(self._operator().local)

    @property
    def volatile(self) -> BlockingOperator:
        """For what is dropped for clients that it would have to wait for."""
        return self._over(self._operator().volatile)

    def compress(self, compress: bool) -> BlockingOperator:
        """For what may be compressed on its way, or may not."""
        return self._over(self._operator().compress(compress))

    def timeout(self, seconds: float) -> BlockingOperator:
        """For acknowledgements that have so many seconds (60).

        Raises:
            ValueError: It is not more than 0.
        """
        return self._over(self._operator().timeout(seconds))

    def fetch_sockets(self) -> list[BlockingRemoteSocket]:
        """These clients, of all processes; see :meth:`BroadcastOperator.fetch_sockets`.

        Raises:
            TimeoutError: Another process did not answer.
        """
        found = self._threads.run(self._operator().fetch_sockets())
        return [BlockingRemoteSocket(client, self._threads) for client in found]

    def sockets_join(self, *rooms: Any) -> None:
        """Put these clients into rooms.

        Raises:
            ValueError: A room is the ``sid`` of a client of this process.
        """
        self._threads.run(self._operator().sockets_join(*rooms))

    def sockets_leave(self, *rooms: Any) -> None:
        """Take these clients out of rooms."""
        self._threads.run(self._operator().sockets_leave(*rooms))

    def disconnect_sockets(self, close: bool = False) -> None:
        """Disconnect these clients, with ``close`` their whole connections."""
        self._threads.wait(self._operator().disconnect_sockets(close))


class BlockingOperator(BlockingBroadcasting):
    """Clients of a namespace: all, or those in some rooms; made by ``sio.to()``.

    Args:
        operator: What it does, for asyncio.
        threads: Where that runs.
    """

    def __init__(self, operator: BroadcastOperator, threads: Threads) -> None:
        self._wrapped = operator
        self._threads = threads

    def _operator(self) -> BroadcastOperator:
        return self._wrapped

    def emit(self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]) -> None:
        """Send an event; see :meth:`BroadcastOperator.emit` for errors."""
        self._threads.run(self._wrapped.emit(event, *args))

    def send(self, *args: Any) -> None:
        """Send the event ``message``; see :meth:`emit`."""
        self._threads.run(self._wrapped.send(*args))

    def emit_with_ack(
        self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]
    ) -> list[Any]:
        """Send an event, and wait until all clients that got it have acknowledged.

        See :meth:`BroadcastOperator.emit_with_ack` for results and errors. A handler
        that waits here is not counted by ``max_workers``.
        """
        return self._threads.wait(self._wrapped.emit_with_ack(event, *args))

    def acks(
        self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]
    ) -> Iterator[tuple[str, Any]]:
        """Send an event, and give ``(sid, response)`` of each client as they come.

        See :meth:`BroadcastOperator.acks` for errors. The event is sent when the first
        is asked for.
        """
        # A caller that stops early lets go of this: the event loop then closes it.
        answers = self._wrapped.acks(event, *args)
        while (answer := self._threads.wait(_next(answers))) is not None:
            yield answer


class BlockingRemoteSocket:
    """A client of this process or of another, as it was when it was fetched."""

    def __init__(self, client: RemoteSocket, threads: Threads) -> None:
        self._client = client
        self._threads = threads
        #: The ``sid``.
        self.id = client.id
        #: The request that it connected with.
        self.handshake = client.handshake
        #: The rooms that it is in, its own too.
        self.rooms = client.rooms
        #: The application's data of the client.
        self.data = client.data

    def __repr__(self) -> str:
        return repr(self._client)

    def emit(self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]) -> None:
        """Send it an event; see :meth:`BroadcastOperator.emit`."""
        self._threads.run(self._client.emit(event, *args))

    def emit_with_ack(
        self,
        event: EventName[Unpack[Ts]],
        *args: Unpack[Ts],
        timeout: float = ACK_TIMEOUT,
    ) -> Any:
        """Send it an event, and wait for its acknowledgement.

        Raises:
            TimeoutError: It has not answered in time, or has gone.
        """
        return self._threads.wait(
            self._client.emit_with_ack(event, *args, timeout=timeout)
        )

    def join(self, *rooms: Any) -> None:
        """Put it into rooms."""
        self._threads.run(self._client.join(*rooms))

    def leave(self, *rooms: Any) -> None:
        """Take it out of rooms."""
        self._threads.run(self._client.leave(*rooms))

    def disconnect(self, close: bool = False) -> None:
        """Disconnect it, with ``close`` the whole connection."""
        self._threads.wait(self._client.disconnect(close))


async def _next(answers: AsyncIterator[tuple[str, Any]]) -> tuple[str, Any] | None:
    return await anext(answers, None)
