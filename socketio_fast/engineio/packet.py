"""Engine.IO packets (protocol revision 4), with python-engineio's names.

This class is for programs that use it. The servers have their own compiled encoder and
decoder.
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

_BINARY = 7  # the type that decode_packet() returns for a binary message


class Packet(UsesJSON):
    """An Engine.IO packet.

    Args:
        packet_type: One of the constants of this module, ``NOOP`` by default.
        data: The payload: ``str``; ``bytes`` in a ``MESSAGE``; a list or a dict, which
            is sent as JSON; ``None``, the default, for no payload.
        encoded_packet: An encoded packet, which is decoded into this object.

    Raises:
        ValueError: ``data`` is ``bytes`` and the packet is not a ``MESSAGE``, or
            ``encoded_packet`` is malformed.
    """

    def __init__(
        self,
        packet_type: int = NOOP,
        data: Any = None,
        encoded_packet: str | bytes | None = None,
    ) -> None:
        self.packet_type = packet_type
        self.data = data
        #: Whether the packet is a binary message.
        self.binary = isinstance(data, (bytes, bytearray))
        if self.binary and packet_type != MESSAGE:
            raise ValueError("Binary packets can only be of type MESSAGE")
        if encoded_packet is not None:
            self.decode(encoded_packet)

    def encode(self, b64: bool = False) -> str | bytes:
        """Encode the packet.

        Args:
            b64: Whether a binary message is encoded as text: ``b`` and base64, as in
                HTTP long-polling.
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
        """Decode a packet into this object.

        Args:
            encoded_packet: The packet: ``str``, or ``bytes`` for a binary message. A
                payload that is a JSON array or object becomes a list or a dict.

        Raises:
            PacketError: The packet is malformed; a ``ValueError`` too.
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
    """Decode a text that is a JSON array or object; return any other text as it is."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return text
