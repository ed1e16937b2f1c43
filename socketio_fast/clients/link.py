"""One Engine.IO session from the client's side: its requests, its WebSocket, its
upgrade. The compiled core has the session; this makes what carries it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from socket import IPPROTO_TCP, SHUT_RDWR, SOCK_STREAM, TCP_NODELAY
from socket import socket as Socket
from typing import Any

from socketio_fast._core.client.polling import ClientPolling, Poster
from socketio_fast._core.client.session import ClientSession, SessionOwner
from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.protocol.deflate import Deflate, Extension
from socketio_fast.clients.contracts import Answer, Requests
from socketio_fast.clients.failures import failed_attempt, unexpected_answer
from socketio_fast.clients.proxies import shown_url
from socketio_fast.clients.urls import engine_url
from socketio_fast.exceptions import (
    ConnectionError,
    ConnectionFailedError,
    ProtocolError,
)
from socketio_fast.options.logs import Logger, escaped

__all__ = ["Link", "LinkEvents", "Target"]

#: Seconds in which a server must take our close packet, or answer our close frame.
CLOSE_TIMEOUT = 3.0

#: The type of payloads of revision 3 that have binary packets.
_BINARY = "application/octet-stream"

#: How an open packet begins, in revision 4 and in revision 3.
_OPEN_4, _OPEN_3 = b"0", b"0123456789\x00"


@dataclass(frozen=True)
class Target:
    """What one attempt connects to, and how."""

    url: str
    headers: Mapping[str, str]
    path: str
    transports: Sequence[str]
    query: Mapping[str, str] = field(default_factory=dict)
    eio: int = 4
    force_base64: bool = False
    upgrade: bool = True
    timestamps: bool = True
    protocols: Sequence[str] = ()
    #: Seconds for the whole attempt, and for each request of long-polling.
    connect_timeout: float = 20.0
    request_timeout: float | None = 5.0
    #: Bytes of a message that may come.
    max_http_buffer_size: int = 100_000_000
    #: What is offered to the server; ``None``: no compression.
    deflate: Extension | None = None


class LinkEvents:
    """What a link tells of its session. The methods must not block."""

    def opened(self, link: Link) -> None:
        """The open packet has come."""

    def pinged(self, link: Link) -> None:
        """The server has pinged."""

    def upgraded(self, link: Link) -> None:
        """The session goes on by WebSocket."""

    def upgrade_failed(self, link: Link, error: BaseException) -> None:
        """The session goes on by long-polling."""

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
        self.session = ClientSession(engine, self, self._dialect)

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

    async def connect(self, transport: str) -> None:
        """Open the session by this transport.

        Raises:
            ConnectionFailedError: The server did not do what it should.
        """
        opening = {"polling": self._open_polling, "websocket": self._open_websocket}
        seconds = self.target.connect_timeout
        url = self.url(transport)
        self._opening = asyncio.ensure_future(opening[transport]())
        try:
            await asyncio.wait_for(self._opening, seconds)
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
                proxy=self._requests.proxy_for(url),
            ) from exc
        except BaseException:
            self.abort()
            self._polls = None
            raise

    def cancel(self) -> None:
        """Give up an attempt that is under way: connect() raises."""
        if self._opening is not None and not self._opening.done():
            self._cancelled = True
            self._opening.cancel()

    async def _open_polling(self) -> None:
        url = self.url("polling")
        self._logger.info(
            "Attempting polling connection to %s", escaped(shown_url(url))
        )
        answer = await self._request("GET", url, self.target.request_timeout)
        begins = _OPEN_3 if self.target.eio == 3 else _OPEN_4
        if answer.status != 200 or answer.body[:1] not in _bytes_of(begins):
            raise unexpected_answer(answer, url, proxy=self._requests.proxy_for(url))
        self._polls = _Polls(self)
        polling = self._polls.polling
        self.session.begin(polling)
        goes_on = polling.received(answer.body, _is_binary(answer))
        await self._until_opened(url)
        if self._polls is not None:
            self._polls.start(goes_on)

    async def _open_websocket(self) -> None:
        socket = _new_socket(self._engine)
        self.session.begin(socket)
        url = self.url("websocket")
        self._logger.info(
            "Attempting WebSocket connection to %s", escaped(shown_url(url))
        )
        await self._connect_socket(socket, url)
        await self._until_opened(url)

    async def _until_opened(self, url: str) -> None:
        try:
            await asyncio.shield(self._opened)
        except ConnectionFailedError:
            raise
        except ConnectionError as exc:
            raise ConnectionFailedError(
                f"cannot connect to {escaped(shown_url(url))}: {exc}"
            ) from exc

    async def _connect_socket(self, socket: Any, url: str) -> None:
        """Connect a WebSocket.

        Raises:
            ConnectionFailedError: It was not connected.
        """
        import picows

        target, requests = self.target, self._requests
        options = requests.websocket_options(url)
        extras = requests.options.websocket
        headers = requests.handshake_headers(url, target.headers)
        if protocols := target.protocols or extras.protocols:
            headers["Sec-WebSocket-Protocol"] = ", ".join(protocols)
        if target.deflate is not None:
            headers["Sec-WebSocket-Extensions"] = target.deflate.offer()
        arguments: dict[str, Any] = {}
        refused: list[Exception] = []
        opened: list[Socket] = []

        def listener(request: Any, response: Any) -> Any:
            answer = ", ".join(response.headers.getall("Sec-WebSocket-Extensions", ()))
            try:
                return socket.listen(_accepted(target.deflate, answer))
            except ProtocolError as exc:
                refused.append(exc)  # picows would log it
                return socket.listen()

        if options.server_hostname is not None:
            arguments["server_hostname"] = options.server_hostname
        try:
            transport, _ = await picows.ws_connect(
                listener,
                url,
                ssl_context=options.ssl,
                extra_headers=headers,
                proxy=options.proxy,
                proxy_ssl_context=options.proxy_ssl,
                websocket_handshake_timeout=None,  # connect() has a timeout for all
                max_frame_size=target.max_http_buffer_size + 64,
                logger_name=self._logger,
                use_aiofastnet=False,
                enable_auto_pong=False,
                socket_factory=lambda url: _connected(url, opened),
                **arguments,
            )
            # It returns as well when the server closes without an answer.
            if transport.is_disconnected and not socket.accepted:
                raise ConnectionResetError("closed without a response")
            if refused:
                socket.abort_connection()
                raise refused[0]
        except BaseException as exc:
            for one in opened:
                with suppress(OSError):
                    one.shutdown(SHUT_RDWR)
            if not isinstance(exc, Exception):
                raise
            raise failed_attempt(
                exc,
                url,
                timeout=target.connect_timeout,
                timeout_name="connect_timeout",
                proxy=options.proxy,
            ) from exc
        finally:
            for one in opened:
                one.close()

    async def _request(
        self,
        method: str,
        url: str,
        timeout: float | None,
        body: bytes | None = None,
        binary: bool = False,
    ) -> Answer:
        headers = dict(self.target.headers)
        if body is not None:
            headers["Content-Type"] = _BINARY if binary else "text/plain; charset=UTF-8"
        try:
            return await self._requests.request(
                method, url, headers=headers, body=body, timeout=timeout
            )
        except Exception as exc:
            raise failed_attempt(
                exc, url, timeout=timeout, proxy=self._requests.proxy_for(url)
            ) from exc

    # The upgrade.

    @property
    def can_upgrade(self) -> bool:
        """Whether both sides want an upgrade to WebSocket."""
        return (
            self.open
            and self.target.upgrade
            and self.session.transport_name == "polling"
            and "websocket" in self.target.transports
            and "websocket" in self.session.upgrades
        )

    async def upgrade(self) -> bool:
        """Upgrade to WebSocket. Returns whether that has succeeded; if not, the session
        goes on by long-polling."""
        socket = _new_socket(self._engine)
        seconds = self.target.connect_timeout
        self._logger.info("Attempting WebSocket upgrade")
        upgrading = asyncio.ensure_future(self._upgrade(socket))
        try:
            await asyncio.wait(
                {upgrading, self._finished},
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            upgrading.cancel()
        await asyncio.wait({upgrading})
        error: BaseException | None
        if not upgrading.cancelled():
            error = upgrading.exception()
        elif self.open:
            error = ConnectionFailedError(
                f"the upgrade to WebSocket was not answered in {seconds:g} s"
            )
        else:
            error = ConnectionFailedError(
                "the session has ended during the upgrade to WebSocket"
            )
        if error is not None:
            # A session that has ended meanwhile tells that itself.
            log = self._logger.warning if self.open else self._logger.info
            log("WebSocket upgrade failed: %s", escaped(error))
            self.session.give_up_upgrade(error)
            socket.abort_connection()
            if self._polls is not None and self.open:
                self._polls.go_on()
            self._events.upgrade_failed(self, error)
            return False
        self._polls = None
        self._logger.info("WebSocket upgrade was successful")
        self._events.upgraded(self)
        return True

    async def _upgrade(self, socket: Any) -> None:
        assert self._polls is not None
        url = self.url("websocket", sid=self.session.id)
        await self._connect_socket(socket, url)
        if socket.closed:
            raise ConnectionFailedError("the connection was lost before the upgrade")
        self._probe = _future()
        if not self.session.start_upgrade(socket):
            raise ConnectionFailedError("the session has ended before the upgrade")
        await self._probe
        await self._polls.rest()
        if socket.closed or not self.open:
            raise ConnectionFailedError("the connection was lost during the upgrade")
        self.session.finish_upgrade()

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
        """Close the session; what was sent before is delivered first."""
        self.session.end(reason)
        await asyncio.wait({self._finished}, timeout=CLOSE_TIMEOUT)
        self.abort()
        await self.ended()

    async def ended(self) -> None:
        """Wait until nothing of it runs any more."""
        await asyncio.wait({self._finished}, timeout=CLOSE_TIMEOUT)
        polls, self._polls = self._polls, None  # it refers to this
        if polls is not None:
            await polls.ended()

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
        self._readable = asyncio.Event()

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
                polling.failed(exc)
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
                "POST", url, link.target.request_timeout, body, binary
            )
            if answer.status != 200:
                raise unexpected_answer(answer, url, expected="'ok' for a POST")
        except ConnectionError as exc:
            self.polling.failed(exc)
            return
        self.polling.posted()

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


def _accepted(offered: Extension | None, answer: str) -> Deflate | None:
    """What the server has accepted.

    Raises:
        ProtocolError: It was not offered.
    """
    if not answer:
        return None
    if offered is None:
        raise ProtocolError(f"the server has accepted {answer[:120]!r}, not offered")
    return offered.answered(answer)


def _new_socket(engine: Engine) -> Any:
    # picows takes 20 ms to import, and not every client needs it.
    from socketio_fast._core.client.websocket import ClientWebSocket

    return ClientWebSocket(engine)


async def _connected(url: Any, opened: list[Socket]) -> Socket:
    """Connect to a server, or to a proxy.

    picows leaves a connection open whose handshake is cancelled. So the caller gets a
    duplicate of the socket, by which it can shut the connection down.
    """
    from aiohappyeyeballs import start_connection

    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(url.host, url.port, type=SOCK_STREAM)
    socket = await start_connection(addresses, happy_eyeballs_delay=0.25, loop=loop)
    with suppress(OSError):
        socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    opened.append(socket.dup())
    return socket


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


def _in_loop() -> bool:
    return asyncio._get_running_loop() is not None


def _bytes_of(text: bytes) -> list[bytes]:
    return [text[i : i + 1] for i in range(len(text))]


def _is_binary(answer: Answer) -> bool:
    return answer.headers.get("Content-Type", "").startswith(_BINARY)
