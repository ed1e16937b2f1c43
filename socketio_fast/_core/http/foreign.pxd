# Requests and WebSockets that another server has received.
from socketio_fast._core.http.exchange cimport Exchange
from socketio_fast._core.http.handshake cimport Admission, Request
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.message_transport cimport MessageTransport


cdef class HostedExchange(Exchange):
    cdef:
        Engine engine
        object _answer              # called with the response; None: it has been
        Admission admission         # if it is judged already


cdef class HostedWebSocket(MessageTransport):
    cdef:
        readonly str name
        readonly int status         # 101, or that of a refusal
        readonly list headers       # of the response, (name, value) pairs
        readonly bytes body         # of a refusal
        readonly object code        # a close code, while `closing`
        readonly bint closing       # nothing follows what is pending
        Engine engine
        Request request
        object environ_source
        Session joining             # the session, until begin()
        bint is_new                 # that session is
        object _wake                # called when there is something to take
        bint marked
        readonly object room        # a Future, while nothing is to be received
        # What waits to be taken, and what is being taken of the first.
        object pending              # a deque of Outgoing
        Outgoing current
        Py_ssize_t position
        Py_ssize_t pending_bytes

    cdef list _messages(self, Outgoing m)
    cdef int _mark(self) except -1
    cdef int _close(self, object code) except -1
