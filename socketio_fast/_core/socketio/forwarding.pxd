# A connection whose messages another worker handles.
from socketio_fast._core.engine.rate_limits cimport Visitor
from socketio_fast._core.socketio.connection cimport ConnectionHandler
from socketio_fast._core.socketio.contracts cimport Connection


cdef class Forwarder(Connection):
    cdef:
        ConnectionHandler handler   # None: it has its session again, or that is over
        # As whose connection the session counts if it is given back; or None.
        Visitor visitor
        object receive
        object closed
