"""Operators: whom a broadcast goes to, and what is done with those clients.

::

    await sio.to("room").except_("other").emit("news", 1)
    answers = await sio.to("room").timeout(5).emit_with_ack("question")
    async for sid, answer in sio.to("room").timeout(5).acks("question"): ...
    for client in await sio.in_("room").fetch_sockets(): ...

:meth:`BroadcastOperator.emit` reaches the clients of all processes that share a
manager. The other methods know those of this process: with a manager of several
processes they need :attr:`BroadcastOperator.local`, so that nobody takes a part for
the whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from socketio_fast import exceptions
from socketio_fast._core.peer import Peer
from socketio_fast.sockets import (
    Handshake,
    Socket,
    check_event,
    make_handshake,
    several,
)

if TYPE_CHECKING:
    from socketio_fast.async_server import AsyncServer

__all__ = ["ACK_TIMEOUT", "BroadcastOperator", "Broadcasting", "RemoteSocket"]

#: Seconds that acknowledgements of a broadcast have, unless ``timeout()`` says others.
ACK_TIMEOUT = 60.0


class BroadcastOperator:
    """Some clients of a namespace, and what can be done with them.

    It never changes: ``to()`` and the like give another one.

    Args:
        server: The server.
        namespaces: The names of the namespaces.
    """

    def __init__(self, server: AsyncServer, namespaces: tuple[str, ...]) -> None:
        self._server = server
        self._namespaces = namespaces
        self._rooms: tuple[Any, ...] = ()
        self._without: tuple[Any, ...] = ()
        self._local = False
        self._compress = True
        self._timeout = ACK_TIMEOUT

    def _with(self, **changes: Any) -> Self:
        new = type(self)(self._server, self._namespaces)
        new.__dict__.update({**self.__dict__, **changes})
        return new

    def to(self, *rooms: Any) -> Self:
        """Clients in any of these rooms, or lists of rooms; each client once."""
        added = [room for given in rooms for room in several(given)]
        return self._with(_rooms=(*self._rooms, *added))

    in_ = to

    def except_(self, *rooms: Any) -> Self:
        """Not the clients in any of these rooms; a ``sid`` is a room too.

        Rooms are looked up in this process: of other processes' clients only those are
        left out that are named by their ``sid``.
        """
        added = [room for given in rooms for room in several(given)]
        return self._with(_without=(*self._without, *added))

    @property
    def local(self) -> Self:
        """Only clients of this process."""
        return self._with(_local=True)

    def compress(self, compress: bool) -> Self:
        """Whether what is sent may be compressed on its way (``True``).

        It holds for clients of this process.
        """
        return self._with(_compress=bool(compress))

    def timeout(self, seconds: float) -> Self:
        """How many seconds acknowledgements have (60).

        Raises:
            ValueError: It is not more than 0.
        """
        if not seconds > 0:
            raise ValueError(f"timeout({seconds!r}): more than 0 seconds expected")
        return self._with(_timeout=float(seconds))

    # Sending.

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event.

        Args:
            event: The name.
            *args: The arguments: what JSON knows, with bytes anywhere in it.

        Raises:
            ValueError: The name is reserved, such as ``connect``.
            TypeError: An argument is not JSON with bytes in it.
        """
        check_event(event)
        server = self._server
        here = self._local or not server._distributed
        for name in self._namespaces:
            skip: Any = self._skipped(name)
            ns = server._namespace(name)
            to = list(self._rooms) or None
            if here and server._emits_itself and not self._compress:
                if ns is not None and ns.rooms is not None:
                    ns.rooms.emit([event, *args], to, skip or None, None, False)
                continue
            await server.emit(
                event,
                args,
                to=to,
                skip_sid=skip or None,
                namespace=name,
                ignore_queue=self._local,
            )

    async def send(self, *args: Any) -> None:
        """Send the event ``message``; see :meth:`emit`."""
        await self.emit("message", *args)

    async def emit_with_ack(self, event: str, *args: Any) -> list[Any]:
        """Send an event, and wait for the acknowledgements of all clients.

        Returns:
            What they answered, in the order it came; of each ``None`` for no argument,
            the argument for one, a tuple for several.

        Raises:
            BroadcastTimeoutError: A client has not answered in time, or has gone; the
                answers of others are its ``responses``.
            RuntimeError: There are other processes, and this is not ``local``.
            ValueError: The name is reserved, such as ``connect``.
            TypeError: An argument is not JSON with bytes in it.
        """
        return [answer async for _, answer in self.acks(event, *args)]

    async def acks(self, event: str, *args: Any) -> AsyncIterator[tuple[str, Any]]:
        """Send an event, and give ``(sid, answer)`` as they come.

        It raises what :meth:`emit_with_ack` does, ``BroadcastTimeoutError`` at the end.
        """
        check_event(event)
        loop = asyncio.get_running_loop()
        done: asyncio.Queue[tuple[Peer, asyncio.Future[Any]]] = asyncio.Queue()
        waiting: dict[Peer, asyncio.Future[Any]] = {}
        responses: list[Any] = []
        until = loop.time() + self._timeout
        try:
            for peer in self._peers("acks()"):
                if not peer.reachable:
                    continue
                future = waiting[peer] = loop.create_future()
                future.add_done_callback(partial(_put, done, peer))
                peer.namespace.rooms.emit(
                    [event, *args], peer.sid, None, future, self._compress
                )
            missing = 0
            while waiting:
                try:
                    peer, future = await asyncio.wait_for(
                        done.get(), max(0.0, until - loop.time())
                    )
                except asyncio.TimeoutError:
                    break
                del waiting[peer]
                if future.exception() is not None:
                    missing += 1  # it has gone
                    continue
                answer = future.result()
                value = tuple(answer) if len(answer) > 1 else (answer or [None])[0]
                responses.append(value)
                yield peer.sid, value
            missing += len(waiting)
            if missing:
                raise exceptions.BroadcastTimeoutError(event, missing, responses)
        finally:
            for peer, future in waiting.items():
                peer.cancel_ack(future)
                if not future.cancel():
                    future.exception()  # nobody looks at it any more

    # The clients themselves.

    async def fetch_sockets(self) -> list[RemoteSocket]:
        """The clients, as they are now.

        Raises:
            RuntimeError: There are other processes, and this is not ``local``.
        """
        peers = self._peers("fetch_sockets()")
        return [RemoteSocket(self, peer) for peer in peers if peer.connected]

    async def sockets_join(self, *rooms: Any) -> None:
        """Put the clients into rooms.

        Raises:
            ValueError: A room is a client's ``sid``.
            RuntimeError: There are other processes, and this is not ``local``.
        """
        await self._change("enter_room", "sockets_join()", rooms)

    async def sockets_leave(self, *rooms: Any) -> None:
        """Take the clients out of rooms.

        Raises:
            RuntimeError: There are other processes, and this is not ``local``.
        """
        await self._change("leave_room", "sockets_leave()", rooms)

    async def _change(self, method: str, what: str, rooms: tuple[Any, ...]) -> None:
        change = getattr(self._server.manager, method)
        for peer in self._peers(what):
            if not peer.reachable:
                continue
            for given in rooms:
                for room in several(given):
                    await change(peer.sid, peer.namespace.name, room)

    async def disconnect_sockets(self, close: bool = False) -> None:
        """Disconnect the clients.

        Args:
            close: Whether their connections are closed, with all their namespaces.

        Raises:
            RuntimeError: There are other processes, and this is not ``local``.
        """
        for peer in self._peers("disconnect_sockets()"):
            _disconnect(peer, close)

    # Who they are.

    def _skipped(self, name: str) -> list[Any]:
        """The sids of those in the rooms that are left out, and these rooms' names: one
        may be the sid of another process's client."""
        ns = self._server._namespace(name)
        found: dict[Any, None] = {}
        for room in self._without:
            if ns is not None and ns.rooms is not None:
                found.update(dict.fromkeys(ns.rooms.members(room)))
            if isinstance(room, str):
                found[room] = None
        return list(found)

    def _peers(self, what: str) -> list[Peer]:
        if self._server._distributed and not self._local:
            raise RuntimeError(
                f"{what} knows the clients of this process alone: use .local"
            )
        found: list[Peer] = []
        for name in self._namespaces:
            ns = self._server._namespace(name)
            if ns is None or ns.rooms is None:
                continue
            skipped = {sid for room in self._without for sid in ns.rooms.members(room)}
            for sid in ns.rooms.members(list(self._rooms) or None):
                if sid not in skipped and sid in ns.peers:
                    found.append(ns.peers[sid])
        return found


def _put(
    done: asyncio.Queue[tuple[Peer, asyncio.Future[Any]]],
    peer: Peer,
    future: asyncio.Future[Any],
) -> None:
    done.put_nowait((peer, future))


def _disconnect(peer: Peer, close: bool) -> None:
    if not close:
        peer.disconnect()
        return
    session = peer.session
    for other in peer.client.peers:
        other.disconnect()
    session.disconnect()


class RemoteSocket:
    """A client as :meth:`BroadcastOperator.fetch_sockets` found it."""

    def __init__(self, found_by: BroadcastOperator, peer: Peer) -> None:
        server = found_by._server
        name = peer.namespace.name
        #: The ``sid``.
        self.id: str = peer.sid
        #: The rooms that it was in, its own among them.
        self.rooms: set[Any] = {peer.sid, *(peer.rooms or ())}
        #: The application's data of it: the dict of ``get_session()``, copied.
        self.data: dict[str, Any] = dict((peer.session.data or {}).get(name, {}))
        #: The request that it connected with; without a ``Socket`` of it, the times in
        #: that are those of the look-up.
        self.handshake: Handshake = (
            peer.socket.handshake
            if isinstance(peer.socket, Socket)
            else make_handshake(peer.session.environ, time.time(), peer.auth)
        )
        self._operator = BroadcastOperator(server, (name,)).to(peer.sid).local

    def __repr__(self) -> str:
        return f"<RemoteSocket {self.id}>"

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event to it; see :meth:`BroadcastOperator.emit`."""
        await self._operator.emit(event, *args)

    async def emit_with_ack(
        self, event: str, *args: Any, timeout: float = ACK_TIMEOUT
    ) -> Any:
        """Send an event to it, and wait for its acknowledgement.

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
    """What begins with all clients of a namespace: operators and what they do."""

    def _broadcast(self) -> BroadcastOperator:
        raise NotImplementedError

    def to(self, *rooms: Any) -> BroadcastOperator:
        """For what goes to clients in any of these rooms.

        ``await nsp.to("a").except_("b").emit("event")``: what it returns, a
        :class:`BroadcastOperator`, has the same methods.
        """
        return self._broadcast().to(*rooms)

    in_ = to

    def except_(self, *rooms: Any) -> BroadcastOperator:
        """For what goes to clients that are in none of these rooms."""
        return self._broadcast().except_(*rooms)

    @property
    def local(self) -> BroadcastOperator:
        """For what goes to clients of this process."""
        return self._broadcast().local

    def compress(self, compress: bool) -> BroadcastOperator:
        """For what may be compressed on its way, or may not."""
        return self._broadcast().compress(compress)

    def timeout(self, seconds: float) -> BroadcastOperator:
        """For acknowledgements that have so many seconds."""
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
        """Disconnect all; see :meth:`BroadcastOperator.disconnect_sockets`."""
        await self._broadcast().disconnect_sockets(close)
