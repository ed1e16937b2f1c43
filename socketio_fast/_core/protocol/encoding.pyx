"""Encodings of Socket.IO packets that an application has chosen.

A hub has no encoding by default: it calls `sio.decode` and `outgoing.packet`. An
`Encoding` replaces these two: `JsonEncoding` uses another JSON module, `PacketEncoding`
a packet class of python-socketio's kind, which defines the format itself.

What a client has sent is checked here by the rules of `sio`, whoever decoded it.
"""
import cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t

from socketio_fast._core.protocol cimport outgoing, sio
from socketio_fast._core.protocol.attachments cimport Attachments, extract
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.protocol.sio cimport (
    SIO_BINARY_ACK,
    SIO_BINARY_EVENT,
    SIO_EVENT,
    Packet,
)

from socketio_fast.exceptions import LimitError, PacketError, ProtocolError

cdef object MAX_ID = 2**53 - 1  # ids are JavaScript numbers for the clients


cdef class Encoding:
    """Decodes and encodes packets. Abstract."""

    cdef Packet decode_text(
        self, const char *p, Py_ssize_t n, Py_ssize_t max_attachments
    ):
        """Decode a text message; `missing` attachments follow the packet."""
        raise NotImplementedError

    cdef Packet decode_binary(self, bytes data, Py_ssize_t max_attachments):
        """Decode a binary message that is not an attachment."""
        raise NotImplementedError

    cdef int attach(self, Packet packet, bytes data) except -1:
        """Give a packet its next attachment."""
        raise NotImplementedError

    cdef Outgoing encode(self, int type, str namespace, object data, int64_t id):
        """Encode a packet; `id` is -1 for none."""
        raise NotImplementedError

    cdef Outgoing numbered(self, Outgoing m, str namespace, list data, int64_t id):
        """The event `m`, which has this data, with a request for an acknowledgement."""
        raise NotImplementedError


@cython.final
cdef class JsonEncoding(Encoding):
    """The packets of the protocol, with another JSON.

    Args:
        dumps: Makes JSON, str or bytes, of a value.
        loads: Makes a value of JSON, a str; any exception means that it is malformed.
    """
    cdef object _dumps, _loads

    def __cinit__(self, dumps, loads):
        self._dumps = dumps
        self._loads = loads

    cdef Packet decode_text(
        self, const char *p, Py_ssize_t n, Py_ssize_t max_attachments
    ):
        return sio.decode_with(p, n, max_attachments, self._loads)

    cdef Packet decode_binary(self, bytes data, Py_ssize_t max_attachments):
        raise ProtocolError("binary message that no packet has announced")

    cdef int attach(self, Packet packet, bytes data) except -1:
        return packet.attach(data)

    cdef Outgoing encode(self, int type, str namespace, object data, int64_t id):
        cdef Attachments attachments
        cdef bytes body
        if data is None:
            return outgoing.packet(type, namespace, None, id)
        attachments = Attachments.__new__(Attachments)
        body = _utf8(self._dumps(extract(data, attachments, 0, False)))
        return outgoing.assembled(type, namespace, id, body, attachments)

    cdef Outgoing numbered(self, Outgoing m, str namespace, list data, int64_t id):
        return outgoing.numbered(m, namespace, id)


@cython.final
cdef class PacketEncoding(Encoding):
    """Packets of a class with python-socketio's interface.

    `packet_class(type, data=…, namespace=…, id=…).encode()` gives a message, str or
    bytes, or a list of them of which all but the first are bytes.
    `packet_class(encoded_packet=message)` has the same in `packet_type`, `data`,
    `namespace` and `id`; if it is a BINARY_EVENT or BINARY_ACK, `attachment_count`
    binary messages follow, which go to `add_attachment()` until that returns True.
    """
    cdef object _class

    def __cinit__(self, packet_class):
        self._class = packet_class

    cdef Packet decode_text(
        self, const char *p, Py_ssize_t n, Py_ssize_t max_attachments
    ):
        cdef str text
        try:
            text = PyUnicode_DecodeUTF8(p, n, NULL)
        except UnicodeDecodeError:
            raise PacketError("text is not UTF-8", code=1007) from None
        return self._decode(text, max_attachments)

    cdef Packet decode_binary(self, bytes data, Py_ssize_t max_attachments):
        return self._decode(data, max_attachments)

    cdef Packet _decode(self, object message, Py_ssize_t max_attachments):
        cdef Packet packet = Packet.__new__(Packet)
        try:
            made = self._class(encoded_packet=message)
            type, id, namespace = made.packet_type, made.id, made.namespace
            count = made.attachment_count if _is_binary(type) else 0
        except Exception as exc:
            raise self._malformed(exc) from exc
        if not _is_integer(type, SIO_BINARY_ACK):
            raise PacketError(f"unknown Socket.IO packet type: {_shown(type)}")
        packet.type = type
        if namespace is None:
            packet.namespace = "/"
        elif isinstance(namespace, str) and (<str> namespace).startswith("/"):
            packet.namespace = namespace
            sio.check_namespace(packet.namespace)
        else:
            raise PacketError(f"illegal namespace: {_shown(namespace)}")
        if id is None:
            packet.id = -1
        elif _is_integer(id, MAX_ID):
            packet.id = id
        else:
            raise PacketError(f"illegal ack id: {_shown(id)}")
        if not _is_binary(type):
            self._complete(packet, made)
            return packet
        if not _is_integer(count, MAX_ID) or count == 0:
            raise PacketError("binary packet without attachments")
        if count > max_attachments:
            raise LimitError(
                f"attachment count {count} exceeds max_attachments={max_attachments}"
            )
        packet.type -= SIO_BINARY_EVENT - SIO_EVENT
        packet.missing = count
        packet.data = made  # until it is complete
        return packet

    cdef int attach(self, Packet packet, bytes data) except -1:
        cdef object made = packet.data
        try:
            complete = made.add_attachment(data)
        except Exception as exc:
            raise self._malformed(exc) from exc
        packet.missing -= 1
        if complete:
            packet.missing = 0
            self._complete(packet, made)
        elif packet.missing == 0:
            raise PacketError("attachments do not complete their packet")
        return 0

    cdef int _complete(self, Packet packet, object made) except -1:
        """Take the data of a complete packet. A list is copied: arguments are added to
        it."""
        cdef object data
        try:
            data = made.data
        except Exception as exc:
            raise self._malformed(exc) from exc
        if isinstance(data, (list, tuple)):
            data = list(data)
        packet.data = data
        sio.check_data(packet.type, data, data is not None)
        return 0

    cdef object _malformed(self, object error):
        if isinstance(error, ProtocolError):
            return error
        return PacketError(f"{self._class.__name__} refuses a packet: {error!r:.160}")

    cdef Outgoing encode(self, int type, str namespace, object data, int64_t id):
        cdef Outgoing m
        encoded = self._class(
            type, data=data, namespace=namespace, id=None if id < 0 else id
        ).encode()
        if not isinstance(encoded, (list, tuple)):
            encoded = [encoded]
        if not encoded:
            raise ValueError(f"{self._class.__name__}.encode() returned no message")
        m = outgoing.message(encoded[0])
        if m.head is not None:
            m._body = _utf8(encoded[0])
        for attachment in encoded[1:]:
            if not isinstance(attachment, (bytes, bytearray, memoryview)):
                raise TypeError(
                    f"{self._class.__name__}.encode() returned "
                    f"{attachment.__class__.__name__} behind the first message, "
                    "bytes expected"
                )
            if m.attachments is None:
                m.attachments = []
            m.attachments.append(bytes(attachment))
        return m

    cdef Outgoing numbered(self, Outgoing m, str namespace, list data, int64_t id):
        cdef Outgoing own = self.encode(SIO_EVENT, namespace, data, id)
        own.uncompressed = m.uncompressed
        own.volatile = m.volatile
        return own


cdef str _shown(object value):
    """The beginning of the repr() of a value that a client has sent. The repr() may
    fail, as the value may be nested too deep."""
    try:
        return f"{value!r:.80}"
    except Exception:
        return f"a {type(value).__name__}"


def claims_fit(bytes data not None):
    """Whether MessagePack data is long enough for the items that its arrays and maps
    announce.

    A decoder allocates an array of the announced size before it reads the items. A
    thousand nested arrays, of five bytes each, would each allocate as many items as the
    data has bytes.
    """
    cdef const unsigned char *p = <const unsigned char *> PyBytes_AS_STRING(data)
    cdef int64_t n = PyBytes_GET_SIZE(data), i = 0, awaited = 1, size
    cdef int kind, width
    while awaited > 0:
        # Each item takes at least one byte.
        if awaited > n - i:
            return False
        kind = p[i]
        i += 1
        awaited -= 1
        if kind <= 0x7F or kind >= 0xE0:
            continue                            # a small integer
        if kind <= 0x8F:
            awaited += 2 * (kind & 0x0F)        # a map
        elif kind <= 0x9F:
            awaited += kind & 0x0F              # an array
        elif kind <= 0xBF:
            i += kind & 0x1F                    # a string
        elif kind <= 0xC3:
            continue                            # nil, false, true
        elif 0xCA <= kind <= 0xD3:
            # Floats of 4 and 8 bytes, integers of 1, 2, 4 and 8.
            i += 4 << (kind - 0xCA) if kind <= 0xCB else 1 << (kind & 3)
        elif 0xD4 <= kind <= 0xD8:
            i += 1 + (1 << (kind - 0xD4))       # extensions of 1 to 16 bytes
        else:
            # A length of 1, 2 or 4 bytes: binary, extension, string, array, map.
            if kind <= 0xC9:
                width = 1 << (kind - 0xC4) % 3
            elif kind <= 0xDB:
                width = 1 << (kind - 0xD9)
            else:
                width = 4 if kind & 1 else 2
            if width > n - i:
                return False
            size = 0
            while width > 0:
                size = size << 8 | p[i]
                i += 1
                width -= 1
            if kind >= 0xDE:
                awaited += 2 * size
            elif kind >= 0xDC:
                awaited += size
            else:
                i += size + (1 if 0xC7 <= kind <= 0xC9 else 0)
    return i <= n


cdef bytes _utf8(object text):
    """The bytes of a text message."""
    cdef bytes data
    if isinstance(text, str):
        data = (<str> text).encode()
    elif isinstance(text, bytes):
        data = bytes(text)
    else:
        raise TypeError(f"text is str or bytes, not {type(text).__name__}")
    if b"\x1e" in data:
        raise ValueError("U+001E in a text message separates packets in polling")
    return data


cdef bint _is_integer(object value, object limit):
    """Whether it is an int from 0 to `limit`; bool is not."""
    return isinstance(value, int) and type(value) is not bool and 0 <= value <= limit


cdef bint _is_binary(object packet_type):
    return packet_type == SIO_BINARY_EVENT or packet_type == SIO_BINARY_ACK
