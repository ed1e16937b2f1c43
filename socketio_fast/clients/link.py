"""One Engine.IO session from the client's side: its requests, what else carries it, its
upgrade. The compiled core has the session; this makes what carries it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from logging import INFO
from typing import Any

from socketio_fast._core.client.polling import ClientPolling, Poster
from socketio_fast._core.client.session import ClientSession, SessionOwner
from socketio_fast._core.engine.engine import Engine
from socketio_fast.clients.carriers import Carrier, Target
from socketio_fast.clients.contracts import Answer, Requests
from socketio_fast.clients.failures import failed_attempt, unexpected_answer
from socketio_fast.clients.proxies import shown_url
from socketio_fast.clients.racing import first_of
from socketio_fast.clients.urls import engine_url
from socketio_fast.clients.websocket import WebSocketCarrier
from socketio_fast.coroutines import Flag, within
from socketio_fast.exceptions import ConnectionError, ConnectionFailedError
from socketio_fast.options.logs import Logger, escaped

__all__ = ["Link", "LinkEvents", "check_installed"]

#: The transports to which a session may be upgraded, in the order of the attempts.
CARRIED = ("webtransport", "websocket")

#: How they are called.
NAMES = {"websocket": "WebSocket", "webtransport": "WebTransport"}

#: Seconds after which the next of them is tried too, as the official client does.
HEAD_START = 0.2

#: Seconds in which a server must take something of what was sent before the end.
CLOSE_TIMEOUT = 3.0

#: The type of payloads of revision 3 that have binary packets.
_BINARY = "application/octet-stream"

#: How an open packet begins, in revision 4 and in revision 3.
_OPEN_4, _OPEN_3 = b"0", b"0123456789\x00"


class LinkEvents:
    """What a link tells of its session. The methods must not block."""

    def opened(self, link: Link) -> None:
        """The open packet has come."""

    def pinged(self, link: Link) -> None:
        """The server has pinged."""

    def upgraded(self, link: Link) -> None:
        """The session goes on by another transport."""

    def upgrade_failed(self, link: Link, error: BaseException) -> None:
        """An upgrade has failed: the session goes on by long-polling, unless another
        one succeeds."""

    def closed(self, link: Link, reason: str, description: str | None) -> None:
        """The session, which was open, is over."""


class Link(SessionOwner):
    """One session.

    Args:
        engine: The client's.
        requests: Makes its HTTP requests. The link does not close it.
        target: What it connects to.
        events: Hears what happens.
        logger: Where attempts are logged.
    """

    def __init__(
        self,
        engine: Engine,
        requests: Requests,
        target: Target,
        events: LinkEvents,
        logger: Logger,
    ) -> None:
        self.target = target
        self._engine = engine
        self._requests = requests
        self._events = events
        self._logger = logger
        self._dialect = (target.eio == 3) | (2 if target.force_base64 else 0)
        self._opened: asyncio.Future[None] = _future()
        self._finished: asyncio.Future[None] = _future()
        self._opening: asyncio.Task[None] | None = None
        self._cancelled = False
        self._probe: asyncio.Future[None] | None = None
        self._polls: _Polls | None = None
        # What carries the session, or is to.
        self._carrier: Carrier | None = None
        self.session = ClientSession(engine, self, self._dialect)
        self.session.close_timeout = CLOSE_TIMEOUT

    def __repr__(self) -> str:
        return f"<Link {self.session.id}>"

    @property
    def open(self) -> bool:
        """Whether the session is open."""
        return self.session.connected

    def url(self, transport: str, *, sid: str | None = None) -> str:
        """The URL of a request."""
        target = self.target
        return engine_url(
            target.url,
            target.path,
            transport,
            eio=target.eio,
            sid=sid,
            query=target.query,
            base64=target.force_base64,
            timestamp=target.timestamps,
        )

    # Opening.

    async def connect(self, transport: str, url: str) -> None:
        """Open the session by this transport.

        Args:
            transport: Its name.
            url: What :meth:`url` returns for it.

        Raises:
            ConnectionFailedError: The server did not do what it should.
        """
        seconds = self.target.connect_timeout
        polls = transport == "polling"
        self._opening = asyncio.ensure_future(
            self._open_polling(url) if polls else self._open_by(transport, url)
        )
        try:
            await within(self._opening, seconds)
        except asyncio.CancelledError:
            self.abort()
            if not self._cancelled:
                raise
            raise ConnectionFailedError(
                "disconnect() was called before there was a connection"
            ) from None
        except asyncio.TimeoutError as exc:
            self.abort()
            raise failed_attempt(
                exc,
                url,
                timeout=seconds,
                timeout_name="connect_timeout",
                proxy=self._requests.way_to(url),
            ) from exc
        except BaseException:
            self.abort()
            self._polls = None
            raise
        finally:
            self._opening = None

    def cancel(self) -> None:
        """Give up an attempt that is under way: connect() raises."""
        if self._opening is not None and not self._opening.done():
            self._cancelled = True
            self._opening.cancel()

    async def _open_polling(self, url: str) -> None:
        self._tell("Attempting polling connection to %s", url)
        answer = await self._request("GET", url, self.target.request_timeout)
        begins = _OPEN_3 if self.target.eio == 3 else _OPEN_4
        if answer.status != 200 or answer.body[:1] not in _bytes_of(begins):
            raise unexpected_answer(answer, url, proxy=self._requests.way_to(url))
        self._polls = _Polls(self)
        polling = self._polls.polling
        self.session.begin(polling)
        goes_on = polling.received(answer.body, _is_binary(answer))
        await self._until_opened(url)
        if self._polls is not None:
            self._polls.start(goes_on)

    async def _open_by(self, transport: str, url: str) -> None:
        carrier = self._carrier = self._new_carrier(transport)
        self.session.begin(carrier.transport)
        self._tell(f"Attempting {NAMES[transport]} connection to %s", url)
        await carrier.connect(url)
        carrier.begin(None)
        await self._until_opened(url)

    def _tell(self, message: str, url: str) -> None:
        if self._logger.isEnabledFor(INFO):
            self._logger.info(message, escaped(shown_url(url)))

    def _new_carrier(self, transport: str) -> Carrier:
        kind = _kind(transport)
        return kind(self._engine, self._requests, self.target, self._logger)

    async def _until_opened(self, url: str) -> None:
        try:
            await asyncio.shield(self._opened)
        except ConnectionFailedError:
            raise
        except ConnectionError as exc:
            raise ConnectionFailedError(
                f"cannot connect to {escaped(shown_url(url))}: {exc}"
            ) from exc

    async def _request(
        self,
        method: str,
        url: str,
        timeout: float | None,
        body: bytes | None = None,
        binary: bool = False,
        begun: Callable[[Callable[[], int]], None] | None = None,
    ) -> Answer:
        headers = dict(self.target.headers)
        if body is not None:
            headers["Content-Type"] = _BINARY if binary else "text/plain; charset=UTF-8"
        try:
            return await self._requests.request(
                method, url, headers=headers, body=body, timeout=timeout, begun=begun
            )
        except Exception as exc:
            raise failed_attempt(
                exc, url, timeout=timeout, proxy=self._requests.way_to(url)
            ) from exc

    # The upgrade.

    @property
    def can_upgrade(self) -> bool:
        """Whether both sides want an upgrade."""
        return bool(self._upgrades())

    def _upgrades(self) -> list[str]:
        """The transports to which both sides want to upgrade, in their order."""
        if (
            not self.open
            or not self.target.upgrade
            or self.session.transport_name != "polling"
        ):
            return []
        wanted = self.target.transports
        offered = self.session.upgrades
        names = [name for name in CARRIED if name in wanted and name in offered]
        if "webtransport" in names and (why := self._obstacle()):
            self._logger.info("No upgrade to WebTransport: %s", escaped(why))
            names.remove("webtransport")
        return names

    def _obstacle(self) -> str:
        from socketio_fast.clients.webtransport import obstacle

        return obstacle(self._requests, self.target, self.url("webtransport"))

    async def upgrade(self) -> bool:
        """Upgrade to the first transport that connects. Returns whether that has
        succeeded; if not, the session goes on by long-polling."""
        names = self._upgrades()
        while names and self.open:
            failed: list[str] = []
            carrier = await self._connected(names, failed)
            if carrier is None:
                return False
            name = carrier.transport.name
            names = [one for one in names if one != name and one not in failed]
            if await self._upgrade_to(carrier):
                self._polls = None
                self._logger.info("%s upgrade was successful", NAMES[name])
                self._events.upgraded(self)
                return True
        return False

    async def _connected(
        self, names: Iterable[str], failed: list[str]
    ) -> Carrier | None:
        """Connect by the first of these transports that can. ``failed`` gets those that
        cannot."""
        chosen = list(names)

        def has_failed(index: int, error: Exception) -> None:
            failed.append(chosen[index])
            self._upgrade_failed(chosen[index], error)

        try:
            _, carrier = await first_of(
                [partial(self._connect, name) for name in chosen],
                HEAD_START,
                lambda late: late.abort(),
                has_failed,
            )
        except Exception:
            return None
        return carrier

    async def _connect(self, name: str) -> Carrier:
        self._logger.info("Attempting %s upgrade", NAMES[name])
        carrier = self._new_carrier(name)
        # By WebTransport the first packet says which session it is for.
        sid = self.session.id if name == "websocket" else None
        connecting = carrier.connect(self.url(name, sid=sid))
        await self._in_time(connecting, name)
        return carrier

    async def _in_time(self, step: Coroutine[Any, Any, None], name: str) -> None:
        """Wait for a step of the upgrade, for some time and while there is a session.

        Raises:
            ConnectionFailedError: It has failed, or was given up.
        """
        seconds = self.target.connect_timeout
        task = asyncio.create_task(step)
        try:
            await asyncio.wait(
                {task, self._finished},
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if task.done():
                return task.result()
        finally:
            if task.cancel():
                await asyncio.wait({task})
            elif not task.cancelled():
                task.exception()  # nobody else retrieves it, if this is cancelled
        raise ConnectionFailedError(
            "the session has ended during the upgrade"
            if self._finished.done()
            else f"the upgrade to {NAMES[name]} was not answered in {seconds:g} s"
        )

    async def _upgrade_to(self, carrier: Carrier) -> bool:
        name = carrier.transport.name
        self._carrier = carrier
        try:
            await self._in_time(self._change_to(carrier), name)
        except BaseException as exc:
            self.session.give_up_upgrade(exc)
            carrier.abort()
            if not isinstance(exc, Exception):
                raise
            await carrier.ended()
            if self._polls is not None and self.open:
                self._polls.go_on()
            self._upgrade_failed(name, exc)
            return False
        return True

    async def _change_to(self, carrier: Carrier) -> None:
        assert self._polls is not None
        if carrier.closed:
            raise ConnectionFailedError("the connection was lost before the upgrade")
        carrier.begin(self.session.id)
        self._probe = _future()
        if not self.session.start_upgrade(carrier.transport):
            raise ConnectionFailedError("the session has ended before the upgrade")
        await self._probe
        await self._polls.rest()
        if carrier.closed or not self.open:
            raise ConnectionFailedError("the connection was lost during the upgrade")
        self.session.finish_upgrade()

    def _upgrade_failed(self, name: str, error: Exception) -> None:
        # A session that has ended meanwhile tells that itself.
        log = self._logger.warning if self.open else self._logger.info
        log("%s upgrade failed: %s", NAMES[name], escaped(error))
        self._events.upgrade_failed(self, error)

    def probe_answered(self, session: Any) -> None:
        if self._probe is not None and not self._probe.done():
            self._probe.set_result(None)

    def probe_failed(self, session: Any, error: BaseException) -> None:
        if self._probe is not None and not self._probe.done():
            self._probe.set_exception(ConnectionFailedError(str(error)))

    # The session tells.

    def opened(self, session: Any) -> None:
        if not self._opened.done():
            self._opened.set_result(None)
        self._events.opened(self)

    def pinged(self, session: Any) -> None:
        self._events.pinged(self)

    def closed(self, session: Any, reason: str, description: str | None) -> None:
        if not self._opened.done():
            self._opened.set_exception(
                ConnectionError(
                    f"the server has closed the connection before the open packet, or "
                    f"it speaks another protocol: {description or reason}"
                )
            )
            # Nobody may wait for it any more.
            self._opened.exception()
        else:
            self._events.closed(self, reason, description)

    def finished(self, session: Any) -> None:
        if self._polls is not None:
            self._polls.stop()
        if not self._finished.done():
            self._finished.set_result(None)

    # Ending.

    async def close(self, reason: str) -> None:
        """Close the session; what was sent before is delivered first, unless the server
        takes nothing of it for ``CLOSE_TIMEOUT``, or this is cancelled: then that is
        logged."""
        self.session.end(reason)
        try:
            await self.ended()
        finally:
            self.abort()

    async def ended(self) -> None:
        """Wait until nothing of it runs any more."""
        if not self._finished.done():
            # The session sees to it that this comes.
            await asyncio.wait({self._finished})
        polls, self._polls = self._polls, None  # it refers to this
        if polls is not None:
            await polls.ended()
        if self._carrier is not None:
            await self._carrier.ended()

    def abort(self, error: BaseException | None = None) -> None:
        """End the session now."""
        self.session.fail("transport error", error)
        if self._polls is not None:
            self._polls.stop()


class _Polls(Poster):
    """The long-polling of a link: a Task that polls, and one for each POST."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.polling = ClientPolling(link._engine, self)
        self._poll: asyncio.Task[None] | None = None
        self._post: asyncio.Task[None] | None = None
        self._resting = False
        self._readable = Flag()
        #: How many bytes of the POST under way the server has not taken.
        self._untaken: Callable[[], int] | None = None

    def start(self, goes_on: bool) -> None:
        """Begin to poll."""
        if goes_on:
            self._readable.set()
        if not self.polling.over:
            self._poll = asyncio.ensure_future(self._polling())

    async def _polling(self) -> None:
        link, polling = self._link, self.polling
        while not polling.over and not self._resting:
            await self._readable.wait()
            if polling.over:
                return
            url = link.url("polling", sid=link.session.id)
            try:
                # The heartbeat of the session limits how long this takes.
                answer = await link._request("GET", url, None)
                if answer.status != 200:
                    raise unexpected_answer(answer, url, expected="packets")
            except ConnectionError as exc:
                polling.poll_failed(exc)
                return
            if not polling.received(answer.body, _is_binary(answer)):
                self._readable.clear()

    def post(self, body: bytes, binary: bool) -> None:
        self._post = asyncio.ensure_future(self._posting(body, binary))

    async def _posting(self, body: bytes, binary: bool) -> None:
        link = self._link
        url = link.url("polling", sid=link.session.id)
        try:
            answer = await link._request(
                "POST", url, link.target.request_timeout, body, binary, self._begun
            )
            if answer.status != 200:
                raise unexpected_answer(answer, url, expected="'ok' for a POST")
        except ConnectionError as exc:
            self.polling.failed(exc)
            return
        finally:
            self._untaken = None
        self.polling.posted()

    def _begun(self, untaken: Callable[[], int]) -> None:
        self._untaken = untaken

    def untaken(self) -> int:
        return 0 if self._untaken is None else self._untaken()

    def read_on(self) -> None:
        self._readable.set()

    async def rest(self) -> None:
        """Let what is under way end, and begin nothing more."""
        self._resting = True
        self.polling.rest_for_upgrade()
        under_way = [task for task in (self._poll, self._post) if task is not None]
        if under_way:
            await asyncio.wait(under_way)
        # The last poll may have brought more than is read now.
        await self._readable.wait()

    def go_on(self) -> None:
        """The upgrade has failed: poll on."""
        if self._resting:
            self._resting = False
            if self._poll is None or self._poll.done():
                self._poll = asyncio.ensure_future(self._polling())
            self.polling.go_on()

    def stop(self) -> None:
        self._readable.set()  # nothing more is read: rest() must not wait for it
        current = asyncio.current_task() if _in_loop() else None
        for task in (self._poll, self._post):
            # One of them may have brought what ends the session.
            if task is not None and task is not current:
                task.cancel()

    async def ended(self) -> None:
        """Wait until the Tasks have ended."""
        tasks = [task for task in (self._poll, self._post) if task is not None]
        # A Task that was cancelled refers to this by its traceback.
        self._poll = self._post = None
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)


def check_installed(transports: Iterable[str]) -> None:
    """Check that there is what these transports need.

    Raises:
        ImportError: There is not; the text says how to install it.
    """
    for name in transports:
        if name in CARRIED:
            _kind(name)


def _kind(transport: str) -> type[Carrier]:
    if transport == "websocket":
        return WebSocketCarrier
    from socketio_fast.clients.webtransport import WebTransportCarrier

    return WebTransportCarrier


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


def _in_loop() -> bool:
    return asyncio._get_running_loop() is not None


def _bytes_of(text: bytes) -> list[bytes]:
    return [text[i : i + 1] for i in range(len(text))]


def _is_binary(answer: Answer) -> bool:
    return answer.headers.get("Content-Type", "").startswith(_BINARY)
