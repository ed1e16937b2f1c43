"""Acknowledgements that a program waits for: of one client, and of many."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from socketio_fast import exceptions
from socketio_fast._core.socketio.acks import Reply
from socketio_fast.coroutines import within
from socketio_fast.event_arguments import value_of

if TYPE_CHECKING:
    from socketio_fast._core.socketio.peer_lifecycle import Peer

__all__ = ["ASK_LIFETIME", "AckForwarder", "Answers", "wait_for_answer"]

# Seconds that clients of this process have to acknowledge an event of another server,
# if that server has set no limit.
ASK_LIFETIME = 3600


async def wait_for_answer(
    reply: Reply, sid: str, event: str, timeout: float | None
) -> Any:
    """Wait for the acknowledgement of one client.

    Args:
        reply: What the core tells of the acknowledgement.
        sid: The client's ``sid``, for the error.
        event: The name of the event that it is to acknowledge, for the error.
        timeout: Seconds to wait, ``None`` without limit.

    Returns:
        ``None`` for an acknowledgement without arguments, the argument for one, a
        tuple for several.

    Raises:
        TimeoutError: No acknowledgement came in time, or the core has given it up.
        CallDisconnectedError: The client has gone; a ``TimeoutError`` as well.
    """
    try:
        return value_of(await within(reply.future, timeout))
    except (asyncio.TimeoutError, TimeoutError) as exc:  # two classes in Python 3.10
        if reply.future.done() and not reply.future.cancelled():
            # The core has given it up. The traceback is dropped because its frames
            # refer to the future, which refers to this exception: the cycle would be
            # left to the garbage collector.
            raise exc.with_traceback(None) from None
        raise exceptions.TimeoutError(
            f"{sid} did not acknowledge {event!r} in {timeout} s"
        ) from None
    finally:
        del reply


class Answers:
    """Collects the acknowledgements of many clients.

    Managers report which clients were asked. The core, and other processes for their
    clients, report each acknowledgement.

    Args:
        timeout: Seconds from now until the clients that have not answered are missing.
    """

    #: Whether it is told how many other servers are asked.
    counts_servers = True

    def __init__(self, timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + timeout
        #: The sids of clients that will not answer any more.
        self.missing: set[str] = set()
        #: What failed beyond missing clients, as the end of an error message.
        self.incomplete = ""
        # Clients of this process, with the numbers of their acknowledgements.
        self._asked: list[Any] = []
        # The sids of clients that have not answered yet.
        self._unanswered: set[str] = set()
        # How many clients have not answered yet that other servers have only counted.
        self._unnamed = 0
        # How many other processes have not reported yet whom they asked.
        self._hosts = 0
        # Answers that the consumer has not taken yet.
        self._came: deque[tuple[str, Any]] = deque()
        self._all_asked = False
        # Future that the consumer awaits.
        self._wake: asyncio.Future[None] | None = None
        # True: wake the consumer for each answer. False: wake it once all have come.
        self._wake_at_each = False
        self._on_close: list[Callable[[], Any]] = []

    # Called by managers.

    def asked(self, clients: Iterable[tuple[Any, int]]) -> None:
        """Add clients of this process, with the numbers of their acknowledgements."""
        for peer, id in clients:
            self._asked.append((peer, id))
            self._unanswered.add(peer.sid)

    def others(self, count: int) -> None:
        """Wait for this many other processes to report whom they asked."""
        self._hosts += count

    def of_host(self, sids: Iterable[str]) -> None:
        """Add the clients that another process has asked."""
        self._hosts -= 1
        self._unanswered.update(sids)
        self._check()

    def of_host_unnamed(self, count: int) -> None:
        """Add so many clients that another process has asked. It names none of them."""
        self._hosts -= 1
        self._unnamed += count
        self._check()

    def host_failed(self, why: str, sids: Iterable[str], counted: bool) -> None:
        """Stop waiting for another process and its clients.

        Args:
            why: What happened to it, for the error message.
            sids: Its clients that were asked.
            counted: Whether it has reported whom it asked.
        """
        if not counted:
            self._hosts -= 1
        self.incomplete = f"; {why}"
        for sid in sids:
            self.gone(sid)
        self._check()

    def on_close(self, function: Callable[[], Any]) -> None:
        """Call a function when the consumer stops waiting."""
        self._on_close.append(function)

    def answered(self, sid: str, arguments: list[Any]) -> None:
        """Add the acknowledgement of a client."""
        if sid in self._unanswered:
            self._unanswered.discard(sid)
            self._came.append((sid, value_of(arguments)))
            if self._wake_at_each or not self._unanswered:
                self._check()

    def answered_unnamed(self, arguments: list[Any]) -> None:
        """Add the acknowledgement of a client that another process does not name."""
        # It may come before the number of such clients.
        self._unnamed -= 1
        self._came.append(("", value_of(arguments)))
        if self._wake_at_each or not self._unanswered:
            self._check()

    def gone(self, sid: str) -> None:
        """Stop waiting for a client that has disconnected."""
        if sid in self._unanswered:
            self._unanswered.discard(sid)
            self.missing.add(sid)
            self._check()

    # Called by the consumer.

    def all_asked(self) -> None:
        """Say that no more clients will be asked."""
        self._all_asked = True

    def _complete(self) -> bool:
        return (
            self._all_asked
            and not self._unanswered
            and not self._hosts
            and self._unnamed <= 0
        )

    def _check(self) -> None:
        if self._wake is None or self._wake.done():
            return
        if (self._wake_at_each and self._came) or self._complete():
            self._wake.set_result(None)

    async def _wait(self) -> None:
        """Wait for the next answer, or for all, until the deadline."""
        self._wake = self._loop.create_future()
        left = max(0, self._deadline - self._loop.time())
        try:
            await within(self._wake, left)
        except asyncio.TimeoutError:
            if self._hosts:
                self.incomplete = f"; {self._hosts} other processes have not answered"
                self._hosts = 0
            self.missing |= self._unanswered
            self._unanswered.clear()

    async def next(self) -> tuple[str, Any] | None:
        """The next answer; ``None`` after the last one or after the deadline."""
        self._wake_at_each = True
        if not self._came and not self._complete():
            await self._wait()
        return self._came.popleft() if self._came else None

    async def all(self) -> Iterable[tuple[str, Any]]:
        """Wait for all answers; returns those that came, in order of arrival."""
        if not self._complete():
            await self._wait()
        return self._came

    def check(self, event: str, responses: list[Any]) -> None:
        """Check that every client has answered.

        Raises:
            BroadcastTimeoutError: Some have not.
        """
        missing = len(self.missing) + max(self._unnamed, 0)
        if missing or self.incomplete:
            raise exceptions.BroadcastTimeoutError(
                event, missing, responses, self.incomplete
            )

    def close(self) -> None:
        """Stop waiting: what still arrives is ignored."""
        self._unanswered.clear()
        for peer, id in self._asked:
            peer.forget_ack(id)
        for function in self._on_close:
            function()


class AckForwarder:
    """Passes acknowledgements of clients of this process to the server that asked.

    Args:
        answered: Called with the ``sid`` of each client that answers, and the
            arguments.
        gone: Called with the ``sid`` of each that goes without that.
    """

    def __init__(
        self,
        answered: Callable[[str, list[Any]], None],
        gone: Callable[[str], None],
    ) -> None:
        self._answered = answered
        self._gone = gone
        self._left = 0
        self._clients: list[tuple[Peer, int]] = []
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, clients: list[tuple[Peer, int]], seconds: float | None) -> None:
        """Wait for clients, some of which may have answered.

        Args:
            clients: They, with the numbers of their acknowledgements.
            seconds: How long; ``None``: an hour.
        """
        self._left += len(clients)
        if self._left:
            self._clients = clients
            loop = asyncio.get_running_loop()
            seconds = ASK_LIFETIME if seconds is None else seconds
            self._timer = loop.call_later(seconds, _end_waiting, weakref.ref(self))

    def answered(self, sid: str, arguments: list[Any]) -> None:
        """A client has answered."""
        self._answered(sid, arguments)
        self._one_less()

    def gone(self, sid: str) -> None:
        """A client has gone without an answer."""
        self._gone(sid)
        self._one_less()

    def _one_less(self) -> None:
        self._left -= 1
        if not self._left and self._timer is not None:
            self._timer.cancel()


def _end_waiting(found: Callable[[], AckForwarder | None]) -> None:
    # The clients refer to the collector. A timer that did would keep them, and with
    # them their server, alive.
    asked = found()
    if asked is not None:
        for peer, id in asked._clients:
            peer.forget_ack(id)
