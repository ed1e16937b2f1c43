# What Python code may ask of a session.
from socketio_fast._core.engine.contracts cimport SessionBase


cdef class SessionApi(SessionBase):
    cdef:
        # Has environ(); or, once the application has asked for that, the dict.
        object _environ_source
