"""The Socket.IO client (revision 5; 4 by ``eio=3``), with python-socketio's names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from socketio_fast import exceptions
from socketio_fast._core.client.connection import ClientHub
from socketio_fast._core.client.peer import ClientPeer
from socketio_fast._core.socketio.contracts import Membership
from socketio_fast.base_client import BaseClient
from socketio_fast.clients.joining import (
    ask_to_join,
    check_newest,
    join_all,
    until_joined,
)
from socketio_fast.clients.link import Link
from socketio_fast.clients.manager import Manager
from socketio_fast.clients.own_tasks import CONNECTING, DISCONNECTING, OwnTasks
from socketio_fast.clients.processes import forget_after_fork
from socketio_fast.clients.reconnection import (
    FromLink,
    FromPeers,
    attempt_failed,
    evaluated,
    forget,
    reconnect,
)
from socketio_fast.clients.sending import Sending, with_trace
from socketio_fast.clients.socket import ClientSocket
from socketio_fast.coroutines import Begun, Flag, returns_coroutine
from socketio_fast.engineio.async_client import AsyncClient as EngineClient
from socketio_fast.event_arguments import arguments_of
from socketio_fast.events import name_of
from socketio_fast.options.client import ClientConfig, EngineClientConfig
from socketio_fast.options.declare import declared, known, takes
from socketio_fast.options.encoding import choose_encoding
from socketio_fast.options.logs import AnyLogger, choose_logger
from socketio_fast.overrides import is_overridden

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.options.typed import ClientOptions

__all__ = ["AsyncClient"]


@takes(ClientConfig, EngineClientConfig)
class AsyncClient(Sending, BaseClient):
    """A Socket.IO client for asyncio.

    Example::

        sio = socketio.AsyncClient()

        @sio.event
        async def chat(text):
            print(text)

        await sio.connect("http://localhost:5000")
        await sio.emit("chat", "Hello")
        await sio.wait()

    Args:
        **options: Those of docs/options.md; ``help()`` shows them here.

    Raises:
        ValueError: An option has a value that is not allowed.
        TypeError: There is no such option, or ``json`` cannot be used.
        ImportError: ``serializer="msgpack"``, and msgpack is not installed.
    """

    # A dict of more than 30 attributes takes 1.5 KiB: it shares no keys with others.
    __slots__ = (
        *("_attempts", "_auths", "_core", "_disconnecting", "_ended", "_given_up"),
        *("_have_joined", "_joined", "_lost", "_measures", "_own_tasks", "_owner"),
        *("_queues", "_reconnecting", "_sockets"),
    )

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
        **options: Unpack[ClientOptions],
    ) -> None:
        given = known("AsyncClient", options, ClientConfig, EngineClientConfig)
        own = declared(ClientConfig)
        self.config = config = ClientConfig(
            reconnection=reconnection,
            reconnection_attempts=reconnection_attempts,
            reconnection_delay=reconnection_delay,
            reconnection_delay_max=reconnection_delay_max,
            randomization_factor=randomization_factor,
            logger=logger,
            serializer=serializer,
            json=json,
            handle_sigint=handle_sigint,
            **{name: value for name, value in given.items() if name in own},
        )
        self.reconnection = config.reconnection
        self.reconnection_attempts = config.reconnection_attempts
        self.reconnection_delay = config.reconnection_delay
        self.reconnection_delay_max = config.reconnection_delay_max
        self.randomization_factor = config.randomization_factor
        self.handle_sigint = config.handle_sigint
        self.validate_handlers = config.validate_handlers
        self.logger = choose_logger(config.logger, "socketio_fast.client")
        self.packet_class, encoding = choose_encoding(config.serializer, config.json)
        self._core = ClientHub(
            admit=None,
            new_rooms=lambda namespace: Membership(),
            logger=self.logger,
            connect_timeout=1,
            max_attachments=config.max_attachments,
            max_pending_acks=config.max_pending_acks,
            verbose=bool(config.logger),
            encoding=encoding,
        )
        below = {name: value for name, value in given.items() if name not in own}
        if config.engineio_logger is not None:
            below["logger"] = config.engineio_logger
        #: The Engine.IO client below, a :class:`socketio_fast.engineio.AsyncClient`.
        self.eio = self._engineio_client_class()(
            json=config.json,
            handle_sigint=config.handle_sigint,
            _factory=self._core,
            _events=FromLink(self),
            **below,
        )
        self._core.attach(self.eio._idle)
        self._begin_registry()
        self._owner = FromPeers(self)
        self._sockets: dict[str, ClientSocket] = {}
        self._queues = {}
        # What is measured (contrib/measures.py).
        self._measures: Any = None

        #: Whether there is a connection, and all that connect() asked for is joined.
        self.connected = False
        #: The ``sid`` of each namespace that is connected.
        self.namespaces: dict[str, str | None] = {}
        self.failed_namespaces: list[str] = []
        #: The id of the connection, which is not the ``sid`` of a namespace.
        self.sid: str | None = None
        #: What ``connect()`` was called with.
        self.connection_url: Any = None
        self.connection_headers: Any = None
        self.connection_auth: Any = None
        self.connection_query: dict[str, str] = {}
        self.connection_transports: Any = None
        self.connection_namespaces: list[str] = []
        self.socketio_path: str | None = None
        #: Events of the connection; see :class:`socketio_fast.clients.manager.Manager`.
        self.manager = Manager(self.logger)

        self._auths: dict[str, Any] = {}
        self._joined = Flag()
        self._own_tasks = OwnTasks()
        self._have_joined: set[str] = set()  # and may have left since
        self._reconnecting: asyncio.Task[None] | None = None
        self._ended: Flag | None = None
        self._given_up = False
        self._disconnecting = False
        self._attempts = 0  # to connect, that there have been
        self._lost: str | None = None  # why, since the last attempt; None: it was not
        forget_after_fork(self)

    def is_asyncio_based(self) -> bool:
        return True

    def _engineio_client_class(self) -> type[EngineClient]:
        return EngineClient

    @property
    def _hub(self) -> ClientHub:
        return self._core

    # What there is to know.

    def get_sid(self, namespace: str | None = None) -> str | None:
        """The ``sid`` in a namespace; ``None`` if it is not connected."""
        return self.namespaces.get(namespace or "/")

    @property
    def callbacks(self) -> dict[str, dict[int, Any]]:
        """What awaits acknowledgements, by namespace and their ids; a new dict."""
        peers = self._core.connection.peers
        return {name: peer.callbacks for name, peer in peers.items() if peer.callbacks}

    def transport(self) -> str | None:
        """The transport in use: ``"polling"`` or ``"websocket"``."""
        return self.eio.transport()

    def socket(self, namespace: str = "/", auth: Any = None) -> ClientSocket:
        """A namespace as an object, which may have several listeners for an event.

        Args:
            namespace: Its name.
            auth: What the server's ``connect`` handler gets in this namespace, or a
                function or coroutine function that returns it; by default that of
                :meth:`connect`.
        """
        if auth is not None:
            self._auths[namespace] = auth
        socket = self._sockets.get(namespace)
        if socket is None:
            peer = self._peer(namespace)
            socket = ClientSocket(self, namespace, peer)
            peer.attach(socket)
            self._sockets[namespace] = socket
        return socket

    def _peer(self, namespace: str) -> ClientPeer:
        peers = self._core.connection.peers
        peer = peers.get(namespace)
        if peer is None:
            peer = ClientPeer(
                self._core.namespace(namespace), self._core.connection, self._owner
            )
            peer.max_offline_events = self.config.max_offline_events
            peer.max_offline_bytes = self.config.max_offline_bytes
            peers[namespace] = peer
        return peer

    # Connecting.

    async def connect(
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
        """Connect to a server.

        ``url``, ``headers`` and ``auth`` may be functions or coroutine functions, which
        are called at each attempt to connect.

        Args:
            url: Its URL, of http, https, ws or wss, or ``unix:///run/app.sock`` with
                the path of a Unix socket. It may have a query.
            headers: More headers of the requests, a dict.
            auth: What the server's ``connect`` handlers get.
            transports: The transports to use, the first to begin with:
                ``["polling", "websocket"]`` by default, which upgrades.
            namespaces: The namespaces to join: a name, or a list of names; by default
                those with handlers, or ``"/"``.
            socketio_path: Where the server has Socket.IO.
            wait: Whether to wait until all namespaces are joined, and the handlers of
                ``connect`` have ended.
            wait_timeout: The most seconds to wait for that.
            retry: Whether to go on trying, as when a connection is lost, if the first
                attempt fails.

        Raises:
            ConnectionError: It is connected already, the server could not be reached or
                did not do what it should, or a namespace was not joined.
        """
        if self.connected:
            raise exceptions.ConnectionError("Already connected")
        self.connection_url = url
        self.connection_headers = headers
        self.connection_auth = auth
        self.connection_transports = transports
        self.connection_namespaces = self._chosen(namespaces)
        self.socketio_path = socketio_path
        for name in self.connection_namespaces:
            self._peer(name).intend()
        before = self._own_tasks.of(CONNECTING)
        number = await self._begin(retry)
        check_newest(self, number)
        if wait:
            await until_joined(self, wait_timeout, number, before)
        else:
            self.connected = self.eio.state == "connected"

    @asynccontextmanager
    async def connection(
        self, url: Any, **arguments: Any
    ) -> AsyncIterator[ClientSocket]:
        """Be connected to a server while a block runs.

        Example::

            async with socketio.AsyncClient().connection(url) as socket:
                await socket.emit("say", "hello")

        Args:
            url: The server's.
            **arguments: The others of :meth:`connect`.

        Yields:
            The first namespace as an object, see :meth:`socket`.

        Raises:
            ConnectionError: As :meth:`connect` says.
        """
        await self.connect(url, **arguments)
        try:
            yield self.socket(self.connection_namespaces[0])
        finally:
            await self.disconnect()

    async def _begin(self, retry: bool) -> int:
        """Make the first attempt to connect, with `retry` more until one succeeds.
        Returns the number of the last one.

        Raises:
            ConnectionError: It has failed, or disconnect() was called meanwhile.
        """
        self._given_up = False
        self._ended = Flag()
        number = self._attempts + 1
        try:
            number = await self._attempt()
        except exceptions.ConnectionError as exc:
            check_newest(self, number)
            if self._given_up:
                raise  # disconnect() was called
            before = self._own_tasks.of(CONNECTING)
            attempt_failed(self, exc)
            newest = number == self._attempts  # else a handler connects again
            if retry and newest and not self._given_up:
                self._reconnect()
                assert self._reconnecting is not None
                # disconnect() may cancel it.
                await asyncio.wait({self._reconnecting})
                if self.connected:
                    return self._attempts
            if newest:
                self._give_up()
            await self._own_tasks.ended(CONNECTING, but=before)
            raise
        except BaseException:
            self._give_up()
            raise
        return number

    async def _attempt(self) -> int:
        """Connect once. Returns the number of the attempt."""
        self._attempts += 1
        number = self._attempts
        self._disconnecting = False
        self.failed_namespaces = []
        self._lost = None
        self._have_joined.clear()
        url = await evaluated(self.connection_url)
        self.connection_query = {
            **dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)),
            **(self.eio.config.query or {}),
        }
        headers = await evaluated(self.connection_headers)
        self.eio.engine.bind(asyncio.get_running_loop())
        self._core.bind(self.eio.engine)
        if self._measures is not None:
            self._measures.begin()
        await self.eio.connect(
            url,
            headers=with_trace(self._hub, headers),
            transports=self.connection_transports,
            engineio_path=self.socketio_path or "socket.io",
        )
        return number

    async def _join(self, namespace: str, auth: Any) -> None:
        peer = self._peer(namespace)
        if auth is not None:
            self._auths[namespace] = auth
        if namespace not in self.connection_namespaces:
            self.connection_namespaces.append(namespace)
        if peer.connected:
            return
        peer.intend()
        if self.eio.state == "connected":
            ask_to_join(self, peer, await evaluated(self._auth_of(namespace)))
        elif self._given_up and self.connection_url is not None:
            # The connection was closed with the last namespace.
            await self._begin(self.reconnection)
            self.connected = self.eio.state == "connected"

    async def _leave(self, namespace: str) -> None:
        if namespace in self.connection_namespaces:
            self.connection_namespaces.remove(namespace)
        self._peer(namespace).leave()
        await self._close_if_unused()

    async def _close_if_unused(self) -> None:
        peers = self._core.connection.peers.values()
        if not any(peer.active for peer in peers):
            await self.disconnect()

    def _auth_of(self, namespace: str) -> Any:
        return self._auths.get(namespace, self.connection_auth)

    # From the link and the namespaces.

    def _on_open(self, link: Link) -> None:
        self.sid = link.session.id
        self.manager.tell(self._core.runner, "open")
        peers = [peer for peer in self._core.connection.peers.values() if peer.active]
        auths = {name: self._auth_of(name) for name in self._core.connection.peers}
        if not any(callable(auth) for auth in auths.values()):
            for peer in peers:
                ask_to_join(self, peer, auths[peer.namespace.name])
        else:
            self.start_background_task(join_all, self, link, peers, auths)

    def _on_joined(self, peer: ClientPeer) -> None:
        self.namespaces[peer.namespace.name] = peer.sid
        self._have_joined.add(peer.namespace.name)
        if self._have_joined.issuperset(self.connection_namespaces):
            # Not only when connect() returns: handlers look at it during the upgrade.
            self.connected = True
        self._joined.set()
        if self._queues and (queue := self._queues.get(peer.namespace.name)):
            queue.joined()

    def _on_refused(self, peer: ClientPeer, error: Any) -> None:
        name = peer.namespace.name
        self.failed_namespaces.append(name)
        self.namespaces.pop(name, None)
        self._joined.set()
        if self.connected or self._reconnecting is not None:
            self.start_background_task(self._close_if_unused)
            asyncio.get_running_loop().call_soon(peer.trigger, "__disconnect_final")

    def _on_left(self, peer: ClientPeer, reason: str) -> None:
        self.namespaces.pop(peer.namespace.name, None)
        self._joined.set()
        if self._queues and (queue := self._queues.get(peer.namespace.name)):
            queue.left()
        if reason == self.reason.SERVER_DISCONNECT and self.eio.state == "connected":
            if not self.namespaces:
                self.connected = False
                self.start_background_task(self._close_if_unused)
            asyncio.get_running_loop().call_soon(peer.trigger, "__disconnect_final")

    def _on_closed(self, link: Link, reason: str, description: str | None) -> None:
        wanted = self.reason.CLIENT_DISCONNECT
        self.connected = False
        self._lost = description or reason
        self.namespaces.clear()
        self.sid = None
        self._joined.set()
        if self._disconnecting:
            pass  # disconnect() goes on
        elif self.reconnection and not self._given_up and reason != wanted:
            self._reconnect()
        else:
            self._give_up()
        # Last: a listener may connect again.
        self.manager.tell(self._core.runner, "close", reason, description)

    # Reconnecting.

    def _reconnect(self) -> None:
        if self._reconnecting is None:
            self._reconnecting = asyncio.ensure_future(reconnect(self))
            self._reconnecting.add_done_callback(self._reconnect_ended)

    def _reconnect_ended(self, task: asyncio.Task[None]) -> None:
        if self._reconnecting is task:
            self._reconnecting = None
        if not task.cancelled() and task.exception() is not None:
            self.logger.error("reconnecting has failed", exc_info=task.exception())
            self._give_up()

    _forget = forget

    def _give_up(self) -> None:
        """There is no connection, and there will be none."""
        if self._given_up:
            return
        self._given_up = True
        if self._measures is not None:
            self._measures.stop()
        for peer in list(self._core.connection.peers.values()):
            if peer.active:
                peer.give_up()
                if (queue := self._queues.get(peer.namespace.name)) is not None:
                    queue.give_up()
                peer.trigger("__disconnect_final")
        if self._ended is not None:
            self._ended.set()

    # Disconnecting.

    async def disconnect(self) -> None:
        """Disconnect from the server; what was sent before is delivered first. Ends the
        attempts to connect again. Returns when ``disconnect`` handlers have ended."""
        before = self._own_tasks.of(DISCONNECTING)
        task, self._reconnecting = self._reconnecting, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            self.eio._await_end(task)
        number = self._attempts
        self._disconnecting = True
        if self.eio.state != "connected":
            self._give_up()  # an attempt may be under way: it is the last one
        try:
            if self.eio.state == "connected":
                for peer in list(self._core.connection.peers.values()):
                    if peer.active:
                        peer.leave()
            await self.eio.disconnect()
        finally:
            if number == self._attempts:
                self._disconnecting = False
                self.connected = False
                self._give_up()
            # Else a handler has connected again meanwhile.
        await self._own_tasks.ended(DISCONNECTING, but=before)

    async def shutdown(self) -> None:
        """The same as :meth:`disconnect`."""
        await self.disconnect()

    async def wait(self) -> None:
        """Wait until there is no connection, and will be none: after
        :meth:`disconnect`, when the server has disconnected the client, or when all
        attempts to connect again have failed."""
        if self._ended is not None:
            await self._ended.wait()
        await self._own_tasks.ended(DISCONNECTING)
        await self.eio.closed()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.disconnect()

    # Sending.

    @returns_coroutine
    def emit(
        self,
        event: Any,
        data: Any = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
    ) -> Begun:
        """Send an event. It is done when this returns; the result may be awaited, which
        waits while the server is slow.

        While the connection is lost, the event is kept, and sent when there is one;
        see ``offline_buffer=``.

        Args:
            event: The name.
            data: ``None`` for no argument, a tuple for several, anything else is one:
                what JSON knows, with bytes anywhere in it.
            namespace: The namespace, ``"/"`` by default.
            callback: Called with the arguments of the acknowledgement.

        Raises:
            BadNamespaceError: The namespace is not connected, and is not to be.
            OfflineBufferError: Too much waits for the connection already.
            TypeError: ``data`` is not JSON with bytes in it.
        """
        peer = self._core.connection.peers.get(namespace or "/")
        return self._send_event(
            peer, [name_of(event), *arguments_of(data)], callback, namespace
        )

    @returns_coroutine
    def send(
        self,
        data: Any,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
    ) -> Begun:
        """Send the event ``message``; see :meth:`emit`."""
        return self.emit("message", data=data, namespace=namespace, callback=callback)

    async def call(
        self,
        event: Any,
        data: Any = None,
        namespace: str | None = None,
        timeout: float | None = 60,
    ) -> Any:
        """Send an event, and wait for its acknowledgement.

        Args:
            event: The name.
            data: As for :meth:`emit`.
            namespace: The namespace, ``"/"`` by default.
            timeout: Seconds to wait, with ``retries=`` for all of them together;
                ``None`` without limit.

        Returns:
            ``None`` for an acknowledgement without arguments, the argument for one, a
            tuple for several.

        Raises:
            TimeoutError: No acknowledgement came in time; of its class
                ``CallDisconnectedError`` if the connection was lost.
        """
        peer = self._core.connection.peers.get(namespace or "/")
        arguments = [name_of(event), *arguments_of(data)]
        if self.config.retries:
            return await self._ask_until_answered(peer, arguments, timeout, namespace)
        if is_overridden(self, "emit"):
            return await self._answer_of(
                lambda reply: self.emit(
                    event, data=data, namespace=namespace, callback=reply
                ),
                peer,
                arguments[0],
                timeout,
            )
        return await self._ask(peer, arguments, timeout, namespace)

    # Utilities, as in python-socketio.

    def start_background_task(
        self, target: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> asyncio.Task[Any]:
        """Run a coroutine function in a Task, which is returned."""
        return self.eio.start_background_task(target, *args, **kwargs)

    async def sleep(self, seconds: float = 0) -> None:
        """Sleep for so many seconds."""
        await self.eio.sleep(seconds)
