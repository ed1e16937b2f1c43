# Messages that wait until somebody takes them.
from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.engine.message_transport cimport MessageTransport
from socketio_fast._core.protocol.outgoing cimport Outgoing


cdef class QueuedMessages(MessageTransport):
    cdef:
        Engine engine
        readonly object code        # a close code, while `closing`
        readonly bint closing       # nothing is sent behind what is queued
        readonly object room        # a Future, while nothing is to be received
        object _wake                # called when there is something to take
        bint marked
        # What take() has not returned: messages of `current` from `position` on, and
        # `queued`, a deque of Outgoing.
        object queued
        Outgoing current
        Py_ssize_t position
        Py_ssize_t queued_bytes

    cdef list _messages(self, Outgoing m)
    cdef int _mark(self) except -1
    cdef int _close(self, object code) except -1
