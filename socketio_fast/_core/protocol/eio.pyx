"""Engine.IO packets, revision 4.

    packet  = type data                     text; `type` is one digit, 0 to 6
    payload = packet *( %x1e packet )       HTTP long-polling
    packet  =/ "b" base64                   a binary message, HTTP long-polling only

A binary message over WebSocket is a binary frame of its bytes alone.
"""
from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.string cimport memchr, memcpy

from socketio_fast._core.protocol.wire cimport (
    SF_BINARY,
    SF_TEXT,
    sf_base64_decode,
    sf_base64_encode,
    sf_base64_size,
    sf_base64_tidy,
    sf_frame_head,
    sf_frame_head_size,
)

from socketio_fast.exceptions import PacketError

cdef enum:
    SEPARATOR = 0x1E  # ASCII record separator


cdef int fail_packet(const char *p, Py_ssize_t n) except -1:
    """Raise PacketError for text that is no packet."""
    if n == 0:
        raise PacketError("empty Engine.IO packet")
    raise PacketError(f"unknown Engine.IO packet type {p[:1]!r}")


cdef bytes decode_base64(const char *p, Py_ssize_t n):
    """Decode the base64 of a `b` packet. The Java client breaks it into lines, as
    RFC 2045 has it; line breaks are ignored."""
    cdef bytes out = PyBytes_FromStringAndSize(NULL, n // 4 * 3 + 2), tidy
    cdef Py_ssize_t size = sf_base64_decode(PyBytes_AS_STRING(out), p, n)
    if size < 0:
        tidy = PyBytes_FromStringAndSize(NULL, n)
        n = sf_base64_tidy(PyBytes_AS_STRING(tidy), p, n)
        size = sf_base64_decode(PyBytes_AS_STRING(out), PyBytes_AS_STRING(tidy), n)
    if size < 0:
        raise PacketError("binary Engine.IO packet is not base64 (RFC 4648)")
    return out[:size]


cdef const char *packet_end(const char *p, const char *end) noexcept:
    """Where the packet at `p` ends, in a payload that ends at `end`."""
    cdef const char *stop = <const char *> memchr(p, SEPARATOR, end - p)
    return end if stop is NULL else stop


cdef Py_ssize_t count_packets(const char *p, const char *end) noexcept:
    """How many packets a payload has."""
    cdef Py_ssize_t count = 1
    cdef const char *stop = packet_end(p, end)
    while stop != end:
        count += 1
        stop = packet_end(stop + 1, end)
    return count


cdef tuple unpacked(const char *p, const char *stop):
    """The packet of a payload from `p` to `stop`, as (type, data)."""
    cdef PacketView view
    if p < stop and p[0] == c"b":
        return EIO_BINARY, decode_base64(p + 1, stop - p - 1)
    scan_packet(p, stop - p, &view)
    return view.type, view.data[:view.size]


def decode_packet(bytes packet not None):
    """Decode one packet of a long-polling payload as (type, data).

    `data` is bytes; the type of a binary message is EIO_BINARY (7). Raises PacketError
    if it is malformed.
    """
    cdef const char *p = PyBytes_AS_STRING(packet)
    return unpacked(p, p + PyBytes_GET_SIZE(packet))


def encode_binary(bytes data not None):
    """Encode a binary message as a packet of a long-polling payload."""
    return base64_packet(data)


cdef bytes join_payload(list packets):
    """Join packets to a payload."""
    cdef Py_ssize_t size = len(packets) - 1
    cdef bytes packet
    for packet in packets:
        size += PyBytes_GET_SIZE(packet)
    cdef bytes payload = PyBytes_FromStringAndSize(NULL, max(size, 0))
    cdef char *out = PyBytes_AS_STRING(payload)
    cdef bint first = True
    for packet in packets:
        if not first:
            out[0] = SEPARATOR
            out += 1
        first = False
        memcpy(out, PyBytes_AS_STRING(packet), PyBytes_GET_SIZE(packet))
        out += PyBytes_GET_SIZE(packet)
    return payload


cdef bytes base64_packet(bytes data):
    """Encode a binary message as a `b` packet."""
    cdef Py_ssize_t n = PyBytes_GET_SIZE(data)
    cdef bytes packet = PyBytes_FromStringAndSize(NULL, 1 + sf_base64_size(n))
    cdef char *out = PyBytes_AS_STRING(packet)
    out[0] = c"b"
    sf_base64_encode(out + 1, PyBytes_AS_STRING(data), n)
    return packet


cdef bytes text_frame(bytes head, bytes body):
    """Encode a packet, given in two pieces, as one WebSocket text frame."""
    cdef char *out
    cdef bytes frame = begun_text_frame(head, PyBytes_GET_SIZE(body), 0, &out)
    memcpy(out, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
    return frame


cdef bytes begun_text_frame(bytes head, Py_ssize_t size, Py_ssize_t more, char **body):
    """A WebSocket text frame of a packet whose last `size` bytes go to `body`, and room
    for `more` bytes of other frames behind it."""
    cdef Py_ssize_t h = PyBytes_GET_SIZE(head)
    cdef bytes frame = PyBytes_FromStringAndSize(
        NULL, sf_frame_head_size(h + size) + h + size + more
    )
    cdef char *out = sf_frame_head(PyBytes_AS_STRING(frame), SF_TEXT, h + size)
    memcpy(out, PyBytes_AS_STRING(head), h)
    body[0] = out + h
    return frame


cdef Py_ssize_t binary_frame_size(bytes data) noexcept:
    return sf_frame_head_size(PyBytes_GET_SIZE(data)) + PyBytes_GET_SIZE(data)


cdef char *put_binary_frame(char *out, bytes data) noexcept:
    """Write data as one WebSocket binary frame; returns where that ends."""
    cdef Py_ssize_t n = PyBytes_GET_SIZE(data)
    out = sf_frame_head(out, SF_BINARY, n)
    memcpy(out, PyBytes_AS_STRING(data), n)
    return out + n


cdef bytes binary_frame(bytes data):
    """Encode data as one WebSocket binary frame."""
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, binary_frame_size(data))
    put_binary_frame(PyBytes_AS_STRING(frame), data)
    return frame
