# Socket.IO packets, protocol revision 5.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from socketio_fast._core.protocol.event_values cimport EventValues

cdef enum SioType:
    SIO_CONNECT = 0
    SIO_DISCONNECT = 1
    SIO_EVENT = 2
    SIO_ACK = 3
    SIO_CONNECT_ERROR = 4
    SIO_BINARY_EVENT = 5
    SIO_BINARY_ACK = 6


cdef class Packet:
    cdef:
        readonly int type           # EVENT and ACK also for BINARY_EVENT and BINARY_ACK
        readonly str namespace
        readonly int64_t id         # -1: there is none
        readonly object data        # the decoded JSON; None: there is none
        readonly int64_t missing    # attachments that have not come yet
        EventValues values          # of an EVENT whose `data` is None; else None
        list attachments            # those that have come, until all have
        Py_ssize_t size             # bytes received, attachments included

    cdef int attach(self, bytes data) except -1


cdef Packet decode(
    const char *p, Py_ssize_t n, Py_ssize_t max_attachments, dict undecoded
)
cdef Packet decode_with(
    const char *p, Py_ssize_t n, Py_ssize_t max_attachments, object loads
)
cdef int decode_strings(
    const char *p, Py_ssize_t n, PyObject **strings, Py_ssize_t *count, int64_t *id
) except -1
cdef EventValues decode_values(
    const char *p, Py_ssize_t n, dict undecoded, int64_t *id
)
cdef bint is_reserved(str name) except -1
cdef int check_data(int type, object data, bint present) except -1
cdef int check_namespace(str name) except -1
cdef bytes head(int type, str namespace, int64_t id, Py_ssize_t attachments)
