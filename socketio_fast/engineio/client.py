"""The Engine.IO client for programs that use threads, with python-engineio's names."""

from __future__ import annotations

import asyncio
import inspect
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from socketio_fast.clients.processes import disconnect_at_exit, forget_after_fork
from socketio_fast.clients.sigint import disconnect_at_sigint
from socketio_fast.engineio.async_client import AsyncClient
from socketio_fast.engineio.base_client import BaseClient
from socketio_fast.options.client import EngineClientConfig
from socketio_fast.options.declare import takes
from socketio_fast.threads.facade import MAX_WORKERS, Threads
from socketio_fast.threads.methods import Facade, like, reads

__all__ = ["Client"]


@takes(EngineClientConfig)
class Client(Facade, BaseClient):
    """An Engine.IO client for threads.

    It drives an :class:`~socketio_fast.engineio.AsyncClient` on an event loop of its
    own, which starts when it is first needed. Every method may be called from any
    thread. Handlers start in the order of their events, each in a thread.

    Example::

        eio = engineio.Client()

        @eio.on("message")
        def on_message(data):
            eio.send(data)

        eio.connect("http://localhost:5000")
        eio.wait()

    Args:
        max_workers: Threads that handlers run in, at most (128). Further handlers wait
            until one has ended.
        **options: Those of docs/options.md; ``help()`` shows them here.

    Raises:
        ValueError: An option has a value that is not allowed.
        TypeError: There is no such option, or ``json`` cannot be used.
        RuntimeError: gevent or eventlet has patched the threads of this process.
    """

    _inner: AsyncClient

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
        max_workers: int = MAX_WORKERS,
        **options: Any,
    ) -> None:
        inner = AsyncClient(
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
        threads = Threads(
            _ignore, max_workers, inner.logger, max_workers, inner._is_over
        )
        self._drive(inner, threads)
        forget_after_fork(threads)
        disconnect_at_exit(self)
        if inner.config.handle_sigint:
            disconnect_at_sigint(self)

    @classmethod
    def over(cls, inner: AsyncClient, threads: Threads) -> Client:
        """Make the client that runs an asynchronous one on given threads.

        Args:
            inner: The asynchronous client.
            threads: Its event loop's thread and the threads for handlers.
        """
        self = cls.__new__(cls)
        self._drive(inner, threads)
        return self

    def _drive(self, inner: AsyncClient, threads: Threads) -> None:
        super().__init__()
        self._inner = inner
        self._threads = threads
        self._lock = threading.Lock()
        self._posted = 0  # bytes that wait for the event loop
        forget_after_fork(self)
        self.config = inner.config
        self.logger = inner.logger

    def is_asyncio_based(self) -> bool:
        return False

    def _set_handler(self, event: str, handler: Callable[..., Any]) -> None:
        self._inner._set_handler(event, self._threads.adapt(handler))

    # What there is to know.

    state = reads(
        AsyncClient,
        lambda client: client.state,
        doc='``"disconnected"``, ``"connected"`` or ``"disconnecting"``.',
    )
    transports = reads(
        AsyncClient,
        lambda client: client.transports,
        doc="The transports that ``connect()`` was called with.",
    )
    base_url = reads(
        AsyncClient, lambda client: client.base_url, doc="The URL of the first request."
    )
    sid = reads(AsyncClient, lambda client: client.sid)
    upgrades = reads(AsyncClient, lambda client: client.upgrades)
    ping_interval = reads(AsyncClient, lambda client: client.ping_interval)
    ping_timeout = reads(AsyncClient, lambda client: client.ping_timeout)
    current_transport = reads(AsyncClient, lambda client: client.current_transport)
    buffered_bytes = reads(AsyncClient, lambda client: client.buffered_bytes)

    @like(AsyncClient.transport)
    def transport(self) -> str | None:
        return self._inner.transport()

    # Connecting.

    @like(AsyncClient.connect)
    def connect(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        transports: Sequence[str] | str | None = None,
        engineio_path: str = "engine.io",
    ) -> None:
        self._wait(self._inner.connect(url, headers, transports, engineio_path))

    @like(AsyncClient.wait)
    def wait(self) -> None:
        self._wait(self._inner.wait())

    @like(
        AsyncClient.send,
        "The message is encoded before this returns, and sent soon after; the order\n"
        "of one thread's messages is kept. This waits while the server is slow.",
    )
    def send(self, data: Any) -> None:
        inner = self._inner
        data = inner._plain(data)
        message = inner._encoded(data)
        size = len(data)
        with self._lock:
            self._posted += size

        def send() -> None:
            with self._lock:
                self._posted -= size
            inner._send_encoded(message)

        async def wait() -> None:
            send()
            await inner._caught_up()

        if inner.buffered_bytes + self._posted <= self.config.high_water_mark:
            self._threads.post(send)
        else:
            self._run(wait())

    @like(AsyncClient.disconnect)
    def disconnect(self, abort: bool = False, reason: str | None = None) -> None:
        if self._threads.running:
            self._wait(self._inner.disconnect(abort, reason))

    def _forget(self) -> None:
        """Forget what waits for the event loop: this is a forked process."""
        self._lock = threading.Lock()
        self._posted = 0

    def _leave(self, timeout: float) -> None:
        """Disconnect because the process ends."""
        if self._threads.running:
            self._threads.loop_thread.run(self._inner.disconnect(), timeout)

    # Utilities, as in python-engineio.

    def start_background_task(
        self, target: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> threading.Thread:
        """Run a function in a daemon thread of its own; returns the started thread.

        Raises:
            TypeError: It is a coroutine function.
        """
        if inspect.iscoroutinefunction(target):
            raise TypeError(
                f"{target!r} is a coroutine function, which Client cannot run: use "
                "AsyncClient"
            )
        thread = threading.Thread(target=target, args=args, kwargs=kwargs, daemon=True)
        thread.start()
        return thread

    def sleep(self, seconds: float = 0) -> None:
        """Sleep for so many seconds."""
        time.sleep(seconds)

    def create_queue(self, *args: Any, **kwargs: Any) -> queue.Queue[Any]:
        """Make a :class:`queue.Queue`."""
        return queue.Queue(*args, **kwargs)

    def get_queue_empty_exception(self) -> type[queue.Empty]:
        """The exception of an empty queue."""
        return queue.Empty

    def create_event(self, *args: Any, **kwargs: Any) -> threading.Event:
        """Make a :class:`threading.Event`."""
        return threading.Event(*args, **kwargs)


def _ignore(loop: asyncio.AbstractEventLoop) -> None:
    """The client binds its event loop when it connects."""
