"""Class-based namespaces: the handlers of a namespace as methods of a class."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from socketio_fast._core.socketio.emitter import NamespaceEmitter
from socketio_fast.handlers.signatures import fit

if TYPE_CHECKING:
    from socketio_fast.events import AnyEvent

__all__ = ["AsyncNamespace", "BaseServerNamespace", "Namespace"]

# A namespace works with any server class, so the results of its methods are Any.
# mypy: disable-error-code="no-any-return"

P = ParamSpec("P")
R = TypeVar("R")


class BaseServerNamespace:
    """The base of the class-based namespaces.

    Args:
        namespace: The name of the namespace; ``None``, the default, is ``"/"``.
            ``"*"`` stands for every namespace that has no handlers of its own.
    """

    def __init__(self, namespace: str | None = None) -> None:
        #: The name of the namespace.
        self.namespace = namespace or "/"
        #: The server that this is registered with; ``None`` before that.
        self.server: Any = None

    def _set_server(self, server: Any) -> None:
        self.server = server

    def is_asyncio_based(self) -> bool:
        """Whether this namespace is for :class:`~socketio_fast.AsyncServer`."""
        return False

    def trigger_event(self, event: str, *args: Any) -> Any:
        """Call the method ``on_<event>``.

        Override this to route events differently.

        Args:
            event: The name of the event.
            *args: The arguments of the handler: the ``sid``, then what the client has
                sent. In namespace ``"*"``, the name of the namespace comes first.

        Returns:
            What the method returns; ``None`` if there is no such method.
        """
        handler = getattr(self, f"on_{event or ''}", None)
        if handler is None:
            return None
        if event in ("connect", "disconnect"):
            args = fit(handler, args)
        return handler(*args)

    def rooms(self, sid: str, namespace: str | None = None) -> list[Any]:
        """The rooms that a client is in; the first is the client's own, its ``sid``."""
        rooms: list[Any] = self.server.rooms(sid, namespace or self.namespace)
        return rooms

    def session(self, sid: str, namespace: str | None = None) -> Any:
        """A context manager that gives a client's session data, saved at the end.

        See :meth:`socketio_fast.AsyncServer.session`.
        """
        return self.server.session(sid, namespace=namespace or self.namespace)


class Namespace(BaseServerNamespace):
    """A class-based namespace for :class:`~socketio_fast.Server`.

    A method ``on_<event>`` handles the events of that name. The other methods are those
    of the server, with this namespace as the default of ``namespace``.

    Example::

        class Chat(socketio.Namespace):
            def on_connect(self, sid, environ, auth):
                self.enter_room(sid, "lobby")

            def on_message(self, sid, text):
                self.emit("message", text, room="lobby", skip_sid=sid)

        sio.register_namespace(Chat("/chat"))
    """

    def emit(
        self,
        event: AnyEvent,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Any = None,
        ignore_queue: bool = False,
    ) -> None:
        """Send an event; see :meth:`socketio_fast.AsyncServer.emit`."""
        return self.server.emit(
            event,
            data=data,
            to=to,
            room=room,
            skip_sid=skip_sid,
            namespace=namespace or self.namespace,
            callback=callback,
            ignore_queue=ignore_queue,
        )

    def send(
        self,
        data: Any,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Any = None,
        ignore_queue: bool = False,
    ) -> None:
        """Send the event ``message``; see :meth:`socketio_fast.AsyncServer.send`."""
        return self.server.send(
            data,
            to=to,
            room=room,
            skip_sid=skip_sid,
            namespace=namespace or self.namespace,
            callback=callback,
            ignore_queue=ignore_queue,
        )

    def call(
        self,
        event: AnyEvent,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = None,
        ignore_queue: bool = False,
    ) -> Any:
        """Send an event to one client, and wait for its acknowledgement.

        See :meth:`socketio_fast.AsyncServer.call`. Unlike there, ``timeout``, in
        seconds, is ``None`` by default: this waits without limit.
        """
        return self.server.call(
            event,
            data=data,
            to=to,
            sid=sid,
            namespace=namespace or self.namespace,
            timeout=timeout,
            ignore_queue=ignore_queue,
        )

    def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """Put a client into a room."""
        return self.server.enter_room(sid, room, namespace=namespace or self.namespace)

    def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """Take a client out of a room."""
        return self.server.leave_room(sid, room, namespace=namespace or self.namespace)

    def close_room(self, room: Any, namespace: str | None = None) -> None:
        """Take every client out of a room."""
        return self.server.close_room(room, namespace=namespace or self.namespace)

    def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """A client's session data, a dict of the application's."""
        return self.server.get_session(sid, namespace=namespace or self.namespace)

    def save_session(
        self, sid: str, session: dict[str, Any], namespace: str | None = None
    ) -> None:
        """Replace a client's session data."""
        return self.server.save_session(
            sid, session, namespace=namespace or self.namespace
        )

    def disconnect(self, sid: str, namespace: str | None = None) -> None:
        """Disconnect a client; see :meth:`socketio_fast.AsyncServer.disconnect`."""
        return self.server.disconnect(sid, namespace=namespace or self.namespace)


def _awaited(
    method: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """Make a coroutine function for :class:`AsyncNamespace` from a sync method.

    The method of :class:`Namespace` returns an awaitable if the server is an
    ``AsyncServer``; the coroutine function awaits it.
    """

    @functools.wraps(method)
    async def wait(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        awaitable: Any = method(self, *args, **kwargs)
        return await awaitable

    # Without the path to the method: mocks of Python 3.13 go along it, and find there a
    # function that is no coroutine function.
    wait.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    del wait.__wrapped__
    return wait


class AsyncNamespace(NamespaceEmitter, BaseServerNamespace):
    """A class-based namespace for :class:`~socketio_fast.AsyncServer`.

    A method ``on_<event>``, which may be a coroutine function, handles the events of
    that name. The other methods are those of the server, with this namespace as the
    default of ``namespace``.

    Example::

        class Chat(socketio.AsyncNamespace):
            async def on_connect(self, sid, environ, auth):
                await self.enter_room(sid, "lobby")

            async def on_message(self, sid, text):
                await self.emit("message", text, room="lobby", skip_sid=sid)

        sio.register_namespace(Chat("/chat"))
    """

    def is_asyncio_based(self) -> bool:
        """``True``."""
        return True

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Call the method ``on_<event>``, and await it if it is a coroutine function.

        See :meth:`socketio_fast.namespace.BaseServerNamespace.trigger_event`.
        """
        result = super().trigger_event(event, *args)
        return await result if inspect.isawaitable(result) else result

    # emit() comes from NamespaceEmitter in socketio_fast/_core/socketio/emitter.pyx.
    send = _awaited(Namespace.send)
    call = _awaited(Namespace.call)
    enter_room = _awaited(Namespace.enter_room)
    leave_room = _awaited(Namespace.leave_room)
    close_room = _awaited(Namespace.close_room)
    get_session = _awaited(Namespace.get_session)
    save_session = _awaited(Namespace.save_session)
    disconnect = _awaited(Namespace.disconnect)
