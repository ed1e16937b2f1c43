"""The Socket.IO server (revision 5) for programs that do not use asyncio."""

from __future__ import annotations

import contextvars
import re
import threading
from collections.abc import (
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from socketio_fast._core.socketio.emitter import EmitCall
from socketio_fast._core.socketio.hub import Hub, Namespace
from socketio_fast.async_server import AsyncServer
from socketio_fast.base_server import BaseServer, Handler
from socketio_fast.engineio.server import Server as EngineServer
from socketio_fast.engineio.server import check_async_mode, saved_afterwards
from socketio_fast.events import name_of
from socketio_fast.hosting.wsgi import Environ, StartResponse
from socketio_fast.managers.async_manager import AsyncManager
from socketio_fast.managers.sync import Manager, PubSubManager
from socketio_fast.options.config import AsyncHandlers, EngineConfig, EngineServerConfig
from socketio_fast.options.declare import takes
from socketio_fast.options.logs import AnyLogger
from socketio_fast.options.server import ServerConfig
from socketio_fast.sockets.blocking import (
    Broadcasting,
    ParentNamespace,
    Socket,
    SocketNamespace,
)
from socketio_fast.sockets.namespace import ParentNamespace as AsyncParentNamespace
from socketio_fast.sockets.namespace import SocketNamespace as AsyncNamespace
from socketio_fast.sockets.socket import Socket as AsyncSocket
from socketio_fast.threads.facade import MAX_WORKERS, Threads
from socketio_fast.threads.loop import LoopThread
from socketio_fast.threads.methods import like, reads, runs, waits

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.admin.sync_admin import InstrumentedServer
    from socketio_fast.events import AnyEvent
    from socketio_fast.handlers.dependencies import Given
    from socketio_fast.options.typed import ServerOptions
    from socketio_fast.threads.methods import Read

__all__ = ["Server"]

T = TypeVar("T")


@takes(ServerConfig, EngineConfig, EngineServerConfig)
class Server(Broadcasting, BaseServer):
    """A Socket.IO server for threads.

    It drives an :class:`~socketio_fast.AsyncServer` on an event loop of its own, which
    starts when it is first needed. Every method may be called from any thread: from
    handlers, and also where an asyncio program runs. Handlers run in threads. A
    client's ``connect`` handler ends before its other handlers start; with
    ``async_handlers=False`` those run one after another.

    Example::

        sio = socketio.Server()

        @sio.event
        def chat(sid, text):
            sio.emit("chat", text, skip_sid=sid)

        app = socketio.WSGIApp(sio, flask_app.wsgi_app)

    Args:
        async_mode: ``None`` or ``"threading"``; there is one mode.
        max_workers: Threads that handlers run in, at most (128). Further handlers wait
            until one has ended.
        max_workers_per_client: Threads that the handlers of one client run in, at most;
            ``None`` for a quarter of ``max_workers``, rounded up. Its further events
            wait until one of its own handlers has ended.
        **options: Those of docs/options.md; ``help()`` shows them here.

    Raises:
        ValueError: An option has a value that is not allowed.
        TypeError: There is no such option, or the manager is not one of this package.
        RuntimeError: gevent or eventlet has patched the threads of this process.
    """

    default_path: ClassVar[str] = AsyncServer.default_path
    #: The Engine.IO server below, a :class:`socketio_fast.engineio.Server`.
    eio: EngineServer

    def __init__(
        self,
        client_manager: Any = None,
        logger: bool | AnyLogger = False,
        serializer: str | type[Any] = "default",
        json: Any = None,
        async_handlers: AsyncHandlers = True,
        always_connect: bool = False,
        namespaces: Iterable[str] | str | None = None,
        *,
        async_mode: str | None = None,
        max_workers: int = MAX_WORKERS,
        max_workers_per_client: int | None = None,
        **options: Unpack[ServerOptions],
    ) -> None:
        check_async_mode(async_mode)
        manager: Any = Manager() if client_manager is None else client_manager
        if getattr(manager, "serves_threads", False):
            manager = Manager.over(manager)  # an adapter
        if isinstance(manager, AsyncManager):
            raise TypeError(
                f"client_manager is for AsyncServer, {type(manager).__name__}: "
                "Manager, RedisManager or another for threads expected"
            )
        self._server = AsyncServer(
            # AsyncServer refuses anything else. Without one given, it chooses.
            client_manager=(
                None
                if client_manager is None
                else getattr(manager, "async_manager", manager)
            ),
            logger=logger,
            json=json,
            async_handlers=async_handlers,
            namespaces=namespaces,
            serializer=serializer,
            always_connect=always_connect,
            **options,
        )
        self._threads = Threads(
            self._server.bind, max_workers, self._server.logger, max_workers_per_client
        )
        #: Who is in which room, and what other processes are told.
        self.manager: Manager = manager
        super().__init__(EngineServer.over(self._server.eio, self._threads))
        self.eio._gateway.unbind = self._server.unbind
        self.async_mode = self.eio.async_mode
        if client_manager is None:
            manager.async_manager = self._server.manager
        manager.set_server(self)
        self._predicates: dict[Any, Any] = {}
        # A new socket's events wait until the listeners of "connection", which run in
        # threads, have added theirs.
        self._hub.holds_events = True
        # Whether a subclass overrides emit(), to see or change what is sent.
        self._asks_manager = type(manager).emit not in (
            Manager.emit,
            PubSubManager.emit,
        )

    @property
    def _hub(self) -> Hub:
        return self._server._hub

    @property
    def loop_thread(self) -> LoopThread:
        """The thread that runs this server's event loop."""
        return self._threads.loop_thread

    logger = reads(
        AsyncServer, lambda server: server.logger, doc="Where events are logged."
    )
    namespaces: Read[Sequence[str]] = reads(
        AsyncServer,
        lambda server: server.namespaces,
        doc="Namespaces that accept clients although they have no handlers.",
    )
    packet_class = reads(
        AsyncServer,
        lambda server: server.packet_class,
        doc="The class that encodes and decodes packets, or would.",
    )
    async_handlers: Read[AsyncHandlers] = reads(
        AsyncServer,
        lambda server: server.async_handlers,
        doc="Whether a client's next handler may start before its last has ended.",
    )
    validate_handlers: Read[bool] = reads(
        AsyncServer,
        lambda server: server.validate_handlers,
        doc="Whether handlers that are annotated with models get validated arguments.",
    )
    always_connect = reads(
        AsyncServer,
        lambda server: server.always_connect,
        doc="Whether clients are connected before their connect handler runs.",
    )
    manager_initialized = reads(
        AsyncServer,
        lambda server: server.manager_initialized,
        doc="Whether the manager has begun its work.",
    )

    def is_asyncio_based(self) -> bool:
        """``False``."""
        return False

    def _adapt(self, handler: Handler, client: Any = None) -> Handler:
        return self._threads.adapt(handler, client)

    def _given(self) -> Mapping[str, Given]:
        from socketio_fast.sockets.given import given_by

        return given_by(self, self._server, Socket, self._blocking)

    async def _awaited(self, coroutine: Coroutine[Any, Any, T]) -> T:
        # A coroutine that never waits: see handlers/injection.py.
        return self._threads.wait(coroutine, contextvars.copy_context())

    @property
    def _inner(self) -> AsyncServer:
        return self._server

    @overload
    def of(self, name: str) -> SocketNamespace: ...

    @overload
    def of(
        self, name: re.Pattern[str] | Callable[[str, Any], bool]
    ) -> ParentNamespace: ...

    def of(self, name: Any) -> SocketNamespace | ParentNamespace:
        """Get a namespace as an object: the socket API, for threads.

        Example::

            chat = sio.of("/chat")

            @chat.on("connection")
            def connection(socket):
                @socket.on("message")
                def message(text):
                    socket.broadcast.emit("message", text)

        Args:
            name: See :meth:`socketio_fast.AsyncServer.of`; a function is called in a
                thread.

        Raises:
            TypeError: It is something else.
            ValueError: There can be no such namespace.
        """
        if callable(name):
            name = self._predicates.setdefault(name, self._threads.adapt(name))
        found: SocketNamespace | ParentNamespace = self._blocking(self._server.of(name))
        return found

    def _blocking(self, value: Any) -> Any:
        """The facade of a namespace or socket. Other values are returned unchanged."""
        if isinstance(value, AsyncSocket):
            return Socket(value, self)
        if isinstance(value, AsyncNamespace):
            return SocketNamespace(value, self)
        if isinstance(value, AsyncParentNamespace):
            return ParentNamespace(value, self)
        return value

    server_count = runs(AsyncServer.server_count)

    # Sending.

    def emit(
        self,
        event: AnyEvent,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: str | Sequence[str] | None = None,
        namespace: str | None = None,
        callback: Handler | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Send an event to all clients, to a client, a room, or several of them.

        The event is encoded before this returns, and sent soon after. Events that one
        thread sends keep their order, and see the changes that it has made to rooms
        before. With a manager of several processes this returns when the manager has
        the event; with ``slow_consumer="block"``, when its clients are no longer slow.

        Args:
            event: The name.
            data: See :meth:`socketio_fast.AsyncServer.emit`, also for the next ones.
            to: See there.
            room: See there.
            skip_sid: See there.
            namespace: See there.
            callback: Called with the arguments of the acknowledgement, in a thread of
                handlers, once for each client that answers.
            ignore_queue: See there.

        Raises:
            TypeError: ``data`` is not JSON with bytes in it.
            ValueError: The event's name is reserved, or there can be no such namespace.
        """
        event = name_of(event)
        if callback is not None:
            callback = self._threads.adapt(callback)
        if self._asks_manager:
            self.manager.emit(
                event,
                data,
                namespace or "/",
                room=room if to is None else to,
                skip_sid=skip_sid,
                callback=callback,
                ignore_queue=ignore_queue,
            )
            return
        emission = self._server.emit(
            event, data, to, room, skip_sid, namespace, callback, ignore_queue
        )
        if isinstance(emission, EmitCall) and not self._server.eio.engine.blocks:
            send = emission.encode()
            if send is not None:
                self._threads.post(send)
        else:
            self._threads.run(emission)

    @like(AsyncServer.send)
    def send(self, data: Any, *args: Any, **kwargs: Any) -> None:
        self.emit("message", data, *args, **kwargs)

    call = waits(
        AsyncServer.call,
        "A handler that waits here is not counted by ``max_workers``: what the client\n"
        "does before it answers may need another thread.",
    )

    # Rooms.

    @like(AsyncServer.enter_room)
    def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        self._server._log("%s is entering room %s [%s]", sid, room, namespace or "/")
        self.manager.enter_room(sid, namespace or "/", room)

    @like(AsyncServer.leave_room)
    def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        self._server._log("%s is leaving room %s [%s]", sid, room, namespace or "/")
        self.manager.leave_room(sid, namespace or "/", room)

    @like(AsyncServer.close_room)
    def close_room(self, room: Any, namespace: str | None = None) -> None:
        self._server._log("room %s is closing [%s]", room, namespace or "/")
        self.manager.close_room(room, namespace or "/")

    # Clients.

    @like(AsyncServer.get_session)
    def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        with self.eio.lock:
            return self._get_session(sid, namespace)

    @like(AsyncServer.save_session)
    def save_session(
        self, sid: str, session: dict[str, Any], namespace: str | None = None
    ) -> None:
        with self.eio.lock:
            self._save_session(sid, session, namespace)

    @contextmanager
    def session(
        self, sid: str, namespace: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """The application's data of a client. It is saved when the block ends.

        Example::

            with sio.session(sid) as session:
                session["name"] = name

        Raises:
            KeyError: The client is not connected.
        """
        yield from saved_afterwards(self, sid, namespace)

    disconnect = waits(AsyncServer.disconnect)
    flushed = runs(AsyncServer.flushed)
    drain = waits(AsyncServer.drain)

    def handle_request(
        self, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer a request: a WSGI application.

        :class:`~socketio_fast.WSGIApp` calls it for its path.
        """
        return self.eio.handle_request(environ, start_response)

    def shutdown(self) -> None:
        """Disconnect every client, wait for handlers and connections (10 seconds at
        most), and stop the event loop; it starts again when it is needed.

        Called by a handler, it does not wait for handlers.
        """
        self.eio.shutdown()

    @like(AsyncServer.instrument)
    def instrument(self, *args: Any, **kwargs: Any) -> InstrumentedServer:
        from socketio_fast.admin.sync_admin import InstrumentedServer

        return InstrumentedServer(self, *args, **kwargs)

    # Background tasks.

    def start_background_task(
        self, target: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> threading.Thread:
        """Run a function in a daemon thread of its own; returns the started thread.

        Raises:
            TypeError: It is a coroutine function.
        """
        return self.eio.start_background_task(target, *args, **kwargs)

    def sleep(self, seconds: float = 0) -> None:
        """Sleep for so many seconds."""
        self.eio.sleep(seconds)

    def _run_handler(self, event: Any, namespace: str, *args: Any) -> Any:
        found = self._namespace(namespace) or Namespace(self._hub, namespace)
        handler, arguments = found.handler_of(event, *args)
        if handler is None:
            return self.not_handled
        # The handler itself, which runs in this thread.
        return handler.__wrapped__(*arguments)  # type: ignore[attr-defined]
