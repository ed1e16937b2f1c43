# A client's side of an Engine.IO session.
from libc.stdint cimport int64_t

from socketio_fast._core.engine.contracts cimport Transport
from socketio_fast._core.engine.session cimport Session
from socketio_fast._core.protocol.outgoing cimport Outgoing


cdef class SessionOwner:
    pass


cdef class ClientSession(Session):
    cdef:
        SessionOwner owner
        readonly list upgrades          # transports that the server offers, of str
        readonly Py_ssize_t max_payload   # bytes of a POST; 0: the server has not said
        bint was_open                   # the open packet has come
        bint told                       # the owner has heard that it is over
        int64_t heard_at                # when the server has given a sign, sleepless ns

    cdef inline int check_size(self, Outgoing m) except -1:
        """Raise ValueError for a message that is larger than the server takes."""
        if self.max_payload and 2 * m.size() > self.max_payload:
            return self.check_parts(m)
        return 0

    cdef int leave_silent(self) except -1
    cdef int check_parts(self, Outgoing m) except -1
    cdef int _owner_failed(self, object error) except -1
    cdef int _opened(self, bytes data) except -1
    cdef int _tell_closed(self) except -1
    cdef int _probe_failed(self, object error) except -1
