"""Socket.IO packets in MessagePack, for ``serializer="msgpack"``.

The format is that of npm's ``socket.io-msgpack-parser`` and of python-socketio: each
packet is one binary message, a MessagePack map with ``type``, ``nsp``, ``data`` and
``id``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

try:
    import msgpack
except ImportError as exc:
    raise ImportError(
        'serializer="msgpack" needs msgpack: pip install "socketio-fast[msgpack]"'
    ) from exc

from socketio_fast._core.protocol.encoding import claims_fit
from socketio_fast.exceptions import PacketError
from socketio_fast.packet import CONNECT_ERROR, Packet
from socketio_fast.payloads import plain

__all__ = ["MsgPackPacket"]

# notepack.io, which the JavaScript parser uses, writes `undefined` as an extension type
# with this code and data.
_UNDEFINED = (0, b"\0")


class MsgPackPacket(Packet):
    """A Socket.IO packet in MessagePack, with the arguments of :class:`Packet`."""

    uses_binary_events: ClassVar[bool] = False

    #: See :meth:`configure`.
    dumps_default: ClassVar[Callable[[Any], Any] | None] = None
    #: See :meth:`configure`.
    ext_hook: ClassVar[Callable[[int, bytes], Any]] = msgpack.ExtType

    @classmethod
    def configure(
        cls,
        dumps_default: Callable[[Any], Any] | None = None,
        ext_hook: Callable[[int, bytes], Any] = msgpack.ExtType,
    ) -> type[MsgPackPacket]:
        """Return a class for ``serializer=`` that encodes and decodes more types.

        Args:
            dumps_default: Called with a value that MessagePack has no type for; returns
                a value that it has one for, or a ``msgpack.ExtType``. If it raises
                ``TypeError``, or is ``None``, the default, the value is replaced as
                with JSON: sets, dates, dataclasses, …
            ext_hook: Called with the code and the data of an extension type; returns
                the value, by default a ``msgpack.ExtType``. It is not called for
                JavaScript's ``undefined``, which becomes ``None``.
        """
        options = {"dumps_default": dumps_default, "ext_hook": ext_hook}
        return type(cls.__name__, (cls,), options)

    def encode(self) -> bytes:
        """Encode the packet.

        Raises:
            TypeError: ``data`` contains a value of a type that cannot be sent.
            OverflowError: ``data`` contains an integer of more than 64 bits.
        """
        packet: dict[str, Any] = {
            "type": self.packet_type,
            "nsp": self.namespace,
        }
        # The JavaScript parser refuses a DISCONNECT whose data is null.
        if self.data is not None:
            packet["data"] = self.data
        if self.id is not None:
            packet["id"] = self.id
        encoded: bytes = msgpack.packb(packet, default=self._replace)
        return encoded

    def decode(self, encoded_packet: str | bytes) -> None:
        """Decode a packet into this object.

        Args:
            encoded_packet: The binary message.

        Raises:
            PacketError: The packet is malformed; a ``ValueError`` too.
        """
        if isinstance(encoded_packet, str):
            raise PacketError(
                "text message: with serializer='msgpack', packets are binary messages"
            )
        encoded_packet = bytes(encoded_packet)
        if not claims_fit(encoded_packet):
            raise PacketError("packet is not MessagePack: it ends too early")
        try:
            packet = msgpack.unpackb(encoded_packet, ext_hook=self._extension)
        except ValueError as exc:
            raise PacketError(f"packet is not MessagePack: {exc!r:.160}") from exc
        if not isinstance(packet, dict):
            raise PacketError(
                f"packet is not a MessagePack map: {type(packet).__name__}"
            )
        kind = packet.get("type")
        if type(kind) is not int or not 0 <= kind <= CONNECT_ERROR:
            raise PacketError(f"unknown Socket.IO packet type: {kind!r:.32}")
        self.packet_type = kind
        self.namespace = packet.get("nsp")
        self.data = packet.get("data")
        self.id = packet.get("id")

    def _replace(self, value: Any) -> Any:
        dumps_default = type(self).dumps_default
        if dumps_default is None:
            if isinstance(value, int):
                raise OverflowError(f"integer of more than 64 bits: {value!r:.40}")
            return plain(value)
        try:
            return dumps_default(value)
        except TypeError as refusal:
            try:
                return plain(value)
            except TypeError:
                raise refusal from None

    def _extension(self, code: int, data: bytes) -> Any:
        if (code, data) == _UNDEFINED:
            return None
        # Read from the class: read from the object, a function would become a method.
        return type(self).ext_hook(code, data)
