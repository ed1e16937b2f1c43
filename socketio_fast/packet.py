"""Packets of Socket.IO (revision 5), with python-socketio's names.

A server does without these, unless it is told to: ``serializer=`` takes a subclass of
:class:`Packet`, whose ``encode`` and ``decode`` are then what goes over the wire.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from socketio_fast._core.protocol.attachments import deconstruct, reconstruct
from socketio_fast._core.protocol.sio import decode_packet, encode_head
from socketio_fast.exceptions import PacketError
from socketio_fast.options.json_module import UsesJSON

__all__ = [
    "ACK",
    "BINARY_ACK",
    "BINARY_EVENT",
    "CONNECT",
    "CONNECT_ERROR",
    "DISCONNECT",
    "EVENT",
    "Packet",
    "packet_names",
]

(CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK) = range(7)
packet_names = [
    "CONNECT",
    "DISCONNECT",
    "EVENT",
    "ACK",
    "CONNECT_ERROR",
    "BINARY_EVENT",
    "BINARY_ACK",
]

_TO_BINARY = {EVENT: BINARY_EVENT, ACK: BINARY_ACK}
_TO_PLAIN = {binary: plain for plain, binary in _TO_BINARY.items()}


class Packet(UsesJSON):
    """A packet.

    Args:
        packet_type: One of the constants of this module.
        data: The array of an ``EVENT`` (name and arguments) or ``ACK``, the object of a
            ``CONNECT`` or ``CONNECT_ERROR``; ``None`` for nothing.
        namespace: The namespace; ``None`` is ``"/"``.
        id: The number of the acknowledgement, if one is asked for or given.
        binary: Whether an ``EVENT`` or ``ACK`` has bytes in it; ``None``: find out.
        encoded_packet: A message to decode instead.

    Raises:
        ValueError: Bytes in a packet that cannot have them; a malformed
            ``encoded_packet``.
    """

    #: Whether bytes are sent apart from the rest, as attachments of it.
    uses_binary_events: ClassVar[bool] = True

    def __init__(
        self,
        packet_type: int = EVENT,
        data: Any = None,
        namespace: str | None = None,
        id: int | None = None,
        binary: bool | None = None,
        encoded_packet: str | bytes | None = None,
    ) -> None:
        self.packet_type = packet_type
        self.data = data
        self.namespace = namespace
        self.id = id
        #: How many attachments a decoded packet has, and those that have come.
        self.attachment_count = 0
        self.attachments: list[bytes] = []
        if self.uses_binary_events and (
            self.data_is_binary(data) if binary is None else binary
        ):
            if packet_type not in _TO_BINARY:
                raise ValueError("Packet does not support binary payload.")
            self.packet_type = _TO_BINARY[packet_type]
        if encoded_packet is not None:
            self.attachment_count = self.decode(encoded_packet) or 0

    def encode(self) -> str | bytes | list[str | bytes]:
        """The packet as it is sent: text, or a list of text and its attachments."""
        data: Any = self.data
        attachments: list[bytes] = []
        binary = self.packet_type in _TO_PLAIN
        if binary:
            data, attachments = self.deconstruct_binary(data)
        head = encode_head(
            _TO_PLAIN.get(self.packet_type, self.packet_type),
            self.namespace or "/",
            self.id,
            len(attachments),
        )
        text = head.decode()
        if data is not None:
            text += self._json().text(data)
        return [text, *attachments] if binary else text

    def decode(self, encoded_packet: str | bytes) -> int | None:
        """Become the packet that was received.

        Returns:
            How many attachments it has, for :meth:`add_attachment`.

        Raises:
            ValueError: It is malformed: a
                :class:`~socketio_fast.exceptions.PacketError`.
        """
        if not isinstance(encoded_packet, str):
            raise PacketError("binary message without a packet that awaits it")
        packet = decode_packet(encoded_packet.encode(), sys.maxsize, self._json().loads)
        self.packet_type = packet.type
        if packet.missing:
            self.packet_type = _TO_BINARY[packet.type]
        self.namespace = None if packet.namespace == "/" else packet.namespace
        self.id = None if packet.id < 0 else packet.id
        self.data = packet.data
        return packet.missing

    def add_attachment(self, attachment: bytes) -> bool:
        """Take the next attachment; with the last one, all go to their places.

        Returns:
            Whether the packet is complete.

        Raises:
            ValueError: No attachment is awaited, or none belongs to a placeholder.
        """
        if len(self.attachments) >= self.attachment_count:
            raise ValueError("Unexpected binary attachment")
        self.attachments.append(attachment)
        if len(self.attachments) < self.attachment_count:
            return False
        self.data = self.reconstruct_binary(self.data, self.attachments)
        return True

    @classmethod
    def reconstruct_binary(cls, data: Any, attachments: list[bytes]) -> Any:
        """``data`` with attachments in the places of their placeholders.

        It is changed where it stands, and returned.

        Raises:
            ValueError: A placeholder has no attachment.
        """
        return reconstruct(data, attachments)

    @classmethod
    def deconstruct_binary(cls, data: Any) -> tuple[Any, list[bytes]]:
        """``data`` with placeholders for the bytes in it, and those bytes.

        What it was is not changed.
        """
        return deconstruct(data, cls._is_built_in())

    @classmethod
    def data_is_binary(cls, data: Any) -> bool:
        """Whether there are bytes in ``data``, however deep."""
        return bool(deconstruct(data, cls._is_built_in())[1])
