"""Managers of several processes, which exchange messages on a channel.

Each process has a ``host_id``. A manager applies a call to the clients of its own
process, then publishes a message for the others; the module
:mod:`socketio_fast.managers.messages` describes these. While the broker is away only
publishing fails: clients of this process get their events, and messages that could not
be published are counted.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from socketio_fast._core.socketio.acks import Reply
from socketio_fast._core.socketio.rooms import one_or_several
from socketio_fast.engineio import json as engineio_json
from socketio_fast.event_arguments import arguments_of
from socketio_fast.managers.broker import BrokerManager, Identity
from socketio_fast.managers.cluster import Cluster
from socketio_fast.managers.messages import JSON, pack
from socketio_fast.managers.received import RemoteCallbacks, receive
from socketio_fast.options.logs import AnyLogger
from socketio_fast.overrides import refuse_overrides
from socketio_fast.sockets.scope import Scope

__all__ = ["AsyncPubSubManager"]

Message = dict[str, Any]
Callback = Callable[..., Any]

# Methods that python-socketio calls for messages of other processes.
NEVER_CALLED = dict.fromkeys(
    (
        "_handle_callback",
        "_handle_close_room",
        "_handle_disconnect",
        "_handle_emit",
        "_handle_enter_room",
        "_handle_leave_room",
    ),
    "override _listen() to see or change what other processes ask for",
)


class AsyncPubSubManager(BrokerManager):
    """Clients of several processes that share a channel.

    A subclass knows a broker. It has two methods:

    - ``async def _publish(self, data)`` sends ``data``, a dict of JSON values, to all
      processes. It is called for one message at a time. What it raises is taken as the
      broker being away, but ``TypeError`` and ``ValueError`` are raised to the caller.
    - ``async def _listen(self)``, an async generator, yields such dicts, or their JSON.
      When it returns or raises it is called again, later and later up to a minute.

    Args:
        channel: Its name, the same in all processes.
        write_only: Whether this process only sends, with a server or without one.
        logger: The logger to use; by default the server's.
        json: What has ``dumps`` and ``loads``; by default the server's ``json``, or
            JSON as clients get it.
    """

    name: ClassVar[str] = "asyncpubsub"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_overrides(cls, NEVER_CALLED)

    def __init__(
        self,
        channel: str = "socketio",
        write_only: bool = False,
        logger: AnyLogger | None = None,
        json: Any = None,
    ) -> None:
        self.channel = channel
        self.write_only = write_only
        self._host = Identity()
        #: The other servers on the channel, and what they are asked.
        self.cluster: Cluster = Cluster(self)
        #: Whether it is the second manager of a server that has an adapter, see
        #: :meth:`socketio_fast.adapters.Adapter.bridge`.
        self.bridged = False
        self._ids = itertools.count(1)
        self._waiting = RemoteCallbacks(self)
        #: Whether it has been logged that something is not a message.
        self._refused = False
        super().__init__(logger)
        if json is not None:
            self.json = json

    @property
    def host_id(self) -> str:
        """Which process this is, to the others; a forked process is another."""
        return self._host.id

    def _reset(self) -> None:
        super()._reset()
        self.cluster.reset()

    def set_server(self, server: Any) -> None:
        """Called once by the server that is made with this manager."""
        super().set_server(server)
        json = getattr(server.packet_class, "json", engineio_json)
        # The server's default JSON is slower than this manager's, and has fewer types.
        if self.json is JSON and json is not engineio_json:
            self.json = json

    def _sources(self) -> list[tuple[Any, ...]]:
        return [] if self.write_only else super()._sources()

    def _receive(self, message: Message | str | bytes) -> None:
        receive(self, message)

    async def close(self) -> None:
        """Publish all waiting messages, then disconnect from the broker.

        The next message that is published connects again.
        """
        await self.cluster.close()
        await super().close()

    # For subclasses.

    def _publish(self, data: Message) -> Awaitable[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no _publish()")

    async def _publish_all(self, messages: list[Message]) -> None:
        """Publish as many messages as ``_batch`` says, all or none."""
        (message,) = messages
        await self._publish(message)

    def _listen(self) -> AsyncIterator[Message | str | bytes]:
        raise NotImplementedError(f"{type(self).__name__} has no _listen()")

    def _encode(self, data: Message) -> bytes:
        """The JSON of a message, in UTF-8."""
        text = self.json.dumps(data)
        return text if isinstance(text, bytes) else text.encode()

    # Calls of this process.

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str | None = None,
        room: Any = None,
        skip_sid: str | Sequence[str] | None = None,
        callback: Callback | None = None,
        to: Any = None,
        **kwargs: Any,
    ) -> None:
        """Send an event to clients of all processes.

        Args:
            event: The name.
            data: See :meth:`socketio_fast.AsyncServer.emit`.
            namespace: The namespace, ``"/"`` by default.
            room: A room, a ``sid`` or a list of them; ``None`` for all clients.
            skip_sid: A ``sid`` or a list of them that get nothing.
            callback: Called with the arguments of the acknowledgement: the first, if
                several clients get the event.
            to: The same as ``room``.
            **kwargs: ``ignore_queue=True`` is for clients of this process alone.

        Raises:
            TypeError: ``data`` is not JSON with bytes in it.
            ValueError: There is a ``callback``, but no room.
            RuntimeError: There is a ``callback``, but no server.
        """
        namespace = namespace or "/"
        room = one_or_several(room if to is None else to)
        skip_sid = one_or_several(skip_sid)
        if kwargs.get("ignore_queue"):
            await super().emit(event, data, namespace, room, skip_sid, callback)
            return
        # python-socketio writes [None] for no arguments.
        args = [None] if data is None else arguments_of(data)
        answer = None
        if callback is not None:
            if self.server is None:
                raise RuntimeError(
                    "Callbacks can only be issued from the context of a server."
                )
            if room is None:
                raise ValueError("Cannot use callback without a room set.")
            number = next(self._ids)
            answer = [_plain(room), namespace, number]
            if not self.is_sid_room(namespace, room):
                self._waiting.add(number, callback)
                callback = partial(self.trigger_callback, room, number)
                callback = partial(_spread, callback)
        own = [] if len(args) == 1 and args[0] is None else args
        message = [event, *own]
        blocked = self._emit_here(message, namespace, room, skip_sid, callback)
        published = self._enqueue_emit(
            event, args, namespace, _plain(room), _plain(skip_sid), answer
        )
        if published is not None:
            await published
        if blocked is not None:
            await blocked

    async def can_disconnect(self, sid: str, namespace: str) -> bool:
        """Whether the server itself can disconnect it; if not, others are asked."""
        if await super().can_disconnect(sid, namespace):
            return True
        await self._send("disconnect", sid=sid, namespace=namespace or "/")
        return False

    async def disconnect(self, sid: str, namespace: str | None, **kwargs: Any) -> None:
        """Disconnect a client of any process.

        Args:
            sid: The client.
            namespace: The namespace; ``None`` is ``"/"``.
            **kwargs: ``ignore_queue=True`` is for clients of this process alone.
        """
        namespace = namespace or "/"
        self._disconnect_client(sid, namespace)
        if not kwargs.get("ignore_queue"):
            await self._send("disconnect", sid=sid, namespace=namespace)

    async def enter_room(
        self,
        sid: str,
        namespace: str | None,
        room: Any,
        eio_sid: str | None = None,
    ) -> None:
        """Put a client of any process into a room.

        Raises:
            ValueError: The client is one of this process, and the room is another's
                ``sid``.
        """
        namespace = namespace or "/"
        if self.is_sid_room(namespace, sid):
            self.basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        else:
            await self._send("enter_room", sid=sid, room=room, namespace=namespace)

    async def leave_room(self, sid: str, namespace: str | None, room: Any) -> None:
        """Take a client of any process out of a room."""
        namespace = namespace or "/"
        if self.is_sid_room(namespace, sid):
            self.basic_leave_room(sid, namespace, room)
        else:
            await self._send("leave_room", sid=sid, room=room, namespace=namespace)

    async def close_room(self, room: Any, namespace: str | None = None) -> None:
        """Take every client of every process out of a room.

        Raises:
            ValueError: The room is the ``sid`` of a client of this process.
        """
        namespace = namespace or "/"
        self.basic_close_room(room, namespace)
        await self._send("close_room", room=room, namespace=namespace)

    async def _broadcast(
        self,
        event: str,
        args: list[Any],
        namespace: str,
        scope: Scope,
        *,
        volatile: bool = False,
        compress: bool = True,
    ) -> None:
        if not (scope.local or scope.excepted or volatile) and compress:
            data = tuple(args) if args else None
            await self.emit(event, data, namespace, room=scope.to)
            return
        blocked = self._broadcast_here(
            [event, *args], namespace, scope, volatile=volatile, compress=compress
        )
        if scope.local:
            if blocked is not None:
                await blocked
            return
        published = self._enqueue_broadcast(
            [event, *args], namespace, scope, volatile=volatile, compress=compress
        )
        if published is not None:
            await published
        if blocked is not None:
            await blocked

    async def _ask(
        self,
        event: str,
        args: list[Any],
        namespace: str,
        scope: Scope,
        answers: Any,
        *,
        timeout: float | None,
        compress: bool,
    ) -> None:
        await super()._ask(
            event, args, namespace, scope, answers, timeout=timeout, compress=compress
        )
        if not scope.local:
            await self._ask_others(
                event,
                args,
                namespace,
                scope,
                answers,
                timeout=timeout,
                compress=compress,
            )

    async def _fetch(self, namespace: str, scope: Scope) -> list[dict[str, Any]]:
        here = self._fetch_here(namespace, scope)
        if scope.local:
            return here
        return [*here, *await self._fetch_others(namespace, scope)]

    async def _change(
        self, change: str, namespace: str, scope: Scope, options: dict[str, Any]
    ) -> None:
        if not scope.local:
            await self._change_others(change, namespace, scope, options)
        self._change_here(change, namespace, scope, options)

    async def _server_side_emit(
        self, namespace: str, event: str, args: list[Any]
    ) -> None:
        packed, binary = self._pack(args)
        await self._send(
            "server_side_emit",
            namespace=namespace,
            event=event,
            data=packed,
            binary=binary,
        )

    async def _server_side_ask(
        self, namespace: str, event: str, args: list[Any]
    ) -> list[Any]:
        packed, binary = self._pack(args)
        return await self.cluster.server_side_ask(
            namespace=namespace, event=event, data=packed, binary=binary
        )

    async def _server_count(self) -> int:
        await self.cluster.discover()
        return 1 + len(self.cluster.hosts)

    # What is asked of other processes; see socketio_fast.adapters.bridge too.

    def _enqueue_emit(
        self,
        event: str,
        args: list[Any],
        namespace: str,
        room: Any,
        skip_sid: Any,
        answer: list[Any] | None,
        **more: Any,
    ) -> asyncio.Future[None] | None:
        packed, binary = self._pack(args)
        return self._enqueue_message(
            "emit",
            event=event,
            data=packed,
            binary=binary,
            namespace=namespace,
            room=room,
            skip_sid=skip_sid,
            callback=answer,
            **more,
        )

    def _enqueue_broadcast(
        self,
        data: list[Any],
        namespace: str,
        scope: Scope,
        *,
        volatile: bool = False,
        compress: bool = True,
        callback: Callback | None = None,
    ) -> asyncio.Future[None] | None:
        answer = None
        if callback is not None:
            number = next(self._ids)
            self._waiting.add(number, callback)
            answer = [scope.rooms[0], namespace, number]
        more: dict[str, Any] = {}
        room: Any = scope.to
        if scope.excepted or volatile or not compress:
            more["excepted"] = list(scope.excepted)
            more |= {"volatile": volatile, "compress": compress}
        elif len(scope.rooms) == 1:
            room = scope.rooms[0]
        # python-socketio's servers can leave out clients, but not rooms.
        skipped = [one for one in scope.excepted if isinstance(one, str)] or None
        args = data[1:] or [None]
        return self._enqueue_emit(
            data[0], args, namespace, room, skipped, answer, **more
        )

    async def _ask_others(
        self,
        event: str,
        args: list[Any],
        namespace: str,
        scope: Scope,
        answers: Any,
        *,
        timeout: float | None,
        compress: bool,
    ) -> None:
        packed, binary = self._pack(args)
        await self.cluster.ask(
            answers,
            event=event,
            data=packed,
            binary=binary,
            namespace=namespace,
            scope=scope.message,
            timeout=timeout,
            compress=compress,
        )

    async def _fetch_others(self, namespace: str, scope: Scope) -> list[dict[str, Any]]:
        message = {"namespace": namespace, "scope": scope.message}
        answers = await self.cluster.request("fetch", **message)
        return [client for answer in answers for client in answer]

    async def _change_others(
        self, change: str, namespace: str, scope: Scope, options: dict[str, Any]
    ) -> None:
        await self._send(
            "change",
            change=change,
            namespace=namespace,
            scope=scope.message,
            **{name: _plain(value) for name, value in options.items()},
        )

    def _pack(self, args: list[Any]) -> tuple[list[Any], bool]:
        # A program's own JSON has to replace values of other types itself.
        return pack(args, self.json is JSON)

    # Publishing, in the order of the calls.

    async def _send(self, method: str, **message: Any) -> None:
        published = self._enqueue_message(method, **message)
        if published is not None:
            await published

    def _enqueue_message(
        self, method: str, **message: Any
    ) -> asyncio.Future[None] | None:
        message = {"method": method, "host_id": self.host_id, **message}
        if self.bridged:
            message["bridged"] = True
        return self._enqueue(message)

    # Acknowledgements of clients of other processes.

    def _take_callback(self, sid: Any, id: int) -> Callback | None:
        entry: tuple[float, Callback] | None = self.callbacks.pop(id, None)
        return None if entry is None else entry[1]

    def _forget_callback(self, reply: Reply) -> None:
        """An acknowledgement is not waited for any more."""
        if reply.number is not None:
            self.callbacks.pop(reply.number, None)

    async def _return_callback(
        self, host_id: str, room: Any, namespace: str, number: int, *args: Any
    ) -> None:
        """Publish the acknowledgement of a client to the process that asked for it."""
        packed, binary = self._pack(list(args))
        message: Message = {"args": packed}
        if binary:
            # python-socketio has no such key: its acknowledgements cannot have bytes.
            message["args"], *message["attachments"] = packed
        await self._send(
            "callback",
            sid=room,
            namespace=namespace,
            id=number,
            **message,
            host_id=host_id,
        )


def _spread(callback: Callable[[Sequence[Any]], Awaitable[Any]], *args: Any) -> Any:
    return callback(args)


def _plain(value: Any) -> Any:
    """Rooms or ids as a type that JSON has."""
    return list(value) if isinstance(value, (set, frozenset, tuple)) else value
