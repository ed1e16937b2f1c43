# Acknowledgements that the server waits for.
from libc.stdint cimport int64_t

from socketio_fast._core.engine.observer cimport Tracer
from socketio_fast._core.socketio.meter cimport EventFigures


cdef class Reply:
    # Awaits the acknowledgement of one client.
    cdef:
        readonly object future      # of the arguments
        int64_t id                  # -1: not asked for yet, or by another process
        public object number        # in a manager's table; None: in none

    cdef int answer(self, object args) except -1
    cdef int fail(self, object error) except -1


cdef class AckCollector:
    # Awaits the acknowledgement of one of several clients, and hears if it goes.
    cdef object collector       # has answered(sid, arguments) and gone(sid)


cdef class AckWatch:
    # Watches the acknowledgement that one client owes.
    cdef:
        EventFigures figures        # None: it is not measured
        int64_t began               # by sf_exact_ns()
        Tracer tracer               # None: it has no span
        object span

    cdef int ended(self, str outcome) except -1


cdef class PendingAcks:
    # The acknowledgements that one client owes.
    cdef:
        dict callbacks              # id -> callback, Reply or AckCollector
        int64_t next_id
        int64_t first_id            # no id in `callbacks` is smaller
        bint overflowed             # one was given up, which is logged once
        dict watches                # id -> AckWatch; None: nobody watches them

    cdef int64_t add(self, object callback) except -1
    cdef int put(self, int64_t id, object callback) except -1
    cdef int watch(self, int64_t id, AckWatch watch) except -1
    cdef object pop(self, int64_t id)
    cdef object pop_oldest(self)
    cdef int ended(self, int64_t id, str outcome) except -1


cdef int give_up(object callback, str sid, object error) except -1
