"""An Engine.IO server (revision 4) for programs that do not use asyncio."""

from __future__ import annotations

import inspect
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from socketio_fast.engineio.async_server import AsyncServer
from socketio_fast.engineio.base_server import ASYNC_MODES, BaseServer
from socketio_fast.engineio.packet import Packet
from socketio_fast.handlers.signatures import positional
from socketio_fast.hosting.wsgi import Environ, Gateway, StartResponse
from socketio_fast.options.config import AsyncHandlers, EngineConfig, EngineServerConfig
from socketio_fast.options.declare import takes
from socketio_fast.options.logs import AnyLogger
from socketio_fast.threads.facade import MAX_WORKERS, Threads
from socketio_fast.threads.methods import Facade, like, runs, waits

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.options.typed import EngineKeywords

__all__ = ["Server", "check_async_mode", "saved_afterwards"]

F = TypeVar("F", bound=Callable[..., Any])


@takes(EngineConfig, EngineServerConfig)
class Server(Facade, BaseServer):
    """An Engine.IO server for programs with threads.

    It runs an :class:`~socketio_fast.engineio.AsyncServer` on an event loop in a thread
    of its own, which starts when it is first needed. Every method may be called from
    any thread. Handlers run in a pool of threads; with ``async_handlers=False``, those
    of one client run one after the other.

    Example::

        eio = socketio.engineio.Server()

        @eio.on("message")
        def message(sid, data):
            eio.send(sid, data)

        app = socketio.engineio.WSGIApp(eio)

    Args:
        async_mode: ``None``, the default, or ``"threading"``, which mean the same.
        max_workers: The maximum number of threads for handlers, 128 by default.
        max_workers_per_client: The maximum number of threads for the handlers of one
            client; ``None``, the default, is a quarter of ``max_workers``, rounded up.
        **options: The options of docs/options.md; ``help()`` lists them here.

    Raises:
        ValueError: An option has a value that is not allowed.
        RuntimeError: gevent or eventlet has patched the threads of this process.
    """

    _inner: AsyncServer

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
        max_workers: int = MAX_WORKERS,
        max_workers_per_client: int | None = None,
        **options: Unpack[EngineKeywords],
    ) -> None:
        check_async_mode(async_mode)
        inner = AsyncServer(
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            max_http_buffer_size=max_http_buffer_size,
            allow_upgrades=allow_upgrades,
            http_compression=http_compression,
            compression_threshold=compression_threshold,
            cookie=cookie,
            cors_allowed_origins=cors_allowed_origins,
            cors_credentials=cors_credentials,
            logger=logger,
            json=json,
            async_handlers=async_handlers,
            monitor_clients=monitor_clients,
            transports=transports,
            **options,
        )
        self._drive(
            inner,
            Threads(inner.bind, max_workers, inner.logger, max_workers_per_client),
        )

    @classmethod
    def over(cls, inner: AsyncServer, threads: Threads) -> Server:
        """Make the server that runs an asynchronous one on given threads.

        Args:
            inner: The asynchronous server.
            threads: Its event loop's thread and the threads for handlers.
        """
        self = cls.__new__(cls)
        self._drive(inner, threads)
        return self

    def _drive(self, inner: AsyncServer, threads: Threads) -> None:
        super().__init__()
        self.async_mode = "threading"
        self.logger = inner.logger
        self.async_handlers = inner.async_handlers
        self.start_service_task = inner.start_service_task
        self.engine = inner.engine
        self.engine.server = weakref.ref(self)
        self._callbacks = inner._callbacks
        self._hooks = inner._hooks
        self._hooks.adapt(threads.adapt)
        self._json = inner._json
        self._inner = inner
        self._threads = threads
        self._gateway = Gateway(threads, inner)
        #: Held while the session data of clients is read and written.
        self.lock = threading.Lock()
        self._choose_ids(self.generate_id)

    def __setattr__(self, name: str, value: Any) -> None:
        # A program may replace generate_id() after the server is made.
        super().__setattr__(name, value)
        if name == "generate_id":
            self._choose_ids(value)

    def _choose_ids(self, make: Callable[..., Any]) -> None:
        # A function that takes the environ may query a database, which must not block
        # the event loop: it runs in a thread.
        chosen = self._threads.adapt(make) if positional(make)[0] else make
        self._inner.generate_id = chosen  # type: ignore[method-assign]

    def is_asyncio_based(self) -> bool:
        """``False``."""
        return False

    def async_modes(self) -> list[str]:
        """The values of ``async_mode``."""
        return ["threading"]

    def _adapt(
        self, handler: Callable[..., Any], client: Any = None
    ) -> Callable[..., Any]:
        return self._threads.adapt(handler, client)

    @like(
        AsyncServer.send,
        "This returns when the message is encoded, before it is sent. Messages of one\n"
        "thread are sent in order.",
    )
    def send(self, sid: str, data: Any) -> None:
        if self.engine.blocks:
            self._run(self._inner.send(sid, data))
        else:
            self._threads.post(self._send, sid, self._encode(data))

    flushed = runs(AsyncServer.flushed)

    @like(AsyncServer.send_packet)
    def send_packet(self, sid: str, pkt: Packet) -> None:
        self._threads.post(self._send, sid, self._encode_packet(pkt))

    @like(AsyncServer.get_session)
    def get_session(self, sid: str) -> dict[str, Any]:
        with self.lock:
            return self._get_session(sid)

    @like(AsyncServer.save_session)
    def save_session(self, sid: str, session: dict[str, Any]) -> None:
        with self.lock:
            self._save_session(sid, session)

    @contextmanager
    def session(self, sid: str) -> Iterator[dict[str, Any]]:
        """A context manager that gives a client's session data, saved at the end.

        Raises:
            KeyError: The client is not connected.
        """
        yield from saved_afterwards(self, sid)

    disconnect = runs(AsyncServer.disconnect)
    drain = waits(AsyncServer.drain)

    def handle_request(
        self, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer an HTTP request, as a WSGI application.

        :class:`~socketio_fast.engineio.WSGIApp` calls this for the server's path.
        """
        return self._gateway.handle_request(environ, start_response)

    def shutdown(self) -> None:
        """Disconnect every client, and stop the event loop.

        Before it stops the loop, this waits for 10 seconds at most until handlers and
        connections have ended; called by a handler, it does not wait for handlers. The
        loop starts again when it is needed.
        """
        self._gateway.shutdown()

    def start_background_task(
        self, target: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> threading.Thread:
        """Run a function in a daemon thread of its own.

        Returns:
            The started thread.

        Raises:
            TypeError: The function is a coroutine function.
        """
        if inspect.iscoroutinefunction(target):
            raise TypeError(
                f"{target!r} is a coroutine function, which Server cannot run: use "
                "AsyncServer"
            )
        thread = threading.Thread(target=target, args=args, kwargs=kwargs, daemon=True)
        thread.start()
        return thread

    def sleep(self, seconds: float = 0) -> None:
        """Block the calling thread for a number of seconds."""
        time.sleep(seconds)

    def create_queue(self, *args: Any, **kwargs: Any) -> queue.Queue[Any]:
        """Return a new :class:`queue.Queue`."""
        return queue.Queue(*args, **kwargs)

    def get_queue_empty_exception(self) -> type[queue.Empty]:
        """The exception that ``get_nowait()`` of an empty queue raises."""
        return queue.Empty

    def create_event(self, *args: Any, **kwargs: Any) -> threading.Event:
        """Return a new :class:`threading.Event`."""
        return threading.Event(*args, **kwargs)


def saved_afterwards(server: Any, sid: str, *namespace: Any) -> Iterator[Any]:
    """Yield a client's session data once, and then save it, for a ``session()``.

    Args:
        server: The server, whose ``get_session()`` and ``save_session()`` are called.
        sid: The id of the client.
        *namespace: Further arguments of ``get_session()`` and ``save_session()``.
    """
    session = server.get_session(sid, *namespace)
    try:
        yield session
    except BaseException:
        # KeyError says that the client has gone; the block's own error matters more.
        with suppress(KeyError):
            server.save_session(sid, session, *namespace)
        raise
    server.save_session(sid, session, *namespace)


def check_async_mode(async_mode: str | None) -> None:
    """Raise ValueError unless ``async_mode`` is ``None`` or ``"threading"``."""
    if async_mode in (None, "threading"):
        return
    if async_mode in ("eventlet", "gevent", "gevent_uwsgi"):
        raise ValueError(
            f"async_mode={async_mode!r}: greenlets cannot share a process with an "
            "event loop. Use async_mode='threading' (the default), without "
            "monkey-patching, or AsyncServer"
        )
    if async_mode in ASYNC_MODES:
        raise ValueError(
            f"async_mode={async_mode!r} is a mode of AsyncServer: use AsyncServer, or "
            "async_mode='threading'"
        )
    raise ValueError(f"async_mode={async_mode!r}: None or 'threading' expected")
