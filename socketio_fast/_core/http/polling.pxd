# HTTP long-polling, of whatever speaks HTTP: the transport, and what it answers to.
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.message_transport cimport MessageTransport


cdef class Responder:
    # One HTTP request that wants one response. Implemented by http1.
    cpdef int respond(
        self, int status, bytes content_type, bytes body, bytes headers
    ) except -1
    cpdef bytes header(self, bytes name)


cdef class Polling(MessageTransport):
    cdef:
        Engine engine
        Responder poll          # the GET that waits
        Responder post          # the POST that has begun and has no answer yet
        # Its body while the session is paused, unread from `rest_at` on; else None.
        bytes rest
        Py_ssize_t rest_at
        list pending            # Outgoing
        Py_ssize_t pending_bytes
        bytes jsonp             # what scripts begin with; None without JSONP
        bint marked             # flush() is coming
        bint closing            # a close packet ends what is pending
        bint discarded          # a WebSocket has taken over
        bint refused            # by the handler
        bint in_message         # what is read is a message, not a packet of Engine.IO
        bint opens              # the next answer is the handshake's, of revision 3
        Py_ssize_t max_answer   # packets of an answer; 0: all there are

    cdef int on_poll(self, Responder responder) except -1
    cdef int on_post(self, Responder responder) except -1
    cdef int on_body(self, Responder responder, bytes body) except -1
    cdef int _take_post(self, bytes body, Py_ssize_t at, bint whole) except -1
    cdef int _read_rest(self, bint whole) except -1
    cdef int _let_go(self, int status, bytes content_type, bytes text) except -1
    cdef Py_ssize_t _read(self, bytes body, Py_ssize_t at, bint whole) except -1
    cdef Py_ssize_t _read_3(
        self, bytes body, Py_ssize_t at, bint binary, bint whole
    ) except -1
    cdef int _check_count(self, Py_ssize_t count) except -1
    cdef int on_abort(self, Responder responder) except -1
    cdef int _take(self) except -1
    cdef list _take_some(self, Py_ssize_t most)
    cdef Py_ssize_t _size(self, Outgoing m) except -1
    cdef int _answer(self, list messages) except -1
    cdef bytes _headers(self, Responder responder)
    cdef bytes _payload(self, list messages)
    cdef bint _wants_binary(self, list messages) except -1
