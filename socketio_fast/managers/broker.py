"""What managers of several processes have in common: a broker that they publish to.

Messages are published in the order of the calls, by one task. While the broker is away,
attempts are made later and later, and what is published meanwhile is counted as lost.
Each source of messages is read by a task of its own, which begins again when it fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterable
from functools import partial
from typing import Any, ClassVar

from socketio_fast._core.engine.failures import defer_exit, ends_task
from socketio_fast.coroutines import within
from socketio_fast.managers.async_manager import AsyncManager
from socketio_fast.managers.lifetime import (
    cancelled,
    is_cancelled,
    new_task,
    run_for,
)
from socketio_fast.managers.outage import FIRST_DELAY, LONGEST_DELAY, Outage
from socketio_fast.managers.reading import read_for
from socketio_fast.options.logs import AnyLogger, as_logger

__all__ = ["BrokerManager", "Identity", "NotPublished", "abandoned"]

#: The attributes of managers before a fork. They are kept so that no destructor runs
#: in the child process, whose connections are the parent's.
abandoned: list[dict[str, Any]] = []

# Messages that wait, at most, while it is tried to reach a broker that was away.
OUTBOX_SIZE = 1000

# Seconds without a message after which a connection counts as idle: many times those
# that a message takes, so that what has broken it is likely to have come before.
IDLE = 0.1


class Identity:
    """An id of the process; a forked process makes another one."""

    def __init__(self) -> None:
        self._pid = -1
        self._id = ""

    @property
    def id(self) -> str:
        pid = os.getpid()
        if pid != self._pid:
            self._id = uuid.uuid4().hex
            self._pid = pid
        return self._id


class NotPublished(Exception):
    """Some messages were not published.

    Args:
        messages: They.
        error: Why the first of them was not.
        uncertain: Those of them that may have been published all the same, because
            there was no answer.
    """

    def __init__(
        self,
        messages: list[Any],
        error: BaseException,
        uncertain: Iterable[Any] = (),
    ) -> None:
        super().__init__(str(error))
        self.messages = messages
        self.error = error
        self.uncertain = {id(message) for message in uncertain}


class BrokerManager(AsyncManager):
    """Clients of several processes that exchange messages by a broker.

    Args:
        logger: The logger to use; by default the server's.
    """

    #: What the log and errors call the broker.
    name: ClassVar[str] = "broker"

    _distributed: bool = True

    # How many messages _publish_all() takes at once.
    _batch = 1
    # Messages that _keeps() names and that are kept while the broker is away, at most,
    # and their bytes.
    _kept = 0
    _kept_bytes = 32 * 1024 * 1024
    # Whether a connection for publishing may have broken while it was idle, unnoticed.
    _may_be_stale = True
    # Seconds between attempts to reach the broker: the first, and at most.
    _delays = (FIRST_DELAY, LONGEST_DELAY)

    def __init__(self, logger: AnyLogger | None = None) -> None:
        super().__init__()
        self.logger = None if logger is None else as_logger(logger, __name__)
        #: Messages that could not be published.
        self.lost_messages = 0
        #: The task that receives messages; of several sources, the first one's.
        self.thread: asyncio.Task[None] | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._reset()

    def _reset(self) -> None:
        """Forget all connections: at first, after :meth:`close`, on another loop."""
        self._outbox: deque[tuple[Any, asyncio.Future[None] | None]] = deque()
        self._outbox_bytes = 0
        self._sending: asyncio.Task[None] | None = None
        # When something was published last, by time.monotonic().
        self._published_at = float("-inf")
        self._tasks: set[asyncio.Task[Any]] = set()
        self._subscribed = asyncio.Event()
        self._subscribed_to: set[object] = set()
        # Set when a broker that was away is there again.
        self._returned = asyncio.Event()
        self._publishing = Outage(
            f"publish to {self.name}",
            "only clients of this process get events"
            + f" now, {self._kept} messages are kept for the others" * (self._kept > 0),
            *self._delays,
        )
        self._receiving = Outage(
            f"receive from {self.name}",
            "what other processes send is missed"
            if not self._kept
            else "what other processes send comes later",
            *self._delays,
        )

    def initialize(self) -> None:
        """Begin to receive what other processes publish."""
        self._begin_to_receive(self.server.eio.engine.loop)
        self._get_logger().info("%s backend initialized.", self.name)

    def _begin_to_receive(self, loop: asyncio.AbstractEventLoop) -> None:
        self._readers = []
        self.thread = None
        self._use(loop)
        for source in self._sources():
            self._readers.append(run_for(self, partial(read_for, source), loop))
        if self._readers:
            self.thread = self._readers[0]

    @property
    def _label(self) -> str:
        """What metrics call it."""
        return type(self).__name__

    @property
    def healthy(self) -> bool:
        """Whether the broker is there: messages can be published, and are received.

        Clients of this process are served in any case.
        """
        receives = self._subscribed.is_set() or not self._sources()
        return receives and not self._publishing.lasts

    def _use(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is loop:
            return
        if any(not reader.done() for reader in self._readers):
            raise RuntimeError(
                f"{type(self).__name__} is used on another event loop than its server's"
            )
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._abandon()
        if self._loop is not None:
            # Connections belong to the earlier loop, which may be closed.
            self._reset()
        self._loop = loop

    def _abandon(self) -> None:
        """Leave the connections to the parent process, after a fork.

        They are kept: a destructor would close what both processes share.
        """
        abandoned.append(self.__dict__.copy())

    async def close(self) -> None:
        """Publish all waiting messages, then disconnect from the broker.

        The next message that is published connects again.
        """
        if self._sending is not None:
            # What is kept for a broker that is away is lost now.
            self._kept = 0
            self._returned.set()
            await asyncio.wait([self._sending])
            del self._kept
        await cancelled([*self._tasks, *self._readers])
        self._readers = []
        self.thread = None
        await self._disconnect()
        self._reset()

    async def flushed(self) -> None:
        """Wait until what is to be published is, or the broker is away."""
        while self._sending is not None and not self._publishing.waits:
            await asyncio.wait([self._sending], timeout=0.1)

    def _spawn(self, coroutine: Coroutine[Any, Any, Any], what: str) -> None:
        """Run a coroutine as a task, and log what it raises.

        Args:
            coroutine: The coroutine.
            what: What has failed then, for the log.
        """
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, what))

    def _ended(self, what: str, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._get_logger().error("%s failed", what, exc_info=task.exception())

    # For subclasses.

    def _sources(self) -> list[tuple[Any, ...]]:
        """What is read: for each source the name of the method that reads it, an async
        generator function, and its arguments."""
        return [("_listen",)]

    def _listen(self) -> AsyncIterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no _listen()")

    def _receive(self, message: Any) -> None:
        """Do what a message asks for that a source has yielded."""
        raise NotImplementedError

    async def _publish_all(self, messages: list[Any]) -> None:
        """Publish as many messages as ``_batch`` says: all, none, or raise
        :class:`NotPublished`."""
        raise NotImplementedError

    def _keeps(self, message: Any) -> bool:
        """Whether a message is kept while the broker is away."""
        return False

    def _size_of(self, message: Any) -> int:
        """The bytes of a message that may be kept."""
        return 0

    async def _disconnect(self) -> None:
        """Close connections to the broker, if there are any."""

    def _on_subscribed(self, source: object = None) -> None:
        """Note that messages are received from now on; a ``_listen()`` may call it.

        If it does not, the first message shows it.

        Args:
            source: Which of several sources it is.
        """
        if self._subscribed.is_set():
            return
        self._subscribed_to.add(source)
        if len(self._subscribed_to) >= len(self._readers):
            self._subscribed.set()
            self._receiving.over(self._get_logger())
            self._publishing.try_now()
            self._returned.set()

    def _source_failed(self, source: object, error: BaseException) -> float:
        """Note that reading has failed; returns the seconds until the next attempt."""
        defer_exit(asyncio.get_running_loop(), error)
        self._subscribed.clear()
        self._subscribed_to.discard(source)
        return self._receiving.failed(error, self._get_logger())

    # Publishing, in the order of the calls.

    def _enqueue(self, message: Any) -> asyncio.Future[None] | None:
        """Publish a message; returns what is done when that is done.

        ``None``: nobody has to wait, because the broker is away.
        """
        loop = asyncio.get_running_loop()
        self._use(loop)
        outage = self._publishing
        if outage.lasts:
            keeps = self._kept > 0 and self._keeps(message)
            limit = self._kept if keeps else OUTBOX_SIZE
            size = self._outbox_bytes + self._size_of(message)
            if len(self._outbox) >= limit or (
                size > self._kept_bytes if keeps else outage.waits
            ):
                self._lose(1)
                return None
        # While the broker is away the caller does not wait for the attempt.
        future = None if outage.lasts else loop.create_future()
        self._outbox.append((message, future))
        self._outbox_bytes += self._size_of(message)
        if self._sending is None:
            self._sending = new_task(self._empty_outbox(), loop)
        return future

    async def _empty_outbox(self) -> None:
        taken: list[tuple[Any, asyncio.Future[None] | None]] = []
        try:
            while self._outbox:
                # A timer of the event loop may be early.
                while self._kept and self._publishing.waits:
                    await self._wait_for_broker()
                count = min(len(self._outbox), self._batch)
                taken = [self._outbox.popleft() for _ in range(count)]
                self._outbox_bytes -= sum(self._size_of(one) for one, _ in taken)
                await self._publish_taken(taken)
        finally:
            self._sending = None
            for _, future in (*taken, *self._outbox):
                if future is not None:
                    future.cancel()

    async def _wait_for_broker(self) -> None:
        """Wait until the next attempt is due."""
        self._returned.clear()
        with contextlib.suppress(asyncio.TimeoutError):
            await within(self._returned.wait(), self._publishing.left)

    async def _publish_taken(
        self, taken: list[tuple[Any, asyncio.Future[None] | None]]
    ) -> None:
        error: BaseException | None = None
        try:
            await self._try_to_publish([message for message, _ in taken])
        except BaseException as exc:
            if ends_task(exc):
                raise
            if len(taken) > 1 and isinstance(exc, Exception):
                # One of them cannot be encoded, and none has been sent.
                for one in taken:
                    await self._publish_taken([one])
                return
            error = exc
        for _, future in taken:
            if future is None:
                if error is not None:
                    self._get_logger().error("not published: %r", error)
                    defer_exit(asyncio.get_running_loop(), error)
            elif not future.done():
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)

    async def _try_to_publish(self, messages: list[Any]) -> None:
        outage = self._publishing
        if outage.waits:
            self._lose(len(messages))
            return
        begun = time.monotonic()
        failed = await self._attempt(messages)
        if failed is None:
            outage.over(self._get_logger())
            return
        again = self._repeatable(failed, begun)
        repeated = set(map(id, again))
        self._lose(sum(id(message) not in repeated for message in failed.messages))
        if len(again) < len(failed.messages):
            outage.failed(failed.error, self._get_logger())
        if again or not messages:
            failed_again = await self._attempt(again)
            if failed_again is None:
                outage.over(self._get_logger())
            else:
                self._keep(failed_again.messages)
                outage.failed(failed_again.error, self._get_logger())

    def _keep(self, messages: list[Any]) -> None:
        """Keep what is kept of messages that were not published; the rest is lost."""
        kept = [each for each in messages if self._kept and self._keeps(each)]
        self._outbox.extendleft((message, None) for message in reversed(kept))
        self._outbox_bytes += sum(map(self._size_of, kept))
        self._lose(len(messages) - len(kept))

    async def _attempt(self, messages: list[Any]) -> NotPublished | None:
        """Publish messages; returns what tells which of them were not."""
        try:
            await self._publish_all(messages)
        except (TypeError, ValueError):
            raise
        except Exception as exc:
            if is_cancelled():
                raise asyncio.CancelledError from exc
            if isinstance(exc, NotPublished):
                return exc
            return NotPublished(messages, exc, messages)
        self._published_at = time.monotonic()
        return None

    def _repeatable(self, failed: NotPublished, begun: float) -> list[Any]:
        """Messages that were not published, to try once more at once.

        Others get no message twice, unless it is one that is kept. So one that may have
        been published is repeated only if the connection is likely to have broken
        before, while it was idle: then the attempt fails at once.
        """
        idle = self._may_be_stale and begun - self._published_at > IDLE
        if idle and time.monotonic() - begun < IDLE and not _is_timeout(failed.error):
            return failed.messages
        return [
            message
            for message in failed.messages
            if id(message) not in failed.uncertain
            or (self._kept and self._keeps(message))
        ]

    def _lose(self, count: int) -> None:
        self.lost_messages += count
        self._publishing.lost += count


def _is_timeout(error: BaseException) -> bool:
    """Whether nothing was answered in time, by the name that all packages have."""
    return any(kind.__name__ == "TimeoutError" for kind in type(error).__mro__)
