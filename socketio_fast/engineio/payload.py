"""Payloads of HTTP long-polling (revision 4), with python-engineio's names."""

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
    """Packets that travel in one HTTP request or response.

    Args:
        packets: The packets.
        encoded_payload: Text to decode instead.

    Raises:
        ValueError: ``encoded_payload`` is malformed, or has more than
            ``max_decode_packets``.
    """

    #: How many packets ``decode`` takes. Servers have no such limit, only that of
    #: ``max_http_buffer_size`` bytes, unless this is set to another value before they
    #: start: then a POST with more closes its session, and is answered with 400.
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
        """The payload as it is sent.

        Args:
            jsonp_index: The number of a JSONP callback, ``None`` without JSONP.
        """
        payload = SEPARATOR.join(
            str(packet.encode(b64=True)) for packet in self.packets
        )
        if jsonp_index is None:
            return payload
        return f"___eio[{jsonp_index}]({json.dumps(payload)});"

    def decode(self, encoded_payload: str) -> None:
        """Become the payload that was received; ``d=…`` is that of a JSONP form.

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
    """How many packets a POST may have, as the program has set it; 0: no limit."""
    limit = whole(Payload.max_decode_packets)
    if limit is None:
        raise ValueError(
            f"Payload.max_decode_packets={Payload.max_decode_packets!r}: a number "
            "expected"
        )
    return 0 if limit == DEFAULT_MAX_DECODE_PACKETS else limit
