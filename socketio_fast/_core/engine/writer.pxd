# What is written to a connection: gathered, and sent once in a pass of the loop.


cdef class Flusher:
    # Who flushes writers at the end of the loop's pass; implemented by session.
    cdef int mark_writer(self, Writer writer) except -1
    cdef int mark_apart(self, Writer writer) except -1


cpdef Py_ssize_t unread_bytes(object transport) except -1


cdef class Opened:
    # A connection, to be counted.
    cdef readonly object transport


cdef class Writer:
    cdef:
        Flusher flusher
        readonly object transport   # the event loop's; None when the connection is lost
        int fd                      # to send to directly; -1: not (TLS)
        list pending                # bytes to write; None: nothing
        readonly Py_ssize_t size    # bytes of them
        Py_ssize_t handed           # bytes that the loop's transport was given last
        bint parted                 # None in `pending`: what follows leaves later
        bint marked                 # flush() is coming
        bint loop_buffered          # the loop's transport may hold something
        readonly bint paused        # it holds more than it can send

    cdef int write(self, bytes data) except -1
    cdef int part(self) except -1
    cdef int _flush_part(self) except -1
    cdef int flush_all(self) except -1
    cdef int flush(self) except -1
    cdef Py_ssize_t buffered(self) except -1
    cdef Py_ssize_t unread(self) except -1
    cdef bint writable(self) except -1
    cdef int close(self) except -1
    cdef int finish(self) except -1
    cdef int hand_over(self) except -1
    cdef int write_eof(self) except -1
    cdef int resume(self) except -1
    cdef int lost(self) except -1
