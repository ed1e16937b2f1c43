# What Python code may ask of a session.
from socketio_fast._core.engine.contracts cimport SessionBase


cdef class SessionApi(SessionBase):
    cdef:
        object _environ_source      # its environ() makes the environ; None: it has
        dict _environ_dict          # None: nobody has asked for it
