"""The streams of WebTransport sessions by aioquic, on either side.

aioquic holds back neither what is written to a stream nor what comes by it: how much of
each waits is looked at here, at attributes that have no public names.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

try:
    from aioquic.asyncio.protocol import QuicConnectionProtocol
    from aioquic.buffer import (  # type: ignore[attr-defined]
        Buffer,
        BufferReadError,
    )
    from aioquic.h3.connection import H3Connection
    from aioquic.quic.connection import QuicConnection
except ImportError as exc:
    raise ImportError(
        'WebTransport needs aioquic: pip install "socketio-fast[webtransport]"'
    ) from exc

from socketio_fast.exceptions import ProtocolError
from socketio_fast.webtransport.frames import FrameDecoder

__all__ = ["LINGER", "WINDOW", "MessageStream", "StreamConnection", "closing_capsule"]

#: Bytes that the peer may send before it gets credit for more, and bytes that may be on
#: their way to it.
WINDOW = 256 * 1024

#: Seconds for the peer to close a session whose stream has been ended. It is not closed
#: at once, because a browser drops what it has not read by then.
LINGER = 1.0

#: The type of the capsule that ends a session.
CLOSE_SESSION = 0x2843

#: The error code of streams without a session.
BUFFERED_STREAM_REJECTED = 0x3994BD84


class Receiver(Protocol):
    """What the messages of a stream are for: see ``queued_messages`` of the core."""

    @property
    def room(self) -> asyncio.Future[None] | None:
        """A future while nothing is to be received."""

    @property
    def closing(self) -> bool:
        """Whether nothing more is to be received."""

    def receive(self, data: str | bytes) -> None:
        """A message has come."""

    def fail(self, exc: Exception) -> None:
        """The peer has broken a rule of the protocol."""

    def lost(self) -> None:
        """The connection was lost, or is being closed."""


class MessageStream:
    """The stream of a session, by which its messages come.

    Args:
        connection: The connection of the session.
        limit: Bytes of a message, at most.
    """

    def __init__(self, connection: StreamConnection, limit: int) -> None:
        #: The stream of the session's request.
        self.id = -1
        self.stream_id: int | None = None
        self.connection = connection
        self.decoder = FrameDecoder(limit)
        #: What the messages are for, when that is known.
        self.transport: Receiver | None = None
        #: The session is over.
        self.ended = False
        # The peer sends nothing more.
        self._all_sent = False

    def receive(self, data: bytes, all_sent: bool) -> None:
        """Take bytes of the stream.

        Args:
            data: They.
            all_sent: Whether the peer has ended the stream.
        """
        if not self.ended:
            self._all_sent = self._all_sent or all_sent
            self.decoder.feed(data)
            self.read()

    def delivered(self) -> None:
        """Note that the peer may have acknowledged bytes."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the session: the peer has ended it."""
        raise NotImplementedError

    @property
    def full(self) -> bool:
        """Whether the peer gets no more credit for now."""
        return self.transport is None or self.transport.room is not None

    def read(self) -> None:
        """Read the messages that are there, while the transport takes them."""
        transport = self.transport
        assert transport is not None
        try:
            while not self.ended and not transport.closing:
                if transport.room is not None:
                    transport.room.add_done_callback(self._read_on)
                    return
                message = self.decoder.take()
                if message is None:
                    break
                transport.receive(message)
        except ProtocolError as exc:
            transport.fail(exc)
        if self._all_sent:
            self.close()

    def _read_on(self, room: asyncio.Future[Any]) -> None:
        if not self.ended:
            self.read()
            self.connection.transmit_soon()


def closing_capsule(data: bytes) -> tuple[int, str] | None:
    """What the peer says when it ends a session.

    Args:
        data: Capsules (RFC 9297), the last of which may be in the middle.

    Returns:
        The code and the reason; ``None`` if there is no such capsule.
    """
    buffer = Buffer(data=data)
    try:
        while not buffer.eof():
            kind = buffer.pull_uint_var()
            value = buffer.pull_bytes(buffer.pull_uint_var())
            if kind == CLOSE_SESSION and len(value) >= 4:
                reason = value[4:].decode("utf-8", "replace")
                return int.from_bytes(value[:4], "big"), reason
    except BufferReadError:
        pass
    return None


class Window:
    """How far the peer may send on a stream; it replaces aioquic's own account.

    That doubles with what was received, whether it has been taken or not.
    """

    class _Receiver:
        highest_offset = 0  # nothing to double for

    receiver = _Receiver()

    def __init__(self, stream_id: int, size: int) -> None:
        self.stream_id = stream_id
        self.max_stream_data_local = size
        self.max_stream_data_local_sent = size


class StreamConnection(QuicConnectionProtocol):
    """A QUIC connection with HTTP/3, and the streams of its sessions."""

    def __init__(self, quic: QuicConnection, **options: Any) -> None:
        super().__init__(quic, **options)
        self.http = H3Connection(quic, enable_webtransport=True)
        self.streams: dict[int, MessageStream] = {}
        self._windows: dict[int, Window] = {}
        self._grant = quic._write_stream_limits
        quic._write_stream_limits = self._limit_stream  # type: ignore[method-assign]

    def add_stream(self, stream_id: int, stream: MessageStream) -> None:
        """From now on a stream is one of a session."""
        stream.stream_id = stream_id
        self.streams[stream_id] = stream
        self._windows[stream_id] = Window(stream_id, WINDOW)

    def forget_stream(self, stream: MessageStream) -> None:
        """Forget the stream of a session that has ended."""
        if stream.stream_id is not None:
            self.streams.pop(stream.stream_id, None)
            self._windows.pop(stream.stream_id, None)

    def write(self, stream_id: int | None, data: bytes, end: bool = False) -> None:
        """Send bytes on a stream of a session."""
        if stream_id in self.streams:
            self._quic.send_stream_data(stream_id, data, end)
            self.transmit_soon()

    def unread(self, stream_id: int | None) -> int:
        """Bytes of a stream that the peer has not acknowledged."""
        stream = self._quic._streams.get(stream_id)  # type: ignore[arg-type]
        if stream is None:
            return 0
        return len(stream.sender._buffer)

    def transmit_soon(self) -> None:
        """Send all that waits, in the next pass of the loop."""
        self._transmit_soon()

    def close_session(self, session_id: int, code: int, reason: str) -> None:
        """End a session, by a capsule on the stream of its request."""
        text = reason.encode()[:1024]
        value = code.to_bytes(4, "big") + text
        # Its type and its length, as variable-length integers of two bytes each.
        head = b"".join(
            (0x4000 | n).to_bytes(2, "big") for n in (CLOSE_SESSION, len(value))
        )
        self.http.send_data(session_id, head + value, end_stream=True)

    def drop_stream(self, stream_id: int) -> None:
        """Read nothing more of a stream, and write nothing more."""
        if stream_id in self._quic._streams:
            self._quic.stop_stream(stream_id, BUFFERED_STREAM_REJECTED)
            if stream_id % 4 == 0:
                self._quic.reset_stream(stream_id, BUFFERED_STREAM_REJECTED)

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        """Called by the event loop with a datagram of the peer."""
        super().datagram_received(data, addr)
        for stream in list(self.streams.values()):
            stream.delivered()

    def _limit_stream(self, builder: Any, space: Any, stream: Any) -> None:
        """Send how far the peer may send on a stream; replaces aioquic's method."""
        window = self._windows.get(stream.stream_id)
        if window is None:
            # Streams of requests and of HTTP/3 itself are short; others are refused.
            return
        received = stream.receiver.highest_offset
        if not self.streams[stream.stream_id].full and (
            received + WINDOW // 2 > window.max_stream_data_local
        ):
            window.max_stream_data_local = received + WINDOW
            stream.max_stream_data_local = window.max_stream_data_local
        self._grant(builder, space, window)  # type: ignore[arg-type]
