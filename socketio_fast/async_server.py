"""The Socket.IO server (revision 5), with python-socketio's names."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, overload

from socketio_fast import exceptions, hosting
from socketio_fast._core.socketio.acks import Reply
from socketio_fast._core.socketio.connection import ServerHub
from socketio_fast._core.socketio.emitter import Emitter
from socketio_fast._core.socketio.hub import Namespace
from socketio_fast._core.socketio.recovery import Kept
from socketio_fast._core.socketio.rooms import Rooms
from socketio_fast.base_server import BaseServer, Handler
from socketio_fast.coroutines import on_loop
from socketio_fast.engineio.async_server import AsyncServer as EngineServer
from socketio_fast.engineio.flow import wait_below
from socketio_fast.event_arguments import arguments_of
from socketio_fast.events import name_of
from socketio_fast.managers.async_manager import AsyncManager, choose_manager
from socketio_fast.managers.base import BaseManager
from socketio_fast.options.config import (
    AsyncHandlers,
    EngineConfig,
    EngineServerConfig,
    is_ordered,
)
from socketio_fast.options.declare import declared, known, takes
from socketio_fast.options.encoding import choose_encoding
from socketio_fast.options.logs import AnyLogger, choose_logger, escaped
from socketio_fast.options.recovery import choose_recovery
from socketio_fast.options.server import ServerConfig
from socketio_fast.overrides import is_overridden
from socketio_fast.serving.drain import DrainSummary
from socketio_fast.sockets.acknowledgements import wait_for_answer
from socketio_fast.sockets.broadcast import Broadcasting, BroadcastOperator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Unpack

    from socketio_fast.admin.async_admin import InstrumentedAsyncServer
    from socketio_fast.events import AnyEvent
    from socketio_fast.handlers.dependencies import Given
    from socketio_fast.options.typed import ServerOptions
    from socketio_fast.sockets.namespace import (
        ParentNamespace,
        Predicate,
        SocketNamespace,
    )

__all__ = ["AsyncServer"]

T = TypeVar("T")


@takes(ServerConfig, EngineConfig, EngineServerConfig)
class AsyncServer(Emitter, Broadcasting, BaseServer):
    """A Socket.IO server for asyncio.

    Example::

        sio = socketio.AsyncServer()

        @sio.event
        async def chat(sid, text):
            await sio.emit("chat", text, skip_sid=sid)

        socketio.run(sio, port=5000)

    Args:
        **options: Those of docs/options.md; ``help()`` shows them here.

    Raises:
        ValueError: An option has a value that is not allowed.
        TypeError: There is no such option, the manager is not one of this package, or
            ``json`` cannot be used.
        ImportError: ``serializer="msgpack"``, and msgpack is not installed.
    """

    default_path: ClassVar[str] = "/socket.io/"
    #: The Engine.IO server below, a :class:`socketio_fast.engineio.AsyncServer`.
    eio: EngineServer

    # The namespaces as objects; they are made when of() is called first.
    _namespaces: Any = ()

    def __init__(
        self,
        client_manager: BaseManager | None = None,
        logger: bool | AnyLogger = False,
        json: Any = None,
        async_handlers: AsyncHandlers = True,
        namespaces: Iterable[str] | str | None = None,
        *,
        serializer: str | type[Any] = "default",
        always_connect: bool = False,
        async_mode: str | None = None,
        **options: Unpack[ServerOptions],
    ) -> None:
        given: dict[str, Any] = known(
            "AsyncServer", options, ServerConfig, EngineConfig, EngineServerConfig
        )
        own = declared(ServerConfig)
        config = ServerConfig(
            client_manager=client_manager,
            logger=logger,
            json=json,
            async_handlers=async_handlers,
            namespaces=namespaces,
            serializer=serializer,
            always_connect=always_connect,
            **{name: value for name, value in given.items() if name in own},
        )
        self.namespaces: Sequence[str] = cast("Sequence[str]", config.namespaces)
        self.logger = choose_logger(logger, "socketio_fast.server")
        self.async_handlers = async_handlers
        self.always_connect = always_connect
        self.cleanup_empty_child_namespaces = config.cleanup_empty_child_namespaces
        #: Whether handlers that are annotated with models get validated arguments.
        self.validate_handlers: bool = config.validate_handlers
        #: The class that encodes and decodes packets, or would.
        self.packet_class, encoding = choose_encoding(serializer, json)
        recovery = choose_recovery(config.connection_state_recovery)
        client_files = None
        if config.serve_client is not None and config.serve_client is not False:
            from socketio_fast.serving.client_files import choose_client_files

            client_files = choose_client_files(config.serve_client)
        hub = ServerHub(
            admit=config.admitted,
            new_rooms=Rooms,
            logger=self.logger,
            connect_timeout=config.connect_timeout,
            max_attachments=config.max_attachments,
            max_incomplete_bytes=config.max_incomplete_bytes,
            max_pending_acks=config.max_pending_acks,
            ordered=is_ordered(async_handlers),
            error_acks=config.error_acks,
            always_connect=always_connect,
            verbose=self.logger.isEnabledFor(logging.INFO),
            encoding=encoding,
            new_recovery=(
                None if recovery is None else partial(recovery.new_backlog, Kept())
            ),
        )
        self._recovers = recovery is not None
        self._bind_hub(hub)
        super().__init__(
            EngineServer(
                async_mode=async_mode,
                logger=config.engineio_logger or False,
                json=json,
                _factory=hub,
                **{name: value for name, value in given.items() if name not in own},
            )
        )
        self.eio.engine.client_files = client_files
        self.async_mode = self.eio.async_mode
        # Without one given, that of workers takes its place in a cluster.
        self._manager_given = client_manager is not None
        manager = choose_manager(client_manager)
        #: Who is in which room, and what other processes are told.
        self.manager: AsyncManager = manager
        self.manager_initialized = False
        self._instrumented: InstrumentedAsyncServer | None = None
        # What is measured (contrib/measures.py), and what shows that to other workers.
        self._measures: Any = None
        self._shown: Callable[[], bytes] | None = None
        manager.set_server(self)
        # The manager need not see what is sent to clients of this process.
        self._emits_itself = not is_overridden(manager, "emit")
        # The methods by which the manager is to see the rooms of such clients change.
        changes = ("enter_room", "leave_room")
        self._seen_changes = [name for name in changes if is_overridden(manager, name)]
        if manager._distributed or not self._emits_itself:
            self._bind_manager(manager)

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run on this event loop; ``serve`` calls it."""
        moves = self.eio.engine.loop is not loop
        self.eio.bind(loop)
        if moves or not self.manager_initialized:
            self.manager_initialized = True
            self._choose_for_workers()
            self.manager.initialize()
            if self._instrumented is not None:
                self._instrumented.begin()
            if self._measures is not None:
                self._measures.begin()
            if self.eio.membership is not None:
                self.eio.membership.scrapes.render = self._shown

    def _choose_for_workers(self) -> None:
        membership = self.eio.membership
        if membership is None:
            return
        if self._recovers:
            membership.recover(self._hub)
        if not self._manager_given:
            from socketio_fast.cluster.manager import WorkersManager

            self.manager = WorkersManager(membership.mesh)
            self.manager.set_server(self)
        elif not self.manager._distributed:
            self.logger.warning(
                "client_manager=%s is of one process: the workers share no rooms. "
                "Leave it out, or use one that has a broker",
                type(self.manager).__name__,
            )

    def is_bound(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether it runs on this event loop; hosts call it."""
        return self.manager_initialized and self.eio.is_bound(loop)

    def _log(self, message: str, *args: Any) -> None:
        if self.logger.isEnabledFor(logging.INFO):
            self.logger.info(message, *map(escaped, args))

    async def unbind(self) -> None:
        """Release the event loop: close the connections of the manager."""
        self.manager_initialized = False
        if self._measures is not None:
            self._measures.stop()
        if self._instrumented is not None:
            # Figures that it publishes would open connections of the manager again.
            await self._instrumented.shutdown()
        await self.manager.close()
        self._hub.take_back = None
        if self.eio.membership is not None and not self._manager_given:
            self.manager = choose_manager(None)
            self.manager.set_server(self)
        await self.eio.unbind()

    def is_asyncio_based(self) -> bool:
        """``True``."""
        return True

    @overload
    def of(self, name: str) -> SocketNamespace: ...

    @overload
    def of(self, name: re.Pattern[str] | Predicate) -> ParentNamespace: ...

    def of(
        self, name: str | re.Pattern[str] | Predicate
    ) -> SocketNamespace | ParentNamespace:
        """Get a namespace as an object: the socket API, beside functions as handlers.

        Example::

            chat = sio.of("/chat")

            @chat.on("connection")
            async def connection(socket):
                @socket.on("message")
                async def message(text):
                    await socket.broadcast.emit("message", text)

        Args:
            name: The name of a namespace, which accepts clients from now on. Or which
                namespaces are made when a client asks for them: a pattern as
                ``"/org/{org}/chat"``, whose parameters are in ``nsp.params``; a
                compiled regular expression, which is searched for in the name; or a
                function of the name and the client's ``auth``, or a coroutine function,
                that returns whether there is such a namespace. It is not asked again
                while the namespace is there.

        Returns:
            The same object each time: a ``SocketNamespace``, or for many a
            ``ParentNamespace``.

        Raises:
            TypeError: It is something else.
            ValueError: There can be no such namespace.
        """
        # Before the check: another thread could pass it too while this one imports.
        from socketio_fast.sockets.registry import Namespaces

        if not self._namespaces:
            self._namespaces = Namespaces(self)
        found: SocketNamespace | ParentNamespace = self._namespaces.of(name)
        return found

    def _given(self) -> Mapping[str, Given]:
        from socketio_fast.sockets.given import given_by
        from socketio_fast.sockets.socket import Socket

        return given_by(self, self, Socket, lambda socket: socket)

    # Sending.

    def _broadcast(self) -> BroadcastOperator:
        return BroadcastOperator(self, ("/",))

    async def server_count(self) -> int:
        """The number of servers that share the manager, this one included."""
        return await self.manager._server_count()

    # emit() is compiled: socketio_fast/_core/socketio/emitter.pyx.

    async def _on_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a method on the server's event loop. It was called in another thread."""
        loop = self.eio.engine.loop
        assert loop is not None
        return await on_loop(loop, coroutine)

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

    async def flushed(
        self, sid: str, namespace: str | None = None, *, below: int = 0
    ) -> None:
        """Wait until everything that was sent to a client before has left.

        That is, until no more than ``below`` bytes are left, of all its namespaces; it
        does not wait for what is held back while a connect handler runs.

        Args:
            sid: The client's ``sid``, of this process.
            namespace: The namespace, ``"/"`` by default.
            below: Bytes that may be left.

        Raises:
            DisconnectedError: The client has gone, or goes while this waits.
        """
        peer = self._peer(sid, namespace)
        if (
            peer is None
            or not peer.reachable
            or not await wait_below(peer.session, below)
        ):
            raise exceptions.DisconnectedError(self._gone(sid, namespace))

    async def call(
        self,
        event: AnyEvent,
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
            ignore_queue: Whether a client of another process is not asked.

        Returns:
            ``None`` for an acknowledgement without arguments, the argument for one, a
            tuple for several.

        Raises:
            ValueError: Neither ``to`` nor ``sid`` is given.
            RuntimeError: The server has ``async_handlers=False``: the acknowledgement
                would wait for the handler that waits for it. Or the client's own
                connect handler would wait, without ``always_connect``: the client
                answers nothing before that has ended.
            TimeoutError: No acknowledgement came in time, or more than
                ``max_pending_acks`` later ones of this client are waited for.
            CallDisconnectedError: The client has gone; a ``TimeoutError`` as well.
        """
        target = sid if to is None else to
        if target is None:
            raise ValueError("Cannot use call() to broadcast.")
        if self.eio.engine.elsewhere:
            return await self._on_loop(
                self.call(event, data, target, None, namespace, timeout, ignore_queue)
            )
        name = name_of(event)
        if not self.async_handlers:
            raise RuntimeError("Cannot use call() when async_handlers is False.")
        peer = self._peer(target, namespace)
        here = peer is not None and peer.reachable
        if not here and (ignore_queue or not self.manager._distributed):
            raise exceptions.CallDisconnectedError(self._gone(target, namespace))
        if peer is not None and here:
            peer.check_ask()
        reply = Reply(asyncio.get_running_loop().create_future())
        try:
            if peer is not None and here and self._emits_itself:
                sent = [name, *arguments_of(data)]
                if self._hub.tracer is not None:
                    sent = self._hub.tracer.sending(namespace or "/", sent, target)
                peer.namespace.rooms.emit(sent, target, None, reply)
            else:
                await self.emit(
                    name,
                    data,
                    to=target,
                    namespace=namespace,
                    callback=reply,
                    ignore_queue=ignore_queue,
                )
            return await wait_for_answer(reply, target, name, timeout)
        finally:
            self.manager._forget_callback(reply)
            if peer is not None:
                peer.cancel_ack(reply)
            del reply  # see wait_for_answer()

    # Rooms.

    async def enter_room(
        self, sid: str, room: Any, namespace: str | None = None
    ) -> None:
        """Put a client into a room (any hashable value but ``None``).

        Raises:
            ValueError: The client is not connected, or the room is another's ``sid``.
        """
        if self.eio.engine.elsewhere:
            await self._on_loop(self.enter_room(sid, room, namespace))
            return
        self._log("%s is entering room %s [%s]", sid, room, namespace or "/")
        await self.manager.enter_room(sid, namespace or "/", room)

    async def leave_room(
        self, sid: str, room: Any, namespace: str | None = None
    ) -> None:
        """Take a client out of a room. Nothing happens if it is not in the room."""
        if self.eio.engine.elsewhere:
            await self._on_loop(self.leave_room(sid, room, namespace))
            return
        self._log("%s is leaving room %s [%s]", sid, room, namespace or "/")
        await self.manager.leave_room(sid, namespace or "/", room)

    async def close_room(self, room: Any, namespace: str | None = None) -> None:
        """Take every client out of a room.

        Raises:
            ValueError: The room is a client's ``sid``.
        """
        if self.eio.engine.elsewhere:
            await self._on_loop(self.close_room(room, namespace))
            return
        self._log("room %s is closing [%s]", room, namespace or "/")
        await self.manager.close_room(room, namespace or "/")

    # Clients.

    async def get_session(
        self, sid: str, namespace: str | None = None
    ) -> dict[str, Any]:
        """The application's data of a client in a namespace, a dict.

        It is kept while the client is there; changes to it last.

        Raises:
            KeyError: The client is not connected.
        """
        return self._get_session(sid, namespace)

    async def save_session(
        self, sid: str, session: dict[str, Any], namespace: str | None = None
    ) -> None:
        """Replace the application's data of a client in a namespace.

        Raises:
            KeyError: The client is not connected.
        """
        self._save_session(sid, session, namespace)

    @asynccontextmanager
    async def session(
        self, sid: str, namespace: str | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """The application's data of a client. It is saved when the block ends.

        Example::

            async with sio.session(sid) as session:
                session["name"] = name

        Raises:
            KeyError: The client is not connected.
        """
        data = await self.get_session(sid, namespace)
        try:
            yield data
        except BaseException:
            with suppress(KeyError):  # gone meanwhile: the block's own error matters
                await self.save_session(sid, data, namespace)
            raise
        await self.save_session(sid, data, namespace)

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
        if self.eio.engine.elsewhere:
            await self._on_loop(self.disconnect(sid, namespace, ignore_queue))
            return
        if not ignore_queue and not await self.manager.can_disconnect(
            sid, namespace or "/"
        ):
            return
        peer = self._peer(sid, namespace)
        if peer is not None and peer.reachable:
            self._log("disconnecting %s [%s]", sid, namespace or "/")
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

    async def drain(
        self, rate: float | None = None, timeout: float = 30
    ) -> DrainSummary:
        """Refuse new clients, and ask the connected ones to leave, in stages.

        See :meth:`socketio_fast.engineio.AsyncServer.drain`.

        Args:
            rate: How many clients are asked each second; ``None`` for all at once.
            timeout: Seconds after which those that are left are closed.

        Returns:
            What became of them.

        Raises:
            ValueError: ``rate`` is not positive, or ``timeout`` is negative.
        """
        return await self.eio.drain(rate, timeout)

    async def shutdown(self) -> None:
        """Disconnect every client. They may connect again."""
        self.logger.info("the server is shutting down")
        await self.eio.shutdown()

    def instrument(
        self,
        auth: Any = None,
        mode: str = "development",
        read_only: bool = False,
        server_id: str | None = None,
        namespace: str = "/admin",
        server_stats_interval: float = 2,
    ) -> InstrumentedAsyncServer:
        """Let the official Admin UI observe the server and act on it.

        Args:
            auth: Who may log in, see
                :class:`~socketio_fast.admin.InstrumentedAsyncServer`; required.
            mode: ``"development"`` to show clients, rooms and events as they come,
                ``"production"`` for figures alone.
            read_only: Whether nothing can be done from the UI.
            server_id: How the UI calls this server; the name of the host by default.
            namespace: The namespace that the UI connects to.
            server_stats_interval: Seconds between two sets of figures.

        Returns:
            What was made; its ``uninstrument()`` ends it.

        Raises:
            ValueError: An argument has a value that is not allowed.
            RuntimeError: The server is instrumented already.
        """
        from socketio_fast.admin.async_admin import InstrumentedAsyncServer

        return InstrumentedAsyncServer(
            self,
            auth=auth,
            namespace=namespace,
            read_only=read_only,
            server_id=server_id,
            mode=mode,
            server_stats_interval=server_stats_interval,
        )

    # Background tasks.

    def start_background_task(
        self, target: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **kwargs: Any
    ) -> asyncio.Task[Any]:
        """Start a coroutine function as a task; returns the task."""
        return self.eio.start_background_task(target, *args, **kwargs)

    async def sleep(self, seconds: float = 0) -> None:
        """Sleep for so many seconds."""
        await asyncio.sleep(seconds)

    async def _run_handler(self, event: Any, namespace: str, *args: Any) -> Any:
        found = self._namespace(namespace) or Namespace(self._hub, namespace)
        handler, arguments = found.handler_of(event, *args)
        if handler is None:
            return self.not_handled
        result = handler(*arguments)
        return await result if inspect.isawaitable(result) else result
