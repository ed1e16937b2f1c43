"""Links between two workers: Unix sockets, each used in one direction."""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from itertools import islice

from socketio_fast.cluster.frames import FrameReader

__all__ = ["DescriptorLostError", "IncomingLink", "OutgoingLink"]

# Bytes that are read at once. With 128 KiB or more, malloc asks the system for memory
# at each read: a small message then costs 30 µs of CPU, and 6 µs with this.
READ_SIZE = 65536
# Frames that are written by one system call.
MAX_GATHERED = 64
# Bytes for the descriptor that a system call reads. Windows passes none; the Admin UI
# imports this module there too.
ANCILLARY = (
    socket.CMSG_SPACE(array.array("i").itemsize) if hasattr(socket, "CMSG_SPACE") else 0
)
# Stands for a descriptor that the kernel could not give to this process.
LOST = -1
# Bytes of messages that wait for a worker which does not read, at most.
MAX_QUEUED = 16 * 1024 * 1024
# Connections that wait for it, at most.
MAX_CONNECTIONS = 256

#: Called when a descriptor has left, or cannot.
Sent = Callable[[bool], None]


class DescriptorLostError(Exception):
    """The kernel did not give this process a descriptor: it has too many."""


class OutgoingLink:
    """Frames to another worker. What a pass of the event loop sends leaves at its end.

    Args:
        loop: The event loop.
        tag: The other worker.
        sock: A connected, non-blocking Unix socket.
        lost: Called once with this link when the other worker has gone.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tag: str,
        sock: socket.socket,
        lost: Callable[[OutgoingLink], None],
    ) -> None:
        self.tag = tag
        #: Messages that were dropped because the other worker does not read.
        self.dropped = 0
        #: Whether messages are dropped at present.
        self.full = False
        #: Called with this link when nothing waits any more, after drops.
        self.on_drained: Callable[[OutgoingLink], None] | None = None
        #: When it was made, by the clock of the event loop, in seconds.
        self.since = loop.time()
        self._loop = loop
        self._sock = sock
        self._lost = lost
        # Bytes of frames; with a descriptor, and who is told when it has left.
        self._queue: deque[tuple[bytes, int, Sent | None]] = deque()
        self._size = 0
        self._connections = 0
        self._offset = 0  # bytes of the first frame that have left
        self._scheduled = False
        self._closed = False
        loop.add_reader(sock, self._on_readable)

    @property
    def queued(self) -> int:
        """Bytes of frames that have not left yet."""
        return self._size

    def send(self, data: bytes) -> bool:
        """Send a frame; returns False, and counts it, if too much waits."""
        if self._closed:
            return False
        if self._size + len(data) > MAX_QUEUED and self._queue:
            self.full = True
            self.dropped += 1
            return False
        self._add(data, -1, None)
        return True

    def send_descriptor(self, data: bytes, descriptor: int, sent: Sent) -> bool:
        """Send a frame and a descriptor with it.

        Args:
            data: The frame.
            descriptor: It has to stay open until ``sent`` is called.
            sent: Called with True when it has left, with False when the link ends
                before that.

        Returns:
            False if too many wait; ``sent`` is not called then.
        """
        if self._closed or self._connections >= MAX_CONNECTIONS:
            return False
        self._connections += 1
        self._add(data, descriptor, sent)
        return True

    def _add(self, data: bytes, descriptor: int, sent: Sent | None) -> None:
        self._queue.append((data, descriptor, sent))
        self._size += len(data)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write what waits, until the other worker has to read first."""
        while self._queue and not self._closed:
            gathered = self._gather()
            pieces: list[bytes | memoryview] = [data for data, _, _ in gathered]
            pieces[0] = memoryview(gathered[0][0])[self._offset :]
            descriptors = array.array("i", [fd for _, fd, _ in gathered if fd >= 0])
            beside = (
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
                if descriptors
                else []
            )
            try:
                count = self._sock.sendmsg(pieces, beside)
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self._sock, self._on_writable)
                return  # still scheduled: nobody else writes until then
            except OSError:
                self.close()
                return
            self._advance(count, gathered)
        self._scheduled = False
        if self.full and not self._closed:
            self.full = False
            if self.on_drained is not None:
                self.on_drained(self)

    def _gather(self) -> list[tuple[bytes, int, Sent | None]]:
        """Frames for one system call, with one descriptor at most: so the other worker
        knows how many it has not been given."""
        gathered: list[tuple[bytes, int, Sent | None]] = []
        descriptors = 0
        for queued in islice(self._queue, MAX_GATHERED):
            descriptors += queued[1] >= 0
            if descriptors > 1:
                break
            gathered.append(queued)
        return gathered

    def _advance(
        self, count: int, gathered: list[tuple[bytes, int, Sent | None]]
    ) -> None:
        """So many bytes have left, and all descriptors of these frames."""
        self._size -= count
        count += self._offset
        whole = 0
        for data, _, _ in gathered:
            if count < len(data):
                break
            count -= len(data)
            whole += 1
            self._queue.popleft()
        self._offset = count
        # The rest of these frames goes without the descriptors, which have left.
        for at, (data, descriptor, _) in enumerate(gathered[whole:]):
            if descriptor >= 0:
                self._queue[at] = (data, -1, None)
        for _, _, sent in gathered:
            if sent is not None:
                self._connections -= 1
                sent(True)

    def _on_writable(self) -> None:
        self._loop.remove_writer(self._sock)
        self._flush()

    def _on_readable(self) -> None:
        # Nothing is sent in this direction: the other worker has gone.
        try:
            if self._sock.recv(1024):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        """Close it, and tell who waits for descriptors to leave."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        queue, self._queue = self._queue, deque()
        self._size = 0
        for _, _, sent in queue:
            if sent is not None:
                sent(False)
        self._lost(self)


class IncomingLink:
    """Frames of another worker.

    Args:
        loop: The event loop.
        sock: A connected, non-blocking Unix socket.
        received: Called with this link, the kind of a frame, its payload and a function
            that returns the next descriptor, or raises ``DescriptorLostError``, which
            it has to catch. What it raises closes the link.
        lost: Called once with this link, and what is wrong with it, ``None`` if the
            other worker has closed it.
    """

    #: The other worker, when it has said so.
    tag: str | None = None

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        received: Callable[[IncomingLink, int, bytes, Callable[[], int]], None],
        lost: Callable[[IncomingLink, Exception | None], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._received = received
        self._lost = lost
        self._reader = FrameReader()
        self._descriptors: deque[int] = deque()
        self._closed = False
        loop.add_reader(sock, self._on_readable)

    def _on_readable(self) -> None:
        try:
            data, beside, flags, _ = self._sock.recvmsg(
                READ_SIZE,
                ANCILLARY,
                getattr(socket, "MSG_CMSG_CLOEXEC", 0),
            )
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        for level, kind, content in beside:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                received = array.array("i")
                received.frombytes(content[: len(content) - len(content) % 4])
                for descriptor in received:
                    os.set_inheritable(descriptor, False)
                self._descriptors.extend(received)
        if flags & socket.MSG_CTRUNC:
            self._descriptors.append(LOST)
        if not data:
            self.close()
            return
        try:
            for kind, payload in self._reader.feed(data):
                self._received(self, kind, payload, self._take)
        except Exception as exc:
            # What has been received behind it is lost, so nothing more can be read.
            self.close(exc)

    def _take(self) -> int:
        descriptor = self._descriptors.popleft()
        if descriptor == LOST:
            raise DescriptorLostError("this process has too many open files")
        return descriptor

    def close(self, error: Exception | None = None) -> None:
        """Close it, and the descriptors that nobody has taken."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._sock)
        self._sock.close()
        for descriptor in self._descriptors:
            if descriptor != LOST:
                os.close(descriptor)
        self._descriptors.clear()
        self._lost(self, error)
