# The acknowledgements that a client in a namespace is asked for.
from libc.stdint cimport int64_t

from socketio_fast._core.socketio.acks cimport AckWatch, PendingAcks
from socketio_fast._core.socketio.contracts cimport Connection, PeerBase
from socketio_fast._core.socketio.hub cimport Namespace


cdef class AskedPeer(PeerBase):
    cdef:
        readonly Connection client
        readonly Namespace namespace
        PendingAcks acks            # None: the server has not asked for any
        str reason                  # why it left; None: it has not, or was refused

    cdef int64_t new_ack(self, object callback, object event) except -1
    cdef AckWatch new_ack_watch(self, object event)
    cdef object _take_ack(self, int64_t id, str outcome)
    cdef int _give_up_oldest_ack(self) except -1
    cdef int give_up_acks(self) except -1
    cdef int on_ack(self, list data, int64_t id) except -1
    cdef int call_back(self, object callback, list data) except -1


cdef dict log_fields(PeerBase peer, object event=*)
