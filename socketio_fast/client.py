"""The Socket.IO client for programs that use threads, with python-socketio's names."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

from socketio_fast import exceptions
from socketio_fast._core.client.connection import ClientHub
from socketio_fast._core.client.peer import ClientPeer
from socketio_fast._core.socketio.acks import Reply
from socketio_fast.async_client import AsyncClient
from socketio_fast.base_client import BaseClient
from socketio_fast.clients.blocking import ClientSocket, Manager
from socketio_fast.clients.own_tasks import DISCONNECTING
from socketio_fast.clients.processes import disconnect_at_exit, forget_after_fork
from socketio_fast.clients.sending import traced
from socketio_fast.clients.sigint import disconnect_at_sigint
from socketio_fast.engineio.client import Client as EngineClient
from socketio_fast.event_arguments import arguments_of, value_of
from socketio_fast.events import name_of
from socketio_fast.options.client import ClientConfig, EngineClientConfig
from socketio_fast.options.declare import takes
from socketio_fast.options.logs import AnyLogger
from socketio_fast.overrides import is_overridden
from socketio_fast.threads.facade import MAX_WORKERS, Threads
from socketio_fast.threads.methods import Facade, like, reads

__all__ = ["Client"]

T = TypeVar("T")


def _shared(name: str, doc: str) -> Any:
    """A property that is an attribute of the asyncio client."""

    def read(self: Client) -> Any:
        return getattr(self._client, name)

    def write(self: Client, value: Any) -> None:
        setattr(self._client, name, value)

    return property(read, write, doc=doc)


def _in_threads(name: str, doc: str) -> Any:
    """The same for a value, or a function that is called in a thread."""

    def read(self: Client) -> Any:
        value = getattr(self._client, name)
        return getattr(value, "__wrapped__", value) if callable(value) else value

    def write(self: Client, value: Any) -> None:
        setattr(self._client, name, self._in_thread(value))

    return property(read, write, doc=doc)


@takes(ClientConfig, EngineClientConfig)
class Client(Facade, BaseClient):
    """A Socket.IO client for threads.

    It drives an :class:`~socketio_fast.AsyncClient` on an event loop of its own, which
    starts when it is first needed. Every method may be called from any thread: from
    handlers, and also where an asyncio program runs. Handlers start in the order of
    their events, each in a thread.

    Example::

        sio = socketio.Client()

        @sio.event
        def chat(text):
            print(text)

        sio.connect("http://localhost:5000")
        sio.emit("chat", "Hello")
        sio.wait()

    Args:
        max_workers: Threads that handlers run in, at most (128). Further handlers wait
            until one has ended.
        **options: Those of docs/options.md; ``help()`` shows them here.

    Raises:
        ValueError: An option has a value that is not allowed.
        TypeError: There is no such option, or ``json`` cannot be used.
        ImportError: ``serializer="msgpack"``, and msgpack is not installed.
        RuntimeError: gevent or eventlet has patched the threads of this process.
    """

    def __init__(
        self,
        reconnection: bool = True,
        reconnection_attempts: int = 0,
        reconnection_delay: float = 1,
        reconnection_delay_max: float = 5,
        randomization_factor: float = 0.5,
        logger: bool | AnyLogger = False,
        serializer: str | type[Any] = "default",
        json: Any = None,
        handle_sigint: bool = True,
        *,
        max_workers: int = MAX_WORKERS,
        **options: Any,
    ) -> None:
        self._client = AsyncClient(
            reconnection=reconnection,
            reconnection_attempts=reconnection_attempts,
            reconnection_delay=reconnection_delay,
            reconnection_delay_max=reconnection_delay_max,
            randomization_factor=randomization_factor,
            logger=logger,
            serializer=serializer,
            json=json,
            handle_sigint=handle_sigint,
            **options,
        )
        self.config = self._client.config
        self.logger = self._client.logger
        client = self._client
        self._threads = Threads(
            _ignore,
            max_workers,
            self.logger,
            max_workers,
            lambda: client._reconnecting is None and client.eio._is_over(),
        )
        #: The Engine.IO client below, a :class:`socketio_fast.engineio.Client`.
        self.eio = self._engineio_client_class().over(self._client.eio, self._threads)
        self.packet_class = self._client.packet_class
        #: Events of the connection; see :class:`socketio_fast.clients.manager.Manager`.
        self.manager = Manager(self._client.manager, self._threads)
        self._sockets = self._client._sockets
        self._begin_registry()
        forget_after_fork(self._threads)
        disconnect_at_exit(self)
        if self._client.handle_sigint:
            disconnect_at_sigint(self)

    def is_asyncio_based(self) -> bool:
        return False

    def _engineio_client_class(self) -> type[EngineClient]:
        return EngineClient

    @property
    def _inner(self) -> AsyncClient:
        return self._client

    @property
    def _hub(self) -> ClientHub:
        return self._client._core

    # Handlers.

    def _adapt(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        return self._threads.adapt(handler)

    def _in_thread(self, value: Any) -> Any:
        """A value; of a function, what calls it in a thread."""
        return self._threads.adapt(value) if callable(value) else value

    # What there is to know.

    reconnection = _shared("reconnection", "Whether it connects again.")
    reconnection_attempts = _shared("reconnection_attempts", "How often it tries to.")
    reconnection_delay = _shared("reconnection_delay", "Seconds before the first time.")
    reconnection_delay_max = _shared("reconnection_delay_max", "The most seconds.")
    randomization_factor = _shared("randomization_factor", "The share that is random.")
    handle_sigint = _shared("handle_sigint", "Whether SIGINT disconnects it.")
    connection_url = _in_threads("connection_url", "The URL of ``connect()``.")
    connection_headers = _in_threads("connection_headers", "Its headers.")
    connection_auth = _in_threads("connection_auth", "Its auth.")
    connection_transports = _shared("connection_transports", "Its transports.")
    connection_namespaces = _shared("connection_namespaces", "Its namespaces.")
    _description = _shared("_description", "What happened at the last disconnect.")
    socketio_path = _shared("socketio_path", "Its path.")
    connected = _shared(
        "connected", "Whether there is a connection, and ``connect()`` has returned."
    )
    namespaces = reads(
        AsyncClient,
        lambda client: client.namespaces,
        doc="The ``sid`` of each namespace that is connected.",
    )
    failed_namespaces = reads(
        AsyncClient,
        lambda client: client.failed_namespaces,
        doc="The namespaces that the server has refused.",
    )
    callbacks = reads(AsyncClient, lambda client: client.callbacks)
    sid = reads(
        AsyncClient,
        lambda client: client.sid,
        doc="The id of the connection, which is not the ``sid`` of a namespace.",
    )

    @like(AsyncClient.get_sid)
    def get_sid(self, namespace: str | None = None) -> str | None:
        return self._client.get_sid(namespace)

    @like(AsyncClient.transport)
    def transport(self) -> str | None:
        return self._client.transport()

    @like(AsyncClient.socket)
    def socket(self, namespace: str = "/", auth: Any = None) -> ClientSocket:
        inner = self._change(self._client.socket, namespace, self._in_thread(auth))
        return ClientSocket(inner, self)

    # Connecting.

    @like(
        AsyncClient.connect,
        "``url``, ``headers`` and ``auth`` may be functions, called in a thread.",
    )
    def connect(
        self,
        url: Any,
        headers: Any = {},  # noqa: B006  (python-socketio's default; it is not changed)
        auth: Any = None,
        transports: Sequence[str] | str | None = None,
        namespaces: Sequence[str] | str | None = None,
        socketio_path: str = "socket.io",
        wait: bool = True,
        wait_timeout: float = 1,
        retry: bool = False,
    ) -> None:
        self._wait(
            self._client.connect(
                self._in_thread(url),
                self._in_thread(headers),
                self._in_thread(auth),
                transports,
                self._chosen(namespaces),
                socketio_path,
                wait,
                wait_timeout,
                retry,
            )
        )

    def disconnect(self) -> None:
        """Disconnect from the server; what was sent before is delivered first. Ends the
        attempts to connect again."""
        if self._threads.running:

            async def disconnect() -> None:
                await self._client.disconnect()
                await self._over()

            self._wait(disconnect())

    def _leave(self, timeout: float) -> None:
        """Disconnect because the process ends."""
        if self._threads.running:
            self._threads.loop_thread.run(self._client.disconnect(), timeout)

    def shutdown(self) -> None:
        """The same as :meth:`disconnect`."""
        self.disconnect()

    def wait(self) -> None:
        """Wait until there is no connection, and will be none: after
        :meth:`disconnect`, when the server has disconnected the client, or when all
        attempts to connect again have failed."""

        async def wait() -> None:
            await self._client.wait()
            await self._over()

        self._wait(wait())

    async def _over(self) -> None:
        await self._client._own_tasks.ended(DISCONNECTING)
        await self._client.eio.closed()

    @contextmanager
    def connection(self, url: Any, **arguments: Any) -> Iterator[ClientSocket]:
        """Be connected to a server while a block runs.

        Example::

            with socketio.Client().connection(url) as socket:
                socket.emit("say", "hello")

        Args:
            url: The server's.
            **arguments: The others of :meth:`connect`.

        Yields:
            The first namespace as an object, see :meth:`socket`.

        Raises:
            ConnectionError: As :meth:`connect` says.
        """
        self.connect(url, **arguments)
        try:
            yield self.socket(self.connection_namespaces[0])
        finally:
            self.disconnect()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.disconnect()

    # Sending.

    @like(
        AsyncClient.emit,
        "The event is encoded before this returns, and sent soon after; the order of\n"
        "one thread's events is kept. This waits while the server is slow. The\n"
        "``callback`` is called in a thread of handlers.",
    )
    def emit(
        self,
        event: Any,
        data: Any = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
    ) -> None:
        if callback is not None:
            callback = self._threads.adapt(callback)
        name, arguments = name_of(event), arguments_of(data)
        self._send(
            self._hub.connection.peers.get(namespace or "/"),
            [name, *arguments],
            callback,
            lambda: self._client.emit(event, data, namespace, callback),
        )

    def _send(
        self,
        peer: ClientPeer | None,
        event: list[Any],
        callback: Any,
        emit: Callable[[], Awaitable[Any]],
        volatile: bool = False,
        compress: bool = True,
    ) -> None:
        """Encode an event in this thread, and send it; or call ``emit()`` on the event
        loop, if that may have to wait, or is to keep the event."""
        if peer is not None and not self.config.retries:
            # Else emit() makes the span.
            sent = traced(peer, event) if peer.connected else event
            send = peer.encode(sent, callback, volatile, compress)
            if send is not None:
                self._threads.post(send)
                return
        self._run(_awaited(emit))

    @like(AsyncClient.send)
    def send(
        self,
        data: Any,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
    ) -> None:
        self.emit("message", data=data, namespace=namespace, callback=callback)

    @like(
        AsyncClient.call,
        "A handler that waits here is not counted by ``max_workers``: the\n"
        "acknowledgement may need another thread.",
    )
    def call(
        self,
        event: Any,
        data: Any = None,
        namespace: str | None = None,
        timeout: float | None = 60,
    ) -> Any:
        if is_overridden(self, "emit") and not self.config.retries:
            answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
            self.emit(
                event,
                data=data,
                namespace=namespace,
                callback=lambda *args: answer.set_result(args),
            )
            return self._value_of(answer, name_of(event), timeout)
        return self._ask(
            self._hub.connection.peers.get(namespace or "/"),
            [name_of(event), *arguments_of(data)],
            timeout,
            lambda: self._client.call(event, data, namespace, timeout),
        )

    def _ask(
        self,
        peer: ClientPeer | None,
        event: list[Any],
        timeout: float | None,
        ask: Callable[[], Awaitable[Any]],
        volatile: bool = False,
        compress: bool = True,
    ) -> Any:
        """The same for an event whose acknowledgement is waited for."""
        self._threads.loop_thread.refuse_own_thread()
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        reply = Reply(answer)
        send = None
        if peer is not None and not self.config.retries:
            sent = traced(peer, event) if peer.connected else event
            send = peer.encode(sent, reply, volatile, compress)
        if peer is None or send is None:
            return self._wait(_awaited(ask))
        self._threads.post(send)
        try:
            return self._value_of(answer, event[0], timeout)
        finally:
            if not answer.done():
                self._threads.post(peer.cancel_ack, reply)
            # Its exception would refer to it by the traceback, in a cycle.
            del answer, reply

    def _value_of(
        self,
        answer: concurrent.futures.Future[Any],
        event: str,
        timeout: float | None,
    ) -> Any:
        """Wait for an acknowledgement in this thread."""
        try:
            with self._threads.pool.waiting():
                return value_of(answer.result(timeout))
        except concurrent.futures.TimeoutError as exc:
            if answer.done():
                raise exc.with_traceback(None) from None
            raise exceptions.TimeoutError(
                f"the server did not acknowledge {event!r} in {timeout} s"
            ) from None
        finally:
            del answer  # its exception would refer to it by the traceback, in a cycle

    # Utilities, as in python-socketio.

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


async def _awaited(begin: Callable[[], Awaitable[T]]) -> T:
    """What a function returns, which is called and awaited on the event loop."""
    return await begin()


def _ignore(loop: asyncio.AbstractEventLoop) -> None:
    """The client binds its event loop when it connects."""
