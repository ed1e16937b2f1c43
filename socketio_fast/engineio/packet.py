"""Packets of Engine.IO (revision 4), with python-engineio's names.

The servers here read and write packets without these; they are for programs that do.
"""

from __future__ import annotations

from typing import Any

from socketio_fast._core.protocol.eio import decode_packet, encode_binary
from socketio_fast.options.json_module import JSON, UsesJSON

__all__ = [
    "CLOSE",
    "MESSAGE",
    "NOOP",
    "OPEN",
    "PING",
    "PONG",
    "UPGRADE",
    "Packet",
    "packet_names",
]

(OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP) = range(7)
packet_names = ["OPEN", "CLOSE", "PING", "PONG", "MESSAGE", "UPGRADE", "NOOP"]

_BINARY = 7  # of decode_packet(): a message of bytes


class Packet(UsesJSON):
    """A packet.

    Args:
        packet_type: One of the constants of this module.
        data: ``str``, ``bytes`` (of a ``MESSAGE``), or what goes out as JSON: a list or
            a dict; ``None`` for nothing.
        encoded_packet: Text or bytes to decode instead.

    Raises:
        ValueError: ``bytes`` that are no message; a malformed ``encoded_packet``.
    """

    def __init__(
        self,
        packet_type: int = NOOP,
        data: Any = None,
        encoded_packet: str | bytes | None = None,
    ) -> None:
        self.packet_type = packet_type
        self.data = data
        #: Whether it is a binary message.
        self.binary = isinstance(data, (bytes, bytearray))
        if self.binary and packet_type != MESSAGE:
            raise ValueError("Binary packets can only be of type MESSAGE")
        if encoded_packet is not None:
            self.decode(encoded_packet)

    def encode(self, b64: bool = False) -> str | bytes:
        """The packet as it is sent.

        Args:
            b64: Whether a binary message becomes text, as in HTTP long-polling.
        """
        if self.binary:
            data = bytes(self.data)
            return encode_binary(data).decode() if b64 else data
        if self.data is None:
            return str(self.packet_type)
        if isinstance(self.data, (dict, list)):
            return f"{self.packet_type}{self._json().text(self.data)}"
        return f"{self.packet_type}{self.data}"

    def decode(self, encoded_packet: str | bytes) -> None:
        """Become the packet that was received.

        Args:
            encoded_packet: Text, or ``bytes`` for a binary message. Text with an array
                or an object of JSON gives a list or a dict.

        Raises:
            ValueError: It is malformed: a
                :class:`~socketio_fast.exceptions.PacketError`.
        """
        if isinstance(encoded_packet, str):
            kind, data = decode_packet(encoded_packet.encode())
            self.binary = kind == _BINARY
            self.packet_type = MESSAGE if self.binary else kind
            self.data = data if self.binary else read_text(data.decode(), self._json())
        else:
            self.binary = True
            self.packet_type = MESSAGE
            self.data = bytes(encoded_packet)


def read_text(text: str, json: JSON) -> Any:
    """The array or object whose JSON a text is; any other text itself."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return text
