# What many connections have to write, by one system call.
from socketio_fast._core.engine.writer cimport Writer
from socketio_fast._core.protocol.wire cimport sf_uring

cdef enum:
    # So many sends are submitted at a time.
    ENTRIES = 512


cdef class SendBatch:
    cdef object __weakref__
    cdef sf_uring ring
    cdef char *arena            # several pieces of a connection are joined here
    cdef bint forbidden         # by the environment, the system or the kernel
    cdef unsigned long thread   # that may use the ring
    # By the place of a send in the queue.
    cdef Py_ssize_t queue[ENTRIES]  # whose it is; -1: nothing is left to do
    cdef ptrdiff_t sent[ENTRIES]    # its result

    cdef list send(self, list writers)
    cdef list _send(self, list writers)
    cdef bint _ready(self)
    cdef int _submit(self, list writers, list rest) except -1
    cdef int _give_up(self, Writer writer) except -1
