# A client's long-polling, without the HTTP.
from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.engine.payload_transport cimport PayloadTransport
from socketio_fast._core.protocol.outgoing cimport Outgoing


cdef class Poster:
    pass


cdef class ClientPolling(PayloadTransport):
    cdef:
        Engine engine
        Poster poster
        list queued             # Outgoing that no POST has taken
        Py_ssize_t queued_bytes
        Py_ssize_t posting_bytes    # of the POST that is under way
        readonly bint posting   # a POST is under way
        readonly bint resting   # no POST begins: an upgrade is under way
        readonly bint closing   # the close packet is queued, or was sent
        readonly bint over      # nothing is read any more
        bint marked             # the engine will call flush()
        bytes rest              # of a payload, not read from `rest_at` on; or None
        Py_ssize_t rest_at
        bint rest_is_binary

    cdef list _take(self)
    cdef int _post(self) except -1
    cdef int _stop(self) except -1
    cdef Py_ssize_t _size(self, Outgoing m) except -1
    cdef bint _close_is_posted(self) noexcept
    cdef int _read_on(self) except -1
