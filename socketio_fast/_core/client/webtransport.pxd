# A client's WebTransport session.
from socketio_fast._core.engine.queued_messages cimport QueuedMessages


cdef class ClientWebTransport(QueuedMessages):
    cdef:
        readonly bint aborted   # what is queued need not leave any more
        object unread           # bytes of the stream not acknowledged; None: no stream
