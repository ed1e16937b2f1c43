# The Socket.IO side of one Engine.IO connection.
from libc.stdint cimport int64_t

from socketio_fast._core.engine.deadlines cimport Deadline
from socketio_fast._core.engine.rate_limits cimport Limiter
from socketio_fast._core.protocol.sio cimport Packet
from socketio_fast._core.socketio.contracts cimport Connection
from socketio_fast._core.socketio.hub cimport Hub, Namespace
from socketio_fast._core.socketio.peer_lifecycle cimport Peer


cdef class ClientHub(Hub):
    pass


cdef class ConnectionHandler(Connection):
    cdef:
        Hub hub
        Peer main                   # in namespace "/"; None: it has not joined it
        dict others                 # namespace -> Peer, in all others; or None
        Packet incomplete           # a packet whose attachments have not all come
        Deadline progress_deadline  # of the attachments; it may end later than they
        Packet stalled              # `incomplete` when progress was last checked
        int64_t stalled_at          # how many attachments were missing then
        Deadline connect_deadline   # None: it has joined a namespace
        Limiter limiter             # of the events it sends; None: it has no limits

    cdef int _await_attachments(self, Packet packet) except -1
    cdef int _forget_incomplete(self, Packet packet) except -1
    cdef int _dispatch(self, Packet packet) except -1
    cdef int _join(self, str name, object auth, Py_ssize_t size) except -1
    cdef int _limited(self, Packet packet, Py_ssize_t n) except -1
    cdef int _over_limit(self, Packet packet, double wait) except -1
    cdef int _resolve(self, str name, object auth, Py_ssize_t size) except -1
    cdef int enter_namespace(
        self, Namespace ns, str name, object auth, Py_ssize_t size
    ) except -1
    cdef double _progress_time(self) except -1
    cdef int _check_progress(self) except -1
