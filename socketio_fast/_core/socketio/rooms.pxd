# Who is in which room of a namespace, and fan-out to rooms.
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.socketio.contracts cimport Membership, RoomListener
from socketio_fast._core.socketio.hub cimport Hub, Namespace
from socketio_fast._core.socketio.peer_lifecycle cimport Peer
from socketio_fast._core.socketio.recovery cimport Backlog


cpdef object one_or_several(object rooms)
cpdef int check_sendable(Hub hub, str namespace, list data) except -1


cdef class Rooms(Membership):
    cdef:
        readonly Namespace namespace
        readonly dict rooms         # room -> {Peer: None}, in the order they joined
        public RoomListener listener    # hears of rooms as they change; or None
        Backlog recovery            # None: it is off

    cdef Peer _peer(self, object sid)
    cdef int _left(self, Peer peer, object room) except -1
    cdef int _leave(self, Peer peer, object room) except -1
    cpdef emit(
        self, list data, object to=*, object skip=*, object callback=*,
        bint compress=*, bint volatile=*,
    )
    cdef Outgoing encode(self, list data)
    cdef Outgoing encode_pair(self, object name, object argument)
    cdef bint sends_unseen(self) except -1
    cdef object deliver_unseen(self, Outgoing m, object to, object skip)
    cdef object deliver(
        self, Outgoing m, list data, object to, object skip, object callback
    )
    cdef object _deliver_and_wait(
        self, Outgoing m, list data, object to, object skip, object callback
    )
    cdef int send(
        self, Outgoing m, list data, object to, object skip, object callback
    ) except -1
    cdef bint _is_room(self, object to) except -1
    cdef dict _recipients(self, object to)
    cdef Py_ssize_t _fan_out(
        self, dict peers, list data, Outgoing m, object skip, object callback
    ) except -1
    cdef int _warn_of_number(self, list data, object to) except -1
    cdef bint _has_packet_listeners(self) except -1
    cdef int _show(self, list data, object to, object skip) except -1
    cdef int _tell(
        self, list data, Outgoing m, Py_ssize_t recipients, object to, object skip
    ) except -1
