# What a slow client has not been sent yet.
from socketio_fast._core.protocol.outgoing cimport Outgoing


cdef class SendQueue:
    cdef:
        object first            # a deque: what must not be lost, before all others
        object rest             # a deque
        Py_ssize_t size         # bytes of both

    cdef int put(self, Outgoing m) except -1
    cdef Outgoing take(self)
    cdef list shed(self, Py_ssize_t size)
