# HTTP/1.1 connections: requests to Engine.IO, files, everything else, upgrades.
from socketio_fast._core.engine.deadlines cimport Deadline, Timed
from socketio_fast._core.http.exchange cimport Body, Exchange
from socketio_fast._core.http.handshake cimport Admission, Request
from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.http.websocket cimport Connections
from socketio_fast._core.protocol.wire cimport sf_request
from socketio_fast._core.engine.writer cimport Writer


cdef class Endpoint:
    # What all connections to one listening server share.
    cdef:
        readonly Engine engine
        readonly object loop
        readonly Connections connections
        set asking                  # tasks: hooks that run
        readonly str path           # "/socket.io/"
        bytes prefix
        object fallback             # async (Request) -> answer, see Endpoint
        object access_log           # a logger, or None
        readonly bint secure
        object descriptors          # told of connections with a high one; or None
        int few_from                # the number of a descriptor that is a high one
        readonly object other       # takes connections, see Endpoint; None: nobody
        # The Date line, and the second it is of.
        bytes date
        double date_until

    cdef bytes date_line(self)
    cdef int log_access(self, Request request, int status, Py_ssize_t size) except -1
    cdef bint owns_target(self, bytes target) except -1


cdef class Http1Exchange(Exchange):
    cdef:
        Http1Core connection
        bytes store                 # lines of the response: whether it may be kept
        bytes response              # None until respond(), or when it is written
        object large                # its body, sent in pieces behind it; or None
        bint deferred               # the fallback is asked when it is the first
        Body body                   # of the request, while it comes; None before
        bint keep_alive

    cdef int _respond(
        self, int status, bytes content_type, bytes body, object large,
        Py_ssize_t size, bytes headers
    ) except -1
    cdef int send_large(
        self, int status, bytes content_type, object body, bytes headers
    ) except -1


cdef class Http1Core(Timed):
    cdef:
        Endpoint endpoint
        Writer writer               # None when lost, or taken over by a WebSocket
        tuple proxied_addresses     # client and server, as a proxy says; else None
        object parser               # made when it is needed first
        Deadline deadline
        Deadline stalled            # runs while what was written is not read
        Py_ssize_t unread           # bytes of that, when `stalled` began
        object room                 # a Future of who sends a large body; or None
        # The request that is being received.
        bytes target
        bytearray lines
        # Bytes received of its head; 0: httptools is between requests, -1: behind it.
        Py_ssize_t head_size
        Http1Exchange current
        Request upgrade             # it asks for a WebSocket
        bytes opening               # of a request, while it is not known whose it is
        bytes behind                # another application's, behind unanswered requests
        bytes head                  # of a request for an upgrade that is ignored
        # Received with those before, and not looked at yet: from `rest_at` on.
        bytes rest
        Py_ssize_t rest_at
        # Requests that have no response yet, or wait for the one before.
        list exchanges
        bint closing                # nothing more is read
        bint ended                  # nothing more comes
        bint paused

    cdef bint _admitted(self) except -1
    cdef int _set_deadline(self, double delay) except -1
    cdef int _read_plain(
        self, const sf_request *r, const char *p, Py_ssize_t n
    ) except -1
    cdef int _read(self, bytes data, Py_ssize_t i) except -1
    cdef bint _full(self) except -1
    cdef int _keep(self, bytes data, Py_ssize_t at) except -1
    cdef Py_ssize_t _parse(self, bytes data, Py_ssize_t at) except -1
    cdef Py_ssize_t _choose(self, bytes data, Py_ssize_t at) except -1
    cdef int _hand_over(self, bytes data) except -1
    cdef Http1Exchange _begin(self, Request request, bint keep_alive)
    cdef int _route(self, Http1Exchange exchange) except -1
    cdef int _admit(self, Http1Exchange exchange) except -1
    cdef int _proceed(self, Http1Exchange exchange, Admission a) except -1
    cdef Admission _judge(self, Request request, bint upgrade)
    cdef int _set_client_address(self, Request request) except -1
    cdef int _take_origin(self) except -1
    cdef int _upgrade(self, bytes tail) except -1
    cdef int _switch(
        self, Http1Exchange exchange, Admission a, bytes tail
    ) except -1
    cdef int _fail(self, int status, bytes message) except -1
    cdef int _write_ready(self) except -1
    cdef int _expect_reading(self) except -1
    cdef int _stop_expecting(self) except -1
    cdef int _end(self) except -1
