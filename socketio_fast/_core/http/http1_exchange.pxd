# One request on an HTTP/1.1 connection, and its response.
from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.engine.writer cimport Writer
from socketio_fast._core.http.admission cimport Admission
from socketio_fast._core.http.endpoint cimport Endpoint
from socketio_fast._core.http.exchange cimport Body, Exchange
from socketio_fast._core.http.request cimport Request
from socketio_fast._core.http.request_parser cimport RequestReceiver


cdef class HttpConnection(RequestReceiver):
    # What exchanges need of their connection. Implemented by http1.
    cdef:
        Endpoint endpoint
        Writer writer               # None: lost, or taken over
        # Exchanges without a response, or whose response the one before delays.
        list exchanges
        # A Future that the sender of a long body awaits, until the client has read.
        object space_waiter
        bint ended                  # the client sends nothing more

    cdef int set_addresses(self, Request request) except -1
    cdef int write_ready(self) except -1
    cdef int abort(self) except -1
    cdef int end(self) except -1


cdef class Http1Exchange(Exchange):
    cdef:
        Endpoint endpoint
        HttpConnection connection   # None: it has its response, or is lost
        bytes store                 # the response's Cache-Control line, or nothing
        bytes response              # None: there is none, or it has been written
        object long_body            # sent in pieces behind the response; or None
        bint deferred               # somebody else is asked when it is the first
        Body body                   # of the request, while it comes
        bint keep_alive             # the connection stays open behind the response
        # Where another worker has the session: an `OtherWorker` and, while it is asked,
        # its `RemoteExchange`.
        object owner
        object remote

    cdef int dispatch(self) except -1
    cdef Admission judge(self, bint upgrade)
    cdef bint is_waiting_poll(self) except -1
    cdef int fail(self, object error) except -1
    cdef int lost(self) except -1
    cdef int send_long(
        self, int status, bytes content_type, object body, bytes headers
    ) except -1
    cdef int ask(self) except -1
    cdef int start_long_body(self, HttpConnection connection) except -1
    cdef int _respond(
        self, int status, bytes content_type, bytes body, object long_body,
        Py_ssize_t size, bytes headers
    ) except -1
    cdef int _admit(self) except -1
    cdef bint is_behind_post(self) except -1
    cdef int _relay(self) except -1
    cdef int _continue(self) except -1
    cdef int _forget_remote(self) except -1
    cdef int _proceed(self, Admission a) except -1
    cdef int _log_failure(self, object error) except -1


cdef int close_body(object body) except -1
