# Events to clients of other workers, and from there.
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.socketio.contracts cimport Relay
from socketio_fast._core.socketio.hub cimport Hub, Namespace
from socketio_fast._core.socketio.rooms cimport Rooms


cdef class Remote:
    # Another worker, as far as this one knows it.
    cdef:
        readonly str tag            # how the sids of its clients end
        readonly object send        # sends it a frame
        dict namespaces             # name -> its rooms, a set; None: all. None: unknown
        bint differs                # it encodes packets in another way

    cpdef bint wants(self, str namespace, object rooms) except -1


cdef class Unsent:
    # An event to rooms that some workers had not got.
    cdef:
        double at               # seconds of the clock that all processes have
        Outgoing message
        str namespace
        tuple rooms             # None: all clients
        object skip
        bint excepts
        list missing            # the workers, as Remote


cdef class WorkerRelay(Relay):
    cdef:
        readonly Hub hub
        readonly dict remotes       # tag -> Remote
        int kind                    # of frames
        bytes encoding              # what encodes packets here
        object emit_plainly         # to workers that encode in another way
        object dropped              # is told of events that cannot leave
        object unsent               # a deque of Unsent, as they were sent
        Py_ssize_t unsent_bytes

    cdef int _send_others(
        self, Rooms rooms, Outgoing m, list data, object to, object skip, bint excepts
    ) except -1
    cdef int _give(
        self, Remote remote, bytes frame, Outgoing m, list data, str namespace,
        object rooms, object skip,
    ) except -1
    cdef int _keep(
        self, str namespace, Outgoing m, object rooms, object skip, bint excepts,
        list missing,
    ) except -1
    cdef int _give_late(
        self, Remote remote, str namespace, object room, double since
    ) except -1
    cdef int _tell(self, bytes payload) except -1
    cdef int _to_peers(
        self, Namespace ns, Outgoing m, object to, list skip, bint excepts
    ) except -1
    cdef list _decoded(self, Outgoing m)
