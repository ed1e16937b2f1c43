# One HTTP request to Engine.IO, whatever server has received it, and its response.
from socketio_fast._core.http.admission cimport Admission
from socketio_fast._core.http.polling cimport Polling, Responder
from socketio_fast._core.http.request cimport Request
from socketio_fast._core.engine.contracts cimport EngineBase as Engine


cdef class Body:
    cdef:
        readonly Py_ssize_t size    # bytes that have come
        bytes first                 # the piece, if there is only one
        bytearray joined            # all pieces, if there are several

    cpdef int add(self, object piece) except -1
    cpdef bytes take(self)


cdef class Exchange(Responder):
    cdef:
        readonly Request request
        object environ_source       # its environ() makes that of a new session
        Polling polling             # is told when the connection is lost
        bytes headers               # lines for the response
        readonly bint wants_body    # the body of the request is to be read
        bint polling_only           # the server that has received it has no WebSocket
        bint awaiting_hooks         # hooks are running
        bytes early                 # the body that has come while they run

    cdef int route(self, Engine engine, Admission a) except -1
    cdef int send_file(self, Admission a) except -1
    cdef int deliver(self, bytes body) except -1
    cdef int too_large(self, Engine engine) except -1
