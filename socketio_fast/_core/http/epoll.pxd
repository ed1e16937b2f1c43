# Many sockets that one event loop watches as one descriptor.
from libc.stdint cimport uint32_t

from socketio_fast._core.engine.writer cimport Flusher, SocketTransportBase
from socketio_fast._core.protocol.wire cimport sf_event

cdef enum:
    # Bytes that are read of a socket in a pass; libuv's number.
    BUFFER_SIZE = 262144
    # Events that are taken at once: libuv takes as many.
    MAX_EVENTS = 1024


cdef class Watched(SocketTransportBase):
    # A socket that is watched for events.
    cdef:
        Sockets group
        uint32_t generation         # tells it from others that had the same descriptor
        unsigned char watched       # SF_READABLE, SF_WRITABLE: what it is watched for
        unsigned char edge          # it is told when that becomes so

    cdef int watch(self, int wanted) except -1
    cdef int rearm(self) except -1
    cdef int handle(self, int what) except -1
    cdef int lost(self, object error) except -1
    cdef int track(self) except -1


cdef class Sockets:
    cdef:
        object __weakref__
        readonly object loop
        int epoll                   # -1 when it is closed
        sf_event events[MAX_EVENTS]     # that were taken,
        int taken                   # how many,
        int handled                 # and how many of them were handled
        list by_descriptor          # Watched or None
        readonly Py_ssize_t open    # how many there are
        uint32_t generation
        char *buffer
        bint buffer_in_use
        Flusher flusher             # None: nobody is told of passes
        bint tells                  # of passes
        set handshakes              # of TLS, that are not done
        list ended                  # Watched and errors, by turns; see _end()
        int spare
        tuple last_name             # the last own address of a connection

    cdef int enter(self, Watched socket) except -1
    cdef int leave(self, Watched socket) except -1
    cdef int end(self, Watched socket, object error) except -1
    cdef int _take(self) except -1
    cdef int _handle(self, const sf_event *event) except -1
    cdef int look_at_all(self) except -1
    cpdef int close_if_unused(self) except -1
