# Writing to a connection: bytes are gathered, and sent once in a pass of the loop.
from libc.stdint cimport int64_t


cdef class Flusher:
    # Calls flush() of writers; the engine implements it.
    cdef int mark_writer(self, Writer writer) except -1
    cdef int mark_apart(self, Writer writer) except -1
    cdef int begin_pass(self) except -1
    cdef int end_pass(self) except -1


cdef class SocketTransportBase:
    # A transport that reads its socket itself, without the event loop's transports.
    cdef int fd                     # -1 when it is closed

    cdef bint flushed_by(self, Flusher flusher) except -1


cpdef Py_ssize_t unread_bytes(object transport) except -1
cdef int descriptor_of(object transport) except -2


cdef class Opened:
    # A connection that counts for its address; see rate_limits.
    cdef readonly object transport


cdef class Writer:
    cdef:
        Flusher flusher
        readonly object transport   # the event loop's; None when the connection is lost
        int fd                      # of the socket; -1: only the transport may write
        # Bytes objects to send; None: there are none. What follows a None in this list
        # leaves a moment later.
        list unwritten
        readonly Py_ssize_t size    # bytes in `unwritten`
        Py_ssize_t handed           # bytes that the transport was given last
        int64_t written             # bytes; begins below 0 if some are not to count
        bint parted                 # `unwritten` has a None
        bint marked                 # flush() follows
        bint loop_buffered          # the transport may hold something
        readonly bint paused        # the transport holds more than the kernel takes

    cdef int write(self, bytes data) except -1
    cdef int part(self) except -1
    cdef int _flush_part(self) except -1
    cdef int flush_all(self) except -1
    cdef int flush(self) except -1
    cdef Py_ssize_t sendable(self)
    cdef const char *only_piece(self)
    cdef int join(self, char *out) except -1
    cdef int all_left(self) except -1
    cdef int some_left(self, Py_ssize_t sent) except -1
    cdef Py_ssize_t buffered(self) except -1
    cdef Py_ssize_t unread(self) except -1
    cdef bint writable(self) except -1
    cdef int close(self) except -1
    cdef int finish(self) except -1
    cdef int hand_over(self) except -1
    cdef int write_eof(self) except -1
    cdef int resume(self) except -1
    cdef int lost(self) except -1
