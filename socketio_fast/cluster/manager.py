"""Rooms of several workers: the manager of a server in a cluster.

A server whose ``client_manager`` is ``None`` has this one while it is a worker of a
cluster. Events are sent by the compiled relay (``_core/socketio/relay.pyx``); all else
that workers ask of each other goes as the JSON messages of
:mod:`socketio_fast.managers.messages` and :mod:`socketio_fast.managers.cluster`. Two
more are for one client alone: ``call`` asks for an acknowledgement, and ``gone`` says
that none will come.

The links say who is there. So nothing is waited for before the first request, and a
request to a worker that has gone fails at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from socketio_fast._core.engine.failures import contain
from socketio_fast._core.socketio.acks import Reply
from socketio_fast._core.socketio.relay import WorkerRelay
from socketio_fast._core.socketio.rooms import one_or_several
from socketio_fast.cluster.frames import Kind
from socketio_fast.cluster.identity import TAG_SIZE, number_of
from socketio_fast.cluster.links import OutgoingLink
from socketio_fast.cluster.mesh import Mesh
from socketio_fast.event_arguments import arguments_of
from socketio_fast.exceptions import CallDisconnectedError
from socketio_fast.managers.async_manager import AsyncManager
from socketio_fast.managers.cluster import Cluster
from socketio_fast.managers.messages import unpack
from socketio_fast.managers.pubsub import AsyncPubSubManager
from socketio_fast.managers.received import receive
from socketio_fast.sockets.scope import Scope

__all__ = ["WorkersManager"]

Message = dict[str, Any]
Callback = Callable[..., Any]

# Names of counters, see docs/deployment.md.
DROPPED = "messages_dropped_for_workers"
REFUSED = "messages_refused_of_workers"


class WorkersManager(AsyncPubSubManager):
    """Clients and rooms of the workers that share a directory.

    Args:
        mesh: The links to the other workers.
    """

    name = "workers"

    def __init__(self, mesh: Mesh) -> None:
        super().__init__(channel=str(mesh.directory))
        self._mesh = mesh
        #: The other workers, and what they are asked.
        self.cluster = self._workers = _Workers(self)
        self._relay: WorkerRelay | None = None
        # Workers that messages were dropped for, and how many.
        self._behind: dict[str, int] = {}
        # Which worker has the client that a callback waits for, by the number of the
        # callback.
        self._called: dict[int, str] = {}

    @property
    def host_id(self) -> str:
        """The tag of this worker, which the sids of its clients end with."""
        return self._mesh.tag

    def initialize(self) -> None:
        """Begin to exchange messages with the other workers."""
        server, mesh = self.server, self._mesh
        self._loop = server.eio.engine.loop
        encoding = server.packet_class
        self._relay = WorkerRelay(
            server._hub,
            Kind.MESSAGE,
            f"{encoding.__module__}.{encoding.__qualname__} {_named(encoding)}",
            self._emit_plainly,
            self._on_dropped,
        )
        server._hub.relay = self._relay
        self._distributed = False
        mesh.receive(Kind.MESSAGE, self._receive_frame)
        mesh.on_joined.append(self._on_joined)
        mesh.on_left.append(self._on_left)
        for tag in mesh.others:
            self._on_joined(tag)
        self._on_subscribed()

    async def close(self) -> None:
        """Leave the other workers."""
        if self._relay is not None:
            self._relay = None
            self.server._hub.relay = None
            self.server._bind_manager(None)
            self._mesh.on_joined.remove(self._on_joined)
            self._mesh.on_left.remove(self._on_left)
            self._mesh.receive(Kind.MESSAGE, _ignore)
        await super().close()

    # The other workers.

    @property
    def _remotes(self) -> dict[str, Any]:
        return {} if self._relay is None else self._relay.remotes

    def _on_joined(self, tag: str) -> None:
        assert self._relay is not None
        link = self._mesh.link(tag)
        if link is None:
            return  # it has gone already
        link.on_drained = self._on_drained
        self._relay.joined(tag, link.send)
        self._behind.pop(tag, None)
        self.cluster.hosts[tag] = 0.0
        self._to(tag, self._relay.state())
        self._others_changed()

    def _on_left(self, tag: str) -> None:
        assert self._relay is not None
        self._relay.left(tag)
        self._behind.pop(tag, None)
        self._others_changed()
        self.cluster._forget(tag)
        for number, worker in list(self._called.items()):
            if worker == tag:
                self._give_up(number)

    def _others_changed(self) -> None:
        """While there are no other workers, emit() costs what it costs without a
        cluster."""
        self._distributed = bool(self._remotes)
        self.server._bind_manager(self if self._distributed else None)

    def _on_dropped(self, tag: str) -> None:
        """A message was dropped: too many wait for that worker."""
        self.server.eio.engine.counters[DROPPED] += 1
        if tag not in self._behind:
            self._behind[tag] = 0
            self._get_logger().warning(
                "worker %d does not read: its clients miss what this worker sends",
                number_of(tag),
            )
        self._behind[tag] += 1

    def _on_drained(self, link: OutgoingLink) -> None:
        """A worker has read everything that waited for it."""
        lost = self._behind.pop(link.tag, None)
        if lost is None or self._relay is None:
            return
        self._get_logger().warning(
            "worker %d reads again; %d messages to it were dropped",
            number_of(link.tag),
            lost,
        )
        # What was dropped may have been about rooms.
        self._to(link.tag, self._relay.state())

    def _to(self, tag: str, frame: bytes) -> bool:
        remote = self._remotes.get(tag)
        if remote is None:
            return False
        if remote.send(frame):
            return True
        self._on_dropped(tag)
        return False

    def _post(self, message: Message, *tags: str) -> bool:
        """Send a message to some workers; returns whether it will reach all of them.

        Raises:
            TypeError: It is not JSON.
        """
        if self._relay is None:
            return False
        frame = self._relay.frame(self._encode(message))
        sent = [self._to(tag, frame) for tag in tags]
        return all(sent)

    def _enqueue_message(self, method: str, **message: Any) -> None:
        """Send a message at once: the links keep what waits."""
        tags = self._destinations(method, message)
        for tag in tags:
            self._relay_rooms(tag, method, message, expected=True)
        message = {"method": method, "host_id": self.host_id, **message}
        if not self._post(message, *tags) and method == "request":
            for tag in tags:
                if tag in self._behind:
                    self._workers.fail(message["id"], tag)

    def _destinations(self, method: str, message: Message) -> list[str]:
        """The workers that a message is for."""
        if method == "callback":
            return [message["host_id"]]
        if method == "response":
            return [message["to"]]
        if method in ("disconnect", "enter_room", "leave_room"):
            owner = self._owner(message["sid"])
            return [] if owner is None else [owner]
        return list(self._remotes)

    def _owner(self, sid: Any) -> str | None:
        """The other worker that has this client, if there is such a client."""
        tag = sid[-TAG_SIZE:] if isinstance(sid, str) else None
        return tag if tag in self._remotes else None

    # Events.

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
        """Send an event to clients of all workers.

        Args:
            event: The name.
            data: See :meth:`socketio_fast.AsyncServer.emit`.
            namespace: The namespace, ``"/"`` by default.
            room: A room, a ``sid`` or a list of them; ``None`` for all clients.
            skip_sid: A ``sid`` or a list of them that get nothing.
            callback: Called with the arguments of the acknowledgement: the first, if
                several clients get the event.
            to: The same as ``room``.
            **kwargs: ``ignore_queue=True`` is for clients of this worker alone.

        Raises:
            TypeError: ``data`` is not JSON with bytes in it, or a room is not a
                ``str``, an ``int`` or a ``float``.
            ValueError: There is a ``callback``, but no room, and there are other
                workers.
        """
        namespace = namespace or "/"
        room = one_or_several(room if to is None else to)
        skip_sid = one_or_several(skip_sid)
        here = kwargs.get("ignore_queue") or (
            callback is not None
            and (not self._remotes or self.is_sid_room(namespace, room))
        )
        if here or self._relay is None:
            await AsyncManager.emit(
                self, event, data, namespace, room, skip_sid, callback
            )
        elif callback is None:
            blocked = self._relay.emit(
                namespace, [event, *arguments_of(data)], room, skip_sid, skip_sid
            )
            if blocked is not None:
                await blocked
        elif (owner := self._owner(room)) is not None:
            self._call(owner, event, data, namespace, room, callback)
        elif isinstance(callback, Reply):
            callback.give_up(CallDisconnectedError(f"{room} is not connected"))
        else:
            await super().emit(event, data, namespace, room, skip_sid, callback)

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
        skipped = self._skipped(namespace, scope)
        if scope.local or self._relay is None:
            blocked = self._emit_here(
                [event, *args],
                namespace,
                scope.to,
                skipped,
                compress=compress,
                volatile=volatile,
            )
        else:
            blocked = self._relay.emit(
                namespace,
                [event, *args],
                scope.to,
                list(scope.excepted) or None,
                skipped,
                excepts=True,
                compress=compress,
                volatile=volatile,
            )
        if blocked is not None:
            await blocked

    def _emit_plainly(
        self,
        tag: str,
        event: list[Any],
        namespace: str,
        rooms: Sequence[Any] | None,
        skip: Sequence[Any] | None,
        compress: bool,
        volatile: bool,
    ) -> None:
        """Send an event to a worker that encodes packets in another way."""
        packed, binary = self._pack(event[1:] or [None])
        message = {
            "method": "emit",
            "host_id": self.host_id,
            "event": event[0],
            "data": packed,
            "binary": binary,
            "namespace": namespace,
            "room": None if rooms is None else list(rooms),
            "excepted": list(skip or ()),
            "volatile": volatile,
            "compress": compress,
        }
        self._post(message, tag)

    # Clients and rooms.

    async def enter_room(
        self,
        sid: str,
        namespace: str | None,
        room: Any,
        eio_sid: str | None = None,
    ) -> None:
        """Put a client of any worker into a room.

        Raises:
            ValueError: No worker has the client, or it is one of this worker and the
                room is another's ``sid``.
            TypeError: The room is not a ``str``, an ``int`` or a ``float``.
        """
        namespace = namespace or "/"
        if self._owner(sid) is None:
            self.basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        else:
            self._check(room)
            await self._send("enter_room", sid=sid, room=room, namespace=namespace)

    async def close_room(self, room: Any, namespace: str | None = None) -> None:
        """Take every client of every worker out of a room.

        Raises:
            ValueError: The room is the ``sid`` of a client of this worker.
        """
        self._check(room)
        await super().close_room(room, namespace)

    async def _change(
        self, change: str, namespace: str, scope: Scope, options: dict[str, Any]
    ) -> None:
        for room in (*scope.rooms, *scope.excepted, *options.get("rooms", ())):
            self._check(room)
        await super()._change(change, namespace, scope, options)

    def _check(self, room: Any) -> None:
        if self._relay is not None:
            self._relay.check(room)

    # Acknowledgements of one client of another worker.

    def _call(
        self,
        owner: str,
        event: str,
        data: Any,
        namespace: str,
        sid: str,
        callback: Callback,
    ) -> None:
        packed, binary = self._pack(arguments_of(data))
        number = next(self._ids)
        self._waiting.add(number, callback)
        self._called[number] = owner
        if len(self._called) > 2 * len(self.callbacks) + 100:
            self._called = {
                n: t for n, t in self._called.items() if n in self.callbacks
            }
        message = {
            "method": "call",
            "id": number,
            "event": event,
            "data": packed,
            "binary": binary,
            "namespace": namespace,
            "sid": sid,
        }
        if not self._post(message, owner):
            self._give_up(number)

    def _take_callback(self, sid: Any, id: int) -> Callback | None:
        self._called.pop(id, None)
        return super()._take_callback(sid, id)

    def _forget_callback(self, reply: Reply) -> None:
        super()._forget_callback(reply)
        if reply.number is not None:
            self._called.pop(reply.number, None)

    def _give_up(self, number: int) -> None:
        """No acknowledgement will come."""
        callback = self._take_callback(None, number)
        if isinstance(callback, Reply):
            callback.give_up(
                CallDisconnectedError("the client of another worker has gone")
            )

    def _on_call(self, tag: str, message: Message) -> None:
        asker = _Asker(self, tag, message)
        sid, ns = message["sid"], self._namespace(message["namespace"])
        event = [message["event"], *unpack(message["data"], message["binary"])]
        if ns is None or not ns.rooms.ask(event, sid, None, asker):
            asker.gone(sid)

    # From others.

    def _receive_frame(
        self, tag: str, payload: bytes, descriptor: Callable[[], int]
    ) -> None:
        assert self._relay is not None
        try:
            other = self._relay.receive(tag, payload)
            if other is not None:
                self._receive_other(tag, other)
        except (KeyError, TypeError, ValueError, RecursionError) as exc:
            counters = self.server.eio.engine.counters
            counters[REFUSED] += 1
            if not self._refused:
                self._refused = True
                self._get_logger().warning(
                    "a message of worker %d is refused: %r", number_of(tag), exc
                )
        except BaseException as exc:
            contain(
                asyncio.get_running_loop(),
                self._get_logger(),
                exc,
                "a message of another worker {}",
            )

    def _receive_other(self, tag: str, payload: bytes) -> None:
        message = self.json.loads(payload)
        if not isinstance(message, dict):
            raise TypeError("an object expected")
        if message["method"] == "call":
            self._on_call(tag, message)
        elif message["method"] == "gone":
            self._give_up(message["id"])
        elif message["method"] == "admin":
            if self.server._instrumented is not None:
                self.server._instrumented.hear(message)
        else:
            if message["method"] != "callback":
                message["host_id"] = tag
            receive(self, message)
            self._relay_rooms(tag, message["method"], message, expected=False)

    def _relay_rooms(
        self, tag: str, method: str, message: Message, *, expected: bool
    ) -> None:
        """A message may put clients into rooms: that worker expects events to these
        from now on, or this one says which rooms have members now."""
        if method == "enter_room":
            rooms = [message["room"]]
        elif method == "change" and message["change"] == "join":
            rooms = list(message["rooms"])
        else:
            return
        assert self._relay is not None
        tell = self._relay.expect if expected else self._relay.confirm
        tell(tag, message["namespace"], rooms)


class _Workers(Cluster):
    """The other workers: the links say which there are."""

    async def discover(self) -> None:
        """Nothing: they are known."""

    def fail(self, number: int, tag: str) -> None:
        """A request does not reach a worker."""
        failed = self._failures.get(number)
        if failed is not None:
            failed(tag)

    def receive(self, message: Message) -> None:
        """Handle a message of another worker."""
        if message["host_id"] in self.hosts:
            super().receive(message)


class _Asker:
    """Passes the acknowledgement of one client to the worker that asked for it."""

    def __init__(self, manager: WorkersManager, tag: str, message: Message) -> None:
        self._manager = manager
        self._tag = tag
        self._number = message["id"]
        self._namespace = message["namespace"]

    def answered(self, sid: str, arguments: list[Any]) -> None:
        """The client has answered."""
        manager = self._manager
        manager.cluster.spawn(
            manager._return_callback(
                self._tag, sid, self._namespace, self._number, *arguments
            )
        )

    def gone(self, sid: str) -> None:
        """The client has gone, or was not there."""
        self._manager._post({"method": "gone", "id": self._number}, self._tag)


def _named(packet_class: Any) -> str:
    """The JSON that a packet class encodes with."""
    json = getattr(packet_class, "json", None)
    return str(getattr(json, "__name__", type(json).__qualname__))


def _ignore(tag: str, payload: bytes, descriptor: Callable[[], int]) -> None:
    """A message came while this worker leaves."""
