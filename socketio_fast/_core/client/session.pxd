# A client's side of an Engine.IO session.
from socketio_fast._core.engine.contracts cimport Transport
from socketio_fast._core.engine.engine cimport Engine
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
        # By how many seconds the clock that goes on while the machine sleeps is ahead
        # of the engine's, since the server was last heard; see is_overdue().
        double ahead
        object clock                    # in the place of that clock; None: it
        bint overdue                    # is_overdue() has found so: the session ends
        # Seconds in which something of what was sent must leave, once it is CLOSING.
        public double close_timeout
        Py_ssize_t owed         # bytes that the server had yet to take when that began
        Py_ssize_t untaken      # the same when they were last looked at

    cdef inline bint is_overdue(self) except -1:
        """Whether the machine has slept, or the event loop was busy, so long that the
        next ping is overdue: the server has given the session up, and its deadline has
        not come by the event loop's clock. This is looked up once in a pass of the
        event loop. The session ends in the next."""
        return self.overdue or (
            not (<Engine> self.engine).flushing and self._look_up_overdue()
        )

    cdef inline int check_size(self, Outgoing m) except -1:
        """Raise ValueError for a message that is larger than the server takes."""
        if self.max_payload and 2 * m.size() > self.max_payload:
            return self.check_parts(m)
        return 0

    cdef bint _look_up_overdue(self) except -1
    cdef double _since_sleep(self) except -1
    cdef int _heard(self) except -1
    cdef int check_parts(self, Outgoing m) except -1
    cdef int _owner_failed(self, object error) except -1
    cdef int _opened(self, bytes data) except -1
    cdef int _tell_closed(self) except -1
    cdef int _expect_taking(self) except -1
    cdef int may_be_lost(
        self, Transport transport, Py_ssize_t size, object why
    ) except -1
    cdef int _probe_failed(self, object error) except -1
