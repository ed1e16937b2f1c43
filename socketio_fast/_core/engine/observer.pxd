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
    cpdef void peer_connected(self, object peer) noexcept
    cpdef void peer_disconnected(self, object peer, str reason) noexcept
    cpdef void event_received(self, object peer, list event) noexcept
    cpdef void event_sent(
        self, object namespace, list event, object to, object skip
    ) noexcept
    cpdef void room_joined(self, object peer, object room) noexcept
    cpdef void room_left(self, object peer, object room) noexcept


cdef class ConnectionListener:
    cpdef void received(self, int type, bytes data, bint binary) except *
    cpdef void sending(self, object message) except *
    cpdef void upgrading(self, str transport) except *
    cpdef void upgraded(self, str transport) except *
    cpdef void closed(self, str reason) except *
