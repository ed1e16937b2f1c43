"""Managers for programs that do not use asyncio: each drives an asynchronous one.

That one runs on the event loop of the server, which has a thread of its own. Managers
without a server share one event loop and thread per process. Methods may be called from
any thread.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

from socketio_fast._core.socketio.hub import Hub
from socketio_fast.managers.async_manager import AsyncManager
from socketio_fast.managers.base import BaseManager
from socketio_fast.managers.broker import abandoned
from socketio_fast.managers.lifetime import released
from socketio_fast.managers.pubsub import NEVER_CALLED, AsyncPubSubManager
from socketio_fast.managers.registry import REGISTRATION
from socketio_fast.options.logs import AnyLogger, as_logger
from socketio_fast.overrides import refuse_overrides
from socketio_fast.threads.loop import LoopThread
from socketio_fast.threads.methods import Facade, like, reads, runs

__all__ = ["Manager", "PubSubManager", "SharedLoop"]

T = TypeVar("T")
Message = dict[str, Any]

_loop_thread = LoopThread("socketio_fast-managers")

# Seconds to close connections at the end of the program.
EXIT_TIMEOUT = 2

_open: weakref.WeakSet[AsyncManager] = weakref.WeakSet()


# Methods that AsyncServer calls: of the asynchronous manager, never of this one.
_ON_LOOP = dict.fromkeys(
    (
        *REGISTRATION,
        "basic_close_room",
        "can_disconnect",
        "initialize",
        "trigger_callback",
    ),
    "its server is driven on an event loop. Use the handlers of 'connect' and "
    "'disconnect', override emit(), enter_room(), leave_room() or close_room(), or use "
    "AsyncServer and a subclass of AsyncManager",
)


class Manager(Facade, BaseManager):
    """Clients of one process; the default of :class:`socketio_fast.Server`.

    The methods are those of :class:`socketio_fast.AsyncManager`; they return when it is
    done. A subclass may override ``emit``, ``enter_room``, ``leave_room``,
    ``close_room`` and ``get_rooms``; to override another is a ``TypeError``.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_overrides(cls, _ON_LOOP)

    def __init__(self) -> None:
        super().__init__()
        #: The manager that this one drives.
        self.async_manager: AsyncManager = AsyncManager()

    @classmethod
    def over(cls, manager: AsyncManager) -> Manager:
        """One that drives this manager."""
        driver = cls()
        driver.async_manager = manager
        return driver

    can_disconnect = runs(AsyncManager.can_disconnect)
    emit = runs(AsyncManager.emit)  # type: ignore[arg-type]
    disconnect = runs(AsyncManager.disconnect)  # type: ignore[arg-type]
    enter_room = runs(AsyncManager.enter_room)
    leave_room = runs(AsyncManager.leave_room)
    close_room = runs(AsyncManager.close_room)
    trigger_callback = runs(AsyncManager.trigger_callback)
    close = runs(AsyncManager.close)

    @property
    def _inner(self) -> AsyncManager:
        # The server may have another one while it is a worker of a cluster.
        if self.server is not None:
            return self.server._server.manager  # type: ignore[no-any-return]
        return self.async_manager

    @property
    def _hub(self) -> Hub | None:
        return self._inner._hub

    def _run(self, coro: Coroutine[Any, Any, T]) -> T:
        if self.server is not None:
            return self.server._threads.run(coro)  # type: ignore[no-any-return]
        _open.add(self.async_manager)
        return _loop_thread.run(coro)


# Methods that a subclass of AsyncPubSubManager may override, but not one of these.
_ON_LOOP_ONLY = dict.fromkeys(
    ("_thread", "_return_callback"),
    "its server is driven on an event loop; override _publish() and _listen()",
)


class PubSubManager(Manager):
    """Clients of several processes that share a channel.

    A subclass knows a broker. It has two methods, which are called in threads:

    - ``_publish(self, data)`` sends ``data``, a dict of JSON values, to all processes.
      It is called for one message at a time. ``TypeError`` and ``ValueError`` reach
      the caller of ``emit()``; any other exception means that the broker is away.
    - ``_listen(self)``, a generator, yields such dicts, or their JSON. When it returns
      or raises it is called again, later and later up to a minute.

    If ``_publish()`` keeps a connection, and processes are forked from one that has
    published (``gunicorn --preload``), two more methods:

    - ``_after_fork(self)`` forgets it in the new process, and does not close it.
    - ``_disconnect(self)`` closes it.

    Args:
        channel: Its name, the same in all processes.
        write_only: Whether this process only sends, with a server or without one.
        logger: The logger to use; by default the server's.
        json: What has ``dumps`` and ``loads``; by default JSON as clients get it.
    """

    name: ClassVar[str] = "pubsub"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_overrides(cls, NEVER_CALLED | _ON_LOOP_ONLY)

    def __init__(
        self,
        channel: str = "socketio",
        write_only: bool = False,
        logger: AnyLogger | None = None,
        json: Any = None,
    ) -> None:
        super().__init__()
        self.channel = channel
        self.write_only = write_only
        self.logger = None if logger is None else as_logger(logger, __name__)
        manager = self._new_async_manager(channel, write_only, logger, json)
        self.async_manager: AsyncPubSubManager = manager
        self.callbacks = manager.callbacks
        self.json = manager.json
        # Set when nobody wants what the running _listen() yields.
        self._stop_listening = threading.Event()

    host_id = reads(AsyncPubSubManager, lambda manager: manager.host_id)
    lost_messages = reads(
        AsyncPubSubManager,
        lambda manager: manager.lost_messages,
        doc="Messages that could not be published.",
    )

    # Not by runs(): to mypy they would have the types of Manager's.

    @like(AsyncPubSubManager.emit)  # type: ignore[arg-type]
    def emit(self, *args: Any, **kwargs: Any) -> None:
        super().emit(*args, **kwargs)

    def disconnect(self, sid: str, namespace: str | None = None, **kwargs: Any) -> None:
        """Disconnect a client of any process.

        Args:
            sid: The client.
            namespace: The namespace, ``"/"`` by default.
            **kwargs: ``ignore_queue=True`` is for clients of this process alone.
        """
        super().disconnect(sid, namespace or "/", **kwargs)

    @like(AsyncPubSubManager.close_room)
    def close_room(self, *args: Any, **kwargs: Any) -> None:
        super().close_room(*args, **kwargs)

    def _new_async_manager(
        self, channel: str, write_only: bool, logger: AnyLogger | None, json: Any
    ) -> AsyncPubSubManager:
        return _InThreads(self, channel, write_only, logger, json)

    def _publish(self, data: Message) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no _publish()")

    def _listen(self) -> Iterator[Message | str | bytes]:
        raise NotImplementedError(f"{type(self).__name__} has no _listen()")

    def _disconnect(self) -> None:
        """Close the connection that ``_publish()`` uses; called where that is."""

    def _after_fork(self) -> None:
        """Forget the connection that ``_publish()`` uses: the process was forked since
        it was opened, and it is the parent's. It must not be closed."""

    def _on_subscribed(self) -> None:
        """Tell that messages are received from now on; ``_listen()`` calls it.

        If it does not, the first message tells it.
        """
        loop = self.async_manager._loop
        if loop is not None:
            loop.call_soon_threadsafe(self.async_manager._on_subscribed)

    def _encode(self, data: Message) -> bytes:
        """The JSON of a message, in UTF-8."""
        return self.async_manager._encode(data)


class _Ended:
    """The error that ``_listen()`` has ended with."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _InThreads(AsyncPubSubManager):
    """Calls the methods of a :class:`PubSubManager` in threads of their own."""

    def __init__(self, owner: PubSubManager, *args: Any) -> None:
        self._owner = owner
        self.name = owner.name  # type: ignore[misc]
        super().__init__(*args)

    @property
    def _label(self) -> str:
        return type(self._owner).__name__

    def _reset(self) -> None:
        super()._reset()
        self._executor: ThreadPoolExecutor | None = None

    def _abandon(self) -> None:
        super()._abandon()
        abandoned.append(self._owner.__dict__.copy())
        self._owner._after_fork()

    async def _publish(self, data: Message) -> None:
        await self._in_thread(self._owner._publish, data)

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> None:
        # One thread: most connections are not made for several at once.
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, f"socketio_fast-{self.name}")
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, function, *args)

    async def _disconnect(self) -> None:
        if self._executor is not None:
            await self._in_thread(self._owner._disconnect)
            self._executor.shutdown(wait=False)

    @released
    async def _listen(self) -> AsyncIterator[Message | str | bytes]:
        loop = asyncio.get_running_loop()
        messages: asyncio.Queue[Any] = asyncio.Queue()
        owner = weakref.proxy(self._owner)
        stop = owner._stop_listening = threading.Event()

        def listen() -> None:
            error: BaseException = EOFError("_listen() has returned")
            # RuntimeError: the loop is closed.
            with contextlib.suppress(RuntimeError):
                try:
                    for message in owner._listen():
                        if stop.is_set():
                            return
                        loop.call_soon_threadsafe(messages.put_nowait, message)
                except BaseException as exc:
                    error = exc
                loop.call_soon_threadsafe(messages.put_nowait, _Ended(error))

        threading.Thread(
            target=listen, name=f"socketio_fast-{self.name}-listen", daemon=True
        ).start()
        try:
            while True:
                message = await messages.get()
                if isinstance(message, _Ended):
                    if isinstance(message.error, Exception):
                        raise message.error
                    raise RuntimeError(repr(message.error)) from message.error
                yield message
        finally:
            stop.set()


class SharedLoop:
    """The event loop of managers without a server, for a facade of what uses one.

    Args:
        manager: The manager, which is closed when the program ends.
    """

    def __init__(self, manager: AsyncManager) -> None:
        self._manager = manager

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine, and return its result."""
        _open.add(self._manager)
        return _loop_thread.run(coro)

    wait = run


async def _close(managers: list[AsyncManager]) -> None:
    await asyncio.gather(*(manager.close() for manager in managers))


def _at_exit() -> None:
    managers = list(_open)
    if managers:
        with contextlib.suppress(Exception):
            _loop_thread.run(_close(managers), EXIT_TIMEOUT)


# This runs before LoopThread's own function, which was registered earlier.
atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    # Open connections are the parent's.
    os.register_at_fork(after_in_child=_open.clear)
