"""Frames between two workers about one request, on a pair of sockets of its own."""

from __future__ import annotations

import asyncio
import enum
import socket
from collections.abc import Callable

from socketio_fast.cluster.frames import FrameReader, frame

__all__ = ["PIECE", "Channel", "Part", "body_frames"]

# Bytes that are read at once.
READ_SIZE = 262144
# Seconds in which the other worker must read the rest of a channel that ends.
LINGER_TIMEOUT = 60.0

#: Bytes of a body in one frame, at most.
PIECE = 65536


class Part(enum.IntEnum):
    """What a frame is."""

    #: The head of a response, as JSON.
    HEAD = 0
    #: A piece of a body.
    BODY = 1
    #: The body is complete.
    END = 2
    #: A message of a WebSocket.
    TEXT = 3
    BINARY = 4
    #: The WebSocket closes: its code, as JSON.
    CLOSE = 5
    #: The client has broken a rule: what it is, and a code, as JSON.
    FAILURE = 6


def body_frames(body: bytes) -> bytes:
    """The frames of a body, with the one that ends it."""
    pieces = [
        frame(Part.BODY, body[at : at + PIECE]) for at in range(0, len(body), PIECE)
    ]
    return b"".join([*pieces, frame(Part.END, b"")])


class Channel:
    """One end.

    Args:
        loop: The event loop.
        sock: A connected socket, which is closed with the channel.
        received: Called with the kind and the payload of each frame.
        ended: Called once when the other worker has closed its end, or has died. It is
            not called after ``close()``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        received: Callable[[int, bytes], None],
        ended: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._received = received
        self._ended = ended
        self._reader = FrameReader()
        self._unsent = bytearray()
        self._linger: asyncio.TimerHandle | None = None
        self._paused = False
        #: Whether it is closed.
        self.closed = False
        #: Called when everything that had to wait has left.
        self.on_room: Callable[[], None] | None = None
        sock.setblocking(False)
        loop.add_reader(sock, self._on_readable)

    @property
    def unsent(self) -> int:
        """Bytes that wait because the other worker does not read."""
        return len(self._unsent)

    def send(self, data: bytes) -> None:
        """Send frames."""
        if self.closed:
            return
        if self._unsent:
            self._unsent += data
            return
        sent = self._write(data)
        if sent < len(data):
            self._unsent += memoryview(data)[sent:]
            self._loop.add_writer(self._sock, self._on_writable)

    def finish(self) -> None:
        """Close it when everything has left."""
        if self.closed or not self._unsent:
            self.close()
        elif self._linger is None:
            self._linger = self._loop.call_later(LINGER_TIMEOUT, self.close)

    def close(self) -> None:
        """Close it without delay."""
        if self.closed:
            return
        self.closed = True
        if self._linger is not None:
            self._linger.cancel()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()

    def pause(self) -> None:
        """Read nothing until ``resume()``."""
        if not self._paused and not self.closed:
            self._paused = True
            self._loop.remove_reader(self._sock)

    def resume(self) -> None:
        """Read again."""
        if self._paused and not self.closed:
            self._paused = False
            self._loop.add_reader(self._sock, self._on_readable)

    def _write(self, data: bytes | bytearray) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            return len(data)  # it has gone, which reading tells

    def _on_writable(self) -> None:
        del self._unsent[: self._write(self._unsent)]
        if self._unsent:
            return
        self._loop.remove_writer(self._sock)
        if self._linger is not None:
            self.close()
        elif self.on_room is not None:
            self.on_room()

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            self._ended()
            return
        try:
            for kind, payload in self._reader.feed(data):
                self._received(kind, payload)
                if self.closed:
                    return
        except (KeyError, TypeError, ValueError):
            # No frames, as if the other worker had died.
            self.close()
            self._ended()
