"""An Engine.IO server (revision 4), with python-engineio's names."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from socketio_fast import hosting
from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.engine.message_handlers import Callbacks
from socketio_fast._core.socketio.hub import Hub
from socketio_fast.engineio.base_server import (
    ASYNC_MODES,
    SYNC_MODES,
    BaseServer,
)
from socketio_fast.engineio.flow import wait_below
from socketio_fast.engineio.hooks import Hooks
from socketio_fast.engineio.packet import Packet, read_text
from socketio_fast.engineio.payload import server_limit
from socketio_fast.exceptions import DisconnectedError
from socketio_fast.handlers.signatures import positional
from socketio_fast.handlers.slow import SlowHandlers
from socketio_fast.options.cluster import directory_of, worker_number
from socketio_fast.options.config import (
    AsyncHandlers,
    EngineConfig,
    EngineServerConfig,
    is_ordered,
)
from socketio_fast.options.declare import known, takes
from socketio_fast.options.json_module import json_functions
from socketio_fast.options.logs import AnyLogger, choose_logger
from socketio_fast.serving.drain import DrainSummary, drain
from socketio_fast.serving.refusal_warnings import Refusals

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.cluster.membership import Membership
    from socketio_fast.options.typed import EngineKeywords

__all__ = ["AsyncServer"]

F = TypeVar("F", bound=Callable[..., Any])


# As it was before anybody has replaced it: the core then makes ids without it.
_generate_id = BaseServer.generate_id


@takes(EngineConfig, EngineServerConfig)
class AsyncServer(BaseServer):
    """An Engine.IO server for asyncio.

    Example::

        eio = socketio.engineio.AsyncServer()

        @eio.on("message")
        async def message(sid, data):
            await eio.send(sid, data)

        socketio.run(eio, port=5000)

    Args:
        **options: Those of docs/options.md; ``help()`` shows them here.

    Raises:
        ValueError: An option has a value that is not allowed.
    """

    def __init__(
        self,
        async_mode: str | None = None,
        ping_interval: float | tuple[float, float] = 25,
        ping_timeout: float = 20,
        max_http_buffer_size: int = 1_000_000,
        allow_upgrades: bool = True,
        http_compression: bool = True,
        compression_threshold: int = 1024,
        cookie: str | Mapping[str, Any] | None = None,
        cors_allowed_origins: str | Sequence[str] | Callable[..., bool] | None = None,
        cors_credentials: bool = True,
        logger: bool | AnyLogger = False,
        json: Any = None,
        async_handlers: AsyncHandlers = True,
        monitor_clients: bool | None = None,
        transports: str | Sequence[str] | None = None,
        *,
        _factory: Hub | None = None,
        **options: Unpack[EngineKeywords],
    ) -> None:
        if async_mode in SYNC_MODES:
            raise ValueError(
                f"async_mode={async_mode!r} is not of asyncio: leave it out, or use "
                "the sync Server, which runs handlers in threads"
            )
        if async_mode not in (None, *ASYNC_MODES):
            raise ValueError(
                f"async_mode={async_mode!r}: None or one of {ASYNC_MODES} expected"
            )
        super().__init__()
        self.async_mode = async_mode or "asgi"
        given: dict[str, Any] = known(
            "AsyncServer", options, EngineConfig, EngineServerConfig
        )
        own = EngineServerConfig(
            async_mode=async_mode,
            logger=logger,
            json=json,
            async_handlers=async_handlers,
            monitor_clients=monitor_clients,
            cluster=given.pop("cluster", None),
            allow_request=given.pop("allow_request", None),
        )
        config = EngineConfig(
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            max_http_buffer_size=max_http_buffer_size,
            allow_upgrades=allow_upgrades,
            http_compression=http_compression,
            compression_threshold=compression_threshold,
            cookie=cookie,
            cors_allowed_origins=cors_allowed_origins,
            cors_credentials=cors_credentials,
            transports=transports,
            **given,
        )
        self.start_service_task = monitor_clients is not False
        self.logger = choose_logger(logger, "socketio_fast.engineio")
        self.async_handlers = async_handlers
        self._json = json_functions(json)
        self._callbacks = Callbacks(
            logger=self.logger,
            ordered=is_ordered(async_handlers),
            read_text=partial(read_text, json=self._json),
        )
        self._factory: Callbacks | Hub = (
            self._callbacks if _factory is None else _factory
        )
        self.engine = Engine(config, self._factory, self.logger)
        self.engine.server = weakref.ref(self)
        self.engine.refusals = Refusals(self.logger)
        self._slow_handlers = SlowHandlers(self._factory.logger)
        self._hooks = Hooks(self.engine)
        if own.allow_request is not None:
            self._hooks.allow_by(own.allow_request)
        self._choose_ids(self.generate_id)
        self._cluster = own.cluster
        self._bound = False
        #: This server among the workers of a cluster, while it runs; ``None``: it is
        #: the only one.
        self.membership: Membership | None = None

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run on this event loop; ``serve`` calls it.

        Raises:
            RuntimeError: Clients are connected on another loop, which is not closed.
        """
        if self.engine.loop is None and self.config.weaknesses:
            self.logger.warning("; ".join(self.config.weaknesses))
        self.engine.bind(loop)
        self.engine.max_packets = server_limit()
        self._factory.bind(self.engine)
        assert self._factory.runner is not None
        self._factory.runner.watch(
            self.config.slow_handler_threshold, self._slow_handlers
        )
        self.engine.forget_lost()
        directory = directory_of(self._cluster)
        if directory is not None and self.membership is None:
            from socketio_fast.cluster.membership import Membership

            self.membership = Membership(self, directory, worker_number())
        self._bound = True

    def is_bound(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether it runs on this event loop; hosts call it."""
        return self._bound and self.engine.loop is loop

    async def unbind(self) -> None:
        """Release the event loop: leave the cluster of workers, if there is one."""
        self._bound = False
        membership, self.membership = self.membership, None
        if membership is not None:
            membership.close()

    @property
    def eio(self) -> AsyncServer:
        """This server itself: hosts read the same attribute of Socket.IO servers."""
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "generate_id":
            # Ids are made by a function of the application's, which may be set later.
            self._choose_ids(value)
        elif name == "limits" and self.membership is not None:
            self.membership.limits.follow()

    def _choose_ids(self, make: Callable[..., Any]) -> None:
        asks = positional(make)[0] > 0 or inspect.iscoroutinefunction(make)
        default = getattr(make, "__func__", None) is _generate_id
        self._hooks.generate_by(make if asks else None)
        self.engine.generate_by(None if asks or default else make)

    def handler_tasks(self) -> set[asyncio.Task[Any]]:
        """The tasks of the handlers that have suspended."""
        runner = self._factory.runner
        return set() if runner is None else set(runner.tasks)

    def is_asyncio_based(self) -> bool:
        """``True``."""
        return True

    def async_modes(self) -> list[str]:
        """The values of ``async_mode``."""
        return list(ASYNC_MODES)

    async def send(
        self, sid: str, data: str | bytes | list[Any] | dict[str, Any]
    ) -> None:
        """Send a message. Nothing happens if the client has disconnected.

        Args:
            sid: The Engine.IO id.
            data: Text, bytes-like for a binary message, or a list or dict, which goes
                as JSON.

        Raises:
            TypeError: ``data`` is none of them.
        """
        self._send(sid, self._encode(data))
        session = self.engine.sessions.get(sid)
        if session is not None and self.engine.blocks:
            config = self.config
            await wait_below(
                session, min(config.high_water_mark, config.max_buffer_bytes)
            )

    async def flushed(self, sid: str, below: int = 0) -> None:
        """Wait until everything that was sent to a client before has left.

        Args:
            sid: The Engine.IO id.
            below: Bytes that may be left.

        Raises:
            DisconnectedError: The client has gone.
        """
        session = self.engine.sessions.get(sid)
        if session is None or not await wait_below(session, below):
            raise DisconnectedError(f"{sid} is not connected")

    async def send_packet(self, sid: str, pkt: Packet) -> None:
        """Send a packet as it is. Nothing happens if the client has disconnected.

        For messages there is :meth:`send`; other packets are the protocol's own, and
        the server sends them by itself.

        Args:
            sid: The Engine.IO id.
            pkt: The packet.
        """
        self._send(sid, self._encode_packet(pkt))

    async def get_session(self, sid: str) -> dict[str, Any]:
        """The application's data of a client: a dict, kept while it is connected.

        Raises:
            KeyError: The client is not connected.
        """
        return self._get_session(sid)

    async def save_session(self, sid: str, session: dict[str, Any]) -> None:
        """Replace the application's data of a client.

        Raises:
            KeyError: The client is not connected.
        """
        self._save_session(sid, session)

    @asynccontextmanager
    async def session(self, sid: str) -> AsyncIterator[dict[str, Any]]:
        """The application's data of a client. Changes inside the block are kept.

        Raises:
            KeyError: The client is not connected.
        """
        yield await self.get_session(sid)

    async def disconnect(self, sid: str | None = None) -> None:
        """Disconnect a client, or all clients. What was sent before is delivered."""
        if sid is None:
            self.engine.close_all()
        elif sid in self.engine.sessions:
            self.engine.sessions[sid].disconnect()

    async def handle_request(self, *args: Any, **kwargs: Any) -> Any:
        """Answer a request that a framework has received; :class:`ASGIApp` calls it.

        Args:
            *args: ``(scope, receive, send)`` of ASGI, or a request of aiohttp or sanic.
            **kwargs: Ignored.

        Raises:
            TypeError: It is something else.
        """
        return await hosting.handle_request(self, *args)

    def attach(self, app: Any, engineio_path: str = "engine.io") -> None:
        """Serve a path of an application of aiohttp or sanic.

        Raises:
            TypeError: It is something else.
        """
        hosting.attach(self, app, engineio_path)

    async def drain(
        self, rate: float | None = None, timeout: float = 30
    ) -> DrainSummary:
        """Refuse new clients, and ask the connected ones to leave, in stages.

        They are closed so that they connect again, which the server refuses with 503
        from now on: :meth:`shutdown` or the next start ends that. A client whose
        handlers run, or that has an acknowledgement to send or to receive, is asked
        when they are done. Do not wait for this in a handler of a client, for which it
        would wait itself.

        Args:
            rate: How many clients are asked each second; ``None`` for all at once.
            timeout: Seconds after which those that are left are closed, whatever they
                have under way.

        Returns:
            What became of them.

        Raises:
            ValueError: ``rate`` is not positive, or ``timeout`` is negative.
        """
        self.logger.info("the server is draining")
        return await drain(self.engine, rate, timeout)

    async def shutdown(self) -> None:
        """Disconnect every client. They may connect again."""
        self.engine.close_all()

    def start_background_task(
        self, target: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **kwargs: Any
    ) -> asyncio.Task[Any]:
        """Start a coroutine function as a task; returns the task."""
        task = asyncio.ensure_future(target(*args, **kwargs))
        # The event loop itself holds tasks only weakly.
        _background.add(task)
        task.add_done_callback(_background.discard)
        return task

    async def sleep(self, seconds: float = 0) -> None:
        """Sleep for so many seconds."""
        await asyncio.sleep(seconds)

    def create_queue(self, *args: Any, **kwargs: Any) -> asyncio.Queue[Any]:
        """An :class:`asyncio.Queue`."""
        return asyncio.Queue(*args, **kwargs)

    def get_queue_empty_exception(self) -> type[asyncio.QueueEmpty]:
        """What ``get_nowait()`` of such a queue raises."""
        return asyncio.QueueEmpty

    def create_event(self) -> asyncio.Event:
        """An :class:`asyncio.Event`."""
        return asyncio.Event()


_background: set[asyncio.Future[Any]] = set()
