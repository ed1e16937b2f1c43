"""The default manager of asyncio servers: one process."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from socketio_fast.managers.base import BaseManager
from socketio_fast.managers.messages import arguments

__all__ = ["AsyncManager"]


class AsyncManager(BaseManager):
    """Clients of one process; the default of :class:`socketio_fast.AsyncServer`.

    Subclass it to see or change what the server asks for: ``emit``, ``enter_room``,
    ``leave_room``, ``close_room``, ``can_disconnect``.
    """

    async def pre_connect(self, eio_sid: str, namespace: str) -> Any:
        """Only the server connects clients.

        Raises:
            RuntimeError: Always.
        """
        super().pre_connect(eio_sid, namespace)

    async def connect(self, sid: str, namespace: str) -> Any:
        """Only the server connects clients.

        Raises:
            RuntimeError: Always.
        """
        super().connect(sid, namespace)

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
        to = room if to is None else to
        self._emit(event, arguments(data), namespace, to, skip_sid, callback)

    async def disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Disconnect a client; nothing happens if it is not there."""
        self.basic_disconnect(sid, namespace, **kwargs)

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
        """Call what waits for an acknowledgement that another process reports.

        Args:
            sid: The room that the event was sent to.
            id: The number that it was sent with.
            data: The arguments of the acknowledgement.
        """
        callback = self._take_callback(sid, id)
        if callback is None:
            self._get_logger().debug("unknown acknowledgement %s from %s", id, sid)
            return
        result = callback(*data)
        if inspect.isawaitable(result):
            await result

    async def close(self) -> None:
        """Let go of what :meth:`initialize` began; the server that stops calls it."""

    def _emit(
        self,
        event: str,
        args: list[Any],
        namespace: str,
        to: Any,
        skip_sid: Any,
        callback: Callable[..., Any] | None,
    ) -> None:
        ns = self._namespace(namespace)
        if ns is not None:
            ns.rooms.emit([event, *args], to, skip_sid, callback)

    def _take_callback(self, sid: Any, id: int) -> Callable[..., Any] | None:
        return None

    def _forget_callback(self, callback: Callable[..., Any]) -> None:
        """An acknowledgement is not waited for any more."""
