# Who is told what happens in a server, on a connection, and to requests.
from libc.stdint cimport int64_t


cdef class Observer:
    cdef:
        readonly bint events        # whether events are told
        # Packets of Engine.IO without pings and pongs, and their bytes.
        readonly int64_t packets_in
        readonly int64_t bytes_in
        readonly int64_t packets_out
        readonly int64_t bytes_out

    cdef int count_in(self, Py_ssize_t size) except -1
    cdef int count_out(self, Py_ssize_t packets, Py_ssize_t size) except -1
    cpdef void session_opened(self, object session) noexcept
    cpdef void session_upgraded(self, object session) noexcept
    cpdef void session_closed(self, object session, str reason) noexcept
    cpdef void request_refused(self, str reason) noexcept
    cpdef void peer_connected(self, object peer) noexcept
    cpdef void peer_refused(self, object peer) noexcept
    cpdef void peer_disconnected(self, object peer, str reason) noexcept
    cpdef void event_received(self, object peer, list event) noexcept
    cpdef void event_sent(
        self, object namespace, list event, object to, object skip
    ) noexcept
    cpdef void room_joined(self, object peer, object room) noexcept
    cpdef void room_left(self, object peer, object room) noexcept


cdef class Observers(Observer):
    cdef readonly tuple members     # two or more


cpdef Observer joined(Observer first, Observer added)
cpdef Observer without(Observer first, Observer removed)


cdef class EventWatch:
    # Watches one event while its handlers run.
    cdef readonly object context    # in which they run; None: in that of their client

    cdef int ended(self, int64_t took, object error) except -1
    cdef int unhandled(self) except -1


cdef class TracedEvent(EventWatch):
    cdef:
        EventWatch figures
        Tracer tracer
        object span


cdef class Tracer:
    cpdef void connecting(self, object peer, object context) noexcept
    cpdef void connected(self, object peer, object context, object error) noexcept
    cpdef object receiving(self, object peer, list event, object context)
    cpdef void handled(self, object span, object error) noexcept
    cpdef void unhandled(self, object span) noexcept
    cpdef list sending(self, str namespace, list event, object to)
    cpdef object asking(self, object peer, object event)
    cpdef void answered(self, object asked, str outcome) noexcept


cdef class ConnectionListener:
    cpdef void received(self, int type, bytes data, bint binary) except *
    cpdef void sending(self, object message) except *
    cpdef void upgrading(self, str transport) except *
    cpdef void upgraded(self, str transport) except *
    cpdef void closed(self, str reason) except *
