# Socket.IO protocol, revision 5: packets as text, attachments apart.
from libc.stdint cimport int64_t

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
        readonly int type           # never BINARY_*: those are EVENT and ACK here
        readonly str namespace
        readonly int64_t id         # -1 where there is none
        readonly object data        # the decoded JSON, None where there is none
        readonly int64_t missing    # attachments still to come
        list attachments
        Py_ssize_t size             # bytes received, with attachments

    cdef int attach(self, bytes data) except -1


cdef class Attachments:
    # Those that dumps() has found.
    cdef:
        list found                  # None: there are none
        Py_ssize_t count


cdef Packet decode(const char *p, Py_ssize_t n, Py_ssize_t max_attachments)
cdef Packet decode_with(
    const char *p, Py_ssize_t n, Py_ssize_t max_attachments, object loads
)
cdef int check_data(int type, object data, bint present) except -1
cdef object extract(object data, Attachments attachments, int depth, bint inside)
cdef int check_namespace(str name) except -1
cdef bytes dumps(object data, Attachments attachments)
cdef bytes head(int type, str namespace, int64_t id, Py_ssize_t attachments)
