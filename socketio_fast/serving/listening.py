"""How a server listens: by sockets of this package, or by servers of the event loop."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl as _ssl
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from socketio_fast._core.http.epoll import Sockets, open_sockets
from socketio_fast._core.http.listening import has_own_tls, listen

__all__ = ["Acceptor", "Listening"]

# How often each socket is listened on by uvloop, which accepts one connection for each
# listener in a pass of its loop. CPU for a connection with 64 clients at a time that
# connect and disconnect, in us (medians of 9 alternating rounds): once 80, twice 73,
# 4 times 66, 8 times 63.
ACCEPTS = 4


class Listening(Protocol):
    """What of an ``asyncio.Server`` is used here."""

    @property
    def sockets(self) -> Sequence[Any]:
        """The sockets that it listens on."""

    def close(self) -> None:
        """Accept no more connections, and close the sockets."""

    async def wait_closed(self) -> None:
        """Wait until that is done."""


class Acceptor:
    """Listens.

    Args:
        loop: The event loop.
        factory: Makes the protocol of a connection.
        ssl: For TLS.
        backlog: See :func:`socketio_fast.serve`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: Callable[[], asyncio.Protocol],
        ssl: _ssl.SSLContext | None,
        backlog: int,
    ) -> None:
        self._loop = loop
        self._factory = factory
        self._backlog = backlog
        self._ssl = ssl
        self._options: dict[str, Any] = {"ssl": ssl, "backlog": backlog}
        self._own: Sockets | None = None

    async def listen(
        self,
        host: str | None,
        port: int,
        uds: str | os.PathLike[str] | None,
        servers: list[Listening],
    ) -> None:
        """Listen on the addresses of a host, or on a Unix socket.

        Args:
            host: See :func:`socketio_fast.serve`.
            port: Likewise.
            uds: Likewise.
            servers: What listens is added to it, also where this fails.
        """
        own = self._sockets()
        try:
            server = await self._bind(host, port, uds, own is None)
        except BaseException:
            if own is not None:
                own.close_if_unused()
            raise
        if own is None:
            servers.append(server)
            await self._accept_again(server.sockets, servers)
            return
        bound: list[socket.socket] = []
        try:
            bound += map(_duplicate, server.sockets)
            await self.accept_on(bound, servers)
        except BaseException:
            for sock in bound:
                sock.close()
            raise
        finally:
            server.close()

    async def _bind(
        self,
        host: str | None,
        port: int,
        uds: str | os.PathLike[str] | None,
        start: bool,
    ) -> Any:
        """A server of the event loop: it knows all that is to be known of addresses."""
        options = self._options | {"start_serving": start}
        if uds is None:
            return await self._loop.create_server(self._factory, host, port, **options)
        try:
            return await self._unix_listener()(self._factory, str(uds), **options)
        except OSError as exc:
            raise OSError(exc.errno, exc.strerror, str(uds)) from None

    async def accept_on(
        self, sockets: Sequence[socket.socket], servers: list[Listening]
    ) -> None:
        """Accept connections of bound sockets.

        Args:
            sockets: They belong to what is added to ``servers``.
            servers: What listens is added to it, also where this fails.
        """
        own = self._sockets()
        if own is not None:
            try:
                for sock in sockets:
                    servers.append(
                        listen(own, sock, self._factory, self._backlog, self._ssl)
                    )
            finally:
                own.close_if_unused()
            return
        for sock in sockets:
            by_loop = self._listens_by(sock)
            servers.append(await by_loop(self._factory, sock=sock, **self._options))
        await self._accept_again(sockets, servers)

    def abort_handshakes(self) -> None:
        """Close the connections whose handshake of TLS is not done."""
        if self._own is not None:
            self._own.abort_handshakes()

    async def all_ended(self) -> None:
        """Wait until connections that were aborted before have ended."""
        if self._own is None:
            await asyncio.sleep(0)  # the event loop's end in its next pass
        else:
            await self._own.all_ended()

    def _sockets(self) -> Sockets | None:
        if self._ssl is None or has_own_tls(self._ssl):
            self._own = open_sockets(self._loop, self._own)
        return self._own

    async def _accept_again(
        self, sockets: Sequence[socket.socket], servers: list[Listening]
    ) -> None:
        if isinstance(self._loop, asyncio.BaseEventLoop) or os.name == "nt":
            return  # Windows: a socket is no descriptor that dup() knows
        for sock in list(sockets) * (ACCEPTS - 1):
            again = _duplicate(sock)
            by_loop = self._listens_by(again)
            servers.append(await by_loop(self._factory, sock=again, **self._options))

    def _listens_by(self, sock: socket.socket) -> Any:
        if sock.family == getattr(socket, "AF_UNIX", None):
            return self._unix_listener()
        return self._loop.create_server

    def _unix_listener(self) -> Any:
        if sys.version_info >= (3, 13):
            # asyncio would remove the file of the socket, also in a forked process.
            return partial(self._loop.create_unix_server, cleanup_socket=False)
        return self._loop.create_unix_server


def _duplicate(sock: Any) -> socket.socket:
    again = os.dup(sock.fileno())
    try:
        return socket.socket(fileno=again)
    except BaseException:
        os.close(again)
        raise
