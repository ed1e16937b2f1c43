# Requests and WebSockets that a foreign server has received.
from socketio_fast._core.http.admission cimport Admission
from socketio_fast._core.http.exchange cimport Exchange
from socketio_fast._core.http.request cimport Request
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.message_transport cimport MessageTransport


cdef class ForeignExchange(Exchange):
    cdef:
        Engine engine
        object _answer              # is called with the response; None: it was
        Admission admission         # None: begin() judges the request


cdef class ForeignWebSocket(MessageTransport):
    cdef:
        readonly str name
        readonly int status         # 101, or that of a refusal
        readonly list headers       # of the response, (name, value) pairs
        readonly bytes body         # of a refusal
        readonly object code        # a close code, while `closing`
        readonly bint closing       # nothing is sent behind what is queued
        Engine engine
        Request request
        object environ_source
        Session joining             # the session, until begin()
        bint is_new                 # that session is
        object _wake                # called when there is something to take
        bint marked
        readonly object room        # a Future, while nothing is to be received
        # What take() has not returned: messages of `current` from `position` on, and
        # `queued`, a deque of Outgoing.
        object queued
        Outgoing current
        Py_ssize_t position
        Py_ssize_t queued_bytes

    cdef list _messages(self, Outgoing m)
    cdef int _mark(self) except -1
    cdef int _close(self, object code) except -1
