"""Engine.IO packets, revision 3, where they differ from revision 4.

    payload =  *( length ":" packet )           text; UTF-16 code units are counted
    packet  =/ "b4" base64                      a binary message in text
    payload =/ *( %x00 digits %xFF packet )     binary; bytes are counted, and a digit
               *( %x01 digits %xFF %x04 data )  is a byte of that value

A client gets a binary payload only if it can read one and there is a binary message to
send. Over WebSocket, a binary message begins with a byte of its type: 4.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from socketio_fast._core.protocol.eio cimport base64_packet, decode_base64
from socketio_fast._core.protocol.wire cimport sf_base64_size

from socketio_fast.exceptions import PacketError

cdef enum:
    MESSAGE = 4
    # Digits of a length: with more of them it is larger than any payload.
    MAX_DIGITS = 15


cdef inline bint _continues(char c) noexcept:
    """Whether this byte of UTF-8 continues a character."""
    return <unsigned char> c & 0xC0 == 0x80


cdef inline int _units(char c) noexcept:
    """The UTF-16 code units of the character that begins with this byte of UTF-8."""
    return 2 if <unsigned char> c >= 0xF0 else 1


cdef Py_ssize_t code_units(bytes text):
    """The length of a text in UTF-8 as JavaScript counts it."""
    cdef const char *p = PyBytes_AS_STRING(text)
    cdef Py_ssize_t i, count = 0
    for i in range(PyBytes_GET_SIZE(text)):
        if not _continues(p[i]):
            count += _units(p[i])
    return count


cdef const char *text_end(
    const char *p, const char *end, const char **packet
) except NULL:
    """Find the packet of a text payload whose length begins at `p`.

    Returns where the packet ends; `packet[0]` is where it begins. Raises PacketError if
    it is malformed.
    """
    cdef Py_ssize_t length = 0, count = 0
    cdef const char *start = p
    while p < end and c"0" <= p[0] <= c"9" and p - start < MAX_DIGITS:
        length = length * 10 + p[0] - c"0"
        p += 1
    if p == start or p == end or p[0] != c":":
        raise PacketError(
            f"payload of revision 3 without a length: {start[:min(end - start, 32)]!r}"
        )
    p += 1
    packet[0] = p
    while count < length and p < end:
        count += _units(p[0])
        p += 1
        while p < end and _continues(p[0]):
            p += 1
    if count != length:
        raise PacketError(f"length {length} does not fit the payload of revision 3")
    return p


cdef const char *binary_end(
    const char *p, const char *end, const char **packet, bint *binary
) except NULL:
    """Find the packet of a binary payload that begins at `p`; see text_end().

    `binary[0]` is whether it is a binary message.
    """
    cdef Py_ssize_t length = 0
    cdef const char *start
    if p[0] != 0 and p[0] != 1:
        raise PacketError("packet of a binary payload is neither text nor binary")
    binary[0] = p[0] == 1
    p += 1
    start = p
    while p < end and 0 <= p[0] <= 9 and p - start < MAX_DIGITS:
        length = length * 10 + p[0]
        p += 1
    if p == start or p == end or <unsigned char> p[0] != 0xFF:
        raise PacketError("packet of a binary payload without a length")
    p += 1
    if end - p < length:
        raise PacketError(f"length {length} does not fit the payload of revision 3")
    packet[0] = p
    return p + length


cdef bytes decode_base64_message(const char *p, Py_ssize_t n):
    """Decode the binary message of a text packet that begins with "b"."""
    if n < 2 or p[1] != c"4":
        raise PacketError("binary packet of revision 3 that is not a message")
    return decode_base64(p + 2, n - 2)


cdef bytes decode_binary_message(bytes data):
    """Decode the binary message of a packet whose first byte is its type."""
    if PyBytes_GET_SIZE(data) == 0 or PyBytes_AS_STRING(data)[0] != MESSAGE:
        raise PacketError("binary packet of revision 3 that is not a message")
    return data[1:]


cdef bytes base64_message(bytes data):
    """Encode a binary message as a text packet."""
    return b"b4" + base64_packet(data)[1:]


cdef bytes text_payload(bytes head, bytes body, list attachments):
    """Encode a text payload: a text packet in two pieces, or None, and binary messages.
    """
    cdef list parts = []
    cdef bytes data
    if head is not None:
        parts += (b"%d:" % (code_units(head) + code_units(body)), head, body)
    for data in attachments or ():
        parts.append(b"%d:" % (2 + sf_base64_size(PyBytes_GET_SIZE(data))))
        parts.append(base64_message(data))
    return b"".join(parts)


cdef bytes _digits(Py_ssize_t n):
    return bytes([ord(digit) - 48 for digit in str(n)])


cdef bytes binary_payload(bytes head, bytes body, list attachments):
    """Encode a binary payload of the same; see text_payload()."""
    cdef list parts = []
    cdef bytes data
    cdef Py_ssize_t size
    if head is not None:
        size = PyBytes_GET_SIZE(head) + PyBytes_GET_SIZE(body)
        parts += (b"\x00", _digits(size), b"\xff", head, body)
    for data in attachments or ():
        size = PyBytes_GET_SIZE(data) + 1
        parts += (b"\x01", _digits(size), b"\xff\x04", data)
    return b"".join(parts)
