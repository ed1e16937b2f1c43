"""What ``serializer=`` and ``json=`` of a server mean."""

from __future__ import annotations

from typing import Any

from socketio_fast._core.protocol.encoding import Encoding, JsonEncoding, PacketEncoding
from socketio_fast.options.json_module import BUILT_IN, json_functions
from socketio_fast.packet import Packet


def choose_encoding(
    serializer: str | type[Any], json: Any
) -> tuple[type[Any], Encoding | None]:
    """The packet class for these options, and the encoding of the core, ``None`` for
    its built-in one.

    Raises:
        ValueError: ``serializer`` is neither a known name nor a class of packets.
        TypeError: ``json`` cannot be used.
        ImportError: msgpack is not installed.
    """
    packet_class: type[Any]
    if serializer == "default":
        packet_class = Packet
    elif serializer == "msgpack":
        from socketio_fast.msgpack_packet import MsgPackPacket

        packet_class = MsgPackPacket
    elif isinstance(serializer, type) and callable(getattr(serializer, "encode", None)):
        packet_class = serializer
    else:
        raise ValueError(
            f"serializer={serializer!r}: 'default', 'msgpack' or a class of packets "
            "expected"
        )
    if json is not None:
        functions = json_functions(json)
        # Of this server alone; python-socketio sets it for all that use the class.
        packet_class = type(packet_class.__name__, (packet_class,), {"json": json})
    if serializer != "default":
        return packet_class, PacketEncoding(packet_class)
    if json is None:
        functions = json_functions(Packet.json)
    if functions is BUILT_IN:
        return packet_class, None
    return packet_class, JsonEncoding(functions.dumps, functions.loads)
