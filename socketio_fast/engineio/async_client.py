"""The Engine.IO client (revisions 4 and 3), with python-engineio's names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from socketio_fast import exceptions
from socketio_fast._core.client.session import ClientSession, SessionOwner
from socketio_fast._core.engine.contracts import HandlerFactory
from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.engine.message_handlers import Callbacks
from socketio_fast._core.protocol.deflate import Extension
from socketio_fast._core.protocol.outgoing import message_packet
from socketio_fast.clients.carriers import Target
from socketio_fast.clients.contracts import HttpOptions, Requests
from socketio_fast.clients.http import requests_for
from socketio_fast.clients.link import Link, LinkEvents, check_installed
from socketio_fast.clients.own_tasks import CONNECTING, DISCONNECTING, OwnTasks
from socketio_fast.clients.processes import forget_after_fork
from socketio_fast.clients.urls import unix_path
from socketio_fast.coroutines import Flag
from socketio_fast.engineio.base_client import BaseClient
from socketio_fast.engineio.packet import read_text
from socketio_fast.options.client import EngineClientConfig
from socketio_fast.options.config import DeflateOptions, EngineConfig
from socketio_fast.options.declare import declared, takes
from socketio_fast.options.json_module import json_functions
from socketio_fast.options.logs import choose_logger

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.options.typed import EngineClientKeywords

__all__ = ["AsyncClient"]

TRANSPORTS = ("polling", "websocket")
#: Those that a program may choose.
KNOWN = (*TRANSPORTS, "webtransport")


@takes(EngineClientConfig)
class AsyncClient(BaseClient):
    """An Engine.IO client for asyncio.

    Example::

        eio = engineio.AsyncClient()

        @eio.on("message")
        async def on_message(data):
            await eio.send(data)

        await eio.connect("http://localhost:5000")
        await eio.wait()

    Args:
        **options: Those of docs/options.md; ``help()`` shows them here.

    Raises:
        ValueError: An option has a value that is not allowed.
        TypeError: There is no such option, or ``json`` cannot be used.
    """

    def __init__(
        self,
        logger: Any = False,
        json: Any = None,
        request_timeout: float | None = 5,
        http_session: Any = None,
        ssl_verify: Any = True,
        handle_sigint: bool = True,
        websocket_extra_options: Mapping[str, Any] | None = None,
        timestamp_requests: bool = True,
        *,
        _factory: HandlerFactory | None = None,
        _events: LinkEvents | None = None,
        **options: Unpack[EngineClientKeywords],
    ) -> None:
        super().__init__()
        names = declared(EngineClientConfig)
        for name in options:
            if name not in names:
                raise TypeError(f"{type(self).__name__} has no option {name!r}")
        self.config = EngineClientConfig(
            logger=logger,
            json=json,
            request_timeout=request_timeout,
            http_session=http_session,
            ssl_verify=ssl_verify,
            handle_sigint=handle_sigint,
            websocket_extra_options=websocket_extra_options,
            timestamp_requests=timestamp_requests,
            **options,
        )
        config = self.config
        self.logger = choose_logger(config.logger, "socketio_fast.engineio.client")
        self._json = json_functions(config.json)
        self._http = HttpOptions.of(
            ssl_verify=config.ssl_verify,
            websocket_extra_options=config.websocket_extra_options,
            proxy=config.proxy,
            max_http_buffer_size=config.max_http_buffer_size,
        )
        deflate = config.per_message_deflate
        self._deflate = (
            _extension(deflate) if isinstance(deflate, DeflateOptions) else None
        )
        self._callbacks = Callbacks(
            logger=self.logger, read_text=partial(read_text, json=self._json)
        )
        self.engine = Engine(
            _engine_config(
                config.max_http_buffer_size,
                config.max_buffer_bytes,
                config.high_water_mark,
            ),
            self._callbacks if _factory is None else _factory,
            self.logger,
        )
        #: ``"disconnected"``, ``"connected"`` or ``"disconnecting"``.
        self.state: str = "disconnected"
        self.transports: list[str] | None = None
        self.base_url: str | None = None
        self._link: Link | None = None
        self._requests: Requests | None = None
        self._upgraded_before = False
        self._ended: Flag | None = None
        self._closing: set[asyncio.Task[Any]] = set()
        self._own_tasks = OwnTasks()
        self._callbacks.begun = self._own_tasks.add
        self._events = _Told(self, LinkEvents() if _events is None else _events)
        self._idle = ClientSession(self.engine, SessionOwner())
        self._idle.never_open()
        forget_after_fork(self)

    def is_asyncio_based(self) -> bool:
        return True

    def _set_handler(self, event: str, handler: Callable[..., Any]) -> None:
        if event == "connect":
            # The core's connect handlers get the sid and the environ.
            self._callbacks.connect = lambda sid, environ: handler()
        elif event == "disconnect":
            known = (self.reason.CLIENT_DISCONNECT, self.reason.SERVER_DISCONNECT)
            self._callbacks.disconnect = lambda sid, reason: handler(
                reason if reason in known else self.reason.TRANSPORT_ERROR
            )
        else:
            setattr(self._callbacks, event, lambda sid, argument: handler(argument))

    # What there is to know.

    @property
    def _session(self) -> ClientSession:
        return self._idle if self._link is None else self._link.session

    @property
    def sid(self) -> str | None:
        """The session's id; ``None`` while there is no connection."""
        return self._session.id if self.state == "connected" else None

    @property
    def upgrades(self) -> list[str] | None:
        """The transports that the server offers to upgrade to."""
        return self._session.upgrades if self._link is not None else None

    @property
    def ping_interval(self) -> float | None:
        """Seconds between two pings of the server."""
        return self.engine.ping_interval if self._link is not None else None

    @property
    def ping_timeout(self) -> float | None:
        """Seconds in which the server expects a pong."""
        return self.engine.ping_timeout if self._link is not None else None

    @property
    def current_transport(self) -> str | None:
        """The transport in use: ``"polling"``, ``"websocket"``, ``"webtransport"`` or
        ``None``."""
        return self._session.transport_name if self._link is not None else None

    def transport(self) -> str | None:
        """The transport in use: ``"polling"``, ``"websocket"``, ``"webtransport"`` or
        ``None``."""
        return self.current_transport

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait for the server to read them."""
        return self._session.buffered_bytes

    # Connecting.

    async def connect(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        transports: Sequence[str] | str | None = None,
        engineio_path: str = "engine.io",
    ) -> None:
        """Connect to a server. Returns when the handler of ``connect`` has ended.

        Args:
            url: Its URL, of http, https, ws or wss, or ``unix:///run/app.sock`` with
                the path of a Unix socket. It may have a query.
            headers: More headers of the requests.
            transports: The transports to use, the first to begin with:
                ``["polling", "websocket"]`` by default, which upgrades. There is
                ``"webtransport"`` too.
            engineio_path: Where the server has Engine.IO.

        Raises:
            ConnectionError: The server could not be reached, or did not do what it
                should; what, and what to do.
            ValueError: It is connected already, the URL cannot be used, or there is no
                such transport.
            ImportError: ``"webtransport"`` is one, and aioquic is not installed.
        """
        if self.state != "disconnected":
            raise ValueError("Client is not in a disconnected state")
        self.transports = self._chosen(transports)
        self.engine.bind(asyncio.get_running_loop())
        self._callbacks.bind(self.engine)
        before = self._own_tasks.of(CONNECTING)
        target = self._target(url, headers or {}, engineio_path)
        order = list(self.transports)
        if self.config.remember_upgrade and self._upgraded_before:
            order.sort(key=lambda name: name != "websocket")
        if not self.config.try_all_transports:
            order = order[:1]
        error: exceptions.ConnectionError | None = None
        self._requests = await requests_for(
            self.config.http_session, self._http, unix_path(url)
        )
        try:
            for transport in order:
                link = Link(
                    self.engine, self._requests, target, self._events, self.logger
                )
                self.base_url = link.url(transport)
                self._link = link
                try:
                    await link.connect(transport, self.base_url)
                except exceptions.ConnectionError as exc:
                    self.logger.info("%s", exc)
                    error = exc
                    self._link = None
                else:
                    break
            else:
                assert error is not None
                raise error
        except BaseException:
            await self._reset()
            raise
        if link.can_upgrade:
            await link.upgrade()
        await self._own_tasks.ended(CONNECTING, but=before)

    def _chosen(self, transports: Sequence[str] | str | None) -> list[str]:
        if transports is None:
            return list(TRANSPORTS)
        if isinstance(transports, str):
            transports = [transports]
        chosen = [name for name in transports if name in KNOWN]
        if not chosen:
            raise ValueError(
                f"No valid transports provided: {transports!r}, of {KNOWN} expected"
            )
        check_installed(chosen)
        return chosen

    def _target(self, url: str, headers: Mapping[str, str], path: str) -> Target:
        config = self.config
        assert self.transports is not None
        return Target(
            url=url,
            headers=headers,
            path=path,
            transports=self.transports,
            query=config.query or {},
            eio=config.eio,
            force_base64=config.force_base64,
            upgrade=config.upgrade,
            timestamps=config.timestamp_requests,
            protocols=tuple(config.protocols),
            connect_timeout=config.connect_timeout,
            request_timeout=config.request_timeout,
            max_http_buffer_size=config.max_http_buffer_size,
            deflate=self._deflate,
            certificate_hashes=(config.webtransport_options or {}).get(
                "server_certificate_hashes", ()
            ),
        )

    async def wait(self) -> None:
        """Wait until the connection, and the handler of ``disconnect``, have ended."""
        if self._ended is not None:
            await self._ended.wait()
        await self._own_tasks.ended(DISCONNECTING)
        await self.closed()

    async def send(self, data: Any) -> None:
        """Send a message: ``str``, bytes-like, or what JSON knows as a list or dict.

        Nothing happens while there is no connection. Awaiting this waits while the
        server is slow.

        Raises:
            ValueError: The message is larger than the server takes at once.
        """
        self._send_encoded(self._encoded(data))
        await self._caught_up()

    def _plain(self, data: Any) -> Any:
        """Data as text or bytes: a list or a dict as JSON."""
        return self._json.text(data) if isinstance(data, (list, dict)) else data

    def _encoded(self, data: Any) -> Any:
        """A message, which the server takes."""
        message = message_packet(self._plain(data))
        self._session.check_message(message)
        return message

    def _send_encoded(self, message: Any) -> None:
        self._session.send_encoded(message)

    async def _caught_up(self) -> None:
        mark = self.config.high_water_mark
        if self.buffered_bytes > mark:
            waiting = self._session.below(mark)
            if waiting is not None:
                await waiting

    async def disconnect(self, abort: bool = False, reason: str | None = None) -> None:
        """Disconnect from the server; what was sent before is delivered first. Returns
        when the handler of ``disconnect`` has ended.

        Args:
            abort: Do not wait until the connection is closed.
            reason: What ``disconnect`` handlers get.
        """
        before = self._own_tasks.of(DISCONNECTING)
        link = self._link
        if link is not None and self.state == "disconnected":
            link.cancel()
        elif link is not None:
            if self.state == "connected":
                self.state = "disconnecting"
            if abort:
                link.session.end(reason or self.reason.CLIENT_DISCONNECT)
            else:
                try:
                    await link.close(reason or self.reason.CLIENT_DISCONNECT)
                finally:
                    await self._reset()
        await self._own_tasks.ended(DISCONNECTING, but=before)
        if not abort:
            await self.closed()

    async def _reset(self) -> None:
        requests, self._requests = self._requests, None
        self._link = None
        self.state = "disconnected"
        if requests is not None:
            await requests.close()
        self.engine.rearm()

    def _is_over(self) -> bool:
        """Whether there is no connection, and nothing left of one."""
        return self._link is None and not self._closing

    def _forget(self) -> None:
        """Forget the connection: it is another process's, or of a closed event loop."""
        self.engine.sessions.clear()
        self._link = self._requests = self._ended = None
        self._closing.clear()
        self.state = "disconnected"

    async def closed(self) -> None:
        """Wait until nothing is open any more of connections that have ended."""
        current = asyncio.current_task()
        closing = {task for task in self._closing if task is not current}
        if closing:
            await asyncio.wait(closing)

    def _await_end(self, task: asyncio.Task[Any]) -> None:
        """Wait in :meth:`closed` until this task has ended."""
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close_requests(self, link: Link, requests: Requests) -> None:
        await link.ended()
        await requests.close()
        self.engine.rearm()

    # Utilities, as in python-engineio.

    def start_background_task(
        self, target: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> asyncio.Task[Any]:
        """Run a coroutine function in a Task, which is returned."""
        task: asyncio.Task[Any] = asyncio.ensure_future(target(*args, **kwargs))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
        return task

    async def sleep(self, seconds: float = 0) -> None:
        """Sleep for so many seconds."""
        await asyncio.sleep(seconds)

    def create_queue(self, *args: Any, **kwargs: Any) -> asyncio.Queue[Any]:
        """Make a queue."""
        return asyncio.Queue(*args, **kwargs)

    def get_queue_empty_exception(self) -> type[asyncio.QueueEmpty]:
        """The exception of an empty queue."""
        return asyncio.QueueEmpty

    def create_event(self) -> asyncio.Event:
        """Make an event."""
        return asyncio.Event()


@lru_cache(maxsize=16)
def _extension(options: DeflateOptions) -> Extension:
    """What is offered to servers, one for all clients that offer the same."""
    return Extension(options)


@lru_cache(maxsize=16)
def _engine_config(
    max_http_buffer_size: int, max_buffer_bytes: int, high_water_mark: int
) -> EngineConfig:
    """The options of the core, one frozen object for all clients that have the same:
    there are 80 of them, most of which only servers need."""
    return EngineConfig(
        max_http_buffer_size=max_http_buffer_size,
        max_buffer_bytes=max_buffer_bytes,
        high_water_mark=high_water_mark,
    )


#: Tasks that nobody else refers to.
_tasks: set[asyncio.Task[Any]] = set()


class _Told(LinkEvents):
    """What the link tells, for the client and for who uses it."""

    def __init__(self, client: AsyncClient, others: LinkEvents) -> None:
        self._client = client
        self._others = others

    def opened(self, link: Link) -> None:
        self._client.state = "connected"
        self._client._ended = Flag()
        self._others.opened(link)

    def pinged(self, link: Link) -> None:
        self._others.pinged(link)

    def upgraded(self, link: Link) -> None:
        self._client._upgraded_before = link.session.transport_name == "websocket"
        self._others.upgraded(link)

    def upgrade_failed(self, link: Link, error: BaseException) -> None:
        self._others.upgrade_failed(link, error)

    def closed(self, link: Link, reason: str, description: str | None) -> None:
        client = self._client
        if link is not client._link:
            return
        requests, client._requests = client._requests, None
        client.state = "disconnected"
        client._link = None
        if client._ended is not None:
            client._ended.set()
        if requests is not None:
            closing = client.start_background_task(
                client._close_requests, link, requests
            )
            client._await_end(closing)
        self._others.closed(link, reason, description)
