# What all connections of a listening server share, and what serves other paths.
from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.engine.writer cimport Opened
from socketio_fast._core.http.connections cimport Connections
from socketio_fast._core.http.request cimport Request


cdef object INCOMPLETE


cdef class OtherServer:
    cdef:
        readonly bint takes_connections

    cpdef object environ_source(self, Request request, bint websocket)


cdef class OtherWorkers:
    cdef:
        bytes tag                   # what the ids of this worker's sessions end with

    cdef object owner_of(self, const char *target, Py_ssize_t n, bint stays)
    cpdef object owner(self, str sid)
    cpdef object newcomer(self)


cdef class Endpoint:
    cdef:
        readonly Engine engine
        readonly object loop
        readonly Connections connections
        readonly str path           # "/socket.io/"
        readonly bint secure
        OtherServer other           # None: other paths get 404
        bint hands_over             # `other` takes connections
        bint gives_away             # `other` or other processes take connections
        OtherWorkers workers        # None: this process is the only one
        readonly str scheme         # of the requests: "http" or "https"
        object access_log           # an AccessLog, or None
        object descriptors          # is told of connections with a high file descriptor
        int few_from                # the first such descriptor; -1: there is none
        set request_tasks              # Tasks of request hooks and of long responses
        bytes prefix                # of the targets of Engine.IO's requests
        # The Date line, and the time (s) until which it is right.
        bytes date
        double date_until

    cdef bint admits(self, Opened connection, object address) except -1
    cdef bytes date_line(self)
    cdef object environ_source(self, Request request, bint websocket)
    cdef int log_access(self, Request request, int status, Py_ssize_t size) except -1
    cdef int log_websocket(self, Request request, object websocket) except -1
    cdef bint owns_target(self, bytes target) except -1
    cdef object taker(self, bytes target, bint stays)
    cdef object owner_of(self, bytes target, bint stays)
    cdef object taker_of(self, bytes data, bint stays)
