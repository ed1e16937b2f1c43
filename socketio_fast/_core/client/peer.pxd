# A client's place in one namespace.
from libc.stdint cimport int64_t

from socketio_fast._core.client.session cimport ClientSession
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.protocol.sio cimport Packet
from socketio_fast._core.socketio.acks cimport AckWatch
from socketio_fast._core.socketio.peer_messaging cimport MessagingPeer


cdef class PeerOwner:
    pass


cdef class ClientPeer(MessagingPeer):
    cdef:
        PeerOwner owner
        # Connection state recovery: the secret of the last connection, and what came
        # last by it. None: the server has none, or nothing has come.
        readonly str pid
        readonly str offset
        readonly bint recovered     # the last connection went on where one was cut off
        readonly bint active        # it is in the namespace, or is to be again
        list early                  # packets that came before CONNECT
        # A deque of Outgoing, sent when it is connected. None: there are none.
        object offline
        readonly Py_ssize_t offline_bytes
        # Ids of acknowledgements that what is in `offline` asks for; or None.
        set offline_acks
        # Acknowledgements that the server asks for, of all connections: the first id of
        # this one, and the next.
        int64_t first_asked
        int64_t next_asked
        Py_ssize_t posted           # bytes that other threads have encoded
        public Py_ssize_t max_offline_events
        public Py_ssize_t max_offline_bytes

    cdef int on_packet(self, Packet packet) except -1
    cdef int _on_connect(self, object data) except -1
    cdef int _on_refusal(self, object data) except -1
    cdef int _note_offset(self, Packet packet) except -1
    cdef object _emit(self, Outgoing m, list event, int64_t id)
    cdef int _refuse_offline(self, int64_t id, object error) except -1
    cdef int _keep_offline(self, Outgoing m, int64_t id) except -1
    cdef int _send_offline(self) except -1
    cdef int _run_own(self, str event, list args, list told=*) except -1
    cdef int _call_own(self, object function, str event, list args) except -1
    cdef object _own_handler(self, str event, list args)
    cdef int _left(self, str reason) except -1
    cdef int lost(self, str reason) except -1
    cdef int _give_up_sent_acks(self) except -1


cdef class _Encoded:
    cdef:
        ClientPeer peer
        Outgoing message
        list event
        object callback
        AckWatch watch              # None: nobody watches the acknowledgement
        int64_t id
