# What a client has sent and its handlers have not finished.
from socketio_fast._core.engine.contracts cimport EngineBase, SessionBase


cdef class Flow:
    cdef:
        # Events that wait for their handlers, or whose handlers have suspended.
        readonly Py_ssize_t events
        readonly Py_ssize_t bytes   # of those events
        readonly bint paused        # the client is not read
        bint progressed             # an event has left since the last ping
        # Bytes that waited for the client at the last ping since it was paused; -1:
        # there was none.
        Py_ssize_t unread

    cdef int begin_event(self, SessionBase session, Py_ssize_t size) except -1
    cdef bint end_event(self, SessionBase session, Py_ssize_t size) except -1
    cdef bint has_room(self, SessionBase session) except -1
    cdef int pause(self, SessionBase session) except -1
    cdef bint is_deadlocked(self, SessionBase session) except -1
    cdef bint _awaited(self, SessionBase session) except -1
    cdef bint _overcrowded(self, EngineBase engine) except -1
