"""HTTP long-polling payloads (Engine.IO revision 4), with python-engineio's names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import parse_qs

from socketio_fast.engineio.packet import Packet
from socketio_fast.options.amounts import whole

__all__ = ["Payload"]

SEPARATOR = "\x1e"
DEFAULT_MAX_DECODE_PACKETS = 16


class Payload:
    """The packets in the body of one HTTP request or response.

    Args:
        packets: The packets; ``None``, the default, for none.
        encoded_payload: An encoded payload, which is decoded into this object.

    Raises:
        ValueError: ``encoded_payload`` is malformed, or has more than
            ``max_decode_packets`` packets.
    """

    #: The maximum number of packets that ``decode`` accepts, 16 by default. Servers
    #: have no such limit (only ``max_http_buffer_size``, in bytes), unless this is set
    #: to another value before they start. Then a POST with more packets is answered
    #: with 400, and its session is closed.
    max_decode_packets: ClassVar[int] = DEFAULT_MAX_DECODE_PACKETS

    def __init__(
        self,
        packets: Sequence[Packet] | None = None,
        encoded_payload: str | None = None,
    ) -> None:
        self.packets: list[Packet] = list(packets or ())
        if encoded_payload is not None:
            self.decode(encoded_payload)

    def encode(self, jsonp_index: int | None = None) -> str:
        """Encode the payload.

        Args:
            jsonp_index: The number of the JSONP callback; ``None``, the default,
                without JSONP.
        """
        payload = SEPARATOR.join(
            str(packet.encode(b64=True)) for packet in self.packets
        )
        if jsonp_index is None:
            return payload
        return f"___eio[{jsonp_index}]({json.dumps(payload)});"

    def decode(self, encoded_payload: str) -> None:
        """Decode a payload into this object.

        Args:
            encoded_payload: The payload. If it begins with ``d=``, it is the form that
                a JSONP client sends.

        Raises:
            ValueError: A packet is malformed, or there are more than
                ``max_decode_packets``.
        """
        self.packets = []
        if not encoded_payload:
            return
        if encoded_payload.startswith("d="):
            encoded_payload = parse_qs(encoded_payload)["d"][0]
        packets = encoded_payload.split(SEPARATOR)
        if len(packets) > self.max_decode_packets:
            raise ValueError(
                f"Too many packets in payload: {len(packets)}, "
                f"max_decode_packets={self.max_decode_packets}"
            )
        self.packets = [Packet(encoded_packet=packet) for packet in packets]


def server_limit() -> int:
    """The maximum number of packets in a POST of a server; 0 for no limit.

    Raises:
        ValueError: The program has set ``Payload.max_decode_packets`` to something that
            is not an integer.
    """
    limit = whole(Payload.max_decode_packets)
    if limit is None:
        raise ValueError(
            f"Payload.max_decode_packets={Payload.max_decode_packets!r}: an integer "
            "expected"
        )
    return 0 if limit == DEFAULT_MAX_DECODE_PACKETS else limit
