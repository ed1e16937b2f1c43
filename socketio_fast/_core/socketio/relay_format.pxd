# What workers send each other, as bytes.
from libc.stdint cimport int64_t

from socketio_fast._core.protocol.outgoing cimport Outgoing

cdef enum:
    EVENT
    STATE
    BEGIN
    END
    CREATE
    DELETE
    FIRST_OTHER = 16    # what the core does not read

cdef enum:
    VOLATILE = 1
    UNCOMPRESSED = 2
    TO_ROOMS = 4        # not to all clients
    EXCEPTS = 8         # what is left out are rooms, and not sids alone
    TEXT = 16           # there is a text


cdef class MessageReader:
    cdef:
        bytes data
        const char *p
        Py_ssize_t left

    cdef const char *take(self, Py_ssize_t n) except NULL
    cdef int byte(self) except -1
    cdef int64_t number(self) except -1
    cdef double time(self) except? -1
    cdef bytes string(self)
    cdef str text(self)
    cdef object room(self)
    cdef list rooms(self, int64_t count)


cdef bytes encoded_number(int64_t value)
cdef bytes encoded_now()
cdef bytes encoded_string(bytes data)
cdef bytes encoded_text(str text)
cdef bytes encoded_room(object room)
cdef bytes room_message(int what, str namespace, object room)
cdef object several(object rooms)
cdef bytes event_frame(
    int kind, Outgoing m, str namespace, object to, object skip, bint excepts
)
