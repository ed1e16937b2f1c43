"""Bytes passed between a connection and a socket, in both directions."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any, cast

__all__ = ["relay"]


class _Side(asyncio.Protocol):
    """One side: what it receives, the other one writes.

    Args:
        all_open: It is in this set while it is open.
    """

    def __init__(self, all_open: set[asyncio.Transport]) -> None:
        self._all_open = all_open
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        # What was received before the other side was there.
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._all_open.add(self.transport)

    def join(self, other: _Side) -> None:
        """Pass everything to this side from now on."""
        self.other = other
        early, self._early = self._early, []
        for data in early:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        elif self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        # The other way stays open, but for TLS, which has no such state.
        here = self.transport
        there = None if self.other is None else self.other.transport
        if here is None or there is None:
            return False
        if not (here.can_write_eof() and there.can_write_eof()):
            return False
        there.write_eof()
        return True

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            self._all_open.discard(self.transport)
        self.transport = None
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()  # what it has to write leaves first
        self.other = None


def relay(
    transport: asyncio.Transport,
    sock: socket.socket,
    all_open: set[asyncio.Transport],
) -> Coroutine[Any, Any, None]:
    """Pass bytes between a connection and a socket from now on, until either ends.

    Args:
        transport: The connection; its reading is paused.
        sock: A connected socket; it is closed at the end.
        all_open: Both are in this set while they are open.

    Returns:
        A coroutine, which connects the two.
    """
    client = _Side(all_open)
    client.connection_made(transport)
    transport.set_protocol(client)
    return _join(client, _Side(all_open), sock)


async def _join(client: _Side, worker: _Side, sock: socket.socket) -> None:
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().create_connection(lambda: worker, sock=sock)
    except BaseException:
        sock.close()
        if client.transport is not None:
            client.transport.abort()
        raise
    if client.transport is None:  # it has gone
        if worker.transport is not None:
            worker.transport.abort()
        return
    client.join(worker)
    worker.join(client)
    client.transport.resume_reading()
