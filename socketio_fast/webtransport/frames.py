"""Frames of Engine.IO on a WebTransport stream (revision 4.1 of the protocol).

A header, then a packet: a text packet as it is by WebSocket, or a binary message. The
first bit of the header says which; the length follows in 7 bits, or after 126 in 16,
after 127 in 64. A stream has no limits of messages of its own, which is why.
"""

from __future__ import annotations

from socketio_fast.exceptions import LimitError, ProtocolError

__all__ = ["FrameDecoder", "encode_frame"]

BINARY = 0x80


def encode_frame(message: str | bytes) -> bytes:
    """The frame of a packet: ``str``, or the ``bytes`` of a binary message."""
    if isinstance(message, str):
        kind, payload = 0, message.encode("utf-8")
    else:
        kind, payload = BINARY, message
    size = len(payload)
    if size < 126:
        return bytes((kind | size,)) + payload
    if size < 0x10000:
        return bytes((kind | 126,)) + size.to_bytes(2, "big") + payload
    return bytes((kind | 127,)) + size.to_bytes(8, "big") + payload


class FrameDecoder:
    """Reads packets from the bytes of a stream.

    Args:
        limit: Bytes of one packet, at most.
    """

    __slots__ = ("_received", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._received = bytearray()

    @property
    def waiting(self) -> int:
        """How many bytes were fed and belong to no packet yet."""
        return len(self._received)

    def feed(self, data: bytes) -> None:
        """Add bytes of the stream."""
        self._received += data

    def take(self) -> str | bytes | None:
        """The next packet: ``str``, or the ``bytes`` of a binary message.

        Returns:
            ``None`` if not all of it is there.

        Raises:
            LimitError: It is longer than the limit, whether it is all there or not.
            ProtocolError: It is empty and no binary message, or no UTF-8.
        """
        received = self._received
        if not received:
            return None
        size, start = received[0] & 0x7F, 1
        if size > 125:
            start = 3 if size == 126 else 9
            if len(received) < start:
                return None
            size = int.from_bytes(received[1:start], "big")
        if size > self.limit:
            raise LimitError(
                f"message of {size} bytes, more than max_http_buffer_size={self.limit}",
                code=1009,
            )
        binary = received[0] & BINARY
        if not size and not binary:
            raise ProtocolError("an empty packet")
        end = start + size
        if len(received) < end:
            return None
        payload = bytes(received[start:end])
        del received[:end]
        if binary:
            return payload
        try:
            return payload.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise ProtocolError(f"a text packet that is not UTF-8: {exc}") from None
