# What a client has been sent and has not read.
from socketio_fast._core.engine.contracts cimport EngineBase, SessionBase, Transport
from socketio_fast._core.protocol.outgoing cimport Outgoing


cdef class SendQueue:
    cdef:
        object first            # a deque: what must not be lost, before all others
        object rest             # a deque
        Py_ssize_t size         # bytes of both

    cdef int put(self, Outgoing m) except -1
    cdef Outgoing take(self)
    cdef list shed(self, Py_ssize_t size)


cdef class Outflow:
    cdef:
        dict waiters            # Future -> how many bytes may wait when it is done
        Py_ssize_t reserved     # bytes that the handler keeps for the client
        bint slow               # it has been above the mark, and not below half since
        bint listed             # check() follows at the end of this pass
        bint progressed         # some bytes have left since the last ping
        SendQueue send_queue    # what the transport has not been given; None: nothing
        list early              # messages to follow the open packet; None: none

    cdef bint is_idle(self) except -1
    cdef int keep(self, Outgoing m) except -1
    cdef bint watch(self, SessionBase session) except -1
    cdef int write(self, SessionBase session) except -1
    cdef int flushed(self, SessionBase session) except -1
    cdef object wait(self, SessionBase session, Py_ssize_t limit)
    cdef int end_waits(self) except -1
    cdef int enqueue(self, SessionBase session, Outgoing m) except -1
    cdef int send_queued(self, Transport transport) except -1
    cdef int _send_while_below(self, SessionBase session) except -1
    cdef int _shed(self, EngineBase engine, Py_ssize_t size) except -1


cdef int count_dropped(EngineBase engine, Outgoing m) except -1
