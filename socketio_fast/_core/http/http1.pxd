# An HTTP/1.1 connection: bytes in, responses out in order, upgrades.
from socketio_fast._core.http.admission cimport Admission
from socketio_fast._core.http.http1_deadlines cimport TimedConnection
from socketio_fast._core.http.http1_exchange cimport Http1Exchange
from socketio_fast._core.http.request cimport Request
from socketio_fast._core.http.request_parser cimport RequestParser
from socketio_fast._core.protocol.wire cimport sf_request


cdef class Http1Core(TimedConnection):
    cdef:
        # Client and server as a proxy has named them; None: no proxy has.
        tuple proxied_addresses
        RequestParser parser        # made when it is needed; see _parse()
        Http1Exchange current       # what is being received
        Http1Exchange upgrade       # `current`, if it asks for a WebSocket
        # The first bytes of a request whose target is not complete.
        bytes opening
        # Those of a request that another application or process takes, behind requests
        # that have no response yet.
        bytes behind
        object taker
        # Another process has given the connection: its new sessions are of this one.
        public bint stays
        # What was received and not looked at yet, from `rest_at` on.
        bytes rest
        Py_ssize_t rest_at
        bint paused                 # the transport's reading is paused

    cdef int _read_scanned(
        self, const sf_request *r, const char *p, Py_ssize_t n
    ) except -1
    cdef int receive(self, const char *p, Py_ssize_t n) except -1
    cdef int _received(self, bytes data) except -1
    cdef int _read(
        self, bytes data, const char *p, Py_ssize_t i, Py_ssize_t n
    ) except -1
    cdef bint _full(self) except -1
    cdef int _keep(self, bytes data, Py_ssize_t at) except -1
    cdef Py_ssize_t _parse(self, bytes data, Py_ssize_t at) except -1
    cdef Py_ssize_t _choose(self, bytes data, Py_ssize_t at) except -1
    cdef bint _goes_to(self, object taker) except -1
    cdef int _hand_over(self, bytes data, object taker) except -1
    cdef Http1Exchange _begin(self, Request request, bint keep_alive)
    cdef Http1Exchange _new_exchange(self, Request request)
    cdef bint _is_inside_request(self) except -1
    cdef int _forget_current(self) except -1
    cdef int _upgrade(self, Http1Exchange exchange, bytes tail) except -1
    cdef int _switch(
        self, Http1Exchange exchange, Admission a, bytes tail
    ) except -1
