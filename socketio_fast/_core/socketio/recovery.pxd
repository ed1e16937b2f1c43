# Connection state recovery: what was sent in a namespace, and who may come back for it.
from libc.stdint cimport int64_t

from socketio_fast._core.engine.deadlines cimport Deadline
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.socketio.contracts cimport ConnectionState, Recovery
from socketio_fast._core.socketio.hub cimport Namespace
from socketio_fast._core.socketio.peer_lifecycle cimport Peer
from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    SessionBase as Session,
)

cdef class Backlog


cdef class Entry:
    # One packet that was sent, and to whom.
    cdef:
        Outgoing message        # never rendered
        Outgoing replayed       # the same, for who comes back now; or None
        object to               # as for Rooms.emit(), but nothing in it can change
        object skip
        Backlog backlog         # None: it has been forgotten there
        double at               # the engine's clock
        Py_ssize_t charge       # bytes, at most


cdef class Kept:
    cdef:
        object entries          # a deque of Entry, as they were sent
        Py_ssize_t bytes        # of those that are still in a backlog
        object away             # ClientState -> None, as they went


cdef class ClientState(ConnectionState):
    cdef:
        Backlog backlog
        Peer peer               # None: it is away
        int64_t since           # where the backlog was when it connected first
        str start               # the same of a log that all servers share
        dict joined             # room -> where the backlog was
        list past               # (room, joined, left), of rooms that it has left
        Py_ssize_t prune_at
        dict data               # the Engine.IO session's: namespace -> data
        Deadline deadline       # while it is away

    cdef int join(self, object room, int64_t position) except -1
    cdef int left(self, object room) except -1
    cdef bint _is_for(self, Entry e, int64_t n) except -1
    cdef bint _was_in(self, object room, int64_t n) except -1


cdef class Backlog(Recovery):
    cdef:
        readonly Namespace namespace
        readonly double duration        # seconds that a client may be away
        readonly Py_ssize_t max_packets
        readonly Py_ssize_t max_bytes
        readonly Py_ssize_t max_sessions
        readonly int64_t position       # of the last packet
        readonly Py_ssize_t bytes       # of the packets kept, at most
        dict entries                    # position -> Entry, without a gap
        int64_t first                   # position of the first
        int64_t lost                    # position of the last that went too early
        double lost_until               # when somebody may still miss it
        dict present                    # pid -> ClientState
        dict away                       # pid -> ClientState, as they went
        Kept kept
        str token                       # begins offsets: which backlog it is
        Deadline sweep
        list shared                     # entries whose replayed packet is there
        public str offset               # of the last event, in a log of all servers

    cdef Outgoing record(self, Outgoing m, list data, object to, object skip)
    cdef int close_room(self, object room) except -1
    cdef Engine _engine(self)
    cdef double _window(self)
    cdef int _trim(self, double now) except -1
    cdef int _drop_first(self, Entry e, double now) except -1
    cdef int64_t _start(self, ClientState state, object offset) except -2
    cdef Py_ssize_t _may_wait(self, Session back) except? -1
    cdef list _missed(
        self, ClientState state, Session back, int64_t after, Py_ssize_t limit
    )
    cdef int _share(self, Entry e) except -1
    cdef Outgoing _stamped(self, Outgoing m, list data, str offset)
    cdef ClientState _from_store(self, Session back, object pid)
    cdef ClientState _restorable(self, Session back, object pid, object offset)
    cdef int _forget(self, ClientState state) except -1
    cdef int _expired(self, ClientState state) except -1


cdef object fixed(object rooms)
