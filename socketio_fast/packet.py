"""Socket.IO packets (protocol revision 5), with python-socketio's names.

The server has its own compiled encoder and decoder and does not use this class. It does
if ``serializer=`` is given a subclass of :class:`Packet`: then the subclass's
``encode()`` and ``decode()`` are used for every packet.
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
    """A Socket.IO packet.

    Args:
        packet_type: One of the constants of this module, ``EVENT`` by default.
        data: The payload: the array of an ``EVENT`` (name and arguments) or ``ACK``
            (arguments), the object of a ``CONNECT`` or ``CONNECT_ERROR``; ``None``, the
            default, for no payload.
        namespace: The name of the namespace; ``None``, the default, is ``"/"``.
        id: The acknowledgement id; ``None``, the default, for none.
        binary: Whether ``data`` contains bytes, which make an ``EVENT`` a
            ``BINARY_EVENT`` and an ``ACK`` a ``BINARY_ACK``. ``None``, the default,
            searches ``data``.
        encoded_packet: An encoded packet, which is decoded into this object.

    Raises:
        ValueError: A packet that is neither an ``EVENT`` nor an ``ACK`` contains bytes,
            or ``encoded_packet`` is malformed.
    """

    #: Whether bytes are sent as attachments (binary messages after the packet's text).
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
        #: The number of attachments of a decoded packet.
        self.attachment_count = 0
        #: The attachments that were added so far.
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
        """Encode the packet.

        Returns:
            The text; for a packet with attachments, a list of the text and the
            attachments.
        """
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
        """Decode a packet into this object.

        Args:
            encoded_packet: The text of the packet.

        Returns:
            The number of attachments that :meth:`add_attachment` must be given.

        Raises:
            PacketError: The packet is malformed; a ``ValueError`` too.
        """
        if not isinstance(encoded_packet, str):
            raise PacketError("binary message that no packet has announced")
        packet = decode_packet(encoded_packet.encode(), sys.maxsize, self._json().loads)
        self.packet_type = packet.type
        if packet.missing:
            self.packet_type = _TO_BINARY[packet.type]
        self.namespace = None if packet.namespace == "/" else packet.namespace
        self.id = None if packet.id < 0 else packet.id
        self.data = packet.data
        return packet.missing

    def add_attachment(self, attachment: bytes) -> bool:
        """Add the next attachment; the last one completes :attr:`data`.

        Returns:
            Whether the packet is complete.

        Raises:
            ValueError: The packet is complete already, or a placeholder has no
                attachment.
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
        """Replace the placeholders in ``data`` by their attachments.

        Returns:
            ``data``, which is changed in place.

        Raises:
            ValueError: A placeholder has no attachment.
        """
        return reconstruct(data, attachments)

    @classmethod
    def deconstruct_binary(cls, data: Any) -> tuple[Any, list[bytes]]:
        """Replace the bytes in ``data`` by placeholders.

        Returns:
            A copy of ``data`` with placeholders, and the list of bytes. ``data`` itself
            is not changed.
        """
        return deconstruct(data, cls._is_built_in())

    @classmethod
    def data_is_binary(cls, data: Any) -> bool:
        """Whether ``data`` contains bytes at any depth."""
        return bool(deconstruct(data, cls._is_built_in())[1])
