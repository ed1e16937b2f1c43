# The HTTP long-polling transport, and the requests that it answers.
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.payload_transport cimport PayloadTransport


cdef class Responder:
    # One HTTP request, which must get one response. See exchange.
    cpdef int respond(
        self, int status, bytes content_type, bytes body, bytes headers
    ) except -1
    cpdef bytes header(self, bytes name)


cdef class Polling(PayloadTransport):
    cdef:
        Engine engine
        Responder poll          # the GET that waits for something to send
        Responder post          # the POST that has no answer yet
        # Its body, not read from `rest_at` on; None unless the session is paused.
        bytes rest
        Py_ssize_t rest_at
        list queued             # Outgoing, which no GET has taken
        Py_ssize_t queued_bytes
        bytes jsonp             # the beginning of a script; None: no JSONP
        bint marked             # the engine will call flush()
        bint closing            # a close packet follows what is queued
        bint discarded          # replaced or aborted: a lost request is not reported
        bint refused            # by the application's handler
        bint opens              # the next answer opens a session of revision 3
        Py_ssize_t max_answer   # packets that an answer may have; 0: any number

    cdef int on_poll(self, Responder responder) except -1
    cdef int on_post(self, Responder responder) except -1
    cdef int on_body(self, Responder responder, bytes body) except -1
    cdef int _take_post(self, bytes body, Py_ssize_t at, bint whole) except -1
    cdef int _read_rest(self, bint whole) except -1
    cdef int _let_go(self, int status, bytes content_type, bytes text) except -1
    cdef int on_abort(self, Responder responder) except -1
    cdef int _take(self) except -1
    cdef list _take_some(self, Py_ssize_t most)
    cdef Py_ssize_t _size(self, Outgoing m) except -1
    cdef int _answer(self, list messages) except -1
    cdef bytes _headers(self, Responder responder)
