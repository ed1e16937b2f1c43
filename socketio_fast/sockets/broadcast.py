"""Broadcasts: sending to many clients, and changing them.

::

    await sio.to("room").except_("other").emit("news", 1)
    answers = await sio.to("room").timeout(5).emit_with_ack("question")
    async for sid, answer in sio.to("room").timeout(5).acks("question"): ...
    for client in await sio.in_("room").fetch_sockets(): ...

A broadcast reaches the clients of all processes that share a manager, or with
:attr:`BroadcastOperator.local` those of this process. The messages between processes
are in :mod:`socketio_fast.managers.cluster`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from socketio_fast import exceptions
from socketio_fast.sockets.acknowledgements import Answers
from socketio_fast.sockets.events import check_event
from socketio_fast.sockets.handshake import Handshake
from socketio_fast.sockets.scope import Scope, rooms_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.async_server import AsyncServer
    from socketio_fast.events import EventName, Ts

__all__ = ["ACK_TIMEOUT", "BroadcastOperator", "Broadcasting", "RemoteSocket"]

#: Seconds that clients have to acknowledge, unless ``timeout()`` sets others.
ACK_TIMEOUT = 60.0


class BroadcastOperator:
    """All clients of one or several namespaces, or those in some rooms.

    ``to()``, ``except_()`` and the other methods of servers, namespaces and sockets
    return such an operator.

    Args:
        server: The server.
        namespaces: The names of the namespaces.
        scope: Which of their clients; ``None`` for all.
        volatile: Whether an event is dropped for clients that it would have to wait
            for (``False``).
        compress: Whether an event may be compressed (``True``).
        timeout: Seconds that clients have to acknowledge (60).
    """

    def __init__(
        self,
        server: AsyncServer,
        namespaces: Sequence[str] = ("/",),
        scope: Scope | None = None,
        *,
        volatile: bool = False,
        compress: bool = True,
        timeout: float = ACK_TIMEOUT,
    ) -> None:
        self._server = server
        self._namespaces = namespaces
        self._scope = scope or Scope()
        self._volatile = volatile
        self._compress = compress
        self._timeout = timeout

    def _but(self, **changes: Any) -> BroadcastOperator:
        """A copy with some attributes changed."""
        flags = {
            "volatile": self._volatile,
            "compress": self._compress,
            "timeout": self._timeout,
        }
        scope = changes.pop("scope", self._scope)
        return BroadcastOperator(
            self._server, self._namespaces, scope, **{**flags, **changes}
        )

    # Which clients, and how they are sent to.

    def to(self, *rooms: Any) -> BroadcastOperator:
        """Add clients in any of these rooms (rooms, ``sid``\\ s, or lists of them)."""
        return self._but(scope=self._scope.with_rooms(rooms))

    in_ = to

    def except_(self, *rooms: Any) -> BroadcastOperator:
        """Leave out clients in any of these rooms (rooms, ``sid``\\ s, or lists)."""
        return self._but(scope=self._scope.without(rooms))

    @property
    def local(self) -> BroadcastOperator:
        """Leave out clients of other processes."""
        return self._but(scope=self._scope.locally())

    @property
    def volatile(self) -> BroadcastOperator:
        """Drop the event for clients that it would have to wait for."""
        return self._but(volatile=True)

    def compress(self, compress: bool) -> BroadcastOperator:
        """Whether the event may be compressed."""
        return self._but(compress=compress)

    def timeout(self, seconds: float) -> BroadcastOperator:
        """How many seconds clients have to acknowledge (60).

        Raises:
            ValueError: It is not more than 0.
        """
        if not seconds > 0:
            raise ValueError(f"timeout({seconds!r}): more than 0 seconds expected")
        return self._but(timeout=float(seconds))

    # Sending.

    async def emit(self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]) -> None:
        """Send an event.

        Args:
            event: The name.
            *args: The arguments: what JSON knows, with bytes anywhere in it.

        Raises:
            ValueError: The name is reserved, such as ``connect``.
            TypeError: An argument is not JSON with bytes in it.
        """
        name = check_event(event)
        for namespace in self._namespaces:
            await self._server.manager._broadcast(
                name,
                self._traced(namespace, name, args),
                namespace,
                self._scope,
                volatile=self._volatile,
                compress=self._compress,
            )

    def _traced(self, namespace: str, name: str, args: tuple[Any, ...]) -> list[Any]:
        """The arguments as they are sent, after a tracer was told of them."""
        tracer = self._server._hub.tracer
        if tracer is None:
            return list(args)
        return tracer.sending(namespace, [name, *args], list(self._scope.rooms))[1:]

    async def send(self, *args: Any) -> None:
        """Send the event ``message``; see :meth:`emit`."""
        await self.emit("message", *args)

    async def emit_with_ack(
        self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]
    ) -> list[Any]:
        """Send an event, and wait until all clients that got it have acknowledged.

        Returns:
            One value for each client, in the order in which the acknowledgements came:
            ``None`` for one without arguments, the argument, or a tuple of several.

        Raises:
            BroadcastTimeoutError: Some did not in the seconds of :meth:`timeout`, or
                have gone. It has the ``responses`` that came, and the ``missing``.
            RuntimeError: One of them is the client whose connect handler would wait:
                see :meth:`socketio_fast.AsyncServer.call`. None is asked.
            ValueError: The name is reserved, such as ``connect``.
            TypeError: An argument is not JSON with bytes in it.
        """
        name = check_event(event)
        answers = await self._ask(name, args)
        try:
            came = await answers.all()
        finally:
            answers.close()
        responses = [response for _, response in came]
        answers.check(name, responses)
        return responses

    async def acks(
        self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]
    ) -> AsyncIterator[tuple[str, Any]]:
        """Send an event, and give ``(sid, response)`` of each client as they come.

        The ``sid`` is ``""`` for clients of servers in Node.js, which do not tell it.

        Example::

            async for sid, answer in sio.to("room").timeout(5).acks("question"):
                ...

        Raises:
            BroadcastTimeoutError: After what came: some did not acknowledge in the
                seconds of :meth:`timeout`, or have gone.
            ValueError: The name is reserved, such as ``connect``.
            TypeError: An argument is not JSON with bytes in it.
        """
        name = check_event(event)
        answers = await self._ask(name, args)
        responses: list[Any] = []
        try:
            while (answer := await answers.next()) is not None:
                responses.append(answer[1])
                yield answer
        finally:
            answers.close()
        answers.check(name, responses)

    async def _ask(self, name: str, args: tuple[Any, ...]) -> Answers:
        """Send an event that is to be acknowledged; returns what collects answers."""
        answers = Answers(self._timeout)
        try:
            for namespace in self._namespaces:
                await self._server.manager._ask(
                    name,
                    self._traced(namespace, name, args),
                    namespace,
                    self._scope,
                    answers,
                    timeout=self._timeout,
                    compress=self._compress,
                )
        except BaseException:
            answers.close()
            raise
        answers.all_asked()
        return answers

    # Clients.

    async def fetch_sockets(self) -> list[RemoteSocket]:
        """Look up these clients, of all processes.

        Raises:
            TimeoutError: Another process did not answer.
        """
        found = []
        for namespace in self._namespaces:
            for client in await self._server.manager._fetch(namespace, self._scope):
                found.append(RemoteSocket(self._server, namespace, client))
        return found

    async def sockets_join(self, *rooms: Any) -> None:
        """Put these clients into rooms.

        Raises:
            ValueError: A room is the ``sid`` of a client of this process.
        """
        await self._change("join", rooms=rooms_of(rooms))

    async def sockets_leave(self, *rooms: Any) -> None:
        """Take these clients out of rooms."""
        await self._change("leave", rooms=rooms_of(rooms))

    async def disconnect_sockets(self, close: bool = False) -> None:
        """Disconnect these clients.

        Args:
            close: Whether their whole connections are closed, with all namespaces.
        """
        await self._change("disconnect", close=close)

    async def _change(self, change: str, **options: Any) -> None:
        for namespace in self._namespaces:
            await self._server.manager._change(change, namespace, self._scope, options)


class RemoteSocket:
    """A client of this or another process, as it was when it was looked up."""

    def __init__(
        self, server: AsyncServer, namespace: str, client: dict[str, Any]
    ) -> None:
        #: The ``sid``.
        self.id: str = client["id"]
        #: The request that it connected with. The times in it are those of the look-up
        #: if its process has made no ``Socket`` for the client.
        self.handshake = Handshake(**client["handshake"])
        #: The rooms that it is in, its own too.
        self.rooms: set[Any] = set(client["rooms"])
        #: The application's data of the client.
        self.data: dict[str, Any] = client["data"]
        self._operator = BroadcastOperator(
            server, (namespace,), Scope().with_rooms((self.id,))
        )

    def __repr__(self) -> str:
        return f"<RemoteSocket {self.id}>"

    async def emit(self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]) -> None:
        """Send it an event; see :meth:`BroadcastOperator.emit`."""
        await self._operator.emit(event, *args)

    async def emit_with_ack(
        self,
        event: EventName[Unpack[Ts]],
        *args: Unpack[Ts],
        timeout: float = ACK_TIMEOUT,
    ) -> Any:
        """Send it an event, and wait for its acknowledgement.

        Raises:
            TimeoutError: It has not answered in time, or has gone.
        """
        answers = await self._operator.timeout(timeout).emit_with_ack(event, *args)
        if not answers:
            raise exceptions.CallDisconnectedError(f"{self.id} is not connected")
        return answers[0]

    async def join(self, *rooms: Any) -> None:
        """Put it into rooms."""
        await self._operator.sockets_join(*rooms)

    async def leave(self, *rooms: Any) -> None:
        """Take it out of rooms."""
        await self._operator.sockets_leave(*rooms)

    async def disconnect(self, close: bool = False) -> None:
        """Disconnect it, with ``close`` the whole connection."""
        await self._operator.disconnect_sockets(close)


class Broadcasting:
    """Methods of servers and namespaces that send to their clients, or change them."""

    def _broadcast(self) -> BroadcastOperator:
        raise NotImplementedError

    def to(self, *rooms: Any) -> BroadcastOperator:
        """The clients in any of these rooms, to send to.

        What it returns, a :class:`BroadcastOperator`, has the same methods:
        ``nsp.to("a").except_("b").emit("event")``.
        """
        return self._broadcast().to(*rooms)

    in_ = to

    def except_(self, *rooms: Any) -> BroadcastOperator:
        """The clients that are in none of these rooms, to send to."""
        return self._broadcast().except_(*rooms)

    @property
    def local(self) -> BroadcastOperator:
        """The clients of this process, to send to."""
        return self._broadcast().local

    @property
    def volatile(self) -> BroadcastOperator:
        """All clients; an event is dropped for those that it would have to wait for."""
        return self._broadcast().volatile

    def compress(self, compress: bool) -> BroadcastOperator:
        """All clients, with or without compression of what is sent."""
        return self._broadcast().compress(compress)

    def timeout(self, seconds: float) -> BroadcastOperator:
        """All clients, with so many seconds to acknowledge."""
        return self._broadcast().timeout(seconds)

    async def fetch_sockets(self) -> list[RemoteSocket]:
        """All clients; see :meth:`BroadcastOperator.fetch_sockets`."""
        return await self._broadcast().fetch_sockets()

    async def sockets_join(self, *rooms: Any) -> None:
        """Put all clients into rooms; see :meth:`BroadcastOperator.sockets_join`."""
        await self._broadcast().sockets_join(*rooms)

    async def sockets_leave(self, *rooms: Any) -> None:
        """Take all out of rooms; see :meth:`BroadcastOperator.sockets_leave`."""
        await self._broadcast().sockets_leave(*rooms)

    async def disconnect_sockets(self, close: bool = False) -> None:
        """Disconnect all clients; see :meth:`BroadcastOperator.disconnect_sockets`."""
        await self._broadcast().disconnect_sockets(close)

    # Other servers.

    async def server_side_emit(self, event: str, *args: Any) -> None:
        """Send an event to the other servers that share the manager.

        Their listeners, ``@sio.of(namespace).on(event)``, get it; clients do not.

        Args:
            event: The name.
            *args: The arguments.

        Raises:
            ValueError: It is an event that namespaces have themselves.
            TypeError: An argument is not JSON with bytes in it.
        """
        _check_server_side(event)
        operator = self._broadcast()
        for namespace in operator._namespaces:
            manager = operator._server.manager
            await manager._server_side_emit(namespace, event, list(args))

    async def server_side_emit_with_ack(self, event: str, *args: Any) -> list[Any]:
        """Send an event to the other servers, and wait for their answers.

        Returns:
            What the first listener on each other server returned; ``None`` for servers
            without a listener.

        Raises:
            BroadcastTimeoutError: A server has not answered in 5 s, or has gone. The
                error has the ``responses`` of the others.
            ValueError: It is an event that namespaces have themselves.
            TypeError: An argument is not JSON with bytes in it.
        """
        _check_server_side(event)
        operator = self._broadcast()
        answers: list[Any] = []
        for namespace in operator._namespaces:
            manager = operator._server.manager
            answers += await manager._server_side_ask(namespace, event, list(args))
        return answers


def _check_server_side(event: str) -> None:
    if event in ("connect", "connection", "new_namespace"):
        raise ValueError(f"{event!r} is a reserved event name: it cannot be emitted")
