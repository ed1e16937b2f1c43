# What the client of an HTTP/1.1 connection must send or read, and until when.
from socketio_fast._core.engine.deadlines cimport Deadline
from socketio_fast._core.http.http1_exchange cimport HttpConnection


cdef class TimedConnection(HttpConnection):
    cdef:
        Deadline deadline           # until when it must send something
        bint expects_nothing        # that does not count now
        Deadline write_deadline     # until when it must read something
        Py_ssize_t unread           # bytes that it had to read when that began

    cdef int on_late(self) except -1
    cdef int _set_deadline(self, double delay) except -1
    cdef int _expect_nothing(self) except -1
    cdef int _expect_reading(self) except -1
    cdef int _stop_expecting(self) except -1
    cdef int _stalled(self) except -1
