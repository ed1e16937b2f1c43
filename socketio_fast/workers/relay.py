"""Bytes passed between a connection and a socket, in both directions."""

from __future__ import annotations

import asyncio
import socket

__all__ = ["relay"]


class _Side(asyncio.Protocol):
    """One side: what it receives, the other one writes."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        other = self.other
        if other is not None and other.transport is not None:
            other.transport.write(data)

    def eof_received(self) -> bool:
        """The client, or the worker, sends nothing more; the other way stays open where
        there is such a state: TLS has none."""
        other = self.other
        transport = None if other is None else other.transport
        if transport is None or not transport.can_write_eof():
            return False
        transport.write_eof()
        return True

    def pause_writing(self) -> None:
        other = self.other
        if other is not None and other.transport is not None:
            other.transport.pause_reading()

    def resume_writing(self) -> None:
        other = self.other
        if other is not None and other.transport is not None:
            other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        other, self.other = self.other, None
        if other is not None and other.transport is not None:
            # What it has to write still leaves.
            other.transport.close()


async def relay(transport: asyncio.Transport, sock: socket.socket) -> None:
    """Pass bytes between a connection and a socket from now on, until either ends.

    Args:
        transport: The connection; its reading is paused.
        sock: A connected socket; it is closed at the end.
    """
    client, worker = _Side(), _Side()
    client.transport = transport
    transport.set_protocol(client)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().create_connection(lambda: worker, sock=sock)
    except BaseException:
        sock.close()
        transport.abort()
        raise
    if transport.is_closing():
        assert worker.transport is not None
        worker.transport.abort()
        return
    client.other, worker.other = worker, client
    transport.resume_reading()
