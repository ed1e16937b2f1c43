"""``retries=``: events that are sent until the server acknowledges them.

The events of a namespace are sent in order, one at a time. One that is not acknowledged
in ``ack_timeout`` is sent again, and so is one whose connection was lost, as the
official client does it. So the server gets each event at least once; ``retry_ids=True``
lets it recognise one that it has had.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from typing import TYPE_CHECKING, Any

from socketio_fast import exceptions
from socketio_fast._core.socketio.acks import Reply
from socketio_fast.coroutines import DONE, Begun, Flag, returns_coroutine, within
from socketio_fast.event_arguments import value_of
from socketio_fast.options.logs import escaped

if TYPE_CHECKING:
    from socketio_fast.async_client import AsyncClient

__all__ = ["RetryQueue"]


class _Queued:
    """An event that has not been acknowledged."""

    __slots__ = ("answer", "compress", "event", "packet", "size", "timeout")

    def __init__(
        self,
        event: list[Any],
        encoded: tuple[Any, int],
        timeout: float | None,
        compress: bool,
    ) -> None:
        #: ``[name, *arguments]``, for those who listen to all that is sent.
        self.event = event
        self.packet, self.size = encoded
        #: Seconds to wait for the acknowledgement each time.
        self.timeout = timeout
        self.compress = compress
        #: The arguments of the acknowledgement, or the error.
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class RetryQueue:
    """The events of one namespace that have not been acknowledged, in order.

    Args:
        client: Has the options.
        peer: The client's place in the namespace.
    """

    def __init__(self, client: AsyncClient, peer: Any) -> None:
        self._client = client
        self._peer = peer
        self._events: deque[_Queued] = deque()
        self._bytes = 0
        self._ids = secrets.token_hex(8)
        self._number = 0
        self._sending: asyncio.Task[None] | None = None
        self._connected = Flag()
        #: Who waits until fewer events are queued.
        self._room: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._events)

    # From the client.

    @returns_coroutine
    def emit(self, event: list[Any], callback: Any, flags: dict[str, Any]) -> Begun:
        """Queue an event. The result waits while half of the queue is in use.

        Raises:
            TypeError: An argument is not JSON with bytes in it.
            OfflineBufferError: The queue is full.
        """
        queued = self._add(event, flags)
        queued.answer.add_done_callback(lambda answer: self._settled(queued, callback))
        if 2 * len(self._events) < self._client.config.max_offline_events:
            return DONE
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()
        return Begun(self._room)

    async def ask(
        self, event: list[Any], limit: float | None, flags: dict[str, Any]
    ) -> Any:
        """Queue an event, and wait for its acknowledgement.

        Args:
            event: ``[name, *arguments]``.
            limit: Seconds to wait in all; ``None``: until the retries are over.
            flags: ``timeout``: seconds to wait each time; ``compress``.

        Raises:
            TimeoutError: None came.
        """
        queued = self._add(event, flags)
        try:
            return value_of(await within(queued.answer, limit))
        except asyncio.TimeoutError as exc:
            if isinstance(exc, exceptions.TimeoutError):
                raise exc.with_traceback(None) from None
            raise exceptions.TimeoutError(
                f"the server did not acknowledge {event[0]!r} in {limit} s"
            ) from None
        finally:
            # One that nobody waits for any more is not sent again.
            self._remove(queued)

    def joined(self) -> None:
        """The namespace is connected."""
        self._connected.set()

    def left(self) -> None:
        """It is not any more; and if it is not to be again, nothing is sent."""
        self._connected.clear()
        if not self._peer.active:
            self.give_up()

    def give_up(self) -> None:
        """There is no connection, and there will be none."""
        while self._events:
            queued = self._events[0]
            self._fail(
                queued,
                exceptions.CallDisconnectedError(
                    f"the client left {self._peer.namespace.name!r:.80} before the "
                    f"server acknowledged {queued.event[0]!r:.80}"
                ),
            )
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()

    # Inside.

    def _add(self, event: list[Any], flags: dict[str, Any]) -> _Queued:
        config = self._client.config
        if config.retry_ids:
            self._number += 1
            event = [*event, f"{self._ids}-{self._number}"]
        queued = _Queued(
            event,
            self._peer.encoded(event),
            flags.get("timeout", config.ack_timeout),
            flags.get("compress", True),
        )
        if (
            len(self._events) >= config.max_offline_events
            or self._bytes + queued.size > config.max_offline_bytes
        ):
            raise exceptions.OfflineBufferError(
                f"{len(self._events)} events with {self._bytes} bytes have not been "
                f"acknowledged in {self._peer.namespace.name!r:.80}: at most "
                f"max_offline_events={config.max_offline_events} and "
                f"max_offline_bytes={config.max_offline_bytes}. Await emit(), which "
                "waits while there are many"
            )
        self._events.append(queued)
        self._bytes += queued.size
        if self._peer.connected:
            self._connected.set()
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._send_all())
        return queued

    def _remove(self, queued: _Queued) -> None:
        if queued in self._events:
            self._events.remove(queued)
            self._bytes -= queued.size
            if not queued.answer.done():
                queued.answer.cancel()
        room = self._room
        if room is not None and (
            2 * len(self._events) < self._client.config.max_offline_events
        ):
            self._room = None
            if not room.done():
                room.set_result(None)

    def _settled(self, queued: _Queued, callback: Any) -> None:
        if queued.answer.cancelled():
            return
        error = queued.answer.exception()
        if error is not None:
            self._client.logger.warning(
                "event %s was given up: %s", escaped(queued.event[0]), escaped(error)
            )
        elif callback is not None:
            self._peer.run_callback(callback, list(queued.answer.result()))

    def _fail(self, queued: _Queued, error: BaseException) -> None:
        if not queued.answer.done():
            queued.answer.set_exception(error)
        self._remove(queued)

    async def _send_all(self) -> None:
        try:
            while self._events:
                await self._send(self._events[0])
        finally:
            if self._sending is asyncio.current_task():
                self._sending = None

    async def _send(self, queued: _Queued) -> None:
        """Send an event until it is acknowledged, or has been sent often enough."""
        retries = self._client.config.retries
        assert retries is not None
        tries = 0
        while not queued.answer.done():
            await self._connected.wait()
            tries += 1
            reply = Reply(asyncio.get_running_loop().create_future())
            try:
                answer = await self._try(queued, reply)
            except exceptions.TimeoutError as exc:
                if tries > retries:
                    self._fail(queued, self._last_error(queued, tries, exc))
            except Exception as exc:
                self._fail(queued, exc)
            else:
                if not queued.answer.done():
                    queued.answer.set_result(answer)
                self._remove(queued)
            finally:
                self._peer.cancel_ack(reply)
        self._remove(queued)  # nobody may wait for it any more

    async def _try(self, queued: _Queued, reply: Reply) -> Any:
        """Send it once, and return the arguments of its acknowledgement."""
        self._peer.emit_encoded(queued.packet, queued.event, reply, queued.compress)
        # Not within() on the answer alone: it ends as well when nobody waits for it.
        await asyncio.wait(
            {reply.future, queued.answer},
            timeout=queued.timeout,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if reply.future.done():
            return reply.future.result()
        raise exceptions.TimeoutError("no acknowledgement has come")

    @staticmethod
    def _last_error(
        queued: _Queued, tries: int, error: exceptions.TimeoutError
    ) -> exceptions.TimeoutError:
        text = (
            f"the server did not acknowledge {queued.event[0]!r:.80}, which was sent "
            f"{tries} times"
        )
        if isinstance(error, exceptions.CallDisconnectedError):
            return exceptions.CallDisconnectedError(f"{text}; {error}")
        return exceptions.TimeoutError(f"{text}, in {queued.timeout} s each")
