"""What workers send each other about events and rooms, as bytes.

A message begins with a byte that says what it is. Numbers have 32 bits, little-endian.
A *string* is its size and its UTF-8; a *room* is a byte for its type (`s`, `i`, `f`)
and its text as a string.

    EVENT   flags, the numbers of rooms, of rooms left out and of attachments, the size
            of the head of the text; namespace (a string), rooms, rooms left out; text
            (a string), attachments (strings)
    STATE   the encoding (a string), the number of namespaces; of each its name, a byte
            (1: it wants all events) and the number of its rooms, these
    BEGIN, END      a namespace (a string); to BEGIN as in STATE the byte, and when
    CREATE, DELETE  a namespace (a string), a room; to CREATE when
"""
from time import monotonic

import cython

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from socketio_fast._core.protocol.outgoing cimport Outgoing


@cython.final
cdef class MessageReader:
    """Reads a message. Raises ValueError where it ends too early."""

    def __cinit__(self, bytes data not None):
        self.data = data
        self.p = PyBytes_AS_STRING(data)
        self.left = PyBytes_GET_SIZE(data)

    cdef const char *take(self, Py_ssize_t n) except NULL:
        cdef const char *found = self.p
        if n > self.left:
            raise ValueError("a message of another worker is cut off")
        self.p += n
        self.left -= n
        return found

    cdef int byte(self) except -1:
        return <unsigned char> self.take(1)[0]

    cdef int64_t number(self) except -1:
        cdef const unsigned char *p = <const unsigned char *> self.take(4)
        return p[0] | p[1] << 8 | p[2] << 16 | <int64_t> p[3] << 24

    cdef double time(self) except? -1:
        cdef double value
        memcpy(&value, self.take(sizeof(double)), sizeof(double))
        return value

    cdef bytes string(self):
        cdef Py_ssize_t n = self.number()
        return self.take(n)[:n]

    cdef str text(self):
        return self.string().decode("utf-8", "surrogatepass")

    cdef object room(self):
        cdef int kind = self.byte()
        cdef str text = self.text()
        if kind == c"s":
            return text
        if kind == c"i":
            return int(text)
        if kind == c"f":
            return float(text)
        raise ValueError("a room of an unknown type")

    cdef list rooms(self, int64_t count):
        cdef list found = []
        while count > 0:
            found.append(self.room())
            count -= 1
        return found


cdef bytes encoded_number(int64_t value):
    cdef unsigned char data[4]
    if value < 0 or value > <int64_t> 0xFFFFFFFF:
        raise ValueError("more than other workers can be sent at once")
    data[0] = value & 0xFF
    data[1] = value >> 8 & 0xFF
    data[2] = value >> 16 & 0xFF
    data[3] = value >> 24 & 0xFF
    return (<char *> data)[:4]


cdef bytes encoded_now():
    cdef double now = monotonic()
    return (<char *> &now)[:sizeof(double)]


cdef bytes encoded_string(bytes data):
    return encoded_number(PyBytes_GET_SIZE(data)) + data


cdef bytes encoded_text(str text):
    return encoded_string(text.encode("utf-8", "surrogatepass"))


cdef bytes encoded_room(object room):
    if isinstance(room, str):
        return b"s" + encoded_text(room)
    if isinstance(room, int):
        return b"i" + encoded_text(f"{int(room):d}")
    if isinstance(room, float):
        return b"f" + encoded_text(float.__repr__(room))
    raise TypeError(
        f"{room!r:.80} is no room for several workers: each has to know it by a str, "
        "an int or a float. Use str() of it"
    )


cdef bytes room_message(int what, str namespace, object room):
    """CREATE or DELETE."""
    cdef bytes since = encoded_now() if what == CREATE else b""
    return bytes([what]) + encoded_text(namespace) + encoded_room(room) + since


cdef object several(object rooms):
    """The rooms that an argument names; None: all clients."""
    if rooms is None or isinstance(rooms, (list, tuple, set, frozenset)):
        return rooms
    return (rooms,)


cdef bytes event_frame(
    int kind, Outgoing m, str namespace, object to, object skip, bint excepts
):
    """The frame of an encoded event."""
    cdef list rooms = [] if to is None else [
        encoded_room(room) for room in to if room is not None
    ]
    cdef list skipped = [
        encoded_room(room) for room in several(skip) or () if room is not None
    ]
    cdef list attachments = m.attachments or []
    cdef Py_ssize_t head = 0
    cdef int flags = (
        VOLATILE * m.volatile | UNCOMPRESSED * m.uncompressed
        | TO_ROOMS * (to is not None) | EXCEPTS * excepts | TEXT * (m.head is not None)
    )
    cdef list parts = [b"", encoded_number(len(rooms)), encoded_number(len(skipped))]
    cdef bytes frame, part
    cdef Py_ssize_t size = 0
    if m.head is not None:
        head = PyBytes_GET_SIZE(m.head)
    parts += [encoded_number(len(attachments)), encoded_number(head)]
    parts.append(encoded_text(namespace))
    parts += rooms
    parts += skipped
    if m.head is not None:
        parts += [encoded_number(head + m.json_size()), m.head, m.body()]
    for part in attachments:
        parts += [encoded_number(PyBytes_GET_SIZE(part)), part]
    for part in parts:
        size += PyBytes_GET_SIZE(part)
    parts[0] = encoded_number(size + 2) + bytes([kind, EVENT, flags])
    frame = b"".join(parts)
    return frame
