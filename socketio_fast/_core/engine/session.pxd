# One Engine.IO connection, whatever its transport.
from socketio_fast._core.engine.contracts cimport Transport
from socketio_fast._core.engine.deadlines cimport Deadline
from socketio_fast._core.engine.inflow cimport Flow
from socketio_fast._core.engine.outflow cimport Outflow
from socketio_fast._core.engine.session_api cimport SessionApi
from socketio_fast._core.engine.upgrade cimport Upgrade
from socketio_fast._core.protocol.outgoing cimport Outgoing


cdef class Session(SessionApi):
    cdef:
        readonly Flow flow          # None: no event has waited yet
        Outflow outflow             # None: the client has read what it was sent
        Deadline heartbeat          # of the ping, the pong, and when CLOSING the end
        Upgrade upgrade             # of `probe`; None: no upgrade is under way

    cdef int on_control(self, int type, const char *p, Py_ssize_t n) except -1
    cdef int _keep(self, Outgoing m) except -1
    cdef int _send_kept(self) except -1
    cdef int _end(self, str reason) except -1
    cdef int _leave(self) except -1
    cdef Outflow _new_outflow(self)
    cdef int _tell_slow(self, Py_ssize_t size) except -1
    cdef int _resume(self) except -1
    cdef object _log_error(self, object error)
    cdef int _describe(self, object error) except -1
