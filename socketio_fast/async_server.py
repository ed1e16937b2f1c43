"""The Socket.IO server (revision 5), with python-socketio's names."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, TypeVar, overload

from socketio_fast import exceptions, hosting
from socketio_fast._core.emitter import Emitter
from socketio_fast._core.peer import Hub, Namespace, Peer
from socketio_fast._core.rooms import Rooms
from socketio_fast.engineio.async_server import AsyncServer as EngineServer
from socketio_fast.engineio.async_server import Reason
from socketio_fast.logs import Logger, choose_logger
from socketio_fast.managers.async_manager import AsyncManager
from socketio_fast.signatures import adapt

__all__ = ["AsyncServer"]

Handler = Callable[..., Any]
F = TypeVar("F", bound=Handler)


class AsyncServer(Emitter):
    """A Socket.IO server for asyncio.

    Example::

        sio = socketio_fast.AsyncServer()

        @sio.event
        async def chat(sid, text):
            await sio.emit("chat", text, skip_sid=sid)

        socketio_fast.run(sio, port=5000)

    Args:
        client_manager: What tells other processes of events and rooms, one of
            :mod:`socketio_fast.managers`; ``None`` for a single process.
        logger: Whether events are logged, or the logger to use.
        async_handlers: Whether a client's next handler may start before its last has
            ended (``True``). They start in the order its messages came.
        namespaces: Namespaces that accept clients although they have no handlers: a
            list, or ``"*"`` for all. ``None`` is ``["/"]``.
        connect_timeout: Seconds for a client to join a namespace (45).
        max_attachments: Binary attachments of one message, at most (10).
        engineio_logger: Whether events of connections are logged, or the logger to use.
        **options: Those of :class:`socketio_fast.engineio.AsyncServer`.

    Raises:
        ValueError: An option has a value that is not allowed.
        TypeError: There is no such option, or the manager is not one of this package.
    """

    reason: ClassVar[type[Reason]] = Reason
    reserved_events: ClassVar[list[str]] = ["connect", "disconnect"]
    default_path: ClassVar[str] = "/socket.io/"

    def __init__(
        self,
        client_manager: AsyncManager | None = None,
        *,
        logger: bool | Logger = False,
        async_handlers: bool = True,
        namespaces: Sequence[str] | str | None = None,
        connect_timeout: float = 45,
        max_attachments: int = 10,
        engineio_logger: bool | Logger = False,
        **options: Any,
    ) -> None:
        if connect_timeout <= 0:
            raise ValueError(f"connect_timeout={connect_timeout!r}: seconds expected")
        if max_attachments < 0:
            raise ValueError(f"max_attachments={max_attachments!r}: a number expected")
        if isinstance(namespaces, str) and namespaces != "*":
            namespaces = [namespaces]
        self.namespaces = namespaces or ["/"]
        self.logger = choose_logger(logger, "socketio_fast.server")
        self.async_handlers = async_handlers
        self.handlers: dict[str, dict[Any, Handler]] = {}
        hub = Hub(
            admit=None if namespaces == "*" else frozenset(self.namespaces),
            generate_id=lambda: self.eio.generate_id(),
            new_rooms=Rooms,
            logger=self.logger,
            connect_timeout=connect_timeout,
            max_attachments=max_attachments,
            ordered=not async_handlers,
            verbose=self.logger.isEnabledFor(logging.INFO),
        )
        self._bind_hub(hub)
        manager = _manager(client_manager)
        #: Who is in which room, and what other processes are told.
        self.manager: AsyncManager = manager
        self.manager_initialized = False
        manager.set_server(self)
        if type(manager).emit is not AsyncManager.emit:
            self._bind_manager(manager)
        #: The Engine.IO server below, a :class:`socketio_fast.engineio.AsyncServer`.
        self.eio = EngineServer(logger=engineio_logger, _factory=hub, **options)

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run on this event loop; ``serve`` calls it."""
        if self.manager_initialized and self.eio.engine.loop is not loop:
            self.manager_initialized = False  # what it began was on the other loop
        self.eio.bind(loop)
        if not self.manager_initialized:
            self.manager_initialized = True
            self.manager.initialize()

    def is_asyncio_based(self) -> bool:
        """``True``."""
        return True

    # Handlers.

    @overload
    def on(
        self, event: str, handler: None = None, namespace: str | None = None
    ) -> Callable[[F], F]: ...

    @overload
    def on(self, event: str, handler: F, namespace: str | None = None) -> F: ...

    def on(
        self, event: str, handler: F | None = None, namespace: str | None = None
    ) -> F | Callable[[F], F]:
        """Register the handler of an event, or decorate it.

        ``connect`` gets ``(sid, environ, auth)``, or ``(sid, environ)`` if it takes no
        more, and refuses the client by returning ``False`` or raising
        :class:`~socketio_fast.exceptions.ConnectionRefusedError`. ``disconnect`` gets
        ``(sid, reason)`` or ``(sid)``. Others get ``(sid, *arguments)``, and what they
        return is acknowledged: ``None`` as nothing, a tuple as several arguments.

        Args:
            event: The name, or ``"*"`` for events without a handler, which get the
                event before the ``sid``.
            handler: A function or coroutine function. It starts as soon as the event
                is received; what it raises is logged.
            namespace: The namespace, ``"/"`` by default; ``"*"`` for those without a
                handler, which get the namespace before the ``sid``.

        Raises:
            ValueError: A ``connect`` or ``disconnect`` handler takes other arguments.
        """
        name = namespace or "/"

        def register(function: F) -> F:
            adapted: Handler = function
            if event in self.reserved_events:
                arguments: tuple[str, ...] = (
                    ("sid", "environ", "auth")
                    if event == "connect"
                    else ("sid", "reason")
                )
                if name == "*":
                    arguments = ("namespace", *arguments)
                adapted = adapt(function, event, arguments)
            self.handlers.setdefault(name, {})[event] = function
            self._hub.namespace(name).set_handler(event, adapted)
            return function

        return register if handler is None else register(handler)

    @overload
    def event(self, handler: F, /) -> F: ...

    @overload
    def event(self, *, namespace: str | None = None) -> Callable[[F], F]: ...

    def event(self, *args: Any, **kwargs: Any) -> Any:
        """Decorate the handler of the event that is named as the function.

        ``@sio.event`` or ``@sio.event(namespace="/chat")``; see :meth:`on`.
        """
        if len(args) == 1 and not kwargs and callable(args[0]):
            return self.on(args[0].__name__, args[0])

        def register(function: Handler) -> Any:
            return self.on(function.__name__, function, *args, **kwargs)

        return register

    # Sending.

    # emit() is compiled: socketio_fast/_core/emitter.pyx.

    async def send(
        self,
        data: Any,
        to: Any = None,
        room: Any = None,
        skip_sid: str | Sequence[str] | None = None,
        namespace: str | None = None,
        callback: Handler | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Send the event ``message``; see :meth:`emit`."""
        await self.emit(
            "message",
            data=data,
            to=to,
            room=room,
            skip_sid=skip_sid,
            namespace=namespace,
            callback=callback,
            ignore_queue=ignore_queue,
        )

    async def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """Send an event to one client, and wait for its acknowledgement.

        Args:
            event: The name.
            data: See :meth:`emit`.
            to: The client's ``sid``.
            sid: The same as ``to``.
            namespace: The namespace, ``"/"`` by default.
            timeout: Seconds to wait, ``None`` without limit.
            ignore_queue: Accepted; there is one process.

        Returns:
            ``None`` for an acknowledgement without arguments, the argument for one, a
            tuple for several.

        Raises:
            ValueError: Neither ``to`` nor ``sid`` is given.
            RuntimeError: The server has ``async_handlers=False``: the acknowledgement
                would wait for the handler that waits for it.
            TimeoutError: No acknowledgement came in time.
            CallDisconnectedError: The client has gone; a ``TimeoutError`` as well.
        """
        target = sid if to is None else to
        if target is None:
            raise ValueError("Cannot use call() to broadcast.")
        if not self.async_handlers:
            raise RuntimeError("Cannot use call() when async_handlers is False.")
        peer = self._peer(target, namespace)
        if peer is None or not peer.reachable:
            raise exceptions.CallDisconnectedError(f"{target} is not connected")
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        peer.namespace.rooms.emit(_event(event, data), target, None, future)
        try:
            answer = await asyncio.wait_for(future, timeout)
        except asyncio.TimeoutError:
            if future.done() and not future.cancelled():
                raise  # the client has gone
            raise exceptions.TimeoutError(
                f"{target} did not acknowledge {event!r} in {timeout} s"
            ) from None
        finally:
            peer.cancel_ack(future)
        if len(answer) > 1:
            return tuple(answer)
        return answer[0] if answer else None

    # Rooms.

    async def enter_room(
        self, sid: str, room: Any, namespace: str | None = None
    ) -> None:
        """Put a client into a room (any hashable value but ``None``).

        Raises:
            ValueError: The client is not connected, or the room is another's ``sid``.
        """
        await self.manager.enter_room(sid, namespace or "/", room)

    async def leave_room(
        self, sid: str, room: Any, namespace: str | None = None
    ) -> None:
        """Take a client out of a room; nothing happens if it is not in it."""
        await self.manager.leave_room(sid, namespace or "/", room)

    async def close_room(self, room: Any, namespace: str | None = None) -> None:
        """Take every client out of a room.

        Raises:
            ValueError: The room is a client's ``sid``.
        """
        await self.manager.close_room(room, namespace or "/")

    def rooms(self, sid: str, namespace: str | None = None) -> list[Any]:
        """The rooms that a client is in; the first is its own, named by its ``sid``."""
        return self.manager.get_rooms(sid, namespace or "/")

    # Clients.

    async def get_session(
        self, sid: str, namespace: str | None = None
    ) -> dict[str, Any]:
        """The application's data of a client in a namespace, a dict.

        It is kept while the client is there; changes to it last.

        Raises:
            KeyError: The client is not connected.
        """
        session = self._known(sid, namespace).session
        if session.data is None:
            session.data = {}
        data: dict[str, Any] = session.data.setdefault(namespace or "/", {})
        return data

    async def save_session(
        self, sid: str, session: dict[str, Any], namespace: str | None = None
    ) -> None:
        """Replace the application's data of a client in a namespace.

        Raises:
            KeyError: The client is not connected.
        """
        connection = self._known(sid, namespace).session
        if connection.data is None:
            connection.data = {}
        connection.data[namespace or "/"] = session

    @asynccontextmanager
    async def session(
        self, sid: str, namespace: str | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """The application's data of a client; changes in the block last.

        Example::

            async with sio.session(sid) as session:
                session["name"] = name

        Raises:
            KeyError: The client is not connected.
        """
        yield await self.get_session(sid, namespace)

    def get_environ(
        self, sid: str, namespace: str | None = None
    ) -> dict[str, Any] | None:
        """The handshake request as a WSGI environment; ``None`` for no such client."""
        peer = self._peer(sid, namespace)
        return None if peer is None else peer.session.environ

    def transport(self, sid: str, namespace: str | None = None) -> str:
        """``"polling"`` or ``"websocket"``.

        Raises:
            KeyError: The client is not connected.
        """
        return self._known(sid, namespace).session.transport_name

    async def disconnect(
        self, sid: str, namespace: str | None = None, ignore_queue: bool = False
    ) -> None:
        """Disconnect a client from a namespace, and wait for the disconnect handler.

        Nothing happens if it is not connected. If it is another process's, that one
        is asked, and not waited for.

        Args:
            sid: The client.
            namespace: The namespace, ``"/"`` by default.
            ignore_queue: Whether clients of other processes are let alone.
        """
        if not ignore_queue and not await self.manager.can_disconnect(
            sid, namespace or "/"
        ):
            return
        peer = self._peer(sid, namespace)
        if peer is not None:
            handler = peer.disconnect()
            if handler is not None:
                await asyncio.shield(handler)

    async def handle_request(self, *args: Any, **kwargs: Any) -> Any:
        """Answer a request that a framework has received; :class:`ASGIApp` calls it.

        Args:
            *args: ``(scope, receive, send)`` of ASGI, or a request of aiohttp or sanic.
            **kwargs: Ignored.

        Raises:
            TypeError: It is something else.
        """
        return await hosting.handle_request(self, *args)

    def attach(self, app: Any, socketio_path: str = "socket.io") -> None:
        """Serve a path of an application of aiohttp or sanic.

        Raises:
            TypeError: It is something else.
        """
        hosting.attach(self, app, socketio_path)

    async def shutdown(self) -> None:
        """Disconnect every client; they may connect again."""
        await self.eio.shutdown()

    # Background tasks.

    def start_background_task(
        self, target: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **kwargs: Any
    ) -> asyncio.Task[Any]:
        """Start a coroutine function as a task, and return that."""
        return self.eio.start_background_task(target, *args, **kwargs)

    async def sleep(self, seconds: float = 0) -> None:
        """Sleep for so many seconds."""
        await asyncio.sleep(seconds)

    def _peer(self, sid: str, namespace: str | None) -> Peer | None:
        ns: Namespace | None = self._hub.namespaces.get(namespace or "/")
        return None if ns is None else ns.peers.get(sid)

    def _known(self, sid: str, namespace: str | None) -> Peer:
        peer = self._peer(sid, namespace)
        if peer is None:
            raise KeyError("Session not found")
        return peer


def _manager(option: Any) -> AsyncManager:
    if option is None:
        return AsyncManager()
    # Those for programs that are not asyncio's have one for those that are.
    manager = getattr(option, "async_manager", option)
    if not isinstance(manager, AsyncManager):
        kind = type(option)
        raise TypeError(
            f"client_manager is a {kind.__module__}.{kind.__name__}: one of "
            "socketio_fast's managers expected, or of a subclass of those"
        )
    return manager


def _event(event: str, data: Any) -> list[Any]:
    if data is None:
        return [event]
    if isinstance(data, tuple):
        return [event, *data]
    return [event, data]
