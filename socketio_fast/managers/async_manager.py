"""The default manager of asyncio servers: one process."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from socketio_fast._core.socketio.acks import Reply
from socketio_fast._core.socketio.rooms import check_sendable, one_or_several
from socketio_fast.event_arguments import arguments_of
from socketio_fast.managers.base import BaseManager
from socketio_fast.options.logs import escaped
from socketio_fast.overrides import is_overridden
from socketio_fast.sockets.handshake import describe
from socketio_fast.sockets.scope import Scope

__all__ = ["AsyncManager", "choose_manager"]


class AsyncManager(BaseManager):
    """Clients of one process; the default of :class:`socketio_fast.AsyncServer`.

    Subclass it to see or change what the server asks for: ``emit``, ``enter_room``,
    ``leave_room``, ``close_room``, ``can_disconnect``, and what a client's connection
    and disconnection consist of: ``pre_connect``, ``connect``, ``pre_disconnect``,
    ``disconnect``, ``basic_disconnect``, ``basic_enter_room``, ``basic_leave_room``.
    These are called as python-socketio does, and have to call that of ``super()``.
    """

    #: Whether it shares clients and rooms with other processes.
    _distributed: bool = False

    @property
    def healthy(self) -> bool:
        """Whether other processes can be reached; own clients always are."""
        return True

    async def pre_connect(self, eio_sid: str, namespace: str) -> Any:
        """Register a client that connects, before its connect handler runs.

        See :meth:`BaseManager.pre_connect
        <socketio_fast.base_manager.BaseManager.pre_connect>`.
        """
        return super().pre_connect(eio_sid, namespace)

    async def connect(self, sid: str, namespace: str) -> Any:
        """Connect a client that is registered; its connect handler has accepted it.

        See :meth:`BaseManager.connect
        <socketio_fast.base_manager.BaseManager.connect>`.
        """
        return super().connect(sid, namespace)

    async def can_disconnect(self, sid: str, namespace: str) -> bool:
        """Whether the server itself can disconnect this client."""
        peer = self._peer(sid, namespace)
        return peer is not None and peer.reachable

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: str | Sequence[str] | None = None,
        callback: Callable[..., Any] | None = None,
        to: Any = None,
        **kwargs: Any,
    ) -> None:
        """Send an event; see :meth:`socketio_fast.AsyncServer.emit`.

        Raises:
            TypeError: ``data`` is not JSON with bytes in it.
        """
        to = one_or_several(room if to is None else to)
        skip_sid = one_or_several(skip_sid)
        message = [event, *arguments_of(data)]
        blocked = self._emit_here(message, namespace, to, skip_sid, callback)
        if blocked is not None:
            await blocked

    async def disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Disconnect a client; nothing happens if it is not there."""
        self._disconnect_client(sid, namespace, **kwargs)

    async def enter_room(
        self, sid: str, namespace: str, room: Any, eio_sid: str | None = None
    ) -> None:
        """Put a client into a room.

        Raises:
            ValueError: The client is not connected, or the room is another's ``sid``.
        """
        self.basic_enter_room(sid, namespace, room, eio_sid=eio_sid)

    async def leave_room(self, sid: str, namespace: str, room: Any) -> None:
        """Take a client out of a room; nothing happens if it is not in it."""
        self.basic_leave_room(sid, namespace, room)

    async def close_room(self, room: Any, namespace: str) -> None:
        """Take every client out of a room.

        Raises:
            ValueError: The room is a client's ``sid``.
        """
        self.basic_close_room(room, namespace)

    async def trigger_callback(self, sid: Any, id: int, data: Sequence[Any]) -> None:
        """Call the callback of an acknowledgement that another process reports.

        Args:
            sid: The room that the event was sent to.
            id: The number that it was sent with.
            data: The arguments of the acknowledgement.
        """
        callback = self._take_callback(sid, id)
        if callback is None:
            self._get_logger().debug(
                "unknown acknowledgement %r from %s", id, escaped(sid)
            )
            return
        result = callback(*data)
        if inspect.isawaitable(result):
            await result

    async def close(self) -> None:
        """End what :meth:`initialize` has begun; called by a server that stops."""

    def _emit_here(
        self,
        data: list[Any],
        namespace: str,
        to: Any,
        skip_sid: Any,
        callback: Callable[..., Any] | None = None,
        *,
        compress: bool = True,
        volatile: bool = False,
    ) -> Awaitable[Any] | None:
        """Send an event to clients of this process; returns a Future to wait for."""
        ns = self._namespace(namespace)
        if ns is None:
            if self.server is not None:
                check_sendable(self.server._hub, namespace, data)
            return None
        return ns.rooms.emit(data, to, skip_sid, callback, compress, volatile)

    # Called by broadcasts, see socketio_fast.sockets.broadcast.

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
        if not scope.local and not self.server._emits_itself:
            # A subclass is to see what is sent.
            skipped = self._skipped(namespace, scope)
            await self.emit(
                event, tuple(args), namespace, room=scope.to, skip_sid=skipped
            )
            return
        blocked = self._broadcast_here(
            [event, *args], namespace, scope, volatile=volatile, compress=compress
        )
        if blocked is not None:
            await blocked

    def _broadcast_here(
        self,
        data: list[Any],
        namespace: str,
        scope: Scope,
        *,
        compress: bool,
        volatile: bool,
    ) -> Awaitable[Any] | None:
        return self._emit_here(
            data,
            namespace,
            scope.to,
            self._skipped(namespace, scope),
            compress=compress,
            volatile=volatile,
        )

    def _skipped(self, namespace: str, scope: Scope) -> list[str] | None:
        ns = self._namespace(namespace)
        return None if ns is None else scope.skipped(ns)

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
        ns = self._namespace(namespace)
        if ns is not None:
            answers.asked(
                ns.rooms.ask(
                    [event, *args], scope.to, scope.skipped(ns), answers, compress
                )
            )

    async def _fetch(self, namespace: str, scope: Scope) -> list[dict[str, Any]]:
        return self._fetch_here(namespace, scope)

    def _fetch_here(self, namespace: str, scope: Scope) -> list[dict[str, Any]]:
        ns = self._namespace(namespace)
        return [] if ns is None else [describe(peer) for peer in scope.peers(ns)]

    async def _change(
        self, change: str, namespace: str, scope: Scope, options: dict[str, Any]
    ) -> None:
        self._change_here(change, namespace, scope, options)

    def _change_here(
        self, change: str, namespace: str, scope: Scope, options: dict[str, Any]
    ) -> None:
        ns = self._namespace(namespace)
        for peer in [] if ns is None else scope.peers(ns):
            if change == "disconnect":
                others = peer.client.peers if options.get("close") else [peer]
                for other in others:
                    other.disconnect()
                if options.get("close"):
                    peer.session.disconnect()
                continue
            for room in options["rooms"]:
                if change == "join":
                    self.basic_enter_room(peer.sid, namespace, room)
                else:
                    self.basic_leave_room(peer.sid, namespace, room)

    async def _server_side_emit(
        self, namespace: str, event: str, args: list[Any]
    ) -> None:
        """Nothing: there are no other servers."""

    async def _server_side_ask(
        self, namespace: str, event: str, args: list[Any]
    ) -> list[Any]:
        return []

    async def _server_count(self) -> int:
        return 1

    def _take_callback(self, sid: Any, id: int) -> Callable[..., Any] | None:
        return None

    def _forget_callback(self, reply: Reply) -> None:
        """Drop the callback of an acknowledgement."""


def choose_manager(option: Any) -> AsyncManager:
    """What the option ``client_manager`` of an ``AsyncServer`` means.

    Raises:
        TypeError: It is no manager of this package, or one whose methods are only
            called by ``Server``.
    """
    if option is None:
        return AsyncManager()
    # Managers for threads have an asynchronous one.
    manager = getattr(option, "async_manager", option)
    if manager is not option:
        for name in ("emit", "enter_room", "leave_room", "close_room", "get_rooms"):
            if is_overridden(option, name):
                raise TypeError(
                    f"client_manager is a {type(option).__name__}, which overrides "
                    f"{name}(): that is only called by Server. Use it, or a subclass "
                    "of an asynchronous manager"
                )
    if not isinstance(manager, AsyncManager):
        kind = type(option)
        raise TypeError(
            f"client_manager is a {kind.__module__}.{kind.__name__}: one of "
            "socketio_fast's managers expected, or of a subclass of those"
        )
    return manager
