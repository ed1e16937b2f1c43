# Packets of one connection, whichever side this is.
from libc.stdint cimport int64_t

from socketio_fast._core.engine.deadlines cimport Deadline
from socketio_fast._core.engine.rate_limits cimport Limiter
from socketio_fast._core.protocol.sio cimport Packet
from socketio_fast._core.socketio.contracts cimport Connection
from socketio_fast._core.socketio.hub cimport Hub

cdef enum:
    PROGRESS = 0        # a deadline of a PacketReceiver


cdef class PacketReceiver(Connection):
    cdef:
        Hub hub
        Packet incomplete           # a packet whose attachments have not all come
        Deadline progress_deadline  # of the attachments; it may end later than they
        Packet stalled              # `incomplete` when progress was last checked
        int64_t stalled_at          # how many attachments were missing then
        Limiter limiter             # of what the peer sends; None: it has no limits

    cdef bint take_event(self, const char *p, Py_ssize_t n) except -1
    cdef int dispatch(self, Packet packet) except -1
    cdef int limited(self, Packet packet, Py_ssize_t n) except -1
    cdef int await_attachments(self, Packet packet) except -1
    cdef int forget_incomplete(self, Packet packet) except -1
    cdef int end_packet(self) except -1
    cdef double _progress_time(self) except -1
    cdef int check_progress(self) except -1
