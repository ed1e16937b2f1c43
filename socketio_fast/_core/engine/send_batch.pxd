# What many connections have to write, by one system call.
from socketio_fast._core.protocol.wire cimport sf_uring


cdef class SendBatch:
    cdef sf_uring ring
    cdef char *arena            # several pieces of a connection are joined here
    cdef bint forbidden         # by the environment, the system or the kernel
    cdef unsigned long thread   # that may use the ring
    cdef unsigned forks         # of this process, when the ring was opened

    cdef list send(self, list writers)
    cdef bint _ready(self)
    cdef int _submit(
        self, list writers, Py_ssize_t begin, Py_ssize_t end, list rest
    ) except -1
