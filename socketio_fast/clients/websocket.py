"""Connecting a WebSocket, by picows."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from functools import lru_cache
from logging import Logger, LoggerAdapter
from socket import IPPROTO_TCP, SHUT_RDWR, SOCK_STREAM, TCP_NODELAY
from socket import socket as Socket
from typing import Any

from socketio_fast._core.protocol.deflate import Deflate, Extension
from socketio_fast.clients.carriers import Carrier
from socketio_fast.clients.failures import failed_attempt
from socketio_fast.exceptions import ProtocolError

__all__ = ["WebSocketCarrier"]


class WebSocketCarrier(Carrier):
    """A WebSocket."""

    def __init__(self, *args: Any) -> None:
        # picows takes 20 ms to import, and not every client needs it.
        from socketio_fast._core.client.websocket import ClientWebSocket

        super().__init__(*args)
        self.transport = ClientWebSocket(self.engine)

    @property
    def closed(self) -> bool:
        return bool(self.transport.closed)

    def begin(self, sid: str | None) -> None:
        """The URL has said it."""

    async def ended(self) -> None:
        """The core closes it when what was written has left."""

    def abort(self) -> None:
        self.transport.abort_connection()

    async def connect(self, url: str) -> None:
        import picows

        target, requests, socket = self.target, self.requests, self.transport
        if requests.unix_path is not None:
            url = url.replace("wss:", "ws:", 1)  # aiohttp has no TLS there either
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
            # picows keeps both as long as the connection, and has no use for them now.
            request.headers = response.headers = None
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
                logger_name=_for_picows(self.logger),
                # It has transports for Unix sockets; picows makes none by itself.
                use_aiofastnet=requests.unix_path is not None,
                enable_auto_pong=False,
                # It grows for longer frames. Of 16 KiB, picows' default, a client that
                # hears little has no use. This is the least that it takes.
                read_buffer_init_size=2048,
                socket_factory=lambda url: _connected(url, requests.unix_path, opened),
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
                proxy=requests.way_to(url),
            ) from exc
        finally:
            for one in opened:
                one.close()


@lru_cache(maxsize=16)
def _for_picows(logger: Logger) -> LoggerAdapter[Logger]:
    """What picows logs by. Of a ``Logger`` it would make another one for each
    connection, of 1.3 KiB."""
    return LoggerAdapter(logger, {})


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


class _UnixSocket(Socket):
    """A Unix socket, of which picows asks what a TCP socket has."""

    def setsockopt(self, level: int, *args: Any) -> None:
        if level != IPPROTO_TCP:
            super().setsockopt(level, *args)

    def getsockopt(self, level: int, *args: Any) -> Any:
        return 0 if level == IPPROTO_TCP else super().getsockopt(level, *args)


async def _connected(url: Any, path: str | None, opened: list[Socket]) -> Socket:
    """Connect to a server, also to one at the path of a Unix socket, or to a proxy.

    picows leaves a connection open whose handshake is cancelled. So the caller gets a
    duplicate of the socket, by which it can shut the connection down.
    """
    from aiohappyeyeballs import start_connection

    loop = asyncio.get_running_loop()
    if path is not None and sys.platform != "win32":
        from socket import AF_UNIX

        unix = _UnixSocket(AF_UNIX, SOCK_STREAM)
        try:
            unix.setblocking(False)
            await loop.sock_connect(unix, path)
        except BaseException:
            unix.close()
            raise
        opened.append(unix.dup())
        return unix
    addresses = await loop.getaddrinfo(url.host, url.port, type=SOCK_STREAM)
    socket = await start_connection(addresses, happy_eyeballs_delay=0.25, loop=loop)
    with suppress(OSError):
        socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    opened.append(socket.dup())
    return socket
