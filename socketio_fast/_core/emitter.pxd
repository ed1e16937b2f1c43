# emit(), compiled: what every message that is sent goes through.
from socketio_fast._core.peer cimport Hub


cdef class Emission:
    # An emit() that is to be awaited.
    cdef:
        Hub hub                     # None: done
        object event
        object data
        object to
        object skip_sid
        object namespace
        object callback

    cdef int _run(self) except -1


cdef class Emitter:
    cdef:
        readonly Hub _hub
        object _manager             # whose emit() is called; None: the compiled one
