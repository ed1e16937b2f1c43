# Requests and WebSockets that a foreign server has received.
from socketio_fast._core.http.admission cimport Admission
from socketio_fast._core.http.exchange cimport Exchange
from socketio_fast._core.http.request cimport Request
from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.queued_messages cimport QueuedMessages


cdef class ForeignExchange(Exchange):
    cdef:
        Engine engine
        object _answer              # is called with the response; None: it was
        Admission admission         # None: begin() judges the request


cdef class ForeignWebSocket(QueuedMessages):
    cdef:
        readonly str name
        readonly int status         # 101, or that of a refusal
        readonly list headers       # of the response, (name, value) pairs
        readonly bytes body         # of a refusal
        Request request
        object environ_source
        Session joining             # the session, until begin()
        bint is_new                 # that session is
