# One HTTP request to Engine.IO, of whatever server has received it, and its response.
from socketio_fast._core.http.admission cimport Admission
from socketio_fast._core.http.polling cimport Polling, Responder
from socketio_fast._core.http.request cimport Request
from socketio_fast._core.engine.contracts cimport EngineBase as Engine


cdef class Body:
    cdef:
        readonly Py_ssize_t size    # bytes that have come
        bytes first                 # the only piece so far
        bytearray joined            # all of them, if there are several

    cpdef int add(self, object piece) except -1
    cpdef bytes take(self)


cdef class Exchange(Responder):
    cdef:
        readonly Request request
        object environ_source       # of a new session's environ: it has environ()
        Polling polling             # who is told when the connection is lost
        bytes headers               # more lines of the response
        readonly bint wants_body    # of the request
        bint polling_only           # the server that has received it has no WebSockets
        bint awaiting_hooks          # hooks are asked about it
        bytes early                 # its body, come meanwhile

    cdef int route(self, Engine engine, Admission a) except -1
    cdef int send_file(self, Admission a) except -1
    cdef int deliver(self, bytes body) except -1
    cdef int too_large(self, Engine engine) except -1
