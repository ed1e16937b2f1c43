# The upgrade of a session from polling to WebSocket, while it is under way.
from socketio_fast._core.engine.contracts cimport SessionBase, Transport
from socketio_fast._core.engine.deadlines cimport Deadline, Timed


cdef class Upgrade(Timed):
    cdef:
        SessionBase session
        Transport probe
        Deadline timeout
        Deadline noop_tick      # of the next noop; None: the probe has not asked

    @staticmethod
    cdef Upgrade begin(SessionBase session, Transport probe)
    cdef int on_packet(self, int type, const char *p, Py_ssize_t n) except -1
    cdef int end(self) except -1
